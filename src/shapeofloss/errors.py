"""Errors that a reader meets: one sentence that says what was wrong and what would be accepted."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(ValueError):
    """Raised for wrong input or a missing need; the command line prints its sentence without a traceback."""


def unknown(kind: str, given: object, valid: Iterable[str]) -> UserError:
    """Return the error for a name that does not exist, with the nearest valid one.

    Example:
        >>> print(unknown("profile", "latop", ["smoke", "laptop", "paper"]))
        There is no profile 'latop'. Did you mean 'laptop'? Valid: laptop, paper, smoke.
        >>> print(unknown("view", 1, ["plane", "line"]))
        There is no view 1: it is chosen by name. Valid: line, plane.
    """
    names = sorted(valid)
    choice = f"Valid: {', '.join(names) or 'none'}."
    if not isinstance(given, str):
        return UserError(f"There is no {kind} {given!r}: it is chosen by name. {choice}")
    near = get_close_matches(given, names, n=1, cutoff=0.3)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return UserError(f"There is no {kind} '{given}'.{hint} {choice}")
