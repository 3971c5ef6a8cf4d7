"""The directional sign loss as users call it: checks, options, and the choice between the two ways to compute it."""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import cache

import torch
from torch import Tensor, nn

from shapeofloss.arrays import as_function, as_number, as_tensor
from shapeofloss.errors import UserError, unknown
from shapeofloss.signloss import reference

AVERAGES = ("comparisons", "dimensions", "none")
REDUCTIONS = ("mean", "sum", "none")


def directional_sign_loss(
    x: Tensor,
    y: Tensor,
    *,
    sharpness: float | Tensor,
    sign_like: str | Callable[[Tensor], Tensor] = "tanh",
    weights: Sequence[float] | None = None,
    average: str = "comparisons",
    halve: bool = False,
    reduction: str = "mean",
) -> Tensor:
    r"""Compare the directions in which two arrays rise and fall.

    .. math:: \ell = \sum_{i=1}^{d} f_i \sum_{\text{pairs along } i}
        \bigl|\sigma(s\,\Delta_i x) - \sigma(s\,\Delta_i y)\bigr|

    with finite differences :math:`\Delta_i` along each dimension of an example, a smoothed sign :math:`\sigma`, the
    sharpness :math:`s`, and factors :math:`f_i` that the options below decide. The first dimension counts examples,
    which are never compared with each other.

    ==========================================  ================================================================
    number in the paper                         options
    ==========================================  ================================================================
    Algorithm 1                                 ``average="none", halve=True, reduction="sum"``
    "DSL" in Tables 1 and 2, Figs. 2, 3 and 5   the defaults: mean over all comparisons, not halved, from 0 to 2
    "DSL" in Table 3                            ``average="dimensions"``, images scaled to [-1, 1]
    "exact DSL" (mismatches of an example)      `exact_sign_mismatch` with its defaults
    a field of elements of dimensionality m     ``weights=[1, ..., 1, 0, ..., 0]`` with m zeros
    ==========================================  ================================================================

    Args:
        x, y: Tensors of one shape (N, n_1, ..., n_d), d at least 1, and of floating types, on one device. Two types,
            as within `torch.autocast`, are promoted to their common one (`torch.promote_types`). Half precision is
            computed in single. A dimension of size 1 has no comparisons and adds nothing. NaN, and infinities of one
            sign next to each other, make the loss of their example NaN.
        sharpness: s, in 1 / units of x; a number that is positive and finite in the type of the computation, or a
            tensor with one positive value, which may be learned (the value is not checked).
        sign_like: "tanh", "softsign", "arctan" (scaled to (-1, 1)), "algebraic" (u / sqrt(1 + u^2)), "erf", or an odd
            increasing function of a tensor with limits -1 and 1.
        weights: One number, at least 0, for each of the d dimensions; ones if None. A dimension of weight 0 is left
            out, and its comparisons do not count.
        average: "comparisons" divides by the number of comparisons, sum_i (n_i - 1) prod_{j != i} n_j over the
            dimensions that are compared; "dimensions" takes the mean in each dimension and sums over dimensions; "none"
            sums.
        halve: Whether to divide by two, so that a wrong direction counts 1 in the limit of large s, and a zero
            difference against another counts 1/2.
        reduction: Over examples: "mean", "sum", or "none" for the loss of each, shape (N,).
    Returns:
        The loss, without unit, in the type that x and y have in common: a scalar, or shape (N,).
    Raises:
        UserError: If an argument is none of the above, or there is nothing to compare.
    Source:
        Directional sign loss paper, Algorithm 1 and section 3.2, implementation notes. The number of comparisons is
        ours: the paper's d prod_i (n_i - 1) is another.
    Example:
        >>> rising, falling = torch.tensor([[0.0, 1.0, 2.0]]), torch.tensor([[0.0, 1.0, 0.0]])
        >>> round(directional_sign_loss(rising, falling, sharpness=100.0, average="none", halve=True).item(), 6)
        1.0
    """
    dimension_weights = _checked(x, y, weights, average, reduction)
    x, y = _alike(x, y)
    kind = x.dtype
    if not x.is_floating_point():
        raise UserError(f"Integers have no gradient: x is {kind} and y is {y.dtype}. Convert them, with x.float().")
    if kind.itemsize < 2:
        raise UserError(f"x is {kind}, which PyTorch cannot subtract. Convert both arrays, with x.float().")
    if kind.itemsize == 2:  # sums of half precision end at 65,504, or count in steps of two from 256 on
        x, y = x.float(), y.float()
    s = _sharpness(sharpness, x.dtype)
    if isinstance(sign_like, str):
        if sign_like not in reference.SIGN_LIKE:
            raise unknown("sign-like function", sign_like, reference.SIGN_LIKE)
        sigma = reference.SIGN_LIKE[sign_like]
    else:
        sigma = as_function(sign_like, "sign_like", example="torch.tanh")
    factors = _factors(x, dimension_weights, average, halve)
    quick = (
        isinstance(sign_like, str) and sign_like == "tanh" and not isinstance(s, Tensor) and reference.readable(x, y)
    )
    compiled = _compiled() if quick else None
    if compiled is not None:
        losses = compiled(x.contiguous(), y.contiguous(), s, factors)
    else:
        losses = reference.mismatch(x, y, lambda u: sigma(s * u), factors)
    reduced = _reduced(losses, reduction)
    return reduced.to(kind) if kind.itemsize == 2 else reduced


