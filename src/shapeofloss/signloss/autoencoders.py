"""Autoencoders of sequences and of volumes, with the directional sign loss paper's layers."""

from collections.abc import Sequence

import torch
from torch import nn

from shapeofloss.arrays import as_count, as_number
from shapeofloss.errors import UserError, unknown

INITIALISATIONS = ("default", "he")


def perceptron_autoencoder(
    size: int, hidden: int, latent: int, *, seed: int, initialisation: str = "default"
) -> nn.Sequential:
    """Return an autoencoder of two perceptrons of two layers with ReLU between the layers.

    Args:
        size, hidden, latent: Values of an example, of the hidden layers, and of the code between encoder and decoder.
        seed: Seed of the weights.
        initialisation: "default" for PyTorch's own, "he" for normal weights of variance 2 / inputs and zero biases.
    Raises:
        UserError: If a size is no whole number from 1, the seed none from 0, or the initialisation unknown.
    Source:
        Directional sign loss paper, section 3.3 and Table 4.
    """
    if initialisation not in INITIALISATIONS:
        raise unknown("initialisation", initialisation, INITIALISATIONS)
    size, hidden, latent = as_count(size, "size"), as_count(hidden, "hidden"), as_count(latent, "latent")
    seed = as_count(seed, "seed", at_least=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = [nn.Linear(size, hidden), nn.ReLU(), nn.Linear(hidden, latent)]
        layers += [nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, size)]
        model = nn.Sequential(*layers)
        if initialisation == "he":
            for layer in model:
                if isinstance(layer, nn.Linear):
                    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                    nn.init.zeros_(layer.bias)
    return model


def convolutional_autoencoder(filters: Sequence[int], *, seed: int, dropout: float = 0.0) -> nn.Sequential:
    """Return an autoencoder of volumes, shape (N, frames, n, m), whose sides are multiples of 4.

    The encoder has two convolutions of stride 2, the decoder two transposed ones.

    Args:
        filters: Numbers of filters of the two layers of the encoder; the decoder has them the other way round.
        seed: Seed of the weights.
        dropout: Rate after the first layer of each half, in [0, 1].
    Raises:
        UserError: If the filters are no two whole numbers from 1, the seed is none from 0, or the rate is out of range.
    Source:
        Directional sign loss paper, section 4.3 and Table 4; filters of size 3.
    """
    try:
        first, second = filters
    except (TypeError, ValueError):
        raise UserError(f"filters is {filters!r}; two whole numbers are needed, for example (32, 64).") from None
    first, second = as_count(first, "A number of filters"), as_count(second, "A number of filters")
    seed, dropout = as_count(seed, "seed", at_least=0), as_number(dropout, "dropout", at_least=0, at_most=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = nn.Sequential(
            nn.Unflatten(1, (1, -1)),  # a channel
            nn.Conv3d(1, first, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Conv3d(first, second, 3, stride=2, padding=1),
        )
        decoder = nn.Sequential(
            nn.ConvTranspose3d(second, first, 3, stride=2, padding=1, output_padding=1),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.ConvTranspose3d(first, 1, 3, stride=2, padding=1, output_padding=1),
            nn.Flatten(1, 2),
        )
    return nn.Sequential(encoder, decoder)
