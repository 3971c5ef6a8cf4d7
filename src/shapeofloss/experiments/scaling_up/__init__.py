"""Experiments of the notebook 304_scaling_up."""
