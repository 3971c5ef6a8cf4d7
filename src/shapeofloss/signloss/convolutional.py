"""The three-dimensional convolutional autoencoder of the simulations, and its training on mixtures of losses."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from shapeofloss.arrays import as_count, as_floats, as_number
from shapeofloss.errors import UserError
from shapeofloss.signloss.training import Mixture, fit, measures


def autoencoder(filters: Sequence[int], *, seed: int, dropout: float = 0.0) -> nn.Sequential:
    """Return an encoder of two convolutions of stride 2, and a decoder of two transposed ones.

    Args:
        filters: Of the two layers of the encoder; the decoder has them the other way round.
        seed: Of the weights.
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
        )
    return nn.Sequential(encoder, decoder)


def train_water(
    *,
    heights: NDArray[np.float32],
    unseen: NDArray[np.float32],
    seed: int,
    share: float,
    filters: list[int],
    sharpness: float,
    batch: int,
    steps: int,
    learning_rate: float,
    dropout: float = 0.0,
    plateau: int = 0,
    measured: int | None = None,
) -> dict[str, Any]:
    """Train the autoencoder on (1 - share) squared error + share DSL, and measure it on simulations it has not seen.

    Args:
        heights, unseen: Of simulations, shape (N, frames, size, size); both are standardised by mean and standard
            deviation of `heights`.
        seed: Of weights and batches.
        share: Of DSL in the loss, in [0, 1]; the squared error is a mean over values, DSL one over comparisons.
        filters, dropout: As for `autoencoder`.
        sharpness: Of DSL, in 1 / standard deviations.
        batch, steps, learning_rate, plateau: As for `training.fit`.
        measured: How many of the unseen simulations are measured; all if None.
    Returns:
        `original` and `reconstruction`, shape (N, frames, size, size), in standard deviations, and the means of
        `training.measures` over those measured.
    Raises:
        UserError: If the share is outside [0, 1] or another setting out of range; if the heights are not finite numbers
            of that shape with frames and sides that are multiples of 4, or those to train on are all equal.
    """
    as_number(share, "The share of DSL", at_least=0, at_most=1)
    batch, steps, seed = (
        as_count(batch, "batch"),
        as_count(steps, "steps", at_least=0),
        as_count(seed, "seed", at_least=0),
    )
    if measured is not None:
        measured = as_count(measured, "measured")
    heights, unseen = _volumes(heights, "heights"), _volumes(unseen, "unseen")
    if heights.min() == heights.max():
        raise UserError("The heights are all equal, so that they have no standard deviation to divide by.")
    mean, deviation = float(heights.mean()), float(heights.std())
    seen, new = (torch.from_numpy((h - mean) / deviation)[:, None] for h in (heights, unseen))
    model = autoencoder(filters, seed=seed, dropout=dropout)
    generator = torch.Generator().manual_seed(seed)
    loss = Mixture(1 - share, share, sharpness, summed=False)

    def without_channel(reconstruction: torch.Tensor, original: torch.Tensor) -> torch.Tensor:
        return loss(reconstruction[:, 0], original[:, 0])

    def drawn(_: int) -> torch.Tensor:
        return seen[torch.randint(len(seen), (batch,), generator=generator)]

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # of the dropout
        fit(model, drawn, without_channel, steps=steps, learning_rate=learning_rate, plateau=plateau)
    model.eval()
    with torch.no_grad():
        reconstruction = model(new)[:, 0]
    original = new[:, 0]
    found = measures(original[:measured], reconstruction[:measured], sharpness=sharpness, summed=False)
    return {"original": original.numpy(), "reconstruction": reconstruction.numpy(), **found}


def _volumes(heights: Any, name: str) -> NDArray[np.float32]:
    """Return heights in single precision, as they are if they have it."""
    known = as_floats(heights, name, shape=("N", "frames", "size", "size"), empty=False)
    if any(side % 4 for side in known.shape[1:]):
        raise UserError(f"{name} has shape {known.shape}; frames and sides have to be multiples of 4.")
    return heights if isinstance(heights, np.ndarray) and heights.dtype == np.float32 else known.astype(np.float32)
