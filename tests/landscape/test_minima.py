"""The heavy tasks: networks trained together are those trained alone, and what the store keeps is what they give."""

import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from shapeofloss.datasets.digits import load_digits
from shapeofloss.engine import store
from shapeofloss.errors import UserError
from shapeofloss.landscape import minima
from shapeofloss.landscape.batches import image_epochs
from shapeofloss.landscape.directions import direction_of, filter_normalised_direction, jump
from shapeofloss.landscape.minima import random_labels, sample_minimum, train_minima
from shapeofloss.landscape.networks import Architecture
from shapeofloss.landscape.parameters import flatten, load_parameters
from shapeofloss.landscape.randomness import generator_for
from shapeofloss.landscape.record import Record
from shapeofloss.landscape.training import evaluate, retrain, train_epoch

NETWORK = {"architecture": {"depth": 10, "width": 1, "base": 2}, "images": {"train": 40}}
TRAINING = {**NETWORK, "epochs": 4, "batch": 16, "learning_rate": 0.1}
NETWORKS = [
    {"seed": 0, "weight_decay": 1e-3, "augment": True},
    {"seed": 1, "weight_decay": 0.0, "augment": False, "random_labels": True},
    {"seed": 0, "weight_decay": 0.05, "augment": False, "random_labels": False},
]


@pytest.fixture(scope="module")
def data():
    return load_digits(train=40, seed=0)


@pytest.fixture(scope="module")
def trained():
    return train_minima(**TRAINING, networks=NETWORKS)


@pytest.fixture
def linear(monkeypatch):
    """Let `train_minima` train affine maps without bias that start at zero, whose gradient is written down easily."""

    def made(*_, **__):
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10, bias=False))
        nn.init.zeros_(model[1].weight)
        return model

    monkeypatch.setattr(Architecture, "network", made)


def descent(data, rates, *, decay, momentum):
    """Return the losses and the last parameters of full-batch descent in double precision."""
    inputs, truth = data.train_images.flatten(1).double().numpy(), np.eye(10)[data.train_labels]
    theta, velocity, losses = np.zeros((10, 64)), np.zeros((10, 64)), []
    for rate in rates:
        weights = np.exp(inputs @ theta.T)
        probability = weights / weights.sum(axis=1, keepdims=True)
        losses.append(-np.log((probability * truth).sum(axis=1)).mean())
        velocity = momentum * velocity + (probability - truth).T @ inputs / len(inputs) + decay * theta
        theta = theta - rate * velocity
    return losses, theta.ravel()


def check_descent(data, rates):
    decays = [0.3, 0.0, 0.01]
    networks = [{"seed": 0, "weight_decay": decay, "augment": False} for decay in decays]
    result = train_minima(**{**TRAINING, "epochs": len(rates), "batch": 40}, networks=networks)
    for number, decay in enumerate(decays):
        losses, theta = descent(data, rates, decay=decay, momentum=0.9)
        np.testing.assert_allclose(result["history"][number], losses, rtol=1e-5)
        np.testing.assert_allclose(result["parameters"][number], theta, rtol=1e-4, atol=1e-6)


def test_training_is_momentum_descent_with_decays_and_falls_as_written_in_double_precision(linear, data, monkeypatch):
    monkeypatch.setattr(minima, "MILESTONES", (0.25, 0.5))
    monkeypatch.setattr(minima, "FALL", 0.2)
    check_descent(data, [0.1, 0.1, 0.02, 0.02, 0.004, 0.004, 0.004, 0.004])


def test_the_learning_rate_falls_at_half_three_quarters_and_nine_tenths_and_a_quarter(linear, data):
    assert [round(200 * fraction) for fraction in minima.MILESTONES] == [100, 150, 185]
    check_descent(data, [0.1] * 20 + [0.01] * 10 + [0.001] * 7 + [0.0001] * 3)


def test_the_learning_rate_does_not_fall_before_the_first_epoch_has_ended(linear, data):
    check_descent(data, [0.1])


def loop_of_a_reader(data, network, *, epochs, batch, learning_rate):
    """Train one network by `torch.optim.SGD`, one minibatch after another, without a fall of the learning rate."""
    labels = random_labels(data.train_labels, network["seed"]) if network.get("random_labels") else data.train_labels
    model = Architecture(depth=10, width=1, base=2).network(seed=network["seed"])
    optimizer = torch.optim.SGD(
        model.parameters(), lr=learning_rate, momentum=0.9, weight_decay=network["weight_decay"]
    )
    stream = image_epochs(data.train_images, labels, batch=batch, augment=network["augment"], purpose="training")(
        network["seed"]
    )
    return model, labels, [train_epoch(model, optimizer, next(stream)) for _ in range(epochs)]


