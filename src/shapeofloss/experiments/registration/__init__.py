"""Experiments of the notebook 306_registration."""
