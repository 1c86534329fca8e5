"""ComfyUI, 2023 to 2026."""
