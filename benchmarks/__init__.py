"""Ratios of times against named baselines: `python -m benchmarks [NAME ...]`, into `data/benchmarks.json`."""
