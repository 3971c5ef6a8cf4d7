"""Heavy tasks of part 1, for the store: train networks on images together, and sample the loss around one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
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
from shapeofloss.landscape.ensembles import Batch, cross_entropy, ensemble_of
from shapeofloss.landscape.ensembles.training import resume, state_of, train_together
from shapeofloss.landscape.networks import Architecture, WideResNet
from shapeofloss.landscape.parameters import flatten, load_parameters
from shapeofloss.landscape.randomness import generator_for
from shapeofloss.landscape.samplers import SAMPLINGS, record_trajectories
from shapeofloss.landscape.surroundings import Around
from shapeofloss.landscape.training import check_finite, evaluate

MOMENTUM = 0.9  # section 4.1: the share of the last update that is added to the next one, not Nesterov's
MILESTONES = (0.5, 0.75, 0.925)  # section 4.1: after epochs 100, 150 and 185 of 200 ...
FALL = 0.1  # ... the learning rate is multiplied by this
SHARE = 0.9  # of the training images, in retraining (released code)
PROBES = (1000, 1001)  # seeds of two directions that no trajectory starts along


@dataclass(frozen=True)
class Dataset:
    """What can be learned.

    Attributes:
        load: Function of the number of training images and the seed of their order.
        augmentation: What changes images at random.
        channels: Colours of an image.
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


def device_of(name: str) -> torch.device:
    """Return a device by name; "auto" is a GPU if there is one, else the CPU.

    Raises:
        UserError: If there is none of that name.
    """
    try:
        return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
    except (RuntimeError, TypeError, AssertionError):
        raise UserError(f"There is no device {name!r}; valid are auto, cpu, cuda, cuda:1 and the like.") from None


