r"""Registration of two clouds in three steps: align them, match them by robust transport, smooth what was matched.

All lengths are in mm. The last two steps are repeated in rounds, from a long reach to a short one. Iterative closest
points (ICP) go through the same rounds with the same first and third step; only the matching is another one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import solve
from scipy.sparse import coo_array, csr_array
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from shapeofloss.errors import UserError, unknown
from shapeofloss.transport.anatomy import two_phases
from shapeofloss.transport.clouds import Floats, as_cloud
from shapeofloss.transport.exact import cost_matrix, optimal_plan

SHARPNESS = 4.0  # reach over blur: at a distance of one reach, matches are told apart to a quarter of it
CUT = 3.0  # times the reach: farther pairs are left out; a lonely pair would keep a tenth of its mass there
STEPS = 40  # of Sinkhorn's algorithm: at this sharpness each takes an eighth of the error away
ALIGNMENT = (60.0, 8.0, 8)  # first reach, last reach and rounds of the first step
SOFTENING = 100.0  # how much stiffer than the last round the first one is
SPACING = 0.6  # between the centres of neighbouring bumps, in units of their width
FEWEST = 20  # points of a cloud
NOTHING = (
    "No point has a partner within reach: are both clouds of one anatomy, and in one unit? A longer first reach or a "
    "larger scale may help."
)
MILLIMETRES = {"mm": 1.0, "cm": 10.0, "m": 1000.0, "um": 0.001}
PLAUSIBLE = (1.0, 3000.0)  # diagonal of the box of something anatomical, mm
LARGEST_RATIO = 3.0  # of the sizes of two phases
LUNG = 52.0  # root of the mean squared distance of the synthetic tree's points from their mean, mm
ENDINGS = (".npy", ".csv", ".txt", ".xyz")


# --- maps of space ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Affine:
    """The map p -> matrix p + shift of points, shape (N, 3)."""

    matrix: Floats
    shift: Floats

    def __call__(self, points: Floats) -> Floats:
        """Return where points go, both of shape (N, 3)."""
        return points @ self.matrix.T + self.shift

    @classmethod
    def fit(cls, points: Floats, targets: Floats, weights: Floats) -> "Affine":
        """Return the map with the least weighted sum of squared distances to the targets, all of shape (N, 3)."""
        middle = np.average(points, axis=0, weights=weights)
        image = np.average(targets, axis=0, weights=weights)
        p = points - middle
        matrix = solve(p.T @ (weights[:, None] * p), p.T @ (weights[:, None] * (targets - image)), assume_a="pos").T
        return cls(matrix, image - matrix @ middle)


def gaussian_map(x: Floats, y: Floats) -> Affine:
    r"""Return the affine map that is optimal transport between Gaussians with the means and covariances of the clouds.

    .. math:: A = S_x^{-1/2} \bigl(S_x^{1/2} S_y S_x^{1/2}\bigr)^{1/2} S_x^{-1/2}

    Args:
        x, y: Clouds, shape (N, 3) and (M, 3), that do not lie in a plane.
    Source:
        Optimal transport talk, slides on the Gauss map, in three dimensions.
    Example:
        >>> x = np.random.default_rng(0).standard_normal((50, 3))
        >>> gaussian_map(x, 2 * x + 1).matrix.round(9) + 0.0
        array([[2., 0., 0.],
               [0., 2., 0.],
               [0., 0., 2.]])
    """

    def power(matrix: Floats, exponent: float) -> Floats:
        values, vectors = np.linalg.eigh(matrix)
        return (vectors * values**exponent) @ vectors.T

    root, inverse = (power(np.cov(x.T), exponent) for exponent in (0.5, -0.5))
    matrix = inverse @ power(root @ np.cov(y.T) @ root, 0.5) @ inverse
    return Affine(matrix, y.mean(0) - matrix @ x.mean(0))


@dataclass(frozen=True)
class Smooth:
    r"""The map p -> p + v(p), whose displacement v is an affine map plus bumps.

    .. math:: v(p) = A p + b + \sum_k a_k \exp\bigl(-\tfrac{|p - c_k|^2}{2 w^2}\bigr)

    Attributes:
        affine: p -> A p + b.
        centres, bumps: c_k and a_k, shape (K, 3), in mm.
        width: w, in mm.
    """

    affine: Affine
    centres: Floats
    bumps: Floats
    width: float

    def __call__(self, points: Floats) -> Floats:
        """Return where points go, both of shape (N, 3)."""
        return points + self.affine(points) + _gaussians(points, self.centres, self.width) @ self.bumps


def _gaussians(points: Floats, centres: Floats, width: float) -> Floats:
    return np.exp(cdist(points, centres, "sqeuclidean") / (-2 * width**2))


class Smoother:
    r"""Fits smooth maps to targets of the same points, again and again: step three.

    The displacement v minimises, over affine maps and bumps,

    .. math:: \frac{\sum_i m_i\, |x_i + v(x_i) - t_i|^2}{\sum_i m_i} + s \sum_{kl} \langle a_k, a_l \rangle
              \exp\bigl(-\tfrac{|c_k - c_l|^2}{2 w^2}\bigr)

    Args:
        x: The points, shape (N, 3), in mm.
        width: w, in mm. The centres c_k are points of x, each at least 0.6 w away from all others.
    """

    def __init__(self, x: Floats, width: float) -> None:
        self.x, self.width = x, width
        self.middle = x.mean(0)
        self.centres = spread_out(x, SPACING * width)
        self._penalty = _gaussians(self.centres, self.centres, width)
        linear = np.column_stack([np.ones(len(x)), (x - self.middle) / width])
        self._columns = np.column_stack([_gaussians(x, self.centres, width), linear])

    def fit(self, targets: Floats, weights: Floats, stiffness: float) -> Smooth:
        """Return the map for targets t_i, shape (N, 3), with weights m_i, shape (N,), and the stiffness s, above 0.

        Raises:
            UserError: If all weights are 0.
        """
        if not weights.sum() > 0:
            raise UserError(NOTHING)
        count, share = len(self.centres), weights / weights.sum()
        weighted = share[:, None] * self._columns
        matrix = self._columns.T @ weighted
        matrix[:count, :count] += stiffness * self._penalty
        matrix += 1e-10 * np.eye(len(matrix))  # bumps that overlap are told apart to rounding only
        found = solve(matrix, weighted.T @ (targets - self.x), assume_a="pos")
        slope = found[count + 1 :].T / self.width
        return Smooth(Affine(slope, found[count] - slope @ self.middle), self.centres, found[:count], self.width)


def spread_out(x: Floats, spacing: float) -> Floats:
    """Return points of x, farthest first, until none of the others is farther than `spacing` from all of them.

    Example:
        >>> spread_out(np.array([[0.0], [1.0], [9.0]]), 2.0)
        array([[0.],
               [9.]])
    """
    chosen, nearest = [0], np.linalg.norm(x - x[0], axis=1)
    while nearest.max() > spacing:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(x - x[chosen[-1]], axis=1))
    return x[chosen]


# --- two ways to match ------------------------------------------------------------------------------------------------


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
    """Return a negative power, and 0 where nothing is in reach."""
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


# --- the three steps --------------------------------------------------------------------------------------------------


def align(x: Floats, y: Floats, *, scale: float = 1.0) -> Affine:
    """Return an affine map that brings x close to y: step one.

    The map between Gaussians starts it; in eight rounds of robust transport, with a reach that falls from 60 to 8 mm,
    the affine map that fits the matching best replaces it.

    Args:
        x, y: Clouds, shape (N, 3) and (M, 3), in mm.
        scale: Factor of the reaches, for an anatomy that is smaller or larger than a lung.
    Raises:
        UserError: If nothing is within reach.
    """
    found = gaussian_map(x, y)
    first, last, rounds = ALIGNMENT
    for reach in np.geomspace(first, last, rounds):
        matched = Transported(found(x), y, scale * float(reach))
        if (matched.weights > 0).sum() < FEWEST:
            raise UserError(NOTHING)
        found = Affine.fit(x, matched.targets, matched.weights)
    return found


@dataclass(frozen=True)
class Settings:
    """What can be tuned, for either matching.

    Attributes:
        first, last: Reach of the first and of the last round, in mm.
        rounds: Of matching and smoothing.
        stiffness: In the last round; in the first one it is a hundred times as large.
        width: Of the bumps, in mm.
        scale: Size of the anatomy over that of a lung: a factor of all lengths, those of step one too.
    """

    first: float = 20.0
    last: float = 2.0
    rounds: int = 24
    stiffness: float = 3e-4
    width: float = 40.0
    scale: float = 1.0

    def schedule(self) -> list[tuple[float, float]]:
        """Return reach, in mm, and stiffness of every round; one round has the last ones.

        Raises:
            UserError: If there is no round, or a number is not above 0.
        """
        values = (self.first, self.last, self.stiffness, self.width, self.scale)
        if self.rounds < 1 or not all(v > 0 and np.isfinite(v) for v in values):
            raise UserError(f"{self}: at least one round is needed, and all numbers have to be above 0.")
        if self.rounds == 1:
            return [(self.scale * self.last, self.stiffness)]
        reaches = self.scale * np.geomspace(self.first, self.last, self.rounds)
        stiffnesses = np.geomspace(SOFTENING * self.stiffness, self.stiffness, self.rounds)
        return list(zip(reaches.tolist(), stiffnesses.tolist(), strict=True))


@dataclass(frozen=True)
class Registration:
    """A map of space from the first phase to the second.

    Attributes:
        alignment: Step one.
        rounds: Of each round, the matching and the smooth map of aligned points that was fitted to it.
    """

    alignment: Affine
    rounds: list[tuple[Matching, Smooth]]

    def follow(self, points: ArrayLike) -> Iterator[tuple[Floats, Floats]]:
        """Yield where points are after the matching and after the smoothing of every round, each of shape (N, 3)."""
        aligned = self.alignment(as_cloud(points, "points"))
        current = aligned
        for matching, smooth in self.rounds:
            matched, current = matching(current), smooth(aligned)
            yield matched, current

    def __call__(self, points: ArrayLike) -> Floats:
        """Return where points end, both of shape (N, 3), in mm."""
        return self.rounds[-1][1](self.alignment(as_cloud(points, "points")))


def register(
    x: ArrayLike,
    y: ArrayLike,
    *,
    matching: str = "transport",
    settings: Settings | None = None,
    alignment: Affine | None = None,
) -> Registration:
    """Register a cloud with another one of the same anatomy.

    Args:
        x, y: Clouds, shape (N, 3) and (M, 3), in mm; `check_pair` says what is wrong with a pair.
        matching: "transport" or "icp".
        settings: What can be tuned; the defaults suit vessels of a lung.
        alignment: Step one, if it is known.
    Raises:
        UserError: If the matching is neither, a cloud or a setting is none, or nothing is within reach.
    Source:
        Optimal transport talk, slide "Three-steps registration", where the second step has a trained network too.
    Example:
        >>> drawn = two_phases(0, points=300, amplitude=5.0, missing=0.0, levels=6)
        >>> found = register(drawn.x, drawn.y)
        >>> bool(np.linalg.norm(found(drawn.landmarks) - drawn.images, axis=1).mean() < 2)
        True
    """
    if matching not in MATCHINGS:
        raise unknown("matching", matching, MATCHINGS)
    x, y = as_cloud(x, "x"), as_cloud(y, "y")
    settings = settings or Settings()
    schedule = settings.schedule()
    alignment = alignment or align(x, y, scale=settings.scale)
    aligned = alignment(x)
    smoother = Smoother(aligned, settings.scale * settings.width)
    current, rounds = aligned, list[tuple[Matching, Smooth]]()
    for reach, stiffness in schedule:
        matched = MATCHINGS[matching](current, y, reach)
        smooth = smoother.fit(matched.targets, matched.weights, stiffness)
        rounds.append((matched, smooth))
        current = smooth(aligned)
    return Registration(alignment, rounds)


# --- errors where the truth is known ----------------------------------------------------------------------------------


def landmark_error(points: Floats, images: Floats) -> float:
    """Return the mean distance between points and where they should be, both of shape (L, 3), in mm."""
    return float(np.linalg.norm(points - images, axis=1).mean())


def gap(points: Floats, y: Floats) -> float:
    """Return the mean distance to the nearest point of the other cloud, over both clouds, in mm; it needs no truth."""
    there, back = cKDTree(y).query(points)[0], cKDTree(points).query(y)[0]
    return float(np.concatenate([there, back]).mean())


def round_trip(forth: Registration, back: Registration, points: ArrayLike) -> float:
    """Return how far points are, on average, from where they started after going forth and back, in mm."""
    return landmark_error(back(forth(points)), as_cloud(points, "points"))


def trials(
    seed: int,
    amplitude: float,
    points: int,
    missing: float,
    tried: Sequence[tuple[str, Mapping[str, Any]]],
    levels: int = 8,
    checks: bool = False,
) -> dict[str, Any]:
    """Register one synthetic pair in several ways, and return mean landmark errors, in mm.

    Args:
        seed, amplitude, points, missing, levels: As for `anatomy.two_phases`.
        tried: Pairs of a matching and its settings.
        checks: Whether to find out what a user without landmarks could know, too.
    Returns:
        `before` and `aligned`, two numbers; `landmarks`, how many there are; for each way, in `matched` and `smoothed`
        the errors after every round, as lists of the same length. With checks, `gap` and `round_trip` for each way.
    """
    drawn = two_phases(seed, points=points, amplitude=amplitude, missing=missing, levels=levels)
    alignment = align(drawn.x, drawn.y)
    way_back = align(drawn.y, drawn.x) if checks else None
    result: dict[str, Any] = {
        "before": landmark_error(drawn.landmarks, drawn.images),
        "aligned": landmark_error(alignment(drawn.landmarks), drawn.images),
        "landmarks": len(drawn.landmarks),
        **{name: [] for name in ("matched", "smoothed", *(("gap", "round_trip") if checks else ()))},
    }
    for matching, settings in tried:
        own = Settings(**settings)
        found = register(drawn.x, drawn.y, matching=matching, settings=own, alignment=alignment)
        errors = [[landmark_error(p, drawn.images) for p in pair] for pair in found.follow(drawn.landmarks)]
        result["matched"].append([pair[0] for pair in errors])
        result["smoothed"].append([pair[1] for pair in errors])
        if checks:
            back = register(drawn.y, drawn.x, matching=matching, settings=own, alignment=way_back)
            result["gap"].append(gap(found(drawn.x), drawn.y))
            result["round_trip"].append(round_trip(found, back, drawn.x))
    return result


def matched_once(
    seed: int, amplitude: float, points: int, missing: float, reach: float, levels: int = 8
) -> dict[str, Any]:
    """Align one synthetic pair, match it once in three ways, and return mean landmark errors, in mm.

    Args:
        seed, amplitude, points, missing, levels: As for `anatomy.two_phases`.
        reach: Of robust transport, in mm.
    Returns:
        `aligned`; `balanced`, by exact transport of equal masses, where a landmark goes along with the nearest point;
        `robust`; `closest`.
    """
    drawn = two_phases(seed, points=points, amplitude=amplitude, missing=missing, levels=levels)
    alignment = align(drawn.x, drawn.y)
    x, marks = alignment(drawn.x), alignment(drawn.landmarks)
    guide = cKDTree(x).query(marks)[1]
    moved = {
        "aligned": marks,
        "balanced": marks + (balanced(x, drawn.y) - x)[guide],
        "robust": Transported(x, drawn.y, reach)(marks),
        "closest": Closest(x, drawn.y, reach)(marks),
    }
    return {name: landmark_error(image, drawn.images) for name, image in moved.items()}


def balanced(x: Floats, y: Floats) -> Floats:
    """Return the middle of where each point's mass goes by exact transport of all of it, shape (N, 3), in mm."""
    plan = optimal_plan(cost_matrix(x, y))
    return plan @ y / plan.sum(1, keepdims=True)


