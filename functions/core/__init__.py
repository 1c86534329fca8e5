"""Pure decisions: values in, values out. No clock, no randomness but an argument, no I/O, no logging, no SDK."""
