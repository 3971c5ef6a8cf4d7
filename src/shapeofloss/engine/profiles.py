"""The catalogue of notebooks and every number that differs between profiles, read from `notebooks/profiles.toml`."""

import math
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shapeofloss.engine import workspace
from shapeofloss.errors import UserError, unknown

PROFILES = ("smoke", "laptop", "paper")


@dataclass(frozen=True)
class Number:
    """A number that differs between profiles.

    Attributes:
        smoke, laptop, paper: Its value at each profile.
        source: The source's value and its place.
        why: Why ours differs, or why it does not.
    """

    smoke: Any
    laptop: Any
    paper: Any
    source: str
    why: str

    def at(self, profile: str) -> Any:
        """Return the value at a profile."""
        return getattr(self, profile)


@dataclass(frozen=True)
class Notebook:
    """One notebook of the course.

    Attributes:
        name: The script's name without `.py`; its first digit is the part.
        question: The one question that it asks.
        source: The source and section that it answers.
        part: The part's title.
        minutes: Expected minutes at each profile, on two cores without a GPU.
        paper_gigabytes: Expected disk space of a run at the paper profile.
        needs: What it cannot run without: `compiler`, `gpu`, or `data:<path below data/>`.
        exclusive: Whether it measures ratios of times, and so runs alone.
        numbers: Its numbers by name.
    """

    name: str
    question: str
    source: str
    part: str
    minutes: dict[str, float]
    paper_gigabytes: float
    needs: tuple[str, ...]
    exclusive: bool
    numbers: dict[str, Number]

    @property
    def script(self) -> Path:
        """The percent script that people edit."""
        return workspace.root() / "notebooks" / f"{self.name}.py"

    @property
    def print(self) -> Path:
        """The executed print beside the script."""
        return self.script.with_suffix(".ipynb")

    def at(self, profile: str) -> dict[str, Any]:
        """Return the numbers at a profile by name."""
        return {name: number.at(profile) for name, number in self.numbers.items()}

    def limit(self, profile: str) -> float:
        """Return the time limit in seconds: six times what is expected, and at least ten minutes."""
        return 60 * max(10.0, 6 * self.minutes[profile])


def load() -> dict[str, Notebook]:
    """Return the catalogue by name, in the order of the course.

    Raises:
        UserError: If an entry is incomplete or misspelt, or has no script.
    """
    path = workspace.root() / "notebooks" / "profiles.toml"
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"notebooks/profiles.toml is not valid TOML: {error}.") from None
    notebooks = {}
    try:
        for name, table in sorted(tables.items()):
            if not isinstance(table, dict):
                raise TypeError("it is no table; write [name_of_the_notebook]")
            numbers = {key: Number(**number) for key, number in _table(table.pop("numbers", {})).items()}
            table["needs"] = _texts(table.get("needs", []))
            notebooks[name] = Notebook(**{"exclusive": False, **table}, name=name, numbers=numbers)
            minutes = _table(notebooks[name].minutes)
            if set(minutes) != set(PROFILES):
                raise TypeError("minutes needs smoke, laptop and paper")
            for value in (*minutes.values(), notebooks[name].paper_gigabytes):
                if type(value) not in (int, float) or not 0 <= value < math.inf:
                    raise TypeError(f"{value!r} is no number of minutes or gigabytes")
            if not isinstance(notebooks[name].exclusive, bool):
                raise TypeError("exclusive is true or false")
            for number in numbers.values():
                _texts([number.source, number.why])
            _texts([getattr(notebooks[name], text) for text in ("question", "source", "part")])
            if not notebooks[name].script.is_file():
                raise TypeError(f"there is no notebooks/{name}.py")
    except TypeError as error:
        raise UserError(f"notebooks/profiles.toml, entry {name}: {error}.") from None
    return notebooks


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is no table")
    return value


def _texts(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError(f"{values!r} holds something else than texts")
    return tuple(values)


def check_profile(profile: str) -> str:
    """Return the profile if it exists.

    Raises:
        UserError: If it does not, naming the nearest one.
    """
    if profile not in PROFILES:
        raise unknown("profile", profile, PROFILES)
    return profile


def differences(notebook: str) -> str:
    """Return the table of what differs between this notebook and its source, as Markdown.

    One row for each number of the notebook: its value here (laptop), at the paper profile, in the source, and why.
    """
    lines = ["| number | here | paper profile | source | why |", "|---|---|---|---|---|"]
    for name, number in load()[notebook].numbers.items():
        lines.append(f"| `{name}` | {number.laptop} | {number.paper} | {number.source} | {number.why} |")
    return "\n".join(lines)
