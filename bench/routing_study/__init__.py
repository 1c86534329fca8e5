"""How to choose a worker when nobody knows the present: a queueing simulation of many routers with stale views.

`world` is the system (workers, table, reports, routers), `policies` the ways to choose, `__main__` the sizes and the table.
Backlogs, ceilings, conditions and the shipped choice are the functions of `functions.core.routing` themselves.
"""
