"""f-divergences on the line: formulas against quadrature, critics below the truth, and critics that learn it."""

import math

import mpmath
import numpy as np
import pytest
import torch

from shapeofloss.adversarial import variational as v
from shapeofloss.adversarial.divergences import TABLE, row
from shapeofloss.adversarial.variational import closed_form, line, quadrature
from shapeofloss.errors import UserError

torch.set_num_threads(1)  # small networks are quicker on one, and sums always have one order

ROWS = list(TABLE.values())
each_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.key)
FIRST, SECOND = [0.0, 1.0], [1.0, 1.2]
SETTING = {
    "first": FIRST,
    "second": SECOND,
    "width": 32,
    "batch": 512,
    "steps": 300,
    "learning_rate": 1e-2,
    "record_every": 300,
    "examples": 1000,
    "seed": 3,
}


@pytest.mark.parametrize("key", ["kl", "reverse-kl", "pearson", "hellinger"])
def test_closed_forms_are_the_quadrature_for_random_normal_laws(key):
    rng = np.random.default_rng(0)
    for _ in range(8):
        first, second = [rng.normal(), 0.8 + 0.2 * rng.random()], [rng.normal(), 1 + 0.4 * rng.random()]
        formula = v.closed_form(key, first, second)
        assert v.quadrature(TABLE[key], v.line(first, second, reach=15)) == pytest.approx(formula, rel=1e-8)


@each_row
def test_a_law_has_no_distance_from_itself_but_for_the_constant_of_the_gan_row(row):
    expected = -np.log(4) if row.key == "gan" else 0.0
    assert v.quadrature(row, v.line([0.3, 2.0], [0.3, 2.0])) == pytest.approx(expected, abs=1e-12)


def test_jensen_shannon_tends_to_its_largest_value_and_the_gan_row_is_below_by_log_4():
    apart = v.line([-5.0, 1.0], [5.0, 1.0])
    near = v.line(FIRST, SECOND)
    assert v.quadrature(TABLE["js"], apart) == pytest.approx(2 * np.log(2), abs=1e-5)
    difference = v.quadrature(TABLE["js"], near) - v.quadrature(TABLE["gan"], near)
    assert difference == pytest.approx(np.log(4), abs=1e-12)


def test_pearson_is_infinite_when_the_second_law_has_light_tails():
    wide, narrow = [0.0, 2.0], [0.0, 1.0]
    assert v.closed_form("pearson", wide, narrow) == np.inf
    assert v.closed_form("pearson", narrow, wide) < np.inf
    with pytest.raises(UserError, match=r"not died out|not finite"):
        v.quadrature(TABLE["pearson"], v.line(wide, narrow))


@each_row
def test_no_critic_beats_the_divergence_and_the_best_one_reaches_it(row):
    laws = v.line(FIRST, SECOND)
    value, best = v.quadrature(row, laws), row.raw(laws.ratio)
    assert v.critic_bound(row.key, best, laws) == pytest.approx(value, abs=1e-10)
    for change in (0.1, np.sin(laws.x), -0.1 * np.cos(3 * laws.x)):
        assert v.critic_bound(row.key, best + change, laws) < value


def test_a_critic_that_explodes_where_nobody_looks_has_an_infinite_charge():
    laws = v.line(FIRST, SECOND)
    assert v.critic_bound("reverse-kl", np.where(laws.x > 10, -1000.0, 0.0), laws) == -np.inf


@each_row
def test_a_critic_that_is_trained_on_samples_comes_within_two_per_cent_and_not_above(row):
    found = v.fit_critic(divergence=row.key, **SETTING)
    laws = v.line(FIRST, SECOND)
    shift = np.log(4) if row.key == "gan" else 0.0
    value = v.quadrature(row, laws) + shift
    first, last = (v.critic_bound(row.key, raw, laws) + shift for raw in found["raw"])
    assert first < 0.9 * value and 0.98 * value < last <= value * (1 + 1e-9)
    assert found["monte_carlo"].mean() + shift == pytest.approx(last, rel=0.2)
    assert found["at"].tolist() == [0, 300] and np.isnan(found["training"])


def test_a_critic_of_few_samples_flatters_itself():
    found = v.fit_critic(divergence="kl", points=20, **SETTING)
    laws = v.line(FIRST, SECOND)
    assert found["training"] > v.quadrature(TABLE["kl"], laws) > v.critic_bound("kl", found["raw"][-1], laws)
    assert found["monte_carlo"].mean() < found["training"] / 2  # on samples that it has not seen


def test_wrong_input_gets_its_sentence():
    laws = v.line(FIRST, SECOND)
    with pytest.raises(UserError, match="no closed form"):
        v.closed_form("js", FIRST, SECOND)
    with pytest.raises(UserError, match="There is no f-divergence"):
        v.closed_form("wasserstein", FIRST, SECOND)
    with pytest.raises(UserError, match="Gaussian"):
        v.line([0.0, -1.0], SECOND)
    with pytest.raises(UserError, match="one value at each of 4001"):
        v.critic_bound("kl", np.zeros(3), laws)
    with pytest.raises(UserError, match="not finite at every node"):
        laws.integral(np.full(4001, np.nan))


def test_a_loss_that_is_not_finite_stops_with_step_and_row():
    with pytest.raises(UserError, match=r"at step .* of f-GAN, Kullback-Leibler .* learning rate 1000"):
        v.fit_critic(divergence="kl", **(SETTING | {"learning_rate": 1000.0}))


@pytest.mark.parametrize("size", [1e-2, 1e-5, 1e-8])
def test_closed_forms_of_laws_that_nearly_agree_have_their_digits_and_are_not_negative(size):
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
        assert quadrature(row("kl"), line(first, second)) >= 0


def test_closed_forms_have_no_unit_and_no_overflow():
    for key in ("kl", "reverse-kl", "pearson", "hellinger"):
        near = closed_form(key, [0.0, 1.0], [0.5, 1.2])
        for unit in (1e-200, 1e200):
            assert closed_form(key, [0.0, unit], [0.5 * unit, 1.2 * unit]) == pytest.approx(near, rel=1e-12)
    assert closed_form("pearson", [0.0, 1.0], [100.0, 1.0]) == math.inf  # exp(10,000), beyond double precision
    assert closed_form("hellinger", [0.0, 1.0], [100.0, 1.0]) == 2


def test_laws_have_parts_and_lines_have_nodes():
    with pytest.raises(UserError, match="a formula needs"):
        closed_form("kl", [[0.0, 1.0]], [0.0, 1.0])
    for settings in ({"reach": 0}, {"reach": np.nan}, {"count": 1}, {"count": 3.0}):
        with pytest.raises(UserError, match=f"{next(iter(settings))} is"):
            line([0.0, 1.0], [0.0, 1.0], **settings)
    with pytest.raises(UserError, match="a Divergence is needed"):
        quadrature("kl", line([0.0, 1.0], [0.0, 1.0]))
