"""Reading labels from features: made-up features whose answer is known, and what a control has to destroy."""

import numpy as np
import pytest

from shapeofloss.errors import UserError
from shapeofloss.experiments.reading_generalisation.reading import (
    classifiers,
    exchanged,
    features_of,
    quantile_classes,
    read_labels,
    scrambled,
)

LABELS = np.repeat(np.arange(3), 12)


def informed(noise):
    return np.eye(3)[LABELS] + noise * np.random.default_rng(0).normal(size=(36, 3))


def test_labels_that_stand_in_the_features_are_read_by_all_eleven():
    correct = read_labels(features=informed(0.05), labels=LABELS, seed=0)["correct"]
    assert correct.shape == (11, 36) and (correct.mean(axis=1) == 1).all()


def test_features_that_know_nothing_give_chance():
    noise = np.random.default_rng(1).normal(size=(36, 6))
    shares = [read_labels(features=noise, labels=LABELS, seed=seed)["correct"].mean() for seed in range(2)]
    assert abs(np.mean(shares) - 1 / 3) < 0.12


def test_no_network_is_learned_from_when_it_is_guessed():
    # Every network is its own class mate's copy but for the label: whoever peeks would be right.
    features = np.random.default_rng(2).normal(size=(36, 4))
    peeking = read_labels(features=features, labels=LABELS, seed=0)["correct"]
    assert peeking[list(classifiers(0)).index("nearest neighbours")].mean() < 0.7
    assert peeking[list(classifiers(0)).index("decision tree")].mean() < 0.7  # 1 on what it was grown from


def test_the_seed_fixes_folds_and_classifiers():
    first, again, other = (read_labels(features=informed(2.0), labels=LABELS, seed=s)["correct"] for s in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_what_cannot_be_read_is_refused():
    with pytest.raises(UserError, match="not finite"):
        read_labels(features=np.full((36, 2), np.nan), labels=LABELS, seed=0)
    with pytest.raises(UserError, match="single network"):
        read_labels(features=informed(1), labels=np.arange(36), seed=0)


def test_features_are_losses_then_accuracies():
    samples = [{"loss": np.array([1.0, 2.0]), "accuracy": np.array([0.5, 0.25])}] * 2
    assert features_of(samples).tolist() == [[1.0, 2.0, 0.5, 0.25]] * 2


def test_an_exchange_moves_whole_rows_and_a_scramble_keeps_pairs_in_each_row():
    features = np.concatenate([np.arange(20.0).reshape(4, 5), 100 + np.arange(20.0).reshape(4, 5)], axis=1)
    moved = exchanged(features, 0)
    assert sorted(map(tuple, moved)) == sorted(map(tuple, features)) and not np.array_equal(moved, features)
    mixed = scrambled(features, 0)
    assert np.array_equal(mixed[:, 5:] - mixed[:, :5], np.full((4, 5), 100.0))
    assert np.array_equal(np.sort(mixed, axis=1), features)
    orders = mixed[:, :5] - features[:, :1]
    assert len({tuple(row) for row in orders}) > 1  # each network in an order of its own


@pytest.mark.parametrize("count", [108, 107, 11])
def test_classes_are_cut_by_rank_and_nearly_equal(count):
    values = np.random.default_rng(0).normal(size=count)
    classes = quantile_classes(values)
    sizes = np.bincount(classes, minlength=5)
    assert sizes.max() - sizes.min() <= 1
    assert all(values[classes == k].max() < values[classes == k + 1].min() for k in range(4))


@pytest.mark.parametrize(("values", "classes"), [([1.0, 2.0], 0), ([1.0, 2.0], 1), ([1.0, np.nan], 2), (3.0, 2)])
def test_classes_of_what_has_no_order_are_refused(values, classes):
    with pytest.raises(UserError):
        quantile_classes(values, classes=classes)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: features_of([]), "There is no network to take features of"),
        (
            lambda: features_of([{"loss": [1.0, 2.0], "accuracy": [0.5, 0.5]}, {"loss": [1.0], "accuracy": [0.5]}]),
            r"The loss of network 1 has shape \(1,\); \(2,\) is needed",
        ),
        (lambda: features_of([{"loss": [1.0, 2.0], "accuracy": [0.5]}]), "The accuracy of network 0 has shape"),
        (lambda: scrambled(np.zeros((3, 5)), 0), "half of the columns are losses, half accuracies"),
        (lambda: scrambled(np.zeros(4), 0), r"\(n, 2 p\) is needed"),
        (lambda: scrambled(np.zeros((3, 4)), -1), "seed is -1; a whole number from 0"),
        (lambda: exchanged(np.zeros((3, 4)), 0.5), "seed is 0.5; a whole number from 0"),
        (lambda: read_labels(features=np.zeros((4, 2)), labels=np.zeros(3), seed=0), "one label for each row"),
        (lambda: read_labels(features=np.zeros(4), labels=np.zeros(4), seed=0), "one label for each row"),
        (
            lambda: read_labels(features=np.zeros((4, 2)), labels=np.zeros(4), seed=0),
            "The labels are of 1 classes: two",
        ),
        (lambda: read_labels(features="losses", labels=np.zeros(4), seed=0), "features is no array of numbers"),
    ],
)
def test_what_cannot_be_read_is_refused_in_a_sentence(call, sentence):
    with pytest.raises(UserError, match=sentence):
        call()
