"""The catalogue of notebooks and every number that differs between profiles, read from `notebooks/profiles.toml`."""

import ast
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from shapeofloss.engine import workspace
from shapeofloss.errors import UserError, unknown

PROFILES = ("smoke", "laptop", "paper")


@dataclass(frozen=True)
class Number:
    """What is known of a number in a notebook's parameters cell, which has its value at the laptop profile.

    Attributes:
        source: The source's value and its place.
        why: Why ours differs, or why it does not.
        smoke, paper: Its values at the other profiles; None where they are the laptop's.
        same_as: The notebook, or `notebook.number`, that must have the same value; empty if it stands for itself.
    """

    source: str
    why: str
    smoke: Any = None
    paper: Any = None
    same_as: str = ""


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
        after: Notebooks whose stored results it takes up: where both are run, it waits for them.
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
    after: tuple[str, ...]
    numbers: dict[str, Number]

    @property
    def script(self) -> Path:
        """The percent script that people edit."""
        return workspace.root() / "notebooks" / f"{self.name}.py"

    def text(self) -> str:
        """Return the script's text.

        Raises:
            UserError: If it cannot be read as UTF-8.
        """
        try:
            return self.script.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise UserError(f"notebooks/{self.name}.py is not UTF-8 text: {error.reason} at {error.start}.") from None
        except OSError as error:
            raise UserError(f"notebooks/{self.name}.py cannot be read: {error.strerror}.") from None

    @property
    def print(self) -> Path:
        """The executed print beside the script."""
        return self.script.with_suffix(".ipynb")

    def parameters(self) -> dict[str, Any]:
        """Return the plain assignments in the cell tagged `parameters`: the numbers at the laptop profile.

        Raises:
            UserError: If the script cannot be read, has two such cells or one as papermill injects it, or a value is no
                literal.
        """
        cells = re.split(r"^(?=# %%)", self.text(), flags=re.MULTILINE)
        tagged = [cell for cell in cells if re.match(r"# %%.*tags=.*\bparameters\b", cell)]
        if any("injected-parameters" in cell.partition("\n")[0] for cell in tagged):
            raise UserError(f"{self.name} holds a cell tagged injected-parameters, which the runner adds itself.")
        if len(tagged) > 1:  # the injected cell follows the first, and the others would undo it
            raise UserError(f"{self.name} has {len(tagged)} cells tagged parameters: join them into one.")
        try:
            statements = ast.parse("".join(tagged)).body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise UserError(f"The parameters cell of {self.name} is not valid Python: {error}.") from None
        return dict(_assigned(statement, self.name) for statement in statements)

    def at(self, profile: str) -> dict[str, Any]:
        """Return the numbers at a profile by name.

        Raises:
            UserError: If the parameters cell cannot be read, or has other numbers than `profiles.toml`.
        """
        values = self.parameters()
        if odd := sorted(values.keys() ^ self.numbers.keys()):
            raise UserError(
                f"{self.name}: {', '.join(odd)} must stand in its parameters cell and in notebooks/profiles.toml."
            )
        others = {name: getattr(self.numbers[name], profile, None) for name in values}
        return {name: value if others[name] is None else others[name] for name, value in values.items()}

    def limit(self, profile: str) -> float:
        """Return the time limit in seconds: six times what is expected, and at least ten minutes."""
        return 60 * max(10.0, 6 * self.minutes[profile])


def _assigned(statement: ast.stmt, notebook: str) -> tuple[str, Any]:
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            try:
                return name, ast.literal_eval(value)
            except (ValueError, TypeError, RecursionError):
                raise UserError(f"In {notebook}, parameter {name} must be a plain value.") from None
    raise UserError(f"The parameters cell of {notebook} may hold plain assignments only.")


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
            numbers = {
                key: _number(key, _table(value), tables) for key, value in _table(table.get("numbers", {})).items()
            }
            lists = {key: _texts(table.get(key, [])) for key in ("needs", "after")}
            notebooks[name] = Notebook(**{"exclusive": False, **table, **lists, "numbers": numbers}, name=name)
            _check(notebooks[name])
    except TypeError as error:
        raise UserError(f"notebooks/profiles.toml, entry {name}: {error}.") from None
    return notebooks


def _number(name: str, table: dict[str, Any], tables: dict[str, Any]) -> Number:
    if "same_as" not in table:
        return Number(**table)
    notebook, _, other = str(table["same_as"]).partition(".")
    try:
        shared = tables[notebook]["numbers"][other or name]
        return Number(**table, **shared)
    except (KeyError, TypeError):
        raise TypeError(f"{name} is the same as {table['same_as']}, which has no number of its own") from None


def _check(notebook: Notebook) -> None:
    minutes = _table(notebook.minutes)
    if set(minutes) != set(PROFILES):
        raise TypeError("minutes needs smoke, laptop and paper")
    for value in (*minutes.values(), notebook.paper_gigabytes):
        if type(value) not in (int, float) or not 0 <= value < math.inf:
            raise TypeError(f"{value!r} is no number of minutes or gigabytes")
    if not isinstance(notebook.exclusive, bool):
        raise TypeError("exclusive is true or false")
    for number in notebook.numbers.values():
        _texts([number.source, number.why, number.same_as])
    _texts([notebook.question, notebook.source, notebook.part])
    if not notebook.script.is_file():
        raise TypeError(f"there is no notebooks/{notebook.name}.py")


def check_shared(notebooks: Mapping[str, Notebook]) -> None:
    """See that numbers which two notebooks must share are the same in both parameters cells.

    Raises:
        UserError: If they differ.
    """
    laptop = cache(lambda name: notebooks[name].at("laptop"))
    for name, notebook in notebooks.items():
        for number, entry in notebook.numbers.items():
            if entry.same_as:
                other, _, there = entry.same_as.partition(".")
                values = laptop(name)[number], laptop(other)[there or number]
                if values[0] != values[1]:
                    raise UserError(
                        f"{number} of {name} is {values[0]!r}, and {there or number} of {other} is {values[1]!r}: "
                        "they must be the same."
                    )


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
    entry = load()[notebook]
    here, paper = entry.at("laptop"), entry.at("paper")
    for name, number in entry.numbers.items():
        lines.append(f"| `{name}` | {here[name]} | {paper[name]} | {number.source} | {number.why} |")
    return "\n".join(lines)
