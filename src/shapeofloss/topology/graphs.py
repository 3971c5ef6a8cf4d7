"""Persistent homology of a function on the vertices of a graph, in dimensions 0 and 1, and its total persistence."""

import warnings
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
        neighbours: Of each point, 1 to n - 1; of equally near ones the first.
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
    apart = _matrix(distances, neighbours, others=1).copy()
    count = len(apart)
    np.fill_diagonal(apart, np.inf)
    near = np.argsort(apart, axis=1, kind="stable")[:, :neighbours]
    pairs = np.sort(np.stack([np.repeat(np.arange(count), neighbours), near.ravel()], axis=1), axis=1)
    return np.unique(pairs, axis=0)


def released_edges(potential: Floats, *, neighbours: int) -> Edges:
    """Join each point to those where its row of PHATE's potential is largest, as the released code of the source does.

    The potential is minus the logarithm of a probability: its largest entries belong to the points that a random walk
    reaches least. Two points that choose each other get two edges, and with them a cycle.

    Args:
        potential: Shape (n, n).
        neighbours: Entries of each row, 1 to n; of equal ones the first. An entry of the diagonal makes no edge.
    Returns:
        Shape (m, 2), the smaller index first, some of them twice.
    Raises:
        UserError: As for `neighbour_edges`.
    Source:
        The released code of the loss-landscape paper, which differs from its section 3.3.
    """
    matrix = _matrix(potential, neighbours, others=0)
    count = len(matrix)
    far = np.argsort(-matrix, axis=1, kind="stable")[:, :neighbours]
    pairs = np.sort(np.stack([np.repeat(np.arange(count), neighbours), far.ravel()], axis=1), axis=1)
    return pairs[pairs[:, 0] < pairs[:, 1]]


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
        >>> found = graph_persistence([0.0, 2.0, 1.0, 3.0], np.array([[0, 1], [1, 2], [2, 3], [3, 0]]))
        >>> found.components.tolist(), found.essential.tolist(), found.cycles.tolist()
        ([[1.0, 2.0], [2.0, 2.0], [3.0, 3.0]], [0.0], [3.0])
    """
    heights = as_floats(values, "values", shape=("n",))
    pairs = _edges(edges, len(heights))
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
        diagrams: Of a graph.
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
    points = as_floats(diagram, "The diagram")
    points = as_floats(points if points.size else points.reshape(-1, 2), "The diagram", shape=("n", 2))
    order = as_number(order, "order", above=0)
    return float((np.abs(points[:, 1] - points[:, 0]) ** order).sum())


def subgraph(values: ArrayLike, edges: Edges, level: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Tell which vertices and edges have entered by a level: shapes (n,) and (m,).

    Args:
        values, edges: As for `graph_persistence`.
        level: A number, perhaps infinite.
    Raises:
        UserError: If a value or the level is no number, or an edge is no pair of vertices.
    Source:
        Loss-landscape paper, section 2.2.
    """
    heights = as_floats(values, "values", shape=("n",))
    present = heights <= as_number(level, "level", finite=False)
    return present, np.asarray(present[_edges(edges, len(heights))].all(axis=1))


def betti_numbers(vertices: int, edges: Edges) -> tuple[int, int]:
    """Count the components and the independent cycles of a graph by linear algebra.

    The boundary matrix sends an edge to its end minus its start. Its rank r gives vertices - r components; the cycles
    are what it sends to zero, of dimension edges - r.

    Args:
        vertices: Their number, at least 1.
        edges: Shape (m, 2), indices of vertices.
    Raises:
        UserError: If an edge is no pair of vertices.
    Example:
        >>> betti_numbers(4, np.array([[0, 1], [1, 2], [2, 0]]))
        (2, 1)
    """
    edges = _edges(edges, as_count(vertices, "vertices"))
    boundary = np.zeros((vertices, len(edges)))
    boundary[edges[:, 0], np.arange(len(edges))] -= 1
    boundary[edges[:, 1], np.arange(len(edges))] += 1
    rank = int(np.linalg.matrix_rank(boundary)) if len(edges) else 0
    return vertices - rank, len(edges) - rank


def rips_diagrams(points: Floats) -> list[Floats]:
    """Return the finite points of the Vietoris-Rips diagrams of points in space, in dimensions 0 and 1.

    Args:
        points: Shape (n, d).
    Returns:
        Two diagrams, shape (k, 2) each, in the unit of distances; computed in single precision.
    Raises:
        UserError: If the points are no table of finite numbers, or have no place in single precision.
    """
    from ripser import ripser  # type: ignore[import-untyped]

    points = as_floats(points, "points", shape=("n", "d"), empty=False)
    far, apart = float(np.abs(points).max()), float(np.ptp(points, axis=0).max())
    if far > 1e30 or 0 < apart < 1e-30:
        raise UserError(
            f"The points reach to {far:g} and are {apart:g} apart; the distances are computed in single precision: "
            "give the points in a unit in which both lie between 1e-30 and 1e30."
        )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The input point cloud has more columns", UserWarning)  # it may have
        found = ripser(points, maxdim=1)["dgms"]
    return [np.asarray(part[np.isfinite(part).all(axis=1)], np.float64) for part in found]


def _matrix(values: ArrayLike, neighbours: int, *, others: int) -> Floats:
    """Return a square matrix whose rows have enough entries for so many neighbours."""
    matrix = as_floats(values, "The matrix of distances", shape=("n", "n"))
    count = len(matrix)
    if matrix.shape[1] != count:
        raise UserError(f"Neighbours are found from a square matrix, not from shape {matrix.shape}.")
    as_count(neighbours, "neighbours", at_most=max(count - others, 0))
    return matrix


def _edges(edges: ArrayLike, vertices: int) -> Edges:
    """Return edges as pairs of whole numbers, shape (m, 2), of vertices that there are."""
    found = np.asarray(edges)
    if not found.size:
        return np.empty((0, 2), np.int64)
    if found.ndim != 2 or found.shape[1] != 2 or found.dtype.kind not in "iu":
        raise UserError(
            f"The edges have shape {found.shape} and type {found.dtype}; (m, 2) and whole numbers are needed."
        )
    wrong = np.flatnonzero(((found < 0) | (found >= vertices)).any(axis=1))
    if wrong.size:
        raise UserError(f"Edge {wrong[0]} joins {found[wrong[0]].tolist()}; the vertices are 0 to {vertices - 1}.")
    return found.astype(np.int64)