# --- a pair of one's own ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pair:
    """Two clouds that can be registered.

    Attributes:
        x, y: Shape (N, 3) and (M, 3), in mm, without repeated points.
        dropped: How many repeated points were left out of each.
    """

    x: Floats
    y: Floats
    dropped: tuple[int, int]

    @property
    def scale(self) -> float:
        """The size of the anatomy over that of the course's lung, for `Settings`."""
        return float(np.mean([_spread(self.x), _spread(self.y)])) / LUNG


def _spread(points: Floats) -> float:
    """Return the root of the mean squared distance from the mean, in the unit of the points."""
    return float(np.sqrt(points.var(0).sum()))


def _checked(points: ArrayLike, name: str, unit: str) -> tuple[Floats, int]:
    """Return a cloud in mm without repeated points, and how many there were."""
    try:
        x = np.asarray(points, dtype=np.float64)
    except (TypeError, ValueError):
        raise UserError(f"The cloud {name} holds something else than numbers, or rows of different lengths.") from None
    if x.ndim != 2 or x.shape[1] != 3:
        raise UserError(f"The cloud {name} has shape {x.shape}; it needs three coordinates per point, (N, 3).")
    if len(bad := np.flatnonzero(~np.isfinite(x).all(1))):
        shown = ", ".join(map(str, bad[:3])) + (", ..." if len(bad) > 3 else "")
        raise UserError(
            f"{len(bad)} of the {len(x)} points of {name} have a coordinate that is NaN or infinite (rows {shown}, "
            "counted from 0): leave these rows out."
        )
    distinct = np.sort(np.unique(x, axis=0, return_index=True)[1])
    if 2 * len(distinct) < len(x):
        raise UserError(
            f"Only {len(distinct)} of the {len(x)} points of {name} are distinct; at least half have to be. Was a file "
            "read twice, or were coordinates rounded?"
        )
    if len(distinct) < FEWEST:
        raise UserError(f"The cloud {name} has {len(distinct)} distinct points; at least {FEWEST} are needed.")
    kept = x[distinct] * MILLIMETRES[unit]
    values = np.linalg.svd(kept - kept.mean(0), compute_uv=False)
    if values[-1] < 1e-6 * values[0]:
        raise UserError(
            f"The points of {name} lie in a plane or on a line; an alignment in space needs all three directions."
        )
    diagonal = float(np.linalg.norm(np.ptp(kept, axis=0)))
    if not PLAUSIBLE[0] <= diagonal <= PLAUSIBLE[1]:
        fits = [u for u, f in MILLIMETRES.items() if PLAUSIBLE[0] <= diagonal / MILLIMETRES[unit] * f <= PLAUSIBLE[1]]
        raise UserError(
            f"In {unit}, the box around {name} would have a diagonal of {diagonal:,.4g} mm; anatomy has from "
            f"{PLAUSIBLE[0]:g} to {PLAUSIBLE[1]:g} mm. Plausible here: {', '.join(fits) or 'no known unit'}."
        )
    return kept, len(x) - len(distinct)


