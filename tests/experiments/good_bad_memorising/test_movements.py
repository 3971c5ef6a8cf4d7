import numpy as np
import pytest
from paths import record_of

from shapeofloss.errors import UserError
from shapeofloss.experiments.good_bad_memorising import movements


def test_turns_are_changes_of_direction():
    wave = np.cos(np.linspace(0, 6 * np.pi, 61))  # three periods, from crest to crest
    assert movements.turns(np.array([wave, np.linspace(0, 1, 61)])).tolist() == [5, 0]


@pytest.mark.parametrize("sign", [1, -1])
def test_half_of_the_change_is_made_half_way_along_a_straight_path(sign):
    straight = 10 + sign * np.linspace(0, 4, 9)
    late = 10 + sign * np.array([0, 0, 0, 0, 0, 0, 0, 4, 4.0])
    assert movements.half_way(np.array([straight, late])).tolist() == [4, 7]


def test_radial_paths_have_no_lateral_share_and_circles_have_nothing_else():
    radial = [[0, r, 0] for r in (4.0, 3.0, 1.0)]
    angle = np.linspace(0, 1, 2001)
    circle = np.stack([0 * angle, np.cos(angle), np.sin(angle)], axis=1)
    assert movements.lateral_share(record_of([radial])) == pytest.approx(0, abs=1e-6)
    assert movements.lateral_share(record_of([circle])) == pytest.approx(1, abs=1e-3)


def test_a_diagonal_movement_is_half_lateral_and_steps_are_chosen():
    diagonal, radial = [[0, 2.0, 0], [0, 3.0, 1.0]], [[0, 2.0, 0], [0, 5.0, 0]]
    record = record_of([diagonal, radial], steps=[0.5, 1.0])
    assert movements.lateral_share(record, steps=(0.5,)) == pytest.approx(0.5, abs=1e-6)
    assert movements.lateral_share(record) == pytest.approx(1 / 11, abs=1e-6)


@pytest.mark.parametrize("function", [movements.turns, movements.half_way])
def test_distances_are_a_table_of_finite_numbers(function):
    for distance in ([[1.0, np.nan]], [1.0, 2.0], [["near", "far"]]):
        with pytest.raises(UserError, match=r"distance (has 1 value that|has shape|is no array of)"):
            function(distance)
    assert function([[3, 2, 1]]).shape == (1,)


def test_a_share_needs_trajectories_that_move_and_have_a_direction_to_the_optimum():
    record = record_of([[[0, 1.0, 0], [0, 2.0, 0]], [[0, 3.0, 0], [0, 1.0, 0]]])
    with pytest.raises(UserError, match="The record is a dict; give that of `sample_around`"):
        movements.lateral_share(record.to_arrays())
    with pytest.raises(UserError, match="steps is no array of numbers"):
        movements.lateral_share(record, steps="large")
    with pytest.raises(UserError, match="No trajectory moved"):
        movements.lateral_share(record_of([[[0, 1.0, 0], [0, 1.0, 0]]]))
    with pytest.raises(UserError, match="passes through the optimum, from where no direction leads to it"):
        movements.lateral_share(record_of([[[0, 0.0, 0], [0, 2.0, 0]]]))
