"""Diagrams of grids and their distances: three ways to make them, four ways to compare them."""

import itertools
import math

import numpy as np
import pytest
from scipy.ndimage import minimum_filter

from shapeofloss.errors import UserError
from shapeofloss.topology import union_find
from shapeofloss.topology.diagrams import persistence_diagram, total_persistence, wasserstein

SHAPES = [(40,), (1,), (9, 11), (1, 12), (12, 1), (4, 5, 6), (1, 5, 6), (3, 1, 7)]


def array(shape, seed, ties):
    generator = np.random.default_rng(seed)
    return generator.integers(0, 5, shape).astype(float) if ties else generator.standard_normal(shape)


def finite(diagram):
    return diagram[np.isfinite(diagram[:, 1])]


def random_diagram(count, seed):
    generator = np.random.default_rng(seed)
    births = generator.uniform(-1, 1, count)
    return np.stack([births, births + generator.exponential(0.5, count)], axis=1)


@pytest.mark.parametrize("ties", [True, False])
@pytest.mark.parametrize("neighbours", ["all", "axes"])
@pytest.mark.parametrize("shape", SHAPES)
def test_libraries_and_union_find_agree(shape, neighbours, ties):
    for seed in range(4):
        x = array(shape, seed, ties)
        found = persistence_diagram(x, neighbours=neighbours)
        assert np.array_equal(found, union_find.diagram(x, neighbours=neighbours))


@pytest.mark.parametrize("shape", [(60,), (12, 13), (6, 7, 8)])
def test_births_are_the_minima_and_one_component_never_dies(shape):
    x = array(shape, 0, ties=False)
    found = persistence_diagram(x)
    assert sorted(found[:, 0]) == sorted(x[x == minimum_filter(x, size=3, mode="nearest")])
    assert np.isinf(found[:, 1]).sum() == 1 and found[np.isinf(found[:, 1]), 0] == x.min()


def test_the_worked_example_of_the_paper_has_other_points_than_are_printed():
    example = [[1, 3, 2], [4, 1, 5], [2, 6, 3]]
    assert persistence_diagram(example).tolist() == [[1, math.inf]]
    four = persistence_diagram(example, neighbours="axes")
    assert finite(four).tolist() == [[1, 3], [2, 3], [2, 4], [3, 5]]


@pytest.mark.parametrize("shape", [(30,), (8, 9), (4, 5, 6)])
def test_shifting_and_scaling_an_array_shifts_and_scales_its_diagram(shape):
    x = array(shape, 3, ties=False)
    assert np.allclose(persistence_diagram(2 * x + 1), 2 * persistence_diagram(x) + 1)
    assert np.array_equal(persistence_diagram(np.flip(x)), persistence_diagram(x))


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_distance_is_that_of_an_assignment(order):
    for n, m in ((1, 1), (7, 12), (20, 3), (0, 5)):
        a, b = random_diagram(n, 1), random_diagram(m, 2)
        expected = union_find.by_assignment(a, b, order=order)
        assert wasserstein(a, b, order=order) == pytest.approx(expected, rel=1e-9)


def test_the_distance_is_that_of_persim_where_conventions_agree():
    import persim

    a, b = random_diagram(12, 1), random_diagram(9, 2)
    assert wasserstein(a, b, order=1) == pytest.approx(persim.wasserstein(a, b), rel=1e-9)
    assert wasserstein(a, b, order=math.inf, ground=math.inf) == pytest.approx(persim.bottleneck(a, b), rel=1e-9)


def test_the_bottleneck_distance_is_the_best_of_all_matchings_where_an_early_exit_misses_it():
    a = np.array([[0.0907, 0.8362], [-0.5738, 0.4377], [-2.4974, -1.158]])
    b = np.array([[-0.8389, -0.7351], [-3.2836, -3.2531], [1.2845, 3.2693]])
    costs = np.zeros((6, 6))  # three diagonal places for each
    costs[:3, :3] = np.abs(a[:, None] - b).max(axis=2)
    costs[:3, 3:] = np.diff(a) / 2
    costs[3:, :3] = np.diff(b).T / 2
    best = min(max(costs[range(6), list(order)]) for order in itertools.permutations(range(6)))
    assert wasserstein(a, b, order=math.inf, ground=math.inf) == pytest.approx(best, rel=1e-12)


