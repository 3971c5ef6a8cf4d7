"""Large waves and vortices in the basin: what a small standing wave cannot tell."""

import math

import numpy as np
import pytest

from shapeofloss.datasets.shallow_water import _accelerate, bumps, simulate, snapshots
from shapeofloss.errors import UserError

TIME = 0.5  # a bump of the width below has split into two that are steep at the front, and reached a wall


def bump(n):
    return 1 + 0.25 * np.exp(-(((np.arange(n) + 0.5) / n - 0.4) ** 2) / (2 * 0.1**2))


def ghosts(h, flow):
    """Mirror two cells at each wall; the flow changes its sign there."""
    return np.concatenate([h[1::-1], h, h[:-3:-1]]), np.concatenate([-flow[1::-1], flow, -flow[:-3:-1]])


def slope(a):
    """Return the slopes of a piecewise linear function, none at an extremum (van Leer's harmonic mean)."""
    left, right = np.diff(a)[:-1], np.diff(a)[1:]
    same = left * right > 0
    return np.where(same, 2 * left * right / np.where(same, left + right, 1), 0)


def change(h, flow):
    """Return the time derivatives of depth and flow in conservation form, by Rusanov's fluxes between cells."""
    padded = ghosts(h, flow)
    left = [(a[1:-1] + slope(a) / 2)[:-1] for a in padded]
    right = [(a[1:-1] - slope(a) / 2)[1:] for a in padded]
    speed = np.maximum(*(np.abs(q / d) + np.sqrt(d) for d, q in (left, right)))
    fluxes = [(q, q * q / d + d * d / 2) for d, q in (left, right)]
    through = [(a + b - speed * (r - s)) / 2 for a, b, s, r in zip(*fluxes, left, right, strict=True)]
    return [-np.diff(flux) * len(h) for flux in through]


def by_finite_volumes(n):
    """Return the depth at TIME along a channel of length one: another form of the equations, another scheme."""
    h, flow, steps = bump(n), np.zeros(n), round(TIME * n / 0.25)
    for _ in range(steps):  # Heun
        first = change(h, flow)
        second = change(*(a + TIME / steps * b for a, b in zip((h, flow), first, strict=True)))
        h, flow = (a + TIME / steps * (b + c) / 2 for a, b, c in zip((h, flow), first, second, strict=True))
    return h


def test_a_large_bump_converges_to_what_finite_volumes_make_of_the_conservation_form():
    reference, errors = by_finite_volumes(1024), []
    for n in (64, 128, 256):
        steps = round(TIME * n / 0.4)
        surface = simulate(np.repeat(bump(n)[None, :, None], 2, axis=2), spacing=1 / n, step=TIME / steps)
        *_, last = (h for _, h in zip(range(steps + 1), surface, strict=False))
        errors.append(np.abs(last[0, :, 0] - reference.reshape(n, -1).mean(axis=1)).max())
    # first order in the step: advection uses the velocity of half a step before
    assert 1.7 < errors[0] / errors[1] < 4.5 and 1.7 < errors[1] / errors[2] < 4.5 and errors[2] < 0.003


def test_rigid_rotation_is_accelerated_towards_its_centre():
    n = 12
    cells, faces = np.arange(n) + 0.5 - n / 2, np.arange(n + 1) - n / 2
    u = np.repeat(-cells[None, None], n + 1, axis=1)  # -y, on the faces across the first axis
    v = np.repeat(cells[None, :, None], n + 1, axis=2)  # x
    before = u.copy(), v.copy()
    _accelerate(np.ones((1, n, n)), u, v, 0.1)
    inner = slice(3, -3)  # away from the walls, through which a rotating body of water would pass
    # -(velocity . grad) velocity = (x, y)
    assert np.allclose((u - before[0])[0, inner, inner], 0.1 * faces[inner, None], atol=1e-12)
    assert np.allclose((v - before[1])[0, inner, inner], 0.1 * faces[None, inner], atol=1e-12)


def test_a_wave_that_leaves_a_cell_dry_is_refused_when_it_does():
    start = np.full((1, 16, 16), 0.01)
    start[0, 8, 8] = 1.0
    with pytest.raises(UserError, match="no longer positive"):
        for _, _ in zip(range(200), simulate(start, spacing=1.0, step=0.7), strict=False):
            pass


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"height": np.full((1, 4, 4), np.nan)}, "height has 16 values that are not finite"),
        ({"height": np.ones((0, 4, 4))}, "height is empty"),
        ({"spacing": -1.0}, "spacing is -1.0; a finite number above 0"),
        ({"spacing": np.inf}, "spacing is inf"),
        ({"step": np.nan}, "step is nan"),
        ({"step": "0.1"}, "step is '0.1'"),
    ],
)
def test_settings_without_meaning_are_refused(change, sentence):
    with pytest.raises(UserError, match=sentence):
        next(simulate(**{"height": np.ones((1, 4, 4)), "spacing": 1.0, "step": 0.1, **change}))


