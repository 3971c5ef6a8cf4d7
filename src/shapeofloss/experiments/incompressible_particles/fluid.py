r"""A fluid of particles that keep their volumes: each is drawn to the centroid of its Laguerre cell.

With a spring of period 2 pi eps the total energy, which a good integrator keeps, is

.. math:: E = \sum_i v_i \rho_i \Bigl(\tfrac12 |\dot y_i|^2 + g\, h(y_i)\Bigr) + \frac{1}{2 \varepsilon^2} W,
          \qquad W = \sum_i \int_{\mathrm{Cell}_i} |x - y_i|^2 \, dx,

since the derivative of the transport cost W in y_i is 2 v_i (y_i - b_i), b_i the centroid (Gallouet and Merigot, 2018).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree

from shapeofloss.arrays import Floats, as_count, as_floats, as_number
from shapeofloss.distributions.clouds import as_cloud, uniform
from shapeofloss.errors import UserError, unknown
from shapeofloss.transport.cells.laguerre import Domain, Laguerre
from shapeofloss.transport.cells.pixels import Grid

CORRECTIONS = ("spring", "jump", "none")
DAM, BASIN = (0.5, 0.8), (2.0, 1.0)  # width and height of the column of water, and of the box that it falls into
TANK = (0.6, 1.0)  # width and height of the box in which a heavy fluid lies on a light one


@dataclass(frozen=True)
class Fluid:
    """What does not change while a fluid moves.

    Attributes:
        volumes: Area of each particle, shape (N,).
        densities: Mass per area of each particle, shape (N,).
        box: Width and height.
        void: Whether there is a free surface; otherwise the particles fill the box.
        gravity: Downward acceleration.
        step: Time from frame to frame.
        correction: "spring" accelerates a particle towards its centroid, "jump" puts it there, "none" lets it go.
        spring: eps, the time in which a particle of density 1 would go through one radian of its spring's oscillation;
            at least `step`.
        tolerance: Largest relative error of a volume.
        bounce: The share of the velocity into a wall that the wall gives back, 0 to 1.
    """

    volumes: Floats
    densities: Floats
    box: tuple[float, float] = (1.0, 1.0)
    void: bool = True
    gravity: float = 1.0
    step: float = 0.01
    correction: str = "spring"
    spring: float = 0.02
    tolerance: float = 0.01
    bounce: float = 0.0

    def __post_init__(self) -> None:
        """Check what cells do not check.

        Raises:
            UserError: If the correction is none of the three, or a number makes no sense.
        """
        if self.correction not in CORRECTIONS:
            raise unknown("correction", self.correction, CORRECTIONS)
        as_number(self.step, "The time step", above=0)
        as_number(self.gravity, "The gravity")
        as_number(self.spring, "The spring", above=0)
        as_number(self.bounce, "The bounce", at_least=0, at_most=1)
        v = as_floats(self.volumes, "The array of volumes", shape=("N",))
        densities = as_floats(self.densities, "The array of densities")
        object.__setattr__(self, "volumes", v)
        object.__setattr__(self, "densities", densities)
        if densities.shape != v.shape or not (densities > 0).all():
            raise UserError(f"There are {len(self.volumes)} volumes; as many densities above 0 are needed.")
        stiffest = self.spring * float(np.sqrt(self.densities.min()))
        if self.correction == "spring" and not self.step <= stiffest:
            raise UserError(
                f"A time step of {self.step} is too long for a spring of {self.spring}: with the least density it "
                f"may be {stiffest:g} at most."
            )

    @property
    def masses(self) -> Floats:
        """The mass of each particle, shape (N,)."""
        return self.volumes * self.densities


@dataclass(frozen=True)
class FluidState:
    """A moment of a fluid.

    Attributes:
        positions, velocities: Shape (N, 2).
        diagram: The cells at these positions; None without a correction.
        kinetic, height, elastic: The three parts of the energy; `elastic` is transport cost / (2 eps^2) with a spring.
    """

    positions: Floats
    velocities: Floats
    diagram: Laguerre | None
    kinetic: float
    height: float
    elastic: float

    @property
    def energy(self) -> float:
        """The total energy."""
        return self.kinetic + self.height + self.elastic

    @property
    def error(self) -> float:
        """The largest relative error of a volume; NaN without a correction."""
        return float("nan") if self.diagram is None else float(self.diagram.errors.max())

    @property
    def evaluations(self) -> int:
        """How often all cells were computed."""
        return 0 if self.diagram is None else self.diagram.evaluations


def simulate(fluid: Fluid, positions: ArrayLike, velocities: ArrayLike | None = None) -> Iterator[FluidState]:
    """Yield the fluid at times `step` apart, for ever, the start included.

    Semi-implicit Euler: velocities first, then positions by the new velocities. A particle that would leave the box is
    mirrored back into it.

    Args:
        fluid: What does not change.
        positions, velocities: At the start, shape (N, 2); velocities are zero by default.
    Raises:
        UserError: If positions or volumes do not fit the box.
    Source:
        Optimal transport talk, slide "Power plastics - without the eye candy".
    Example:
        >>> one = Fluid(np.array([0.1]), np.ones(1), correction="none")
        >>> falling = simulate(one, [[0.5, 0.5]])
        >>> next(falling).positions.tolist(), next(falling).positions.round(6).tolist()
        ([[0.5, 0.5]], [[0.5, 0.4999]])
    """
    y, v = as_motion(positions, velocities)
    if y.shape != (len(fluid.volumes), 2):
        raise UserError(
            f"The particles have shape {y.shape}; with as many volumes, ({len(fluid.volumes)}, 2) is needed."
        )
    down = np.array([0.0, -fluid.gravity])
    f: Floats | None = None
    while True:
        diagram = None
        if fluid.correction != "none":
            diagram = Domain(y, fluid.box, void=fluid.void).solve(fluid.volumes, f=f, tolerance=fluid.tolerance)
            f = diagram.f
        yield FluidState(y, v, diagram, *_energies(fluid, y, v, diagram))
        v = v + fluid.step * down
        if diagram is not None and fluid.correction == "spring":
            pull = fluid.step / (fluid.spring**2 * fluid.densities)
            v = v + pull[:, None] * (diagram.centroids - y)
        moved = y + fluid.step * v
        if diagram is not None and fluid.correction == "jump":
            moved = moved + diagram.centroids - y
            v = (moved - y) / fluid.step
        y, v = reflected(moved, v, fluid.box, bounce=fluid.bounce)


def as_motion(positions: ArrayLike, velocities: ArrayLike | None) -> tuple[Floats, Floats]:
    """Return copies of positions and velocities, shape (N, D), once they are found to be some; at rest by default."""
    y = as_cloud(positions, "of particles").copy()
    if velocities is None:
        return y, np.zeros_like(y)
    return y, as_floats(velocities, "The array of velocities", shape=y.shape).copy()


def _energies(fluid: Fluid, y: Floats, v: Floats, diagram: Laguerre | None) -> tuple[float, float, float]:
    """Return kinetic, potential and elastic energy."""
    kinetic = float((fluid.masses * (v**2).sum(1)).sum() / 2)
    height = float(fluid.gravity * (fluid.masses * y[:, 1]).sum())
    elastic = diagram.cost / (2 * fluid.spring**2) if diagram is not None and fluid.correction == "spring" else 0.0
    return kinetic, height, elastic


def reflected(y: Floats, v: Floats, box: tuple[float, float], *, bounce: float) -> tuple[Floats, Floats]:
    """Return positions mirrored into the box, and velocities of which walls give back a share of what goes into them.

    Example:
        >>> reflected(np.array([[0.5, -0.25]]), np.array([[1.0, -1.0]]), (1.0, 1.0), bounce=0.5)
        (array([[0.5 , 0.25]]), array([[1. , 0.5]]))
    """
    size = np.array(box)
    turns = np.floor(y / size)
    inside = y - turns * size
    inside = np.where(turns % 2 == 1, size - inside, inside)
    return np.clip(inside, 0, size), np.where((y < 0) | (y > size), -bounce * v, v)


def settled(volumes: ArrayLike, box: tuple[float, float], seed: int, *, rounds: int = 30) -> Floats:
    """Return particles that fill a box and are near the centroids of their cells, shape (N, 2).

    Random ones jump to their centroids, again and again: Lloyd's iteration (1982), with prescribed volumes.

    Args:
        volumes: Shape (N,), of the sum that the box has.
        box: Width and height.
        seed: Seed of the random positions.
        rounds: Number of jumps, at least 0.
    Raises:
        UserError: If the volumes do not fill the box.
    """
    v = as_floats(volumes, "The array of volumes", shape=("N",))
    y, f = uniform(len(v), 2, seed) * box, None
    for _ in range(as_count(rounds, "rounds", at_least=0)):
        diagram = Domain(y, box).solve(v, f=f)
        y, f = diagram.centroids, diagram.f
    return y


def dam_break(*, count: int, seed: int, frames: int, correction: str, step: float, spring: float) -> dict[str, Any]:
    """Record a column of water, 0.5 wide and 0.8 high, that is let go in a box 2 wide and 1 high.

    Args:
        count: Particles.
        seed: Seed of their places at the start.
        frames: How many moments are recorded, the start included.
        correction, step, spring: As for `Fluid`.
    Returns:
        What `record` returns.
    """
    width, height = DAM
    volumes = np.full(count, width * height / count)
    fluid = Fluid(volumes, np.ones(count), BASIN, step=step, correction=correction, spring=spring)
    return record(fluid, settled(volumes, DAM, seed), frames)


def rayleigh_taylor(
    *, count: int, seed: int, frames: int, heavy: float, amplitude: float, step: float, spring: float
) -> dict[str, Any]:
    """Record two fluids in a box 0.6 wide and 1 high, one of density `heavy` above one of density 1.

    Between them is the curve h(x) = 0.5 + amplitude * cos(2 pi x / 0.6). With heavy < 1 they lie as they should.

    Args:
        count: Particles.
        seed: Seed of their places at the start.
        frames: How many moments are recorded, the start included.
        heavy: Density of the upper fluid, above 0.
        amplitude: Length.
        step, spring: As for `Fluid`.
    Returns:
        What `record` returns.
    """
    width, height = TANK
    volumes = np.full(count, width * height / count)
    y = settled(volumes, TANK, seed)
    above = y[:, 1] > 0.5 + amplitude * np.cos(2 * np.pi * y[:, 0] / width)
    fluid = Fluid(volumes, np.where(above, heavy, 1.0), TANK, void=False, step=step, spring=spring)
    return record(fluid, y, frames)


def record(fluid: Fluid, positions: Floats, frames: int) -> dict[str, Any]:
    """Return the first frames of a fluid as arrays.

    Args:
        fluid: What does not change.
        positions: The particles at the start, shape (N, 2).
        frames: How many, T, at least 1.
    Returns:
        positions (T, N, 2) and f (T, N; NaN without a correction); of each frame, shape (T,), error, evaluations, and
        the parts of the energy, kinetic, height and elastic; volumes and densities (N,).
    """
    states = list(islice(simulate(fluid, positions), frames))
    nothing = np.full(len(fluid.volumes), np.nan)
    return {
        "positions": np.stack([state.positions for state in states]),
        "f": np.stack([nothing if state.diagram is None else state.diagram.f for state in states]),
        "error": np.array([state.error for state in states]),
        "evaluations": np.array([state.evaluations for state in states], dtype=np.float64),
        "kinetic": np.array([state.kinetic for state in states]),
        "height": np.array([state.height for state in states]),
        "elastic": np.array([state.elastic for state in states]),
        "volumes": fluid.volumes,
        "densities": fluid.densities,
    }


def depth_of_wave(positions: Floats, volumes: Floats, width: float) -> float:
    """Return the amplitude of the wave cos(2 pi x / width) of the curve below a fluid's particles, with its sign.

    If the fluid lies above h(x) = a cos(2 pi x / width) + other waves, then a = -2 / width times the integral of
    cos(2 pi x / width) over it.

    Args:
        positions, volumes: The particles of the upper fluid and their volumes, shape (M, 2) and (M,).
        width: Width of the box.
    """
    return float(-2 / width * (volumes * np.cos(2 * np.pi * positions[:, 0] / width)).sum())


def roughness(paths: ArrayLike, size: float) -> float:
    """Return the mean length of the second difference of positions, over a particle's size.

    Args:
        paths: Positions in each frame, shape (T, N, 2), T at least 3.
        size: Length, above 0.
    Raises:
        UserError: If they are none of these.
    Example:
        >>> roughness([[[0.0, 0.0]], [[1.0, 0.0]], [[3.0, 0.0]]], size=2.0)
        0.5
    """
    places, size = as_floats(paths, "The array of paths", shape=("T", "N", 2)), as_number(size, "The size", above=0)
    if len(places) < 3:
        raise UserError(f"The paths have {len(places)} frames; a second difference needs 3.")
    return float(np.linalg.norm(np.diff(places, n=2, axis=0), axis=2).mean() / size)


def covered(positions: Floats, volume: float, box: tuple[float, float]) -> float:
    """Return the area in the box covered by discs of this volume about the positions, over the discs' total area.

    The area is counted on 400 x 400 points.

    Args:
        positions: Shape (N, 2).
        volume: Area of a disc.
        box: Width and height.
    Example:
        >>> round(covered(np.array([[0.5, 0.5], [0.5, 0.5]]), 0.1, (1.0, 1.0)), 2)
        0.5
    """
    points = Grid((400, 400), 1 / 400).centres * box
    near = cKDTree(positions).query(points, distance_upper_bound=np.sqrt(volume / np.pi))[0]
    return float(np.isfinite(near).mean() * box[0] * box[1] / (len(positions) * volume))