@pytest.mark.parametrize("number", range(3))
def test_each_network_is_trained_as_a_reader_would_do_it(data, number, monkeypatch):
    monkeypatch.setattr(minima, "MILESTONES", ())
    epochs = 2
    result = train_minima(**{**TRAINING, "epochs": epochs}, networks=NETWORKS)
    model, labels, history = loop_of_a_reader(data, NETWORKS[number], epochs=epochs, batch=16, learning_rate=0.1)
    np.testing.assert_allclose(result["history"][number], history, rtol=1e-4)
    expected = flatten(model).numpy()
    assert np.linalg.norm(result["parameters"][number] - expected) < 1e-4 * np.linalg.norm(expected)
    assert (result["train_loss"][number], result["train_accuracy"][number]) == pytest.approx(
        evaluate(model, data.train_images, labels), rel=1e-3
    )


def test_one_step_of_a_residual_network_is_the_one_in_double_precision(data):
    result = train_minima(**{**TRAINING, "epochs": 1, "batch": 40}, networks=NETWORKS[2:])
    exact = Architecture(depth=10, width=1, base=2).network(seed=0).double()
    functional.cross_entropy(exact(data.train_images.double()), data.train_labels).backward()
    start = flatten(exact)
    steps = [-0.1 * (p.grad + 0.05 * p.detach()) for p in exact.parameters()]
    moved = torch.from_numpy(result["parameters"][0]).double() - start
    expected = nn.utils.parameters_to_vector(steps)
    assert (moved - expected).norm() < 1e-4 * expected.norm()


def test_a_network_does_not_depend_on_those_that_it_is_trained_with_to_the_last_bit(trained):
    for numbers in ([0], [2, 1], [1] * 9 + [0]):
        some = train_minima(**TRAINING, networks=[NETWORKS[number] for number in numbers])
        for name, values in some.items():
            assert values.tobytes() == trained[name][numbers].tobytes(), name


def test_minima_repeat_and_their_seeds_matter(trained):
    first, seed, elsewhere = (
        train_minima(**{**TRAINING, **change}, networks=[{**NETWORKS[0], **own}])["parameters"][0]
        for change, own in (({}, {}), ({}, {"seed": 1}), ({"images": {"train": 40, "seed": 1}}, {}))
    )
    assert first.tobytes() == trained["parameters"][0].tobytes()
    assert not np.array_equal(first, seed) and not np.array_equal(first, elsewhere)


def test_a_minimum_is_described_by_its_parameters(trained, data):
    assert {name: (array.shape, str(array.dtype)) for name, array in trained.items()} == {
        "parameters": ((3, trained["parameters"].shape[1]), "float32"),
        "history": ((3, 4), "float64"),
        "diverged": ((3,), "int64"),
        **{f"{part}_{what}": ((3,), "float64") for part in ("train", "test") for what in ("loss", "accuracy")},
    }
    assert (trained["history"][:, -1] < trained["history"][:, 0]).all() and not trained["diverged"].any()
    for number, network in enumerate(NETWORKS):
        model = Architecture(depth=10, width=1, base=2).network()
        load_parameters(model, trained["parameters"][number])
        labels = random_labels(data.train_labels, 1) if network.get("random_labels") else data.train_labels
        train = evaluate(model, data.train_images, labels)
        test = evaluate(model, data.test_images, data.test_labels, statistics_from=data.train_images)
        assert (trained["train_loss"][number], trained["train_accuracy"][number]) == train
        assert (trained["test_loss"][number], trained["test_accuracy"][number]) == test


def test_an_easy_question_is_learnt(monkeypatch, data):
    easy = (data.train_images.flatten(1).mean(1) > 0).long()
    monkeypatch.setattr(minima, "random_labels", lambda labels, seed: easy)
    network = {"seed": 0, "weight_decay": 1e-3, "augment": False, "random_labels": True}
    result = train_minima(**{**TRAINING, "epochs": 20}, networks=[network])
    assert result["train_accuracy"][0] > 0.95


