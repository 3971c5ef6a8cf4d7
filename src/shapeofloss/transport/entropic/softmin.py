r"""The soft distance transform, the one operation that Sinkhorn's algorithm repeats.

.. math:: f_i = -\varepsilon \log \sum_j \exp(h_j - C(x_i, y_j) / \varepsilon)

with h_j = log b_j + g_j / eps, from a stored matrix or, by KeOps, without one. Double precision throughout.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import torch
from torch import Tensor

from shapeofloss.engine import compiler
from shapeofloss.errors import UserError, unknown

CLAMP = -80.0  # exp(-80) adds nothing in double precision; far below, exp gives subnormal numbers, which are slow
DENSE_PAIRS = 4_000_000  # "auto" stores the matrix up to this many pairs, 32 MB
BACKENDS = ("auto", "dense", "symbolic")


class Softmin(Protocol):
    """A pair of clouds whose transform can be taken, from the targets to the sources or back."""

    def __call__(self, eps: float, h: Tensor) -> Tensor:
        """Return f, shape (N,), for h of shape (M,)."""
        ...

    def transpose(self) -> "Softmin":
        """Return the transform from the sources to the targets."""
        ...


@dataclass(frozen=True)
class Dense:
    """The transform from a stored matrix.

    Attributes:
        cost: Shape (N, M).
        clamp: Whether exponents are kept above -80 before exp; without it the result is the same, and far slower
            once eps is small.
    """

    cost: Tensor
    clamp: bool = True

    def __call__(self, eps: float, h: Tensor) -> Tensor:
        """Return f, shape (N,), for h of shape (M,)."""
        exponent = (self.cost / -eps).add_(h)
        if not self.clamp:
            return -eps * exponent.logsumexp(1)
        largest = exponent.amax(1)
        # In place: a second matrix would be fetched from the system and given back at every call.
        return -eps * (exponent.sub_(largest[:, None]).clamp_(min=CLAMP).exp_().sum(1).log() + largest)

    def transpose(self) -> "Dense":
        """Return the transform from the sources to the targets."""
        return Dense(self.cost.T.contiguous(), self.clamp)


@dataclass(frozen=True)
class Symbolic:
    """The transform by KeOps, which evaluates pairs when it needs them, for the cost |x - y|^2 / 2.

    Attributes:
        x, y: Clouds, shape (N, D) and (M, D).
        ranges: The blocks to visit, as `pykeops.torch.cluster.from_matrix` returns them; None for all pairs.
    """

    x: Tensor
    y: Tensor
    ranges: Any = None

    def __call__(self, eps: float, h: Tensor) -> Tensor:
        """Return f, shape (N,), for h of shape (M,)."""
        inverse = torch.tensor([1 / eps], dtype=self.x.dtype, device=self.x.device)
        sums = _log_sum_exp(self.x.shape[1])(self.x, self.y, h[:, None], inverse, ranges=self.ranges)
        return -eps * sums[:, 0]

    def transpose(self) -> "Symbolic":
        """Return the transform from the sources to the targets."""
        if self.ranges is None:
            return Symbolic(self.y, self.x)
        from pykeops.torch.cluster import swap_axes

        return Symbolic(self.y, self.x, swap_axes(self.ranges))


class ClampedSymbolic:
    """The symbolic transform with exponents kept above about -80 before exp, which is far sooner at small eps.

    KeOps cannot subtract a row's largest exponent before it has seen the row. But the last transform, of eps h = H,
    is known: f >= -max_j (H_j - C_ij) - eps log M, and the maximum falls by no more than the largest change of H.

    Args:
        x, y: Clouds, shape (N, D) and (M, D).
    """

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y = x, y
        self._last: tuple[float, Tensor, Tensor] | None = None

    def __call__(self, eps: float, h: Tensor) -> Tensor:
        """Return f, shape (N,), for h of shape (M,)."""
        if self._last is None:
            f = Symbolic(self.x, self.y)(eps, h)
        else:
            before, known, f = self._last
            fall = (eps * h - known).abs().max() + before * math.log(len(self.y))
            floor = (-f - fall) / eps + CLAMP
            inverse = torch.tensor([1 / eps], dtype=h.dtype, device=h.device)
            log_sum_exp = _log_sum_exp(self.x.shape[1], clamped=True)
            f = -eps * log_sum_exp(self.x, self.y, h[:, None], inverse, floor[:, None])[:, 0]
        self._last = eps, eps * h, f
        return f

    def transpose(self) -> "ClampedSymbolic":
        """Return the transform from the sources to the targets."""
        return ClampedSymbolic(self.y, self.x)


@cache
def _log_sum_exp(dimension: int, *, clamped: bool = False) -> Any:
    from pykeops.torch import generic_logsumexp

    # Letter for letter the formula of GeomLoss, so that KeOps compiles it once for both.
    formula = "( B - (P * (SqDist(X,Y) / IntCst(2)) ) )"
    variables = ["A = Vi(1)", f"X = Vi({dimension})", f"Y = Vj({dimension})", "B = Vj(1)", "P = Pm(1)"]
    if clamped:
        formula, variables = f"( ReLU({formula} - R) + R )", [*variables, "R = Vi(1)"]
    return generic_logsumexp(formula, *variables)


def halved_squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """Return |x_i - y_j|^2 / 2 by differences, shape (N, M); coincident points have exactly 0.

    Example:
        >>> halved_squared_distances(torch.tensor([[0.0], [1.0]]), torch.tensor([[3.0]]))
        tensor([[4.5000],
                [2.0000]])
    """
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist") ** 2 / 2


def softmin_between(x: Tensor, y: Tensor, *, backend: str = "auto") -> Softmin:
    """Return the transform between two clouds for the cost |x - y|^2 / 2.

    Args:
        x, y: Clouds of one dimension, shape (N, D) and (M, D).
        backend: "dense" stores the matrix; "symbolic" is KeOps, which needs a C++ compiler once; "auto" stores it up to
            4 million pairs, and up to 400 million if there is no compiler.
    Raises:
        UserError: If the backend is none of these, or the pairs are too many for want of a compiler.
    """
    pairs = len(x) * len(y)
    if backend not in BACKENDS:
        raise unknown("backend", backend, BACKENDS)
    if backend == "dense" or (backend == "auto" and pairs <= DENSE_PAIRS):
        return Dense(halved_squared_distances(x, y))
    if reason := compiler.missing():
        if backend == "auto" and pairs <= 100 * DENSE_PAIRS:
            return Dense(halved_squared_distances(x, y))
        side = math.isqrt(100 * DENSE_PAIRS)
        raise UserError(
            f"{reason} Without it, clouds of up to about {side:,} points can be treated, by backend='dense'."
        )
    return Symbolic(x, y)
