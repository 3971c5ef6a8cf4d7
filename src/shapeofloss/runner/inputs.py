"""What a notebook is made from: its script, its parameters, and the hash of everything that its results depend on."""

import ast
import json
from typing import Any

import jupytext
from nbformat import NotebookNode

from shapeofloss.errors import UserError, unknown
from shapeofloss.hashing import code_of, digest, numerical_pins
from shapeofloss.ledger import load_claims
from shapeofloss.profiles import Notebook


def read_script(notebook: Notebook) -> NotebookNode:
    """Return the percent script as a notebook without outputs."""
    return jupytext.read(notebook.script, fmt="py:percent")


def parameters_of(notebook: Notebook) -> dict[str, Any]:
    """Return the plain assignments of the cell tagged `parameters`.

    Raises:
        UserError: If a value is no literal.
    """
    cells = [cell.source for cell in read_script(notebook).cells if "parameters" in cell.metadata.get("tags", [])]
    try:
        statements = ast.parse("\n".join(cells)).body
    except SyntaxError as error:
        raise UserError(f"The parameters cell of {notebook.name} is not valid Python: {error.msg}.") from None
    found = {}
    for statement in statements:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                try:
                    found[name] = ast.literal_eval(value)
                except ValueError:
                    raise UserError(f"In {notebook.name}, parameter {name} must be a plain value.") from None
            case _:
                raise UserError(f"The parameters cell of {notebook.name} may hold plain assignments only.")
    return found


def parse_override(text: str) -> tuple[str, Any]:
    """Parse `name=value` of the command line; a value that is no Python literal is text.

    Example:
        >>> parse_override("epochs=3"), parse_override("metric=cosine")
        (('epochs', 3), ('metric', 'cosine'))
    """
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise UserError(f"'-p {text}' is no parameter. Write -p name=value, for example -p epochs=3.")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def check_overrides(notebook: Notebook, overrides: dict[str, Any]) -> None:
    """Raise an error if an override is no parameter of the notebook, or of another type than the parameter's value."""
    valid = parameters_of(notebook) if overrides else {}
    for name, value in overrides.items():
        if name not in valid:
            raise unknown(f"parameter of {notebook.name}", name, valid)
        usual = valid[name]
        same = type(value) is type(usual) or (isinstance(usual, float) and type(value) is int)
        if not (same and _is_json(value)):
            raise UserError(
                f"Parameter {name} of {notebook.name} is a {type(usual).__name__} such as {usual!r}, not {value!r}."
            )


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def injected(notebook: Notebook, profile: str, overrides: dict[str, Any]) -> dict[str, Any]:
    """Return what papermill has to inject: nothing for a laptop run without overrides."""
    numbers = {} if profile == "laptop" else notebook.at(profile)
    return {**numbers, **overrides}


def inputs_hash(notebook: Notebook, profile: str, overrides: dict[str, Any]) -> str:
    """Return the hash of script, imported code, numbers, numerical pins and the rules of the notebook's claims."""
    script = notebook.script.read_text(encoding="utf-8")
    try:
        code = code_of(script)
    except SyntaxError as error:
        raise UserError(
            f"notebooks/{notebook.name}.py is not valid Python: line {error.lineno}: {error.msg}."
        ) from None
    rules = [repr(claim) for claim in load_claims().values() if claim.notebook == notebook.name]
    table = {name: vars(number) for name, number in notebook.numbers.items()}
    return digest(script, code, profile, table, overrides, numerical_pins(), rules)
