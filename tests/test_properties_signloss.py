"""The sign loss and the distances of diagrams on arrays that Hypothesis makes up."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as made
from scipy.optimize import linear_sum_assignment

from shapeofloss.errors import UserError
from shapeofloss.signloss import directional_sign_loss, exact_sign_mismatch
from shapeofloss.topology import union_find
from shapeofloss.topology.diagrams import persistence_diagram, wasserstein

torch.set_num_threads(1)
FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
WHOLE = [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.uint64]
SHAPES = made.array_shapes(min_dims=2, max_dims=5, min_side=0, max_side=4)
NUMBERS = st.one_of(st.sampled_from([0.0, 1.0, -1.0, 1e-30, -1e30, 6e4, 1e300, 5e-324, math.nan]), st.floats(-3, 3))
VIEWS = ["plain", "flipped", "turned", "expanded", "strided", "negated"]
often = settings(derandomize=True, deadline=None, max_examples=30)


def seen_as(t, view):
    if view == "expanded":
        return t[:1].expand(t.shape) if len(t) else t
    if view == "strided":
        return torch.stack([t, t], dim=-1)[..., 0]
    if view == "negated" and t.is_floating_point():
        return torch._neg_view(t)
    return {"flipped": t.flip(1), "turned": t.transpose(1, -1).contiguous().transpose(1, -1)}.get(view, t)


def by_loops(x, y, sign):
    """The sum over all pairs of neighbours for each example, number by number, in double precision."""
    sums = []
    for a, b in zip(x.tolist(), y.tolist(), strict=True):
        a, b = np.array(a, dtype=object), np.array(b, dtype=object)
        total = 0.0
        for place, i in itertools.product(np.ndindex(*x.shape[1:]), range(x.dim() - 1)):
            after = tuple(p + (j == i) for j, p in enumerate(place))
            if after[i] < x.shape[1 + i]:
                total += abs(sign(a[after] - a[place]) - sign(b[after] - b[place]))
        sums.append(total)
    return np.array(sums)


def comparisons(shape):
    return sum(math.prod(shape) // n * (n - 1) for n in shape if n)


@often
@given(st.data(), SHAPES, st.sampled_from(FLOATS + WHOLE), st.sampled_from(VIEWS))
def test_the_exact_count_is_that_of_a_loop_for_every_type_and_layout(data, shape, kind, view):
    if kind.is_floating_point:
        numbers, base = NUMBERS, np.float64
    else:
        low, high = (0, 1) if kind == torch.bool else (torch.iinfo(kind).min, torch.iinfo(kind).max)
        numbers = st.one_of(st.integers(max(low, high - 2), high), st.integers(low, min(high, low + 2)))
        base = np.uint64 if kind == torch.uint64 else np.int64
    x, y = (
        seen_as(torch.from_numpy(data.draw(made.arrays(base, shape, elements=numbers))).to(kind), view) for _ in "xy"
    )
    if not len(x) or not comparisons(shape[1:]):
        with pytest.raises(UserError):
            exact_sign_mismatch(x, y)
        return
    sign = (lambda u: math.nan if math.isnan(u) else (u > 0) - (u < 0)) if kind.is_floating_point else np.sign
    expected = by_loops(x, y, sign) / 2
    assert np.array_equal(exact_sign_mismatch(x, y, reduction="none").double().numpy(), expected, equal_nan=True)


@often
@given(st.data(), SHAPES, st.sampled_from(FLOATS), st.sampled_from(VIEWS), st.sampled_from([0.01, 1.0, 40.0]))
def test_the_loss_is_that_of_a_loop_for_every_type_and_layout(data, shape, kind, view, s):
    x, y = (
        seen_as(torch.from_numpy(data.draw(made.arrays(np.float64, shape, elements=NUMBERS))).to(kind), view)
        for _ in "xy"
    )
    if not len(x) or not comparisons(shape[1:]):
        with pytest.raises(UserError):
            directional_sign_loss(x, y, sharpness=s)
        return
    expected = by_loops(x, y, lambda u: math.tanh(s * u)) / comparisons(shape[1:])
    found = directional_sign_loss(x, y, sharpness=s, reduction="none")
    assert found.dtype == kind
    tight = max(torch.finfo(kind).eps, 1e-14) * 8
    # Beside an infinite difference, as of 1e300 in single precision, there may be one of infinity from infinity.
    known = np.isfinite(found.double().numpy()) | bool(torch.isfinite(x).all() and torch.isfinite(y).all())
    assert np.allclose(found.double().numpy()[known], expected[known], rtol=tight, atol=tight, equal_nan=True)


def diagrams(count):
    born = made.arrays(
        np.float64,
        st.tuples(st.integers(0, count), st.just(2)),
        elements=st.integers(-2000, 2000).map(lambda k: k / 1000),
    )
    return born.map(lambda points: np.sort(points, axis=1))


@often
@given(diagrams(6), diagrams(5), st.sampled_from([1, 1.5, 2, 3, 20]), st.integers(-200, 200))
def test_a_distance_is_that_of_the_complete_assignment_in_every_unit(a, b, order, exponent):
    cost = union_find.completed_cost(a, b)
    unit = cost.max(initial=0) or 1.0
    power = (cost / unit) ** order
    expected = unit * power[linear_sum_assignment(power)].sum() ** (1 / order)
    found = wasserstein(np.ldexp(a, exponent), np.ldexp(b, exponent), order=order)
    assert math.ldexp(found, -exponent) <= expected * (1 + 1e-9)
    assert order > 3 or math.ldexp(found, -exponent) >= expected * (1 - 1e-6) - 1e-7 * unit
    mirrored = wasserstein(np.ldexp(a, exponent)[:, ::-1], np.ldexp(b, exponent)[:, ::-1], order=order)
    assert mirrored == found or math.isclose(mirrored, found, rel_tol=1e-12)


@often
@given(diagrams(3), diagrams(3))
def test_a_bottleneck_distance_is_the_best_of_all_matchings(a, b):
    n = len(a) + len(b)
    cost = np.zeros((n, n))
    cost[: len(a), : len(b)] = np.abs(a[:, None] - b).max(axis=2, initial=0)
    cost[: len(a), len(b) :] = np.diff(a) / 2
    cost[len(a) :, : len(b)] = np.diff(b).T / 2
    every = (max((cost[i, j] for i, j in enumerate(order)), default=0.0) for order in itertools.permutations(range(n)))
    assert math.isclose(wasserstein(a, b, order=math.inf, ground=math.inf), min(every), rel_tol=1e-12, abs_tol=1e-300)


@often
@given(
    made.arrays(
        np.float64,
        made.array_shapes(min_dims=1, max_dims=3, max_side=4),
        elements=st.sampled_from([0.0, 1.0, -2.5, 1e300, -1e300, 5e-324, np.finfo(float).max]),
    ),
    st.sampled_from(["all", "axes"]),
)
def test_a_diagram_is_that_of_the_union_find_for_ties_and_huge_values(x, neighbours):
    expected = union_find.diagram(x, neighbours=neighbours)
    assert np.array_equal(persistence_diagram(np.flip(x.T).T, neighbours=neighbours).shape, expected.shape)
    assert np.array_equal(persistence_diagram(x, neighbours=neighbours), expected)
