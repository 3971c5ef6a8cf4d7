"""Persistence diagrams of dimension 0 of arrays on a grid, distances between diagrams, and total persistence.

Thin over gudhi, CRipser and SciPy, which differ in what they leave unsaid: which cells of a grid are neighbours, the
norm of the plane, the order, and what becomes of the component that never dies. Here each is an argument.
"""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from shapeofloss.arrays import Floats, as_floats, as_number
from shapeofloss.engine import compiler
from shapeofloss.errors import UserError, unknown

NEIGHBOURS = ("all", "axes")
ESSENTIAL = ("drop", "keep")


def as_diagram(points: ArrayLike, name: str, *, finite: bool = True) -> Floats:
    """Return a diagram as an array of shape (n, 2); an empty list is one without points.

    Raises:
        UserError: If it has another shape, a NaN, or an infinite value where `finite` ones are needed.
    """
    pairs = as_floats(points, name, finite=finite)
    if pairs.shape == (0,):
        return pairs.reshape(0, 2)
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise UserError(f"{name} has shape {pairs.shape}; (n, 2) is needed, births and deaths of one dimension.")
    if np.isnan(pairs).any():
        raise UserError(f"{name} has a point with NaN; leave it out, or let what never dies have death infinity.")
    return pairs


def persistence_diagram(array: ArrayLike, *, neighbours: str = "all") -> Floats:
    """Return the births and deaths of the components of an array's sublevel sets.

    Args:
        array: A function on a grid, of 1, 2 or 3 dimensions, all finite.
        neighbours: "all" for the 3^d - 1 cells that touch in a face or a corner; "axes" for the 2 d along the axes.
    Returns:
        One row (birth, death) for each component that lives longer than zero, shape (n, 2), in units of the array,
        sorted; the component that never dies has death infinity.
    Raises:
        UserError: If the array has another number of dimensions, or masked values or such that are not finite.
    Source:
        Directional sign loss paper, appendix 5.1.1, which takes all neighbours.
    Example:
        >>> persistence_diagram([0.0, 2.0, 1.0])
        array([[ 0., inf],
               [ 1.,  2.]])
    """
    values = as_floats(array, "The array")
    if not isinstance(neighbours, str) or neighbours not in NEIGHBOURS:
        raise unknown("kind of neighbours", neighbours, NEIGHBOURS)
    if values.ndim not in (1, 2, 3) or not values.size:
        raise UserError(f"The array has shape {values.shape}; diagrams are made of 1, 2 or 3 dimensions with values.")
    diagram = _volume(values, neighbours) if values.ndim == 3 else _cubical(values, neighbours)
    diagram = diagram[diagram[:, 1] > diagram[:, 0]]
    return diagram[np.lexsort(diagram.T[::-1])]


def _cubical(values: Floats, neighbours: str) -> Floats:
    from gudhi.sklearn.cubical_persistence import CubicalPersistence

    kind = {"all": "top_dimensional_cells", "axes": "vertices"}[neighbours]
    if values.ndim == 1 or min(values.shape) == 1:  # in a row both are the same
        values, kind = values.reshape(-1), "top_dimensional_cells"
    (diagram,) = CubicalPersistence(homology_dimensions=0, input_type=kind).fit_transform([values])
    return np.asarray(diagram, dtype=np.float64).reshape(-1, 2)


def _volume(values: Floats, neighbours: str) -> Floats:
    compiler.ready_keops()  # CRipser loads it
    from cripser import computePH, tcripser  # in three dimensions ten times faster than gudhi

    compute = {"all": tcripser.computePH, "axes": computePH}[neighbours]
    diagram = np.asarray(compute(values, maxdim=0)).reshape(-1, 9)[:, 1:3].copy()
    last = np.flatnonzero(diagram[:, 1] == np.finfo(np.float64).max)  # what never dies, or dies at that very number
    if not len(last):
        return np.vstack([diagram, [[values.min(), np.inf]]])
    diagram[last[diagram[last, 0].argmin()], 1] = np.inf
    return diagram


