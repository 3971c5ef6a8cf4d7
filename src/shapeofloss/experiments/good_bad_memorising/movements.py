"""How trajectories move as seen from the optimum: how often they turn, when they are half way, how far sideways."""

import numpy as np
from numpy.typing import NDArray

from shapeofloss.arrays import Floats, as_floats
from shapeofloss.errors import UserError
from shapeofloss.landscape.record import Record
from shapeofloss.landscape.trajectories import by_trajectory


def turns(distance: Floats) -> NDArray[np.int64]:
    """Count how often each trajectory changes between moving outward and inward, shape (T,).

    An epoch that leaves the distance unchanged goes on as the one before it.

    Raises:
        UserError: If the distances are no table of finite numbers.
    Example:
        >>> turns(np.array([[3.0, 2.0, 2.0, 1.0], [1.0, 2.0, 1.0, 2.0]])).tolist()
        [0, 2]
    """
    signs = np.sign(np.diff(as_floats(distance, "distance", shape=("T", "E"), empty=False), axis=1))
    return np.array([np.count_nonzero(np.diff(row[row != 0])) for row in signs], np.int64)


def half_way(distance: Floats) -> NDArray[np.int64]:
    """Return the first epoch by which each trajectory has made half of its net change of distance, shape (T,).

    Raises:
        UserError: If the distances are no table of finite numbers.
    """
    distance = as_floats(distance, "distance", shape=("T", "E"), empty=False)
    net = distance[:, -1:] - distance[:, :1]
    made = (distance - distance[:, :1]) * np.sign(net)
    return (made >= np.abs(net) / 2).argmax(axis=1)


def lateral_share(record: Record, *, steps: tuple[float, ...] | None = None) -> float:
    r"""Return the share of the movement that leads neither towards the optimum nor away from it.

    .. math:: 1 - \sum \langle m, u\rangle^2 \Big/ \sum |m|^2

    with the movements m from epoch to epoch of all trajectories, and u the unit vector from where one starts to the
    optimum. In many dimensions a random movement is nearly all lateral.

    Args:
        record: A jump-and-retrain record with at least two states per trajectory.
        steps: Step sizes of the trajectories that count; all if None.
    Returns:
        A value in [0, 1].
    Raises:
        UserError: If nothing moved, or something moved away from the optimum itself, where no direction leads to it.
    """
    points = by_trajectory(record)
    chosen = None if steps is None else as_floats(steps, "steps", shape=("n",))
    kept = points if chosen is None else points[np.isin(record.step[points[:, 0]], chosen)]
    before, after = kept[:, :-1].ravel().astype(int), kept[:, 1:].ravel().astype(int)
    here, there, cross = record.gram[before, before], record.gram[after, after], record.gram[before, after]
    moved = here + there - 2 * cross
    if not moved.sum() > 0:
        raise UserError("No trajectory moved: give at least two different states of one.")
    if not (here > 0).all():
        raise UserError("A trajectory passes through the optimum, from where no direction leads to it: leave it out.")
    radial = (here - cross) ** 2 / here
    return float(1 - radial.sum() / moved.sum())
