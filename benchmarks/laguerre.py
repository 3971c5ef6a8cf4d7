"""Cells of equal volume, to 1% from zero potentials: 400 polygons, and 100 cells of another cost on pixels."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.spatial import ConvexHull

from shapeofloss.arrays import Floats
from shapeofloss.distributions.clouds import uniform
from shapeofloss.transport.cells.laguerre import Cells, Domain
from shapeofloss.transport.cells.pixel_costs import PowerCosts
from shapeofloss.transport.cells.pixel_solver import solve
from shapeofloss.transport.cells.pixels import Grid

CELLS = 400
PIXEL_CELLS, SIDE, EXPONENT = 100, 256, 4
PRECISION = 0.01  # of the volume of the worst cell


class HullDomain(Domain):
    """The same domain, its cells from the lower hull of the lifted points (y, |y|^2 - f) and their mirror images.

    A facet of the hull is a corner of the diagram, an edge between two points the interface between their cells.
    """

    def cells(self, f: ArrayLike) -> Cells:
        """Return all cells; without a void, and without what a search does not need: centroids and costs."""
        y, (width, height), f = self.seeds, self.box, np.asarray(f)
        mirrors = [y * [-1, 1], [2 * width, 0] + y * [-1, 1], y * [1, -1], [0, 2 * height] + y * [1, -1]]
        points, count = np.concatenate([y, *mirrors]), len(y)
        high = np.tile(f, 5)
        hull: Any = ConvexHull(np.column_stack([points, (points**2).sum(1) - high]))
        below = hull.equations[:, 2] < 0
        corners = -hull.equations[below, :2] / (2 * hull.equations[below, 2:3])
        facets, numbers = hull.simplices[below], np.cumsum(below) - 1
        next_to = hull.neighbors[below]
        i, j = facets[:, [1, 2, 0]].ravel(), facets[:, [2, 0, 1]].ravel()  # opposite of neighbour 0, 1, 2
        across = next_to.ravel()
        kept = (i < count) | (j < count)
        kept &= below[across]
        here = np.repeat(np.arange(len(facets)), 3)
        lengths = np.linalg.norm(corners[here[kept]] - corners[numbers[across[kept]]], axis=1)
        i, j = i[kept], j[kept]
        squared = ((points[i] - points[j]) ** 2).sum(1)
        volumes = np.zeros(count)
        for one, two in ((i, j), (j, i)):  # every edge is met from two facets: hence a quarter of the half
            inside = one < count
            heights = (squared[inside] + high[one[inside]] - high[two[inside]]) / (2 * np.sqrt(squared[inside]))
            volumes += np.bincount(one[inside], lengths[inside] * heights / 4, count)
        between = (i < count) & (j < count) & (here[kept] < numbers[across[kept]])
        pairs = np.stack([i[between], j[between]], axis=1)
        nothing = np.full(count, np.nan)
        return Cells(volumes, np.stack([nothing] * 2, axis=1), nothing, pairs, lengths[between], np.zeros(count))


@cache
def seeds() -> Floats:
    """Return random seeds in the unit square."""
    return uniform(CELLS, 2, seed=0)


def clipped() -> None:
    """Solve with compiled cells."""
    Domain(seeds()).solve(np.full(CELLS, 1 / CELLS))


def hulls() -> None:
    """Solve by the same damped Newton steps with SciPy's hulls."""
    HullDomain(seeds()).solve(np.full(CELLS, 1 / CELLS))


@cache
def costs() -> PowerCosts:
    """Return the costs |x - y|^4 on pixels."""
    return PowerCosts(Grid((SIDE, SIDE), 1 / SIDE), uniform(PIXEL_CELLS, 2, seed=0), exponents=EXPONENT)


@cache
def matrix() -> Floats:
    """Return the same costs as an array, shape (cells, pixels)."""
    return costs().at(costs().grid.centres)


def newtons() -> None:
    """Solve on pixels by the course's Newton steps."""
    solve(costs(), np.full(PIXEL_CELLS, 1 / PIXEL_CELLS), tolerance=PRECISION)


def quasi_newtons() -> None:
    """Solve on pixels by SciPy's L-BFGS, with cells from NumPy's argmin over the stored costs."""
    wanted = np.full(PIXEL_CELLS, 1 / PIXEL_CELLS)

    def descend(f: Floats) -> tuple[float, Floats]:
        offers = matrix() - f[:, None]
        owner = offers.argmin(0)
        volumes[:] = np.bincount(owner, minlength=len(f)) / len(owner)
        return -float(wanted @ f + offers[owner, np.arange(len(owner))].mean()), volumes - wanted

    def stop(_: Floats) -> None:
        if np.abs(volumes / wanted - 1).max() <= PRECISION:
            raise StopIteration

    volumes = np.zeros(PIXEL_CELLS)
    options = {"maxcor": 20, "ftol": 0.0, "gtol": 0.0, "maxfun": 300}
    minimize(descend, np.zeros(PIXEL_CELLS), jac=True, method="L-BFGS-B", callback=stop, options=options)
