"""Transport as linear programs, solved by a general solver that knows nothing of transport: SciPy's HiGHS.

The plan and the prices are found by two separate programs, so that their values are two independent numbers.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from scipy.optimize import linprog

from shapeofloss.arrays import Floats, as_floats, as_number
from shapeofloss.distributions.clouds import as_weights
from shapeofloss.errors import UserError

# The least that HiGHS accepts; with its 1e-7 the two values would agree to that only.
TOLERANCES = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}


def as_costs(cost: ArrayLike) -> Floats:
    """Return costs as an array of double precision, shape (N, M).

    Raises:
        UserError: If they are no matrix, one is not finite, or they are so large that their sums are not.
    """
    matrix = as_floats(cost, "The matrix of costs", shape=("N", "M"), finite=False, empty=False)
    if not np.isfinite(matrix).all():
        raise UserError("The costs have entries that are not finite; forbid a pair by a cost that is large instead.")
    most = float(np.finfo(np.float64).max) / (8 * max(matrix.shape))
    if (largest := float(np.abs(matrix).max())) > most:
        raise UserError(f"The costs go up to {largest:g}, and their sums overflow: divide them, to {most:g} at most.")
    return matrix


def square_costs(cost: ArrayLike) -> Floats:
    """Return costs as a square array of double precision, shape (N, N).

    Raises:
        UserError: If they are not square, or as for `as_costs`.
    """
    costs = as_floats(cost, "The matrix of costs", finite=False)
    if costs.ndim != 2 or costs.shape[0] != costs.shape[1] or not costs.size:
        raise UserError(
            f"Costs of shape {costs.shape}: an assignment needs as many rows as columns, as many buyers as objects."
        )
    return as_costs(costs)


def solve_program(cost: Floats, what: str, **program: Any) -> Floats:
    """Return the x with the least <cost, x>, a vertex, by HiGHS's dual simplex method.

    Args:
        cost: Shape (K,), of about 1, as tolerances are absolute.
        what: What the error calls x.
        program: Constraints and bounds of x, as `scipy.optimize.linprog` takes them.
    Raises:
        UserError: If the solver gives up.
    """
    result = linprog(cost, method="highs-ds", options=TOLERANCES, **program)
    if result.status:
        raise UserError(f"HiGHS found no {what}: {result.message}")
    return np.asarray(result.x)


def marginal_constraints(sources: int, targets: int) -> sparse.csr_array:
    """Return the 0-1 matrix that takes a plan, read row by row, to its N row sums and then its M column sums.

    Returns:
        Shape (N + M, N M), with two ones in each column.
    Example:
        >>> marginal_constraints(2, 2).toarray().astype(int)
        array([[1, 1, 0, 0],
               [0, 0, 1, 1],
               [1, 0, 1, 0],
               [0, 1, 0, 1]])
    """
    rows = sparse.kron(sparse.eye_array(sources), np.ones((1, targets)))
    columns = sparse.kron(np.ones((1, sources)), sparse.eye_array(targets))
    return sparse.csr_array(sparse.vstack([rows, columns]))


def plan_program(cost: ArrayLike, a: ArrayLike | None = None, b: ArrayLike | None = None) -> Floats:
    """Return a plan of least cost: the central planner's program, with N M unknowns, by the dual simplex method.

    min <plan, C> over plan >= 0 with row sums a and column sums b.

    Args:
        cost: C, shape (N, M), in any unit.
        a, b: Masses that are brought to a sum of 1, shape (N,) and (M,); equal ones by default.
    Returns:
        Shape (N, M), a vertex of the set of plans, with sum 1.
    Raises:
        UserError: If costs or weights are none, or the solver gives up.
    Source:
        Optimal transport talk, slide "Duality", left side.
    Example:
        >>> plan_program([[0.0, 1.0], [1.0, 0.0]])
        array([[0.5, 0. ],
               [0. , 0.5]])
    """
    matrix = as_costs(cost)
    sources, targets = matrix.shape
    a, b = as_weights(a, sources, "a"), as_weights(b, targets, "b")
    masses = np.concatenate([a, b]) * sources  # about 1 each, as tolerances are absolute
    return _solved(matrix.ravel(), marginal_constraints(sources, targets), masses).reshape(matrix.shape) / sources


def projection_program(cost: ArrayLike, a: ArrayLike | None = None) -> Floats:
    """Return a plan of least cost whose row sums are a and whose column sums are free, shape (N, M).

    Args:
        cost, a: As for `plan_program`.
    Raises:
        UserError: As for `plan_program`.
    Source:
        Optimal transport talk: transport is nearest-neighbour projection with an incompressibility constraint. This is
        transport without it.
    Example:
        >>> projection_program([[0.0, 1.0], [0.5, 1.0]])
        array([[0.5, 0. ],
               [0.5, 0. ]])
    """
    matrix = as_costs(cost)
    sources, targets = matrix.shape
    a = as_weights(a, sources, "a")
    only_rows = marginal_constraints(sources, targets)[:sources]
    return _solved(matrix.ravel(), only_rows, a * sources).reshape(matrix.shape) / sources


def _solved(cost: Floats, constraints: sparse.csr_array, masses: Floats) -> Floats:
    """Return the least <cost, x> over x >= 0 with constraints x = masses."""
    scale = np.abs(cost).max() or 1.0
    return np.maximum(solve_program(cost / scale, "plan", A_eq=constraints, b_eq=masses), 0.0)


def price_program(cost: ArrayLike, a: ArrayLike | None = None, b: ArrayLike | None = None) -> tuple[Floats, Floats]:
    """Return the best prices: the transport firm's program, with N + M unknowns, by the dual simplex method.

    max <a, f> + <b, g> over f, g of any sign with f_i + g_j <= C_ij.

    Adding a constant to f and taking it from g changes nothing; the last g is set to 0.

    Args:
        cost, a, b: As for `plan_program`.
    Returns:
        f, shape (N,), and g, shape (M,), in units of the cost.
    Raises:
        UserError: As for `plan_program`.
    Source:
        Optimal transport talk, slide "Duality", right side.
    Example:
        >>> f, g = price_program([[1.0], [3.0]])
        >>> f.tolist(), g.tolist()
        ([1.0, 3.0], [0.0])
    """
    matrix = as_costs(cost)
    sources, targets = matrix.shape
    a, b = as_weights(a, sources, "a"), as_weights(b, targets, "b")
    scale = np.abs(matrix).max() or 1.0
    prices = solve_program(
        -np.concatenate([a, b]) * sources,
        "prices",
        A_ub=sparse.csr_array(marginal_constraints(sources, targets).T),
        b_ub=matrix.ravel() / scale,
        bounds=[(None, None)] * (sources + targets - 1) + [(0, 0)],
    )
    f, g = np.split(prices * scale, [sources])
    return f, g


def c_transform(cost: ArrayLike, g: ArrayLike) -> Floats:
    """Return the highest f that is allowed beside g: f_i = min_j (C_ij - g_j), shape (N,).

    Raises:
        UserError: If there is not one g for each column, finite, or the costs are none.
    Example:
        >>> c_transform([[1.0, 4.0], [2.0, 0.0]], [0.0, 3.0]).tolist()
        [1.0, -3.0]
    """
    matrix, prices = as_costs(cost), as_floats(g, "g")
    if prices.shape != matrix.shape[1:]:
        raise UserError(f"g has shape {prices.shape}; the costs have {matrix.shape[1]} columns, one price for each.")
    return np.min(matrix - prices, axis=1)


def northwest_corner(a: ArrayLike, b: ArrayLike) -> Floats:
    """Return the plan that serves targets in their order from sources in theirs, shape (N, M).

    For points of the line in ascending order it is what sorting is for equal weights. It has N + M - 1 positive
    entries at most.

    Args:
        a, b: Masses that are brought to a sum of 1, shape (N,) and (M,).
    Raises:
        UserError: If they are no weights.
    Example:
        >>> northwest_corner([1, 1], [1, 2, 1])
        array([[0.25, 0.25, 0.  ],
               [0.  , 0.25, 0.25]])
    """
    a, b = as_weights(a, np.size(a), "a"), as_weights(b, np.size(b), "b")
    # Mass number u of [0, 1] leaves row i and arrives in column j where both running sums pass u.
    start = np.maximum.outer(np.cumsum(a) - a, np.cumsum(b) - b)
    end = np.minimum.outer(np.cumsum(a), np.cumsum(b))
    return np.maximum(end - start, 0.0)


def lipschitz_program(distance: ArrayLike, pi: ArrayLike, p: ArrayLike, *, slope: float = 1.0) -> Floats:
    """Return a function on N points that tells two distributions on them apart as far as its slope allows.

    max sum_i (pi_i - p_i) f_i over f with f_i - f_j <= K d_ij for all i, j.

    It has N unknowns and N (N - 1) constraints, and knows nothing of plans. Adding a constant to f changes nothing; the
    last value is set to 0.

    Args:
        distance: d, shape (N, N), a metric, in units of length.
        pi, p: Masses that are brought to a sum of 1, shape (N,).
        slope: K, above 0 and finite.
    Returns:
        f, shape (N,), in units of K times length.
    Raises:
        UserError: If distances are not square or negative, masses are none, the slope is no finite number above 0, or
            the solver gives up.
    Source:
        WGAN lecture, slide "Wasserstein distance", theorem of Kantorovich and Rubinstein.
    Example:
        >>> lipschitz_program([[0.0, 3.0], [3.0, 0.0]], [1, 0], [0, 1]).tolist()
        [3.0, 0.0]
    """
    d = as_costs(as_floats(distance, "The table of distances", finite=False))
    count = len(d)
    if d.shape != (count, count):
        raise UserError(f"The distances have shape {d.shape}; a function on N points needs those between all, (N, N).")
    if d.min() < 0:
        raise UserError(f"The least distance is {d.min():g}; none can be negative.")
    slope = as_number(slope, "The bound of the slope", above=0)
    pi, p = as_weights(pi, count, "pi"), as_weights(p, count, "p")
    i, j = np.nonzero(~np.eye(count, dtype=bool))
    rows = np.arange(len(i))
    ones = np.ones(len(i))
    differences = sparse.csr_array((np.r_[ones, -ones], (np.r_[rows, rows], np.r_[i, j])), shape=(len(i), count))
    scale = d.max() or 1.0
    result = linprog(
        -(pi - p) * count,  # about 1 each, as tolerances are absolute
        A_ub=differences,
        b_ub=d[i, j] / scale,
        bounds=[(None, None)] * (count - 1) + [(0, 0)],
        method="highs-ds",
        options=TOLERANCES,
    )
    if result.status:
        raise UserError(f"HiGHS found no function: {result.message}")
    return result.x * scale * slope
