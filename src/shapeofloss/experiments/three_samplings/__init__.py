"""Experiments of the notebook 102_three_samplings."""
