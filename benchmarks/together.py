"""Sixteen networks trained and evaluated together, beside a plain loop over them with the same arithmetic.

A baseline round is what one writes without this package: for each network, an epoch of `loss.backward()` and
`torch.optim.SGD`, then the exact loss over the training set. Both sides run on one thread.
"""

from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import product

import torch
from torch import nn

from shapeofloss.datasets.digits import load_digits
from shapeofloss.engine import workspace
from shapeofloss.landscape.batches import image_epochs
from shapeofloss.landscape.ensembles.lanes import Lanes
from shapeofloss.landscape.ensembles.training import evaluate_together, train_together
from shapeofloss.landscape.networks import Architecture
from shapeofloss.landscape.training import evaluate, train_epoch

NETWORKS, SEEDS, TRAIN = 16, 4, 256
SGD = partial(torch.optim.SGD, lr=0.05, momentum=0.9, weight_decay=1e-3)
Round = tuple[Callable[[], None], Callable[[], None]]


def zoo() -> Iterator[tuple[int, int, int]]:
    """Yield depth, width and batch size of the study's networks, with four base channels."""
    yield from product((10, 16, 22), (1, 2), (8, 32, 128))


@cache
def training(depth: int, width: int, batch: int) -> Round:
    """Return an epoch of sixteen networks, together and one after another."""
    workspace.use_one_thread()
    data = load_digits(train=TRAIN, seed=0)
    order = image_epochs(data.train_images, data.train_labels, batch=batch, augment=False, share=0.9, purpose="bench")
    epochs = [list(next(order(seed))) for seed in range(SEEDS)]
    size = Architecture(depth, width, base=4)
    models: list[nn.Module] = [size.network(seed=n) for n in range(NETWORKS)]
    optimizers = [SGD(model.parameters()) for model in models]
    ensemble = Lanes(size.network(), NETWORKS)
    optimizer, of = SGD([ensemble.theta]), torch.arange(NETWORKS) // (NETWORKS // SEEDS)

    def together() -> None:
        train_together(ensemble, optimizer, epochs, of, epoch=0)

    def one_by_one() -> None:
        for model, its_optimizer, seed in zip(models, optimizers, of.tolist(), strict=True):
            train_epoch(model, its_optimizer, epochs[seed])

    return together, one_by_one


@cache
def evaluation(depth: int, width: int) -> Round:
    """Return the exact loss of sixteen networks over the training set, together and one after another."""
    workspace.use_one_thread()
    data = load_digits(train=TRAIN, seed=0)
    models = [Architecture(depth, width, base=4).network(seed=n) for n in range(NETWORKS)]
    ensemble, everything = Lanes(models[0], NETWORKS), (data.train_images, data.train_labels)

    def together() -> None:
        evaluate_together(ensemble, [everything])

    def one_by_one() -> None:
        for model in models:
            evaluate(model, *everything)

    return together, one_by_one


def whole_zoo() -> Round:
    """Return one epoch of each kind of network in the zoo."""
    rounds = [training(*kind) for kind in zoo()]

    def together() -> None:
        for ours, _ in rounds:
            ours()

    def one_by_one() -> None:
        for _, reference in rounds:
            reference()

    return together, one_by_one
