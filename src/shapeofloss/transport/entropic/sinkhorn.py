r"""Sinkhorn's algorithm: the auction with soft minima, whose optimum is unique.

.. math::
    \max_{f, g} \langle \alpha, f \rangle + \langle \beta, g \rangle - \varepsilon \log \langle \alpha \otimes \beta,
    \exp \tfrac{1}{\varepsilon} (f \oplus g - C) \rangle

Its optimal value is that of the least <pi, C> + eps KL(pi, alpha x beta). With C = |x - y|^2 / 2 the plan is
blurred over a distance of about sqrt(eps), the *blur*.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from shapeofloss.arrays import as_count, as_number
from shapeofloss.distributions.clouds import as_clouds, as_weights
from shapeofloss.errors import UserError
from shapeofloss.transport.entropic.softmin import Dense, Softmin, softmin_between

HARD = 1e-9  # times the final eps: a soft minimum as good as a hard one
LONGEST = 1_000_000  # schedule
FAINTEST = 1e-290  # eps: a billionth of it is still a number


@dataclass(frozen=True)
class Step:
    """The state after one update of f and one of g, at one eps.

    Attributes:
        f, g: Potentials, shape (N,) and (M,), in units of the cost.
        eps: The temperature, in units of the cost.
        error: Sum of the absolute errors of the source marginal that the *last* pair of potentials had at this eps;
            the target marginal is exact after every step.
    """

    f: Tensor
    g: Tensor
    eps: float
    error: float


def log_weights(weights: Tensor) -> Tensor:
    """Return the logarithms of weights, with 1e-300 for 0: KeOps cannot subtract infinities."""
    return weights.clamp(min=1e-300).log()


def sinkhorn_steps(softmin: Softmin, a: Tensor, b: Tensor, schedule: Sequence[float]) -> Iterator[Step]:
    """Yield the state after each step: f, then g, by one soft minimum each, at the step's eps. The last eps stays.

    Args:
        softmin: The transform from targets to sources.
        a, b: Weights that add up to 1, shape (N,) and (M,).
        schedule: One eps for each step, above 0, in units of the cost; the last one is used for ever.
    Source:
        Optimal transport talk, Algorithm 3.3, lines 3 and 4; slide "eps-scaling" for the schedule.
    """
    back = softmin.transpose()
    log_a, log_b = log_weights(a), log_weights(b)
    f, g = torch.zeros_like(a), torch.zeros_like(b)
    number = 0
    while True:
        eps = schedule[min(number, len(schedule) - 1)]
        updated = softmin(eps, log_b + g / eps)
        # The plan of (f, g) gives x_i the mass a_i exp((f_i - updated_i) / eps).
        error = float((a * torch.expm1((f - updated) / eps).abs()).sum())
        f = updated
        g = back(eps, log_a + f / eps)
        number += 1
        yield Step(f, g, eps, error)


def annealing(first: float, last: float, *, scaling: float) -> list[float]:
    """Return a geometric schedule of eps that falls from the first to the last by the factor scaling^2.

    The square, because scaling is the factor of the blur, sqrt(eps), as in GeomLoss.

    Args:
        first, last: From 1e-290, finite, in units of the cost.
        scaling: Factor of the blur from step to step, above 0 and below 1.
    Raises:
        UserError: If an argument is none of the above, or the schedule would have more than a million entries.
    Example:
        >>> annealing(1.0, 0.1, scaling=0.5)
        [1.0, 0.25, 0.1]
    """
    first, last, scaling = (as_number(value, "An entry", finite=False) for value in (first, last, scaling))
    if not (0 < scaling < 1 and FAINTEST <= first < math.inf and FAINTEST <= last < math.inf):
        raise UserError(
            f"A schedule from {first} to {last} by {scaling}: both ends have to be above 0 (from {FAINTEST:g}) and "
            "finite, the scaling between 0 and 1."
        )
    if math.log(first) - math.log(last) > -2 * math.log(scaling) * LONGEST:
        raise UserError(f"A schedule from {first} to {last} by {scaling} has over {LONGEST:,} entries; scale by less.")
    schedule = []
    while first > last:
        schedule.append(first)
        first *= scaling**2
    return [*schedule, last]


@dataclass(frozen=True)
class Sinkhorn:
    """What Sinkhorn's algorithm found between two clouds.

    Attributes:
        f, g: Potentials, shape (N,) and (M,), in units of the cost.
        a, b: Weights, shape (N,) and (M,).
        eps: The last temperature, in units of the cost.
        steps: How many updates of f and of g were made.
        source_error, target_error: Sum over the points of the absolute error of each marginal.
        converged: Whether both are within the tolerance.
        value: The soft dual value, in units of the cost.
        bound: A proven lower bound of exact transport: the hard dual value of g, in units of the cost.
        softmin: The transform that was used.
    """

    f: Tensor
    g: Tensor
    a: Tensor
    b: Tensor
    eps: float
    steps: int
    source_error: float
    target_error: float
    converged: bool
    value: float
    bound: float
    softmin: Softmin

    def plan(self) -> Tensor:
        """Return the plan, pi_ij = a_i b_j exp((f_i + g_j - C_ij) / eps), shape (N, M).

        Raises:
            UserError: If the costs were not stored: take backend="dense".
        """
        if not isinstance(self.softmin, Dense):
            raise UserError("The plan needs the matrix of costs: take backend='dense', for as many pairs as fit.")
        exponent = (self.f[:, None] + self.g - self.softmin.cost) / self.eps
        return self.a[:, None] * self.b * exponent.exp()


def hard_bound(softmin: Softmin, a: Tensor, b: Tensor, g: Tensor, eps: float) -> float:
    """Return <a, min_j (C_ij - g_j)> + <b, g>, which no plan can undercut, by soft minima at a billionth of eps.

    A soft minimum without weights lies below the hard one, by eps log M at most, so that the bound stays one.
    """
    tiny = HARD * eps
    return float(a @ softmin(tiny, g / tiny) + b @ g)


def sinkhorn(
    x: ArrayLike,
    y: ArrayLike,
    a: ArrayLike | None = None,
    b: ArrayLike | None = None,
    *,
    eps: float,
    scaling: float | None = 0.9,
    tolerance: float = 1e-3,
    steps: int = 10_000,
    backend: str = "auto",
) -> Sinkhorn:
    """Return the transport between two clouds by Sinkhorn's algorithm, for the cost |x - y|^2 / 2.

    Args:
        x, y: Clouds, shape (N, D) and (M, D).
        a, b: Weights, shape (N,) and (M,), normalised; equal by default. Points of weight 0 get a potential, and no
            mass.
        eps: Temperature, from 1e-290, in units of the cost: the square of the blur.
        scaling: With eps-scaling: factor of the blur from step to step, starting at the largest cost; None for none.
        tolerance: End once each marginal's absolute errors add up to at most this, at the last eps; from 0.
        steps: Most steps; beyond it `converged` is false, and the errors say how far it came.
        backend: "auto", "dense" or "symbolic", as for `softmin.softmin_between`.
    Returns:
        Potentials, values and errors. With the tolerance 1e-3 and an eps of at most a hundredth of the value, the bound
        is within 1% of exact transport on the clouds of the course.
    Raises:
        UserError: If a cloud, a weight or a number is none of the above, or costs overflow.
    Source:
        Optimal transport talk, Algorithm 3.3 and slide "eps-scaling".
    Example:
        >>> blurred = sinkhorn([[0.0], [1.0]], [[0.5], [1.5]], eps=1e-3)
        >>> round(blurred.bound, 3), blurred.converged
        (0.125, True)
    """
    x, y = as_clouds(x, y)
    eps = as_number(eps, "The temperature eps", at_least=FAINTEST)
    tolerance, steps = as_number(tolerance, "tolerance", at_least=0), as_count(steps, "The number of steps")
    clouds = torch.from_numpy(x), torch.from_numpy(y)
    alpha, beta = torch.from_numpy(as_weights(a, len(x), "a")), torch.from_numpy(as_weights(b, len(y), "b"))
    softmin = softmin_between(*clouds, backend=backend)
    corners = torch.cat(clouds).amax(0) - torch.cat(clouds).amin(0)
    first = max(float(corners @ corners) / 2, eps)  # at least the largest cost
    if not math.isfinite(first / eps):
        raise UserError(f"The largest cost, {first:g}, over eps = {eps} overflows: take a larger eps, or another unit.")
    schedule = [eps] if scaling is None else annealing(first, eps, scaling=scaling)
    for number, step in enumerate(sinkhorn_steps(softmin, alpha, beta, schedule), start=1):
        if number >= steps or (number > len(schedule) and step.error <= tolerance):
            break
    f, g, last = step.f, step.g, step.eps
    source = alpha * torch.exp((f - softmin(last, log_weights(beta) + g / last)) / last)
    target = beta * torch.exp((g - softmin.transpose()(last, log_weights(alpha) + f / last)) / last)
    errors = float((source - alpha).abs().sum()), float((target - beta).abs().sum())
    value = float(alpha @ f + beta @ g - last * source.sum().log())
    bound = hard_bound(softmin, alpha, beta, g, last)
    done = last == eps and max(errors) <= tolerance
    return Sinkhorn(f, g, alpha, beta, last, number, *errors, done, value, bound, softmin)
