"""The worker's own half of Headgate: it stands between clients and one inference server on a rented machine.

    client ──▶ front ──▶ gate (ticket) ──▶ ledger (count) ──▶ slots (queue) ──▶ upstream ──▶ inference server
                                                │                                                  │
               control plane ◀── reporter ◀── phase ◀── readiness, log watch, health, perf test ◀──┘

Every request goes through the same steps in the same order: *authenticate, then parse, then count, then serve*. Nothing is counted
for a request whose ticket was not signed for this worker, and everything that was counted is finished exactly once, however
the request ends.

What a kind of inference server needs is a folder under `backends/`; the rest is the same for all. The package imports `protocol`,
aiohttp and PyNaCl, and nothing else of Headgate.
"""