def check_pair(x: ArrayLike, y: ArrayLike, *, unit: str = "mm") -> Pair:
    """Return a pair of clouds in mm, fit for `register`, or say what is wrong with it.

    Args:
        x, y: Clouds of the two phases, shape (N, 3) and (M, 3), in the given unit.
        unit: "mm", "cm", "m" or "um", of both.
    Raises:
        UserError: If the unit is unknown; a cloud has another shape, coordinates that are not finite, fewer than 20
            distinct points or more repeated than distinct ones, or lies in a plane; its size is none of an anatomy's
            in this unit; or one cloud is more than three times as large as the other.
    Example:
        >>> x = np.random.default_rng(0).random((100, 3))
        >>> check_pair(np.concatenate([x, x[:5]]), x + 1, unit="cm").dropped
        (5, 0)
    """
    if unit not in MILLIMETRES:
        raise unknown("unit", unit, MILLIMETRES)
    (ours, mine), (theirs, other) = _checked(x, "x", unit), _checked(y, "y", unit)
    ratio = _spread(ours) / _spread(theirs)
    if not 1 / LARGEST_RATIO <= ratio <= LARGEST_RATIO:
        large, small, factor = ("x", "y", ratio) if ratio > 1 else ("y", "x", 1 / ratio)
        raise UserError(
            f"The cloud {large} is {factor:,.4g} times as large as {small}; two phases of one anatomy differ by a "
            f"factor of at most {LARGEST_RATIO:g}. Is one in another unit, or does it show another region?"
        )
    return Pair(ours, theirs, (mine, other))


