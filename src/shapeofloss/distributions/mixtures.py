"""Distributions to train on: mixtures of normal ones in the plane and on the line, and a few of another kind.

A *sampler* is any function of a count and a source of random numbers that returns that many points, shape (count, D).
Data, the noise that goes into a generator, and distributions that stay fixed are all samplers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp, ndtr
from torch import Tensor

from shapeofloss.arrays import Floats, as_count, as_floats, as_function, as_number
from shapeofloss.distributions.gaussians import as_gaussian
from shapeofloss.errors import UserError, unknown

Sampler = Callable[[int, torch.Generator], Tensor]


def as_source(generator: Any) -> torch.Generator:
    """Return a source of torch's random numbers as it is.

    Raises:
        UserError: If it is anything else, such as a seed or a generator of NumPy.
    """
    if not isinstance(generator, torch.Generator):
        raise UserError(
            f"The source of random numbers is {generator!r}; one of torch is needed: torch.Generator().manual_seed(0)."
        )
    return generator


def seeded_source(seed: Any) -> torch.Generator:
    """Return a source of torch's random numbers that starts from a whole number from 0.

    Raises:
        UserError: If the seed is no such number.
    """
    return torch.Generator().manual_seed(as_count(seed, "seed", at_least=0, at_most=2**64 - 1))


def _single(points: Any, name: str) -> NDArray[np.float32]:
    """Return a table of numbers, (N, D), in single precision, as samplers give it."""
    table = as_floats(points, name, shape=("N", "D"), empty=False)
    largest = np.abs(table).max()
    if largest > np.finfo(np.float32).max:
        raise UserError(f"{name} has a number of size {largest:g}; single precision ends at 3.4e38.")
    return table.astype(np.float32)


@dataclass(frozen=True, eq=False)
class Mixture:
    """Equal parts of round normal distributions; a sampler.

    Attributes:
        modes: Their centres, shape (K, D), kept in single precision as the points are.
        deviation: The standard deviation of each along each axis, in units of the coordinates, not negative.

    Raises:
        UserError: If the modes are no table of finite numbers, or the deviation is none.
    """

    modes: NDArray[np.float32]
    deviation: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "modes", _single(self.modes, "The table of modes"))
        object.__setattr__(self, "deviation", as_number(self.deviation, "The deviation of a mode", at_least=0))

    def __call__(self, count: int, generator: torch.Generator) -> Tensor:
        """Return points of the mixture, shape (count, D)."""
        chosen = torch.randint(len(self.modes), (as_count(count, "count", at_least=0),), generator=as_source(generator))
        centres = torch.from_numpy(self.modes)[chosen]
        return centres + self.deviation * torch.randn(centres.shape, generator=generator)


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


def swiss_roll(count: int, generator: torch.Generator) -> Tensor:
    """Return points about a spiral of one and a half turns, shape (count, 2); a sampler.

    Source:
        Released code of the paper on improved WGAN training: scikit-learn's swiss roll seen from its side, noise of
        deviation 0.25, all divided by 7.5.
    """
    angle = 1.5 * torch.pi * (1 + 2 * torch.rand(as_count(count, "count", at_least=0), generator=as_source(generator)))
    spiral = torch.stack([angle * torch.cos(angle), angle * torch.sin(angle)], dim=1)
    return (spiral + 0.25 * torch.randn(count, 2, generator=generator)) / 7.5


TOYS: dict[str, Sampler] = {
    "8 Gaussians": eight_gaussians(),
    "25 Gaussians": twenty_five_gaussians(),
    "swiss roll": swiss_roll,
}


def toy(name: str) -> Sampler:
    """Return the toy distribution of that name.

    Raises:
        UserError: If there is none.
    Example:
        >>> toy("swiss roll")(3, torch.Generator().manual_seed(0)).shape
        torch.Size([3, 2])
    """
    if not isinstance(name, str) or name not in TOYS:
        raise unknown("toy distribution", name, TOYS)
    return TOYS[name]


def normal(dimension: int) -> Sampler:
    """Return the standard normal distribution in a space of that dimension, as a sampler.

    Raises:
        UserError: If the dimension is no whole number from 1.
    """
    as_count(dimension, "dimension")
    return lambda count, generator: torch.randn(
        as_count(count, "count", at_least=0), dimension, generator=as_source(generator)
    )


def blurred(sampler: Sampler, deviation: float = 1.0) -> Sampler:
    """Return a distribution plus independent normal noise, as a sampler.

    Raises:
        UserError: If the distribution is no function, or the deviation no number from 0.
    Source:
        The generator of the lecture's value surfaces is held fixed at the data plus N(0, I).
    """
    as_function(sampler, "sampler", example="eight_gaussians()")
    as_number(deviation, "deviation", at_least=0)

    def sample(count: int, generator: torch.Generator) -> Tensor:
        x = sampler(count, as_source(generator))
        return x + deviation * torch.randn(x.shape, generator=generator)

    return sample


def choices(points: ArrayLike | Tensor) -> Sampler:
    """Return the distribution that takes each of finitely many points with equal chance, as a sampler.

    Args:
        points: Shape (N, D), finite, also in single precision.
    Raises:
        UserError: If they are no table of such numbers.
    """
    rows = torch.from_numpy(_single(points, "The table of points"))
    return lambda count, generator: rows[
        torch.randint(len(rows), (as_count(count, "count", at_least=0),), generator=as_source(generator))
    ]


def as_parts(mixture: ArrayLike) -> Floats:
    """Return the parts (m, sigma) of a mixture of normal distributions on the line, shape (K, 2).

    A single (m, sigma), shape (2,), is a mixture of one part.

    Raises:
        UserError: If a part is no Gaussian, or there is none.
    """
    parts = np.atleast_2d(as_gaussian(as_floats(mixture, "A mixture", finite=False)))
    if parts.ndim != 2 or not len(parts):
        raise UserError(
            f"A mixture has shape {parts.shape}; give (m, sigma), or one row of them for each of K parts, (K, 2)."
        )
    return parts


def log_density(x: ArrayLike, mixture: ArrayLike, *, weights: ArrayLike | None = None) -> Floats:
    """Return the logarithm of the density of a mixture on the line, the shape of x.

    Args:
        x: Points of the line, finite.
        mixture: (m, sigma), or one row of them for each of K parts.
        weights: The share of each part, above 0, with sum 1; equal ones by default.
    Raises:
        UserError: If a part is no Gaussian, or x or the weights hold anything but finite numbers.
    Example:
        >>> round(float(log_density(0.0, [[0.0, 1.0], [0.0, 1.0]])), 6)
        -0.918939
    """
    parts = as_parts(mixture)
    m, sigma = parts.T
    z = (as_floats(x, "x")[..., None] - m) / sigma
    return logsumexp(np.log(_shares(weights, parts)) - z**2 / 2 - np.log(sigma * np.sqrt(2 * np.pi)), axis=-1)


def masses(edges: ArrayLike, mixture: ArrayLike, *, weights: ArrayLike | None = None) -> Floats:
    """Return the exact mass of a mixture on the line between neighbouring edges.

    Args:
        edges: Ascending, shape (B + 1,); the outer ones may be infinite.
        mixture, weights: As for `log_density`.
    Returns:
        Shape (B,).
    Example:
        >>> masses([-np.inf, -4.0, 0.0, np.inf], [0.0, 1.0]).round(3)
        array([0. , 0.5, 0.5])
    """
    parts = as_parts(mixture)
    places = as_floats(edges, "The list of edges", shape=("B",), finite=False)
    below = ndtr((places[:, None] - parts[:, 0]) / parts[:, 1])
    return (np.diff(below, axis=0) @ _shares(weights, parts)).clip(min=0)


def _shares(weights: ArrayLike | None, parts: Floats) -> Floats:
    if weights is None:
        return np.full(len(parts), 1 / len(parts))
    return as_floats(weights, "The list of weights", shape=(len(parts),))


def on_the_line(mixture: ArrayLike) -> Sampler:
    """Return a mixture of equal parts (m, sigma) as a sampler of points of the line, shape (count, 1).

    Raises:
        UserError: If a part is no Gaussian.
    """
    parts = torch.as_tensor(as_parts(mixture), dtype=torch.float32)

    def sample(count: int, generator: torch.Generator) -> Tensor:
        m, sigma = parts[torch.randint(len(parts), (count,), generator=generator)].split(1, dim=1)
        return m + sigma * torch.randn(count, 1, generator=generator)

    return sample
