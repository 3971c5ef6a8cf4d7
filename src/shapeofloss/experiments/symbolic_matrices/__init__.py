"""Experiments of the notebook 301_symbolic_matrices."""
