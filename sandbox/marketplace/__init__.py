"""A marketplace of rented GPUs that never was: offers, instances, bills and faults behind the Vast.ai API, on loopback.

The parts, innermost first; an arrow reads "is used by":

    quantiles, gpus -> market -> machine, offers ----+
    query ---------------------------------------+   |
    lifecycle -> instance -> contracts ------+   |   |
    ledger, faults, durations, agenda -------+-> world -> api (bytes in, bytes out) -> server (sockets, processes)
                                                   |
                                                   +--> an in-process simulation drives `world` or `api` directly

Everything up to and including `api` is pure: time is an argument, randomness a seeded `random.Random`, and what should happen
to real processes comes out as values (`effects`). Only `server`, `processes`, `warden` and `__main__` touch the machine.
"""
