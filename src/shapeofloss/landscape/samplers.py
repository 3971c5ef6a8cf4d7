"""Ways to sample a loss around a minimum: jump and retrain, a grid, naive directions, and slices.

All of them take any `torch.nn.Module` with a loss and batches, leave it as it was, and return one `Record`.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shapeofloss.arrays import Floats, as_count, as_function, as_number, as_seeds
from shapeofloss.engine.checkpoints import Checkpoint
from shapeofloss.errors import UserError, unknown
from shapeofloss.landscape.batches import Epochs
from shapeofloss.landscape.directions import direction_vector
from shapeofloss.landscape.ensembles import Batch, Ensemble, Loss, Together, cross_entropy
from shapeofloss.landscape.ensembles.base import untouched
from shapeofloss.landscape.ensembles.training import resume, state_of, train_together
from shapeofloss.landscape.randomness import generator_for
from shapeofloss.landscape.record import Record, Recorder
from shapeofloss.landscape.surroundings import Around, as_steps, check_network
from shapeofloss.landscape.training import check_finite

Optimizer = Callable[[list[nn.Parameter]], torch.optim.Optimizer]
NETWORKS = 16  # points whose loss is evaluated together
SEEDS, STEPS, EPOCHS = (0, 1, 2, 3), (0.25, 0.5, 0.75, 1.0), 40  # section 3.1: 640 points


def sample_around(
    model: nn.Module,
    batches: Iterable[Batch],
    *,
    loss: Loss = cross_entropy,
    sampling: str = "jump_and_retrain",
    evaluation: Sequence[Batch] | None = None,
    held_out: Sequence[Batch] = (),
    together: Together = "auto",
    name: str | None = None,
    **options: Any,
) -> Record:
    """Sample the loss around the minimum that a network is at.

    Args:
        model: Any network, on any one device. Its parameters with `requires_grad` span the landscape; frozen ones stay
            fixed, tied ones move together. Afterwards it is as it was: parameters, gradients, buffers, mode.
        batches: The training batches of one epoch, on the model's device, in whatever form the loss takes: tensors, or
            nested tuples, lists and dicts of tensors. A list, or a `DataLoader`; see `epochs_of`.
        loss: Function of (model, batch) that returns the mean loss, a scalar, or a pair of it and the accuracy. The
            default suits a classifier and batches of (inputs, labels).
        sampling: "jump_and_retrain", "grid", "naive", "line" or "plane".
        evaluation: The batches whose loss is recorded; by default the training batches. Their losses are averaged with
            their numbers of examples as weights, without dropout. A network with batch normalisation sees them as one
            batch, so that f(theta) depends on theta alone: all examples have to fit into memory.
        held_out: Batches whose loss is recorded, too, in the same way: as `held_out_loss`. A network with batch
            normalisation normalises them by their own statistics.
        together: How to compute many networks at once; "auto" takes the fastest way that gives the right gradients.
        name: Name of the network, for errors; its class if None.
        options: Options of the sampling: see the function of its name.
    Returns:
        The record of the points, in a documented order.
    Raises:
        UserError: If the sampling is unknown, the network has no filters or is frozen, an argument is of another
            kind, a setting is out of range, or a loss is not finite.
    Source:
        Loss-landscape paper, sections 3.1 and 4.2.
    Example:
        >>> model = nn.Linear(3, 2)
        >>> batches = [(torch.randn(8, 3), torch.randint(0, 2, (8,))) for _ in range(4)]
        >>> record = sample_around(model, batches, seeds=[0, 1], steps=[0.5, 1.0], epochs=3)
        >>> len(record.loss), record.cosine_distances().shape
        (12, (12, 12))
    """
    if not isinstance(sampling, str) or sampling not in SAMPLINGS:
        raise unknown("sampling", sampling, SAMPLINGS)
    check_network(model, loss)
    with torch.enable_grad(), untouched(model):
        around = Around(
            model, batches, loss=loss, evaluation=evaluation, held_out=held_out, together=together, name=name
        )
        return SAMPLINGS[sampling](around, **options)


def record_trajectories(
    around: Around,
    *,
    seeds: Sequence[int] = SEEDS,
    steps: Sequence[float] = STEPS,
    epochs: int = EPOCHS,
    learning_rate: float = 0.01,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    optimizer: Optimizer | None = None,
    order: Epochs | None = None,
    checkpoint: Checkpoint | None = None,
) -> Recorder:
    """Jump away from the optimum, retrain, and record each epoch: all trajectories together.

    All steps of a seed share its direction and what they see, and in which order. Dropout drops the same units in all
    trajectories, and the same whichever way they are computed, except inside of attention.

    Args:
        around: The minimum.
        seeds: Seeds of directions and of the order of batches, not negative.
        steps: Step sizes of the jumps, in multiples of the filter-normalised direction.
        epochs: States per trajectory: the jump point, and one after each of epochs - 1 epochs; at least 1.
        learning_rate, momentum, weight_decay: For stochastic gradient descent, constant, starting without momentum.
        optimizer: Instead of these, a function from parameters to an element-wise optimizer, such as AdamW.
        order: Instead of the batches in a random order, a function from a seed to its epochs.
        checkpoint: Takes the state after each epoch, and gives the one to go on from.
    Returns:
        The recorder of seeds x steps x epochs points, in this order.
    Raises:
        UserError: If a setting is out of range, or a loss is not finite.
    Source:
        Loss-landscape paper, section 3.1: seeds 0 to 3, steps 0.25, 0.5, 0.75 and 1, and 40 epochs make 640 points.
    """
    seeds, steps = as_seeds(seeds), as_steps(steps)
    as_count(epochs, "epochs")
    if optimizer is not None:
        as_function(optimizer, "optimizer", example="lambda parameters: torch.optim.AdamW(parameters, lr=1e-3)")
    for value, what in ((learning_rate, "learning_rate"), (momentum, "momentum"), (weight_decay, "weight_decay")):
        as_number(value, what, at_least=0)
    points = Recorder(around.optimum, *around.at_optimum())
    ensemble = _jumped(around, seeds, steps)
    make = optimizer or (
        lambda parameters: torch.optim.SGD(parameters, lr=learning_rate, momentum=momentum, weight_decay=weight_decay)
    )
    training = make([ensemble.theta])
    rate = training.param_groups[0]["lr"]
    streams = [(order or around.epochs)(seed) for seed in seeds]
    of = torch.arange(len(seeds)).repeat_interleave(len(steps))
    state = checkpoint.load() if checkpoint else None
    began = 0
    if state is not None:
        began = resume(ensemble, training, streams, state)
        points.restore(state)
    for epoch in range(began, epochs):
        if epoch:
            train_together(ensemble, training, [next(stream) for stream in streams], of, epoch=epoch)
        values = zip(ensemble.vectors(), *around.evaluate(ensemble), around.held_out_losses(ensemble), strict=True)
        for (seed, step), (point, loss, accuracy, other) in zip(itertools.product(seeds, steps), values, strict=True):
            what = f"The loss of {around.name}, jump of seed {seed} and step {step},"
            check_finite(loss, what=what, epoch=epoch, learning_rate=rate)
            points.add(point, loss, accuracy, seed=seed, step=step, epoch=epoch, held_out=other)
        if checkpoint and checkpoint.due():
            checkpoint.save({**state_of(ensemble, training, epoch + 1, epoch), **points.state()})
    return points


def _jumped(around: Around, seeds: Sequence[int], steps: Sequence[float]) -> Ensemble:
    """Return the networks at the ends of all jumps, the steps of a seed one after another."""
    directions = torch.stack([around.direction(seed) for seed in seeds])
    sizes = torch.tensor(list(steps), dtype=directions.dtype, device=directions.device)
    ensemble = around.ensemble(len(seeds) * len(steps))
    ensemble.load(around.optimum + (sizes[:, None] * directions[:, None]).flatten(0, 1))
    return ensemble


def jump_and_retrain(around: Around, **options: Any) -> Record:
    """Return the record of `record_trajectories`, whose options these are."""
    return record_trajectories(around, **options).record()


def grid(
    around: Around, *, seeds: Sequence[int] = (0,), counts: Sequence[int] = (8, 8, 10), reach: float = 1.0
) -> Record:
    """Evaluate the loss on a grid whose axes are random filter-normalised directions.

    Args:
        around: The minimum.
        seeds: One seed, of all directions together; the first is that of the seed's jump.
        counts: Points along each axis; even ones leave the optimum out.
        reach: Coefficients run from -reach to reach on each axis.
    Returns:
        The record, the last axis fastest.
    Raises:
        UserError: If there is not one seed, a count is below 2, or the reach is not positive.
    Source:
        Loss-landscape paper, section 4.2: three vectors and 640 points; counts and reach are not stated.
    """
    seeds, counts = as_seeds(seeds), _counts(counts)
    if len(seeds) != 1:
        raise UserError(f"seeds is {seeds}; a grid takes one seed, of all its directions together.")
    reach = as_number(reach, "reach", above=0)
    generator = generator_for(seeds[0], "direction")
    directions = torch.stack([direction_vector(around.model, generator) for _ in counts])
    axes = [np.linspace(-reach, reach, count) for count in counts]
    coefficients = np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1)
    lengths = np.linalg.norm(coefficients, axis=1)
    steps = np.copysign(lengths, coefficients[:, 0]) if len(counts) == 1 else lengths
    return _along(around, directions, coefficients, seeds=np.full(len(steps), seeds[0]), steps=steps)


def line(around: Around, *, seeds: Sequence[int] = (0,), counts: Sequence[int] = (41,), reach: float = 1.0) -> Record:
    """Evaluate the loss on a line through the optimum: a grid with one axis.

    Source:
        Loss-landscape paper, section 1, on the slices of earlier work.
    """
    return _slice(around, "line", 1, seeds=seeds, counts=counts, reach=reach)


def plane(
    around: Around, *, seeds: Sequence[int] = (0,), counts: Sequence[int] = (41, 41), reach: float = 1.0
) -> Record:
    """Evaluate the loss on a plane through the optimum: a grid with two axes.

    Source:
        Loss-landscape paper, section 1, on the slices of earlier work.
    """
    return _slice(around, "plane", 2, seeds=seeds, counts=counts, reach=reach)


def _slice(around: Around, what: str, axes: int, *, counts: Sequence[int], **options: Any) -> Record:
    counts = _counts(counts)
    if len(counts) != axes:
        raise UserError(f"A {what} has {axes} count{'s' * (axes > 1)}, one for each axis, not {counts}.")
    return grid(around, counts=counts, **options)


def naive(around: Around, *, seeds: Sequence[int] = tuple(range(160)), steps: Sequence[float] = STEPS) -> Record:
    """Evaluate the loss along many random filter-normalised directions.

    Args:
        around: The minimum.
        seeds: One direction each, that of the seed's jump.
        steps: How far to go along each, in multiples of the direction.
    Returns:
        The record of seeds x steps points, in this order.
    Raises:
        UserError: If there is no seed or no step.
    Source:
        Loss-landscape paper, section 4.2: 640 points; the numbers of directions and steps are not stated.
    """
    seeds, steps = as_seeds(seeds), as_steps(steps)
    directions = torch.stack([around.direction(seed) for seed in seeds])
    coefficients = np.kron(np.eye(len(seeds)), np.array(steps)[:, None])
    labels = {"seeds": np.repeat(seeds, len(steps)), "steps": np.tile(steps, len(seeds))}
    return _along(around, directions, coefficients, **labels)


def _counts(counts: Any) -> list[int]:
    """Return the numbers of points along axes as a list.

    Raises:
        UserError: If it is a single number, empty, or holds anything but whole numbers from 2.
    """
    if isinstance(counts, str) or not isinstance(counts, Iterable):
        raise UserError(f"counts is {counts!r}; a list with the points along each axis is needed, for example [41].")
    points = [as_count(count, "An entry of counts", at_least=2) for count in counts]
    if not points:
        raise UserError("counts is empty; the points along each axis are needed, for example [41].")
    return points


def _along(
    around: Around, directions: Tensor, coefficients: Floats, *, seeds: NDArray[Any], steps: NDArray[Any]
) -> Record:
    """Evaluate the loss at theta_o + coefficients @ directions, some points at a time."""
    optimum_loss, optimum_accuracy = around.at_optimum()
    ensemble = around.ensemble(min(NETWORKS, len(coefficients)))
    losses: list[float] = []
    accuracies: list[float] = []
    held_out: list[float] = []
    for part in torch.from_numpy(coefficients).to(directions).split(ensemble.count):
        missing = ensemble.count - len(part)
        ensemble.load(around.optimum + torch.cat([part, part[-1:].expand(missing, -1)]) @ directions)
        values, shares = around.evaluate(ensemble)
        losses += values[: len(part)]
        accuracies += shares[: len(part)]
        held_out += [other for other in around.held_out_losses(ensemble)[: len(part)] if other is not None]
    lost = next((n for n, value in enumerate(losses) if not math.isfinite(value)), None)
    if lost is not None:
        raise UserError(
            f"The loss of {around.name} is {losses[lost]} at point {lost}, {abs(steps[lost]):.3g} steps from the "
            "optimum: use a smaller reach or smaller steps."
        )
    exact, optimum = directions.cpu().double().numpy(), around.optimum.cpu().double().numpy()
    gram = coefficients @ (exact @ exact.T) @ coefficients.T
    return Record(
        gram=(gram + gram.T) / 2,  # symmetric to the last bit
        along=coefficients @ (exact @ optimum),
        norm=float(np.linalg.norm(optimum)),
        loss=np.array(losses),
        accuracy=np.array(accuracies),
        seed=np.asarray(seeds, np.int64),
        step=np.asarray(steps, np.float64),
        epoch=np.zeros(len(losses), np.int64),
        coefficients=coefficients,
        optimum_loss=optimum_loss,
        optimum_accuracy=optimum_accuracy,
        held_out_loss=np.array(held_out),
    )


SAMPLINGS: dict[str, Callable[..., Record]] = {
    "jump_and_retrain": jump_and_retrain,
    "grid": grid,
    "naive": naive,
    "line": line,
    "plane": plane,
}


def memory_estimate(*, parameters: int, points: int, networks: int = NETWORKS) -> int:
    """Estimate the bytes that jump and retrain holds, beside what the model itself needs for a batch.

    The displacements of all points, in single precision; parameters, gradients and momentum of the networks that train
    together, with one copy under way; and the Gram matrix twice. Nothing grows with the number of minima: of each, only
    the record stays.

    Args:
        parameters: Trained parameters P of one network.
        points: Points around one minimum.
        networks: Trajectories that are trained together.
    Example:
        >>> round(memory_estimate(parameters=1_100_000, points=640) / 1e9, 1)  # the source's largest network
        3.1
    """
    return 4 * parameters * (points + 4 * networks) + 2 * 8 * points**2
