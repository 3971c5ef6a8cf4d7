"""Probability distributions and samples of them: mixtures, quantiles, Gaussians, clouds of points."""
