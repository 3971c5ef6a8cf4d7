"""The quantile formula, against SciPy, POT, linear programs and closed forms."""

import numpy as np
import pytest
from scipy.special import ndtri
from scipy.stats import wasserstein_distance

from shapeofloss.adversarial.quantiles import wasserstein_of_quantiles, wasserstein_on_line
from shapeofloss.errors import UserError
from shapeofloss.transport.exact import cost_matrix
from shapeofloss.transport.programs import plan_program


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


def test_quantile_functions_of_normal_laws_give_the_closed_form():
    def normal(mean, deviation):
        return lambda u, rest: mean + deviation * np.sign(rest - u) * ndtri(np.minimum(u, rest))

    found = wasserstein_of_quantiles(normal(0, 1), normal(3, 5), order=2)
    assert found == pytest.approx(5, abs=1e-9)
    # E|N(0, 1)| (5 - 1), and the shift alone
    assert wasserstein_of_quantiles(normal(0, 1), normal(0, 5)) == pytest.approx(4 * np.sqrt(2 / np.pi), abs=1e-5)
    assert wasserstein_of_quantiles(normal(0, 1), normal(-2, 1)) == pytest.approx(2, abs=1e-9)


def test_the_cut_takes_the_tails_away():
    def ramp(u, _):
        return u

    def zero(u, _):
        return 0 * u

    assert wasserstein_of_quantiles(ramp, zero, cut=0.25) == pytest.approx(0.25, abs=1e-6)  # from 1/4 to 3/4


def test_wrong_input_gets_its_sentence():
    with pytest.raises(UserError, match="list of finite numbers"):
        wasserstein_on_line([[0.0]], [1.0])
    with pytest.raises(UserError, match="list of finite numbers"):
        wasserstein_on_line([0.0], [np.nan])
    with pytest.raises(UserError, match="at least 1"):
        wasserstein_on_line([0.0], [1.0], order=0.5)
    with pytest.raises(UserError, match="weights b"):
        wasserstein_on_line([0.0], [1.0], b=[-1.0])
    with pytest.raises(UserError, match="between 0 and"):
        wasserstein_of_quantiles(lambda u, _: u, lambda u, _: u, cut=0.7)
    with pytest.raises(UserError, match="at least 1"):
        wasserstein_of_quantiles(lambda u, _: u, lambda u, _: u, order=0)
