"""Ollama 0.1.30 to 0.14 and later."""
