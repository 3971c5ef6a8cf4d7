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
from shapeofloss.distributions.mixtures import log_density, masses
from shapeofloss.errors import UserError


@dataclass(frozen=True, eq=False)
class Normal:
    """A normal law.

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
                f"The {len(x)} points in {x.shape[1]} dimensions lie in fewer, where no normal law has a density: take "
                "more points, or leave out what is constant."
            ) from None

    def log_density(self, x: Floats) -> Floats:
        """Return log densities of points (N, D), in nats, shape (N,)."""
        x = as_floats(x, "x", shape=("N", len(self.mean)))
        whitened = solve_triangular(self.factor, (x - self.mean).T, lower=True)
        size = len(self.mean) * np.log(2 * np.pi) / 2 + np.log(np.diag(self.factor)).sum()
        return -np.square(whitened).sum(axis=0) / 2 - size

    def sample(self, count: int, rng: np.random.Generator) -> Floats:
        """Return samples, shape (count, D)."""
        return self.mean + rng.standard_normal((count, len(self.mean))) @ self.factor.T


@dataclass(frozen=True, eq=False)
class Kernels:
    """A round normal law about each of many points, all with equal weight.

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

    def sample(self, count: int, rng: np.random.Generator) -> Floats:
        """Return samples, shape (count, D)."""
        chosen = self.points[rng.integers(len(self.points), size=count)]
        return chosen + self.width * rng.standard_normal(chosen.shape)


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
    """A law on the line: weight w at -1 and 1 - w at 1, each widened to a normal law.

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

    @property
    def nodes(self) -> Floats:
        """Equally spaced points that hold all but 1e-12 of the mass, and of any normal law that is fitted here."""
        return np.linspace(-12.0, 12.0, 4801)

    def log_density(self, x: Floats) -> Floats:
        """Return log densities, in nats, of the shape of x."""
        return log_density(x, self.parts, weights=self.weights)

    def mass(self, low: float, high: float) -> float:
        """Return the mass of an interval."""
        return float(masses([low, high], self.parts, weights=self.weights)[0])


def normal_log_density(x: Floats, mean: float, deviation: float) -> Floats:
    """Return the log density of N(mean, deviation^2) at points of the line, of the shape of x.

    Raises:
        UserError: If the mean is no finite number, or the deviation not above 0.
    """
    mean, deviation = as_number(mean, "mean"), as_number(deviation, "deviation", above=0)
    return -np.square((x - mean) / deviation) / 2 - np.log(deviation * np.sqrt(2 * np.pi))


def forward_kl(target: TwoModes, mean: float, deviation: float) -> float:
    """Return KL(target || N(mean, deviation^2)) in nats, by the trapezoidal rule, from 0.

    Raises:
        UserError: As for `normal_log_density`.
    """
    x = _target(target).nodes
    log_p, log_q = target.log_density(x), normal_log_density(x, mean, deviation)
    return max(float(np.trapezoid(np.exp(log_p) * (log_p - log_q), x)), 0.0)


def reverse_kl(target: TwoModes, mean: float, deviation: float) -> float:
    """Return KL(N(mean, deviation^2) || target) in nats, by the trapezoidal rule, from 0.

    Raises:
        UserError: As for `normal_log_density`.
    """
    x = _target(target).nodes
    mean, deviation = as_number(mean, "mean"), as_number(deviation, "deviation", above=0)
    if not 0.02 <= deviation <= (x[-1] - abs(mean)) / 7:  # the nodes would miss it, or most of it
        x = mean + deviation * x
    log_p, log_q = target.log_density(x), normal_log_density(x, mean, deviation)
    return max(float(np.trapezoid(np.exp(log_q) * (log_q - log_p), x)), 0.0)


def _target(target: TwoModes) -> TwoModes:
    if not isinstance(target, TwoModes):
        raise UserError(f"The target is {target!r}; a law TwoModes(weight, width) is needed.")
    return target


Divergence = Callable[[TwoModes, float, float], float]


def fit_normal(divergence: Divergence, target: TwoModes, seed: int, *, starts: int = 6) -> list[dict[str, float]]:
    """Fit a normal law to a target by the least divergence, from several random starts.

    Args:
        divergence: Such as `forward_kl` or `reverse_kl`: of the target, the mean and the standard deviation.
        target: The law.
        seed: Of the starts: means uniform in [-1.5, 1.5], deviations log-uniform in [0.2, 1].
        starts: How many.
    Returns:
        Where each search ended: "mean" and "deviation" of the fit, and its "divergence" in nats, the least one first.
    """
    as_count(starts, "starts"), as_function(divergence, "divergence", example="forward_kl"), _target(target)
    rng = np.random.default_rng(as_count(seed, "seed", at_least=0))
    ends = []
    for start in rng.uniform([-1.5, np.log(0.2)], [1.5, 0.0], size=(starts, 2)):
        found = minimize(lambda at: divergence(target, at[0], float(np.exp(at[1]))), start, method="Nelder-Mead")
        ends.append({"mean": found.x[0], "deviation": np.exp(found.x[1]), "divergence": found.fun})
    return [{name: float(value) for name, value in end.items()} for end in sorted(ends, key=lambda e: e["divergence"])]
