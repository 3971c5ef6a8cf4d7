"""Retraining as a reader would write it: one network, one step after another.

`samplers.jump_and_retrain` does the same for all trajectories together.

Source:
    Loss-landscape paper, section 3.1.
"""

from collections.abc import Iterator

import torch
from torch import nn

from shapeofloss.datasets.digits import Images
from shapeofloss.landscape.batches import image_epochs
from shapeofloss.landscape.training import check_finite, train_epoch


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
        learning_rate, weight_decay, momentum: Of stochastic gradient descent.
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
