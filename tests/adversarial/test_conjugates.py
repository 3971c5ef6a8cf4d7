"""Conjugates by zooming in, against the closed forms of the table."""

import numpy as np
import pytest

from shapeofloss.adversarial.conjugates import numerical_biconjugate, numerical_conjugate, supremum
from shapeofloss.adversarial.divergences import GAN_DIVERGENCE, JENSEN_SHANNON, KL, TABLE
from shapeofloss.errors import UserError

RATIOS = np.logspace(-3, 3, 60)
FAR = np.logspace(-149, 149, 120)
each_row = pytest.mark.parametrize("row", TABLE.values(), ids=lambda row: row.key)


def places(row):
    """Return points across the conjugate's domain, none of them a zero of the conjugate."""
    return np.linspace(-9.9, 9.9, 60) if np.isinf(row.end) else row.end - np.logspace(-2.01, 1, 60)


@each_row
def test_the_conjugate_is_the_supremum_and_conjugating_twice_gives_the_generator(row):
    t = places(row)
    assert numerical_conjugate(row.generator, t, at_zero=row.at_zero) == pytest.approx(row.conjugate(t), rel=1e-9)
    assert numerical_biconjugate(row.conjugate, RATIOS, end=row.end) == pytest.approx(row.generator(RATIOS), rel=1e-9)


def test_the_supremum_of_many_functions_is_found_at_once():
    centres = np.array([-3.0, 0.123456, 7.0])
    place, value = supremum(lambda s: -np.abs(s - centres[:, None]), -10, 10, count=3)
    assert place == pytest.approx(centres, abs=1e-9) and value == pytest.approx(0, abs=1e-9)


@each_row
def test_conjugating_twice_gives_the_generator_also_far_away_and_its_limit_at_zero(row):
    found = numerical_biconjugate(row.conjugate, FAR, end=row.end)
    true = row.generator(FAR)
    if row in (JENSEN_SHANNON, GAN_DIVERGENCE):  # u log u - (u + 1) log(u + 1), which has lost its digits for large u
        large = FAR > 1e8
        true[large] = -1 - np.log1p(FAR[large]) + (FAR[large] + 1) * (np.log(2) if row is JENSEN_SHANNON else 0)
    assert found == pytest.approx(true, rel=1e-9, abs=1e-12)
    assert numerical_biconjugate(row.conjugate, [0.0], end=row.end) == pytest.approx([row.at_zero])


@each_row
def test_the_conjugate_far_away_is_the_closed_form_or_infinite(row):
    t = np.array([-1e30, -1e5, -50.0, -1e-20, 0.5, 100.0, 600.0, 1e20])
    t = t[t < row.end]
    with np.errstate(over="ignore"):
        wanted = row.conjugate(t)
    assert numerical_conjugate(row.generator, t, at_zero=row.at_zero) == pytest.approx(wanted, rel=1e-9, abs=1e-9)
    if row.end < np.inf:
        assert numerical_conjugate(row.generator, [row.end + 1], at_zero=row.at_zero) == np.inf


def test_ratios_outside_of_the_search_are_refused():
    for u in ([1e-160], [1e160], [-1.0], [np.nan]):
        with pytest.raises(UserError, match=r"Ratios reach|not finite"):
            numerical_biconjugate(KL.conjugate, u, end=np.inf)
