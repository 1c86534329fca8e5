"""One technology a file, each behind a port of `functions.ports`: what is of AWS, PyNaCl or HTTP stays here."""
