"""f-divergences on the line: formulas against quadrature, and critics below the truth."""

import math

import mpmath
import numpy as np
import pytest
import torch

from shapeofloss.adversarial.densities import closed_form, critic_bound, densities, quadrature
from shapeofloss.adversarial.divergences import TABLE, row
from shapeofloss.errors import UserError

torch.set_num_threads(1)  # small networks are quicker on one, and sums always have one order

ROWS = list(TABLE.values())
each_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.key)
FIRST, SECOND = [0.0, 1.0], [1.0, 1.2]


@pytest.mark.parametrize("key", ["kl", "reverse-kl", "pearson", "hellinger"])
def test_closed_forms_are_the_quadrature_for_random_gaussians(key):
    generator = np.random.default_rng(0)
    for _ in range(8):
        first, second = (
            [generator.normal(), 0.8 + 0.2 * generator.random()],
            [generator.normal(), 1 + 0.4 * generator.random()],
        )
        formula = closed_form(key, first, second)
        assert quadrature(TABLE[key], densities(first, second, reach=15)) == pytest.approx(formula, rel=1e-8)


@each_row
def test_a_distribution_has_no_distance_from_itself_but_for_the_constant_of_the_gan_row(row):
    expected = -np.log(4) if row.key == "gan" else 0.0
    assert quadrature(row, densities([0.3, 2.0], [0.3, 2.0])) == pytest.approx(expected, abs=1e-12)


def test_jensen_shannon_tends_to_its_largest_value_and_the_gan_row_is_below_by_log_4():
    apart = densities([-5.0, 1.0], [5.0, 1.0])
    near = densities(FIRST, SECOND)
    assert quadrature(TABLE["js"], apart) == pytest.approx(2 * np.log(2), abs=1e-5)
    difference = quadrature(TABLE["js"], near) - quadrature(TABLE["gan"], near)
    assert difference == pytest.approx(np.log(4), abs=1e-12)


def test_pearson_is_infinite_when_the_second_distribution_has_light_tails():
    wide, narrow = [0.0, 2.0], [0.0, 1.0]
    assert closed_form("pearson", wide, narrow) == np.inf
    assert closed_form("pearson", narrow, wide) < np.inf
    with pytest.raises(UserError, match=r"not died out|not finite"):
        quadrature(TABLE["pearson"], densities(wide, narrow))


@each_row
def test_no_critic_beats_the_divergence_and_the_best_one_reaches_it(row):
    both = densities(FIRST, SECOND)
    value, best = quadrature(row, both), row.raw(both.ratio)
    assert critic_bound(row.key, best, both) == pytest.approx(value, abs=1e-10)
    for change in (0.1, np.sin(both.x), -0.1 * np.cos(3 * both.x)):
        assert critic_bound(row.key, best + change, both) < value


def test_a_critic_that_explodes_where_nobody_looks_has_an_infinite_charge():
    both = densities(FIRST, SECOND)
    assert critic_bound("reverse-kl", np.where(both.x > 10, -1000.0, 0.0), both) == -np.inf


def test_wrong_input_gets_its_sentence():
    both = densities(FIRST, SECOND)
    with pytest.raises(UserError, match="no closed form"):
        closed_form("js", FIRST, SECOND)
    with pytest.raises(UserError, match="There is no f-divergence"):
        closed_form("wasserstein", FIRST, SECOND)
    with pytest.raises(UserError, match="Gaussian"):
        densities([0.0, -1.0], SECOND)
    with pytest.raises(UserError, match="one value at each of 4001"):
        critic_bound("kl", np.zeros(3), both)
    with pytest.raises(UserError, match="not finite at every node"):
        both.integral(np.full(4001, np.nan))


@pytest.mark.parametrize("size", [1e-2, 1e-5, 1e-8])
def test_closed_forms_of_gaussians_that_nearly_agree_have_their_digits_and_are_not_negative(size):
    mpmath.mp.dps = 60
    m, s = mpmath.mpf(size), 1 + mpmath.mpf(size) * mpmath.mpf("0.7")
    for (m1, s1), (m2, s2) in (((0, 1), (m, s)), ((m, s), (0, 1)), ((0, s), (0, 1))):
        first, second = [float(m1), float(s1)], [float(m2), float(s2)]
        m1, s1, m2, s2 = (mpmath.mpf(value) for value in (*first, *second))
        kl = mpmath.log(s2 / s1) + (s1**2 + (m1 - m2) ** 2) / (2 * s2**2) - mpmath.mpf(1) / 2
        width, both = 2 * s2**2 - s1**2, s1**2 + s2**2
        pearson = s2**2 / (s1 * mpmath.sqrt(width)) * mpmath.exp((m1 - m2) ** 2 / width) - 1
        hellinger = 2 - 2 * mpmath.sqrt(2 * s1 * s2 / both) * mpmath.exp(-((m1 - m2) ** 2) / (4 * both))
        for key, wanted in (("kl", kl), ("pearson", pearson), ("hellinger", hellinger)):
            assert closed_form(key, first, second) == pytest.approx(float(wanted), rel=1e-7)
        assert quadrature(row("kl"), densities(first, second)) >= 0


def test_closed_forms_have_no_unit_and_no_overflow():
    for key in ("kl", "reverse-kl", "pearson", "hellinger"):
        near = closed_form(key, [0.0, 1.0], [0.5, 1.2])
        for unit in (1e-200, 1e200):
            assert closed_form(key, [0.0, unit], [0.5 * unit, 1.2 * unit]) == pytest.approx(near, rel=1e-12)
    assert closed_form("pearson", [0.0, 1.0], [100.0, 1.0]) == math.inf  # exp(10,000), beyond double precision
    assert closed_form("hellinger", [0.0, 1.0], [100.0, 1.0]) == 2


def test_mixtures_have_parts_and_densities_have_nodes():
    with pytest.raises(UserError, match="a formula needs"):
        closed_form("kl", [[0.0, 1.0]], [0.0, 1.0])
    for settings in ({"reach": 0}, {"reach": np.nan}, {"count": 1}, {"count": 3.0}):
        with pytest.raises(UserError, match=f"{next(iter(settings))} is"):
            densities([0.0, 1.0], [0.0, 1.0], **settings)
    with pytest.raises(UserError, match="a Divergence is needed"):
        quadrature("kl", densities([0.0, 1.0], [0.0, 1.0]))


def test_the_bound_of_the_gan_row_is_the_value_of_a_discriminator():
    both = densities([[-1.0, 0.5], [1.5, 0.8]], [0.0, 1.0])
    best = both.log_pi - both.log_p
    values = [critic_bound("gan", best + shift, both) for shift in (-0.1, 0.0, 0.1)]
    assert values[1] > max(values[0], values[2])
    assert critic_bound("gan", 0 * best, both) == pytest.approx(-math.log(4), abs=1e-9)
