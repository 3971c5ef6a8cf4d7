"""The loops of the directional sign loss with tanh, compiled by Numba for one thread of a CPU.

PyTorch's operations write every difference, sign and mismatch to memory; here they stay in registers or in the nearest
cache. What bounds the loops is arithmetic: two smoothed signs for each comparison.
"""

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload
from numpy.typing import NDArray

REORDER = {"reassoc", "contract", "nsz", "arcp"}  # sums may be vectorised; NaN and infinity keep their meaning
CHUNK = 2048  # comparisons between the two inner loops: what they share stays in the cache


def ratio(u: Any) -> Any:
    """Return numerator and denominator of tanh u: a name for compiled code alone."""
    raise NotImplementedError


# A convergent of the continued fraction tanh z = z / (1 + z^2 / (3 + z^2 / (5 + ...))) at z = u / 4 or u / 8, doubled
# twice or three times by tanh 2z = 2 tanh z / (1 + tanh^2 z), numerator and denominator apart, so that the one division
# is left to the caller. The relative error is about one unit in the last place, and tanh is 1 beyond the bound.


def _single(u: Any) -> Any:
    two, bound = np.float32(2), np.float32(9.02)
    u = bound if u > bound else (-bound if u < -bound else u)
    z = u * np.float32(0.25)
    y = z * z
    p, q = z * (np.float32(105) + np.float32(10) * y), np.float32(105) + y * (np.float32(45) + y)
    p, q = two * p * q, q * q + p * p
    return two * p * q, q * q + p * p


def _double(u: Any) -> Any:
    u = 19.1 if u > 19.1 else (-19.1 if u < -19.1 else u)
    z = u * 0.125
    y = z * z
    p = z * (135135.0 + y * (17325.0 + y * (378.0 + y)))
    q = 135135.0 + y * (62370.0 + y * (3150.0 + y * 28.0))
    p, q = 2.0 * p * q, q * q + p * p
    p, q = 2.0 * p * q, q * q + p * p
    return 2.0 * p * q, q * q + p * p


@overload(ratio, jit_options={"fastmath": REORDER})
def _ratio(u: Any) -> Any:
    return _single if u == types.float32 else _double


@njit(fastmath=REORDER, error_model="numpy", cache=True)
def _compare(
    x0: NDArray[Any], x1: NDArray[Any], y0: NDArray[Any], y1: NDArray[Any], sharpness: Any, factor: Any, change: Any
) -> Any:
    """Return the sum of |tanh(s (x1 - x0)) - tanh(s (y1 - y0))|; and factor times its derivative by x1, in `change`."""
    one = x0.dtype.type(1)
    total = x0.dtype.type(0)
    for j in range(len(change)):
        u, w = sharpness * (x1[j] - x0[j]), sharpness * (y1[j] - y0[j])
        p, q = ratio(u)
        a, b = ratio(w)
        inverse = one / (q * b)
        sign = p * b * inverse
        side = one if u > w else (-one if u < w else u - w)  # tanh is increasing; NaN stays NaN
        total += abs(side * (sign - a * q * inverse))  # exactly zero where both agree
        change[j] = factor * side * (one - sign * sign)
    return total


@njit(error_model="numpy", cache=True)
def mismatch(
    x: NDArray[Any],
    y: NDArray[Any],
    gradient: NDArray[Any],
    sharpness: Any,
    factors: NDArray[Any],
    counts: NDArray[np.int64],
    strides: NDArray[np.int64],
    wanted: bool,
) -> NDArray[np.float64]:
    """Return the weighted mismatch of each example, and write its gradient by x if that is wanted.

    Args:
        x, y, gradient: Shape (N, elements of an example), float32 or float64. The gradient may hold anything.
        sharpness: Of the arrays' type.
        factors: For each dimension, of the arrays' type.
        counts, strides: Of each dimension: its size, and how far apart its neighbours are.
        wanted: Whether the gradient is; `gradient` is not touched otherwise.
    Returns:
        Shape (N,), summed in double precision.
    """
    totals = np.zeros(len(x))
    size = x.shape[1]
    buffer = np.empty(CHUNK, x.dtype)
    for example in range(len(x)):
        xs, ys, gs = x[example], y[example], gradient[example]
        if wanted:
            gs[:] = 0
        for d in range(len(counts)):
            stride, block = strides[d], counts[d] * strides[d]
            if factors[d] == 0 or counts[d] == 1:
                continue
            for start in range(0, size, block):
                stop = start + block - stride
                for j in range(start, stop, CHUNK):
                    k = min(j + CHUNK, stop)
                    change = buffer[: k - j]
                    low, high = slice(j, k), slice(j + stride, k + stride)
                    total = _compare(xs[low], xs[high], ys[low], ys[high], sharpness, factors[d] * sharpness, change)
                    totals[example] += np.float64(factors[d]) * np.float64(total)
                    if wanted:
                        after, before = gs[high], gs[low]
                        for i in range(k - j):
                            after[i] += change[i]
                        for i in range(k - j):
                            before[i] -= change[i]
    return totals
