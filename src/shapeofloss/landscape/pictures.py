"""Pictures of points by five methods, and numbers that say what a picture keeps of the points.

The points are known by their inner products alone, as in a `Record`: their distances, angles and principal components
follow from those.
"""

import warnings
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import pdist, squareform
from scipy.stats import mannwhitneyu, spearmanr

from shapeofloss.arrays import Floats, as_count, as_floats, as_number
from shapeofloss.errors import UserError, unknown
from shapeofloss.landscape.phate import as_distances, phate_embedding

Labels = NDArray[Any]
Method = Literal["phate_cosine", "phate_euclidean", "pca", "tsne", "umap"]
View = Literal["plain", "origin", "mean"]


def seen(inner_products: Floats, view: View) -> Floats:
    """Return the inner products of points, or of the unit vectors that point to them from somewhere.

    Args:
        inner_products: Of n points as seen from the origin, shape (n, n), symmetric.
        view: "plain" for the points as they are; "origin" or "mean" for unit vectors from the origin or from the mean.
    Returns:
        Shape (n, n).
    Raises:
        UserError: If the inner products are no symmetric matrix of finite numbers, the view is none of these, or a
            point has no direction since it lies where the view is from.
    """
    inner_products = _square(inner_products, "inner_products")
    if not isinstance(view, str) or view not in ("plain", "origin", "mean"):
        raise unknown("view", view, ("plain", "origin", "mean"))
    if view == "plain":
        return inner_products
    products = inner_products if view == "origin" else _centred(inner_products)
    lengths = np.sqrt(np.maximum(np.diag(products), 0))
    if not lengths.all():
        raise UserError(f"Point {int(np.argmin(lengths))} lies at the {view}, so it has no direction: drop it.")
    units = products / np.outer(lengths, lengths)
    np.fill_diagonal(units, 1)
    return units


def distances_between(inner_products: Floats, view: View) -> Floats:
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


def _square(values: ArrayLike, name: str) -> Floats:
    """Return a symmetric matrix of finite numbers."""
    matrix = as_floats(values, name, shape=("n", "n"), empty=False)
    if matrix.shape[0] != matrix.shape[1]:
        raise UserError(f"{name} has to have the shape (n, n), not {matrix.shape}.")
    if np.abs(matrix - matrix.T).max() > 1e-6 * np.abs(matrix).max():  # more than rounding in single precision
        raise UserError(f"{name} is not symmetric: entries (i, j) and (j, i) belong to the same two points.")
    return matrix


def _drawn(picture: ArrayLike) -> Floats:
    """Return the points of a picture."""
    return as_floats(picture, "picture", shape=("n", "d"), empty=False)


def _labels(labels: ArrayLike, name: str, count: int) -> Labels:
    """Return one label for each point."""
    found = np.asarray(labels)
    if found.shape != (count,):
        raise UserError(f"{name} has shape {found.shape}; ({count},) is needed, a label for each point.")
    if found.dtype.kind in "fc" and not np.isfinite(found).all():
        raise UserError(f"{name} has values that are not finite, which are no labels.")
    return found


def _centred(inner_products: Floats) -> Floats:
    means = inner_products.mean(axis=0)
    # The sum of the two indices comes first, so that rounding keeps the matrix symmetric.
    return inner_products - (means[:, None] + means) + means.mean()


# ----- pictures


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
    inner_products = _square(inner_products, "inner_products")
    as_count(dimensions, "dimensions", at_most=len(inner_products))
    values, vectors = np.linalg.eigh(_centred(inner_products))
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
        seed: Of the start.
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
        neighbours: Of each point in its graph, itself included: 2 to n - 1.
        seed: Of the placing.
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


