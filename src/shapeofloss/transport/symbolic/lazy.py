"""Symbolic matrices: what KeOps is asked for in the course, and the same from stored arrays.

Each function takes clouds as tensors, x of shape (N, D) and y of shape (M, D). A symbolic matrix is a formula with
data; KeOps compiles the formula at its first use, for a few seconds, and evaluates entries when a reduction needs them.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from shapeofloss.errors import unknown


def pairs(x: Tensor, y: Tensor) -> tuple[Any, Any]:
    """Return x and y as symbolic matrices that depend on the row and on the column only, shape (..., N, M, D)."""
    from pykeops.torch import LazyTensor

    return LazyTensor(x[..., :, None, :].contiguous()), LazyTensor(y[..., None, :, :].contiguous())


def _squared(x: Any, y: Any) -> Any:
    return ((x - y) ** 2).sum(-1)


def _manhattan(x: Any, y: Any) -> Any:
    return (x - y).abs().sum(-1)


def _cosine(x: Any, y: Any) -> Any:
    return 1 - (x * y).sum(-1)


def _hyperbolic(x: Any, y: Any) -> Any:
    # The talk writes x_i[..., 0], which KeOps 2.3 refuses: its symbolic matrices are indexed by `elem`.
    heights = [z[..., 0] if isinstance(z, Tensor) else z.elem(0) for z in (x, y)]
    return ((x - y) ** 2).sum(-1) / (heights[0] * heights[1])


METRICS: dict[str, Callable[[Any, Any], Any]] = {
    "euclidean": _squared,
    "manhattan": _manhattan,
    "cosine": _cosine,
    "hyperbolic": _hyperbolic,
}


def dissimilarities(x: Tensor, y: Tensor, *, metric: str = "euclidean", symbolic: bool = True) -> Any:
    """Return the matrix of the talk's four formulas, which rank pairs as the distances do.

    Args:
        x, y: Clouds; of unit vectors for "cosine" (1 minus the product), with first coordinates above 0 for
            "hyperbolic" (squared distance over the product of the heights: the distance of the half-space is
            arccosh(1 + H / 2)).
        metric: "euclidean" (squared), "manhattan", "cosine" or "hyperbolic".
        symbolic: Whether KeOps holds it; else it is a tensor.
    Returns:
        Shape (..., N, M).
    Raises:
        UserError: If the metric is none of these.
    Source:
        Optimal transport talk, slide "The KeOps library combines performance with flexibility".
    """
    if metric not in METRICS:
        raise unknown("metric", metric, METRICS)
    if symbolic:
        return METRICS[metric](*pairs(x, y))
    return METRICS[metric](x[..., :, None, :], y[..., None, :, :])


def nearest(x: Tensor, y: Tensor, *, metric: str = "euclidean", symbolic: bool = True) -> Tensor:
    """Return for each x the number of its nearest y, shape (..., N)."""
    return dissimilarities(x, y, metric=metric, symbolic=symbolic).argmin(dim=x.dim() - 1).view(x.shape[:-1])


def smallest(x: Tensor, y: Tensor, count: int, *, symbolic: bool = True) -> Tensor:
    """Return for each x the `count` smallest squared distances to points of y, rising, shape (N, count)."""
    matrix = dissimilarities(x, y, symbolic=symbolic)
    return matrix.Kmin(count, dim=1) if symbolic else matrix.sort(1).values[:, :count]


def gaussian_convolution(x: Tensor, y: Tensor, b: Tensor, *, symbolic: bool = True, ranges: Any = None) -> Tensor:
    """Return a_i, the sum over j of exp(-|x_i - y_j|^2) b_j.

    Args:
        x, y: Clouds, with the same leading dimensions (a batch) if any.
        b: Shape (..., M, E).
        symbolic: Whether by KeOps, or from a stored matrix.
        ranges: For KeOps: the blocks that count, as `pykeops.torch.cluster.from_matrix` returns them.
    Returns:
        Shape (..., N, E).
    Source:
        Optimal transport talk, slide "KeOps lets users work with millions of points at a time".
    """
    kernel = (-dissimilarities(x, y, symbolic=symbolic)).exp()
    if ranges is not None:
        kernel.ranges = ranges
    return kernel @ b


def pair_network(x: Tensor, y: Tensor, weights: Tensor, out: Tensor, *, symbolic: bool = True) -> Tensor:
    """Return the sum over j of a network of each pair: out . relu(weights (x_i - y_j)), shape (N,).

    Args:
        x, y: Clouds.
        weights: The hidden layer, shape (H, D).
        out: The output layer, shape (H,).
        symbolic: Whether by KeOps, or from stored arrays of N M H numbers.
    """
    if not symbolic:
        return (torch.relu((x[:, None] - y[None]) @ weights.T) @ out).sum(1)
    from pykeops.torch import Pm

    first, second = pairs(x, y)
    hidden = Pm(weights.reshape(-1)).matvecmult(first - second).relu()
    return (hidden | Pm(out)).sum(1).view(-1)


def gravity(x: Tensor, masses: Tensor, *, softening: float, symbolic: bool = True) -> Tensor:
    """Return the acceleration of each body, the sum over j of m_j (x_j - x_i) / (|x_j - x_i|^2 + softening^2)^(3/2).

    Args:
        x: Positions, shape (N, 3).
        masses: Shape (N,), with the constant of gravitation in them.
        softening: Length below which bodies no longer attract each other more, above 0.
        symbolic: Whether by KeOps, or from stored arrays of N N 3 numbers.
    Returns:
        Shape (N, 3).
    Source:
        Optimal transport talk, slide "How to code a N-body simulation?".
    """
    if not symbolic:
        apart = x[None] - x[:, None]
        weights = masses / ((apart**2).sum(-1) + softening**2) ** 1.5
        return (weights[..., None] * apart).sum(1)
    here, there = pairs(x, x)
    from pykeops.torch import LazyTensor

    squared = ((there - here) ** 2).sum(-1) + softening**2
    # Not power(-1.5): KeOps 2.3 takes powers that are no whole numbers in single precision.
    return ((there - here) * squared.rsqrt() ** 3 * LazyTensor(masses[None, :, None])).sum(1)
