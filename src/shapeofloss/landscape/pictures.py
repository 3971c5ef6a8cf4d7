"""Pictures of points by five methods, and numbers that say what a picture keeps of the points.

The points are known by their inner products alone, as in a `Record`: their distances, angles and principal components
follow from those.
"""

import warnings
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import pdist, squareform
from scipy.stats import mannwhitneyu, spearmanr

from shapeofloss.errors import UserError, unknown
from shapeofloss.landscape.embedding import phate_embedding

Array = NDArray[np.float64]
Labels = NDArray[Any]
Method = Literal["phate_cosine", "phate_euclidean", "pca", "tsne", "umap"]
View = Literal["plain", "origin", "mean"]


def seen(inner_products: Array, view: View) -> Array:
    """Return the inner products of points, or of the unit vectors that point to them from somewhere.

    Args:
        inner_products: Of n points as seen from the origin, shape (n, n), symmetric.
        view: "plain" for the points as they are; "origin" or "mean" for unit vectors from the origin or from the mean.
    Returns:
        Shape (n, n).
    Raises:
        UserError: If the view is none of these, or a point has no direction since it lies where the view is from.
    """
    if inner_products.ndim != 2 or inner_products.shape[0] != inner_products.shape[1]:
        raise UserError(f"Inner products have the shape (n, n), not {inner_products.shape}.")
    if view == "plain":
        return inner_products
    if view not in ("origin", "mean"):
        raise unknown("view", view, ("plain", "origin", "mean"))
    products = inner_products if view == "origin" else _centred(inner_products)
    lengths = np.sqrt(np.maximum(np.diag(products), 0))
    if not lengths.all():
        raise UserError(f"Point {int(np.argmin(lengths))} lies at the {view}, so it has no direction: drop it.")
    units = products / np.outer(lengths, lengths)
    np.fill_diagonal(units, 1)
    return units


def distances_between(inner_products: Array, view: View) -> Array:
    """Return Euclidean distances of plain points, else one minus the cosine of the angles between points.

    Args:
        inner_products, view: As for `seen`.
    Returns:
        Shape (n, n), symmetric, not negative, with a zero diagonal.
    Raises:
        UserError: As for `seen`.
    """
    products = seen(inner_products, view)
    squares = np.diag(products)
    squared = np.maximum(squares[:, None] + squares - 2 * products, 0)
    return np.sqrt(squared) if view == "plain" else squared / 2


def _centred(inner_products: Array) -> Array:
    means = inner_products.mean(axis=0)
    # The sum of the two indices comes first, so that rounding keeps the matrix symmetric.
    return inner_products - (means[:, None] + means) + means.mean()


# ----- pictures


def pca_embedding(inner_products: Array, *, dimensions: int = 2, equal: bool = False) -> Array:
    """Place points by their first principal components, found from inner products.

    Args:
        inner_products: Shape (n, n), seen from anywhere: they are centred here.
        dimensions: Number d of components, at most n; n of them keep all distances.
        equal: Whether each component is scaled to the variance 1.
    Returns:
        Shape (n, d), in the unit of the points, or without one if `equal`.
    """
    values, vectors = np.linalg.eigh(_centred(inner_products))
    first = vectors[:, ::-1][:, :dimensions]
    lengths = np.sqrt(np.maximum(values[::-1][:dimensions], 0))  # largest first
    # The sign of an eigenvector is not determined: let the entry that is largest in size be positive.
    signs = np.sign(first[np.abs(first).argmax(axis=0), np.arange(first.shape[1])])
    return np.asarray(first * signs * (np.sqrt(len(values)) if equal else lengths))


def tsne_embedding(distances: Array, *, perplexity: float, seed: int) -> Array:
    """Place points by t-SNE, from a random start.

    Args:
        distances: Shape (n, n).
        perplexity: Effective number of neighbours, above 0, below n.
        seed: Of the start.
    Returns:
        Shape (n, 2), without unit.
    Raises:
        UserError: If the perplexity is out of range.
    """
    if not 0 < perplexity < len(distances):
        raise UserError(
            f"The perplexity is {perplexity}, but {len(distances)} points allow above 0 and fewer than that."
        )
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    tsne = TSNE(perplexity=perplexity, metric="precomputed", init="random", random_state=seed, n_jobs=1)
    with threadpool_limits(1):  # n_jobs does not reach its gradient
        return np.asarray(tsne.fit_transform(distances), np.float64)


