"""Experiments of the notebook 106_reading_generalisation."""
