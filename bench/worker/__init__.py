"""The worker's overhead, beside the marketplace's own worker and beside none: `python -m bench.worker`.

    client (this process) ──▶ pyworker        ──▶ stub: an inference server that takes no time
                          ──▶ vastai's Worker ──▶
                          ──────────────────────▶

One run, one stub, one client; the subjects take turns, and the median of the rounds counts. Where there are two CPUs the workers
have one to themselves, and client and stub share the other, so that what is measured is the worker. The control plane that
both workers need (keys, reports) is part of the stub.
"""
