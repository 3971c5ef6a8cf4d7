"""Tests of the auction."""

from itertools import islice

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from shapeofloss.errors import UserError
from shapeofloss.transport.assignment.auction import auction, auction_rounds, dual_value
from shapeofloss.transport.assignment.programs import square_costs


def random_costs(count, seed, kind="uniform"):
    rng = np.random.default_rng(seed)
    if kind == "integers":
        return rng.integers(0, 5, (count, count)).astype(float)
    if kind == "negative":
        return rng.standard_normal((count, count))
    return rng.random((count, count))


def optimum(cost):
    return cost[linear_sum_assignment(cost)].mean()


def is_permutation(numbers):
    return sorted(numbers.tolist()) == list(range(len(numbers)))


@pytest.mark.parametrize("kind", ["uniform", "integers", "negative"])
@pytest.mark.parametrize("scaling", [True, False])
def test_an_auction_ends_within_eps_of_the_assignment_of_scipy(kind, scaling):
    for seed in range(5):
        cost, eps = random_costs(30, seed, kind), 0.01
        found = auction(cost, eps=eps, scaling=scaling)
        assert is_permutation(found.permutation)
        assert found.eps == eps
        assert found.value == pytest.approx(cost[np.arange(30), found.permutation].mean())
        assert optimum(cost) - 1e-12 <= found.value <= optimum(cost) + eps + 1e-12


def test_integer_costs_and_an_eps_below_one_over_n_give_the_optimum_itself():
    for seed in range(5):
        cost = random_costs(20, seed, "integers")
        assert auction(cost, eps=0.99 / 20).value == pytest.approx(optimum(cost), abs=1e-12)


def test_the_bound_is_below_the_optimum_and_within_eps_of_the_value():
    cost = random_costs(25, 0)
    found = auction(cost, eps=0.003)
    assert found.bound == dual_value(cost, found.g)
    assert found.bound <= optimum(cost) + 1e-12
    assert found.value - found.bound <= 0.003 + 1e-12


def test_any_potentials_give_a_lower_bound():
    cost = random_costs(12, 1)
    for seed in range(10):
        assert dual_value(cost, np.random.default_rng(seed).standard_normal(12)) <= optimum(cost) + 1e-12


def test_without_an_eps_the_auction_stops_once_the_precision_is_proven():
    cost = random_costs(40, 2)
    rough, fine = auction(cost, precision=0.1), auction(cost, precision=1e-6)
    for found, precision in ((rough, 0.1), (fine, 1e-6)):
        assert found.value - found.bound <= precision * found.bound
        assert found.value <= (1 + precision) * optimum(cost) + 1e-12
    assert rough.bids < fine.bids


def test_every_buyer_ends_within_eps_of_the_best_offer():
    cost, eps = random_costs(30, 3), 0.02
    offers = cost - auction(cost, eps=eps).g
    owned = offers[np.arange(30), auction(cost, eps=eps).permutation]
    assert (owned <= offers.min(1) + eps + 1e-12).all()


def test_scaling_ends_a_fight_over_too_few_objects_early():
    war = np.zeros((20, 20))
    war[:, -1] = 1.0
    assert auction(war, eps=1e-4).bids < auction(war, eps=1e-4, scaling=False).bids / 100


def test_scaled_costs_and_eps_give_the_same_assignment():
    cost = random_costs(20, 5)
    first, second = auction(cost, eps=2.0**-8), auction(1024 * cost, eps=4.0)
    assert first.permutation.tolist() == second.permutation.tolist()
    assert first.bids == second.bids
    assert second.value == 1024 * first.value


def test_potentials_of_an_earlier_auction_leave_one_bid_for_each_buyer():
    cost = random_costs(30, 6)
    first = auction(cost, eps=1e-3)
    again = auction(cost, eps=1e-3, scaling=False, g=first.g)
    assert again.bids < first.bids / 3
    assert again.value <= optimum(cost) + 1e-3


def test_the_given_potentials_are_left_as_they_are():
    g = np.zeros(10)
    auction(random_costs(10, 7), eps=0.1, g=g)
    assert (g == 0).all()


def test_the_order_of_bidding_changes_nothing_but_ties_within_eps():
    cost = random_costs(30, 8)
    values = [auction(cost, eps=1e-3, order_seed=seed).value for seed in range(4)]
    assert max(values) - min(values) <= 1e-3


def test_the_same_call_gives_the_same_auction():
    cost = random_costs(30, 9)
    first, second = auction(cost, eps=1e-3), auction(cost, eps=1e-3)
    assert first.bids == second.bids
    assert (first.g == second.g).all()


@pytest.mark.parametrize("scaling", [True, False])
def test_one_buyer_gets_the_only_object(scaling):
    found = auction([[3.0]], eps=0.1, scaling=scaling)
    assert found.permutation.tolist() == [0]
    assert found.value == 3.0
    assert auction([[3.0]]).value == 3.0
    (only,) = auction_rounds([[3.0]], eps=0.0)
    assert only.owner.tolist() == [0]


def test_costs_that_are_all_zero_are_assigned():
    assert is_permutation(auction(np.zeros((4, 4)), eps=0.5).permutation)
    assert is_permutation(auction(np.zeros((4, 4))).permutation)


