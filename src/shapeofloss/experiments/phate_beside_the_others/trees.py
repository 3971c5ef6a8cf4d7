"""Points on a random tree whose branches and distances along the tree are known."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import shortest_path

from shapeofloss.arrays import Floats, as_count, as_number


@dataclass(frozen=True, eq=False)
class Tree:
    """Points on a tree in D dimensions, branch after branch. The unit of length is one branch.

    Attributes:
        points: Shape (n, D), without noise.
        branch: Number of each point's branch, shape (n,), from 0, the trunk.
        along: Distances between points along the tree, shape (n, n), symmetric with a zero diagonal.
    """

    points: Floats
    branch: NDArray[np.int64]
    along: Floats


def random_tree(*, branches: int, points: int, dimensions: int, bend: float, seed: int) -> Tree:
    r"""Grow a tree from arcs of circles, each of length 1, in random directions.

    .. math:: x(s) = x_0 + \frac{\sin(\beta s)}{\beta}\,u + \frac{1-\cos(\beta s)}{\beta}\,v, \qquad 0 < s \le 1

    The trunk starts at the origin, every other branch at a point x_0 of an earlier branch, all points being equally
    likely; u and v are orthonormal and random, and beta is the bend. s is the length along the arc, and neighbours on
    the tree are 1 / points apart along it. The distance along the tree is that length times the number of neighbours
    passed: exact, since branches start at points.

    Args:
        branches: Number of branches, at least 1.
        points: Points per branch, at least 1.
        dimensions: Dimensions D, at least 2.
        bend: Angle by which a branch turns from its start to its end, in radians; 0 makes it straight.
        seed: Seed of the generator, not negative.
    Returns:
        The tree, with branches x points points. The origin is not among them.
    Raises:
        UserError: If a number is out of range.
    Source:
        Loss-landscape paper, Fig. 1B: "an artificial data set" with "tree-like structure", not described further. The
        PHATE library's own generator, `phate.tree.gen_dla`, grows random walks from the trunk and gives no distances.
    Example:
        >>> tree = random_tree(branches=1, points=4, dimensions=3, bend=0, seed=0)
        >>> tree.along[0].tolist()
        [0.0, 0.25, 0.5, 0.75]
    """
    bend = as_number(bend, "bend", at_least=0)
    as_count(branches, "branches")
    as_count(points, "points")
    as_count(dimensions, "dimensions", at_least=2)
    as_count(seed, "seed", at_least=0)
    generator = np.random.default_rng(seed)
    s = np.arange(1, points + 1)[:, None] / points  # (points, 1)
    ahead, aside = (np.sin(bend * s) / bend, (1 - np.cos(bend * s)) / bend) if bend else (s, 0 * s)
    grown = np.empty((0, dimensions))
    parents = []
    for _ in range(branches):
        start = int(generator.integers(len(grown))) if len(grown) else -1
        u, v = np.linalg.qr(generator.normal(size=(dimensions, 2)))[0].T
        base = grown[start] if start >= 0 else np.zeros(dimensions)
        parents += [start, *range(len(grown), len(grown) + points - 1)]
        grown = np.concatenate([grown, base + ahead * u + aside * v])
    child, parent = np.arange(1, len(parents)), np.array(parents[1:], int)
    graph = coo_array((np.ones(len(child)), (child, parent)), shape=(len(parents), len(parents)))
    hops = shortest_path(graph.tocsr(), directed=False, unweighted=True)
    return Tree(grown, np.repeat(np.arange(branches), points), hops / points)
