import pytest
import torch
from nets import Tied, mlp, seeded

from shapeofloss.errors import UserError
from shapeofloss.landscape.networks import Architecture, number_of_parameters
from shapeofloss.landscape.parameters import flatten, load_parameters, trained_parameters


@pytest.fixture
def model():
    return Architecture(depth=10, width=1, base=2).network()


def test_parameters_come_back_from_their_vector(model):
    flat = torch.arange(number_of_parameters(model), dtype=torch.float32)
    load_parameters(model, flat.numpy())
    assert torch.equal(flatten(model), flat)
    assert model.convolution.weight.flatten()[1] == 1


def test_training_after_loading_leaves_the_vector_alone(model):
    flat = flatten(model)
    before = flat.clone()
    load_parameters(model, flat)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.ones(2, 1, 8, 8)).square().sum().backward()
    optimizer.step()
    assert torch.equal(flat, before) and not torch.equal(flatten(model), before)


def test_a_vector_of_another_length_is_refused(model):
    with pytest.raises(UserError, match=r"shape \(3,\) does not fit a network with \d+ parameters: build"):
        load_parameters(model, torch.zeros(3))


def test_frozen_parameters_are_no_part_of_the_vector_and_stay():
    model = mlp()
    before = model[0].weight.detach().clone()
    model[0].weight.requires_grad_(False)
    assert list(trained_parameters(model)) == ["0.bias", "3.weight", "3.bias"] and len(flatten(model)) == 8 + 16 + 2
    load_parameters(model, torch.arange(26.0))
    assert torch.equal(model[0].weight, before)
    assert model[0].bias.tolist() == list(range(8)) and model[3].bias.tolist() == [24, 25]


def test_tied_parameters_are_in_the_vector_once_and_move_together():
    model = seeded(Tied)
    assert len(flatten(model)) == 7 * 4 + 4 * 4 + 4
    load_parameters(model, torch.arange(48.0))
    assert model.scores.weight is model.embedding.weight and model.scores.weight[0].tolist() == [0, 1, 2, 3]


def test_an_entirely_frozen_network_is_refused():
    model = mlp().requires_grad_(False)
    for function in (trained_parameters, flatten, lambda frozen: load_parameters(frozen, torch.zeros(0))):
        with pytest.raises(UserError, match="Every parameter of the network is frozen: set requires_grad where"):
            function(model)


@pytest.mark.parametrize(
    ("vector", "sentence"),
    [
        (torch.zeros(26, dtype=torch.complex64), r"of type torch\.complex64; real numbers are needed"),
        (torch.zeros(26, dtype=torch.bool), r"of type torch\.bool; real numbers are needed"),
        ("26 numbers", "are a str that holds no vector of real numbers"),
        ([[1.0], [2.0, 3.0]], "are a list that holds no vector of real numbers"),
        (None, "are a NoneType that holds no vector of real numbers"),
        (3.0, r"shape \(\) does not fit"),
        (torch.zeros(1, 26), r"shape \(1, 26\) does not fit"),
    ],
)
def test_what_is_no_vector_of_real_numbers_is_refused_and_changes_nothing(vector, sentence):
    model = mlp()
    before = flatten(model)
    with pytest.raises(UserError, match=sentence):
        load_parameters(model, vector)
    assert torch.equal(flatten(model), before)


def test_parameters_that_a_diverged_training_left_are_taken():
    model = mlp()
    load_parameters(model, torch.full((len(flatten(model)),), torch.nan))
    assert flatten(model).isnan().all()
