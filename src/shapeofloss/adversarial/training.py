"""One alternating training step, and the loop around it, for every adversarial objective of the course.

The critic (the discriminator of a GAN) maximises an objective, the generator lowers its own loss, and a constraint may
hold the critic. The three are independent of each other, so that GAN, WGAN, WGAN-GP and f-GAN are settings.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn.functional import softplus

from shapeofloss.adversarial.penalty import Clip, Constraint, GradientPenalty, refuse_mixed_scores, scores_of
from shapeofloss.arrays import Floats, as_count, as_function, as_number, as_tensor
from shapeofloss.distributions.mixtures import Sampler, as_source, normal
from shapeofloss.errors import UserError

Optimizer = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


@dataclass(frozen=True)
class Objective:
    """What critic and generator want, in terms of scores.

    Attributes:
        name: For messages and tables.
        critic_loss: Of the scores of data, shape (N,), and of samples, shape (M,): the critic minimises it, and its
            negative is the critic's *value*.
        generator_loss: Of the scores of samples, shape (M,): the generator minimises it.

    Raises:
        UserError: If a loss is no function.
    """

    name: str
    critic_loss: Callable[[Tensor, Tensor], Tensor]
    generator_loss: Callable[[Tensor], Tensor]

    def __post_init__(self) -> None:
        as_function(self.critic_loss, "critic_loss", example="lambda real, fake: fake.mean() - real.mean()")
        as_function(self.generator_loss, "generator_loss", example="lambda fake: -fake.mean()")


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
        largest_step: Gradients of the parameters are shortened to that norm, above 0.
    Returns:
        The critic's value before the update, without penalty, and the mean gradient norm (NaN without a penalty).
    Raises:
        UserError: If an argument is of another kind or out of range, points differ in shape, scores are not one for
            each point, or a penalised critic's score of a point depends on its batch.
    """
    _check_models(critic=critic)
    _check_settings(objective, constraint, largest_step)
    return _critic_step(critic, optimizer, objective, real, fake, constraint, as_source(rng), largest_step, first=True)


