"""Barycenters: of Gaussians, on given points and on grids, against closed forms and POT."""

import itertools

import numpy as np
import ot
import pytest
import torch

from shapeofloss.distributions import clouds
from shapeofloss.errors import UserError
from shapeofloss.experiments.barycenters.barycenters import (
    as_densities,
    barycenter_program,
    gaussian_density,
    grid_barycenter,
    grid_divergence,
    moments,
    soft_transform,
)
from shapeofloss.transport.assignment.exact import cost_matrix, optimal_value
from shapeofloss.transport.entropic.grid_transforms import grid_points, separable_transform

WEIGHTS = np.array([0.5, 0.3, 0.2])


def covariances(dimension, seed, count=3):
    roots = np.random.default_rng(seed).standard_normal((count, dimension, dimension))
    return roots @ roots.swapaxes(1, 2) + 0.1 * np.eye(dimension)


def images(shape, seed, width):
    """Return three Gaussian densities, their means and covariances."""
    rng = np.random.default_rng(seed)
    means = np.array([rng.uniform(0.38, 0.62, len(shape)) * (np.array(shape) - 1) for _ in range(3)])
    shares = [s / np.trace(s) * len(shape) for s in covariances(len(shape), seed)]
    spreads = width**2 * (np.array(shares) + np.eye(len(shape))) / 2 * rng.uniform(0.6, 1.4, (3, 1, 1))
    return np.stack([gaussian_density(shape, m, s) for m, s in zip(means, spreads, strict=True)]), means, spreads


def gaussian_distance(first, second):
    """The squared W2 distance of centred Gaussians by POT."""
    return ot.gaussian.bures_distance(first, second) ** 2


def gaussian_barycenter(given, weights=None):
    """The covariance of the barycenter of centred Gaussians by POT."""
    w = np.full(len(given), 1 / len(given)) if weights is None else weights
    none = np.zeros(given.shape[:2])
    return ot.gaussian.bures_wasserstein_barycenter(none, given, w, num_iter=500, eps=1e-10)[1]


@pytest.mark.parametrize("shape", [(7,), (30, 40), (5, 16, 12)])
@pytest.mark.parametrize("eps", [1e-5, 0.1, 1.0, 30.0])
def test_the_transform_by_products_is_the_one_by_exponentials(shape, eps):
    rng = np.random.default_rng(0)
    steep = -((grid_points(shape).sum(1) - max(shape)) ** 2).reshape(shape) / (3 * eps)  # of the kernel's own range
    h = torch.tensor(steep + 5 * rng.standard_normal(shape))
    h[torch.tensor(rng.random(shape) < 0.3)] = -torch.inf  # no mass
    if len(shape) > 1:
        h[(0,) * (len(shape) - 1)] = -torch.inf  # a line without any
    expected = separable_transform(h, eps=eps)
    assert torch.allclose(soft_transform(h, eps=eps), expected, rtol=1e-12, atol=1e-10 * eps)


@pytest.mark.parametrize("eps", [0.0, -1.0, np.nan, np.inf])
def test_the_transform_refuses_a_temperature_that_is_none(eps):
    with pytest.raises(UserError, match="temperature eps is"):
        soft_transform(torch.zeros(3, dtype=torch.float64), eps=eps)


def test_densities_are_sampled_and_measured_as_they_should():
    covariance = [[4.0, 1.0], [1.0, 3.0]]
    mean, spread = moments(gaussian_density((40, 30), [18.3, 14.9], covariance))
    assert np.allclose(mean, [18.3, 14.9], atol=1e-6)
    assert np.allclose(spread, covariance, atol=1e-5)


def test_the_program_finds_the_barycenter_of_pot_on_a_common_support():
    rng = np.random.default_rng(2)
    points, chosen = rng.random((9, 2)), [rng.choice(9, 4, replace=False) for _ in range(3)]
    clouds_on_it, given = [points[own] for own in chosen], np.zeros((3, 9))
    for masses, own in zip(given, chosen, strict=True):
        masses[own] = 1 / 4
    found = barycenter_program(points, clouds_on_it, WEIGHTS)
    costs = cost_matrix(points, points)
    expected = ot.lp.barycenter(given.T.copy(), costs, WEIGHTS, solver="highs")
    value = [
        sum(w * optimal_value(costs, a, b) for w, b in zip(WEIGHTS, given, strict=True)) for a in (found, expected)
    ]
    assert value[0] == pytest.approx(value[1], rel=1e-7)
    assert found.sum() == pytest.approx(1, abs=1e-12)


def test_the_barycenter_of_one_cloud_is_that_cloud():
    points = np.random.default_rng(2).random((5, 2))
    assert np.allclose(barycenter_program(points, [points[:2]]), [0.5, 0.5, 0, 0, 0])