def wasserstein(
    first: ArrayLike, second: ArrayLike, *, order: float = 2, ground: float = 2, essential: str = "drop"
) -> float:
    r"""Return the Wasserstein distance between two persistence diagrams.

    .. math:: W_p(D_1, D_2) = \Bigl(\min_\gamma \sum_{(a, b) \in \gamma} \lVert a - b \rVert_q^p\Bigr)^{1/p}

    over matchings of points with each other or with their nearest points on the diagonal; an infinite order gives the
    bottleneck distance, the largest of the distances in the best matching.

    Args:
        first, second: Diagrams, shape (n, 2) and (m, 2), in one unit, each death at or above its birth; or, of
            superlevel sets, at or below it in both diagrams. Their mirror images are compared then.
        order: p, at least 1; `math.inf` for the bottleneck distance, for which `ground` has to be infinite.
        ground: q, the norm of the plane: 1 to `math.inf`.
        essential: "drop" leaves out what never dies; "keep" matches those points among themselves, by birth.
    Returns:
        The distance, in units of the diagrams; infinite if points that never die are kept and differ in number. The
        matching is exact, whatever the unit: memory for max(n, m)^2 numbers is needed.
    Raises:
        UserError: If an argument is none of the above: another shape, a NaN, points on both sides of the diagonal.
    Source:
        Directional sign loss paper, appendix 5.1.3, whose steps leave out the power p and charge matches on the
        diagonal.
    Example:
        >>> round(wasserstein([[0.0, 4.0]], [[1.0, 5.0]]), 3)
        1.414
    """
    if not isinstance(essential, str) or essential not in ESSENTIAL:
        raise unknown("treatment of essential points", essential, ESSENTIAL)
    order, ground = (
        as_number(value, name, at_least=1, finite=False) for value, name in ((order, "order"), (ground, "ground"))
    )
    if order == math.inf != ground:
        raise UserError(f"The bottleneck distance is computed with the infinity norm; the norm given is {ground}.")
    pair = _upward(as_diagram(first, "first", finite=False), as_diagram(second, "second", finite=False))
    a, b = (diagram[np.isfinite(diagram).all(1)] for diagram in pair)
    apart = _essential(*pair) if essential == "keep" else np.zeros(0)
    if np.isinf(apart).any():
        return math.inf
    if order == math.inf:
        return max(_bottleneck(a, b), float(apart.max(initial=0)))
    return _norm(np.append(_matched(a, b, order, ground), apart), order)


def total_persistence(diagram: ArrayLike, *, order: float = 2) -> float:
    r"""Add up the lifetimes of a diagram.

    .. math:: \operatorname{pers}(D) = \sum_{(c,d)\in D} |d - c|^{\text{order}}

    Args:
        diagram: Births and deaths, shape (n, 2), all finite.
        order: Exponent of each lifetime, above 0, finite.
    Returns:
        Not negative, in the unit of the values to the power `order`.
    Raises:
        UserError: If the shape is another one, a point is not finite, or the order is not positive and finite.
    Source:
        Loss-landscape paper, section 3.3, with order 2.
    Example:
        >>> total_persistence([[0.0, 1.0], [1.0, 3.0]])
        5.0
    """
    points = as_diagram(diagram, "The diagram")
    order = as_number(order, "order", above=0)
    return float((np.abs(points[:, 1] - points[:, 0]) ** order).sum())


def _upward(first: Floats, second: Floats) -> tuple[Floats, Floats]:
    """Return two diagrams with deaths above births: both as they are, or both mirrored."""
    both = np.vstack([first, second])
    if (np.isinf(both[:, 0]) & (both[:, 0] == both[:, 1])).any():
        raise UserError("A point is born where it dies, at infinity; leave it out.")
    below = both[:, 1] < both[:, 0]
    if below.any() and (both[:, 1] > both[:, 0]).any():
        birth, death = both[below.argmax()]
        raise UserError(
            f"The point ({birth:g}, {death:g}) dies below its birth, and others above; diagrams of sublevel sets, or "
            "of superlevel sets, are compared with their like."
        )
    return (first[:, ::-1], second[:, ::-1]) if below.any() else (first, second)


