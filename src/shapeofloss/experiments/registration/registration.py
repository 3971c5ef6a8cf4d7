"""Registration of two clouds in three steps: align them, match them by robust transport, smooth what was matched.

All lengths are in mm. The last two steps are repeated in rounds, from a long reach to a short one. Iterative closest
points (ICP) go through the same rounds with the same first and third step; only the matching is another one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import KDTree

from shapeofloss.arrays import Floats, as_count, as_floats
from shapeofloss.distributions.clouds import as_cloud
from shapeofloss.errors import UserError, unknown
from shapeofloss.experiments.registration.anatomy import two_phases
from shapeofloss.experiments.registration.matching import MATCHINGS, Matching, by_closest_points, by_transport
from shapeofloss.experiments.registration.smooth_maps import FEWEST, Affine, Map, gaussian_map, smooth_map
from shapeofloss.transport.assignment.exact import cost_matrix, optimal_plan

ALIGNMENT = np.geomspace(60.0, 8.0, 8).tolist()  # reaches of the first step, mm
SOFTENING = 100.0  # how much stiffer than the last round the first one is


# --- the three steps --------------------------------------------------------------------------------------------------


def align(x: Floats, y: Floats, *, scale: float = 1.0) -> Affine:
    """Return an affine map that brings x close to y: step one.

    The map between Gaussians starts it; in eight rounds of robust transport, with a reach that falls from 60 to 8 mm,
    the affine map that fits the matching best replaces it.

    Args:
        x, y: Clouds, shape (N, 3) and (M, 3), in mm.
        scale: Factor of the reaches, for an anatomy that is smaller or larger than a lung.
    Raises:
        UserError: If a cloud lies in a plane, or nothing is within reach.
    """
    alignment = gaussian_map(x, y)
    for reach in ALIGNMENT:
        matched = by_transport(alignment(x), y, scale * reach)
        alignment = Affine.fit(x, matched.targets, matched.weights)
    return alignment


@dataclass(frozen=True)
class Settings:
    """What can be tuned, for either matching.

    Attributes:
        first, last: Reach of the first and of the last round, in mm.
        rounds: Number of rounds of matching and smoothing.
        stiffness: Stiffness of the last round; that of the first one is a hundred times as large.
        width: Width of the bumps, in mm.
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
        if as_count(self.rounds, "rounds", at_least=0) < 1 or not all(v > 0 and np.isfinite(v) for v in values):
            raise UserError(f"{self}: at least one round is needed, and all numbers have to be above 0.")
        reaches = self.scale * np.geomspace(self.last, self.first, self.rounds)
        stiffnesses = np.geomspace(self.stiffness, SOFTENING * self.stiffness, self.rounds)
        return list(zip(reaches[::-1].tolist(), stiffnesses[::-1].tolist(), strict=True))


@dataclass(frozen=True)
class Registration:
    """A map of space from the first phase to the second.

    Attributes:
        alignment: Step one.
        rounds: The matching of each round, and the smooth map of aligned points that was fitted to it.
    """

    alignment: Affine
    rounds: list[tuple[Matching, Map]]

    def follow(self, points: ArrayLike) -> Iterator[tuple[Floats, Floats]]:
        """Yield where points are after the matching and after the smoothing of every round, each of shape (N, 3)."""
        aligned = self.alignment(as_cloud(points, "points"))
        current = aligned
        for matching, smooth in self.rounds:
            matched, current = matching.carry(current), smooth(aligned)
            yield matched, current

    def __call__(self, points: ArrayLike) -> Floats:
        """Return where points end, both of shape (N, 3), in mm."""
        return self.rounds[-1][1](self.alignment(as_cloud(points, "points")))


