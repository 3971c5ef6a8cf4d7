"""Densities against other libraries, divergences against closed forms, and the fits of too simple a model."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import multivariate_normal, norm

from shapeofloss.errors import UserError
from shapeofloss.experiments.weight_clipping.likelihood import (
    Kernels,
    Normal,
    TwoModes,
    best_kernels,
    fit_normal,
    forward_kl,
    reverse_kl,
)


def test_a_fitted_normal_distribution_has_scipys_density_and_its_moments():
    generator = np.random.default_rng(0)
    x = generator.standard_normal((300, 3)) @ generator.standard_normal((3, 3)) + 1
    fitted = Normal.fitted(x)
    other = multivariate_normal(x.mean(0), np.cov(x.T, bias=True))
    assert np.allclose(fitted.log_density(x), other.logpdf(x), rtol=1e-10)
    drawn = fitted.sample(40_000, generator)
    assert np.allclose(drawn.mean(0), x.mean(0), atol=0.05) and np.allclose(np.cov(drawn.T), other.cov, atol=0.1)


def test_kernels_have_the_density_of_their_mixture():
    generator = np.random.default_rng(0)
    points, x = generator.random((5, 2)), generator.random((7, 2))
    expected = np.log(np.mean([multivariate_normal(p, 0.04 * np.eye(2)).pdf(x) for p in points], axis=0))
    assert np.allclose(Kernels(points, 0.2).log_density(x), expected, rtol=1e-10)
    drawn = Kernels(points, 1e-6).sample(50, generator)
    assert np.abs(drawn[:, None] - points).sum(-1).min(axis=1).max() < 1e-4


def test_the_best_kernels_are_as_wide_as_held_out_points_like_them():
    x = np.random.default_rng(0).standard_normal((400, 1))
    found = best_kernels(x, np.array([0.001, 0.3, 30.0]))
    assert found.width == 0.3 and len(found.points) == 400


def test_the_target_is_a_mixture_with_its_mass():
    target = TwoModes(0.3, 0.2)
    x = np.array([-1.0, 0.0, 1.3])
    expected = 0.3 * norm.pdf(x, -1, 0.2) + 0.7 * norm.pdf(x, 1, 0.2)
    assert np.allclose(np.exp(target.log_density(x)), expected, rtol=1e-12)
    assert target.mass(-9, 9) == pytest.approx(1) and target.mass(-9, 0) == pytest.approx(0.3, abs=1e-5)
    assert target.mass(0, 9) == pytest.approx(0.7, abs=1e-5)


def test_divergences_of_a_target_with_one_mode_are_the_closed_form():
    # Almost all weight at 1: the target is N(1, 0.25^2) up to the mixture's 1e-13.
    target = TwoModes(1e-13, 0.25)
    m, s = 0.5, 0.8

    def closed(m1, s1, m2, s2):
        return np.log(s2 / s1) + (s1**2 + (m1 - m2) ** 2) / (2 * s2**2) - 0.5

    assert forward_kl(target, m, s) == pytest.approx(closed(1, 0.25, m, s), rel=1e-9)
    assert reverse_kl(target, 1.1, 0.2) == pytest.approx(closed(1.1, 0.2, 1, 0.25), rel=1e-6)


def test_the_forward_fit_has_the_targets_moments_and_the_reverse_fit_one_modes():
    target = TwoModes(0.35, 0.2)
    forward, reverse = (fit_normal(own, target, 0)[0] for own in (forward_kl, reverse_kl))
    assert forward["mean"] == pytest.approx(0.3, abs=1e-3)
    assert forward["deviation"] == pytest.approx(np.sqrt(1 + 0.04 - 0.09), abs=1e-3)
    assert (reverse["mean"], reverse["deviation"]) == pytest.approx((1, 0.2), abs=5e-3)
    assert reverse["divergence"] == pytest.approx(-np.log(0.65), abs=1e-3)


def test_searches_are_sorted_by_their_divergence_and_repeat():
    target = TwoModes(0.5, 0.25)
    ends = fit_normal(reverse_kl, target, 3, starts=3)
    assert [own["divergence"] for own in ends] == sorted(own["divergence"] for own in ends)
    assert ends == fit_normal(reverse_kl, target, 3, starts=3)


def test_distributions_without_a_density_are_refused():
    for x in (np.ones((5, 2)), np.eye(2)):
        with pytest.raises(UserError, match="no normal distribution has a density"):
            Normal.fitted(x)
    with pytest.raises(UserError, match=r"shape \(4, 3\); \(N, 2\)"):
        Normal.fitted(np.random.default_rng(0).random((9, 2))).log_density(np.zeros((4, 3)))
    for width in (0, -1.0, np.nan):
        with pytest.raises(UserError, match="width is"):
            Kernels(np.zeros((3, 2)), width)
    for settings in ({"weight": 0.0}, {"weight": 1.0}, {"width": 1e-3}, {"width": 5.0}):
        with pytest.raises(UserError, match=f"{next(iter(settings))} is"):
            TwoModes(**{"weight": 0.5, "width": 0.2, **settings})


@pytest.mark.parametrize(("mean", "deviation"), [(40.0, 1.0), (1.0, 1e-4), (0.0, 30.0), (-15.0, 2.0)])
def test_reverse_kl_is_right_also_where_the_nodes_of_the_target_end(mean, deviation):
    target = TwoModes(0.3, 0.2)
    own = norm(mean, deviation)
    low, high = mean - 12 * deviation, mean + 12 * deviation
    wanted = quad(
        lambda x: own.pdf(x) * (own.logpdf(x) - target.log_density(np.array([x]))[0]),
        low,
        high,
        limit=500,
        points=[mean],
    )[0]
    assert reverse_kl(target, mean, deviation) == pytest.approx(wanted, rel=1e-5)
