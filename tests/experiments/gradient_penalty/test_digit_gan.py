"""Digits and their judge: the features, the dimension estimate, and what a run records."""

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
    "steps": 4,
    "critic_steps": 2,
    "batch": 8,
    "rate": 1e-3,
    "cosine": True,
    "checkpoints": 2,
    "train_images": 200,
    "classifier_steps": 20,
    "seed": 3,
}


def digits(train, seed):
    data = load_digits(train=train, seed=seed).rows()
    return data.train_images, data.train_labels, data.test_images, data.test_labels


@pytest.fixture(autouse=True)
def one_thread():
    """Networks this small are slower on several threads, and far slower on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


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


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_the_dimension_of_a_flat_piece_does_not_depend_on_the_space_around_it(dimension):
    rng = np.random.default_rng(dimension)
    flat = rng.random((3000, dimension))
    turned = flat @ np.linalg.qr(rng.standard_normal((64, dimension)))[0].T
    assert digit_gan.intrinsic_dimension(turned) == pytest.approx(dimension, rel=0.1)
    assert digit_gan.intrinsic_dimension(7 * turned + 1) == pytest.approx(digit_gan.intrinsic_dimension(turned))


def test_the_dimension_of_a_ring_is_one_and_of_a_filled_square_two():
    angles = np.random.default_rng(0).uniform(0, 2 * np.pi, 2000)
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert digit_gan.intrinsic_dimension(ring) == pytest.approx(1, rel=0.05)
    assert digit_gan.intrinsic_dimension(np.random.default_rng(0).random((2000, 2))) == pytest.approx(2, rel=0.05)


def test_the_dimension_needs_enough_points_and_no_equal_ones():
    with pytest.raises(UserError, match="5 points are too few for 10 neighbours"):
        digit_gan.intrinsic_dimension(np.eye(5))
    with pytest.raises(UserError, match="Two points are equal"):
        digit_gan.intrinsic_dimension(np.zeros((20, 3)))


@pytest.mark.parametrize("method", digit_gan.METHODS)
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
    setting = SMALL | {"steps": 20, "rate": 1e-2, "checkpoints": 1}
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


def test_labels_are_classes_and_neighbours_have_distances_that_grow():
    for labels in ([], [-1], [10], [0.5], [np.nan], [[1]]):
        with pytest.raises(UserError, match=r"labels|Labels"):
            digit_gan.classes_covered(labels)
    with pytest.raises(UserError, match="All neighbours are equally far"):
        digit_gan.intrinsic_dimension(np.eye(12), neighbours=11)
    with pytest.raises(UserError, match=r"neighbours is 2\.5"):
        digit_gan.intrinsic_dimension(np.eye(12), neighbours=2.5)
