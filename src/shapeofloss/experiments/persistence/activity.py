"""The topological activity of a jump-and-retrain sample: total persistence, as the source has it and in variants."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapeofloss.arrays import Floats, as_floats
from shapeofloss.errors import UserError
from shapeofloss.landscape.phate import diffusion_between, phate_embedding
from shapeofloss.landscape.record import Record
from shapeofloss.topology.graphs import (
    Diagrams,
    graph_persistence,
    neighbour_edges,
    points_of,
    released_edges,
    rips_diagrams,
    total_persistence,
)

HEADLINE = "as the paper says"


def potential_distances(potential: Floats) -> Floats:
    """Return the Euclidean distances between the rows of PHATE's potential, shape (n, n), in nats.

    Raises:
        UserError: If it is no table of finite numbers.
    Source:
        Loss-landscape paper, section 2.1.
    """
    from scipy.spatial.distance import pdist, squareform

    return np.asarray(squareform(pdist(as_floats(potential, "potential", shape=("n", "n")))), np.float64)


def loss_diagrams(record: Record, *, neighbours: int, knn: int = 5) -> Diagrams:
    """Return the persistence diagrams of the training loss on the graph of nearest points of a sample.

    Args:
        record: Of jump and retrain.
        neighbours: Of each point by potential distance.
        knn: As for `embedding.diffusion_between`, which sees cosine distances from the origin.
    Source:
        Loss-landscape paper, section 3.3.
    """
    diffusion = diffusion_between(record.cosine_distances(), knn=knn)
    edges = neighbour_edges(potential_distances(diffusion.potential), neighbours=neighbours)
    return graph_persistence(record.loss, edges)


def activity(
    *, neighbours: int, other_neighbours: Sequence[int], knn: int = 5, **arrays: NDArray[Any]
) -> dict[str, Any]:
    """Measure the total persistence of a jump-and-retrain sample in many variants.

    Args:
        neighbours: Of each point in the graph: 20 in the source.
        other_neighbours: Instead of it, in variants.
        knn: As for `embedding.diffusion_between`.
        arrays: Those of the record, with held-out losses.
    Returns:
        What the store keeps: `variant`, the names of v variants, and `total`, their total persistence in dimensions 0
        and 1, shape (v, 2), in nats squared where nothing else is said.
    Raises:
        UserError: If there are no held-out losses, or a loss has no logarithm; as for `Record.from_arrays`,
            `diffusion_between` and `neighbour_edges`.
    Source:
        Loss-landscape paper, section 3.3; the variants after its released code, and what a sceptic asks for.
    """
    sample = Record.from_arrays(arrays)
    if not sample.held_out_loss.size:
        raise UserError("The record holds no held-out losses: sample with `held_out`.")
    if not (sample.loss > 0).all():
        raise UserError(f"A loss is {sample.loss.min():g}; its logarithm is asked for, too: losses have to be above 0.")
    walk = diffusion_between(sample.cosine_distances(), knn=knn)
    apart = potential_distances(walk.potential)
    edges = neighbour_edges(apart, neighbours=neighbours)
    released = released_edges(walk.potential, neighbours=neighbours)
    plain = graph_persistence(sample.loss, edges)
    totals = {
        HEADLINE: _totals(plain, sample.loss),
        "logarithm of the loss": _on(np.log10(sample.loss), edges),
        "test loss": _on(sample.held_out_loss, edges),
        "released graph": _on(sample.loss, released),
        "released graph, test loss": _on(sample.held_out_loss, released),
        "components that never die, too": _totals(plain, sample.loss, essential=True),
        "lifetimes not squared": _totals(plain, sample.loss, order=1),
    }
    for count in other_neighbours:
        totals[f"{count} neighbours"] = _on(sample.loss, neighbour_edges(apart, neighbours=count))
    for centre in ("optimum", "mean"):
        other = diffusion_between(sample.cosine_distances(centre), knn=knn)
        near = neighbour_edges(potential_distances(other.potential), neighbours=neighbours)
        totals[f"angles at the {centre}"] = _on(sample.loss, near)
        totals[f"angles at the {centre}, logarithm"] = _on(np.log10(sample.loss), near)
    picture, _ = phate_embedding(sample.cosine_distances(), knn=knn, seed=0)
    extent = np.ptp(picture, axis=0).max()
    totals["Rips, of the picture"] = [total_persistence(part) for part in rips_diagrams(picture / extent)]
    return {"variant": np.array(list(totals)), "total": np.array(list(totals.values()), np.float64)}


def _on(values: Floats, edges: NDArray[np.int64]) -> list[float]:
    return _totals(graph_persistence(values, edges), values)


def _totals(diagrams: Diagrams, values: Floats, *, essential: bool = False, order: float = 2) -> list[float]:
    """Return total persistence in dimensions 0 and 1; what never dies gets the largest value."""
    top = float(values.max())
    return [
        total_persistence(points_of(diagrams, dimension, essential=essential, top=top), order=order)
        for dimension in (0, 1)
    ]
