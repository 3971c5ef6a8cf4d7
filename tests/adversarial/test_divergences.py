"""The table of f-divergences: known values, and what the definitions demand of every row."""

import mpmath
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.spatial.distance import jensenshannon
from scipy.special import xlogy
from scipy.stats import entropy, norm

from shapeofloss.adversarial import divergences as d
from shapeofloss.errors import UserError

ROWS = list(d.TABLE.values())
RATIOS = np.logspace(-3, 3, 60)
each_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.key)


def pairs(seed, count=10, bins=6):
    generator = np.random.default_rng(seed)
    return [d.random_pair(bins, generator, apart=0.1) for _ in range(count)]


def test_histograms_agree_with_scipy():
    for pi, p in pairs(0):
        both = jensenshannon(pi, p) ** 2
        assert d.divergence(d.KL, pi, p) == pytest.approx(entropy(pi, p), rel=1e-12)
        assert d.divergence(d.REVERSE_KL, pi, p) == pytest.approx(entropy(p, pi), rel=1e-12)
        assert d.divergence(d.JENSEN_SHANNON, pi, p) == pytest.approx(2 * both, rel=1e-10)
        assert d.divergence(d.GAN_DIVERGENCE, pi, p) == pytest.approx(2 * both - np.log(4), rel=1e-10)
        assert d.divergence(d.HELLINGER, pi, p) == pytest.approx(2 - 2 * np.sqrt(pi * p).sum(), rel=1e-10)
        assert d.divergence(d.PEARSON, pi, p) == pytest.approx((pi**2 / p).sum() - 1, rel=1e-10)


def test_the_gan_row_is_the_value_at_the_optimal_discriminator():
    pi, p = np.random.default_rng(0).dirichlet(np.ones(6), 2)
    pi[2] = 0
    pi /= pi.sum()
    best = pi / (pi + p)
    value = xlogy(pi, best).sum() + (p * np.log1p(-best)).sum()
    assert d.divergence(d.GAN_DIVERGENCE, pi, p) == pytest.approx(value, abs=1e-12)
    assert d.divergence(d.GAN_DIVERGENCE, pi, p) == pytest.approx(2 * jensenshannon(pi, p) ** 2 - np.log(4), abs=1e-12)


def test_kl_and_jsd_are_scipys_with_empty_bins_too():
    generator = np.random.default_rng(5)
    for _ in range(20):
        pi, p = generator.exponential(size=(2, 7)) * (generator.random((2, 7)) > 0.1)
        pi, p = pi / pi.sum(), p / p.sum()
        assert d.kl(pi, p) == pytest.approx(entropy(pi, p), rel=1e-12)
        assert d.jsd(pi, p) == pytest.approx(jensenshannon(pi, p) ** 2, rel=1e-9)
        assert d.jsd(pi, p) == pytest.approx(d.jsd(p, pi), rel=1e-9)


def test_two_coins_have_the_values_from_pencil_and_paper():
    fair, loaded = [0.5, 0.5], [0.25, 0.75]
    assert d.kl(fair, loaded) == pytest.approx(np.log(2) - np.log(3) / 2)
    assert d.kl(loaded, fair) == pytest.approx(np.log(2) - np.log(4) + 0.75 * np.log(3))
    assert d.kl([0, 1], fair) == pytest.approx(np.log(2)) and d.kl(fair, [0, 1]) == np.inf
    assert d.total_variation(fair, loaded) == pytest.approx(0.25)


def test_bins_that_are_empty_in_both_histograms_change_nothing():
    for measure in (d.kl, d.jsd, d.total_variation):
        assert measure([0.5, 0, 0.5], [0.25, 0, 0.75]) == measure([0.5, 0.5], [0.25, 0.75])


@each_row
def test_random_gaussians_agree_with_adaptive_quadrature_of_the_definition(row):
    generator = np.random.default_rng(1)
    for _ in range(3):
        first, second = norm(generator.normal(), 1), norm(generator.normal(), 1 + generator.random())
        x = np.linspace(-9, 9, 4001)
        pi, p = first.pdf(x), second.pdf(x)
        value = quad(lambda x, a=first, b=second: b.pdf(x) * row.generator(a.pdf(x) / b.pdf(x)), -9, 9, limit=200)[0]
        assert d.divergence(row, pi / pi.sum(), p / p.sum()) == pytest.approx(value, abs=1e-5)


@each_row
def test_the_table_prints_the_divergence_except_where_it_errs(row):
    for pi, p in pairs(2):
        value = d.divergence(row, pi, p)
        if row is d.PEARSON:
            assert row.printed(p, pi) == pytest.approx(value) != pytest.approx(row.printed(pi, p), rel=1e-3)
        else:
            assert row.printed(pi, p) == pytest.approx(value / (2 if row is d.JENSEN_SHANNON else 1))


