"""Measurements: how fast it is, and what it costs, beside what a user would pick instead."""