def test_the_program_on_all_means_of_points_is_exact_on_the_line():
    x = np.sort(np.random.default_rng(3).random((3, 4, 1)), axis=1)
    means = np.array([WEIGHTS @ np.stack(points) for points in itertools.product(*x)])
    found = barycenter_program(means, list(x), WEIGHTS)
    heavy = found > 1e-9
    assert np.allclose(np.sort(means[heavy].ravel()), np.sort(np.einsum("k,knd->n", WEIGHTS, x)))  # sorted to sorted
    assert np.allclose(found[heavy], 1 / 4)


@pytest.mark.parametrize(("shape", "blur"), [((64,), 2.0), ((32, 40), 1.0), ((16, 16, 20), 0.5)])
def test_the_barycenter_on_a_grid_is_that_of_gaussians(shape, blur):
    given, means, spreads = images(shape, 4, max(shape) / 16)
    found = grid_barycenter(given, WEIGHTS, blur=blur)
    mean, spread = moments(found.density)
    truth = gaussian_barycenter(spreads, WEIGHTS)
    assert np.allclose(mean, WEIGHTS @ means, atol=0.01)
    assert np.linalg.norm(spread - truth) < 0.01 * np.linalg.norm(truth)
    assert float(found.density.sum()) == pytest.approx(1, abs=1e-12)
    assert found.disagreement <= 1e-3


def test_the_debiased_barycenter_is_that_of_pot_in_the_logarithm():
    given, _, _ = images((16, 16), 5, 1.6)
    expected = ot.bregman.convolutional_barycenter2d_debiased(
        given, 2 * (1.0 / 15) ** 2, WEIGHTS, method="sinkhorn_log", stopThr=1e-6
    )
    found = grid_barycenter(given, WEIGHTS, blur=1.0, tolerance=1e-6).density.numpy()
    assert np.abs(found - expected).sum() < 1e-3


def test_the_soft_barycenter_is_that_of_pot():
    rng = np.random.default_rng(5)
    given = rng.random((3, 12, 12)) * (rng.random((3, 12, 12)) < 0.5)
    given /= given.sum((1, 2), keepdims=True)
    soft = ot.bregman.convolutional_barycenter2d(given, 2 * (2.0 / 11) ** 2, WEIGHTS, stopThr=1e-12, warn=False)
    found = grid_barycenter(given, WEIGHTS, blur=2.0, tolerance=1e-9, debias=False).density.numpy()
    assert np.allclose(found, soft / soft.sum(), atol=1e-6)


@pytest.mark.parametrize(("limit", "debias", "worst"), [(1, True, 2), (3, True, 2), (1, False, 1)])
def test_the_disagreement_is_that_of_the_worst_plan(limit, debias, worst):
    a, w = np.random.default_rng(11).dirichlet(np.full(6, 0.5), 2), np.array([0.8, 0.2])
    kernel = np.exp(-((np.arange(6)[:, None] - np.arange(6)) ** 2) / (2 * 6**2))
    u, d = a, np.ones(6)
    for _ in range(limit):
        arriving = u @ kernel
        alpha = d * np.prod(arriving ** w[:, None], axis=0)
        v, itself = alpha / arriving, d * (kernel @ d)
        u = a / (v @ kernel)
        d = np.sqrt(d * alpha / (kernel @ d)) if debias else d
    marginals = v * (u @ kernel)
    density = w @ marginals
    apart = [np.abs(own - density).sum() for own in (*marginals, *([itself] if debias else []))]
    assert np.argmax(apart) == worst
    found = grid_barycenter(a, w, blur=6.0, tolerance=0.0, limit=limit, debias=debias)  # one temperature
    assert np.allclose(found.density, density)
    assert found.disagreement == pytest.approx(max(apart), rel=1e-6)


def test_without_debiasing_the_barycenter_is_wider():
    given, _, spreads = images((40, 40), 6, 3.0)
    wide, right = (moments(grid_barycenter(given, blur=1.5, debias=choice).density)[1] for choice in (False, True))
    truth = gaussian_barycenter(spreads)
    assert np.trace(wide) > np.trace(truth) + 1.5
    assert np.trace(right) == pytest.approx(np.trace(truth), rel=0.01)


def test_the_mass_is_kept_after_any_number_of_steps_and_a_shift_of_inputs_shifts_the_barycenter():
    given, _, _ = images((24, 24), 7, 1.5)
    for limit in (0, 3, 30):
        found = grid_barycenter(given, blur=1.0, scaling=0.3, tolerance=0.0, limit=limit)
        assert float(found.density.sum()) == pytest.approx(1, abs=1e-12)
    still, moved = (grid_barycenter(np.roll(given, by, axis=2), blur=1.0).density for by in (0, 3))
    assert torch.allclose(moved, still.roll(3, 1), atol=1e-3 * float(still.max()))


