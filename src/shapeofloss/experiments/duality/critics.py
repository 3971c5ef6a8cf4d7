"""Critics with a gradient penalty, which look for the Lipschitz function with the largest difference of means."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from shapeofloss.adversarial.constraints import GradientPenalty, OneSidedPenalty, gradient_norms
from shapeofloss.adversarial.history import Watch
from shapeofloss.adversarial.networks import perceptron
from shapeofloss.adversarial.objectives import WASSERSTEIN
from shapeofloss.adversarial.training import Schedule, train_critic
from shapeofloss.arrays import Floats
from shapeofloss.distributions.clouds import as_cloud
from shapeofloss.distributions.mixtures import choices, seeded_source


@dataclass(frozen=True)
class Training:
    """How a critic is trained, and how often it is looked at.

    Attributes:
        hidden: Values of each of two hidden layers.
        batch: Points of each cloud per step.
        steps: Steps of Adam, whose learning rate falls to 0 along half a cosine.
        learning_rate: Learning rate at the start.
        every: After how many steps to record, also before the first.
    """

    hidden: int
    batch: int
    steps: int
    learning_rate: float
    every: int


def fit_lipschitz_critic(
    x: Floats,
    y: Floats,
    seed: int,
    *,
    training: Mapping[str, Any],
    penalty: float,
    one_sided: bool = False,
    places: Floats,
    fresh_x: Floats,
    fresh_y: Floats,
) -> dict[str, Any]:
    """Train a critic with a gradient penalty on two clouds, and record what it says on others.

    Args:
        x, y: Clouds of shape (N, D) and (M, D) that batches are drawn from, with replacement.
        seed: Seed of weights and batches.
        training: The fields of a `Training`.
        penalty, one_sided: lambda, and whether slopes below 1 are free.
        places: Where the slope is looked at, shape (P, D).
        fresh_x, fresh_y: What means are taken over; the clouds themselves, or others of the same distributions.
    Returns:
        `at`: steps done at each of R records; `value`: mean of f over fresh_x less that over fresh_y, shape (R,);
        `slope`: the largest gradient norm at the places, shape (R,); `f`: values at the places at the end, shape (P,).
    Raises:
        UserError: If one is no cloud, or as for `train_critic`.
    """
    named = {"x": x, "y": y, "places": places, "fresh_x": fresh_x, "fresh_y": fresh_y}
    clouds = {name: as_cloud(cloud, name) for name, cloud in named.items()}
    where, first, second = (
        torch.as_tensor(clouds[name], dtype=torch.float32) for name in ("places", "fresh_x", "fresh_y")
    )
    how = Training(**training)
    critic = perceptron((clouds["x"].shape[1], how.hidden, how.hidden, 1), generator=seeded_source(seed))

    @torch.no_grad()
    def mean(cloud: Tensor) -> float:
        return critic(cloud).double().mean().item()

    def look(_: int) -> dict[str, float]:
        return {"value": mean(first) - mean(second), "slope": gradient_norms(critic, where).max().item()}

    history = train_critic(
        critic,
        choices(clouds["x"]),
        choices(clouds["y"]),
        WASSERSTEIN,
        Schedule(how.steps, seed, how.batch, cosine=True),
        optimizer=partial(torch.optim.Adam, lr=how.learning_rate, betas=(0.5, 0.9)),
        constraint=(OneSidedPenalty if one_sided else GradientPenalty)(penalty),
        watch=Watch(look, how.every),
    )
    with torch.no_grad():
        f = critic(where).flatten().double().numpy()
    return {"at": history.at, **history.watched, "f": f}
