"""Whole trainings on a toy law, judged by exact measures at checkpoints."""

import copy
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shapeofloss.adversarial.networks import Waves, perceptron
from shapeofloss.adversarial.penalty import Clip, Constraint, GradientPenalty
from shapeofloss.adversarial.quality import modes_covered, wasserstein
from shapeofloss.adversarial.training import (
    GAN,
    NON_SATURATING,
    WASSERSTEIN,
    Objective,
    Optimizer,
    jensen_shannon,
    train,
    train_critic,
)
from shapeofloss.arrays import as_count
from shapeofloss.distributions.mixtures import Mixture, Sampler, normal, seeded_source, toy
from shapeofloss.errors import UserError, unknown

JUDGED = 8192  # points of each law for the value of a critic
METHODS: dict[str, tuple[Objective, type[Clip] | type[GradientPenalty] | None]] = {
    "minimax GAN": (GAN, None),
    "non-saturating GAN": (NON_SATURATING, None),
    "WGAN": (WASSERSTEIN, Clip),
    "WGAN-GP": (WASSERSTEIN, GradientPenalty),
}


def adam(rate: float) -> Optimizer:
    """Return a maker of Adam with the momenta 0.5 and 0.9 of the released code of improved WGAN training."""
    return partial(torch.optim.Adam, lr=rate, betas=(0.5, 0.9), fused=True)


def rmsprop(rate: float) -> Optimizer:
    """Return a maker of RMSProp, which has no momentum: what the WGAN paper clips weights with.

    It is Adam with momenta 0 and 0.99, so that the first steps are as long as later ones; torch's own RMSProp, without
    Adam's correction, begins with steps ten times as long, and they throw a generator off.
    """
    return partial(torch.optim.Adam, lr=rate, betas=(0.0, 0.99), fused=True)


def toy_run(
    *,
    law: str,
    method: str,
    strength: float = 0.0,
    width: int,
    steps: int,
    critic_steps: int,
    warm_up: int,
    batch: int,
    rate: float,
    generator_rate: float,
    cosine: bool,
    checkpoints: int,
    samples: int,
    fresh_steps: int = 0,
    seed: int,
) -> dict[str, Any]:
    """Train a generator on a toy law, and measure its samples at checkpoints.

    Generator and critic are perceptrons with three hidden layers, and noise has two dimensions. WGAN is trained with
    RMSProp, everything else with Adam.

    Args:
        law: Name of a toy law.
        method: One of `METHODS`.
        strength: c of WGAN, lambda of WGAN-GP.
        width: Values of each hidden layer.
        steps, critic_steps, warm_up, batch, cosine: As for `training.train`.
        rate, generator_rate: Learning rates of the critic and of the generator at the start.
        checkpoints: How often samples are measured: evenly spread, the last after the last step, and once before all.
        samples: Points of data and of samples that are measured.
        fresh_steps: Steps of a new discriminator at every checkpoint but the first; 0 for none.
        seed: Of everything.
    Returns:
        By name, for each checkpoint: "at", steps done; "value", the critic's own value, on 8,192 points of each law;
        "wasserstein", exact, in units of length; "modes" covered (-1 for the swiss roll); "samples"; and
        "jensen_shannon", nats, by the new discriminators, without the first checkpoint. Then for each step: "values",
        "norms", as in a `History`. And "data".
    Raises:
        UserError: If there is no such law or method, or a training leaves the finite numbers.
    """
    if not isinstance(method, str) or method not in METHODS:
        raise unknown("method", method, METHODS)
    if as_count(steps, "steps") % as_count(checkpoints, "checkpoints"):
        raise UserError(f"{steps} steps cannot be divided into {checkpoints} equal parts for the checkpoints.")
    objective, kind = METHODS[method]
    constraint: Constraint | None = kind(strength) if kind else None
    sampler, prior = toy(law), normal(2)
    start = seeded_source(seed)
    generator = perceptron((2, width, width, width, 2), generator=start)
    critic = perceptron((2, width, width, width, 1), generator=start)
    data, noise = sampler(samples, start), prior(samples, start)
    more_data, more_noise = sampler(JUDGED, start), prior(JUDGED, start)
    kept: list[nn.Module] = []

    def watch(done: int) -> dict[str, Any]:
        with torch.no_grad():
            points = generator(noise)
            scores = critic(more_data).flatten(), critic(generator(more_noise)).flatten()
            value = -objective.critic_loss(*scores)
        kept.append(copy.deepcopy(generator))
        modes = modes_covered(points.numpy(), sampler) if isinstance(sampler, Mixture) else -1
        distance = wasserstein(points.numpy(), data.numpy())
        return {"value": value.item(), "wasserstein": distance, "modes": modes, "samples": points.numpy()}

    optimizer = rmsprop if method == "WGAN" else adam
    history = train(
        generator,
        critic,
        sampler,
        objective,
        steps=steps,
        optimizer=optimizer(rate),
        generator_optimizer=optimizer(generator_rate),
        critic_steps=critic_steps,
        warm_up=warm_up,
        constraint=constraint,
        batch=batch,
        prior=prior,
        cosine=cosine,
        seed=seed,
        record_every=steps // checkpoints,
        watch=watch,
    )
    fresh = [
        fresh_divergence(sampler, _generated(own, prior), steps=fresh_steps, seed=seed)
        for own in kept[1:]
        if fresh_steps
    ]
    return {
        "at": history.at,
        **history.watched,
        "jensen_shannon": np.array(fresh),
        "values": history.value,
        "norms": history.norm,
        "data": data.numpy(),
    }


def _generated(generator: nn.Module, prior: Sampler) -> Sampler:
    def sample(count: int, rng: torch.Generator) -> Tensor:
        with torch.no_grad():
            return generator(prior(count, rng))

    return sample


def fresh_divergence(
    sampler: Sampler,
    samples: Sampler,
    *,
    steps: int,
    seed: int,
    waves: bool = True,
    batch: int = 256,
    rate: float = 3e-3,
) -> float:
    """Return the Jensen-Shannon divergence of two laws as a new discriminator reads it from unseen points.

    Args:
        sampler, samples: The laws, in the plane.
        steps, batch, rate: Of its training with Adam, along half a cosine.
        seed: Of everything.
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
    train_critic(
        discriminator, sampler, samples, GAN, steps=steps, optimizer=adam(rate), batch=batch, cosine=True, seed=seed
    )
    rng = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        real, fake = (discriminator(law(JUDGED, rng)).flatten() for law in (sampler, samples))
    return float(jensen_shannon(-GAN.critic_loss(real, fake).item()))
