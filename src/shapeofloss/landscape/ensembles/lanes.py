"""Wide residual networks side by side on a CPU, eight to an instruction."""

from collections.abc import Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from shapeofloss.landscape.ensembles.base import Batch, Ensemble
from shapeofloss.landscape.ensembles.kernels import LANES, convolve, geometry, normalise_and_rectify
from shapeofloss.landscape.networks import Block, WideResNet

Size = tuple[int, int]
CHUNK = 32  # samples at most that go through a layer before the next ones do


class Lanes(Ensemble):
    """An ensemble of wide residual networks with the cross-entropy loss.

    The parameters of eight networks are interleaved: `theta` has the shape (groups, P, 8). A group that is not full is
    filled up with copies of its first network. What a network does depends on none of the others, to the last bit.

    Args:
        model: Gives architecture and first parameters; on the CPU, in single precision, none frozen.
        count: Number of networks.
    """

    def __init__(self, model: WideResNet, count: int) -> None:
        self.count, self._model = count, model
        groups = -(-count // LANES)
        self._places = torch.arange(groups * LANES)
        self._places[count:] = self._places[(groups - 1) * LANES]
        self.theta = nn.Parameter(torch.empty(groups, sum(p.numel() for p in model.parameters()), LANES))
        self.load(nn.utils.parameters_to_vector(model.parameters()).detach().repeat(count, 1))

    def load(self, vectors: Tensor) -> None:
        """See `Ensemble`."""
        with torch.no_grad():
            self.theta.copy_(vectors[self._places].unflatten(0, (-1, LANES)).transpose(1, 2))

    def vectors(self) -> Tensor:
        """See `Ensemble`."""
        return self._by_network(self.theta.detach().transpose(1, 2))

    def per_network(self, values: Sequence[float]) -> Tensor:
        """See `Ensemble`."""
        return torch.tensor(values, dtype=torch.float32)[self._places].view(-1, 1, LANES)

    def backward(self, batches: Sequence[Batch], of: Tensor, *, dropout: bool = True) -> Tensor:
        """See `Ensemble`."""
        losses, gradient = self.theta.new_empty(len(self.theta), LANES), torch.empty_like(self.theta)
        for alike, networks, shown in _by_shape(batches, of[self._places]):
            weights = [part.requires_grad_() for part in self._weights()]
            values, _ = self._losses(weights, alike, networks)
            # Views of a zero-filled leaf would cost a copy of all parameters each: the gradients are put together here.
            parts = torch.autograd.grad(values.sum(), weights)
            losses = torch.where(shown, values.detach(), losses)
            gradient = torch.where(shown[:, None], torch.cat([part.flatten(1, -2) for part in parts], dim=1), gradient)
        self.theta.grad = gradient
        return self._by_network(losses)

    def evaluate(self, batches: Sequence[Batch], of: Tensor) -> tuple[Tensor, Tensor]:
        """See `Ensemble`."""
        losses, accuracies = self.theta.new_empty(2, len(self.theta), LANES)
        with torch.no_grad():
            for alike, networks, shown in _by_shape(batches, of[self._places]):
                values, hits = self._losses(self._weights(), alike, networks)
                losses, accuracies = torch.where(shown, values, losses), torch.where(shown, hits, accuracies)
        return self._by_network(losses), self._by_network(accuracies)

    def _by_network(self, values: Tensor) -> Tensor:
        """Undo the grouping: from (groups, 8, ...) to (M, ...)."""
        return values.flatten(0, 1)[: self.count]

    def _weights(self) -> list[Tensor]:
        """Return each parameter tensor as a view of shape (groups, *shape, 8), filters as (..., taps, 8)."""
        parameters = list(self._model.parameters())
        parts = self.theta.detach().split([parameter.numel() for parameter in parameters], dim=1)
        shapes = [p.flatten(2).shape if p.dim() == 4 else p.shape for p in parameters]
        return [part.unflatten(1, shape) for part, shape in zip(parts, shapes, strict=True)]

    def _losses(self, weights: list[Tensor], batches: Sequence[Batch], networks: Tensor) -> tuple[Tensor, Tensor]:
        """Return losses and accuracies, shape (groups, 8), on batches of one shape; of each network one is its own."""
        images, labels = (torch.stack(column) for column in zip(*batches, strict=True))
        size: Size = (images.shape[-2], images.shape[-1])
        chunk = next(n for n in range(min(CHUNK, labels.shape[1]), 0, -1) if labels.shape[1] % n == 0)
        # (batch, sample, channel, height, width) -> (group, chunk * position, channel, sample, lane)
        features = images.flatten(3).unflatten(1, (-1, chunk)).permute(1, 4, 3, 2, 0).flatten(0, 1)[..., networks]
        scores = self._scores(
            _grouped(features).contiguous(), size, iter(weights)
        )  # (group, chunk, class, sample, lane)
        truth = _grouped(
            labels.unflatten(1, (-1, chunk)).permute(1, 2, 0)[..., networks]
        )  # (group, chunk, sample, lane)
        chosen = functional.log_softmax(scores, dim=2).gather(2, truth[:, :, None])[:, :, 0]
        hits = (scores.detach().argmax(dim=2) == truth).to(torch.float32)
        return -chosen.mean(dim=(1, 2)), hits.mean(dim=(1, 2))

    def _scores(self, features: Tensor, size: Size, weights: Iterator[Tensor]) -> Tensor:
        """Follow `WideResNet.forward`, taking the weights in the order of its parameters."""
        model = self._model
        features, size = _convolved(model.convolution, features, size, next(weights))
        for block in cast(list[Block], model.blocks):
            activated = _activated(block.normalisation1, features, weights)
            first, smaller = _convolved(block.convolution1, activated, size, next(weights))
            inner = _activated(block.normalisation2, first, weights)
            residual, _ = _convolved(block.convolution2, inner, smaller, next(weights))
            if block.shortcut is not None:
                features, _ = _convolved(block.shortcut, activated, size, next(weights))
            features, size = residual + features, smaller
        pooled = _activated(model.normalisation, features, weights).unflatten(1, (-1, size[0] * size[1])).mean(dim=2)
        matrix, bias = next(weights), next(weights)  # an affine map is a convolution of one position by one tap
        return convolve(pooled, matrix.unsqueeze(3), geometry(1, 1, 1, 1)) + bias[:, None, :, None]


def _by_shape(batches: Sequence[Batch], of: Tensor) -> Iterator[tuple[list[Batch], Tensor, Tensor]]:
    """Yield the batches of one shape, each network's number among them, and whether it has one: shape (groups, 8).

    A network without one gets the first of them, and its results are thrown away.
    """
    shapes = [images.shape for images, _ in batches]
    for shape in dict.fromkeys(shapes):
        numbers = [number for number, other in enumerate(shapes) if other == shape]
        places = torch.full((len(batches),), -1)
        places[numbers] = torch.arange(len(numbers))
        yield [batches[number] for number in numbers], places[of].clamp(min=0), (places[of] >= 0).view(-1, LANES)


def _grouped(values: Tensor) -> Tensor:
    """Split the last dimension, the networks', into groups, which come first, and lanes, which stay last."""
    return values.unflatten(-1, (-1, LANES)).movedim(-2, 0)


def _convolved(layer: nn.Conv2d, features: Tensor, size: Size, weights: Tensor) -> tuple[Tensor, Size]:
    shape = geometry(*size, layer.kernel_size[0], layer.stride[0])
    return convolve(features, weights, shape), (shape.height, shape.width)


def _activated(layer: nn.BatchNorm2d, features: Tensor, weights: Iterator[Tensor]) -> Tensor:
    return normalise_and_rectify(features, next(weights), next(weights), epsilon=layer.eps)