@each_row
def test_the_derivative_is_the_slope_of_the_generator_and_rises(row):
    h = 1e-5 * RATIOS
    slopes = (row.generator(RATIOS + h) - row.generator(RATIOS - h)) / (2 * h)
    assert row.derivative(RATIOS) == pytest.approx(slopes, rel=1e-5, abs=1e-7)
    assert (np.diff(row.derivative(RATIOS)) > 0).all()


@each_row
def test_limits_at_zero_and_infinity_are_those_of_the_generator(row):
    small, large = float(row.generator(np.array([1e-9]))[0]), float(row.generator(np.array([1e9]))[0]) / 1e9
    assert small > 20 if np.isinf(row.at_zero) else small == pytest.approx(row.at_zero, abs=1e-4)
    assert large > 20 if np.isinf(row.slope) else large == pytest.approx(row.slope, abs=1e-4)


@each_row
def test_no_critic_beats_the_divergence_and_the_best_one_reaches_it(row):
    generator = np.random.default_rng(3)
    for pi, p in pairs(4):
        value, best = d.divergence(row, pi, p), row.raw(pi / p)
        assert d.bound(row, row.activation(best), pi, p) == pytest.approx(value, abs=1e-12)
        for size in (0.01, 1.0):
            raw = best + size * generator.standard_normal(len(pi))
            assert d.bound(row, row.activation(raw), pi, p) < value


@each_row
def test_the_activation_stays_inside_the_domain_rises_and_undoes_raw(row):
    values = row.activation(np.linspace(-10, 10, 100))
    assert (values < row.end).all() and (np.diff(values) > 0).all()
    assert row.activation(row.raw(RATIOS)) == pytest.approx(row.derivative(RATIOS), rel=1e-12)


@pytest.mark.parametrize(
    ("key", "value"),
    [("kl", np.inf), ("reverse-kl", np.inf), ("pearson", np.inf), ("hellinger", 2), ("js", 2 * np.log(2)), ("gan", 0)],
)
def test_empty_bins_are_charged_by_the_limits(key, value):
    assert d.divergence(d.row(key), [1, 0], [0, 1]) == pytest.approx(value)
    near = d.divergence(d.row(key), [1 - 1e-12, 1e-12], [1e-12, 1 - 1e-12])
    assert near > 20 if np.isinf(value) else near == pytest.approx(value, abs=1e-4)
    assert d.divergence(d.row(key), [0.5, 0.5, 0], [0.5, 0.5, 0]) == pytest.approx(d.row(key).generator(np.ones(1))[0])


def test_random_pairs_are_histograms_apart_and_repeatable():
    pi, p = d.random_pair(5, np.random.default_rng(0), apart=0.3)
    again = d.random_pair(5, np.random.default_rng(0), apart=0.3)
    assert pi.sum() == pytest.approx(1) and (p > 0).all() and d.total_variation(pi, p) >= 0.3
    assert np.array_equal(pi, again[0]) and np.array_equal(p, again[1])


def test_total_variation_is_one_for_disjoint_and_zero_for_equal_histograms():
    assert d.total_variation([1, 0], [0, 1]) == 1
    assert d.total_variation([0.4, 0.6], [0.4, 0.6]) == 0


@pytest.mark.parametrize("masses", [[0.5, 0.6], [-0.5, 1.5], [np.nan, 1.0], [[1.0]], []])
def test_what_is_no_histogram_is_refused(masses):
    with pytest.raises(UserError, match="histogram pi"):
        d.divergence(d.KL, masses, [0.5, 0.5])


def test_other_wrong_input_gets_its_sentence():
    with pytest.raises(UserError, match="Did you mean 'hellinger'"):
        d.row("helinger")
    with pytest.raises(UserError, match="2 and 3 bins"):
        d.divergence(d.KL, [0.5, 0.5], [0.2, 0.3, 0.5])
    with pytest.raises(UserError, match="2 and 3 bins"):
        d.total_variation([0.5, 0.5], [0.2, 0.3, 0.5])
    with pytest.raises(UserError, match=r"below 0; its largest is 0\.5"):
        d.bound(d.GAN_DIVERGENCE, [-1.0, 0.5], [0.5, 0.5], [0.5, 0.5])
    with pytest.raises(UserError, match=r"shape \(3,\)"):
        d.bound(d.KL, [0.0, 0.0, 0.0], [0.5, 0.5], [0.5, 0.5])
    with pytest.raises(UserError, match="bins is 1"):
        d.random_pair(1, np.random.default_rng(0))
    with pytest.raises(UserError, match=r"total variation of 0\.99"):
        d.random_pair(3, np.random.default_rng(0), apart=0.99)


