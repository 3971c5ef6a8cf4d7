"""Heavy tasks of part 1, for the store: train networks on images together, and sample the loss around one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapeofloss.arrays import as_count, as_number, as_seeds, as_tensor
from shapeofloss.datasets.cifar10 import cropped_and_flipped, load_cifar10
from shapeofloss.datasets.digits import Images, load_digits, shifted
from shapeofloss.engine.checkpoints import Checkpoint
from shapeofloss.errors import UserError, unknown
from shapeofloss.landscape.batches import Augmentation, image_epochs
from shapeofloss.landscape.ensembles import cross_entropy, ensemble_of
from shapeofloss.landscape.networks import WideResNet
from shapeofloss.landscape.parameters import flatten, load_parameters
from shapeofloss.landscape.randomness import generator_for
from shapeofloss.landscape.record import Recorder
from shapeofloss.landscape.samplers import SAMPLINGS, Around, resume, state_of, train_epoch
from shapeofloss.landscape.training import check_finite, evaluate

MILESTONES = (0.5, 0.75, 0.925)  # section 4.1: epochs 100, 150 and 185 of 200
SHARE = 0.9  # of the training images, in retraining (released code)
PROBES = (1000, 1001)  # seeds of two directions that no trajectory starts along


@dataclass(frozen=True)
class Dataset:
    """What can be learned.

    Attributes:
        load: Function of the number of training images and the seed of their order.
        augmentation: What changes images at random.
        channels: Of an image.
    """

    load: Callable[[int, int], Images]
    augmentation: Augmentation
    channels: int


DATASETS = {
    "digits": Dataset(lambda train, seed: load_digits(train=train, seed=seed), shifted, 1),
    # Its order is its own: there is nothing to draw.
    "cifar10": Dataset(lambda train, seed: load_cifar10(train=train), cropped_and_flipped, 3),
}


def dataset(name: str) -> Dataset:
    """Return a dataset by name.

    Raises:
        UserError: If there is none of that name.
    """
    if not isinstance(name, str) or name not in DATASETS:
        raise unknown("dataset", name, DATASETS)
    return DATASETS[name]


def network_for(data: str, *, depth: int, width: int, base: int, seed: int = 0) -> WideResNet:
    """Return a freshly initialised network for the images of a dataset, with ten classes."""
    generator = generator_for(seed, "initialisation")
    channels = dataset(data).channels
    return WideResNet(depth, width, base=base, in_channels=channels, classes=10, generator=generator)


def network_for_digits(*, depth: int, width: int, base: int, seed: int = 0) -> WideResNet:
    """Return a freshly initialised network for the digits: one channel in, ten classes out."""
    return network_for("digits", depth=depth, width=width, base=base, seed=seed)


def device_of(name: str) -> torch.device:
    """Return a device by name; "auto" is a GPU if there is one, else the CPU.

    Raises:
        UserError: If there is none of that name.
    """
    try:
        return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
    except (RuntimeError, TypeError, AssertionError):
        raise UserError(f"There is no device {name!r}; valid are auto, cpu, cuda, cuda:1 and the like.") from None


def random_labels(labels: Tensor, seed: int) -> Tensor:
    """Return labels of ten classes drawn anew, all equally likely, so that about a tenth stays right.

    Args:
        labels: The right ones, shape (N,).
        seed: Not negative.
    Raises:
        UserError: If the labels are no tensor, or the seed is none.
    Source:
        Loss-landscape paper, section 4.1; uniform as in its released code.
    """
    return torch.randint(0, 10, as_tensor(labels, "labels").shape, generator=generator_for(seed, "labels")).to(
        labels.device
    )


def train_minima(
    *,
    depth: int,
    width: int,
    base: int,
    train: int,
    data_seed: int,
    epochs: int,
    batch: int,
    learning_rate: float,
    networks: Sequence[Mapping[str, Any]],
    momentum: float = 0.9,
    milestones: Sequence[float] = MILESTONES,
    gamma: float = 0.1,
    data: str = "digits",
    device: str = "cpu",
    keep_going: bool = False,
    checkpoint: Checkpoint | None = None,
) -> dict[str, Any]:
    """Train networks of one architecture from scratch, all together.

    Args:
        depth, width, base: As for `WideResNet`.
        train, data_seed: Number of training images, and the seed of their order.
        epochs: Passes over the training images, at least 1.
        batch: Images of a minibatch.
        learning_rate: Its first value.
        networks: For each network its `seed` (of initial weights, minibatches and shifts), `weight_decay` (factor of
            theta that is added to the gradient, for every parameter), `augment` (whether images are shifted), and
            perhaps `random_labels` (whether it learns labels drawn anew by its seed; by default it does not).
        momentum: Share of the last update that is added to the next one (no Nesterov).
        milestones: Fractions of the epochs after which the learning rate is multiplied by `gamma`, rounded to epochs
            but never before the first has ended.
        gamma: See `milestones`.
        data: Which images, a name of `DATASETS`.
        device: As for `device_of`.
        keep_going: Whether the others go on when the loss of a network is not finite.
        checkpoint: Takes the state after each epoch, and gives the one to go on from.
    Returns:
        What the store keeps: `parameters` (M, P), float32; `history` (M, epochs), the mean loss at the time of each
        minibatch, in nats; `diverged` (M,), the first epoch, from 1, in which a network's loss was not finite, 0 if it
        always was; and, shape (M,), `train_loss`, `test_loss` in nats and `train_accuracy`, `test_accuracy` in
        [0, 1] as `evaluate` gives them: the training ones on the labels that the network learned, the test ones on the
        right labels. A network's result does not depend on the others that it was trained with.
    Raises:
        UserError: If a setting is out of range, or a loss is not finite and the others are not to go on.
    Source:
        Loss-landscape paper, section 4.1: 200 epochs, 0.1 divided by 10 at epochs 100, 150 and 185, momentum 0.9.
    """
    if as_count(epochs, "epochs", at_least=0) < 1 or not networks:
        raise UserError(f"{len(networks)} networks and {epochs} epochs: use at least one of each.")
    for value, name in ((learning_rate, "learning_rate"), (momentum, "momentum"), (gamma, "gamma")):
        as_number(value, name, at_least=0)
    for fraction in milestones:
        as_number(fraction, "An entry of milestones", at_least=0)
    images, place = dataset(data).load(train, data_seed).to(device_of(device)), device_of(device)
    labels = [_labels(images, network) for network in networks]
    models = [network_for(data, depth=depth, width=width, base=base, seed=network["seed"]) for network in networks]
    model = models[0].to(place)
    ensemble = ensemble_of(model, cross_entropy, len(models), example=(images.train_images, labels[0]))
    ensemble.load(torch.stack([flatten(each).to(place) for each in models]))
    decay = ensemble.per_network([network["weight_decay"] for network in networks])
    optimizer = torch.optim.SGD([ensemble.theta], lr=learning_rate, momentum=momentum)
    falls = [max(1, round(fraction * epochs)) for fraction in milestones]
    streams = [
        image_epochs(
            images.train_images,
            own,
            batch=batch,
            augment=network["augment"],
            augmentation=dataset(data).augmentation,
            purpose="training",
        )(network["seed"])
        for network, own in zip(networks, labels, strict=True)
    ]
    history, of = np.full((len(networks), epochs), np.nan), torch.arange(len(networks))
    state = checkpoint.load() if checkpoint else None
    began = 0
    if state is not None:
        began = resume(ensemble, optimizer, streams, state)
        history[:] = state["history"]
    for epoch in range(began, epochs):
        optimizer.param_groups[0]["lr"] = learning_rate * gamma ** sum(epoch >= fall for fall in falls)
        losses = train_epoch(ensemble, optimizer, [next(s) for s in streams], of, epoch=epoch, decay=decay)
        for network, loss in zip(networks, losses.tolist(), strict=True):
            what = f"The loss of WRN {depth}-{width} with {dict(network)}, batch {batch},"
            if not keep_going:
                check_finite(loss, what=what, epoch=epoch + 1, learning_rate=learning_rate)
        history[:, epoch] = losses
        if checkpoint and checkpoint.due():
            checkpoint.save({**state_of(ensemble, optimizer, epoch + 1, epoch + 1), "history": history})
    vectors = ensemble.vectors()
    trained, tested = [], []
    for vector, own in zip(vectors, labels, strict=True):
        load_parameters(model, vector)
        trained.append(evaluate(model, images.train_images, own))
        tested.append(evaluate(model, images.test_images, images.test_labels, statistics_from=images.train_images))
    lost = ~np.isfinite(history)
    diverged = np.where(lost.any(axis=1), lost.argmax(axis=1) + 1, 0)
    result = {"parameters": vectors.numpy(), "history": history, "diverged": diverged}
    for name, pairs in (("train", trained), ("test", tested)):
        result[f"{name}_loss"], result[f"{name}_accuracy"] = np.array(pairs).T.copy()
    return result


def sample_minimum(
    *,
    parameters: NDArray[np.float32],
    depth: int,
    width: int,
    base: int,
    train: int,
    data_seed: int,
    sampling: str,
    batch: int | None = None,
    augment: bool = False,
    label_seed: int | None = None,
    probes: Sequence[int] = PROBES,
    held_out: int = 0,
    evaluated: int | None = None,
    data: str = "digits",
    device: str = "cpu",
    checkpoint: Checkpoint | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Sample the loss of images around a network's parameters.

    Args:
        parameters: Of the network at its minimum, shape (P,), as `train_minima` gives them.
        depth, width, base: As for `WideResNet`.
        train, data_seed: As for `train_minima`.
        sampling: As for `samplers.sample_around`.
        batch, augment: For jump and retrain: images of a minibatch, and whether they are shifted. It retrains on 90% of
            the training images, which ones is fixed by the seed of the trajectory.
        label_seed: Seed of the random labels that the network learned; None if it learned the right ones.
        probes: For jump and retrain: seeds of further directions whose inner products are wanted, or none.
        held_out: Number of test images, the first ones, whose loss is recorded as well.
        evaluated: Number of training images, the first ones, that the recorded losses are of; None for all. They go
            through the network in one pass, so that a wide network with many images needs much memory.
        data, device: As for `train_minima`.
        checkpoint: For jump and retrain: takes the state after each epoch, and gives the one to go on from.
        options: Those of the sampling, such as `seeds` and `steps`.
    Returns:
        What the store keeps: the arrays of the `Record`, for `Record.from_arrays`; after jump and retrain also
        `probed`, inner products of the displacements with the probes' filter-normalised directions, shape (n, q), and
        `probe_gram`, those of these directions with each other, shape (q, q).
    Raises:
        UserError: If the sampling is unknown, a setting is out of range, or a loss is not finite.
    """
    if not isinstance(sampling, str) or sampling not in SAMPLINGS:
        raise unknown("sampling", sampling, SAMPLINGS)
    as_count(held_out, "held_out", at_least=0)
    probes = as_seeds(probes, "probes") if len(probes) else ()
    check_evaluated(evaluated)
    images, place = dataset(data).load(train, data_seed).to(device_of(device)), device_of(device)
    labels = images.train_labels if label_seed is None else random_labels(images.train_labels, label_seed)
    model = network_for(data, depth=depth, width=width, base=base).to(place)
    load_parameters(model, parameters)
    everything = [(images.train_images[:evaluated], labels[:evaluated])]
    unseen = [(images.test_images[:held_out], images.test_labels[:held_out])] if held_out else []
    around = Around(model, everything, cross_entropy, everything, "auto", f"WRN {depth}-{width}", unseen)
    if sampling != "jump_and_retrain":
        return SAMPLINGS[sampling](around, **options).to_arrays()
    if batch is None:
        raise UserError("Jump and retrain needs `batch`, the number of images of a minibatch.")
    order = image_epochs(
        images.train_images,
        labels,
        batch=batch,
        augment=augment,
        augmentation=dataset(data).augmentation,
        share=SHARE,
        purpose="retraining",
    )
    recorders: list[Recorder] = []
    result = SAMPLINGS[sampling](around, order=order, recorder=recorders, checkpoint=checkpoint, **options).to_arrays()
    if probes:
        directions = torch.stack([around.direction(seed) for seed in probes]).double().numpy()
        result |= {"probed": recorders[0].products_with(directions), "probe_gram": directions @ directions.T}
    return result


def check_evaluated(evaluated: int | None) -> None:
    """Refuse a number of images that is none; a slice would take a negative one from the end."""
    if evaluated is not None:
        as_count(evaluated, "evaluated")


def _labels(images: Images, network: Mapping[str, Any]) -> Tensor:
    """Return the labels that a network learns."""
    known = {"seed", "weight_decay", "augment", "random_labels"}
    if not known - {"random_labels"} <= set(network) <= known:
        raise UserError(
            f"A network is given by {', '.join(sorted(known))} (random_labels is optional), not {dict(network)}."
        )
    as_number(network["weight_decay"], "weight_decay", at_least=0)
    right = images.train_labels
    return random_labels(right, network["seed"]) if network.get("random_labels") else right
