"""Numbers of what a picture keeps, on pictures that keep all, some, or nothing."""

import networkx
import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist, squareform
from scipy.stats import spearmanr

from shapeofloss.errors import UserError
from shapeofloss.landscape.faithfulness import (
    neighbour_graph,
    order_within,
    pieces,
    rank_agreement,
    relations_between,
    room_within,
    sample_scores,
    share_whole,
    successive_nearer,
)
from shapeofloss.landscape.products import distances_between

SIDE = np.arange(12.0).reshape(6, 2) ** 1.5
OF = {"trajectory": [0, 0, 0, 1, 1, 1], "epoch": [0, 1, 2, 0, 1, 2]}
TABLE = SIDE @ SIDE.T


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(0).normal(size=(40, 6)) * [4, 2, 1, 1, 1, 1] + 1


@pytest.fixture(scope="module")
def products(points):
    return points @ points.T


def lines(count=4, length=15, gap=30.0):
    """Parallel trajectories with one state per unit of length: labels, epochs and picture."""
    trajectory, epoch = (a.ravel() for a in np.indices((count, length)))
    return trajectory, epoch, np.column_stack([epoch.astype(float), gap * trajectory])


def test_a_graph_of_neighbours_counts_an_edge_of_one_direction_for_both(points):
    distances = squareform(pdist(points[:, :2]))
    nearest = np.argsort(distances, axis=1)[:, 1:4]
    graph = networkx.Graph([(i, int(j)) for i in range(40) for j in nearest[i]])
    ours = neighbour_graph(points[:, :2], neighbours=3).toarray()
    assert np.array_equal(ours, networkx.to_numpy_array(graph, nodelist=range(40)))
    assert pieces(points[:, :2], neighbours=3) == networkx.number_connected_components(graph)


def test_pieces_are_counted():
    _, _, picture = lines(gap=30.0)
    assert pieces(picture, neighbours=5) == 4
    assert pieces(picture, neighbours=15) == 1
    with pytest.raises(UserError, match="60 neighbours are asked for, but 60 points"):
        pieces(picture, neighbours=60)


def test_a_torn_trajectory_is_not_whole_even_if_others_bridge_the_gap():
    trajectory, epoch, picture = lines()
    assert share_whole(picture, trajectory, neighbours=4) == 1
    torn = picture.copy()
    torn[(trajectory == 0) & (epoch > 6), 0] += 100
    assert share_whole(torn, trajectory, neighbours=4) == 0.75
    bridged = np.vstack([torn, np.column_stack([np.linspace(7, 106, 100), np.zeros(100)])])
    assert pieces(bridged, neighbours=4) == 4
    assert share_whole(bridged, np.append(trajectory, np.full(100, 9)), neighbours=4) == 0.8


def test_labels_alone_make_a_picture_that_keeps_every_trajectory_whole_and_ordered():
    trajectory, epoch, picture = lines()
    assert share_whole(picture, trajectory) == 1 and np.isclose(order_within(picture, trajectory, epoch), 1)


def test_a_hairpin_is_less_ordered_than_a_line_and_a_point_not_at_all():
    trajectory, epoch, picture = lines(count=3)
    hairpin = picture.copy()
    hairpin[:, 0] = np.abs(epoch - 7)
    wanted = spearmanr(pdist(hairpin[:15]), pdist(np.arange(15.0)[:, None])).statistic
    assert np.isclose(order_within(hairpin, trajectory, epoch), wanted) and wanted < 0.5
    mixed = np.where((trajectory == 2)[:, None], hairpin, picture)
    assert np.isclose(order_within(mixed, trajectory, epoch), 1)  # the median of three
    assert order_within(0 * picture, trajectory, epoch) == 0


def test_relations_between_trajectories_are_perfect_on_a_true_picture_whatever_the_size(points):
    trajectory = np.minimum(np.arange(40) % 9, 7)  # of unequal lengths
    flat = points[:, :2]
    assert np.isclose(relations_between(3 * flat, flat @ flat.T, trajectory), 1)
    means = [[data[trajectory == k].mean(axis=0) for k in range(8)] for data in (points, points[:, 1:3])]
    wanted = spearmanr(pdist(means[1]), pdist(means[0])).statistic
    ours = relations_between(points[:, 1:3], points @ points.T, trajectory)
    assert np.isclose(ours, wanted)


def test_the_room_of_movement_is_its_share_of_the_variance():
    trajectory, epoch, _ = lines(count=2, length=3)
    # Two trajectories at -5 and 5, each moving from -1 over 0 to 1: variances 25 between, 2/3 within.
    picture = np.column_stack([epoch - 1.0, 10.0 * trajectory - 5])
    assert np.isclose(room_within(picture, trajectory), (2 / 3) / (25 + 2 / 3))
    assert np.isclose(room_within(picture[:, :1], trajectory), 1) and np.isclose(
        room_within(picture[:, 1:], trajectory), 0
    )


def test_successive_states_are_compared_with_all_pairs_one_by_one():
    trajectory = np.repeat([0, 1, 2], 5)
    epoch = np.tile([3, 1, 0, 2, 4], 3)  # not in order of time
    picture = np.random.default_rng(0).integers(0, 4, size=(15, 2)).astype(float)  # with ties
    steps = [
        np.linalg.norm(picture[i] - picture[j])
        for i in range(15)
        for j in range(15)
        if trajectory[i] == trajectory[j] and epoch[j] == epoch[i] + 1
    ]
    every = pdist(picture)
    wins = [(s < e) + 0.5 * (s == e) for s in steps for e in every]
    assert len(steps) == 12 and np.isclose(successive_nearer(picture, trajectory, epoch), np.mean(wins))


