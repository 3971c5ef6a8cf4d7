"""One alternating training step, and the loop around it, for every adversarial objective of the course.

The critic (the discriminator of a GAN) maximises an objective, the generator lowers its own loss, and a constraint may
hold the critic. The three are independent of each other, so that GAN, WGAN, WGAN-GP and f-GAN are settings.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn.functional import softplus

from shapeofloss.adversarial.penalty import Clip, Constraint, GradientPenalty
from shapeofloss.adversarial.toys import Sampler, normal
from shapeofloss.errors import UserError

Optimizer = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Objective:
    """What critic and generator want, in terms of scores.

    Attributes:
        name: For messages and tables.
        critic_loss: Of the scores of data, shape (N,), and of samples, shape (M,): the critic minimises it, and its
            negative is the critic's *value*.
        generator_loss: Of the scores of samples, shape (M,): the generator minimises it.
    """

    name: str
    critic_loss: Callable[[Tensor, Tensor], Tensor]
    generator_loss: Callable[[Tensor], Tensor]


def _cross_entropy(real: Tensor, fake: Tensor) -> Tensor:
    # With D = sigmoid(score): -log D = softplus(-score) and -log(1 - D) = softplus(score), without overflow.
    return softplus(-real).mean() + softplus(fake).mean()


# E log D(y) + E log(1 - D(z)), the same for both players.
GAN = Objective("GAN", _cross_entropy, lambda fake: -softplus(fake).mean())
# The generator maximises E log D(z) instead: its gradient does not vanish where D is near 0.
NON_SATURATING = Objective("non-saturating GAN", _cross_entropy, lambda fake: softplus(-fake).mean())
# E f(y) - E f(z); a constraint has to hold the slope of f.
WASSERSTEIN = Objective("WGAN", lambda real, fake: fake.mean() - real.mean(), lambda fake: -fake.mean())


def jensen_shannon(value: ArrayLike) -> Any:
    r"""Return the Jensen-Shannon divergence that a discriminator's value V amounts to, in nats.

    .. math:: \max_D V = 2 JSD - \log 4

    A discriminator that is not optimal has a lower value, so this is a lower bound (up to the noise of a batch).

    Example:
        >>> float(jensen_shannon(-math.log(4))), round(float(jensen_shannon(0.0)), 4)
        (0.0, 0.6931)
    """
    return (np.asarray(value) + math.log(4)) / 2


@dataclass(frozen=True, eq=False)
class History:
    """What happened in a training of S steps.

    Attributes:
        value: The critic's value on its last batch in each step, without penalty, shape (S,).
        norm: Mean gradient norm on the penalised points of that batch, shape (S,); NaN without a penalty.
        generator_loss: Shape (S,); NaN if only the critic was trained.
        at: The numbers of steps done when something was recorded, from 0, shape (R,).
        watched: By name, what was recorded then, each of shape (R, ...).
    """

    value: Floats
    norm: Floats
    generator_loss: Floats
    at: NDArray[np.int64]
    watched: dict[str, NDArray[Any]]


def critic_step(
    critic: nn.Module,
    optimizer: torch.optim.Optimizer,
    objective: Objective,
    real: Tensor,
    fake: Tensor,
    *,
    constraint: Constraint | None = None,
    rng: torch.Generator,
    largest_step: float = math.inf,
) -> tuple[float, float]:
    """Update a critic once on a batch of data and one of samples.

    Args:
        critic: Scores points, from shape (N, ...) to (N,) or (N, 1). It is changed.
        optimizer: Of its parameters.
        objective: Its `critic_loss` is minimised, plus a penalty.
        real, fake: Data and samples; no gradient goes on into what made them.
        constraint: Weights are clipped after the update, a penalty is part of the loss.
        rng: Source of the places of a penalty.
        largest_step: Gradients of the parameters are shortened to that norm.
    Returns:
        The critic's value before the update, without penalty, and the mean gradient norm (NaN without a penalty).
    """
    scores = critic(torch.cat([real, fake.detach()])).flatten()
    loss = objective.critic_loss(scores[: len(real)], scores[len(real) :])
    value, norm = -loss.item(), math.nan
    if isinstance(constraint, GradientPenalty):
        norms = constraint.norms(critic, real, fake.detach(), rng)
        loss = loss + constraint.weight * (norms - 1).square().mean()
        norm = norms.mean().item()
    _update(critic, optimizer, loss, largest_step)
    if isinstance(constraint, Clip):
        constraint.apply(critic)
    return value, norm


def generator_step(
    generator: nn.Module,
    critic: nn.Module,
    optimizer: torch.optim.Optimizer,
    objective: Objective,
    noise: Tensor,
    *,
    largest_step: float = math.inf,
) -> float:
    """Update a generator once against a critic, which stays as it is.

    Args:
        generator: From noise, shape (N, L), to points that the critic scores. It is changed.
        critic: As for `critic_step`.
        optimizer: Of the generator's parameters.
        objective: Its `generator_loss` is minimised.
        noise: Shape (N, L).
        largest_step: As for `critic_step`.
    Returns:
        The generator's loss before the update.
    """
    loss = objective.generator_loss(critic(generator(noise)).flatten())
    _update(generator, optimizer, loss, largest_step)
    return loss.item()


def _update(model: nn.Module, optimizer: torch.optim.Optimizer, loss: Tensor, largest_step: float) -> None:
    optimizer.zero_grad()
    # Of this model only: a generator's loss has gradients in the critic, too.
    loss.backward(inputs=[parameter for parameter in model.parameters() if parameter.requires_grad])
    if largest_step < math.inf:
        nn.utils.clip_grad_norm_(model.parameters(), largest_step)
    optimizer.step()


def train(
    generator: nn.Module,
    critic: nn.Module,
    sampler: Sampler,
    objective: Objective,
    *,
    steps: int,
    optimizer: Optimizer,
    generator_optimizer: Optimizer | None = None,
    critic_steps: int = 5,
    warm_up: int = 0,
    constraint: Constraint | None = None,
    batch: int = 256,
    prior: Sampler | None = None,
    cosine: bool = False,
    largest_step: float = math.inf,
    seed: int,
    record_every: int = 0,
    watch: Callable[[int], Mapping[str, ArrayLike]] | None = None,
) -> History:
    """Train a generator and a critic in turns: `critic_steps` updates of the critic, then one of the generator.

    Args:
        generator: From noise, shape (N, L), to points, shape (N, ...). It is changed.
        critic: From points to scores, shape (N,) or (N, 1). It is changed.
        sampler: The data: returns a batch, from its size and a source of random numbers.
        objective: Such as `GAN`, `NON_SATURATING`, `WASSERSTEIN`.
        steps: Updates of the generator.
        optimizer: Makes the critic's optimiser from its parameters, for example
            `partial(torch.optim.Adam, lr=1e-3, betas=(0.5, 0.9))`.
        generator_optimizer: Makes the generator's; as the critic's by default.
        critic_steps: Updates of the critic for each of the generator, each on new batches.
        warm_up: How many updates the critic has more before the generator's first one.
        constraint: `Clip`, `GradientPenalty` or none.
        batch: Points of data and of samples in each batch.
        prior: The noise; standard normal in 2 dimensions by default.
        cosine: Whether learning rates fall to zero over the training, along half a cosine.
        largest_step: Gradients of the parameters are shortened to that norm.
        seed: Of data, noise and places of the penalty; initial weights have been drawn before.
        record_every: After how many steps `watch` is asked, also before the first step; 0 for never.
        watch: From the number of steps done to numbers or arrays by name, always of the same shapes. Random numbers
            that it needs are its own, so that watching changes nothing.
    Returns:
        What happened.
    Raises:
        UserError: If a loss or a penalised norm is not finite, with the step and the settings; if a penalised critic
            normalises batches; or if steps are below 1.
    Source:
        WGAN lecture, slides on Wasserstein GAN.
    """
    _check(steps, critic_steps, constraint, critic)
    rng = torch.Generator().manual_seed(seed)
    noise = normal(2) if prior is None else prior
    first = optimizer(critic.parameters())
    second = (generator_optimizer or optimizer)(generator.parameters())
    log = _Log(steps, record_every, watch)
    rates = _rates(first), _rates(second)
    settings = [_setting(objective, constraint, own) for own in rates]
    for step in range(steps):
        if cosine:
            for own, start in zip((first, second), rates, strict=True):
                _anneal(own, start, step / steps)
        for _ in range(critic_steps if step else critic_steps + warm_up):
            with torch.no_grad():
                fake = generator(noise(batch, rng))
            real = sampler(batch, rng)
            log.value[step], log.norm[step] = critic_step(
                critic, first, objective, real, fake, constraint=constraint, rng=rng, largest_step=largest_step
            )
            _check_critic(log, step, isinstance(constraint, GradientPenalty), settings[0])
        log.generator_loss[step] = generator_step(
            generator, critic, second, objective, noise(batch, rng), largest_step=largest_step
        )
        stop_if_not_finite("generator's loss", log.generator_loss[step], step + 1, settings[1])
        log.record(step + 1)
    return log.history()


def train_critic(
    critic: nn.Module,
    sampler: Sampler,
    samples: Sampler,
    objective: Objective,
    *,
    steps: int,
    optimizer: Optimizer,
    constraint: Constraint | None = None,
    batch: int = 256,
    cosine: bool = False,
    largest_step: float = math.inf,
    seed: int,
    record_every: int = 0,
    watch: Callable[[int], Mapping[str, ArrayLike]] | None = None,
) -> History:
    """Train a critic alone, between two laws that stay fixed.

    Args:
        critic: As for `train`.
        sampler: The data.
        samples: The law that stands in for a generator's.
        objective, steps, optimizer, constraint, batch, cosine, largest_step, seed, record_every, watch: As for `train`;
            a step is one update of the critic.
    Returns:
        What happened.
    Raises:
        UserError: As for `train`.
    """
    _check(steps, 1, constraint, critic)
    rng = torch.Generator().manual_seed(seed)
    own = optimizer(critic.parameters())
    log, start = _Log(steps, record_every, watch), _rates(own)
    for step in range(steps):
        if cosine:
            _anneal(own, start, step / steps)
        real, fake = sampler(batch, rng), samples(batch, rng)
        log.value[step], log.norm[step] = critic_step(
            critic, own, objective, real, fake, constraint=constraint, rng=rng, largest_step=largest_step
        )
        _check_critic(log, step, isinstance(constraint, GradientPenalty), _setting(objective, constraint, start))
        log.record(step + 1)
    return log.history()


class _Log:
    """Collects a history."""

    def __init__(self, steps: int, every: int, watch: Callable[[int], Mapping[str, ArrayLike]] | None) -> None:
        self.value, self.norm, self.generator_loss = (np.full(steps, math.nan) for _ in range(3))
        self.every, self.watch = every if watch else 0, watch
        self.at: list[int] = []
        self.rows: list[Mapping[str, ArrayLike]] = []
        self.record(0)

    def record(self, done: int) -> None:
        """Ask the watch if it is time."""
        if self.watch and self.every and done % self.every == 0:
            self.at.append(done)
            self.rows.append(self.watch(done))

    def history(self) -> History:
        """Return all of it as arrays."""
        names = self.rows[0] if self.rows else ()
        watched = {name: np.stack([np.asarray(row[name]) for row in self.rows]) for name in names}
        return History(self.value, self.norm, self.generator_loss, np.array(self.at, dtype=np.int64), watched)


def _check(steps: int, critic_steps: int, constraint: Constraint | None, critic: nn.Module) -> None:
    if steps < 1 or critic_steps < 1:
        raise UserError(f"There are {steps} steps with {critic_steps} of the critic in each; both need at least 1.")
    if isinstance(constraint, GradientPenalty):
        constraint.check(critic)


def _rates(optimizer: torch.optim.Optimizer) -> list[float]:
    return [group["lr"] for group in optimizer.param_groups]


def _anneal(optimizer: torch.optim.Optimizer, start: list[float], done: float) -> None:
    """Set each learning rate to its start times (1 + cos(pi done)) / 2."""
    for group, rate in zip(optimizer.param_groups, start, strict=True):
        group["lr"] = rate * (1 + math.cos(math.pi * done)) / 2


def stop_if_not_finite(what: str, value: float, step: int, setting: str) -> None:
    """Stop a training whose numbers have left the finite ones.

    Args:
        what: Name of the number, such as "critic's loss".
        value: The number.
        step: Number of the step, from 1.
        setting: What was trained, with what settings.
    Raises:
        UserError: If the value is not finite.
    Example:
        >>> stop_if_not_finite("loss", 0.5, 1, "a flow at learning rate 0.1")
    """
    if not math.isfinite(value):
        raise UserError(f"The {what} is {value} at step {step} of {setting}: use a smaller learning rate or weight.")


def _setting(objective: Objective, constraint: Constraint | None, rates: list[float]) -> str:
    held = "without a constraint" if constraint is None else f"with {constraint}"
    return f"{objective.name} {held} and learning rate {rates[0]:g}"


def _check_critic(log: _Log, step: int, penalised: bool, setting: str) -> None:
    """Stop if the critic's loss is not finite, or a gradient norm, which counts as part of the loss if penalised."""
    stop_if_not_finite("critic's loss", log.value[step], step + 1, setting)
    if penalised:
        stop_if_not_finite("norm of the critic's gradient", log.norm[step], step + 1, setting)
