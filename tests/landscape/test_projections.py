"""Pictures by five methods, beside those of the libraries and by what every picture has to keep."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist
from scipy.stats import spearmanr
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from shapeofloss.errors import UserError
from shapeofloss.landscape.faithfulness import neighbour_graph
from shapeofloss.landscape.products import distances_between
from shapeofloss.landscape.projections import draw, pca_embedding, tsne_embedding, umap_embedding

METHODS = {
    "phate_cosine": {"view": "mean"},
    "phate_euclidean": {"view": "plain"},
    "pca": {"view": "plain"},
    "tsne": {"view": "plain", "neighbours": 8},
    "umap": {"view": "plain", "neighbours": 8},
}
SIDE = np.arange(12.0).reshape(6, 2) ** 1.5
TABLE = SIDE @ SIDE.T


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(0).normal(size=(40, 6)) * [4, 2, 1, 1, 1, 1] + 1


@pytest.fixture(scope="module")
def products(points):
    return points @ points.T


def test_principal_components_are_those_of_scikit_learn_up_to_sign(points, products):
    wanted = PCA(2).fit_transform(points)
    for shift in (0, 5):  # of the origin
        ours = pca_embedding((points + shift) @ (points + shift).T)
        np.testing.assert_allclose(ours * np.sign((ours * wanted).sum(axis=0)), wanted, atol=1e-8)
    np.testing.assert_allclose(pca_embedding(products, equal=True).std(axis=0), 1)


def test_the_order_of_the_points_does_not_turn_principal_components_around():
    for seed in range(8):
        generator = np.random.default_rng(seed)
        points, order = generator.normal(size=(9, 3)), generator.permutation(9)
        first, second = (pca_embedding(p @ p.T) for p in (points, points[order]))
        np.testing.assert_allclose(first[order], second, atol=1e-8)


def test_all_principal_components_keep_all_distances(points, products):
    np.testing.assert_allclose(cdist(*[pca_embedding(products, dimensions=40)] * 2), cdist(points, points), atol=1e-6)


def test_tsne_is_scikit_learns_on_the_points(points, products):
    with threadpool_limits(1):
        wanted = TSNE(perplexity=8, init="random", random_state=3).fit_transform(points)
    ours = tsne_embedding(distances_between(products, "plain"), perplexity=8, seed=3)
    # Rounding differs and grows over the iterations, so neighbourhoods are compared.
    assert spearmanr(pdist(ours), pdist(wanted)).statistic > 0.9


@pytest.mark.parametrize("method", METHODS)
def test_every_method_keeps_two_far_groups_apart_repeats_to_the_bit_and_says_nothing(method, capfd):
    groups = np.random.default_rng(1).normal(size=(40, 5)) + 30 * np.repeat([[1], [-1]], 20, axis=0)
    first, second = (draw(inner_products=groups @ groups.T, method=method, **METHODS[method], seed=0) for _ in "12")
    assert first["picture"].shape == (40, 2) and first["picture"].dtype == np.float64
    assert first["picture"].tobytes() == second["picture"].tobytes()
    assert capfd.readouterr() == ("", "")
    own, other = (cdist(first["picture"][:20], first["picture"][a:b]) for a, b in ((0, 20), (20, 40)))
    assert np.median(own) < np.median(other)
    if method.startswith("phate"):
        assert first["part"].tolist() == [0] * 20 + [1] * 20 and first["t"] >= 0


@pytest.mark.parametrize("method", METHODS)
def test_options_reach_the_method(products, method):
    options = {"phate_cosine": {"view": "origin"}, "phate_euclidean": {"decay": 3.0}, "pca": {"equal": True}}
    changed = METHODS[method] | options.get(method, {"neighbours": 15})
    pictures = [draw(inner_products=products, method=method, **o)["picture"] for o in (METHODS[method], changed)]
    assert not np.allclose(*pictures, rtol=0.01)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"method": "phate_cosine", "view": "plain"}, "'plain' does not suit phate_cosine"),
        ({"method": "phate_euclidean", "view": "mean"}, "'mean' does not suit phate_euclidean"),
        ({"method": "tsne", "view": "plain", "neighbours": 40}, "perplexity is 40, but 40 points"),
        ({"method": "umap", "view": "plain", "neighbours": 1}, "asked for 1 neighbours, but 40 points"),
        ({"method": "isomap", "view": "plain"}, "no method 'isomap'"),
    ],
)
def test_options_that_do_not_fit_are_named(products, options, sentence):
    with pytest.raises(UserError, match=sentence):
        draw(inner_products=products, **options)


def test_umap_takes_its_neighbours_from_the_distances():
    # A ring: with the distances along it UMAP draws a ring, in which each point's nearest ones are its own neighbours.
    steps = np.abs(np.arange(60)[:, None] - np.arange(60))
    picture = umap_embedding(np.minimum(steps, 60 - steps).astype(float), neighbours=5, seed=0)
    graph = neighbour_graph(picture, neighbours=2)
    assert np.mean([min(abs(i - j), 60 - abs(i - j)) <= 3 for i, j in zip(*graph.nonzero(), strict=True)]) > 0.9


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: pca_embedding(np.ones((3, 2))), r"inner_products has to have the shape \(n, n\), not \(3, 2\)"),
        (lambda: pca_embedding([[1.0, 2.0], [3.0, 4.0]]), "inner_products is not symmetric"),
        (lambda: pca_embedding(TABLE * np.nan), "inner_products has 36 values that are not finite"),
        (lambda: pca_embedding(TABLE, dimensions=7), "dimensions is 7; a whole number from 1 to 6"),
        (lambda: pca_embedding(TABLE, dimensions=0), "dimensions is 0; a whole number from 1 to 6"),
        (lambda: tsne_embedding(-TABLE, perplexity=2, seed=0), "Some distances are negative"),
        (lambda: tsne_embedding(cdist(SIDE, SIDE), perplexity="2", seed=0), "perplexity is '2'; a finite number"),
        (lambda: tsne_embedding(cdist(SIDE, SIDE), perplexity=2, seed=-1), "seed is -1; a whole number from 0"),
        (lambda: umap_embedding(np.ones((4, 4)), neighbours=2, seed=0), "not symmetric with a zero diagonal"),
        (lambda: umap_embedding(cdist(SIDE, SIDE), neighbours=2.5, seed=0), "neighbours is 2.5; a whole number"),
    ],
)
def test_what_is_no_table_of_points_is_refused(call, sentence):
    with pytest.raises(UserError, match=sentence):
        call()


def test_lists_are_as_good_as_arrays():
    assert np.array_equal(pca_embedding(TABLE.tolist()), pca_embedding(TABLE))
