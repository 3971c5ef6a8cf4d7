"""What public functions accept: arrays of finite numbers, single numbers, counts, seeds, tensors, functions.

Nothing is cast, cut or reshaped in silence. What cannot be meant is refused in a sentence that names the argument.
"""

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shapeofloss.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

Floats = NDArray[np.float64]


def as_floats(
    values: "ArrayLike | Tensor",
    name: str,
    *,
    shape: Sequence[int | str] | None = None,
    finite: bool = True,
    empty: bool = True,
) -> Floats:
    """Return numbers as a contiguous array of double precision.

    Args:
        values: An array, a tensor on any device and of any real type, a list, a table.
        name: What the error calls it, for example `x`.
        shape: The shape that is needed: numbers stand for themselves, words for any length, for example `("N", 2)`;
            any shape if None.
        finite: Whether NaN and infinite values are refused.
        empty: Whether an array without numbers is accepted.
    Raises:
        UserError: If it holds anything but real numbers, masked or missing values, or has another shape; if it is a
            tensor that records gradients, which would be lost.

    Example:
        >>> as_floats([[1, 2], [3, 4]], "x", shape=("N", 2)).tolist()
        [[1.0, 2.0], [3.0, 4.0]]
        >>> as_floats([1.0, float("nan")], "x")
        Traceback (most recent call last):
        shapeofloss.errors.UserError: x has 1 value that is not finite; leave it out.
    """
    array = _as_array(values, name)
    if shape is not None and not _fits(array.shape, shape):
        wanted = ", ".join(str(length) for length in shape) + ("," if len(shape) == 1 else "")
        raise UserError(f"{name} has shape {array.shape}; ({wanted}) is needed.")
    if not empty and array.size == 0:
        raise UserError(f"{name} is empty, with shape {array.shape}; at least one number is needed.")
    if finite and not (good := np.isfinite(array)).all():
        bad = int(array.size - good.sum())
        raise UserError(
            f"{name} has {bad} value{'s' * (bad > 1)} that {'are' if bad > 1 else 'is'} not finite; "
            f"leave {'them' if bad > 1 else 'it'} out."
        )
    return array


def _as_array(values: Any, name: str) -> Floats:
    if getattr(values, "requires_grad", False):
        raise UserError(f"{name} records gradients, which would be lost here: call .detach() on it first.")
    if hasattr(values, "detach") and hasattr(values, "cpu"):
        if values.is_complex():
            raise UserError(f"{name} is complex; real numbers are needed: give its real part, or its modulus.")
        values = values.detach().cpu()  # before `double`: some devices have no double precision
        values = (values if values.dtype.itemsize >= 8 else values.double()).numpy()
    if isinstance(values, np.ma.MaskedArray):
        if np.ma.is_masked(values):
            raise UserError(f"{name} has masked values: fill them, or leave them out.")
        values = values.data
    try:
        array = np.asarray(values)
        if array.dtype.kind == "c":
            raise UserError(f"{name} is complex; real numbers are needed: give its real part, or its modulus.")
        return np.asarray(array, dtype=np.float64, order="C")
    except UserError:
        raise
    except (TypeError, ValueError, OverflowError):
        kind = type(values).__name__
        raise UserError(
            f"{name} is no array of numbers ({kind}): give rows of equal length that hold numbers."
        ) from None


def _fits(found: tuple[int, ...], wanted: Sequence[int | str]) -> bool:
    if len(found) != len(wanted):
        return False
    return all(isinstance(need, str) or length == need for length, need in zip(found, wanted, strict=True))


def as_number(
    value: Any,
    name: str,
    *,
    above: float = -math.inf,
    at_least: float = -math.inf,
    below: float = math.inf,
    at_most: float = math.inf,
    finite: bool = True,
) -> float:
    """Return one real number within bounds as a float.

    Args:
        value: A number, or an array or tensor with one.
        name: What the error calls it.
        above, at_least, below, at_most: The bounds, open and closed.
        finite: Whether infinity is refused; NaN always is.
    Raises:
        UserError: If it is no number, or outside.

    Example:
        >>> as_number(3, "eps", above=0)
        3.0
        >>> as_number(-1, "eps", above=0)
        Traceback (most recent call last):
        shapeofloss.errors.UserError: eps is -1; a finite number above 0 is needed.
    """
    try:
        if isinstance(value, str | bytes):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        number = math.nan
    inside = above < number < below or (above == -math.inf and number == above) or (below == math.inf == number)
    if not (inside and at_least <= number <= at_most) or (finite and math.isinf(number)):
        bounds = [
            f"{word} {bound:g}"
            for word, bound in (("above", above), ("from", at_least), ("below", below), ("up to", at_most))
            if math.isfinite(bound)
        ]
        wanted = " ".join([f"a {'finite ' * finite}number", " and ".join(bounds)]).strip()
        raise UserError(f"{name} is {_told(value)}; {wanted} is needed.")
    return number


