"""Headgate on one machine: an emulator of AWS, a simulated marketplace, real functions, real workers, and the demo."""
