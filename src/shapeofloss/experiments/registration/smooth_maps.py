"""Maps of space that a registration is made of: affine ones, and smooth displacements that follow a matching.

All lengths are in mm.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import RBFInterpolator

from shapeofloss.arrays import Floats
from shapeofloss.distributions.gaussians import matrix_power
from shapeofloss.errors import UserError
from shapeofloss.experiments.registration.matching import cell_means, cells

CELL = 0.2  # side of the cubes in which targets are averaged, in units of the bumps' width
FEWEST = 20  # points, or cubes of points, that a map is fitted to
FLAT = "The points of {name} lie in a plane or on a line; an alignment in space needs all three directions."
NOTHING = (
    "Too few points have a partner within reach: are both clouds of one anatomy, and in one unit? A longer first reach "
    "or a larger scale may help."
)

Map = Callable[[Floats], Floats]  # from points to where they go, both of shape (N, 3)


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
            UserError: If fewer than 20 points have a weight, or those lie in a plane.
        """
        told = weights > 0
        if told.sum() < FEWEST:
            raise UserError(NOTHING)
        if is_flat(points[told]):
            raise UserError(FLAT.format(name="x that have a partner within reach"))
        middle, root = np.average(points, axis=0, weights=weights), np.sqrt(weights[:, None])
        columns = np.column_stack([points - middle, np.ones(len(points))])
        solution = np.linalg.lstsq(root * columns, root * targets)[0]
        matrix = solution[:3].T
        return cls(matrix, solution[3] - matrix @ middle)


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
    root, inverse = (matrix_power(np.cov(x.T), exponent) for exponent in (0.5, -0.5))
    matrix = inverse @ matrix_power(root @ np.cov(y.T) @ root, 0.5) @ inverse
    return Affine(matrix, y.mean(0) - matrix @ x.mean(0))


def smooth_map(x: Floats, targets: Floats, weights: Floats, *, width: float, stiffness: float) -> Map:
    r"""Fit a smooth map p -> p + d(p) to targets: an affine displacement plus bumps, by SciPy's RBFInterpolator.

    .. math:: d(p) = D p + e + \sum_k h_k \exp\bigl(-\tfrac{|p - c_k|^2}{2 w^2}\bigr), \qquad
              \min_{D, e, h} \sum_k m_k\, |d(c_k) - \delta_k|^2
              + s \sum_{kl} \langle h_k, h_l \rangle \exp\bigl(-\tfrac{|c_k - c_l|^2}{2 w^2}\bigr)

    where c_k is the weighted mean of the points in a cube of side w / 5, delta_k that of t_i - x_i, and m_k the cube's
    share of the weight.

    Args:
        x, targets: x_i and t_i, shape (N, 3), in mm.
        weights: How far each target is to be believed, shape (N,), at least 0.
        width: w, in mm, above 0.
        stiffness: s, above 0: between following the targets and staying affine.
    Raises:
        UserError: If fewer than 20 cubes have a weight, or those lie in a plane.
    """
    told = weights > 0
    values, labels = np.hstack([x, targets - x])[told], cells(x[told], CELL * width)
    means, mass = cell_means(values, labels, weights[told])
    if len(mass) < FEWEST:
        raise UserError(NOTHING)
    if is_flat(means[:, :3]):
        raise UserError(FLAT.format(name="x that have a partner within reach"))
    displacement = RBFInterpolator(
        *np.hsplit(means, 2),
        kernel="gaussian",
        epsilon=1 / (np.sqrt(2) * width),
        degree=1,
        smoothing=stiffness * mass.sum() / mass,
    )
    return lambda points: points + displacement(points)
