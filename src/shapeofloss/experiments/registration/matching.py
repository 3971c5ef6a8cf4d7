"""Two ways to say which point goes where: robust transport, and closest points (ICP). All lengths are in mm."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.spatial import cKDTree

from shapeofloss.arrays import Floats

SHARPNESS = 4.0  # reach over blur: at a distance of one reach, matches are told apart to a quarter of it
CUT = 3.0  # times the reach: farther pairs are left out; a lonely pair would keep a tenth of its mass there
STEPS = 40  # of Sinkhorn's algorithm: at this sharpness each takes a ninth of the error away


class Matching(Protocol):
    """What says where points should go.

    Attributes:
        targets: Of the matched points, shape (N, 3), in mm.
        weights: How far each of these is to be believed, shape (N,), at least 0.
    """

    targets: Floats
    weights: Floats

    def __call__(self, points: Floats) -> Floats:
        """Return targets of other points, both of shape (N, 3)."""
        ...


def clustered(x: Floats, side: float) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Sort points into the cubes of a grid.

    Returns:
        The means of the points of each cube, shape (K, 3), their numbers, shape (K,), and the cube of each point, (N,).
    """
    _, labels, counts = np.unique(np.floor(x / side), axis=0, return_inverse=True, return_counts=True)
    labels = labels.reshape(-1)
    means = np.stack([np.bincount(labels, own) for own in x.T], axis=1) / counts[:, None]
    return means, counts.astype(np.float64), labels


def kernel(x: Floats, y: Floats, blur: float, cut: float) -> csr_array:
    """Return exp(-|x_i - y_j|^2 / (2 blur^2)) for all pairs up to the distance `cut`, shape (N, M), lengths in mm."""
    near = cKDTree(x).sparse_distance_matrix(cKDTree(y), cut, output_type="ndarray")
    values = np.exp(near["v"] ** 2 / (-2 * blur**2))
    pairs = coo_array((values, (near["i"], near["j"])), shape=(len(x), len(y)))
    pairs.has_canonical_format = True  # no pair comes twice, so that nothing has to be sorted
    return pairs.tocsr()


def _power(sums: Floats, exponent: float) -> Floats:
    """Return a power of sums that are at least 0, and 0 where they are 0, since nothing is in reach."""
    return np.where(sums > 0, np.where(sums > 0, sums, 1.0) ** exponent, 0.0)


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


class Transported:
    """Robust transport from x to y as a matching: the middle of where a point's mass goes, and how much of it does.

    Sinkhorn's algorithm runs between clusters, whose cubes have half a blur as their side. The points of a cluster move
    alike.

    Args:
        x, y: Clouds, shape (N, 3) and (M, 3), in mm.
        reach: Distance from which losing mass is the better choice, in mm; the blur is a quarter of it.
    """

    def __init__(self, x: Floats, y: Floats, reach: float) -> None:
        self.blur, self.cut = reach / SHARPNESS, CUT * reach
        one = 1 / max(len(x), len(y))  # every point stands for the same length of vessel
        ours, a, labels = clustered(x, self.blur / 2)
        self.y, b, _ = clustered(y, self.blur / 2)
        k = kernel(ours, self.y, self.blur, self.cut)
        _, v = scalings(k, one * a, one * b, ratio=SHARPNESS)
        self.mass = one * b * v
        means, sums = self._look(k, ours)
        self.targets = x + (means - ours)[labels]
        self.weights = _power(sums, 1 / (1 + SHARPNESS**2))[labels]  # what is left of a point's mass

    def _look(self, k: csr_array, points: Floats) -> tuple[Floats, Floats]:
        """Return targets of points, shape (N, 3), and the sums of K b v, shape (N,), for their kernel."""
        sums = k @ self.mass
        means = (k @ (self.mass[:, None] * self.y)) * _power(sums, -1)[:, None]
        return np.where(sums[:, None] > 0, means, points), sums

    def __call__(self, points: Floats) -> Floats:
        """Return targets of other points, both of shape (N, 3); a point that nothing is near stays where it is."""
        return self._look(kernel(points, self.y, self.blur, self.cut), points)[0]


class Closest:
    """Closest points as a matching, in both directions, but for pairs that are farther apart than the reach.

    A point of x has its own nearest point of y, and all points of y whose nearest it is itself, as partners. Its target
    is their mean, its weight their number.

    Args:
        x, y: Clouds, shape (N, 3) and (M, 3), in mm.
        reach: In mm.
    """

    def __init__(self, x: Floats, y: Floats, reach: float) -> None:
        self.y, self._tree = y, cKDTree(y)
        distance, mine = self._tree.query(x)
        own = np.where(distance <= reach, 1.0, 0.0)
        distance, theirs = cKDTree(x).query(y)
        other = np.where(distance <= reach, 1.0, 0.0)
        self.weights: Floats = own + np.bincount(theirs, other, len(x))
        received = np.stack([np.bincount(theirs, other * column, len(x)) for column in y.T], axis=1)
        means = (own[:, None] * y[mine] + received) * _power(self.weights, -1)[:, None]
        self.targets = np.where(self.weights[:, None] > 0, means, x)

    def __call__(self, points: Floats) -> Floats:
        """Return the nearest points of y, both of shape (N, 3)."""
        return self.y[self._tree.query(points)[1]]


MATCHINGS: dict[str, Callable[[Floats, Floats, float], Matching]] = {"transport": Transported, "icp": Closest}
