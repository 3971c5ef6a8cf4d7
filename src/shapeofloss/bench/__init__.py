"""Benchmarks: each compares two ways of doing the same, in the same run, as a ratio."""
