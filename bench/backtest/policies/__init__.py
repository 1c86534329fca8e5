"""Who decides: our core, what peers do, and those who know the future."""
