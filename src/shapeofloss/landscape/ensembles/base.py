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
from shapeofloss.landscape.randomness import random_state

Batch = Any  # whatever the loss understands: tensors, or nested lists, tuples and dicts of tensors
Loss = Callable[[nn.Module, Batch], Tensor | tuple[Tensor, Tensor]]


def cross_entropy(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the mean cross-entropy in nats and the accuracy of a classifier on a batch of inputs and labels.

    Raises:
        UserError: If the batch is no such pair.
    """
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        kind = f"{type(batch).__name__}{f' of {len(batch)}' * isinstance(batch, tuple | list)}"
        raise UserError(f"A batch is a {kind}; give a list of pairs (inputs, labels), or another loss.")
    inputs, labels = batch
    scores = model(inputs)
    return functional.cross_entropy(scores, labels), (scores.argmax(dim=-1) == labels).to(scores.dtype).mean()


def loss_and_accuracy(loss: Loss, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Call a loss; where it gives no accuracy, that is not a number.

    Raises:
        UserError: If it returns anything but a scalar, or a pair of scalars, that are tensors; if batch normalisation
            meets a single value.
    """
    with single_values_told():
        result: Any = loss(model, batch)
    parts = result if isinstance(result, tuple) else (result,)
    if not 1 <= len(parts) <= 2 or not all(isinstance(part, Tensor) for part in parts):
        kinds = " and ".join(type(part).__name__ for part in parts) or "nothing"
        raise UserError(f"The loss returns {kinds}: let it return the mean loss as a tensor, or it and the accuracy.")
    value, accuracy = parts if len(parts) == 2 else (parts[0], torch.full_like(parts[0], torch.nan))
    if value.dim():
        raise UserError(f"The loss gives a tensor of shape {tuple(value.shape)}: let it return the mean, a scalar.")
    return value, accuracy.detach()


@contextmanager
def single_values_told() -> Iterator[None]:
    """Say in a sentence that batch normalisation cannot normalise a single value.

    Raises:
        UserError: If that is what went wrong inside.
    """
    try:
        yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise UserError(
            "Batch normalisation has a single value per channel in a batch, which has no variance: give batches of two "
            "examples or more, the last one included."
        ) from None


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Give back a network as it was: parameters, gradients, buffers, mode, and tensors that hooks keep in modules.

    The random numbers that all code shares are given back, too. Values go back in a way that autograd does not count as
    a change, so that a loss that was computed before can still be differentiated.
    """
    modes = [(module, module.training) for module in model.modules()]
    tracking = [(layer, layer.track_running_stats) for layer in model.modules() if isinstance(layer, _BatchNorm)]
    parameters = [(p, p.detach().clone(), p.grad, p.requires_grad) for p in model.parameters()]
    # A forward may replace buffers. (A scripted module has no table of its own, and cannot.)
    tables = [(m._buffers, dict(m._buffers)) for m in model.modules() if isinstance(m._buffers, dict)]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    # What hooks compute before a forward, such as the weight of the older `weight_norm`.
    computed = [
        (module.__dict__, name, value)
        for module in model.modules()
        for name, value in list(module.__dict__.items())
        if isinstance(value, Tensor)
    ]
    restore = random_state({parameter.device for parameter in model.parameters()})
    try:
        yield
    finally:
        for parameter, values, gradient, trained in parameters:
            parameter.data.copy_(values)
            parameter.requires_grad_(trained).grad = gradient
        restore()
        for module, mode in modes:
            module.training = mode
        for layer, tracked in tracking:
            layer.track_running_stats = tracked
        for table, entries in tables:
            table.clear()
            table.update(entries)
        for buffer, before in buffers:
            buffer.data.copy_(before)
        for table, name, value in computed:
            table[name] = value


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
        theta: All their trained parameters, in whatever order suits the computation; for an element-wise optimizer such
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
