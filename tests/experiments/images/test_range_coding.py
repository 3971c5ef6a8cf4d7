"""Bytes of an image: at the claimed rate, read back exactly, or refused."""

import math

import numpy as np
import pytest
import torch
from small_vae import MODEL, TRAINING

from shapeofloss.datasets.photographs import photograph
from shapeofloss.errors import UserError
from shapeofloss.experiments.images.range_coding import HEADER, compress, decompress
from shapeofloss.signloss.residual_vae import ResidualVAE, trained_model
from shapeofloss.signloss.train_models import train_images


@pytest.fixture(scope="module")
def model():
    return trained_model(train_images(**TRAINING)["parameters"], **MODEL)


@pytest.fixture(scope="module")
def image():
    return 2 * torch.from_numpy(photograph("chelsea")[:61, :90].transpose(2, 0, 1) / 255).float() - 1


@pytest.mark.parametrize("weight", [16.0, 100.3, 1024.0])
def test_an_image_is_written_and_read_back_exactly_at_the_claimed_rate(model, image, weight):
    data, rebuilt, bits = compress(model, image, weight)
    assert rebuilt.shape == image.shape
    assert torch.equal(decompress(model, data), rebuilt)
    assert (len(data) - HEADER.size) * 8 == pytest.approx(bits, rel=0.02, abs=64)


def test_a_larger_weight_costs_more_bits_and_gives_a_nearer_image(model, image):
    coarse, fine = (compress(model, image, weight) for weight in (16.0, 1024.0))
    assert fine[2] > 1.3 * coarse[2]
    assert float((fine[1] - image).square().mean()) < float((coarse[1] - image).square().mean())


def test_other_bytes_are_refused(model, image):
    data, _, _ = compress(model, image, 64.0)
    spoiled = data[:20] + bytes([data[20] ^ 255]) + data[21:]
    for other in (spoiled, data[:-4], data + bytes(4), data[: HEADER.size]):
        with pytest.raises(UserError, match="cut short, or changed"):
            decompress(model, other)
    for nothing in (b"", b"123", data[:-1]):
        with pytest.raises(UserError, match="are no coded image"):
            decompress(model, nothing)
    with pytest.raises(UserError, match="all have to be positive"):
        decompress(model, HEADER.pack(0, 8, 1.0, 0))


@pytest.mark.parametrize("weight", [0.0, -1.0, math.nan, math.inf, 1e-60, 1e60, "2"])
def test_a_lambda_that_is_not_positive_is_refused(model, image, weight):
    with pytest.raises(UserError, match="lambda is"):
        compress(model, image, weight)


def test_what_is_no_image_is_refused(model):
    for wrong in (
        torch.full((3, 8, 8), math.nan),
        torch.zeros(3, 1, 70_000),
        torch.zeros(3, 0, 8),
        np.zeros((3, 8, 8)),
    ):
        with pytest.raises(UserError, match=r"finite|pixels|a tensor is needed"):
            compress(model, wrong, 16.0)
    with pytest.raises(UserError, match=r"\(3, height, width\) is needed"):
        compress(model, torch.zeros(1, 8, 8), 16.0)


def test_an_image_in_double_precision_or_with_gradients_has_the_bytes_of_the_plain_one(model, image):
    data, rebuilt, _ = compress(model, image, 64.0)
    for other in (image.double(), image.clone().requires_grad_()):
        again, same, _ = compress(model, other, 64.0)
        assert again == data and torch.equal(same, rebuilt) and not same.requires_grad
    with pytest.raises(UserError, match=r"model\.float\(\)"):
        compress(ResidualVAE(**MODEL).double().eval(), image, 64.0)
