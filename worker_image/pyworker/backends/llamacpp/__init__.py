"""llama.cpp's llama-server, January 2024 to November 2026."""
