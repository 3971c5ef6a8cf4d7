r"""Semi-discrete transport on pixels: cells of prescribed volumes for costs that no exact geometry covers.

A cell is where its particle is the cheapest, potentials included:

.. math:: \text{cell}_i = \{x : c_i(x) - f_i \le c_j(x) - f_j \text{ for all } j\}, \qquad
          \frac{\partial\, \text{dual}}{\partial f_i} = v_i - \text{Vol}(\text{cell}_i)

Two kinds of costs share one Newton method: powers of an anisotropic distance, where whole blocks of pixels are decided
at once, and any costs, as a matrix. With a void, cell 0 of the talk, a pixel stays empty where every c_i - f_i is above
0. Lengths are in units of the box, volumes too (areas in 2-D).
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.linalg import spsolve

from shapeofloss.arrays import Floats, as_count, as_floats, as_number
from shapeofloss.distributions.clouds import as_cloud, as_volumes, is_positive
from shapeofloss.errors import UserError

Labels = NDArray[np.int32]
Booleans = NDArray[np.bool_]

NOBODY = -1  # the label of pixels in the void or outside of the domain
MOST_WAKINGS = 20  # how often empty cells are given a pixel before the first step; those woken may starve others
ASTRAY = 10  # tolerances: a warm start that ends farther off is given up for a cold one
SHORTEST_STEP = 2.0**-6  # of Newton's method: below it the volumes no longer follow the potentials


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
        return self.pixel * (math.prod(self.shape) if self.inside is None else int(self.inside.sum()))

    @property
    def centres(self) -> Floats:
        """The centres of the pixels, shape (number of pixels, D)."""
        axes = [(np.arange(length) + 0.5) * self.spacing for length in self.shape]
        return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(self.shape))


@dataclass(frozen=True)
class Assignment:
    """Who has which pixel at given potentials.

    Attributes:
        labels: The particle of each pixel, or -1, of the grid's shape.
        counts: The pixels of each particle, shape (N,).
    """

    labels: Labels
    counts: NDArray[np.int64]


class Costs(Protocol):
    """What Newton's method asks of costs on a grid."""

    @property
    def grid(self) -> Grid:
        """The pixels."""

    @property
    def void(self) -> bool:
        """Whether pixels may stay empty."""

    def __len__(self) -> int:
        """Return the number of particles."""

    def assign(self, f: Floats) -> Assignment:
        """Give each pixel to the particle with the least c_i - f_i."""

    def interfaces(self, labels: Labels) -> tuple[Labels, Labels, Floats]:
        """Return pairs i, j of neighbours (j = -1 for the void) and the flow of volume per unit of f_i - f_j."""

    def start(self, volumes: Floats) -> Floats:
        """Return potentials to begin with."""

    def wake(self, f: Floats, empty: Booleans) -> Floats:
        """Return potentials at which empty cells have a pixel."""


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


