"""Experiments of the notebook 105_persistence."""
