"""Markets on which auctions are tried, and records of the auctions that ran on them."""

from itertools import islice
from typing import Any

import numpy as np

from shapeofloss.arrays import Floats, as_count, as_number
from shapeofloss.transport.assignment.auction import NOBODY, Round, auction_rounds, dual_value
from shapeofloss.transport.assignment.exact import cost_matrix, mean_cost, optimal_assignment


def price_war(count: int, seed: int | None = None) -> Floats:
    """Return the costs of a price war: all buyers want the same good objects, of which there is one too few.

    Args:
        count: Buyers and objects, at least 2.
        seed: None: the last, bad object costs 1, for everybody. Else it costs each buyer another number, uniform
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
    as_count(count, "The number of buyers in a price war", at_least=2)
    costs = np.zeros((count, count))
    costs[:, -1] = 1.0 if seed is None else np.random.default_rng(seed).uniform(0.5, 1.0, count)
    return costs


def square_and_ring(count: int, seed: int) -> tuple[Floats, Floats]:
    """Return points that are uniform in the unit square, and points that are uniform in a ring about its centre.

    The ring has the radii 0.4 and 0.6. Both clouds have shape (count, 2).
    """
    generator = np.random.default_rng(seed)
    square = generator.random((count, 2))
    angle = 2 * np.pi * generator.random(count)
    radius = np.sqrt(generator.uniform(0.4**2, 0.6**2, count))
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


def auction_of_clouds(*, count: int, seed: int, share: float) -> dict[str, Any]:
    """Run an auction for the halved squared distances of `square_and_ring`, and record every round.

    Args:
        count: Buyers and objects.
        seed: Seed of the clouds.
        share: eps, as a share of the largest cost; above 0.
    Returns:
        As for `auction_in_war`.
    Raises:
        UserError: If the share is not above 0.
    """
    costs = cost_matrix(*square_and_ring(as_count(count, "count"), seed))
    return _history(costs, as_number(share, "The share", above=0) * float(costs.max()))


def auction_in_war(*, count: int, share: float, seed: int | None = None, scale: float = 1.0) -> dict[str, Any]:
    """Run an auction with simultaneous bids in a price war, and record every round.

    Args:
        count, seed: As for `price_war`.
        share: eps, as a share of the largest cost before scaling; above 0.
        scale: Factor of all costs.
    Returns:
        `rounds`; `waiting`, the buyers without an object at the end, or after `most_rounds`; `duals`, the dual value
        before the first and after each round, shape (rounds + 1,); `value` and `optimum`, the mean cost of the
        auction's pairs and the least one; `excess`, their difference over eps; `slack`, the largest
        C_ij - g_j - min_j (C_ij - g_j) over the auction's pairs, over eps; `eps`; `largest`, the largest cost.
    Raises:
        UserError: If there are fewer than 2 buyers, or share or scale is not above 0.
    Example:
        >>> auction_in_war(count=3, share=0.1)["rounds"]
        13
    """
    costs = price_war(count, seed)
    eps = as_number(share, "The share", above=0) * float(costs.max())
    return _history(as_number(scale, "The scale", above=0) * costs, eps)


def _history(costs: Floats, eps: float) -> dict[str, Any]:
    state = Round(np.full(len(costs), NOBODY), np.zeros(len(costs)))
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
