"""The appendix step by step, and the counted Hungarian algorithm."""

import numpy as np
import pytest
from scipy.ndimage import label
from scipy.optimize import linear_sum_assignment

from shapeofloss.topology.union_find import by_assignment, completed_cost, hungarian, offsets, sweep


@pytest.mark.parametrize("neighbours", ["all", "axes"])
def test_the_components_at_each_threshold_are_those_of_an_image_library(neighbours):
    x = np.random.default_rng(0).standard_normal((9, 10))
    structure = np.ones((3, 3)) if neighbours == "all" else None
    for event in sweep(x, neighbours=neighbours):
        assert event.components == label(x <= event.height, structure)[1]


def test_events_come_in_order_and_name_their_cells():
    x = np.random.default_rng(1).integers(0, 4, (5, 6)).astype(float)
    events = list(sweep(x))
    assert [e.height for e in events] == sorted(x.ravel())
    assert all(x[e.cell] == e.height for e in events) and len({e.cell for e in events}) == x.size
    assert sum(e.born for e in events) - sum(len(e.deaths) for e in events) == 1


def test_a_grid_of_four_dimensions_is_no_different():
    x = np.random.default_rng(2).standard_normal((3, 3, 3, 3))
    assert list(sweep(x))[-1].components == 1
    assert len(offsets(4)) == 80 and len(offsets(4, "axes")) == 8


def test_the_hungarian_algorithm_finds_the_optimum_in_at_most_cubic_steps():
    generator = np.random.default_rng(3)
    for n in (1, 2, 7, 30):
        cost = generator.random((n, n))
        least, steps = hungarian(cost)
        assert least == pytest.approx(cost[linear_sum_assignment(cost)].sum())
        assert n * n <= steps <= n**3


def test_charging_the_diagonal_makes_distances_longer():
    first, second = [[0.0, 4.0]], [[1.0, 5.0]]
    assert by_assignment(first, second, order=1) == pytest.approx(2**0.5)
    charged = completed_cost(first, second, free=False)
    assert charged[linear_sum_assignment(charged)].sum() == pytest.approx(2 * 2**0.5)
