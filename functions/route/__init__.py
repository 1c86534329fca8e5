"""The route function: hands a client a signed ticket for a worker, or tells it why it has to wait."""