def umap_embedding(distances: Array, *, neighbours: int, seed: int) -> Array:
    """Place points by UMAP, with the library's defaults otherwise.

    Args:
        distances: Shape (n, n).
        neighbours: Of each point in its graph, itself included: 2 to n - 1.
        seed: Of the placing.
    Returns:
        Shape (n, 2), without unit.
    Raises:
        UserError: If the number of neighbours is out of range.
    """
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
    inner_products: Array,
    method: Method,
    view: View,
    neighbours: int = 5,
    decay: float = 40,
    equal: bool = False,
    seed: int = 0,
) -> dict[str, Any]:
    """Draw points by one of the five methods.

    Args:
        inner_products: Of the points as seen from the origin, shape (n, n).
        method: "phate_cosine" compares points and, when it places them, rows of the potential by their angles,
            "phate_euclidean" both by Euclidean distance.
        view: As for `seen`: what the method is given.
        neighbours: PHATE's knn, t-SNE's perplexity, UMAP's number of neighbours.
        decay: Exponent of PHATE's kernel.
        equal: As for `pca_embedding`.
        seed: Of the start of all but PCA.
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
            return {"picture": pca_embedding(seen(inner_products, view), equal=equal)}
        case "tsne":
            return {
                "picture": tsne_embedding(distances_between(inner_products, view), perplexity=neighbours, seed=seed)
            }
        case "umap":
            return {
                "picture": umap_embedding(distances_between(inner_products, view), neighbours=neighbours, seed=seed)
            }
    raise unknown("method", method, ("phate_cosine", "phate_euclidean", "pca", "tsne", "umap"))


# ----- what a picture keeps


def neighbour_graph(picture: Array, *, neighbours: int) -> csr_array:
    """Join each point to its nearest others in a picture; an edge of one direction counts for both.

    Args:
        picture: Shape (n, d).
        neighbours: 1 to n - 1.
    Returns:
        Symmetric adjacency, shape (n, n), 1 for an edge.
    Raises:
        UserError: If the number of neighbours is out of range.
    """
    if not 1 <= neighbours < len(picture):
        raise UserError(f"{neighbours} neighbours are asked for, but {len(picture)} points allow 1 to fewer.")
    from sklearn.neighbors import kneighbors_graph

    graph = csr_array(kneighbors_graph(picture, neighbours))
    return graph.maximum(graph.T)


def pieces(picture: Array, *, neighbours: int) -> int:
    """Count the connected pieces of the symmetric graph of nearest neighbours in a picture.

    Args:
        picture, neighbours: As for `neighbour_graph`.
    """
    return int(connected_components(neighbour_graph(picture, neighbours=neighbours), directed=False)[0])


def share_whole(picture: Array, trajectory: Labels, *, neighbours: int = 10) -> float:
    """Return the share of trajectories that are in one piece: whose own states, among themselves, stay connected.

    Args:
        picture: Shape (n, d).
        trajectory: Label of each point's trajectory, shape (n,).
        neighbours: Of each point among all points, as for `neighbour_graph`.
    Returns:
        A number in [0, 1].
    """
    graph = neighbour_graph(picture, neighbours=neighbours)
    whole = []
    for name in np.unique(trajectory):
        own = np.flatnonzero(trajectory == name)
        whole.append(connected_components(graph[own][:, own], directed=False)[0] == 1)
    return float(np.mean(whole))


def order_within(picture: Array, trajectory: Labels, epoch: Labels) -> float:
    """Return how well distances within a trajectory follow the epochs between its states.

    Args:
        picture: Shape (n, d).
        trajectory, epoch: Label of each point's trajectory, and its time, shape (n,).
    Returns:
        The median over trajectories of the Spearman correlation, over pairs of states, between distance in the picture
        and number of epochs.
    """
    own = [trajectory == name for name in np.unique(trajectory)]
    return float(np.median([_spearman(pdist(picture[of]), pdist(epoch[of, None].astype(float))) for of in own]))


def relations_between(picture: Array, inner_products: Array, trajectory: Labels) -> float:
    """Return how well distances between the means of trajectories follow those between the means of the points.

    Args:
        picture: Shape (n, d).
        inner_products: Of the points, shape (n, n), seen from anywhere.
        trajectory: Label of each point's trajectory, shape (n,).
    Returns:
        The Spearman correlation over pairs of trajectories.
    """
    names, counts = np.unique(trajectory, return_counts=True)
    averaging = (trajectory == names[:, None]) / counts[:, None]  # (trajectories, n)
    products = averaging @ inner_products @ averaging.T
    true = squareform(distances_between((products + products.T) / 2, "plain"), checks=False)
    return _spearman(pdist(averaging @ picture), true)


def room_within(picture: Array, trajectory: Labels) -> float:
    """Return the share of a picture's variance that is movement within trajectories.

    Args:
        picture: Shape (n, d).
        trajectory: Label of each point's trajectory, shape (n,).
    Returns:
        One minus the variance of the points when each is moved to the mean of its trajectory, over their variance; the
        variances of all dimensions are added. A number in [0, 1].
    """
    _, index, counts = np.unique(trajectory, return_inverse=True, return_counts=True)
    means = np.stack([np.bincount(index, column) / counts for column in picture.T], axis=1)
    return float(1 - means[index].var(axis=0).sum() / picture.var(axis=0).sum())


def successive_nearer(picture: Array, trajectory: Labels, epoch: Labels) -> float:
    """Return the probability that two successive states lie nearer in the picture than two random states.

    Args:
        picture: Shape (n, d).
        trajectory, epoch: As for `order_within`.
    Returns:
        The share of all combinations of a pair of successive states of a trajectory with any pair of points; a tie
        counts one half.
    """
    order = np.lexsort((epoch, trajectory))
    follows = trajectory[order[1:]] == trajectory[order[:-1]]
    steps = np.linalg.norm(picture[order[1:]] - picture[order[:-1]], axis=1)[follows]
    every = pdist(picture)
    return float(mannwhitneyu(every, steps, method="asymptotic").statistic) / (len(every) * len(steps))


def rank_agreement(picture: Array, distances: Array, *, apart: Labels | None = None) -> float:
    """Return the Spearman correlation of distances in the picture with given ones, over pairs of points.

    Args:
        picture: Shape (n, d).
        distances: Shape (n, n), symmetric.
        apart: Labels, shape (n,): only pairs with different ones count. None counts all pairs.
    """
    counted = slice(None) if apart is None else pdist(np.unique(apart, return_inverse=True)[1][:, None]) > 0
    return _spearman(pdist(picture)[counted], squareform(distances, checks=False)[counted])


def _spearman(first: Array, second: Array) -> float:
    """Return Spearman's correlation; zero if one side does not vary, since it then tells nothing of the other."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(spearmanr(first, second).statistic)


