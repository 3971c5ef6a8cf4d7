"""The generated waves of the demonstration: one cycle of a sine whose amplitude grows or shrinks."""

import itertools
import math
from typing import Any

import torch
from torch import Tensor

from shapeofloss.arrays import as_count, as_number
from shapeofloss.errors import UserError
from shapeofloss.signloss.training import Mixture, fit, measures, perceptrons

WATCHED = 10  # at every tenth step both losses are written down


def waves(count: int, points: int, generator: torch.Generator) -> Tensor:
    r"""Draw waves with a random phase, half of them swelling and half of them fading.

    .. math:: x(t) = \sin(2\pi t + \varphi)\, e^{\pm(2t - 1)}, \quad t \in [0, 1], \varphi \sim U(0, 2\pi)

    Args:
        count: How many.
        points: Samples of each, at least 2, both ends included.
        generator: Of the phases and signs.
    Returns:
        Shape (count, points), float32, without unit.
    Raises:
        UserError: If there are too few points, no waves, or no generator of PyTorch.
    Source:
        Directional sign loss paper, section 3.3.
    """
    count, points = as_count(count, "count"), as_count(points, "points", at_least=2)  # one has no direction
    if not isinstance(generator, torch.Generator):  # with None the draws would be the global ones
        raise UserError(f"generator is of type {type(generator).__name__}; a torch.Generator is needed.")
    t = torch.linspace(0, 1, points)
    phases = 2 * math.pi * torch.rand(count, 1, generator=generator)
    signs = 2 * torch.randint(2, (count, 1), generator=generator) - 1
    return torch.sin(2 * math.pi * t + phases) * torch.exp(signs * (2 * t - 1))


def train_waves(
    *,
    seed: int,
    points: int,
    hidden: int,
    latent: int,
    squared: float,
    directional: float,
    sharpness: float,
    batch: int,
    steps: int,
    learning_rate: float,
    examples: int,
    initialisation: str = "default",
    measured_at: float | None = None,
) -> dict[str, Any]:
    """Train the demonstration's autoencoder on waves, and measure it on waves that it has not seen.

    Args:
        seed: Of the weights, and of the waves.
        points, hidden, latent: Of a wave, and as for `training.perceptrons`.
        squared, directional, sharpness: The loss, a `training.Mixture` with the squared error summed.
        batch, steps, learning_rate: As for `training.fit`.
        examples: New waves to measure on, the same for all losses.
        initialisation: As for `training.perceptrons`.
        measured_at: Sharpness of the DSL that is measured; that of the training if None.
    Returns:
        `original` and `reconstruction` of the new waves, shape (examples, points); `mse`, `dsl`, `exact` and
        `persistence` as in `training.measures`; and at every tenth step of the training `squared_error` (summed) and
        `dsl_along`.
    Raises:
        UserError: If a setting is out of range, before the training.
    """
    seed, steps = as_count(seed, "seed", at_least=0), as_count(steps, "steps", at_least=0)
    batch, examples = as_count(batch, "batch"), as_count(examples, "examples")
    measured = sharpness if measured_at is None else as_number(measured_at, "measured_at", above=0)
    generator = torch.Generator().manual_seed(seed)
    model = perceptrons(points, hidden, latent, seed=seed, initialisation=initialisation)
    loss = Mixture(squared, directional, sharpness)
    parts: dict[str, list[float]] = {"squared_error": [], "dsl_along": []}
    counter = itertools.count()

    def watched(reconstruction: Tensor, original: Tensor) -> Tensor:
        if next(counter) % WATCHED == 0:
            with torch.no_grad():
                parts["squared_error"].append(float(Mixture(1, 0, sharpness)(reconstruction, original)))
                parts["dsl_along"].append(float(Mixture(0, 1, sharpness)(reconstruction, original)))
        return loss(reconstruction, original)

    fit(model, lambda _: waves(batch, points, generator), watched, steps=steps, learning_rate=learning_rate)
    original = waves(examples, points, torch.Generator().manual_seed(10_000 + seed))
    with torch.no_grad():
        reconstruction = model(original)
    found = measures(original, reconstruction, sharpness=measured)
    along = {name: torch.tensor(values, dtype=torch.float64).numpy() for name, values in parts.items()}
    return {"original": original.numpy(), "reconstruction": reconstruction.numpy(), **found, **along}
