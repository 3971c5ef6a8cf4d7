r"""Cells that move and push: particles head somewhere, and their volumes make room for everybody.

A time step moves every particle by its heading, gives the cells their volumes, and puts each particle into the centroid
of its cell. The cost ((x - y_i) / r)^p, with r the radius of a cell that is alone, makes cells soft (p = 1) or hard
(p = 8).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shapeofloss.arrays import Floats, as_count, as_floats, as_number
from shapeofloss.errors import UserError
from shapeofloss.transport.cells.pixel_costs import PowerCosts
from shapeofloss.transport.cells.pixel_solver import Diagram, solve
from shapeofloss.transport.cells.pixels import Booleans, Grid, Labels, centroids

TOLERANCE = 0.05  # of a volume within a simulation, where a pixel is about a percent of a cell
MOST = 40  # evaluations for each time step
WALL = 0.06  # half of the thickness of the wall with the exit


@dataclass(frozen=True)
class Swimmers:
    """Run-and-tumble cells in a closed domain.

    Attributes:
        domain: A disk of diameter 1 or a cube of side 1.
        count: Number of cells.
        pixels: Pixels along a side of the box.
        filled: Share of the domain that the cells take, below 1.
        speed: Speed of a free cell, in radii per time step.
        realignment: Share of a heading that is replaced by the direction of the last actual move, 0 to 1.
        tumbling: Probability of a new random heading per cell and time step.
        collisions: Whether cells have volumes; without, they pass through one another and only meet the wall.
    """

    domain: Literal["disk", "cube"]
    count: int
    pixels: int
    filled: float = 0.85
    speed: float = 0.25
    realignment: float = 0.7
    tumbling: float = 0.005
    collisions: bool = True

    def __post_init__(self) -> None:
        """Check the settings."""
        if self.domain not in ("disk", "cube"):
            raise UserError(f"'{self.domain}' is no domain; 'disk' and 'cube' are.")
        shares = {"filled": self.filled, "realignment": self.realignment, "tumbling": self.tumbling}
        for name, value in shares.items():
            if not 0 <= value <= 1 or (name == "filled" and value in (0, 1)):
                raise UserError(f"The setting {name} is {value}; it has to be a share between 0 and 1.")
        as_number(self.speed, "The speed")
        if as_count(self.count, "count", at_least=0) < 1 or as_count(self.pixels, "pixels", at_least=0) < 2:
            raise UserError("A simulation needs at least one cell and two pixels along a side.")

    @property
    def dimension(self) -> int:
        """2 or 3."""
        return 2 if self.domain == "disk" else 3

    @property
    def grid(self) -> Grid:
        """The pixels of the domain."""
        box = Grid((self.pixels,) * self.dimension, 1 / self.pixels)
        if self.domain == "cube":
            return box
        return Grid(box.shape, box.spacing, (np.linalg.norm(box.centres - 0.5, axis=1) < 0.5).reshape(box.shape))

    @property
    def volume(self) -> float:
        """The volume of a cell."""
        return self.filled * self.grid.volume / self.count

    @property
    def radius(self) -> float:
        """The radius of a cell that is alone, in units of the box."""
        return radius_of(self.volume, self.dimension)


def radius_of(volume: float, dimension: int) -> float:
    """Return the radius of a disc or a ball."""
    return math.sqrt(volume / math.pi) if dimension == 2 else (volume * 3 / (4 * math.pi)) ** (1 / 3)


@dataclass(frozen=True)
class Swimming:
    """The state after a time step.

    Attributes:
        positions, headings: Shape (N, D), in units of the box; headings have length 1.
        labels: The cell of each pixel, or -1; None without collisions and before the first step.
        error: Mean relative error of the volumes.
    """

    positions: Floats
    headings: Floats
    labels: Labels | None = None
    error: float = 0.0


def swim(swimmers: Swimmers, steps: int, seed: int) -> Iterator[Swimming]:
    """Yield the random start and the state after each time step.

    Args:
        swimmers: The settings.
        steps: How many time steps.
        seed: Seed of positions, headings and tumbling.
    Source:
        Optimal transport talk, slide "Run-and-tumble motion".
    """
    generator = np.random.default_rng(seed)
    grid, count = swimmers.grid, swimmers.count
    y = np.empty((0, swimmers.dimension))
    while len(y) < count:  # few cells are large, and few places leave them room
        y = np.concatenate([y, _inside(swimmers, generator.random((8 * count, swimmers.dimension)))])
    y = y[:count]
    u = _directions(generator, count, swimmers.dimension)
    f: Floats | None = None
    yield Swimming(y, u)
    for _ in range(steps):
        wanted = y + swimmers.speed * swimmers.radius * u
        labels, error = None, 0.0
        if swimmers.collisions:
            wanted = _back(swimmers, wanted, grid.spacing)
            diagram = _cells(grid, wanted, swimmers.volume, f, 2.0)
            labels, error, f = diagram.labels, float(diagram.errors.mean()), diagram.f
            moved = _middle(diagram, wanted, grid)
        else:
            moved = _back(swimmers, wanted, swimmers.radius)
        u = _unit((1 - swimmers.realignment) * u + swimmers.realignment * _unit(moved - y))
        tumbling = generator.random(count) < swimmers.tumbling
        u[tumbling] = _directions(generator, int(tumbling.sum()), swimmers.dimension)
        y = moved
        yield Swimming(y, u, labels, error)


def _inside(swimmers: Swimmers, points: Floats) -> Floats:
    """Return those points that are inside of the disk by half a radius, or all of them in a cube."""
    if swimmers.domain == "cube":
        return points
    return points[np.linalg.norm(points - 0.5, axis=1) < 0.5 - swimmers.radius / 2]


def _back(swimmers: Swimmers, points: Floats, distance: float) -> Floats:
    """Return points with those that are nearer to the wall than a distance moved back to it."""
    if swimmers.domain == "cube":
        return np.clip(points, distance, 1 - distance)
    d = points - 0.5
    return 0.5 + d * np.minimum(1, (0.5 - distance) / np.maximum(np.linalg.norm(d, axis=1, keepdims=True), 1e-12))


def _unit(vectors: Floats) -> Floats:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _directions(generator: np.random.Generator, count: int, dimension: int) -> Floats:
    return _unit(generator.standard_normal((count, dimension)))


def _cells(grid: Grid, y: Floats, volume: float, f: Floats | None, exponents: ArrayLike) -> Diagram:
    scale = np.eye(y.shape[1]) / radius_of(volume, y.shape[1]) ** 2
    costs = PowerCosts(grid, y, shapes=scale, exponents=exponents, void=True)
    return solve(costs, np.full(len(y), volume), f=f, tolerance=TOLERANCE, most=MOST)


def _middle(diagram: Diagram, otherwise: Floats, grid: Grid) -> Floats:
    """Return the centroids, and for cells without a pixel where they wanted to be."""
    moved = centroids(diagram.labels, len(otherwise), grid)
    return np.where(np.isnan(moved), otherwise, moved)


def milling(positions: Floats, headings: Floats) -> float:
    """Return |mean of sin(theta - phi)|: 1 if all cells of a disk with its centre in (1/2, 1/2) go around one way.

    theta is the direction of a heading, phi that of the position, both seen from the centre.

    Example:
        >>> milling(np.array([[0.9, 0.5], [0.1, 0.5]]), np.array([[0.0, 1.0], [0.0, -1.0]]))
        1.0
    """
    d = _unit(positions - 0.5)
    return float(abs(np.mean(d[:, 0] * headings[:, 1] - d[:, 1] * headings[:, 0])))


def polarisation(headings: Floats) -> float:
    """Return the length of the mean heading: 1 if all cells go one way.

    Example:
        >>> polarisation(np.array([[0.0, 1.0], [0.0, -1.0]]))
        0.0
    """
    return float(np.linalg.norm(headings.mean(0)))


def rotation(positions: Floats, headings: Floats) -> float:
    """Return the length of the mean of d x heading in 3-D, with d the direction from the centre: rotation as a whole.

    Example:
        >>> rotation(np.array([[0.9, 0.5, 0.5], [0.1, 0.5, 0.5]]), np.array([[0.0, 1.0, 0.0], [0.0, -1.0, 0.0]]))
        1.0
    """
    return float(np.linalg.norm(np.cross(_unit(positions - 0.5), headings).mean(0)))


@dataclass(frozen=True)
class Evacuation:
    """Cells in a room of side 1 with a narrow exit on the right, and a fire that comes from the left.

    Attributes:
        count: Number of cells.
        pixels: Pixels along the side of the room; as much room again lies behind the exit.
        exit_width: Width of the exit, in diameters of a cell that is alone.
        filled: Share of the room that the cells take.
        speed: Speed of a free cell, in radii per time step.
        steps: Time steps until the fire has crossed the room.
    """

    count: int
    pixels: int
    exit_width: float = 0.7
    filled: float = 0.6
    speed: float = 0.2
    steps: int = 150

    def __post_init__(self) -> None:
        """Check the settings."""
        as_number(self.speed, "The speed")
        numbers = {"count": (self.count, 1), "pixels": (self.pixels, 8), "steps": (self.steps, 1)}
        if any(as_count(number, name, at_least=0) < least for name, (number, least) in numbers.items()):
            raise UserError("An evacuation needs at least one cell, 8 pixels along the room and one time step.")
        if not 0 < self.filled < 0.9 or not 0 < self.exit_width * 2 * self.radius < 1:
            raise UserError("The cells need room: fill less than 0.9 of it, with an exit narrower than the wall.")

    @property
    def volume(self) -> float:
        """The volume of a cell."""
        return self.filled / self.count

    @property
    def radius(self) -> float:
        """The radius of a cell that is alone."""
        return radius_of(self.volume, 2)

    @property
    def grid(self) -> Grid:
        """Two rooms and the wall with the exit between them."""
        box = Grid((2 * self.pixels, self.pixels), 1 / self.pixels)
        x = box.centres
        wall = (np.abs(x[:, 0] - 1) < WALL) & (np.abs(x[:, 1] - 0.5) > self.exit_width * self.radius)
        return Grid(box.shape, box.spacing, ~wall.reshape(box.shape))


@dataclass(frozen=True)
class Escape:
    """The state after a time step.

    Attributes:
        labels: The cell of each pixel, or -1; those that are out or burnt have none.
        escaped, burnt: Whether each cell is, shape (N,).
        front: How far the fire has come.
        error: Mean relative error of the volumes.
    """

    labels: Labels
    escaped: Booleans
    burnt: Booleans
    front: float
    error: float


def evacuate(room: Evacuation, exponents: ArrayLike, seed: int) -> Iterator[Escape]:
    """Yield the state after each time step, until the fire has crossed the room or nobody is left in it.

    Args:
        room: The settings.
        exponents: Exponents of the costs, one for all cells or one for each: 1 is soft, 8 is hard.
        seed: Seed of the places at the start.
    Raises:
        UserError: If there are neither one nor `count` exponents, or one is below 1.
    Source:
        Optimal transport talk, slides "Hard particles burn" and "Soft particles escape".
    """
    generator = np.random.default_rng(seed)
    grid, count, h = room.grid, room.count, 1 / room.pixels
    p = as_floats(exponents, "The array of exponents")
    if p.shape not in ((), (count,)):
        raise UserError(f"The exponents have shape {p.shape}; one number, or ({count},), is needed.")
    p = np.broadcast_to(p, (count,))
    side = math.ceil(math.sqrt(count))
    places = generator.permutation(side**2)[:count]
    lattice = np.stack([places // side, places % side], axis=1)
    y = (lattice + 0.5 + 0.2 * (generator.random((count, 2)) - 0.5)) / side * [0.9, 1.0]
    present = np.arange(count)
    escaped, burnt = np.zeros(count, bool), np.zeros(count, bool)
    f: Floats | None = None
    for step in range(1, room.steps + 1):
        wanted = np.clip(y + room.speed * room.radius * _unit(_goals(y) - y), h, [2 - h, 1 - h])
        diagram = _cells(grid, wanted, room.volume, f, p[present])
        y = _middle(diagram, y, grid)
        front = step / room.steps
        out = y[:, 0] > 1 + WALL + room.radius
        caught = ~out & (y[:, 0] < front)
        labels = np.where(diagram.labels >= 0, present[diagram.labels].astype(np.int32), np.int32(-1))
        escaped[present[out]] = True
        burnt[present[caught]] = True
        yield Escape(labels, escaped.copy(), burnt.copy(), front, float(diagram.errors.mean()))
        left = ~(out | caught)
        y, present, f = y[left], present[left], diagram.f[left]
        if not left.any():
            return


def _goals(y: Floats) -> Floats:
    """Return where each cell heads for: the exit, through it, and then straight on."""
    before, within = y[:, :1] < 1 - WALL, y[:, :1] < 1 + WALL
    middle: NDArray[np.float64] = np.array([[1 - WALL / 2, 0.5]])
    return np.where(before, middle, np.where(within, [[1.2, 0.5]], y + np.array([1.0, 0.0])))


def order_in_time(
    domain: Literal["disk", "cube"],
    count: int,
    pixels: int,
    steps: int,
    seed: int,
    speed: float,
    tumbling: float = 0.005,
    realignment: float = 0.7,
    collisions: bool = True,
) -> dict[str, Floats]:
    """Return the order of a run at its start and after each step, and the mean volume error of each step.

    Args:
        domain, count, pixels, speed, tumbling, realignment, collisions: As in `Swimmers`.
        steps, seed: As for `swim`.
    Returns:
        `order`, shape (steps + 1,): milling in a disk, the larger one of polarisation and rotation in a cube;
        `error`, shape (steps,).
    """
    swimmers = Swimmers(
        domain, count, pixels, speed=speed, realignment=realignment, tumbling=tumbling, collisions=collisions
    )
    order, errors = [], []
    for state in swim(swimmers, steps, seed):
        if domain == "disk":
            order.append(milling(state.positions, state.headings))
        else:
            order.append(max(polarisation(state.headings), rotation(state.positions, state.headings)))
        errors.append(state.error)
    return {"order": np.array(order), "error": np.array(errors[1:])}


def outcome(
    count: int, pixels: int, steps: int, exit_width: float, exponents: list[float], seed: int
) -> dict[str, NDArray[np.floating | np.bool_]]:
    """Return who escaped and who burnt, each of shape (count,), and the mean volume error over the run.

    Args:
        count, pixels, steps, exit_width: As in `Evacuation`.
        exponents: One for all cells, or one for each.
        seed: As for `evacuate`.
    """
    room = Evacuation(count, pixels, exit_width=exit_width, steps=steps)
    states = list(evacuate(room, exponents if len(exponents) > 1 else exponents[0], seed))
    error = np.array(float(np.mean([state.error for state in states])))
    return {"escaped": states[-1].escaped, "burnt": states[-1].burnt, "error": error}
