"""All networks in one call, by `torch.func.vmap`: for every model whose operations allow it, on any device."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._pytree import tree_flatten, tree_unflatten

from shapeofloss.landscape.ensembles.base import Batch, Loss, Stacked, loss_and_accuracy, set_mode
from shapeofloss.landscape.randomness import random_state


class _Lost(nn.Module):
    """The loss as a module, so that `functional_call` can reach the model's parameters under its name."""

    def __init__(self, model: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.model, self._loss = model, loss

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        return loss_and_accuracy(self._loss, self.model, batch)


class Vectorised(Stacked):
    """An ensemble that hands all parameters to the model at once; arguments as for `Stacked`."""

    def __init__(self, model: nn.Module, loss: Loss, count: int) -> None:
        super().__init__(model, loss, count)
        self._lost = _Lost(model, loss)
        self._shapes = [parameter.shape for parameter in self._parameters]
        # Every place where a parameter stands, by its number. `functional_call` finds the places of tied parameters by
        # itself, but then leaves a module that occurs twice with the parameters of the call.
        numbers = {id(parameter): number for number, parameter in enumerate(self._parameters)}
        self._places = {
            f"{prefix}.{name}": numbers[id(parameter)]
            for prefix, module in self._lost.named_modules()
            for name, parameter in module.named_parameters(recurse=False)
            if id(parameter) in numbers
        }

    def backward(self, batches: Sequence[Batch], of: Tensor, *, dropout: bool = True) -> Tensor:
        """See `Ensemble`."""
        set_mode(self._model, training=dropout)
        gradient, (losses, _) = self._map(grad_and_value(self._call, has_aux=True), batches, of)
        self.theta.grad = gradient.detach()
        return losses.detach()

    def evaluate(self, batches: Sequence[Batch], of: Tensor) -> tuple[Tensor, Tensor]:
        """See `Ensemble`."""
        set_mode(self._model, training=False)
        fast = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)  # attention's shortcut without gradients has no rule for vmap
        try:
            with torch.no_grad():
                return self._map(self._call, batches, of)
        finally:
            torch.backends.mha.set_fastpath_enabled(fast)

    def _call(self, flat: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        parts = [
            part.view(shape)
            for part, shape in zip(flat.split([s.numel() for s in self._shapes]), self._shapes, strict=True)
        ]
        named = {place: parts[number] for place, number in self._places.items()}
        return functional_call(self._lost, named, (batch,), tie_weights=False)

    def _map(self, function: Any, batches: Sequence[Batch], of: Tensor) -> Any:
        """Apply a function of (parameters, batch) to every network and its batch."""
        with sdpa_kernel(SDPBackend.MATH):  # the other kernels of attention have no rule for vmap
            return self._mapped(function, batches, of)

    def _mapped(self, function: Any, batches: Sequence[Batch], of: Tensor) -> Any:
        theta = self.theta.detach()
        if len(batches) == 1:
            return vmap(function, in_dims=(0, None), randomness="same")(theta, batches[0])
        stacked = _stacked(batches, of)
        if stacked is not None:
            return vmap(function, in_dims=(0, 0), randomness="same")(theta, stacked)
        # Batches of different shapes: the networks of each together, with the random numbers that all would share.
        restart, parts = random_state([theta.device]), []
        for number, batch in enumerate(batches):
            restart()
            parts.append(vmap(function, in_dims=(0, None), randomness="same")(theta[of == number], batch))
        back = torch.argsort(torch.argsort(of, stable=True), stable=True).to(theta.device)
        leaves = [tree_flatten(part)[0] for part in parts]
        return tree_unflatten([torch.cat(some)[back] for some in zip(*leaves, strict=True)], tree_flatten(parts[0])[1])


def _stacked(batches: Sequence[Batch], of: Tensor) -> Batch | None:
    """Return one batch whose tensors have a first dimension for the networks; None if the batches differ in shape."""
    flat = [tree_flatten(batch) for batch in batches]
    leaves = [part[0] for part in flat]
    if any(part[1] != flat[0][1] for part in flat):
        return None
    columns = list(zip(*leaves, strict=True))
    if not all(isinstance(leaf, Tensor) and leaf.shape == column[0].shape for column in columns for leaf in column):
        return None
    return tree_unflatten([torch.stack(column)[of.to(column[0].device)] for column in columns], flat[0][1])
