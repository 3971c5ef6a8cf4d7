"""Clipped critics: bounds on slopes, and what a clipped critic's record holds."""

import math

import pytest
import torch
from critics import constant_weights, source
from torch import nn

from shapeofloss.adversarial.constraints import gradient_norms, quotients
from shapeofloss.adversarial.networks import perceptron
from shapeofloss.errors import UserError
from shapeofloss.experiments.weight_clipping import weight_clipping as clipping


def test_the_shared_bound_is_attained_by_equal_weights_and_by_nothing_in_the_box():
    bound = clipping.box_bound(constant_weights((2, 8, 8, 1), 0.3), 0.3)
    diagonal = torch.tensor([[1.0, 1.0], [2.0, 2.0]]).double()
    low, high = constant_weights((2, 8, 8, 1), 0.3)(diagonal).detach()
    steepest = quotients(low, diagonal[:1], high, diagonal[1:])
    assert steepest.item() == pytest.approx(bound, rel=1e-12)
    assert bound == pytest.approx(0.3**3 * math.sqrt(2 * 8) * 8 * math.sqrt(8))


def test_the_spectral_bound_of_orthogonal_layers_is_the_product_of_their_factors():
    network = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
    for layer, factor in ((network[0], 2.0), (network[2], 0.5)):
        nn.init.orthogonal_(layer.weight, gain=factor)
    assert clipping.spectral_bound(network) == pytest.approx(1.0, rel=1e-6)


def test_no_gradient_exceeds_the_spectral_bound_and_that_not_the_shared_one():
    network = perceptron((2, 16, 16, 1), generator=source()).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.clamp_(-0.2, 0.2)
    largest = gradient_norms(network, torch.randn(500, 2, generator=source(1)).double()).max().item()
    assert largest <= clipping.spectral_bound(network) <= clipping.box_bound(network, 0.2)


def test_a_clipped_critic_stays_in_its_box_and_below_its_bound():
    found = clipping.clipped_critic(bound=0.05, steps=20, batch=32, rate=1e-2, points=40, records=4, seed=0)
    assert found["at"].tolist() == [0, 5, 10, 15, 20]
    assert (found["value"] <= found["bound"] * found["wasserstein"]).all() and (found["norm"] <= found["bound"]).all()
    assert found["bound"][-1] <= 0.05**3 * math.sqrt(2 * 64) * 64 * math.sqrt(64)


def test_the_pull_between_lines_is_the_change_of_the_value():
    found = clipping.pull_between_lines(separation=0.5, bound=0.1, steps=60, batch=64, rate=1e-2, seed=0)
    # The critic is nearly linear between the lines, so that its value is about pull times separation.
    assert found["pull"] > 0 and found["value"] == pytest.approx(0.5 * found["pull"], rel=0.5)


def test_bounds_are_of_perceptrons():
    with pytest.raises(UserError, match="The layer '0' is a Conv1d"):
        clipping.spectral_bound(nn.Sequential(nn.Conv1d(1, 1, 1), nn.Linear(2, 1)))
    with pytest.raises(UserError, match="bound is -1"):
        clipping.box_bound(nn.Linear(2, 1), -1)
