"""One key for what a result depends on: the code that it can reach, and the versions of the packages that this imports.

The runner uses it to decide what is up to date, the store to find an earlier result. Better sentences never cost an
hour of training, and neither does an edit of code that a result cannot reach.
"""

import hashlib
import json
import re
import sys
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from shapeofloss.engine import workspace
from shapeofloss.engine.reach import Reached, reached
from shapeofloss.errors import UserError

NUMERICAL_END = "# --- tools"
# Packages that are imported under another name than they are installed under.
INSTALLED_AS = {
    "PIL": "pillow",
    "ot": "pot",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "umap": "umap-learn",
}

_known: dict[tuple[str, str], tuple[Reached, tuple[int, ...]]] = {}  # a map asks several times for every task


def digest(*parts: Any) -> str:
    """Return the hexadecimal SHA-256 of JSON-able parts.

    Example:
        >>> digest("a", {"x": 1, "y": 2}) == digest("a", {"y": 2, "x": 1})
        True
    """
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def numerical_pins() -> dict[str, str]:
    """Return the pinned versions of packages that can change a number: the first block of `pins.txt`."""
    lines = (workspace.root() / "pins.txt").read_text(encoding="utf-8").split(NUMERICAL_END)[0].splitlines()
    pins = (line.strip().split("==") for line in lines if "==" in line and not line.startswith("#"))
    return {_normal(name): version for name, version in pins}


def pins_of(packages: Iterable[str], *, needed: bool = True) -> dict[str, str]:
    """Return the numerical pins of imported packages, by the name under which they are installed.

    Args:
        packages: Names under which they are imported.
        needed: Whether to add what they need themselves.
    """
    pins = numerical_pins()
    waiting = [_normal(INSTALLED_AS.get(package, package)) for package in packages]
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _requirements(name) if needed else ()
    return {name: pins[name] for name in sorted(found & pins.keys())}


def dependencies(code: Reached) -> list[Any]:
    """Return what a key holds of reached code: the definitions, and the pins of all packages below them."""
    return [code.code, pins_of(code.packages)]


def code_of_function(module: str, name: str) -> Reached:
    """Return what a function of an imported module, of this package or not, can reach.

    Raises:
        UserError: If the module has no file with source, as in a notebook.
    """
    try:
        file = str(sys.modules[module].__file__)
        if module == "__main__":
            raise FileNotFoundError
        known, stamps = _known.get((module, name), (None, ()))
        if known is None or stamps != _stamps(file, known):
            known = reached(Path(file).read_text(encoding="utf-8"), [name.partition(".")[0]], name=module)
            _known[module, name] = known, _stamps(file, known)
        return known
    except (KeyError, AttributeError, OSError, ValueError, SyntaxError):  # none, compiled, or edited just now
        raise UserError(f"{module} is no module whose source can be read: move the function into one.") from None


def _stamps(file: str, code: Reached) -> tuple[int, ...]:
    return tuple(each.stat().st_mtime_ns for each in (Path(file), *code.files))


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def _requirements(name: str) -> tuple[str, ...]:
    """Return what a package needs wherever it is installed; nothing of one that is not there."""
    try:
        texts = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return ()
    return tuple(_normal(re.split(r"[^\w.-]", text, maxsplit=1)[0]) for text in texts if "extra ==" not in text)
