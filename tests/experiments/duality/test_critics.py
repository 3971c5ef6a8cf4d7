"""The Lipschitz program and critics, against plans, closed forms and functions from pencil and paper."""

import numpy as np
import pytest
import torch
from torch import nn

from shapeofloss.adversarial.penalty import GradientPenalty
from shapeofloss.distributions.clouds import gaussian
from shapeofloss.errors import UserError
from shapeofloss.experiments.duality.duality import OneSidedPenalty, fit_critic, lipschitz_program, mixture_1d
from shapeofloss.transport.assignment.exact import cost_matrix, optimal_value


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def laws():
    points, rng = gaussian(12, 2, 0), np.random.default_rng(1)
    return cost_matrix(points, points, p=1), rng.dirichlet(np.ones(12)), rng.dirichlet(np.ones(12))


def test_the_best_function_is_lipschitz_and_reaches_the_network_simplex(laws):
    d, pi, p = laws
    f = lipschitz_program(d, pi, p)
    assert np.abs(f[:, None] - f[None]).max() <= d.max() and (np.abs(f[:, None] - f) <= d + 1e-9).all()
    assert (pi - p) @ f == pytest.approx(optimal_value(d, pi, p), abs=1e-9)


def test_the_slope_and_the_unit_of_length_scale_the_function(laws):
    d, pi, p = laws
    expected = (pi - p) @ lipschitz_program(d, pi, p)
    for factor in (1e-6, 3.0, 1e6):
        assert (pi - p) @ lipschitz_program(d, pi, p, slope=factor) / factor == pytest.approx(expected, rel=1e-9)
        assert (pi - p) @ lipschitz_program(factor * d, pi, p) / factor == pytest.approx(expected, rel=1e-9)


def test_between_two_points_the_function_is_their_distance():
    x = np.array([[0.0], [1.0], [5.0]])
    f = lipschitz_program(cost_matrix(x, x, p=1), [1, 0, 0], [0, 0, 1])
    assert f.tolist() == pytest.approx([5, 4, 0])


def test_equal_laws_have_no_difference(laws):
    d, pi, _ = laws
    f = lipschitz_program(d, pi, pi)
    assert (np.abs(f[:, None] - f) <= d + 1e-9).all() and f[-1] == 0


def test_mixtures_have_the_mean_and_the_variance_of_their_parts():
    x = mixture_1d(20_000, 0, centres=[-1.5, 1.5], deviation=0.3)
    assert x.shape == (20_000, 1) and x.mean() == pytest.approx(0, abs=0.05)
    assert x.var() == pytest.approx(1.5**2 + 0.3**2, rel=0.02)
    assert set(mixture_1d(50, 1, centres=[1, 2], deviation=0.0)[:, 0]) == {1.0, 2.0}


def test_the_one_sided_penalty_leaves_slopes_below_one_alone():
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(5, 2, generator=rng)
    for slope, two_sided, one_sided in ((0.5, 0.5, 1.0), (3.0, 3.0, 3.0)):
        critic = nn.Linear(2, 1)
        with torch.no_grad():
            critic.weight.copy_(torch.tensor([[slope, 0.0]]))
        assert GradientPenalty(1.0).norms(critic, x, x + 1, rng).tolist() == pytest.approx([two_sided] * 5)
        assert OneSidedPenalty(1.0).norms(critic, x, x + 1, rng).tolist() == pytest.approx([one_sided] * 5)


SETTINGS = {"hidden": 8, "batch": 32, "steps": 100, "learning_rate": 0.02}


def test_a_critic_of_shifted_clouds_reads_the_shift_from_below_and_raw_from_above():
    x, y = (gaussian(100, 2, 0) + np.array([shift, 0]) for shift in (0.0, 3.0))
    own = {"places": np.concatenate([x, y]), "fresh_x": x, "fresh_y": y}
    found = fit_critic(x, y, 0, penalty=10.0, every=50, **SETTINGS, **own)
    assert found["at"].tolist() == [0, 50, 100] and found["f"].shape == (200,)
    assert 2.4 < found["value"][-1] / found["slope"][-1] <= 3
    assert found["value"][-1] > 3


def test_records_say_what_the_critic_says_where_it_is_asked():
    x, y = gaussian(40, 1, 0), gaussian(40, 1, 1, shift=2)
    places = np.concatenate([x, y])
    found = fit_critic(x, y, 0, penalty=10.0, one_sided=True, **SETTINGS, places=places, fresh_x=x, fresh_y=y)
    assert found["at"].tolist() == [0, 100]
    assert found["value"][-1] == pytest.approx(found["f"][:40].mean() - found["f"][40:].mean(), abs=1e-5)
    order = places[:, 0].argsort()
    secants = np.abs(np.diff(found["f"][order]) / np.diff(places[order, 0]))
    assert secants.max() <= found["slope"][-1] * 1.01


def test_wrong_input_gets_its_sentence(laws):
    d, pi, p = laws
    with pytest.raises(UserError, match=r"\(N, N\)"):
        lipschitz_program(d[:5], pi, p)
    with pytest.raises(UserError, match="above 0"):
        lipschitz_program(d, pi, p, slope=0.0)
    with pytest.raises(UserError, match="weights p"):
        lipschitz_program(d, pi, p[:3])
    with pytest.raises(UserError, match="cloud fresh_y"):
        fit_critic(d, d, 0, penalty=1.0, **SETTINGS, places=d, fresh_x=d, fresh_y=pi)
    with pytest.raises(UserError, match="cloud x"):
        fit_critic(pi, p, 0, penalty=1.0, **SETTINGS, places=d, fresh_x=d, fresh_y=d)


def test_slopes_and_distances_are_finite_and_not_negative():
    d = np.array([[0.0, 1.0], [1.0, 0.0]])
    for slope in (np.inf, np.nan, 0, -1, "1"):
        with pytest.raises(UserError, match="bound of the slope is"):
            lipschitz_program(d, [1, 0], [0, 1], slope=slope)
    with pytest.raises(UserError, match="least distance is -1"):
        lipschitz_program(-d, [1, 0], [0, 1])
    with pytest.raises(UserError, match="list of centres"):
        mixture_1d(3, 0, centres=[np.nan], deviation=1.0)
