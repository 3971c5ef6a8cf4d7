"""Experiments of the notebook 204_images."""