@dataclass(frozen=True)
class PowerCosts:
    r"""Powers of an anisotropic distance.

    .. math:: c_i(x) = \bigl((x - y_i)^\top A_i\, (x - y_i)\bigr)^{p_i / 2}

    Attributes:
        grid: The pixels.
        positions: The particles y_i, shape (N, D), in the box.
        shapes: A_i, symmetric and positive, shape (N, D, D), in one over a squared length.
        exponents: p_i >= 1, shape (N,): 1 is soft, larger ones are harder.
        void: Whether pixels may stay empty.
    """

    grid: Grid
    positions: Floats
    shapes: Floats
    exponents: Floats
    void: bool = False

    @classmethod
    def of(
        cls,
        grid: Grid,
        positions: ArrayLike,
        *,
        shapes: ArrayLike | None = None,
        exponents: ArrayLike = 2.0,
        void: bool = False,
    ) -> "PowerCosts":
        """Check and broadcast: one matrix, or one exponent, may stand for all particles.

        Raises:
            UserError: If the particles are no cloud of the grid's dimension in the box, two coincide, a matrix is not
                symmetric and positive, or an exponent is below 1 or infinite.
        Example:
            >>> costs = PowerCosts.of(Grid((4, 4), 0.25), [[0.2, 0.5], [0.7, 0.5]])
            >>> solve(costs, [0.25, 0.75]).labels[:, 0].tolist()
            [0, 1, 1, 1]
        """
        y = as_cloud(positions, "y")
        count, dimension = len(y), len(grid.shape)
        if y.shape[1] != dimension:
            raise UserError(f"The particles have dimension {y.shape[1]}, the grid {dimension}; both need the same.")
        if (y < 0).any() or (y > np.array(grid.shape) * grid.spacing).any():
            raise UserError("A particle lies outside of the box; move it inside or take a larger grid.")
        if len(np.unique(y, axis=0)) < count:
            raise UserError("Two particles coincide, and no potential tells their cells apart; leave one of them out.")
        A = np.eye(dimension) if shapes is None else as_floats(shapes, "The array of matrices", finite=False)
        if A.shape not in ((dimension, dimension), (count, dimension, dimension)):
            one, all_of_them = (dimension, dimension), (count, dimension, dimension)
            raise UserError(f"The matrices of the costs have shape {A.shape}; {one} or {all_of_them} is needed.")
        p = as_floats(exponents, "The array of exponents", finite=False)
        if p.shape not in ((), (count,)):
            raise UserError(f"The exponents have shape {p.shape}; one number, or ({count},), is needed.")
        A, p = np.broadcast_to(A, (count, dimension, dimension)).copy(), np.broadcast_to(p, (count,)).copy()
        return cls(grid, y, A, p, void)

    def __post_init__(self) -> None:
        """Check what the compiled loops do not check.

        Raises:
            UserError: If arrays do not fit together, or a matrix or an exponent is none.
        """
        count, dimension = len(self.positions), len(self.grid.shape)
        as_floats(self.positions, "The array of positions", shape=(count, dimension))
        as_floats(self.shapes, "The array of matrices", shape=(count, dimension, dimension), finite=False)
        p = as_floats(self.exponents, "The array of exponents", shape=(count,), finite=False)
        if not is_positive(self.shapes):
            raise UserError("Each matrix of a cost has to be finite and symmetric with eigenvalues above 0.")
        if (bad := np.flatnonzero(~((p >= 1) & (p < np.inf)))).size:
            raise UserError(f"The exponents of the costs are at least 1 and finite; number {bad[0]} is {p[bad[0]]}.")
        diagonal = self.grid.spacing * np.hypot.reduce(np.array(self.grid.shape, dtype=np.float64))
        reach = 2 * diagonal * np.sqrt(np.linalg.eigvalsh(self.shapes)[:, -1])
        with np.errstate(over="ignore"):
            if not np.isfinite(reach**p).all():
                raise UserError(
                    f"Costs overflow: the exponent {p.max():g} is too large for a distance of {reach.max():g}."
                )

    def __len__(self) -> int:
        """Return the number of particles."""
        return len(self.positions)

    @property
    def _arguments(self) -> tuple[Any, ...]:
        """What the kernels take: three axes, and factors R with A = R' R."""
        count, dimension = self.positions.shape
        y, R = np.zeros((count, 3)), np.zeros((count, 3, 3))
        y[:, :dimension] = self.positions
        y[:, dimension:] = self.grid.spacing / 2  # 2-D: in the middle of the only layer
        R[:, :dimension, :dimension] = np.linalg.cholesky(self.shapes).mT
        return y, R, self.exponents, self.grid.spacing

    @property
    def _three(self) -> tuple[int, int, int]:
        """The grid's shape with three axes."""
        return (*self.grid.shape, 1)[:3]  # type: ignore[return-value]

    def assign(self, f: Floats) -> Assignment:
        """Give each pixel to the particle with the least c_i - f_i."""
        from shapeofloss.transport.cells import pixel_kernels as kernels  # Numba is slow to import

        shape = self._three
        f = as_floats(f, "f", shape=(len(self),))
        inside = np.ones(shape, bool) if self.grid.inside is None else self.grid.inside.reshape(shape)
        labels = np.empty(shape, np.int32)
        counts = kernels.assign_powers(*self._arguments, f, self.void, inside, labels)
        return Assignment(labels.reshape(self.grid.shape), counts)

    def interfaces(self, labels: Labels) -> tuple[Labels, Labels, Floats]:
        """Return pairs i, j of neighbours (j = -1 for the void) and the flow of volume per unit of f_i - f_j."""
        from shapeofloss.transport.cells import pixel_kernels as kernels  # Numba is slow to import

        labels = as_labels(labels, len(self), self.grid)
        inside = np.ones(self._three, bool) if self.grid.inside is None else self.grid.inside.reshape(self._three)
        i, j, flow = kernels.interfaces_powers(*self._arguments, labels.reshape(self._three), inside)
        return i, j, flow * self.grid.spacing ** (len(self.grid.shape) - 1)

    def start(self, volumes: Floats) -> Floats:
        """Return 0, or with a void the potentials of particles that are alone."""
        if not self.void:
            return np.zeros(len(self))
        dimension = len(self.grid.shape)
        ball = math.pi if dimension == 2 else 4 * math.pi / 3
        size = (volumes * np.sqrt(np.linalg.det(self.shapes)) / ball) ** (1 / dimension)
        return size**self.exponents

    def at(self, points: Floats) -> Floats:
        """Return c_i at points of shape (N, M, D) or (M, D), shape (N, M)."""
        d = points - self.positions[:, None]
        return np.einsum("nmk,nkl,nml->nm", d, self.shapes, d) ** (self.exponents[:, None] / 2)

    def wake(self, f: Floats, empty: Booleans) -> Floats:
        """Return potentials at which empty cells have the pixel that is nearest to their particle."""
        top = np.array(self.grid.shape) - 1
        nearest = (np.clip(np.floor(self.positions[empty] / self.grid.spacing), 0, top) + 0.5) * self.grid.spacing
        offers = self.at(nearest) - f[:, None]  # (N, empty ones)
        least = np.minimum(offers.min(0), 0) if self.void else offers.min(0)
        woken = f.copy()
        step = np.linalg.eigvalsh(self.shapes[empty])[:, -1] * self.grid.spacing**2  # what a pixel further costs
        woken[empty] += np.diag(offers[empty]) - least + step ** (self.exponents[empty] / 2)
        return woken


