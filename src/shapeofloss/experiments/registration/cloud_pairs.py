"""A pair of point clouds of one's own: read from files, checked, and brought to millimetres."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from shapeofloss.arrays import Floats, as_floats
from shapeofloss.errors import UserError, unknown
from shapeofloss.experiments.registration.smooth_maps import FEWEST, FLAT, is_flat

MILLIMETRES = {"mm": 1.0, "cm": 10.0, "m": 1000.0, "um": 0.001}
PLAUSIBLE = (1.0, 3000.0)  # diagonal of the box of something anatomical, mm
LARGEST_RATIO = 3.0  # of the sizes of two phases
LUNG = 52.0  # root of the mean squared distance of the synthetic tree's points from their mean, mm
ENDINGS = (".npy", ".csv", ".txt", ".xyz")


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
    x = as_floats(points, f"The cloud {name}", finite=False)
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
    with np.errstate(over="ignore"):
        kept = x[distinct] * MILLIMETRES[unit]
        diagonal = float(np.hypot.reduce(kept.max(0) - kept.min(0)))
    if not PLAUSIBLE[0] <= diagonal <= PLAUSIBLE[1]:
        fits = [u for u, f in MILLIMETRES.items() if PLAUSIBLE[0] <= diagonal / MILLIMETRES[unit] * f <= PLAUSIBLE[1]]
        raise UserError(
            f"In {unit}, the box around {name} would have a diagonal of {diagonal:,.4g} mm; anatomy has from "
            f"{PLAUSIBLE[0]:g} to {PLAUSIBLE[1]:g} mm. Plausible here: {', '.join(fits) or 'no known unit'}."
        )
    if is_flat(kept):
        raise UserError(FLAT.format(name=name))
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
            commas, semicolons or spaces; the first line may be a heading, without a number.
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
            return np.lib.format.open_memmap(path, mode="r")  # refuses headers that promise more than the file has
        text = path.read_text(encoding="utf-8-sig")
        if found := re.search(r"[,;][ \t]*[,;]", text):
            raise ValueError(f"line {text[: found.start()].count(chr(10)) + 1} has an empty field")
        lines = text.replace(",", " ").replace(";", " ").splitlines()
        return np.loadtxt(lines[_has_heading(lines) :], ndmin=2)
    except Exception as error:  # NumPy and Python find many names for a damaged file
        raise UserError(f"{path} cannot be read as a table of numbers: {error or type(error).__name__}.") from None


def _has_heading(lines: list[str]) -> bool:
    return bool(lines) and not any(_is_number(word) for word in lines[0].split())


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
