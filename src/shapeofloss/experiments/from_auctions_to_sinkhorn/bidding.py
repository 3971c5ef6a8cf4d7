"""Markets on which auctions are tried, and records of the auctions that ran on them."""

from itertools import islice
from typing import Any

import numpy as np

from shapeofloss.arrays import Floats, as_count, as_number
from shapeofloss.errors import UserError, unknown
from shapeofloss.transport.assignment.auction import NOBODY, Round, auction_rounds, dual_value
from shapeofloss.transport.assignment.exact import cost_matrix, mean_cost, optimal_assignment

MARKETS = ("clouds", "price war")


def price_war(count: int, seed: int | None = None) -> Floats:
    """Return the costs of a price war: all buyers want the same good objects, of which there is one too few.

    Args:
        count: Buyers and objects, at least 2.
        seed: None: the last, bad object costs 1, for everybody. Else it costs each buyer a number of his own, uniform
            between 0.5 and 1.
    Returns:
        Shape (count, count): 0, but for the last column.
    Raises:
        UserError: If there are fewer than 2 buyers.
    Source:
        Optimal transport talk, slide "Being too greedy... doesn't work!"
    Example:
        >>> price_war(3)
        array([[0., 0., 1.],
               [0., 0., 1.],
               [0., 0., 1.]])
    """
    if as_count(count, "count", at_least=0) < 2:
        raise UserError(f"A price war needs at least 2 buyers; {count} were asked for.")
    costs = np.zeros((count, count))
    costs[:, -1] = 1.0 if seed is None else np.random.default_rng(seed).uniform(0.5, 1.0, count)
    return costs


def square_and_ring(count: int, seed: int) -> tuple[Floats, Floats]:
    """Return points that are uniform in the unit square, and points that are uniform in a ring about its centre.

    The ring has the radii 0.4 and 0.6. Both clouds have shape (count, 2).
    """
    rng = np.random.default_rng(seed)
    square = rng.random((count, 2))
    angle = 2 * np.pi * rng.random(count)
    radius = np.sqrt(rng.uniform(0.4**2, 0.6**2, count))
    return square, 0.5 + radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def most_rounds(cost: Floats, eps: float) -> int:
    """Return a number of rounds within which every auction with eps > 0 ends: N (1 + (max C - min C) / eps).

    While an object has had no bid, no other one gets a bid once its price exceeds the range of the costs, and every
    round raises the price of at least one object by eps or more.

    Example:
        >>> most_rounds(price_war(3), 0.1)
        33
    """
    return int(np.ceil(len(cost) * (1 + float(np.ptp(cost)) / eps)))


def auction_history(*, market: str, count: int, seed: int | None, share: float, scale: float = 1.0) -> dict[str, Any]:
    """Run an auction with simultaneous bids, and record every round.

    Args:
        market: "clouds", for the halved squared distances of `square_and_ring`, or "price war".
        count: Buyers and objects.
        seed: Of the market.
        share: eps, as a share of the largest cost before scaling; above 0.
        scale: Factor of all costs.
    Returns:
        `rounds`; `waiting`, the buyers without an object at the end, or after `most_rounds`; `duals`, the dual value
        before the first and after each round, shape (rounds + 1,); `value` and `optimum`, the mean cost of the
        auction's pairs and the least one; `excess`, their difference over eps; `slack`, the largest
        C_ij - g_j - min_j (C_ij - g_j) over the auction's pairs, over eps; `eps`; `largest`, the largest cost.
    Raises:
        UserError: If there is no such market, clouds have no seed, or share or scale is not above 0.
    Example:
        >>> auction_history(market="price war", count=3, seed=None, share=0.1)["rounds"]
        13
    """
    if market not in MARKETS:
        raise unknown("market", market, MARKETS)
    share, scale = as_number(share, "The share", above=0), as_number(scale, "The scale", above=0)
    count = as_count(count, "count")
    if market == "clouds":
        if seed is None:
            raise UserError("Random clouds need a seed: give a whole number.")
        costs = cost_matrix(*square_and_ring(count, seed))
    else:
        costs = price_war(count, seed)
    eps = share * float(costs.max())
    costs = scale * costs
    state = Round(np.full(count, NOBODY), np.zeros(count))
    duals = [dual_value(costs, state.g)]
    for state in islice(auction_rounds(costs, eps=eps), most_rounds(costs, eps)):
        duals.append(dual_value(costs, state.g))
    objects = np.flatnonzero(state.owner >= 0)
    buyers = state.owner[objects]
    offers = costs - state.g
    slack = float((offers[buyers, objects] - offers[buyers].min(1)).max()) / eps
    optimum = mean_cost(costs, optimal_assignment(costs))
    value = float(costs[buyers, objects].mean())
    return {
        "rounds": len(duals) - 1,
        "waiting": state.waiting,
        "duals": np.array(duals),
        "value": value,
        "optimum": optimum,
        "excess": (value - optimum) / eps,
        "slack": slack,
        "eps": eps,
        "largest": float(costs.max()),
    }
