"""Surfaces of critics over the plane: trained ones, and optimal ones, which exact transport yields without training."""

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from shapeofloss.adversarial.networks import Cones, perceptron
from shapeofloss.adversarial.objectives import WASSERSTEIN
from shapeofloss.adversarial.toy_runs import method_named
from shapeofloss.adversarial.training import Schedule, train_critic
from shapeofloss.arrays import Floats, as_count, as_floats, as_number
from shapeofloss.distributions.mixtures import blurred, seeded_source, toy
from shapeofloss.errors import UserError
from shapeofloss.transport.assignment.exact import cost_matrix


def value_surface(
    *,
    method: str,
    strength: float,
    distribution: str,
    width: int,
    steps: int,
    batch: int,
    rate: float,
    side: int,
    reach: float,
    seed: int,
) -> dict[str, Any]:
    """Train a critic with three hidden layers between a distribution and the same plus N(0, I); return its surface.

    Args:
        method, strength: "WGAN" and c, or "WGAN-GP" and lambda.
        distribution: Name of a toy distribution.
        width: Values of each hidden layer.
        steps, batch, rate: Steps, batch size and learning rate of the training; rates fall along half a cosine.
        side, reach: The surface is taken on side x side points of the square [-reach, reach]^2.
        seed: Seed of weights and batches.
    Returns:
        "surface", the critic's scores, shape (side, side), rows along the second coordinate; "unexplained", the share
        of its variance that the best quadratic in the two coordinates leaves.
    Source:
        WGAN lecture, slide "Wasserstein GAN with Gradient Penalty"; the generator held fixed as in the released code.
    """
    way, data = method_named(method), toy(distribution)
    critic = perceptron((2, width, width, width, 1), generator=seeded_source(seed))
    train_critic(
        critic,
        data,
        blurred(data),
        WASSERSTEIN,
        Schedule(steps=steps, batch=batch, cosine=True, seed=seed),
        optimizer=way.optimizer(rate),
        constraint=way.held(strength),
    )
    grid = square_grid(side, reach)
    with torch.no_grad():
        surface = critic(grid).numpy().reshape(side, side)
    return {"surface": surface, "unexplained": left_by_quadratic(grid, surface.ravel())}


def optimal_surface(*, distribution: str, points: int, side: int, reach: float, seed: int) -> dict[str, Any]:
    """Return what `value_surface` does, of an optimal critic between samples of the same two distributions.

    The network simplex yields prices u, v with u_i + v_j <= |y_i - z_j|, and equality where mass goes. Cones with their
    tips at the generated points, at heights -v, extend them to the plane.

    Args:
        distribution, side, reach: As for `value_surface`.
        points: Size of each sample.
        seed: Seed of the samples.
    Returns:
        "surface" and "unexplained" as there; "gap", the critic's value minus exact W, over W: 0 but for rounding if the
        simplex has come to its end.
    """
    import ot  # slow to import

    source, data = seeded_source(seed), toy(distribution)
    y, z = (sampler(points, source).double() for sampler in (data, blurred(data)))
    prices = ot.emd([], [], cost_matrix(y, z, p=1), numItermax=10**9, log=True)[1]
    critic = Cones(z, -prices["v"])
    value = (critic(y).mean() - critic(z).mean()).item()
    grid = square_grid(side, reach)
    surface = critic(grid.double()).numpy()
    return {
        "surface": surface.reshape(side, side),
        "unexplained": left_by_quadratic(grid, surface),
        "gap": value / prices["cost"] - 1,
    }


def square_grid(side: int, reach: float) -> Tensor:
    """Return side x side points of [-reach, reach]^2, shape (side^2, 2); the second coordinate changes slowest.

    Raises:
        UserError: If there is no point, or the reach is not above 0.
    """
    as_count(side, "side"), as_number(reach, "reach", above=0)
    ticks = torch.linspace(-reach, reach, side)
    return torch.cartesian_prod(ticks, ticks).flip(1)


def peaks(surface: Floats) -> int:
    """Count the points inside a grid that lie above their eight neighbours.

    Raises:
        UserError: If the surface is no table of finite numbers with at least 3 rows and columns.
    Example:
        >>> peaks(np.array([[0, 0, 0, 0], [0, 2, 1, 0], [0, 0, 0, 0]]))
        1
    """
    surface = as_floats(surface, "The surface", shape=("H", "W"))
    if min(surface.shape) < 3:
        raise UserError(f"The surface has shape {surface.shape}; a point with eight neighbours needs (3, 3) or more.")
    windows = np.lib.stride_tricks.sliding_window_view(surface, (3, 3)).reshape(-1, 9)
    return int((windows[:, 4] > np.delete(windows, 4, axis=1).max(axis=1)).sum())


def left_by_quadratic(x: ArrayLike | Tensor, values: ArrayLike) -> float:
    """Return the share of the variance of values at points that the best quadratic polynomial leaves, in [0, 1].

    Args:
        x: Points of the plane, shape (N, 2).
        values: Shape (N,), not all the same.
    Raises:
        UserError: If shapes are others, a number is not finite, or all values are the same.
    Example:
        >>> x = np.random.default_rng(0).random((50, 2))
        >>> round(left_by_quadratic(x, 3 + x[:, 0] * x[:, 1] - x[:, 1] ** 2), 12)
        0.0
    """
    first, second = as_floats(x, "x", shape=("N", 2), empty=False).T
    terms = np.stack([np.ones_like(first), first, second, first**2, first * second, second**2], axis=1)
    z = as_floats(values, "The list of values", shape=(len(first),))
    if not np.ptp(z):
        raise UserError(f"All values are {z[0]:g}; there is no variance of which something could be left.")
    rest = z - terms @ np.linalg.lstsq(terms, z, rcond=None)[0]
    return float(rest.var() / z.var())