def test_random_labels_are_drawn_anew_all_classes_equally_likely():
    right = torch.arange(10_000) % 10
    labels = random_labels(right, 0)
    assert torch.equal(labels, random_labels(right.flip(0), 0)) and not torch.equal(labels, random_labels(right, 1))
    counts = np.bincount(labels, minlength=10)
    assert len(counts) == 10 and np.abs(counts - 1000).max() < 5 * 30
    assert (labels == right).double().mean().item() == pytest.approx(0.1, abs=5 * 0.003)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"networks": []}, "0 networks and 4 epochs: use at least one of each"),
        ({"epochs": 0}, "3 networks and 0 epochs: use at least one of each"),
        ({"networks": [{"seed": 0}]}, r"seed, weight_decay \(random_labels is optional\), not {'seed': 0}"),
        ({"networks": [{**NETWORKS[0], "decay": 0}]}, "not {'seed': 0, 'weight_decay': 0.001, .*'decay': 0}"),
        ({"learning_rate": 1e30}, r"The loss of WRN 10-1 with {'seed': 0.*}, batch 16, is (nan|inf) in epoch \d at"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_a_sentence(options, message):
    with pytest.raises(UserError, match=message):
        train_minima(**{**TRAINING, "networks": NETWORKS, **options})


def sampled(parameters, **options):
    defaults = {"sampling": "jump_and_retrain", "seeds": [2, 5], "steps": [0.5], "epochs": 2, "batch": 16}
    return sample_minimum(parameters=parameters, **{**NETWORK, **defaults, "learning_rate": 0.05, **options})


@pytest.mark.parametrize("augment", [True, False])
def test_jump_and_retrain_around_a_minimum_is_the_loop_of_a_reader(trained, data, augment):
    probes = [2, 7]
    result = sampled(trained["parameters"][0], augment=augment, weight_decay=1e-3, probes=probes)
    model = Architecture(depth=10, width=1, base=2).network(seed=9)
    load_parameters(model, trained["parameters"][0])
    optimum, points, losses = flatten(model), [], []
    directions = torch.stack([direction_of(model, seed) for seed in probes]).double().numpy()
    for seed in (2, 5):
        load_parameters(model, optimum)
        jump(model, optimum, filter_normalised_direction(model, generator_for(seed, "direction")), 0.5)
        settings = {"epochs": 2, "batch": 16, "learning_rate": 0.05, "weight_decay": 1e-3, "augment": augment}
        for _ in retrain(model, data, **settings, seed=seed):
            points.append((flatten(model) - optimum).double().numpy())
            losses.append(evaluate(model, data.train_images, data.train_labels))
    points, record = np.array(points), Record.from_arrays(result)
    np.testing.assert_allclose(record.gram, points @ points.T, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(np.column_stack([record.loss, record.accuracy]), losses, rtol=1e-4)
    np.testing.assert_allclose(result["probed"], points @ directions.T, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(result["probe_gram"], directions @ directions.T, rtol=1e-12)
    assert record.optimum_loss == pytest.approx(trained["train_loss"][0], rel=1e-6)
    assert record.seed.tolist() == [2, 2, 5, 5] and record.epoch.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("sampling", ["line", "plane", "grid", "naive", "jump_and_retrain"])
def test_a_minimum_of_random_labels_is_sampled_with_its_own(trained, data, sampling):
    options = {
        "line": {"counts": [3]},
        "plane": {"counts": [2, 2]},
        "grid": {"counts": [2, 2, 2]},
        "naive": {"seeds": [0, 1], "steps": [1.0]},
        "jump_and_retrain": {"seeds": [0], "steps": [1.0], "epochs": 1, "batch": 16},
    }[sampling]
    result = sample_minimum(parameters=trained["parameters"][1], **NETWORK, sampling=sampling, label_seed=1, **options)
    assert Record.from_arrays(result).optimum_loss == pytest.approx(trained["train_loss"][1], rel=1e-6)
    assert ("probed" in result) is (sampling == "jump_and_retrain")


def test_retraining_learns_the_random_labels_too(trained):
    own, right = (
        Record.from_arrays(sampled(trained["parameters"][1], label_seed=seed, seeds=[0], epochs=3))
        for seed in (1, None)
    )
    assert not np.allclose(own.gram, right.gram, rtol=1e-2)


def test_probes_see_the_jump_exactly(trained):
    parameters = trained["parameters"][0]
    model = Architecture(depth=10, width=1, base=2).network()
    load_parameters(model, parameters)
    jumped, probed = (direction_of(model, seed).double().numpy() for seed in (2, 7))
    result = sampled(parameters, seeds=[2], steps=[0.25, 1.0], epochs=1, probes=[7, 2])
    expected = np.outer([0.25, 1.0], [jumped @ probed, jumped @ jumped])
    np.testing.assert_allclose(result["probed"], expected, rtol=1e-4, atol=1e-4)


def test_a_sampling_that_does_not_exist_and_a_missing_batch_are_named(trained):
    with pytest.raises(UserError, match=r"no sampling 'plain'\. Did you mean 'plane'"):
        sampled(trained["parameters"][0], sampling="plain")
    with pytest.raises(UserError, match="Jump and retrain needs `batch`, the number of images of a minibatch"):
        sampled(trained["parameters"][0], batch=None)
    with pytest.raises(UserError, match="does not fit a network with"):
        sampled(trained["parameters"][0][:-1])


def test_both_tasks_can_be_stored_and_read_back_to_the_bit(marks, trained):
    arguments = {**TRAINING, "networks": NETWORKS}
    stored = store.get_or_compute(train_minima, arguments)
    assert all(stored[name].tobytes() == values.tobytes() for name, values in trained.items())
    sampling = {**NETWORK, "parameters": stored["parameters"][0], "sampling": "naive", "seeds": [0], "steps": [0.5]}
    first = store.get_or_compute(minima.sample_minimum, sampling)
    json.dumps({name: value for name, value in first.items() if not isinstance(value, np.ndarray)}, allow_nan=False)
    again = store.get_or_compute(minima.sample_minimum, {**sampling, "parameters": trained["parameters"][0].copy()})
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert len(list(store.path_of(minima.sample_minimum, sampling).parent.glob("*.json"))) == 1


def test_others_go_on_where_one_diverges_if_asked_to():
    networks = [{"seed": 0, "weight_decay": decay, "augment": False} for decay in (0.0, 1e30)]
    with pytest.raises(UserError, match=r"'weight_decay': 1e\+30.*is (nan|inf) in epoch"):
        train_minima(**TRAINING, networks=networks)
    together = train_minima(**TRAINING, networks=networks, keep_going=True)
    alone = train_minima(**TRAINING, networks=networks[:1])
    assert together["diverged"][0] == 0 < together["diverged"][1] <= TRAINING["epochs"]
    assert np.array_equal(together["parameters"][0], alone["parameters"][0])
    first = int(together["diverged"][1]) - 1
    assert np.isfinite(together["history"][1, :first]).all() and not np.isfinite(together["history"][1, first])


def test_the_first_training_images_alone_may_be_evaluated_and_test_images_beside_them(data):
    model = Architecture(depth=10, width=1, base=2).network()
    settings = {**NETWORK, "images": {"train": 40, "evaluated": 24}, "sampling": "naive"}
    around = {"parameters": flatten(model).numpy(), "seeds": [0], "steps": [0.0, 0.5]}
    record = sample_minimum(**settings, **around, held_out=30)
    expected = evaluate(model, data.train_images[:24], data.train_labels[:24])
    assert (record["loss"][0], record["accuracy"][0]) == pytest.approx(expected, rel=1e-5)
    # Test images have statistics of their own here.
    assert record["held_out_loss"][0] == pytest.approx(
        evaluate(model, data.test_images[:30], data.test_labels[:30])[0], rel=1e-5
    )


def test_an_unknown_dataset_is_refused_with_the_nearest_one():
    with pytest.raises(UserError, match=r"There is no dataset 'cifar'\. Did you mean 'cifar10'"):
        train_minima(**{**TRAINING, "images": {"train": 40, "data": "cifar"}}, networks=NETWORKS)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"epochs": 2.5}, "epochs is 2.5; a whole number from 0"),
        ({"batch": 0}, "batch is 0; a whole number from 1"),
        ({"learning_rate": float("nan")}, "learning_rate is nan; a finite number from 0"),
        ({"learning_rate": -0.1}, "learning_rate is -0.1; a finite number from 0"),
        ({"images": {"train": 40, "device": "gpu"}}, "There is no device 'gpu'; valid are auto, cpu, cuda"),
        ({"images": {"train": 40, "data": ["digits"]}}, r"There is no dataset \['digits'\]: it is chosen by name"),
        ({"networks": [{**NETWORKS[0], "weight_decay": float("nan")}]}, "weight_decay is nan; a finite number from 0"),
        ({"networks": [{**NETWORKS[0], "seed": -1}]}, "seed is -1; a whole number from 0"),
        ({"architecture": {"depth": 10, "width": 0, "base": 2}}, "width is 0; a whole number from 1"),
        ({"images": {"train": 32.0}}, "train is 32.0; a whole number from 1"),
    ],
)
def test_settings_of_another_kind_are_refused(wrong, sentence):
    with pytest.raises(UserError, match=sentence):
        train_minima(**{**TRAINING, "networks": NETWORKS, **wrong})


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"images": {"train": 40, "evaluated": -1}}, "evaluated is -1; a whole number from 1"),
        ({"images": {"train": 40, "evaluated": 0}}, "evaluated is 0; a whole number from 1"),
        ({"held_out": -1}, "held_out is -1; a whole number from 0"),
        ({"probes": [1, 1]}, r"probes is \[1, 1\]; a list of different whole numbers"),
        ({"sampling": ["line"]}, r"There is no sampling \['line'\]: it is chosen by name"),
        ({"learning_rate": float("nan")}, "learning_rate is nan; a finite number from 0"),
        ({"momentum": -1}, "momentum is -1; a finite number from 0"),
        ({"weight_decay": "none"}, "weight_decay is 'none'; a finite number from 0"),
    ],
)
def test_samplings_of_another_kind_are_refused(trained, wrong, sentence):
    with pytest.raises(UserError, match=sentence):
        sampled(trained["parameters"][0], **wrong)


def test_random_labels_are_made_from_labels():
    with pytest.raises(UserError, match="labels is a list; a tensor is needed"):
        random_labels([1, 2], 0)
