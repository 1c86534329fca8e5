"""A small inference server that behaves like TGI on a rented GPU, without a GPU: its API, its log, its speed, its ways to fail.

    options ──▶ speed (how fast) ──▶ engine (who gets which token when; pure) ──▶ server (HTTP, SSE) ──▶ client
                                                                                       └──▶ journal (log lines)

It does not pretend to understand: it answers with words from a list. What is faithful is what an autoscaler can see: throughput
that saturates with the batch, latency that grows with it, queueing past the slots, a load time, log lines in the forms of the
real one.

With `--dialect` the same engine speaks as another server: `dialects` holds what each says, `speech` how each is asked and answers,
`standin` (and `comfyui`) serve it.
"""
