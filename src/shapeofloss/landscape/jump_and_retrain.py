"""Jump and retrain: sample the low-loss region around a minimum along the paths of its own optimiser.

For each seed, choose a random filter-normalised direction v; for each step size s, start from theta_o + s v and
retrain; record parameters and loss at the jump and after each epoch.

Source:
    Loss-landscape paper, section 3.1.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from shapeofloss.errors import UserError
from shapeofloss.landscape.digits import Images, load_digits
from shapeofloss.landscape.record import Record, Recorder
from shapeofloss.landscape.training import (
    check_finite,
    evaluate,
    flatten,
    generator_for,
    kept_mode_and_buffers,
    load_parameters,
    network_for_digits,
    train_epoch,
    train_minimum,
)


def filter_normalised_direction(model: nn.Module, generator: torch.Generator) -> list[Tensor]:
    r"""Draw a random direction in which each filter has the length of the network's own filter.

    .. math:: v_f = \frac{|\theta_f|}{|g_f|} g_f, \qquad g_f \sim N(0, 1)

    A filter f is a slice of a parameter tensor along its first dimension; a row of an affine map counts as one. Biases
    and the scales and shifts of batch normalisation have one dimension and do not move.

    Args:
        model: A network at the optimum.
        generator: Source of g, on the CPU.
    Returns:
        One tensor for each parameter tensor, of its shape.
    Raises:
        UserError: If no parameter has two dimensions or more.
    Source:
        Loss-landscape paper, section 3.1, step 1, after Li et al., "Visualizing the loss landscape of neural nets".
    """
    parameters = [parameter.detach() for parameter in model.parameters()]
    if all(parameter.dim() < 2 for parameter in parameters):
        raise UserError("This is a network without filters: give one with a parameter of two dimensions or more.")
    return [
        _as_long_as(parameter, torch.randn(parameter.shape, generator=generator).to(parameter))
        if parameter.dim() > 1
        else torch.zeros_like(parameter)
        for parameter in parameters
    ]


def _as_long_as(filters: Tensor, noise: Tensor) -> Tensor:
    """Rescale each slice of the noise to the length of the filter at its place."""
    axes = list(range(1, filters.dim()))
    lengths, noise_lengths = (torch.linalg.vector_norm(tensor, dim=axes, keepdim=True) for tensor in (filters, noise))
    return noise * (lengths / noise_lengths)


def jump(model: nn.Module, optimum: Tensor, direction: Sequence[Tensor], step: float) -> None:
    """Set the parameters to theta_o + step * v; buffers stay.

    Args:
        model: A network, moved in place from wherever it is.
        optimum: Parameters theta_o, shape (P,).
        direction: One tensor for each parameter tensor.
        step: In multiples of the direction.
    Source:
        Loss-landscape paper, section 3.1, step 2, with steps 0.25, 0.5, 0.75 and 1.
    """
    load_parameters(model, optimum + step * nn.utils.parameters_to_vector(direction))


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
    generator: torch.Generator,
) -> Iterator[int]:
    """Train a network from where it is, and pause where a point is to be recorded.

    The optimiser is stochastic gradient descent with a constant learning rate, and starts without momentum. What it
    sees, and in which order, depends on the generator only: it is the same for all step sizes of one seed.

    Args:
        model: The network, changed in place between the pauses.
        data: Its training images are used.
        epochs: Number of pauses N: one before the first epoch, one after each of N - 1 epochs.
        batch, learning_rate, weight_decay, momentum, augment: As for `train_network`.
        share: Share of the training images that is used, above 0, at most 1; which ones is fixed at the start.
        generator: Source of that choice, of minibatches and of shifts.
    Yields:
        The number of epochs so far: 0, 1, ..., N - 1.
    Raises:
        UserError: If the share is out of range, or the loss of an epoch is not finite.
    Source:
        Loss-landscape paper, section 3.1, step 3, "with the original optimizer". State 0, the 90% and the constant
        learning rate are those of its released code.
    """
    if not 0 < share <= 1:
        raise UserError(f"A share of the training images lies above 0 and is at most 1, not {share}.")
    count = len(data.train_images)
    kept = torch.randperm(count, generator=generator)[: max(1, round(share * count))]
    images, labels = data.train_images[kept], data.train_labels[kept]
    optimiser = torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=momentum, weight_decay=weight_decay)
    yield 0
    for epoch in range(1, epochs):
        loss = train_epoch(model, optimiser, images, labels, batch=batch, augment=augment, generator=generator)
        check_finite(loss, epoch=epoch, learning_rate=learning_rate)
        yield epoch


def sample(
    model: nn.Module,
    data: Images,
    *,
    seeds: Sequence[int],
    steps: Sequence[float],
    epochs: int,
    batch: int,
    learning_rate: float,
    weight_decay: float,
    momentum: float = 0.9,
    augment: bool,
    share: float = 0.9,
) -> Record:
    """Sample the loss around a network's parameters by jumping and retraining.

    Args:
        model: A network at its optimum; afterwards it is as it was.
        data: Its training images are used, all of them for the recorded losses.
        seeds: Seeds of directions and retraining, not negative.
        steps: Step sizes of the jumps.
        epochs, batch, learning_rate, weight_decay, momentum, augment, share: As for `retrain`.
    Returns:
        The record of seeds x steps x epochs points, in this order.
    Raises:
        UserError: If the network has no filters, a setting is out of range, or a loss is not finite.
    Source:
        Loss-landscape paper, section 3.1: seeds 0 to 3, steps 0.25, 0.5, 0.75 and 1, and 40 epochs make 640 points.
    """
    settings: dict[str, Any] = {
        "epochs": epochs,
        "batch": batch,
        "learning_rate": learning_rate,
        "weight_decay": weight_decay,
        "momentum": momentum,
        "augment": augment,
        "share": share,
    }
    optimum = flatten(model)
    recorder = Recorder(optimum, *evaluate(model, data.train_images, data.train_labels))
    with kept_mode_and_buffers(model), _kept_parameters(model):
        model.requires_grad_(True)
        for seed in seeds:
            load_parameters(model, optimum)  # the filters' lengths are those of the optimum
            direction = filter_normalised_direction(model, generator_for(seed, "direction"))
            for step in steps:
                jump(model, optimum, direction, step)
                for epoch in retrain(model, data, **settings, generator=generator_for(seed, "retraining")):
                    loss, accuracy = evaluate(model, data.train_images, data.train_labels)
                    recorder.add(model, loss, accuracy, seed=seed, step=step, epoch=epoch)
    return recorder.record()


@contextmanager
def _kept_parameters(model: nn.Module) -> Iterator[None]:
    """Give back a network with the parameters and gradients that it came with, each frozen or not as before."""
    before = [(p, p.detach().clone(), p.grad, p.requires_grad) for p in model.parameters()]
    try:
        yield
    finally:
        for parameter, values, gradient, trained in before:
            parameter.requires_grad_(False).copy_(values).requires_grad_(trained)
            parameter.grad = gradient


def sample_minimum(
    *,
    minimum: Mapping[str, Any],
    seeds: Sequence[int],
    steps: Sequence[float],
    epochs: int,
    learning_rate: float,
    weight_decay: float | None = None,
) -> dict[str, Any]:
    """Train a network on the digits to a minimum and sample the loss around it.

    Args:
        minimum: The arguments of `train_minimum`; its batch size and augmentation also retrain.
        seeds, steps, epochs, learning_rate: As for `sample`.
        weight_decay: As for `sample`; None retrains with the minimum's own.
    Returns:
        What the store keeps: the arrays of the `Record`, for `Record.from_arrays`, and all that `train_minimum`
        returns.
    Raises:
        UserError: If a setting is out of range, or a loss is not finite.
    """
    trained = train_minimum(**minimum)
    model = network_for_digits(depth=minimum["depth"], width=minimum["width"], base=minimum["base"])
    load_parameters(model, trained["parameters"])
    record = sample(
        model,
        load_digits(train=minimum["train"], seed=minimum["data_seed"]),
        seeds=seeds,
        steps=steps,
        epochs=epochs,
        batch=minimum["batch"],
        learning_rate=learning_rate,
        weight_decay=minimum["weight_decay"] if weight_decay is None else weight_decay,
        augment=minimum["augment"],
    )
    return {**trained, **record.to_arrays()}
