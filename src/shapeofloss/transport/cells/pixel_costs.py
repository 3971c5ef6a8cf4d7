"""What a pixel costs: powers of an anisotropic distance, or any costs as a matrix.

Both give each pixel to its cheapest particle, and say how volumes flow through interfaces as potentials change. With a
void, cell 0 of the talk, a pixel stays empty where every c_i - f_i is above 0.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shapeofloss.arrays import Floats, as_floats
from shapeofloss.distributions.clouds import as_cloud, is_positive
from shapeofloss.errors import UserError
from shapeofloss.transport.cells.pixels import Booleans, Grid, Labels, as_labels


class PowerCosts:
    r"""Powers of an anisotropic distance.

    .. math:: c_i(x) = \bigl((x - y_i)^\top A_i\, (x - y_i)\bigr)^{p_i / 2}

    Attributes:
        grid: The pixels.
        positions: The particles y_i, shape (N, D).
        shapes: The matrices A_i, shape (N, D, D).
        exponents: p_i, shape (N,).
        void: Whether pixels may stay empty.
    """

    def __init__(
        self,
        grid: Grid,
        positions: ArrayLike,
        *,
        shapes: ArrayLike | None = None,
        exponents: ArrayLike = 2.0,
        void: bool = False,
    ) -> None:
        """Check and broadcast: one matrix, or one exponent, may stand for all particles.

        Args:
            grid: The pixels.
            positions: Particles in the box, no two at the same place, shape (N, D).
            shapes: Symmetric and positive, in one over a squared length, shape (N, D, D) or (D, D); by default the
                identity.
            exponents: At least 1, shape (N,) or a number: 1 is soft, larger ones are harder.
            void: Whether pixels may stay empty.
        Raises:
            UserError: If one of them is none of this, or costs overflow.
        Example:
            >>> costs = PowerCosts(Grid((4, 4), 0.25), [[0.2, 0.5], [0.7, 0.5]])
            >>> costs.assign([0.0, 0.0])[0][:, 0].tolist()
            [0, 0, 1, 1]
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
        one, all_of_them = (dimension, dimension), (count, dimension, dimension)
        if A.shape not in (one, all_of_them):
            raise UserError(f"The matrices of the costs have shape {A.shape}; {one} or {all_of_them} is needed.")
        p = as_floats(exponents, "The array of exponents", finite=False)
        if p.shape not in ((), (count,)):
            raise UserError(f"The exponents have shape {p.shape}; one number, or ({count},), is needed.")
        self.grid, self.positions, self.void = grid, y, void
        self.shapes, self.exponents = np.broadcast_to(A, all_of_them).copy(), np.broadcast_to(p, (count,)).copy()
        self._check_sizes()

    def _check_sizes(self) -> None:
        p = self.exponents
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

    @cached_property
    def _in_space(self) -> tuple[Floats, Floats]:
        """What the kernels take: positions with three axes, and factors R with A = R' R."""
        count, dimension = self.positions.shape
        y, R = np.full((count, 3), self.grid.spacing / 2), np.zeros((count, 3, 3))  # 2-D: in the middle of one layer
        y[:, :dimension] = self.positions
        R[:, :dimension, :dimension] = np.linalg.cholesky(self.shapes).mT
        return y, R

    def assign(self, f: ArrayLike) -> tuple[Labels, NDArray[np.int64]]:
        """Give each pixel to the particle with the least c_i - f_i.

        Args:
            f: Potentials, shape (N,), in units of the cost.
        Returns:
            The particle of each pixel, or -1, of the grid's shape, and how many pixels each particle has, shape (N,).
        Raises:
            UserError: If the potentials are not N finite numbers.
        """
        from shapeofloss.transport.cells import pixel_kernels as kernels  # Numba is slow to import

        f, grid = as_floats(f, "f", shape=(len(self),)), self.grid
        labels = np.empty(grid.in_space, np.int32)
        inside = grid.mask.reshape(labels.shape)
        counts = kernels.assign_powers(*self._in_space, self.exponents, f, self.void, grid.spacing, inside, labels)
        return labels.reshape(grid.shape), counts

    def interfaces(self, labels: Labels) -> tuple[Labels, Labels, Floats]:
        """Return pairs i, j of neighbours (j = -1 for the void) and the flow of volume per unit of f_i - f_j."""
        from shapeofloss.transport.cells import pixel_kernels as kernels  # Numba is slow to import

        pairs, places = self.grid.contacts(as_labels(labels, len(self), self.grid))
        flow = kernels.flow_powers(*self._in_space, self.exponents, self.grid.spacing, pairs, places)
        return *pairs.T, flow * self.grid.spacing ** (len(self.grid.shape) - 1)

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

    def assign(self, f: ArrayLike) -> tuple[Labels, NDArray[np.int64]]:
        """Give each pixel to the particle with the least c_i - f_i: arguments and results as of `PowerCosts.assign`."""
        from shapeofloss.transport.cells import pixel_kernels as kernels  # Numba is slow to import

        f, inside = as_floats(f, "f", shape=(len(self),)), self.grid.mask.ravel()
        labels = np.empty(inside.size, np.int32)
        counts = kernels.assign_matrix(self.matrix.reshape(len(self), -1), f, self.void, inside, labels)
        return labels.reshape(self.grid.shape), counts

    def interfaces(self, labels: Labels) -> tuple[Labels, Labels, Floats]:
        """Return pairs i, j of neighbours (j = -1 for the void) and the flow of volume per unit of f_i - f_j."""
        from shapeofloss.transport.cells import pixel_kernels as kernels  # Numba is slow to import

        pairs, places = self.grid.contacts(as_labels(labels, len(self), self.grid))
        flow = kernels.flow_matrix(self.matrix.reshape(len(self), -1), self._unit, self.grid.in_space, pairs, places)
        return *pairs.T, flow * self.grid.pixel / self._unit

    def start(self, volumes: Floats) -> Floats:
        """Return, for each particle, the cost at which its cheapest pixels have its volume; 0 without a void."""
        if not self.void:
            return np.zeros(len(self))
        flat = self.matrix[:, self.grid.mask]
        ranks = np.clip(np.rint(volumes / self.grid.pixel).astype(int), 1, flat.shape[1]) - 1
        return np.array([np.partition(row, rank)[rank] for row, rank in zip(flat, ranks, strict=True)], float)

    def wake(self, f: Floats, empty: Booleans) -> Floats:
        """Return potentials at which empty cells have the pixel where they are nearest to being the cheapest."""
        flat = self.matrix[:, self.grid.mask]
        best = (flat - f[:, None]).min(0)
        best = np.minimum(best, 0) if self.void else best
        woken = f.copy()
        woken[empty] = (flat[empty] - best).min(1) + 1e-6 * (self._unit + np.abs(f[empty]))
        return woken


Costs = PowerCosts | MatrixCosts
