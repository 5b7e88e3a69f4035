"""Measures Beat against what the machine could do at best, in the same run: ``python -m scripts.bench --help``."""
