"""What of a graph lies below a level, and its Betti numbers by linear algebra: checks of the pass over its edges."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shapeofloss.arrays import as_floats, as_number
from shapeofloss.topology.graphs import Edges, as_edges


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
    return present, np.asarray(present[as_edges(edges, len(heights))].all(axis=1))


def betti_numbers(values: ArrayLike, edges: Edges, level: float) -> tuple[int, int]:
    """Count the components and the independent cycles of a subgraph by linear algebra.

    The boundary matrix sends an edge to its end minus its start. Its rank r gives vertices - r components; the cycles
    are what it sends to zero, of dimension edges - r.

    Args:
        values, edges, level: As for `subgraph`.
    Raises:
        UserError: As for `subgraph`.
    Example:
        >>> betti_numbers([0, 0, 0, 1], np.array([[0, 1], [1, 2], [2, 0], [2, 3]]), 0)
        (1, 1)
    """
    vertices, present = subgraph(values, edges, level)
    kept = as_edges(edges, len(vertices))[present]
    boundary = np.zeros((len(vertices), len(kept)))
    boundary[kept[:, 0], np.arange(len(kept))] -= 1
    boundary[kept[:, 1], np.arange(len(kept))] += 1
    rank = int(np.linalg.matrix_rank(boundary)) if len(kept) else 0
    return int(vertices.sum()) - rank, len(kept) - rank
