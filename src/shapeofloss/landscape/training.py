"""Train a network to a minimum, and evaluate its loss as a function of its parameters alone."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from shapeofloss.errors import UserError
from shapeofloss.landscape.digits import Images, load_digits, shifted
from shapeofloss.landscape.networks import WideResNet, number_of_parameters


def generator_for(seed: int, purpose: str) -> torch.Generator:
    """Return a fresh generator on the CPU whose numbers depend on the seed and the purpose only.

    One generator for each purpose keeps them apart: drawing more numbers for one does not shift another.

    Args:
        seed: Not negative.
        purpose: A word, such as "direction".
    Example:
        >>> torch.equal(*(torch.rand(3, generator=generator_for(0, "direction")) for _ in range(2)))
        True
    """
    sequence = np.random.SeedSequence([seed, *purpose.encode()])
    return torch.Generator().manual_seed(int(sequence.generate_state(1, np.uint64)[0]))


def flatten(model: nn.Module) -> Tensor:
    """Copy a network's parameters, in their order and without buffers, into one vector of shape (P,)."""
    return nn.utils.parameters_to_vector(model.parameters()).detach()


def load_parameters(model: nn.Module, flat: Tensor | NDArray[np.float32]) -> None:
    """Copy a vector of shape (P,) into a network's parameters; later training leaves the vector alone.

    Raises:
        UserError: If the network has another number of parameters.
    """
    vector = torch.as_tensor(flat)
    expected = number_of_parameters(model)
    if vector.shape != (expected,):
        raise UserError(
            f"A vector of shape {tuple(vector.shape)} does not fit a network with {expected} parameters: "
            "build the network with the settings that the vector was trained with."
        )
    parameters = list(model.parameters())
    with torch.no_grad():
        for parameter, part in zip(parameters, vector.split([p.numel() for p in parameters]), strict=True):
            parameter.copy_(part.view_as(parameter))


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
    Source:
        Loss-landscape paper, section 3.1, step 4. Its released code uses running averages and augmented images.
    """
    with torch.no_grad(), kept_mode_and_buffers(model):
        model.train()
        if statistics_from is not None:
            _take_statistics(model, statistics_from)
            model.eval()
        scores = model(images)
        accuracy = (scores.argmax(dim=1) == labels).double().mean()
        return functional.cross_entropy(scores.double(), labels).item(), accuracy.item()


@contextmanager
def kept_mode_and_buffers(model: nn.Module) -> Iterator[None]:
    """Give back a network in the mode and with the buffers that it came with."""
    modes = [(module, module.training) for module in model.modules()]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)


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


def train_epoch(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    images: Tensor,
    labels: Tensor,
    *,
    batch: int,
    augment: bool,
    generator: torch.Generator,
) -> float:
    """Take one optimiser step for each minibatch of a random order of the images.

    Args:
        model, optimiser: The network, which is put into training mode, and what updates its parameters.
        images, labels: Shapes (N, channels, height, width) and (N,).
        batch: Images of a minibatch; the last one takes what is left.
        augment: Whether each image is shifted at random.
        generator: Source of order and shifts.
    Returns:
        The mean over the images of the loss at the time of their minibatch, in nats.
    """
    model.train()
    total = 0.0
    for chosen in torch.randperm(len(images), generator=generator).to(images.device).split(batch):
        inputs = shifted(images[chosen], generator) if augment else images[chosen]
        loss = functional.cross_entropy(model(inputs), labels[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        total += loss.item() * len(chosen)
    return total / len(images)


def check_finite(loss: float, *, epoch: int, learning_rate: float) -> None:
    """Stop a training that has left the finite numbers.

    Raises:
        UserError: If the loss is not finite, naming the epoch and the learning rate.
    """
    if not np.isfinite(loss):
        raise UserError(
            f"The loss is {loss} in epoch {epoch} at learning_rate {learning_rate}: use a smaller learning_rate."
        )


def train_network(
    model: nn.Module,
    data: Images,
    *,
    epochs: int,
    batch: int,
    learning_rate: float,
    weight_decay: float,
    milestones: Sequence[float] = (0.5, 0.75, 0.925),
    gamma: float = 0.1,
    momentum: float = 0.9,
    augment: bool,
    generator: torch.Generator,
) -> NDArray[np.float64]:
    """Train a network by stochastic gradient descent whose learning rate falls in steps.

    Args:
        model: The network, changed in place.
        data: Its training images are used.
        epochs: Passes over the training images.
        batch: Images of a minibatch.
        learning_rate: Its first value.
        weight_decay: Factor of theta that is added to the gradient, for every parameter.
        milestones: Fractions of the epochs after which the learning rate is multiplied by `gamma`, rounded to epochs
            but never before the first has ended.
        gamma: See `milestones`.
        momentum: Share of the last update that is added to the next one (no Nesterov).
        augment: Whether images are shifted at random.
        generator: Source of minibatches and shifts.
    Returns:
        The training loss of each epoch as `train_epoch` gives it, shape (epochs,), in nats.
    Raises:
        UserError: If the loss of an epoch is not finite.
    Source:
        Loss-landscape paper, section 4.1: 200 epochs, 0.1 divided by 10 at epochs 100, 150 and 185, momentum 0.9.
    """
    optimiser = torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=momentum, weight_decay=weight_decay)
    falls = [max(1, round(fraction * epochs)) for fraction in milestones]
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, falls, gamma)
    history = np.empty(epochs)
    for epoch in range(epochs):
        history[epoch] = train_epoch(
            model, optimiser, data.train_images, data.train_labels, batch=batch, augment=augment, generator=generator
        )
        check_finite(history[epoch], epoch=epoch + 1, learning_rate=learning_rate)
        schedule.step()
    return history


def network_for_digits(*, depth: int, width: int, base: int, seed: int = 0) -> WideResNet:
    """Return a freshly initialised network for the digits: one channel in, ten classes out."""
    generator = generator_for(seed, "initialisation")
    return WideResNet(depth, width, base=base, in_channels=1, classes=10, generator=generator)


def train_minimum(
    *,
    depth: int,
    width: int,
    base: int,
    train: int,
    epochs: int,
    batch: int,
    learning_rate: float,
    weight_decay: float,
    augment: bool,
    seed: int,
    data_seed: int,
) -> dict[str, Any]:
    """Train a network on the digits from scratch.

    Args:
        depth, width, base: As for `WideResNet`.
        train, data_seed: As for `load_digits`.
        epochs, batch, learning_rate, weight_decay, augment: As for `train_network`.
        seed: Seed of initial weights, minibatches and shifts, not negative.
    Returns:
        What the store keeps: `parameters` (P,), float32, for `load_parameters`; `history` (epochs,), in nats;
        `train_loss`, `test_loss` in nats and `train_accuracy`, `test_accuracy` in [0, 1], as `evaluate` gives them.
    Raises:
        UserError: If a setting is out of range, or the loss of an epoch is not finite.
    """
    data = load_digits(train=train, seed=data_seed)
    model = network_for_digits(depth=depth, width=width, base=base, seed=seed)
    history = train_network(
        model,
        data,
        epochs=epochs,
        batch=batch,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        augment=augment,
        generator=generator_for(seed, "training"),
    )
    train_loss, train_accuracy = evaluate(model, data.train_images, data.train_labels)
    test_loss, test_accuracy = evaluate(model, data.test_images, data.test_labels, statistics_from=data.train_images)
    return {
        "parameters": flatten(model).numpy(),
        "history": history,
        "train_loss": train_loss,
        "train_accuracy": train_accuracy,
        "test_loss": test_loss,
        "test_accuracy": test_accuracy,
    }
