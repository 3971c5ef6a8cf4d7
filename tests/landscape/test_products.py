"""Distances and angles from inner products, beside those of the points."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from shapeofloss.errors import UserError
from shapeofloss.landscape.products import distances_between, seen

TABLE = (side := np.arange(12.0).reshape(6, 2) ** 1.5) @ side.T


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(0).normal(size=(40, 6)) * [4, 2, 1, 1, 1, 1] + 1


@pytest.fixture(scope="module")
def products(points):
    return points @ points.T


def test_distances_are_those_of_the_points(points, products):
    np.testing.assert_allclose(distances_between(products, "plain"), cdist(points, points), atol=1e-6)
    np.testing.assert_allclose(distances_between(products, "origin"), cdist(points, points, "cosine"), atol=1e-12)
    centred = points - points.mean(axis=0)
    np.testing.assert_allclose(distances_between(products, "mean"), cdist(centred, centred, "cosine"), atol=1e-12)


@pytest.mark.parametrize("view", ["plain", "origin", "mean"])
def test_distances_are_symmetric_with_a_zero_diagonal_to_the_last_bit(products, view):
    distances = distances_between(products, view)
    assert np.array_equal(distances, distances.T) and not np.diag(distances).any()


def test_unit_vectors_have_length_one_and_plain_points_stay(products):
    assert np.diag(seen(products, "origin")).tolist() == [1.0] * 40
    assert seen(products, "plain") is products


def test_what_has_no_direction_or_is_no_view_is_named(points):
    points = np.vstack([points, 0 * points[:1]])
    with pytest.raises(UserError, match="Point 40 lies at the origin"):
        seen(points @ points.T, "origin")
    with pytest.raises(UserError, match=r"no view 'means'.*Did you mean 'mean'"):
        seen(points @ points.T, "means")
    with pytest.raises(UserError, match=r"not \(3, 4\)"):
        seen(np.zeros((3, 4)), "plain")


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: distances_between("angles", "plain"), "inner_products is no array of numbers"),
        (lambda: distances_between(TABLE[0], "plain"), r"inner_products has shape \(6,\); \(n, n\) is needed"),
        (lambda: distances_between(np.empty((0, 0)), "plain"), "inner_products is empty"),
        (lambda: distances_between(TABLE, 3), "There is no view 3: it is chosen by name"),
        (lambda: distances_between(TABLE + 1j, "plain"), "inner_products is complex"),
    ],
)
def test_what_is_no_table_of_inner_products_is_refused(call, sentence):
    with pytest.raises(UserError, match=sentence):
        call()


def test_lists_are_as_good_as_arrays():
    assert np.array_equal(distances_between(TABLE.tolist(), "mean"), distances_between(TABLE, "mean"))
