"""A pair of point clouds of your own: read from files, checked, and brought to millimetres."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from shapeofloss.arrays import Floats, as_floats
from shapeofloss.errors import UserError, unknown
from shapeofloss.experiments.registration.smooth_maps import FEWEST, FLAT, is_flat

MILLIMETRES = {"mm": 1.0, "cm": 10.0, "m": 1000.0, "um": 0.001}
PLAUSIBLE = (1.0, 3000.0)  # diagonal of the box of something anatomical, mm
LARGEST_RATIO = 3.0  # of the sizes of two phases
LUNG = 52.0  # root of the mean squared distance of the synthetic tree's points from their mean, mm


@dataclass(frozen=True)
class Pair:
    """Two clouds that can be registered.

    Attributes:
        x, y: Shape (N, 3) and (M, 3), in mm, without repeated points.
        dropped: How many repeated points were left out of each.
        scale: The size of the anatomy over that of the course's lung, for `Settings`.
    """

    x: Floats
    y: Floats
    dropped: tuple[int, int]
    scale: float


def _checked(points: ArrayLike, name: str, unit: str) -> Floats:
    """Return a cloud in mm without repeated points."""
    x = as_floats(points, f"The cloud {name}", shape=("N", 3))
    distinct = np.sort(np.unique(x, axis=0, return_index=True)[1])
    if len(distinct) < FEWEST or 2 * len(distinct) < len(x):
        raise UserError(
            f"The cloud {name} has {len(distinct)} distinct points among {len(x)}; at least {FEWEST}, and half of all, "
            "have to be distinct. Was a file read twice, or were coordinates rounded?"
        )
    with np.errstate(over="ignore"):
        x = x[distinct] * MILLIMETRES[unit]
        diagonal = float(np.hypot.reduce(np.ptp(x, axis=0)))
    if not PLAUSIBLE[0] <= diagonal <= PLAUSIBLE[1]:
        raise UserError(
            f"In {unit}, the box around {name} would have a diagonal of {diagonal:,.4g} mm; anatomy has from "
            f"{PLAUSIBLE[0]:g} to {PLAUSIBLE[1]:g} mm. Known units are {', '.join(MILLIMETRES)}."
        )
    if is_flat(x):
        raise UserError(FLAT.format(name=name))
    return x


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
    clouds = _checked(x, "x", unit), _checked(y, "y", unit)
    spreads = [float(np.sqrt(cloud.var(0).sum())) for cloud in clouds]
    if max(spreads) > LARGEST_RATIO * min(spreads):
        raise UserError(
            f"The cloud {'xy'[np.argmax(spreads)]} is {max(spreads) / min(spreads):,.4g} times as large as the other; "
            f"two phases of one anatomy differ by a factor of at most {LARGEST_RATIO:g}. Is one in another unit, or "
            "does it show another region?"
        )
    dropped = len(np.asarray(x)) - len(clouds[0]), len(np.asarray(y)) - len(clouds[1])
    return Pair(*clouds, dropped, float(np.mean(spreads)) / LUNG)


def read_cloud(path: str | Path) -> Floats:
    """Read points from a file: `.npy`, or text with one point per line.

    Args:
        path: In a text, the coordinates stand between commas, semicolons or spaces; the first line may be a heading,
            without a digit.
    Raises:
        UserError: If the file is not there, or holds no table of numbers.
    """
    path = Path(path)
    try:
        if path.suffix == ".npy":
            return as_floats(np.lib.format.open_memmap(path, mode="r"), str(path))  # never unpickles anything
        text = path.read_text(encoding="utf-8-sig")
        separator = next((mark for mark in ",;" if mark in text), None)
        heading = int(not re.match(r".*(\d|nan|inf)", text, re.IGNORECASE))
        return np.loadtxt(text.splitlines(), delimiter=separator, skiprows=heading, ndmin=2)
    except Exception as error:  # NumPy and Python find many names for a damaged file
        raise UserError(f"{path} cannot be read as a table of numbers: {error or type(error).__name__}.") from None
