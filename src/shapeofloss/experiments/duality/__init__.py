"""Experiments of the notebook 403_duality."""
