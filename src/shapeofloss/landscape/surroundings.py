"""A network at its minimum, and how the loss of others around it is evaluated."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from shapeofloss.arrays import as_floats, as_function
from shapeofloss.errors import UserError
from shapeofloss.landscape.batches import epochs_of, joined, once
from shapeofloss.landscape.directions import direction_of
from shapeofloss.landscape.ensembles import Batch, Ensemble, Loss, Together, cross_entropy, ensemble_of
from shapeofloss.landscape.ensembles.base import normalises_batches
from shapeofloss.landscape.ensembles.training import evaluate_together
from shapeofloss.landscape.parameters import flatten
from shapeofloss.landscape.randomness import seed_all


def check_network(model: nn.Module, loss: Loss) -> None:
    """Refuse what is no network or no loss, and networks whose loss would depend on more than their parameters.

    Raises:
        UserError: If so, in inference mode, and for batch normalisation in a scripted network.
    """
    if not isinstance(model, nn.Module):
        raise UserError(f"The model is a {type(model).__name__}; a torch.nn.Module is needed.")
    as_function(loss, "loss", example="lambda model, batch: functional.mse_loss(model(batch[0]), batch[1])")
    if torch.is_inference_mode_enabled() or any(parameter.is_inference() for parameter in model.parameters()):
        raise UserError(
            "Nothing can be retrained in torch.inference_mode(): make the network and call this outside of it."
        )
    for module in model.modules():
        if isinstance(module, torch.jit.ScriptModule) and "BatchNorm" in module.original_name:
            raise UserError(
                "The batch normalisation of a scripted network cannot be given the statistics of a batch: "
                "sample the network before torch.jit.script."
            )


class Around:
    """A minimum and how its surroundings are evaluated.

    Args:
        model, batches, loss, evaluation, held_out, together, name: As for `sample_around`.
    """

    def __init__(
        self,
        model: nn.Module,
        batches: Iterable[Batch],
        *,
        loss: Loss = cross_entropy,
        evaluation: Sequence[Batch] | None = None,
        held_out: Sequence[Batch] = (),
        together: Together = "auto",
        name: str | None = None,
    ) -> None:
        self.model, self.loss, self.together = model, loss, together
        self.name = name or type(model).__name__
        self.optimum = flatten(model)
        self.epochs = epochs_of(batches)
        self.evaluation = once(evaluation if evaluation is not None else batches)
        if not self.evaluation:
            raise UserError("There is no batch: give at least one.")
        self.held_out = once(held_out)
        if normalises_batches(model):
            self.evaluation = [joined(self.evaluation)]
            self.held_out = [joined(self.held_out)] if self.held_out else []

    def direction(self, seed: int) -> Tensor:
        """Return the filter-normalised direction of a seed at the optimum, shape (P,)."""
        return direction_of(self.model, seed)

    def ensemble(self, count: int) -> Ensemble:
        """Return an ensemble of networks at the optimum."""
        return ensemble_of(self.model, self.loss, count, example=self.evaluation[0], together=self.together)

    def evaluate(self, ensemble: Ensemble) -> tuple[list[float], list[float]]:
        """Return the losses and accuracies of an ensemble's networks over all batches of the evaluation."""
        seed_all(0)  # of a loss that draws random numbers: the same for all points
        return evaluate_together(ensemble, self.evaluation)

    def held_out_losses(self, ensemble: Ensemble) -> list[float] | list[None]:
        """Return the losses of an ensemble's networks over the held-out batches; None for each if there are none."""
        seed_all(0)
        return evaluate_together(ensemble, self.held_out)[0] if self.held_out else [None] * ensemble.count

    def at_optimum(self) -> tuple[float, float]:
        """Return loss and accuracy at the optimum.

        Raises:
            UserError: If the loss is not finite.
        """
        (loss,), (accuracy,) = self.evaluate(self.ensemble(1))
        if not math.isfinite(loss):
            raise UserError(f"The loss of {self.name} at its optimum is {loss}: give a network with a finite loss.")
        return loss, accuracy


def as_steps(steps: Any) -> list[float]:
    """Return step sizes as a list.

    Raises:
        UserError: If it is a single number, empty, or holds a number that is not finite, or one twice.
    """
    sizes = as_floats(steps, "steps", shape=("n",), empty=False).tolist()
    if len(set(sizes)) < len(sizes):
        raise UserError(f"steps is {sizes}; different step sizes are needed: two alike would be one trajectory.")
    return sizes
