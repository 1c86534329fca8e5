"""The demo's story: what is done to the system, what is watched meanwhile, and what must have happened for it to count."""
