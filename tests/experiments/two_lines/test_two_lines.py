"""Two lines: closed forms against programs and quadrature, and games whose gap closes or does not."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm

from shapeofloss.adversarial.divergences import jsd, kl
from shapeofloss.adversarial.lines import LineGenerator
from shapeofloss.adversarial.quality import wasserstein
from shapeofloss.errors import UserError
from shapeofloss.experiments.two_lines.two_lines import bins, close_gap, distances, thick_distances

NETWORK = {"hidden": 16, "learning_rate": 0.01, "penalty": 10.0}


def test_closed_forms_are_those_of_histograms_of_the_lines():
    for theta in (-0.7, 0.0, 0.3):
        (_, pi), (_, p) = bins(0.0), bins(theta)
        expected = distances(theta)
        assert kl(pi, p) == expected.kl_forward and kl(p, pi) == expected.kl_reverse
        assert jsd(pi, p) == pytest.approx(expected.jsd, abs=1e-12)


def test_the_closed_w_is_that_of_equal_points_on_both_lines():
    u = torch.linspace(0, 1, 20)[:, None]
    for theta in (-0.7, 0.0, 0.3):
        clouds = (LineGenerator(place)(u).detach().numpy() for place in (0.0, theta))
        assert wasserstein(*clouds) == pytest.approx(distances(theta).w, abs=1e-7)


def test_thick_lines_have_the_divergences_of_normal_distributions():
    for theta, width in ((0.3, 0.2), (-0.8, 0.7), (0.1, 1.0)):
        found = thick_distances(theta, width)
        assert found.kl_forward == pytest.approx(theta**2 / (2 * width**2), rel=1e-12)
        assert found.kl_reverse == pytest.approx(found.kl_forward, rel=1e-12)
        assert found.w == pytest.approx(abs(theta), rel=1e-12)

        def middle(x, theta=theta, width=width):
            a, b = norm.pdf(x, 0, width), norm.pdf(x, theta, width)
            return (a * np.log(2 * a / (a + b)) + b * np.log(2 * b / (a + b))) / 2

        assert found.jsd == pytest.approx(quad(middle, -7 * width - 1, 7 * width + 1)[0], abs=1e-8)


def test_thin_lines_pass_every_bound_without_overflow():
    thin = thick_distances(1.0, 1e-6)
    assert thin.kl_forward > 1e11 and thin.jsd == pytest.approx(np.log(2), abs=1e-12)
    assert thick_distances(0.0, 0.1).jsd == pytest.approx(0, abs=1e-12)


def test_a_line_fills_one_column_of_bins():
    centres, masses = bins(-0.5, across=4, along=3)
    assert centres.shape == (12, 2) and masses.sum() == pytest.approx(1)
    assert set(centres[masses > 0, 0]) == {-0.25}
    assert bins(1.0)[1].sum() == pytest.approx(1)  # the upper end belongs to the last column


def test_the_critics_loss_closes_the_gap_and_the_discriminators_does_not():
    game = {
        "method": "sgd",
        "rate": 0.05,
        "warm_up": 40,
        "schedule": {"steps": 18, "critic_steps": 2, "batch": 32},
        **NETWORK,
    }
    ways = {name: close_gap(name, 1.0, 0, **game)["theta"] for name in ("wasserstein", "jensen_shannon")}
    assert ways["wasserstein"].shape == (19,) and ways["wasserstein"][0] == 1
    assert abs(ways["wasserstein"][-1]) < 0.3 and ways["jensen_shannon"][-1] > 0.9


def test_a_seed_gives_the_same_result_again():
    game = {
        "method": "adam",
        "rate": 0.05,
        "warm_up": 2,
        "schedule": {"steps": 3, "critic_steps": 1, "batch": 32},
        **NETWORK,
    }
    first, again = (close_gap("non_saturating", 1.0, 3, **game)["theta"] for _ in range(2))
    assert np.array_equal(first, again) and not np.array_equal(
        first, close_gap("non_saturating", 1.0, 4, **game)["theta"]
    )


def test_wrong_input_gets_its_sentence():
    with pytest.raises(UserError, match="above 0"):
        thick_distances(1.0, 0.0)
    with pytest.raises(UserError, match="outside the bins"):
        bins(2.0)
    with pytest.raises(UserError, match="no method 'momentum'"):
        close_gap("wasserstein", 1.0, 0, method="momentum", rate=0.1, warm_up=1, schedule={"steps": 1}, **NETWORK)


def test_lines_that_are_almost_one_have_no_negative_distance():
    for theta in (1e-3, 1e-7, 1e-10, -1e-16, 0.0):
        for width in (0.3, 1.0, 7.0):
            found = thick_distances(theta, width)
            assert min(found) >= 0 and found.jsd <= math.log(2)
            assert found.kl_forward == pytest.approx(theta**2 / (2 * width**2), rel=1e-9, abs=1e-16)


def test_places_are_finite_numbers():
    for call in (distances, bins, lambda theta: thick_distances(theta, 1.0)):
        for theta in (math.nan, math.inf, "0", None):
            with pytest.raises(UserError, match="theta is"):
                call(theta)
    with pytest.raises(UserError, match="across is 0"):
        bins(0.0, across=0)
