"""A synthetic vessel tree in two phases of breathing: an anatomy whose deformation is known, in millimetres.

The tree is grown as models of the bronchi are (Tawhai and others, 2000): a branch goes a part of the way towards the
middle of the region that it has to supply; there the region is halved, and each half gets a branch of its own.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import solve_ivp
from scipy.spatial.distance import cdist

from shapeofloss.arrays import Floats, as_count
from shapeofloss.distributions.clouds import as_cloud
from shapeofloss.errors import UserError

SEMI_AXES = (55.0, 75.0, 110.0)  # of the region, mm: about the size of one lung, two litres
WAY = 0.4  # how far a branch goes towards the middle of its region, as in Tawhai's model
PER_TIP = 12  # random points of the region for each tip of the tree
CENTRES = 60  # of the bumps of the velocity


@dataclass(frozen=True)
class Tree:
    """Straight branches in space.

    Attributes:
        starts, ends: Where branches start and end, shape (B, 3), in mm; parents come before their children.
        parents: The branch that each one grows out of, shape (B,); -1 for the trunk.
        levels: The generation of each branch, shape (B,): 0 for the trunk.
    """

    starts: Floats
    ends: Floats
    parents: NDArray[np.int64]
    levels: NDArray[np.int64]

    @property
    def lengths(self) -> Floats:
        """Return the lengths of the branches, shape (B,), in mm."""
        return np.linalg.norm(self.ends - self.starts, axis=1)

    @property
    def forks(self) -> NDArray[np.int64]:
        """Return the branches that end in a fork, shape (F,)."""
        return np.setdiff1d(np.unique(self.parents), [-1])

    def descendants(self, branch: int) -> NDArray[np.bool_]:
        """Tell which branches are this one or grow out of it, shape (B,)."""
        belongs = np.arange(len(self.parents)) == branch
        for child, parent in enumerate(self.parents):
            belongs[child] |= parent >= 0 and belongs[parent]
        return belongs


def grow(seed: int, *, levels: int = 8) -> Tree:
    """Grow a tree that fills an ellipsoid of 110 x 150 x 220 mm from its medial side.

    Args:
        seed: Seed of the region's random points.
        levels: Generations of branches: there will be 2^levels - 1 of them. From 1 to 14.
    Raises:
        UserError: If there are more or fewer levels.
    Example:
        >>> tree = grow(0, levels=3)
        >>> len(tree.starts), tree.forks.tolist()
        (7, [0, 1, 4])
    """
    levels = as_count(levels, "levels", at_most=14)
    generator = np.random.default_rng([seed, 0])
    direction = generator.standard_normal((PER_TIP * 2**levels, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    region = direction * generator.random((len(direction), 1)) ** (1 / 3) * SEMI_AXES
    branches: list[tuple[Floats, Floats, int, int]] = []

    def sprout(start: Floats, supplied: Floats, parent: int, level: int) -> None:
        middle = supplied.mean(0)
        end = start + WAY * (middle - start)
        branches.append((start, end, parent, level))
        if level + 1 == levels:
            return
        number = len(branches) - 1
        along = np.linalg.svd(supplied - middle, full_matrices=False)[2][0]  # the region's longest axis
        order = np.argsort((supplied - middle) @ along)
        for half in np.array_split(order, 2):
            sprout(end, supplied[half], number, level + 1)

    sprout(np.array([-SEMI_AXES[0], 0.0, 0.0]), region, -1, 0)
    starts, ends, parents, depths = map(np.array, zip(*branches, strict=True))
    return Tree(starts, ends, parents, depths)


@dataclass(frozen=True)
class Deformation:
    r"""The flow of a smooth velocity for one unit of time, which can be undone: it folds nothing.

    .. math:: \dot p = \kappa \Bigl( \tau + W p + \sum_k g_k \exp\bigl(-\tfrac{|p - q_k|^2}{2 \ell^2}\bigr) \Bigr)

    Attributes:
        shift: tau, shape (3,), in mm.
        linear: W, shape (3, 3).
        centres: q_k, shape (K, 3), in mm.
        bumps: g_k, shape (K, 3), in mm.
        width: l, the length scale of the bumps, in mm.
        strength: kappa; -1 times it is the way back.
    """

    shift: Floats
    linear: Floats
    centres: Floats
    bumps: Floats
    width: float
    strength: float = 1.0

    def velocity(self, points: Floats) -> Floats:
        """Return the velocity at points, both of shape (N, 3), in mm per unit of time."""
        local = np.exp(cdist(points, self.centres, "sqeuclidean") / (-2 * self.width**2)) @ self.bumps
        return self.strength * (self.shift + points @ self.linear.T + local)

    def __call__(self, points: ArrayLike) -> Floats:
        """Return where points end, both of shape (N, 3), to a thousandth of a millimetre."""
        start = as_cloud(points, "points")

        def slope(_: float, p: Floats) -> Floats:
            return self.velocity(p.reshape(-1, 3)).ravel()

        path = solve_ivp(slope, (0, 1), start.ravel(), t_eval=[1], rtol=1e-6, atol=1e-6)
        return path.y.reshape(-1, 3)

    def scaled(self, factor: float) -> "Deformation":
        """Return the flow whose velocity is `factor` times this one's."""
        return replace(self, strength=factor * self.strength)