def test_coincident_points_are_no_trouble():
    cost = np.repeat(random_costs(5, 10), 4, axis=0)[:, np.arange(20) % 5]
    found = auction(cost, eps=1e-4)
    assert found.value <= optimum(cost) + 1e-4
    assert np.isfinite(found.g).all()


@pytest.mark.parametrize(("eps", "rounds"), [(0.1, 13), (0.01, 102), (0.001, 1002)])
def test_three_buyers_fight_over_two_good_objects_for_one_over_eps_rounds(eps, rounds):
    war = [[0.0, 0.0, 1.0]] * 3
    assert sum(1 for _ in auction_rounds(war, eps=eps)) == rounds


def test_without_slackness_the_fight_never_ends():
    *_, last = islice(auction_rounds([[0.0, 0.0, 1.0]] * 3, eps=0.0), 2000)
    assert last.waiting > 0
    assert (last.g == 0).all()


@pytest.mark.parametrize("kind", ["uniform", "integers", "negative"])
def test_rounds_end_with_an_assignment_within_eps_of_the_optimum(kind):
    cost, eps = random_costs(25, 11, kind), 0.02
    *_, last = auction_rounds(cost, eps=eps)
    assert last.waiting == 0
    assert is_permutation(last.owner)
    assert cost[last.owner, np.arange(25)].mean() <= optimum(cost) + eps + 1e-12


def test_in_every_round_some_potential_falls_by_eps_and_none_rises():
    before, eps = np.zeros(20), 0.01
    for state in auction_rounds(random_costs(20, 12), eps=eps):
        assert (state.g <= before).all()
        assert (before - state.g).max() >= eps - 1e-12
        before = state.g


def test_of_two_bids_for_an_object_the_higher_one_wins():
    # Both want the first object; the second buyer loses more without it.
    state = next(auction_rounds([[0.0, 1.0, 9.0], [0.0, 5.0, 9.0], [9.0, 9.0, 0.0]], eps=0.5))
    assert state.owner.tolist() == [1, -1, 2]
    assert state.g[0] == -5.5


def test_states_that_were_yielded_do_not_change_any_more():
    states = list(auction_rounds(random_costs(10, 13), eps=0.05))
    assert (states[0].owner != states[-1].owner).any()
    assert states[0].waiting > states[-1].waiting == 0


def test_wrong_arguments_get_their_sentences():
    cost = random_costs(3, 0)
    for wrong in (np.zeros((2, 3)), np.zeros(4), np.zeros((0, 0))):
        with pytest.raises(UserError, match="as many buyers as objects"):
            square_costs(wrong)
    with pytest.raises(UserError, match="not finite; forbid a pair"):
        auction([[np.inf, 0.0], [0.0, 0.0]])
    with pytest.raises(UserError, match=r"eps is -1\.0; a finite number from 0"):
        next(auction_rounds(cost, eps=-1.0))
    with pytest.raises(UserError, match="slackness eps is nan"):
        next(auction_rounds(cost, eps=float("nan")))
    for eps in (0.0, -1.0, 1e-300, float("nan")):
        with pytest.raises(UserError, match=r"it has to be above|a number is needed"):
            auction(cost, eps=eps)
    for wrong in ({"scaling": False}, {"precision": 0.0}):
        with pytest.raises(UserError, match="Give an eps above 0"):
            auction(cost, **wrong)
    for g, said in ((np.zeros(2), r"g has shape \(2,\)"), ([0.0, np.nan, 0.0], "g has 1 value")):
        with pytest.raises(UserError, match=said):
            auction(cost, eps=0.1, g=g)


@pytest.mark.parametrize("scale", [1.0, 1e-12, 1e12])
def test_the_smallest_eps_that_is_allowed_still_ends(scale):
    war = scale * np.array([[0.0, 0.0, 1.0]] * 3)
    assert is_permutation(auction(war, precision=1e-300).permutation)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"g": [1e16] * 3, "eps": 1e-3}, r"potentials up to 1e\+16 it has to be above 8\.0"),
        ({"eps": np.inf}, "eps is inf"),
        ({"eps": 1e-12, "scaling": False}, "take scaling=True, or an eps of 2e-09"),
        ({"g": [1e308, 0.0, 0.0]}, "sums overflow"),
    ],
)
def test_an_auction_that_would_not_end_is_refused(arguments, said):
    with pytest.raises(UserError, match=said):
        auction([[0.0, 0.0, 1.0]] * 3, **arguments)
    with pytest.raises(UserError, match="sums overflow"):
        auction(1e308 * random_costs(3, 0))


@pytest.mark.parametrize("apart", [1e3, 1e9, 1e12])
def test_potentials_that_are_far_apart_come_together_by_scaling(apart):
    cost = random_costs(6, 0)
    found = auction(cost, g=[0.0, apart, apart, -apart, 0.0, apart], eps=0.01)
    assert found.bids < 10_000
    assert found.value <= cost[linear_sum_assignment(cost)].mean() + 0.01


def test_an_auction_in_many_compiled_calls_is_the_same_auction(monkeypatch):
    cost = random_costs(20, 1)
    whole = auction(cost, eps=0.01)
    monkeypatch.setattr("shapeofloss.transport.assignment.auction.AT_ONCE", 7)
    pieces = auction(cost, eps=0.01)
    assert whole.bids == pieces.bids and (whole.g == pieces.g).all()