@dataclass(frozen=True)
class MatrixCosts:
    """Any costs, pixel by pixel.

    Attributes:
        grid: The pixels.
        matrix: c_i(x), shape (N, *grid.shape), in any unit, kept in single precision if it comes in it.
        void: Whether pixels may stay empty.
    """

    grid: Grid
    matrix: NDArray[np.floating]
    void: bool = False

    def __post_init__(self) -> None:
        """Check the costs.

        Raises:
            UserError: If they are no array of finite numbers with one entry for each particle and pixel.
        """
        single = type(self.matrix) is np.ndarray and self.matrix.dtype == np.float32
        matrix = (
            np.ascontiguousarray(self.matrix) if single else as_floats(self.matrix, "The array of costs", finite=False)
        )
        if matrix.ndim < 2 or matrix.shape[1:] != self.grid.shape or not len(matrix):
            needed = ", ".join(map(str, self.grid.shape))
            raise UserError(f"The costs have shape {matrix.shape}; (N, {needed}) is needed, N at least 1.")
        if not np.isfinite(matrix).all():
            raise UserError("Some costs are not finite; forbid a pixel by a cost that is large instead.")
        object.__setattr__(self, "matrix", matrix)

    @cached_property
    def _unit(self) -> float:
        """The power of two at or below the largest cost: what a small part of a cost is measured by."""
        return float(2.0 ** np.floor(np.log2(float(np.abs(self.matrix).max()) or 1.0)))

    def __len__(self) -> int:
        """Return the number of particles."""
        return len(self.matrix)

    def assign(self, f: Floats) -> Assignment:
        """Give each pixel to the particle with the least c_i - f_i."""
        from shapeofloss.transport.cells import pixel_kernels as kernels  # Numba is slow to import

        f = as_floats(f, "f", shape=(len(self),))
        size = math.prod(self.grid.shape)
        inside = np.ones(size, bool) if self.grid.inside is None else self.grid.inside.ravel()
        labels = np.empty(size, np.int32)
        counts = kernels.assign_matrix(self.matrix.reshape(len(self), -1), f, self.void, inside, labels)
        return Assignment(labels.reshape(self.grid.shape), counts)

    def interfaces(self, labels: Labels) -> tuple[Labels, Labels, Floats]:
        """Return pairs i, j of neighbours (j = -1 for the void) and the flow of volume per unit of f_i - f_j."""
        from shapeofloss.transport.cells import pixel_kernels as kernels  # Numba is slow to import

        labels, three = as_labels(labels, len(self), self.grid), (*self.grid.shape, 1)[:3]
        inside = np.ones(three, bool) if self.grid.inside is None else self.grid.inside.reshape(three)
        matrix = self.matrix.reshape(len(self), *three)
        i, j, flow = kernels.interfaces_matrix(matrix, self._unit, labels.reshape(three), inside)
        return i, j, flow * self.grid.pixel / self._unit

    def start(self, volumes: Floats) -> Floats:
        """Return, for each particle, the cost at which its cheapest pixels have its volume; 0 without a void."""
        if not self.void:
            return np.zeros(len(self))
        flat = self.matrix.reshape(len(self), -1)
        flat = flat if self.grid.inside is None else flat[:, self.grid.inside.ravel()]
        ranks = np.clip(np.rint(volumes / self.grid.pixel).astype(int), 1, flat.shape[1]) - 1
        return np.array([np.partition(own, rank)[rank] for own, rank in zip(flat, ranks, strict=True)], float)

    def wake(self, f: Floats, empty: Booleans) -> Floats:
        """Return potentials at which empty cells have the pixel where they are nearest to being the cheapest."""
        flat = self.matrix.reshape(len(self), -1)
        flat = flat if self.grid.inside is None else flat[:, self.grid.inside.ravel()]
        best = (flat - f[:, None]).min(0)
        best = np.minimum(best, 0) if self.void else best
        woken = f.copy()
        woken[empty] = (flat[empty] - best).min(1) + 1e-6 * (self._unit + np.abs(f[empty]))
        return woken


