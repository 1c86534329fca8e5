"""The scale function: one group's fleet, a few seconds at a time.

`handler` turns events into calls, `service` holds the lease and ticks, `tick` looks, decides and acts once, `apply` carries out one
action, `release` gives a group up for good. Decisions themselves are `functions.core.scaling`.
"""
