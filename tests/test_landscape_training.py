import copy
import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from shapeofloss.errors import UserError
from shapeofloss.landscape.digits import Images, load_digits
from shapeofloss.landscape.networks import number_of_parameters
from shapeofloss.landscape.training import (
    evaluate,
    flatten,
    generator_for,
    load_parameters,
    network_for_digits,
    train_epoch,
    train_minimum,
    train_network,
)

MINIMUM = {"depth": 10, "width": 1, "base": 2, "train": 40, "epochs": 4, "batch": 16, "learning_rate": 0.1}
MINIMUM |= {"weight_decay": 1e-3, "augment": True, "seed": 0, "data_seed": 0}
SGD = {"batch": 16, "learning_rate": 0.1, "weight_decay": 1e-3, "augment": False}


@pytest.fixture(scope="module")
def data():
    return load_digits(train=40, seed=0)


@pytest.fixture
def model():
    return network_for_digits(depth=10, width=1, base=2)


def tiny():
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 3, 3, bias=False), nn.BatchNorm2d(3), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 10))


def loss_of_tiny_by_hand(model, images, labels, reference):
    """Return loss and accuracy in double precision, with the reference's mean and biased variance."""

    def convolved(x):
        windows = np.lib.stride_tricks.sliding_window_view(x[:, 0].numpy().astype(float), (3, 3), axis=(1, 2))
        return np.einsum("nhwij,cij->nchw", windows, model[0].weight.detach().numpy()[:, 0])

    mean, variance = (function(convolved(reference), axis=(0, 2, 3)) for function in (np.mean, np.var))
    normalised = (convolved(images) - mean[:, None, None]) / np.sqrt(variance[:, None, None] + 1e-5)
    features = np.maximum(normalised, 0).mean(axis=(2, 3))
    scores = features @ model[5].weight.detach().numpy().T + model[5].bias.detach().numpy()
    chosen = scores[np.arange(len(labels)), labels]
    return (np.log(np.exp(scores).sum(axis=1)) - chosen).mean(), (scores.argmax(axis=1) == labels.numpy()).mean()


def spy_on_training(model):
    seen = []
    model.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].clone()) if module.training else None)
    return seen


def test_a_loss_uses_the_statistics_of_all_its_images(data):
    model = tiny()
    expected = loss_of_tiny_by_hand(model, data.train_images, data.train_labels, data.train_images)
    assert evaluate(model, data.train_images, data.train_labels) == pytest.approx(expected, rel=1e-5)


def test_a_test_loss_uses_the_statistics_of_the_training_images(data):
    model = tiny()
    images, labels = 3 * data.test_images, data.test_labels
    loss = evaluate(model, images, labels, statistics_from=data.train_images)
    expected = loss_of_tiny_by_hand(model, images, labels, data.train_images)
    otherwise = loss_of_tiny_by_hand(model, images, labels, images)
    assert loss == pytest.approx(expected, rel=1e-5)
    assert loss[0] != pytest.approx(otherwise[0], rel=1e-3)


def test_in_a_deep_network_both_ways_agree_on_the_training_images(model, data):
    images, labels = data.train_images, data.train_labels
    with_themselves = evaluate(model, images, labels, statistics_from=images)
    assert evaluate(model, images, labels) == pytest.approx(with_themselves, rel=1e-5)


def test_a_test_loss_is_the_mean_of_the_losses_of_single_images(model, data):
    images, labels = data.test_images[:5], data.test_labels[:5]
    together = evaluate(model, images, labels, statistics_from=data.train_images)[0]
    alone = [
        evaluate(model, images[i : i + 1], labels[i : i + 1], statistics_from=data.train_images)[0] for i in range(5)
    ]
    assert together == pytest.approx(np.mean(alone), rel=1e-5)


def test_a_loss_depends_on_the_parameters_alone_and_leaves_buffers_and_modes(model, data):
    def losses():
        test = evaluate(model, data.test_images, data.test_labels, statistics_from=data.train_images)
        return *evaluate(model, data.train_images, data.train_labels), *test

    expected = losses()
    model.train()
    model(100 + data.train_images)
    model.blocks[1].eval()
    modes = [module.training for module in model.modules()]
    buffers = [buffer.clone() for buffer in model.buffers()]
    assert losses() == expected
    assert modes == [module.training for module in model.modules()]
    assert all(map(torch.equal, buffers, model.buffers()))
    assert not any(layer._forward_hooks for layer in model.modules())


def test_parameters_come_back_from_their_vector(model):
    flat = torch.arange(number_of_parameters(model), dtype=torch.float32)
    load_parameters(model, flat.numpy())
    assert torch.equal(flatten(model), flat)
    assert model.convolution.weight.flatten()[1] == 1


def test_training_after_loading_leaves_the_vector_alone(model, data):
    flat = flatten(model)
    before = flat.clone()
    load_parameters(model, flat)
    train_network(model, data, epochs=1, **SGD, generator=generator_for(0, "training"))
    assert torch.equal(flat, before) and not torch.equal(flatten(model), before)


def test_a_vector_of_another_length_is_refused(model):
    with pytest.raises(UserError, match=r"shape \(3,\) does not fit a network with \d+ parameters: build"):
        load_parameters(model, torch.zeros(3))


