"""Text Generation Inference (TGI) 0.8 to 3.3."""
