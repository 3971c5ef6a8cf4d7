"""Exact transport between small clouds: SciPy's assignment and POT's network simplex, with the talk's costs."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from shapeofloss.arrays import Floats, as_number
from shapeofloss.distributions.clouds import as_clouds, as_weights
from shapeofloss.errors import UserError
from shapeofloss.transport.assignment.programs import as_costs, square_costs

PROVEN = 1e-10  # a plan's cost may exceed its dual bound by this share; rounding comes on top


def cost_matrix(x: ArrayLike, y: ArrayLike, *, p: float = 2) -> Floats:
    """Return C_ij = |x_i - y_j|^p / p.

    Args:
        x, y: Clouds of shape (N, D) and (M, D).
        p: Exponent, from 1, finite: the limit of |x - y|^p / p for large p is no distance.
    Returns:
        Shape (N, M), in units of length to the power p.
    Raises:
        UserError: If a cloud is no cloud, the dimensions differ, p is below 1 or infinite, or a cost overflows.
    Source:
        Optimal transport talk, slide "Duality".
    Example:
        >>> cost_matrix([[0.0], [1.0]], [[3.0]])
        array([[4.5],
               [2. ]])
    """
    x, y = as_clouds(x, y)
    p = as_number(p, "The exponent p", at_least=1)
    with np.errstate(over="ignore"):
        costs = cdist(x, y, "sqeuclidean") / 2 if p == 2 else cdist(x, y) ** p / p
    if not np.isfinite(costs).all():
        raise UserError(f"The points are so far apart that |x - y|^{p:g} overflows: divide both clouds by a length.")
    return costs


def optimal_assignment(cost: ArrayLike) -> NDArray[np.int64]:
    """Return the permutation s that minimises the sum of C[i, s(i)], shape (N,), for a square cost matrix.

    Raises:
        UserError: If the costs are no square matrix of finite numbers.
    """
    return linear_sum_assignment(square_costs(cost))[1]


def mean_cost(cost: Floats, permutation: NDArray[np.int64]) -> float:
    """Return the cost of a permutation per point: the mean of C[i, s(i)]."""
    return float(cost[np.arange(len(cost)), permutation].mean())


def optimal_plan(cost: ArrayLike, a: ArrayLike | None = None, b: ArrayLike | None = None) -> Floats:
    """Return a plan of least cost with marginals a and b (equal weights by default), shape (N, M): network simplex.

    The solver's tolerances are absolute. So its dual values have to prove the plan; costs in small units are divided by
    their scale, and a few huge costs beside small ones are left to SciPy's assignment where weights are equal.

    Raises:
        UserError: If costs or weights are none, or no plan is proven to be the best.
    """
    import ot  # slow to import

    costs = as_costs(cost)
    a, b = as_weights(a, len(costs), "a"), as_weights(b, costs.shape[1], "b")
    _, exponent = np.frexp(np.abs(costs).max())
    for shift in (0, -int(exponent)):  # in whole powers of two nothing is rounded
        plan, log = ot.emd(a, b, np.ldexp(costs, shift), numItermax=10**9, log=True)
        if log["warning"]:
            raise UserError(f"The network simplex did not end: {log['warning']}")
        if _is_proven(costs, a, b, plan, np.ldexp(log["u"], -shift)):
            return plan
    if len(a) == len(b) and (a == a[0]).all() and (b == b[0]).all():
        plan = np.zeros_like(costs)
        plan[np.arange(len(a)), optimal_assignment(costs)] = a
        return plan
    raise UserError(
        f"The costs go up to {np.abs(costs).max():g}, and the network simplex cannot tell the small ones among them "
        "apart: give pairs that are to be avoided a cost that is not as large."
    )


def _is_proven(costs: Floats, a: Floats, b: Floats, plan: Floats, u: Floats) -> bool:
    """Tell whether dual values that u leads to are as high as the cost of a plan, but for rounding."""
    rows, columns = a > 0, b > 0  # solvers leave anything where there is no mass
    v = (costs[rows] - u[rows, None]).min(0)
    u = (costs[:, columns] - v[columns]).min(1)
    paid = float((plan * np.abs(costs)).sum())
    rounding = np.finfo(np.float64).eps * (paid + a @ np.abs(u) + b[columns] @ np.abs(v[columns]))
    gap = float((plan * costs).sum() - a @ u - b[columns] @ v[columns])
    return gap <= PROVEN * paid + 1e4 * rounding


def optimal_value(cost: ArrayLike, a: ArrayLike | None = None, b: ArrayLike | None = None) -> float:
    """Return the least cost of a plan with marginals a and b (equal weights by default), per unit of mass.

    Raises:
        UserError: As for `optimal_plan`.
    """
    costs = as_costs(cost)
    return float((optimal_plan(costs, a, b) * costs).sum())
