"""What the networks are: sizes, initial weights, and what a decoder does with a place of the code."""

import pytest
import torch

from shapeofloss.errors import UserError
from shapeofloss.signloss.autoencoders import convolutional_autoencoder, perceptron_autoencoder


def test_initial_weights_follow_the_seed_and_the_initialisation():
    plain, again, he = (
        perceptron_autoencoder(512, 64, 2, seed=5, initialisation=kind) for kind in ("default", "default", "he")
    )
    assert torch.equal(plain[0].weight, again[0].weight)
    assert plain[0].weight.var().item() * 512 == pytest.approx(1 / 3, rel=0.05)
    assert he[0].weight.var().item() * 512 == pytest.approx(2, rel=0.05) and not he[0].bias.any()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"initialisation": "He"}, "There is no initialisation 'He'. Did you mean 'he'"),
        ({"initialisation": None}, "There is no initialisation None"),
        ({"size": 0}, "size is 0"),
        ({"hidden": 2.0}, "hidden is 2.0"),
        ({"latent": "2"}, "latent is '2'"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_perceptrons_that_cannot_be_are_refused(change, sentence):
    with pytest.raises(UserError, match=sentence):
        perceptron_autoencoder(**{"size": 4, "hidden": 3, "latent": 2, "seed": 0, **change})


def test_the_autoencoder_of_volumes_halves_twice_and_has_the_sizes_of_the_paper():
    model = convolutional_autoencoder((64, 128), seed=0, dropout=0.1)
    x = torch.zeros(1, 8, 64, 64)
    code = model[0](x)
    assert code.shape == (1, 128, 2, 16, 16) and model(x).shape == x.shape


@pytest.mark.parametrize("axis", [2, 3, 4])
def test_the_decoder_moves_by_four_when_the_code_moves_by_one_and_by_no_less(axis):
    decoder = convolutional_autoencoder((4, 8), seed=900)[1]
    shape = [1, 8, 4, 4, 4]
    shape[axis] = 12
    code = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        plain, moved = decoder(code), decoder(code.roll(1, dims=axis))
    apart = [
        float((plain.narrow(axis - 1, 8, 28) - moved.narrow(axis - 1, 8 + by, 28)).abs().max()) for by in (1, 2, 3, 4)
    ]
    assert apart[3] < 1e-6 < 1e-2 < min(apart[:3])
