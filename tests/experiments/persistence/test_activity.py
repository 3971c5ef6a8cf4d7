"""The graph of the released code and the complex of a picture, on examples that fit on paper."""

import numpy as np
import pytest

from shapeofloss.errors import UserError
from shapeofloss.experiments.persistence.activity import released_edges, rips_diagrams


def test_the_released_graph_joins_the_largest_entries_and_doubles_mutual_choices():
    potential = np.array([[0.0, 9.0, 1.0], [9.0, 0.0, 2.0], [8.0, 3.0, 0.0]])
    assert sorted(released_edges(potential, neighbours=1).tolist()) == [[0, 1], [0, 1], [0, 2]]
    assert len(released_edges(np.eye(3), neighbours=1)) == 0  # each row's own entry is its largest


def test_rips_diagrams_of_a_square_are_those_on_paper():
    components, cycles = rips_diagrams(np.array([[0.0, 0.0], [1, 0], [1, 1], [0, 1]]))
    assert components.tolist() == [[0, 1]] * 3
    np.testing.assert_allclose(cycles, [[1, 2**0.5]], rtol=1e-6)


def test_a_picture_has_its_diagrams_in_units_of_its_extent():
    picture = np.random.default_rng(0).normal(size=(30, 2))
    for first, second in zip(rips_diagrams(picture), rips_diagrams(8 * picture), strict=True):
        assert np.array_equal(first, second)


def test_too_many_neighbours_are_refused():
    with pytest.raises(UserError, match="neighbours is 4; a whole number from 1 to 3"):
        released_edges(np.zeros((3, 3)), neighbours=4)
