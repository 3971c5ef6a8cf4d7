"""How many dimensions a set of points has."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import KDTree

from shapeofloss.arrays import as_count
from shapeofloss.distributions.clouds import as_cloud
from shapeofloss.errors import UserError


def intrinsic_dimension(x: ArrayLike, *, neighbours: int = 10) -> float:
    r"""Estimate on how many-dimensional a set points lie, from how the distances to their neighbours grow.

    If about each point the number of points within r grows as r^m, then the mean of log(r_k / r_j) over the neighbours
    j < k is 1/m on average. These means are averaged over the points, so that 1/m has no bias:

    .. math:: \hat m^{-1} = \frac1N \sum_i \frac{1}{k - 1} \sum_{j<k} \log \frac{r_k(x_i)}{r_j(x_i)}

    Args:
        x: Shape (N, D), N above k, without equal points.
        neighbours: k, at least 2.
    Returns:
        The estimate of m. It comes out too low in many dimensions, where no sample is dense.
    Raises:
        UserError: If there are too few points, two are equal, or all neighbours are equally far.
    Source:
        Levina and Bickel, Maximum likelihood estimation of intrinsic dimension, 2004; averaged as MacKay and Ghahramani
        proposed. The lecture states that images lie near low-dimensional sets, and measures nothing.
    Example:
        >>> points = np.random.default_rng(0).random((500, 1)) * np.ones(5)
        >>> round(intrinsic_dimension(points), 1)
        1.0
    """
    cloud = as_cloud(x, "x")
    if as_count(neighbours, "neighbours", at_least=2) >= len(cloud):
        raise UserError(
            f"{len(cloud)} points are too few for {neighbours} neighbours of each: take more points than neighbours."
        )
    distances = KDTree(cloud).query(cloud, neighbours + 1)[0][:, 1:]
    if not distances.all():
        raise UserError("Two points are equal: leave out repetitions, whose distance 0 has no logarithm.")
    growth = np.log(distances[:, -1:] / distances[:, :-1]).mean()
    if not growth > 0:
        raise UserError("All neighbours are equally far, so that their distances do not grow: take more neighbours.")
    return float(1 / growth)