def neighbour_graph(picture: Floats, *, neighbours: int) -> csr_array:
    """Join each point to its nearest others in a picture; an edge of one direction counts for both.

    Args:
        picture: Shape (n, d).
        neighbours: 1 to n - 1.
    Returns:
        Symmetric adjacency, shape (n, n), 1 for an edge.
    Raises:
        UserError: If the picture is no table of finite numbers, or the number of neighbours is out of range.
    """
    picture = _drawn(picture)
    if as_count(neighbours, "neighbours") >= len(picture):
        raise UserError(f"{neighbours} neighbours are asked for, but {len(picture)} points allow 1 to fewer.")
    from sklearn.neighbors import kneighbors_graph

    graph = csr_array(kneighbors_graph(picture, neighbours))
    return graph.maximum(graph.T)


def pieces(picture: Floats, *, neighbours: int) -> int:
    """Count the connected pieces of the symmetric graph of nearest neighbours in a picture.

    Args:
        picture, neighbours: As for `neighbour_graph`.
    """
    return int(connected_components(neighbour_graph(picture, neighbours=neighbours), directed=False)[0])


def share_whole(picture: Floats, trajectory: Labels, *, neighbours: int = 10) -> float:
    """Return the share of trajectories that are in one piece: whose own states, among themselves, stay connected.

    Args:
        picture: Shape (n, d).
        trajectory: Label of each point's trajectory, shape (n,).
        neighbours: Of each point among all points, as for `neighbour_graph`.
    Returns:
        A number in [0, 1].
    Raises:
        UserError: As for `neighbour_graph`, or if there is not one label for each point.
    """
    graph = neighbour_graph(picture, neighbours=neighbours)
    trajectory = _labels(trajectory, "trajectory", graph.shape[0])
    whole = []
    for name in np.unique(trajectory):
        own = np.flatnonzero(trajectory == name)
        whole.append(connected_components(graph[own][:, own], directed=False)[0] == 1)
    return float(np.mean(whole))


def order_within(picture: Floats, trajectory: Labels, epoch: Labels) -> float:
    """Return how well distances within a trajectory follow the epochs between its states.

    Args:
        picture: Shape (n, d).
        trajectory, epoch: Label of each point's trajectory, and its time, shape (n,).
    Returns:
        The median over trajectories of the Spearman correlation, over pairs of states, between distance in the picture
        and number of epochs.
    Raises:
        UserError: If the picture is no table of finite numbers, there is not one label and one time for each point, or
            a trajectory has a single state.
    """
    picture = _drawn(picture)
    trajectory, epoch = _labels(trajectory, "trajectory", len(picture)), _labels(epoch, "epoch", len(picture))
    own = [trajectory == name for name in np.unique(trajectory)]
    return float(np.median([_spearman(pdist(picture[of]), pdist(epoch[of, None].astype(float))) for of in own]))


def relations_between(picture: Floats, inner_products: Floats, trajectory: Labels) -> float:
    """Return how well distances between the means of trajectories follow those between the means of the points.

    Args:
        picture: Shape (n, d).
        inner_products: Of the points, shape (n, n), seen from anywhere.
        trajectory: Label of each point's trajectory, shape (n,).
    Returns:
        The Spearman correlation over pairs of trajectories.
    Raises:
        UserError: If the picture or the inner products are no such tables of one length, there is not one label for
            each point, or there is a single trajectory.
    """
    picture, inner_products = _drawn(picture), _square(inner_products, "inner_products")
    trajectory = _labels(trajectory, "trajectory", len(picture))
    if len(inner_products) != len(picture):
        raise UserError(f"inner_products are those of {len(inner_products)} points, the picture shows {len(picture)}.")
    names, counts = np.unique(trajectory, return_counts=True)
    averaging = (trajectory == names[:, None]) / counts[:, None]  # (trajectories, n)
    products = averaging @ inner_products @ averaging.T
    true = squareform(distances_between((products + products.T) / 2, "plain"), checks=False)
    return _spearman(pdist(averaging @ picture), true)


