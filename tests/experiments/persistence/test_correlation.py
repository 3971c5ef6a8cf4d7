"""Rank correlations against SciPy, closed forms, and worlds where the answer is known."""

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from shapeofloss.errors import UserError
from shapeofloss.experiments.persistence.correlation import permutation_share, rank_correlation


def test_without_given_properties_it_is_that_of_scipy_ties_included():
    generator = np.random.default_rng(0)
    first, second = generator.integers(0, 8, (2, 60))
    assert rank_correlation(first, second).value == pytest.approx(spearmanr(first, second).statistic)


def test_given_one_number_it_is_the_textbook_formula_on_ranks():
    x, y, z = np.random.default_rng(1).normal(size=(3, 50))
    x, y = x + z, y - z
    xy, xz, yz = (spearmanr(*pair).statistic for pair in ((x, y), (x, z), (y, z)))
    expected = (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))
    assert rank_correlation(x, y, given=[z]).value == pytest.approx(expected)


def test_given_categories_it_is_that_of_deviations_from_their_means():
    generator = np.random.default_rng(2)
    x, y = generator.normal(size=(2, 90))
    kind = np.repeat(["a", "b", "c"], 30)
    ranks = [rankdata(values) for values in (x, y)]
    left = [np.concatenate([part - part.mean() for part in np.split(r, 3)]) for r in ranks]
    assert rank_correlation(x, y, given=[kind]).value == pytest.approx(np.corrcoef(*left)[0, 1])


def test_a_common_cause_is_taken_out():
    generator = np.random.default_rng(3)
    cause = generator.normal(size=400)
    x, y = cause + generator.normal(size=(2, 400)) / 2
    plain, partial = rank_correlation(x, y), rank_correlation(x, y, given=[cause])
    assert plain.value > 0.7 and plain.p < 1e-6
    assert abs(partial.value) < 0.15 and partial.low < 0 < partial.high


def test_its_interval_covers_the_truth_as_often_as_it_says():
    generator, covered, truth = np.random.default_rng(4), 0, 6 / np.pi * np.arcsin(0.6 / 2)
    for _ in range(400):
        x, noise = generator.normal(size=(2, 40))
        found = rank_correlation(x, 0.6 * x + 0.8 * noise)
        covered += found.low <= truth <= found.high
    assert 0.92 <= covered / 400 <= 0.98


def test_p_values_without_correlation_are_uniform():
    generator = np.random.default_rng(5)
    p = np.array([rank_correlation(*generator.normal(size=(2, 40))).p for _ in range(600)])
    assert abs((p < 0.05).mean() - 0.05) < 0.03 and abs(p.mean() - 0.5) < 0.05


def test_what_leaves_nothing_is_refused():
    x = np.arange(10.0)
    with pytest.raises(UserError, match="leave nothing of one side"):
        rank_correlation(x, x[::-1], given=[x])
    with pytest.raises(UserError, match="too few for 8 columns"):
        rank_correlation(x, x, given=[np.array(list("abcdefghia"))])


def test_the_share_of_permutations_is_the_one_sided_p_value():
    x = np.arange(30.0)
    assert permutation_share(x, x, permutations=99, seed=0) == pytest.approx(0.01)
    assert permutation_share(x, -x, permutations=99, seed=0) == 1.0
    generator = np.random.default_rng(6)
    x, y = generator.normal(size=(2, 60))
    y = y + 0.2 * x
    expected = spearmanr(x, y, alternative="greater").pvalue
    assert permutation_share(x, y, permutations=4000, seed=1) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("first", [np.ones(9), [1, 2, np.nan, 4, 5, 6, 7, 8, 9], np.arange(8.0), np.zeros((9, 1))])
def test_statistics_of_nothing_are_refused_and_not_significant(first):
    with pytest.raises(UserError):
        permutation_share(first, np.arange(9.0), permutations=99, seed=0)
    with pytest.raises(UserError):
        permutation_share(np.arange(9.0), first, permutations=99, seed=0)
    with pytest.raises(UserError):
        rank_correlation(first, np.arange(9.0))


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32])
def test_numbers_of_every_type_are_ranked(kind):
    rng = np.random.default_rng(0)
    first, second, counts = rng.random(30), rng.random(30), rng.integers(0, 5, 30)
    wanted = rank_correlation(first, second, given=[counts.astype(float)])
    assert rank_correlation(first, second, given=[counts.astype(kind)]) == wanted
    with pytest.raises(UserError, match="property has shape"):
        rank_correlation(first, second, given=[counts[:9]])
