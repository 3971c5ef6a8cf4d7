r"""Laguerre cells of the squared distance in a box, exact to rounding, and the potentials that give them volumes.

.. math:: \mathrm{Cell}_i = \{x : |x - y_i|^2 - f_i \le |x - y_j|^2 - f_j \text{ for all } j\}

Cells are convex polygons. With a *void*, cell 0 of cost 0 and potential 0, each is cut by the disc |x - y_i|^2 <= f_i,
too. The potentials f maximise the concave function

.. math:: D(f) = \sum_i v_i f_i + \int_\mathrm{box} \min_i \, (|x - y_i|^2 - f_i) \, dx,

the minimum taken over the void as well. Its derivative in f_i is v_i - Vol(Cell_i).
"""

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.sparse import coo_array, csc_array
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from shapeofloss.arrays import Floats, as_count, as_floats, as_number
from shapeofloss.distributions.clouds import as_cloud, as_volumes
from shapeofloss.errors import UserError, unknown

NEAR = 20  # seeds whose half-planes are tried first
SMALLEST_STEP = 2.0**-20  # of Newton's method: below it, rounding decides
STARVED = 0.1  # a start that leaves a cell less than this share of its volume is not worth climbing from
METHODS = ("newton", "quasi-newton")
WIDEST = 1e60  # side of a box: fourth powers of lengths are still numbers


@dataclass(frozen=True)
class Cells:
    """All cells at given potentials.

    Attributes:
        volumes: Area of each cell, shape (N,).
        centroids: Shape (N, 2); NaN for an empty cell.
        costs: Integral of |x - y_i|^2 over each cell, shape (N,).
        pairs, lengths: Each interface as (i, j), i < j, and its length, shape (K, 2) and (K,).
        arcs: Length of the border between each cell and the void, shape (N,).
    """

    volumes: Floats
    centroids: Floats
    costs: Floats
    pairs: NDArray[np.int64]
    lengths: Floats
    arcs: Floats


@dataclass(frozen=True)
class Laguerre:
    """How a search for potentials ended.

    Attributes:
        f: Potentials, shape (N,), in units of squared length; without a void they are fixed up to a constant.
        cells: The cells at these potentials.
        targets: The prescribed volumes, shape (N,).
        value: The dual value D(f).
        converged: Whether every volume is within the tolerance.
        iterations: Steps of the method.
        evaluations: How often all cells were computed.
        history: For each evaluation the seconds since the start, the mean and the largest relative volume error,
            shape (evaluations, 3).
    """

    f: Floats
    cells: Cells
    targets: Floats
    value: float
    converged: bool
    iterations: int
    evaluations: int
    history: Floats

    @property
    def volumes(self) -> Floats:
        """The area of each cell, shape (N,)."""
        return self.cells.volumes

    @property
    def centroids(self) -> Floats:
        """The centroid of each cell, shape (N, 2); NaN for an empty one."""
        return self.cells.centroids

    @property
    def errors(self) -> Floats:
        """The relative volume error of each cell, shape (N,)."""
        return np.abs(self.volumes / self.targets - 1)

    @property
    def empty(self) -> NDArray[np.int64]:
        """The numbers of the cells without volume."""
        return np.flatnonzero(self.volumes == 0)

    @property
    def cost(self) -> float:
        """The transport cost: the integral of |x - y_i|^2 over all cells."""
        return float(self.cells.costs.sum())


