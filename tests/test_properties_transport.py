"""Whatever numbers come, the solvers of transport find what other solvers find, or refuse them in a sentence."""

import math
from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import linear_sum_assignment, linprog

from shapeofloss.errors import UserError
from shapeofloss.transport.assignment.auction import auction
from shapeofloss.transport.assignment.exact import cost_matrix, optimal_value
from shapeofloss.transport.assignment.programs import marginal_constraints
from shapeofloss.transport.cells.laguerre import Domain
from shapeofloss.transport.cells.pixel_costs import MatrixCosts, PowerCosts
from shapeofloss.transport.cells.pixel_solver import solve
from shapeofloss.transport.cells.pixels import Grid
from shapeofloss.transport.entropic.sinkhorn import sinkhorn

tried = settings(derandomize=True, deadline=None, max_examples=60, database=None)
UNITS = st.sampled_from([1.0, 1e-7, 1e-12, 1e-30, 1e9, 1e30])
SHARES = st.floats(0, 1, width=32)
TYPES = st.sampled_from([np.float64, np.float32, np.float16, ">f8", np.int32])
ANYTHING = st.floats(width=64) | st.sampled_from([math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324, 0.0, -0.0])


def arrays(shape, elements=SHARES):
    return hnp.arrays(np.float64, shape, elements=elements)


SQUARES = st.integers(1, 6).flatmap(lambda n: arrays((n, n)))
CLOUDS = st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 3)).flatmap(
    lambda s: st.tuples(arrays((s[0], s[2])), arrays((s[1], s[2])))
)


def as_it_may_come(array, kind):
    """Return the same numbers with other strides and of another type."""
    spread = np.zeros([2 * length for length in array.shape], kind)
    view = spread[tuple(slice(None, None, -2) for _ in array.shape)]
    view[...] = array
    return view


@tried
@given(SQUARES, UNITS, TYPES)
def test_an_auction_is_within_its_eps_of_scipys_assignment(costs, unit, kind):
    given_costs = as_it_may_come(costs, kind).astype(float if np.dtype(kind).kind == "f" else kind)
    given_costs = given_costs * (unit if np.dtype(kind).kind == "f" else 1)
    eps = max(1e-3 * float(np.abs(given_costs).max()), 1e-300)
    found = auction(given_costs, eps=eps)
    best = given_costs[linear_sum_assignment(given_costs)].mean()
    assert sorted(found.permutation) == list(range(len(costs)))
    assert found.value <= best + eps * (1 + 1e-9) and found.bound <= best + 1e-9 * eps


@tried
@given(
    st.integers(1, 4).flatmap(lambda n: arrays((n, n), ANYTHING)),
    st.none() | ANYTHING,
    st.none() | st.lists(ANYTHING, min_size=1, max_size=4),
    st.booleans(),
)
def test_an_auction_of_anything_ends_or_is_refused(costs, eps, g, scaling):
    try:
        found = auction(costs, eps=eps, g=g, scaling=scaling)
    except UserError:
        return
    assert sorted(found.permutation) == list(range(len(costs))) and np.isfinite(found.value)


@tried
@given(CLOUDS, st.floats(1, 6) | st.just(2.0), UNITS, TYPES)
def test_costs_are_powers_of_distances_in_any_unit(clouds, p, unit, kind):
    x, y = (as_it_may_come(cloud, kind) for cloud in clouds)
    apart = np.sqrt(((x[:, None].astype(float) - y.astype(float)) ** 2).sum(-1))
    assert np.allclose(cost_matrix(x, y, p=p), apart**p / p, rtol=1e-9, atol=1e-200)
    far = cost_matrix(unit * x.astype(float), unit * y.astype(float), p=p)
    assert np.allclose(far, (unit * apart) ** p / p, rtol=1e-6, atol=1e-25 * unit**p)


@tried
@given(st.tuples(st.integers(0, 3), st.integers(0, 3)).flatmap(lambda s: arrays(s, ANYTHING)), ANYTHING)
def test_costs_of_anything_are_finite_or_refused(x, p):
    try:
        costs = cost_matrix(x, x + 1.0, p=p)
    except UserError:
        return
    assert np.isfinite(costs).all() and (costs >= 0).all()


@tried
@given(CLOUDS, UNITS, st.randoms(use_true_random=False))
def test_the_optimal_value_is_that_of_a_linear_program_in_any_unit(clouds, unit, random):
    costs = cost_matrix(*clouds)
    a, b = ([random.random() + 0.01 for _ in range(n)] for n in costs.shape)
    a, b = np.array(a) / sum(a), np.array(b) / sum(b)
    constraints = marginal_constraints(*costs.shape)
    expected = linprog(costs.ravel(), A_eq=constraints, b_eq=np.concatenate([a, b]), method="highs-ipm").fun
    assert optimal_value(unit * costs, a, b) / unit == pytest.approx(expected, rel=1e-6, abs=1e-7)


@tried
@given(CLOUDS, st.sampled_from([0.3, 0.1, 0.03]), st.sampled_from([torch.float64, torch.float32, torch.bfloat16]))
def test_sinkhorn_is_between_its_bound_and_what_its_plan_costs(clouds, eps, kind):
    x, y = (torch.from_numpy(cloud).to(kind) for cloud in clouds)
    found = sinkhorn(x, y, eps=eps, tolerance=1e-6, backend="dense")
    best = optimal_value(cost_matrix(x, y))
    assert found.converged and found.bound <= best + 1e-9
    plan = found.plan().numpy()
    assert np.abs(plan.sum(0) - 1 / len(y)).sum() < 1e-5 and np.abs(plan.sum(1) - 1 / len(x)).sum() < 1e-5
    assert best - 1e-5 <= (plan * cost_matrix(x, y)).sum() <= best + eps * np.log(max(plan.shape)) + 1e-5