def breathe(tree: Tree, seed: int, *, amplitude: float, local: float = 0.5, width: float = 45.0) -> Deformation:
    """Return a random deformation of a tree: a pose, a stretch as of breathing, and what no affine map can follow.

    Args:
        tree: What it is scaled by.
        seed: Seed of the random numbers.
        amplitude: Mean distance that the branches' ends travel, in mm, at least 0.
        local: The share of the bumps in the velocity's mean square over the tree, from 0 to 1.
        width: Length scale of the bumps, in mm.
    Raises:
        UserError: If a number is none of the above.
    Example:
        >>> tree = grow(0)
        >>> moved = breathe(tree, 0, amplitude=20.0)(tree.ends) - tree.ends
        >>> round(float(np.linalg.norm(moved, axis=1).mean()), 2)
        20.0
    """
    if not (0 <= amplitude < np.inf and 0 <= local <= 1 and 0 < width < np.inf):
        raise UserError(
            f"A deformation of amplitude {amplitude} mm, local share {local} and width {width} mm: the amplitude has "
            "to be at least 0, the share from 0 to 1, the width above 0, all finite."
        )
    generator = np.random.default_rng([seed, 1])
    axis = generator.standard_normal(3)
    spin = np.cross(np.eye(3), 0.15 * axis / np.linalg.norm(axis))  # 9 degrees, before scaling
    linear = spin + np.diag([0.05, 0.1, 0.25]) * generator.uniform(0.5, 1.5, 3)  # most along the body's axis
    shift = 10 * generator.standard_normal(3)
    centres = tree.ends.mean(0) + generator.uniform(-1.3, 1.3, (CENTRES, 3)) * SEMI_AXES
    bumps = generator.standard_normal((CENTRES, 3))
    whole = Deformation(shift, linear, centres, bumps, width)
    affine = shift + tree.ends @ linear.T
    a, b = (
        np.sqrt(share / (velocity**2).sum(1).mean())
        for share, velocity in ((1 - local, affine), (local, whole.velocity(tree.ends) - affine))
    )
    flow = replace(whole, shift=a * shift, linear=a * linear, bumps=b * bumps)
    strength = amplitude
    for _ in range(12 if amplitude else 0):
        strength *= amplitude / np.linalg.norm(flow.scaled(strength)(tree.ends) - tree.ends, axis=1).mean()
    return flow.scaled(strength)


