"""The loops of the directional sign loss with tanh, compiled by Numba for one thread of a CPU.

PyTorch's operations write every difference, sign and mismatch to memory; here they stay in registers or in the nearest
cache. What bounds the loops is arithmetic: two smoothed signs for each comparison.
"""

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload
from numpy.typing import NDArray

from shapeofloss.engine.jit import njit

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
def mismatch(
    x: NDArray[Any],
    y: NDArray[Any],
    gradient: NDArray[Any],
    sharpness: Any,
    factors: NDArray[Any],
    sizes: NDArray[np.int64],
    strides: NDArray[np.int64],
    wanted: bool,
) -> NDArray[np.float64]:
    """Return the weighted mismatch of each example, and write its gradient by x if that is wanted.

    Args:
        x, y, gradient: Shape (N, elements of an example), float32 or float64. The gradient may hold anything.
        sharpness: Of the arrays' type.
        factors: For each dimension, of the arrays' type.
        sizes, strides: Of each dimension, and how far apart its neighbours are.
        wanted: Whether the gradient is; `gradient` is not touched otherwise.
    Returns:
        Shape (N,), summed in double precision.
    """
    totals = np.zeros(len(x))
    elements, row = x.shape[1], sizes[-1]
    buffer = np.empty(CHUNK, x.dtype)
    quarter = sharpness * x.dtype.type(0.25)
    most = np.finfo(x.dtype).max  # infinity times a slope of zero would be NaN
    every = np.ones(CHUNK, x.dtype)
    inside = np.ones(CHUNK, x.dtype)  # short rows are taken several at a time, without what leads from one to the next
    inside[row - 1 :: row] = 0
    for example in range(len(x)):
        xs, ys, gs = x[example], y[example], gradient[example]
        if wanted:
            gs[:] = 0
        for d in range(len(sizes)):
            if factors[d] == 0 or sizes[d] == 1:
                continue
            short = d == len(sizes) - 1 and row < CHUNK
            stride, block = strides[d], elements if short else sizes[d] * strides[d]
            steep = min(factors[d] * sharpness, most)
            width, counts = (CHUNK // row * row, inside) if short else (CHUNK, every)
            for start in range(0, elements, block):
                stop = start + block - stride
                for j in range(start, stop, width):
                    k = min(j + width, stop)
                    low, high = slice(j, k), slice(j + stride, k + stride)
                    change = buffer[: k - j]
                    total = _compare(xs[low], xs[high], ys[low], ys[high], counts, quarter, steep, change)
                    totals[example] += np.float64(factors[d]) * np.float64(total)
                    if wanted:
                        after, before = gs[high], gs[low]
                        for i in range(k - j):
                            after[i] += change[i]
                        for i in range(k - j):
                            before[i] -= change[i]
    return totals
