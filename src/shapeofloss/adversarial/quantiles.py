r"""The Wasserstein distance of laws on the line, by their quantile functions.

.. math:: W_s(\pi, p)^s = \int_0^1 |F^{-1}(u) - G^{-1}(u)|^s \, du
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from shapeofloss.errors import UserError
from shapeofloss.transport.clouds import Floats, as_weights

Quantiles = Callable[[Floats, Floats], Floats]


def _on_line(points: ArrayLike, name: str) -> Floats:
    x = np.asarray(points, dtype=np.float64)
    if x.ndim != 1 or not x.size or not np.isfinite(x).all():
        raise UserError(f"The points {name} have shape {x.shape}; they need to be a list of finite numbers.")
    return x


def wasserstein_on_line(
    x: ArrayLike, y: ArrayLike, a: ArrayLike | None = None, b: ArrayLike | None = None, *, order: float = 1
) -> float:
    """Return W_s between weighted points of the line: both quantile functions are steps, so the integral is a sum.

    Args:
        x, y: Places, shape (N,) and (M,), in any order.
        a, b: Masses that are brought to a sum of 1; equal ones by default.
        order: s, at least 1.
    Returns:
        In units of length, not negative.
    Raises:
        UserError: If places are not finite numbers, weights are none, or the order is below 1.
    Source:
        WGAN lecture, slide "Wasserstein distance (continuous)", on the line.
    Example:
        >>> wasserstein_on_line([0.0, 1.0], [0.0], a=[3, 1])
        0.25
    """
    if not order >= 1:
        raise UserError(f"The order of W is {order}; it has to be at least 1.")
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
    return float((np.diff(cuts, prepend=0.0) @ np.abs(u - v) ** order) ** (1 / order))


def wasserstein_of_quantiles(
    first: Quantiles, second: Quantiles, *, order: float = 1, cut: float = 1e-15, nodes: int = 20001
) -> float:
    """Return W_s between two laws that are given by quantile functions, the integral taken from `cut` to 1 - `cut`.

    The trapezoidal rule in the logit of the level u, so that levels near 0 and 1 get as many nodes as others.

    Args:
        first, second: From u and 1 - u, both of shape (K,), to quantiles, shape (K,). Near 1, 1 - u is the one of the
            two that is known to all its digits.
        order: s, at least 1.
        cut: Above 0 and below a half. Of a law with a finite mean, what is left out tends to 0 with it.
        nodes: K.
    Returns:
        In units of length, not negative.
    Raises:
        UserError: If the order is below 1 or the cut is not between 0 and a half.
    Example:
        >>> round(wasserstein_of_quantiles(lambda u, _: 3 * u, lambda u, _: u), 6)  # U[0, 3] and U[0, 1]
        1.0
    """
    if not order >= 1:
        raise UserError(f"The order of W is {order}; it has to be at least 1.")
    if not 0 < cut < 0.5:
        raise UserError(f"The integral cannot be cut at the level {cut}; the level lies between 0 and 0.5.")
    end = np.log1p(-cut) - np.log(cut)
    logit, width = np.linspace(-end, end, nodes, retstep=True)
    u, rest = expit(logit), expit(-logit)
    heights = np.abs(first(u, rest) - second(u, rest)) ** order * u * rest  # du = u (1 - u) dlogit
    return float((width * (heights.sum() - (heights[0] + heights[-1]) / 2)) ** (1 / order))
