"""Tests of the markets and of the records of auctions."""

import numpy as np
import pytest

from shapeofloss.errors import UserError
from shapeofloss.experiments.from_auctions_to_sinkhorn.bidding import (
    auction_in_war,
    auction_of_clouds,
    most_rounds,
    price_war,
    square_and_ring,
)
from shapeofloss.transport.assignment.auction import auction_rounds
from shapeofloss.transport.assignment.exact import cost_matrix


def test_in_a_price_war_only_the_last_object_costs_something():
    assert price_war(4).tolist() == [[0.0, 0.0, 0.0, 1.0]] * 4
    war = price_war(4, seed=1)
    assert (war[:, :-1] == 0).all()
    assert ((war[:, -1] >= 0.5) & (war[:, -1] <= 1)).all()
    assert (war == price_war(4, seed=1)).all() and (war != price_war(4, seed=2)).any()
    with pytest.raises(UserError, match="buyers in a price war is 1; a whole number from 2"):
        price_war(1)


def test_the_clouds_lie_in_the_square_and_in_the_ring():
    x, y = square_and_ring(2000, 0)
    radius = np.linalg.norm(y - 0.5, axis=1)
    assert x.shape == y.shape == (2000, 2)
    assert (x >= 0).all() and (x <= 1).all()
    assert radius.min() >= 0.4 and radius.max() <= 0.6
    # Uniform in area: the mean squared radius is the middle of its ends.
    assert (radius**2).mean() == pytest.approx((0.16 + 0.36) / 2, rel=0.02)


@pytest.mark.parametrize("eps", [0.5, 0.1, 0.01])
def test_every_auction_ends_within_the_most_rounds(eps):
    rng = np.random.default_rng(0)
    for cost in (price_war(6), price_war(2), rng.random((15, 15)), rng.standard_normal((15, 15)), np.zeros((5, 5))):
        assert sum(1 for _ in auction_rounds(cost, eps=eps)) <= most_rounds(cost, eps)


def test_a_history_tells_what_the_auction_did():
    found = auction_of_clouds(count=30, seed=3, share=0.01)
    cost = cost_matrix(*square_and_ring(30, 3))
    states = list(auction_rounds(cost, eps=found["eps"]))
    owner, g = states[-1].owner, states[-1].g
    assert found["rounds"] == len(states) == len(found["duals"]) - 1
    assert found["waiting"] == 0
    assert found["eps"] == pytest.approx(0.01 * cost.max()) and found["largest"] == cost.max()
    assert found["duals"][0] == pytest.approx(cost.min(1).mean())
    assert found["duals"][-1] == pytest.approx((cost - g).min(1).mean() + g.mean())
    assert found["value"] == pytest.approx(cost[owner, np.arange(30)].mean())
    assert found["excess"] == pytest.approx((found["value"] - found["optimum"]) / found["eps"])
    assert 0 <= found["excess"] <= 1 and 0 < found["slack"] <= 1 + 1e-9
    assert found["duals"].max() <= found["optimum"] + 1e-12


def test_larger_costs_at_the_same_eps_are_a_smaller_eps():
    larger = auction_in_war(count=8, seed=1, share=0.1, scale=10.0)
    assert larger["rounds"] == pytest.approx(auction_in_war(count=8, seed=1, share=0.01)["rounds"], abs=1)


def test_the_war_of_three_takes_the_known_number_of_rounds():
    assert auction_in_war(count=3, share=0.01)["rounds"] == 102


def test_wrong_arguments_get_their_sentences():
    for share in (0.0, -1.0, float("nan")):
        for history in (auction_of_clouds, auction_in_war):
            with pytest.raises(UserError, match="share is"):
                history(count=3, seed=0, share=share)
    with pytest.raises(UserError, match="scale is"):
        auction_in_war(count=3, share=0.1, scale=0.0)
