"""Laws in the plane to train on: eight Gaussians in a ring, 25 in a square, and the swiss roll.

A *sampler* is any function of a count and a source of random numbers that returns that many points, shape (count, D).
Data, the noise that goes into a generator, and laws that stay fixed are all samplers.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapeofloss.errors import UserError, unknown

Sampler = Callable[[int, torch.Generator], Tensor]


@dataclass(frozen=True, eq=False)
class Mixture:
    """Equal parts of round normal laws; a sampler.

    Attributes:
        modes: Their centres, shape (K, D).
        deviation: The standard deviation of each along each axis, in units of the coordinates.
    """

    modes: NDArray[np.float32]
    deviation: float

    def __call__(self, count: int, rng: torch.Generator) -> Tensor:
        """Return points of the mixture, shape (count, D)."""
        chosen = torch.randint(len(self.modes), (count,), generator=rng)
        centres = torch.from_numpy(self.modes)[chosen]
        return centres + self.deviation * torch.randn(centres.shape, generator=rng)


def eight_gaussians() -> Mixture:
    """Return eight Gaussians in a ring of radius 1.414, each of standard deviation 0.0141.

    Source:
        Released code of the paper on improved WGAN training: radius 2, deviation 0.02, all divided by 1.414.
    """
    angles = np.pi / 4 * np.arange(8)
    modes = 2 * np.stack([np.cos(angles), np.sin(angles)], axis=1) / 1.414
    return Mixture(modes.astype(np.float32), 0.02 / 1.414)


def twenty_five_gaussians() -> Mixture:
    """Return 25 Gaussians in a square grid with spacing 0.707, each of standard deviation 0.0177.

    Source:
        Released code of the paper on improved WGAN training: spacing 2, deviation 0.05, all divided by 2.828.
    """
    ticks = 2.0 * np.arange(-2, 3)
    modes = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2) / 2.828
    return Mixture(modes.astype(np.float32), 0.05 / 2.828)


def swiss_roll(count: int, rng: torch.Generator) -> Tensor:
    """Return points about a spiral of one and a half turns, shape (count, 2); a sampler.

    Source:
        Released code of the paper on improved WGAN training: scikit-learn's swiss roll seen from its side, noise of
        deviation 0.25, all divided by 7.5.
    """
    angle = 1.5 * torch.pi * (1 + 2 * torch.rand(count, generator=rng))
    spiral = torch.stack([angle * torch.cos(angle), angle * torch.sin(angle)], dim=1)
    return (spiral + 0.25 * torch.randn(count, 2, generator=rng)) / 7.5


TOYS: dict[str, Sampler] = {
    "8 Gaussians": eight_gaussians(),
    "25 Gaussians": twenty_five_gaussians(),
    "swiss roll": swiss_roll,
}


def toy(name: str) -> Sampler:
    """Return the law of that name.

    Raises:
        UserError: If there is none.
    Example:
        >>> toy("swiss roll")(3, torch.Generator().manual_seed(0)).shape
        torch.Size([3, 2])
    """
    if name not in TOYS:
        raise unknown("toy law", name, TOYS)
    return TOYS[name]


def normal(dimension: int) -> Sampler:
    """Return the standard normal law in a space of that dimension, as a sampler."""
    return lambda count, rng: torch.randn(count, dimension, generator=rng)


def blurred(sampler: Sampler, deviation: float = 1.0) -> Sampler:
    """Return a law plus independent normal noise, as a sampler.

    Source:
        The generator of the lecture's value surfaces is held fixed at the data plus N(0, I).
    """

    def sample(count: int, rng: torch.Generator) -> Tensor:
        x = sampler(count, rng)
        return x + deviation * torch.randn(x.shape, generator=rng)

    return sample


def choices(points: NDArray[np.floating]) -> Sampler:
    """Return the law that takes each of finitely many points with equal chance, as a sampler.

    Args:
        points: Shape (N, D), finite.
    Raises:
        UserError: If they are no table of finite numbers.
    """
    rows = torch.as_tensor(points, dtype=torch.float32)
    if rows.dim() != 2 or not len(rows) or not rows.isfinite().all():
        raise UserError(f"The points have shape {tuple(rows.shape)}; they need one row of finite numbers per point.")
    return lambda count, rng: rows[torch.randint(len(rows), (count,), generator=rng)]
