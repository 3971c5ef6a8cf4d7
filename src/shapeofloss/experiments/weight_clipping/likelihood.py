"""Likelihood and sample quality as two things, and what each direction of KL does to a model that is too simple."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.optimize import minimize
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

from shapeofloss.arrays import Floats, as_count, as_floats, as_function, as_number
from shapeofloss.distributions.clouds import as_cloud
from shapeofloss.distributions.gaussians import as_one_gaussian
from shapeofloss.distributions.mixtures import log_density, masses
from shapeofloss.errors import UserError

# All but 1e-12 of the mass of each target lies here, and of any normal distribution that is fitted to it.
NODES = np.linspace(-12.0, 12.0, 4801)


@dataclass(frozen=True, eq=False)
class Normal:
    """A normal distribution.

    Attributes:
        mean: Shape (D,).
        factor: Lower triangular L of the covariance L L^T, shape (D, D).
    """

    mean: Floats
    factor: Floats

    @classmethod
    def fitted(cls, x: Floats) -> "Normal":
        """Return the one of largest likelihood for points of shape (N, D), N above D.

        Raises:
            UserError: If the points are no cloud, or lie in a plane of fewer dimensions, so that there is no density.
        """
        x = as_cloud(x)
        covariance = np.atleast_2d(np.asarray(np.cov(x, rowvar=False, bias=True), dtype=np.float64))
        try:
            return cls(x.mean(axis=0), np.asarray(np.linalg.cholesky(covariance), dtype=np.float64))
        except np.linalg.LinAlgError:
            raise UserError(
                f"The {len(x)} points in {x.shape[1]} dimensions lie in fewer, where no normal distribution has a density: "
                "take more points, or leave out what is constant."
            ) from None

    def log_density(self, x: Floats) -> Floats:
        """Return log densities of points (N, D), in nats, shape (N,)."""
        x = as_floats(x, "x", shape=("N", len(self.mean)))
        whitened = solve_triangular(self.factor, (x - self.mean).T, lower=True)
        size = len(self.mean) * np.log(2 * np.pi) / 2 + np.log(np.diag(self.factor)).sum()
        return -np.square(whitened).sum(axis=0) / 2 - size

    def sample(self, count: int, generator: np.random.Generator) -> Floats:
        """Return samples, shape (count, D)."""
        return self.mean + generator.standard_normal((count, len(self.mean))) @ self.factor.T


@dataclass(frozen=True, eq=False)
class Kernels:
    """A round normal distribution about each of many points, all with equal weight.

    Attributes:
        points: Shape (N, D).
        width: Standard deviation of each along each axis, above 0.

    Raises:
        UserError: If the points are no cloud, or the width is not above 0.
    """

    points: Floats
    width: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", as_cloud(self.points, "points"))
        as_number(self.width, "width", above=0)

    def log_density(self, x: Floats) -> Floats:
        """Return log densities of points (M, D), in nats, shape (M,)."""
        count, dimension = self.points.shape
        x = as_floats(x, "x", shape=("M", dimension))
        exponents = -cdist(x, self.points, "sqeuclidean") / (2 * self.width**2)
        return logsumexp(exponents, axis=1) - np.log(count) - dimension * np.log(2 * np.pi * self.width**2) / 2

    def sample(self, count: int, generator: np.random.Generator) -> Floats:
        """Return samples, shape (count, D)."""
        chosen = self.points[generator.integers(len(self.points), size=count)]
        return chosen + self.width * generator.standard_normal(chosen.shape)


def best_kernels(x: Floats, widths: NDArray[np.floating]) -> Kernels:
    """Return kernels on all points, of the width with which the first half gives the second the largest likelihood.

    Raises:
        UserError: If there are fewer than two points, or no width, or one is not above 0.
    """
    x, widths = as_cloud(x), as_floats(widths, "widths", shape=("W",), empty=False)
    if len(x) < 2:
        raise UserError("There is one point; two halves need at least two.")
    half = len(x) // 2
    scores = [Kernels(x[:half], float(width)).log_density(x[half:]).mean() for width in widths]
    return Kernels(x, float(widths[int(np.argmax(scores))]))


@dataclass(frozen=True)
class TwoModes:
    """A distribution on the line: weight w at -1 and 1 - w at 1, each widened to a normal one.

    Attributes:
        weight: w, in (0, 1).
        width: Standard deviation of each part, from 0.02 to 1.5, so that the nodes below resolve and hold it.

    Raises:
        UserError: If a number is out of range.
    """

    weight: float
    width: float

    def __post_init__(self) -> None:
        as_number(self.weight, "weight", above=0, below=1), as_number(self.width, "width", at_least=0.02, at_most=1.5)

    @property
    def parts(self) -> Floats:
        """Return (m, sigma) of the two parts, shape (2, 2)."""
        return np.array([[-1.0, self.width], [1.0, self.width]])

    @property
    def weights(self) -> Floats:
        """Return the weights of the two parts, shape (2,)."""
        return np.array([self.weight, 1 - self.weight])

    def log_density(self, x: Floats) -> Floats:
        """Return log densities, in nats, of the shape of x."""
        return log_density(x, self.parts, weights=self.weights)

    def mass(self, low: float, high: float) -> float:
        """Return the mass of an interval."""
        return float(masses([low, high], self.parts, weights=self.weights)[0])


def forward_kl(target: TwoModes, mean: float, deviation: float) -> float:
    """Return KL(target || N(mean, deviation^2)) in nats, by the trapezoidal rule, from 0.

    Raises:
        UserError: If the mean is no finite number, or the deviation not above 0.
    """
    x, log_p = NODES, _target(target).log_density(NODES)
    return max(float(np.trapezoid(np.exp(log_p) * (log_p - log_density(x, [mean, deviation])), x)), 0.0)


def reverse_kl(target: TwoModes, mean: float, deviation: float) -> float:
    """Return KL(N(mean, deviation^2) || target) in nats, by the trapezoidal rule, from 0.

    Raises:
        UserError: As for `forward_kl`.
    """
    _target(target)
    mean, deviation = as_one_gaussian([mean, deviation])
    missed = not 0.02 <= deviation <= (NODES[-1] - abs(mean)) / 7  # or most of it
    x = mean + deviation * NODES if missed else NODES
    log_q = log_density(x, [mean, deviation])
    return max(float(np.trapezoid(np.exp(log_q) * (log_q - target.log_density(x)), x)), 0.0)


def _target(target: TwoModes) -> TwoModes:
    if not isinstance(target, TwoModes):
        raise UserError(f"The target is {target!r}; TwoModes(weight, width) is needed.")
    return target


Divergence = Callable[[TwoModes, float, float], float]


def fit_normal(divergence: Divergence, target: TwoModes, seed: int, *, starts: int = 6) -> list[dict[str, float]]:
    """Fit a normal distribution to a target by the least divergence, from several random starts.

    Args:
        divergence: Such as `forward_kl` or `reverse_kl`: of the target, the mean and the standard deviation.
        target: The distribution.
        seed: Seed of the starts: means uniform in [-1.5, 1.5], deviations log-uniform in [0.2, 1].
        starts: How many.
    Returns:
        Where each search ended: "mean" and "deviation" of the fit, and its "divergence" in nats, the least one first.
    """
    as_count(starts, "starts"), as_function(divergence, "divergence", example="forward_kl"), _target(target)
    generator = np.random.default_rng(as_count(seed, "seed", at_least=0))
    ends = []
    for start in generator.uniform([-1.5, np.log(0.2)], [1.5, 0.0], size=(starts, 2)):
        end = minimize(lambda at: divergence(target, at[0], float(np.exp(at[1]))), start, method="Nelder-Mead")
        ends.append({"mean": float(end.x[0]), "deviation": float(np.exp(end.x[1])), "divergence": float(end.fun)})
    return sorted(ends, key=lambda end: end["divergence"])