def as_labels(labels: ArrayLike, count: int, grid: Grid) -> Labels:
    """Return the cell of each pixel, of the grid's shape: -1, or a number below `count`.

    Raises:
        UserError: If they have another shape, are no whole numbers, or one is none of these.
    """
    found = np.asarray(labels)
    if found.dtype.kind not in "iu" or found.shape != grid.shape:
        raise UserError(
            f"The labels have shape {found.shape} and hold {found.dtype}; whole numbers of shape {grid.shape} are "
            "needed."
        )
    if not NOBODY <= int(found.min()) <= int(found.max()) < count:
        raise UserError(f"The labels go from {found.min()} to {found.max()}; from {NOBODY} to {count - 1} is possible.")
    return found.astype(np.int32, copy=False)


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
        >>> grid = Grid((64, 64), 1 / 64)
        >>> disc = solve(PowerCosts.of(grid, [[0.5, 0.5]], void=True), [0.5])
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
    better = min(warm, cold, key=lambda own: float(own.errors.max()))
    return replace(better, evaluations=warm.evaluations + cold.evaluations)


def _climb(costs: Costs, v: Floats, f: Floats, tolerance: float, most: int) -> Diagram:
    """Take Newton steps until the volumes are right, no step helps, or all evaluations are used."""
    used = 0

    def look(at: Floats) -> tuple[Labels, Floats]:
        nonlocal used
        used += 1
        found = costs.assign(at)
        return found.labels, np.multiply(found.counts, costs.grid.pixel, dtype=np.float64)

    labels, now = look(f)
    for _ in range(MOST_WAKINGS):
        if now.all() or used >= most:
            break
        f = costs.wake(f, now == 0)
        labels, now = look(f)
    floor = 0.5 * min(now.min(), v.min())  # no step may starve a cell: the damping's first condition
    for left_alone, allowed in ((0.0, 0.0), (tolerance / 4, tolerance)):  # all cells; at last those that are off
        length = 1.0
        while (off := np.abs(now / v - 1)).max() > tolerance and length >= SHORTEST_STEP:
            step = _newton_step(costs, labels, np.where(off > left_alone, v - now, 0.0))
            if not np.isfinite(step).all():
                break  # the costs differ by less, or by more, than numbers can tell
            length, before = min(1.0, 4 * length), _norm(off, allowed)
            while length >= SHORTEST_STEP:
                if used >= most:
                    return Diagram(labels, f, now, v, used, converged=False)
                trial = f + length * step
                next_labels, after = look(trial)
                if after.min() >= floor and _norm(np.abs(after / v - 1), allowed) <= (1 - length / 4) * before:
                    f, labels, now = trial, next_labels, after
                    break
                length /= 2
    return Diagram(labels, f, now, v, used, bool((np.abs(now / v - 1) <= tolerance).all()))


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
    own = -np.asarray(laplacian.sum(axis=1)).ravel() + np.bincount(i[~between], flow[~between], count)
    own += 1e-9 * own.max() + (own == 0)  # potentials that no interface fixes stay where they are
    laplacian.setdiag(own)
    return spsolve(laplacian.tocsc(), wanted)


def centroids(labels: Labels, count: int, grid: Grid) -> Floats:
    """Return the mean of the pixels' centres of each cell, shape (count, D); NaN for an empty one."""
    flat = as_labels(labels, count, grid).ravel()
    kept = flat != NOBODY
    points, owners = grid.centres[kept], flat[kept]
    sums = np.stack([np.bincount(owners, axis, count) for axis in points.T], axis=1)
    with np.errstate(invalid="ignore"):
        return sums / np.bincount(owners, minlength=count)[:, None]


def covariances(labels: Labels, count: int, grid: Grid) -> Floats:
    """Return the covariance of the positions in each cell, shape (count, D, D), in squared lengths; NaN if empty."""
    flat = as_labels(labels, count, grid).ravel()
    kept = flat != NOBODY
    owners = flat[kept]
    d = grid.centres[kept] - centroids(labels, count, grid)[owners]
    dimension = d.shape[1]
    sums = [np.bincount(owners, d[:, k] * d[:, m], count) for k in range(dimension) for m in range(dimension)]
    with np.errstate(invalid="ignore"):
        mean = np.stack(sums, axis=1) / np.bincount(owners, minlength=count)[:, None]
    # the pixels' own extent, without which a cell of one pixel would have none
    return mean.reshape(count, dimension, dimension) + np.eye(dimension) * grid.spacing**2 / 12
