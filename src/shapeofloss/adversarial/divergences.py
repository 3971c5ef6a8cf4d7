r"""The table of f-divergences as data: one record for each row, its conjugate, its best critic and its activation.

.. math:: D_f(\pi \| p) = \int p(x)\, f\Bigl(\frac{\pi(x)}{p(x)}\Bigr)\, dx, \qquad
          f^*(t) = \sup_{u \ge 0}\, (u t - f(u))

Everything here is NumPy in double precision. What a network is trained with lives in `variational` and `fgan`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import xlogy

from shapeofloss.errors import UserError, unknown
from shapeofloss.transport.clouds import Floats

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


def _same(v: Floats) -> Floats:
    return v


def _softplus(v: Floats) -> Floats:
    return np.logaddexp(0, v)


def _twice_jensen_shannon(p: Floats, q: Floats) -> float:
    return float((xlogy(p, 2 * p / (p + q)) + xlogy(q, 2 * q / (p + q))).sum())


KL = Divergence(
    key="kl",
    name="Kullback-Leibler",
    generator=lambda u: xlogy(u, u),
    derivative=lambda u: np.log(u) + 1,
    conjugate=lambda t: np.exp(t - 1),
    end=np.inf,
    activation=_same,
    raw=lambda u: np.log(u) + 1,
    at_zero=0.0,
    slope=np.inf,
    printed=lambda p, q: float(xlogy(p, p / q).sum()),
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
    printed=lambda p, q: float(xlogy(q, q / p).sum()),
)

PEARSON = Divergence(
    key="pearson",
    name="Pearson chi^2",
    generator=lambda u: (u - 1) ** 2,
    derivative=lambda u: 2 * (u - 1),
    # below t = -2 the supremum is at u = 0, the end of what a ratio can be
    conjugate=lambda t: np.where(t >= -2, t**2 / 4 + t, -1.0),
    end=np.inf,
    activation=_same,
    raw=lambda u: 2 * (u - 1),
    at_zero=1.0,
    slope=np.inf,
    printed=lambda p, q: float(((q - p) ** 2 / p).sum()),
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
)

JENSEN_SHANNON = Divergence(
    key="js",
    name="Jensen-Shannon",
    generator=lambda u: xlogy(u, u) - (u + 1) * np.log((u + 1) / 2),
    derivative=lambda u: LOG_2 - np.log1p(1 / u),
    conjugate=lambda t: -np.log(2 - np.exp(t)),
    end=LOG_2,
    activation=lambda v: LOG_2 - _softplus(-v),
    raw=np.log,
    at_zero=LOG_2,
    slope=LOG_2,
    printed=lambda p, q: _twice_jensen_shannon(p, q) / 2,
)

GAN = Divergence(
    key="gan",
    name="GAN",
    generator=lambda u: -u * np.log1p(1 / u) - np.log1p(u),
    derivative=lambda u: -np.log1p(1 / u),
    conjugate=lambda t: -np.log(-np.expm1(t)),
    end=0.0,
    activation=lambda v: -_softplus(-v),
    raw=np.log,
    at_zero=0.0,
    slope=0.0,
    printed=lambda p, q: _twice_jensen_shannon(p, q) - 2 * LOG_2,
)

TABLE = {row.key: row for row in (KL, REVERSE_KL, PEARSON, HELLINGER, JENSEN_SHANNON, GAN)}


def row(key: str) -> Divergence:
    """Return a row of the table.

    Raises:
        UserError: If there is none of this key.
    Example:
        >>> row("js").name
        'Jensen-Shannon'
    """
    if key not in TABLE:
        raise unknown("f-divergence", key, TABLE)
    return TABLE[key]


def as_histogram(masses: ArrayLike, name: str = "pi") -> Floats:
    """Return masses as an array of double precision, shape (K,).

    Raises:
        UserError: If the shape is another one, a mass is negative or not finite, or they do not add up to 1.
    """
    p = np.asarray(masses, dtype=np.float64)
    if p.ndim != 1 or not p.size:
        raise UserError(f"The histogram {name} has shape {p.shape}; it needs one mass per bin, (K,), K at least 1.")
    if not np.isfinite(p).all() or (p < 0).any() or abs(p.sum() - 1) > 1e-9:
        raise UserError(f"The histogram {name} needs finite masses, none negative, that add up to 1.")
    return p


def _pair(pi: ArrayLike, p: ArrayLike) -> tuple[Floats, Floats]:
    first, second = as_histogram(pi, "pi"), as_histogram(p, "p")
    if first.shape != second.shape:
        raise UserError(f"The histograms have {len(first)} and {len(second)} bins; both need the same bins.")
    return first, second


def random_pair(
    bins: int, generator: np.random.Generator, *, spread: float = 1.0, apart: float = 0.0
) -> tuple[Floats, Floats]:
    """Draw two histograms without empty bins: normalised exponentials of normal numbers.

    Args:
        bins: K, at least 2.
        generator: Of the normal numbers.
        spread: Their standard deviation, above 0.
        apart: The least total variation between the two, from 0 to below 1; pairs that are nearer are drawn again.
    Returns:
        Two arrays of shape (K,).
    Raises:
        UserError: If there are fewer than two bins, or a hundred pairs in a row were too near.
    Example:
        >>> pi, p = random_pair(4, np.random.default_rng(0))
        >>> round(float(pi.sum()), 12), bool((p > 0).all())
        (1.0, True)
    """
    if bins < 2:
        raise UserError(f"A histogram of {bins} bins cannot differ from another; take at least 2.")
    for _ in range(100):
        masses = np.exp(spread * generator.standard_normal((2, bins)))
        pi, p = masses / masses.sum(1, keepdims=True)
        if total_variation(pi, p) >= apart:
            return pi, p
    raise UserError(f"No pair with a total variation of {apart} was drawn; ask for less, or a spread above {spread}.")


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
    pi, p = _pair(pi, p)
    return float(np.abs(pi - p).sum() / 2)


def divergence(row: Divergence, pi: ArrayLike, p: ArrayLike) -> float:
    r"""Return D_f(pi | p) of two histograms.

    .. math:: D_f(\pi \| p) = \sum_{p_k > 0} p_k\, f(\pi_k / p_k) + \Bigl(\lim_{u \to \infty} \frac{f(u)}{u}\Bigr)
              \sum_{p_k = 0} \pi_k

    Args:
        row: Of the table, or any other record.
        pi, p: Masses of the same bins, shape (K,); bins may be empty.
    Returns:
        A number in nats (for Pearson and Hellinger, without unit), which may be infinite.
    Raises:
        UserError: If one is no histogram, or the numbers of bins differ.
    Source:
        WGAN lecture, slide on f-divergence, which leaves out the second sum.
    Example:
        >>> round(divergence(KL, [0.5, 0.5], [0.25, 0.75]), 9), divergence(HELLINGER, [1, 0], [0, 1])
        (0.143841036, 2.0)
    """
    pi, p = _pair(pi, p)
    both = (pi > 0) & (p > 0)
    value = float((p[both] * row.generator(pi[both] / p[both])).sum())
    alone, missed = float(pi[p == 0].sum()), float(p[pi == 0].sum())
    return value + (alone * row.slope if alone else 0.0) + (missed * row.at_zero if missed else 0.0)


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
    return divergence(JENSEN_SHANNON, pi, p) / 2


def bound(row: Divergence, critic: ArrayLike, pi: ArrayLike, p: ArrayLike) -> float:
    r"""Return the variational bound of a critic on two histograms: at most D_f(pi | p).

    .. math:: \sum_k \pi_k\, T_k - \sum_k p_k\, f^*(T_k)

    Args:
        row: Of the table.
        critic: T, one value for each bin, below the end of the conjugate's domain, shape (K,).
        pi, p: Masses, shape (K,).
    Raises:
        UserError: If one is no histogram, shapes differ, or a value is outside the domain.
    Source:
        WGAN lecture, slide on the variational f-divergence estimation.
    Example:
        >>> round(bound(KL, KL.derivative(np.array([2.0, 2 / 3])), [0.5, 0.5], [0.25, 0.75]), 9)
        0.143841036
    """
    pi, p = _pair(pi, p)
    t = np.asarray(critic, dtype=np.float64)
    if t.shape != pi.shape:
        raise UserError(f"The critic has shape {t.shape}; the histograms need one value for each of {len(pi)} bins.")
    if not (np.isfinite(t).all() and (t < row.end).all()):
        raise UserError(f"A critic for {row.name} needs finite values below {row.end:g}; its largest is {t.max():g}.")
    return float((pi * t - p * row.conjugate(t)).sum())


def supremum(
    objective: Function, low: float, high: float, *, count: int = 1, points: int = 101
) -> tuple[Floats, Floats]:
    """Return the place and the value of the largest number of functions that rise and then fall, by zooming in.

    Args:
        objective: From places, shape (count, points), to values of the same shape; one function for each row.
        low, high: Where to look.
        count: Number of functions.
        points: Of the grid, whose best point and its two neighbours bound the next grid.
    Returns:
        Places and values, both of shape (count,). A supremum at an end is not reached, but neared.
    Example:
        >>> place, value = supremum(lambda s: 3 - (s - 0.25) ** 2, -5, 5)
        >>> round(float(place[0]), 6), float(value[0])
        (0.25, 3.0)
    """
    left, right = np.full(count, float(low)), np.full(count, float(high))
    rows = np.arange(count)
    rounds = int(np.ceil(np.log(1e-13) / np.log(2 / (points - 1))))
    best_place, best = left, np.full(count, -np.inf)
    with np.errstate(over="ignore"):  # far from the best place, values may be minus infinity
        for _ in range(rounds):
            places = np.linspace(left, right, points, axis=1)
            values = objective(places)
            k = values.argmax(1)
            better = values[rows, k] > best
            best_place, best = np.where(better, places[rows, k], best_place), np.maximum(best, values[rows, k])
            left, right = places[rows, np.maximum(k - 1, 0)], places[rows, np.minimum(k + 1, points - 1)]
    return best_place, best


def numerical_conjugate(generator: Function, t: ArrayLike, *, at_zero: float) -> Floats:
    r"""Return sup over u >= 0 of u t - f(u), numerically, without knowing more of f than its values.

    Args:
        generator: f at u > 0, convex.
        t: Any shape.
        at_zero: f(0).
    Returns:
        The shape of t; a very large number where the supremum is infinite.
    Source:
        WGAN lecture, slide on the Fenchel conjugate.
    Example:
        >>> numerical_conjugate(PEARSON.generator, [-3.0, 2.0], at_zero=1.0).round(9)
        array([-1.,  3.])
    """
    t = np.asarray(t, dtype=np.float64)
    flat = t.reshape(-1, 1)
    _, value = supremum(lambda s: np.exp(s) * flat - generator(np.exp(s)), -30, 30, count=flat.size)
    return np.maximum(value, -at_zero).reshape(t.shape)


def numerical_biconjugate(conjugate: Function, u: ArrayLike, *, end: float) -> Floats:
    """Return sup over t < end of u t - f*(t), numerically: f itself, where f is convex and lower semicontinuous.

    Args:
        conjugate: f* at t < end.
        u: Ratios, at least 0, any shape.
        end: The upper end of the conjugate's domain, or infinity.
    Returns:
        The shape of u.
    Source:
        WGAN lecture, slide on the Fenchel conjugate.
    Example:
        >>> numerical_biconjugate(KL.conjugate, [1.0, np.e], end=np.inf).round(9) + 0.0
        array([0.        , 2.71828183])
    """
    u = np.asarray(u, dtype=np.float64)
    flat = u.reshape(-1, 1)

    def place(s: Floats) -> Floats:
        return np.sinh(s) if np.isinf(end) else end - np.exp(-s)  # increasing, from far below to the end

    _, value = supremum(
        lambda s: flat * place(s) - conjugate(place(s)), -12, 12 if np.isinf(end) else 30, count=flat.size
    )
    return value.reshape(u.shape)
