"""Surfaces of optimal critics, which exact transport yields without any training."""

from typing import Any

import numpy as np
import torch

from shapeofloss.adversarial.segments import Cones
from shapeofloss.distributions.mixtures import blurred, seeded_source, toy
from shapeofloss.errors import UserError
from shapeofloss.experiments.weight_clipping.weight_clipping import left_by_quadratic, square_grid
from shapeofloss.transport.assignment.exact import cost_matrix


def optimal_surface(*, law: str, points: int, side: int, reach: float, seed: int) -> dict[str, Any]:
    """Return what `clipping.value_surface` does, of an optimal critic between samples of the same two laws.

    The network simplex yields prices u, v with u_i + v_j <= |y_i - z_j|, and equality where mass goes. Cones with their
    tips at the generated points, at heights -v, extend them to the plane.

    Args:
        law, side, reach, seed: As for `value_surface`.
        points: Size of each sample.
    Returns:
        "surface" and "unexplained" as there; "gap", the critic's value minus exact W, over W.
    Raises:
        UserError: If the simplex gives up.
    """
    import ot  # slow to import

    rng = seeded_source(seed)
    sampler = toy(law)
    y, z = (own(points, rng).double().numpy() for own in (sampler, blurred(sampler)))
    cost, equal = np.ascontiguousarray(cost_matrix(y, z, p=1)), np.full(points, 1 / points)
    log = ot.emd(equal, equal, cost, numItermax=10**9, log=True)[1]
    if log["warning"]:
        raise UserError(f"The network simplex did not end: {log['warning']}")
    critic = Cones(z, -log["v"])
    value = (critic(torch.from_numpy(y)).mean() - critic(torch.from_numpy(z)).mean()).item()
    grid = square_grid(side, reach)
    surface = critic(grid.double()).numpy()
    return {
        "surface": surface.reshape(side, side),
        "unexplained": left_by_quadratic(grid.numpy(), surface),
        "gap": value / log["cost"] - 1,
    }
