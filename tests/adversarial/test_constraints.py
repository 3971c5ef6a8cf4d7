"""Slopes and what holds them: gradients against differences, places of a penalty, boxes."""

import math

import numpy as np
import pytest
import torch
from critics import Slope, assert_differences, source
from torch import nn

from shapeofloss.adversarial.constraints import Clip, GradientPenalty, between, gradient_norms, quotients
from shapeofloss.adversarial.networks import perceptron
from shapeofloss.errors import UserError


def test_gradients_for_each_point_are_those_of_finite_differences():
    critic = perceptron((3, 16, 16, 1), generator=source(), activation=nn.SiLU).double()
    x = torch.randn(5, 3, generator=source(1)).double()
    assert_differences(critic, x)


def test_the_norm_runs_over_all_coordinates_of_a_point_and_over_no_others():
    critic = nn.Sequential(nn.Flatten(), Slope(*[2.0] * 12))
    norms = gradient_norms(critic, torch.randn(5, 3, 2, 2))
    assert norms.shape == (5,) and torch.allclose(norms, torch.tensor(math.sqrt(48.0)))


def test_the_penalty_of_a_constant_critic_has_finite_derivatives():
    critic, penalty = Slope(0.0, 0.0), GradientPenalty(1.0)
    loss = (penalty.norms(critic, torch.zeros(4, 2), torch.ones(4, 2), source()) - 1).square().mean()
    loss.backward()
    assert loss.item() == 1 and critic.v.grad.isfinite().all()


def test_points_between_pairs_lie_on_their_segments_at_uniform_places():
    real, fake = torch.zeros(4000, 2), torch.tensor([[3.0, 4.0]]).repeat(4000, 1)
    x = between(real, fake, source())
    place = x.norm(dim=1) / 5
    assert torch.allclose(x, place[:, None] * fake, atol=1e-6)
    assert place.mean() == pytest.approx(0.5, abs=0.02) and place.var() == pytest.approx(1 / 12, abs=0.01)


def test_each_pair_has_a_place_of_its_own_also_for_images():
    x = between(torch.zeros(50, 1, 2, 2), torch.ones(50, 1, 2, 2), source())
    assert torch.equal(x.flatten(1).amin(1), x.flatten(1).amax(1)) and len(x.flatten(1)[:, 0].unique()) == 50


def test_coupled_pairs_are_those_of_an_optimal_plan():
    class Recorder(nn.Module):
        def forward(self, x):
            self.seen = x.detach()
            return x.sum(dim=1)

    real = torch.tensor([[0.0], [10.0], [20.0]])
    fake = torch.tensor([[21.0], [1.0], [11.0]])
    critic = Recorder()
    GradientPenalty(1.0, pairs="coupled").norms(critic, real, fake, source())
    assert ((critic.seen >= real) & (critic.seen <= real + 1)).all()


def test_clipping_moves_weights_to_the_box_and_leaves_those_inside():
    critic = Slope(0.5, -3.0)
    Clip(1.0).apply(critic)
    assert critic.v.tolist() == [0.5, -1.0]


@pytest.mark.parametrize("bound", [0.0, -1.0, math.nan, math.inf, "0.1"])
def test_a_box_needs_a_width(bound):
    with pytest.raises(UserError, match="a finite number above 0 is needed"):
        Clip(bound)


def test_pairs_are_independent_or_coupled():
    with pytest.raises(UserError, match="'random'"):
        GradientPenalty(1.0, pairs="random")


@pytest.mark.parametrize("weight", [math.nan, math.inf, "abc", None])
def test_a_penalty_has_a_finite_weight(weight):
    with pytest.raises(UserError, match="weight of the penalty is"):
        GradientPenalty(weight)


def test_quotients_have_pairs_of_different_points():
    y = np.zeros((3, 2))
    assert quotients([0.0, 2.0], [[0.0], [1.0]], [1.0, -1.0], [[2.0], [0.0]]).tolist() == [0.5, 3.0]
    with pytest.raises(UserError, match="3 of 3 pairs are one point twice"):
        quotients(np.zeros(3), y, np.zeros(3), y)
    with pytest.raises(UserError, match=r"shape \(2, 2\); \(3, 2\) is needed"):
        quotients(np.zeros(3), y, np.zeros(3), y[:2])
