"""Registration: the three steps on anatomies whose deformation is known, and the errors that the course reports."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from shapeofloss.errors import UserError
from shapeofloss.experiments.registration import registration as r
from shapeofloss.experiments.registration.anatomy import two_phases
from shapeofloss.experiments.registration.matching import by_closest_points
from shapeofloss.experiments.registration.smooth_maps import Affine
from shapeofloss.transport.assignment.exact import cost_matrix, optimal_assignment


@pytest.fixture(scope="module")
def drawn():
    return two_phases(7, points=400, amplitude=8.0, levels=6)


def test_the_alignment_undoes_a_pose_and_a_stretch_between_samples_of_one_tree():
    first, second = (two_phases(7, points=n, amplitude=0.0, missing=0.0) for n in (500, 600))
    angle = 0.2
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    exact = Affine(turn @ np.diag([1.0, 1.1, 1.2]), np.array([15.0, 0.0, -30.0]))
    found = r.align(first.x, exact(second.y))
    assert r.landmark_error(exact(first.landmarks), first.landmarks) > 20
    assert r.landmark_error(found(first.landmarks), exact(first.landmarks)) < 1


@pytest.mark.parametrize("matching", ["transport", "icp"])
def test_a_known_deformation_is_undone_within_a_millimetre(drawn, matching):
    found = r.register(drawn.x, drawn.y, matching=matching)
    assert r.landmark_error(drawn.landmarks, drawn.images) > 7
    assert r.landmark_error(found(drawn.landmarks), drawn.images) < 1


def test_following_points_ends_where_the_map_sends_them(drawn):
    found = r.register(drawn.x, drawn.y, settings=r.Settings(rounds=3))
    path = list(found.follow(drawn.landmarks))
    assert len(path) == 3
    assert np.array_equal(path[-1][1], found(drawn.landmarks))
    aligned = found.alignment(drawn.landmarks)
    assert np.array_equal(path[0][0], found.rounds[0][0].carry(aligned))
    assert np.array_equal(path[1][0], found.rounds[1][0].carry(path[0][1]))


@pytest.mark.parametrize("matching", ["transport", "icp"])
def test_where_the_frame_of_the_second_phase_lies_does_not_matter(drawn, matching):
    settings = r.Settings(rounds=3)
    found, moved = (
        r.register(drawn.x, drawn.y + shift, matching=matching, settings=settings) for shift in (0.0, [512.0, -1024, 0])
    )
    # The cubes of the clusters lie elsewhere, which closest points have in their alignment only.
    assert np.abs(moved(drawn.landmarks) - found(drawn.landmarks) - [512.0, -1024, 0]).mean() < 0.3


def test_an_anatomy_ten_times_smaller_is_registered_alike_if_the_scale_says_so(drawn):
    settings = {"rounds": 3}
    large = r.register(drawn.x, drawn.y, settings=r.Settings(**settings))
    small = r.register(drawn.x / 10, drawn.y / 10, settings=r.Settings(**settings, scale=0.1))
    assert np.allclose(10 * small(drawn.landmarks / 10), large(drawn.landmarks), atol=0.05)


def test_trials_are_what_register_finds():
    tried = [("transport", {"rounds": 2}), ("icp", {"rounds": 3, "first": 10.0})]
    result = r.trials(7, 8.0, 200, 0.1, tried)
    drawn = two_phases(7, points=200, amplitude=8.0, missing=0.1)
    assert result["before"] == pytest.approx(np.linalg.norm(drawn.landmarks - drawn.images, axis=1).mean())
    assert result["landmarks"] == len(drawn.landmarks)
    for n, (matching, settings) in enumerate(tried):
        found = r.register(drawn.x, drawn.y, matching=matching, settings=r.Settings(**settings))
        assert len(result["matched"][n]) == len(result["smoothed"][n]) == settings["rounds"]
        assert result["smoothed"][n][-1] == pytest.approx(r.landmark_error(found(drawn.landmarks), drawn.images))
        assert result["aligned"] == pytest.approx(
            r.landmark_error(found.alignment(drawn.landmarks), drawn.images), rel=1e-9
        )


def shifted(shift):
    matching = by_closest_points(np.eye(3), np.eye(3), 1.0)
    return r.Registration(Affine(np.eye(3), np.array(shift)), [(matching, lambda points: points)])


def test_a_round_trip_is_zero_for_inverse_maps_and_else_what_is_left(cloud):
    assert r.round_trip(shifted([5.0, 0, 0]), shifted([-5.0, 0, 0]), cloud) == pytest.approx(0)
    assert r.round_trip(shifted([5.0, 0, 0]), shifted([-1.0, 3.0, 0]), cloud) == pytest.approx(5)


def test_the_gap_is_zero_between_equal_clouds_and_counts_both_directions():
    corners = 10 * np.eye(3)
    assert r.gap(corners, corners) == 0
    assert r.gap(corners, corners[:2]) == pytest.approx(np.sqrt(200) / 5)  # one of five points has no partner


def test_balanced_transport_of_equal_numbers_is_the_optimal_assignment(cloud):
    other = np.random.default_rng(9).normal(size=cloud.shape) * 20
    permutation = optimal_assignment(cost_matrix(cloud, other))
    assert np.allclose(r.balanced(cloud, other), other[permutation])


def test_one_matching_of_a_still_anatomy_is_right_but_for_balanced_transport():
    found = r.matched_once(7, 0.0, 300, 0.2, 10.0, levels=6)
    assert max(found["aligned"], found["robust"], found["closest"]) < 3
    assert found["balanced"] > 2 * found["robust"]


def test_in_balanced_transport_a_landmark_goes_along_with_the_nearest_point():
    drawn = two_phases(7, points=200, amplitude=8.0, missing=0.1, levels=6)
    alignment = r.align(drawn.x, drawn.y)
    x, marks = alignment(drawn.x), alignment(drawn.landmarks)
    nearest = cdist(marks, x).argmin(1)
    moved = marks + r.balanced(x, drawn.y)[nearest] - x[nearest]
    found = r.matched_once(7, 8.0, 200, 0.1, 10.0, levels=6)
    assert found["balanced"] == pytest.approx(r.landmark_error(moved, drawn.images))
    assert found["aligned"] == pytest.approx(r.landmark_error(marks, drawn.images))


def test_checks_are_those_of_register():
    result = r.trials(7, 8.0, 200, 0.1, [("icp", {"rounds": 2})], checks=True)
    drawn = two_phases(7, points=200, amplitude=8.0, missing=0.1)
    settings = {"matching": "icp", "settings": r.Settings(rounds=2)}
    forth, back = r.register(drawn.x, drawn.y, **settings), r.register(drawn.y, drawn.x, **settings)
    assert result["gap"] == [pytest.approx(r.gap(forth(drawn.x), drawn.y))]
    assert result["round_trip"] == [pytest.approx(r.round_trip(forth, back, drawn.x))]


def test_reach_and_stiffness_fall_from_round_to_round():
    schedule = r.Settings(first=16.0, last=4.0, rounds=3, stiffness=0.01, scale=2.0).schedule()
    assert np.allclose(schedule, [(32, 1), (16, 0.1), (8, 0.01)])
    assert r.Settings(first=9.0, last=4.0, rounds=1, stiffness=0.01).schedule() == [(4.0, 0.01)]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda d: r.register(d.x, d.y, matching="ipc"), "Did you mean 'icp'"),
        (lambda d: r.register(d.x, d.y, settings=r.Settings(rounds=0)), "at least one round"),
        (lambda d: r.register(d.x, d.y, settings=r.Settings(stiffness=0.0)), "above 0"),
        (lambda d: r.register(d.x[:, 0], d.y), r"The cloud x has shape \(\d+,\)"),
        (lambda d: r.register(d.x[:, :2], d.y), r"The cloud x has shape \(\d+, 2\); registration needs"),
        (lambda d: r.register(d.x, d.y[:19]), r"The cloud y has shape \(19, 3\); registration needs at least 20"),
        (lambda d: r.register(d.x, d.y * [1, 1, 0]), "The points of y lie in a plane"),
        (lambda d: r.register(d.x, d.y, settings=r.Settings(scale=1e-6)), "Too few points have a partner within reach"),
        (
            lambda d: r.register(d.x, d.y, alignment=Affine(np.eye(3), np.full(3, 1e4))),
            "Too few points have a partner within reach",
        ),
    ],
)
def test_wrong_input_gets_a_sentence(drawn, call, says):
    with pytest.raises(UserError, match=says):
        call(drawn)


def test_landmarks_are_compared_one_to_one():
    for images, says in (([[0.0, 0, 0]], r"\(2, 3\) is needed"), ([[np.nan] * 3] * 2, "not finite")):
        with pytest.raises(UserError, match=says):
            r.landmark_error(np.zeros((2, 3)), images)


def test_balanced_targets_know_no_unit():
    x, y = np.random.default_rng(0).random((2, 30, 3))
    assert np.allclose(r.balanced(1e-9 * x, 1e-9 * y) / 1e-9, r.balanced(x, y), atol=1e-9)
