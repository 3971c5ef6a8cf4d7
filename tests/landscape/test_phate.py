import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist, pdist, squareform
from scipy.stats import spearmanr

from shapeofloss.errors import UserError
from shapeofloss.landscape.phate import phate_embedding


def distances_between(points):
    return squareform(pdist(points))


@pytest.fixture(scope="module")
def distances():
    return distances_between(np.random.default_rng(0).normal(size=(60, 3)))


@pytest.fixture(scope="module")
def result(distances):
    return phate_embedding(distances, seed=0)


def test_the_operator_is_the_normalised_kernel_of_the_docstring(distances, result):
    _, diffusion = result
    width = np.sort(distances, axis=1)[:, 5]
    kernel = np.exp(-((distances / width[:, None]) ** 40))
    kernel[kernel < 1e-4] = 0
    kernel = (kernel + kernel.T) / 2
    np.testing.assert_allclose(diffusion.operator, kernel / kernel.sum(axis=1, keepdims=True), atol=1e-12)
    np.testing.assert_allclose(diffusion.operator.sum(axis=1), 1, rtol=1e-12)


def test_the_potential_is_the_logarithm_of_the_walk(result):
    _, diffusion = result
    walk = np.linalg.matrix_power(diffusion.operator, diffusion.t)
    np.testing.assert_allclose(diffusion.potential, -np.log(walk + 1e-7), rtol=1e-9)


def test_the_embedding_repeats_and_prints_nothing(distances, result, capfd):
    again, _ = phate_embedding(distances, seed=0)
    assert again.tobytes() == result[0].tobytes()
    assert capfd.readouterr() == ("", "")


def test_the_unit_of_the_distances_does_not_matter(distances, result):
    embedding, diffusion = phate_embedding(4 * distances, seed=0)
    assert np.array_equal(diffusion.operator, result[1].operator)
    assert np.array_equal(embedding, result[0])


def test_points_on_a_curve_stay_in_their_order():
    angle = np.linspace(0, 1.5 * np.pi, 80)
    embedding, _ = phate_embedding(
        distances_between(np.column_stack([np.cos(angle), np.sin(angle)])), dimensions=1, seed=0
    )
    assert abs(spearmanr(embedding[:, 0], angle).statistic) > 0.95


def test_options_reach_their_place(distances, result):
    embedding, diffusion = phate_embedding(distances, dimensions=3, knn=4, t=7, mds_distance="euclidean", seed=0)
    assert embedding.shape == (60, 3) and diffusion.t == 7
    assert not np.array_equal(diffusion.operator, result[1].operator)
    cosine, _ = phate_embedding(distances, dimensions=3, knn=4, t=7, seed=0)
    assert not np.allclose(cosine, embedding, rtol=0.01)


def test_the_final_scaling_compares_rows_of_the_potential_by_their_angle(distances):
    embedding, diffusion = phate_embedding(distances, dimensions=3, t=20, seed=0)
    wanted = cdist(diffusion.potential, diffusion.potential, "cosine")
    assert spearmanr(pdist(embedding), squareform(wanted, checks=False)).statistic > 0.8


def test_separate_groups_are_counted_without_a_warning():
    points = np.random.default_rng(0).normal(size=(30, 2)) + np.repeat([[0, 0], [100, 0], [0, 100]], 10, axis=0)
    assert phate_embedding(distances_between(points), seed=0)[1].components == 3


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (np.zeros((3, 4)), r"shape \(n, n\), not \(3, 4\)"),
        (np.full((9, 9), np.nan), "81 values that are not finite"),
        (-1 + np.eye(9), "negative, such as -1"),
        (np.triu(np.ones((9, 9)), 1), "not symmetric with a zero diagonal"),
        (np.ones((9, 9)), "not symmetric with a zero diagonal"),
        (1 - np.eye(6), "knn is 5; a whole number from 1 to 4"),
        (np.zeros((9, 9)), "points that coincide"),
        (np.ma.masked_less(1 - np.eye(9), 0.5), "masked"),
    ],
)
def test_wrong_distances_are_named(wrong, sentence):
    with pytest.raises(UserError, match=sentence):
        phate_embedding(wrong, seed=0)


def test_lists_tables_and_distances_that_differ_in_the_last_bit_are_distances():
    apart = distances_between(np.random.default_rng(0).normal(size=(20, 3)))
    wanted, _ = phate_embedding(apart, seed=0)
    tilted = apart.copy()
    tilted[2, 1] = np.nextafter(tilted[2, 1], 9)
    for given in (apart.tolist(), pd.DataFrame(apart), tilted):
        np.testing.assert_allclose(phate_embedding(given, seed=0)[0], wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "setting",
    [{"t": 0}, {"t": 1.5}, {"decay": 0}, {"decay": np.nan}, {"dimensions": 0}, {"mds_distance": 2}, {"seed": -1}],
)
def test_a_setting_out_of_range_is_refused(setting):
    apart = distances_between(np.random.default_rng(0).normal(size=(20, 3)))
    with pytest.raises(UserError):
        phate_embedding(apart, **{"seed": 0, **setting})