def as_count(value: Any, name: str, *, at_least: int = 1, at_most: int | None = None) -> int:
    """Return a whole number within bounds as an int; 3.0 and True are none.

    Raises:
        UserError: If it is no whole number, or outside.

    Example:
        >>> as_count(2.5, "steps")
        Traceback (most recent call last):
        shapeofloss.errors.UserError: steps is 2.5; a whole number from 1 is needed.
    """
    try:
        number = at_least - 1 if isinstance(value, bool | np.bool_) else operator.index(value)
    except TypeError:
        number = at_least - 1
    if number < at_least or (at_most is not None and number > at_most):
        bounds = f"from {at_least}" + (f" to {at_most}" if at_most is not None else "")
        raise UserError(f"{name} is {_told(value)}; a whole number {bounds} is needed.")
    return number


def as_interval(steps: Any, parts: Any, name: str) -> int:
    """Return how many steps lie between two of several evenly spread records, the last of which follows the last step.

    Raises:
        UserError: If one is no whole number from 1, or the steps cannot be divided.

    Example:
        >>> as_interval(600, 20, "records")
        30
        >>> as_interval(4, 3, "records")
        Traceback (most recent call last):
        shapeofloss.errors.UserError: 4 steps cannot be divided into 3 equal parts for the records.
    """
    if as_count(steps, "steps") % as_count(parts, name):
        raise UserError(f"{steps} steps cannot be divided into {parts} equal parts for the {name}.")
    return int(steps // parts)


def as_seeds(values: Any, name: str = "seeds") -> list[int]:
    """Return a list of different whole numbers from 0.

    Raises:
        UserError: If it is a single number, empty, or holds anything else or one number twice.

    Example:
        >>> as_seeds(3)
        Traceback (most recent call last):
        shapeofloss.errors.UserError: seeds is 3; a list of different whole numbers from 0 is needed, for example [3].
    """
    needed = "a list of different whole numbers from 0 is needed"
    if isinstance(values, str) or not isinstance(values, Iterable):
        example = f", for example [{values}]" if isinstance(values, int) else ""
        raise UserError(f"{name} is {_told(values)}; {needed}{example}.")
    seeds = [as_count(value, f"An entry of {name}", at_least=0) for value in values]
    if not seeds or len(set(seeds)) < len(seeds):
        raise UserError(f"{name} is {_told(seeds)}; {needed}.")
    return seeds


def as_tensor(value: Any, name: str) -> "Tensor":
    """Return a tensor of PyTorch as it is.

    Raises:
        UserError: If it is anything else: an array is not turned into one, since gradients would not reach it.
    """
    import torch

    if not isinstance(value, torch.Tensor):
        raise UserError(f"{name} is {_kind(value)}; a tensor is needed: torch.as_tensor({name}).")
    return value


def as_function(value: Any, name: str, *, example: str = "") -> Callable[..., Any]:
    """Return a function (or class, or any other object that can be called) as it is.

    Raises:
        UserError: If it cannot be called; `example` then shows what could be given.
    """
    if not callable(value):
        raise UserError(f"{name} is {_kind(value)}; a function is needed{f', for example {example}' * bool(example)}.")
    return value


def _kind(value: Any) -> str:
    """Return the type of a value with its article."""
    kind = type(value).__name__
    return f"{'an' if kind[0].lower() in 'aeiou' else 'a'} {kind}"


def _told(value: Any) -> str:
    """Return a value as short text: arrays and long texts by their kind."""
    text = repr(value)
    return text if len(text) <= 60 and "\n" not in text else _kind(value)
