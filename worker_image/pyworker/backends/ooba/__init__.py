"""oobabooga's text-generation-webui, March 2023 to 3.x, with either generation of its API."""
