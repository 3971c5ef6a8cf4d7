"""The loop of an alternating training, for every adversarial objective of the course.

The critic (the discriminator of a GAN) maximises an objective, the generator lowers its own loss, and a constraint may
hold the critic. The three are independent of each other, so that GAN, WGAN, WGAN-GP and f-GAN are settings.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from shapeofloss.adversarial.constraints import Constraint, GradientPenalty
from shapeofloss.adversarial.history import History, Log, Watch
from shapeofloss.adversarial.objectives import Objective
from shapeofloss.adversarial.steps import as_optimizer, check, critic_step, generator_step
from shapeofloss.arrays import as_count, as_function, as_number, as_tensor
from shapeofloss.distributions.mixtures import Sampler, normal
from shapeofloss.errors import UserError

Optimizer = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


def adam(rate: float) -> Optimizer:
    """Return a maker of Adam with the momenta 0.5 and 0.9 of the released code of improved WGAN training."""
    return partial(torch.optim.Adam, lr=rate, betas=(0.5, 0.9), fused=True)


def rmsprop(rate: float) -> Optimizer:
    """Return a maker of RMSProp, which has no momentum: what the WGAN paper clips weights with.

    It is Adam with momenta 0 and 0.99, so that the first steps are as long as later ones; torch's own RMSProp, without
    Adam's correction, begins with steps ten times as long, and they throw a generator off.
    """
    return partial(torch.optim.Adam, lr=rate, betas=(0.0, 0.99), fused=True)


@dataclass(frozen=True)
class Schedule:
    """How long a training lasts, and what its steps are.

    Attributes:
        steps: Updates of the generator, at least 1, or of a critic that is trained alone.
        seed: Seed of data, noise, places of the penalty and dropout; initial weights have been drawn before. Torch's
            own random state comes back untouched.
        batch: Points of data and of samples in each batch, at least 1.
        critic_steps: Updates of the critic for each of the generator, at least 1, each on new batches.
        warm_up: How many updates the critic has more before the generator's first one, at least 0.
        cosine: Whether learning rates fall to zero over the training, along half a cosine.
        largest_step: Gradients of the parameters are shortened to that norm, above 0.

    Raises:
        UserError: If one is of another kind or out of range.
    """

    steps: int
    seed: int
    batch: int = 256
    critic_steps: int = 5
    warm_up: int = 0
    cosine: bool = False
    largest_step: float = math.inf

    def __post_init__(self) -> None:
        as_count(self.steps, "steps"), as_count(self.batch, "batch"), as_count(self.critic_steps, "critic_steps")
        as_count(self.warm_up, "warm_up", at_least=0)
        if not isinstance(self.cosine, bool | np.bool_):
            raise UserError(f"cosine is {self.cosine!r}; True or False is needed.")
        as_number(self.largest_step, "largest_step", above=0, finite=False)


def train(
    generator: nn.Module,
    critic: nn.Module,
    sampler: Sampler,
    objective: Objective,
    schedule: Schedule,
    *,
    optimizer: Optimizer,
    generator_optimizer: Optimizer | None = None,
    constraint: Constraint | None = None,
    prior: Sampler | None = None,
    watch: Watch | None = None,
) -> History:
    """Train a generator and a critic in turns: `critic_steps` updates of the critic, then one of the generator.

    Args:
        generator: From noise, shape (N, L), to points, shape (N, ...). It is changed.
        critic: From points to scores, shape (N,) or (N, 1). It is changed.
        sampler: The data: returns a batch, from its size and a source of random numbers.
        objective: Such as `MINIMAX`, `NON_SATURATING`, `WASSERSTEIN`.
        schedule: Number and kind of the steps, and the seed.
        optimizer: Makes the critic's optimizer from its parameters, for example `adam(1e-3)`.
        generator_optimizer: Makes the generator's; as the critic's by default.
        constraint: `Clip`, `GradientPenalty` or none.
        prior: The noise; standard normal in 2 dimensions by default.
        watch: What is recorded on the way, and how often.
    Returns:
        What happened.
    Raises:
        UserError: If a loss or a penalised norm is not finite, with the step and the settings; if scores are not one
            for each point, or a penalised critic's score of a point depends on its batch; if an argument is of another
            kind.
    Source:
        WGAN lecture, slides on Wasserstein GAN.
    """
    noise = normal(2) if prior is None else prior
    check(objective, constraint, generator=generator, critic=critic)

    def draw(source: torch.Generator) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            fake = generator(_drawn(noise, schedule.batch, source, generator, "prior"))
        return _drawn(sampler, schedule.batch, source, critic, "sampler"), fake

    def move(made: torch.optim.Optimizer, source: torch.Generator) -> float:
        drawn = _drawn(noise, schedule.batch, source, generator, "prior")
        return generator_step(generator, critic, made, objective, drawn, largest_step=schedule.largest_step)

    makers = optimizer, generator_optimizer or optimizer
    return _loop((critic, generator), makers, draw, move, objective, schedule, constraint, watch)


def train_critic(
    critic: nn.Module,
    sampler: Sampler,
    samples: Sampler,
    objective: Objective,
    schedule: Schedule,
    *,
    optimizer: Optimizer,
    constraint: Constraint | None = None,
    watch: Watch | None = None,
) -> History:
    """Train a critic alone, between two distributions that stay fixed.

    Args:
        critic: As for `train`.
        sampler: The data.
        samples: The distribution that stands in for a generator's.
        schedule: As for `train`; a step is one update of the critic, and nothing of it is about turns.
        objective, optimizer, constraint, watch: As for `train`.
    Returns:
        What happened.
    Raises:
        UserError: As for `train`.
    """
    check(objective, constraint, critic=critic)

    def draw(source: torch.Generator) -> tuple[Tensor, Tensor]:
        real = _drawn(sampler, schedule.batch, source, critic, "sampler")
        return real, _drawn(samples, schedule.batch, source, critic, "samples")

    return _loop((critic,), (optimizer,), draw, None, objective, schedule, constraint, watch)


def _loop(
    models: Sequence[nn.Module],
    makers: Sequence[Optimizer],
    draw: Callable[[torch.Generator], tuple[Tensor, Tensor]],
    move: Callable[[torch.optim.Optimizer, torch.Generator], float] | None,
    objective: Objective,
    schedule: Schedule,
    constraint: Constraint | None,
    watch: Watch | None,
) -> History:
    """Train a critic, the first of the models, on batches as they are drawn, and move a generator after its turns."""
    if isinstance(constraint, GradientPenalty):
        constraint.check(models[0])
    optimizers = [_made(maker, model) for maker, model in zip(makers, models, strict=True)]
    settings = [_setting(objective, constraint, optimizer) for optimizer in optimizers]
    falling = [
        LambdaLR(optimizer, partial(_half_cosine, schedule.steps)) for optimizer in optimizers if schedule.cosine
    ]
    with seeded(schedule.seed, *models) as source:
        log = Log(schedule.steps, watch)
        for step in range(schedule.steps):
            for turn in range(schedule.critic_steps + (0 if step else schedule.warm_up) if move else 1):
                real, fake = draw(source)
                log.value[step], log.norm[step] = critic_step(
                    models[0],
                    optimizers[0],
                    objective,
                    real,
                    fake,
                    constraint=constraint,
                    generator=source,
                    largest_step=schedule.largest_step,
                    first=step == turn == 0,
                )
                _check_critic(log, step, constraint, settings[0], real)
            if move:
                log.generator_loss[step] = move(optimizers[1], source)
                stop_if_not_finite("generator's loss", log.generator_loss[step], step + 1, settings[1])
            for scheduler in falling:
                scheduler.step()
            log.record(step + 1)
    return log.history()


def _half_cosine(steps: int, done: int) -> float:
    return (1 + math.cos(math.pi * (done / steps))) / 2


@contextmanager
def seeded(seed: int, *models: nn.Module) -> Iterator[torch.Generator]:
    """Give a source of random numbers, and dropout others, from one seed; then torch's random state as it was.

    Args:
        seed: A whole number from 0 that torch takes.
        models: On whose devices dropout acts.
    Raises:
        UserError: If the seed is no such number.
    Example:
        >>> with seeded(0) as source:
        ...     first = torch.rand(1)
        >>> with seeded(0) as source:
        ...     torch.equal(first, torch.rand(1))
        True
    """
    as_count(seed, "seed", at_least=0, at_most=2**64 - 1)
    # Not the seed itself, from which data and dropout would be drawn alike.
    other = int(torch.randint(2**62, (), generator=torch.Generator().manual_seed(seed)))
    devices = {parameter.device for model in models for parameter in model.parameters()}
    cards = sorted(device.index for device in devices if device.type == "cuda")
    metal = torch.mps.get_rng_state() if any(device.type == "mps" for device in devices) else None
    with torch.random.fork_rng(cards, device_type="cuda"):
        # Not `torch.manual_seed`, which sets devices that are none of ours.
        torch.default_generator.manual_seed(other)
        for card in cards:
            torch.cuda.default_generators[card].manual_seed(other)
        try:
            if metal is not None:
                torch.mps.manual_seed(other)
            yield torch.Generator().manual_seed(seed)
        finally:
            if metal is not None:
                torch.mps.set_rng_state(metal)


def _made(optimizer: Optimizer, model: nn.Module) -> torch.optim.Optimizer:
    """Return an optimizer of a model's parameters."""
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise UserError(f"The {type(model).__name__} has no parameter that requires gradients: nothing can be trained.")
    as_function(optimizer, "optimizer", example="partial(torch.optim.Adam, lr=1e-3)")
    try:
        return as_optimizer(optimizer(model.parameters()))
    except (TypeError, ValueError) as error:  # a learning rate below 0, for example
        raise UserError(f"The optimizer cannot be made: {error}") from error


