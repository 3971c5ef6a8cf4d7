import numpy as np
import pytest
import torch
from paths import OPTIMUM, record_of

from shapeofloss.errors import UserError
from shapeofloss.landscape import trajectories
from shapeofloss.landscape.record import Recorder


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


def test_records_without_trajectories_are_refused():
    uneven = Recorder(torch.tensor(OPTIMUM), 0.0, 1.0)
    for epoch in (0, 1, 0):
        uneven.add(torch.tensor(OPTIMUM + 1), 1.0, 1.0, seed=0, step=epoch, epoch=epoch)
    with pytest.raises(UserError, match="no trajectories of equal length"):
        trajectories.distance_from_optimum(uneven.record())


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


def test_values_are_those_of_the_points_of_a_record():
    record = record_of([[[0, 1.0, 0], [0, 2.0, 0]], [[0, 3.0, 0], [0, 1.0, 0]]])
    for values in (np.zeros(3), np.zeros((2, 2)), 0.0):
        with pytest.raises(UserError, match="one for each of 4 points is needed"):
            trajectories.by_trajectory(record, values)
    assert trajectories.by_trajectory(record, [1, 2, 3, 4]).tolist() == [[1, 2], [3, 4]]
    assert trajectories.by_trajectory(record).tolist() == [[0, 1], [2, 3]]
    with pytest.raises(UserError, match="The record is a dict; give that of `sample_around`"):
        trajectories.by_trajectory(record.to_arrays())
