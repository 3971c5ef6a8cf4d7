"""Shallow water in a closed square basin: a bump of water falls, and waves run to and fro."""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from shapeofloss.arrays import Floats, as_count, as_floats, as_number
from shapeofloss.errors import UserError

DEPTH, GRAVITY = 1.0, 1.0  # at rest, and of the unit system in which waves run one length in one time


def simulate(height: Floats, *, spacing: float, step: float) -> Iterator[Floats]:
    r"""Yield the heights of the water surface after each time step, beginning with the given ones, at rest.

    .. math:: \partial_t h + \nabla\cdot(h u) = 0, \qquad
        \partial_t u + \zeta\,(-u_y, u_x) + \nabla\bigl(g h + \tfrac12 |u|^2\bigr) = 0

    with depth h, velocity u and its vorticity :math:`\zeta`; no water passes the walls. Heights are at the centres of
    cells, velocities on their faces (Arakawa's C-grid); the volume changes by fluxes between cells only, so that it is
    conserved to rounding. Height and velocity are half a step apart (leapfrog): for small waves the scheme is of second
    order; advection uses the velocity of half a step before, and is of first order in the step.

    Args:
        height: Depth of the water in each cell, shape (N, n, m), all positive.
        spacing: Distance of the cells, in lengths.
        step: Time step; at most spacing / sqrt(2 g h) for the largest depth.
    Returns:
        Shape (N, n, m) each, without end.
    Raises:
        UserError: When the first heights are asked for, if these are no finite positive numbers of that shape, spacing
            or step not positive, or the step too large; later if a depth is no longer positive.
    Source:
        Directional sign loss paper, section 4.3, names the equations; the scheme is ours.
    """
    h = as_floats(height, "height", shape=("N", "n", "m"), empty=False).copy()
    if h.min() <= 0:
        raise UserError(f"height goes down to {h.min():g}; depths have to be positive.")
    spacing, step = as_number(spacing, "spacing", above=0), as_number(step, "step", above=0)
    limit = spacing / math.sqrt(2 * GRAVITY * h.max())
    if not step <= limit:
        raise UserError(f"The time step is {step}; with cells of {spacing} it may be {limit:.3g} at most.")
    count, n, m = h.shape
    u, v = np.zeros((count, n + 1, m)), np.zeros((count, n, m + 1))  # through faces across the first and second axis
    share = step / 2  # the first step of the velocity is half of one
    while True:
        yield h.copy()
        _accelerate(h, u, v, share / spacing)
        share = step
        across = np.zeros_like(u)
        across[:, 1:-1] = 0.5 * (h[:, 1:] + h[:, :-1]) * u[:, 1:-1]
        along = np.zeros_like(v)
        along[:, :, 1:-1] = 0.5 * (h[:, :, 1:] + h[:, :, :-1]) * v[:, :, 1:-1]
        h -= step / spacing * (np.diff(across, axis=1) + np.diff(along, axis=2))
        if not (h > 0).all():
            raise UserError("The simulation broke down: a depth is no longer positive. Take a smaller step or bump.")


def _accelerate(h: Floats, u: Floats, v: Floats, ratio: float) -> None:
    """Change the velocities on inner faces by pressure, advection and vorticity; `ratio` is time over spacing."""
    energy = GRAVITY * h
    energy += 0.125 * ((u[:, 1:] + u[:, :-1]) ** 2 + (v[:, :, 1:] + v[:, :, :-1]) ** 2)
    vorticity = np.zeros((len(h), h.shape[1] + 1, h.shape[2] + 1))  # at corners, times the spacing
    vorticity[:, 1:-1, 1:-1] = np.diff(v[:, :, 1:-1], axis=1) - np.diff(u[:, 1:-1], axis=2)
    v_at_corner, u_at_corner = np.zeros_like(vorticity), np.zeros_like(vorticity)
    v_at_corner[:, 1:-1, 1:-1] = 0.5 * (v[:, 1:, 1:-1] + v[:, :-1, 1:-1])
    u_at_corner[:, 1:-1, 1:-1] = 0.5 * (u[:, 1:-1, 1:] + u[:, 1:-1, :-1])
    turn_u, turn_v = vorticity * v_at_corner, vorticity * u_at_corner
    u[:, 1:-1] += ratio * (-np.diff(energy, axis=1) + 0.5 * (turn_u[:, 1:-1, 1:] + turn_u[:, 1:-1, :-1]))
    v[:, :, 1:-1] += ratio * (-np.diff(energy, axis=2) - 0.5 * (turn_v[:, 1:, 1:-1] + turn_v[:, :-1, 1:-1]))


def bumps(count: int, size: int, generator: np.random.Generator) -> Floats:
    """Return depths with a Gaussian bump at a random place: a quarter of the depth high, a twelfth of the basin wide.

    Args:
        count: Number of basins.
        size: Cells along each side.
        generator: Source of the places, uniform over the middle four fifths of the basin.
    Returns:
        Shape (count, size, size), in depths.
    Raises:
        UserError: If a number is no whole one from 1, or there is no generator of NumPy.
    """
    count, size = as_count(count, "count"), as_count(size, "size")
    if not isinstance(generator, np.random.Generator):
        raise UserError(f"generator is of type {type(generator).__name__}; np.random.default_rng(seed) is needed.")
    centre = generator.uniform(0.1, 0.9, (count, 2, 1, 1)) * size
    place = np.arange(size) + 0.5
    squares = (place[:, None] - centre[:, 0]) ** 2 + (place - centre[:, 1]) ** 2
    return DEPTH * (1 + 0.25 * np.exp(-squares / (2 * (size / 12) ** 2)))


def snapshots(*, seed: int, count: int, size: int, frames: int, every: int, step: float) -> dict[str, Any]:
    """Simulate falling bumps, and keep some of the heights.

    Args:
        seed: Seed of the places.
        count: Number of simulations.
        size: Cells along each side, one length each.
        frames: Heights kept of each, the first one before the first step.
        every: Steps from one to the next.
        step: As for `simulate`.
    Returns:
        `heights`, shape (count, frames, size, size), float32, in depths; `drift`, the largest relative change of the
        volume in each simulation, shape (count,).
    Raises:
        UserError: If one of the numbers is no whole one from 1, the seed none from 0, or as for `simulate`.
    """
    count, size = as_count(count, "count"), as_count(size, "size")
    frames, every = as_count(frames, "frames"), as_count(every, "every")
    seed = as_count(seed, "seed", at_least=0)
    start = bumps(count, size, np.random.default_rng(seed))
    kept = list(itertools.islice(simulate(start, spacing=1.0, step=step), 0, (frames - 1) * every + 1, every))
    volumes = np.array([heights.sum(axis=(1, 2)) for heights in kept])
    drift = np.abs(volumes / volumes[0] - 1).max(axis=0)
    return {"heights": np.stack(kept, axis=1).astype(np.float32), "drift": drift}
