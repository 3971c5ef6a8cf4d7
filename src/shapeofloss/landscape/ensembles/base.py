"""What an ensemble is: networks of one architecture that are trained and evaluated side by side."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from shapeofloss.errors import UserError
from shapeofloss.landscape.parameters import trained_parameters

Batch = Any  # whatever the loss understands: tensors, or nested lists, tuples and dicts of tensors
Loss = Callable[[nn.Module, Batch], Tensor | tuple[Tensor, Tensor]]


def cross_entropy(model: nn.Module, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the mean cross-entropy in nats and the accuracy of a classifier on a batch of inputs and labels."""
    inputs, labels = batch
    scores = model(inputs)
    return functional.cross_entropy(scores, labels), (scores.argmax(dim=-1) == labels).to(scores.dtype).mean()


def loss_and_accuracy(loss: Loss, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Call a loss; where it gives no accuracy, that is not a number."""
    result = loss(model, batch)
    value, accuracy = result if isinstance(result, tuple) else (result, torch.full_like(result, torch.nan))
    if value.dim():
        raise UserError(f"The loss gives a tensor of shape {tuple(value.shape)}: let it return the mean, a scalar.")
    return value, accuracy.detach()


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Give back a network with its parameters, gradients, buffers and mode, and torch's random state, as they were."""
    modes = [(module, module.training) for module in model.modules()]
    tracking = [(layer, layer.track_running_stats) for layer in model.modules() if isinstance(layer, _BatchNorm)]
    parameters = [(p, p.detach().clone(), p.grad, p.requires_grad) for p in model.parameters()]
    tables = [(module._buffers, dict(module._buffers)) for module in model.modules()]  # a forward may replace buffers
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    devices = sorted({p.device.index for p in model.parameters() if p.device.type == "cuda"})
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        for module, mode in modes:
            module.training = mode
        for layer, tracked in tracking:
            layer.track_running_stats = tracked
        for table, entries in tables:
            table.clear()
            table.update(entries)
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
        for parameter, values, gradient, trained in parameters:
            parameter.requires_grad_(False).copy_(values).requires_grad_(trained)
            parameter.grad = gradient


def set_mode(model: nn.Module, *, training: bool) -> None:
    """Put a network into the mode of training or of evaluation, with batch normalisation alike in both.

    Batch normalisation uses the statistics of the batch in hand, and leaves its running averages alone. Dropout acts in
    training only.
    """
    model.train(training)
    for layer in model.modules():
        if isinstance(layer, _BatchNorm):
            layer.train()
            layer.track_running_stats = False


def normalises_batches(model: nn.Module) -> bool:
    """Tell whether an example's loss depends on the others of its batch."""
    return any(isinstance(layer, _BatchNorm) for layer in model.modules())


class Ensemble(ABC):
    """M networks of one architecture, each with parameters of its own.

    Attributes:
        count: Number of networks M.
        theta: All their trained parameters, in whatever order suits the computation; for an element-wise optimiser such
            as SGD or Adam. Its gradient is what `backward` leaves there.
    """

    count: int
    theta: nn.Parameter

    @abstractmethod
    def load(self, vectors: Tensor) -> None:
        """Set the networks' parameters to vectors of shape (M, P)."""

    @abstractmethod
    def vectors(self) -> Tensor:
        """Return the networks' parameters, shape (M, P), on the CPU."""

    @abstractmethod
    def per_network(self, values: Sequence[float]) -> Tensor:
        """Return one number per network in a shape that multiplies `theta`."""

    @abstractmethod
    def backward(self, batches: Sequence[Batch], of: Tensor, *, dropout: bool = True) -> Tensor:
        """Compute the loss of each network on its batch, and leave the gradients in `theta.grad`.

        Args:
            batches: The different batches.
            of: For each network the number of its batch, shape (M,), on the CPU.
            dropout: Whether dropout acts; the same units are dropped in all networks.
        Returns:
            The losses, shape (M,).
        """

    @abstractmethod
    def evaluate(self, batches: Sequence[Batch], of: Tensor) -> tuple[Tensor, Tensor]:
        """Return losses and accuracies, shape (M,), without dropout; arguments as for `backward`."""


class Stacked(Ensemble):
    """An ensemble whose `theta` has the shape (M, P), on the model's device.

    Args:
        model: Gives the first parameters of all networks; it is used, and has to be restored by the caller.
        loss: As for `samplers.sample_around`.
        count: Number of networks.
    """

    def __init__(self, model: nn.Module, loss: Loss, count: int) -> None:
        self.count, self._model, self._loss = count, model, loss
        self._parameters = list(trained_parameters(model).values())
        flat = nn.utils.parameters_to_vector(self._parameters).detach()
        self.theta = nn.Parameter(flat.repeat(count, 1))

    def load(self, vectors: Tensor) -> None:
        """See `Ensemble`."""
        with torch.no_grad():
            self.theta.copy_(vectors)

    def vectors(self) -> Tensor:
        """See `Ensemble`."""
        return self.theta.detach().cpu()

    def per_network(self, values: Sequence[float]) -> Tensor:
        """See `Ensemble`."""
        return torch.tensor(values, dtype=self.theta.dtype, device=self.theta.device)[:, None]
