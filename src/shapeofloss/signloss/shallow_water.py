"""Shallow water in a closed square basin: a bump of water falls, and waves run to and fro."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapeofloss.errors import UserError

DEPTH, GRAVITY = 1.0, 1.0  # at rest, and of the unit system in which waves run one length in one time


def simulate(height: NDArray[np.float64], *, spacing: float, step: float) -> Iterator[NDArray[np.float64]]:
    r"""Yield the heights of the water surface after each time step, beginning with the given ones, at rest.

    .. math:: \partial_t h + \nabla\cdot(h u) = 0, \qquad
        \partial_t u + \zeta\,(-u_y, u_x) + \nabla\bigl(g h + \tfrac12 |u|^2\bigr) = 0

    with depth h, velocity u and its vorticity :math:`\zeta`; no water passes the walls. Heights are at the centres of
    cells, velocities on their faces (Arakawa's C-grid); the volume changes by fluxes between cells only, so that it is
    conserved to rounding. Height and velocity are half a step apart (leapfrog): for small waves the scheme is of second
    order; advection uses the velocity of half a step before, and is of first order in the step.

    Args:
        height: Depth of the water in each cell, shape (N, n, m), all positive.
        spacing: Of the cells, in lengths.
        step: In times; at most spacing / sqrt(2 g h) for the largest depth.
    Returns:
        Shape (N, n, m) each, without end.
    Raises:
        UserError: If a depth is not positive, or the step too large, at the start or later.
    Source:
        Directional sign loss paper, section 4.3, names the equations; the scheme is ours.
    """
    h = np.array(height, dtype=np.float64)
    if h.ndim != 3 or not np.isfinite(h).all() or h.min() <= 0:
        raise UserError("Depths have to have shape (N, n, m), and to be finite and positive.")
    limit = spacing / math.sqrt(2 * GRAVITY * h.max())
    if not 0 < step <= limit:
        raise UserError(
            f"The time step is {step}; with cells of {spacing} it has to be positive and at most {limit:.3g}."
        )
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


def _accelerate(h: NDArray[np.float64], u: NDArray[np.float64], v: NDArray[np.float64], ratio: float) -> None:
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


def bumps(count: int, size: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Return depths with a Gaussian bump at a random place: a quarter of the depth high, a twelfth of the basin wide.

    Args:
        count: Of basins.
        size: Cells along each side.
        generator: Of the places, uniform over the middle four fifths of the basin.
    Returns:
        Shape (count, size, size), in depths.
    """
    centre = generator.uniform(0.1, 0.9, (count, 2, 1, 1)) * size
    place = np.arange(size) + 0.5
    squares = (place[:, None] - centre[:, 0]) ** 2 + (place - centre[:, 1]) ** 2
    return DEPTH * (1 + 0.25 * np.exp(-squares / (2 * (size / 12) ** 2)))


def snapshots(*, seed: int, count: int, size: int, frames: int, every: int, step: float) -> dict[str, Any]:
    """Simulate falling bumps, and keep some of the heights.

    Args:
        seed: Of the places.
        count: Of simulations.
        size: Cells along each side, one length each.
        frames: Heights kept of each, the first one before the first step.
        every: Steps from one to the next.
        step: As for `simulate`.
    Returns:
        `heights`, shape (count, frames, size, size), float32, in depths; `drift`, the largest relative change of the
        volume in each simulation, shape (count,).
    Raises:
        UserError: If a number is below 1, or as for `simulate`.
    """
    if min(count, size, frames, every) < 1:
        raise UserError(f"count is {count}, size {size}, frames {frames}, every {every}; each has to be at least 1.")
    start = bumps(count, size, np.random.default_rng(seed))
    volume = start.sum(axis=(1, 2))
    kept, drift = [], np.zeros(count)
    for number, heights in enumerate(simulate(start, spacing=1.0, step=step)):
        if number % every == 0:
            kept.append(heights)
            drift = np.maximum(drift, np.abs(heights.sum(axis=(1, 2)) / volume - 1))
            if len(kept) == frames:
                break
    return {"heights": np.stack(kept, axis=1).astype(np.float32), "drift": drift}
