"""Rules that turn a measurement into a verdict, fixed before the measurement is made.

There are two forms. A *threshold* reduces one number per seed to a statistic and compares it. An *order* takes one
value per seed for each of several named groups and asks which group lies above which, seed by seed.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median, stdev
from typing import Any

from shapeofloss.errors import UserError

Values = list[float]
Measured = Values | dict[str, Values]

NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"


def standard_error(values: Sequence[float]) -> float:
    """Return the standard error of the mean; zero for a single value, which has no spread.

    Example:
        >>> standard_error([1.0, 3.0])
        1.0
    """
    return stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0


def finite(values: Sequence[float]) -> bool:
    """Tell whether every value is a finite number."""
    return all(map(math.isfinite, values))


STATISTICS: dict[str, Callable[[Sequence[float]], float]] = {
    "mean": fmean,
    "median": median,
    "min": min,
    "max": max,
    "lower": lambda values: fmean(values) - 2 * standard_error(values),
    "upper": lambda values: fmean(values) + 2 * standard_error(values),
}


def condition(text: str) -> tuple[float, float, bool]:
    """Parse a condition into an interval: its ends, and whether they belong to it.

    Args:
        text: One of `>= x`, `<= x`, `> x`, `< x`, `within t of x`, `between a and b`.
    Raises:
        UserError: If the text has none of these forms.
    Example:
        >>> condition("within 0.5 of 2")
        (1.5, 2.5, True)
    """
    if match := re.fullmatch(rf"(>=|<=|>|<) ({NUMBER})", text):
        sign, value = match[1], float(match[2])
        ends = (value, math.inf) if sign.startswith(">") else (-math.inf, value)
        return *ends, sign.endswith("=")
    if match := re.fullmatch(rf"within ({NUMBER}) of ({NUMBER})", text):
        width, centre = float(match[1]), float(match[2])
        return centre - width, centre + width, True
    match = re.fullmatch(rf"between ({NUMBER}) and ({NUMBER})", text)
    if match and float(match[1]) <= float(match[2]):
        return float(match[1]), float(match[2]), True
    raise UserError(
        f"'{text}' is no condition. Write '>= x', '<= x', '> x', '< x', 'within t of x' or 'between a and b'."
    )


def meets(value: float, text: str) -> bool:
    """Tell whether a finite number meets a condition.

    Example:
        >>> meets(0.99, ">= 0.9"), meets(float("nan"), "< 1")
        (True, False)
    """
    low, high, closed = condition(text)
    return math.isfinite(value) and (low <= value <= high if closed else low < value < high)


@dataclass(frozen=True)
class Rule:
    """A rule as written in `data/claims/`.

    Attributes:
        seeds: The least number of values per group.
        statistic: For a threshold: how the values become one number.
        accept: For a threshold: the condition for the claim to stand.
        trend: For a threshold: a weaker condition, for `in trend`; empty if there is none.
        pairs: For an order: pairs (a, b) of groups where a has to lie below b.
        margin: For an order: how many standard errors of the paired differences each one must exceed.
    """

    seeds: int
    statistic: str = ""
    accept: str = ""
    trend: str = ""
    pairs: tuple[tuple[str, str], ...] = ()
    margin: float = 2.0

    @classmethod
    def parse(cls, table: Mapping[str, Any]) -> "Rule":
        """Read a rule's table.

        Raises:
            UserError: If keys are missing or unknown, or a condition cannot be read.
        """
        if not isinstance(table, Mapping):
            raise UserError(f"{table!r} is no rule: write a table, such as {{ statistic = 'mean', accept = '>= 0' }}.")
        rule, keys = dict(table), set(table)
        seeds = rule.pop("seeds", 1)
        if not isinstance(seeds, int) or seeds < 1:
            raise UserError(f"seeds = {seeds} is no number of values: write a whole number from 1.")
        if "statistic" in rule and keys <= {"seeds", "statistic", "accept", "trend"} and "accept" in rule:
            if rule["statistic"] not in STATISTICS:
                raise UserError(f"'{rule['statistic']}' is no statistic. Choose from {', '.join(STATISTICS)}.")
            for text in (rule["accept"], rule.get("trend", rule["accept"])):
                condition(text)
            return cls(seeds, **rule)
        margin = float(rule.pop("margin", 2.0))
        match rule:
            case {"rising": [_, _, *_] as names} if set(rule) == {"rising"}:
                pairs = tuple(pairwise(names))
            case {"lowest": first, "among": [_, _, *_] as names} if first in names and set(rule) == {"lowest", "among"}:
                pairs = tuple((first, name) for name in names if name != first)
            case {"highest": last, "among": [_, _, *_] as names} if last in names and set(rule) == {"highest", "among"}:
                pairs = tuple((name, last) for name in names if name != last)
            case _:
                raise UserError(
                    f"The rule {dict(table)} has neither form. Write statistic and accept (and trend), or rising, "
                    "or lowest or highest with among (and margin)."
                )
        if not all(isinstance(name, str) for pair in pairs for name in pair):
            raise UserError(f"The rule {dict(table)} names its groups by something else than text.")
        return cls(seeds, pairs=pairs, margin=margin)

    @property
    def groups(self) -> tuple[str, ...]:
        """The names of the groups that an order compares, in the order of the rule."""
        return tuple(dict.fromkeys(name for pair in self.pairs for name in pair))

    def read(self, measured: Any, *, complete: bool = True) -> Measured:
        """Return a measurement as lists of floats, one value per seed.

        Args:
            measured: A number or a sequence for a threshold, a mapping of group to values for an order.
            complete: Whether fewer values than `seeds` are an error.
        Raises:
            UserError: If a group is missing, values are too few, or groups differ in length.
        """
        if not self.seeds:
            raise UserError("This claim has no rule, because it cannot be tested here: record nothing for it.")
        if not self.pairs:
            if isinstance(measured, Mapping):
                raise UserError("This claim takes one list of values, not groups.")
            values = _floats(measured)
            counts = {len(values)}
            result: Measured = values
        else:
            if not isinstance(measured, Mapping) or set(measured) != set(self.groups):
                raise UserError(f"This claim takes values for exactly these groups: {', '.join(self.groups)}.")
            groups = {name: _floats(measured[name]) for name in self.groups}
            counts = {len(values) for values in groups.values()}
            result = groups
        if len(counts) != 1:
            raise UserError("Every group needs one value per seed: their lengths differ.")
        if (count := counts.pop()) < (self.seeds if complete else 1):
            raise UserError(f"This claim is judged on at least {self.seeds} values; {count} came.")
        return result

    @staticmethod
    def count(measured: Mapping[str, Any] | Sequence[Any]) -> int:
        """Return the number of values, of each group if there are groups."""
        return len(next(iter(measured.values())) if isinstance(measured, Mapping) else measured)

    def reduce(self, measured: Measured) -> float | dict[str, float]:
        """Return a threshold's statistic or the mean of each group; NaN where a value is not finite."""
        if isinstance(measured, dict):
            return {name: fmean(values) if finite(values) else math.nan for name, values in measured.items()}
        return float(STATISTICS[self.statistic](measured)) if finite(measured) else math.nan

    def judge(self, measured: Measured) -> str:
        """Return `accept`, `trend` or `reject`. One value that is not finite is enough to reject."""
        if isinstance(measured, dict):
            if not all(map(finite, measured.values())):
                return "reject"
            strong, weak = True, True
            for below, above in self.pairs:
                rises = [b - a for a, b in zip(measured[below], measured[above], strict=True)]
                mean = fmean(rises)
                strong &= mean > self.margin * standard_error(rises) and mean > 0
                weak &= mean > 0
            return "accept" if strong else "trend" if weak else "reject"
        value = self.reduce(measured)
        assert isinstance(value, float)
        if meets(value, self.accept):
            return "accept"
        return "trend" if self.trend and meets(value, self.trend) else "reject"


def _floats(values: Any) -> Values:
    """Return numbers, arrays or tensors as a list of Python floats."""
    if hasattr(values, "tolist"):
        values = values.tolist()
    if isinstance(values, bool | int | float):
        values = [values]
    try:
        if isinstance(values, str):
            raise TypeError
        return [float(value) for value in values]
    except (TypeError, ValueError):
        raise UserError(f"A measurement is a number or a sequence of numbers, not {values!r}.") from None
