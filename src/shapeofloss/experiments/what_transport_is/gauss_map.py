r"""The Gauss map: what a geometry of probability distributions is on the half-plane of (m, sigma).

A Gaussian of the line is a point (m, sigma), sigma > 0. Fisher-Rao and Wasserstein-2 make two different planes of it.
Each is here twice: as a closed form, and by quadrature and differential equations that do not know it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import Legendre
from numpy.typing import ArrayLike
from scipy.optimize import least_squares

from shapeofloss.arrays import Floats, as_count, as_floats, as_number
from shapeofloss.distributions.gaussians import as_gaussian, as_one_gaussian, density
from shapeofloss.errors import UserError

Metric = Callable[[Floats], Floats]  # points (..., 2) to symmetric matrices (..., 2, 2)

STANDARD = np.linspace(-10, 10, 81)  # nodes in standard deviations: the trapezoidal rule is exact to rounding


def fisher_information(point: ArrayLike) -> Floats:
    r"""Return the Fisher information, by quadrature: the metric tensor of Fisher-Rao in (m, sigma).

    .. math:: I_{kl} = \int \partial_k \log\rho\; \partial_l \log\rho\; \rho\; dx

    Args:
        point: (m, sigma), shape (..., 2).
    Returns:
        Shape (..., 2, 2), per square of the unit of x.
    Raises:
        UserError: If a point is no Gaussian.
    Source:
        Optimal transport talk, slide on the Gauss map.
    Example:
        >>> fisher_information([0.0, 2.0]).round(12) + 0.0
        array([[0.25, 0.  ],
               [0.  , 0.5 ]])
    """
    p = as_gaussian(point)
    m, sigma = p[..., :1], p[..., 1:]
    x = m + sigma * STANDARD
    score = np.stack([(x - m) / sigma**2, ((x - m) ** 2 - sigma**2) / sigma**3], axis=-1)
    weights = density(x, p[..., None, :]) * sigma * (STANDARD[1] - STANDARD[0])
    return np.einsum("...q,...qk,...ql->...kl", weights, score, score)


def poincare(point: ArrayLike) -> Floats:
    """Return the metric tensor (dm^2 + dsigma^2) / sigma^2 of the hyperbolic half-plane, shape (..., 2, 2)."""
    return np.eye(2) / as_gaussian(point)[..., 1, None, None] ** 2


def relative_entropy(first: ArrayLike, second: ArrayLike) -> float:
    """Return KL(first | second), the integral of log(first / second) over the first, by quadrature, in nats.

    It is never negative, and rounding does not make it so.

    Example:
        >>> round(relative_entropy([0.0, 1.0], [1.0, 1.0]), 12)
        0.5
    """
    (m1, s1), (m2, s2) = as_one_gaussian(first), as_one_gaussian(second)
    x = m1 + s1 * STANDARD
    log_ratio = np.log(s2 / s1) + ((x - m2) / s2) ** 2 / 2 - ((x - m1) / s1) ** 2 / 2
    return max(float((log_ratio * density(x, first)).sum() * s1 * (STANDARD[1] - STANDARD[0])), 0.0)


def fisher_rao_distance(first: ArrayLike, second: ArrayLike) -> float:
    r"""Return the Fisher-Rao distance of two Gaussians, a number without unit.

    .. math:: \sqrt2\,\mathrm{arccosh}\Bigl(1 + \frac{(m_1 - m_2)^2 / 2 + (\sigma_1 - \sigma_2)^2}{2 \sigma_1
    \sigma_2}\Bigr)

    Raises:
        UserError: If a point is no Gaussian.
    Source:
        Optimal transport talk, slide on the Gauss map, whose half-plane has coordinates (m / sqrt(2), sigma) here.
    Example:
        >>> round(fisher_rao_distance([0.0, 1.0], [0.0, np.e]), 12)
        1.414213562373
    """
    (m1, s1), (m2, s2) = as_one_gaussian(first), as_one_gaussian(second)
    # arccosh(1 + 2 h^2) = 2 arcsinh(h), without the cancellation for near points
    return float(2 * np.sqrt(2) * np.arcsinh(np.sqrt(((m1 - m2) ** 2 / 2 + (s1 - s2) ** 2) / (4 * s1 * s2))))


def fisher_rao_path(first: ArrayLike, second: ArrayLike, times: ArrayLike) -> Floats:
    """Return points of the Fisher-Rao geodesic at constant speed: half a circle in (m / sqrt(2), sigma).

    Args:
        first, second: (m, sigma) at the times 0 and 1.
        times: Shape (T,), from 0 to 1.
    Returns:
        (m, sigma), shape (T, 2).
    Raises:
        UserError: If a point is no Gaussian.
    Example:
        >>> round(float(fisher_rao_path([-1.0, 1.0], [1.0, 1.0], [0.5])[0, 1]) ** 2, 12)  # s^2 + a^2 / 2
        1.5
    """
    (m1, s1), (m2, s2) = as_one_gaussian(first), as_one_gaussian(second)
    t = as_floats(times, "The array of times", shape=("T",))
    if m1 == m2:
        return np.stack([np.full_like(t, m1), s1 ** (1 - t) * s2**t], axis=-1)
    x1, x2 = m1 / np.sqrt(2), m2 / np.sqrt(2)
    middle = (x1 + x2) / 2 + (s2**2 - s1**2) / (2 * (x2 - x1))  # the centre is on the axis sigma = 0
    radius = np.hypot(x1 - middle, s1)
    # On the circle x = middle + radius tanh(u), sigma = radius / cosh(u), where u is the hyperbolic length.
    u1, u2 = np.arcsinh((x1 - middle) / s1), np.arcsinh((x2 - middle) / s2)
    u = (1 - t) * u1 + t * u2
    along = s1 * np.sinh(u - u1) / np.cosh(u)  # radius (tanh(u) - tanh(u1)), exact where the circle is nearly a line
    return np.stack([m1 + np.sqrt(2) * along, radius / np.cosh(u)], axis=-1)


def wasserstein_distance(first: ArrayLike, second: ArrayLike) -> float:
    """Return the Wasserstein-2 distance of two Gaussians, sqrt((m1 - m2)^2 + (sigma1 - sigma2)^2), in units of x.

    Example:
        >>> wasserstein_distance([0.0, 1.0], [3.0, 5.0])
        5.0
    """
    return float(np.hypot(*(as_one_gaussian(first) - as_one_gaussian(second))))


@dataclass(frozen=True)
class Geodesic:
    """A shortest path that was found numerically.

    Attributes:
        times: From 0 to 1, shape (T,).
        points: (m, sigma) at constant speed, shape (T, 2).
        length: The integral of the speed, which the metric gives.
    """

    times: Floats
    points: Floats
    length: float


def geodesic(metric: Metric, first: ArrayLike, second: ArrayLike, *, degree: int = 20, count: int = 201) -> Geodesic:
    r"""Find the shortest path between two points for any metric of the half-plane, by making its energy least.

    .. math:: E(x) = \int_0^1 \dot x^\top g(x)\, \dot x\; dt, \qquad
              (m, \log\sigma)(t) = \text{segment} + t (1 - t)\, \text{polynomial}(t)

    The path of least energy is the shortest one, and goes at constant speed. The logarithm keeps sigma above 0.

    Args:
        metric: From points (..., 2) to metric tensors (..., 2, 2).
        first, second: (m, sigma).
        degree: Degree of the path in t, at least 2.
        count: Number of times, at least 2.
    Raises:
        UserError: If a point is no Gaussian, a number is none of the above, or the least energy was not reached: a
            higher degree may help.
    Example:
        >>> round(geodesic(poincare, [0.0, 1.0], [0.0, np.e]).length, 9)
        1.0
    """
    p, q = as_one_gaussian(first), as_one_gaussian(second)
    degree, count = as_count(degree, "degree", at_least=2), as_count(count, "count", at_least=2)
    start = np.array([p[0], np.log(p[1])])
    whole = np.array([q[0], np.log(q[1])]) - start
    # Integrals of the Legendre polynomials of degree 1, 2, ...: zero at both ends, with orthonormal derivatives.
    orders = range(1, degree)
    derivatives = [np.sqrt(2 * k + 1) * Legendre.basis(k, domain=[0, 1]) for k in orders]
    bumps = [derivative.integ(lbnd=0) for derivative in derivatives]

    def path(c: Floats, line: Floats, values: Floats) -> Floats:
        m, log_sigma = (line + values @ c.reshape(-1, 2)).T
        return np.stack([m, np.exp(log_sigma)], axis=-1)

    nodes, weights = np.polynomial.legendre.leggauss(2 * degree)
    t, weights = (nodes + 1) / 2, weights / 2
    line = start + np.outer(t, whole)
    at_nodes, slopes_at_nodes = (np.stack([f(t) for f in basis], axis=1) for basis in (bumps, derivatives))

    def velocities(c: Floats) -> Floats:
        """Return them in orthonormal frames of the metric, shape (T, 2): their squares add up to the speed's."""
        x = path(c, line, at_nodes)
        velocity = whole + slopes_at_nodes @ c.reshape(-1, 2)
        velocity[:, 1] *= x[:, 1]
        return np.einsum("tlk,tl->tk", np.linalg.cholesky(metric(x)), velocity)

    roots = np.sqrt(weights)[:, None]
    none = np.zeros(2 * len(bumps))
    best = least_squares(lambda c: (roots * velocities(c)).ravel(), none, xtol=1e-9, ftol=1e-12)
    speed = np.linalg.norm(velocities(best.x), axis=1)
    if np.ptp(speed) > 1e-3 * speed.max():
        raise UserError(
            f"No shortest path was found from {p.tolist()} to {q.tolist()} at degree {degree}; take a higher one."
        )
    times = np.linspace(0, 1, count)
    values = np.stack([bump(times) for bump in bumps], axis=1)
    points = path(best.x, start + np.outer(times, whole), values)
    return Geodesic(times, points, float(weights @ speed))


