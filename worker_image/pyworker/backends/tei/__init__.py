"""Text Embeddings Inference (TEI) 1.0 to 1.9."""
