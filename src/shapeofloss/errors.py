"""Errors that a reader meets: one sentence that says what was wrong and what would be accepted."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """Raised for wrong input or a missing need; the command line prints its sentence without a traceback."""


def unknown(kind: str, given: str, valid: Iterable[str]) -> UserError:
    """Return the error for a name that does not exist, with the nearest valid one.

    Example:
        >>> print(unknown("profile", "latop", ["smoke", "laptop", "paper"]))
        There is no profile 'latop'. Did you mean 'laptop'? Valid: laptop, paper, smoke.
    """
    names = sorted(valid)
    near = get_close_matches(given, names, n=1, cutoff=0.3)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return UserError(f"There is no {kind} '{given}'.{hint} Valid: {', '.join(names) or 'none'}.")
