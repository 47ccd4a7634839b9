"""Paired measurements of a rendered service: `python -m benchmarks --help`."""