def test_closed_forms():
    four, five = [[0.0, 4.0]], [[1.0, 5.0]]
    for order in (1, 2, 5):
        assert wasserstein(four, five, order=order) == pytest.approx(math.sqrt(2))
        assert wasserstein(four, five, order=order, ground=math.inf) == pytest.approx(1)
        assert wasserstein(four, five, order=order, ground=1) == pytest.approx(2)
    assert wasserstein(four, []) == pytest.approx(4 / math.sqrt(2))
    assert wasserstein([], []) == 0
    assert wasserstein([[0, 1], [5, 6]], [[0, 1]], order=2) == pytest.approx(1 / math.sqrt(2))
    assert wasserstein(four, five, order=math.inf, ground=math.inf) == pytest.approx(1)


def test_the_component_that_never_dies_is_dropped_or_matched_by_birth():
    a, b = [[0.0, math.inf], [1.0, 2.0]], [[3.0, math.inf], [1.0, 2.0]]
    assert wasserstein(a, b) == 0
    assert wasserstein(a, b, essential="keep") == pytest.approx(3)
    assert wasserstein(a, [[1.0, 2.0]], essential="keep") == math.inf


def test_a_distance_is_symmetric_and_scales():
    a, b = random_diagram(12, 1), random_diagram(9, 2)
    assert wasserstein(a, b) == pytest.approx(wasserstein(b, a))
    assert wasserstein(3 * a, 3 * b) == pytest.approx(3 * wasserstein(a, b))
    assert wasserstein(a, a) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: persistence_diagram(np.zeros((2, 2, 2, 2))), "1, 2 or 3 dimensions"),
        (lambda: persistence_diagram([]), "1, 2 or 3 dimensions"),
        (lambda: persistence_diagram([1.0, math.nan]), "not finite"),
        (lambda: persistence_diagram([1.0], neighbours="al"), "Did you mean 'all'"),
        (lambda: wasserstein([[0, 1]], [[0, 1]], order=0.5), "order is 0.5; a number from 1"),
        (lambda: wasserstein([[0, 1]], [[0, 1]], order=math.inf), "infinity norm"),
        (lambda: wasserstein([[0, 1]], [[0, 1]], essential="dropp"), "Did you mean 'drop'"),
        (lambda: wasserstein([[0, 1, 0]], []), r"\(n, 2\) is needed"),
        (lambda: wasserstein([[0, math.nan]], []), "NaN"),
        (lambda: wasserstein([[0, 1]], [[1, 0]]), "dies below its birth"),
        (lambda: persistence_diagram(np.ma.masked_less([1.0, 2.0], 1.5)), "masked values"),
        (lambda: union_find.hungarian([[math.nan]]), "not finite"),
        (lambda: union_find.hungarian(np.zeros((2, 3))), "square"),
        (lambda: union_find.by_assignment([[0, 1]], [], order=math.inf), "order is inf"),
        (lambda: union_find.diagram([1.0, math.inf]), "not finite"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_sentence(call, sentence):
    with pytest.raises(UserError, match=sentence):
        call()


def test_total_persistence_adds_powers_of_lifetimes():
    diagram = [[0.0, 2.0], [1.0, 4.0], [1.0, 1.0]]
    assert total_persistence(diagram) == 13.0 and total_persistence(diagram, order=1) == 5.0
    assert total_persistence(np.empty((0, 2))) == 0.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: total_persistence([[0.0, np.inf]]), "1 value that is not finite"),
        (lambda: total_persistence([[0.0, 1.0]], order=0), "order is 0; a finite number above 0"),
        (lambda: total_persistence([[0.0, 1.0]], order=np.inf), "order is inf"),
        (lambda: total_persistence([[0.0, 1.0, 0.0]]), r"\(n, 2\) is needed"),
    ],
)
def test_what_has_no_total_persistence_is_refused(call, message):
    with pytest.raises(UserError, match=message):
        call()