def _critic_step(
    critic: nn.Module,
    optimizer: torch.optim.Optimizer,
    objective: Objective,
    real: Tensor,
    fake: Tensor,
    constraint: Constraint | None,
    rng: torch.Generator,
    largest_step: float,
    *,
    first: bool,
) -> tuple[float, float]:
    """Update a critic as `critic_step` does; look only in the first step whether it mixes the points of a batch."""
    penalised = isinstance(constraint, GradientPenalty)
    shapes = tuple(as_tensor(real, "real").shape), tuple(as_tensor(fake, "fake").shape)
    if not all(shapes) or 0 in (shapes[0][0], shapes[1][0]) or shapes[0][penalised ^ 1 :] != shapes[1][penalised ^ 1 :]:
        raise UserError(
            f"Data have shape {shapes[0]} and samples {shapes[1]}; a critic needs points of one shape, "
            f"{'as many of both for a penalty' if penalised else 'and some of both'}."
        )
    points = torch.cat([real, fake]).detach()
    looking = penalised and first and points.is_floating_point()
    scores = scores_of(critic, points.requires_grad_() if looking else points)
    if looking:
        refuse_mixed_scores(scores, points, len(real))
    loss = _single(
        objective.critic_loss(scores[: len(real)], scores[len(real) :]), f"The critic's loss of {objective.name}"
    )
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
    Raises:
        UserError: If an argument is of another kind or out of range, or scores are not one for each point.
    """
    _check_models(generator=generator, critic=critic)
    _check_settings(objective, None, largest_step)
    made = as_tensor(generator(as_tensor(noise, "noise")), "What the generator gives")
    loss = _single(objective.generator_loss(scores_of(critic, made)), f"The generator's loss of {objective.name}")
    _update(generator, optimizer, loss, largest_step)
    return loss.item()


def _single(loss: Any, name: str) -> Tensor:
    if as_tensor(loss, name).numel() != 1:
        raise UserError(f"{name} has shape {tuple(loss.shape)}; a single number is needed, such as the mean.")
    return loss


def _update(model: nn.Module, optimizer: torch.optim.Optimizer, loss: Tensor, largest_step: float) -> None:
    if not loss.requires_grad or torch.is_inference_mode_enabled():
        raise UserError(
            "The loss has no gradient: call outside of torch.no_grad() and torch.inference_mode(), with parameters "
            "that require gradients, and detach nothing on the way."
        )
    _as_optimizer(optimizer).zero_grad()
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
        steps: Updates of the generator, at least 1.
        optimizer: Makes the critic's optimizer from its parameters, for example
            `partial(torch.optim.Adam, lr=1e-3, betas=(0.5, 0.9))`.
        generator_optimizer: Makes the generator's; as the critic's by default.
        critic_steps: Updates of the critic for each of the generator, at least 1, each on new batches.
        warm_up: How many updates the critic has more before the generator's first one, at least 0.
        constraint: `Clip`, `GradientPenalty` or none.
        batch: Points of data and of samples in each batch, at least 1.
        prior: The noise; standard normal in 2 dimensions by default.
        cosine: Whether learning rates fall to zero over the training, along half a cosine.
        largest_step: Gradients of the parameters are shortened to that norm, above 0.
        seed: Of data, noise, places of the penalty and dropout; initial weights have been drawn before. Torch's own
            random state comes back untouched.
        record_every: After how many steps `watch` is asked, also before the first step; 0 for never.
        watch: From the number of steps done to numbers or arrays by name, always of the same names and shapes. Random
            numbers that it needs are its own, so that watching changes nothing.
    Returns:
        What happened.
    Raises:
        UserError: If a loss or a penalised norm is not finite, with the step and the settings; if scores are not one
            for each point, or a penalised critic's score of a point depends on its batch; if an argument is of another
            kind or out of range, or one of `record_every` and `watch` is given without the other.
    Source:
        WGAN lecture, slides on Wasserstein GAN.
    """
    _check_models(generator=generator, critic=critic)
    _check(critic, objective, constraint, largest_step, cosine, steps=steps, critic_steps=critic_steps, batch=batch)
    as_count(warm_up, "warm_up", at_least=0)
    noise = normal(2) if prior is None else prior
    first, second = (
        _made(own, model) for own, model in ((optimizer, critic), (generator_optimizer or optimizer, generator))
    )
    rates = _rates(first), _rates(second)
    settings = [_setting(objective, constraint, own) for own in rates]
    with seeded(seed, generator, critic) as rng:
        log = _Log(steps, record_every, watch)
        for step in range(steps):
            if cosine:
                for own, start in zip((first, second), rates, strict=True):
                    _anneal(own, start, step / steps)
            for turn in range(critic_steps if step else critic_steps + warm_up):
                with torch.no_grad():
                    fake = generator(_drawn(noise, batch, rng, generator, "prior"))
                real = _drawn(sampler, batch, rng, critic, "sampler")
                log.value[step], log.norm[step] = _critic_step(
                    critic, first, objective, real, fake, constraint, rng, largest_step, first=step == turn == 0
                )
                _check_critic(log, step, constraint, settings[0], real)
            log.generator_loss[step] = generator_step(
                generator,
                critic,
                second,
                objective,
                _drawn(noise, batch, rng, generator, "prior"),
                largest_step=largest_step,
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
    _check_models(critic=critic)
    _check(critic, objective, constraint, largest_step, cosine, steps=steps, batch=batch)
    own = _made(optimizer, critic)
    start = _rates(own)
    with seeded(seed, critic) as rng:
        log = _Log(steps, record_every, watch)
        for step in range(steps):
            if cosine:
                _anneal(own, start, step / steps)
            real, fake = (
                _drawn(law, batch, rng, critic, name) for law, name in ((sampler, "sampler"), (samples, "samples"))
            )
            log.value[step], log.norm[step] = _critic_step(
                critic, own, objective, real, fake, constraint, rng, largest_step, first=step == 0
            )
            _check_critic(log, step, constraint, _setting(objective, constraint, start), real)
            log.record(step + 1)
    return log.history()


@contextmanager
def seeded(seed: int, *models: nn.Module) -> Iterator[torch.Generator]:
    """Give a source of random numbers, and dropout others, from one seed; then torch's random state as it was.

    Args:
        seed: A whole number from 0 that torch takes.
        models: On whose devices dropout acts.
    Raises:
        UserError: If the seed is no such number.
    Example:
        >>> with seeded(0) as rng:
        ...     first = torch.rand(1)
        >>> with seeded(0) as rng:
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
        return _as_optimizer(optimizer(model.parameters()))
    except (TypeError, ValueError) as error:  # a learning rate below 0, for example
        raise UserError(f"The optimizer cannot be made: {error}") from error


def _as_optimizer(made: Any) -> torch.optim.Optimizer:
    if not all(hasattr(made, name) for name in ("step", "zero_grad", "param_groups")):
        raise UserError(f"The optimizer is {made!r}; one of torch.optim is needed, made of the model's parameters.")
    optimizer: torch.optim.Optimizer = made
    return optimizer


def _drawn(law: Sampler, batch: int, rng: torch.Generator, model: nn.Module, name: str) -> Tensor:
    """Return a batch of a law on the device of a model."""
    points = as_tensor(as_function(law, name, example="eight_gaussians()")(batch, rng), f"What {name} gives")
    if len(points.shape) < 1 or len(points) != batch:
        raise UserError(
            f"What {name} gives for a batch of {batch} has shape {tuple(points.shape)}; ({batch}, ...) is needed."
        )
    return points.to(next(model.parameters()).device)


class _Log:
    """Collects a history."""

    def __init__(self, steps: int, every: int, watch: Callable[[int], Mapping[str, ArrayLike]] | None) -> None:
        as_count(every, "record_every", at_least=0)
        if watch is not None:
            as_function(watch, "watch", example='lambda done: {"done": done}')
        if (watch is None) != (every == 0):
            raise UserError(
                f"record_every is {every}, and there is {'no' if watch is None else 'a'} watch: give both, or neither."
            )
        self.value, self.norm, self.generator_loss = (np.full(steps, math.nan) for _ in range(3))
        self.every, self.watch = every, watch
        self.at: list[int] = []
        self.rows: list[dict[str, NDArray[Any]]] = []
        self.record(0)

    def record(self, done: int) -> None:
        """Ask the watch if it is time."""
        if self.watch and self.every and done % self.every == 0:
            with torch.random.fork_rng(devices=[]):
                found = self.watch(done)
            if not isinstance(found, Mapping):
                raise UserError(f"The watch gives {found!r}; a dict from names to numbers or arrays is needed.")
            # Copies, since an array may change as training goes on.
            row = {
                name: np.array(own.detach().cpu().numpy() if isinstance(own, Tensor) else own)
                for name, own in found.items()
            }
            if self.rows and _shapes(row) != _shapes(self.rows[0]):
                raise UserError(
                    f"The watch gives {_shapes(row)} after {done} steps, and gave {_shapes(self.rows[0])} at first; "
                    "names and shapes have to stay."
                )
            self.at.append(done)
            self.rows.append(row)

    def history(self) -> History:
        """Return all of it as arrays."""
        names = self.rows[0] if self.rows else ()
        watched = {name: np.stack([row[name] for row in self.rows]) for name in names}
        return History(self.value, self.norm, self.generator_loss, np.array(self.at, dtype=np.int64), watched)


def _shapes(row: dict[str, NDArray[Any]]) -> dict[str, tuple[int, ...]]:
    return {name: values.shape for name, values in row.items()}


def _check_models(**models: nn.Module) -> None:
    for name, model in models.items():
        if not isinstance(model, nn.Module):
            raise UserError(f"The {name} is {model!r}; a torch.nn.Module is needed.")


def _check_settings(objective: Objective, constraint: Constraint | None, largest_step: float) -> None:
    if not isinstance(objective, Objective):
        raise UserError(f"The objective is {objective!r}; an Objective is needed, such as WASSERSTEIN.")
    if not isinstance(constraint, Clip | GradientPenalty | None):
        raise UserError(f"The constraint is {constraint!r}; Clip(0.1), GradientPenalty(0.1) or None is needed.")
    as_number(largest_step, "largest_step", above=0, finite=False)


def _check(
    critic: nn.Module,
    objective: Objective,
    constraint: Constraint | None,
    largest_step: float,
    cosine: bool,
    **counts: int,
) -> None:
    """Refuse settings of a training that cannot be meant."""
    for name, count in counts.items():
        as_count(count, name)
    _check_settings(objective, constraint, largest_step)
    if not isinstance(cosine, bool | np.bool_):
        raise UserError(f"cosine is {cosine!r}; True or False is needed.")
    if isinstance(constraint, GradientPenalty):
        constraint.check(critic)


def _rates(optimizer: torch.optim.Optimizer) -> list[float]:
    rates = [group["lr"] for group in optimizer.param_groups]
    for rate in rates:
        as_number(rate, "The learning rate", at_least=0)
    return rates


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


def _check_critic(log: _Log, step: int, constraint: Constraint | None, setting: str, real: Tensor) -> None:
    """Stop if the critic's loss is not finite, or a gradient norm, which counts as part of the loss if penalised."""
    penalised = isinstance(constraint, GradientPenalty)
    broken = not math.isfinite(log.value[step]) or (penalised and not math.isfinite(log.norm[step]))
    if broken and not real.isfinite().all():
        raise UserError(f"The data have values that are not finite, at step {step + 1} of {setting}: leave them out.")
    stop_if_not_finite("critic's loss", log.value[step], step + 1, setting)
    if penalised:
        stop_if_not_finite("norm of the critic's gradient", log.norm[step], step + 1, setting)