def _in_space(points: ArrayLike, name: str) -> Floats:
    x = as_cloud(points, name)
    if len(x) < FEWEST or x.shape[1] != 3:
        raise UserError(f"The cloud {name} has shape {x.shape}; registration needs at least {FEWEST} points, (N, 3).")
    return x


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
        x, y: Clouds, shape (N, 3) and (M, 3), in mm; `cloud_pairs.check_pair` says what is wrong.
        matching: "transport" or "icp".
        settings: What can be tuned; the defaults suit vessels of a lung.
        alignment: Step one, if it is known.
    Raises:
        UserError: If the matching is neither; a cloud has fewer than 20 points or no three coordinates, or lies in a
            plane; a setting is none; or nothing is within reach.
    Source:
        Optimal transport talk, slide "Three-steps registration", where the second step has a trained network too.
    Example:
        >>> drawn = two_phases(0, points=300, amplitude=5.0, missing=0.0, levels=6)
        >>> registered = register(drawn.x, drawn.y)
        >>> landmark_error(registered(drawn.landmarks), drawn.images) < 2
        True
    """
    if matching not in MATCHINGS:
        raise unknown("matching", matching, MATCHINGS)
    x, y = _in_space(x, "x"), _in_space(y, "y")
    settings = settings or Settings()
    schedule = settings.schedule()
    alignment = alignment or align(x, y, scale=settings.scale)
    aligned = alignment(x)
    width = settings.scale * settings.width
    current, rounds = aligned, list[tuple[Matching, Map]]()
    for reach, stiffness in schedule:
        matched = MATCHINGS[matching](current, y, reach)
        smooth = smooth_map(aligned, matched.targets, matched.weights, width=width, stiffness=stiffness)
        rounds.append((matched, smooth))
        current = smooth(aligned)
    return Registration(alignment, rounds)


# --- errors where the truth is known ----------------------------------------------------------------------------------


def landmark_error(points: ArrayLike, images: ArrayLike) -> float:
    """Return the mean distance between points and where they should be, both of shape (L, 3), in mm.

    Raises:
        UserError: If one of them is no cloud, or they have different shapes.
    """
    x = as_cloud(points, "points")
    return float(np.linalg.norm(x - as_floats(images, "The cloud images", shape=x.shape), axis=1).mean())


def gap(points: Floats, y: Floats) -> float:
    """Return the mean distance to the nearest point of the other cloud, over both clouds, in mm; it needs no truth."""
    there, back = KDTree(y).query(points)[0], KDTree(points).query(y)[0]
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
        tuned = Settings(**settings)
        forth = register(drawn.x, drawn.y, matching=matching, settings=tuned, alignment=alignment)
        path = list(forth.follow(drawn.landmarks))
        for n, name in enumerate(("matched", "smoothed")):
            result[name].append([landmark_error(pair[n], drawn.images) for pair in path])
        if checks:
            back = register(drawn.y, drawn.x, matching=matching, settings=tuned, alignment=way_back)
            result["gap"].append(gap(forth(drawn.x), drawn.y))
            result["round_trip"].append(round_trip(forth, back, drawn.x))
    return result


def matched_once(
    seed: int, amplitude: float, points: int, missing: float, reach: float, levels: int = 8
) -> dict[str, Any]:
    """Align one synthetic pair, match it once in three ways, and return mean landmark errors, in mm.

    Args:
        seed, amplitude, points, missing, levels: As for `anatomy.two_phases`.
        reach: Reach of the matchings, in mm.
    Returns:
        `aligned`; `balanced`, by exact transport of equal masses, where a landmark goes along with the nearest point;
        `robust`; `closest`.
    """
    drawn = two_phases(seed, points=points, amplitude=amplitude, missing=missing, levels=levels)
    alignment = align(drawn.x, drawn.y)
    x, marks = alignment(drawn.x), alignment(drawn.landmarks)
    guide = KDTree(x).query(marks)[1]
    moved = {
        "aligned": marks,
        "balanced": marks + (balanced(x, drawn.y) - x)[guide],
        "robust": by_transport(x, drawn.y, reach).carry(marks),
        "closest": by_closest_points(x, drawn.y, reach).carry(marks),
    }
    return {name: landmark_error(image, drawn.images) for name, image in moved.items()}


def balanced(x: Floats, y: Floats) -> Floats:
    """Return the middle of where each point's mass goes by exact transport of all of it, shape (N, 3), in mm."""
    plan = optimal_plan(cost_matrix(x, y))
    return plan @ y / plan.sum(1, keepdims=True)
