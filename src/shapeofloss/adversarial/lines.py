"""Two parallel lines in the plane: the lecture's example of laws without a common point.

The data are (0, U) and the samples (theta, U), with U uniform on [0, 1] and theta the signed separation.
"""

import math
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from shapeofloss.adversarial.networks import perceptron
from shapeofloss.adversarial.penalty import GradientPenalty, gradient_norms
from shapeofloss.adversarial.training import (
    GAN,
    NON_SATURATING,
    WASSERSTEIN,
    Objective,
    jensen_shannon,
    train,
    train_critic,
)
from shapeofloss.arrays import Floats, as_count, as_number
from shapeofloss.distributions.mixtures import Sampler, seeded_source
from shapeofloss.errors import UserError, unknown

OBJECTIVES = {"jensen_shannon": GAN, "non_saturating": NON_SATURATING, "wasserstein": WASSERSTEIN}
STANDARD = np.linspace(-10, 10, 401)  # nodes in standard deviations: the trapezoidal rule is exact to rounding


class Distances(NamedTuple):
    """Four distances between two laws: three in nats, `w` in units of length."""

    kl_forward: float
    kl_reverse: float
    jsd: float
    w: float


def distances(theta: float) -> Distances:
    """Return all four between two lines, in closed form.

    Args:
        theta: Separation, of any sign.
    Raises:
        UserError: If it is no finite number.
    Source:
        WGAN lecture, slide "Wasserstein distance vs KL vs JSD".
    Example:
        >>> distances(-0.5)
        Distances(kl_forward=inf, kl_reverse=inf, jsd=0.6931471805599453, w=0.5)
    """
    theta = as_number(theta, "theta")
    if theta == 0:
        return Distances(0.0, 0.0, 0.0, 0.0)
    return Distances(math.inf, math.inf, math.log(2), abs(theta))


def thick_distances(theta: float, width: float) -> Distances:
    """Return all four between lines that are blurred by a Gaussian in the direction across, by quadrature.

    Along the lines both laws are the same, so that all that counts is N(0, width^2) against N(theta, width^2); a blur
    in both directions would give the same numbers.

    Args:
        theta: Separation, of any sign.
        width: The blur's standard deviation, above 0.
    Returns:
        KL and JSD by the trapezoidal rule on logarithms of densities, W from the quantiles at the same nodes.
    Raises:
        UserError: If the separation is no finite number, or the width not above 0.
    Example:
        >>> round(thick_distances(1.0, 0.5).kl_forward, 12)  # theta^2 / (2 width^2)
        2.0
    """
    theta, width = as_number(theta, "theta"), as_number(width, "The width of the blur", above=0)
    weights = np.exp(-(STANDARD**2) / 2)
    weights /= weights.sum()
    # log(pi / p), at nodes that follow pi and at nodes that follow p
    under_pi, under_p = (
        ((x - theta) ** 2 - x**2) / (2 * width**2) for x in (width * STANDARD, theta + width * STANDARD)
    )
    to_middle = [math.log(2) - weights @ np.logaddexp(0, -ratio) for ratio in (under_pi, -under_p)]
    shift = (theta + width * STANDARD) - width * STANDARD
    # None of them is negative but for rounding, which counts where the lines are almost one.
    forward, reverse, jsd = (
        max(float(value), 0.0) for value in (weights @ under_pi, -weights @ under_p, sum(to_middle) / 2)
    )
    return Distances(forward, reverse, min(jsd, math.log(2)), float(weights @ np.abs(shift)))


def bins(theta: float, *, across: int = 10, along: int = 20, reach: float = 1.0) -> tuple[Floats, Floats]:
    """Return the centres of a grid of bins over [-reach, reach] x [0, 1], and the mass of a line in each.

    Args:
        theta: Where the line crosses the first axis, in [-reach, reach].
        across, along: Numbers of bins in the two directions.
        reach: Above 0.
    Returns:
        Centres, shape (across along, 2), and masses, shape (across along,), of sum 1.
    Raises:
        UserError: If the line is outside the grid, or a number is out of range.
    Example:
        >>> bins(0.3, across=2, along=2)[1].tolist()
        [0.0, 0.0, 0.5, 0.5]
    """
    as_count(across, "across"), as_count(along, "along"), as_number(reach, "reach", above=0)
    if not abs(as_number(theta, "theta")) <= reach:
        raise UserError(f"The line at {theta} lies outside the bins, which reach from {-reach} to {reach}.")
    columns = np.linspace(-reach, reach, across + 1)
    x, y = np.meshgrid((columns[1:] + columns[:-1]) / 2, (np.arange(along) + 0.5) / along, indexing="ij")
    column = min(int(np.searchsorted(columns, theta, side="right")) - 1, across - 1)
    masses = np.where(np.arange(across) == column, 1 / along, 0.0)
    return np.stack([x.ravel(), y.ravel()], axis=1), np.repeat(masses, along)


def line(theta: float) -> Sampler:
    """Return the law (theta, U), U uniform on [0, 1], as a sampler.

    Raises:
        UserError: If theta is no finite number.
    Example:
        >>> line(0.5)(2, torch.Generator().manual_seed(0))[:, 0]
        tensor([0.5000, 0.5000])
    """
    theta = as_number(theta, "theta")

    def sample(count: int, rng: torch.Generator) -> Tensor:
        return torch.stack([torch.full((count,), theta), torch.rand(count, generator=rng)], dim=1)

    return sample


class LineGenerator(nn.Module):
    """The generator with one parameter: G(u) = (theta, u)."""

    def __init__(self, theta: float) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(as_number(theta, "theta")))

    def forward(self, u: Tensor) -> Tensor:
        """Return points of the line, shape (N, 2), from u, shape (N, 1)."""
        return torch.cat([self.theta.expand(len(u), 1), u], dim=1)


