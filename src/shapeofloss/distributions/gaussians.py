r"""Gaussians: of the line, given by points (m, sigma), and of any dimension, given by a mean and a factor.

A factor of a covariance S is a matrix L with S = L L^T. On the line it is the standard deviation.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import orthogonal_procrustes, solve_triangular
from scipy.special import expit, ndtri

from shapeofloss.arrays import Floats, as_floats
from shapeofloss.errors import UserError


def as_gaussian(point: ArrayLike) -> Floats:
    """Return (m, sigma), or an array of them, shape (..., 2).

    Raises:
        UserError: If the last axis has another length, a number is not finite, or a sigma is not above 0.
    """
    p = as_floats(point, "A Gaussian", finite=False)
    if p.shape[-1:] != (2,):
        raise UserError(f"A Gaussian is given by (m, sigma); the shape {p.shape} does not end in 2.")
    if not np.isfinite(p).all() or (p[..., 1] <= 0).any():
        raise UserError("A Gaussian needs a finite mean and a finite standard deviation above 0.")
    return p


def as_one_gaussian(point: ArrayLike) -> Floats:
    """Return (m, sigma) of a single Gaussian.

    Raises:
        UserError: If it is none, or an array of them.
    """
    p = as_gaussian(point)
    if p.ndim != 1:
        raise UserError(f"A Gaussian is needed here, (m, sigma), and not an array of them of shape {p.shape}.")
    return p


def log_density(x: ArrayLike, point: ArrayLike) -> Floats:
    """Return the logarithm of the density of N(m, sigma) at x, of the shape of x and of the points together.

    Args:
        x: Finite numbers, of any shape.
        point: (m, sigma), shape (..., 2), where the axes before the last match those of x.
    Raises:
        UserError: If a point is no Gaussian, or x is not finite.
    Example:
        >>> log_density([0.0, 1.0], [0.0, 1.0]).round(6).tolist()
        [-0.918939, -1.418939]
    """
    m, sigma = np.moveaxis(as_gaussian(point), -1, 0)
    return -(((as_floats(x, "x") - m) / sigma) ** 2) / 2 - np.log(np.sqrt(2 * np.pi) * sigma)


def density(x: ArrayLike, point: ArrayLike) -> Floats:
    """Return the density of N(m, sigma) at x, per unit of x; arguments and errors are those of `log_density`."""
    return np.exp(log_density(x, point))


def quantiles(point: ArrayLike) -> tuple[Floats, Floats]:
    """Return values of the quantile function and the shares of mass that they stand for, both of shape (K,).

    The shares make sums into integrals over the mass, from 0 to 1: the trapezoidal rule in the logit of the share,
    which copes with the two infinite ends.

    Example:
        >>> values, shares = quantiles([3.0, 2.0])
        >>> round(float(shares @ values), 12), round(float(shares @ (values - 3) ** 2), 12)
        (3.0, 4.0)
    """
    m, sigma = as_one_gaussian(point)
    logit, width = np.linspace(-40, 40, 801, retstep=True)
    below = expit(-np.abs(logit))  # the smaller of u and 1 - u, so that the upper tail is as exact as the lower one
    standard = np.sign(logit) * -ndtri(below)
    return m + sigma * standard, width * below * (1 - below)


def matrix_power(matrix: Floats, exponent: float) -> Floats:
    """Return a power of symmetric positive semidefinite matrices, which is symmetric: 0.5 for the root.

    Eigenvalues that rounding left at nothing, or below, count as 1e-32 of the largest one.

    Args:
        matrix: Shape (..., D, D).
        exponent: Any number; for one below 0 a matrix needs an eigenvalue above 0.
    Returns:
        Shape (..., D, D).
    Example:
        >>> matrix_power(np.diag([4.0, 9.0]), 0.5)
        array([[2., 0.],
               [0., 3.]])
    """
    values, vectors = np.linalg.eigh(matrix)
    values = np.maximum(values, np.finfo(np.float64).eps ** 2 * values[..., -1:])
    return (vectors * values[..., None, :] ** exponent) @ np.swapaxes(vectors, -1, -2)


def wasserstein(mean: ArrayLike, factor: ArrayLike, other_mean: ArrayLike, other_factor: ArrayLike) -> float:
    r"""Return the Wasserstein-2 distance of two Gaussians, which is a Procrustes distance of their factors.

    .. math:: W_2^2 = |m - m'|^2 + \min_{Q^T Q = 1} \|L - L' Q\|^2
                    = |m - m'|^2 + \mathrm{tr}\bigl(S + S' - 2\, (S^{1/2} S' S^{1/2})^{1/2}\bigr)

    The first form has no difference of large numbers.

    Args:
        mean, other_mean: Shape (D,), or numbers.
        factor, other_factor: Any factors of the covariances, shape (D, D), such as roots; on the line the standard
            deviations.
    Returns:
        In units of length.
    Example:
        >>> wasserstein(0.0, 1.0, 3.0, 5.0)
        5.0
    """
    first, second = np.atleast_2d(factor), np.atleast_2d(other_factor)
    turned = second @ orthogonal_procrustes(second, first)[0]
    return float(np.hypot(np.linalg.norm(np.subtract(mean, other_mean)), np.linalg.norm(first - turned)))


def kl_divergence(mean: ArrayLike, factor: ArrayLike, other_mean: ArrayLike, other_factor: ArrayLike) -> float:
    r"""Return KL(N(m, S) | N(m', S')) of two Gaussians, in nats, a number from 0.

    .. math:: \tfrac12 \bigl(\mathrm{tr}(S'^{-1} S) + (m - m')^T S'^{-1} (m - m') - D + \log\det S' - \log\det S\bigr)

    It is found from A = L'^-1 (L - L'), so that no digits are lost where the two nearly agree.

    Args:
        mean, other_mean: Shape (D,), or numbers.
        factor, other_factor: Lower triangular factors of the covariances, shape (D, D), with a diagonal above 0, as
            `numpy.linalg.cholesky` returns them; on the line the standard deviations.
    Example:
        >>> kl_divergence(0.0, 1.0, 1.0, 1.0)
        0.5
    """
    first, second = np.atleast_2d(factor), np.atleast_2d(other_factor)
    A = solve_triangular(second, first - second, lower=True)
    shift = solve_triangular(second, np.atleast_1d(np.subtract(mean, other_mean)), lower=True)
    wider = np.diag(A)
    return float(np.maximum(wider - np.log1p(wider), 0.0).sum() + ((A**2).sum() + (shift**2).sum()) / 2)
