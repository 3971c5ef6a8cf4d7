"""Readers of two lines: trained networks against closed forms."""

import math

import numpy as np
import pytest
import torch

from shapeofloss.adversarial.lines import LineGenerator, read_distance, upright
from shapeofloss.errors import UserError

NETWORK = {"hidden": 16, "batch": 32, "learning_rate": 0.01, "penalty": 10.0}


def test_samples_lie_on_their_line_and_fill_it():
    points = upright(0.4)(1000, torch.Generator().manual_seed(0)).numpy()
    assert (points[:, 0] == np.float32(0.4)).all()
    assert points[:, 1].min() >= 0 and points[:, 1].max() <= 1 and points[:, 1].mean() == pytest.approx(0.5, abs=0.05)


def test_a_trained_critic_reads_the_separation_from_below_and_its_raw_value_is_biased():
    found = read_distance("wasserstein", 0.5, 0, steps=150, **{**NETWORK, "penalty": 1.0}, pairs="coupled")
    assert 0.45 <= found["reading"] <= 0.5
    assert found["value"] == pytest.approx(0.5 + 0.5**2 / 2, rel=0.03)
    assert found["pull"] == pytest.approx(-1.25, rel=0.03)  # towards the data at 0


def test_a_trained_discriminator_reads_log_2_and_pulls_weakly_unless_the_loss_is_the_other_one():
    found = read_distance("jensen_shannon", 0.5, 0, steps=150, **NETWORK)
    assert found["reading"] == pytest.approx(np.log(2), abs=0.02)
    assert -0.5 < found["pull"] < 0 and found["pull_non_saturating"] < -5


def test_equal_lines_are_told_apart_by_no_one():
    assert abs(read_distance("jensen_shannon", 0.0, 0, steps=30, **NETWORK)["reading"]) < 0.02


def test_readers_have_an_objective_and_lines_a_place():
    with pytest.raises(UserError, match="no objective 'wasserstien'"):
        read_distance("wasserstien", 0.5, 0, steps=1, **NETWORK)
    for call in (upright, LineGenerator):
        for theta in (math.nan, math.inf, "0", None):
            with pytest.raises(UserError, match="theta is"):
                call(theta)
