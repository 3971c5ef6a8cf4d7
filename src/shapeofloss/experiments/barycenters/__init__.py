"""Experiments of the notebook 307_barycenters."""
