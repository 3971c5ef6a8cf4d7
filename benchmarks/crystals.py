"""Volumes of 200 anisotropic crystals on 50^3 voxels, to 1%, beside PyAPD on the same seeds."""

import contextlib
import io
from functools import cache

import numpy as np

from shapeofloss.arrays import Floats
from shapeofloss.experiments.cells_and_crystals.crystals import GrainDistribution, random_grains
from shapeofloss.transport.cells.pixel_costs import PowerCosts
from shapeofloss.transport.cells.pixel_solver import solve
from shapeofloss.transport.cells.pixels import Grid
from shapeofloss.transport.symbolic import keops

CRYSTALS, VOXELS = 200, 50
TOLERANCE = 0.01  # largest relative error of a volume, of both


@cache
def problem() -> tuple[Floats, Floats, Floats]:
    """Return positions, matrices and volumes."""
    volumes, shapes = random_grains(CRYSTALS, 3, GrainDistribution(0.35, 0.5), seed=0)
    return np.random.default_rng(0).random((CRYSTALS, 3)), shapes, volumes


def ours() -> None:
    """Solve by damped Newton steps on voxels."""
    y, shapes, volumes = problem()
    grid = Grid((VOXELS,) * 3, 1 / VOXELS)
    diagram = solve(PowerCosts(grid, y, shapes=shapes), volumes, tolerance=TOLERANCE)
    if not diagram.converged:
        raise RuntimeError(f"A volume is off by {diagram.errors.max():.1%}.")


def pyapds() -> None:
    """Solve by PyAPD's quasi-Newton method with KeOps, in single precision, its default."""
    import torch

    keops.prepare(["crystals of PyAPD in single precision"])
    y, shapes, volumes = (torch.from_numpy(array).float() for array in problem())
    with contextlib.redirect_stdout(io.StringIO()):  # it reports on its patches
        import PyAPD

        system = PyAPD.apd_system(
            domain=torch.tensor([[0.0, 1.0]] * 3),
            X=y,
            As=shapes,
            target_masses=volumes,
            pixel_params=(VOXELS,) * 3,
            device="cpu",
            error_tolerance=TOLERANCE,
        )
        system.assemble_pixels()
        system.find_optimal_W(verbose=False)
