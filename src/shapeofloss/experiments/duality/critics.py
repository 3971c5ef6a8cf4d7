"""Critics with a gradient penalty, which look for the Lipschitz function with the largest difference of means."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from shapeofloss.adversarial.networks import perceptron
from shapeofloss.adversarial.penalty import GradientPenalty, gradient_norms
from shapeofloss.adversarial.training import WASSERSTEIN, train_critic
from shapeofloss.arrays import Floats
from shapeofloss.distributions.clouds import as_cloud
from shapeofloss.distributions.mixtures import choices, seeded_source


@dataclass(frozen=True)
class OneSidedPenalty(GradientPenalty):
    """A price on gradient norms above 1 only: what a slope of *at most* 1 asks for.

    Source:
        Not in the WGAN lecture, whose penalty also pushes up slopes below 1.
    """

    def norms(self, critic: nn.Module, real: Tensor, fake: Tensor, generator: torch.Generator) -> Tensor:
        """Return the gradient norms, those below 1 as 1, where they cost nothing."""
        return super().norms(critic, real, fake, generator).clamp(min=1)


@dataclass(frozen=True)
class Schedule:
    """How long a critic is trained.

    Attributes:
        batch: Points of each cloud per step.
        steps: Steps of Adam, whose learning rate falls to 0 along half a cosine.
        learning_rate: Learning rate at the start.
        every: After how many steps to record, also before the first.
    """

    batch: int
    steps: int
    learning_rate: float
    every: int


def fit_lipschitz_critic(
    x: Floats,
    y: Floats,
    seed: int,
    *,
    hidden: int,
    schedule: Mapping[str, Any],
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
        hidden: Values of each of two hidden layers.
        schedule: The fields of a `Schedule`.
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
    critic = perceptron((clouds["x"].shape[1], hidden, hidden, 1), generator=seeded_source(seed))
    settings = Schedule(**schedule)

    @torch.no_grad()
    def mean(cloud: Tensor) -> float:
        return critic(cloud).double().mean().item()

    def watch(_: int) -> dict[str, float]:
        return {"value": mean(first) - mean(second), "slope": gradient_norms(critic, where).max().item()}

    history = train_critic(
        critic,
        choices(clouds["x"]),
        choices(clouds["y"]),
        WASSERSTEIN,
        steps=settings.steps,
        optimizer=partial(torch.optim.Adam, lr=settings.learning_rate, betas=(0.5, 0.9)),
        constraint=(OneSidedPenalty if one_sided else GradientPenalty)(penalty),
        batch=settings.batch,
        cosine=True,
        seed=seed,
        record_every=settings.every,
        watch=watch,
    )
    with torch.no_grad():
        f = critic(where).flatten().double().numpy()
    return {"at": history.at, **history.watched, "f": f}