def _drawn(sampler: Sampler, batch: int, source: torch.Generator, model: nn.Module, name: str) -> Tensor:
    """Return a batch of a distribution on the device of a model."""
    points = as_tensor(as_function(sampler, name, example="eight_gaussians()")(batch, source), f"What {name} gives")
    if len(points.shape) < 1 or len(points) != batch:
        raise UserError(
            f"What {name} gives for a batch of {batch} has shape {tuple(points.shape)}; ({batch}, ...) is needed."
        )
    return points.to(next(model.parameters()).device)


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


def _setting(objective: Objective, constraint: Constraint | None, optimizer: torch.optim.Optimizer) -> str:
    rates = [as_number(group["lr"], "The learning rate", at_least=0) for group in optimizer.param_groups]
    held = "without a constraint" if constraint is None else f"with {constraint}"
    return f"{objective.name} {held} and learning rate {rates[0]:g}"


def _check_critic(log: Log, step: int, constraint: Constraint | None, setting: str, real: Tensor) -> None:
    """Stop if the critic's loss is not finite, or a gradient norm, which counts as part of the loss if penalised."""
    penalised = isinstance(constraint, GradientPenalty)
    broken = not math.isfinite(log.value[step]) or (penalised and not math.isfinite(log.norm[step]))
    if broken and not real.isfinite().all():
        raise UserError(f"The data have values that are not finite, at step {step + 1} of {setting}: leave them out.")
    stop_if_not_finite("critic's loss", log.value[step], step + 1, setting)
    if penalised:
        stop_if_not_finite("norm of the critic's gradient", log.norm[step], step + 1, setting)
