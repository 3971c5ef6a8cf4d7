"""The three-dimensional convolutional autoencoder of the simulations, and its training on mixtures of losses."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from shapeofloss.errors import UserError
from shapeofloss.signloss.training import Mixture, fit, measures


def autoencoder(filters: tuple[int, int], *, seed: int, dropout: float = 0.0) -> nn.Sequential:
    """Return an encoder of two convolutions of stride 2, and a decoder of two transposed ones.

    Args:
        filters: Of the two layers of the encoder; the decoder has them the other way round.
        seed: Of the weights.
        dropout: Rate after the first layer of each half.
    Source:
        Directional sign loss paper, section 4.3 and Table 4; filters of size 3.
    """
    first, second = filters
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
        UserError: If the share is outside [0, 1], or frames or sides are no multiples of 4.
    """
    if not 0 <= share <= 1:
        raise UserError(f"The share of DSL is {share}; it has to be in [0, 1].")
    if any(side % 4 for side in heights.shape[1:]):
        raise UserError(f"Simulations have shape {heights.shape[1:]}; frames and sides have to be multiples of 4.")
    mean, deviation = float(heights.mean()), float(heights.std())
    seen, new = (torch.from_numpy((h - mean) / deviation)[:, None] for h in (heights, unseen))
    first, second = filters
    model = autoencoder((first, second), seed=seed, dropout=dropout)
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
