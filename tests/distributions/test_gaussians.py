"""Gaussians against SciPy's and PyTorch's, matrices against SciPy's, and what stays where two nearly agree."""

import numpy as np
import pytest
import torch
from scipy.linalg import fractional_matrix_power, sqrtm
from scipy.stats import norm
from torch.distributions import MultivariateNormal, kl_divergence

from shapeofloss.distributions import gaussians as g
from shapeofloss.errors import UserError


def covariances(count: int = 4, dimension: int = 3, seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).standard_normal((count, dimension, dimension))
    return x @ np.swapaxes(x, 1, 2) + 0.1 * np.eye(dimension)


def test_the_density_is_scipys():
    x = np.linspace(-3, 3, 7)
    assert np.allclose(g.density(x, [0.5, 2.0]), norm(0.5, 2.0).pdf(x))
    assert np.allclose(g.log_density(100 * x, [0.5, 2.0]), norm(0.5, 2.0).logpdf(100 * x), rtol=1e-13)


def test_one_density_for_each_of_several_points():
    found = g.log_density(np.zeros((5, 1)), [[0.0, 1.0], [1.0, 2.0]])
    assert found == pytest.approx(np.tile(norm([0.0, 1.0], [1.0, 2.0]).logpdf(0), (5, 1)))


def test_quantiles_are_scipys_and_their_shares_are_all_of_the_mass():
    values, shares = g.quantiles([0.5, 2.0])
    levels = np.cumsum(shares) - shares / 2
    inside = (levels > 0.01) & (levels < 0.99)
    assert shares.sum() == pytest.approx(1, abs=1e-12) and (np.diff(values) > 0).all()
    assert np.allclose(values[inside], norm(0.5, 2.0).ppf(levels[inside]), atol=1e-2)


@pytest.mark.parametrize("exponent", [0.5, -0.5, 0.25])
def test_powers_of_many_matrices_are_scipys_of_each(exponent):
    many = covariances()
    expected = np.stack([fractional_matrix_power(s, exponent) for s in many])
    assert g.matrix_power(many, exponent) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_a_singular_matrix_has_a_root():
    x = np.outer([1.0, 2.0, -1.0], [1.0, 2.0, -1.0])
    root = g.matrix_power(x, 0.5)
    assert root @ root == pytest.approx(x, abs=1e-14) and (g.matrix_power(0 * x, 0.5) == 0).all()


def test_wasserstein_is_the_formula_with_roots_whatever_the_factors():
    (first, second), (m, n) = covariances(2), np.random.default_rng(1).standard_normal((2, 3))
    root = sqrtm(first)
    squared = np.sum((m - n) ** 2) + np.trace(first + second - 2 * np.real(sqrtm(root @ second @ root)))
    for factors in (np.linalg.cholesky(np.stack([first, second])), g.matrix_power(np.stack([first, second]), 0.5)):
        assert g.wasserstein(m, factors[0], n, factors[1]) == pytest.approx(np.sqrt(squared), rel=1e-12)
        assert g.wasserstein(n, factors[1], m, factors[0]) == pytest.approx(np.sqrt(squared), rel=1e-12)


def test_wasserstein_has_its_digits_where_two_gaussians_nearly_agree():
    root = g.matrix_power(covariances(1)[0], 0.5)
    assert g.wasserstein(0, root, 0, (1 + 1e-12) * root) == pytest.approx(1e-12 * np.linalg.norm(root), rel=1e-3)
    assert g.wasserstein(1.0, 2.0, 1.0, 2.0) == 0


def test_the_kl_divergence_is_pytorchs():
    (first, second), (m, n) = np.linalg.cholesky(covariances(2)), np.random.default_rng(1).standard_normal((2, 3))
    p, q = (MultivariateNormal(torch.tensor(a), scale_tril=torch.tensor(b)) for a, b in ((m, first), (n, second)))
    assert g.kl_divergence(m, first, n, second) == pytest.approx(float(kl_divergence(p, q)), rel=1e-12)


def test_the_kl_divergence_has_its_digits_where_two_gaussians_nearly_agree_and_is_never_negative():
    factor = np.linalg.cholesky(covariances(1)[0])
    step = 1e-7
    expected = 3 * step**2  # D (step - log(1 + step)) + D step^2 / 2
    assert g.kl_divergence(0.0 * factor[0], (1 + step) * factor, 0.0 * factor[0], factor) == pytest.approx(expected)
    assert all(g.kl_divergence(0.0, 1.0, k * 1e-10, 1 + k * 1e-12) >= 0 for k in range(50))


@pytest.mark.parametrize("point", [[0.0, 0.0], [0.0, -1.0], [np.nan, 1.0], [1.0, 2.0, 3.0]])
def test_what_is_no_gaussian_is_refused(point):
    with pytest.raises(UserError, match="Gaussian"):
        g.log_density(0.0, point)
    with pytest.raises(UserError, match="Gaussian"):
        g.quantiles(point)
