"""One network after another: works for every model, and is what the other ensembles are tested against."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from shapeofloss.landscape.ensembles.base import Batch, Loss, Stacked, loss_and_accuracy, set_mode
from shapeofloss.landscape.randomness import random_state


class Plain(Stacked):
    """An ensemble that loads the parameters of each network into one model in turn; arguments as for `Stacked`."""

    def __init__(self, model: nn.Module, loss: Loss, count: int) -> None:
        super().__init__(model, loss, count)
        self._buffers = [[buffer.clone() for buffer in model.buffers()] for _ in range(count)]

    def backward(self, batches: Sequence[Batch], of: Tensor, *, dropout: bool = True) -> Tensor:
        """See `Ensemble`."""
        set_mode(self._model, training=dropout)
        losses, gradient = [], torch.empty_like(self.theta)
        restart = random_state([self.theta.device])
        for network, batch in enumerate(of.tolist()):
            restart()  # all networks drop the same units, as they do when they run together
            self._enter(network)
            loss, _ = loss_and_accuracy(self._loss, self._model, batches[batch])
            slopes = torch.autograd.grad(loss, self._parameters, allow_unused=True, materialize_grads=True)
            gradient[network] = torch.cat([slope.flatten() for slope in slopes])
            losses.append(loss.detach())
            self._leave(network)
        self.theta.grad = gradient
        return torch.stack(losses)

    def evaluate(self, batches: Sequence[Batch], of: Tensor) -> tuple[Tensor, Tensor]:
        """See `Ensemble`."""
        set_mode(self._model, training=False)
        pairs, restart = [], random_state([self.theta.device])
        with torch.no_grad():
            for network, batch in enumerate(of.tolist()):
                restart()
                self._enter(network)
                pairs.append(loss_and_accuracy(self._loss, self._model, batches[batch]))
        losses, accuracies = zip(*pairs, strict=True)
        return torch.stack(losses), torch.stack(accuracies)

    def _enter(self, network: int) -> None:
        """Put the parameters and buffers of a network into the model."""
        parts = self.theta.detach()[network].split([parameter.numel() for parameter in self._parameters])
        for parameter, part in zip(self._parameters, parts, strict=True):
            parameter.data.copy_(part.view_as(parameter))
        for buffer, kept in zip(self._model.buffers(), self._buffers[network], strict=True):
            buffer.data.copy_(kept)

    def _leave(self, network: int) -> None:
        """Keep what training did to the buffers of a network."""
        for buffer, kept in zip(self._model.buffers(), self._buffers[network], strict=True):
            kept.copy_(buffer)
