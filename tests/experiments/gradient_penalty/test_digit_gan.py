"""Digits and their judge: the features, and what a run records."""

import numpy as np
import pytest
import torch

from shapeofloss.adversarial.quality import frechet_distance, wasserstein
from shapeofloss.datasets.digits import load_digits
from shapeofloss.errors import UserError
from shapeofloss.experiments.gradient_penalty import digit_gan

SMALL = {
    "latent": 4,
    "width": 8,
    "schedule": {"steps": 4, "critic_steps": 2, "batch": 8, "cosine": True},
    "rate": 1e-3,
    "checkpoints": 2,
    "train_images": 200,
    "classifier_steps": 20,
    "seed": 3,
}


def digits(train, seed):
    data = load_digits(train=train, seed=seed).rows()
    return data.train_images, data.train_labels, data.test_images, data.test_labels


def test_the_classifier_tells_unseen_digits_apart_as_well_as_a_nearest_neighbour_nearly():
    neighbors = pytest.importorskip("sklearn.neighbors")
    images, labels, unseen, classes = digits(1000, 1)
    model = digit_gan.classifier(images, labels, steps=200, seed=1)
    ours = (digit_gan.predictions(model, unseen) == classes.numpy()).mean()
    theirs = neighbors.KNeighborsClassifier(1).fit(images, labels).score(unseen, classes)
    assert theirs - 0.06 < ours <= 1


def test_features_are_what_the_last_affine_map_reads():
    images, labels, unseen, _ = digits(100, 1)
    model = digit_gan.classifier(images, labels, steps=5, seed=1)
    found = digit_gan.features(model, unseen)
    assert found.shape == (797, digit_gan.FEATURES) and (found >= 0).all()
    last = model[-1]
    scores = found @ last.weight.detach().double().numpy().T + last.bias.detach().double().numpy()
    assert np.array_equal(scores.argmax(axis=1), digit_gan.predictions(model, unseen))


def test_a_class_counts_as_covered_from_a_fifth_of_its_share_on():
    assert digit_gan.classes_covered(np.repeat(np.arange(10), 10)) == 10
    assert digit_gan.classes_covered([0] * 98 + [1] * 2) == 2
    assert digit_gan.classes_covered([0] * 99 + [1]) == 1


@pytest.mark.parametrize("method", ["non-saturating GAN", "WGAN-GP"])
def test_a_run_records_every_checkpoint_and_orders_the_references(method):
    found = digit_gan.digit_run(method=method, strength=10.0, **SMALL)
    assert found["at"].tolist() == [0, 2, 4] and found["samples"].shape == (3, 797, 64)
    assert found["values"].shape == found["norms"].shape == (4,)
    assert np.isfinite(found["norms"]).all() == (method == "WGAN-GP")
    assert 0 < found["wasserstein_floor"] < found["wasserstein"].min()
    assert 0 <= found["floor"] < found["gaussian"] < found["noise"]
    assert 0.1 < found["accuracy"] <= 1 and (found["classes"] >= 1).all()


def test_samples_are_measured_against_images_that_neither_network_has_seen():
    found = digit_gan.digit_run(method="WGAN-GP", strength=10.0, **SMALL)
    images, labels, unseen, _ = digits(200, 3)
    judge = digit_gan.classifier(images, labels, steps=20, seed=3)
    made, aim = found["samples"][-1], digit_gan.features(judge, unseen)
    expected = frechet_distance(digit_gan.features(judge, torch.from_numpy(made)), aim)
    assert found["frechet"][-1] == pytest.approx(expected)
    assert found["wasserstein"][-1] == pytest.approx(wasserstein(made, unseen.numpy()))
    known = frechet_distance(digit_gan.features(judge, images), aim)
    assert found["floor"] == pytest.approx(known) and found["floor"] < found["mixture"] < found["noise"] / 3


def test_a_critic_learns_to_score_data_higher_and_a_stronger_penalty_holds_it_back():
    setting = SMALL | {"schedule": SMALL["schedule"] | {"steps": 20}, "rate": 1e-2, "checkpoints": 1}
    weak, strong = (digit_gan.digit_run(method="WGAN-GP", strength=own, **setting) for own in (0.1, 100.0))
    assert weak["value"][-1] > strong["value"][-1] > 0
    assert weak["norms"][-1] > strong["norms"][-1]


def test_a_run_repeats_from_its_seed():
    first, again = (digit_gan.digit_run(method="WGAN-GP", strength=10.0, **SMALL) for _ in range(2))
    assert np.array_equal(first["samples"], again["samples"]) and np.array_equal(first["value"], again["value"])


def test_checkpoints_have_to_divide_the_steps_and_methods_to_exist():
    with pytest.raises(UserError, match="4 steps cannot be divided into 3"):
        digit_gan.digit_run(method="WGAN-GP", strength=10.0, **{**SMALL, "checkpoints": 3})
    with pytest.raises(UserError, match="WGAN-GP"):
        digit_gan.digit_run(method="WGAN-G", **SMALL)


def test_labels_are_classes():
    for labels in ([], [-1], [10], [0.5], [np.nan], [[1]]):
        with pytest.raises(UserError, match=r"labels|Labels"):
            digit_gan.classes_covered(labels)
