"""The Morse-Smale complex of a loss of two parameters, and jump and retrain on it, so that they can be compared.

Every loss here *confines*: far from the origin it rises outward. Gradient flow then ends in a minimum, and traced back
it comes from a maximum or from infinity. All of infinity counts as one more maximum, which makes the plane a sphere.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label, maximum_filter, minimum_filter
from scipy.optimize import root

from shapeofloss.arrays import Floats, as_count, as_floats, as_number, as_seeds
from shapeofloss.errors import UserError
from shapeofloss.experiments.three_samplings.toy_losses import ToyLoss

Indices = NDArray[np.int64]
INFINITY = -1  # in place of the number of a maximum
STEP = 0.04  # of the time of the flow, whose speed is at most 1
MOST = 20_000  # steps of the flow
ARRIVED = 1e-6  # length of the gradient at which a flow line has come to a critical point
APART = 1e-4  # critical points that are nearer than this are one, and flow lines that end nearer have reached it


@dataclass(frozen=True, eq=False)
class CriticalPoints:
    """The points where the gradient of a loss vanishes, each kind sorted from low to high loss.

    Attributes:
        minima, saddles, maxima: Shape (k, 2) each.
    """

    minima: Floats
    saddles: Floats
    maxima: Floats


def critical_points(loss: ToyLoss, *, side: int = 201) -> CriticalPoints:
    """Find the critical points from where both slopes change sign on a grid; tell their kinds by the curvatures.

    A loss that confines has minima - saddles + maxima = 1 (and 2 on the sphere, with the maximum at infinity). The sum
    is checked, since a coarse grid could miss a point; one that misses several may still pass.

    Args:
        loss: A loss whose critical points are not degenerate.
        side: Points along each side of the grid, over the square around the disc of radius `loss.reach`.
    Raises:
        UserError: If a critical point is degenerate, the sum is not 1, or there are fewer than two points to a side.
    Example:
        >>> from shapeofloss.experiments.three_samplings.toy_losses import himmelblau
        >>> critical = critical_points(himmelblau())
        >>> len(critical.minima), len(critical.saddles), len(critical.maxima)
        (4, 4, 1)
    """
    as_count(side, "side", at_least=2)
    axis = np.linspace(-loss.reach, loss.reach, side)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1)
    slopes = loss.gradient(grid.reshape(-1, 2)).reshape(grid.shape)
    low, high = (extremum(slopes, size=2, axes=(0, 1)) for extremum in (minimum_filter, maximum_filter))
    zeros: list[Floats] = []
    for start in grid[((low <= 0) & (high >= 0)).all(axis=2)]:
        point = root(lambda x: loss.gradient(x[None])[0], start, tol=1e-12).x
        flat = np.linalg.norm(loss.gradient(point[None])) < 1e-9
        if flat and all(np.linalg.norm(point - other) >= APART for other in zeros):
            zeros.append(point)
    if not zeros:
        raise UserError(f"{loss.name}: no critical point was found on a grid of {side} x {side} points: use more.")
    points = np.array(zeros)
    curvatures = np.linalg.eigvalsh(loss.hessian(points))
    if (np.abs(curvatures) < 1e-6).any():
        raise UserError(f"{loss.name} has a degenerate critical point, so there is no Morse-Smale complex: tilt it.")
    downhill = (curvatures < 0).sum(axis=1)
    order = np.argsort(loss.value(points))
    minima, saddles, maxima = (points[order][downhill[order] == index] for index in range(3))
    if len(minima) - len(saddles) + len(maxima) != 1:
        raise UserError(
            f"{loss.name}: {len(minima)} minima, {len(saddles)} saddles and {len(maxima)} maxima are not all there "
            "are, since minima - saddles + maxima is 1 for a loss that confines: use a finer grid."
        )
    return CriticalPoints(minima, saddles, maxima)


def flow(loss: ToyLoss, points: Floats, *, uphill: bool = False) -> Iterator[Floats]:
    r"""Follow flow lines of the gradient until all have arrived.

    .. math:: \dot x = \mp\frac{\nabla f(x)}{\sqrt{1 + |\nabla f(x)|^2}}

    The lines are those of gradient flow; only the speed along them differs, and is at most 1. Steps are classical
    Runge-Kutta steps of fourth order: SciPy's integrators take every point along until the last has arrived, ten times
    as long.

    Args:
        loss: The loss.
        points: Starts, shape (n, 2).
        uphill: Whether to go up instead of down.
    Yields:
        All points after 0, 1, 2, ... steps, as a new array. A point rests once the gradient vanishes, or, uphill, once
        it is 1.5 x `loss.reach` away from the origin, from where it goes to infinity.
    Raises:
        UserError: If the points have another shape or are not finite, the gradient is not finite somewhere, or some
            have not arrived after 20,000 steps.
    """
    points = as_floats(points, "points", shape=("n", 2))
    sign = 1 if uphill else -1

    def velocity(x: Floats) -> Floats:
        slopes = loss.gradient(x)
        return sign * slopes / np.sqrt(1 + (slopes**2).sum(axis=1, keepdims=True))

    moving = np.arange(len(points))
    for _ in range(MOST):
        yield points
        steepness = np.linalg.norm(loss.gradient(points[moving]), axis=1)
        if not np.isfinite(steepness).all():
            raise UserError(f"{loss.name}: the gradient is not finite along a flow line.")
        near = np.linalg.norm(points[moving], axis=1) < 1.5 * loss.reach
        moving = moving[(steepness > ARRIVED) & (near | (not uphill))]
        if not len(moving):
            return
        x = points[moving]
        first = velocity(x)
        second = velocity(x + STEP / 2 * first)
        third = velocity(x + STEP / 2 * second)
        fourth = velocity(x + STEP * third)
        points = points.copy()
        points[moving] = x + STEP / 6 * (first + 2 * second + 2 * third + fourth)
    raise UserError(f"{loss.name}: {len(moving)} flow lines have not arrived after {MOST} steps of {STEP}.")


def minimum_below(loss: ToyLoss, critical: CriticalPoints, points: Floats) -> Indices:
    """Return the minimum in whose basin each point lies.

    Args:
        loss, critical: A loss and its critical points.
        points: Shape (n, 2).
    Returns:
        Numbers of minima, shape (n,).
    Raises:
        UserError: If a point flows to no minimum, since it lies on the border of a basin.
    Example:
        >>> from shapeofloss.experiments.three_samplings.toy_losses import himmelblau
        >>> loss = himmelblau()
        >>> minimum_below(loss, critical_points(loss), np.array([[-2.0, -2.0], [2.0, 1.0]])).tolist()
        [0, 3]
    """
    *_, ends = flow(loss, points)
    return _reached(ends, critical.minima, "minimum")


def maximum_above(loss: ToyLoss, critical: CriticalPoints, points: Floats) -> Indices:
    """Return the maximum from which the flow line through each point comes, or `INFINITY`.

    Args:
        loss, critical, points: As for `minimum_below`.
    Returns:
        Numbers of maxima, shape (n,).
    Raises:
        UserError: If the line through a point comes from no maximum, since it comes from a saddle.
    """
    *_, ends = flow(loss, points, uphill=True)
    maxima = np.full(len(ends), INFINITY)
    inside = np.linalg.norm(ends, axis=1) < 1.5 * loss.reach
    maxima[inside] = _reached(ends[inside], critical.maxima, "maximum")
    return maxima


def _reached(ends: Floats, targets: Floats, kind: str) -> Indices:
    distances = np.linalg.norm(ends[:, None] - targets, axis=2)  # (n, k)
    lost = distances.min(axis=1, initial=np.inf) > APART
    if lost.any():
        x, y = ends[lost][0]
        raise UserError(f"A flow line ends at ({x:.4g}, {y:.4g}), which is no {kind}: it starts on a border of cells.")
    return distances.argmin(axis=1) if len(targets) else np.empty(0, np.int64)


def separatrices(loss: ToyLoss, saddles: Floats, *, uphill: bool) -> list[Floats]:
    """Trace the two flow lines that leave each saddle.

    Uphill ones are the borders of basins; downhill ones are the borders of the regions that come from one maximum. Cut
    along both, the plane falls into the cells of the Morse-Smale complex.

    Args:
        loss: The loss.
        saddles: Shape (k, 2).
        uphill: Whether to trace the ones that rise.
    Returns:
        2 k polylines, shape (points, 2) each, from the saddle to an extremum or off to infinity.
    Raises:
        UserError: As for `flow`.
    """
    saddles = as_floats(saddles, "saddles", shape=("k", 2))
    # Curvatures in rising order: a saddle falls off along the first eigenvector, and rises along the last.
    directions = np.linalg.eigh(loss.hessian(saddles))[1][:, :, 1 if uphill else 0]
    starts = np.concatenate([saddles + 1e-4 * directions, saddles - 1e-4 * directions])
    states = np.array(list(flow(loss, starts, uphill=uphill)))  # (steps, 2 k, 2)
    steps = (states != states[-1]).any(axis=2).sum(axis=0)  # until each has arrived
    saddle = np.tile(saddles, (2, 1))
    return [np.vstack([saddle[n], states[: last + 1, n]]) for n, last in enumerate(steps)]


def regions(lines: Sequence[Floats], *, reach: float, pixels: int) -> NDArray[np.int32]:
    """Cut a square into the pieces that lines leave of it.

    Args:
        lines: Polylines, shape (points, 2) each.
        reach: The square is [-reach, reach] x [-reach, reach].
        pixels: Pixels along each side, at least 2.
    Returns:
        Number of the piece of each pixel, shape (pixels, pixels), rows along the second parameter and both rising; 0 on
        a line. Pieces touch along edges, not corners.
    Raises:
        UserError: If there are too few pixels, the square has no size, or a line is no table of finite numbers.
    Example:
        >>> regions([np.array([[0.1, -1.0], [0.1, 1.0]])], reach=1, pixels=4)[0].tolist()
        [1, 1, 0, 2]
    """
    as_count(pixels, "pixels", at_least=2)
    reach = as_number(reach, "reach", above=0)
    free = np.ones((pixels, pixels), bool)
    for line in lines:
        line = as_floats(line, "A line", shape=("points", 2), empty=False)
        places = pixel_of(_refined(line, 2 * reach / pixels / 4), reach=reach, pixels=pixels)
        column, row = places[((places >= 0) & (places < pixels)).all(axis=1)].T
        free[row, column] = False
    return np.asarray(label(free)[0], np.int32)


def pixel_of(points: Floats, *, reach: float, pixels: int) -> Indices:
    """Return the column and row of the pixel in which each point lies, shape (n, 2).

    Args:
        points: Shape (n, 2).
        reach, pixels: As for `regions`. Points outside of the square get numbers below 0 or from `pixels` on.
    Raises:
        UserError: If a number is none or out of range.
    """
    points, reach = as_floats(points, "points", shape=("n", 2)), as_number(reach, "reach", above=0)
    as_count(pixels, "pixels")
    return np.floor((points + reach) / (2 * reach) * pixels).astype(np.int64)


def _refined(line: Floats, spacing: float) -> Floats:
    """Return points along a polyline, no two successive ones further apart than the spacing."""
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    at = np.linspace(0, along[-1], 2 + int(along[-1] / spacing))
    return np.stack([np.interp(at, along, line[:, axis]) for axis in range(2)], axis=1)


def retrained_jumps(
    loss: ToyLoss,
    optimum: Floats,
    *,
    length: float,
    seeds: Sequence[int],
    steps: Sequence[float],
    states: int,
    batches: int,
    learning_rate: float,
    momentum: float,
    noise: float,
) -> Floats:
    r"""Jump away from a minimum in random directions and return by noisy gradient descent with momentum.

    .. math:: m \leftarrow \mu\,m + \nabla f(x) + \sigma\,\xi, \qquad x \leftarrow x - \eta\,m, \qquad \xi \sim N(0, I)

    All steps of a seed share the direction, uniform on the circle, and the noise; the momentum m starts at zero.

    Args:
        loss: The loss.
        optimum: Where to jump from, shape (2,).
        length: Length of a jump of step 1, in the unit of the parameters.
        seeds: Seeds of direction and noise.
        steps: Step sizes of the jumps, in multiples of the length.
        states: Recorded per trajectory: the jump, then one after each epoch.
        batches: Steps of descent in an epoch.
        learning_rate, momentum, noise: eta, mu and sigma.
    Returns:
        Shape (seeds, steps, states, 2).
    Raises:
        UserError: If a number is out of range, or the descent does not stay finite.
    Source:
        Loss-landscape paper, section 3.1. In two dimensions there are no filters to normalise by: that is left out.
    """
    optimum, length = as_floats(optimum, "optimum", shape=(2,)), as_number(length, "length")
    seeds, sizes = as_seeds(seeds), as_floats(steps, "steps", shape=("n",), empty=False)
    as_count(states, "states")
    as_count(batches, "batches")
    as_number(learning_rate, "learning_rate", at_least=0)
    as_number(momentum, "momentum", at_least=0, below=1)
    as_number(noise, "noise", at_least=0)
    generators = [np.random.default_rng(seed) for seed in seeds]
    angles = np.array([generator.uniform(0, 2 * np.pi) for generator in generators])
    directions = length * np.stack([np.cos(angles), np.sin(angles)], axis=1)  # (seeds, 2)
    x = (optimum + sizes[:, None] * directions[:, None]).reshape(-1, 2)
    m = np.zeros_like(x)
    recorded = [x]
    for _ in range(states - 1):
        kicks = np.array([generator.normal(size=(batches, 2)) for generator in generators])  # (seeds, batches, 2)
        with np.errstate(over="ignore", invalid="ignore"):  # told by the error below
            for kick in np.moveaxis(kicks, 1, 0):
                m = momentum * m + loss.gradient(x) + noise * np.repeat(kick, len(sizes), axis=0)
                x = x - learning_rate * m
        if not (np.abs(x) < 1e6).all():
            raise UserError(f"{loss.name}: the descent runs away at learning rate {learning_rate}: lower it.")
        recorded.append(x)
    return np.stack(recorded, axis=1).reshape(len(seeds), len(sizes), states, 2)