def read_pair(path_x: str | Path, path_y: str | Path, *, unit: str = "mm") -> Pair:
    """Read a pair of clouds from files, and check it as `check_pair` does.

    Args:
        path_x, path_y: `.npy`, or text (`.csv`, `.txt`, `.xyz`) with one point per line, its three coordinates between
            commas, semicolons or spaces; the first line may be a heading.
        unit: "mm", "cm", "m" or "um", of both.
    Raises:
        UserError: If a file is not there, has another ending or cannot be read, or as for `check_pair`.
    """
    return check_pair(_read(Path(path_x)), _read(Path(path_y)), unit=unit)


def _read(path: Path) -> Any:
    if path.suffix not in ENDINGS:
        raise UserError(f"{path} has the ending '{path.suffix}'; known are {', '.join(ENDINGS)}.")
    if not path.is_file():
        raise UserError(f"There is no file {path}.")
    try:
        if path.suffix == ".npy":
            return np.load(path, allow_pickle=False)
        lines = path.read_text().replace(",", " ").replace(";", " ").splitlines()
        return np.loadtxt(lines[_has_heading(lines) :], ndmin=2)
    except (ValueError, OSError) as error:
        raise UserError(f"{path} cannot be read as a table of numbers: {error}.") from None


def _has_heading(lines: list[str]) -> bool:
    try:
        return not [float(word) for word in lines[0].split()] if lines else False
    except ValueError:
        return True
