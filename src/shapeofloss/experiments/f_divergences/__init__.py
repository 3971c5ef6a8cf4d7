"""Experiments of the notebook 406_f_divergences."""
