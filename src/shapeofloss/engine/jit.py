"""Compiled loops: Numba's, kept for the next process where there is a place to keep them."""

from collections.abc import Callable
from typing import Any


def njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Return `numba.njit` with these options, which keeps its code beside the source or in the user's cache.

    Where neither can be written, as in some containers, each process compiles anew.
    """
    import numba  # a second: only where loops are compiled

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(cache=True, **options)(function)
        except RuntimeError:  # "no locator available": there is no place
            return numba.njit(**options)(function)

    return decorate
