"""The rungs of the talk's ladder: one problem, solved by one solver after another, each with what it evaluated.

Every solver goes from two clouds to a proven lower bound of the cost |x - y|^2 / 2 per unit of mass: the hard dual
value of its potentials. So all are judged by one ruler, none gains by errors that cancel, and exact solvers have the
value itself.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shapeofloss.arrays import Floats
from shapeofloss.distributions import clouds
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


def fixed(x: Floats, y: Floats, *, blur: float, steps: int, symbolic: bool = False, clamp: bool = True) -> Solved:
    """Solve by Sinkhorn's algorithm at one eps = blur^2 throughout.

    Args:
        x, y: Clouds, shape (N, D) and (M, D).
        blur: In units of length, above 0.
        steps: How many updates of f and of g.
        symbolic: Whether by KeOps, without a stored matrix.
        clamp: Whether exponents over a stored matrix are kept above -80 (see `softmin.Dense`).
    """
    return _stepped(x, y, [blur**2] * steps, symbolic=symbolic, clamp=clamp)


def cooled(x: Floats, y: Floats, *, blur: float, scaling: float, symbolic: bool = False) -> Solved:
    """Solve by Sinkhorn's algorithm with eps-scaling, one step for each eps; arguments are those of `fixed`.

    From a stored matrix this is the SoftAssign of Kosowsky and Yuille, 1994.
    """
    largest = float(np.sum(np.ptp(np.concatenate([x, y]), axis=0) ** 2)) / 2
    return _stepped(x, y, annealing(largest, blur**2, scaling=scaling), symbolic=symbolic)


def _stepped(x: Floats, y: Floats, schedule: list[float], *, symbolic: bool, clamp: bool = True) -> Solved:
    """Take one step for each eps of the schedule, and return the bound of the last g."""
    clouds = torch.from_numpy(x), torch.from_numpy(y)
    softmin: Softmin = ClampedSymbolic(*clouds) if symbolic else Dense(halved_squared_distances(*clouds), clamp)
    a, b = map(_equal_weights, clouds)
    *_, last = islice(sinkhorn_steps(softmin, a, b, schedule), len(schedule))
    return Solved(hard_bound(softmin, a, b, last.g, last.eps), 2 * len(schedule) * len(x) * len(y))


def _equal_weights(x: Tensor) -> Tensor:
    return torch.full((len(x),), 1 / len(x), dtype=torch.float64)


def multiscale(x: Floats, y: Floats, *, blur: float, scaling: float) -> Solved:
    """Solve by GeomLoss's multiscale Sinkhorn: clusters first, then points, over the blocks that matter."""
    from geomloss import SamplesLoss

    clouds = torch.from_numpy(x), torch.from_numpy(y)
    loss = SamplesLoss("sinkhorn", p=2, blur=blur, scaling=scaling, debias=False, potentials=True, backend="multiscale")
    with counted_pairs() as counted:
        _, g = loss(*clouds)
    a, b = map(_equal_weights, clouds)
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
    "plain": fixed,
    "symbolic": partial(fixed, symbolic=True),
    "annealed": partial(cooled, symbolic=True),
    "multiscale": multiscale,
    "softassign": cooled,
    "auction": bidding,
    "hungarian": hungarian,
    "exact": simplex,
}


def race(*, solver: str, points: int, seed: int, options: dict[str, Any]) -> dict[str, Any]:
    """Time a solver on a sphere and a torus in the unit cube, once, from points to bound.

    Args:
        solver: A key of `SOLVERS`.
        points: Number of points of each cloud.
        seed: Seed of the clouds.
        options: Keyword arguments of the solver.
    Returns:
        `seconds`, and `value` and `pairs` as in `Solved`.
    """
    solve = partial(SOLVERS[solver], **options)
    solve(*clouds.surfaces(50, seed))  # whatever is compiled or loaded at the first use does not count
    x, y = clouds.surfaces(points, seed)
    began = time.perf_counter()
    solved = solve(x, y)
    return {"seconds": time.perf_counter() - began, "value": float(solved.value), "pairs": int(solved.pairs)}


@contextmanager
def counted_pairs() -> Iterator[list[int]]:
    """List the pairs that GeomLoss's multiscale Sinkhorn evaluates in each of its soft minima, inside the block.

    It tells nobody; so its transform is watched. The table that decides which blocks matter, once, is not counted.
    """
    from geomloss._legacy import sinkhorn_samples

    transform = sinkhorn_samples.softmin_multiscale
    counted: list[int] = []

    def watched(eps: float, pair: tuple[Any, ...], *args: Any, **options: Any) -> Tensor:
        counted.append(pairs_between(pair[0], pair[1], pair[4]))
        return transform(eps, pair, *args, **options)

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
