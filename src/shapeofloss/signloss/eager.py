"""Algorithm 1 of the directional sign loss paper in PyTorch operations: the reference, for any device and type."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

SIGN_LIKE: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "softsign": functional.softsign,
    "arctan": lambda u: torch.atan(u) * (2 / math.pi),
    "algebraic": lambda u: u * torch.rsqrt(1 + u * u),
    "erf": torch.erf,
}


def mismatch(x: Tensor, y: Tensor, sign: Callable[[Tensor], Tensor], factors: Sequence[float]) -> Tensor:
    """Return, for each example, the weighted sum of the differences between the signs of finite differences.

    Args:
        x, y: Arrays of one shape (N, n_1, ..., n_d); the first dimension counts examples.
        sign: Applied to the finite differences.
        factors: One for each of the d dimensions; a dimension with factor zero is skipped.
    Returns:
        Shape (N,).
    """
    total = x.new_zeros(len(x))
    for dimension, factor in enumerate(factors, start=1):
        if factor and x.shape[dimension] > 1:
            delta = (sign(x.diff(dim=dimension)) - sign(y.diff(dim=dimension))).abs()
            total = total + factor * delta.flatten(1).sum(1)
    return total


def hard_sign(u: Tensor) -> Tensor:
    """Return the sign of u, with sign(0) = 0; NaN stays NaN."""
    return torch.where(u.isnan(), u, u.sign())