@dataclass(frozen=True)
class ImageSet:
    """Which images a network learns, and where.

    Attributes:
        train: Number of training images.
        seed: Seed of their order, where they have none of their own.
        data: A name of `DATASETS`.
        evaluated: Number of training images, the first ones, that the losses around a minimum are of; None for all.
            They go through the network in one pass, so that a wide network with many images needs much memory.
        device: As for `device_of`.
    """

    train: int
    seed: int = 0
    data: str = "digits"
    evaluated: int | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.evaluated is not None:
            as_count(self.evaluated, "evaluated")  # a slice would take a negative one from the end

    def load(self) -> Images:
        """Return the images on their device."""
        return dataset(self.data).load(self.train, self.seed).to(device_of(self.device))


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
    architecture: Mapping[str, Any],
    images: Mapping[str, Any],
    networks: Sequence[Mapping[str, Any]],
    epochs: int,
    batch: int,
    learning_rate: float,
    keep_going: bool = False,
    checkpoint: Checkpoint | None = None,
) -> dict[str, Any]:
    """Train networks of one architecture from scratch, all together, by stochastic gradient descent.

    The learning rate falls after the `MILESTONES`, rounded to epochs, but never before the first epoch has ended.

    Args:
        architecture, images: Fields of `Architecture` and of `ImageSet`.
        networks: For each network its `seed` (of initial weights, minibatches and shifts), `weight_decay` (factor of
            theta that is added to the gradient, for every parameter), `augment` (whether images are changed at random),
            and perhaps `random_labels` (whether it learns labels drawn anew by its seed; by default it does not).
        epochs: Passes over the training images, at least 1.
        batch: Images of a minibatch.
        learning_rate: Its first value.
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
    as_number(learning_rate, "learning_rate", at_least=0)
    shape, chosen = Architecture(**architecture), ImageSet(**images)
    data = chosen.load()
    labels = [_labels(data, network) for network in networks]
    starts = [_network(shape, chosen, data, seed=network["seed"]) for network in networks]
    ensemble = ensemble_of(starts[0], cross_entropy, len(starts), example=(data.train_images, labels[0]))
    ensemble.load(torch.stack([flatten(start) for start in starts]))
    decay = ensemble.per_network([network["weight_decay"] for network in networks])
    optimizer = torch.optim.SGD([ensemble.theta], lr=learning_rate, momentum=MOMENTUM)
    falls = [max(1, round(fraction * epochs)) for fraction in MILESTONES]
    augmentation = dataset(chosen.data).augmentation
    order = partial(image_epochs, data.train_images, batch=batch, augmentation=augmentation, purpose="training")
    streams = [
        order(learned, augment=network["augment"])(network["seed"])
        for network, learned in zip(networks, labels, strict=True)
    ]
    history, of = np.full((len(networks), epochs), np.nan), torch.arange(len(networks))
    state = checkpoint.load() if checkpoint else None
    began = 0
    if state is not None:
        began = resume(ensemble, optimizer, streams, state)
        history[:] = state["history"]
    for epoch in range(began, epochs):
        optimizer.param_groups[0]["lr"] = learning_rate * FALL ** sum(epoch >= fall for fall in falls)
        losses = train_together(ensemble, optimizer, [next(s) for s in streams], of, epoch=epoch, decay=decay)
        history[:, epoch] = losses
        for network, loss in zip(networks, losses.tolist(), strict=True):
            what = f"The loss of {shape.name} with {dict(network)}, batch {batch},"
            if not keep_going:
                check_finite(loss, what=what, epoch=epoch + 1, learning_rate=learning_rate)
        if checkpoint and checkpoint.due():
            checkpoint.save({**state_of(ensemble, optimizer, epoch + 1, epoch + 1), "history": history})
    lost = ~np.isfinite(history)
    diverged = np.where(lost.any(axis=1), lost.argmax(axis=1) + 1, 0)
    return {"history": history, "diverged": diverged} | _described(starts[0], ensemble.vectors(), data, labels)


def _network(shape: Architecture, chosen: ImageSet, data: Images, *, seed: int = 0) -> WideResNet:
    """Return a freshly initialised network for images, where these are."""
    return shape.network(channels=dataset(chosen.data).channels, seed=seed).to(data.train_images.device)


def _described(model: WideResNet, vectors: Tensor, data: Images, labels: Sequence[Tensor]) -> dict[str, Any]:
    """Return parameters, shape (M, P), with loss and accuracy on the training and test images, each of shape (M,)."""
    trained, tested = [], []
    for vector, learned in zip(vectors, labels, strict=True):
        load_parameters(model, vector)
        trained.append(evaluate(model, data.train_images, learned))
        tested.append(evaluate(model, data.test_images, data.test_labels, statistics_from=data.train_images))
    result = {"parameters": vectors.numpy()}
    for name, pairs in (("train", trained), ("test", tested)):
        result[f"{name}_loss"], result[f"{name}_accuracy"] = np.array(pairs).T.copy()
    return result


def _labels(data: Images, network: Mapping[str, Any]) -> Tensor:
    """Return the labels that a network learns."""
    known = {"seed", "weight_decay", "augment", "random_labels"}
    if not known - {"random_labels"} <= set(network) <= known:
        raise UserError(
            f"A network is given by {', '.join(sorted(known))} (random_labels is optional), not {dict(network)}."
        )
    as_number(network["weight_decay"], "weight_decay", at_least=0)
    right = data.train_labels
    return random_labels(right, network["seed"]) if network.get("random_labels") else right


def at_minimum(
    parameters: NDArray[np.float32], shape: Architecture, chosen: ImageSet, *, label_seed: int | None = None
) -> tuple[WideResNet, Images, Batch]:
    """Return a network at its minimum, its images with the labels that it learned, and those whose loss is recorded.

    Args:
        parameters: Parameters of the network, shape (P,), as `train_minima` gives them.
        shape, chosen: The network's architecture, and the images that it learned.
        label_seed: Seed of the random labels that it learned; None if it learned the right ones.
    """
    data = chosen.load()
    if label_seed is not None:
        data = replace(data, train_labels=random_labels(data.train_labels, label_seed))
    model = _network(shape, chosen, data)
    load_parameters(model, parameters)
    return model, data, (data.train_images[: chosen.evaluated], data.train_labels[: chosen.evaluated])


def sample_minimum(
    *,
    parameters: NDArray[np.float32],
    architecture: Mapping[str, Any],
    images: Mapping[str, Any],
    sampling: str,
    batch: int | None = None,
    augment: bool = False,
    label_seed: int | None = None,
    probes: Sequence[int] = PROBES,
    held_out: int = 0,
    checkpoint: Checkpoint | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Sample the loss of images around a network's parameters.

    Args:
        parameters, label_seed: As for `at_minimum`.
        architecture, images: Fields of `Architecture` and of `ImageSet`.
        sampling: As for `samplers.sample_around`.
        batch, augment: For jump and retrain: images of a minibatch, and whether they are changed at random. It retrains
            on 90% of the training images, which ones is fixed by the seed of the trajectory.
        probes: For jump and retrain: seeds of further directions whose inner products are wanted, or none.
        held_out: Number of test images, the first ones, whose loss is recorded as well.
        checkpoint: For jump and retrain: takes the state after each epoch, and gives the one to go on from.
        options: Options of the sampling, such as `seeds` and `steps`.
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
    shape, chosen = Architecture(**architecture), ImageSet(**images)
    model, data, recorded = at_minimum(parameters, shape, chosen, label_seed=label_seed)
    unseen = [(data.test_images[:held_out], data.test_labels[:held_out])] if held_out else []
    around = Around(model, [recorded], held_out=unseen, name=shape.name)
    if sampling != "jump_and_retrain":
        return SAMPLINGS[sampling](around, **options).to_arrays()
    if batch is None:
        raise UserError("Jump and retrain needs `batch`, the number of images of a minibatch.")
    order = image_epochs(
        data.train_images,
        data.train_labels,
        batch=batch,
        augment=augment,
        augmentation=dataset(chosen.data).augmentation,
        share=SHARE,
        purpose="retraining",
    )
    points = record_trajectories(around, order=order, checkpoint=checkpoint, **options)
    result = points.record().to_arrays()
    if probes:
        directions = torch.stack([around.direction(seed) for seed in probes]).double().numpy()
        result |= {"probed": points.products_with(directions), "probe_gram": directions @ directions.T}
    return result
