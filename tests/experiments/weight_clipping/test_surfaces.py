"""Surfaces of critics: what a quadratic leaves, peaks, and optimal critics."""

import numpy as np
import pytest
from critics import source

from shapeofloss.adversarial.networks import perceptron
from shapeofloss.errors import UserError
from shapeofloss.experiments.weight_clipping.surfaces import (
    left_by_quadratic,
    optimal_surface,
    peaks,
    square_grid,
    value_surface,
)
from shapeofloss.experiments.weight_clipping.weight_clipping import box_bound


def test_a_cone_is_no_quadratic_and_its_rest_is_that_of_a_fine_quadrature():
    # Over a disk |x| has mean 2/3 and variance 1/18; the best a + b |x|^2 leaves 1/18 - cov(|x|, |x|^2)^2 / var(|x|^2).
    grid = square_grid(201, 1.0).double().numpy()
    radius = np.linalg.norm(grid, axis=1)
    inside = radius <= 1
    expected = 1 - (2 / 5 - 2 / 3 * 1 / 2) ** 2 / ((1 / 3 - 1 / 4) * (1 / 18))
    assert left_by_quadratic(grid[inside], radius[inside]) == pytest.approx(expected, abs=0.002)


def test_the_grid_of_a_surface_has_the_second_coordinate_along_its_rows():
    grid = square_grid(3, 2.0).reshape(3, 3, 2)
    assert grid[:, :, 0].tolist() == [[-2, 0, 2]] * 3 and grid[2, :, 1].tolist() == [2, 2, 2]


def test_peaks_are_counted_inside_and_ridges_are_none():
    ticks = np.linspace(-2, 2, 41)
    x, y = np.meshgrid(ticks, ticks)
    assert peaks(np.exp(-8 * ((x - 1) ** 2 + y**2)) + np.exp(-8 * ((x + 1) ** 2 + y**2))) == 2
    assert peaks(-np.abs(x)) == 0


def test_an_optimal_surface_reaches_exact_transport_and_is_not_explained_by_a_quadratic():
    found = optimal_surface(distribution="8 Gaussians", points=60, side=20, reach=2.0, seed=0)
    assert abs(found["gap"]) < 1e-9 and found["surface"].shape == (20, 20)
    steps = np.diff(found["surface"], axis=0), np.diff(found["surface"], axis=1)
    assert max(np.abs(own).max() for own in steps) <= 4 / 19 + 1e-9
    assert found["unexplained"] > 0.1


def test_a_value_surface_is_as_flat_as_its_box_and_its_critic_prefers_the_data():
    own = {"distribution": "8 Gaussians", "width": 16, "batch": 64, "rate": 1e-2, "side": 21, "reach": 4.0, "seed": 0}
    found = value_surface(method="WGAN", strength=0.1, steps=60, **own)
    steepest = max(np.abs(np.diff(found["surface"], axis=axis)).max() for axis in (0, 1)) / 0.4
    assert 0 < steepest <= box_bound(perceptron((2, 16, 16, 16, 1), generator=source()), 0.1)
    assert found["surface"].shape == (21, 21) and 0 <= found["unexplained"] < 1
    corners = found["surface"][[0, 0, -1, -1], [0, -1, 0, -1]]
    assert found["surface"][10, 10] > corners.max()  # noise reaches the corners, data do not
    penalised = value_surface(method="WGAN-GP", strength=1.0, steps=2, **own)
    assert not np.allclose(penalised["surface"], found["surface"])


def test_surfaces_are_tables_of_numbers_that_differ():
    with pytest.raises(UserError, match="All values are 3"):
        left_by_quadratic(np.eye(2), np.full(2, 3.0))
    for surface in (np.zeros((2, 5)), np.full((3, 3), np.nan), [1.0]):
        with pytest.raises(UserError, match="The surface has"):
            peaks(surface)
