import copy

import numpy as np
import pytest
import torch
from nets import seeded
from torch import nn
from torch.nn import functional

from shapeofloss.datasets.digits import load_digits
from shapeofloss.errors import UserError
from shapeofloss.landscape.jump_and_retrain import retrain
from shapeofloss.landscape.minima import network_for_digits
from shapeofloss.landscape.parameters import flatten, load_parameters

RETRAINING = {"epochs": 3, "batch": 16, "learning_rate": 0.05, "weight_decay": 1e-3, "augment": True}


@pytest.fixture(scope="module")
def data():
    return load_digits(train=40, seed=0)


@pytest.fixture
def model():
    return network_for_digits(depth=10, width=1, base=2)


def spy_on_minibatches(model):
    seen = []
    model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]) if torch.is_grad_enabled() else None)
    return seen


def rows(images):
    return {tuple(image) for image in images.flatten(1).tolist()}


def test_retraining_pauses_at_the_jump_point_and_after_each_epoch(model, data):
    start = flatten(model)
    states = [(epoch, flatten(model)) for epoch in retrain(model, data, **RETRAINING, seed=0)]
    assert [epoch for epoch, _ in states] == [0, 1, 2]
    assert torch.equal(states[0][1], start)
    assert not torch.equal(states[1][1], start) and not torch.equal(states[2][1], states[1][1])


def test_an_epoch_of_one_batch_is_one_step_without_momentum_of_earlier_ones(model, data):
    options = {**RETRAINING, "epochs": 2, "batch": 40, "augment": False, "share": 1.0}
    list(retrain(model, data, **options, seed=0))
    exact = copy.deepcopy(model).double()
    functional.cross_entropy(exact(data.train_images.double()), data.train_labels).backward()
    expected = nn.utils.parameters_to_vector([p - 0.05 * (p.grad + 1e-3 * p) for p in exact.parameters()]).detach()
    list(retrain(model, data, **options, seed=0))
    assert (flatten(model).double() - expected).abs().max() < 1e-4 * expected.abs().max()


def test_later_epochs_have_momentum_and_a_constant_learning_rate(model, data):
    rate, momentum, options = 0.05, 0.5, {**RETRAINING, "epochs": 6, "batch": 40, "augment": False, "share": 1.0}
    linear = seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10, bias=False)))
    inputs, truth = data.train_images.flatten(1).double().numpy(), np.eye(10)[data.train_labels]
    theta = linear[1].weight.detach().double().numpy()
    velocity = np.zeros_like(theta)
    for _ in range(5):
        weights = np.exp(inputs @ theta.T)
        gradient = (weights / weights.sum(axis=1, keepdims=True) - truth).T @ inputs / 40
        velocity = momentum * velocity + gradient + 1e-3 * theta
        theta = theta - rate * velocity
    list(retrain(linear, data, **options, momentum=momentum, seed=0))
    np.testing.assert_allclose(linear[1].weight.detach(), theta, rtol=1e-4, atol=1e-6)


def test_retraining_sees_the_same_nine_tenths_of_the_images_in_every_epoch(model, data):
    seen = spy_on_minibatches(model)
    list(retrain(model, data, **{**RETRAINING, "augment": False}, seed=0))
    assert [len(images) for images in seen] == [16, 16, 4] * 2
    first, second = rows(torch.cat(seen[:3])), rows(torch.cat(seen[3:]))
    assert len(first) == 36 and first == second and first < rows(data.train_images)


def test_what_retraining_sees_depends_on_the_seed_and_not_on_the_start(model, data):
    start, shown = flatten(model), []
    for seed, scale in ((0, 1.0), (0, 1.1), (1, 1.0)):
        load_parameters(model, scale * start)
        seen = spy_on_minibatches(model)
        list(retrain(model, data, **RETRAINING, seed=seed))
        shown.append(torch.cat(seen))
    assert torch.equal(shown[0], shown[1]) and not torch.equal(shown[0], shown[2])


def test_a_loss_that_is_not_finite_stops_the_retraining(model, data):
    with pytest.raises(UserError, match=r"The loss is (nan|inf) in epoch \d at learning_rate 1e\+30: use a smaller"):
        list(retrain(model, data, **{**RETRAINING, "learning_rate": 1e30}, seed=0))


@pytest.mark.parametrize("share", [0.0, 1.1])
def test_a_share_out_of_range_is_refused(model, data, share):
    with pytest.raises(UserError, match=f"at most 1, not {share}"):
        next(retrain(model, data, **RETRAINING, share=share, seed=0))