def test_training_is_momentum_descent_with_decay_and_steps_as_written_in_double_precision(data):
    inputs, labels = data.train_images.flatten(1).double().numpy(), data.train_labels
    truth, theta, velocity = np.eye(10)[labels], np.zeros((10, 64)), np.zeros((10, 64))
    expected = []
    for rate in [0.1, 0.1, 0.02, 0.02, 0.004, 0.004, 0.004, 0.004]:
        weights = np.exp(inputs @ theta.T)
        probability = weights / weights.sum(axis=1, keepdims=True)
        expected.append(-np.log((probability * truth).sum(axis=1)).mean())
        gradient = (probability - truth).T @ inputs / len(inputs) + 0.3 * theta
        velocity = 0.8 * velocity + gradient
        theta = theta - rate * velocity

    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10, bias=False))
    load_parameters(model, torch.zeros(640))
    options = {"learning_rate": 0.1, "weight_decay": 0.3, "milestones": (0.25, 0.5), "gamma": 0.2, "momentum": 0.8}
    history = train_network(
        model, data, epochs=8, batch=40, **options, augment=False, generator=generator_for(0, "training")
    )
    np.testing.assert_allclose(history, expected, rtol=1e-5)
    np.testing.assert_allclose(flatten(model).numpy(), theta.ravel(), rtol=1e-4, atol=1e-6)


def test_one_step_of_a_residual_network_is_the_one_in_double_precision(model, data):
    exact = copy.deepcopy(model).double()
    functional.cross_entropy(exact(data.train_images.double()), data.train_labels).backward()
    expected = [p.detach() - 0.1 * (p.grad + 1e-3 * p.detach()) for p in exact.parameters()]
    train_network(model, data, epochs=1, **{**SGD, "batch": 40}, generator=generator_for(0, "training"))
    expected = nn.utils.parameters_to_vector(expected)
    assert (flatten(model).double() - expected).abs().max() < 1e-4 * expected.abs().max()


def test_an_epoch_shows_every_image_once_in_batches_of_a_new_order(model, data):
    seen = spy_on_training(model)
    train_network(model, data, epochs=2, **SGD, generator=generator_for(0, "training"))
    assert [len(images) for images in seen] == [16, 16, 8] * 2
    first, second = torch.cat(seen[:3]), torch.cat(seen[3:])
    assert not torch.equal(first, second)
    for shown in (first, second):
        assert sorted(map(tuple, shown.flatten(1).tolist())) == sorted(
            map(tuple, data.train_images.flatten(1).tolist())
        )


def test_augmentation_moves_the_images_and_keeps_the_test_images_out(model, data):
    seen = spy_on_training(model)
    train_network(model, data, epochs=1, **{**SGD, "augment": True}, generator=generator_for(0, "training"))
    shown, known = torch.cat(seen).flatten(1), data.train_images.flatten(1)
    still = (shown[:, None] == known).all(dim=2).any(dim=1).double().mean()
    assert 0 < still < 0.5


def test_the_loss_of_an_epoch_weights_batches_by_their_size(model, data):
    parts = data.train_images.split(16), data.train_labels.split(16)
    expected = sum(len(labels) * evaluate(model, images, labels)[0] for images, labels in zip(*parts, strict=True)) / 40
    still = torch.optim.SGD(model.parameters(), lr=0.0)
    in_order = pytest.MonkeyPatch()
    with in_order.context() as patch:
        patch.setattr(torch, "randperm", lambda count, generator: torch.arange(count))
        loss = train_epoch(
            model, still, data.train_images, data.train_labels, batch=16, augment=False, generator=torch.Generator()
        )
    assert loss == pytest.approx(expected, rel=1e-5)


def test_a_loss_that_is_not_finite_names_setting_and_epoch(model, data):
    with pytest.raises(UserError, match=r"The loss is (nan|inf) in epoch \d at learning_rate 1e\+30: use a smaller"):
        train_network(model, data, epochs=3, **{**SGD, "learning_rate": 1e30}, generator=generator_for(0, "training"))


def test_generators_differ_by_seed_and_by_purpose():
    draws = [torch.rand(4, generator=generator_for(seed, purpose)) for seed in (0, 1) for purpose in ("a", "b")]
    assert len({tuple(draw.tolist()) for draw in draws}) == 4


def test_a_minimum_can_be_stored_and_its_network_rebuilt(data):
    result = train_minimum(**MINIMUM)
    arrays = {name for name, value in result.items() if isinstance(value, np.ndarray)}
    assert arrays == {"parameters", "history"}
    json.dumps({name: value for name, value in result.items() if name not in arrays}, allow_nan=False)
    assert result["parameters"].dtype == np.float32 and result["history"].shape == (4,)
    assert result["history"][-1] < result["history"][0]

    model = network_for_digits(depth=10, width=1, base=2)
    load_parameters(model, result["parameters"])
    test = evaluate(model, data.test_images, data.test_labels, statistics_from=data.train_images)
    assert (result["train_loss"], result["train_accuracy"]) == evaluate(model, data.train_images, data.train_labels)
    assert (result["test_loss"], result["test_accuracy"]) == test


def test_a_minimum_repeats_and_its_seeds_matter():
    first, again, other, elsewhere = (
        train_minimum(**{**MINIMUM, **change})["parameters"] for change in ({}, {}, {"seed": 1}, {"data_seed": 1})
    )
    assert first.tobytes() == again.tobytes()
    assert not np.array_equal(first, other) and not np.array_equal(first, elsewhere)


def test_an_easy_question_is_learnt(data):
    easy = Images(
        data.train_images, (data.train_images.flatten(1).mean(1) > 0).long(), data.test_images, data.test_labels
    )
    model = network_for_digits(depth=10, width=1, base=2)
    train_network(model, easy, epochs=20, **SGD, generator=generator_for(0, "training"))
    assert evaluate(model, easy.train_images, easy.train_labels)[1] > 0.95
