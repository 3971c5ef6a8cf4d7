import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from shapeofloss.errors import UserError
from shapeofloss.experiments.cells_and_crystals.tension import (
    aggregate,
    distances_from_the_middle,
    like_contacts,
    perimeter,
    relax,
    roundness,
    square_of_cells,
    tensions,
)
from shapeofloss.transport.cells.pixels import NOBODY, Grid

ONE = tensions(np.zeros(1, int), np.array([[1.0]]), np.array([1.0]))


def test_perimeters_of_a_disc_and_of_a_square_at_any_angle():
    x = np.indices((161, 161)) - 80.0
    assert perimeter(np.hypot(*x) < 50) == pytest.approx(2 * np.pi * 50, rel=0.01)
    for angle in (0.0, 0.3, np.pi / 4):
        turned = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) @ x.reshape(2, -1)
        square = (np.abs(turned).max(0) < 45.2).reshape(161, 161)
        assert perimeter(square) == pytest.approx(8 * 45.2, rel=0.02)
        assert roundness(square) == pytest.approx(np.pi / 4, rel=0.04)


def test_a_square_drop_becomes_a_disc_and_a_disc_stays_one():
    grid = Grid((64, 64), 1 / 64)
    x = np.abs(np.indices((64, 64)) - 31.5)
    for start in (np.where(x.max(0) < 16, 0, NOBODY), np.where(np.hypot(*x) < 18, 0, NOBODY)):
        *_, last = relax(start.astype(np.int32), ONE, 30, grid=grid, width=4.0)
        assert roundness(last.labels == 0) > 0.96
        assert last.volumes[0] == pytest.approx((start == 0).mean(), rel=0.01)


def test_a_step_gives_each_pixel_to_the_cheapest_by_the_formula():
    start = np.full((40, 40), NOBODY, np.int32)
    start[1:15, 3:17], start[1:15, 17:30], start[15:30, 8:25] = 0, 1, 2  # near the box's border, beyond which is void
    sigma = tensions(np.array([0, 1, 0]), np.array([[1.0, 1.5], [1.5, 1.0]]), np.array([0.8, 1.3]))
    step = next(relax(start, sigma, 1, grid=Grid((40, 40), 1 / 40), width=3.0))
    padded = np.pad(start, 12, constant_values=NOBODY)
    around = np.array(
        [gaussian_filter((padded == i) * 1.0, 3.0, truncate=3)[12:-12, 12:-12] for i in (0, 1, 2, NOBODY)]
    )
    values = np.einsum("ij,jxy->ixy", sigma, around) - np.append(step.f, 0.0)[:, None, None]
    expected = values.argmin(0)
    assert (step.labels == np.where(expected == 3, NOBODY, expected)).mean() > 0.998  # single precision breaks ties


def test_a_dear_contact_parts_two_cells_and_a_cheap_one_joins_them():
    grid = Grid((64, 64), 1 / 64)
    start = np.full((64, 64), NOBODY, np.int32)
    start[24:40, 16:32], start[24:40, 32:48] = 0, 1

    def contacts(price):
        sigma = tensions(np.zeros(2, int), np.array([[price]]), np.array([1.0]))
        *_, last = relax(start, sigma, 20, grid=grid, width=4.0)
        across = (last.labels[:, 1:] != last.labels[:, :-1]) & (last.labels[:, 1:] >= 0) & (last.labels[:, :-1] >= 0)
        return across.sum()

    assert contacts(3.0) < contacts(1.0) < contacts(0.3)  # at 2 and more they no longer stick: Young's law


def test_the_start_is_a_square_of_equal_cells():
    start = square_of_cells(60, 3, 0.36, seed=901)
    assert (start.labels != NOBODY).mean() == pytest.approx(0.36)
    assert np.bincount(start.labels[start.labels >= 0]) == pytest.approx(np.full(9, 144), rel=0.011)


def test_contacts_and_distances_of_four_squares():
    labels = np.full((20, 20), NOBODY, np.int32)
    labels[5:10, 5:10], labels[5:10, 10:15], labels[10:15, 5:10], labels[10:15, 10:15] = 0, 1, 2, 3
    assert like_contacts(labels, np.array([0, 0, 1, 1])) == pytest.approx(0.5)
    assert like_contacts(labels, np.array([0, 1, 1, 0])) == 0
    assert like_contacts(labels, np.zeros(4, int)) == 1
    assert distances_from_the_middle(labels, 4) == pytest.approx(np.full(4, 2.5 * np.sqrt(2) / np.sqrt(100 / np.pi)))


def test_tensions_go_by_kinds():
    sigma = tensions(np.array([0, 1, 0]), np.array([[1.0, 2.0], [2.0, 3.0]]), np.array([4.0, 5.0]))
    assert sigma.tolist() == [[0, 2, 1, 4], [2, 0, 2, 5], [1, 2, 0, 4], [4, 5, 4, 0]]


def test_a_run_returns_what_it_says():
    found = aggregate(48, 3, 0.4, 3, 902, [[1.0, 1.5], [1.5, 1.0]], [1.0, 1.0], 4.0)
    assert found["start"].shape == found["end"].shape == (48, 48) and found["error"].shape == (3,)
    assert found["roundness"].shape == found["outline"].shape == found["like"].shape == (2,)
    assert sorted(found["kinds"]) == [0] * 5 + [1] * 4 and (found["kinds"] != np.arange(9) % 2).any()
    assert found["distances"].shape == (9,)
    assert found["outline"][0] == pytest.approx(4 * np.sqrt(0.4), rel=0.05)


def test_what_is_no_tension_or_start_gets_its_sentence():
    with pytest.raises(UserError, match="symmetric"):
        tensions(np.zeros(2, int), np.array([[1.0, 2.0], [3.0, 1.0]]), np.ones(2))
    with pytest.raises(UserError, match="above 0"):
        tensions(np.zeros(2, int), np.array([[0.0]]), np.ones(1))
    empty = np.full((8, 8), NOBODY, np.int32)
    with pytest.raises(UserError, match="Cell 0 has no pixel"):
        list(relax(empty, ONE, 1, grid=Grid((8, 8), 1.0), width=4.0))
    empty[3:5, 3:5] = 0
    with pytest.raises(UserError, match="stick to the pixels"):
        list(relax(empty, ONE, 1, grid=Grid((8, 8), 1.0), width=0.5))
