"""One cycle of a sine whose amplitude grows or shrinks: the waves of the sign loss's demonstration."""

import math

import torch
from torch import Tensor

from shapeofloss.arrays import as_count
from shapeofloss.errors import UserError


def waves(count: int, points: int, generator: torch.Generator) -> Tensor:
    r"""Draw waves with a random phase, half of them swelling and half of them fading.

    .. math:: x(t) = \sin(2\pi t + \varphi)\, e^{\pm(2t - 1)}, \quad t \in [0, 1], \varphi \sim U(0, 2\pi)

    Args:
        count: How many.
        points: Samples of each, at least 2, both ends included.
        generator: The source of phases and signs.
    Returns:
        Shape (count, points), float32, without unit.
    Raises:
        UserError: If there are too few points, no waves, or no generator of PyTorch.
    Source:
        Directional sign loss paper, section 3.3.
    """
    count, points = as_count(count, "count"), as_count(points, "points", at_least=2)  # one has no direction
    if not isinstance(generator, torch.Generator):  # with None the draws would be the global ones
        raise UserError(f"generator is of type {type(generator).__name__}; a torch.Generator is needed.")
    t = torch.linspace(0, 1, points)
    phases = 2 * math.pi * torch.rand(count, 1, generator=generator)
    signs = 2 * torch.randint(2, (count, 1), generator=generator) - 1
    return torch.sin(2 * math.pi * t + phases) * torch.exp(signs * (2 * t - 1))
