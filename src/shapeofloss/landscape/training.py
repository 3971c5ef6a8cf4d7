"""Training, loss and retraining of one network, as a reader would write them; `ensembles` do the same for many."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from shapeofloss.arrays import as_tensor
from shapeofloss.datasets.digits import Images
from shapeofloss.errors import UserError
from shapeofloss.landscape.batches import image_epochs
from shapeofloss.landscape.ensembles.base import single_values_told, untouched


def evaluate(
    model: nn.Module, images: Tensor, labels: Tensor, *, statistics_from: Tensor | None = None
) -> tuple[float, float]:
    """Return the mean cross-entropy and the accuracy, with batch statistics of a whole set of images.

    A running average of batch statistics remembers the way to a point. Here every batch normalisation uses the mean and
    the (biased) variance over all reference images in one pass, so that the loss f(theta) depends on the parameters
    theta alone. For training images the reference is the images themselves; for test images, pass the training images:
    they are sent through the network first, layer after layer with their own statistics, and these statistics then
    normalise the test images. The model's buffers and mode are left as they were.

    Args:
        model: A network without dropout.
        images: Shape (N, channels, height, width); all go through in one pass.
        labels: Classes, shape (N,).
        statistics_from: Reference images, shape (M, channels, height, width); the images themselves if None.
    Returns:
        The loss in nats and the accuracy in [0, 1].
    Raises:
        UserError: If images and labels are no tensors of one length, or there are none; if batch normalisation meets a
            single value.
    Source:
        Loss-landscape paper, section 3.1, step 4. Its released code uses running averages and augmented images.
    """
    _check_examples(images, labels)
    with torch.no_grad(), untouched(model), single_values_told():
        model.train()
        if statistics_from is not None:
            _take_statistics(model, statistics_from)
            model.eval()
        scores = model(images)
        accuracy = (scores.argmax(dim=1) == labels).double().mean()
        return functional.cross_entropy(scores.double(), labels).item(), accuracy.item()


def _check_examples(images: Tensor, labels: Tensor) -> None:
    """Refuse images and labels that are no tensors of one length from 1."""
    shapes = [tuple(as_tensor(each, name).shape) for each, name in ((images, "images"), (labels, "labels"))]
    if not all(shapes) or not len(images) == len(labels) > 0:
        raise UserError(f"Images of shape {shapes[0]} and labels of shape {shapes[1]} are given: one label for each.")


def _take_statistics(model: nn.Module, images: Tensor) -> None:
    """Put the statistics of one pass in training mode into the running averages."""

    def keep(layer: nn.Module, inputs: tuple[Tensor], _: Tensor) -> None:
        # torch itself would keep the unbiased variance, but normalises with the biased one.
        axes = [axis for axis in range(inputs[0].dim()) if axis != 1]
        variance, mean = torch.var_mean(inputs[0], dim=axes, correction=0)
        layer.get_buffer("running_mean").copy_(mean)
        layer.get_buffer("running_var").copy_(variance)

    hooks = [layer.register_forward_hook(keep) for layer in model.modules() if isinstance(layer, _BatchNorm)]
    try:
        model(images)
    finally:
        for hook in hooks:
            hook.remove()


def train_epoch(model: nn.Module, optimizer: torch.optim.Optimizer, batches: Iterable[tuple[Tensor, Tensor]]) -> float:
    """Take one optimizer step for each minibatch.

    Args:
        model, optimizer: The network, which is put into training mode, and what updates its parameters.
        batches: Images of shape (N, channels, height, width) and their classes of shape (N,), time and again.
    Returns:
        The mean over the images of the loss at the time of their minibatch, in nats.
    Raises:
        UserError: If there is no batch, or one is no pair of images and labels of one length; if batch normalisation
            meets a single value.
    """
    model.train()
    total, count = 0.0, 0
    for batch in batches:
        if not isinstance(batch, tuple | list) or len(batch) != 2:
            raise UserError(f"A batch is a {type(batch).__name__}; give a list of pairs (images, labels).")
        images, labels = batch
        _check_examples(images, labels)
        with single_values_told():
            loss = functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(labels)
        count += len(labels)
    if not count:
        raise UserError("There is no batch to train on: give at least one.")
    return total / count


def retrain(
    model: nn.Module,
    data: Images,
    *,
    epochs: int,
    batch: int,
    learning_rate: float,
    weight_decay: float,
    momentum: float = 0.9,
    augment: bool,
    share: float = 0.9,
    seed: int,
) -> Iterator[int]:
    """Train a network from where it is, and pause where a point is to be recorded.

    The optimizer is stochastic gradient descent with a constant learning rate, and starts without momentum. What it
    sees, and in which order, depends on the seed only: it is the same for all step sizes.

    Args:
        model: The network, changed in place between the pauses.
        data: Its training images are used.
        epochs: Number of pauses N: one before the first epoch, one after each of N - 1 epochs.
        batch: Images of a minibatch.
        learning_rate, weight_decay, momentum: For stochastic gradient descent.
        augment: Whether images are shifted at random.
        share: Share of the training images that is used, above 0, at most 1; which ones is fixed at the start.
        seed: Seed of that choice, of minibatches and of shifts.
    Yields:
        The number of epochs so far: 0, 1, ..., N - 1.
    Raises:
        UserError: If the share is out of range, or the loss of an epoch is not finite.
    Source:
        Loss-landscape paper, section 3.1, step 3, "with the original optimizer". State 0, the 90% and the constant
        learning rate are those of its released code.
    """
    order = image_epochs(
        data.train_images, data.train_labels, batch=batch, augment=augment, share=share, purpose="retraining"
    )
    stream = order(seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=momentum, weight_decay=weight_decay)
    yield 0
    for epoch in range(1, epochs):
        loss = train_epoch(model, optimizer, next(stream))
        check_finite(loss, epoch=epoch, learning_rate=learning_rate)
        yield epoch


def check_finite(loss: float, *, what: str = "The loss", epoch: int, learning_rate: float) -> None:
    """Stop a training that has left the finite numbers.

    Raises:
        UserError: If the loss is not finite, naming what it is the loss of, the epoch and the learning rate.
    """
    if not np.isfinite(loss) and epoch == 0:
        raise UserError(f"{what} is {loss} before any training: begin at parameters where it is finite.")
    if not np.isfinite(loss):
        raise UserError(
            f"{what} is {loss} in epoch {epoch} at learning_rate {learning_rate}: use a smaller learning_rate."
        )
