"""Heavy tasks of part 1, for the store: train networks on the digits together, and sample the loss around one."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapeofloss.errors import UserError, unknown
from shapeofloss.landscape.batches import image_epochs
from shapeofloss.landscape.digits import Images, load_digits
from shapeofloss.landscape.ensembles import cross_entropy, ensemble_of
from shapeofloss.landscape.networks import WideResNet
from shapeofloss.landscape.parameters import flatten, load_parameters
from shapeofloss.landscape.randomness import generator_for
from shapeofloss.landscape.record import Recorder
from shapeofloss.landscape.samplers import SAMPLINGS, Around, train_epoch
from shapeofloss.landscape.training import check_finite, evaluate

MILESTONES = (0.5, 0.75, 0.925)  # section 4.1: epochs 100, 150 and 185 of 200
SHARE = 0.9  # of the training images, in retraining (released code)
PROBES = (1000, 1001)  # seeds of two directions that no trajectory starts along


def network_for_digits(*, depth: int, width: int, base: int, seed: int = 0) -> WideResNet:
    """Return a freshly initialised network for the digits: one channel in, ten classes out."""
    generator = generator_for(seed, "initialisation")
    return WideResNet(depth, width, base=base, in_channels=1, classes=10, generator=generator)


def random_labels(labels: Tensor, seed: int) -> Tensor:
    """Return labels of ten classes drawn anew, all equally likely, so that about a tenth stays right.

    Args:
        labels: The right ones, shape (N,).
        seed: Not negative.
    Source:
        Loss-landscape paper, section 4.1; uniform as in its released code.
    """
    return torch.randint(0, 10, labels.shape, generator=generator_for(seed, "labels"))


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
) -> dict[str, Any]:
    """Train networks of one architecture on the digits from scratch, all together.

    Args:
        depth, width, base: As for `WideResNet`.
        train, data_seed: As for `load_digits`.
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
    Returns:
        What the store keeps: `parameters` (M, P), float32; `history` (M, epochs), the mean loss at the time of each
        minibatch, in nats; and, shape (M,), `train_loss`, `test_loss` in nats and `train_accuracy`, `test_accuracy` in
        [0, 1] as `evaluate` gives them: the training ones on the labels that the network learned, the test ones on the
        right labels. A network's result does not depend on the others that it was trained with.
    Raises:
        UserError: If a setting is out of range, or a loss is not finite.
    Source:
        Loss-landscape paper, section 4.1: 200 epochs, 0.1 divided by 10 at epochs 100, 150 and 185, momentum 0.9.
    """
    if epochs < 1 or not networks:
        raise UserError(f"{len(networks)} networks and {epochs} epochs: use at least one of each.")
    data = load_digits(train=train, seed=data_seed)
    labels = [_labels(data, network) for network in networks]
    models = [network_for_digits(depth=depth, width=width, base=base, seed=network["seed"]) for network in networks]
    ensemble = ensemble_of(models[0], cross_entropy, len(models), example=(data.train_images, labels[0]))
    ensemble.load(torch.stack([flatten(model) for model in models]))
    decay = ensemble.per_network([network["weight_decay"] for network in networks])
    optimiser = torch.optim.SGD([ensemble.theta], lr=learning_rate, momentum=momentum)
    falls = [max(1, round(fraction * epochs)) for fraction in milestones]
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, falls, gamma)
    streams = [
        image_epochs(data.train_images, own, batch=batch, augment=network["augment"], purpose="training")(
            network["seed"]
        )
        for network, own in zip(networks, labels, strict=True)
    ]
    history, of = np.empty((len(networks), epochs)), torch.arange(len(networks))
    for epoch in range(epochs):
        losses = train_epoch(ensemble, optimiser, [next(s) for s in streams], of, epoch=epoch, decay=decay)
        for network, loss in zip(networks, losses.tolist(), strict=True):
            what = f"The loss of WRN {depth}-{width} with {dict(network)}, batch {batch},"
            check_finite(loss, what=what, epoch=epoch + 1, learning_rate=learning_rate)
        history[:, epoch] = losses
        schedule.step()
    vectors = ensemble.vectors()
    trained, tested = [], []
    for vector, own in zip(vectors, labels, strict=True):
        load_parameters(models[0], vector)
        trained.append(evaluate(models[0], data.train_images, own))
        tested.append(evaluate(models[0], data.test_images, data.test_labels, statistics_from=data.train_images))
    result = {"parameters": vectors.numpy(), "history": history}
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
    **options: Any,
) -> dict[str, Any]:
    """Sample the loss of the digits around a network's parameters.

    Args:
        parameters: Of the network at its minimum, shape (P,), as `train_minima` gives them.
        depth, width, base: As for `WideResNet`.
        train, data_seed: As for `load_digits`; all training images are used for the recorded losses.
        sampling: As for `samplers.sample_around`.
        batch, augment: For jump and retrain: images of a minibatch, and whether they are shifted. It retrains on 90% of
            the training images, which ones is fixed by the seed of the trajectory.
        label_seed: Seed of the random labels that the network learned; None if it learned the right ones.
        probes: For jump and retrain: seeds of further directions whose inner products are wanted, or none.
        options: Those of the sampling, such as `seeds` and `steps`.
    Returns:
        What the store keeps: the arrays of the `Record`, for `Record.from_arrays`; after jump and retrain also
        `probed`, inner products of the displacements with the probes' filter-normalised directions, shape (n, q), and
        `probe_gram`, those of these directions with each other, shape (q, q).
    Raises:
        UserError: If the sampling is unknown, a setting is out of range, or a loss is not finite.
    """
    if sampling not in SAMPLINGS:
        raise unknown("sampling", sampling, SAMPLINGS)
    data = load_digits(train=train, seed=data_seed)
    labels = data.train_labels if label_seed is None else random_labels(data.train_labels, label_seed)
    model = network_for_digits(depth=depth, width=width, base=base)
    load_parameters(model, parameters)
    everything = [(data.train_images, labels)]
    around = Around(model, everything, cross_entropy, everything, "auto", f"WRN {depth}-{width}")
    if sampling != "jump_and_retrain":
        return SAMPLINGS[sampling](around, **options).to_arrays()
    if batch is None:
        raise UserError("Jump and retrain needs `batch`, the number of images of a minibatch.")
    order = image_epochs(data.train_images, labels, batch=batch, augment=augment, share=SHARE, purpose="retraining")
    recorders: list[Recorder] = []
    result = SAMPLINGS[sampling](around, order=order, recorder=recorders, **options).to_arrays()
    if probes:
        directions = torch.stack([around.direction(seed) for seed in probes]).double().numpy()
        result |= {"probed": recorders[0].products_with(directions), "probe_gram": directions @ directions.T}
    return result


def _labels(data: Images, network: Mapping[str, Any]) -> Tensor:
    """Return the labels that a network learns."""
    known = {"seed", "weight_decay", "augment", "random_labels"}
    if not known - {"random_labels"} <= set(network) <= known:
        raise UserError(
            f"A network is given by {', '.join(sorted(known))} (random_labels is optional), not {dict(network)}."
        )
    return random_labels(data.train_labels, network["seed"]) if network.get("random_labels") else data.train_labels
