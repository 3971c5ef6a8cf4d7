"""Objectives against the cross entropy, and what they amount to."""

import math

import pytest
import torch
from critics import source

from shapeofloss.adversarial.divergences import jsd_of_value
from shapeofloss.adversarial.objectives import MINIMAX, NON_SATURATING, Objective
from shapeofloss.errors import UserError


def test_the_discriminators_loss_is_the_cross_entropy_and_both_generators_agree_on_its_sign():
    real, fake = torch.randn(6, generator=source()), torch.randn(9, generator=source(1))
    d = torch.sigmoid
    assert MINIMAX.critic_loss(real, fake).item() == pytest.approx(-(d(real).log().mean() + (1 - d(fake)).log().mean()))
    assert MINIMAX.generator_loss(fake).item() == pytest.approx((1 - d(fake)).log().mean().item())
    assert NON_SATURATING.generator_loss(fake).item() == pytest.approx(-d(fake).log().mean().item())


def test_only_the_saturating_loss_vanishes_for_a_confident_discriminator():
    for objective, expected in ((MINIMAX, 0.0), (NON_SATURATING, -1.0)):
        score = torch.tensor([-200.0], requires_grad=True)
        objective.generator_loss(score).backward()
        assert score.grad.item() == pytest.approx(expected)


def test_a_discriminator_between_equal_distributions_reads_a_divergence_of_zero_and_a_perfect_one_log_two():
    zero, far = torch.zeros(3), torch.full((3,), 50.0)
    assert jsd_of_value(-MINIMAX.critic_loss(zero, zero).item()) == pytest.approx(0, abs=1e-7)
    assert jsd_of_value(-MINIMAX.critic_loss(far, -far).item()) == pytest.approx(math.log(2))


def test_losses_are_functions():
    with pytest.raises(UserError, match="critic_loss is a str; a function"):
        Objective("words", "wasserstein", lambda fake: fake.mean())
