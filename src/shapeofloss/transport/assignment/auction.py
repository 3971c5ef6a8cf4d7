"""The auction algorithm: buyers bid for objects, and a slackness eps keeps the bidding from stalling.

In the talk's terms a buyer i pays C_ij - g_j for an object j, where g_j <= 0 falls with every bid for it. Everybody
wants the cheapest offer, and bids as much as brings it to the second cheapest, and eps more.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shapeofloss.arrays import Floats, as_floats, as_number
from shapeofloss.engine.jit import njit
from shapeofloss.errors import UserError
from shapeofloss.transport.assignment.programs import as_costs, square_costs

NOBODY = -1
FIRST_EPS = 4.0  # with scaling, the first eps is the largest cost over this
FACTOR = 4.0  # from one eps to the next
AT_ONCE = 1_000_000  # bids in one compiled call: between two of them an interrupt is heard
LONGEST_WAR = 1e9  # bids for one object: without scaling a price war takes as many as eps fits into the range of costs


@dataclass(frozen=True)
class Round:
    """The state of an auction after a round.

    Attributes:
        owner: The buyer of each object, or -1, shape (N,).
        g: The potential of each object, minus its price, shape (N,), in units of the cost.
    """

    owner: NDArray[np.int64]
    g: Floats

    @property
    def waiting(self) -> int:
        """The number of buyers without an object."""
        return int((self.owner == NOBODY).sum())


@dataclass(frozen=True)
class Auction:
    """How an auction ended.

    Attributes:
        permutation: The object of each buyer, shape (N,).
        g: The potential of each object, shape (N,), in units of the cost.
        value: The mean cost of the permutation.
        bound: The dual value, which no assignment can undercut; value - bound is at most eps.
        eps: The last slackness.
        bids: How many bids were made, at all values of eps.
    """

    permutation: NDArray[np.int64]
    g: Floats
    value: float
    bound: float
    eps: float
    bids: int


def dual_value(cost: Floats, g: Floats) -> float:
    """Return the mean of min_j (C_ij - g_j) over i plus the mean of g: a lower bound of every assignment's mean cost.

    Example:
        >>> dual_value(np.array([[1.0, 2.0], [2.0, 5.0]]), np.zeros(2))
        1.5
    """
    return float((cost - g).min(1).mean() + g.mean())


def auction_rounds(cost: ArrayLike, *, eps: float) -> Iterator[Round]:
    """Yield the state after each round, in which all waiting buyers bid at once, until everybody has an object.

    With eps = 0 it may go on for ever: take as many rounds as you like.

    Args:
        cost: Shape (N, N).
        eps: Slackness, at least 0, in units of the cost.
    Raises:
        UserError: If the costs are not square and finite, or eps is negative or infinite.
    Source:
        Optimal transport talk, slide "The auction algorithm"; Bertsekas, 1979.
    Example:
        >>> *_, last = auction_rounds([[1.0, 2.0], [1.0, 4.0]], eps=0.1)
        >>> last.owner.tolist()
        [1, 0]
    """
    costs = square_costs(cost)
    eps = as_number(eps, "The slackness eps", at_least=0)
    count = len(costs)
    owner, g = np.full(count, NOBODY), np.zeros(count)
    while (owner == NOBODY).any():
        buyers = np.setdiff1d(np.arange(count), owner)
        offers = costs[buyers] - g  # (waiting, N)
        wanted = offers.argmin(1)
        best = offers.min(1)
        offers[np.arange(len(buyers)), wanted] = np.inf
        second = offers.min(1) if count > 1 else best
        bids = g[wanted] - (second - best + eps)  # what the potential would fall to
        for n in np.argsort(-bids, kind="stable"):  # the lowest potential comes last, and stays
            owner[wanted[n]], g[wanted[n]] = buyers[n], bids[n]
        yield Round(owner.copy(), g.copy())


@njit()
def _two_cheapest(costs, g):  # type: ignore[no-untyped-def]
    """Return a buyer's cheapest offer, the second cheapest, which is as cheap if there is no other, and the object."""
    best, second, wanted = np.inf, np.inf, 0
    for j in range(len(g)):
        offer = costs[j] - g[j]
        if offer < second:
            if offer < best:
                best, second, wanted = offer, best, j
            else:
                second = offer
    return best, second if len(g) > 1 else best, wanted


