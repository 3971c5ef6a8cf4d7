"""The linear programs of transport, against the network simplex and against each other."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from shapeofloss.distributions.clouds import gaussian
from shapeofloss.errors import UserError
from shapeofloss.transport.assignment.exact import cost_matrix, optimal_value
from shapeofloss.transport.assignment.programs import (
    c_transform,
    lipschitz_program,
    marginal_constraints,
    northwest_corner,
    plan_program,
    price_program,
    projection_program,
)


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    cost = cost_matrix(gaussian(7, 2, 0), gaussian(9, 2, 1))
    a, b = rng.random(7), rng.random(9)
    return cost, a / a.sum(), b / b.sum()


def test_plan_and_prices_have_the_value_of_the_network_simplex(problem):
    cost, a, b = problem
    expected = optimal_value(cost, a, b)
    plan, (f, g) = plan_program(cost, a, b), price_program(cost, a, b)
    assert float((plan * cost).sum()) == pytest.approx(expected, rel=1e-9)
    assert float(a @ f + b @ g) == pytest.approx(expected, rel=1e-9)
    assert np.allclose(plan.sum(1), a, atol=1e-12) and np.allclose(plan.sum(0), b, atol=1e-12)
    assert (f[:, None] + g <= cost + 1e-9).all() and g[-1] == 0


def test_costs_of_another_size_give_the_same_plan_and_prices_of_that_size(problem):
    cost, a, b = problem
    assert np.allclose(plan_program(1e6 * cost, a, b), plan_program(cost, a, b), atol=1e-9)
    assert np.allclose(price_program(1e-6 * cost, a, b)[0], 1e-6 * price_program(cost, a, b)[0], atol=1e-12)


def test_without_a_target_constraint_everything_goes_to_the_nearest(problem):
    cost, a, _ = problem
    plan = projection_program(cost, a)
    assert np.allclose(plan.sum(1), a) and np.array_equal(plan.argmax(1), cost.argmin(1))
    assert float((plan * cost).sum()) == pytest.approx(float(a @ cost.min(1)))


def test_with_equal_weights_the_plan_is_the_permutation_of_the_assignment():
    cost = cost_matrix(gaussian(8, 2, 4), gaussian(8, 2, 5))
    expected = np.zeros((8, 8))
    expected[np.arange(8), linear_sum_assignment(cost)[1]] = 1 / 8
    assert np.allclose(plan_program(cost), expected, atol=1e-12)


def test_a_plan_has_no_more_routes_than_independent_constraints_and_none_with_slack(problem):
    cost, a, b = problem
    plan, (f, g) = plan_program(cost, a, b), price_program(cost, a, b)
    used = plan > 1e-12
    assert used.sum() <= 7 + 9 - 1
    assert np.abs((cost - f[:, None] - g)[used]).max() < 1e-9


def test_a_constant_on_all_costs_raises_the_value_by_it_and_leaves_the_plan(problem):
    cost, a, b = problem
    assert np.allclose(plan_program(cost + 3, a, b), plan_program(cost, a, b), atol=1e-12)
    (f, g), (raised_f, raised_g) = price_program(cost, a, b), price_program(cost + 3, a, b)
    assert a @ raised_f + b @ raised_g == pytest.approx(a @ f + b @ g + 3, rel=1e-9)


def test_constraints_are_the_sums_of_rows_and_columns():
    plan = np.random.default_rng(1).random((4, 5))
    assert np.allclose(marginal_constraints(4, 5) @ plan.ravel(), [*plan.sum(1), *plan.sum(0)])


def test_the_c_transform_is_the_largest_that_is_allowed(problem):
    cost, _, _ = problem
    g = np.random.default_rng(2).standard_normal(9)
    slack = cost - c_transform(cost, g)[:, None] - g
    assert slack.min() >= -1e-12 and np.allclose(slack.min(1), 0, atol=1e-12)


def test_the_northwest_corner_is_optimal_on_the_sorted_line():
    rng = np.random.default_rng(3)
    x, y, a, b = np.sort(rng.random(6)), np.sort(rng.random(8)), rng.random(6), rng.random(8)
    cost = cost_matrix(x[:, None], y[:, None])
    assert float((northwest_corner(a, b) * cost).sum()) == pytest.approx(optimal_value(cost, a, b), rel=1e-9)


def test_the_northwest_corner_has_its_marginals_and_is_sorting_for_equal_weights():
    rng = np.random.default_rng(4)
    a, b = rng.random(6), rng.random(8)
    plan = northwest_corner(a, b)
    assert np.allclose(plan.sum(1), a / a.sum()) and np.allclose(plan.sum(0), b / b.sum())
    assert np.allclose(northwest_corner(np.ones(5), np.ones(5)), np.eye(5) / 5)


@pytest.mark.parametrize("cost", [np.zeros(3), np.zeros((0, 2)), [[np.inf, 1.0]]])
def test_what_is_no_matrix_of_costs_is_refused(cost):
    with pytest.raises(UserError, match="costs"):
        plan_program(cost)


@pytest.mark.parametrize("program", [plan_program, price_program, projection_program])
def test_weights_of_another_number_are_refused(program):
    with pytest.raises(UserError, match=r"weights a have shape \(3,\)"):
        program(np.zeros((2, 2)), [1.0, 2.0, 3.0])


def test_prices_of_another_number_are_refused():
    with pytest.raises(UserError, match="one price for each"):
        c_transform(np.zeros((2, 3)), [1.0, 2.0])


def test_prices_that_are_none_are_refused():
    with pytest.raises(UserError, match="3 values that are not finite"):
        c_transform(np.zeros((2, 3)), [np.nan] * 3)


@pytest.fixture
def masses():
    points, rng = gaussian(12, 2, 0), np.random.default_rng(1)
    return cost_matrix(points, points, p=1), rng.dirichlet(np.ones(12)), rng.dirichlet(np.ones(12))


def test_the_best_function_is_lipschitz_and_reaches_the_network_simplex(masses):
    d, pi, p = masses
    f = lipschitz_program(d, pi, p)
    assert np.abs(f[:, None] - f[None]).max() <= d.max() and (np.abs(f[:, None] - f) <= d + 1e-9).all()
    assert (pi - p) @ f == pytest.approx(optimal_value(d, pi, p), abs=1e-9)


def test_the_slope_and_the_unit_of_length_scale_the_function(masses):
    d, pi, p = masses
    expected = (pi - p) @ lipschitz_program(d, pi, p)
    for factor in (1e-6, 3.0, 1e6):
        assert (pi - p) @ lipschitz_program(d, pi, p, slope=factor) / factor == pytest.approx(expected, rel=1e-9)
        assert (pi - p) @ lipschitz_program(factor * d, pi, p) / factor == pytest.approx(expected, rel=1e-9)


def test_between_two_points_the_function_is_their_distance():
    x = np.array([[0.0], [1.0], [5.0]])
    f = lipschitz_program(cost_matrix(x, x, p=1), [1, 0, 0], [0, 0, 1])
    assert f.tolist() == pytest.approx([5, 4, 0])


def test_equal_masses_have_no_difference(masses):
    d, pi, _ = masses
    f = lipschitz_program(d, pi, pi)
    assert (np.abs(f[:, None] - f) <= d + 1e-9).all() and f[-1] == 0


def test_a_lipschitz_program_needs_a_metric_masses_and_a_slope(masses):
    d, pi, p = masses
    with pytest.raises(UserError, match=r"\(N, N\)"):
        lipschitz_program(d[:5], pi, p)
    with pytest.raises(UserError, match="weights p"):
        lipschitz_program(d, pi, p[:3])
    for slope in (np.inf, np.nan, 0, 0.0, -1, "1"):
        with pytest.raises(UserError, match="bound of the slope is"):
            lipschitz_program(d, pi, p, slope=slope)
    with pytest.raises(UserError, match="least distance is -"):
        lipschitz_program(-d, pi, p)
