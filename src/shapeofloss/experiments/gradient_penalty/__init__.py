"""Experiments of the notebook 405_gradient_penalty."""
