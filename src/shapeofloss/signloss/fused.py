"""The compiled loops as a differentiable operation of PyTorch."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shapeofloss.signloss import kernel, reference


class Mismatch(torch.autograd.Function):
    """The weighted mismatch of each example with tanh, and its gradient, at the memory of the gradient.

    The gradient by x is found with the loss, and scaled in place when it is asked for. A second derivative is left to
    PyTorch's own operations.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, sharpness: float, factors: Sequence[float]) -> Tensor:
        """Return the mismatch of each example, shape (N,)."""
        ctx.save_for_backward(x, y)
        ctx.sharpness, ctx.factors = sharpness, factors
        totals, ctx.gradient = run(x, y, sharpness, factors, wanted=ctx.needs_input_grad[0])
        return totals

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients by x and y, where they are needed."""
        x, y = ctx.saved_tensors
        if torch.is_grad_enabled():  # the gradient is to be differentiated, too
            with torch.enable_grad():
                totals = reference.mismatch(x, y, lambda u: torch.tanh(ctx.sharpness * u), ctx.factors)
            wanted = [t for t, needed in zip((x, y), ctx.needs_input_grad, strict=False) if needed]
            found = iter(torch.autograd.grad(totals, wanted, outer, create_graph=True))
            return *(next(found) if needed else None for needed in ctx.needs_input_grad[:2]), None, None
        gradients: list[Tensor | None] = []
        for own, other, needed in ((x, y, ctx.needs_input_grad[0]), (y, x, ctx.needs_input_grad[1])):
            kept = ctx.gradient if own is x else None
            if needed and kept is None:  # of y, or of x in a second pass over a graph that was kept
                kept = run(own, other, ctx.sharpness, ctx.factors, wanted=True)[1]
            if needed and kept is not None:
                scale = outer[0].reshape(-1, *[1] * (own.dim() - 1))
                if not reference.readable(scale):  # of a batch of gradients, each scales the one that is kept
                    kept = kept * scale
                elif not bool((scale == 1).all()):
                    kept.mul_(scale)
            gradients.append(kept if needed else None)
        ctx.gradient = None
        return *gradients, None, None


def run(
    x: Tensor, y: Tensor, sharpness: float, factors: Sequence[float], *, wanted: bool
) -> tuple[Tensor, Tensor | None]:
    """Return the mismatch of each example, shape (N,), and its gradient by x if it is wanted."""
    sizes = x.shape[1:]
    strides = [math.prod(sizes[d + 1 :]) for d in range(len(sizes))]
    gradient = torch.empty_like(x) if wanted else x
    flat = [t.detach().reshape(len(x), -1).numpy() for t in (x, y, gradient)]
    kind = flat[0].dtype.type
    totals = kernel.mismatch(
        *flat, kind(sharpness), np.array(factors, kind), np.array(sizes), np.array(strides), wanted
    )
    return torch.from_numpy(totals).to(x.dtype), gradient if wanted else None
