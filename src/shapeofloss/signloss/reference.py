"""Algorithm 1 of the directional sign loss paper in PyTorch operations: the reference, for any device and type."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import functional

SIGN_LIKE: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "softsign": functional.softsign,
    "arctan": lambda u: torch.atan(u) * (2 / math.pi),
    "algebraic": lambda u: u * torch.rsqrt(1 + u * u),
    "erf": torch.erf,
}


def readable(*tensors: Tensor) -> bool:
    """Return whether compiled loops can read and write the numbers of tensors, and nothing else watches what is done.

    Subclasses, tracing, dispatch modes and transformations have to see PyTorch's own operations.
    """
    try:
        return (
            not torch.compiler.is_compiling()
            and torch._C._len_torch_dispatch_stack() == 0
            and torch._ops._len_torch_dispatch_stack_pre_dispatch() == 0
            and torch._C._get_tracing_state() is None
            and all(type(t) in (Tensor, torch.nn.Parameter) and t.device.type == "cpu" for t in tensors)
            and all(t.dtype in (torch.float32, torch.float64) for t in tensors)
            and not any(t.is_neg() or t._is_zerotensor() for t in tensors)
            and all(t.data_ptr() is not None for t in tensors)  # raises within torch.func
            and all(forward_ad.unpack_dual(t).tangent is None for t in tensors)
        )
    except RuntimeError:
        return False


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


def exact(x: Tensor, y: Tensor, factors: Sequence[float]) -> Tensor:
    """Return, for each example, the weighted sum of the differences between the exact signs, as `mismatch` does.

    Neighbours are compared, not subtracted, and counted in whole numbers: no type is too narrow.

    Returns:
        Shape (N,): of the arrays' type, at least single precision; double for whole numbers, where the device has it.
    """
    if x.is_floating_point():
        kind = torch.promote_types(x.dtype, torch.float32)
    else:
        kind = torch.float32 if x.device.type == "mps" else torch.float64
    x, y = _comparable(x), _comparable(y)
    total = torch.zeros(len(x), dtype=kind, device=x.device)
    for dimension, factor in enumerate(factors, start=1):
        if factor and x.shape[dimension] > 1:
            wrong = (_signs(x, dimension) - _signs(y, dimension)).abs().flatten(1).sum(1)
            total = total + factor * wrong.to(kind)
            if x.is_floating_point():  # NaN, and infinities of one sign next to each other, have no direction
                unknown = (x.diff(dim=dimension).isnan() | y.diff(dim=dimension).isnan()).flatten(1).any(1)
                total = torch.where(unknown, math.nan, total)
    return total


def _comparable(t: Tensor) -> Tensor:
    """Return a detached tensor of the same order, of a type whose numbers can be compared on every device."""
    t = t.detach()
    if t.is_floating_point():
        return t.float() if t.dtype.itemsize < 2 else t
    if t.dtype == torch.uint64:
        return t.view(torch.int64) ^ torch.iinfo(torch.int64).min  # the order of unsigned numbers, with a sign
    return t.to(torch.int64) if t.dtype in (torch.uint16, torch.uint32) else t


def _signs(t: Tensor, dimension: int) -> Tensor:
    length = t.shape[dimension] - 1
    before, after = t.narrow(dimension, 0, length), t.narrow(dimension, 1, length)
    return (after > before).to(torch.int8) - (after < before).to(torch.int8)
