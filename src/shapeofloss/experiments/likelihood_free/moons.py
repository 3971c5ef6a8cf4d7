"""Saturated gradients: what a generator could learn from a discriminator between two moons that do not touch."""

import copy
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shapeofloss.adversarial.history import Watch
from shapeofloss.adversarial.networks import perceptron
from shapeofloss.adversarial.objectives import MINIMAX, NON_SATURATING
from shapeofloss.adversarial.training import Schedule, adam, train_critic
from shapeofloss.arrays import as_count, as_seeds
from shapeofloss.distributions.mixtures import seeded_source
from shapeofloss.errors import UserError


def _angles(count: int, generator: torch.Generator) -> Tensor:
    return math.pi * torch.rand(count, 1, generator=generator)


def _on_circle(angle: Tensor) -> Tensor:
    return torch.cat([angle.cos(), angle.sin()], dim=1)


def half_circle(count: int, generator: torch.Generator) -> Tensor:
    """Return points of the upper half of the unit circle, without noise, shape (count, 2); a sampler."""
    return _on_circle(_angles(count, generator))


class Moon(nn.Module):
    """A generator with six parameters: an affine map of the half circle, at first the lower moon that interlocks."""

    def __init__(self) -> None:
        super().__init__()
        self.affine = nn.Linear(2, 2)
        with torch.no_grad():
            self.affine.weight.copy_(-torch.eye(2))
            self.affine.bias.copy_(torch.tensor([1.0, 0.5]))

    def forward(self, angle: Tensor) -> Tensor:
        """Return points, shape (N, 2), from angles in [0, pi], shape (N, 1)."""
        return self.affine(_on_circle(angle))

    @torch.no_grad()
    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Return points at random angles, shape (count, 2); a sampler."""
        return self(_angles(count, generator))


def lessons(critic: nn.Module, moon: Moon) -> dict[str, float]:
    """Return what a discriminator has to teach, from 1,000 even points of both moons, in double precision.

    Returns:
        "minimax" and "non_saturating", norms of the gradient of the generator's loss with respect to its six
        parameters; "value" of the discriminator, nats.
    """
    critic, moon = copy.deepcopy(critic).double(), copy.deepcopy(moon).double()
    even = math.pi * (torch.arange(1000).double()[:, None] + 0.5) / 1000
    real, fake = critic(_on_circle(even)).flatten(), critic(moon(even)).flatten()
    norms = {}
    for name, objective in (("minimax", MINIMAX), ("non_saturating", NON_SATURATING)):
        gradients = torch.autograd.grad(objective.generator_loss(fake), list(moon.parameters()), retain_graph=True)
        norms[name] = math.hypot(*torch.cat([gradient.flatten() for gradient in gradients]).tolist())
    return {**norms, "value": -MINIMAX.critic_loss(real, fake).item()}


def saturation(*, width: int, steps: int, batch: int, rate: float, at: list[int], seed: int) -> dict[str, Any]:
    """Train a discriminator between two moons that do not touch, and watch what the generator could learn from it.

    Args:
        width: Values of each of two hidden layers.
        steps, batch, rate: Steps, batch size and learning rate of Adam.
        at: After how many steps gradients are taken, rising, from 1 to `steps`.
        seed: Seed of weights and batches.
    Returns:
        "at", and what `lessons` are there; "accuracy" on 10,000 new points of each moon in the end; "data", "samples",
        500 points of each; "probability", D on a grid of 60 x 60 points from (-1.5, -1) to (2.5, 1.5), shape (60, 60).
    Raises:
        UserError: If a step is out of range, or the training leaves the finite numbers.
    Source:
        WGAN lecture, slide "Informal theoretical results".
    """
    at = as_seeds(at, "at")
    if min(at) < 1 or max(at) > as_count(steps, "steps"):
        raise UserError(f"Gradients are wanted after {at} steps, of which there are {steps}.")
    start = seeded_source(seed)
    critic, moon = perceptron((2, width, width, 1), generator=start), Moon()
    unasked = dict.fromkeys(("minimax", "non_saturating", "value"), math.nan)
    history = train_critic(
        critic,
        half_circle,
        moon.sample,
        MINIMAX,
        Schedule(steps, seed, batch),
        optimizer=adam(rate),
        watch=Watch(lambda done: lessons(critic, moon) if done in at else unasked, every=1),
    )
    grid = torch.cartesian_prod(torch.linspace(-1.5, 2.5, 60), torch.linspace(-1.0, 1.5, 60))
    with torch.no_grad():
        correct = critic(half_circle(10_000, start)) > 0, critic(moon.sample(10_000, start)) < 0
        probability = critic(grid).sigmoid().numpy().reshape(60, 60)
    return {
        "at": np.array(at),
        **{name: values[at] for name, values in history.watched.items()},
        "accuracy": torch.cat(correct).double().mean().item(),
        "data": half_circle(500, start).numpy(),
        "samples": moon.sample(500, start).numpy(),
        "probability": probability,
    }
