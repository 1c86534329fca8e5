"""AUTOMATIC1111's Stable Diffusion web UI 1.0 to 1.10, and Forge, which kept its API."""
