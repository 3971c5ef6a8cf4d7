"""Clouds of points: what the solvers accept, and the random ones that the course uses."""

import numpy as np
from numpy.typing import ArrayLike

from shapeofloss.arrays import Floats, as_floats
from shapeofloss.errors import UserError


def as_cloud(points: ArrayLike, name: str = "x") -> Floats:
    """Return points as an array of double precision, shape (N, D).

    Raises:
        UserError: If the shape is another one, there is no point, or a coordinate is not finite.
    """
    return as_floats(points, f"The cloud {name}", shape=("N", "D"), empty=False)


def as_clouds(x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
    """Return two clouds of one dimension, shape (N, D) and (M, D).

    Raises:
        UserError: If one is no cloud, or the dimensions differ.
    """
    x, y = as_cloud(x, "x"), as_cloud(y, "y")
    if x.shape[1] != y.shape[1]:
        raise UserError(f"The clouds have dimensions {x.shape[1]} and {y.shape[1]}; both need the same.")
    return x, y


def as_weights(weights: ArrayLike | None, count: int, name: str = "a") -> Floats:
    """Return weights that add up to 1, shape (count,); equal ones if there are none. Weights of zero are allowed.

    Raises:
        UserError: If their number is another one, one is negative or not finite, or all are zero.
    """
    if weights is None:
        return np.full(count, 1 / count)
    a = as_floats(weights, f"The array of weights {name}")
    if a.shape != (count,):
        raise UserError(f"The weights {name} have shape {a.shape}; one for each point is needed, ({count},).")
    if (a < 0).any() or not a.any():
        raise UserError(f"The weights {name} must be numbers that are not negative, and not all zero.")
    with np.errstate(over="ignore"):
        total = a.sum()
    if not np.isfinite(total):
        a = a / a.max()
        total = a.sum()
    return a / total


def as_volumes(volumes: ArrayLike, count: int, room: float, *, void: bool) -> Floats:
    """Return prescribed volumes, shape (count,): below a domain's in sum with a void, equal to it without.

    A sum that single precision has rounded is put right.

    Raises:
        UserError: If their number is another one, one is not above 0, or their sum does not fit.
    """
    v = as_floats(volumes, "The array of volumes", shape=(count,))
    if (bad := np.flatnonzero(v <= 0)).size:
        raise UserError(f"The volume of cell {bad[0]} is {v[bad[0]]}; finite numbers above 0 are needed.")
    with np.errstate(over="ignore"):
        total = float(v.sum())
    if void and not total < room:
        raise UserError(f"The volumes add up to {total}; with a void that has to be below the domain's {room}.")
    if not void and not abs(total - room) <= 1e-6 * room:
        raise UserError(f"The volumes add up to {total}; without a void that has to be the domain's {room}.")
    return v if void or abs(total - room) <= 1e-9 * room else v * (room / total)


def is_positive(matrices: Floats) -> bool:
    """Tell whether matrices, shape (N, D, D), are finite, symmetric and positive, in any unit and but for rounding."""
    if not np.isfinite(matrices).all():
        return False
    largest = np.abs(matrices).max(axis=(1, 2), keepdims=True)
    return bool(
        (largest > 0).all()
        and (np.abs(matrices - matrices.mT) <= 1e-8 * largest).all()
        and (np.linalg.eigvalsh(matrices / largest) > 0).all()
    )


def gaussian(count: int, dimension: int, seed: int, *, shift: float = 0.0) -> Floats:
    """Return standard normal samples, moved by `shift` along the first axis, shape (count, dimension)."""
    x = np.random.default_rng(seed).standard_normal((count, dimension))
    x[:, 0] += shift
    return x


def uniform(count: int, dimension: int, seed: int) -> Floats:
    """Return points that are uniform in the unit cube, shape (count, dimension)."""
    return np.random.default_rng(seed).random((count, dimension))


def surfaces(count: int, seed: int) -> tuple[Floats, Floats]:
    """Return points on two closed surfaces in the unit cube, a sphere and a torus, each of shape (count, 3).

    Both have a low-dimensional support, as the talk's anatomical data have.
    """
    generator = np.random.default_rng(seed)
    direction = generator.standard_normal((count, 3))
    sphere = 0.5 + 0.35 * direction / np.linalg.norm(direction, axis=1, keepdims=True)
    around, along = 2 * np.pi * generator.random((2, count))
    radius = 0.32 + 0.12 * np.cos(around)
    torus = 0.5 + np.stack([radius * np.cos(along), 0.12 * np.sin(around), radius * np.sin(along)], axis=1)
    return sphere, torus


def disk_and_moons(count: int, seed: int) -> tuple[Floats, Floats]:
    """Return points of a disk of radius 0.5, and of two half-rings to its left and right, each of shape (count, 2).

    What goes from one to the other has to be torn in two.
    """
    generator = np.random.default_rng(seed)
    angle, share = 2 * np.pi * generator.random((2, count)) / [[1], [2 * np.pi]]
    disk = 0.5 * np.sqrt(share)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    bend, width = np.pi * (generator.random(count) - 0.5), 0.45 + 0.25 * generator.random(count)
    side = np.where(np.arange(count) % 2, 1.0, -1.0)
    moons = np.stack([side * (0.5 + width * np.cos(bend)), 1.2 * width * np.sin(bend)], axis=1)
    return disk, moons
