"""The geometry of normal laws: closed forms against quadrature, symmetries, and known examples."""

import numpy as np
import pytest
from scipy.stats import norm

from shapeofloss.errors import UserError
from shapeofloss.experiments.what_transport_is import gauss_map as g

PAIRS = [([0.0, 1.0], [1.0, 2.0]), ([-2.0, 0.5], [2.0, 0.5]), ([0.3, 1.0], [0.3, 4.0])]


@pytest.mark.parametrize("sigma", [0.1, 1.0, 30.0])
def test_the_fisher_information_is_one_and_two_over_the_variance(sigma):
    assert np.allclose(g.fisher_information([5.0, sigma]) * sigma**2, [[1, 0], [0, 2]], atol=1e-10)


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_relative_entropy_is_the_closed_form(first, second):
    (m1, s1), (m2, s2) = first, second
    expected = np.log(s2 / s1) + (s1**2 + (m1 - m2) ** 2) / (2 * s2**2) - 0.5
    assert g.relative_entropy(first, second) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_the_fisher_rao_path_has_the_length_of_the_distance_and_constant_speed(first, second):
    path = g.fisher_rao_path(first, second, np.linspace(0, 1, 2001))
    assert np.allclose(path[0], first) and np.allclose(path[-1], second)
    pieces = [g.fisher_rao_distance(p, q) for p, q in zip(path[:-1:100], path[100::100], strict=True)]
    assert sum(pieces) == pytest.approx(g.fisher_rao_distance(first, second), rel=1e-9)
    assert np.ptp(pieces) < 1e-9


def test_means_that_are_nearly_equal_give_nearly_the_path_of_equal_ones():
    times = np.linspace(0, 1, 5)
    upright, tilted = (g.fisher_rao_path([0.0, 1.0], [m, 4.0], times) for m in (0.0, 1e-12))
    assert np.allclose(tilted, upright, atol=1e-11)


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_no_other_path_that_is_found_is_shorter(first, second):
    found = g.geodesic(g.fisher_information, first, second)
    assert found.length == pytest.approx(g.fisher_rao_distance(first, second), rel=1e-7)
    assert np.allclose(found.points, g.fisher_rao_path(first, second, found.times), atol=1e-4)


def test_fisher_rao_does_not_depend_on_units_and_wasserstein_scales_with_them():
    first, second = np.array([0.2, 1.0]), np.array([1.0, 3.0])
    moved = [np.array([7 * m + 5, 7 * s]) for m, s in (first, second)]
    assert g.fisher_rao_distance(*moved) == pytest.approx(g.fisher_rao_distance(first, second))
    assert g.wasserstein_distance(*moved) == pytest.approx(7 * g.wasserstein_distance(first, second))


def test_wasserstein_is_the_integral_over_quantiles():
    first, second = [0.2, 1.0], [1.0, 3.0]
    levels = (np.arange(200_000) + 0.5) / 200_000
    squared = np.mean((norm(*first).ppf(levels) - norm(*second).ppf(levels)) ** 2)
    assert g.wasserstein_distance(first, second) ** 2 == pytest.approx(squared, rel=1e-3)


def test_curvatures_of_known_metrics():
    assert g.curvature(g.poincare, [1.0, 0.7]) == pytest.approx(-1, abs=1e-3)
    assert g.curvature(lambda p: np.broadcast_to(np.eye(2), (*p.shape[:-1], 2, 2)), [1.0, 0.7]) == pytest.approx(
        0, abs=1e-6
    )


def test_the_curvature_of_fisher_rao_is_minus_one_half_everywhere():
    for point in ([0.0, 0.2], [3.0, 1.0], [-1.0, 40.0]):
        assert g.curvature(g.fisher_information, point) == pytest.approx(-0.5, abs=1e-4)


def pulled_back(p):
    """Return the hyperbolic metric in bent coordinates, m = u + sin(v) + u v / 2 and sigma = v."""
    u, v = np.moveaxis(np.asarray(p), -1, 0)
    none = np.zeros_like(u)
    jacobian = np.stack([np.stack([1 + v / 2, np.cos(v) + u / 2], -1), np.stack([none, none + 1], -1)], -2)
    return np.swapaxes(jacobian, -1, -2) @ jacobian / v[..., None, None] ** 2


def sphere(p):
    """Return the metric of a sphere of radius 1 in stereographic coordinates."""
    return 4 * np.eye(2) / (1 + (np.asarray(p) ** 2).sum(-1))[..., None, None] ** 2


def test_the_curvature_does_not_depend_on_coordinates_and_has_its_sign():
    for point in ([0.3, 0.7], [-1.0, 2.0]):
        assert abs(pulled_back(point)[0, 1]) > 0.1
        assert g.curvature(pulled_back, point) == pytest.approx(-1, abs=1e-3)
        assert g.curvature(sphere, point) == pytest.approx(1, abs=1e-3)


def test_the_way_back_is_as_long_and_the_flat_way_is_straight():
    first, second = [0.0, 1.0], [2.0, 3.0]
    there, back = (g.geodesic(g.fisher_information, *ends) for ends in ((first, second), (second, first)))
    assert there.length == pytest.approx(back.length, rel=1e-9)
    assert np.allclose(there.points, back.points[::-1], atol=1e-4)
    flat = g.geodesic(lambda p: np.broadcast_to(np.eye(2), (*p.shape[:-1], 2, 2)), first, second)
    assert flat.length == pytest.approx(np.sqrt(8), rel=1e-9)
    assert np.allclose(flat.points[:, 1] - flat.points[:, 0], 1, atol=1e-4)


def test_a_degree_that_is_too_low_for_the_path_is_refused():
    with pytest.raises(UserError, match="at degree 2; take a higher one"):
        g.geodesic(g.fisher_information, [-2.0, 0.1], [2.0, 0.1], degree=2)


@pytest.mark.parametrize("point", [[0.0, 0.0], [0.0, -1.0], [np.nan, 1.0], [1.0, 2.0, 3.0]])
def test_what_is_no_normal_law_is_refused(point):
    with pytest.raises(UserError, match="Gaussian"):
        g.fisher_rao_distance(point, [0.0, 1.0])


def test_relative_entropy_is_never_negative():
    assert all(g.relative_entropy([0.0, 1.0], [k * 1e-10, 1 + k * 1e-12]) >= 0 for k in range(50))


def test_one_gaussian_is_needed_where_one_is_meant():
    with pytest.raises(UserError, match="not an array of them"):
        g.fisher_rao_distance([[0.0, 1.0], [1.0, 2.0]], [0.0, 1.0])
    with pytest.raises(UserError, match="complex"):
        g.wasserstein_distance([1j, 1.0], [0.0, 1.0])