def test_rank_agreement_counts_the_pairs_it_is_asked_for(points, products):
    distances, names = distances_between(products, "plain"), np.array(list("abcd") * 10)
    i, j = np.triu_indices(40, 1)
    other = names[i] != names[j]
    page = np.linalg.norm(points[i, :2] - points[j, :2], axis=1)
    for counted, apart in ((slice(None), None), (other, names)):
        wanted = spearmanr(page[counted], distances[i, j][counted]).statistic
        assert np.isclose(rank_agreement(points[:, :2], distances, apart=apart), wanted)
    assert np.isclose(rank_agreement(points, distances), 1)


def test_a_true_picture_gets_full_marks_for_what_it_keeps():
    trajectory, epoch, picture = lines(count=5, length=30)
    at = picture * [0.05, 1] + [100, 0]
    at[:, 1] = np.array([0.0, 3, 9, 27, 81])[trajectory]  # all seen at small angles from the origin
    at = at - at.mean(axis=0) + [0, 400]
    scores = sample_scores(at, inner_products=at @ at.T, trajectory=trajectory, epoch=epoch, direction=trajectory)
    for name in ("whole", "within", "between"):
        assert scores[name] > 0.999, name
    assert scores["local"] > 0.8
    assert scores["clusters"] == 5 and scores["silhouette"] > 0.7 and scores["successive"] > 0.98
    assert scores["room"] == room_within(at, trajectory)
    assert " ".join(scores) == "whole within between successive clusters local global silhouette room"


def test_a_random_picture_keeps_nothing():
    trajectory, epoch, picture = lines(count=6, length=20)
    at = np.column_stack([picture, 1 + np.random.default_rng(0).normal(size=120)])
    noise = np.random.default_rng(1).normal(size=(120, 2))
    scores = sample_scores(noise, inner_products=at @ at.T, trajectory=trajectory, epoch=epoch, direction=trajectory)
    assert scores["whole"] == 0 and abs(scores["within"]) < 0.1 and abs(scores["between"]) < 0.6
    assert abs(scores["successive"] - 0.5) < 0.1 and abs(scores["global"]) < 0.1 and abs(scores["local"] - 0.5) < 0.1
    assert scores["silhouette"] < 0.05


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: neighbour_graph(SIDE * np.nan, neighbours=2), "picture has 12 values that are not finite"),
        (lambda: neighbour_graph(SIDE, neighbours=True), "neighbours is True; a whole number"),
        (lambda: pieces(SIDE[:, 0], neighbours=2), r"picture has shape \(6,\); \(n, d\) is needed"),
        (lambda: share_whole(SIDE, [0, 1], neighbours=2), r"trajectory has shape \(2,\); \(6,\) is needed"),
        (lambda: share_whole(SIDE, [np.nan] * 6, neighbours=2), "trajectory has values that are not finite"),
        (lambda: order_within(SIDE, OF["trajectory"], 0), r"epoch has shape \(\); \(6,\) is needed"),
        (lambda: order_within(SIDE, range(6), OF["epoch"]), "There is no pair to compare"),
        (lambda: relations_between(SIDE, TABLE[:5, :5], OF["trajectory"]), "those of 5 points, the picture shows 6"),
        (lambda: relations_between(SIDE, TABLE, [0] * 6), "There is no pair to compare"),
        (lambda: room_within(np.ones((6, 2)), OF["trajectory"]), "All points of the picture coincide"),
        (lambda: room_within(SIDE, [[0]] * 6), r"trajectory has shape \(6, 1\); \(6,\) is needed"),
        (lambda: successive_nearer(SIDE, range(6), OF["epoch"]), "No trajectory has two states"),
        (lambda: rank_agreement(SIDE, cdist(SIDE, SIDE)[:5, :5]), "those of 5 points, the picture shows 6"),
        (lambda: rank_agreement(SIDE, TABLE, apart=[0] * 6), "There is no pair to compare"),
        (
            lambda: sample_scores(SIDE, inner_products=TABLE, **OF, direction=[0] * 6),
            "6 points with 1 directions: four",
        ),
        (lambda: sample_scores(SIDE, inner_products=TABLE, **OF, direction=range(6)), "6 points with 6 directions"),
    ],
)
def test_what_is_no_picture_or_no_table_of_it_is_refused(call, sentence):
    with pytest.raises(UserError, match=sentence):
        call()


def test_lists_are_as_good_as_arrays():
    table, picture = TABLE.tolist(), SIDE.tolist()
    own = {name: np.array(values) for name, values in OF.items()}
    for function in (order_within, successive_nearer):
        assert function(picture, **OF) == function(SIDE, **own)
    assert room_within(picture, OF["trajectory"]) == room_within(SIDE, own["trajectory"])
    assert relations_between(picture, table, OF["trajectory"]) == relations_between(SIDE, TABLE, own["trajectory"])
    assert rank_agreement(picture, table, apart=["a"] * 3 + ["b"] * 3) == rank_agreement(
        SIDE, TABLE, apart=own["trajectory"]
    )
