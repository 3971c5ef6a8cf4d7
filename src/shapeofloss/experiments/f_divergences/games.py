"""f-GANs on eight Gaussians, one for each row of the table of f-divergences."""

from functools import partial
from typing import Any

import torch

from shapeofloss.adversarial.fgan import objective
from shapeofloss.adversarial.history import Watch
from shapeofloss.adversarial.networks import perceptron
from shapeofloss.adversarial.quality import modes_covered, wasserstein
from shapeofloss.adversarial.training import Schedule, train
from shapeofloss.distributions.mixtures import eight_gaussians, normal, seeded_source


def fit_fgan(
    *,
    divergence: str,
    width: int,
    batch: int,
    steps: int,
    critic_steps: int,
    learning_rate: float,
    largest_step: float,
    samples: int,
    record_every: int,
    seed: int,
) -> dict[str, Any]:
    """Train an f-GAN on eight Gaussians, and measure its samples along the way.

    Args:
        divergence: Key of the row.
        width: Values in each of the two hidden layers of both ReLU networks.
        batch, steps, critic_steps, largest_step: As for a `training.Schedule`.
        learning_rate: Learning rate of Adam, betas (0.5, 0.999), for both networks; it falls to zero along half a
            cosine.
        samples: Points of the generator and of the data that are compared, at least 200.
        record_every: Steps of the generator between two measurements.
        seed: Seed of the initial weights, of noise and data.
    Returns:
        `at`, steps done at each of R measurements; `wasserstein` (R,), exact and in units of length; `modes` (R,);
        `points`, the samples that were measured last, shape (samples, 2).
    Raises:
        UserError: If the loss is not finite, with the step and the setting; or as for `training.train`.
    Source:
        WGAN lecture, the note that samples suffice to fit an implicit model.
    """
    ring, prior, start = eight_gaussians(), normal(2), seeded_source(seed)
    generator = perceptron((2, width, width, 2), generator=start)
    critic = perceptron((2, width, width, 1), generator=start)
    fixed = seeded_source(seed + 10_000)
    data, codes = ring(samples, fixed).numpy(), prior(samples, fixed)

    @torch.no_grad()
    def look(_: int) -> dict[str, Any]:
        points = generator(codes).numpy()
        return {"wasserstein": wasserstein(points, data), "modes": modes_covered(points, ring), "points": points}

    history = train(
        generator,
        critic,
        ring,
        objective(divergence),
        Schedule(steps, seed + 20_000, batch, critic_steps, cosine=True, largest_step=largest_step),
        optimizer=partial(torch.optim.Adam, lr=learning_rate, betas=(0.5, 0.999), fused=True),
        prior=prior,
        watch=Watch(look, record_every),
    )
    return {"at": history.at, **history.watched, "points": history.watched["points"][-1]}
