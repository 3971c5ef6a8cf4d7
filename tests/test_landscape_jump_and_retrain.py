import copy
import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from shapeofloss.errors import UserError
from shapeofloss.landscape.digits import load_digits
from shapeofloss.landscape.jump_and_retrain import (
    filter_normalised_direction,
    jump,
    retrain,
    sample,
    sample_minimum,
)
from shapeofloss.landscape.record import Record, Recorder
from shapeofloss.landscape.training import (
    evaluate,
    flatten,
    generator_for,
    load_parameters,
    network_for_digits,
    train_minimum,
)

RETRAINING = {"epochs": 3, "batch": 16, "learning_rate": 0.05, "weight_decay": 1e-3, "augment": True}
STEPS = [0.25, 1.0]
MINIMUM = {"depth": 10, "width": 1, "base": 2, "train": 40, "epochs": 3, "batch": 16, "learning_rate": 0.1}
MINIMUM |= {"weight_decay": 1e-3, "augment": True, "seed": 0, "data_seed": 0}


@pytest.fixture(scope="module")
def data():
    return load_digits(train=40, seed=0)


@pytest.fixture
def model():
    return network_for_digits(depth=10, width=1, base=2)


@pytest.fixture(scope="module")
def record(data):
    model = network_for_digits(depth=10, width=1, base=2)
    return sample(model, data, seeds=[0, 1], steps=STEPS, **RETRAINING)


def spy_on_minibatches(model):
    seen = []
    model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]) if torch.is_grad_enabled() else None)
    return seen


def rows(images):
    return {tuple(image) for image in images.flatten(1).tolist()}


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


def test_a_jump_goes_as_far_as_its_step_and_moves_no_buffer(model, data):
    model(data.train_images)
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


def test_retraining_pauses_at_the_jump_point_and_after_each_epoch(model, data):
    start = flatten(model)
    states = [(epoch, flatten(model)) for epoch in retrain(model, data, **RETRAINING, generator=generator_for(0, ""))]
    assert [epoch for epoch, _ in states] == [0, 1, 2]
    assert torch.equal(states[0][1], start)
    assert not torch.equal(states[1][1], start) and not torch.equal(states[2][1], states[1][1])


def test_an_epoch_of_one_batch_is_one_step_without_momentum_of_earlier_ones(model, data):
    options = {**RETRAINING, "epochs": 2, "batch": 40, "augment": False, "share": 1.0}
    list(retrain(model, data, **options, generator=generator_for(0, "")))
    exact = copy.deepcopy(model).double()
    functional.cross_entropy(exact(data.train_images.double()), data.train_labels).backward()
    expected = nn.utils.parameters_to_vector([p - 0.05 * (p.grad + 1e-3 * p) for p in exact.parameters()]).detach()
    list(retrain(model, data, **options, generator=generator_for(0, "")))
    assert (flatten(model).double() - expected).abs().max() < 1e-4 * expected.abs().max()


def test_later_epochs_have_momentum_and_a_constant_learning_rate(model, data):
    rate, momentum, options = 0.05, 0.5, {**RETRAINING, "epochs": 6, "batch": 40, "augment": False, "share": 1.0}
    linear = nn.Sequential(nn.Flatten(), nn.Linear(64, 10, bias=False))
    inputs, truth = data.train_images.flatten(1).double().numpy(), np.eye(10)[data.train_labels]
    theta = linear[1].weight.detach().double().numpy()
    velocity = np.zeros_like(theta)
    for _ in range(5):
        weights = np.exp(inputs @ theta.T)
        gradient = (weights / weights.sum(axis=1, keepdims=True) - truth).T @ inputs / 40
        velocity = momentum * velocity + gradient + 1e-3 * theta
        theta = theta - rate * velocity
    list(retrain(linear, data, **options, momentum=momentum, generator=generator_for(0, "")))
    np.testing.assert_allclose(linear[1].weight.detach(), theta, rtol=1e-4, atol=1e-6)


def test_retraining_sees_the_same_nine_tenths_of_the_images_in_every_epoch(model, data):
    seen = spy_on_minibatches(model)
    list(retrain(model, data, **{**RETRAINING, "augment": False}, generator=generator_for(0, "")))
    assert [len(images) for images in seen] == [16, 16, 4] * 2
    first, second = rows(torch.cat(seen[:3])), rows(torch.cat(seen[3:]))
    assert len(first) == 36 and first == second and first < rows(data.train_images)


def test_steps_of_a_seed_share_their_minibatches_and_seeds_do_not(model, data):
    seen = spy_on_minibatches(model)
    sample(model, data, seeds=[0, 1], steps=STEPS, **RETRAINING)
    trajectories = [torch.cat(seen[start : start + 6]) for start in range(0, 24, 6)]
    assert len(seen) == 24
    assert torch.equal(trajectories[0], trajectories[1]) and torch.equal(trajectories[2], trajectories[3])
    assert not torch.equal(trajectories[0], trajectories[2])