def test_divergences_of_histograms_that_nearly_agree_are_not_negative_and_have_their_digits():
    generator = np.random.default_rng(2)
    for size in (1e-3, 1e-5, 1e-7):
        p = generator.dirichlet(np.ones(6))
        pi = p * (1 + size * (generator.random(6) - 0.5))
        pi /= pi.sum()
        # f''(1) / 2 sum (pi - p)^2 / p, from Taylor, with f'' = 1, 1, 2, 1/2, 1/2, 1/2
        chi = ((pi - p) ** 2 / p).sum()
        for row, second in zip(ROWS, (1, 1, 2, 0.5, 0.5, 0.5), strict=True):
            least = float(row.generator(np.ones(1))[0])
            wanted = pytest.approx(second / 2 * chi, rel=10 * size + 1e-8)
            assert row.excess(pi, p).sum() == wanted
            if row is not d.GAN_DIVERGENCE:  # which has -2 log 2 added
                assert d.divergence(row, pi, p) == wanted
            assert d.divergence(row, pi, p) >= least == d.divergence(row, p, p)
    for _ in range(200):
        p = generator.dirichlet(np.ones(7))
        pi = p * (1 + 1e-16 * generator.standard_normal(7))
        assert min(d.kl(p, pi / pi.sum()), d.jsd(p, pi / pi.sum()), d.jsd(pi / pi.sum(), p)) >= 0


def test_tiny_masses_give_the_numbers_of_long_arithmetic():
    mpmath.mp.dps = 50
    generator = np.random.default_rng(3)
    for tiny in (1e-310, 5e-324, 1e-200, 1e-20):
        share = generator.uniform(0.2, 0.8)
        pi, p = np.array([share, 1 - share]), np.array([tiny, 1.0])
        logs = [mpmath.log(mpmath.mpf(a) / mpmath.mpf(b)) for a, b in zip(pi.tolist(), p.tolist(), strict=True)]
        assert d.kl(pi, p) == pytest.approx(
            float(sum(a * log for a, log in zip(pi.tolist(), logs, strict=True))), rel=1e-12
        )
        assert d.divergence(d.REVERSE_KL, p, pi) == pytest.approx(d.kl(pi, p), rel=1e-12)
        middle = [(mpmath.mpf(a) + mpmath.mpf(b)) / 2 for a, b in zip(pi.tolist(), p.tolist(), strict=True)]
        halves = [
            own * mpmath.log(own / m)
            for law in (pi, p)
            for own, m in zip(map(mpmath.mpf, law.tolist()), middle, strict=True)
        ]
        assert d.jsd(pi, p) == pytest.approx(float(sum(halves) / 2), rel=1e-12)


def test_a_record_of_ones_own_has_its_divergence_from_its_generator_and_slope():
    own = d.Divergence(**{**d.KL.__dict__, "key": "own", "excess": None})
    for pi, p in [*pairs(7), ([0.5, 0.5, 0], [0.25, 0.5, 0.25])]:
        assert d.divergence(own, pi, p) == pytest.approx(d.kl(pi, p), rel=1e-12)
        assert d.divergence(own, p, p) == 0
    assert d.divergence(own, [0.5, 0.5], [1e-310, 1.0]) == np.inf  # the ratio overflows, and f has no finite slope


def test_a_softmax_in_single_precision_is_a_histogram_and_what_is_further_off_is_told_by_how_much():
    generator = np.random.default_rng(0)
    masses = np.exp(generator.standard_normal(50)).astype(np.float32)
    rounded = masses / masses.sum()
    rounded[0] += 4e-7
    exact = rounded.astype(float) / rounded.astype(float).sum()
    assert abs(rounded.astype(float).sum() - 1) > 1e-7
    assert d.kl(rounded, np.full(50, 0.02)) == pytest.approx(entropy(exact, np.full(50, 0.02)), rel=1e-12)
    with pytest.raises(UserError, match=r"add up to 1.0001, which differs from 1 by 0.0001: divide"):
        d.kl([0.5, 0.5001], [0.5, 0.5])


def test_wrong_kinds_get_a_sentence():
    for call in (d.divergence, lambda row, *laws: d.bound(row, [0.0, 0.0], *laws)):
        with pytest.raises(UserError, match="The row is 'kl'; a Divergence is needed"):
            call("kl", [0.5, 0.5], [0.5, 0.5])
    with pytest.raises(UserError, match="There is no f-divergence 1: it is chosen by name"):
        d.row(1)
    for masses in (["a", "b"], None, [0.5 + 0j, 0.5], np.ma.masked_array([0.5, 0.5], [True, False])):
        with pytest.raises(UserError, match="The histogram pi"):
            d.kl(masses, [0.5, 0.5])
