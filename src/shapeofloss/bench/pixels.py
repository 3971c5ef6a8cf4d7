"""Volumes of 100 cells on 256 x 256 pixels, to 1%, for the cost |x - y|^4: Newton's method, and L-BFGS with KeOps."""

from functools import cache
from typing import Any

import numpy as np
from scipy.optimize import minimize

from shapeofloss.transport import keops
from shapeofloss.transport.clouds import Floats
from shapeofloss.transport.pixels import Grid, PowerCosts, solve

CELLS, PIXELS = 100, 256
TOLERANCE = 0.01  # largest relative error of a volume


@cache
def problem() -> tuple[PowerCosts, Floats]:
    """Return costs and volumes, both random."""
    rng = np.random.default_rng(0)
    volumes = 0.5 + rng.random(CELLS)
    grid = Grid((PIXELS, PIXELS), 1 / PIXELS)
    return PowerCosts.of(grid, rng.random((CELLS, 2)), exponents=4.0), volumes / volumes.sum()


def newton() -> None:
    """Solve by damped Newton steps on the interfaces."""
    costs, volumes = problem()
    solve(costs, volumes, tolerance=TOLERANCE)


@cache
def _symbolic() -> Any:
    """Return the symbolic matrix of costs, cells by pixels."""
    import torch
    from pykeops.torch import LazyTensor

    keops.prepare([])
    costs, _ = problem()
    x = LazyTensor(torch.from_numpy(costs.grid.centres)[None])
    y = LazyTensor(torch.from_numpy(costs.positions)[:, None])
    squared = ((x - y) ** 2).sum(-1)
    return squared * squared


def quasi_newton() -> None:
    """Climb the dual by L-BFGS, one symbolic minimum over the cells for each evaluation, until the volumes are right.

    Raises:
        RuntimeError: If they are not: a time without a result is none.
    """
    import torch
    from pykeops.torch import LazyTensor

    _, volumes = problem()
    C = _symbolic()
    worst = np.inf

    def negative(f: Floats) -> tuple[float, Floats]:
        nonlocal worst
        cheapest, owner = (C - LazyTensor(torch.from_numpy(f)[:, None, None])).min_argmin(dim=0)
        counts = np.bincount(owner.numpy().ravel(), minlength=CELLS) / PIXELS**2
        worst = float(np.abs(counts / volumes - 1).max())
        return -float(volumes @ f + cheapest.mean()), counts - volumes

    def enough(_: Any) -> None:
        if worst <= TOLERANCE:
            raise StopIteration

    # potentials in units of a cell's cost at its rim, for steps of a good size from the start
    unit = (1 / (np.pi * CELLS)) ** 2
    options = {"maxiter": 2000, "ftol": 0, "gtol": 0, "maxls": 40}

    def scaled(f: Floats) -> tuple[float, Floats]:
        value, slope = negative(unit * f)
        return value / unit, slope

    minimize(scaled, np.zeros(CELLS), jac=True, method="L-BFGS-B", callback=enough, options=options)
    if worst > 5 * TOLERANCE:
        raise RuntimeError(f"The reference stopped with a volume that is off by {worst:.1%}.")
