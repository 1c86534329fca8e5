"""One folder for each kind of inference server; see `pyworker.backend` for what is in it."""
