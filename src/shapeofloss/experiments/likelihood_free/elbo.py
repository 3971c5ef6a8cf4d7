r"""The ELBO and its parts, where everything can be had to rounding: codes on a line by quadrature, and linear models.

A *code distribution* is (m, sigma), the normal distribution of codes that an encoder gives to one data point; those of
n points have shape (n, 2).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize

from shapeofloss.adversarial.densities import densities
from shapeofloss.arrays import Floats, as_floats, as_function, as_number
from shapeofloss.distributions.gaussians import as_gaussian, kl_divergence
from shapeofloss.distributions.mixtures import log_density
from shapeofloss.errors import UserError

Reconstruction = Callable[[Floats], Floats]  # codes (n, Q), one row for each data point, to log p(x_i | z), (n, Q)

# In standard deviations of one code distribution: the trapezoidal rule is exact to rounding for smooth integrands.
NODES = np.linspace(-12, 12, 961)
# Gauss-Hermite, which is exact for polynomials: another rule for the other side of the equation.
HERMITE, HERMITE_WEIGHTS = np.polynomial.hermite_e.hermegauss(120)


class Parts(NamedTuple):
    """The parts of the mean ELBO, in nats.

    Attributes:
        reconstruction: The mean of log p(x | z) over data and their codes.
        information: Mutual information of a data point's number and its code, from 0 to log n.
        marginal: KL divergence from the aggregated posterior to the prior.
    """

    reconstruction: float
    information: float
    marginal: float

    @property
    def elbo(self) -> float:
        """Return reconstruction - information - marginal."""
        return self.reconstruction - self.information - self.marginal


def _as_codes(codes: ArrayLike) -> Floats:
    rows = as_gaussian(as_floats(codes, "The table of code distributions", finite=False))
    if rows.ndim != 2 or not len(rows):
        raise UserError(f"The code distributions have shape {rows.shape}; give a row (m, sigma) for each data point.")
    return rows


def _known(reconstruction: Reconstruction, z: Floats) -> Floats:
    """Return log p(x | z), of the shape of the codes; minus infinity is a value."""
    given = as_function(reconstruction, "reconstruction", example="np.zeros_like")(z)
    values = as_floats(given, "What reconstruction gives", shape=z.shape, finite=False)
    if np.isnan(values).any() or (values == np.inf).any():
        raise UserError("What reconstruction gives holds NaN or infinity; a log-likelihood is needed for every code.")
    return values


def mean_elbo(codes: ArrayLike, reconstruction: Reconstruction, prior: ArrayLike) -> float:
    r"""Return the mean ELBO, each data point's by the trapezoidal rule on its own nodes.

    .. math:: \frac1n \sum_i \mathbb E_{q(z|x_i)} \bigl[\log p(x_i|z) + \log p(z) - \log q(z|x_i)\bigr]

    Args:
        codes: (m, sigma) of the codes of each data point, shape (n, 2).
        reconstruction: log p(x_i | z) in nats.
        prior: A normal distribution (m, sigma), or several for a mixture of equal parts, shape (K, 2).
    Returns:
        Nats.
    Raises:
        UserError: If a distribution is no Gaussian, there is none, or reconstruction gives no numbers.
    Source:
        WGAN lecture, slide "ELBO revisiting".
    Example:
        >>> mean_elbo([[0.0, 1.0]], np.zeros_like, [0.0, 1.0])
        0.0
    """
    m, sigma = np.moveaxis(_as_codes(codes), -1, 0)[..., None]
    z = m + sigma * NODES
    log_q = -(NODES**2) / 2 - np.log(sigma * np.sqrt(2 * np.pi))
    values = _known(reconstruction, z) + log_density(z, prior) - log_q
    weights = np.exp(-(NODES**2) / 2) * (NODES[1] - NODES[0]) / np.sqrt(2 * np.pi)
    return float((values @ weights).mean())


def parts(codes: ArrayLike, reconstruction: Reconstruction, prior: ArrayLike) -> Parts:
    r"""Return the three parts of the mean ELBO, each by a quadrature of its own.

    .. math:: MI = \frac1n \sum_i KL(q(z|x_i) \| q_{agg}) = H(q_{agg}) - \frac1n \sum_i H(q(z|x_i))

    Reconstruction by Gauss-Hermite; mutual information from entropies, that of a Gaussian in closed form and the
    aggregated posterior's on one line of nodes; KL on nodes that reach as far as the prior.

    Args:
        codes, reconstruction, prior: As for `mean_elbo`.
    Returns:
        Reconstruction, information and marginal KL, in nats.
    Raises:
        UserError: If a distribution is no Gaussian, or the KL may be infinite.
    Source:
        WGAN lecture, slide "ELBO revisiting"; the split is by Hoffman and Johnson (2016).
    Example:
        >>> apart = [[-50.0, 1.0], [50.0, 1.0]]
        >>> round(parts(apart, np.zeros_like, prior=apart).information, 9)  # log 2
        0.693147181
    """
    rows = _as_codes(codes)
    m, sigma = rows[:, :1], rows[:, 1:]
    known = _known(reconstruction, m + sigma * HERMITE) @ HERMITE_WEIGHTS / HERMITE_WEIGHTS.sum()
    alone = densities(rows, rows, reach=12.0, count=6001)
    entropy = -alone.integral(np.exp(alone.log_pi) * alone.log_pi)
    information = entropy - float(np.log(sigma * np.sqrt(2 * np.pi * np.e)).mean())
    information = min(max(information, 0.0), float(np.log(len(rows))))  # where it is but for rounding
    both = densities(rows, prior, reach=12.0, count=8001)
    marginal = max(both.integral(np.exp(both.log_pi) * (both.log_pi - both.log_p)), 0.0)
    return Parts(float(known.mean()), information, marginal)


def best_gaussian_prior(codes: ArrayLike, reconstruction: Reconstruction) -> Floats:
    """Return (m, sigma) of the normal prior with the highest mean ELBO, found from values of the ELBO alone.

    Args:
        codes, reconstruction: As for `mean_elbo`.
    Returns:
        Shape (2,).
    Raises:
        UserError: If a distribution is no Gaussian.
    Source:
        WGAN lecture, slide "ELBO revisiting": fitting the prior is a forward KL fit.
    Example:
        >>> best_gaussian_prior([[3.0, 2.0]], np.zeros_like).round(6)
        array([3., 2.])
    """
    m, sigma = _as_codes(codes).T

    def lost(place: Floats) -> float:
        return -mean_elbo(codes, reconstruction, [place[0], np.exp(place[1])])

    start = [m.mean(), np.log(np.hypot(m.std(), sigma.max()))]
    place = minimize(lost, start, jac="3-point", options={"gtol": 1e-9}).x
    return np.array([place[0], np.exp(place[1])])


@dataclass(frozen=True, eq=False)
class LinearGaussian:
    """The latent-variable model whose likelihood is known: z ~ N(0, I), x = W z + b + sigma noise.

    Attributes:
        W: Shape (D, d).
        b: Shape (D,).
        sigma: Standard deviation of each coordinate's noise, above 0.

    Raises:
        UserError: If a shape is another one, or sigma is not above 0.
    """

    W: Floats
    b: Floats
    sigma: float

    def __post_init__(self) -> None:
        W = as_floats(self.W, "W", shape=("D", "d"), empty=False)
        as_floats(self.b, "b", shape=(len(W),)), as_number(self.sigma, "sigma", above=0)

    def evidence(self) -> tuple[Floats, Floats]:
        """Return mean and covariance of x: b and W W^T + sigma^2 I."""
        return self.b, self.W @ self.W.T + self.sigma**2 * np.eye(len(self.b))

    def posterior(self, x: Floats) -> tuple[Floats, Floats]:
        """Return mean, shape (d,), and Cholesky factor of the covariance, shape (d, d), of z given x, shape (D,)."""
        S = np.linalg.inv(np.eye(self.W.shape[1]) + self.W.T @ self.W / self.sigma**2)
        return S @ self.W.T @ (x - self.b) / self.sigma**2, np.linalg.cholesky(S).astype(np.float64)

    def elbo(self, x: Floats, m: Floats, L: Floats) -> float:
        r"""Return the ELBO of the code distribution N(m, L L^T) for one data point, in closed form, nats.

        .. math:: -\frac{|x - W m - b|^2 + |W L|_F^2}{2 \sigma^2} - \frac D2 \log 2 \pi \sigma^2
                  - KL(N(m, L L^T) \| N(0, I))

        Example:
            >>> model = LinearGaussian(np.ones((1, 1)), np.zeros(1), 1.0)
            >>> round(model.elbo(np.zeros(1), *model.posterior(np.zeros(1))), 9)  # log N(0; 0, 2)
            -1.265512123
        """
        spread = np.sum((x - self.W @ m - self.b) ** 2) + np.sum((self.W @ L) ** 2)
        known = -spread / (2 * self.sigma**2) - len(x) / 2 * np.log(2 * np.pi * self.sigma**2)
        return float(known - kl_divergence(m, L, np.zeros(len(m)), np.eye(len(m))))
