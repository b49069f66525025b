"""Benchmarks: one file each, both sides measured in one run. `python -m bench` runs all, or those named."""
