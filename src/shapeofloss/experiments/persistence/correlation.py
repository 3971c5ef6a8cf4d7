"""Rank correlations over networks, with what else differs between them taken out."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm, rankdata, spearmanr

from shapeofloss.arrays import Floats, as_count, as_floats
from shapeofloss.errors import UserError

LEVEL = 0.95  # of an interval
VARIANCE = 1.06  # of artanh(rho) without correlation, times n - 3: Fieller, Hartley and Pearson (1957)


class Correlation(NamedTuple):
    """A rank correlation with the ends of its 95% interval, and the two-sided p-value of no correlation."""

    value: float
    low: float
    high: float
    p: float


def rank_correlation(first: ArrayLike, second: ArrayLike, *, given: Sequence[ArrayLike] = ()) -> Correlation:
    r"""Return Spearman's correlation, or the partial one given other properties.

    Both sides are ranked; from each the least-squares fit by the given properties is taken away, and what is left is
    correlated. With k fitted columns the interval is that of Fisher's transformation,

    .. math:: \operatorname{artanh}\rho \pm 1.96 \sqrt{(1 + \rho^2 / 2) / (n - k - 3)}.

    Args:
        first, second: Numbers, shape (n,).
        given: Properties, shape (n,) each. Numbers are ranked; anything else, such as text, counts as categories with a
            mean each.
    Raises:
        UserError: If the shapes differ, a number is not finite, there are too few values for the properties, or
            nothing is left of one side.
    Source:
        The width is that of Bonett and Wright, "Sample size requirements for estimating Pearson, Kendall and Spearman
        correlations" (2000); the p-value has the variance of Fieller, Hartley and Pearson, "Tests for rank correlation
        coefficients, I" (1957).
    """
    sides = _pair(first, second)
    columns = [np.ones(len(sides[0]))]
    for values in map(np.asarray, given):
        if values.shape != sides[0].shape:
            raise UserError(f"A given property has shape {values.shape}; the values have {sides[0].shape}.")
        if values.dtype.kind in "uif":
            columns.append(rankdata(as_floats(values, "A given property")))
        else:
            columns += [(values == level).astype(float) for level in np.unique(values)[1:]]
    design = np.stack(columns, axis=1)
    freedom = len(design) - np.linalg.matrix_rank(design) + 1 - 3
    if freedom < 1:
        raise UserError(f"{len(design)} values are too few for {design.shape[1] - 1} columns of given properties.")
    left = [_residual(rankdata(values), design) for values in sides]
    if any(np.linalg.norm(part) < 1e-9 * len(design) for part in left):
        raise UserError("The given properties leave nothing of one side: its correlation is not defined.")
    rho = float(np.clip(left[0] @ left[1] / (np.linalg.norm(left[0]) * np.linalg.norm(left[1])), -1, 1))
    centre, width = np.arctanh(np.clip(rho, -1 + 1e-12, 1 - 1e-12)), np.sqrt((1 + rho**2 / 2) / freedom)
    low, high = np.tanh(centre + norm.ppf(0.5 + LEVEL / 2) * width * np.array([-1, 1]))
    return Correlation(rho, float(low), float(high), float(2 * norm.sf(abs(centre) * np.sqrt(freedom / VARIANCE))))


def permutation_share(first: ArrayLike, second: ArrayLike, *, permutations: int, seed: int) -> float:
    """Return the share of random pairings whose Spearman correlation is at least the observed one.

    Args:
        first, second: Numbers, shape (n,).
        permutations: Permutations of the second side, at least 1; the observed pairing counts as one more.
        seed: Seed of the permutations.
    Raises:
        UserError: If the shapes differ, a value is not finite, or one side does not vary: its correlation is not
            defined.
    """
    as_count(permutations, "permutations")
    ranks, others = (rankdata(side) for side in _pair(first, second))
    if not np.ptp(ranks) or not np.ptp(others):
        raise UserError("One side is the same throughout: it has no rank correlation with anything.")
    observed = spearmanr(ranks, others).statistic
    generator = np.random.default_rng(seed)
    drawn = [np.corrcoef(ranks, generator.permutation(others))[0, 1] for _ in range(permutations)]
    return float((1 + np.sum(np.array(drawn) >= observed - 1e-12)) / (1 + permutations))


def _pair(first: ArrayLike, second: ArrayLike) -> tuple[Floats, Floats]:
    """Return both sides as arrays of one length.

    Raises:
        UserError: If their shapes differ, or a value is not finite.
    """
    one, other = as_floats(first, "first", shape=("n",)), as_floats(second, "second", shape=("n",))
    if len(one) != len(other):
        raise UserError(f"first has {len(one)} values and second {len(other)}: a correlation needs pairs.")
    return one, other


def _residual(values: Floats, design: Floats) -> Floats:
    return np.asarray(values - design @ np.linalg.lstsq(design, values, rcond=None)[0], np.float64)