@njit()
def _bid(cost, g, eps, queue, owner, waiting, most):  # type: ignore[no-untyped-def]
    """Let buyers bid one after another until all are served or `most` bids made; return who waits, and the bids."""
    bids = 0
    while waiting and bids < most:
        buyer = queue[waiting - 1]
        best, second, wanted = _two_cheapest(cost[buyer], g)
        g[wanted] -= second - best + eps
        if owner[wanted] == NOBODY:
            waiting -= 1
        else:
            queue[waiting - 1] = owner[wanted]  # the outbid buyer is next
        owner[wanted] = buyer
        bids += 1
    return waiting, bids


def auction(
    cost: ArrayLike,
    *,
    eps: float | None = None,
    precision: float = 0.002,
    scaling: bool = True,
    order_seed: int = 0,
    g: ArrayLike | None = None,
) -> Auction:
    """Assign by an auction with one bid at a time, compiled, with eps-scaling.

    Prices of one eps are the start of the next, a quarter of it, until eps is small enough.

    Args:
        cost: Shape (N, N).
        eps: The last slackness, above 0 and above rounding, in units of the cost. None: as small as `precision` asks
            for.
        precision: Without an eps: end once the mean cost is proven to be within this share of the optimum, above 0.
            (The optimum has to be above 0 then.)
        scaling: Whether eps comes down step by step; otherwise it is the last one from the start, and has to be given.
        order_seed: Seed of the order in which buyers bid.
        g: Potentials to begin with, shape (N,); zeros by default.
    Returns:
        The assignment; its mean cost exceeds the optimum by at most eps.
    Raises:
        UserError: If an argument is none of the above, or eps is so small that prices no longer change, or, without
            scaling, that a price war would take more than 10^9 bids for an object.
    Source:
        Optimal transport talk, slides "The auction algorithm" and "eps-scaling".
    Example:
        >>> auction([[1.0, 2.0], [1.0, 4.0]], eps=0.1).permutation.tolist()
        [1, 0]
    """
    costs = square_costs(cost)
    count, largest = len(costs), float(np.abs(costs).max())
    g = np.zeros(count) if g is None else as_floats(g, "g", shape=(count,)).copy()
    as_costs(costs - g)  # offers may overflow, too
    if eps is None and not (scaling and as_number(precision, "precision", finite=False) > 0):
        raise UserError("Give an eps above 0, or scaling=True with a precision above 0.")
    # No potential falls by more than about N max C; a step below the last digit of that might never end a price war.
    highest = float(np.abs(g).max())
    smallest = 4 * float(np.spacing(count * largest + highest))
    if eps is not None and not smallest < (eps := as_number(eps, "The slackness eps", finite=False)) < np.inf:
        raise UserError(
            f"The slackness eps is {eps}; with costs up to {largest:g} and potentials up to {highest:g} it has to be "
            f"above {smallest}, and finite."
        )
    apart = float(np.ptp(g))  # potentials that are farther apart than costs have to come together first
    if eps is not None and not scaling and not (length := (float(np.ptp(costs)) + apart) / eps) <= LONGEST_WAR:
        raise UserError(
            f"The slackness eps is {eps}, and a price war could take {length:.1g} bids for an object: take "
            f"scaling=True, or an eps of {2 * eps * length / LONGEST_WAR:.1g}."
        )
    first = max(largest, apart / 2) / FIRST_EPS
    now = max(first, eps or 0.0, 2 * smallest) if scaling or eps is None else eps
    bids, everyone = 0, np.arange(count)
    while True:
        queue = np.random.default_rng(order_seed).permutation(count)
        owner, waiting = np.full(count, NOBODY), count
        while waiting:
            waiting, made = _bid(costs, g, now, queue, owner, waiting, AT_ONCE)
            bids += int(made)
        permutation = np.empty(count, dtype=np.int64)
        permutation[owner] = everyone
        value, bound = float(costs[everyone, permutation].mean()), dual_value(costs, g)
        if (now <= eps) if eps is not None else (value - bound <= precision * bound or now <= smallest):
            return Auction(permutation, g, value, bound, now, bids)
        now = max(now / FACTOR, smallest if eps is None else eps)
