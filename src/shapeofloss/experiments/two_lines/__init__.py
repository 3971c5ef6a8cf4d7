"""Experiments of the notebook 402_two_lines."""
