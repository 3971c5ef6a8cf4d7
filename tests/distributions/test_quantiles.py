"""The quantile formula, against SciPy, POT, linear programs and closed forms."""

import itertools

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from shapeofloss.distributions.quantiles import wasserstein_on_line
from shapeofloss.errors import UserError
from shapeofloss.transport.assignment.exact import cost_matrix
from shapeofloss.transport.assignment.programs import plan_program


@pytest.fixture
def weighted():
    rng = np.random.default_rng(0)
    return rng.standard_normal(13), 1 + 2 * rng.standard_normal(9), rng.random(13), rng.random(9)


def test_weighted_points_give_scipys_distance(weighted):
    x, y, a, b = weighted
    assert wasserstein_on_line(x, y, a, b) == pytest.approx(wasserstein_distance(x, y, a, b), abs=1e-12)


def test_every_order_gives_the_linear_programs_distance(weighted):
    x, y, a, b = weighted
    for order in (1, 1.5, 2, 3):
        cost = cost_matrix(x[:, None], y[:, None], p=order) * order
        expected = float((plan_program(cost, a, b) * cost).sum()) ** (1 / order)
        assert wasserstein_on_line(x, y, a, b, order=order) == pytest.approx(expected, rel=1e-8)


def test_the_order_of_points_does_not_matter_and_points_without_mass_do_not_count(weighted):
    x, y, a, b = weighted
    mixed = np.random.default_rng(1).permutation(13)
    expected = wasserstein_on_line(x, y, a, b)
    assert wasserstein_on_line(x[mixed], y, a[mixed], b) == pytest.approx(expected, abs=1e-14)
    assert wasserstein_on_line([*x, 1e6], [-1e6, *y], [*a, 0], [0, *b]) == pytest.approx(expected, abs=1e-9)


def test_a_shift_is_its_own_distance_at_every_order(weighted):
    x, _, a, _ = weighted
    assert wasserstein_on_line(x, x - 3, a, a, order=2) == pytest.approx(3, abs=1e-12)
    assert wasserstein_on_line(x, x, a, a) == 0


def test_wrong_input_gets_its_sentence():
    with pytest.raises(UserError, match="list of points x has shape"):
        wasserstein_on_line([[0.0]], [1.0])
    with pytest.raises(UserError, match="list of points y has 1 value that is not finite"):
        wasserstein_on_line([0.0], [np.nan])
    with pytest.raises(UserError, match="a number from 1 is needed"):
        wasserstein_on_line([0.0], [1.0], order=0.5)
    with pytest.raises(UserError, match="weights b"):
        wasserstein_on_line([0.0], [1.0], b=[-1.0])


def test_infinite_order_is_the_largest_move_and_large_orders_come_near_it():
    assert wasserstein_on_line([0.0, 10.0], [3.0, 4.0], order=np.inf) == 6
    assert wasserstein_on_line([0.0, 10.0], [3.0, 4.0], order=2000) == pytest.approx(6 * 0.5 ** (1 / 2000))
    rng = np.random.default_rng(0)
    for _ in range(20):
        x, y = rng.standard_normal((2, 6))
        largest = min(np.abs(x - y[list(way)]).max() for way in itertools.permutations(range(6)))
        assert wasserstein_on_line(x, y, order=np.inf) == largest
        assert wasserstein_on_line(x, y, order=1e5) == pytest.approx(largest, rel=1e-4)


def test_rounding_of_levels_moves_nothing_in_high_orders():
    x, y = [0.0, 1.0, 2.0], [0.0, 0.0, 1.0, 1.0, 2.0, 2.0]
    assert [wasserstein_on_line(x, y, order=order) for order in (2, 10, 1000, np.inf)] == [0] * 4
    assert wasserstein_on_line([0.0, 5.0], [0.0], a=[1.0, 0.0], order=np.inf) == 0  # what has no mass does not move


@pytest.mark.parametrize("unit", [1e-300, 1e-12, 1e12, 1e300])
def test_the_distance_has_the_unit_of_the_places(unit):
    x, y, a = np.array([0.1, 0.5, 0.7]), np.array([0.3, 0.9]), [1, 2, 3]
    for order in (1, 2, 3.5, 400, np.inf):
        near = wasserstein_on_line(x, y, a, order=order)
        assert wasserstein_on_line(unit * x, unit * y, a, order=order) == pytest.approx(unit * near, rel=1e-12)


@pytest.mark.parametrize("order", [np.nan, 0.99, -1, "2", None, [1, 2]])
def test_an_order_is_a_number_from_one(order):
    with pytest.raises(UserError, match="The order of W is"):
        wasserstein_on_line([0.0], [1.0], order=order)


def test_places_whose_difference_overflows_are_refused():
    with pytest.raises(UserError, match="so far apart"):
        wasserstein_on_line([1.5e308], [-1.5e308])
