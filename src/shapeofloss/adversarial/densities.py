"""f-divergences of normal distributions and their mixtures on the line: closed forms, and quadrature of densities.

A distribution is (m, sigma), or several of them for a mixture of equal parts, shape (K, 2).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike

from shapeofloss.adversarial.divergences import Divergence, row
from shapeofloss.adversarial.fgan import charge, reward
from shapeofloss.arrays import Floats, as_count, as_floats, as_number
from shapeofloss.distributions.gaussians import as_gaussian, kl_divergence
from shapeofloss.distributions.mixtures import as_parts, log_density
from shapeofloss.errors import UserError

LEFT = 1e-9  # the share of an integral that may be missing at an end


def _pearson(m1: float, s1: float, m2: float, s2: float) -> float:
    lost = (s2 - s1) / s2 * (1 + s1 / s2)  # 1 - (s1 / s2)^2
    if lost <= -1:
        return np.inf
    with np.errstate(over="ignore"):
        return float(np.expm1(-np.log1p(-(lost**2)) / 2 + ((m1 - m2) / s2) ** 2 / (1 + lost)))


def _hellinger(m1: float, s1: float, m2: float, s2: float) -> float:
    width = np.hypot(s1, s2)
    return float(-2 * np.expm1(np.log1p(-(((s1 - s2) / width) ** 2)) / 2 - ((m1 - m2) / width) ** 2 / 4))


_CLOSED: dict[str, Callable[[float, float, float, float], float]] = {
    "kl": kl_divergence,
    "reverse-kl": lambda m1, s1, m2, s2: kl_divergence(m2, s2, m1, s1),
    "pearson": _pearson,
    "hellinger": _hellinger,
}


def closed_form(key: str, first: ArrayLike, second: ArrayLike) -> float:
    r"""Return D_f of two normal distributions from its formula.

    .. math:: KL = \log\frac{s_2}{s_1} + \frac{s_1^2 + \delta^2}{2 s_2^2} - \frac12, \qquad
              \chi^2 = \frac{s_2^2}{s_1 \sqrt{2 s_2^2 - s_1^2}}\, e^{\delta^2 / (2 s_2^2 - s_1^2)} - 1, \qquad
              H^2 = 2 - 2 \sqrt{\frac{2 s_1 s_2}{s_1^2 + s_2^2}}\, e^{-\delta^2 / 4 (s_1^2 + s_2^2)}

    where delta is the difference of the means.

    Args:
        key: `kl`, `reverse-kl`, `pearson` or `hellinger`.
        first, second: (m, sigma) of pi and of p.
    Returns:
        A number, infinite for Pearson's row if the second one's tails are too light, 2 s_2^2 <= s_1^2.
    Raises:
        UserError: If a distribution is no Gaussian, or the row has no closed form.
    Example:
        >>> closed_form("kl", [0.0, 1.0], [1.0, 1.0])
        0.5
    """
    if row(key).key not in _CLOSED:
        raise UserError(
            f"The row {row(key).name} has no closed form for Gaussians; take quadrature, or {', '.join(_CLOSED)}."
        )
    pi, p = as_gaussian(first), as_gaussian(second)
    if pi.shape != (2,) or p.shape != (2,):
        raise UserError(f"The Gaussians have shapes {pi.shape} and {p.shape}; a formula needs (m, sigma) for each.")
    (m1, s1), (m2, s2) = pi, p
    return _CLOSED[key](m1, s1, m2, s2)


@dataclass(frozen=True, eq=False)
class Densities:
    """Two densities on nodes of the trapezoidal rule, which is exact to rounding for smooth integrands that die out.

    Attributes:
        x: Nodes, shape (Q,), equidistant.
        log_pi, log_p: Logarithms of the two densities, shape (Q,).
    """

    x: Floats
    log_pi: Floats
    log_p: Floats

    @property
    def ratio(self) -> Floats:
        """Return pi / p at the nodes."""
        return np.exp(self.log_pi - self.log_p)

    def integral(self, values: Floats) -> float:
        """Return the integral of values at the nodes.

        Raises:
            UserError: If it is not finite, has another shape, or has not died out at an end.
        """
        values = as_floats(values, "The integrand", shape=self.x.shape, finite=False)
        if not np.isfinite(values).all():
            raise UserError(
                "The integrand is not finite at every node: the two distributions are too far from each other."
            )
        ends = max(abs(values[0]), abs(values[-1])) * len(values)
        if ends > LEFT * np.abs(values).sum():
            raise UserError("The integral has not died out at the ends of the line: it may be infinite.")
        return float(values.sum() * (self.x[1] - self.x[0]))


def densities(pi: ArrayLike, p: ArrayLike, *, reach: float = 12.0, count: int = 4001) -> Densities:
    """Return two densities on nodes that go `reach` standard deviations beyond the outermost means.

    Raises:
        UserError: If a part of a distribution is no Gaussian, the reach is not above 0, or there are fewer than two
            nodes.
    Example:
        >>> both = densities([0.0, 1.0], [1.0, 2.0])
        >>> round(both.integral(np.exp(both.log_p)), 12)
        1.0
    """
    as_number(reach, "reach", above=0), as_count(count, "count", at_least=2)
    parts = np.concatenate([as_parts(part) for part in (pi, p)])
    x = np.linspace((parts[:, 0] - reach * parts[:, 1]).min(), (parts[:, 0] + reach * parts[:, 1]).max(), count)
    return Densities(x, log_density(x, pi), log_density(x, p))


def _refuse_other(both: Densities) -> None:
    if not isinstance(both, Densities):
        raise UserError(f"The densities are {both!r}; Densities are needed, as densities(pi, p) gives them.")


def quadrature(row: Divergence, both: Densities) -> float:
    r"""Return the integral of p f(pi / p).

    Args:
        row: A row of the table.
        both: pi and p on nodes.
    Returns:
        A number in nats (for Pearson and Hellinger, without unit), at least f(1).
    Raises:
        UserError: If the row is no record, or the integral may be infinite.
    Source:
        WGAN lecture, slide on f-divergence.
    Example:
        >>> from shapeofloss.adversarial.divergences import KL
        >>> round(quadrature(KL, densities([0.0, 1.0], [1.0, 1.0])), 12)
        0.5
    """
    if not isinstance(row, Divergence):
        raise UserError(f"The row is {row!r}; a Divergence is needed, such as KL or row('kl').")
    _refuse_other(both)
    with np.errstate(over="ignore", invalid="ignore"):
        value = both.integral(np.exp(both.log_p) * row.generator(both.ratio))
    return max(value, float(row.generator(np.ones(1))[0]))  # rounding may lead below, the sum itself cannot


def critic_bound(key: str, raw: ArrayLike, both: Densities) -> float:
    r"""Return the variational bound of a critic that is known at the nodes, by quadrature.

    .. math:: \int \pi(x)\, g(v(x)) - p(x)\, f^*(g(v(x)))\; dx

    Args:
        key: Key of the row.
        raw: The critic's raw outputs v at the nodes, shape (Q,).
        both: pi and p on nodes.
    Returns:
        At most D_f(pi | p), and possibly far below 0 or minus infinity.
    Raises:
        UserError: If there is no such row, or the shape is another one.
    Source:
        WGAN lecture, slide on the variational f-divergence estimation.
    Example:
        >>> both = densities([0.0, 1.0], [1.0, 1.0])
        >>> round(critic_bound("kl", np.log(both.ratio) + 1, both), 12)
        0.5
    """
    _refuse_other(both)
    v = torch.from_numpy(as_floats(raw, "The critic"))
    if v.shape != both.x.shape:
        raise UserError(f"The critic has shape {tuple(v.shape)}; it needs one value at each of {len(both.x)}.")
    with np.errstate(over="ignore"):
        values = np.exp(both.log_pi) * reward(key, v).numpy() - np.exp(both.log_p) * charge(key, v).numpy()
        return float(values.sum() * (both.x[1] - both.x[0]))
