r"""Polycrystals as anisotropic power diagrams: grown from a distribution, measured with errors, fitted, and drawn anew.

A grain i has a matrix A_i of determinant 1: the cost (x - y_i)' A_i (x - y_i) makes its cell long where A_i is small.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from shapeofloss.arrays import Floats, as_count
from shapeofloss.errors import UserError
from shapeofloss.transport.cells.pixel_costs import PowerCosts
from shapeofloss.transport.cells.pixel_solver import Diagram, solve
from shapeofloss.transport.cells.pixels import NOBODY, Grid, Labels, as_labels, centroids, covariances


@dataclass(frozen=True)
class GrainDistribution:
    """The distribution that grains are drawn from: log-normal volumes and matrices.

    Attributes:
        volume_spread: Standard deviation of the logarithm of a volume.
        axis_spread: Standard deviation of the logarithm of an eigenvalue of A, before its determinant is made 1.
    """

    volume_spread: float
    axis_spread: float


def random_grains(count: int, dimension: int, distribution: GrainDistribution, seed: int) -> tuple[Floats, Floats]:
    """Draw shares of the volume, shape (count,), and matrices A of determinant 1, shape (count, dimension, dimension).

    The axes are uniform over all rotations.

    Example:
        >>> shares, A = random_grains(3, 2, GrainDistribution(0.3, 0.5), seed=1)
        >>> float(shares.sum().round(12)), np.linalg.det(A).round(12).tolist()
        (1.0, [1.0, 1.0, 1.0])
    """
    generator = np.random.default_rng(seed)
    shares = np.exp(distribution.volume_spread * generator.standard_normal(count))
    gaussian = generator.standard_normal((count, dimension, dimension))
    axes, _ = np.linalg.qr(gaussian)  # uniform up to signs, which A does not see
    logarithms = distribution.axis_spread * generator.standard_normal((count, dimension))
    eigenvalues = np.exp(logarithms - logarithms.mean(1, keepdims=True))
    return shares / shares.sum(), (axes * eigenvalues[:, None]) @ axes.mT


@dataclass(frozen=True)
class Polycrystal:
    """Grains on a grid.

    Attributes:
        positions: The particles, shape (N, D).
        shapes: The matrices A, shape (N, D, D).
        diagram: Their cells.
        evaluations: How often all voxels were assigned, at all positions together.
    """

    positions: Floats
    shapes: Floats
    diagram: Diagram
    evaluations: int


def grow(
    grid: Grid, volumes: Floats, shapes: Floats, seed: int, *, moves: int = 10, tolerance: float = 0.01
) -> Polycrystal:
    """Grow grains of given volumes and matrices: random positions that move to their cells' centroids.

    Args:
        grid: The pixels or voxels.
        volumes, shapes: Shape (N,) and (N, D, D); the volumes fill the domain.
        seed: Seed of the positions, uniform in the box.
        moves: How often the positions move; each time the cells get their volumes again.
        tolerance: Largest relative error of a volume.
    Raises:
        UserError: If `moves` is negative, or the volumes or matrices are not valid.
    Source:
        Optimal transport talk, slides on polycrystals; the moves are Lloyd's algorithm.
    """
    moves = as_count(moves, "The number of moves", at_least=0)
    y = np.random.default_rng(seed).random((len(volumes), len(grid.shape))) * np.array(grid.shape) * grid.spacing
    f, used = None, 0
    for move in range(moves + 1):
        diagram = solve(PowerCosts(grid, y, shapes=shapes), volumes, f=f, tolerance=tolerance)
        used, f = used + diagram.evaluations, diagram.f
        if move < moves:
            moved = centroids(diagram.labels, len(y), grid)
            y = np.where(np.isnan(moved), y, moved)  # a grain without a voxel waits where it is
    return Polycrystal(y, shapes, diagram, used)


@dataclass(frozen=True)
class Measurement:
    """A synthetic image of a polycrystal whose grains are not quite cells.

    Attributes:
        truth: The grain of each voxel, with bent boundaries.
        labels: What is measured: near a boundary a voxel may be taken for the neighbour's.
    """

    truth: Labels
    labels: Labels


def measure(labels: Labels, seed: int, *, bend: float, jitter: float, smooth: float = 6.0) -> Measurement:
    """Make an image: labels read at places that a smooth field has moved, and noise moves again.

    Args:
        labels: The grain of each voxel.
        seed: Seed of both.
        bend: Root mean square of the smooth displacement along an axis, in voxels.
        jitter: Standard deviation of the noise of each voxel's place along an axis, in voxels.
        smooth: Length over which the smooth field varies, in voxels.
    """
    generator = np.random.default_rng(seed)
    shape = labels.shape
    places = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij")).astype(np.float64)
    field = np.stack([gaussian_filter(generator.standard_normal(shape), smooth, mode="reflect") for _ in shape])
    bent = places + bend * field / np.sqrt((field**2).mean())

    def read(at: Floats) -> Labels:
        top = np.array(shape).reshape(-1, *[1] * len(shape)) - 1
        return labels[tuple(np.clip(np.rint(at), 0, top).astype(int))]

    return Measurement(read(bent), read(bent + jitter * generator.standard_normal(bent.shape)))


def fit(labels: Labels, count: int, grid: Grid, *, isotropic: bool = False, tolerance: float = 0.01) -> Polycrystal:
    """Fit a diagram to an image: each grain gives its centroid, volume and the inverse of its covariance.

    The moments are all that is taken from the image, D (D + 3) / 2 numbers for each grain.

    Args:
        labels: The grain of each voxel, from 0 to count - 1, all of them present.
        count: Number of grains N.
        grid: On which the image lies.
        isotropic: Whether all matrices are the identity instead.
        tolerance: Largest relative error of a volume.
    Raises:
        UserError: If a grain has no voxel.
    """
    sizes = _sizes(labels, count, grid)
    y, dimension = centroids(labels, count, grid), len(grid.shape)
    A = np.broadcast_to(np.eye(dimension), (count, dimension, dimension))
    A = A if isotropic else unit_determinant(np.linalg.inv(covariances(labels, count, grid)))
    diagram = solve(PowerCosts(grid, y, shapes=A), sizes * grid.pixel, tolerance=tolerance)
    return Polycrystal(y, A, diagram, diagram.evaluations)


def _sizes(labels: Labels, count: int, grid: Grid) -> NDArray[np.int64]:
    """Return how many voxels each grain has, shape (count,): at least one."""
    flat = as_labels(labels, count, grid).ravel()
    sizes = np.bincount(flat[flat != NOBODY], minlength=count)
    if not sizes.all():
        raise UserError(f"Grain {int(sizes.argmin())} has no voxel in the image; leave it out and number the others.")
    return sizes


def unit_determinant(matrices: NDArray[np.floating]) -> Floats:
    """Return positive matrices, scaled to determinant 1, shape (N, D, D)."""
    return matrices / np.linalg.det(matrices)[:, None, None] ** (1 / matrices.shape[-1])


@dataclass(frozen=True)
class Morphology:
    """What grains look like, each array of shape (N,).

    Attributes:
        volumes: Volumes in units of the grid's.
        log_aspects: Logarithm of the longest over the shortest semi-axis of the ellipsoid with the grain's covariance.
        angles: Angle from the longest axis to the first axis of the grid, 0 to pi / 2.
    """

    volumes: Floats
    log_aspects: Floats
    angles: Floats


def morphology(labels: Labels, count: int, grid: Grid) -> Morphology:
    """Return the volumes, aspect ratios and directions of all grains.

    Raises:
        UserError: If a grain has no voxel.
    Example:
        >>> bar = morphology(np.zeros((8, 2), int), 1, Grid((8, 2), 0.5))
        >>> bar.volumes.tolist(), np.exp(bar.log_aspects).round(12).tolist(), bar.angles.tolist()
        ([4.0], [4.0], [0.0])
    """
    sizes = _sizes(labels, count, grid)
    values, vectors = np.linalg.eigh(covariances(labels, count, grid))
    along = np.clip(np.abs(vectors[:, 0, -1]), 0, 1)
    return Morphology(grid.pixel * sizes.astype(np.float64), np.log(values[:, -1] / values[:, 0]) / 2, np.arccos(along))


def prescribed_log_aspects(shapes: Floats) -> Floats:
    """Return what `Morphology.log_aspects` would be for a grain that is a level set of its own cost, shape (N,)."""
    values = np.linalg.eigvalsh(shapes)
    return np.log(values[:, -1] / values[:, 0]) / 2
