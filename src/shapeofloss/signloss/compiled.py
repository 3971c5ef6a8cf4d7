"""The directional sign loss with tanh as loops that Numba compiles for one thread of a CPU, differentiable for PyTorch.

PyTorch's operations write every difference, sign and mismatch to memory; here they stay in registers or in the nearest
cache. What bounds the loops is arithmetic: two smoothed signs for each comparison.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numba import types
from numba.extending import overload
from numpy.typing import NDArray
from torch import Tensor

from shapeofloss.arrays import Floats
from shapeofloss.engine.jit import njit
from shapeofloss.signloss import reference

REORDER = {"reassoc", "contract", "nsz", "arcp"}  # sums may be vectorised; NaN and infinity keep their meaning
CHUNK = 2048  # comparisons between the two inner loops: what they share stays in the cache


def ratio(u: Any) -> Any:
    """Return numerator and denominator of tanh 4u, and u within the bound: a name for compiled code alone."""
    raise NotImplementedError


# A convergent of the continued fraction tanh z = z / (1 + z^2 / (3 + z^2 / (5 + ...))) at z = u or u / 2, doubled twice
# or three times by tanh 2z = 2 tanh z / (1 + tanh^2 z), numerator and denominator apart, so that the one division is
# left to the caller. The relative error is about one unit in the last place, and tanh is 1 beyond the bound.


def _single(u: Any) -> Any:
    two, bound = np.float32(2), np.float32(2.255)
    z = bound if u > bound else (-bound if u < -bound else u)
    y = z * z
    p, q = z * (np.float32(105) + np.float32(10) * y), np.float32(105) + y * (np.float32(45) + y)
    p, q = two * p * q, q * q + p * p
    return two * p * q, q * q + p * p, z


def _double(u: Any) -> Any:
    inner = 4.775 if u > 4.775 else (-4.775 if u < -4.775 else u)
    z = inner * 0.5
    y = z * z
    p = z * (135135.0 + y * (17325.0 + y * (378.0 + y)))
    q = 135135.0 + y * (62370.0 + y * (3150.0 + y * 28.0))
    p, q = 2.0 * p * q, q * q + p * p
    p, q = 2.0 * p * q, q * q + p * p
    return 2.0 * p * q, q * q + p * p, inner


@overload(ratio, jit_options={"fastmath": REORDER})
def _ratio(u: Any) -> Any:
    return _single if u == types.float32 else _double


@njit(fastmath=REORDER, error_model="numpy")
def _compare(
    x0: NDArray[Any],
    x1: NDArray[Any],
    y0: NDArray[Any],
    y1: NDArray[Any],
    counts: NDArray[Any],
    quarter: Any,
    factor: Any,
    change: NDArray[Any],
) -> Any:
    """Return the sum of |tanh(s (x1 - x0)) - tanh(s (y1 - y0))|, and factor times its derivative by x1, in `change`.

    Pairs whose entry of `counts` is zero are left out.
    """
    zero, one = x0.dtype.type(0), x0.dtype.type(1)
    total = zero
    for j in range(len(change)):
        u, w = quarter * (x1[j] - x0[j]), quarter * (y1[j] - y0[j])
        p, q, inner = ratio(u)
        a, b, other = ratio(w)
        inverse = one / (q * b)
        sign, against = p * b * inverse, a * q * inverse
        # Beyond the bound tanh is 1 and flat; rounding would leave a little less, and a slope.
        sign = sign if inner == u or u != u else (one if u > zero else -one)
        against = against if other == w or w != w else (one if w > zero else -one)
        # tanh is increasing; infinities of one sign agree, and NaN stays NaN
        side = one if u > w else (-one if u < w else (zero if u == w else u - w))
        side = side if counts[j] > zero else zero
        gap = abs(side * (sign - against))  # exactly zero where both agree
        total += gap if counts[j] > zero else zero
        change[j] = factor * side * (one - sign * sign)
    return total


@njit(error_model="numpy")
def _along(
    xs: NDArray[Any],
    ys: NDArray[Any],
    gradient: NDArray[Any],
    stride: int,
    block: int,
    counts: NDArray[Any],
    sharpness: Any,
    factor: Any,
    wanted: bool,
) -> float:
    """Return the weighted mismatch of one example along one dimension, and add its gradient by x if that is wanted.

    Pairs lie `stride` apart within blocks of `block` elements, and are taken as many at a time as `counts` has entries.
    """
    total = 0.0
    width = len(counts)
    buffer = np.empty(width, xs.dtype)
    quarter = sharpness * xs.dtype.type(0.25)
    steep = min(factor * sharpness, np.finfo(xs.dtype).max)  # infinity times a slope of zero would be NaN
    for start in range(0, len(xs), block):
        stop = start + block - stride
        for j in range(start, stop, width):
            k = min(j + width, stop)
            low, high = slice(j, k), slice(j + stride, k + stride)
            change = buffer[: k - j]
            part = _compare(xs[low], xs[high], ys[low], ys[high], counts, quarter, steep, change)
            total += np.float64(factor) * np.float64(part)
            if wanted:
                after, before = gradient[high], gradient[low]
                for i in range(k - j):
                    after[i] += change[i]
                for i in range(k - j):
                    before[i] -= change[i]
    return total


@njit(error_model="numpy")
def _totals(
    x: NDArray[Any],
    y: NDArray[Any],
    gradient: NDArray[Any],
    sharpness: Any,
    factors: NDArray[Any],
    sizes: NDArray[np.int64],
    wanted: bool,
) -> Floats:
    """Return the weighted mismatch of each example, and write its gradient by x if that is wanted.

    Args:
        x, y, gradient: Shape (N, elements of an example), float32 or float64. The gradient may hold anything.
        sharpness, factors: What differences are multiplied by, and a factor for each dimension, of the arrays' type.
        sizes: Size of each dimension.
        wanted: Whether the gradient is wanted; `gradient` is not touched otherwise.
    Returns:
        Shape (N,), summed in double precision.
    """
    totals = np.zeros(len(x))
    every = np.ones(CHUNK, x.dtype)
    row = min(sizes[-1], CHUNK)
    inside = np.ones(CHUNK // row * row, x.dtype)
    inside[row - 1 :: row] = 0  # short rows are taken several at a time, without what leads from one to the next
    for example in range(len(x)):
        if wanted:
            gradient[example, :] = 0
        block = x.shape[1]
        for d in range(len(sizes)):
            stride = block // sizes[d]
            if factors[d] != 0 and sizes[d] > 1:
                short = d == len(sizes) - 1 and row == sizes[d]
                counts, reach = (inside, x.shape[1]) if short else (every, block)
                totals[example] += _along(
                    x[example], y[example], gradient[example], stride, reach, counts, sharpness, factors[d], wanted
                )
            block = stride
    return totals


class _Mismatch(torch.autograd.Function):
    """The mismatch and its gradient. The one by x is found with the loss, and scaled in place when it is asked for."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, sharpness: float, factors: Sequence[float]) -> Tensor:
        """Return the mismatch of each example, shape (N,)."""
        ctx.save_for_backward(x, y)
        ctx.sharpness, ctx.factors = sharpness, factors
        totals, gradient = _run(x, y, sharpness, factors, wanted=ctx.needs_input_grad[0])
        ctx.gradient = gradient if ctx.needs_input_grad[0] else None
        return totals

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients by x and y, where they are needed."""
        x, y = ctx.saved_tensors
        if torch.is_grad_enabled():  # the gradient is to be differentiated, too
            with torch.enable_grad():
                totals = reference.mismatch(x, y, lambda u: torch.tanh(ctx.sharpness * u), ctx.factors)
            wanted = [t for t, needed in zip((x, y), ctx.needs_input_grad, strict=False) if needed]
            derivatives = iter(torch.autograd.grad(totals, wanted, outer, create_graph=True))
            return *(next(derivatives) if needed else None for needed in ctx.needs_input_grad[:2]), None, None
        gradients: list[Tensor | None] = [None, None]
        kept, ctx.gradient = ctx.gradient, None  # scaled in place below: a second pass over the graph finds it anew
        for place, (by, other) in enumerate(((x, y), (y, x))):
            if ctx.needs_input_grad[place]:
                again = place == 1 or kept is None
                gradient = _run(by, other, ctx.sharpness, ctx.factors, wanted=True)[1] if again else kept
                gradients[place] = _scaled(gradient, outer[0].reshape(-1, *[1] * (x.dim() - 1)))
        return *gradients, None, None


def mismatch(x: Tensor, y: Tensor, sharpness: float, factors: Sequence[float]) -> Tensor:
    """Return the weighted mismatch of each example with tanh, shape (N,), at the memory of its gradient.

    A second derivative is left to PyTorch's own operations.

    Args:
        x, y: Contiguous arrays of one shape (N, n_1, ..., n_d) for which `reference.readable` holds, of one type.
        sharpness: What differences are multiplied by.
        factors: One for each of the d dimensions.
    """
    totals: Tensor = _Mismatch.apply(x, y, sharpness, factors)
    return totals


def _scaled(gradient: Tensor, scale: Tensor) -> Tensor:
    """Return the gradient times the scale of each example, in place where nothing else can see it."""
    if not reference.readable(scale):  # of a batch of gradients, each scales the one that is kept
        return gradient * scale
    return gradient if bool((scale == 1).all()) else gradient.mul_(scale)


def _run(x: Tensor, y: Tensor, sharpness: float, factors: Sequence[float], *, wanted: bool) -> tuple[Tensor, Tensor]:
    """Return the mismatch of each example, shape (N,), and its gradient by x if it is wanted, else x."""
    gradient = torch.empty_like(x) if wanted else x
    flat = [t.detach().reshape(len(x), -1).numpy() for t in (x, y, gradient)]
    kind = flat[0].dtype.type
    totals = _totals(*flat, kind(sharpness), np.array(factors, kind), np.array(x.shape[1:]), wanted)
    return torch.from_numpy(totals).to(x.dtype), gradient
