"""Perceptrons for generators and critics, plane waves as their inputs, and cones, critics that need no training."""

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from shapeofloss.arrays import as_count, as_floats, as_function
from shapeofloss.distributions.clouds import as_cloud
from shapeofloss.distributions.mixtures import as_source
from shapeofloss.errors import UserError

SHORTEST = 60.0  # wave number of the shortest waves, radians per unit of length; that of the longest is 1


def perceptron(
    sizes: Sequence[int], *, generator: torch.Generator, activation: Callable[[], nn.Module] = nn.ReLU
) -> nn.Sequential:
    """Return affine maps with an activation between any two, without any normalisation.

    Weights start as N(0, 2 / fan in), so that a ReLU network passes on the size of its input; the last layer's as
    N(0, 1 / fan in). Offsets start uniform in +-1 / sqrt(fan in).

    Args:
        sizes: Numbers of values from input to output, at least two, such as (2, 64, 64, 1).
        generator: Source of the initial weights.
        activation: Makes the module between two maps.
    Returns:
        From shape (N, sizes[0]) to (N, sizes[-1]).
    Raises:
        UserError: If there are fewer than two sizes, one is no whole number from 1, or the source is none of torch.
    Example:
        >>> perceptron((2, 8, 1), generator=torch.Generator().manual_seed(0))(torch.zeros(5, 2)).shape
        torch.Size([5, 1])
    """
    if not isinstance(sizes, Iterable) or len(sizes := list(sizes)) < 2:
        raise UserError(f"A perceptron cannot have sizes {sizes!r}: give at least those of input and output, (2, 1).")
    sizes = [as_count(size, "A size of a perceptron") for size in sizes]
    as_source(generator)
    as_function(activation, "activation", example="torch.nn.SiLU")
    layers: list[nn.Module] = []
    for place, (inputs, outputs) in enumerate(pairwise(sizes)):
        affine = nn.Linear(inputs, outputs)
        gain = 1.0 if place == len(sizes) - 2 else 2.0
        nn.init.normal_(affine.weight, std=(gain / inputs) ** 0.5, generator=generator)
        nn.init.uniform_(affine.bias, -(inputs**-0.5), inputs**-0.5, generator=generator)
        layers += [affine, activation()]
    return nn.Sequential(*layers[:-1])


class Waves(nn.Module):
    """Fixed plane waves of random directions and phases, root 2 cos(<k, x> + phase), as inputs for a perceptron.

    A perceptron on the coordinates learns coarse differences first and fine ones only after very many steps; on waves
    it learns all scales at once.

    Args:
        dimension: D of the points.
        count: Number of waves.
        generator: Source of directions, phases and wave numbers |k|, which are uniform in their logarithm between 1 and
            60 radians per unit of length.
    Raises:
        UserError: If a number is out of range, or the source is none of torch.
    """

    def __init__(self, dimension: int, count: int, *, generator: torch.Generator) -> None:
        super().__init__()
        as_count(dimension, "dimension"), as_count(count, "count"), as_source(generator)
        direction = torch.randn(count, dimension, generator=generator)
        size = SHORTEST ** torch.rand(count, 1, generator=generator)
        self.register_buffer("k", size * direction / direction.norm(dim=1, keepdim=True))
        self.register_buffer("phase", 2 * math.pi * torch.rand(count, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        """Return the values of the waves at points, from shape (N, D) to (N, count)."""
        return math.sqrt(2) * torch.cos(x @ self.get_buffer("k").T + self.get_buffer("phase"))


class Cones(nn.Module):
    r"""A critic as the lower envelope of cones with slope 1.

    .. math:: f(x) = \min_j \, (h_j + |x - z_j|)

    It is 1-Lipschitz on the whole space, whatever the heights are. With heights h_j = -g_j, minus the transport firm's
    prices of the generated points, its value E_pi f - E_p f is W: it extends the prices from points to the space.

    Args:
        tips: z_j, shape (M, D).
        heights: h_j, shape (M,), in units of length.
    Raises:
        UserError: If the tips are no cloud, or the heights are not one finite number for each.
    Example:
        >>> Cones([[0.0], [3.0]], [0.0, 1.0])(torch.tensor([[1.0], [3.0], [5.0]]).double())
        tensor([1., 1., 3.], dtype=torch.float64)
    """

    def __init__(self, tips: ArrayLike, heights: ArrayLike) -> None:
        super().__init__()
        # Copies, and buffers, which go with the critic to another device or precision.
        self.tips: Tensor
        self.heights: Tensor
        self.register_buffer("tips", torch.tensor(as_cloud(tips, "tips")))
        self.register_buffer("heights", torch.tensor(as_floats(heights, "The list of heights")))
        if self.heights.shape != (len(self.tips),):
            raise UserError(
                f"There are {len(self.tips)} tips and heights of shape {tuple(self.heights.shape)}: give one for each."
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return scores, shape (N,), of points, shape (N, D)."""
        # By differences: the quicker way by products loses half of the digits of short distances.
        away = torch.cdist(x.to(self.tips.dtype), self.tips, compute_mode="donot_use_mm_for_euclid_dist")
        return (self.heights + away).amin(dim=1)
