"""Convex conjugates from values alone: what is the highest of many lines, found by zooming in on a grid.

They know no closed form, and judge those of the table in `divergences`.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from shapeofloss.arrays import Floats, as_count, as_floats, as_function, as_number
from shapeofloss.errors import UserError

Function = Callable[[Floats], Floats]


def supremum(
    objective: Function, low: float, high: float, *, count: int = 1, points: int = 101
) -> tuple[Floats, Floats]:
    """Return the place and the value of the largest number of functions that rise and then fall, by zooming in.

    Args:
        objective: From places, shape (count, points), to values of the same shape; one function for each row.
        low, high: Where to look.
        count: Number of functions.
        points: Number of points of a grid, at least 5; its best point and the two neighbours bound the next grid.
    Returns:
        Places and values, both of shape (count,). A supremum at an end is not reached, but neared.
    Raises:
        UserError: If an end is no finite number, the ends are in another order, or a number is out of range.
    Example:
        >>> place, value = supremum(lambda s: 3 - (s - 0.25) ** 2, -5, 5)
        >>> round(float(place[0]), 6), float(value[0])
        (0.25, 3.0)
    """
    as_function(objective, "objective", example="lambda s: -((s - 1) ** 2)")
    as_number(low, "low"), as_number(high, "high", above=float(low))
    as_count(count, "count", at_least=0), as_count(points, "points", at_least=5)
    left, right = np.full(count, float(low)), np.full(count, float(high))
    rows = np.arange(count)
    rounds = int(np.ceil(np.log(1e-13) / np.log(2 / (points - 1))))
    best_place, best = left, np.full(count, -np.inf)
    # Far from the best place, values may be minus infinity, or a difference of infinities.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for _ in range(rounds):
            places = np.linspace(left, right, points, axis=1)
            values = objective(places)
            values = np.where(np.isnan(values), -np.inf, values)
            k = values.argmax(1)
            better = values[rows, k] > best
            best_place, best = np.where(better, places[rows, k], best_place), np.maximum(best, values[rows, k])
            left, right = places[rows, np.maximum(k - 1, 0)], places[rows, np.minimum(k + 1, points - 1)]
    return best_place, best


def numerical_conjugate(generator: Function, t: ArrayLike, *, at_zero: float) -> Floats:
    r"""Return sup over u >= 0 of u t - f(u), numerically, without knowing more of f than its values.

    Args:
        generator: f at u > 0, convex.
        t: Finite, any shape.
        at_zero: f(0).
    Returns:
        The shape of t; infinity where the supremum is infinite, or above 1e280.
    Raises:
        UserError: If t is no array of finite numbers, or f(0) no number above minus infinity.
    Source:
        WGAN lecture, slide on the Fenchel conjugate.
    Example:
        >>> numerical_conjugate(lambda u: (u - 1) ** 2, [-3.0, 2.0], at_zero=1.0).round(9)
        array([-1.,  3.])
    """
    as_function(generator, "generator", example="KL.generator")
    as_number(at_zero, "at_zero", above=-np.finfo(np.float64).max, finite=False)
    t = as_floats(t, "t")
    flat = t.ravel()

    def objective(s: Floats, slopes: Floats) -> Floats:
        return np.exp(s) * slopes - generator(np.exp(s))

    value, place = _wide_supremum(objective, flat, (-30, 30), (-708, 690))
    value = np.where((place > 680) | (value > 1e280), np.inf, value)
    return np.maximum(value, -at_zero).reshape(t.shape)


def _wide_supremum(
    objective: Callable[[Floats, Floats], Floats], t: Floats, near: tuple[float, float], far: tuple[float, float]
) -> tuple[Floats, Floats]:
    """Return suprema and their places for many numbers t, from a wider range where they are not well inside."""
    place, value = supremum(lambda s: objective(s, t[:, None]), *near, count=len(t))
    outside = (place < near[0] + 1) | (place > near[1] - 1)
    if outside.any():
        beyond, better = supremum(lambda s: objective(s, t[outside, None]), *far, count=int(outside.sum()))
        place[outside] = np.where(better > value[outside], beyond, place[outside])
        value[outside] = np.maximum(value[outside], better)
    return value, place


def numerical_biconjugate(conjugate: Function, u: ArrayLike, *, end: float) -> Floats:
    """Return sup over t < end of u t - f*(t), numerically: f itself, where f is convex and lower semicontinuous.

    Args:
        conjugate: f* at t < end.
        u: Ratios, 0 or from 1e-150 to 1e150, any shape.
        end: The upper end of the conjugate's domain, or infinity.
    Returns:
        The shape of u; infinity where the supremum is infinite.
    Raises:
        UserError: If a ratio is outside, or the end is no number.
    Source:
        WGAN lecture, slide on the Fenchel conjugate.
    Example:
        >>> numerical_biconjugate(lambda t: np.exp(t - 1), [1.0, np.e], end=np.inf).round(9) + 0.0  # u log u
        array([0.        , 2.71828183])
    """
    as_function(conjugate, "conjugate", example="KL.conjugate")
    end = as_number(end, "end", finite=False)
    u = as_floats(u, "u")
    if not ((u == 0) | ((u >= 1e-150) & (u <= 1e150))).all():
        raise UserError(f"Ratios reach from {u.min():g} to {u.max():g}; they have to be 0, or from 1e-150 to 1e150.")
    flat = u.ravel()

    def at(s: Floats) -> Floats:
        return np.sinh(s) if np.isinf(end) else end - np.exp(-s)  # increasing, from far below to the end

    def objective(s: Floats, ratios: Floats) -> Floats:
        return ratios * at(s) - conjugate(at(s))

    value, place = _wide_supremum(objective, flat, (-12, 12 if np.isinf(end) else 30), (-600, 690))
    # Only at the ratio 0 may the best slope be at minus infinity. There the supremum is the limit of -f*, and it is
    # infinite if that still rises by far from slopes of -1e149 to slopes of -1e260.
    if (far := (flat == 0) & (place < -590)).any():
        middle = objective(np.full((1, 1), -345.0), np.zeros((1, 1)))[0, 0]
        value[far & (value > middle + 1)] = np.inf
    if np.isinf(end):
        value[place > 680] = np.inf
    return (value + 0.0).reshape(u.shape)
