"""The Morse-Smale complex of a loss of two parameters, and jump and retrain on it, so that they can be compared.

Every loss here *confines*: far from the origin it rises outward. Gradient flow then ends in a minimum, and traced back
it comes from a maximum or from infinity. All of infinity counts as one more maximum, which makes the plane a sphere.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from shapeofloss.arrays import Floats, as_count, as_floats, as_number, as_seeds
from shapeofloss.errors import UserError

Indices = NDArray[np.int64]
INFINITY = -1  # in place of the number of a maximum
STEP = 0.04  # of the flow, in the unit of the parameters: at most this far
MOST = 20_000  # steps of the flow
ARRIVED = 1e-6  # length of the gradient at which a flow line has come to a critical point
APART = 1e-4  # critical points that are nearer than this are one, and flow lines that end nearer have reached it


@dataclass(frozen=True, eq=False)
class ToyLoss:
    """A smooth loss f of two parameters x, with its exact derivatives, each for many points at once.

    Attributes:
        name: What kind of loss it is.
        reach: Radius around the origin beyond which f confines: its gradient points outward, x . grad f > 0, so all
            critical points lie within.
        value: From points, shape (n, 2), to f, shape (n,).
        gradient: From points to gradients, shape (n, 2).
        hessian: From points to matrices of second derivatives, shape (n, 2, 2).
    """

    name: str
    reach: float
    value: Callable[[Floats], Floats]
    gradient: Callable[[Floats], Floats]
    hessian: Callable[[Floats], Floats]


# ----- losses


def gaussian_hills(*, seed: int, hills: int = 12) -> ToyLoss:
    r"""Return a bowl with Gaussian wells and bumps at random places.

    .. math:: f(x) = \frac{|x|^2}{4} + \sum_k a_k \exp\Big(-\frac{|x-m_k|^2}{2 s^2}\Big), \qquad s = 0.45

    The centres m_k are uniform in the disc of radius 2, none nearer than 0.7 to another. Wells (a_k < 0) and bumps
    alternate, with sizes |a_k| uniform in [0.5, 1.5].

    Args:
        seed: Of centres and sizes.
        hills: Number of wells and bumps together, 1 to 16.
    Raises:
        UserError: If there are too few or too many hills, or the seed is none.
    """
    as_count(hills, "hills", at_most=16)  # there is no room for more
    as_count(seed, "seed", at_least=0)
    generator = np.random.default_rng(seed)
    centres = np.empty((0, 2))
    while len(centres) < hills:
        centre = generator.uniform(-2, 2, size=2)
        if np.hypot(*centre) <= 2 and (np.linalg.norm(centres - centre, axis=1) >= 0.7).all():
            centres = np.vstack([centres, centre])
    sizes = generator.uniform(0.5, 1.5, size=hills) * np.where(np.arange(hills) % 2, 1, -1)
    variance = 0.45**2

    def hill(points: Floats) -> Floats:
        squares = (points**2).sum(axis=1)[:, None] - 2 * points @ centres.T + (centres**2).sum(axis=1)
        return np.asarray(sizes * np.exp(-squares / (2 * variance)))  # (n, hills)

    def value(points: Floats) -> Floats:
        return np.asarray((points**2).sum(axis=1) / 4 + hill(points).sum(axis=1))

    def gradient(points: Floats) -> Floats:
        each = hill(points)
        return np.asarray(points / 2 - (each.sum(axis=1)[:, None] * points - each @ centres) / variance)

    def hessian(points: Floats) -> Floats:
        each, offsets = hill(points), points[:, None] - centres
        bent = np.einsum("nk,nki,nkj->nij", each, offsets, offsets) / variance**2
        return np.asarray(bent + (0.5 - each.sum(axis=1) / variance)[:, None, None] * np.eye(2))

    return ToyLoss("Gaussian hills", 3.0, value, gradient, hessian)


def tilted_cosines() -> ToyLoss:
    r"""Return an egg box in a bowl, slightly tilted so that no two minima are alike.

    .. math:: f(x, y) = 1 - \cos(\pi x)\cos(\pi y) + 0.2\,x + 0.1\,y + 0.05\,(x^2 + y^2)^2
    """

    def value(points: Floats) -> Floats:
        box = np.cos(np.pi * points).prod(axis=1)
        return 1 - box + points @ [0.2, 0.1] + 0.05 * (points**2).sum(axis=1) ** 2

    def gradient(points: Floats) -> Floats:
        cosines, sines = np.cos(np.pi * points), np.sin(np.pi * points)
        return (
            np.pi * sines * cosines[:, ::-1]
            + np.array([0.2, 0.1])
            + 0.2 * (points**2).sum(axis=1, keepdims=True) * points
        )

    def hessian(points: Floats) -> Floats:
        cosines, sines = np.cos(np.pi * points), np.sin(np.pi * points)
        along, across = np.pi**2 * cosines.prod(axis=1), -(np.pi**2) * sines.prod(axis=1)
        box = along[:, None, None] * np.eye(2) + across[:, None, None] * (1 - np.eye(2))
        square = (points**2).sum(axis=1)[:, None, None]
        return box + 0.2 * square * np.eye(2) + 0.4 * points[:, :, None] * points[:, None, :]

    return ToyLoss("tilted cosines", 2.8, value, gradient, hessian)


def himmelblau() -> ToyLoss:
    r"""Return Himmelblau's polynomial in a smaller unit, slightly tilted so that no two minima are equally deep.

    .. math:: f(x, y) = \frac{(u^2 + v - 11)^2 + (u + v^2 - 7)^2}{40} + 0.1\,x + 0.05\,y, \qquad (u, v) = (2x, 2y)
    """

    def value(points: Floats) -> Floats:
        u, v = 2 * points.T
        return ((u**2 + v - 11) ** 2 + (u + v**2 - 7) ** 2) / 40 + points @ [0.1, 0.05]

    def gradient(points: Floats) -> Floats:
        u, v = 2 * points.T
        first, second = u**2 + v - 11, u + v**2 - 7
        slopes = np.stack([2 * u * first + second, first + 2 * v * second], axis=1)
        return slopes / 10 + np.array([0.1, 0.05])

    def hessian(points: Floats) -> Floats:
        u, v = 2 * points.T
        mixed = 2 * (u + v)
        rows = [[6 * u**2 + 2 * v - 21, mixed], [mixed, 6 * v**2 + 2 * u - 13]]
        return np.moveaxis(np.array(rows), -1, 0) / 5

    return ToyLoss("Himmelblau", 3.0, value, gradient, hessian)


# ----- critical points


@dataclass(frozen=True, eq=False)
class CriticalPoints:
    """The points where the gradient of a loss vanishes, each kind sorted from low to high loss.

    Attributes:
        minima, saddles, maxima: Shape (k, 2) each.
    """

    minima: Floats
    saddles: Floats
    maxima: Floats


def critical_points(loss: ToyLoss, *, starts: int = 40) -> CriticalPoints:
    """Find the critical points by Newton's method from a grid, and classify them by the signs of the curvatures.

    A loss that confines has minima - saddles + maxima = 1 (and 2 on the sphere, with the maximum at infinity). The sum
    is checked, since Newton's method could miss a point; one that misses several may still pass.

    Args:
        loss: A loss whose critical points are not degenerate.
        starts: Start points along each side of the square around the disc of radius `loss.reach`.
    Raises:
        UserError: If a critical point is degenerate, the sum is not 1, or there are fewer than two starts.
    Example:
        >>> found = critical_points(himmelblau())
        >>> len(found.minima), len(found.saddles), len(found.maxima)
        (4, 4, 1)
    """
    as_count(starts, "starts", at_least=2)
    axis = np.linspace(-loss.reach, loss.reach, starts)
    points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    for _ in range(60):
        hessians = loss.hessian(points)
        flat = np.abs(np.linalg.det(hessians)) < 1e-12
        hessians[flat] = np.eye(2)
        moves = np.linalg.solve(hessians, loss.gradient(points)[:, :, None])[:, :, 0]
        lengths = np.linalg.norm(moves, axis=1, keepdims=True)
        points = points - moves * np.minimum(1, 0.2 / np.maximum(lengths, 1e-300))  # no further than 0.2 at once
        points = np.clip(points, -2 * loss.reach, 2 * loss.reach)
    found: list[Floats] = []
    for point in points[np.linalg.norm(loss.gradient(points), axis=1) < 1e-9]:
        if all(np.linalg.norm(point - other) >= APART for other in found):
            found.append(point)
    if not found:
        raise UserError(f"{loss.name}: no critical point was found from {starts} x {starts} starts: use more.")
    points = np.array(found)
    curvatures = np.linalg.eigvalsh(loss.hessian(points))
    if (np.abs(curvatures) < 1e-6).any():
        raise UserError(f"{loss.name} has a degenerate critical point, so there is no Morse-Smale complex: tilt it.")
    downhill = (curvatures < 0).sum(axis=1)
    order = np.argsort(loss.value(points))
    points, downhill = points[order], downhill[order]
    minima, saddles, maxima = (points[downhill == index] for index in range(3))
    if len(minima) - len(saddles) + len(maxima) != 1:
        raise UserError(
            f"{loss.name}: {len(minima)} minima, {len(saddles)} saddles and {len(maxima)} maxima are not all there "
            "are, since minima - saddles + maxima is 1 for a loss that confines: use more starts."
        )
    return CriticalPoints(minima, saddles, maxima)


# ----- flow and cells


def flow(loss: ToyLoss, points: Floats, *, uphill: bool = False, step: float = STEP) -> Iterator[Floats]:
    r"""Follow flow lines of the gradient until all have arrived.

    .. math:: \dot x = \mp\frac{\nabla f(x)}{\sqrt{1 + |\nabla f(x)|^2}}

    The lines are those of gradient flow; only the speed along them differs, and is at most 1. Steps are classical
    Runge-Kutta steps of fourth order.

    Args:
        loss: The loss.
        points: Starts, shape (n, 2).
        uphill: Whether to go up instead of down.
        step: Of the time.
    Yields:
        All points after 0, 1, 2, ... steps, as a new array. A point rests once the gradient vanishes, or, uphill, once
        it is 1.5 x `loss.reach` away from the origin, from where it goes to infinity.
    Raises:
        UserError: If the points have another shape or are not finite, the step is not positive, the gradient is not
            finite somewhere, or some have not arrived after 20,000 steps.
    """
    points = as_floats(points, "points", shape=("n", 2))
    step = as_number(step, "step", above=0)
    sign = 1 if uphill else -1

    def velocity(x: Floats) -> Floats:
        slopes = loss.gradient(x)
        return sign * slopes / np.sqrt(1 + (slopes**2).sum(axis=1, keepdims=True))

    moving = np.arange(len(points))
    for _ in range(MOST):
        yield points
        x = points[moving]
        steepness = np.linalg.norm(loss.gradient(x), axis=1)
        if not np.isfinite(steepness).all():
            raise UserError(f"{loss.name}: the gradient is not finite along a flow line.")
        going = steepness > ARRIVED
        if uphill:
            going &= np.linalg.norm(x, axis=1) < 1.5 * loss.reach
        moving, x = moving[going], x[going]
        if not len(moving):
            return
        first = velocity(x)
        second = velocity(x + step / 2 * first)
        third = velocity(x + step / 2 * second)
        fourth = velocity(x + step * third)
        points = points.copy()
        points[moving] = x + step / 6 * (first + 2 * second + 2 * third + fourth)
    raise UserError(f"{loss.name}: {len(moving)} flow lines have not arrived after {MOST} steps of {step}.")


def minimum_below(loss: ToyLoss, found: CriticalPoints, points: Floats) -> Indices:
    """Return the minimum in whose basin each point lies.

    Args:
        loss, found: A loss and its critical points.
        points: Shape (n, 2).
    Returns:
        Numbers of minima, shape (n,).
    Raises:
        UserError: If a point flows to no minimum, since it lies on the border of a basin.
    Example:
        >>> loss = himmelblau()
        >>> minimum_below(loss, critical_points(loss), np.array([[-2.0, -2.0], [2.0, 1.0]])).tolist()
        [0, 3]
    """
    *_, ends = flow(loss, points)
    return _reached(ends, found.minima, "minimum")


def maximum_above(loss: ToyLoss, found: CriticalPoints, points: Floats) -> Indices:
    """Return the maximum from which the flow line through each point comes, or `INFINITY`.

    Args:
        loss, found: A loss and its critical points.
        points: Shape (n, 2).
    Returns:
        Numbers of maxima, shape (n,).
    Raises:
        UserError: If the line through a point comes from no maximum, since it comes from a saddle.
    """
    *_, ends = flow(loss, points, uphill=True)
    maxima = np.full(len(ends), INFINITY)
    inside = np.linalg.norm(ends, axis=1) < 1.5 * loss.reach
    maxima[inside] = _reached(ends[inside], found.maxima, "maximum")
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
    lines = []
    for saddle, line in zip(np.tile(saddles, (2, 1)), np.moveaxis(states, 1, 0), strict=True):
        arrived = int((line != line[-1]).any(axis=1).sum())
        lines.append(np.vstack([saddle, line[: arrived + 1]]))
    return lines


def regions(lines: Sequence[Floats], *, reach: float, pixels: int) -> NDArray[np.int32]:
    """Cut a square into the pieces that lines leave of it.

    Args:
        lines: Polylines, shape (points, 2) each.
        reach: The square is [-reach, reach] x [-reach, reach].
        pixels: Along each side, at least 2.
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


# ----- jump and retrain


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
        length: Of a jump of step 1, in the unit of the parameters.
        seeds: Of direction and noise.
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
