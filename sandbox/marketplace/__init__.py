"""A marketplace of rented GPUs that never was: offers, instances, bills and faults behind the Vast.ai API, on loopback.

The parts, innermost first; an arrow reads "is used by":

    quantiles, observed, gpus -> market -> machine -> offers, query -----------------+
    lifecycle -> instance -------------------+                                       |
    ledger, faults (fault_plan), durations --+-> contracts -> rivals, spot, course --+-> world -> api -> server + processes, warden
    agenda, effects -------------------------+                drafts, increases -----+      |
                                                                                            +-> an in-process simulation

Everything up to and including `api` is pure: time is an argument, randomness a seeded `random.Random`, and what should happen to
real processes comes out as values (`effects`). Only `server`, `forwarding`, `processes`, `local_ports`, `warden` and
`__main__` touch the machine.

A simulation drives `Api.handle(Request(...), now_s=...)` in place of HTTP, jumps to `World.next_event_s()`, and takes
`World.take_effects()` as the cue for its own workers.
"""
