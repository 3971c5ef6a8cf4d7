r"""The Wasserstein distance of distributions on the line, by their quantile functions.

.. math:: W_s(\pi, p)^s = \int_0^1 |F^{-1}(u) - G^{-1}(u)|^s \, du
"""

import numpy as np
from numpy.typing import ArrayLike

from shapeofloss.arrays import Floats, as_floats, as_number
from shapeofloss.distributions.clouds import as_weights
from shapeofloss.errors import UserError


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
    x, y = (
        as_floats(points, f"The list of points {name}", shape=("N",), empty=False)
        for points, name in ((x, "x"), (y, "y"))
    )
    a, b = as_weights(a, len(x), "a"), as_weights(b, len(y), "b")
    places, levels = [], []
    for points, masses in ((x, a), (y, b)):
        rising = np.argsort(points, kind="stable")
        places.append(points[rising])
        levels.append(np.cumsum(masses[rising]))
    cuts = np.sort(np.concatenate(levels).clip(max=1.0))
    middles = (cuts + np.concatenate([[0.0], cuts[:-1]])) / 2  # between two cuts, both quantile functions are constant
    u, v = (
        ascending[np.searchsorted(up_to, middles).clip(max=len(ascending) - 1)]
        for ascending, up_to in zip(places, levels, strict=True)
    )
    widths = np.diff(cuts, prepend=0.0)
    if order > 1:  # the root would make a distance of what is only rounding of the levels
        widths[widths <= (len(x) + len(y)) * np.finfo(np.float64).eps] = 0.0
    with np.errstate(over="ignore"):
        gaps = np.abs(u - v)
    return _mean_of_order(gaps, widths, order)
