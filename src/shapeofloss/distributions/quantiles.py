r"""The Wasserstein distance of laws on the line, by their quantile functions.

.. math:: W_s(\pi, p)^s = \int_0^1 |F^{-1}(u) - G^{-1}(u)|^s \, du
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from shapeofloss.arrays import Floats, as_count, as_floats, as_function, as_number
from shapeofloss.distributions.clouds import as_weights
from shapeofloss.errors import UserError

Quantiles = Callable[[Floats, Floats], Floats]


def _on_line(points: ArrayLike, name: str) -> Floats:
    return as_floats(points, f"The list of points {name}", shape=("N",), empty=False)


def _mean_of_order(gaps: Floats, weights: Floats, order: float) -> float:
    """Return (sum of weights gaps^order)^(1/order), and for infinite order the largest gap that has any weight."""
    if not np.isfinite(gaps).all():
        raise UserError("Two quantiles lie so far apart that double precision does not hold their difference.")
    if order == 1:
        return float(weights @ gaps)
    gaps, weights = gaps[weights > 0], weights[weights > 0]
    largest = float(gaps.max(initial=0.0))
    if largest == 0 or np.isinf(order):
        return largest
    with np.errstate(under="ignore"):  # relative to the largest gap, small ones count nothing in high orders
        return largest * float((weights @ (gaps / largest) ** order) ** (1 / order))


def wasserstein_on_line(
    x: ArrayLike, y: ArrayLike, a: ArrayLike | None = None, b: ArrayLike | None = None, *, order: float = 1
) -> float:
    """Return W_s between weighted points of the line: both quantile functions are steps, so the integral is a sum.

    Args:
        x, y: Places, shape (N,) and (M,), in any order.
        a, b: Masses that are brought to a sum of 1; equal ones by default.
        order: s, at least 1; infinity for the largest distance that any mass moves.
    Returns:
        In units of length, not negative.
    Raises:
        UserError: If places are not finite numbers, weights are none, or the order is below 1 or NaN.
    Source:
        WGAN lecture, slide "Wasserstein distance (continuous)", on the line.
    Example:
        >>> wasserstein_on_line([0.0, 1.0], [0.0], a=[3, 1])
        0.25
    """
    order = as_number(order, "The order of W", at_least=1, finite=False)
    x, y = _on_line(x, "x"), _on_line(y, "y")
    a, b = as_weights(a, len(x), "a"), as_weights(b, len(y), "b")
    places, levels = [], []
    for points, masses in ((x, a), (y, b)):
        ascending = np.argsort(points, kind="stable")
        places.append(points[ascending])
        levels.append(np.cumsum(masses[ascending]))
    cuts = np.sort(np.concatenate(levels).clip(max=1.0))
    middles = (cuts + np.concatenate([[0.0], cuts[:-1]])) / 2  # between two cuts, both quantile functions are constant
    u, v = (
        own[np.searchsorted(up_to, middles).clip(max=len(own) - 1)] for own, up_to in zip(places, levels, strict=True)
    )
    widths = np.diff(cuts, prepend=0.0)
    if order > 1:  # the root would make a distance of what is only rounding of the levels
        widths[widths <= (len(x) + len(y)) * np.finfo(np.float64).eps] = 0.0
    with np.errstate(over="ignore"):
        gaps = np.abs(u - v)
    return _mean_of_order(gaps, widths, order)


def wasserstein_of_quantiles(
    first: Quantiles, second: Quantiles, *, order: float = 1, cut: float = 1e-15, nodes: int = 20001
) -> float:
    """Return W_s between two laws that are given by quantile functions, the integral taken from `cut` to 1 - `cut`.

    The trapezoidal rule in the logit of the level u, so that levels near 0 and 1 get as many nodes as others.

    Args:
        first, second: From u and 1 - u, both of shape (K,), to quantiles, shape (K,). Near 1, 1 - u is the one of the
            two that is known to all its digits.
        order: s, at least 1; infinity for the largest difference of quantiles between the cuts.
        cut: Above 0 and below a half. Of a law with a finite mean, what is left out tends to 0 with it.
        nodes: K, at least 3.
    Returns:
        In units of length, not negative.
    Raises:
        UserError: If the order is below 1 or NaN, the cut is not between 0 and a half, or quantiles are not finite
            numbers, one for each level.
    Example:
        >>> round(wasserstein_of_quantiles(lambda u, _: 3 * u, lambda u, _: u), 6)  # U[0, 3] and U[0, 1]
        1.0
    """
    order = as_number(order, "The order of W", at_least=1, finite=False)
    cut = as_number(cut, "The level at which the integral is cut", above=0, below=0.5)
    as_count(nodes, "nodes", at_least=3)
    end = np.log1p(-cut) - np.log(cut)
    logit, width = np.linspace(-end, end, nodes, retstep=True)
    u, rest = expit(logit), expit(-logit)
    x, y = (
        as_floats(as_function(own, name, example="lambda u, rest: u")(u, rest), f"What {name} gives", shape=(nodes,))
        for own, name in ((first, "first"), (second, "second"))
    )
    with np.errstate(over="ignore"):
        gaps = np.abs(x - y)
    weights = u * rest  # du = u (1 - u) dlogit
    if order == 1:
        heights = gaps * weights
        return float(width * (heights.sum() - (heights[0] + heights[-1]) / 2))
    weights[[0, -1]] /= 2
    return _mean_of_order(gaps, width * weights, order)
