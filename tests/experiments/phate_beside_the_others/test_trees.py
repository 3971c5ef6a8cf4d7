import networkx
import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

from shapeofloss.errors import UserError
from shapeofloss.experiments.phate_beside_the_others.trees import random_tree


def grow(**changes):
    return random_tree(**{"branches": 6, "points": 8, "dimensions": 50, "bend": 1.0, "seed": 3} | changes)


def test_a_straight_trunk_is_a_segment_from_the_origin_of_length_one():
    tree = grow(branches=1, bend=0.0)
    straight = np.linalg.norm(tree.points, axis=1)
    np.testing.assert_allclose(straight, np.arange(1, 9) / 8)
    np.testing.assert_allclose(squareform(pdist(tree.points)), tree.along, atol=1e-12)


def test_a_bent_trunk_is_an_arc_whose_chords_have_the_known_length():
    tree = grow(branches=1, bend=2.0)
    np.testing.assert_allclose(squareform(pdist(tree.points)), 2 / 2.0 * np.sin(2.0 * tree.along / 2), atol=1e-12)


def test_distances_along_the_tree_are_those_of_a_graph_that_is_read_off_the_points():
    tree = grow(bend=0.0)
    # On straight branches near points are one spacing apart, and no other pair is, in so many dimensions.
    near = np.abs(squareform(pdist(np.vstack([0 * tree.points[:1], tree.points]))) - 1 / 8) < 1e-9
    graph = networkx.from_numpy_array(near[1:, 1:])
    assert networkx.is_tree(graph)
    wanted = networkx.floyd_warshall_numpy(graph) / 8
    np.testing.assert_allclose(tree.along, wanted, rtol=1e-12)


def test_no_straight_line_is_longer_than_the_way_along_the_tree():
    for bend in (0.0, 1.5):
        tree = grow(bend=bend)
        assert (squareform(pdist(tree.points)) <= tree.along + 1e-12).all()


def test_a_tree_is_a_metric_of_the_four_point_kind():
    along = grow().along
    a, b, c, d = np.random.default_rng(0).integers(len(along), size=(4, 500))
    sums = np.sort([along[a, b] + along[c, d], along[a, c] + along[b, d], along[a, d] + along[b, c]], axis=0)
    np.testing.assert_allclose(sums[1], sums[2], rtol=1e-12)  # the two largest sums agree on a tree, and on trees only


def test_branches_are_numbered_in_order_and_joined_to_earlier_ones():
    tree = grow()
    assert tree.branch.tolist() == np.repeat(np.arange(6), 8).tolist()
    for number in range(1, 6):
        first = np.flatnonzero(tree.branch == number)[0]
        assert np.isclose(tree.along[first, :first].min(), 1 / 8)


def test_branches_start_on_branches_other_than_the_trunk_too():
    tree = grow(branches=12)
    starts = [tree.branch[np.argmin(tree.along[k, :k])] for k in range(8, 96, 8)]
    assert len(set(starts)) > 2


def test_the_seed_decides_and_nothing_else_does():
    assert grow().points.tobytes() == grow().points.tobytes()
    assert not np.allclose(grow().points, grow(seed=4).points)


@pytest.mark.parametrize(
    "wrong", [{"branches": 0}, {"points": 0}, {"dimensions": 1}, {"bend": -0.1}, {"points": 2.5}, {"seed": -1}]
)
def test_a_wrong_size_is_named(wrong):
    with pytest.raises(UserError, match=f"(not .*|is ){next(iter(wrong.values()))}"):
        grow(**wrong)