def exact_sign_mismatch(
    x: Tensor,
    y: Tensor,
    *,
    weights: Sequence[float] | None = None,
    average: str = "none",
    halve: bool = True,
    reduction: str = "mean",
) -> Tensor:
    """Count the finite differences whose signs differ; a zero against another sign counts one half.

    The limit of `directional_sign_loss` for large sharpness, without a gradient. The arguments are the same; whole
    numbers and truth values are accepted, too, both of one type, and compared exactly.

    Returns:
        With the defaults the mismatches of an example, mean over examples; in the type that x and y have in common, but
        at least in single precision, and in double for whole numbers.
    Raises:
        UserError: As `directional_sign_loss`.
    Source:
        Directional sign loss paper, section 3.1, "a non-differentiable exact version".
    Example:
        >>> exact_sign_mismatch(torch.tensor([[0, 1, 1, 2]]), torch.tensor([[0, 1, 2, 1]])).item()
        1.5
    """
    dimension_weights = _checked(x, y, weights, average, reduction)
    return _reduced(reference.exact(*_alike(x, y), _factors(x, dimension_weights, average, halve)), reduction)


class DirectionalSignLoss(nn.Module):
    """`directional_sign_loss` as a module: the options are given once, the arrays at each call.

    Example:
        >>> loss = DirectionalSignLoss(sharpness=32.0)
        >>> loss(torch.zeros(1, 8), torch.zeros(1, 8))
        tensor(0.)
    """

    def __init__(
        self,
        *,
        sharpness: float | Tensor,
        sign_like: str | Callable[[Tensor], Tensor] = "tanh",
        weights: Sequence[float] | None = None,
        average: str = "comparisons",
        halve: bool = False,
        reduction: str = "mean",
    ):
        super().__init__()
        self.sharpness = sharpness
        self.options = {
            "sign_like": sign_like,
            "weights": weights,
            "average": average,
            "halve": halve,
            "reduction": reduction,
        }

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the loss between x and y."""
        return directional_sign_loss(x, y, sharpness=self.sharpness, **self.options)  # type: ignore[arg-type]

    def extra_repr(self) -> str:
        """Return the options, for the printed module."""
        return ", ".join(f"{name}={value!r}" for name, value in {"sharpness": self.sharpness, **self.options}.items())


def _checked(x: Tensor, y: Tensor, weights: Sequence[float] | None, average: str, reduction: str) -> list[float]:
    """Refuse arguments that make no sense; return the weight of each dimension."""
    for name, given, valid in (("average", average, AVERAGES), ("reduction", reduction, REDUCTIONS)):
        if not isinstance(given, str) or given not in valid:
            raise unknown(name, given, valid)
    for name, tensor in (("x", x), ("y", y)):
        as_tensor(tensor, name)
        if tensor.is_nested or tensor.is_quantized or tensor.layout != torch.strided:
            raise UserError(f"{name} is a nested, quantised or sparse tensor; a dense one is needed.")
    if x.shape != y.shape:
        raise UserError(f"x has shape {tuple(x.shape)} and y has {tuple(y.shape)}; they have to be equal.")
    for name, kind in (("x", x.dtype), ("y", y.dtype)):
        if kind.is_complex:
            raise UserError(
                f"{name} is {kind}; complex numbers have no order. Give real and imaginary parts as a dimension."
            )
    mixed = all(t.is_floating_point() and t.dtype.itemsize >= 2 for t in (x, y))  # others are not promoted
    if x.device != y.device or (x.dtype != y.dtype and not mixed):
        raise UserError(
            f"x is {x.dtype} on {x.device} and y is {y.dtype} on {y.device}; they have to be alike, but for floating "
            "types of 16 bits and more."
        )
    if x.dim() < 2 or not len(x):
        raise UserError(
            f"x has shape {tuple(x.shape)}; its first dimension has to count examples, at least one, and there has to "
            "be at least one more. For a single array, give x[None]."
        )
    if weights is None:
        return [1.0] * (x.dim() - 1)
    if not isinstance(weights, Iterable):
        raise UserError(f"weights is {weights!r}; a list of one number for each dimension of an example is needed.")
    numbers = [as_number(weight, "A weight", at_least=0) for weight in weights]
    if len(numbers) != x.dim() - 1:
        raise UserError(
            f"There are {len(numbers)} weights; an example of shape {tuple(x.shape[1:])} has {x.dim() - 1}."
        )
    return numbers


def _alike(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return both arrays in the type that PyTorch's own operations would take."""
    kind = torch.promote_types(x.dtype, y.dtype) if x.dtype != y.dtype else x.dtype
    return x.to(kind), y.to(kind)