def test_steps_of_a_seed_share_their_direction_and_seeds_do_not(record):
    jumps = np.flatnonzero(record.epoch == 0)
    cosines = record.cosine_distances("optimum")[np.ix_(jumps, jumps)]
    np.testing.assert_allclose(cosines[[0, 2], [1, 3]], 0, atol=1e-6)
    assert cosines[0, 2] > 0.5
    ratio = record.distance_to_optimum()[jumps]
    np.testing.assert_allclose(ratio[[0, 2]] / ratio[[1, 3]], 0.25, rtol=1e-5)


def test_points_are_labelled_in_the_order_of_seeds_steps_and_epochs(record):
    expected = [(seed, step, epoch) for seed in (0, 1) for step in STEPS for epoch in range(3)]
    assert list(zip(record.seed, record.step, record.epoch, strict=True)) == expected


def test_sampling_is_the_loop_of_the_paper(model, data, record):
    optimum = flatten(model)
    recorder = Recorder(optimum, *evaluate(model, data.train_images, data.train_labels))
    directions = [filter_normalised_direction(model, generator_for(seed, "direction")) for seed in (0, 1)]
    for seed, direction in enumerate(directions):
        for step in STEPS:
            jump(model, optimum, direction, step)
            for epoch in retrain(model, data, **RETRAINING, generator=generator_for(seed, "retraining")):
                loss, accuracy = evaluate(model, data.train_images, data.train_labels)
                recorder.add(model, loss, accuracy, seed=seed, step=step, epoch=epoch)
    expected = recorder.record().to_arrays()
    assert all(array.tobytes() == expected[name].tobytes() for name, array in record.to_arrays().items())


def test_sampling_again_gives_the_same_bytes(model, data, record):
    torch.manual_seed(1)
    again = sample(model, data, seeds=[0, 1], steps=STEPS, **RETRAINING).to_arrays()
    assert all(array.tobytes() == again[name].tobytes() for name, array in record.to_arrays().items())


def test_the_trajectories_of_a_seed_do_not_depend_on_other_seeds_and_steps(model, data, record):
    swapped = sample(model, data, seeds=[1, 0], steps=STEPS[::-1], **RETRAINING)
    order = [np.flatnonzero((swapped.seed == s) & (swapped.step == c)) for s in (0, 1) for c in STEPS]
    order = np.concatenate(order)
    assert np.array_equal(swapped.loss[order], record.loss)
    np.testing.assert_allclose(swapped.gram[np.ix_(order, order)], record.gram, rtol=1e-12, atol=1e-12)


def test_sampling_leaves_the_network_as_it_was(model, data):
    model.train()
    functional.cross_entropy(model(data.train_images), data.train_labels).backward()
    model.scores.weight.requires_grad_(False)
    model.blocks[1].eval()

    def state():
        values = [tensor.detach().clone() for tensor in (*model.parameters(), *model.buffers())]
        gradients = [parameter.grad.clone() for parameter in model.parameters()]
        frozen = [parameter.requires_grad for parameter in model.parameters()]
        return values + gradients, frozen, [module.training for module in model.modules()]

    tensors, *flags = state()
    result = sample(model, data, seeds=[0], steps=[0.5], **RETRAINING)
    tensors_after, *flags_after = state()
    assert flags == flags_after
    assert all(map(torch.equal, tensors, tensors_after))
    assert result.distance_to_optimum().min() > 0


def test_a_frozen_network_is_sampled_as_any_other(model, data, record):
    frozen = sample(model.requires_grad_(False), data, seeds=[0, 1], steps=STEPS, **RETRAINING)
    assert np.array_equal(frozen.gram, record.gram)
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_a_network_is_given_back_even_after_an_error(model, data):
    before = flatten(model)
    with pytest.raises(UserError, match=r"in epoch \d at learning_rate 1e\+30"):
        sample(model, data, seeds=[0], steps=[0.5], **{**RETRAINING, "learning_rate": 1e30})
    assert torch.equal(flatten(model), before)


@pytest.mark.parametrize("share", [0.0, 1.1])
def test_a_share_out_of_range_is_refused(model, data, share):
    with pytest.raises(UserError, match=f"at most 1, not {share}"):
        next(retrain(model, data, **RETRAINING, share=share, generator=generator_for(0, "")))


def test_a_sampled_minimum_can_be_stored_and_is_what_its_two_parts_give(data):
    result = sample_minimum(minimum=MINIMUM, seeds=[2], steps=[0.5], epochs=2, learning_rate=0.05)
    json.dumps({name: value for name, value in result.items() if not isinstance(value, np.ndarray)}, allow_nan=False)

    trained = train_minimum(**MINIMUM)
    model = network_for_digits(depth=10, width=1, base=2, seed=9)
    load_parameters(model, trained["parameters"])
    by_hand = sample(model, data, seeds=[2], steps=[0.5], **{**RETRAINING, "epochs": 2})
    record = Record.from_arrays(result)
    assert all(array.tobytes() == by_hand.to_arrays()[name].tobytes() for name, array in record.to_arrays().items())
    assert record.optimum_loss == result["train_loss"] == trained["train_loss"]
    assert result["test_accuracy"] == trained["test_accuracy"]
