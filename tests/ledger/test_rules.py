"""Rules against verdicts worked out by hand, and every claim's rule against its own refutation."""

import math

import numpy as np
import pytest
from scipy import stats

from shapeofloss.errors import UserError
from shapeofloss.ledger import Rule, load_claims
from shapeofloss.ledger.rules import STATISTICS, meets, standard_error

CLAIMS = load_claims()


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        (">= 2", [2, 3], [1.999, math.nan, math.inf]),
        ("<= -1e-3", [-0.001, -5], [0, -math.inf]),
        ("> 0", [1e-300], [0, -1]),
        ("< .5", [0.49], [0.5]),
        ("within 0.1 of -2", [-2.1, -1.9], [-2.11, 2]),
        ("between 1 and 2", [1, 1.5, 2], [0.99, 2.01]),
    ],
)
def test_a_condition_holds_exactly_where_it_says(text, inside, outside):
    assert all(meets(value, text) for value in inside)
    assert not any(meets(value, text) for value in outside)


def test_the_standard_error_agrees_with_scipy():
    values = np.random.default_rng(0).normal(size=7).tolist()
    assert standard_error(values) == pytest.approx(stats.sem(values), rel=1e-12)
    assert STATISTICS["lower"](values) == pytest.approx(np.mean(values) - 2 * stats.sem(values))


@pytest.mark.parametrize(
    ("values", "outcome"),
    [([0.9, 0.95, 1.0], "accept"), ([0.7, 0.8, 0.9], "trend"), ([0, 0, 1], "reject"), ([1, 1, math.nan], "reject")],
)
def test_a_threshold_is_judged_by_its_statistic(values, outcome):
    rule = Rule.parse({"statistic": "mean", "seeds": 3, "accept": ">= 0.9", "trend": ">= 0.7"})
    assert rule.judge(rule.read(values)) == outcome


@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("position", range(3))
@pytest.mark.parametrize("accept", ["<= 1", ">= -1"])
def test_one_value_that_is_not_finite_is_enough_to_reject(statistic, bad, position, accept):
    values = [0.0, 0.0, 0.0]
    rule = Rule.parse({"statistic": statistic, "seeds": 3, "accept": accept})
    assert rule.judge(rule.read(values)) == "accept"
    values[position] = bad
    assert rule.judge(rule.read(values)) == "reject" and math.isnan(rule.reduce(rule.read(values)))
    order = Rule.parse({"rising": ["a", "b"], "seeds": 3})
    assert order.judge(order.read({"a": [-9, -9, -9], "b": [1, 1, 1]})) == "accept"
    assert order.judge(order.read({"a": [-9, -9, -9], "b": values})) == "reject"


def test_an_order_needs_each_paired_difference_to_exceed_the_margin():
    rule = Rule.parse({"rising": ["a", "b", "c"], "seeds": 3, "margin": 2})
    steady = {"a": [1, 5, 9], "b": [2, 6, 10], "c": [3, 7, 11]}  # large spread between seeds, none within
    assert rule.judge(rule.read(steady)) == "accept"
    assert rule.judge(rule.read(steady | {"c": [2.1, 12, 9]})) == "trend"
    assert rule.judge(rule.read(steady | {"b": [0, 1, 2]})) == "reject"
    assert rule.judge(rule.read({"a": [1, 1, 1], "b": [1, 1, 1], "c": [1, 1, 1]})) == "reject"


def test_lowest_and_highest_compare_one_group_with_each_other_group():
    groups = {"a": [1, 1.1, 0.9], "b": [5, 5.1, 4.9], "c": [3, 3.1, 2.9]}
    for table, outcome in [({"lowest": "a"}, "accept"), ({"highest": "b"}, "accept"), ({"highest": "c"}, "reject")]:
        rule = Rule.parse({**table, "among": ["a", "b", "c"], "seeds": 3})
        assert rule.judge(rule.read(groups)) == outcome


@pytest.mark.parametrize(
    ("measured", "part"),
    [([1.0], "at least 3 values; 1 came"), ({"a": [1]}, "one list of values"), ("123", "sequence of numbers")],
)
def test_a_measurement_of_another_shape_is_refused_in_a_sentence(measured, part):
    rule = Rule.parse({"statistic": "mean", "seeds": 3, "accept": ">= 0"})
    with pytest.raises(UserError, match=part):
        rule.read(measured)


def test_groups_must_be_those_of_the_rule_and_paired():
    rule = Rule.parse({"rising": ["a", "b"], "seeds": 2})
    with pytest.raises(UserError, match="exactly these groups: a, b"):
        rule.read({"a": [1, 2], "c": [1, 2]})
    with pytest.raises(UserError, match="lengths differ"):
        rule.read({"a": [1, 2], "b": [1, 2, 3]})


@pytest.mark.parametrize(
    "table",
    [
        {"statistic": "mode", "accept": "> 0"},
        {"statistic": "mean", "accept": "about 3"},
        {"statistic": "mean"},
        {"rising": ["a"]},
        {"lowest": "x", "among": ["a", "b"]},
        {"statistic": "mean", "accept": "> 0", "tolerance": 1},
        {"statistic": "mean", "accept": "between 2 and 1"},
        {"statistic": "mean", "accept": "> 0", "seeds": 0},
    ],
)
def test_a_rule_that_cannot_be_read_is_refused(table):
    with pytest.raises(UserError):
        Rule.parse(table)


@pytest.mark.parametrize("name", [name for name, claim in CLAIMS.items() if claim.rule.seeds])
def test_the_rule_of_every_claim_rejects_its_made_up_refutation(name):
    claim = CLAIMS[name]
    measured = claim.rule.read(claim.refuted_by)
    assert claim.rule.judge(measured) == "reject"
    assert all(
        math.isfinite(v) for group in (measured.values() if isinstance(measured, dict) else [measured]) for v in group
    )


@pytest.mark.parametrize("name", [n for n, c in CLAIMS.items() if c.kind == "erratum" and c.rule.accept])
def test_the_rule_of_an_erratum_rejects_the_printed_number(name):
    claim = CLAIMS[name]
    if isinstance(claim.source_value, int | float):
        assert not meets(float(claim.source_value), claim.rule.accept)
