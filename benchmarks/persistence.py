"""Persistence of a loss on a graph of 640 points, beside gudhi's simplex tree without triangles."""

from functools import cache

import gudhi
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from shapeofloss.topology.graphs import graph_persistence, neighbour_edges


@cache
def graph() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the heights, shape (640,), and edges of points in the plane, each joined to its 20 nearest."""
    generator = np.random.default_rng(0)
    points = generator.normal(size=(640, 2))
    heights = (points**2).sum(axis=1) + 0.1 * generator.normal(size=640)
    return heights, neighbour_edges(cdist(points, points), neighbours=20)


def ours() -> None:
    """Find the diagrams of dimensions 0 and 1."""
    graph_persistence(*graph())


def gudhis() -> None:
    """Find the same from a simplex tree, filled by its quickest way: in two batches."""
    heights, edges = graph()
    tree = gudhi.SimplexTree()
    tree.insert_batch(np.arange(len(heights), dtype=np.int32)[None], heights)
    tree.insert_batch(edges.T.astype(np.int32), heights[edges].max(axis=1))
    tree.compute_persistence(min_persistence=-1, persistence_dim_max=True)
    for dimension in (0, 1):
        tree.persistence_intervals_in_dimension(dimension)
