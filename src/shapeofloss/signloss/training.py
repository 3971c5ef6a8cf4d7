"""Train a model on a mixture of squared error and directional sign loss, and measure what it makes of data."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shapeofloss.arrays import Floats, as_count, as_floats, as_function, as_number, as_tensor
from shapeofloss.errors import UserError
from shapeofloss.signloss.loss import directional_sign_loss, exact_sign_mismatch
from shapeofloss.topology.diagrams import persistence_diagram, wasserstein

MEAN = 100  # steps whose mean loss tells a plateau


@dataclass(frozen=True)
class Mixture:
    """A weighted sum of squared error and directional sign loss.

    Attributes:
        squared: Weight of the squared error.
        directional: Weight of the directional sign loss, mean over comparisons, not halved.
        sharpness: s of the directional sign loss.
        summed: Whether the squared error is summed over the values of an example, as in the paper's tables for waves
            and prices, or their mean is taken; over examples it is a mean.
    Raises:
        UserError: If a weight is negative, both are zero, or the sharpness is not positive; when it is called, if
            the two are no tensors of one shape.
    """

    squared: float
    directional: float
    sharpness: float
    summed: bool = True

    def __post_init__(self) -> None:
        """Refuse weights and a sharpness that make no loss."""
        for name in ("squared", "directional"):
            as_number(getattr(self, name), name, at_least=0)
        if not (self.squared or self.directional):
            raise UserError("Both weights of the mixture, squared and directional, are 0; one has to be above 0.")
        as_number(self.sharpness, "sharpness", above=0)

    def __call__(self, reconstruction: Tensor, original: Tensor) -> Tensor:
        """Return the loss of a batch, shape (N, ...) each; half precision is computed and returned in single."""
        _alike(reconstruction, original)
        reconstruction, original = _wide(reconstruction), _wide(original)
        loss = reconstruction.new_zeros(())
        if self.squared:
            error = torch.nn.functional.mse_loss(reconstruction, original)
            loss = loss + self.squared * (error * original[0].numel() if self.summed else error)
        if self.directional:
            loss = loss + self.directional * directional_sign_loss(reconstruction, original, sharpness=self.sharpness)
        return loss


@dataclass(frozen=True)
class Schedule:
    """How long and how fast a model is trained with Adam.

    Attributes:
        batch: Examples per step.
        steps: Steps in all.
        learning_rate: Learning rate at the start.
        plateau: After how many means over 100 steps without improvement the learning rate is halved; 0 for never.
        cosine: Whether the learning rate falls to zero along half a cosine.
        clip: Norm to which larger gradients are cut.
    Raises:
        UserError: If one of the numbers is out of range.
    """

    batch: int
    steps: int
    learning_rate: float
    plateau: int = 0
    cosine: bool = False
    clip: float = math.inf

    def __post_init__(self) -> None:
        """Refuse numbers with which nothing can be trained."""
        as_count(self.batch, "batch")
        as_count(self.steps, "steps")
        as_number(self.learning_rate, "learning_rate", above=0)
        as_count(self.plateau, "plateau", at_least=0)
        as_number(self.clip, "clip", above=0, finite=False)


def fit(
    model: nn.Module,
    draw: Callable[[int], Tensor],
    loss: Callable[[Tensor, Tensor], Tensor],
    schedule: Schedule,
) -> Floats:
    """Train a model to reconstruct its input.

    Args:
        model: Takes a batch, shape (N, ...), and returns one of the same shape. Its parameters are changed.
        draw: Returns that many examples, anew for each step.
        loss: Compares the reconstruction and the original.
        schedule: Steps and learning rate.
    Returns:
        The loss at each step, shape (steps,).
    Raises:
        UserError: If a batch is no tensor or records gradients, or as for `descend`.
    """
    draw, loss = as_function(draw, "draw"), as_function(loss, "loss", example="Mixture(1, 0, 1.0)")

    def of_a_batch() -> Tensor:
        original = as_tensor(draw(schedule.batch), "The batch")
        if original.requires_grad:
            raise UserError("The batch records gradients, which would be lost here: give batch.detach().")
        return loss(model(original), original)

    return descend(model, of_a_batch, schedule)


def descend(model: nn.Module, loss: Callable[[], Tensor], schedule: Schedule) -> Floats:
    """Change the parameters of a model by Adam such that a loss falls, and return the loss at each step.

    Raises:
        UserError: If the model has no parameters to train, or the loss is no finite scalar that records gradients, at
            some step.
    """
    if not isinstance(model, nn.Module):
        raise UserError(f"model is of type {type(model).__name__}; a torch.nn.Module is needed.")
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise UserError("The model has no parameters that record gradients; there is nothing to train.")
    optimizer = torch.optim.Adam(model.parameters(), lr=schedule.learning_rate)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, schedule.steps) if schedule.cosine else None
    halving = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=schedule.plateau)
    history = np.empty(schedule.steps)
    for step in range(schedule.steps):
        value = as_tensor(loss(), "The loss")
        if value.numel() != 1 or not value.requires_grad:
            raise UserError(
                f"The loss has shape {tuple(value.shape)} and {'has' if value.requires_grad else 'lacks'} gradients;"
                " one number is needed that follows from the parameters of the model by PyTorch's operations."
            )
        history[step] = value.item()
        if not np.isfinite(history[step]):
            rate = schedule.learning_rate
            raise UserError(f"The loss is {history[step]} at step {step + 1} with learning rate {rate}.")
        optimizer.zero_grad()
        value.backward()
        if math.isfinite(schedule.clip):
            nn.utils.clip_grad_norm_(model.parameters(), schedule.clip)
        optimizer.step()
        if cosine is not None:
            cosine.step()
        if schedule.plateau and (step + 1) % MEAN == 0:
            halving.step(float(history[step + 1 - MEAN : step + 1].mean()))
    return history


def measures(original: Tensor, reconstruction: Tensor, *, sharpness: float, summed: bool = True) -> dict[str, float]:
    """Measure reconstructions as the paper's tables do.

    Args:
        original, reconstruction: Shape (N, ...), 1 to 3 dimensions after the first.
        sharpness: s of DSL.
        summed: As for `Mixture`.
    Returns:
        Means over examples: `mse`, the squared error; `dsl`, mean over comparisons, not halved; `exact`, the sign
        mismatches of an example; `persistence`, the 2-Wasserstein distance (Euclidean ground distance, finite points)
        between diagrams of dimension 0, all neighbours.
    Raises:
        UserError: If the two are no tensors of finite numbers of one shape, or record gradients, which would be lost;
            if the sharpness is not positive.
    Source:
        Directional sign loss paper, Tables 1 and 2; the conventions fit the printed magnitudes.
    """
    _alike(reconstruction, original)
    known = [as_floats(t, name) for t, name in ((original, "original"), (reconstruction, "reconstruction"))]
    with torch.no_grad():
        squared = (_wide(original) - _wide(reconstruction)).square().flatten(1)
        directional = float(directional_sign_loss(reconstruction, original, sharpness=sharpness))
        pairs = zip(*known, strict=True)
        distances = [wasserstein(persistence_diagram(a), persistence_diagram(b)) for a, b in pairs]
        return {
            "mse": float((squared.sum(1) if summed else squared.mean(1)).mean()),
            "dsl": directional,
            "exact": float(exact_sign_mismatch(reconstruction, original)),
            "persistence": float(np.mean(distances)),
        }


def rebuilt(
    model: nn.Module, original: Tensor, *, sharpness: float, summed: bool = True, measured: int | None = None
) -> dict[str, Any]:
    """Return `original` and `reconstruction` as arrays, and the `measures` of the first so many of them, or of all."""
    model.eval()  # without dropout
    with torch.no_grad():
        reconstruction = model(original)
    scales = measures(original[:measured], reconstruction[:measured], sharpness=sharpness, summed=summed)
    return {"original": original.numpy(), "reconstruction": reconstruction.numpy(), **scales}


def _wide(t: Tensor) -> Tensor:
    """Return half precision, whose sums end at 65,504 or lose all digits, in single; other types as they are."""
    return t.float() if t.is_floating_point() and t.dtype.itemsize == 2 else t


def _alike(reconstruction: Tensor, original: Tensor) -> None:
    shapes = [
        tuple(as_tensor(t, name).shape) for t, name in ((reconstruction, "reconstruction"), (original, "original"))
    ]
    if shapes[0] != shapes[1] or 0 in (*shapes[0], len(shapes[0])):
        raise UserError(
            f"reconstruction has shape {shapes[0]} and original {shapes[1]}; one shape (N, ...) with at least one "
            "number is needed."
        )
