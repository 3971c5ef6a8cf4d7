r"""The ELBO and its parts, where everything can be had to rounding: codes on a line by quadrature, and linear models.

A *code law* is (m, sigma), the normal law that an encoder gives to one data point; laws of n points have shape (n, 2).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize

from shapeofloss.adversarial.variational import line
from shapeofloss.arrays import Floats, as_floats, as_function, as_number
from shapeofloss.distributions.gaussians import as_gaussian
from shapeofloss.distributions.mixtures import log_density
from shapeofloss.errors import UserError

Reconstruction = Callable[[Floats], Floats]  # codes (n, Q), one row for each data point, to log p(x_i | z), (n, Q)

# In standard deviations of one code law: the trapezoidal rule on them is exact to rounding for smooth integrands.
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


def _code_laws(laws: ArrayLike) -> Floats:
    found = as_gaussian(as_floats(laws, "The table of code laws", finite=False))
    if found.ndim != 2 or not len(found):
        raise UserError(f"The code laws have shape {found.shape}; give one row (m, sigma) for each data point.")
    return found


def _known(reconstruction: Reconstruction, z: Floats) -> Floats:
    """Return log p(x | z), of the shape of the codes; minus infinity is a value."""
    given = as_function(reconstruction, "reconstruction", example="np.zeros_like")(z)
    found = as_floats(given, "What reconstruction gives", shape=z.shape, finite=False)
    if np.isnan(found).any() or (found == np.inf).any():
        raise UserError("What reconstruction gives holds NaN or infinity; a log-likelihood is needed for every code.")
    return found


def mean_elbo(laws: ArrayLike, reconstruction: Reconstruction, prior: ArrayLike) -> float:
    r"""Return the mean ELBO, each data point's by the trapezoidal rule on its own nodes.

    .. math:: \frac1n \sum_i \mathbb E_{q(z|x_i)} \bigl[\log p(x_i|z) + \log p(z) - \log q(z|x_i)\bigr]

    Args:
        laws: Of the codes, shape (n, 2).
        reconstruction: log p(x_i | z) in nats.
        prior: A normal law (m, sigma), or several for a mixture of equal parts, shape (K, 2).
    Returns:
        Nats.
    Raises:
        UserError: If a law is no Gaussian, there is none, or reconstruction gives no numbers.
    Source:
        WGAN lecture, slide "ELBO revisiting".
    Example:
        >>> mean_elbo([[0.0, 1.0]], np.zeros_like, [0.0, 1.0])
        0.0
    """
    m, sigma = np.moveaxis(_code_laws(laws), -1, 0)[..., None]
    z = m + sigma * NODES
    log_q = -(NODES**2) / 2 - np.log(sigma * np.sqrt(2 * np.pi))
    values = _known(reconstruction, z) + log_density(z, prior) - log_q
    weights = np.exp(-(NODES**2) / 2) * (NODES[1] - NODES[0]) / np.sqrt(2 * np.pi)
    return float((values @ weights).mean())


def parts(laws: ArrayLike, reconstruction: Reconstruction, prior: ArrayLike) -> Parts:
    r"""Return the three parts of the mean ELBO, each by a quadrature of its own.

    .. math:: MI = \frac1n \sum_i KL(q(z|x_i) \| q_{agg}) = H(q_{agg}) - \frac1n \sum_i H(q(z|x_i))

    Reconstruction by Gauss-Hermite; mutual information from entropies, that of a normal law in closed form and the
    aggregated posterior's on one line of nodes; KL on nodes that reach as far as the prior.

    Args:
        laws, reconstruction, prior: As for `mean_elbo`.
    Returns:
        Reconstruction, information and marginal KL, in nats.
    Raises:
        UserError: If a law is no Gaussian, or the KL may be infinite.
    Source:
        WGAN lecture, slide "ELBO revisiting"; the split is by Hoffman and Johnson (2016).
    Example:
        >>> parts([[-50.0, 1.0], [50.0, 1.0]], np.zeros_like, [[-50.0, 1.0], [50.0, 1.0]]).information.__round__(9)
        0.693147181
    """
    own = _code_laws(laws)
    m, sigma = own[:, :1], own[:, 1:]
    known = _known(reconstruction, m + sigma * HERMITE) @ HERMITE_WEIGHTS / HERMITE_WEIGHTS.sum()
    alone = line(own, own, reach=12.0, count=6001)
    entropy = -alone.integral(np.exp(alone.log_pi) * alone.log_pi)
    information = entropy - float(np.log(sigma * np.sqrt(2 * np.pi * np.e)).mean())
    information = min(max(information, 0.0), float(np.log(len(own))))  # where it is but for rounding
    both = line(own, prior, reach=12.0, count=8001)
    marginal = max(both.integral(np.exp(both.log_pi) * (both.log_pi - both.log_p)), 0.0)
    return Parts(float(known.mean()), information, marginal)


def best_gaussian_prior(laws: ArrayLike, reconstruction: Reconstruction) -> Floats:
    """Return (m, sigma) of the normal prior with the highest mean ELBO, found from values of the ELBO alone.

    Args:
        laws, reconstruction: As for `mean_elbo`.
    Returns:
        Shape (2,).
    Raises:
        UserError: If a law is no Gaussian.
    Source:
        WGAN lecture, slide "ELBO revisiting": fitting the prior is a forward KL fit.
    Example:
        >>> best_gaussian_prior([[3.0, 2.0]], np.zeros_like).round(6)
        array([3., 2.])
    """
    own = _code_laws(laws)

    def lost(place: Floats) -> float:
        return -mean_elbo(own, reconstruction, [place[0], np.exp(place[1])])

    start = [own[:, 0].mean(), np.log(np.hypot(own[:, 0].std(), own[:, 1].max()))]
    found = minimize(lost, start, method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-9})
    # Values are flat to rounding within 1e-8 of the minimum: vertices of parabolas through wider values come closer.
    return _vertex(lost, found.x)


def _vertex(function: Callable[[Floats], float], place: Floats, width: float = 1e-3) -> Floats:
    """Return (m, exp(log sigma)) where central differences put the vertex, coordinate by coordinate, thrice."""
    for _ in range(3):
        for k in range(2):
            step = width * np.eye(2)[k]
            f = np.array([function(place + n * step) for n in (-2, -1, 0, 1, 2)])
            slope = (f[0] - 8 * f[1] + 8 * f[3] - f[4]) / 12
            curve = (-f[0] + 16 * f[1] - 30 * f[2] + 16 * f[3] - f[4]) / 12
            place = place - slope / curve * step
    return np.array([place[0], np.exp(place[1])])


def gaussian_kl(m: Floats, S: Floats, other_m: Floats, other_S: Floats) -> float:
    r"""Return the KL divergence from N(m, S) to N(m', S'), in nats.

    .. math:: \tfrac12 \bigl(\mathrm{tr}(S'^{-1} S) + (m' - m)^T S'^{-1} (m' - m) - d + \log\det S' - \log\det S\bigr)

    Args:
        m, other_m: Means, shape (d,).
        S, other_S: Covariances, shape (d, d), symmetric with eigenvalues above 0.
    Returns:
        A number from 0.
    Raises:
        UserError: If a shape is another one, or a covariance is none.
    Example:
        >>> gaussian_kl(np.zeros(1), np.eye(1), np.ones(1), np.eye(1))
        0.5
    """
    m = as_floats(m, "m", shape=("d",), empty=False)
    other_m = as_floats(other_m, "other_m", shape=m.shape)
    S, other_S = _covariance(S, "S", len(m)), _covariance(other_S, "other_S", len(m))
    shift, inverse = other_m - m, np.linalg.inv(other_S)
    logs = np.linalg.slogdet(other_S)[1] - np.linalg.slogdet(S)[1]
    return max(float((np.trace(inverse @ S) + shift @ inverse @ shift - len(m) + logs) / 2), 0.0)


def _covariance(S: ArrayLike, name: str, dimension: int) -> Floats:
    """Return the covariance of a law that has a density."""
    found = as_floats(S, name, shape=(dimension, dimension))
    if not np.abs(found - found.T).max() <= 1e-9 * np.abs(found).max() or not np.linalg.eigvalsh(found)[0] > 0:
        raise UserError(
            f"{name} is no covariance of a law with a density: it has to be symmetric, eigenvalues above 0."
        )
    return found


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
        """Return mean, shape (d,), and covariance, shape (d, d), of z given x, shape (D,)."""
        S = np.linalg.inv(np.eye(self.W.shape[1]) + self.W.T @ self.W / self.sigma**2)
        return S @ self.W.T @ (x - self.b) / self.sigma**2, S.astype(np.float64)

    def elbo(self, x: Floats, m: Floats, S: Floats) -> float:
        r"""Return the ELBO of the code law N(m, S) for one data point, in closed form, nats.

        .. math:: -\frac{|x - W m - b|^2 + \mathrm{tr}(W S W^T)}{2 \sigma^2} - \frac D2 \log 2 \pi \sigma^2
                  - KL(N(m, S) \| N(0, I))

        Example:
            >>> model = LinearGaussian(np.ones((1, 1)), np.zeros(1), 1.0)
            >>> round(model.elbo(np.zeros(1), *model.posterior(np.zeros(1))), 9)  # log N(0; 0, 2)
            -1.265512123
        """
        rest = x - self.W @ m - self.b
        spread = rest @ rest + np.trace(self.W @ S @ self.W.T)
        known = -spread / (2 * self.sigma**2) - len(x) / 2 * np.log(2 * np.pi * self.sigma**2)
        return float(known - gaussian_kl(m, S, np.zeros(len(m)), np.eye(len(m))))
