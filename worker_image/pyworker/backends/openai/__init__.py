"""Any server with OpenAI's HTTP API, and what other backends share of that API (`dialect`)."""
