"""PHATE: points in few dimensions, placed by where a random walk between neighbours takes them."""

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import pdist, squareform

from shapeofloss.arrays import Floats, as_count, as_floats, as_number
from shapeofloss.errors import UserError, unknown

DISCONNECTED = "Graph is disconnected"  # told by `components` instead: trajectories that start apart are often apart


@dataclass(frozen=True, eq=False)
class Diffusion:
    """What PHATE computes on the way to an embedding of n points.

    Attributes:
        t: Steps of the random walk.
        operator: One step P, shape (n, n): row i holds the probabilities of going from point i to each point.
        potential: -log(P^t + 1e-7), shape (n, n), in nats; rows of close points are alike.
        components: Number of connected parts of the neighbour graph. The walk never leaves one, so that for more than
            one part the distances between parts say little.
    """

    t: int
    operator: Floats
    potential: Floats
    components: int


def phate_embedding(
    distances: Floats,
    *,
    dimensions: int = 2,
    knn: int = 5,
    decay: float = 40,
    t: int | Literal["auto"] = "auto",
    mds_distance: Literal["cosine", "euclidean"] = "cosine",
    seed: int,
) -> tuple[Floats, Diffusion]:
    """Embed points by PHATE, given the distances between them.

    Args:
        distances: Shape (n, n), finite, symmetric up to rounding, not negative, zero on the diagonal.
        dimensions: Dimensions d of the embedding, at least 1.
        knn: Neighbours whose distance sets the width of a point's kernel, 1 to n - 2.
        decay: Exponent above 0 of the kernel exp(-(distance / width)^decay), averaged over both points' widths.
        t: Steps of the random walk, at least 1; "auto" takes the knee of the von Neumann entropy of P^t.
        mds_distance: How the final multidimensional scaling (SMACOF) compares rows of the potential.
        seed: Seed of the embedding's initial position.
    Returns:
        The embedding, shape (n, d), which is the same at every run and has no unit, and the diffusion behind it.
    Raises:
        UserError: If the distances are no distances, all points coincide, there are too few points for `knn`, or a
            setting is out of range.
    Source:
        Loss-landscape paper, section 3.2 (cosine distances in both places), after section 2.1. The released code scales
        by stochastic gradient descent without a seed.
    """
    as_count(dimensions, "dimensions")
    as_count(seed, "seed", at_least=0)
    if mds_distance not in ("cosine", "euclidean"):
        raise unknown("distance for the scaling", mds_distance, ("cosine", "euclidean"))
    phate = _fitted(distances, knn, decay, t, n_components=dimensions, mds_dist=mds_distance, random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", DISCONNECTED, RuntimeWarning)
        embedding = phate.transform()
    return embedding, _diffusion(phate, t)


def diffusion_between(
    distances: Floats, *, knn: int = 5, decay: float = 40, t: int | Literal["auto"] = "auto"
) -> Diffusion:
    """Let PHATE's random walk go, without making a picture of it.

    Args:
        distances, knn, decay, t: As for `phate_embedding`.
    Raises:
        UserError: As for `phate_embedding`.
    Source:
        Loss-landscape paper, section 2.1; section 3.3 builds its graph on the potential.
    """
    return _diffusion(_fitted(distances, knn, decay, t), t)


def potential_distances(potential: Floats) -> Floats:
    """Return the Euclidean distances between the rows of PHATE's potential, shape (n, n), in nats.

    Args:
        potential: That of `Diffusion`, or other points in k dimensions, shape (n, k).

    Raises:
        UserError: If it is no table of finite numbers.
    Source:
        Loss-landscape paper, section 2.1.
    """
    return squareform(pdist(as_floats(potential, "potential", shape=("n", "k"))))


def _fitted(distances: Floats, knn: int, decay: float, t: int | Literal["auto"], **options: Any) -> Any:
    distances = as_distances(distances)
    as_count(knn, "knn", at_most=max(len(distances) - 2, 0))
    decay = as_number(decay, "decay", above=0)
    if t != "auto":
        as_count(t, "t")
    from phate import PHATE

    phate = PHATE(
        knn=knn,
        decay=decay,
        t=t,
        n_landmark=None,
        knn_dist="precomputed_distance",
        mds_solver="smacof",
        n_jobs=1,
        verbose=0,
        **options,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", DISCONNECTED, RuntimeWarning)
        return phate.fit(distances)


def _diffusion(phate: Any, t: int | Literal["auto"]) -> Diffusion:
    potential = phate.diff_potential  # first: it finds t
    steps = int(phate.optimal_t) if t == "auto" else t
    return Diffusion(steps, phate.diff_op, potential, phate.graph.n_connected_components)


def as_distances(distances: ArrayLike) -> Floats:
    """Return distances that are symmetric to the last bit, with a zero diagonal.

    Raises:
        UserError: If they are not so up to rounding, not finite, negative, or all zero.
    """
    apart = as_floats(distances, "The matrix of distances", shape=("n", "n"))
    if apart.shape[0] != apart.shape[1]:
        raise UserError(f"Distances have the shape (n, n), not {apart.shape}.")
    if (apart < 0).any():
        raise UserError(f"Some distances are negative, such as {apart.min():g}: give none below zero.")
    rounding = 1e-6 * apart.max(initial=0)  # of single precision
    if np.abs(apart - apart.T).max(initial=0) > rounding or np.diag(apart).max(initial=0) > rounding:
        raise UserError("The distances are not symmetric with a zero diagonal: give those of `Record`.")
    if not apart.any():
        raise UserError("All distances are zero: points that coincide have no picture.")
    if (apart != apart.T).any() or np.diag(apart).any():
        apart = (apart + apart.T) / 2
        np.fill_diagonal(apart, 0)
    return apart