def curvature(metric: Metric, point: ArrayLike, *, step: float = 1e-3) -> float:
    """Return the Gaussian curvature of a metric at a point, by Brioschi's formula and central differences.

    Args:
        metric: From points (..., 2) to metric tensors (..., 2, 2).
        point: (m, sigma).
        step: Step of the differences, as a share of sigma, above 0 and at most a half.
    Returns:
        In units of one over a squared length of that metric: -1 for the hyperbolic half-plane, 0 for a flat one.
    Raises:
        UserError: If the point is no Gaussian.
    Source:
        Optimal transport talk, slide on the Gauss map, which calls Fisher-Rao the Poincare metric.
    Example:
        >>> round(curvature(poincare, [0.0, 2.0]), 4)
        -1.0
    """
    p = as_one_gaussian(point)
    h = as_number(step, "step", above=0, at_most=0.5) * p[1]
    grid = np.stack(np.meshgrid([-h, 0, h], [-h, 0, h], indexing="ij"), axis=-1) + p
    g = metric(grid)
    d_u, d_v = (g[2, 1] - g[0, 1]) / (2 * h), (g[1, 2] - g[1, 0]) / (2 * h)
    d_uu, d_vv = ((g[2, 1] - 2 * g[1, 1] + g[0, 1]) / h**2, (g[1, 2] - 2 * g[1, 1] + g[1, 0]) / h**2)
    d_uv = (g[2, 2] - g[2, 0] - g[0, 2] + g[0, 0]) / (4 * h**2)
    (e, f), (_, k) = g[1, 1]  # the first fundamental form is e du^2 + 2 f du dv + k dv^2
    left = [
        [-d_vv[0, 0] / 2 + d_uv[0, 1] - d_uu[1, 1] / 2, d_u[0, 0] / 2, d_u[0, 1] - d_v[0, 0] / 2],
        [d_v[0, 1] - d_u[1, 1] / 2, e, f],
        [d_v[1, 1] / 2, f, k],
    ]
    right = [[0, d_v[0, 0] / 2, d_u[1, 1] / 2], [d_v[0, 0] / 2, e, f], [d_u[1, 1] / 2, f, k]]
    return float((np.linalg.det(left) - np.linalg.det(right)) / (e * k - f**2) ** 2)
