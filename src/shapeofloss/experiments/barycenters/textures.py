"""Textures in space with two known parameters, and what transport and others see of them.

A texture is a cube of voxels, each solid or void: a smooth Gaussian random field above a level. The field's correlation
length and the share of solid voxels generated it, and a map of many textures should recover both.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from shapeofloss.arrays import Floats
from shapeofloss.errors import UserError
from shapeofloss.transport.assignment.exact import cost_matrix, mean_cost, optimal_assignment

SCALES = (1.5, 3.0)  # voxels: standard deviations of the Gaussians by which local densities are taken
LENGTHS = (1.5, 4.0)  # voxels: correlation lengths of random textures
FRACTIONS = (0.2, 0.8)  # volume fractions of random textures


def texture(side: int, *, correlation_length: float, volume_fraction: float, seed: int) -> NDArray[np.bool_]:
    r"""Return a periodic cube of solid (True) and void voxels: where a Gaussian random field is above a level.

    The field's covariance is exp(-r^2 / 2 l^2) at the distance r, for the correlation length l.

    Args:
        side: Voxels along an edge, at least 1.
        correlation_length: l, in voxels, above 0 and at most a quarter of the side.
        volume_fraction: Share of solid voxels, from 0 to 1; it is met up to half a voxel.
        seed: Seed of the field.
    Returns:
        Shape (side, side, side).
    Raises:
        UserError: If a number is out of its range.
    Source:
        Optimal transport talk, slide "Wasserstein barycenters", which points to Song's textures (2022); those are level
        sets of another field, with more parameters.
    Example:
        >>> float(texture(8, correlation_length=1.5, volume_fraction=0.25, seed=0).mean())
        0.25
    """
    if not 0 < correlation_length <= side / 4:
        raise UserError(
            f"The correlation length is {correlation_length}; it has to be above 0, and {side / 4} at most."
        )
    if not 0 <= volume_fraction <= 1:
        raise UserError(f"The volume fraction is {volume_fraction}; it has to be from 0 to 1.")
    noise = np.random.default_rng(seed).standard_normal((side, side, side))
    # White noise under a Gaussian of standard deviation l / sqrt(2) has this covariance.
    field = gaussian_filter(noise, correlation_length / np.sqrt(2), mode="wrap")
    solid = np.zeros(field.size, dtype=bool)
    solid[np.argsort(field, axis=None)[field.size - round(volume_fraction * field.size) :]] = True
    return solid.reshape(field.shape)


def local_features(solid: NDArray[np.bool_], *, count: int, seed: int) -> Floats:
    """Return what a texture looks like around random voxels: a cloud in the space of features, shape (count, 3).

    The features are the local density at two scales, and the length of its gradient at the finer one, times that scale.
    They have no unit. Where the voxels are is left out.

    Args:
        solid: A periodic texture, shape (side, side, side).
        count: How many voxels are drawn, without repetition.
        seed: Seed of the draw.
    Raises:
        UserError: If the texture has fewer voxels than that.
    """
    if not 1 <= count <= solid.size:
        raise UserError(f"{count} voxels cannot be drawn from {solid.size}.")
    densities = [gaussian_filter(solid.astype(float), scale, mode="wrap") for scale in SCALES]
    steps = [(np.roll(densities[0], -1, axis) - np.roll(densities[0], 1, axis)) / 2 for axis in range(3)]
    gradient = SCALES[0] * np.sqrt(sum(step**2 for step in steps))
    drawn = np.random.default_rng(seed).choice(solid.size, count, replace=False)
    return np.stack([feature.ravel()[drawn] for feature in (*densities, gradient)], axis=1)


def positions(solid: NDArray[np.bool_], *, count: int, seed: int) -> Floats:
    """Return where random solid voxels are, in sides of the cube, shape (count, 3): a cloud for comparison.

    Args:
        solid: A texture, shape (side, side, side).
        count: How many solid voxels are drawn, without repetition.
        seed: Seed of the draw.
    Raises:
        UserError: If the texture has fewer solid voxels than that.
    """
    places = np.argwhere(solid)
    if not 1 <= count <= len(places):
        raise UserError(f"{count} solid voxels cannot be drawn from {len(places)}.")
    return places[np.random.default_rng(seed).choice(len(places), count, replace=False)] / len(solid)


def random_textures(count: int, side: int, seed: int) -> tuple[NDArray[np.bool_], Floats, Floats]:
    """Return textures with independent uniform parameters.

    Args:
        count: How many.
        side: Voxels along an edge, at least 16.
        seed: Seed of all of them.
    Returns:
        The textures, shape (count, side, side, side); their correlation lengths in voxels, from 1.5 to 4, shape
        (count,); their volume fractions, from 0.2 to 0.8, shape (count,).
    Raises:
        UserError: If the side is too short for the longest correlation.
    """
    if side < 4 * LENGTHS[1]:
        raise UserError(f"The side is {side} voxels; it has to be at least 4 longest correlations, {4 * LENGTHS[1]:g}.")
    generator = np.random.default_rng(seed)
    lengths, fractions = generator.uniform(*LENGTHS, count), generator.uniform(*FRACTIONS, count)
    seeds = generator.integers(2**32, size=count)
    solids = [
        texture(side, correlation_length=length, volume_fraction=fraction, seed=int(chosen))
        for length, fraction, chosen in zip(lengths, fractions, seeds, strict=True)
    ]
    return np.array(solids), lengths, fractions


def distance_matrix(clouds: Sequence[Floats]) -> Floats:
    """Return the W2 distance of each pair of clouds of as many points each, exactly, shape (T, T).

    Args:
        clouds: T of them, of one shape (N, D).
    Raises:
        UserError: If they differ in shape.
    Example:
        >>> distance_matrix([np.zeros((2, 1)), np.full((2, 1), 3.0)])
        array([[0., 3.],
               [3., 0.]])
    """
    if len({np.shape(cloud) for cloud in clouds}) != 1:
        raise UserError("The clouds differ in shape; each needs as many points, of one dimension.")
    distances = np.zeros((len(clouds), len(clouds)))
    for i, j in combinations(range(len(clouds)), 2):
        cost = cost_matrix(clouds[i], clouds[j])
        distances[i, j] = np.sqrt(2 * mean_cost(cost, optimal_assignment(cost)))
    return distances + distances.T


def texture_distances(count: int, side: int, points: int, seed: int) -> dict[str, Floats]:
    """Compare random textures by transport between clouds of local features, and between positions of solid voxels.

    Args:
        count, side, seed: As for `random_textures`, which returns the same textures.
        points: Number of points of the cloud that stands for each texture.
    Returns:
        By name: "features" and "positions", W2 distances, shape (count, count).
    Raises:
        UserError: If the side is too short, or there are fewer solid voxels than points.
    """
    solids, _, _ = random_textures(count, side, seed)
    samples = {"features": local_features, "positions": positions}
    return {
        name: distance_matrix([sample(solid, count=points, seed=k) for k, solid in enumerate(solids)])
        for name, sample in samples.items()
    }