def _essential(first: Floats, second: Floats) -> Floats:
    """Return the distances of points that never die, or were never born, matched in order; infinity if one is alone."""
    apart = []
    for born, dies in ((True, False), (False, True), (False, False)):
        kept = [d[(np.isfinite(d[:, 0]) == born) & (np.isfinite(d[:, 1]) == dies)] for d in (first, second)]
        if len(kept[0]) != len(kept[1]):
            return np.array([math.inf])
        if born or dies:
            apart += [np.abs(np.diff([np.sort(d[:, 0 if born else 1]) for d in kept], axis=0)[0])]
    return np.concatenate(apart)


def _matched(a: Floats, b: Floats, order: float, ground: float) -> Floats:
    """Return the distances of the best matching of finite points, with each other or with the diagonal.

    Every point of the smaller diagram is assigned one of the larger, at the cheaper of two ways: matched with each
    other, or both with the diagonal. Powers are taken of distances over an upper bound of the result, beyond which no
    distance can be part of the best matching, so that neither the unit, nor a long bar, nor a high order drowns them.
    """
    joint, mine, yours, exponent = _ways(a, b, ground)
    rest = len(yours) - len(mine)
    matched = np.concatenate([mine, yours])  # everything with the diagonal
    power = min(order, 2.0)
    while (reach := _norm(matched, power)) > 0:
        with np.errstate(over="ignore"):
            near, far_a, far_b = (np.minimum((way / reach) ** power, 2) for way in (joint, mine, yours))
        both = far_a[:, None] + far_b
        costs = np.vstack([np.minimum(near, both), np.broadcast_to(far_b, (rest, len(yours)))])
        row, column = linear_sum_assignment(costs)
        left, right = row[: len(mine)], column[: len(mine)]
        met = near[left, right] <= both[left, right]
        lonely = np.concatenate([right[~met], column[len(mine) :]])
        matched = np.concatenate([joint[left[met], right[met]], mine[left[~met]], yours[lonely]])
        settled = (_norm(matched, power) / reach) ** power > 1e-3  # costs far below 1 drown in the rounding of others
        if settled and power >= order:
            break
        power = min(2 * power, order) if settled else power
    with np.errstate(over="ignore"):
        return np.ldexp(matched, exponent)


def _bottleneck(a: Floats, b: Floats) -> float:
    """Return the largest distance of the matching whose largest distance is least, by halving the candidates.

    gudhi's own is wrong for one pair of small diagrams in a hundred.
    """
    joint, mine, yours, exponent = _ways(a, b, math.inf)
    top = np.minimum(joint, np.maximum(mine[:, None], yours))
    costs = np.vstack([top, np.broadcast_to(yours, (len(yours) - len(mine), len(yours)))])
    candidates = np.unique(costs)
    low, high = 0, len(candidates) - 1
    while low < high:
        middle = (low + high) // 2
        partner = maximum_bipartite_matching(csr_array(costs <= candidates[middle]))
        low, high = (low, middle) if (partner >= 0).all() else (middle + 1, high)
    return math.ldexp(candidates[high], exponent) if len(candidates) else 0.0


def _ways(a: Floats, b: Floats, q: float) -> tuple[Floats, Floats, Floats, int]:
    """Return distances of points to each other, and of the smaller and the larger diagram's to the diagonal.

    All are over 2 to the exponent that comes last.
    """
    a, b = sorted((a, b), key=len)
    exponent = int(np.frexp(np.abs(np.vstack([a, b])).max(initial=0))[1])
    a, b = np.ldexp(a, -exponent), np.ldexp(b, -exponent)
    joint = _ground(np.abs(a[:, :1] - b[:, 0]), np.abs(a[:, 1:] - b[:, 1]), q)
    mine, yours = (2 ** (1 / q - 1) * np.diff(points)[:, 0] for points in (a, b))
    return joint, mine, yours, exponent


def _ground(across: Floats, along: Floats, q: float) -> Floats:
    """Return the q-norm of differences, without powers of small numbers."""
    high, low = np.maximum(across, along), np.minimum(across, along)
    ratio = np.divide(low, high, out=np.zeros_like(high), where=high > 0)
    return high * (1 + ratio**q) ** (1 / q)


def _norm(distances: Floats, p: float) -> float:
    """Return the p-norm of distances, without powers of small or large numbers."""
    largest = float(distances.max(initial=0))
    if largest in (0, math.inf):
        return largest
    return largest * float(((distances / largest) ** p).sum()) ** (1 / p)
