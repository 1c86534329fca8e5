"""The rotate function: makes the keys that sign tickets, publishes their public halves, and lets one follow another."""
