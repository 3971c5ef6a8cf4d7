r"""Semi-discrete transport on pixels: cells of prescribed volumes for costs that no exact geometry covers.

A cell is where its particle is the cheapest, potentials included:

.. math:: \text{cell}_i = \{x : c_i(x) - f_i \le c_j(x) - f_j \text{ for all } j\}, \qquad
          \frac{\partial\, \text{dual}}{\partial f_i} = v_i - \text{Vol}(\text{cell}_i)
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.linalg import spsolve

from shapeofloss.arrays import Floats, as_count, as_floats, as_number
from shapeofloss.distributions.clouds import as_volumes
from shapeofloss.transport.cells.pixel_costs import Costs
from shapeofloss.transport.cells.pixels import NOBODY, Labels

MOST_WAKINGS = 20  # how often empty cells are given a pixel before the first step; those woken may starve others
ASTRAY = 10  # tolerances: a warm start that ends farther off is given up for a cold one
SHORTEST_STEP = 2.0**-6  # of Newton's method: below it the volumes no longer follow the potentials


@dataclass(frozen=True)
class Diagram:
    """Cells and how well they meet their volumes.

    Attributes:
        labels: The particle of each pixel, or -1, of the grid's shape.
        f: Potentials, shape (N,), in units of the cost.
        volumes, targets: What the cells have, and what was prescribed, shape (N,).
        evaluations: How often all pixels were assigned.
        converged: Whether the largest relative error is within the tolerance.
    """

    labels: Labels
    f: Floats
    volumes: Floats
    targets: Floats
    evaluations: int
    converged: bool

    @property
    def errors(self) -> Floats:
        """The relative error of each volume, without a sign, shape (N,)."""
        return np.abs(self.volumes / self.targets - 1)

    @property
    def empty(self) -> NDArray[np.int64]:
        """The particles without a pixel."""
        return np.flatnonzero(self.volumes == 0)


def solve(
    costs: Costs,
    volumes: ArrayLike,
    *,
    f: ArrayLike | None = None,
    tolerance: float = 0.01,
    most: int = 200,
) -> Diagram:
    """Find the potentials at which cells have their volumes, by damped Newton steps on the concave dual.

    The Hessian is read off the interfaces: where cells i and j touch, raising f_i by t moves the interface by
    t / |grad(c_i - c_j)|. On pixels the volumes move in jumps, and each step brings some disorder to cells that were
    right. Where no step lowers all errors together, further steps aim at cells that are off by more than a quarter of
    the tolerance, and have to lower what exceeds it. Where this does not help, the method stops.

    Args:
        costs: On a grid.
        volumes: Prescribed, shape (N,).
        f: Potentials to start from, for example those of the last time step; if they lead astray, it starts again
            without them.
        tolerance: Largest relative error of a volume.
        most: Evaluations after which it stops, at least 1.
    Returns:
        The diagram with the least error that was met; it says whether it converged, and which cells are empty.
    Raises:
        UserError: If the volumes, potentials, tolerance or number of evaluations are not valid.
    Source:
        Optimal transport talk, slides "How can we enforce a volume preservation constraint?" and "These simulations
        alternate between"; Kitagawa, Merigot and Thibert (2019) for the damping.
    Example:
        >>> from shapeofloss.transport.cells.pixel_costs import Grid, PowerCosts
        >>> grid = Grid((64, 64), 1 / 64)
        >>> disc = solve(PowerCosts(grid, [[0.5, 0.5]], void=True), [0.5])
        >>> bool(abs(disc.volumes[0] - 0.5) < 0.005)
        True
    """
    v = as_volumes(volumes, len(costs), costs.grid.volume, void=costs.void)
    tolerance, most = as_number(tolerance, "The tolerance", above=0), as_count(most, "most")
    if f is None:
        return _climb(costs, v, costs.start(v), tolerance, most)
    f = as_floats(f, "f", shape=v.shape)
    warm = _climb(costs, v, f, tolerance, most)
    if warm.errors.max() <= ASTRAY * tolerance or warm.evaluations >= most:
        return warm
    cold = _climb(costs, v, costs.start(v), tolerance, most - warm.evaluations)
    better = min(warm, cold, key=lambda diagram: float(diagram.errors.max()))
    return replace(better, evaluations=warm.evaluations + cold.evaluations)


def _climb(costs: Costs, v: Floats, f: Floats, tolerance: float, most: int) -> Diagram:
    """Take Newton steps until the volumes are right, no step helps, or all evaluations are used."""
    used = 0

    def look(f: Floats) -> Diagram:
        nonlocal used
        used += 1
        labels, counts = costs.assign(f)
        volumes = np.multiply(counts, costs.grid.pixel, dtype=np.float64)
        return Diagram(labels, f, volumes, v, used, bool((np.abs(volumes / v - 1) <= tolerance).all()))

    now = look(f)
    for _ in range(MOST_WAKINGS):
        if now.volumes.all() or used >= most:
            break
        now = look(costs.wake(now.f, now.volumes == 0))
    floor = 0.5 * min(now.volumes.min(), v.min())  # no step may starve a cell: the damping's first condition
    for left_alone, allowed in ((0.0, 0.0), (tolerance / 4, tolerance)):  # all cells; at last those that are off
        length = 1.0
        while not now.converged and length >= SHORTEST_STEP:
            off = now.errors
            step = _newton_step(costs, now.labels, np.where(off > left_alone, v - now.volumes, 0.0))
            if not np.isfinite(step).all():
                break  # the costs differ by less, or by more, than numbers can tell
            length, before = min(1.0, 4 * length), _norm(off, allowed)
            while length >= SHORTEST_STEP:
                if used >= most:
                    return replace(now, evaluations=used)
                trial = look(now.f + length * step)
                if trial.volumes.min() >= floor and _norm(trial.errors, allowed) <= (1 - length / 4) * before:
                    now = trial
                    break
                length /= 2
    return replace(now, evaluations=used)


def _norm(off: Floats, allowed: float) -> float:
    return float(np.linalg.norm(np.maximum(off - allowed, 0)))


def _newton_step(costs: Costs, labels: Labels, wanted: Floats) -> Floats:
    """Solve the Hessian's equation for a step of the potentials that changes the volumes as wanted."""
    i, j, flow = costs.interfaces(labels)
    count = len(wanted)
    between = j != NOBODY
    rows = np.concatenate([i[between], j[between]])
    columns = np.concatenate([j[between], i[between]])
    laplacian = -coo_array((np.tile(flow[between], 2), (rows, columns)), shape=(count, count)).tocsr()
    diagonal = -np.asarray(laplacian.sum(axis=1)).ravel() + np.bincount(i[~between], flow[~between], count)
    diagonal += 1e-9 * diagonal.max() + (diagonal == 0)  # potentials that no interface fixes stay where they are
    laplacian.setdiag(diagonal)
    return spsolve(laplacian.tocsc(), wanted)
