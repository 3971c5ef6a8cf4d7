"""A deformable solid of particles that keep their volumes: bonds between neighbours, that stretch, creep or break.

In the manner of power plastics, but with bonds instead of stress: each frame moves particles freely, pulls them to the
centroids of their cells, and then satisfies the bonds and the walls one after another (position-based dynamics).
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from shapeofloss.arrays import Floats, as_count, as_floats, as_number
from shapeofloss.distributions.clouds import as_cloud
from shapeofloss.engine.jit import njit
from shapeofloss.errors import UserError
from shapeofloss.experiments.incompressible_particles.fluid import as_motion, reflected, settled
from shapeofloss.transport.cells.laguerre import Domain, Laguerre

SIDE = 0.36  # of the square that is dropped
PLACE, TILT = (0.5, 0.7), 0.35  # its centre, and its angle in radians
ROUNDING = 10  # jumps to centroids before it is dropped
FARTHEST = 1.5  # neighbours are bonded up to this distance, in roots of a particle's volume


@dataclass(frozen=True)
class Material:
    """How bonds behave, by the *strain* of a bond: its length over its rest length, minus 1.

    Attributes:
        bonded: Whether there are bonds; a liquid has none.
        flows_at: Beyond this strain, in either direction, a bond's rest length follows its length: plastic.
        breaks_at: Beyond this strain in tension a bond is gone: brittle.
    """

    bonded: bool = True
    flows_at: float = np.inf
    breaks_at: float = np.inf

    def __post_init__(self) -> None:
        """Check the strains."""
        if not (self.flows_at > 0 and self.breaks_at > 0):
            raise UserError(
                f"Strains at which bonds flow or break are above 0, not {self.flows_at} and {self.breaks_at}."
            )


LIQUID = Material(bonded=False)


@dataclass(frozen=True)
class Solid:
    """What does not change while a solid moves.

    Attributes:
        volumes: Area of each particle, shape (N,).
        material: How bonds behave.
        box: Width and height.
        gravity: Downward acceleration.
        step: Time from frame to frame.
        rounds: How often the bonds are gone through in each frame.
        pull: The share of the way to its centroid that a particle goes in each frame.
        stiffness: The share of a bond's change of length that each round takes back.
        viscosity: The share of the difference from each neighbour's velocity that a particle gives up in each frame.
        tolerance: Largest relative error of a volume.
    """

    volumes: Floats
    material: Material
    box: tuple[float, float] = (1.0, 1.0)
    gravity: float = 1.0
    step: float = 0.01
    rounds: int = 10
    pull: float = 0.5
    stiffness: float = 0.5
    viscosity: float = 0.1
    tolerance: float = 0.01

    def __post_init__(self) -> None:
        """Check what cells do not check.

        Raises:
            UserError: If a number makes no sense.
        """
        as_number(self.step, "The time step", above=0)
        as_number(self.gravity, "The gravity")
        as_count(self.rounds, "rounds", at_least=0)
        object.__setattr__(self, "volumes", as_floats(self.volumes, "The array of volumes", shape=("N",)))
        if not (0 <= self.pull <= 1 and 0 < self.stiffness <= 1 and 0 <= self.viscosity <= 0.2):
            raise UserError(
                f"pull = {self.pull} and stiffness = {self.stiffness} are shares between 0 and 1, and viscosity = "
                f"{self.viscosity} one between 0 and 0.2: more of it overshoots."
            )


@dataclass(frozen=True)
class SolidState:
    """A moment of a solid.

    Attributes:
        positions, velocities: Shape (N, 2).
        diagram: The cells at these positions.
        bonds, rest: Pairs of particles that hold together, shape (K, 2), and their rest lengths, shape (K,).
    """

    positions: Floats
    velocities: Floats
    diagram: Laguerre
    bonds: NDArray[np.int64]
    rest: Floats

    @property
    def error(self) -> float:
        """The largest relative error of a volume."""
        return float(self.diagram.errors.max())

    @property
    def pieces(self) -> int:
        """The number of parts that bonds hold together."""
        count = len(self.positions)
        graph = coo_array((np.ones(len(self.bonds)), tuple(self.bonds.T)), shape=(count, count))
        return int(connected_components(graph, directed=False)[0])


def bonds_of(positions: Floats, diagram: Laguerre, *, most: float) -> NDArray[np.int64]:
    """Return the pairs of particles whose cells touch and which are at most this far apart, shape (K, 2)."""
    i, j = diagram.cells.pairs.T
    return diagram.cells.pairs[np.linalg.norm(positions[i] - positions[j], axis=1) <= most]


def simulate(solid: Solid, positions: ArrayLike, velocities: ArrayLike | None = None) -> Iterator[SolidState]:
    """Yield the solid at times `step` apart, for ever, the start included. Its first cells that touch are bonded.

    Args:
        solid: What does not change.
        positions, velocities: At the start, shape (N, 2); velocities are zero by default.
    Raises:
        UserError: If positions or volumes do not fit the box.
    Source:
        Optimal transport talk, slides "Power plastics"; Mueller et al. (2007) for position-based dynamics.
    """
    y, v = as_motion(positions, velocities)
    f, down = None, np.array([0.0, -solid.gravity])
    bonds, rest = np.empty((0, 2), np.int64), np.empty(0)
    for frame in itertools.count():
        diagram = Domain(y, solid.box, void=True).solve(solid.volumes, f=f, tolerance=solid.tolerance)
        f = diagram.f
        if frame == 0 and solid.material.bonded:
            bonds = bonds_of(y, diagram, most=FARTHEST * np.sqrt(solid.volumes.mean()))
            rest = _lengths(y, bonds)
        yield SolidState(y, v, diagram, bonds, rest)
        moved = y + solid.step * (v + solid.step * down) + solid.pull * (diagram.centroids - y)
        hold(moved, bonds, rest, solid.rounds, solid.stiffness)
        bonds, rest = _strained(solid.material, bonds, rest, _lengths(moved, bonds))
        v = (moved - y) / solid.step
        v = v + solid.viscosity * _differences(v, diagram.cells.pairs)
        y, v = reflected(moved, v, solid.box, bounce=0.0)


def _lengths(y: Floats, bonds: NDArray[np.int64]) -> Floats:
    return np.linalg.norm(y[bonds[:, 0]] - y[bonds[:, 1]], axis=1)


def _strained(
    material: Material, bonds: NDArray[np.int64], rest: Floats, lengths: Floats
) -> tuple[NDArray[np.int64], Floats]:
    """Return the bonds that have not broken at these lengths, and their rest lengths after the others have yielded."""
    strain, limit = lengths / rest - 1, material.flows_at
    rest = np.where(np.abs(strain) > limit, lengths / (1 + np.sign(strain) * min(limit, 0.999)), rest)
    kept = strain <= material.breaks_at
    return bonds[kept], rest[kept]


def _differences(v: Floats, pairs: NDArray[np.int64]) -> Floats:
    """Return the sum over the neighbours of v_j - v_i, shape (N, 2): it adds up to zero, as momentum is kept."""
    i, j = pairs.T
    apart = v[j] - v[i]
    flows = [np.bincount(i, axis, len(v)) - np.bincount(j, axis, len(v)) for axis in apart.T]
    return np.stack(flows, axis=1)


@njit()
def hold(y, bonds, rest, rounds, stiffness):  # type: ignore[no-untyped-def]
    """Move the ends of one bond after another, each by half of what its length is off."""
    for _ in range(rounds):
        for k in range(len(rest)):
            i, j = bonds[k, 0], bonds[k, 1]
            to_x, to_y = y[j, 0] - y[i, 0], y[j, 1] - y[i, 1]
            length = np.sqrt(to_x * to_x + to_y * to_y)
            if length > 0:
                share = stiffness * (length - rest[k]) / (2 * length)
                y[i, 0] += share * to_x
                y[i, 1] += share * to_y
                y[j, 0] -= share * to_x
                y[j, 1] -= share * to_y


def drop(*, count: int, seed: int, frames: int, step: float, material: dict[str, Any]) -> dict[str, Any]:
    """Record a square block that falls on a corner, turned by 20 degrees, in a box of side 1.

    Args:
        count: Particles.
        seed: Seed of their places at the start.
        frames: T, how many moments are recorded, the start included.
        step: Time from frame to frame.
        material: The arguments of `Material`.
    Returns:
        positions (T, N, 2), f (T, N), error (T,), pieces (T,), evaluations (T,), bonds of the last frame (K, 2), and
        how many bonds_at_start there were.
    """
    volumes = np.full(count, SIDE**2 / count)
    cos, sin = np.cos(TILT), np.sin(TILT)
    y = (settled(volumes, (SIDE, SIDE), seed) - SIDE / 2) @ np.array([[cos, sin], [-sin, cos]]) + PLACE
    for _ in range(ROUNDING):  # without walls, the outermost particles go to the centroids of their open cells
        y = Domain(y, void=True).solve(volumes).centroids
    states = list(itertools.islice(simulate(Solid(volumes, Material(**material), step=step), y), frames))
    return {
        "positions": np.stack([state.positions for state in states]),
        "f": np.stack([state.diagram.f for state in states]),
        "error": np.array([state.error for state in states]),
        "pieces": np.array([state.pieces for state in states]),
        "evaluations": np.array([state.diagram.evaluations for state in states]),
        "bonds": states[-1].bonds,
        "bonds_at_start": len(states[0].bonds),
    }


def non_rigid(before: ArrayLike, after: ArrayLike) -> float:
    """Return the root mean square distance between clouds after the best rotation and shift, in units of length.

    Args:
        before, after: The same particles twice, shape (N, 2).
    Raises:
        UserError: If they are no clouds of one shape.
    Source:
        Kabsch (1976); reflections are not allowed.
    Example:
        >>> turned = np.array([[0.0, 1.0], [-2.0, 0.0], [0.0, 0.0]])
        >>> round(non_rigid([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]], turned + 5), 9)
        0.0
    """
    x, y = as_cloud(before, "before"), as_cloud(after, "after")
    if x.shape != y.shape:
        raise UserError(f"The clouds have shapes {x.shape} and {y.shape}; the same particles are needed twice.")
    x, y = x - x.mean(0), y - y.mean(0)
    along = np.abs(np.vdot(x @ [1, 1j], y @ [1, 1j]))  # of x, turned as well as can be, and y: complex in the plane
    return float(np.sqrt(max(((x**2).sum() + (y**2).sum() - 2 * along) / len(x), 0.0)))
