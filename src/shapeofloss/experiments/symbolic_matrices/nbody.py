"""Bodies that attract each other: the computation that symbolic matrices are made for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Bodies:
    """The state of a cloud of bodies, in units where the constant of gravitation is 1.

    Attributes:
        positions, velocities: Shape (N, 3).
        masses: Shape (N,).
    """

    positions: Tensor
    velocities: Tensor
    masses: Tensor


def plummer_sphere(count: int, seed: int) -> Bodies:
    """Return a cloud in equilibrium, Plummer's sphere, of mass 1, cut at ten times its scale, 1.

    Radii follow from the enclosed mass, m(r) = r^3 / (1 + r^2)^(3/2); speeds are a share q of the escape speed, with
    the density q^2 (1 - q^2)^(7/2) (Aarseth, Henon and Wielen, 1974).
    """
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, dtype=torch.float64)

    def directions() -> Tensor:
        vectors = torch.randn((count, 3), generator=generator, dtype=torch.float64)
        return vectors / vectors.norm(dim=1, keepdim=True)

    mass_below_ten = 1000 / 101**1.5
    radii = ((uniform(count) * mass_below_ten).clamp(min=1e-12) ** (-2 / 3) - 1) ** -0.5
    grid = torch.linspace(0, 1, 2001, dtype=torch.float64)
    cumulative = torch.cumsum(grid**2 * (1 - grid**2) ** 3.5, 0)
    shares = grid[torch.searchsorted(cumulative / cumulative[-1], uniform(count)).clamp(max=2000)]
    speeds = shares * (2 / torch.sqrt(1 + radii**2)).sqrt()
    positions, velocities = radii[:, None] * directions(), speeds[:, None] * directions()
    masses = torch.full((count,), 1 / count, dtype=torch.float64)
    return Bodies(positions - positions.mean(0), velocities - velocities.mean(0), masses)


def leapfrog(bodies: Bodies, force: Callable[[Tensor], Tensor], *, step: float) -> Iterator[Bodies]:
    """Yield the state after each step of the leapfrog: half a kick, a drift, half a kick.

    It is of second order and keeps the energy near its first value for ever, as it is the exact motion of a nearby
    energy.

    Args:
        bodies: The first state.
        force: Maps positions, shape (N, 3), to accelerations, shape (N, 3).
        step: Time, above 0.
    """
    positions, velocities = bodies.positions, bodies.velocities
    accelerations = force(positions)
    while True:
        velocities = velocities + step / 2 * accelerations
        positions = positions + step * velocities
        accelerations = force(positions)
        velocities = velocities + step / 2 * accelerations
        yield Bodies(positions, velocities, bodies.masses)


def energy(bodies: Bodies, *, softening: float) -> float:
    """Return kinetic plus potential energy, with -m_i m_j / sqrt(r^2 + softening^2) for each pair.

    Example:
        >>> two = Bodies(torch.tensor([[0.0, 0, 0], [3.0, 0, 0]]), torch.zeros(2, 3), torch.tensor([1.0, 2.0]))
        >>> energy(two, softening=4.0)
        -0.4000000059604645
    """
    kinetic = (bodies.masses * (bodies.velocities**2).sum(1)).sum() / 2
    squared = torch.pdist(bodies.positions) ** 2 + softening**2
    first, second = torch.triu_indices(len(bodies.masses), len(bodies.masses), offset=1)
    potential = -(bodies.masses[first] * bodies.masses[second] / squared.sqrt()).sum()
    return float(kinetic + potential)
