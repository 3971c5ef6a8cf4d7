import copy

import numpy as np
import pytest
import torch
from nets import seeded
from torch import nn
from torch.nn import functional

from shapeofloss.datasets.digits import load_digits
from shapeofloss.errors import UserError
from shapeofloss.landscape.networks import Architecture
from shapeofloss.landscape.parameters import flatten, load_parameters
from shapeofloss.landscape.samplers import sample_around
from shapeofloss.landscape.training import check_finite, evaluate, retrain, train_epoch


@pytest.fixture(scope="module")
def data():
    return load_digits(train=40, seed=0)


@pytest.fixture
def model():
    return Architecture(depth=10, width=1, base=2).network()


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


def test_an_epoch_takes_one_step_for_each_batch_in_training_mode(data):
    batches = list(zip(data.train_images.split(16), data.train_labels.split(16), strict=True))
    model = seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10, bias=False)))
    theta = model[1].weight.detach().double().numpy()
    velocity, total = np.zeros_like(theta), 0.0
    for images, labels in batches:
        inputs, truth = images.flatten(1).double().numpy(), np.eye(10)[labels]
        weights = np.exp(inputs @ theta.T)
        probability = weights / weights.sum(axis=1, keepdims=True)
        total -= np.log((probability * truth).sum(axis=1)).sum()
        velocity = 0.8 * velocity + (probability - truth).T @ inputs / len(inputs) + 0.3 * theta
        theta = theta - 0.1 * velocity
    optimizer = torch.optim.SGD(model.eval().parameters(), lr=0.1, momentum=0.8, weight_decay=0.3)
    model[1].weight.grad = torch.ones(10, 64)
    assert train_epoch(model, optimizer, batches) == pytest.approx(total / 40, rel=1e-5)
    np.testing.assert_allclose(model[1].weight.detach(), theta, rtol=1e-4, atol=1e-6)
    assert model.training


def test_the_loss_of_an_epoch_weights_batches_by_their_size(model, data):
    batches = list(zip(data.train_images.split(16), data.train_labels.split(16), strict=True))
    expected = sum(len(labels) * evaluate(model, images, labels)[0] for images, labels in batches) / 40
    still = torch.optim.SGD(model.parameters(), lr=0.0)
    assert train_epoch(model, still, batches) == pytest.approx(expected, rel=1e-5)


RETRAINING = {"epochs": 3, "batch": 16, "learning_rate": 0.05, "weight_decay": 1e-3, "augment": True}


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


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), -float("inf")])
def test_a_loss_that_is_not_finite_names_itself_epoch_and_learning_rate(loss):
    with pytest.raises(UserError, match=rf"^The loss is {loss} in epoch 3 at learning_rate 0.1: use a smaller"):
        check_finite(loss, epoch=3, learning_rate=0.1)
    with pytest.raises(UserError, match=rf"^That of this is {loss} in"):
        check_finite(loss, what="That of this", epoch=3, learning_rate=0.1)


def test_a_finite_loss_passes():
    check_finite(1e300, epoch=3, learning_rate=0.1)


X, Y = torch.zeros(4, 1, 8, 8), torch.zeros(4, dtype=torch.long)


@pytest.mark.parametrize(
    ("batches", "sentence"),
    [
        ([], "There is no batch to train on"),
        ((X, Y), r"A batch is a Tensor; give a list of pairs \(images, labels\)"),
        ([(X, Y, Y)], "A batch is a tuple; give a list of pairs"),
        ([(X, Y[:3])], r"Images of shape \(4, 1, 8, 8\) and labels of shape \(3,\) are given: one label for each"),
        ([(X[:0], Y[:0])], r"Images of shape \(0, 1, 8, 8\) and labels of shape \(0,\)"),
        ([(X, 3)], "labels is an int; a tensor is needed"),
    ],
)
def test_what_is_no_list_of_images_with_their_labels_is_refused(model, batches, sentence):
    before = model.scores.weight.detach().clone()
    with pytest.raises(UserError, match=sentence):
        train_epoch(model, torch.optim.SGD(model.parameters(), lr=1.0), batches)
    assert torch.equal(model.scores.weight, before)


@pytest.mark.parametrize(("images", "labels"), [(X, Y[:3]), (X[:0], Y[:0]), (X, 3), (X.numpy(), Y), (X, Y[0])])
def test_a_loss_of_nothing_or_of_images_without_their_labels_is_refused(model, images, labels):
    with pytest.raises(UserError, match=r"one label for each|a tensor is needed"):
        evaluate(model, images, labels)


def test_a_single_value_for_batch_normalisation_is_told_in_a_sentence():
    model = seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.BatchNorm1d(3), nn.Linear(3, 10)))
    with pytest.raises(UserError, match="single value per channel in a batch, which has no variance: give batches of"):
        train_epoch(model, torch.optim.SGD(model.parameters(), lr=0.1), [(X[:1], Y[:1])])
    with pytest.raises(UserError, match="single value per channel"):
        evaluate(model, X[:1], Y[:1])
    batches = [(X.flatten(1)[:, :3], Y), (X.flatten(1)[:1, :3], Y[:1])]
    normalised = seeded(lambda: nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 2)))
    for way in ("plain", "vectorised"):
        with pytest.raises(UserError, match="single value per channel"):
            sample_around(normalised, batches, seeds=[0], steps=[1.0], epochs=2, together=way)
