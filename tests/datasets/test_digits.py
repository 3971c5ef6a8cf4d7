import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn import datasets

from shapeofloss.datasets.digits import binary_digits, digit_clouds, load_digits, shifted
from shapeofloss.errors import UserError

NINE_SHIFTS = [(down, right) for down in (0, 1, 2) for right in (0, 1, 2)]


@pytest.fixture(scope="module")
def largest():
    return load_digits(train=1000, seed=3)


def test_shapes_and_types_are_those_that_torch_wants():
    data = load_digits(seed=0)
    assert data.train_images.shape == (256, 1, 8, 8) and data.test_images.shape == (797, 1, 8, 8)
    assert data.train_labels.shape == (256,) and data.test_labels.shape == (797,)
    assert data.train_images.dtype == data.test_images.dtype == torch.float32
    assert data.train_labels.dtype == data.test_labels.dtype == torch.int64


def test_training_and_test_images_together_are_the_digits_each_once(largest):
    images = torch.cat([largest.train_images, largest.test_images]).double().numpy().reshape(-1, 64)
    labels = torch.cat([largest.train_labels, largest.test_labels]).numpy()
    grey = np.round(16 * (images - images.min()) / (images.max() - images.min()))
    ours, theirs = np.column_stack([grey, labels]), np.column_stack(datasets.load_digits(return_X_y=True))
    assert sorted(map(tuple, ours)) == sorted(map(tuple, theirs))


@pytest.mark.parametrize("train", [16, 256, 1000])
def test_the_training_pixels_alone_are_scaled_to_zero_mean_and_unit_deviation(train):
    data = load_digits(train=train, seed=1)
    assert data.train_images.double().mean().item() == pytest.approx(0, abs=1e-6)
    assert data.train_images.double().std(correction=0).item() == pytest.approx(1, abs=1e-6)
    assert abs(data.test_images.double().mean().item()) > 1e-6


@pytest.mark.parametrize("train", [37, 256, 1000])
def test_every_class_has_its_share_of_both_sets(train):
    data = load_digits(train=train, seed=2)
    shares = np.bincount(datasets.load_digits().target) / 1797
    assert np.abs(np.bincount(data.train_labels, minlength=10) - train * shares).max() < 3
    assert np.abs(np.bincount(data.test_labels) - 797 * shares).max() < 3


def test_a_larger_training_set_contains_a_smaller_one_and_shares_its_test_images(largest):
    small = load_digits(train=100, seed=3)
    assert torch.equal(small.train_labels, largest.train_labels[:100])
    assert torch.equal(small.test_labels, largest.test_labels)
    scaled_alike = np.corrcoef(small.test_images.flatten(), largest.test_images.flatten())[0, 1]
    assert scaled_alike == pytest.approx(1, abs=1e-6)


def test_the_seed_decides_the_split():
    first, again, other = (load_digits(seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first.train_images, again.train_images)
    assert not torch.equal(first.train_images, other.train_images)


@pytest.mark.parametrize("train", [0, 1001, 2.0, "9", True, None])
def test_a_size_out_of_range_names_the_range(train):
    with pytest.raises(UserError, match=f"train is {train!r}; a whole number from 1 to 1000 is needed"):
        load_digits(train=train, seed=0)


@pytest.mark.parametrize("seed", [-1, 0.5, "0", None])
def test_what_is_no_seed_is_refused(seed):
    with pytest.raises(UserError, match=f"seed is {seed!r}; a whole number from 0"):
        load_digits(seed=seed)


def test_digits_are_rows_of_pixels_without_overlap_between_training_and_test():
    data = load_digits(train=300, seed=1).rows()
    images, labels, unseen, classes = data.train_images, data.train_labels, data.test_images, data.test_labels
    assert images.shape == (300, 64) and unseen.shape == (797, 64)
    assert labels.shape == (300,) and classes.shape == (797,)
    assert images.mean().item() == pytest.approx(0, abs=1e-5) and images.std().item() == pytest.approx(1, abs=1e-3)


def test_digits_are_binary_and_train_and_test_share_none_of_their_places():
    train, test = binary_digits(train=100, seed=3)
    assert set(torch.cat([train, test]).unique().tolist()) == {0.0, 1.0}
    assert (len(train), len(test)) == (100, 797)
    assert 0.3 < train.mean() < 0.6


def test_digits_are_split_into_points_of_the_unit_cube_that_keep_their_grey_levels():
    known, test = digit_clouds(0)
    assert known.shape == (1000, 64) and test.shape == (797, 64)
    both = np.concatenate([known, test])
    assert both.min() >= 0 and both.max() < 1
    grey = np.floor(both * 17).astype(int)
    theirs = datasets.load_digits().data.astype(int)
    assert sorted(map(tuple, grey)) == sorted(map(tuple, theirs))
    assert not np.array_equal(known, digit_clouds(1)[0])


def test_each_shifted_image_is_one_of_nine_shifts_and_all_are_about_equally_frequent(largest):
    images = largest.train_images
    moved = shifted(images, torch.Generator().manual_seed(0))
    padded = np.pad(images.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=images.min().item())
    candidates = np.stack([padded[:, :, down : down + 8, right : right + 8] for down, right in NINE_SHIFTS])
    same = (candidates == moved.numpy()).all(axis=(2, 3, 4))
    assert same.any(axis=0).all()
    counts = same.sum(axis=1)
    assert np.abs(counts - 1000 / 9).max() < 4 * np.sqrt(1000 / 9)


def test_every_digit_shows_background_so_that_its_smallest_value_is_grey_level_zero():
    assert (datasets.load_digits().images.min(axis=(1, 2)) == 0).all()


def test_the_channels_of_an_image_move_together():
    image = torch.rand(50, 1, 6, 5, generator=torch.Generator().manual_seed(0))
    moved = shifted(image.repeat(1, 3, 1, 1), torch.Generator().manual_seed(1))
    assert moved.shape == (50, 3, 6, 5)
    assert torch.equal(moved[:, 0], moved[:, 2])
    assert torch.equal(moved[:, :1], shifted(image, torch.Generator().manual_seed(1)))


def test_the_digits_are_those_of_the_data_card():
    digits = datasets.load_digits()
    content = digits.images.astype(np.uint8).tobytes() + digits.target.astype(np.uint8).tobytes()
    card = (Path(__file__).parents[2] / "data" / "README.md").read_text(encoding="utf-8")
    assert hashlib.sha256(content).hexdigest() in card
