"""Training and evaluation of an ensemble over whole epochs, and its state between two of them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapeofloss.errors import UserError
from shapeofloss.landscape.batches import examples
from shapeofloss.landscape.ensembles.base import Batch, Ensemble
from shapeofloss.landscape.randomness import generator_for, seed_all


def evaluate_together(ensemble: Ensemble, batches: Sequence[Batch]) -> tuple[list[float], list[float]]:
    """Return losses and accuracies of all networks on the same batches, weighted by their numbers of examples."""
    all_of = torch.zeros(ensemble.count, dtype=torch.long)
    weights = torch.tensor([examples(batch) for batch in batches], dtype=torch.float64)
    results = [ensemble.evaluate([batch], all_of) for batch in batches]
    losses, accuracies = (
        (weights @ torch.stack([part.cpu().double() for part in column]) / weights.sum()).tolist()
        for column in zip(*results, strict=True)
    )
    return losses, accuracies


def train_together(
    ensemble: Ensemble,
    optimizer: torch.optim.Optimizer,
    streams: Sequence[Iterable[Batch]],
    of: Tensor,
    *,
    epoch: int,
    decay: Tensor | None = None,
) -> Tensor:
    """Take one step for each batch of the streams, in step.

    Args:
        ensemble, optimizer: The networks, and what updates `ensemble.theta`.
        streams: Different streams of batches, equally long.
        of: For each network the number of its stream, shape (M,).
        epoch: Fixes what dropout drops.
        decay: Weight decay of each network, shaped as by `per_network`; for one that all share, use the optimizer's.
    Returns:
        The mean loss of each network at the time of its batches, by numbers of examples, shape (M,).
    Raises:
        UserError: If there is no batch.
    """
    seeds = generator_for(epoch, "dropout")
    total, count = torch.zeros(2, ensemble.count, dtype=torch.float64)
    for batches in zip(*streams, strict=True):
        seed_all(int(torch.randint(2**62, (), generator=seeds)))
        losses = ensemble.backward(batches, of)
        if decay is not None:
            assert ensemble.theta.grad is not None
            ensemble.theta.grad.addcmul_(decay, ensemble.theta.detach())
        optimizer.step()
        sizes = torch.tensor([examples(batch) for batch in batches])[of]
        total += losses.cpu().double() * sizes
        count += sizes
    if not count.all():
        raise UserError("There is no batch to train on: give at least one.")
    return total / count


def state_of(ensemble: Ensemble, optimizer: torch.optim.Optimizer, epoch: int, drawn: int) -> dict[str, NDArray[Any]]:
    """Return the state of a training, for `resume`.

    Args:
        ensemble, optimizer: The networks, and what updates `ensemble.theta`.
        epoch: The next one.
        drawn: Epochs that were taken from each stream.
    """
    kept = {f"optimizer_{name}": value for name, value in optimizer.state[ensemble.theta].items() if value is not None}
    tensors = {"theta": ensemble.theta.detach(), **kept}
    arrays = {name: torch.as_tensor(tensor).cpu().numpy() for name, tensor in tensors.items()}
    return {**arrays, "epoch": np.array(epoch), "drawn": np.array(drawn)}


def resume(
    ensemble: Ensemble,
    optimizer: torch.optim.Optimizer,
    streams: Sequence[Iterator[Iterable[Batch]]],
    state: Mapping[str, NDArray[Any]],
) -> int:
    """Go back to a state of a training, and return its next epoch.

    The streams are drawn from anew, so that they go on as they would have done.
    """
    with torch.no_grad():
        ensemble.theta.copy_(torch.from_numpy(state["theta"]))
    for name, value in state.items():
        if name.startswith("optimizer_"):
            kept = torch.from_numpy(value)
            optimizer.state[ensemble.theta][name.removeprefix("optimizer_")] = (
                kept.to(ensemble.theta.device) if kept.dim() else kept
            )
    for _ in range(int(state["drawn"])):
        for stream in streams:
            next(stream)
    return int(state["epoch"])
