"""Trainings and measures under inputs that nobody chose: shapes, types, strides, units, NaN, empty, constant, tiny."""

import math
from functools import partial
from itertools import permutations

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import kl_div
from scipy.stats import wasserstein_distance
from shapeofloss.adversarial.penalty import Clip, GradientPenalty, gradient_norms
from torch import nn

from shapeofloss.adversarial.divergences import TABLE, divergence, jsd, kl, total_variation
from shapeofloss.adversarial.networks import perceptron
from shapeofloss.adversarial.quality import modes_covered, wasserstein
from shapeofloss.adversarial.training import GAN, NON_SATURATING, WASSERSTEIN, train
from shapeofloss.distributions.mixtures import Mixture, choices, normal
from shapeofloss.distributions.quantiles import wasserstein_on_line
from shapeofloss.errors import UserError

quick = partial(settings, derandomize=True, deadline=None, database=None)

NUMBERS = st.floats(-1e6, 1e6, width=64)
UNITS = st.sampled_from([1e-12, 1e-3, 1.0, 1e9])
# Anything that a caller may hand over where an array of numbers is meant.
ODD = st.one_of(
    st.none(),
    st.text(max_size=3),
    st.floats(),
    st.lists(st.floats(), max_size=3),
    arrays.arrays(
        st.sampled_from([np.float64, np.float32, np.int64, np.bool_]), arrays.array_shapes(min_dims=0, min_side=0)
    ),
    st.just(torch.ones(3, 2, requires_grad=True)),
    st.just(np.array([1 + 1j])),
    st.just(np.ma.masked_array([0.5, 0.5], [True, False])),
)


@st.composite
def clouds(draw, dimension, most=6):
    """Points in any memory layout and precision."""
    count = draw(st.integers(1, most))
    values = draw(arrays.arrays(np.float64, (count, dimension), elements=st.floats(-10, 10, width=32)))
    layout = draw(
        st.sampled_from([np.copy, np.asfortranarray, lambda x: x[::-1], lambda x: x.astype(np.float32), torch.tensor])
    )
    return layout(values)


@st.composite
def histograms(draw, tiny=True):
    """Two lists of masses on the same bins; some bins are empty, some hold next to nothing."""
    mass = st.one_of(st.floats(0.01, 1), st.sampled_from([0.0, 1e-310, 1e-200, 1e-17] if tiny else [0.0]))
    bins = draw(st.integers(1, 6))
    laws = np.array([[1.0, *draw(st.lists(mass, min_size=bins, max_size=bins))] for _ in range(2)])
    near = draw(st.sampled_from([None, 1e-2, 1e-8, 1e-15]))
    if near:
        laws[1] = laws[0] * (
            1 + near * np.array(draw(st.lists(st.floats(-1, 1), min_size=bins + 1, max_size=bins + 1)))
        )
    return laws / laws.sum(1, keepdims=True)


@quick(max_examples=15)
@given(
    batch=st.integers(1, 5),
    dimension=st.integers(1, 3),
    objective=st.sampled_from([GAN, NON_SATURATING, WASSERSTEIN]),
    constraint=st.sampled_from([None, Clip(0.5), GradientPenalty(0.5), GradientPenalty(-1, "coupled")]),
    unit=st.sampled_from([0.0, 1e-20, 1.0, 100.0]),
    seed=st.integers(0, 2**64 - 1),
    before=st.integers(0, 99),
)
def test_a_training_of_tiny_networks_is_finite_and_repeats_from_its_seed(
    batch, dimension, objective, constraint, unit, seed, before
):
    def run(state):
        torch.manual_seed(state)
        rng = torch.Generator().manual_seed(1)
        generator = perceptron((2, 3, dimension), generator=rng)
        critic = nn.Sequential(*perceptron((dimension, 4, 1), generator=rng), nn.Dropout(0.2))
        law = choices(unit * np.arange(1.0, 1 + 4 * dimension).reshape(4, dimension)[::-1])
        adam = partial(torch.optim.Adam, lr=1e-3)
        return train(
            generator,
            critic,
            law,
            objective,
            steps=2,
            critic_steps=1,
            optimizer=adam,
            batch=batch,
            seed=seed,
            constraint=constraint,
        )

    first, again = run(before), run(before + 1)
    assert np.array_equal(first.value, again.value) and np.array_equal(first.generator_loss, again.generator_loss)
    assert np.isfinite(first.value).all() and np.isfinite(first.norm).all() == isinstance(constraint, GradientPenalty)


@quick(max_examples=60)
@given(
    name=st.sampled_from(
        [
            "steps",
            "critic_steps",
            "warm_up",
            "batch",
            "seed",
            "record_every",
            "constraint",
            "largest_step",
            "cosine",
            "optimizer",
            "objective",
            "sampler",
            "prior",
            "critic",
            "generator",
            "watch",
        ]
    ),
    given_value=st.one_of(
        st.text(max_size=3),
        st.floats(max_value=0),
        st.just(math.nan),
        st.lists(st.integers(), max_size=2),
        st.integers(-9, -1),
    ),
)
def test_a_setting_of_a_training_is_used_or_refused_never_ignored(name, given_value):
    own = {
        "generator": perceptron((2, 2), generator=torch.Generator()),
        "critic": perceptron((2, 1), generator=torch.Generator()),
        "sampler": normal(2),
        "objective": WASSERSTEIN,
        "optimizer": partial(torch.optim.SGD, lr=0.1),
        "steps": 1,
        "seed": 0,
        "batch": 2,
        name: given_value,
    }
    with pytest.raises(UserError):
        train(**own)


