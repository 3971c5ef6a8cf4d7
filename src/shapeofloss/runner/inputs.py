"""What a notebook is made from: its script, its parameters, and the hash of everything that its results depend on."""

from __future__ import annotations

import ast
import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shapeofloss.engine import workspace
from shapeofloss.engine.hashing import dependencies, digest, pins_of
from shapeofloss.engine.profiles import Notebook
from shapeofloss.engine.reach import Reached, file_of, reached
from shapeofloss.errors import UserError, unknown
from shapeofloss.files import sha256
from shapeofloss.ledger import load_claims

if TYPE_CHECKING:
    from nbformat import NotebookNode


def read_script(notebook: Notebook) -> NotebookNode:
    """Return the percent script as a notebook without outputs.

    Raises:
        UserError: If it is not UTF-8 text, or its header or a cell's metadata cannot be read.
    """
    import jupytext  # loads half of Jupyter, which most commands do without

    text = notebook.text()
    try:
        return jupytext.reads(text, fmt="py:percent")
    except Exception as error:  # of YAML, of jupytext, or of the depth of what they read
        raise UserError(f"notebooks/{notebook.name}.py cannot be read as a notebook: {shown(str(error))}.") from None


def parse_override(text: str) -> tuple[str, Any]:
    """Parse `name=value` of the command line; a value that is no Python literal is text.

    Raises:
        UserError: If there is no name, or the value is nested too deeply.

    Example:
        >>> parse_override("epochs=3"), parse_override("metric=cosine")
        (('epochs', 3), ('metric', 'cosine'))
    """
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise UserError(f"'-p {shown(text)}' is no parameter. Write -p name=value, for example -p epochs=3.")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError, TypeError):
        return name, value
    except (RecursionError, MemoryError):
        raise UserError(f"The value of '-p {shown(text)}' is nested too deeply: write a plain value.") from None


def check_overrides(notebook: Notebook, overrides: dict[str, Any]) -> None:
    """Raise an error if an override is no parameter of the notebook, or of another type than the parameter's value.

    The entries of a list have to be like those of the parameter's own list.

    Raises:
        UserError: In both cases, with what would be accepted.
    """
    valid = notebook.parameters() if overrides else {}
    for name, value in overrides.items():
        if name not in valid:
            raise unknown(f"parameter of {notebook.name}", name, valid)
        usual = valid[name]
        if not (_like(value, usual) and _is_json(value)):
            raise UserError(
                f"Parameter {name} of {notebook.name} is a {_kind(usual)} such as {usual!r}, not {shown(repr(value))}."
            )


def _like(value: Any, usual: Any) -> bool:
    """Tell whether a value has the type of the usual one, and its entries those of the usual entries."""
    if type(value) is not type(usual):
        return isinstance(usual, float) and type(value) is int
    if isinstance(usual, dict):
        return _like(list(value), list(usual)) and _like(list(value.values()), list(usual.values()))
    if isinstance(usual, list | tuple | set):
        return not usual or all(any(_like(entry, one) for one in usual) for entry in value)
    return True


def _kind(usual: Any) -> str:
    name = type(usual).__name__
    if isinstance(usual, list | tuple) and usual:
        return f"{name} of {' or '.join(dict.fromkeys(type(entry).__name__ for entry in usual))}"
    return name


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def shown(text: str, length: int = 200) -> str:
    r"""Return text for a sentence: its first line, or what there is room for.

    Example:
        >>> shown("a long story", 8), shown("first\nsecond")
        ('a long s...', 'first')
    """
    line = text.strip().partition("\n")[0]
    return line if len(line) <= length else line[:length] + "..."


def check_script(notebook: Notebook) -> None:
    """Raise an error if the script cannot be read.

    Raises:
        UserError: If it is no UTF-8 text or no Python.
    """
    _tree(notebook.text(), f"notebooks/{notebook.name}.py")


def _tree(source: str, what: str) -> ast.Module:
    try:
        return ast.parse(source)
    except SyntaxError as error:
        raise UserError(f"{what} is not valid Python: line {error.lineno}: {shown(error.msg)}.") from None
    except (ValueError, RecursionError, MemoryError) as error:  # a null character, or a thousand brackets
        raise UserError(f"{what} is not valid Python: {shown(str(error)) or 'it is nested too deeply'}.") from None


def injected(notebook: Notebook, profile: str, overrides: dict[str, Any]) -> dict[str, Any]:
    """Return what papermill has to inject: nothing for a laptop run without overrides."""
    numbers = {} if profile == "laptop" else notebook.at(profile)
    return {**numbers, **overrides}


def sources(notebook: Notebook, profile: str, overrides: dict[str, Any]) -> str:
    """Return a hash of the files that `inputs_hash` reads, whatever counts in them: quick, and equal only if they are.

    Raises:
        UserError: If the script cannot be read.
    """
    script = notebook.text()
    root = workspace.root()
    others = [
        root / "pins.txt",
        root / "data" / "claims" / f"{notebook.name}.toml",
        root / "notebooks" / "profiles.toml",
    ]
    return digest(script, profile, overrides, _package(), [sha256(path) if path.is_file() else "" for path in others])


@cache
def _package() -> dict[str, str]:
    place = Path(__file__).parents[1]
    return {
        str(path.relative_to(place)): sha256(path)
        for path in sorted(place.rglob("*.[ch]pp")) + sorted(place.rglob("*.py"))
    }


def inputs_hash(notebook: Notebook, profile: str, overrides: dict[str, Any]) -> str:
    """Return a hash of all that the results depend on: reached code, numbers, packages, and the rules of the claims.

    Text and comments of the script are left out: a print takes them over without a run.
    """
    rules = [repr(claim) for claim in load_claims().values() if claim.notebook == notebook.name]
    table = {name: vars(number) for name, number in notebook.numbers.items()}
    code = dependencies(code_of(notebook))
    cells = re.split(r"^# %%(?! \[markdown\]).*$", notebook.text(), flags=re.MULTILINE)
    borders = [len(ast.parse(cell).body) for cell in cells[1:]]  # what is shown depends on where a cell ends
    return digest(code, borders, profile, table, overrides, rules)[:16]


def packages(notebook: Notebook) -> dict[str, str]:
    """Return the packages that a notebook's code and the writer of figures import, with their pinned versions."""
    drawing = file_of("shapeofloss.figures")
    assert drawing is not None
    drawn = reached(drawing.read_text(encoding="utf-8"), name="figures")
    return pins_of([*code_of(notebook).packages, *drawn.packages], needed=False)


def code_of(notebook: Notebook) -> Reached:
    """Return what a script can reach.

    Raises:
        UserError: If it, or a module that it reaches, is no Python.
    """
    script = notebook.text()
    try:
        return reached(script)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        _tree(script, f"notebooks/{notebook.name}.py")  # says where it is, if it is in the script itself
        reason = shown(str(error)) or type(error).__name__
        raise UserError(f"What notebooks/{notebook.name}.py imports cannot be read: {reason}.") from None
