"""Games that go wrong: exact masses, best discriminators against SciPy, and what tiny trainings return."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from scipy.stats import norm

from shapeofloss.adversarial.variational import line
from shapeofloss.errors import UserError
from shapeofloss.experiments.likelihood_free.failures import (
    Moon,
    digit_game,
    discriminator_on_line,
    edges,
    half_circle,
    line_game,
    mixture_masses,
    optimal_value,
    point_masses,
    saturation,
    value_on_line,
)

TWO = [[-1.0, 0.5], [1.5, 0.8]]
GAME = {"width": 4, "steps": 4, "critic_steps": 1, "batch": 8, "rate": 0.001, "records": 2, "seed": 900}


def test_masses_of_a_mixture_are_differences_of_its_distribution_function():
    masses = mixture_masses(TWO, 20)
    below = (norm.cdf(edges(20), -1, 0.5) + norm.cdf(edges(20), 1.5, 0.8)) / 2
    assert masses.sum() == pytest.approx(1, abs=1e-12)
    assert masses[0] == pytest.approx(below[0])
    assert masses[1:-1] == pytest.approx(np.diff(below))


def test_shares_of_many_quantiles_are_the_masses():
    x = norm.ppf((np.arange(100_000) + 0.5) / 100_000, 0.3, 1.1)
    assert point_masses(x, 20) == pytest.approx(mixture_masses([0.3, 1.1], 20), abs=2e-5)
    assert point_masses([-9.0, 9.0], 20)[[0, -1]].tolist() == [0.5, 0.5]


def test_the_best_value_is_twice_scipys_jensen_shannon_less_log_4():
    rng = np.random.default_rng(0)
    pi, p = rng.dirichlet(np.ones(6), 2)
    pi[2] = 0
    pi /= pi.sum()
    assert optimal_value(pi, p) == pytest.approx(2 * jensenshannon(pi, p) ** 2 - math.log(4), abs=1e-12)


def test_the_value_at_the_log_ratio_is_the_highest():
    laws = line(TWO, [0.0, 1.0])
    best = laws.log_pi - laws.log_p
    values = [value_on_line(best + shift, laws.x, laws.log_pi, laws.log_p) for shift in (-0.1, 0.0, 0.1)]
    assert values[1] > max(values[0], values[2])
    assert value_on_line(0 * best, laws.x, laws.log_pi, laws.log_p) == pytest.approx(-math.log(4), abs=1e-9)


def test_a_discriminator_on_the_line_learns_and_stays_below_the_optimum():
    found = discriminator_on_line(data=TWO, model=[0, 1], width=8, steps=60, batch=64, rate=0.01, records=3, seed=900)
    laws = line(TWO, [0, 1])
    best = value_on_line(laws.log_pi - laws.log_p, laws.x, laws.log_pi, laws.log_p)
    assert found["value"][0] < found["value"][-1] < best
    assert found["at"].tolist() == [0, 20, 40, 60]


@pytest.mark.parametrize("objective", ["minimax", "non-saturating"])
def test_a_game_on_the_line_returns_histograms_and_values(objective):
    found = line_game(data=TWO, objective=objective, bins=20, **GAME)
    assert found["masses"].shape == (3, 20)
    assert found["masses"].sum(1) == pytest.approx(1)
    own = optimal_value(mixture_masses(TWO, 20), found["masses"][-1])
    assert found["best"][-1] == pytest.approx(own)
    assert found["value"].max() < 0
    # log(1 - D) is negative, -log D is not, and E log D, the rest of the minimax value, is negative, too.
    if objective == "minimax":
        assert found["generator_loss"].max() < 0 and (found["value"] - found["generator_loss"]).max() < 0
    else:
        assert found["generator_loss"].min() > 0


def test_moons_do_not_touch():
    rng = torch.Generator().manual_seed(0)
    angles = math.pi * torch.rand(2000, 1, generator=rng)
    samples = Moon()(angles).detach()
    assert torch.cdist(half_circle(2000, rng), samples).min() > 0.2
    assert (samples - torch.tensor([1.0, 0.5])).norm(dim=1).sub(1).abs().max() < 1e-6


def test_the_minimax_gradient_fades_and_the_other_one_does_not():
    found = saturation(width=16, steps=150, batch=64, rate=0.01, at=[10, 150], seed=900)
    assert found["minimax"][1] < 0.1 * found["minimax"][0]
    assert found["non_saturating"][1] > found["non_saturating"][0]
    assert found["accuracy"] > 0.99
    assert found["value"][0] < found["value"][1] < 0


def test_a_game_on_digits_sorts_its_samples():
    found = digit_game(objective="minimax", codes=2, samples=50, shown=4, **GAME)
    assert found["shares"].shape == (3, 10)
    assert found["shares"].sum(1) == pytest.approx(1)
    assert found["images"].shape == (4, 64)
    assert 0 <= found["images"].min() <= found["images"].max() <= 1
    assert found["accuracy"] > 0.95
    assert found["data_shares"].min() > 0.07
    assert 0 < found["floor"] < 0.7 * found["wasserstein"].min()


def test_wrong_settings_get_their_sentence():
    with pytest.raises(UserError, match="There is no objective 'wasserstein'"):
        line_game(data=TWO, objective="wasserstein", bins=20, **GAME)
    with pytest.raises(UserError, match="4 steps cannot be divided into 3 equal parts"):
        line_game(data=TWO, objective="minimax", bins=20, **{**GAME, "records": 3})
    with pytest.raises(UserError, match="bins is 2; a whole number from 3"):
        edges(2)
    with pytest.raises(UserError, match="Gradients are wanted"):
        saturation(width=4, steps=5, batch=8, rate=0.01, at=[10], seed=0)


def test_histograms_of_points_and_their_value_refuse_what_they_would_miscount():
    for x in ([np.nan, 0.0], [], ["a"]):
        with pytest.raises(UserError, match=r"x (has|is)"):
            point_masses(x, 5)
    for pi in ([0.5, 0.6], [np.nan, 1.0], [1.5, -0.5]):
        with pytest.raises(UserError, match="histogram pi"):
            optimal_value(pi, [0.5, 0.5])
    assert (mixture_masses([[0.0, 1e-3], [1.0, 5.0]], 200) >= 0).all()
