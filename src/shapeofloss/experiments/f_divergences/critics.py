"""Critics that learn an f-divergence of two normal distributions on the line from samples alone."""

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shapeofloss.adversarial.densities import densities
from shapeofloss.adversarial.fgan import objective
from shapeofloss.adversarial.history import Watch
from shapeofloss.adversarial.networks import perceptron
from shapeofloss.adversarial.training import Schedule, train_critic
from shapeofloss.arrays import as_count
from shapeofloss.distributions.mixtures import choices, on_the_line, seeded_source

LOOKS = 20  # at a critic in training, evenly spread, beside the one before the first step
EVALUATIONS = 20  # by Monte Carlo


def fit_bound_critic(
    *,
    divergence: str,
    first: list[float],
    second: list[float],
    width: int,
    batch: int,
    steps: int,
    learning_rate: float,
    examples: int,
    seed: int,
    points: int | None = None,
) -> dict[str, Any]:
    """Train a critic on the variational bound of one row, between two normal distributions on the line.

    Args:
        divergence: Key of the row.
        first, second: (m, sigma) of pi and of p.
        width: Values in each of the two hidden layers, with SiLU between.
        batch, steps: As for a `training.Schedule`.
        learning_rate: Learning rate of Adam, betas (0.9, 0.99), along half a cosine; gradients are shortened to norm 1.
        examples: Samples of each distribution in an evaluation by Monte Carlo, of which there are 20, on new samples
            each.
        seed: Seed of the initial weights and the samples.
        points: How many samples of each distribution there are in all; None for new ones in each batch.
    Returns:
        `at`, steps done at each of R looks; `raw`, the critic's outputs at the nodes of `densities(first, second)`
        then, shape (R, Q); `monte_carlo`, bounds of the last critic, shape (20,); `training`, its bound on the samples
        that it was trained on, NaN where each batch is new.
    Raises:
        UserError: If the loss is not finite, with the step and the setting.
    Source:
        WGAN lecture, the note that evaluating the bound needs samples only.
    """
    as_count(examples, "examples"), as_count(steps, "steps")
    start = seeded_source(seed)
    critic = perceptron((1, width, width, 1), generator=start, activation=nn.SiLU)
    new = on_the_line(first), on_the_line(second)
    drawn = [own(as_count(points, "points"), start) for own in new] if points is not None else []
    pi, p = map(choices, drawn) if drawn else new
    nodes = torch.as_tensor(densities(first, second).x, dtype=torch.float32)[:, None]
    goal = objective(divergence)

    @torch.no_grad()
    def bound(real: Tensor, fake: Tensor) -> float:
        return -float(goal.critic_loss(critic(real).double(), critic(fake).double()))

    @torch.no_grad()
    def look(_: int) -> dict[str, Any]:
        return {"raw": critic(nodes)[:, 0].numpy()}

    history = train_critic(
        critic,
        pi,
        p,
        goal,
        Schedule(steps, seed + 10_000, batch, cosine=True, largest_step=1.0),
        optimizer=partial(torch.optim.Adam, lr=learning_rate, betas=(0.9, 0.99), fused=True),
        watch=Watch(look, max(1, steps // LOOKS)),
    )
    fresh = seeded_source(seed + 20_000)
    return {
        "at": history.at,
        **history.watched,
        "monte_carlo": np.array([bound(*(own(examples, fresh) for own in new)) for _ in range(EVALUATIONS)]),
        "training": np.array(bound(*drawn) if drawn else np.nan),
    }
