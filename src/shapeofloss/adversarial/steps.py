"""One update of a critic, and one of a generator, for every adversarial objective of the course."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from shapeofloss.adversarial.constraints import Clip, Constraint, GradientPenalty, refuse_mixed_scores, scores_of
from shapeofloss.adversarial.objectives import Objective
from shapeofloss.arrays import as_number, as_tensor
from shapeofloss.distributions.mixtures import as_source
from shapeofloss.errors import UserError


def critic_step(
    critic: nn.Module,
    optimizer: torch.optim.Optimizer,
    objective: Objective,
    real: Tensor,
    fake: Tensor,
    *,
    constraint: Constraint | None = None,
    generator: torch.Generator,
    largest_step: float = math.inf,
    first: bool = True,
) -> tuple[float, float]:
    """Update a critic once on a batch of data and one of samples.

    Args:
        critic: Scores points, from shape (N, ...) to (N,) or (N, 1). It is changed.
        optimizer: One of torch, made of its parameters.
        objective: Its `critic_loss` is minimised, plus a penalty.
        real, fake: Data and samples; no gradient goes on into what made them.
        constraint: Weights are clipped after the update, a penalty is part of the loss.
        generator: Source of the places of a penalty.
        largest_step: Gradients of the parameters are shortened to that norm, above 0.
        first: Whether to look if a penalised critic's score of a point depends on its batch: once is enough.
    Returns:
        The critic's value before the update, without penalty, and the mean gradient norm (NaN without a penalty).
    Raises:
        UserError: If an argument is of another kind or out of range, points differ in shape, scores are not one for
            each point, or a penalised critic's score of a point depends on its batch.
    """
    check(objective, constraint, critic=critic)
    as_source(generator), as_number(largest_step, "largest_step", above=0, finite=False)
    penalised = isinstance(constraint, GradientPenalty)
    points = _joined(real, fake, penalised)
    looking = penalised and first and points.is_floating_point()
    scores = scores_of(critic, points.requires_grad_() if looking else points)
    if looking:
        refuse_mixed_scores(scores, points, len(real))
    loss = objective.critic_loss(scores[: len(real)], scores[len(real) :])
    loss = _single(loss, f"The critic's loss of {objective.name}")
    value, norm = -loss.item(), math.nan
    if isinstance(constraint, GradientPenalty):
        norms = constraint.norms(critic, real, fake.detach(), generator)
        loss = loss + constraint.weight * (norms - 1).square().mean()
        norm = norms.mean().item()
    _update(critic, optimizer, loss, largest_step)
    if isinstance(constraint, Clip):
        constraint.apply(critic)
    return value, norm


def _joined(real: Tensor, fake: Tensor, penalised: bool) -> Tensor:
    """Return data and samples in one tensor, without gradients."""
    shapes = tuple(as_tensor(real, "real").shape), tuple(as_tensor(fake, "fake").shape)
    if not all(shapes) or 0 in (shapes[0][0], shapes[1][0]) or shapes[0][penalised ^ 1 :] != shapes[1][penalised ^ 1 :]:
        raise UserError(
            f"Data have shape {shapes[0]} and samples {shapes[1]}; a critic needs points of one shape, "
            f"{'as many of both for a penalty' if penalised else 'and some of both'}."
        )
    return torch.cat([real, fake]).detach()


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
        optimizer: One of torch, made of the generator's parameters.
        objective: Its `generator_loss` is minimised.
        noise: Shape (N, L).
        largest_step: As for `critic_step`.
    Returns:
        The generator's loss before the update.
    Raises:
        UserError: If an argument is of another kind or out of range, or scores are not one for each point.
    """
    check(objective, None, generator=generator, critic=critic)
    as_number(largest_step, "largest_step", above=0, finite=False)
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
    as_optimizer(optimizer).zero_grad()
    # Of this model only: a generator's loss has gradients in the critic, too.
    loss.backward(inputs=[parameter for parameter in model.parameters() if parameter.requires_grad])
    if largest_step < math.inf:
        nn.utils.clip_grad_norm_(model.parameters(), largest_step)
    optimizer.step()


def check(objective: Objective, constraint: Constraint | None, **models: nn.Module) -> None:
    """Refuse what cannot be trained, and settings that cannot be meant."""
    for name, model in models.items():
        if not isinstance(model, nn.Module):
            raise UserError(f"The {name} is {model!r}; a torch.nn.Module is needed.")
    if not isinstance(objective, Objective):
        raise UserError(f"The objective is {objective!r}; an Objective is needed, such as WASSERSTEIN.")
    if not isinstance(constraint, Clip | GradientPenalty | None):
        raise UserError(f"The constraint is {constraint!r}; Clip(0.1), GradientPenalty(0.1) or None is needed.")


def as_optimizer(made: Any) -> torch.optim.Optimizer:
    """Return an optimizer as it is; refuse anything else, such as the maker of one."""
    if not all(hasattr(made, name) for name in ("step", "zero_grad", "param_groups")):
        raise UserError(f"The optimizer is {made!r}; one of torch.optim is needed, made of the model's parameters.")
    optimizer: torch.optim.Optimizer = made
    return optimizer