def _sharpness(sharpness: float | Tensor, kind: torch.dtype) -> float | Tensor:
    if isinstance(sharpness, Tensor):
        if sharpness.numel() != 1 or not sharpness.is_floating_point():
            raise UserError(
                f"sharpness is a tensor of shape {tuple(sharpness.shape)} and type {sharpness.dtype}; "
                "a number, or a tensor with one floating number, is needed."
            )
        return sharpness
    limits = torch.finfo(kind)
    number = as_number(sharpness, "sharpness", above=0)
    if not limits.smallest_normal <= number <= limits.max:
        raise UserError(
            f"sharpness is {number:g}; in {kind} from {limits.smallest_normal:g} to {limits.max:g} can be computed."
        )
    return number


def _factors(x: Tensor, weights: list[float], average: str, halve: bool) -> list[float]:
    """Return what the summed mismatch in each dimension is multiplied by."""
    sizes = x.shape[1:]
    elements = math.prod(sizes)
    counts = [elements // n * (n - 1) if n and weight else 0 for n, weight in zip(sizes, weights, strict=True)]
    if not sum(counts):
        raise UserError(
            f"An example of shape {tuple(sizes)} with weights {weights} has nothing to compare; some dimension of "
            "non-zero weight has to have at least 2 elements."
        )
    over = {"comparisons": [sum(counts)] * len(counts), "dimensions": counts, "none": [1] * len(counts)}[average]
    return [
        weight / (2 if halve else 1) / total if count else 0.0
        for weight, total, count in zip(weights, over, counts, strict=True)
    ]


def _reduced(losses: Tensor, reduction: str) -> Tensor:
    return losses.mean() if reduction == "mean" else losses.sum() if reduction == "sum" else losses


@cache
def _compiled() -> Callable[..., Tensor] | None:
    """Return the compiled way; None without Numba, or if NUMBA_DISABLE_JIT is set."""
    try:
        import numba

        from shapeofloss.signloss.compiled import mismatch
    except ImportError:
        return None
    return None if numba.config.DISABLE_JIT else mismatch
