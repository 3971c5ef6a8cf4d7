"""Clouds, costs and exact solvers: against each other, closed forms, and what is refused."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.stats import wasserstein_distance

from shapeofloss.distributions import clouds
from shapeofloss.errors import UserError
from shapeofloss.transport.assignment.exact import (
    cost_matrix,
    mean_cost,
    optimal_assignment,
    optimal_plan,
    optimal_value,
)


@pytest.mark.parametrize("p", [1, 1.5, 2, 3])
def test_costs_are_norms_to_the_power_over_the_power(p):
    x, y = clouds.gaussian(5, 3, 0), clouds.gaussian(7, 3, 1)
    expected = np.linalg.norm(x[:, None] - y, axis=-1) ** p / p
    assert np.allclose(cost_matrix(x, y, p=p), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("x", "y", "p", "message"),
    [
        ([1.0, 2.0], [[1.0]], 2, r"cloud x has shape \(2,\)"),
        ([[np.nan]], [[1.0]], 2, "not finite"),
        ([[1.0]], [[1.0, 2.0]], 2, "dimensions 1 and 2"),
        ([[1.0]], [[1.0]], 0.5, "p is 0.5; a finite number from 1"),
        ([[0.0]], [[3.0]], np.inf, "p is inf"),
        ([[0.0]], [[1e200]], 2, r"\|\^2 overflows"),
        ([[0.0]], [[1.0 + 1j]], 2, "complex"),
        (np.zeros((0, 2)), [[1.0, 2.0]], 2, r"shape \(0, 2\)"),
    ],
)
def test_costs_refuse_what_is_no_pair_of_clouds(x, y, p, message):
    with pytest.raises(UserError, match=message):
        cost_matrix(x, y, p=p)


def test_the_two_exact_solvers_agree_on_equal_weights():
    cost = cost_matrix(*clouds.surfaces(60, 3))
    assert mean_cost(cost, optimal_assignment(cost)) == pytest.approx(optimal_value(cost), rel=1e-12)


def test_on_the_line_weighted_transport_is_scipys_wasserstein_distance():
    rng = np.random.default_rng(0)
    x, y, a, b = rng.random(9), rng.random(11), rng.random(9), rng.random(11)
    found = optimal_value(cost_matrix(x[:, None], y[:, None], p=1), a, b)
    assert found == pytest.approx(wasserstein_distance(x, y, a, b), rel=1e-9)


def test_a_plan_has_its_marginals_and_a_weight_of_zero_gets_nothing():
    cost = cost_matrix(clouds.gaussian(6, 2, 0), clouds.gaussian(8, 2, 1))
    a, b = np.arange(6.0), np.ones(8)
    plan = optimal_plan(cost, a, b)
    assert np.allclose(plan.sum(1), a / 15) and np.allclose(plan.sum(0), 1 / 8)
    assert not plan[0].any()


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0, 2.0], r"shape \(2,\)"),
        ([1.0, -1.0, 1.0], "not negative"),
        ([0.0, 0.0, 0.0], "not all zero"),
        ([np.inf, 1.0, 1.0], "finite"),
    ],
)
def test_weights_that_are_none_are_refused(weights, message):
    with pytest.raises(UserError, match=message):
        clouds.as_weights(weights, 3)


def test_weights_are_brought_to_a_sum_of_one():
    assert clouds.as_weights([1, 3], 2).tolist() == [0.25, 0.75]
    assert clouds.as_weights(None, 4).tolist() == [0.25] * 4


def test_the_clouds_are_what_they_say():
    sphere, torus = clouds.surfaces(500, 0)
    assert np.allclose(np.linalg.norm(sphere - 0.5, axis=1), 0.35)
    ring = np.hypot(torus[:, 0] - 0.5, torus[:, 2] - 0.5)
    assert np.allclose(np.hypot(ring - 0.32, torus[:, 1] - 0.5), 0.12)
    assert min(sphere.min(), torus.min()) > 0 and max(sphere.max(), torus.max()) < 1
    shifted = clouds.gaussian(4000, 3, 0, shift=2.0)
    assert np.allclose(shifted.mean(0), [2, 0, 0], atol=0.06) and np.allclose(np.cov(shifted.T), np.eye(3), atol=0.08)
    disk, moons = clouds.disk_and_moons(300, 0)
    assert np.linalg.norm(disk, axis=1).max() <= 0.5
    assert (np.abs(moons[:, 0]) >= 0.5).all() and (moons[::2, 0] < 0).all() and (moons[1::2, 0] > 0).all()


def test_a_seed_gives_the_same_cloud_again_and_another_one_another():
    for make in (
        lambda s: clouds.surfaces(5, s)[1],
        lambda s: clouds.uniform(5, 2, s),
        lambda s: clouds.gaussian(5, 2, s),
    ):
        assert np.array_equal(make(1), make(1)) and not np.array_equal(make(1), make(2))


@pytest.mark.parametrize("unit", [1e-7, 1e-12, 1e-100, 1e100])
def test_a_plan_of_small_costs_is_as_good_as_scipys_assignment(unit):
    cost = unit * cost_matrix(*clouds.surfaces(60, 3))
    assert optimal_value(cost) == pytest.approx(cost[linear_sum_assignment(cost)].mean(), rel=1e-9, abs=0)


def test_huge_costs_beside_small_ones_hide_nothing():
    rng = np.random.default_rng(0)
    cost = np.where(rng.random((40, 40)) < 0.5, 1e14, 1.0) * rng.random((40, 40))
    assert optimal_value(cost.tolist()) == pytest.approx(cost[linear_sum_assignment(cost)].mean(), rel=1e-9)
    with pytest.raises(UserError, match="cannot tell the small ones"):
        optimal_plan(cost, np.arange(1.0, 41.0))


def test_assignments_refuse_what_is_no_square_of_numbers():
    with pytest.raises(UserError, match="as many rows as columns"):
        optimal_assignment(np.ones((2, 3)))
    with pytest.raises(UserError, match="not finite"):
        optimal_assignment([[np.nan]])
    with pytest.raises(UserError, match="sums overflow"):
        optimal_plan([[1e308, 0.0], [0.0, 1e308]])
