"""Moons that do not touch, and what a generator learns from a discriminator between them."""

import math

import pytest
import torch

from shapeofloss.errors import UserError
from shapeofloss.experiments.likelihood_free.moons import Moon, half_circle, lessons, saturation


def test_moons_do_not_touch():
    generator = torch.Generator().manual_seed(0)
    angles = math.pi * torch.rand(2000, 1, generator=generator)
    samples = Moon()(angles).detach()
    assert torch.cdist(half_circle(2000, generator), samples).min() > 0.2
    assert (samples - torch.tensor([1.0, 0.5])).norm(dim=1).sub(1).abs().max() < 1e-6


def test_the_minimax_gradient_fades_and_the_other_one_does_not():
    found = saturation(width=16, steps=150, batch=64, rate=0.01, at=[10, 150], seed=900)
    assert found["minimax"][1] < 0.1 * found["minimax"][0]
    assert found["non_saturating"][1] > found["non_saturating"][0]
    assert found["accuracy"] > 0.99
    assert found["value"][0] < found["value"][1] < 0
    assert found["probability"].shape == (60, 60)


def test_a_discriminator_that_knows_nothing_teaches_both_losses_alike():
    critic = torch.nn.Linear(2, 1)
    with torch.no_grad():
        critic.weight.copy_(torch.tensor([[1e-6, 0.0]]))
        critic.bias.zero_()
    found = lessons(critic, Moon())
    assert found["value"] == pytest.approx(-math.log(4), abs=1e-5)
    assert found["minimax"] == pytest.approx(found["non_saturating"], rel=1e-5)  # at D = 1/2 both have the slope 1/2


def test_gradients_are_taken_within_the_training():
    with pytest.raises(UserError, match="Gradients are wanted"):
        saturation(width=4, steps=5, batch=8, rate=0.01, at=[10], seed=0)
