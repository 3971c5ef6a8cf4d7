import numpy as np
import pytest
import torch
from nets import Tied, mlp, seeded
from torch import nn

from shapeofloss.datasets.digits import load_digits
from shapeofloss.errors import UserError
from shapeofloss.landscape.directions import direction_of, direction_vector, filter_normalised_direction, jump
from shapeofloss.landscape.networks import Architecture
from shapeofloss.landscape.parameters import flatten
from shapeofloss.landscape.randomness import generator_for


@pytest.fixture
def model():
    return Architecture(depth=10, width=1, base=2).network()


def test_every_filter_of_a_direction_has_the_length_of_the_networks_own(model):
    for parameter, part in zip(
        model.parameters(), filter_normalised_direction(model, generator_for(0, "")), strict=True
    ):
        assert part.shape == parameter.shape
        if parameter.dim() > 1:
            lengths, expected = (np.linalg.norm(t.detach().double().flatten(1), axis=1) for t in (part, parameter))
            np.testing.assert_allclose(lengths, expected, rtol=1e-6)
            assert not torch.equal(part, parameter)
        else:
            assert not part.any()


def test_within_a_filter_all_directions_are_equally_likely():
    model = nn.Linear(3, 20_000, bias=False)
    nn.init.ones_(model.weight)
    (part,) = filter_normalised_direction(model, generator_for(0, ""))
    np.testing.assert_allclose(part.mean(dim=0), 0, atol=0.03)
    np.testing.assert_allclose(part.T @ part / 20_000, np.eye(3), atol=0.03)


def test_a_filter_of_zeros_does_not_move():
    model = nn.Linear(3, 2)
    nn.init.zeros_(model.weight)
    assert not any(part.any() for part in filter_normalised_direction(model, generator_for(0, "")))


def test_a_network_without_filters_has_no_direction():
    with pytest.raises(UserError, match="a network without filters"):
        filter_normalised_direction(nn.BatchNorm2d(3), generator_for(0, ""))
    model = mlp()
    for layer in (0, 3):
        model[layer].weight.requires_grad_(False)
    with pytest.raises(UserError, match="a network without filters: give one with a parameter of two dimensions"):
        direction_of(model, 0)


def test_frozen_parameters_have_no_part_in_a_direction_and_tied_ones_one():
    model = mlp()
    model[0].weight.requires_grad_(False)
    bias, weight, another = filter_normalised_direction(model, generator_for(0, ""))
    assert (bias.shape, weight.shape, another.shape) == ((8,), (2, 8), (2,))
    assert [part.shape for part in filter_normalised_direction(seeded(Tied), generator_for(0, ""))] == [
        (7, 4),
        (4, 4),
        (4,),
    ]


def test_a_direction_has_the_type_of_the_network_and_the_numbers_of_its_seed_whatever_the_type():
    model = mlp()
    single, again, other = (direction_of(model, seed) for seed in (5, 5, 6))
    double = direction_of(mlp().double(), 5)
    assert torch.equal(single, again) and not torch.equal(single, other)
    assert double.dtype == torch.float64
    torch.testing.assert_close(single.double(), double, rtol=1e-6, atol=1e-7)
    assert torch.equal(single, direction_vector(model, generator_for(5, "direction")))
    parts = filter_normalised_direction(model, generator_for(5, "direction"))
    assert torch.equal(single, torch.cat([part.flatten() for part in parts]))


def test_a_jump_goes_as_far_as_its_step_and_moves_no_buffer(model):
    model(load_digits(train=40, seed=0).train_images)
    buffers = [buffer.clone() for buffer in model.buffers()]
    optimum = flatten(model)
    direction = filter_normalised_direction(model, generator_for(0, ""))
    filters = torch.cat([p.detach().flatten() for p in model.parameters() if p.dim() > 1])
    for step in (1.0, 0.25, 0.0):
        jump(model, optimum, direction, step)
        distance = (flatten(model) - optimum).norm().item()
        assert distance == pytest.approx(step * filters.norm().item(), rel=1e-5)
    assert torch.equal(flatten(model), optimum)
    assert all(map(torch.equal, buffers, model.buffers()))
