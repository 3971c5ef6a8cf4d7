"""What a picture of trajectories keeps of the points that it shows: neighbours, distances, paths."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import pdist, squareform
from scipy.stats import mannwhitneyu, spearmanr

from shapeofloss.arrays import Floats, as_count, as_floats
from shapeofloss.errors import UserError
from shapeofloss.landscape.products import as_symmetric, distances_between

Labels = NDArray[Any]


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
        neighbours: Neighbours of each point among all points, as for `neighbour_graph`.
    Returns:
        A number in [0, 1].
    Raises:
        UserError: As for `neighbour_graph`, or if there is not one label for each point.
    """
    graph = neighbour_graph(picture, neighbours=neighbours)
    trajectory = _labels(trajectory, "trajectory", graph.shape[0])
    members = [np.flatnonzero(trajectory == name) for name in np.unique(trajectory)]
    return float(np.mean([connected_components(graph[m][:, m], directed=False)[0] == 1 for m in members]))


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
    members = [trajectory == name for name in np.unique(trajectory)]
    return float(np.median([_spearman(pdist(picture[m]), pdist(epoch[m, None].astype(float))) for m in members]))


def relations_between(picture: Floats, inner_products: Floats, trajectory: Labels) -> float:
    """Return how well distances between the means of trajectories follow those between the means of the points.

    Args:
        picture: Shape (n, d).
        inner_products: Inner products of the points, shape (n, n), seen from anywhere.
        trajectory: Label of each point's trajectory, shape (n,).
    Returns:
        The Spearman correlation over pairs of trajectories.
    Raises:
        UserError: If the picture or the inner products are no such tables of one length, there is not one label for
            each point, or there is a single trajectory.
    """
    picture, inner_products = _drawn(picture), as_symmetric(inner_products, "inner_products")
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
    picture, distances = _drawn(picture), as_symmetric(distances, "distances")
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
        inner_products: Inner products of the samples as seen from the origin, shape (n, n).
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


def _drawn(picture: ArrayLike) -> Floats:
    """Return the points of a picture."""
    return as_floats(picture, "picture", shape=("n", "d"), empty=False)


def _labels(labels: ArrayLike, name: str, count: int) -> Labels:
    """Return one label for each point."""
    values = np.asarray(labels)
    if values.shape != (count,):
        raise UserError(f"{name} has shape {values.shape}; ({count},) is needed, a label for each point.")
    if values.dtype.kind in "fc" and not np.isfinite(values).all():
        raise UserError(f"{name} has values that are not finite, which are no labels.")
    return values