def test_the_given_heights_are_not_changed():
    start = np.repeat(bump(8)[None, :, None], 8, axis=2)
    before = start.copy()
    surface = simulate(start, spacing=1.0, step=0.5)
    assert all((next(surface) is not start) for _ in range(5)) and np.array_equal(start, before)
    assert not np.array_equal(next(surface), before)


@pytest.mark.parametrize("name", ["count", "size", "frames", "every"])
def test_snapshots_are_counted_in_whole_numbers(name):
    settings = {"seed": 0, "count": 1, "size": 4, "frames": 1, "every": 1, "step": 0.1}
    for value in (0, 1.5, True, "2"):
        with pytest.raises(UserError, match=f"{name} is .*; a whole number from 1"):
            snapshots(**{**settings, name: value})
    with pytest.raises(UserError, match="seed is -1"):
        snapshots(**{**settings, "seed": -1})
    with pytest.raises(UserError, match=r"np\.random\.default_rng\(seed\) is needed"):
        bumps(1, 4, 0)


def standing_wave(n, modes):
    """Return the largest error of a small standing wave after some time, over its amplitude."""
    x = (np.arange(n) + 0.5) / n
    shape = np.cos(modes[0] * np.pi * x)[:, None] * np.cos(modes[1] * np.pi * x)
    frequency = math.pi * math.hypot(*modes)
    count = round(2 * n)
    surface = simulate((1 + 1e-6 * shape)[None], spacing=1 / n, step=0.4 / n)
    *_, last = (h for _, h in zip(range(count + 1), surface, strict=False))
    return np.abs(last[0] - 1 - 1e-6 * shape * np.cos(0.8 * frequency)).max() / 1e-6


@pytest.mark.parametrize("modes", [(1, 0), (0, 1), (2, 1)])
def test_small_waves_converge_to_the_exact_ones_with_the_square_of_the_cell(modes):
    coarse, middle, fine = (standing_wave(n, modes) for n in (16, 32, 64))
    assert 3.5 < coarse / middle < 4.5 and 3.5 < middle / fine < 4.5 and fine < 0.01


def test_volume_stays_and_symmetry_is_kept():
    start = bumps(3, 32, np.random.default_rng(0))
    turned = simulate(np.rot90(start, axes=(1, 2)), spacing=1, step=0.5)
    for number, (a, b) in enumerate(zip(simulate(start, spacing=1, step=0.5), turned, strict=False)):
        assert np.allclose(a.sum(axis=(1, 2)), start.sum(axis=(1, 2)), rtol=1e-12)
        if number == 60:
            assert np.allclose(np.rot90(a, axes=(1, 2)), b, atol=1e-9) and a.std() > 1e-3
            break


def test_large_waves_never_have_more_energy_of_height_than_the_bump_had():
    start = bumps(2, 48, np.random.default_rng(1))
    heights = [h for _, h in zip(range(400), simulate(start, spacing=1, step=0.5), strict=False)]
    potential = [np.sum((h - h.mean()) ** 2) for h in heights]
    assert max(potential[1:]) < potential[0] and min(potential) < 0.6 * potential[0]  # the rest is motion


def test_snapshots_repeat_and_begin_with_the_bump():
    settings = {"seed": 3, "count": 2, "size": 16, "frames": 4, "every": 5, "step": 0.5}
    found = snapshots(**settings)
    assert found["heights"].shape == (2, 4, 16, 16) and found["heights"].dtype == np.float32
    assert np.allclose(found["heights"][:, 0], bumps(2, 16, np.random.default_rng(3)))
    assert np.array_equal(found["heights"], snapshots(**settings)["heights"]) and found["drift"].max() < 1e-12


@pytest.mark.parametrize(
    ("height", "step", "sentence"),
    [
        (np.ones((1, 4, 4)), 0.8, "may be 0.707 at most"),
        (np.ones((1, 4, 4)), 0.0, "step is 0.0; a finite number above 0"),
        (np.zeros((1, 4, 4)), 0.5, "goes down to 0; depths have to be positive"),
        (np.ones((4, 4)), 0.5, r"has shape \(4, 4\); \(N, n, m\) is needed"),
    ],
)
def test_a_simulation_that_cannot_work_is_refused(height, step, sentence):
    with pytest.raises(UserError, match=sentence):
        next(simulate(height, spacing=1, step=step))
