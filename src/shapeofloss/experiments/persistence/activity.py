"""The topological activity of a jump-and-retrain sample: total persistence, as the source has it and in variants."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapeofloss.arrays import Floats, as_count
from shapeofloss.errors import UserError
from shapeofloss.landscape.phate import diffusion_between, phate_embedding, potential_distances
from shapeofloss.landscape.record import Record
from shapeofloss.topology.diagrams import total_persistence
from shapeofloss.topology.graphs import (
    Diagrams,
    Edges,
    as_square,
    graph_persistence,
    neighbour_edges,
    points_of,
    smallest_pairs,
)

HEADLINE = "as the paper says"


def released_edges(potential: Floats, *, neighbours: int) -> Edges:
    """Join each point to those where its row of PHATE's potential is largest, as the released code of the source does.

    The potential is minus the logarithm of a probability: its largest entries belong to the points that a random walk
    reaches least. Two points that choose each other get two edges, and with them a cycle.

    Args:
        potential: Shape (n, n).
        neighbours: Entries of each row, 1 to n; of equal ones the first. An entry of the diagonal makes no edge.
    Returns:
        Shape (m, 2), the smaller index first, some of them twice.
    Raises:
        UserError: As for `neighbour_edges`.
    Source:
        The released code of the loss-landscape paper, which differs from its section 3.3.
    """
    matrix = as_square(potential)
    as_count(neighbours, "neighbours", at_most=len(matrix))
    pairs = smallest_pairs(-matrix, neighbours)
    return pairs[pairs[:, 0] < pairs[:, 1]]


def rips_diagrams(picture: Floats) -> list[Floats]:
    """Return the finite points of the Vietoris-Rips diagrams of a picture, in dimensions 0 and 1.

    Args:
        picture: Shape (n, 2), not all points in one place.
    Returns:
        Two diagrams, shape (k, 2) each, in units of the picture's larger extent; computed in single precision.
    """
    from ripser import ripser  # type: ignore[import-untyped]

    diagrams = ripser(picture / np.ptp(picture, axis=0).max(), maxdim=1)["dgms"]
    return [np.asarray(part[np.isfinite(part).all(axis=1)], np.float64) for part in diagrams]


def activity(
    *, neighbours: int, other_neighbours: Sequence[int], knn: int = 5, **arrays: NDArray[Any]
) -> dict[str, Any]:
    """Measure the total persistence of a jump-and-retrain sample in many variants.

    Args:
        neighbours: Neighbours of each point in the graph: 20 in the source.
        other_neighbours: The same in variants.
        knn: As for `phate.diffusion_between`.
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
    totals["Rips, of the picture"] = [total_persistence(part) for part in rips_diagrams(picture)]
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
