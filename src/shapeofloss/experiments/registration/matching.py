"""Two ways to say which point goes where: robust transport, and closest points (ICP). All lengths are in mm."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.spatial import KDTree

from shapeofloss.arrays import Floats

SHARPNESS = 4.0  # reach over blur: at a distance of one reach, matches are told apart to a quarter of it
CUT = 3.0  # times the reach: farther pairs are left out; a lonely pair would keep a tenth of its mass there
STEPS = 40  # of Sinkhorn's algorithm: at this sharpness each takes a ninth of the error away


@dataclass(frozen=True)
class Matching:
    """Where the points of one cloud should go in another.

    Attributes:
        targets: Targets of the points, shape (N, 3), in mm; a point without a partner stays where it is.
        weights: How far each target is to be believed, shape (N,), at least 0.
        carry: Returns targets of other points; both have the shape (P, 3), in mm.
    """

    targets: Floats
    weights: Floats
    carry: Callable[[Floats], Floats]


def cells(x: Floats, side: float) -> NDArray[np.int64]:
    """Return the number of the cube of a grid that each point, shape (N, 3), lies in, shape (N,)."""
    return np.unique(np.floor(x / side), axis=0, return_inverse=True)[1].reshape(-1)


def cell_means(values: Floats, labels: NDArray[np.int64], weights: Floats) -> tuple[Floats, Floats]:
    """Return the weighted mean of values, shape (N, D), in each cell, shape (K, D), and its weight, shape (K,).

    Without any weight the mean is 0.
    """
    total = np.bincount(labels, weights).astype(float)
    sums = np.stack([np.bincount(labels, weights * column) for column in values.T], axis=1)
    return np.divide(sums, total[:, None], out=np.zeros(sums.shape), where=total[:, None] > 0), total


def kernel(x: Floats, y: Floats, blur: float, cut: float) -> csr_array:
    """Return exp(-|x_i - y_j|^2 / (2 blur^2)) for all pairs up to the distance `cut`, shape (N, M), lengths in mm."""
    near = KDTree(x).sparse_distance_matrix(KDTree(y), cut, output_type="ndarray")
    values = np.exp(near["v"] ** 2 / (-2 * blur**2))
    pairs = coo_array((values, (near["i"], near["j"])), shape=(len(x), len(y)))
    pairs.has_canonical_format = True  # no pair comes twice, so that nothing has to be sorted
    return pairs.tocsr()


def scalings(k: csr_array, a: Floats, b: Floats, *, ratio: float, steps: int = STEPS) -> tuple[Floats, Floats]:
    r"""Return u, v of unbalanced transport, whose plan is pi_ij = a_i u_i K_ij v_j b_j: Sinkhorn's algorithm, damped.

    .. math:: u = (K\, b v)^{-\lambda}, \quad v = (K^\top a u)^{-\lambda}, \quad
              \lambda = \frac{1}{1 + \varepsilon / \rho}

    It minimises <pi, C> + eps KL(pi, a x b) + rho KL(pi 1, a) + rho KL(pi' 1, b), for K = exp(-C / eps): mass that
    would have to go farther than sqrt(rho) is rather lost. Each step takes a share 1 - lambda^2 of the error away.

    Args:
        k: K, shape (N, M).
        a, b: Masses, shape (N,) and (M,).
        ratio: sqrt(rho / eps), the reach over the blur.
        steps: Updates of v and u.
    Source:
        Optimal transport talk, slide "Three-steps registration"; Sejourne and others, 2019, for the damping.
    """
    back, exponent = csr_array(k.T), -1 / (1 + ratio**-2)
    u = np.ones(len(a))
    with np.errstate(divide="ignore"):
        for _ in range(steps):
            v = (back @ (a * u)) ** exponent  # infinite where nothing is in reach, which no entry of K multiplies
            u = (k @ (b * v)) ** exponent
    return np.where(np.isfinite(u), u, 0), np.where(np.isfinite(v), v, 0)


def by_transport(x: Floats, y: Floats, reach: float) -> Matching:
    """Match by robust transport: a target is the middle of where a point's mass goes, a weight how much of it does.

    Sinkhorn's algorithm runs between clusters, whose cubes have half a blur as their side. The points of a cluster move
    alike. GeomLoss's unbalanced transport does the same without clusters: it takes 2 to 40 times as long for 1,000
    points, and stops at the last temperature, before the masses are right.

    Args:
        x, y: Clouds, shape (N, 3) and (M, 3), in mm.
        reach: Distance from which losing mass is the better choice, in mm; the blur is a quarter of it.
    """
    blur = reach / SHARPNESS
    mass = 1 / max(len(x), len(y))  # every point stands for the same length of vessel
    labels = cells(x, blur / 2)
    start, a = cell_means(x, labels, np.full(len(x), mass))
    end, b = cell_means(y, cells(y, blur / 2), np.full(len(y), mass))
    k = kernel(start, end, blur, CUT * reach)
    arriving = b * scalings(k, a, b, ratio=SHARPNESS)[1]

    def middle(k: csr_array, points: Floats) -> tuple[Floats, Floats]:
        """Return targets of points, shape (P, 3), and the sums of K b v, shape (P,), for their kernel."""
        sums = k @ arriving
        goals = k @ (arriving[:, None] * end)
        return np.divide(goals, sums[:, None], out=points.copy(), where=sums[:, None] > 0), sums

    means, sums = middle(k, start)
    kept = sums ** (1 / (1 + SHARPNESS**2))  # what is left of a point's mass
    return Matching(
        x + (means - start)[labels], kept[labels], lambda p: middle(kernel(p, end, blur, CUT * reach), p)[0]
    )


def by_closest_points(x: Floats, y: Floats, reach: float) -> Matching:
    """Match by closest points, in both directions, but for pairs that are farther apart than the reach.

    A point of x has its own nearest point of y, and all points of y whose nearest it is itself, as partners. Its target
    is their mean, its weight their number.

    Args:
        x, y: Clouds, shape (N, 3) and (M, 3), in mm.
        reach: The longest distance of a pair, in mm.
    """
    tree = KDTree(y)
    there, mine = tree.query(x)
    back, theirs = KDTree(x).query(y)
    near = np.concatenate([there, back]) <= reach
    partners, labels = np.concatenate([y[mine], y]), np.concatenate([np.arange(len(x)), theirs])
    means, weights = cell_means(partners, labels, near.astype(float))
    return Matching(np.where(weights[:, None] > 0, means, x), weights, lambda p: y[tree.query(p)[1]])


MATCHINGS: dict[str, Callable[[Floats, Floats, float], Matching]] = {
    "transport": by_transport,
    "icp": by_closest_points,
}
