"""Each rung of the ladder, against the exact value; and what it counts."""

import json

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from shapeofloss.distributions import clouds
from shapeofloss.engine.measure import exponent
from shapeofloss.errors import UserError
from shapeofloss.experiments.scaling_up.ladder import SOLVERS, counted_pairs, pairs_between, race
from shapeofloss.experiments.scaling_up.munkres import munkres
from shapeofloss.transport.assignment.exact import cost_matrix
from shapeofloss.transport.symbolic import keops

OPTIONS = {
    "plain": {"blur": 0.02, "steps": 100},
    "symbolic": {"blur": 0.02, "steps": 100},
    "annealed": {"blur": 0.015, "scaling": 0.85},
    "softassign": {"blur": 0.015, "scaling": 0.85},
    "multiscale": {"blur": 0.015, "scaling": 0.95},
    "auction": {"precision": 0.005},
    "hungarian": {},
    "exact": {},
}


@pytest.fixture(scope="module", autouse=True)
def compiled():
    keops.prepare(["transforms"])


@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver_is_within_one_per_cent(solver):
    x, y = clouds.surfaces(300, 910)
    cost = cost_matrix(x, y)
    exact = cost[linear_sum_assignment(cost)].mean()
    found = SOLVERS[solver](x, y, **OPTIONS[solver]).value
    assert found == pytest.approx(exact, rel=0.01)
    if solver in ("plain", "symbolic", "annealed", "softassign", "multiscale"):
        assert found <= exact * (1 + 1e-9)  # it is a bound


def test_the_symbolic_solvers_take_the_steps_of_the_stored_ones():
    x, y = clouds.surfaces(200, 911)
    for stored, symbolic in (("plain", "symbolic"), ("softassign", "annealed")):
        a, b = (SOLVERS[name](x, y, **OPTIONS[name]) for name in (stored, symbolic))
        assert a.value == pytest.approx(b.value, rel=1e-9)
        assert a.pairs == b.pairs


def test_pairs_in_blocks_are_counted_as_a_mask_counts_them():
    from pykeops.torch.cluster import from_matrix

    rows = torch.tensor([[0, 2], [2, 3], [3, 7]])
    columns = torch.tensor([[0, 4], [4, 5], [5, 11]])
    keep = torch.tensor([[True, False, True], [False, True, False], [False, False, True]])
    expected = 2 * (4 + 6) + 1 * 1 + 4 * 6
    assert pairs_between(torch.zeros(7, 1), torch.zeros(11, 1), from_matrix(rows, columns, keep)) == expected


def test_the_multiscale_solver_evaluates_fewer_pairs_than_all_points_at_all_steps():
    x, y = clouds.surfaces(3000, 912)
    steps = np.log(1.5**0.5 / 0.015) / -np.log(0.95)
    assert 0 < SOLVERS["multiscale"](x, y, **OPTIONS["multiscale"]).pairs < 0.3 * 2 * steps * 3000**2


def test_counting_leaves_geomloss_as_it_was_even_after_an_error():
    from geomloss._legacy import sinkhorn_samples

    before = sinkhorn_samples.softmin_multiscale
    with pytest.raises(ZeroDivisionError), counted_pairs():
        assert sinkhorn_samples.softmin_multiscale is not before
        _ = 1 / 0
    assert sinkhorn_samples.softmin_multiscale is before


@pytest.mark.parametrize("count", [1, 2, 7, 30])
@pytest.mark.parametrize("kind", ["real", "ties", "negative"])
def test_munkres_finds_the_cost_that_scipy_finds(count, kind):
    rng = np.random.default_rng(count)
    cost = {
        "real": rng.random((count, count)),
        "ties": rng.integers(0, 3, (count, count)).astype(float),
        "negative": rng.standard_normal((count, count)),
    }[kind]
    found = munkres(cost)[0]
    assert sorted(found) == list(range(count))
    assert cost[np.arange(count), found].sum() == pytest.approx(cost[linear_sum_assignment(cost)].sum(), abs=1e-9)


def test_munkres_takes_the_fourth_power_on_products_and_less_on_the_diagonal():
    sizes = [8, 16, 32]
    counted = [munkres(np.outer(*[np.arange(1.0, n + 1)] * 2))[1] for n in sizes]
    assert exponent(sizes, counted) == pytest.approx(4, abs=0.2)
    easy = [munkres(1 - np.eye(n))[1] for n in sizes]
    assert exponent(sizes, easy) < 3.1


def test_munkres_refuses_a_matrix_that_is_not_square():
    with pytest.raises(UserError, match="as many buyers as objects"):
        munkres(np.zeros((2, 3)))


@pytest.mark.parametrize("kind", ["exact", "auction"])
def test_a_race_gives_the_value_of_its_solver_and_a_time(kind):
    options = {"precision": 0.01} if kind == "auction" else {}
    result = race(solver=kind, points=80, seed=3, options=options)
    costs = cost_matrix(*clouds.surfaces(80, 3))
    assert result["value"] == pytest.approx(costs[linear_sum_assignment(costs)].mean(), rel=0.011)
    assert result["seconds"] > 0 and json.dumps(result)
