"""Maps of space that a registration is made of: affine ones, and smooth displacements that follow a matching.

All lengths are in mm.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, solve
from scipy.spatial.distance import cdist

from shapeofloss.arrays import Floats
from shapeofloss.errors import UserError

SPACING = 0.6  # between the centres of neighbouring bumps, in units of their width
FEWEST = 20  # points that a map is fitted to
FLAT = "The points of {name} lie in a plane or on a line; an alignment in space needs all three directions."
NOTHING = (
    "Too few points have a partner within reach: are both clouds of one anatomy, and in one unit? A longer first reach "
    "or a larger scale may help."
)


@dataclass(frozen=True)
class Affine:
    """The map p -> matrix p + shift of points, shape (N, 3)."""

    matrix: Floats
    shift: Floats

    def __call__(self, points: Floats) -> Floats:
        """Return where points go, both of shape (N, 3)."""
        return points @ self.matrix.T + self.shift

    @classmethod
    def fit(cls, points: Floats, targets: Floats, weights: Floats) -> "Affine":
        """Return the map with the least weighted sum of squared distances to the targets, all of shape (N, 3).

        Raises:
            UserError: If the points that have a weight lie in a plane, or there is none.
        """
        if not weights.sum() > 0:
            raise UserError(NOTHING)
        middle = np.average(points, axis=0, weights=weights)
        image = np.average(targets, axis=0, weights=weights)
        p = points - middle
        try:
            matrix = solve(p.T @ (weights[:, None] * p), p.T @ (weights[:, None] * (targets - image)), assume_a="pos").T
        except LinAlgError:
            raise UserError(FLAT.format(name="x that have a partner within reach")) from None
        return cls(matrix, image - matrix @ middle)


def is_flat(points: Floats) -> bool:
    """Tell whether points, shape (N, 3), lie in a plane or on a line, to a millionth of their size.

    Example:
        >>> is_flat(np.eye(3)), is_flat(np.concatenate([np.eye(3), np.zeros((1, 3))]))
        (True, False)
    """
    values = np.linalg.svd(points - points.mean(0), compute_uv=False)
    return bool(len(points) < 4 or values[-1] < 1e-6 * values[0])


def gaussian_map(x: Floats, y: Floats) -> Affine:
    r"""Return the affine map that is optimal transport between Gaussians with the means and covariances of the clouds.

    .. math:: A = S_x^{-1/2} \bigl(S_x^{1/2} S_y S_x^{1/2}\bigr)^{1/2} S_x^{-1/2}

    Args:
        x, y: Clouds, shape (N, 3) and (M, 3).
    Raises:
        UserError: If one of them lies in a plane.
    Source:
        Optimal transport talk, slides on the Gauss map, in three dimensions.
    Example:
        >>> x = np.random.default_rng(0).standard_normal((50, 3))
        >>> gaussian_map(x, 2 * x + 1).matrix.round(9) + 0.0
        array([[2., 0., 0.],
               [0., 2., 0.],
               [0., 0., 2.]])
    """
    for name, cloud in (("x", x), ("y", y)):
        if is_flat(cloud):
            raise UserError(FLAT.format(name=name))

    def power(matrix: Floats, exponent: float) -> Floats:
        values, vectors = np.linalg.eigh(matrix)
        values = values.clip(min=np.finfo(np.float64).eps * values[-1])  # what rounding made of a small one
        return (vectors * values**exponent) @ vectors.T

    root, inverse = (power(np.cov(x.T), exponent) for exponent in (0.5, -0.5))
    matrix = inverse @ power(root @ np.cov(y.T) @ root, 0.5) @ inverse
    return Affine(matrix, y.mean(0) - matrix @ x.mean(0))


@dataclass(frozen=True)
class Smooth:
    r"""The map p -> p + d(p), whose displacement d is an affine map plus bumps.

    .. math:: d(p) = D p + e + \sum_k h_k \exp\bigl(-\tfrac{|p - c_k|^2}{2 w^2}\bigr)

    Attributes:
        affine: p -> D p + e.
        centres, bumps: c_k and h_k, shape (K, 3), in mm.
        width: w, in mm.
    """

    affine: Affine
    centres: Floats
    bumps: Floats
    width: float

    def __call__(self, points: Floats) -> Floats:
        """Return where points go, both of shape (N, 3)."""
        return points + self.affine(points) + _gaussians(points, self.centres, self.width) @ self.bumps


def _gaussians(points: Floats, centres: Floats, width: float) -> Floats:
    return np.exp(cdist(points, centres, "sqeuclidean") / (-2 * width**2))


class Smoother:
    r"""Fits smooth maps to targets of the same points, again and again: step three.

    The displacement d minimises, over affine maps and bumps,

    .. math:: \frac{\sum_i m_i\, |x_i + d(x_i) - t_i|^2}{\sum_i m_i} + s \sum_{kl} \langle h_k, h_l \rangle
              \exp\bigl(-\tfrac{|c_k - c_l|^2}{2 w^2}\bigr)

    Args:
        x: The points x_i, shape (N, 3), in mm.
        width: w, in mm. The centres c_k are points of x, each at least 0.6 w away from all others.
    """

    def __init__(self, x: Floats, width: float) -> None:
        self.x, self.width = x, width
        self.middle = x.mean(0)
        self.centres = spread_out(x, SPACING * width)
        self._penalty = _gaussians(self.centres, self.centres, width)
        linear = np.column_stack([np.ones(len(x)), (x - self.middle) / width])
        self._columns = np.column_stack([_gaussians(x, self.centres, width), linear])

    def fit(self, targets: Floats, weights: Floats, stiffness: float) -> Smooth:
        """Return the map for targets t_i, shape (N, 3), with weights m_i, shape (N,), and the stiffness s, above 0.

        Raises:
            UserError: If all weights are 0.
        """
        if not weights.sum() > 0:
            raise UserError(NOTHING)
        count, share = len(self.centres), weights / weights.sum()
        weighted = share[:, None] * self._columns
        matrix = self._columns.T @ weighted
        matrix[:count, :count] += stiffness * self._penalty
        matrix += 1e-10 * np.eye(len(matrix))  # bumps that overlap are told apart to rounding only
        found = solve(matrix, weighted.T @ (targets - self.x), assume_a="pos")
        slope = found[count + 1 :].T / self.width
        return Smooth(Affine(slope, found[count] - slope @ self.middle), self.centres, found[:count], self.width)


def spread_out(x: Floats, spacing: float) -> Floats:
    """Return points of x, farthest first, until none of the others is farther than `spacing` from all of them.

    Example:
        >>> spread_out(np.array([[0.0], [1.0], [9.0]]), 2.0)
        array([[0.],
               [9.]])
    """
    chosen, nearest = [0], np.linalg.norm(x - x[0], axis=1)
    while nearest.max() > spacing:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(x - x[chosen[-1]], axis=1))
    return x[chosen]