def room_within(picture: Floats, trajectory: Labels) -> float:
    """Return the share of a picture's variance that is movement within trajectories.

    Args:
        picture: Shape (n, d).
        trajectory: Label of each point's trajectory, shape (n,).
    Returns:
        One minus the variance of the points when each is moved to the mean of its trajectory, over their variance; the
        variances of all dimensions are added. A number in [0, 1].
    Raises:
        UserError: If the picture is no table of finite numbers, all of its points coincide, or there is not one label
            for each.
    """
    picture = _drawn(picture)
    trajectory = _labels(trajectory, "trajectory", len(picture))
    if not np.ptp(picture, axis=0).any():
        raise UserError("All points of the picture coincide, so it has no variance to share.")
    _, index, counts = np.unique(trajectory, return_inverse=True, return_counts=True)
    means = np.stack([np.bincount(index, column) / counts for column in picture.T], axis=1)
    return float(1 - means[index].var(axis=0).sum() / picture.var(axis=0).sum())


def successive_nearer(picture: Floats, trajectory: Labels, epoch: Labels) -> float:
    """Return the probability that two successive states lie nearer in the picture than two random states.

    Args:
        picture: Shape (n, d).
        trajectory, epoch: As for `order_within`.
    Returns:
        The share of all combinations of a pair of successive states of a trajectory with any pair of points; a tie
        counts one half.
    Raises:
        UserError: As for `order_within`, but that one trajectory with two states is enough.
    """
    picture = _drawn(picture)
    trajectory, epoch = _labels(trajectory, "trajectory", len(picture)), _labels(epoch, "epoch", len(picture))
    order = np.lexsort((epoch, trajectory))
    follows = trajectory[order[1:]] == trajectory[order[:-1]]
    steps = np.linalg.norm(picture[order[1:]] - picture[order[:-1]], axis=1)[follows]
    if not len(steps):
        raise UserError("No trajectory has two states, so none follows another.")
    every = pdist(picture)
    return float(mannwhitneyu(every, steps, method="asymptotic").statistic) / (len(every) * len(steps))


def rank_agreement(picture: Floats, distances: Floats, *, apart: Labels | None = None) -> float:
    """Return the Spearman correlation of distances in the picture with given ones, over pairs of points.

    Args:
        picture: Shape (n, d).
        distances: Shape (n, n), symmetric.
        apart: Labels, shape (n,): only pairs with different ones count. None counts all pairs.
    Raises:
        UserError: If the picture or the distances are no such tables of one length, there is not one label for each
            point, or no pair counts.
    """
    picture, distances = _drawn(picture), _square(distances, "distances")
    if len(distances) != len(picture):
        raise UserError(f"distances are those of {len(distances)} points, the picture shows {len(picture)}.")
    apart = apart if apart is None else _labels(apart, "apart", len(picture))
    counted = slice(None) if apart is None else pdist(np.unique(apart, return_inverse=True)[1][:, None]) > 0
    return _spearman(pdist(picture)[counted], squareform(distances, checks=False)[counted])


def _spearman(first: Floats, second: Floats) -> float:
    """Return Spearman's correlation; zero if one side does not vary, since it then tells nothing of the other.

    Raises:
        UserError: If there is no pair.
    """
    if not len(first):
        raise UserError("There is no pair to compare: two states of a trajectory, or two trajectories, are needed.")
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(spearmanr(first, second).statistic)


def sample_scores(
    picture: Floats, *, inner_products: Floats, trajectory: Labels, epoch: Labels, direction: Labels
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
    Raises:
        UserError: As these functions; if there are fewer than four points, or one direction only.
    """
    picture = _drawn(picture)
    directions = len(np.unique(_labels(direction, "direction", len(picture))))
    if not 2 <= directions < len(picture) or len(picture) < 4:
        raise UserError(
            f"{len(picture)} points with {directions} directions: four points or more are needed, of two directions or "
            "more that are fewer than the points."
        )
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
