"""One hash for what a result depends on: code, numbers and numerical pins.

The runner uses it to decide what is up to date, the store to find an earlier result. Comments and docstrings of
modules do not count, so that a better sentence never costs an hour of training.
"""

import ast
import hashlib
import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

from shapeofloss.engine import workspace
from shapeofloss.errors import UserError

PACKAGE = "shapeofloss"
NUMERICAL_END = "# --- tools"


def digest(*parts: Any) -> str:
    """Return the hexadecimal SHA-256 of JSON-able parts.

    Example:
        >>> digest("a", {"x": 1, "y": 2}) == digest("a", {"y": 2, "x": 1})
        True
    """
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def numerical_pins() -> list[str]:
    """Return the pins of packages that can change a number: the first block of `pins.txt`."""
    lines = (workspace.root() / "pins.txt").read_text(encoding="utf-8").split(NUMERICAL_END)[0].splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def code_of(source: str) -> dict[str, str]:
    """Return, for Python source, every package module that it imports, directly or not, with its code.

    Imports inside functions count too, and C++ sources beside a module. Docstrings and comments are left out.
    """
    found: dict[str, str] = {}
    waiting = list(_imports(source, PACKAGE))
    while waiting:
        name = waiting.pop()
        path = _file_of(name)
        if name in found or path is None:
            continue
        text = path.read_text(encoding="utf-8")
        found[name] = _bare(text)
        for compiled in sorted(path.parent.glob("*.cpp")):  # whoever compiles it lives beside it
            found[f"{path.parent.name}/{compiled.name}"] = compiled.read_text(encoding="utf-8")
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        waiting += _imports(text, package)
    return dict(sorted(found.items()))


def code_of_module(name: str) -> dict[str, str]:
    """Return the code of an imported module, of this package or not, and of all package modules that it imports.

    Raises:
        UserError: If the module has no file with source, as in a notebook.
    """
    file = getattr(sys.modules.get(name), "__file__", None)
    try:
        if name == "__main__" or file is None:
            raise FileNotFoundError
        source = Path(file).read_text(encoding="utf-8")
        return {**code_of(source), name: _bare(source)}
    except (OSError, ValueError, SyntaxError):  # none, compiled, or edited just now
        raise UserError(f"{name} is no module whose source can be read: move the function into one.") from None


@cache
def _file_of(name: str) -> Path | None:
    place = Path(__file__).parents[2].joinpath(*name.split("."))
    files = (place / "__init__.py", place.with_suffix(".py"))
    return next((file for file in files if file.is_file()), None)


@cache  # of the text, so that an edited file is read anew: a map asks once for every task
def _imports(source: str, package: str) -> tuple[str, ...]:
    """Return the dotted names under this package that the source may import, parents included."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")
                base = ".".join(parents[: len(parents) - node.level + 1] + ([node.module] if node.module else []))
            # `from package import name` may name a module or an attribute: _file_of tells them apart.
            names = [base] + [f"{base}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == PACKAGE:
                found += (".".join(parts[:n]) for n in range(1, len(parts) + 1))
    return tuple(found)


@cache
def _bare(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        match node:
            case ast.Module() | ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                if ast.get_docstring(node, clean=False) is not None:
                    node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)
