import numpy as np
import pytest
import torch

from shapeofloss.errors import UserError
from shapeofloss.landscape import trajectories
from shapeofloss.landscape.record import Recorder

OPTIMUM = np.array([3.0, 0.0, 0.0])


def record_of(paths, steps=None):
    """Record paths of points relative to the optimum, one step size each."""
    recorder = Recorder(torch.tensor(OPTIMUM), 0.0, 1.0)
    for number, path in enumerate(paths):
        for epoch, displacement in enumerate(path):
            step = (steps or range(len(paths)))[number]
            recorder.add(torch.tensor(OPTIMUM + displacement), 1.0, 1.0, seed=number, step=step, epoch=epoch)
    return recorder.record()


def test_distances_are_arranged_by_trajectory_and_epoch():
    paths = np.random.default_rng(0).normal(size=(4, 5, 3))
    distance = trajectories.distance_from_optimum(record_of(paths))
    points = OPTIMUM + paths
    expected = 1 - points[..., 0] / np.linalg.norm(points, axis=2)
    np.testing.assert_allclose(distance, expected, atol=1e-6)


def test_ratios_compare_with_the_jump():
    distance = np.array([[2.0, 3.0, 1.0], [2.0, 1.0, 5.0]])
    assert trajectories.return_ratio(distance).tolist() == [0.5, 2.5]
    assert trajectories.excursion(distance).tolist() == [1.5, 2.5]


def test_turns_are_changes_of_direction():
    wave = np.cos(np.linspace(0, 6 * np.pi, 61))  # three periods, from crest to crest
    assert trajectories.turns(np.array([wave, np.linspace(0, 1, 61)])).tolist() == [5, 0]


@pytest.mark.parametrize("sign", [1, -1])
def test_half_of_the_change_is_made_half_way_along_a_straight_path(sign):
    straight = 10 + sign * np.linspace(0, 4, 9)
    late = 10 + sign * np.array([0, 0, 0, 0, 0, 0, 0, 4, 4.0])
    assert trajectories.half_way(np.array([straight, late])).tolist() == [4, 7]


def test_radial_paths_have_no_lateral_share_and_circles_have_nothing_else():
    radial = [[0, r, 0] for r in (4.0, 3.0, 1.0)]
    angle = np.linspace(0, 1, 2001)
    circle = np.stack([0 * angle, np.cos(angle), np.sin(angle)], axis=1)
    assert trajectories.lateral_share(record_of([radial])) == pytest.approx(0, abs=1e-6)
    assert trajectories.lateral_share(record_of([circle])) == pytest.approx(1, abs=1e-3)


def test_a_diagonal_movement_is_half_lateral_and_steps_are_chosen():
    diagonal, radial = [[0, 2.0, 0], [0, 3.0, 1.0]], [[0, 2.0, 0], [0, 5.0, 0]]
    record = record_of([diagonal, radial], steps=[0.5, 1.0])
    assert trajectories.lateral_share(record, steps=(0.5,)) == pytest.approx(0.5, abs=1e-6)
    assert trajectories.lateral_share(record) == pytest.approx(1 / 11, abs=1e-6)


def test_records_without_trajectories_are_refused():
    uneven = Recorder(torch.tensor(OPTIMUM), 0.0, 1.0)
    for epoch in (0, 1, 0):
        uneven.add(torch.tensor(OPTIMUM + 1), 1.0, 1.0, seed=0, step=epoch, epoch=epoch)
    with pytest.raises(UserError, match="no trajectories of equal length"):
        trajectories.distance_from_optimum(uneven.record())
    with pytest.raises(UserError, match="No trajectory moved"):
        trajectories.lateral_share(record_of([[[0, 1.0, 0], [0, 1.0, 0]]]))


@pytest.mark.parametrize("function", [trajectories.return_ratio, trajectories.excursion])
@pytest.mark.parametrize(
    ("distance", "sentence"),
    [
        ([[1.0, np.nan]], "distance has 1 value that is not finite"),
        ([1.0, 2.0], r"distance has shape \(2,\); \(T, E\) is needed"),
        ([[0.0, 1.0]], "A trajectory starts at the optimum"),
        (np.empty((0, 3)), "distance is empty"),
        ("far", "distance is no array of numbers"),
    ],
)
def test_what_gives_no_ratio_is_refused(function, distance, sentence):
    with pytest.raises(UserError, match=sentence):
        function(distance)


@pytest.mark.parametrize("function", [trajectories.turns, trajectories.half_way])
def test_distances_are_a_table_of_finite_numbers(function):
    for distance in ([[1.0, np.nan]], [1.0, 2.0], [["near", "far"]]):
        with pytest.raises(UserError, match=r"distance (has 1 value that|has shape|is no array of)"):
            function(distance)
    assert function([[3, 2, 1]]).shape == (1,)


def test_values_are_those_of_the_points_of_a_record():
    record = record_of([[[0, 1.0, 0], [0, 2.0, 0]], [[0, 3.0, 0], [0, 1.0, 0]]])
    for values in (np.zeros(3), np.zeros((2, 2)), 0.0):
        with pytest.raises(UserError, match="one for each of 4 points is needed"):
            trajectories.by_trajectory(record, values)
    assert trajectories.by_trajectory(record, [1, 2, 3, 4]).tolist() == [[1, 2], [3, 4]]
    with pytest.raises(UserError, match="The record is a dict; give that of `sample_around`"):
        trajectories.lateral_share(record.to_arrays())
    with pytest.raises(UserError, match="steps is no array of numbers"):
        trajectories.lateral_share(record, steps="large")
    with pytest.raises(UserError, match="passes through the optimum, from where no direction leads to it"):
        trajectories.lateral_share(record_of([[[0, 0.0, 0], [0, 2.0, 0]]]))
