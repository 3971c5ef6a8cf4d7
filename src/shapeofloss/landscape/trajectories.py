"""What trajectories do as seen from the optimum: return or escape, by one number for each trajectory of a record."""

import numpy as np
from numpy.typing import NDArray

from shapeofloss.arrays import Floats, as_floats
from shapeofloss.errors import UserError
from shapeofloss.landscape.record import Record


def by_trajectory(record: Record, values: NDArray[np.generic] | None = None) -> NDArray[np.generic]:
    """Arrange one value per point as one row per trajectory.

    Args:
        record: A jump-and-retrain record of T trajectories with E states each.
        values: Shape (n,) with n = T E, in the order of the record; the numbers of the points if None.
    Returns:
        Shape (T, E): trajectories in the order of the record, epochs rising.
    Raises:
        UserError: If the record is not made of such trajectories, or there is not one value per point.
    """
    if not isinstance(record, Record):
        raise UserError(f"The record is a {type(record).__name__}; give that of `sample_around`.")
    values = np.arange(len(record.epoch)) if values is None else values
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
        distance: Distances from `distance_from_optimum`, shape (T, E).
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
