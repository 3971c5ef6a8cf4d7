"""Exact transport between small clouds: SciPy's assignment and POT's network simplex, with the talk's costs."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from shapeofloss.errors import UserError
from shapeofloss.transport.clouds import Floats, as_cloud, as_weights


def cost_matrix(x: ArrayLike, y: ArrayLike, *, p: float = 2) -> Floats:
    """Return C_ij = |x_i - y_j|^p / p.

    Args:
        x, y: Clouds of shape (N, D) and (M, D).
        p: Exponent, at least 1.
    Returns:
        Shape (N, M), in units of length to the power p.
    Raises:
        UserError: If a cloud is no cloud, the dimensions differ, or p is below 1.
    Source:
        Optimal transport talk, slide "Duality".
    Example:
        >>> cost_matrix([[0.0], [1.0]], [[3.0]])
        array([[4.5],
               [2. ]])
    """
    x, y = as_cloud(x, "x"), as_cloud(y, "y")
    if x.shape[1] != y.shape[1]:
        raise UserError(f"The clouds have dimensions {x.shape[1]} and {y.shape[1]}; both need the same.")
    if not p >= 1:
        raise UserError(f"The exponent p is {p}; it has to be at least 1.")
    return cdist(x, y, "sqeuclidean") / 2 if p == 2 else cdist(x, y) ** p / p


def optimal_assignment(cost: Floats) -> NDArray[np.int64]:
    """Return the permutation s that minimises the sum of C[i, s(i)], shape (N,), for a square cost matrix."""
    return linear_sum_assignment(cost)[1]


def mean_cost(cost: Floats, permutation: NDArray[np.int64]) -> float:
    """Return the cost of a permutation per point: the mean of C[i, s(i)]."""
    return float(cost[np.arange(len(cost)), permutation].mean())


def optimal_plan(cost: Floats, a: ArrayLike | None = None, b: ArrayLike | None = None) -> Floats:
    """Return a plan of least cost with marginals a and b (equal weights by default), shape (N, M): network simplex."""
    import ot  # slow to import

    a, b = as_weights(a, len(cost), "a"), as_weights(b, cost.shape[1], "b")
    plan, log = ot.emd(a, b, np.ascontiguousarray(cost), numItermax=10**9, log=True)
    if log["warning"]:
        raise UserError(f"The network simplex did not end: {log['warning']}")
    return plan


def optimal_value(cost: Floats, a: ArrayLike | None = None, b: ArrayLike | None = None) -> float:
    """Return the least cost of a plan with marginals a and b (equal weights by default), per unit of mass."""
    return float((optimal_plan(cost, a, b) * cost).sum())
