r"""Cells held together by surface tension: the energy of interfaces, lowered at fixed volumes.

A cell, and the void, pays for what surrounds a pixel, by the tension of that contact:

.. math:: c_i(x) = \sum_{j \ne i} \sigma_{ij} \, (G_w * 1_{\text{cell}_j})(x)

with a Gaussian of width w. Giving each pixel to the cheapest cell lowers the energy of all interfaces; the potentials
of transport keep the volumes. This is the threshold dynamics of Esedoglu and Otto (2015), with the volumes of Jacobs,
Merkurjev and Esedoglu (2018); the talk's authors lower such an energy by forces on the particles instead.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.measure import find_contours

from shapeofloss.arrays import Floats
from shapeofloss.errors import UserError
from shapeofloss.transport.cells.pixel_costs import MatrixCosts
from shapeofloss.transport.cells.pixel_solver import Diagram, solve
from shapeofloss.transport.cells.pixels import NOBODY, Grid, Labels, as_labels


def tensions(kinds: NDArray[np.int64], contact: Floats, void: Floats) -> Floats:
    """Return the tension of each pair of cells, with the void last, shape (N + 1, N + 1).

    Args:
        kinds: Kind of each cell, from 0, shape (N,).
        contact: Tensions between kinds, symmetric, shape (K, K).
        void: Tensions between each kind and the void, shape (K,).
    Raises:
        UserError: If the shapes do not fit, or a tension is not above 0, or a contact is not symmetric.
    Example:
        >>> tensions(np.array([0, 0]), np.array([[1.0]]), np.array([2.0])).tolist()
        [[0.0, 1.0, 2.0], [1.0, 0.0, 2.0], [2.0, 2.0, 0.0]]
    """
    size = len(void)
    if contact.shape != (size, size) or not (contact == contact.T).all() or kinds.min() < 0 or kinds.max() >= size:
        raise UserError(f"{size} tensions towards the void need symmetric contacts of shape {(size, size)} and kinds.")
    if (contact <= 0).any() or (void <= 0).any():
        raise UserError("A tension has to be above 0; without one there is no interface.")
    whole = np.zeros((size + 1, size + 1))
    whole[:size, :size], whole[:size, size], whole[size, :size] = contact, void, void
    owners = np.append(kinds, size)
    sigma = whole[owners][:, owners]
    np.fill_diagonal(sigma, 0.0)
    return sigma


def square_of_cells(pixels: int, side: int, filled: float, seed: int) -> Diagram:
    """Return side^2 cells of equal volume that fill a square in the middle of a box, the start of all runs.

    Args:
        pixels: Pixels along a side of the box, whose length is 1.
        side: Cells along a side of the square.
        filled: Share of the box that the square takes, below 1.
        seed: Seed of the cells' places, a jittered lattice.
    """
    box = Grid((pixels, pixels), 1 / pixels)
    half = np.sqrt(filled) / 2
    inside = (np.abs(box.centres - 0.5).max(1) < half).reshape(box.shape)
    rows, columns = np.divmod(np.arange(side**2), side)
    y = 0.5 - half + (np.stack([rows, columns], axis=1) + 0.5) / side * 2 * half
    y += 0.3 * half / side * np.random.default_rng(seed).standard_normal(y.shape)
    square = Grid(box.shape, box.spacing, inside)
    distances = ((box.centres - y[:, None]) ** 2).sum(-1).reshape(-1, *box.shape)
    return solve(MatrixCosts(square, distances), np.full(side**2, square.volume / side**2))


def relax(labels: Labels, sigma: Floats, steps: int, *, grid: Grid, width: float) -> Iterator[Diagram]:
    """Yield the cells after each time step.

    Args:
        labels: The cell of each pixel, or -1, of the grid's shape; every cell keeps the volume that it has here.
        sigma: Tensions with the void last, as from `tensions`, shape (N + 1, N + 1).
        steps: How many time steps.
        grid: The pixels, all of them inside.
        width: Width of the Gaussian, in pixels: about the longest way of an interface in a step.
    Raises:
        UserError: If a cell has no pixel, or the width is below 1: interfaces would stick to the pixels.
    Source:
        Optimal transport talk, slides "Surface tension".
    """
    count = len(sigma) - 1
    labels = as_labels(labels, count, grid)
    volumes = np.bincount(labels[labels != NOBODY], minlength=count) * grid.pixel
    if not volumes.all():
        raise UserError(f"Cell {int(volumes.argmin())} has no pixel at the start; every cell needs some.")
    if not width >= 1:
        raise UserError(f"The width of the Gaussian is {width}; interfaces stick to the pixels below 1.")
    for _ in range(steps):
        around = np.empty((count + 1, *grid.shape), np.float32)
        for i in range(count):
            around[i] = gaussian_filter((labels == i).astype(np.float32), width, mode="constant", truncate=3)
        around[count] = gaussian_filter((labels == NOBODY).astype(np.float32), width, mode="nearest", truncate=3)
        costs = np.tensordot(sigma.astype(np.float32), around, 1)
        diagram = solve(MatrixCosts(grid, costs[:count] - costs[count], void=True), volumes)
        labels = diagram.labels
        yield diagram


def perimeter(region: NDArray[np.bool_]) -> float:
    """Return the length of a region's boundary in pixels: of the contour of the region, smoothed over a pixel.

    Counting the sides of pixels would make a slanted boundary longer than it is.
    """
    smooth = gaussian_filter(np.pad(region, 5).astype(np.float64), 1.0)
    contours = find_contours(smooth, 0.5)
    return float(sum(np.linalg.norm(np.diff(contour, axis=0), axis=1).sum() for contour in contours))


def roundness(region: NDArray[np.bool_]) -> float:
    """Return 4 pi area / perimeter^2 of a region of pixels: 1 for a disc, pi / 4 for a square.

    Example:
        >>> disc = np.hypot(*np.indices((101, 101)) - 50) < 40
        >>> bool(abs(roundness(disc) - 1) < 0.01)
        True
    """
    return float(4 * np.pi * region.sum() / perimeter(region) ** 2)


def like_contacts(labels: Labels, kinds: NDArray[np.int64]) -> float:
    """Return the share of contacts between two cells that are between cells of one kind, by pairs of pixels."""
    alike = total = 0
    for first, second in ((labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1])):
        touch = (first != second) & (first != NOBODY) & (second != NOBODY)
        alike += int((kinds[first[touch]] == kinds[second[touch]]).sum())
        total += int(touch.sum())
    return alike / total if total else 0.0


def distances_from_the_middle(labels: Labels, count: int) -> Floats:
    """Return each cell's distance from the aggregate's centre over the aggregate's radius, shape (count,)."""
    places = np.argwhere(labels != NOBODY)
    centre, radius = places.mean(0), np.sqrt(len(places) / np.pi)
    return np.array([np.linalg.norm(np.argwhere(labels == i).mean(0) - centre) for i in range(count)]) / radius


