"""The four distances of two parallel lines, thin and thick, and games in which a generator closes the gap between them.

The data are (0, U) and the samples (theta, U), with U uniform on [0, 1] and theta the signed separation.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch

from shapeofloss.adversarial.history import Watch
from shapeofloss.adversarial.lines import LineGenerator, reader, upright
from shapeofloss.adversarial.training import Schedule, train, train_critic
from shapeofloss.arrays import Floats, as_count, as_number
from shapeofloss.errors import UserError, unknown

STANDARD = np.linspace(-10, 10, 401)  # nodes in standard deviations: the trapezoidal rule is exact to rounding


class Distances(NamedTuple):
    """Four distances between two distributions: three in nats, `w` in units of length."""

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

    Along the lines both distributions are the same, so that all that counts is N(0, width^2) against N(theta, width^2);
    a blur in both directions would give the same numbers.

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


def close_gap(
    objective: str,
    theta: float,
    seed: int,
    *,
    method: str,
    rate: float,
    warm_up: int,
    schedule: Mapping[str, Any],
    hidden: int,
    learning_rate: float,
    penalty: float,
) -> dict[str, Any]:
    """Train the generator with one parameter against its discriminator or critic, from samples.

    Args:
        objective: As for `read_distance`.
        theta: Separation at the start.
        seed: Seed of weights and samples.
        method: The generator's optimizer: `sgd`, or `adam`, which divides gradients by their size.
        rate: Its learning rate.
        warm_up: Updates of the critic before the game begins.
        schedule: "steps" of the generator, "critic_steps" for each of them, and the size of a "batch".
        hidden, learning_rate, penalty: As for `read_distance`; the critic's learning rate stays.
    Returns:
        `theta`: after each step, with the start, shape (steps + 1,).
    Raises:
        UserError: If there is no such objective or method, or as for `train`.
    """
    optimizers = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}
    as_count(warm_up, "warm_up", at_least=0)
    if not isinstance(method, str) or method not in optimizers:
        raise unknown("method", method, optimizers)
    critic, kind, optimizer, constraint = reader(
        objective, seed, hidden=hidden, learning_rate=learning_rate, penalty=penalty
    )
    plan = Schedule(**schedule, seed=seed)
    if warm_up:
        alone = replace(plan, steps=warm_up)
        train_critic(critic, upright(0), upright(theta), kind, alone, optimizer=optimizer, constraint=constraint)
    generator = LineGenerator(theta)
    history = train(
        generator,
        critic,
        upright(0),
        kind,
        plan,
        optimizer=optimizer,
        constraint=constraint,
        generator_optimizer=partial(optimizers[method], lr=rate),
        prior=lambda count, source: torch.rand(count, 1, generator=source),
        watch=Watch(lambda _: {"theta": generator.theta.item()}, every=1),
    )
    return {"theta": history.watched["theta"]}
