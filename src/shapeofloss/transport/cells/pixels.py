"""Pixels in 2-D or 3-D, and images that give each pixel to a cell: their contacts and moments.

Lengths are in units of the box, volumes too (areas in 2-D).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shapeofloss.arrays import Floats, as_count, as_number
from shapeofloss.errors import UserError

Labels = NDArray[np.int32]
Booleans = NDArray[np.bool_]

NOBODY = -1  # the label of pixels in the void or outside of the domain


@dataclass(frozen=True)
class Grid:
    """Pixels of a box with the origin in its corner, in 2-D or 3-D.

    Attributes:
        shape: Pixels along each axis.
        spacing: The side of a pixel.
        inside: Which pixels belong to the domain, of that shape; all of them if None.
    """

    shape: tuple[int, ...]
    spacing: float
    inside: Booleans | None = None

    def __post_init__(self) -> None:
        """Check shape, spacing and domain.

        Raises:
            UserError: If one of them is none, or volumes would leave the range of numbers.
        """
        shape = tuple(np.ravel(self.shape).tolist())
        if len(shape) not in (2, 3):
            raise UserError(f"A grid has 2 or 3 axes, not {self.shape}.")
        object.__setattr__(self, "shape", tuple(as_count(length, "A length of the grid") for length in shape))
        object.__setattr__(
            self, "spacing", as_number(self.spacing, "The spacing", above=0, at_least=1e-60, at_most=1e60)
        )
        if self.inside is None:
            return
        inside = np.asarray(self.inside)
        if inside.dtype != np.bool_ or inside.shape != self.shape or not inside.any():
            raise UserError(
                f"The domain has shape {inside.shape} and holds {inside.dtype}; it needs one boolean per pixel, shape "
                f"{self.shape}, and at least one pixel."
            )
        object.__setattr__(self, "inside", inside)

    @property
    def pixel(self) -> float:
        """The volume of a pixel."""
        return self.spacing ** len(self.shape)

    @property
    def volume(self) -> float:
        """The volume of the domain."""
        return self.pixel * int(self.mask.sum())

    @property
    def mask(self) -> Booleans:
        """Which pixels belong to the domain, of the grid's shape."""
        return np.ones(self.shape, bool) if self.inside is None else self.inside

    @property
    def in_space(self) -> tuple[int, ...]:
        """The shape with three axes, as the compiled loops take it: in 2-D the last one has a single pixel."""
        return (*self.shape, 1)[:3]

    def contacts(self, labels: Labels) -> tuple[Labels, Labels]:
        """Return the pairs of unlike neighbouring pixels in the domain, as `pixel_kernels.contacts` describes them."""
        from shapeofloss.transport.cells import pixel_kernels as kernels  # Numba is slow to import

        pairs, places = kernels.contacts(labels.reshape(self.in_space), self.mask.reshape(self.in_space))
        return pairs, places

    @property
    def centres(self) -> Floats:
        """The centres of the pixels, shape (number of pixels, D)."""
        axes = [(np.arange(length) + 0.5) * self.spacing for length in self.shape]
        return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(self.shape))


def as_labels(labels: ArrayLike, count: int, grid: Grid) -> Labels:
    """Return the cell of each pixel, of the grid's shape: -1, or a number below `count`.

    Raises:
        UserError: If they have another shape, are no whole numbers, or one is none of these.
    """
    array = np.asarray(labels)
    if array.dtype.kind not in "iu" or array.shape != grid.shape:
        raise UserError(
            f"The labels have shape {array.shape} and hold {array.dtype}; whole numbers of shape {grid.shape} are "
            "needed."
        )
    if not NOBODY <= int(array.min()) <= int(array.max()) < count:
        raise UserError(f"The labels go from {array.min()} to {array.max()}; from {NOBODY} to {count - 1} is possible.")
    return array.astype(np.int32, copy=False)


def centroids(labels: Labels, count: int, grid: Grid) -> Floats:
    """Return the mean of the pixels' centres of each cell, shape (count, D); NaN for an empty one."""
    points, owners = _owned(labels, count, grid)
    return _means(points, owners, count)


def covariances(labels: Labels, count: int, grid: Grid) -> Floats:
    """Return the covariance of the positions in each cell, shape (count, D, D), in squared lengths; NaN if empty."""
    points, owners = _owned(labels, count, grid)
    d = points - _means(points, owners, count)[owners]
    dimension = d.shape[1]
    squares = _means((d[:, :, None] * d[:, None]).reshape(len(d), -1), owners, count)
    # the pixels' own extent, without which a cell of one pixel would have none
    return squares.reshape(count, dimension, dimension) + np.eye(dimension) * grid.spacing**2 / 12


def _owned(labels: Labels, count: int, grid: Grid) -> tuple[Floats, Labels]:
    """Return the centres of those pixels that belong to a cell, shape (M, D), and their cells, shape (M,)."""
    flat = as_labels(labels, count, grid).ravel()
    return grid.centres[flat != NOBODY], flat[flat != NOBODY]


def _means(values: Floats, owners: Labels, count: int) -> Floats:
    """Return the means of values, shape (M, K), over each cell, shape (count, K); NaN for an empty one."""
    sums = np.stack([np.bincount(owners, column, count) for column in values.T], axis=1)
    with np.errstate(invalid="ignore"):
        return sums / np.bincount(owners, minlength=count)[:, None]
