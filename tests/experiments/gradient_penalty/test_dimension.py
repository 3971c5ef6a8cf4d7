"""The estimate of a dimension, on sets of known dimension."""

import numpy as np
import pytest

from shapeofloss.errors import UserError
from shapeofloss.experiments.gradient_penalty.dimension import intrinsic_dimension


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_the_dimension_of_a_flat_piece_does_not_depend_on_the_space_around_it(dimension):
    generator = np.random.default_rng(dimension)
    flat = generator.random((3000, dimension))
    turned = flat @ np.linalg.qr(generator.standard_normal((64, dimension)))[0].T
    assert intrinsic_dimension(turned) == pytest.approx(dimension, rel=0.1)
    assert intrinsic_dimension(7 * turned + 1) == pytest.approx(intrinsic_dimension(turned))


def test_the_dimension_of_a_ring_is_one_and_of_a_filled_square_two():
    angles = np.random.default_rng(0).uniform(0, 2 * np.pi, 2000)
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert intrinsic_dimension(ring) == pytest.approx(1, rel=0.05)
    assert intrinsic_dimension(np.random.default_rng(0).random((2000, 2))) == pytest.approx(2, rel=0.05)


def test_the_dimension_needs_enough_points_and_no_equal_ones():
    with pytest.raises(UserError, match="5 points are too few for 10 neighbours"):
        intrinsic_dimension(np.eye(5))
    with pytest.raises(UserError, match="Two points are equal"):
        intrinsic_dimension(np.zeros((20, 3)))


def test_neighbours_have_distances_that_grow():
    with pytest.raises(UserError, match="All neighbours are equally far"):
        intrinsic_dimension(np.eye(12), neighbours=11)
    with pytest.raises(UserError, match=r"neighbours is 2\.5"):
        intrinsic_dimension(np.eye(12), neighbours=2.5)
