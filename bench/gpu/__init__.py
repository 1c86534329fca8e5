"""The worker in front of a model server on a real GPU: what its performance test finds, and what a stream costs through it.

    python -m bench.gpu [--server auto|vllm|transformers|torch] [--json FILE]

Needs, beside the worker's own packages (aiohttp, PyNaCl, cryptography), what the machine's Python has: vLLM, or transformers with
FastAPI and uvicorn, or torch alone, in that order unless told. Models have random weights and are made on the spot, so nothing is
downloaded. With torch alone the server is `server`, a small one with continuous batching. Tokens mean nothing; the speed is real.
"""
