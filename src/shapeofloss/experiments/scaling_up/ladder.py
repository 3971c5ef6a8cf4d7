"""The rungs of the talk's ladder: one problem, solved by one solver after another, each with what it evaluated.

Every solver goes from two clouds to a proven lower bound of the cost |x - y|^2 / 2 per unit of mass: the hard dual
value of its potentials. So all are judged by one ruler, none gains by errors that cancel, and exact solvers have the
value itself.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shapeofloss.arrays import Floats
from shapeofloss.transport.assignment.auction import auction
from shapeofloss.transport.assignment.exact import cost_matrix, mean_cost, optimal_assignment, optimal_value
from shapeofloss.transport.entropic.sinkhorn import annealing, hard_bound, sinkhorn_steps
from shapeofloss.transport.entropic.softmin import ClampedSymbolic, Dense, Softmin, Symbolic, halved_squared_distances


@dataclass(frozen=True)
class Solved:
    """What a solver found.

    Attributes:
        value: The cost that is proven to be no more than the optimum, or is the optimum, in units of the cost.
        pairs: How many pairs of points were evaluated on the way; 0 if the solver does not say.
    """

    value: float
    pairs: int = 0


def _potential(softmin: Softmin, x: Floats, y: Floats, schedule: list[float]) -> Solved:
    """Take one step for each eps of the schedule, and return the bound of the last g."""
    a, b = (torch.full((len(z),), 1 / len(z), dtype=torch.float64) for z in (x, y))
    steps = sinkhorn_steps(softmin, a, b, schedule)
    for _ in schedule:
        last = next(steps)
    return Solved(hard_bound(softmin, a, b, last.g, last.eps), 2 * len(schedule) * len(x) * len(y))


def _dense(x: Floats, y: Floats, *, clamp: bool = True) -> Softmin:
    return Dense(halved_squared_distances(torch.from_numpy(x), torch.from_numpy(y)), clamp)


def _symbolic(x: Floats, y: Floats) -> Softmin:
    return ClampedSymbolic(torch.from_numpy(x), torch.from_numpy(y))


def _cooling(x: Floats, y: Floats, blur: float, scaling: float) -> list[float]:
    """Return the schedule of eps from half the squared diagonal of the box of both clouds down to the blur's."""
    both = np.concatenate([x, y])
    return annealing(float(np.sum(np.ptp(both, axis=0) ** 2)) / 2, blur**2, scaling=scaling)


def plain(x: Floats, y: Floats, *, blur: float, steps: int, clamp: bool = True) -> Solved:
    """Solve by Sinkhorn's algorithm from a stored matrix, at one eps = blur^2 throughout.

    Args:
        x, y: Clouds, shape (N, D) and (M, D).
        blur: In units of length, above 0.
        steps: How many updates of f and of g.
        clamp: Whether exponents are kept above -80 (see `softmin.Dense`).
    """
    return _potential(_dense(x, y, clamp=clamp), x, y, [blur**2] * steps)


def symbolic(x: Floats, y: Floats, *, blur: float, steps: int) -> Solved:
    """Solve as `plain` does, by KeOps, without a stored matrix."""
    return _potential(_symbolic(x, y), x, y, [blur**2] * steps)


def softassign(x: Floats, y: Floats, *, blur: float, scaling: float) -> Solved:
    """Solve from a stored matrix with eps-scaling, one step for each eps.

    This is the SoftAssign of Kosowsky and Yuille, 1994.
    """
    return _potential(_dense(x, y), x, y, _cooling(x, y, blur, scaling))


def annealed(x: Floats, y: Floats, *, blur: float, scaling: float) -> Solved:
    """Solve as `softassign` does, by KeOps, without a stored matrix."""
    return _potential(_symbolic(x, y), x, y, _cooling(x, y, blur, scaling))


def multiscale(x: Floats, y: Floats, *, blur: float, scaling: float) -> Solved:
    """Solve by GeomLoss's multiscale Sinkhorn: clusters first, then points, over the blocks that matter."""
    from geomloss import SamplesLoss

    clouds = torch.from_numpy(x), torch.from_numpy(y)
    loss = SamplesLoss("sinkhorn", p=2, blur=blur, scaling=scaling, debias=False, potentials=True, backend="multiscale")
    with counted_pairs() as counted:
        _, g = loss(*clouds)
    a, b = (torch.full((len(z),), 1 / len(z), dtype=torch.float64) for z in clouds)
    return Solved(hard_bound(Symbolic(*clouds), a, b, g.view(-1), blur**2), sum(counted))


def bidding(x: Floats, y: Floats, *, precision: float) -> Solved:
    """Solve by the auction with eps-scaling, until the gap to its own bound is below `precision` of it."""
    ended = auction(cost_matrix(x, y), precision=precision)
    return Solved(ended.value, ended.bids * len(x))


def hungarian(x: Floats, y: Floats) -> Solved:
    """Solve by SciPy's assignment solver (shortest augmenting paths, of the Hungarian family), exactly."""
    cost = cost_matrix(x, y)
    return Solved(mean_cost(cost, optimal_assignment(cost)))


def simplex(x: Floats, y: Floats) -> Solved:
    """Solve by POT's network simplex, exactly."""
    return Solved(optimal_value(cost_matrix(x, y)))


SOLVERS: dict[str, Callable[..., Solved]] = {
    "plain": plain,
    "symbolic": symbolic,
    "annealed": annealed,
    "multiscale": multiscale,
    "softassign": softassign,
    "auction": bidding,
    "hungarian": hungarian,
    "exact": simplex,
}


@contextmanager
def counted_pairs() -> Iterator[list[int]]:
    """List the pairs that GeomLoss's multiscale Sinkhorn evaluates in each of its soft minima, inside the block.

    It tells nobody; so its transform is watched. The table that decides which blocks matter, once, is not counted.
    """
    from geomloss._legacy import sinkhorn_samples

    transform = sinkhorn_samples.softmin_multiscale
    counted: list[int] = []

    def watched(eps: float, clouds: tuple[Any, ...], *args: Any, **options: Any) -> Tensor:
        counted.append(pairs_between(clouds[0], clouds[1], clouds[4]))
        return transform(eps, clouds, *args, **options)

    sinkhorn_samples.softmin_multiscale = watched
    try:
        yield counted
    finally:
        sinkhorn_samples.softmin_multiscale = transform


def pairs_between(x: Tensor, y: Tensor, ranges: Any) -> int:
    """Return how many pairs a reduction over the columns evaluates, in blocks (KeOps's `ranges`) or altogether (None).

    Example:
        >>> pairs_between(torch.zeros(3, 1), torch.zeros(5, 1), None)
        15
    """
    if ranges is None:
        return len(x) * len(y)
    rows, slices, columns = (part.long() for part in ranges[:3])
    widths = torch.cat([torch.zeros(1, dtype=torch.long), (columns[:, 1] - columns[:, 0]).cumsum(0)])
    ends = slices
    starts = torch.cat([torch.zeros(1, dtype=torch.long), slices[:-1]])
    return int(((rows[:, 1] - rows[:, 0]) * (widths[ends] - widths[starts])).sum())
