"""Persistent homology of a function on the vertices of a graph, in dimensions 0 and 1."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shapeofloss.arrays import Floats, as_count, as_floats, as_number
from shapeofloss.errors import UserError

Edges = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Diagrams:
    """What appears and disappears while a graph fills up from the smallest value to the largest.

    Attributes:
        components: Birth and death of the components that merge into an older one, shape (c, 2), those of lifetime zero
            included; the younger of two dies, of two born together either.
        essential: Births of the components that never die, shape (e,).
        cycles: Births of the independent cycles, which never die since triangles are not filled, shape (k,).
    """

    components: Floats
    essential: Floats
    cycles: Floats


def neighbour_edges(distances: Floats, *, neighbours: int) -> Edges:
    """Join two points if one of them is among the nearest others of the other.

    Args:
        distances: Shape (n, n), finite.
        neighbours: Neighbours of each point, 1 to n - 1; of equally near ones the first.
    Returns:
        Each edge once, the smaller index first, sorted, shape (m, 2).
    Raises:
        UserError: If the distances are no finite square matrix, or the number of neighbours is out of range.
    Source:
        Loss-landscape paper, section 3.3, where distances are those of PHATE's potential and k = 20.
    Example:
        >>> line = np.array([0.0, 1.0, 3.0])
        >>> neighbour_edges(abs(line[:, None] - line), neighbours=1).tolist()
        [[0, 1], [1, 2]]
    """
    apart = as_square(distances).copy()
    as_count(neighbours, "neighbours", at_most=max(len(apart) - 1, 0))
    np.fill_diagonal(apart, np.inf)
    return np.unique(smallest_pairs(apart, neighbours), axis=0)


def smallest_pairs(matrix: Floats, count: int) -> Edges:
    """Pair the number of each row with the columns of its smallest entries, the first of equal ones.

    Args:
        matrix: Shape (n, n).
        count: Entries of each row.
    Returns:
        The smaller number first, shape (n count, 2).
    """
    columns = np.argsort(matrix, axis=1, kind="stable")[:, :count]
    return np.sort(np.stack([np.repeat(np.arange(len(matrix)), count), columns.ravel()], axis=1), axis=1)


def as_square(values: ArrayLike) -> Floats:
    """Return a square matrix of finite numbers.

    Raises:
        UserError: If it is anything else.
    """
    matrix = as_floats(values, "The matrix of distances", shape=("n", "n"))
    if len(matrix) != matrix.shape[1]:
        raise UserError(f"Neighbours are found from a square matrix, not from shape {matrix.shape}.")
    return matrix


def as_edges(edges: ArrayLike, vertices: int) -> Edges:
    """Return edges as pairs of whole numbers, shape (m, 2), of vertices that there are.

    Raises:
        UserError: If they are anything else.
    """
    pairs = np.asarray(edges)
    if not pairs.size:
        return np.empty((0, 2), np.int64)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.dtype.kind not in "iu":
        raise UserError(
            f"The edges have shape {pairs.shape} and type {pairs.dtype}; (m, 2) and whole numbers are needed."
        )
    wrong = np.flatnonzero(((pairs < 0) | (pairs >= vertices)).any(axis=1))
    if wrong.size:
        raise UserError(f"Edge {wrong[0]} joins {pairs[wrong[0]].tolist()}; the vertices are 0 to {vertices - 1}.")
    return pairs.astype(np.int64)


def graph_persistence(values: ArrayLike, edges: Edges) -> Diagrams:
    """Return the persistence diagrams of a graph that fills up by the values of its vertices.

    A vertex enters at its value, an edge with the later of its ends. Components follow the elder rule; every edge that
    merges none closes a cycle.

    Args:
        values: One for each vertex, shape (n,), finite.
        edges: Shape (m, 2), no loops; an edge may occur several times, and each further time is a cycle.
    Returns:
        The diagrams, whose births and deaths are values of vertices.
    Raises:
        UserError: If a value is not finite, or an edge leads nowhere or to where it comes from.
    Source:
        Loss-landscape paper, section 2.2.
    Example:
        >>> diagrams = graph_persistence([0.0, 2.0, 1.0, 3.0], np.array([[0, 1], [1, 2], [2, 3], [3, 0]]))
        >>> diagrams.components.tolist(), diagrams.essential.tolist(), diagrams.cycles.tolist()
        ([[1.0, 2.0], [2.0, 2.0], [3.0, 3.0]], [0.0], [3.0])
    """
    heights = as_floats(values, "values", shape=("n",))
    pairs = as_edges(edges, len(heights))
    if (loops := np.flatnonzero(pairs[:, 0] == pairs[:, 1])).size:
        raise UserError(f"Edge {loops[0]} leads from vertex {pairs[loops[0], 0]} to itself: leave loops out.")
    enters = heights[pairs].max(axis=1)
    order = np.argsort(enters, kind="stable")
    age = np.argsort(np.argsort(heights, kind="stable")).tolist()  # the elder has the smaller one
    parent = list(range(len(heights)))
    born, died, closing = [], [], []
    for place, (first, second) in zip(order.tolist(), pairs[order].tolist(), strict=True):
        while parent[first] != first:
            parent[first] = first = parent[parent[first]]
        while parent[second] != second:
            parent[second] = second = parent[parent[second]]
        if first == second:
            closing.append(place)
            continue
        if age[first] > age[second]:
            first, second = second, first
        parent[second] = first
        born.append(second)
        died.append(place)
    merged = np.stack([heights[born], enters[died]], axis=1) if born else np.empty((0, 2))
    roots = np.flatnonzero(np.array(parent) == np.arange(len(heights)))
    return Diagrams(merged[np.lexsort(merged.T[::-1])], np.sort(heights[roots]), np.sort(enters[closing]))


def points_of(diagrams: Diagrams, dimension: int, *, top: float, essential: bool = False) -> Floats:
    """Return the diagram of one dimension, all points finite.

    Args:
        diagrams: Diagrams of a graph.
        dimension: 0 for components, 1 for cycles.
        top: The largest value, where what never dies is said to die.
        essential: Whether components that never die are counted; cycles always are, or there would be none.
    Returns:
        Births and deaths, shape (n, 2).
    Raises:
        UserError: If the dimension is neither 0 nor 1, or `top` is no number or below a birth.
    Source:
        The released code of the loss-landscape paper caps in this way; its section 3.3 does not say.
    """
    if dimension not in (0, 1):
        raise UserError(f"A graph has no dimension {dimension}: choose 0 or 1.")
    births = diagrams.cycles if dimension else diagrams.essential
    if as_number(top, "top") < births.max(initial=-np.inf):
        raise UserError(f"top is {top}, but something is born at {births.max():g}: give the largest value.")
    endless = np.stack([births, np.full(len(births), top)], axis=1)
    if dimension:
        return endless
    return np.concatenate([diagrams.components, endless]) if essential else diagrams.components
