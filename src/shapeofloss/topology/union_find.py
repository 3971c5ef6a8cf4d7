"""The paper's appendix, step by step: diagrams by union-find, and their distance by assignment.

For reading and for checks. `diagrams` does the same with compiled libraries, hundreds of times faster.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from shapeofloss.arrays import Floats, as_floats, as_number
from shapeofloss.errors import UserError, unknown
from shapeofloss.topology.diagrams import NEIGHBOURS, as_diagram


def offsets(dimensions: int, neighbours: str = "all") -> list[tuple[int, ...]]:
    """Return the steps from a cell of a grid to its neighbours.

    Example:
        >>> offsets(1), len(offsets(3)), len(offsets(3, "axes"))
        ([(-1,), (1,)], 26, 6)
    """
    if not isinstance(neighbours, str) or neighbours not in NEIGHBOURS:
        raise unknown("kind of neighbours", neighbours, NEIGHBOURS)
    steps = [step for step in itertools.product((-1, 0, 1), repeat=dimensions) if any(step)]
    return [step for step in steps if neighbours == "all" or sum(map(abs, step)) == 1]


@dataclass(frozen=True)
class Event:
    """What happens when a cell enters the sublevel set.

    Attributes:
        height: The cell's value, the threshold.
        cell: Its place.
        born: Whether it begins a component.
        deaths: Births of the components that end here, each with death `height`; also those that live for zero.
        components: How many there are afterwards.
    """

    height: float
    cell: tuple[int, ...]
    born: bool
    deaths: tuple[float, ...]
    components: int


def sweep(array: ArrayLike, *, neighbours: str = "all") -> Iterator[Event]:
    """Raise the threshold from cell to cell, and tell what becomes of the components of the sublevel set.

    Cells of equal value enter in the order of their places. Where components meet, the one that was born last dies (the
    elder rule).

    Args:
        array: Heights, in any number of dimensions, not empty, all finite.
        neighbours: As for `diagrams.persistence_diagram`.
    Raises:
        UserError: If an argument is none of the above.
    Source:
        Directional sign loss paper, appendix 5.1.1.
    """
    values = as_floats(array, "The array", empty=False)
    padded = np.full([n + 2 for n in values.shape], np.inf)  # so that no cell is at the border
    padded[(slice(1, -1),) * values.ndim] = values
    heights = padded.ravel().tolist()
    strides = [math.prod(padded.shape[i + 1 :]) for i in range(values.ndim)]
    steps = [sum(o * s for o, s in zip(step, strides, strict=True)) for step in offsets(values.ndim, neighbours)]
    parent = [-1] * len(heights)  # -1: not in the set yet; the root of a component is its oldest cell
    rank = [0] * len(heights)  # the order of entering

    def root(cell: int) -> int:
        while parent[cell] != cell:
            parent[cell] = cell = parent[parent[cell]]  # halve the path
        return cell

    count = 0
    order = np.argsort(padded, axis=None, kind="stable")[: values.size].tolist()
    places = np.stack(np.unravel_index(order, padded.shape), axis=1) - 1
    for when, (cell, place) in enumerate(zip(order, map(tuple, places.tolist()), strict=True)):
        rank[cell] = when
        roots = sorted({root(cell + step) for step in steps if parent[cell + step] >= 0}, key=rank.__getitem__)
        parent[cell] = roots[0] if roots else cell
        for younger in roots[1:]:
            parent[younger] = roots[0]
        count += 1 - len(roots)
        yield Event(heights[cell], place, not roots, tuple(heights[r] for r in roots[1:]), count)


def diagram(array: ArrayLike, *, neighbours: str = "all") -> Floats:
    """Return births and deaths of the components that live longer than zero, shape (n, 2), sorted.

    Example:
        >>> diagram([0.0, 2.0, 1.0])
        array([[ 0., inf],
               [ 1.,  2.]])
    """
    events = list(sweep(array, neighbours=neighbours))
    points = [(birth, e.height) for e in events for birth in e.deaths if e.height > birth]
    points.append((min(e.height for e in events), math.inf))
    return np.array(sorted(points))


def by_assignment(first: ArrayLike, second: ArrayLike, *, order: float = 2) -> float:
    """Return the Wasserstein distance of two diagrams of finite points, Euclidean ground distance.

    Each diagram is completed by the projections of the other's points onto the diagonal; pairs of projections are
    free.

    Args:
        first, second: Shape (n, 2) and (m, 2).
        order: p, at least 1 and finite; the powers of the distances have to be distinct numbers in double precision.
    Raises:
        UserError: If an argument is none of the above.
    Source:
        Directional sign loss paper, appendix 5.1.3, with the power and the free pairs that its steps leave out.
    """
    order = as_number(order, "order", at_least=1)
    cost = completed_cost(first, second)
    unit = 2.0 ** np.frexp(cost.max(initial=0))[1]  # so that powers of small and of large units are numbers, too
    cost = (cost / unit) ** order
    return float(cost[linear_sum_assignment(cost)].sum() ** (1 / order)) * float(unit)


def completed_cost(first: ArrayLike, second: ArrayLike, *, free: bool = True) -> Floats:
    """Return the distances between the completed diagrams, shape (n + m, n + m).

    Args:
        first, second: Diagrams of finite points, shape (n, 2) and (m, 2).
        free: Whether pairs of projections cost nothing; as printed in the source, they cost their distance.
    Raises:
        UserError: If a diagram has another shape, or a point that is not finite.
    """
    a, b = as_diagram(first, "first"), as_diagram(second, "second")
    onto = [np.repeat(points.mean(axis=1, keepdims=True), 2, axis=1) for points in (a, b)]
    cost = np.zeros((len(a) + len(b), len(a) + len(b)))
    cost[: len(a), : len(b)] = cdist(a, b)
    cost[: len(a), len(b) :] = np.linalg.norm(a - onto[0], axis=1)[:, None]
    cost[len(a) :, : len(b)] = np.linalg.norm(b - onto[1], axis=1)
    if not free:
        cost[len(a) :, len(b) :] = cdist(onto[1], onto[0])
    return cost


def hungarian(cost: ArrayLike) -> tuple[float, int]:
    """Solve an assignment serially by shortest augmenting paths; return its least cost and the inner-loop steps.

    Args:
        cost: Shape (n, n), finite, at most 1e300 in size.
    Raises:
        UserError: If it is anything else.
    Source:
        The algorithm that the paper's appendix 5.1.3 names, in the form whose worst case is n^3.
    Example:
        >>> hungarian([[4, 1], [2, 0]])[0]
        3.0
    """
    c = as_floats(cost, "cost", shape=("n", "n"))
    n, steps = len(c), 0
    if c.shape[1] != n:
        raise UserError(f"cost has shape {c.shape}; it has to be square.")
    if np.abs(c).max(initial=0) > 1e300:  # sums of costs would be infinite, and no column the nearest
        raise UserError(f"cost has a value of size {np.abs(c).max():g}; at most 1e300 can be computed. Scale it.")
    row_price, column_price = [0.0] * (n + 1), [0.0] * (n + 1)
    owner, before = [n] * (n + 1), [0] * (n + 1)  # of each column; column n stands for "none"
    for row in range(n):
        owner[n], column = row, n
        slack, used = [math.inf] * (n + 1), [False] * (n + 1)
        while True:
            used[column] = True
            current, least, following = owner[column], math.inf, n
            for j in range(n):
                steps += 1
                if used[j]:
                    continue
                reduced = c[current, j] - row_price[current] - column_price[j]
                if reduced < slack[j]:
                    slack[j], before[j] = reduced, column
                if slack[j] < least:
                    least, following = slack[j], j
            for j in range(n + 1):
                if used[j]:
                    row_price[owner[j]] += least
                    column_price[j] -= least
                else:
                    slack[j] -= least
            column = following
            if owner[column] == n:
                break
        while column != n:
            owner[column] = owner[before[column]]
            column = before[column]
    return float(sum(c[owner[j], j] for j in range(n))), steps