@dataclass(frozen=True)
class Phases:
    """Two clouds of one anatomy, and what a physician would mark in both.

    Attributes:
        x, y: Clouds of the two phases, shape (N, 3) and (M, 3), in mm.
        landmarks: Forks that both phases show, in the first phase, without noise, shape (L, 3), in mm.
        images: Where the same forks are in the second phase, shape (L, 3), in mm.
        tree: The whole tree in the first phase.
        deformation: The map from the first phase to the second.
        seen: Which branches each phase shows, shape (2, B).
    """

    x: Floats
    y: Floats
    landmarks: Floats
    images: Floats
    tree: Tree
    deformation: Deformation
    seen: NDArray[np.bool_]


def _prune(tree: Tree, generator: np.random.Generator, share: float) -> NDArray[np.bool_]:
    """Return which branches are left once subtrees of at least this share of all the length are lost."""
    kept = np.ones(len(tree.parents), dtype=bool)
    candidates = generator.permutation(np.flatnonzero(tree.levels >= min(3, tree.levels.max())))
    for branch in candidates:
        if tree.lengths[~kept].sum() >= share * tree.lengths.sum():
            break
        kept &= ~tree.descendants(branch)
    return kept


def _scan(tree: Tree, seen: NDArray[np.bool_], generator: np.random.Generator, points: int) -> Floats:
    """Return points on the branches that are seen, as dense everywhere as `points` on the whole tree would be."""
    lengths = np.where(seen, tree.lengths, 0)
    count = max(1, round(points * lengths.sum() / tree.lengths.sum()))
    branches = generator.choice(len(lengths), size=count, p=lengths / lengths.sum())
    along = generator.random((count, 1))
    return tree.starts[branches] * (1 - along) + tree.ends[branches] * along


def two_phases(
    seed: int,
    *,
    points: int,
    amplitude: float,
    missing: float = 0.1,
    noise: float = 0.5,
    levels: int = 8,
    width: float = 45.0,
) -> Phases:
    """Draw one anatomy in two phases of breathing, each with its own points, its own noise and its own lost branches.

    Tree, deformation and lost branches depend on the seed and not on `points`, `amplitude` or `noise`.

    Args:
        seed: Seed of everything that is random.
        points: Number of points on the whole tree; a phase that lacks branches has as many fewer.
        amplitude: Mean distance that the branches' ends travel, in mm.
        missing: Share of the tree's length that each phase lacks, from 0 to 0.5, in whole subtrees.
        noise: Standard deviation of each coordinate, in mm.
        levels: As for `grow`.
        width: As for `breathe`.
    Raises:
        UserError: If a number is none of the above, or no fork is left that both phases show.
    Source:
        Optimal transport talk, slides on lung registration, which have two scans of a patient instead.
    Example:
        >>> drawn = two_phases(0, points=500, amplitude=20.0)
        >>> drawn.x.shape[1], len(drawn.landmarks) == len(drawn.images)
        (3, True)
    """
    if as_count(points, "points", at_least=0) < 1 or not (0 <= missing <= 0.5 and 0 <= noise < np.inf):
        raise UserError(
            f"{points} points, {missing} missing, noise {noise} mm: take at least 1 point, 0 to 0.5 missing, noise of "
            "at least 0."
        )
    tree = grow(seed, levels=levels)
    deformation = breathe(tree, seed, amplitude=amplitude, width=width)

    def generator(purpose: int, phase: int) -> np.random.Generator:
        return np.random.default_rng([seed, purpose, phase])

    seen = np.array([_prune(tree, generator(2, phase), missing) for phase in (0, 1)])
    both = seen[0] & seen[1]
    shown = [fork for fork in tree.forks if both[fork] and both[tree.parents == fork].all()]
    if not shown:
        raise UserError(f"Tree {seed} has no fork that both phases show: take more levels or fewer missing branches.")
    x, y = (_scan(tree, seen[phase], generator(3, phase), points) for phase in (0, 1))
    x, y = (
        cloud + noise * generator(4, phase).standard_normal(cloud.shape)
        for phase, cloud in enumerate((x, deformation(y)))
    )
    landmarks = tree.ends[shown]
    return Phases(x, y, landmarks, deformation(landmarks), tree, deformation, seen)