@tried
@given(
    st.tuples(st.integers(0, 3), st.integers(1, 2)).flatmap(lambda s: arrays(s, ANYTHING)),
    ANYTHING,
    st.none() | ANYTHING,
    ANYTHING,
    st.integers(-1, 20) | ANYTHING,
)
def test_sinkhorn_of_anything_is_finite_or_refused(x, eps, scaling, tolerance, steps):
    try:
        found = sinkhorn(x, x, eps=eps, scaling=scaling, tolerance=tolerance, steps=steps)
    except UserError:
        return
    assert np.isfinite(found.bound) and np.isfinite(found.source_error)


def seeds_of(numbers):
    return st.lists(st.tuples(numbers, numbers), min_size=1, max_size=6, unique=True).map(np.array)


SEEDS = seeds_of(st.integers(1, 31).map(lambda k: k / 32))


@tried
@given(SEEDS, st.sampled_from([1.0, 1e-9, 1e9]), st.booleans(), st.integers(0, 99))
def test_cells_have_their_volumes_and_no_assignment_of_points_is_cheaper(seeds, side, void, number):
    v = np.random.default_rng(number).uniform(0.5, 1, len(seeds))
    v *= (0.5 if void else 1) / v.sum()
    found = Domain(side * seeds[::-1], (side, side), void=void).solve(side**2 * v, tolerance=1e-6)
    assert found.converged and np.allclose(found.volumes, side**2 * v, rtol=1e-5)
    # Weak duality: the value at the optimum is the cost, in units of a fourth power.
    assert found.value == pytest.approx(found.cost, rel=1e-4, abs=1e-9 * side**4)


@tried
@given(seeds_of(ANYTHING), st.tuples(ANYTHING, ANYTHING) | st.just((1.0, 1.0)), arrays(2, ANYTHING), st.booleans())
def test_cells_of_anything_are_finite_or_refused(seeds, box, volumes, void):
    try:
        found = Domain(seeds, box, void=void).solve(volumes, most=20)
    except UserError:
        return
    assert np.isfinite(found.f).all() and np.isfinite(found.volumes).all()


@tried
@given(SEEDS, st.sampled_from([1.0, 1e-7, 1e-12, 1e12]), st.booleans(), st.sampled_from([np.float64, np.float32]))
def test_pixels_go_where_a_linear_program_sends_them(seeds, unit, void, kind):
    grid = Grid((6, 5), 0.2, np.arange(30).reshape(6, 5) != 7)
    costs = (unit * ((grid.centres - seeds[:, None]) ** 2).sum(-1)).astype(kind)
    volumes = np.full(len(seeds), (0.5 if void else 1) * grid.volume / len(seeds))
    found = solve(MatrixCosts(grid, costs.reshape(-1, 6, 5), void=void), volumes, tolerance=0.1, most=60)
    owned = costs[found.labels.ravel(), np.arange(30)][found.labels.ravel() >= 0]
    supply = np.bincount(found.labels[found.labels >= 0], minlength=len(seeds))
    # What each cell has, it has at the least cost.
    places = np.repeat(np.flatnonzero(supply), supply[supply > 0])
    pixels = np.flatnonzero(grid.inside.ravel())
    choice = linear_sum_assignment(costs[places][:, pixels].astype(float) / unit)
    assert owned.sum() <= unit * (costs[places][:, pixels][choice] / unit).sum() * (1 + 1e-5) + 1e-9 * unit


@tried
@given(SEEDS, st.sampled_from([1.0, 1.5, 2.0, 4.0]), st.booleans(), st.integers(0, 9))
def test_labels_of_powers_are_those_of_brute_force(seeds, p, void, number):
    costs = PowerCosts(Grid((7, 6), 1 / 6), seeds, exponents=p, void=void)
    f = np.random.default_rng(number).random(len(seeds)) * 0.1
    offers = costs.at(costs.grid.centres) - f[:, None]
    labels = costs.assign(f)[0].ravel()
    chosen = np.where(labels >= 0, offers[labels, np.arange(42)], 0.0)
    assert np.allclose(chosen, np.minimum(offers.min(0), 0) if void else offers.min(0), atol=1e-12)


@tried
@given(
    arrays((2, 3, 2), ANYTHING),
    st.lists(ANYTHING, min_size=1, max_size=3),
    st.none() | st.lists(ANYTHING, min_size=1, max_size=3),
    ANYTHING,
)
def test_pixels_of_anything_are_given_or_refused(costs, volumes, f, tolerance):
    grid = Grid((3, 2), 1.0)
    for void in (False, True):
        try:
            found = solve(MatrixCosts(grid, costs, void=void), volumes, f=f, tolerance=tolerance, most=20)
        except UserError:
            continue
        assert np.isfinite(found.f).all() and found.labels.min() >= -1 and found.labels.max() < 2


@tried
@given(st.integers(1, 4).flatmap(lambda n: arrays((n, n))))
def test_equal_weights_are_an_assignment(costs):
    best = min(costs[np.arange(len(costs)), list(own)].mean() for own in permutations(range(len(costs))))
    assert optimal_value(costs) == pytest.approx(best, rel=1e-9, abs=1e-12)
