"""vLLM 0.5 to 0.32, both generations of its engine."""
