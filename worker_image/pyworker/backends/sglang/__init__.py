"""SGLang 0.2 to 0.5."""
