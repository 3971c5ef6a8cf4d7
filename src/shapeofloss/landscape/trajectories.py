"""What trajectories do as seen from the optimum: return or escape, turn, move sideways.

All from the record of a jump-and-retrain sample, by one number per trajectory.
"""

import numpy as np
from numpy.typing import NDArray

from shapeofloss.arrays import Floats, as_floats
from shapeofloss.errors import UserError
from shapeofloss.landscape.record import Record


def by_trajectory(record: Record, values: NDArray[np.generic]) -> NDArray[np.generic]:
    """Arrange one value per point as one row per trajectory.

    Args:
        record: A jump-and-retrain record of T trajectories with E states each.
        values: Shape (n,) with n = T E, in the order of the record.
    Returns:
        Shape (T, E): trajectories in the order of the record, epochs rising.
    Raises:
        UserError: If the record is not made of such trajectories, or there is not one value per point.
    """
    if not isinstance(record, Record):
        raise UserError(f"The record is a {type(record).__name__}; give that of `sample_around`.")
    if np.shape(values) != record.epoch.shape:
        raise UserError(
            f"The values have shape {np.shape(values)}; one for each of {len(record.epoch)} points is needed."
        )
    states = int(record.epoch.max(initial=-1)) + 1
    if (
        not states
        or len(record.epoch) % states
        or not np.array_equal(record.epoch, np.arange(len(record.epoch)) % states)
    ):
        raise UserError("This record holds no trajectories of equal length: give one of jump and retrain.")
    return np.asarray(values).reshape(-1, states)


def distance_from_optimum(record: Record) -> Floats:
    """Return the cosine distance to the optimum of each state of each trajectory, shape (T, E)."""
    return np.asarray(by_trajectory(record, record.cosine_distance_to_optimum()), np.float64)


def return_ratio(distance: Floats) -> Floats:
    """Return each trajectory's distance to the optimum at its last state over that at its jump, shape (T,).

    Below 1 it came nearer, above 1 it went away.

    Args:
        distance: As of `distance_from_optimum`, shape (T, E).
    Source:
        A number for what section 4.3 of the loss-landscape paper reads off its pictures.
    Raises:
        UserError: If the distances are no table of finite numbers, or a trajectory starts at the optimum.
    """
    away = _away(distance)
    return away[:, -1] / away[:, 0]


def excursion(distance: Floats) -> Floats:
    """Return each trajectory's largest distance to the optimum over that at its jump, at least 1, shape (T,).

    Raises:
        UserError: As for `return_ratio`.
    """
    away = _away(distance)
    return away.max(axis=1) / away[:, 0]


def _away(distance: Floats) -> Floats:
    """Return distances to the optimum that can be divided by those at the jump."""
    away = as_floats(distance, "distance", shape=("T", "E"), empty=False)
    if not (away[:, 0] > 0).all():
        raise UserError("A trajectory starts at the optimum, or at no distance from it: leave it out.")
    return away


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
    points = by_trajectory(record, np.arange(len(getattr(record, "epoch", ()))))
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
