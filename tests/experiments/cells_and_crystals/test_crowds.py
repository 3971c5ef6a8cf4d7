import numpy as np
import pytest

from shapeofloss.errors import UserError
from shapeofloss.experiments.cells_and_crystals.crowds import (
    WALL,
    Evacuation,
    Swimmers,
    evacuate,
    milling,
    order_in_time,
    outcome,
    polarisation,
    rotation,
    swim,
)


def test_order_parameters_of_known_motions():
    angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    ring = 0.5 + 0.3 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    around = np.stack([-np.sin(angle), np.cos(angle)], axis=1)
    assert milling(ring, around) == pytest.approx(1) and milling(ring, -around) == pytest.approx(1)
    assert milling(ring, ring - 0.5) == pytest.approx(0, abs=1e-12)
    assert polarisation(around) == pytest.approx(0, abs=1e-12)
    assert polarisation(np.tile([0.6, 0.8], (5, 1))) == pytest.approx(1)
    alternating = around * np.where(np.arange(12) % 2, 1, -1)[:, None]
    assert milling(ring, alternating) == pytest.approx(0, abs=1e-12)
    flat = np.pad(ring, ((0, 0), (0, 1)), constant_values=0.5)
    assert rotation(flat, np.pad(around, ((0, 0), (0, 1)))) == pytest.approx(1)


def test_random_headings_have_the_order_of_a_random_walk():
    squares = [
        milling(s.positions, s.headings) ** 2
        for s in (next(swim(Swimmers("disk", 50, 48), 0, seed)) for seed in range(60))
    ]
    assert np.mean(squares) == pytest.approx(1 / 100, rel=0.5)  # the mean square of a sine is 1 / 2, over 50 cells


@pytest.mark.parametrize("domain", ["disk", "cube"])
def test_cells_keep_their_volumes_and_stay_inside(domain):
    swimmers = Swimmers(domain, 12, 48 if domain == "disk" else 20)
    states = list(swim(swimmers, 8, seed=901))
    assert len(states) == 9 and states[0].labels is None
    for state in states[1:]:
        counts = np.bincount(state.labels[state.labels >= 0], minlength=12) * swimmers.grid.pixel
        assert counts == pytest.approx(np.full(12, swimmers.volume), rel=0.06)
        assert np.linalg.norm(state.headings, axis=1) == pytest.approx(np.ones(12))
        if domain == "disk":
            assert np.linalg.norm(state.positions - 0.5, axis=1).max() < 0.5
            assert (state.labels[~swimmers.grid.inside] == -1).all()


def test_a_lonely_cell_swims_straight_at_its_speed():
    swimmers = Swimmers("cube", 1, 40, filled=0.01, tumbling=0.0, speed=0.3)
    states = list(swim(swimmers, 3, seed=902))
    moves = np.diff([s.positions[0] for s in states], axis=0)
    assert np.linalg.norm(moves, axis=1) == pytest.approx(np.full(3, 0.3 * swimmers.radius), rel=0.2)


def test_a_single_large_cell_finds_a_place_whatever_the_seed():
    for seed in range(12):  # of the first eight places often none leaves it room
        *_, last = swim(Swimmers("disk", 1, 24), 1, seed)
        assert last.positions.shape == (1, 2)


def test_without_collisions_cells_move_as_if_they_were_alone():
    swimmers = Swimmers("disk", 20, 32, collisions=False, tumbling=0.0, realignment=0.0)
    first, second = list(swim(swimmers, 1, seed=903))
    free = np.linalg.norm(first.positions - 0.5, axis=1) < 0.3
    expected = first.positions + swimmers.speed * swimmers.radius * first.headings
    assert free.any() and second.positions[free] == pytest.approx(expected[free])
    assert second.headings == pytest.approx(first.headings) and second.labels is None


def test_a_heading_turns_towards_the_last_move_by_the_share_of_realignment():
    for share in (0.0, 0.4, 1.0):
        swimmers = Swimmers("disk", 12, 48, realignment=share, tumbling=0.0)
        first, second = list(swim(swimmers, 1, seed=909))
        moves = second.positions - first.positions
        expected = (1 - share) * first.headings + share * moves / np.linalg.norm(moves, axis=1, keepdims=True)
        assert second.headings == pytest.approx(expected / np.linalg.norm(expected, axis=1, keepdims=True))


def test_cells_tumble_as_often_as_they_are_told():
    swimmers = Swimmers("disk", 200, 32, collisions=False, realignment=0.0, tumbling=0.3)
    headings = np.array([state.headings for state in swim(swimmers, 20, seed=910)])
    turned = np.linalg.norm(np.diff(headings, axis=0), axis=2) > 1e-9
    assert np.mean(turned) == pytest.approx(0.3, abs=0.03)


def test_exponents_matter_and_stay_with_their_cells_when_others_leave():
    room = Evacuation(6, 32, steps=60, exit_width=2.0)
    soft, hard = list(evacuate(room, 1.0, 911)), list(evacuate(room, 8.0, 911))
    assert (soft[10].labels != hard[10].labels).any()
    *_, last = evacuate(room, [8.0, 1.0, 8.0, 1.0, 8.0, 1.0], 911)
    assert last.escaped.any() and last.escaped.shape == (6,)


def test_the_same_seed_gives_the_same_run_and_another_one_does_not():
    runs = [order_in_time("disk", 10, 32, 5, seed, 0.25)["order"] for seed in (904, 904, 905)]
    assert (runs[0] == runs[1]).all() and (runs[0] != runs[2]).any() and runs[0].shape == (6,)


def test_everybody_leaves_through_a_wide_exit_and_nobody_through_a_wall():
    wide = outcome(6, 32, 200, 2.0, [2.0], 906)
    assert wide["escaped"].sum() >= 5
    for state in evacuate(Evacuation(6, 32, steps=40), 2.0, 907):
        grid = Evacuation(6, 32).grid
        assert (state.labels[~grid.inside] == -1).all()
        assert not (state.escaped & state.burnt).any()


def test_the_fire_catches_whom_it_passes():
    states = list(evacuate(Evacuation(9, 32, steps=10), 2.0, 908))  # too short to leave
    assert states[-1].front == pytest.approx(1) and not states[-1].escaped.any()
    assert states[-1].burnt.sum() >= 8  # one may stand in the exit, where the fire ends
    counts = [state.burnt.sum() for state in states]
    assert counts == sorted(counts) and counts[0] < 9
    present = np.unique(states[-2].labels[states[-2].labels >= 0])
    assert set(present) >= set(np.flatnonzero(~states[-2].burnt & ~states[-2].escaped))


def test_the_exit_is_as_wide_as_it_says():
    room = Evacuation(20, 200, exit_width=0.8)
    inside = room.grid.inside
    column = inside[200 - int(WALL * 200) + 2]
    assert column.sum() / 200 == pytest.approx(0.8 * 2 * room.radius, abs=0.011)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Swimmers("square", 5, 20), "no domain"),
        (lambda: Swimmers("disk", 5, 20, filled=1.0), "filled"),
        (lambda: Swimmers("disk", 5, 20, tumbling=-0.1), "tumbling"),
        (lambda: Swimmers("disk", 0, 20), "at least one cell"),
        (lambda: Evacuation(0, 20), "at least one cell"),
        (lambda: Evacuation(10, 20, filled=0.95), "need room"),
    ],
)
def test_settings_that_make_no_sense_get_their_sentence(make, said):
    with pytest.raises(UserError, match=said):
        make()
