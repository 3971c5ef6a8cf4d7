"""Subgraphs below a level, and what linear algebra counts of them, beside the diagrams."""

import numpy as np
import pytest

from shapeofloss.errors import UserError
from shapeofloss.experiments.persistence.sublevels import betti_numbers, subgraph
from shapeofloss.topology.graphs import graph_persistence


def test_betti_numbers_of_sublevel_graphs_follow_from_the_diagrams():
    generator = np.random.default_rng(6)
    pairs = np.array([(i, j) for i in range(40) for j in range(i + 1, 40)])
    values = generator.integers(0, 9, 40).astype(float)
    edges = pairs[generator.random(len(pairs)) < 0.08]
    found = graph_persistence(values, edges)
    for level in np.unique(values):
        alive = (found.components[:, 0] <= level) & (found.components[:, 1] > level)
        expected = alive.sum() + (found.essential <= level).sum(), (found.cycles <= level).sum()
        assert betti_numbers(values, edges, level) == expected


def test_a_subgraph_of_lists_is_that_of_arrays():
    vertices, kept = subgraph([0, 2, 1], [[0, 1], [0, 2]], 1)
    assert vertices.tolist() == [True, False, True] and kept.tolist() == [False, True]
    assert subgraph([1.0], [], np.inf)[0].tolist() == [True] and subgraph([1.0], [], -np.inf)[1].tolist() == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: subgraph([0.0, np.nan], [[0, 1]], 1.0), "values has 1 value that is not finite"),
        (lambda: subgraph([0.0, 1.0], [[0, 1]], np.nan), "level is nan; a number is needed"),
        (lambda: subgraph([0.0, 1.0], [[0, -1]], 1.0), r"Edge 0 joins \[0, -1\]; the vertices are 0 to 1"),
        (lambda: subgraph([0.0, 1.0], [[True, False]], 1.0), "whole numbers are needed"),
        (lambda: betti_numbers([0.0] * 3, np.array([[0.0, 1.0]]), 1.0), "whole numbers are needed"),
        (lambda: betti_numbers([0.0] * 3, np.array([[0, 3]]), 1.0), "the vertices are 0 to 2"),
    ],
)
def test_wrong_input_is_refused_in_a_sentence(call, message):
    with pytest.raises(UserError, match=message):
        call()