def aggregate(
    pixels: int,
    side: int,
    filled: float,
    steps: int,
    seed: int,
    contact: list[list[float]],
    void: list[float],
    width: float,
) -> dict[str, NDArray[np.floating | np.integer]]:
    """Run an aggregate of cells, kinds shuffled in equal numbers, and return how it ends.

    Args:
        pixels, side, filled, seed: As for `square_of_cells`.
        steps: How many time steps.
        contact, void: As for `tensions`.
        width: As for `relax`.
    Returns:
        `start`, `end`: labels; `kinds`; and of start and end (shape (2,)) `roundness` of the aggregate, `outline` and
        `like`; `distances`, at the end; `error`, the largest one of a volume in each step.
    """
    start = square_of_cells(pixels, side, filled, seed)
    kinds = np.random.default_rng(seed).permutation(side**2) % len(void)
    grid = Grid((pixels, pixels), 1 / pixels)
    sigma = tensions(kinds, np.array(contact), np.array(void))
    diagrams = list(relax(start.labels, sigma, steps, grid=grid, width=width))
    ends = (start.labels, diagrams[-1].labels)
    return {
        "start": ends[0],
        "end": ends[1],
        "kinds": kinds,
        "roundness": np.array([roundness(labels != NOBODY) for labels in ends]),
        "outline": np.array([perimeter(labels != NOBODY) * grid.spacing for labels in ends]),
        "like": np.array([like_contacts(labels, kinds) for labels in ends]),
        "distances": distances_from_the_middle(ends[1], side**2),
        "error": np.array([diagram.errors.max() for diagram in diagrams]),
    }
