"""Experiments of the notebook 103_phate_beside_the_others."""