class Domain:
    """A box with seeds in it: what stays the same while potentials change.

    Args:
        seeds: Shape (N, 2), inside the box, no two at the same place.
        box: Its width and height; a corner is at the origin.
        void: Whether there is a cell 0 that takes what no cell wants.
    Raises:
        UserError: If a seed is outside, or two coincide, or the box is none, with sides from 1e-60 to 1e60.
    """

    def __init__(self, seeds: ArrayLike, box: tuple[float, float] = (1.0, 1.0), *, void: bool = False) -> None:
        self.seeds, self.box, self.void = as_cloud(seeds, "of seeds"), as_floats(box, "The box", finite=False), void
        if self.box.shape != (2,) or not ((self.box >= 1 / WIDEST) & (self.box <= WIDEST)).all():
            raise UserError(
                f"The box is {box}; it needs a width and a height, both above 0: from {1 / WIDEST:g} to {WIDEST:g}."
            )
        if self.seeds.shape[1] != 2:
            raise UserError(f"The seeds have shape {self.seeds.shape}; exact cells are planar, so (N, 2) is needed.")
        outside = ((self.seeds < 0) | (self.seeds > self.box)).any(1)
        if outside.any():
            first = int(outside.argmax())
            raise UserError(f"Seed {first} is at {self.seeds[first].tolist()}, outside the box {self.box.tolist()}.")
        count = len(self.seeds)
        distances, near = cKDTree(self.seeds).query(self.seeds, k=min(count, NEAR + 1))
        if count > 1 and (coincide := distances[:, 1] == 0).any():
            first = int(coincide.argmax())
            raise UserError(f"Two seeds are at {self.seeds[first].tolist()}; every seed needs a place of its own.")
        self.near = np.ascontiguousarray(near.reshape(count, -1)[:, 1:])

    @property
    def area(self) -> float:
        """The area of the box."""
        return float(self.box.prod())

    def cells(self, f: ArrayLike) -> Cells:
        """Return all cells.

        Args:
            f: Potentials, shape (N,), in units of squared length.
        Raises:
            UserError: If they are not N finite numbers.
        Example:
            >>> Domain([[0.25, 0.5], [0.75, 0.5]]).cells([0.0, 0.1]).volumes.round(9).tolist()
            [0.4, 0.6]
        """
        from shapeofloss.transport.cells import polygons  # slow to import

        f = self._potentials(f)
        corners, labels, numbers = polygons.outlines(self.seeds, f, self.near, self.box, self.void)
        sums, lengths = polygons.integrate(corners, numbers, f if self.void else np.full(len(f), np.inf))
        volumes, moments, costs, arcs = np.maximum(sums[:, 0], 0), sums[:, 1:3], sums[:, 3], np.maximum(sums[:, 4], 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            centroids = self.seeds + np.where(volumes > 0, 1.0, np.nan)[:, None] * moments / volumes[:, None]
        pairs = np.stack([np.repeat(np.arange(len(f)), numbers), labels], axis=1)
        once = (pairs[:, 0] < pairs[:, 1]) & (lengths > 0)  # the other side's length is the same up to rounding
        return Cells(volumes, centroids, costs, pairs[once], lengths[once], arcs)

    def value(self, f: ArrayLike, volumes: ArrayLike, cells: Cells | None = None) -> float:
        """Return the dual value D(f) for prescribed volumes v.

        Raises:
            UserError: If potentials or volumes are not N finite numbers.
        """
        f, v = self._potentials(f), as_floats(volumes, "The array of volumes", shape=(len(self.seeds),))
        cells = self.cells(f) if cells is None else cells
        return float(np.dot(v, f) + (cells.costs - f * cells.volumes).sum())

    def jacobian(self, f: ArrayLike, cells: Cells) -> csc_array:
        """Return the derivatives of the volumes in the potentials, shape (N, N), symmetric.

        Across an interface of length l between seeds at distance d it is -l / 2d; an arc of radius r adds l / 2r to
        the diagonal. Without a void, rows add up to zero.
        """
        f, (i, j) = self._potentials(f), cells.pairs.T
        speeds = cells.lengths / (2 * np.linalg.norm(self.seeds[i] - self.seeds[j], axis=1))
        diagonal = np.zeros(len(f)) + np.bincount(i, speeds, len(f)) + np.bincount(j, speeds, len(f))
        if self.void:
            diagonal += cells.arcs / (2 * np.sqrt(np.maximum(f, np.finfo(float).tiny)))
        everyone = np.arange(len(f))
        entries = np.concatenate([-speeds, -speeds, diagonal])
        places = np.concatenate([i, j, everyone]), np.concatenate([j, i, everyone])
        return coo_array((entries, places), shape=(len(f), len(f))).tocsc()

    def polygons(self, f: ArrayLike, *, arc_step: float = 0.1) -> list[Floats]:
        """Return the outline of each cell, anticlockwise, shape (K, 2), K = 0 if it is empty, to be drawn.

        Args:
            f: Potentials, shape (N,).
            arc_step: With a void, arcs are drawn by chords that span at most this angle, in radians, above 0.
        Raises:
            UserError: If the potentials are not N finite numbers, or the angle is none.
        """
        from shapeofloss.transport.cells import polygons

        f, arc_step = self._potentials(f), as_number(arc_step, "arc_step", at_least=1e-6)
        corners, _, numbers = polygons.outlines(self.seeds, f, self.near, self.box, self.void)
        outlines = np.split(corners, np.cumsum(numbers)[:-1])
        if self.void:
            radii = np.sqrt(np.maximum(f, 0)).tolist()
            outlines = [polygons.in_disc(*one, arc_step) for one in zip(outlines, radii, strict=True)]
        return [outline + seed for outline, seed in zip(outlines, self.seeds, strict=True)]

    def solve(
        self,
        volumes: ArrayLike,
        *,
        f: ArrayLike | None = None,
        tolerance: float = 0.01,
        method: str = "newton",
        most: int = 200,
    ) -> Laguerre:
        """Return potentials that give every cell its prescribed volume.

        Args:
            volumes: v, shape (N,), above 0. Without a void their sum is the box's area; with one it is below.
            f: Where to start, shape (N,). By default, and if they starve a cell or lead nowhere, equal ones.
            tolerance: Largest relative error of a volume, above 0.
            method: "newton" is damped so that no cell ever vanishes (Kitagawa, Merigot and Thibert, 2019), with the
                exact Jacobian; "quasi-newton" is L-BFGS.
            most: Evaluations of all cells after which it gives up, at least 1; the result then says that it has not
                converged.
        Raises:
            UserError: If an argument is none of the above.
        Source:
            Optimal transport talk, slides "Use power diagrams i.e. semi-discrete optimal transport" and "Power plastics
            - without the eye candy".
        Example:
            >>> domain = Domain([[0.25, 0.5], [0.75, 0.5]])
            >>> domain.solve([0.3, 0.7], tolerance=1e-9).volumes.round(9).tolist()
            [0.3, 0.7]
        """
        targets = as_volumes(volumes, len(self.seeds), self.area, void=self.void)
        tolerance, most = as_number(tolerance, "The tolerance", above=0), as_count(most, "most")
        if method not in METHODS:
            raise unknown("method", method, METHODS)
        equal = np.full(len(targets), targets.mean() / np.pi if self.void else 0.0)
        start = equal if f is None else self._potentials(f)
        search, iterations = _Search(self, start, targets, tolerance, most), 0
        climb = _newton if method == "newton" else _quasi_newton
        best, cells = search.last
        if f is None or (cells.volumes >= STARVED * targets).all():
            best, cells, iterations = climb(search, start)
        if f is not None and not search.done:
            best, cells, more = climb(search, equal)
            iterations += more
        converged = bool((np.abs(cells.volumes / targets - 1) <= tolerance).all())
        history = np.array(search.history)
        value = self.value(best, targets, cells)
        return Laguerre(best, cells, targets, value, converged, iterations, len(history), history)

    def _potentials(self, f: ArrayLike) -> Floats:
        return as_floats(f, "f", shape=(len(self.seeds),))


class _Search:
    """Computes cells, keeps a record of it, and tells when to stop."""

    def __init__(self, domain: Domain, start: Floats, targets: Floats, tolerance: float, most: int) -> None:
        self.domain, self.targets, self.tolerance, self.most = domain, targets, tolerance, most
        self.began, self.history, self.least = time.perf_counter(), list[tuple[float, float, float]](), np.inf
        self.last = self.best = self._evaluated(start)

    def __call__(self, f: Floats) -> Cells:
        """Return the cells; those of the last potentials are known."""
        if not np.array_equal(f, self.last[0]):
            self.last = self._evaluated(f)
        return self.last[1]

    def _evaluated(self, f: Floats) -> tuple[Floats, Cells]:
        cells = self.domain.cells(f)
        errors = np.abs(cells.volumes / self.targets - 1)
        self.history.append((time.perf_counter() - self.began, float(errors.mean()), float(errors.max())))
        if errors.max() <= self.least:
            self.least, self.best = float(errors.max()), (f.copy(), cells)
        return f.copy(), cells

    @property
    def done(self) -> bool:
        """Whether the last evaluation was good enough, or the last one allowed."""
        return self.history[-1][2] <= self.tolerance or len(self.history) >= self.most


def _newton(search: _Search, f: Floats) -> tuple[Floats, Cells, int]:
    """Climb by damped Newton steps: halve a step until no cell is too small, and the error falls enough."""
    domain, targets, cells = search.domain, search.targets, search(f)
    floor = min(cells.volumes.min(), targets.min()) / 2
    lack, iterations = targets - cells.volumes, 0
    while not search.done:
        direction, step = _direction(domain.jacobian(f, cells), lack, pinned=not domain.void), 1.0
        iterations += 1
        while True:
            trial = f + step * direction
            new = search(trial)
            new_lack = targets - new.volumes
            falls = np.linalg.norm(new_lack) <= (1 - step / 2) * np.linalg.norm(lack)
            if new.volumes.min() >= floor and falls:
                break
            step /= 2
            if step < SMALLEST_STEP or len(search.history) >= search.most:
                return f, cells, iterations
        f, cells, lack = trial, new, new_lack
    return f, cells, iterations


def _direction(jacobian: csc_array, lack: Floats, *, pinned: bool) -> Floats:
    """Return Newton's direction; without a void the last potential stays what it is."""
    direction, last = np.zeros_like(lack), len(lack) - int(pinned)
    if last:
        order: dict[str, Any] = {"permc_spec": "MMD_AT_PLUS_A", "diag_pivot_thresh": 0.0}
        order["options"] = {"SymmetricMode": True}
        direction[:last] = splu(jacobian[:last, :last], **order).solve(lack[:last])
    return direction


def _quasi_newton(search: _Search, f: Floats) -> tuple[Floats, Cells, int]:
    """Climb by L-BFGS, and return the point of least error that was seen."""
    search(f)

    def descend(trial: Floats) -> tuple[float, Floats]:
        if search.done and not np.array_equal(trial, search.last[0]):
            raise _EnoughError
        cells = search(trial)
        return -search.domain.value(trial, search.targets, cells), cells.volumes - search.targets

    steps: list[None] = []
    options = {"maxcor": 20, "maxfun": search.most, "maxiter": search.most, "ftol": 0.0, "gtol": 0.0}
    with suppress(_EnoughError):
        minimize(descend, f, jac=True, method="L-BFGS-B", callback=lambda _: steps.append(None), options=options)
    return *search.best, len(steps)


class _EnoughError(Exception):
    """Raised to leave SciPy's loop."""
