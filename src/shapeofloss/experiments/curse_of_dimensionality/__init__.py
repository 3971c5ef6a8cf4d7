"""Experiments of the notebook 305_curse_of_dimensionality."""
