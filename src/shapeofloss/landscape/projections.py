"""Pictures of points by five methods; the points are known by their inner products alone, as in a `Record`."""

import warnings
from typing import Any, Literal

import numpy as np
from scipy.sparse.csgraph import connected_components

from shapeofloss.arrays import Floats, as_count, as_number
from shapeofloss.errors import UserError, unknown
from shapeofloss.landscape.phate import as_distances, phate_embedding
from shapeofloss.landscape.products import View, as_symmetric, centred, distances_between, seen

Method = Literal["phate_cosine", "phate_euclidean", "pca", "tsne", "umap"]


def pca_embedding(inner_products: Floats, *, dimensions: int = 2, equal: bool = False) -> Floats:
    """Place points by their first principal components, found from inner products.

    Args:
        inner_products: Shape (n, n), seen from anywhere: they are centred here.
        dimensions: Number d of components, at most n; n of them keep all distances.
        equal: Whether each component is scaled to the variance 1.
    Returns:
        Shape (n, d), in the unit of the points, or without one if `equal`.
    Raises:
        UserError: If the inner products are no symmetric matrix of finite numbers, or the number of components is out
            of range.
    """
    inner_products = as_symmetric(inner_products, "inner_products")
    as_count(dimensions, "dimensions", at_most=len(inner_products))
    values, vectors = np.linalg.eigh(centred(inner_products))
    first = vectors[:, ::-1][:, :dimensions]
    lengths = np.sqrt(np.maximum(values[::-1][:dimensions], 0))  # largest first
    # The sign of an eigenvector is not determined: let the entry that is largest in size be positive.
    signs = np.sign(first[np.abs(first).argmax(axis=0), np.arange(first.shape[1])])
    return np.asarray(first * signs * (np.sqrt(len(values)) if equal else lengths))


def tsne_embedding(distances: Floats, *, perplexity: float, seed: int) -> Floats:
    """Place points by t-SNE, from a random start.

    Args:
        distances: Shape (n, n).
        perplexity: Effective number of neighbours, above 0, below n.
        seed: Seed of the start.
    Returns:
        Shape (n, 2), without unit.
    Raises:
        UserError: If the distances are none, or the perplexity or the seed is out of range.
    """
    distances = as_distances(distances)
    as_number(perplexity, "perplexity")
    as_count(seed, "seed", at_least=0)
    if not 0 < perplexity < len(distances):
        raise UserError(
            f"The perplexity is {perplexity}, but {len(distances)} points allow above 0 and fewer than that."
        )
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    tsne = TSNE(perplexity=perplexity, metric="precomputed", init="random", random_state=seed, n_jobs=1)
    with threadpool_limits(1):  # n_jobs does not reach its gradient
        return np.asarray(tsne.fit_transform(distances), np.float64)


def umap_embedding(distances: Floats, *, neighbours: int, seed: int) -> Floats:
    """Place points by UMAP, with the library's defaults otherwise.

    Args:
        distances: Shape (n, n).
        neighbours: Neighbours of each point in its graph, itself included: 2 to n - 1.
        seed: Seed of the placing.
    Returns:
        Shape (n, 2), without unit.
    Raises:
        UserError: If the distances are none, or the number of neighbours or the seed is out of range.
    """
    distances = as_distances(distances)
    as_count(neighbours, "neighbours")
    as_count(seed, "seed", at_least=0)
    if not 2 <= neighbours < len(distances):
        raise UserError(f"UMAP is asked for {neighbours} neighbours, but {len(distances)} points allow 2 to fewer.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on other packages at import, on precomputed distances, on parts of the graph
        import umap  # type: ignore[import-untyped]

        # It compiles itself in every process, for longer than it draws; so compile once and keep the machine code.
        for module in (umap.umap_, umap.layouts, umap.utils):
            for function in vars(module).values():
                if hasattr(function, "enable_caching"):
                    function.enable_caching()
        drawer = umap.UMAP(neighbours, metric="precomputed", random_state=seed, n_jobs=1)
        return np.asarray(drawer.fit_transform(distances), np.float64)


def draw(
    *,
    inner_products: Floats,
    method: Method,
    view: View,
    neighbours: int = 5,
    decay: float = 40,
    equal: bool = False,
    seed: int = 0,
) -> dict[str, Any]:
    """Draw points by one of the five methods.

    Args:
        inner_products: Inner products of the points as seen from the origin, shape (n, n).
        method: "phate_cosine" compares points and, when it places them, rows of the potential by their angles,
            "phate_euclidean" both by Euclidean distance.
        view: As for `seen`: what the method is given.
        neighbours: PHATE's knn, t-SNE's perplexity, UMAP's number of neighbours.
        decay: Exponent of PHATE's kernel.
        equal: As for `pca_embedding`.
        seed: Seed of the start of all but PCA.
    Returns:
        What the store keeps: `picture`, shape (n, 2); for PHATE also `t`, the steps of its random walk, and `part`,
        shape (n,): numbers, from 0, of the parts that the walk cannot leave.
    Raises:
        UserError: If an option is unknown or out of range, or the view does not suit the kind of PHATE.
    Source:
        Loss-landscape paper, Fig. 1, whose text gives no setting of any method.
    """
    match method:
        case "phate_cosine" | "phate_euclidean":
            kind: Literal["cosine", "euclidean"] = "cosine" if method == "phate_cosine" else "euclidean"
            if (view == "plain") != (kind == "euclidean"):
                raise UserError(
                    f"The view '{view}' does not suit {method}: plain is for Euclidean PHATE, and for it only."
                )
            distances = distances_between(inner_products, view)
            picture, diffusion = phate_embedding(distances, knn=neighbours, decay=decay, mds_distance=kind, seed=seed)
            part = connected_components(diffusion.operator, directed=False)[1]
            return {"picture": picture, "t": diffusion.t, "part": part}
        case "pca":
            picture = pca_embedding(seen(inner_products, view), equal=equal)
        case "tsne":
            picture = tsne_embedding(distances_between(inner_products, view), perplexity=neighbours, seed=seed)
        case "umap":
            picture = umap_embedding(distances_between(inner_products, view), neighbours=neighbours, seed=seed)
        case _:
            raise unknown("method", method, ("phate_cosine", "phate_euclidean", "pca", "tsne", "umap"))
    return {"picture": picture}
