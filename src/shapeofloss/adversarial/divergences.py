r"""The table of f-divergences as data: one record for each row, its conjugate, its best critic and its activation.

.. math:: D_f(\pi \| p) = \int p(x)\, f\Bigl(\frac{\pi(x)}{p(x)}\Bigr)\, dx, \qquad
          f^*(t) = \sup_{u \ge 0}\, (u t - f(u))

Everything here is NumPy in double precision. What a network is trained with lives in `fgan`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_expit, rel_entr, xlogy

from shapeofloss.arrays import Floats, as_count, as_floats, as_number
from shapeofloss.errors import UserError, unknown

Function = Callable[[Floats], Floats]

LOG_2 = float(np.log(2))


@dataclass(frozen=True)
class Divergence:
    """One row of the lecture's table, with what the lecture leaves to the reader.

    Attributes:
        key: Short name: letters and hyphens.
        name: The row's name.
        generator: f at ratios u > 0, convex.
        derivative: f' at u > 0: the best critic as a function of the ratio pi / p.
        conjugate: f* at t below `end`.
        end: The upper end of the conjugate's domain, which has no lower one; infinity for all reals.
        activation: From any raw output v of a network to the conjugate's domain, increasing, onto all values of f'.
        raw: The raw output whose activation is f'(u): what a network has to learn.
        at_zero: The limit of f at 0: the charge per unit of p where pi has nothing.
        slope: The limit of f(u) / u at infinity: the charge per unit of pi where p has nothing.
        printed: What the table prints beside the generator, for two histograms (P, Q), with its errata.
        excess: From masses pi and p, both above 0, to p (f(u) - f(1) - f'(1) (u - 1)) at u = pi / p, none negative, as
            exactly as floating point allows; taken from f and f' by default.
    """

    key: str
    name: str
    generator: Function
    derivative: Function
    conjugate: Function
    end: float
    activation: Function
    raw: Function
    at_zero: float
    slope: float
    printed: Callable[[Floats, Floats], float]
    excess: Callable[[Floats, Floats], Floats] | None = None


def _kl_excess(pi: Floats, p: Floats) -> Floats:
    """Return pi log(pi / p) - pi + p without loss of digits where both nearly agree, or where one is tiny."""
    change = (pi - p) / np.maximum(pi, p)
    with np.errstate(divide="ignore", invalid="ignore"):  # each form where the other counts
        near = np.where(change < 0, p * ((1 + change) * np.log1p(change) - change), pi * (-np.log1p(-change) - change))
    far = xlogy(pi, pi) - xlogy(pi, p) - pi + p
    return np.where(np.abs(change) < 0.5, near, far).clip(min=0)


def _middle_excess(pi: Floats, p: Floats) -> Floats:
    return _kl_excess(pi, (pi + p) / 2) + _kl_excess(p, (pi + p) / 2)


def _pearson_excess(pi: Floats, p: Floats) -> Floats:
    with np.errstate(over="ignore"):
        return (pi - p) * ((pi - p) / p)


def _twice_jensen_shannon(p: Floats, q: Floats) -> float:
    middle = (p + q) / 2
    return float((rel_entr(p, middle) + rel_entr(q, middle)).sum())


KL = Divergence(
    key="kl",
    name="Kullback-Leibler",
    generator=lambda u: xlogy(u, u),
    derivative=lambda u: np.log(u) + 1,
    conjugate=lambda t: np.exp(t - 1),
    end=np.inf,
    activation=lambda v: v,
    raw=lambda u: np.log(u) + 1,
    at_zero=0.0,
    slope=np.inf,
    printed=lambda p, q: float(rel_entr(p, q).sum()),
    excess=_kl_excess,
)

REVERSE_KL = Divergence(
    key="reverse-kl",
    name="reverse KL",
    generator=lambda u: -np.log(u),
    derivative=lambda u: -1 / u,
    conjugate=lambda t: -1 - np.log(-t),
    end=0.0,
    activation=lambda v: -np.exp(-v),
    raw=np.log,
    at_zero=np.inf,
    slope=0.0,
    printed=lambda p, q: float(rel_entr(q, p).sum()),
    excess=lambda pi, p: _kl_excess(p, pi),
)

PEARSON = Divergence(
    key="pearson",
    name="Pearson chi^2",
    generator=lambda u: (u - 1) ** 2,
    derivative=lambda u: 2 * (u - 1),
    # below t = -2 the supremum is at u = 0, the end of what a ratio can be
    conjugate=lambda t: np.where(t >= -2, t**2 / 4 + t, -1.0),
    end=np.inf,
    activation=lambda v: v,
    raw=lambda u: 2 * (u - 1),
    at_zero=1.0,
    slope=np.inf,
    printed=lambda p, q: float(((q - p) ** 2 / p).sum()),
    excess=_pearson_excess,
)

HELLINGER = Divergence(
    key="hellinger",
    name="squared Hellinger",
    generator=lambda u: (np.sqrt(u) - 1) ** 2,
    derivative=lambda u: 1 - 1 / np.sqrt(u),
    conjugate=lambda t: t / (1 - t),
    end=1.0,
    activation=lambda v: -np.expm1(-v),
    raw=lambda u: np.log(u) / 2,
    at_zero=1.0,
    slope=1.0,
    printed=lambda p, q: float(((np.sqrt(p) - np.sqrt(q)) ** 2).sum()),
    excess=lambda pi, p: ((pi - p) / (np.sqrt(pi) + np.sqrt(p))) ** 2,
)

JENSEN_SHANNON = Divergence(
    key="js",
    name="Jensen-Shannon",
    generator=lambda u: xlogy(u, u) - (u + 1) * np.log((u + 1) / 2),
    derivative=lambda u: LOG_2 - np.log1p(1 / u),
    conjugate=lambda t: -np.log(2 - np.exp(t)),
    end=LOG_2,
    activation=lambda v: LOG_2 + log_expit(v),
    raw=np.log,
    at_zero=LOG_2,
    slope=LOG_2,
    printed=lambda p, q: _twice_jensen_shannon(p, q) / 2,
    excess=_middle_excess,
)

GAN_DIVERGENCE = Divergence(
    key="gan",
    name="GAN",
    generator=lambda u: -u * np.log1p(1 / u) - np.log1p(u),
    derivative=lambda u: -np.log1p(1 / u),
    conjugate=lambda t: -np.log(-np.expm1(t)),
    end=0.0,
    activation=log_expit,
    raw=np.log,
    at_zero=0.0,
    slope=0.0,
    printed=lambda p, q: _twice_jensen_shannon(p, q) - 2 * LOG_2,
    excess=_middle_excess,
)

TABLE = {row.key: row for row in (KL, REVERSE_KL, PEARSON, HELLINGER, JENSEN_SHANNON, GAN_DIVERGENCE)}


def row(key: str) -> Divergence:
    """Return a row of the table.

    Raises:
        UserError: If there is none of this key.
    Example:
        >>> row("js").name
        'Jensen-Shannon'
    """
    if not isinstance(key, str) or key not in TABLE:
        raise unknown("f-divergence", key, TABLE)
    return TABLE[key]


def as_histogram(masses: ArrayLike, name: str = "pi") -> Floats:
    """Return masses as an array of double precision, shape (K,).

    A sum that differs from 1 by the rounding of single precision, at most 1e-6, is brought to 1.

    Raises:
        UserError: If the shape is another one, a mass is negative or not finite, or they do not add up to 1.
    """
    p = as_floats(masses, f"The histogram {name}", finite=False)
    if p.ndim != 1 or not p.size:
        raise UserError(f"The histogram {name} has shape {p.shape}; it needs one mass per bin, (K,), K at least 1.")
    if not np.isfinite(p).all() or (p < 0).any():
        raise UserError(f"The histogram {name} needs finite masses, none negative; its least is {p.min():g}.")
    with np.errstate(over="ignore"):
        total = float(p.sum())
    if abs(total - 1) > 1e-6:
        raise UserError(
            f"The masses of the histogram {name} add up to {total:.9g}, which differs from 1 by {total - 1:.3g}: "
            "divide them by their sum."
        )
    return p if abs(total - 1) <= 1e-9 else p / total


def as_pair(pi: ArrayLike, p: ArrayLike) -> tuple[Floats, Floats]:
    """Return two histograms on the same bins, each as `as_histogram` does.

    Raises:
        UserError: If one is no histogram, or the numbers of bins differ.
    """
    first, second = as_histogram(pi, "pi"), as_histogram(p, "p")
    if first.shape != second.shape:
        raise UserError(f"The histograms have {len(first)} and {len(second)} bins; both need the same bins.")
    return first, second


def random_pair(bins: int, generator: np.random.Generator, *, apart: float = 0.0) -> tuple[Floats, Floats]:
    """Draw two histograms without empty bins: normalised exponentials of standard normal numbers.

    Args:
        bins: K, at least 2.
        generator: Source of the normal numbers.
        apart: The least total variation between the two, from 0 to below 1; pairs that are nearer are drawn again.
    Returns:
        Two arrays of shape (K,).
    Raises:
        UserError: If there are fewer than two bins, a number is out of range, or a hundred pairs in a row were too
            near.
    Example:
        >>> pi, p = random_pair(4, np.random.default_rng(0))
        >>> round(float(pi.sum()), 12), bool((p > 0).all())
        (1.0, True)
    """
    as_count(bins, "bins", at_least=2)
    as_number(apart, "apart", at_least=0, below=1)
    if not isinstance(generator, np.random.Generator):
        raise UserError(f"The generator is {generator!r}; one of NumPy is needed: np.random.default_rng(0).")
    for _ in range(100):
        masses = np.exp(generator.standard_normal((2, bins)))
        pi, p = masses / masses.sum(1, keepdims=True)
        if total_variation(pi, p) >= apart:
            return pi, p
    raise UserError(f"No pair with a total variation of {apart} was drawn; ask for less.")


def total_variation(pi: ArrayLike, p: ArrayLike) -> float:
    r"""Return the largest difference of the two probabilities of an event, from 0 to 1.

    .. math:: TV(\pi, p) = \tfrac12 \sum_k |\pi_k - p_k|

    Args:
        pi, p: Masses of the same bins, shape (K,).
    Raises:
        UserError: If one is no histogram, or the numbers of bins differ.
    Example:
        >>> total_variation([1, 0], [0.5, 0.5])
        0.5
    """
    pi, p = as_pair(pi, p)
    return float(np.abs(pi - p).sum() / 2)


def divergence(row: Divergence, pi: ArrayLike, p: ArrayLike) -> float:
    r"""Return D_f(pi | p) of two histograms.

    .. math:: D_f(\pi \| p) = \sum_{p_k > 0} p_k\, f(\pi_k / p_k) + \Bigl(\lim_{u \to \infty} \frac{f(u)}{u}\Bigr)
              \sum_{p_k = 0} \pi_k

    As f may be replaced by f(u) - f'(1) (u - 1), which changes nothing in the sum, no term is below the value at equal
    distributions: the sum of the rest is not negative, and exact for distributions that nearly agree.

    Args:
        row: A row of the table, or any other record.
        pi, p: Masses of the same bins, shape (K,); bins may be empty.
    Returns:
        A number in nats (for Pearson and Hellinger, without unit), at least f(1), which may be infinite.
    Raises:
        UserError: If the row is no record, one is no histogram, or the numbers of bins differ.
    Source:
        WGAN lecture, slide on f-divergence, which leaves out the second sum.
    Example:
        >>> round(divergence(KL, [0.5, 0.5], [0.25, 0.75]), 9), divergence(HELLINGER, [1, 0], [0, 1])
        (0.143841036, 2.0)
    """
    _refuse_key(row)
    pi, p = as_pair(pi, p)
    one = np.ones(1)
    least, tilt = float(row.generator(one)[0]), float(row.derivative(one)[0])
    both = (pi > 0) & (p > 0)
    alone, missed = float(pi[p == 0].sum()), float(p[pi == 0].sum())
    value = float((row.excess or _excess_of(row))(pi[both], p[both]).sum())
    value += alone * (row.slope - tilt) if alone else 0.0
    value += missed * (row.at_zero - least + tilt) if missed else 0.0
    return least + value


def _refuse_key(row: Divergence) -> None:
    if not isinstance(row, Divergence):
        raise UserError(f"The row is {row!r}; a Divergence is needed, such as KL or row('kl').")


def _excess_of(row: Divergence) -> Callable[[Floats, Floats], Floats]:
    def excess(pi: Floats, p: Floats) -> Floats:
        one = np.ones(1)
        with np.errstate(over="ignore", invalid="ignore"):
            u = pi / p
            charge = p * (row.generator(u) - row.generator(one) - row.derivative(one) * (u - 1))
        # Where the ratio overflows, f has become its slope.
        return np.where(np.isinf(u), pi * (row.slope - row.derivative(one)), charge).clip(min=0)

    return excess


def kl(pi: ArrayLike, p: ArrayLike) -> float:
    r"""Return the Kullback-Leibler divergence KL(pi | p) of two histograms, in nats, from 0 to infinity.

    .. math:: KL(\pi \| p) = \sum_k \pi_k \log \frac{\pi_k}{p_k}

    A bin with pi = 0 counts 0, one with pi > 0 and p = 0 makes the sum infinite.

    Args:
        pi, p: Masses of the same bins, shape (K,).
    Raises:
        UserError: As for `divergence`.
    Source:
        WGAN lecture, slides "Wasserstein distance vs KL vs JSD" and "Divergences".
    Example:
        >>> round(kl([1, 0], [0.5, 0.5]), 6), kl([0.5, 0.5], [1, 0])
        (0.693147, inf)
    """
    return divergence(KL, pi, p)


def jsd(pi: ArrayLike, p: ArrayLike) -> float:
    r"""Return the Jensen-Shannon divergence of two histograms, in nats, from 0 to log 2: half the table's row.

    .. math:: JSD(\pi \| p) = \tfrac12 KL(\pi \| m) + \tfrac12 KL(p \| m), \qquad m = \tfrac12 (\pi + p)

    Args:
        pi, p: Masses of the same bins, shape (K,).
    Raises:
        UserError: As for `divergence`.
    Source:
        WGAN lecture, slide "Wasserstein distance vs KL vs JSD".
    Example:
        >>> jsd([0.3, 0.7], [0.3, 0.7]), round(jsd([1, 0], [0, 1]), 6)
        (0.0, 0.693147)
    """
    return min(divergence(JENSEN_SHANNON, pi, p) / 2, LOG_2)


def bound(row: Divergence, critic: ArrayLike, pi: ArrayLike, p: ArrayLike) -> float:
    r"""Return the variational bound of a critic on two histograms: at most D_f(pi | p).

    .. math:: \sum_k \pi_k\, T_k - \sum_k p_k\, f^*(T_k)

    Args:
        row: A row of the table.
        critic: T, one value for each bin, below the end of the conjugate's domain, shape (K,).
        pi, p: Masses, shape (K,).
    Raises:
        UserError: If the row is no record, one is no histogram, shapes differ, or a value is outside the domain.
    Source:
        WGAN lecture, slide on the variational f-divergence estimation.
    Example:
        >>> round(bound(KL, KL.derivative(np.array([2.0, 2 / 3])), [0.5, 0.5], [0.25, 0.75]), 9)
        0.143841036
    """
    _refuse_key(row)
    pi, p = as_pair(pi, p)
    t = as_floats(critic, "The critic", finite=False)
    if t.shape != pi.shape:
        raise UserError(f"The critic has shape {t.shape}; the histograms need one value for each of {len(pi)} bins.")
    if not (np.isfinite(t).all() and (t < row.end).all()):
        raise UserError(f"A critic for {row.name} needs finite values below {row.end:g}; its largest is {t.max():g}.")
    return float((pi * t - p * row.conjugate(t)).sum())


def jsd_of_value(value: ArrayLike) -> Floats:
    r"""Return the Jensen-Shannon divergence that a discriminator's value V amounts to, in nats.

    .. math:: \max_D V = 2 JSD - \log 4

    A discriminator that is not optimal has a lower value, so this is a lower bound (up to the noise of a batch).

    Example:
        >>> jsd_of_value([-np.log(4), 0.0]).round(4).tolist()
        [0.0, 0.6931]
    """
    return np.asarray(value, dtype=np.float64) / 2 + LOG_2