@quick(max_examples=40)
@given(points=arrays.arrays(np.float64, (4, 3), elements=NUMBERS), slope=arrays.arrays(np.float64, 3, elements=NUMBERS))
def test_the_gradient_norm_of_a_linear_critic_is_its_slope_everywhere(points, slope):
    class Linear(nn.Module):
        def forward(self, x):
            return x @ torch.tensor(slope)

    norms = gradient_norms(Linear(), torch.tensor(points))
    assert norms.numpy() == pytest.approx(np.sqrt((slope**2).sum()), rel=1e-12)
    found = GradientPenalty(1.0).norms(
        Linear(), torch.tensor(points), torch.tensor(points[::-1].copy()), torch.Generator()
    )
    assert found.detach().numpy() == pytest.approx(norms.numpy(), rel=1e-12)


@quick(max_examples=60)
@given(x=clouds(1), y=clouds(1), unit=UNITS)
def test_transport_on_the_line_is_scipys_in_any_layout_and_unit(x, y, unit):
    first, second = (np.asarray(own, dtype=np.float64) for own in (x, y))
    wanted = wasserstein_distance(first.ravel(), second.ravel())
    assert wasserstein(x, y) == pytest.approx(wanted, rel=1e-9, abs=1e-12)
    assert wasserstein_on_line(unit * first.ravel(), unit * second.ravel()) == pytest.approx(
        unit * wanted, rel=1e-9, abs=1e-12 * unit
    )


@quick(max_examples=40)
@given(x=clouds(2), move=st.tuples(NUMBERS, NUMBERS))
def test_transport_of_a_cloud_to_its_shifted_self_is_the_length_of_the_shift(x, move):
    cloud = np.asarray(x, dtype=np.float64)
    shifted = cloud[::-1] + np.array(move)
    assert wasserstein(x, shifted) == pytest.approx(math.hypot(*move), rel=1e-9, abs=1e-8)
    assert wasserstein(x, x) == pytest.approx(0, abs=1e-12)


@quick(max_examples=60)
@given(
    data=st.integers(1, 5).flatmap(lambda n: st.tuples(*[arrays.arrays(np.float64, n, elements=NUMBERS)] * 2)),
    order=st.sampled_from([1, 1.5, 2, 7, 300, 1e12, math.inf]),
)
def test_every_order_is_the_best_of_all_pairings(data, order):
    x, y = data
    moves = np.abs(x - np.array(list(permutations(y))))
    largest = moves.max(1)
    if order == math.inf:
        best = largest.min()
    else:
        scaled = moves / np.where(largest > 0, largest, 1)[:, None]
        with np.errstate(under="ignore"):
            best = (largest * (scaled**order).mean(1) ** (1 / order)).min()
    assert wasserstein_on_line(x, y, order=order) == pytest.approx(best, rel=1e-9, abs=1e-300)


@quick(max_examples=150)
@given(pair=histograms())
def test_divergences_of_histograms_are_scipys_finite_where_they_are_and_never_negative(pair):
    pi, p = pair
    both = [kl(pi, p), jsd(pi, p)]
    with np.errstate(divide="ignore", invalid="ignore"):  # SciPy's ratio overflows where p is tiny
        wanted = np.where((p > 0) & (p < 1e-290), pi * (np.log(pi) - np.log(p)) - pi + p, kl_div(pi, p))
    wanted = np.where(pi > 0, wanted, p).sum()
    assert both[0] == pytest.approx(wanted, rel=1e-9, abs=1e-15)
    middle = (pi + p) / 2
    assert both[1] == pytest.approx((kl_div(pi, middle) + kl_div(p, middle)).sum() / 2, rel=1e-9, abs=1e-15)
    assert jsd(p, pi) == pytest.approx(both[1], rel=1e-12, abs=1e-300) and both[1] <= math.log(2)
    for row in TABLE.values():
        least = float(row.generator(np.ones(1))[0])
        assert divergence(row, pi, p) >= least and divergence(row, pi, pi) == least
    # Pinsker's inequality, which is tight for laws that nearly agree
    assert both[0] >= 2 * total_variation(pi, p) ** 2 * (1 - 1e-6) - 1e-30


@quick(max_examples=150)
@given(masses=ODD, bins=st.integers(0, 4))
def test_what_is_no_histogram_is_refused_in_a_sentence(masses, bins):
    for call in (kl, jsd, total_variation):
        try:
            found = call(masses, np.full(max(bins, 1), 1 / max(bins, 1)))
        except UserError:
            continue
        assert found >= 0


@quick(max_examples=100)
@given(x=ODD, y=ODD)
def test_what_is_no_cloud_is_refused_in_a_sentence(x, y):
    law = Mixture([[0, 0], [9, 9]], 0.1)
    for call in (
        wasserstein,
        wasserstein_on_line,
        lambda first, _: modes_covered(first, law),
        lambda first, _: choices(first),
    ):
        try:
            found = call(x, y)
        except UserError:
            continue
        assert callable(found) or found >= 0


@quick(max_examples=40)
@given(shares=st.lists(st.integers(0, 40), min_size=2, max_size=4), unit=st.sampled_from([1e-3, 1.0, 1e3]))
def test_modes_are_covered_from_a_fifth_of_a_fair_share(shares, unit):
    count, modes = sum(shares), len(shares)
    law = Mixture(unit * 100.0 * np.arange(2 * modes).reshape(modes, 2), unit)
    points = np.repeat(law.modes, shares, axis=0)[::-1]
    if count < 25 * modes:
        with pytest.raises(UserError):
            modes_covered(points, law)
    else:
        assert modes_covered(points, law) == sum(5 * modes * share >= count for share in shares)
