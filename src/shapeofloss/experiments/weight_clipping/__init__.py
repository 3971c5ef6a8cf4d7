"""Experiments of the notebook 404_weight_clipping."""
