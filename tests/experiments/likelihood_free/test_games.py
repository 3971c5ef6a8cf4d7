"""Games that go wrong: exact masses, best discriminators against SciPy, and what tiny trainings return."""

import math

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import norm

from shapeofloss.adversarial.densities import critic_bound, densities
from shapeofloss.errors import UserError
from shapeofloss.experiments.likelihood_free.games import (
    digit_game,
    discriminator_on_line,
    edges,
    line_game,
    mixture_masses,
    point_masses,
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


def test_a_discriminator_on_the_line_learns_and_stays_below_the_optimum():
    found = discriminator_on_line(data=TWO, model=[0, 1], width=8, steps=60, batch=64, rate=0.01, records=3, seed=900)
    both = densities(TWO, [0, 1])
    best = critic_bound("gan", both.log_pi - both.log_p, both)
    assert found["value"][0] < found["value"][-1] < best
    assert found["at"].tolist() == [0, 20, 40, 60]


def test_a_game_on_the_line_returns_histograms_and_values():
    found = line_game(data=TWO, bins=20, **GAME)
    assert found["masses"].shape == (3, 20)
    assert found["masses"].sum(1) == pytest.approx(1)
    best = 2 * jensenshannon(mixture_masses(TWO, 20), found["masses"][-1]) ** 2 - math.log(4)
    assert found["best"][-1] == pytest.approx(best)
    # log(1 - D) is negative, and E log D, the rest of the value, is negative, too.
    assert found["generator_loss"].max() < 0 and (found["value"] - found["generator_loss"]).max() < 0


def test_a_game_on_digits_sorts_its_samples():
    found = digit_game(codes=2, samples=50, shown=4, **GAME)
    assert found["shares"].shape == (3, 10)
    assert found["shares"].sum(1) == pytest.approx(1)
    assert found["images"].shape == (4, 64)
    assert 0 <= found["images"].min() <= found["images"].max() <= 1
    assert found["accuracy"] > 0.95
    assert 0 < found["floor"] < 0.7 * found["wasserstein"].min()


def test_wrong_settings_get_their_sentence():
    with pytest.raises(UserError, match="4 steps cannot be divided into 3 equal parts"):
        line_game(data=TWO, bins=20, **{**GAME, "records": 3})
    with pytest.raises(UserError, match="bins is 2; a whole number from 3"):
        edges(2)


def test_histograms_of_points_refuse_what_they_would_miscount():
    for x in ([np.nan, 0.0], [], ["a"]):
        with pytest.raises(UserError, match=r"x (has|is)"):
            point_masses(x, 5)
    assert (mixture_masses([[0.0, 1e-3], [1.0, 5.0]], 200) >= 0).all()