def test_all_weight_on_one_input_gives_that_input():
    given, _, spreads = images((32, 32), 8, 2.0)
    found = grid_barycenter(given, [0.0, 1.0, 0.0], blur=1.0, tolerance=1e-5)
    assert np.allclose(moments(found.density)[1], spreads[1], rtol=0.01, atol=0.01)


@pytest.mark.parametrize(("shape", "blur"), [((64,), 1.0), ((32, 32), 1.0), ((16, 16, 16), 0.6)])
def test_the_divergence_on_a_grid_is_half_the_squared_distance_of_gaussians(shape, blur):
    (first, second, _), means, spreads = images(shape, 9, max(shape) / 16)
    truth = (np.sum((means[0] - means[1]) ** 2) + gaussian_distance(spreads[0], spreads[1])) / 2
    assert grid_divergence(first, second, blur=blur) == pytest.approx(truth, rel=0.01)
    assert grid_divergence(first, first, blur=blur) == pytest.approx(0, abs=1e-5)
    assert grid_divergence(second, first, blur=blur) == pytest.approx(truth, rel=0.01)


def test_the_divergence_of_scattered_masses_is_that_of_pot():
    rng = np.random.default_rng(10)
    first, second = rng.dirichlet(np.full(42, 0.3), 2).reshape(2, 6, 7)
    points = grid_points((6, 7))
    costs = cost_matrix(points, points)
    value = [
        float(ot.solve(costs, a.ravel(), b.ravel(), reg=1.0, reg_type="KL", max_iter=5000, tol=1e-11).value)
        for a, b in ((first, second), (first, first), (second, second))
    ]
    found = grid_divergence(first, second, blur=1.0, tolerance=1e-9)
    assert found == pytest.approx(value[0] - (value[1] + value[2]) / 2, rel=1e-6)


def test_what_is_no_density_no_covariance_or_no_blur_is_refused():
    good = np.ones((2, 4, 4))
    with pytest.raises(UserError, match="not negative"):
        as_densities(-good)
    with pytest.raises(UserError, match="not zero everywhere"):
        grid_barycenter(np.stack([good[0], 0 * good[0]]), blur=1.0)
    with pytest.raises(UserError, match=r"need \(K, n_1"):
        as_densities(np.ones(4))
    with pytest.raises(UserError, match="blur is 0"):
        grid_barycenter(good, blur=0.0)
    with pytest.raises(UserError, match="scaling between 0 and 1"):
        grid_barycenter(good, blur=1.0, scaling=1.0)
    with pytest.raises(UserError, match="weights w have shape"):
        grid_barycenter(good, [1.0], blur=1.0)
    with pytest.raises(UserError, match="have shapes"):
        grid_divergence(good[0], good[:, 0], blur=1.0)
    with pytest.raises(UserError, match="dimensions 2 and 3"):
        barycenter_program(clouds.uniform(3, 2, 0), [clouds.uniform(3, 3, 0)])
    with pytest.raises(UserError, match="no cloud"):
        barycenter_program(clouds.uniform(3, 2, 0), [])


@pytest.mark.parametrize(("blur", "tolerance"), [(1.0, 1e-3), (0.3, 1e-2), (3.0, 1e-6)])
def test_a_divergence_is_never_negative_and_0_between_equal_densities(blur, tolerance):
    rng = np.random.default_rng(0)
    for n in (4, 5, 8):
        a = rng.random((n, n)) ** 3
        assert grid_divergence(a, 2 * a, blur=blur, tolerance=tolerance) == 0
        assert grid_divergence(a, a * (1 + 1e-7 * rng.random((n, n))), blur=blur, tolerance=tolerance) >= 0


def test_a_blur_below_rounding_is_refused_and_the_least_one_keeps_the_mass():
    corners = [[1.0, 0, 0, 0], [0, 0, 0, 1.0]]
    for call in (lambda: grid_barycenter(corners, blur=1e-9), lambda: grid_divergence(*corners, blur=1e-9)):
        with pytest.raises(UserError, match=r"does not resolve less than 5\.96e-05"):
            call()
    assert float(grid_barycenter(corners, blur=5.97e-5).density.sum()) == pytest.approx(1, abs=1e-6)


def test_transforms_and_densities_refuse_what_they_would_spoil():
    for wrong, said in (
        (torch.tensor([np.nan, 0.0]), "finite or minus infinity"),
        (torch.tensor([1, 2]), "torch.int64"),
        ([0.0, 1.0], "a tensor is needed"),
    ):
        with pytest.raises(UserError, match=said):
            soft_transform(wrong, eps=1.0)
    with pytest.raises(UserError, match="overflow below"):
        soft_transform(torch.zeros(3), eps=1e-300)
    with pytest.raises(UserError, match="complex"):
        as_densities(np.ones((2, 3)) * 1j)
    with pytest.raises(UserError, match="near enough"):
        gaussian_density((3,), [1e3], [[1.0]])
    assert as_densities(np.full((1, 4), 1e308)).tolist() == [[0.25] * 4]
