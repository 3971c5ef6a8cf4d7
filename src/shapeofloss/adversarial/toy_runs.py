"""Whole trainings on a toy distribution, judged by exact measures at checkpoints."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shapeofloss.adversarial.constraints import Clip, Constraint, GradientPenalty
from shapeofloss.adversarial.divergences import jsd_of_value
from shapeofloss.adversarial.history import Watch
from shapeofloss.adversarial.networks import Waves, perceptron
from shapeofloss.adversarial.objectives import MINIMAX, NON_SATURATING, WASSERSTEIN, Objective
from shapeofloss.adversarial.quality import modes_covered, wasserstein
from shapeofloss.adversarial.training import Optimizer, Schedule, adam, rmsprop, train, train_critic
from shapeofloss.arrays import as_interval
from shapeofloss.distributions.mixtures import Mixture, Sampler, normal, seeded_source, toy
from shapeofloss.errors import unknown

JUDGED = 8192  # points of each distribution for the value of a critic


@dataclass(frozen=True)
class Method:
    """An objective, what holds its critic, and the optimizer that goes with both.

    Attributes:
        objective: What the players want.
        constraint: The class of the constraint, which takes c or lambda; None for a discriminator.
        optimizer: From a learning rate to a maker of optimizers.
    """

    objective: Objective
    constraint: Callable[[float], Constraint] | None
    optimizer: Callable[[float], Optimizer]

    def held(self, strength: float) -> Constraint | None:
        """Return the constraint of that strength."""
        return self.constraint(strength) if self.constraint else None


METHODS = {
    "minimax GAN": Method(MINIMAX, None, adam),
    "non-saturating GAN": Method(NON_SATURATING, None, adam),
    "WGAN": Method(WASSERSTEIN, Clip, rmsprop),
    "WGAN-GP": Method(WASSERSTEIN, GradientPenalty, adam),
}


def method_named(name: str) -> Method:
    """Return a method by its name.

    Raises:
        UserError: If there is none.
    Example:
        >>> method_named("WGAN").held(0.1)
        Clip(bound=0.1)
    """
    if not isinstance(name, str) or name not in METHODS:
        raise unknown("method", name, METHODS)
    return METHODS[name]


def toy_run(
    *,
    distribution: str,
    method: str,
    strength: float = 0.0,
    width: int,
    schedule: Mapping[str, Any],
    rates: Sequence[float],
    checkpoints: int,
    samples: int,
    fresh_steps: int = 0,
    seed: int,
) -> dict[str, Any]:
    """Train a generator on a toy distribution, and measure its samples at checkpoints.

    Generator and critic are perceptrons with three hidden layers, and noise has two dimensions.

    Args:
        distribution: Name of a toy distribution.
        method: One of `METHODS`.
        strength: c of WGAN, lambda of WGAN-GP.
        width: Values of each hidden layer.
        schedule: What a `Schedule` holds, without the seed.
        rates: Learning rates of the critic and of the generator at the start.
        checkpoints: How often samples are measured: evenly spread, the last after the last step, and once before all.
        samples: Points of data and of samples that are measured.
        fresh_steps: Steps of a new discriminator at every checkpoint but the first; 0 for none.
        seed: Seed of weights, batches and what is measured.
    Returns:
        By name, for each checkpoint: "at", steps done; "value", the critic's own value, on 8,192 points of each
        distribution; "wasserstein", exact, in units of length; "modes" covered (-1 for the swiss roll); "samples"; and
        "jensen_shannon", nats, by the new discriminators, without the first checkpoint. Then for each step: "values",
        "norms", as in a `History`. And "data".
    Raises:
        UserError: If there is no such distribution or method, or a training leaves the finite numbers.
    """
    way, plan = method_named(method), Schedule(**schedule, seed=seed)
    sampler, prior = toy(distribution), normal(2)
    start = seeded_source(seed)
    generator = perceptron((2, width, width, width, 2), generator=start)
    critic = perceptron((2, width, width, width, 1), generator=start)
    data, noise = sampler(samples, start), prior(samples, start)
    more_data, more_noise = sampler(JUDGED, start), prior(JUDGED, start)
    kept: list[nn.Module] = []

    @torch.no_grad()
    def look(_: int) -> dict[str, Any]:
        kept.append(copy.deepcopy(generator))
        points = generator(noise).numpy()
        scores = critic(more_data).flatten(), critic(generator(more_noise)).flatten()
        return {
            "value": -way.objective.critic_loss(*scores),
            "wasserstein": wasserstein(points, data.numpy()),
            "modes": modes_covered(points, sampler) if isinstance(sampler, Mixture) else -1,
            "samples": points,
        }

    history = train(
        generator,
        critic,
        sampler,
        way.objective,
        plan,
        optimizer=way.optimizer(rates[0]),
        generator_optimizer=way.optimizer(rates[1]),
        constraint=way.held(strength),
        prior=prior,
        watch=Watch(look, as_interval(plan.steps, checkpoints, "checkpoints")),
    )
    judged = kept[1:] if fresh_steps else []
    fresh = [fresh_divergence(sampler, _generated(own, prior), steps=fresh_steps, seed=seed) for own in judged]
    return {
        "at": history.at,
        **history.watched,
        "jensen_shannon": np.array(fresh),
        "values": history.value,
        "norms": history.norm,
        "data": data.numpy(),
    }


def _generated(generator: nn.Module, prior: Sampler) -> Sampler:
    @torch.no_grad()
    def sample(count: int, source: torch.Generator) -> Tensor:
        return generator(prior(count, source))

    return sample


def fresh_divergence(sampler: Sampler, samples: Sampler, *, steps: int, seed: int, waves: bool = True) -> float:
    """Return the Jensen-Shannon divergence of two distributions as a new discriminator reads it from unseen points.

    Args:
        sampler, samples: The distributions, in the plane.
        steps: Steps of its training with Adam, in batches of 256, with a rate that falls from 0.003 along half a
            cosine.
        seed: Seed of weights and batches; the next one is that of the unseen points.
        waves: Whether it sees the points through 256 waves, and then a hidden layer of 64; without, it is a perceptron
            2-128-128-1, which does not notice fine differences for a long time.
    Returns:
        Nats. In expectation a lower bound: an imperfect discriminator reads less, never more.
    """
    start = seeded_source(seed)
    discriminator = (
        nn.Sequential(Waves(2, 256, generator=start), perceptron((256, 64, 1), generator=start))
        if waves
        else perceptron((2, 128, 128, 1), generator=start)
    )
    schedule = Schedule(steps=steps, cosine=True, seed=seed)
    train_critic(discriminator, sampler, samples, MINIMAX, schedule, optimizer=adam(3e-3))
    unseen = seeded_source(seed + 1)
    with torch.no_grad():
        real, fake = (discriminator(points(JUDGED, unseen)).flatten() for points in (sampler, samples))
    return float(jsd_of_value(-MINIMAX.critic_loss(real, fake).item()))