def _uniform(count: int, rng: torch.Generator) -> Tensor:
    return torch.rand(count, 1, generator=rng)


def _objective(name: str) -> Objective:
    if not isinstance(name, str) or name not in OBJECTIVES:
        raise unknown("objective", name, OBJECTIVES)
    return OBJECTIVES[name]


def _critic(hidden: int, seed: int) -> nn.Sequential:
    return perceptron((2, hidden, hidden, 1), generator=seeded_source(seed))


def _adam(learning_rate: float, critic: bool) -> Any:
    return partial(torch.optim.Adam, lr=learning_rate, betas=(0.5, 0.9) if critic else (0.9, 0.999))


def read_distance(
    objective: str,
    theta: float,
    seed: int,
    *,
    hidden: int,
    batch: int,
    steps: int,
    learning_rate: float,
    penalty: float,
    pairs: Literal["independent", "coupled"] = "independent",
) -> dict[str, Any]:
    """Train a discriminator or a critic between two lines that stay fixed, and read off what it says.

    Args:
        objective: `jensen_shannon`, `non_saturating` (which trains the same discriminator) or `wasserstein`.
        theta: Separation.
        seed: Of weights and samples.
        hidden: Values of each of two hidden layers.
        batch: Points of data and of samples per step.
        steps: Of Adam, whose learning rate falls to 0 along half a cosine.
        learning_rate: At the start.
        penalty, pairs: Of the gradient penalty, lambda and how it pairs data and samples; for `wasserstein` only.
    Returns:
        `value`: E f(y) - E f(z), or V(D) in nats, on a thousand equally spaced points of each line.
        `slope`: the largest gradient norm of f, or of the discriminator's logit, on a fine grid of the strip between.
        `reading`: the value over the slope for `wasserstein`, else (V + log 4) / 2.
        `pull`: minus the derivative with respect to theta of the generator's loss: how a step of descent would move it.
        `pull_non_saturating`: of a discriminator, the same for the loss -log D.
    Raises:
        UserError: If there is no such objective, the critic stays flat, or as for `train_critic`.
    """
    kind = _objective(objective)
    critic, is_critic = _critic(hidden, seed), kind is WASSERSTEIN
    train_critic(
        critic,
        line(0),
        line(theta),
        kind,
        steps=steps,
        optimizer=_adam(learning_rate, is_critic),
        constraint=GradientPenalty(penalty, pairs) if is_critic else None,
        batch=batch,
        cosine=True,
        seed=seed,
    )
    critic.double()
    along = (torch.arange(1000).double() + 0.5)[:, None] / 1000
    data, samples = LineGenerator(0.0).double(), LineGenerator(theta).double()
    real, fake = (critic(place(along)).flatten() for place in (data, samples))
    value = -kind.critic_loss(real, fake).item()
    strip = torch.cartesian_prod(torch.linspace(0, theta, 101).double(), torch.linspace(0, 1, 101).double())
    slope = float(gradient_norms(critic, strip).max())

    def pull(loss: Objective) -> float:
        return -torch.autograd.grad(loss.generator_loss(fake), samples.theta, retain_graph=True)[0].item()

    result = {"value": value, "slope": slope, "pull": pull(kind)}
    if is_critic and not slope:
        raise UserError("The critic is flat after the training, so that it has no slope to divide by: train it longer.")
    if is_critic:
        return {**result, "reading": value / slope}
    return {**result, "reading": float(jensen_shannon(value)), "pull_non_saturating": pull(NON_SATURATING)}


def close_gap(
    objective: str,
    theta: float,
    seed: int,
    *,
    method: str,
    rate: float,
    steps: int,
    warm_up: int,
    critic_steps: int,
    hidden: int,
    batch: int,
    learning_rate: float,
    penalty: float,
) -> dict[str, Any]:
    """Train the generator with one parameter against its discriminator or critic, from samples.

    Args:
        objective: As for `read_distance`.
        theta: Separation at the start.
        seed: Of weights and samples.
        method: The generator's optimizer: `sgd`, or `adam`, which divides gradients by their size.
        rate: Its learning rate.
        steps: Of the generator.
        warm_up: Updates of the critic before the first of them.
        critic_steps: Updates of the critic for each of them.
        hidden, batch, learning_rate, penalty: As for `read_distance`; the critic's learning rate stays.
    Returns:
        `theta`: after each step, with the start, shape (steps + 1,).
    Raises:
        UserError: If there is no such objective or method, or as for `train`.
    """
    kind = _objective(objective)
    optimizers = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}
    as_count(warm_up, "warm_up", at_least=0)
    if not isinstance(method, str) or method not in optimizers:
        raise unknown("method", method, optimizers)
    critic, is_critic = _critic(hidden, seed), kind is WASSERSTEIN
    shared: dict[str, Any] = {
        "optimizer": _adam(learning_rate, is_critic),
        "constraint": GradientPenalty(penalty) if is_critic else None,
        "batch": batch,
        "seed": seed,
    }
    if warm_up:
        train_critic(critic, line(0), line(theta), kind, steps=warm_up, **shared)
    generator = LineGenerator(theta)
    history = train(
        generator,
        critic,
        line(0),
        kind,
        steps=steps,
        generator_optimizer=partial(optimizers[method], lr=rate),
        critic_steps=critic_steps,
        prior=_uniform,
        record_every=1,
        watch=lambda _: {"theta": generator.theta.item()},
        **shared,
    )
    return {"theta": history.watched["theta"]}