def sample_scores(
    picture: Array, *, inner_products: Array, trajectory: Labels, epoch: Labels, direction: Labels
) -> dict[str, float]:
    """Return the numbers that describe what a picture of jump-and-retrain samples keeps.

    Args:
        picture: Shape (n, d).
        inner_products: Of the samples as seen from the origin, shape (n, n).
        trajectory, epoch: As for `order_within`.
        direction: Seed of each sample's jump, shape (n,).
    Returns:
        `whole`, `within`, `between`, `successive` and `room` as the functions above; `clusters`: pieces by 5
        neighbours; `local`: trustworthiness by 10 neighbours and cosine distances from the origin; `global`: rank
        agreement with those distances, between trajectories; `silhouette`: of the directions, its mean.
    """
    from sklearn.manifold import trustworthiness
    from sklearn.metrics import silhouette_score

    cosine = distances_between(inner_products, "origin")
    near = min(10, len(picture) // 2 - 1)  # fewer only for toy sizes, where ten would be too many
    return {
        "whole": share_whole(picture, trajectory, neighbours=min(10, len(picture) - 1)),
        "within": order_within(picture, trajectory, epoch),
        "between": relations_between(picture, inner_products, trajectory),
        "successive": successive_nearer(picture, trajectory, epoch),
        "clusters": float(pieces(picture, neighbours=min(5, len(picture) - 1))),
        "local": float(trustworthiness(cosine, picture, n_neighbors=near, metric="precomputed")),
        "global": rank_agreement(picture, cosine, apart=trajectory),
        "silhouette": float(silhouette_score(picture, direction)),
        "room": room_within(picture, trajectory),
    }
