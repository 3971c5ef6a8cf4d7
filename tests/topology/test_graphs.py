"""Persistence of functions on graphs against gudhi and ripser, closed forms, and invariances."""

import gudhi
import numpy as np
import pytest
from ripser import ripser
from scipy.sparse import coo_array
from scipy.spatial.distance import cdist
from scipy.special import comb

from shapeofloss.errors import UserError
from shapeofloss.topology.graphs import (
    graph_persistence,
    neighbour_edges,
    points_of,
)


def random_graph(seed, *, vertices=40, share=0.08, ties=True):
    generator = np.random.default_rng(seed)
    pairs = np.array([(i, j) for i in range(vertices) for j in range(i + 1, vertices)])
    values = generator.integers(0, 9, vertices).astype(float) if ties else generator.normal(size=vertices)
    return values, pairs[generator.random(len(pairs)) < share]


def in_order(points):
    points = np.asarray(points).reshape(-1, 2)
    return points[np.lexsort(points.T[::-1])]


CASES = [(seed, ties, share) for seed in range(4) for ties in (True, False) for share in (0.0, 0.02, 0.08, 1.0)]


@pytest.mark.parametrize(("seed", "ties", "share"), CASES)
def test_both_dimensions_are_exactly_those_of_gudhi(seed, ties, share):
    values, edges = random_graph(seed, ties=ties, share=share)
    tree = gudhi.SimplexTree()
    for vertex, value in enumerate(values):
        tree.insert([vertex], value)
    for edge in edges:
        tree.insert(edge, values[edge].max())
    tree.compute_persistence(min_persistence=-1, persistence_dim_max=True)  # lifetimes of zero included
    components, cycles = (tree.persistence_intervals_in_dimension(d).reshape(-1, 2) for d in (0, 1))
    ends = np.isfinite(components[:, 1])
    found = graph_persistence(values, edges)
    assert np.array_equal(in_order(found.components), in_order(components[ends]))
    assert np.array_equal(np.sort(found.essential), np.sort(components[~ends, 0]))
    assert np.array_equal(np.sort(found.cycles), np.sort(cycles[:, 0])) and np.isinf(cycles[:, 1]).all()


@pytest.mark.parametrize("seed", range(4))
def test_dimension_zero_is_that_of_ripsers_sparse_lower_star(seed):
    values, edges = random_graph(seed)
    rows = np.concatenate([np.arange(len(values)), edges[:, 0], edges[:, 1]])
    columns = np.concatenate([np.arange(len(values)), edges[:, 1], edges[:, 0]])
    entries = np.concatenate([values, values[edges].max(axis=1), values[edges].max(axis=1)])
    matrix = coo_array((entries, (rows, columns)))
    expected = ripser(matrix.tocsr(), distance_matrix=True, maxdim=0)["dgms"][0]
    found = graph_persistence(values, edges)
    lived = found.components[found.components[:, 0] < found.components[:, 1]]
    assert np.array_equal(in_order(lived), in_order(expected[np.isfinite(expected[:, 1])]))
    assert np.array_equal(found.essential, np.sort(expected[np.isinf(expected[:, 1]), 0]))


def test_two_wells_and_a_ring_have_the_diagram_that_one_reads_off():
    found = graph_persistence([0.0, 5.0, 1.0], np.array([[0, 1], [1, 2]]))
    assert found.components.tolist() == [[1.0, 5.0], [5.0, 5.0]] and found.essential.tolist() == [0.0]
    assert not len(found.cycles)
    doubled = graph_persistence([0.0, 1.0], np.array([[0, 1], [0, 1], [0, 1]]))
    assert doubled.cycles.tolist() == [1.0, 1.0]


def test_a_complete_graph_has_a_cycle_for_each_edge_beyond_a_tree():
    values, edges = random_graph(0, vertices=12, share=1.0)
    assert len(graph_persistence(values, edges).cycles) == comb(12, 2) - 11


def test_a_graph_without_edges_keeps_all_components():
    found = graph_persistence([2.0, 1.0], np.empty((0, 2), np.int64))
    assert found.essential.tolist() == [1.0, 2.0] and found.components.shape == (0, 2)


def test_numbering_does_not_matter_and_values_may_be_moved_and_stretched():
    values, edges = random_graph(5, ties=False)
    found = graph_persistence(values, edges)
    order = np.random.default_rng(0).permutation(len(values))
    renumbered = graph_persistence(values[np.argsort(order)], order[edges])
    moved = graph_persistence(4 * values + 8, edges)
    for name in ("components", "essential", "cycles"):
        assert np.array_equal(getattr(found, name), getattr(renumbered, name))
        np.testing.assert_allclose(getattr(moved, name), 4 * getattr(found, name) + 8)


def test_neighbours_are_the_nearest_others_seen_from_either_side():
    points = np.random.default_rng(7).normal(size=(30, 3))
    distances = cdist(points, points)
    edges = {tuple(edge) for edge in neighbour_edges(distances, neighbours=4).tolist()}
    expected = set()
    for i in range(30):
        for j in sorted((k for k in range(30) if k != i), key=lambda k, i=i: distances[i, k])[:4]:
            expected.add((min(i, j), max(i, j)))
    assert edges == expected


def test_duplicate_points_do_not_become_their_own_neighbours():
    edges = neighbour_edges(np.zeros((4, 4)), neighbours=1)
    assert (edges[:, 0] < edges[:, 1]).all() and len(edges) == 3


def test_what_never_dies_gets_the_largest_value():
    values, edges = np.array([0.0, 3.0, 1.0, 7.0]), np.array([[0, 1], [1, 2], [2, 0]])
    found = graph_persistence(values, edges)
    assert points_of(found, 1, top=7).tolist() == [[3.0, 7.0]]
    plain, counted = (points_of(found, 0, top=7, essential=e) for e in (False, True))
    assert in_order(counted).tolist() == in_order([*plain.tolist(), [0.0, 7.0], [7.0, 7.0]]).tolist()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: graph_persistence([0.0, np.nan], np.array([[0, 1]])), "not finite"),
        (lambda: graph_persistence([0.0, 1.0], np.array([[0, 2]])), "Edge 0 joins .*; the vertices are 0 to 1"),
        (lambda: graph_persistence([0.0, 1.0], np.array([[1, 1]])), "Edge 0 leads from vertex 1 to itself"),
        (lambda: neighbour_edges(np.zeros((3, 2)), neighbours=1), r"a square matrix, not from shape \(3, 2\)"),
        (lambda: neighbour_edges(np.full((3, 3), np.inf), neighbours=1), "9 values that are not finite"),
        (lambda: neighbour_edges(np.zeros((3, 3)), neighbours=3), "neighbours is 3; a whole number from 1 to 2"),
        (lambda: graph_persistence([0.0, np.nan], np.array([[0, 1]])), "not finite"),
        (lambda: points_of(graph_persistence([0.0], np.empty((0, 2))), 2, top=1), "choose 0 or 1"),
        (lambda: points_of(graph_persistence([3.0], []), 0, top=2), "top is 2, but something is born at 3"),
        (lambda: points_of(graph_persistence([3.0], []), 0, top=np.nan), "top is nan; a finite number"),
    ],
)
def test_wrong_input_is_refused_in_a_sentence(call, message):
    with pytest.raises(UserError, match=message):
        call()
