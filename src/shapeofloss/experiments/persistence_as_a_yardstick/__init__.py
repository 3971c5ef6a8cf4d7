"""Experiments of the notebook 206_persistence_as_a_yardstick."""
