"""Experiments of the notebook 401_likelihood_free."""
