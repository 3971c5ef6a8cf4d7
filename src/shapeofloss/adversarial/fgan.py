"""f-GAN: a row of the table of f-divergences as an adversarial objective, and its training on eight Gaussians."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from shapeofloss.adversarial.divergences import LOG_2, row
from shapeofloss.adversarial.networks import perceptron
from shapeofloss.adversarial.quality import modes_covered, wasserstein
from shapeofloss.adversarial.training import Objective, train
from shapeofloss.arrays import as_count, as_tensor
from shapeofloss.distributions.mixtures import Mixture, normal, seeded_source, toy
from shapeofloss.errors import UserError


def _pearson_charge(v: Tensor) -> Tensor:
    inner = v.clamp(min=-2)  # the conjugate is flat below
    return inner.square() / 4 + inner


# By row: T = g(v), and f*(g(v)) simplified by hand. The detour over T would round away what is close to the end of
# the conjugate's domain: for the GAN row in single precision f*(g(18)) is infinite, and softplus(18) is 18.
_FORMS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "kl": (lambda v: v, lambda v: torch.exp(v - 1)),
    "reverse-kl": (lambda v: -torch.exp(-v), lambda v: v - 1),
    "pearson": (lambda v: v, _pearson_charge),
    "hellinger": (lambda v: -torch.expm1(-v), torch.expm1),
    "js": (lambda v: LOG_2 - softplus(-v), lambda v: softplus(v) - LOG_2),
    "gan": (lambda v: -softplus(-v), softplus),
}


def reward(key: str, v: Tensor) -> Tensor:
    """Return T = g(v), the critic's value from its raw output: what it gets for data, any shape.

    For `reverse-kl` and `hellinger` it falls as -exp(-v): below v = -88 it is minus infinity in single precision, and a
    training stops there with a sentence.

    Raises:
        UserError: If there is no such row, or v is no tensor.
    Example:
        >>> reward("hellinger", torch.tensor([0.0])).tolist()
        [0.0]
    """
    return _FORMS[row(key).key][0](as_tensor(v, "v"))


def charge(key: str, v: Tensor) -> Tensor:
    """Return f*(g(v)), what the critic pays for samples, from its raw output, without overflow inside.

    For `kl` and `hellinger` it grows as exp(v), and is infinite above v = 89 in single precision.

    Raises:
        UserError: If there is no such row, or v is no tensor.
    Example:
        >>> charge("gan", torch.tensor([-200.0, 200.0])).tolist()
        [0.0, 200.0]
    """
    return _FORMS[row(key).key][1](as_tensor(v, "v"))


def objective(key: str) -> Objective:
    r"""Return the objective of f-GAN for a row of the table, as a game in which both players want one number.

    .. math:: \min_G \max_v\; E_\pi\, g(v(x)) - E_z\, f^*(g(v(G(z))))

    Args:
        key: Of the row.
    Raises:
        UserError: If there is no such row.
    Source:
        WGAN lecture, slides on the variational divergence estimation. The f-GAN paper's generator mostly maximises
        g(v) instead, as the non-saturating GAN does; here it lowers what the critic raises.
    Example:
        >>> objective("gan").name
        'f-GAN, GAN'
    """
    return Objective(
        f"f-GAN, {row(key).name}",
        lambda real, fake: charge(key, fake).mean() - reward(key, real).mean(),
        lambda fake: -charge(key, fake).mean(),
    )


def fit_fgan(
    *,
    divergence: str,
    width: int,
    layers: int,
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
        width, layers: Of the ReLU networks: values in a layer, and hidden layers.
        batch, steps, critic_steps, largest_step: As for `training.train`.
        learning_rate: Of Adam, betas (0.5, 0.999), for both networks; it falls to zero along half a cosine.
        samples: Points of the generator and of the data that are compared, at least 200.
        record_every: Steps of the generator between two measurements.
        seed: Of the initial weights, of noise and data.
    Returns:
        `at`, steps done at each of R measurements; `wasserstein` (R,), exact and in units of length; `modes` (R,);
        `points`, the last samples, shape (samples, 2); `value`, the critic's value at each step, empty if the
        training ended early; `stopped`, the sentence of the error that ended it, else empty.
    Source:
        WGAN lecture, the note that samples suffice to fit an implicit model.
    """
    law = toy("8 Gaussians")
    assert isinstance(law, Mixture)
    rng = seeded_source(seed)
    hidden = [width] * as_count(layers, "layers", at_least=0)
    generator, critic = perceptron((2, *hidden, 2), generator=rng), perceptron((2, *hidden, 1), generator=rng)
    watcher = torch.Generator().manual_seed(seed + 10_000)
    prior = normal(2)
    data, codes = law(samples, watcher).numpy(), prior(samples, watcher)
    records: list[tuple[int, float, int]] = []
    points = np.zeros((samples, 2), dtype=np.float32)

    def watch(done: int) -> dict[str, float]:
        with torch.no_grad():
            points[:] = generator(codes).numpy()
        found = wasserstein(points, data), modes_covered(points, law)
        records.append((done, *found))
        return {}

    stopped, value = "", np.zeros(0)
    try:
        history = train(
            generator,
            critic,
            law,
            objective(divergence),
            steps=steps,
            optimizer=partial(torch.optim.Adam, lr=learning_rate, betas=(0.5, 0.999), fused=True),
            critic_steps=critic_steps,
            batch=batch,
            prior=prior,
            cosine=True,
            largest_step=largest_step,
            seed=seed + 20_000,
            record_every=record_every,
            watch=watch,
        )
        value = history.value
    except UserError as error:  # the last measurement before it counts
        if not records:
            raise
        stopped = str(error)
    at, distances, modes = (np.array(column) for column in zip(*records, strict=True))
    return {
        "at": at,
        "wasserstein": distances,
        "modes": modes,
        "points": points,
        "value": value,
        "stopped": stopped,
    }
