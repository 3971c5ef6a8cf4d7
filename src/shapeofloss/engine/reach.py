"""What a piece of code can reach: functions, classes and constants of this package, and the packages it imports.

A result depends on the definitions that its code names, on those that these name, and so on. Where a name cannot be
followed (a module that is handed on as an object, a call of `eval`), the whole module counts. What a module does when
it is imported, apart from defining names, always counts. Docstrings, comments and annotations never do, nor does any
module that cannot change a number: tests hold those.
"""

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = "shapeofloss"
# Looks, progress, paths, keys and the ledger's and runner's own code.
ENGINE = ["checkpoints", "cluster", "compute", "hashing", "profiles", "reach", "store", "workspace"]
NEUTRAL = {f"{PACKAGE}.{name}" for name in ["figures", "ledger", "runner", "files", "errors"]}
NEUTRAL |= {f"{PACKAGE}.engine.{name}" for name in ENGINE}
UNFOLLOWED = {"__import__", "eval", "exec", "globals", "importlib", "import_module"}  # whoever names one may reach more
WHOLE = "*"  # in place of a name: the module itself, with all that it holds
ACTIONS = ""  # in place of a name: what the module does when it is imported

Place = tuple[str, str]  # a module and a name in it


@dataclass(frozen=True)
class Reached:
    """What some code depends on.

    Attributes:
        code: Each reached definition by `module:name`, in a form that neither comments nor the minor version of Python
            change.
        packages: Imported top-level packages that are neither ours nor of the standard library, sorted.
        files: The files of this package that were read.
    """

    code: dict[str, str]
    packages: tuple[str, ...]
    files: tuple[Path, ...]


@dataclass
class _Module:
    """A parsed module.

    Attributes:
        compiled: C++ sources beside it, by name.
        definitions: The statements that define each name.
        actions: The statements that do more than that.
        imports: What each imported name stands for.
        modules: The modules that are imported with it.
    """

    name: str
    is_package: bool
    compiled: dict[str, str]
    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    actions: list[ast.stmt] = field(default_factory=list)
    imports: dict[str, Place] = field(default_factory=dict)
    modules: set[str] = field(default_factory=set)
    uses: dict[int, "_Uses"] = field(default_factory=dict)


@dataclass(frozen=True)
class _Uses:
    """A statement in its canonical form, the places that it names, and the modules that it imports when it runs."""

    text: str
    places: frozenset[Place]
    modules: frozenset[str]


def reached(source: str, start: Iterable[str] = (), *, name: str = "__main__") -> Reached:
    """Return what source can reach, from some of its definitions or from all that it does.

    Args:
        source: Python source.
        start: Names of its definitions; the whole source, in its order, if there are none.
        name: The source's module; relative imports are relative to it.
    Raises:
        SyntaxError, ValueError, RecursionError: If source, of this module or of a reached one, is no Python.
    """
    modules: dict[str, _Module | None] = {name: _parsed(name, source, False, ())}
    waiting = [(name, each) for each in start] or [(name, WHOLE)]
    code = {} if start else {name: canonical(ast.parse(source))}
    packages: set[str] = set()
    seen: set[Place] = set()
    while waiting:
        place = waiting.pop()
        if place in seen or _is_neutral(place[0]):
            continue
        seen.add(place)
        if place[0] not in modules:
            modules[place[0]] = _module(place[0])
        if (module := modules[place[0]]) is None:
            packages.add(place[0].partition(".")[0])
            continue
        uses = _uses_at(module, place[1])
        waiting += _elsewhere(module, place[1])
        waiting += [each for use in uses for each in (*use.places, *((one, ACTIONS) for one in use.modules))]
        if uses:
            code[":".join(place)] = "\n".join(use.text for use in uses)
        code |= {f"{module.name}/{file}": text for file, text in module.compiled.items()}
    outside = tuple(sorted(packages - sys.stdlib_module_names - {PACKAGE, ""}))
    return Reached(dict(sorted(code.items())), outside, tuple(filter(None, map(file_of, modules))))


def _is_neutral(name: str) -> bool:
    return name in NEUTRAL or any(name.startswith(f"{each}.") for each in NEUTRAL)


def _uses_at(module: _Module, name: str) -> list[_Uses]:
    statements = module.actions if name == ACTIONS else module.definitions.get(name, [])
    for statement in statements:
        if id(statement) not in module.uses:
            module.uses[id(statement)] = _uses(module, statement)
    return [module.uses[id(statement)] for statement in statements]


def _elsewhere(module: _Module, name: str) -> list[Place]:
    """Return the places that a name of a module stands for, beside what defines it."""
    if name == ACTIONS:  # a module is imported after its parents, and with what it imports itself
        return [(each, ACTIONS) for each in (*module.modules, module.name.rpartition(".")[0]) if each]
    if name == WHOLE:
        return [(module.name, each) for each in (ACTIONS, *module.definitions, *module.imports)]
    found = [(module.name, ACTIONS)]
    if name in module.imports:
        found.append(module.imports[name])
    elif name not in module.definitions:
        found.append((f"{module.name}.{name}", WHOLE))  # a submodule, or nothing of ours
    return found


def _module(name: str) -> _Module | None:
    """Return a module of this package, as it stands in its file now; None if it is none."""
    path = file_of(name)
    if path is None:
        return None
    text = source_of(path)
    files = () if ".cpp" not in text else sorted(path.parent.glob("*.cpp"))  # whoever compiles one names it
    return _parsed(name, text, path.name == "__init__.py", tuple((file.name, source_of(file)) for file in files))


def file_of(name: str) -> Path | None:
    """Return the file of a module of this package; None if there is none."""
    if name.partition(".")[0] != PACKAGE:
        return None
    place = Path(__file__).parents[2].joinpath(*name.split("."))
    return next((file for file in (place / "__init__.py", place.with_suffix(".py")) if file.is_file()), None)


def source_of(path: Path) -> str:
    """Return the text of a source file."""
    return path.read_text(encoding="utf-8")


@cache  # of the text, so that an edited file is read anew
def _parsed(name: str, text: str, is_package: bool, compiled: tuple[tuple[str, str], ...]) -> _Module:
    module = _Module(name, is_package, dict(compiled))
    for statement in ast.parse(text).body:
        if _is_for_types_only(statement) or _is_docstring(statement):
            continue
        imports = dict(_imported(module, statement)) if not _is_definition(statement) else {}
        module.imports |= imports
        module.modules |= {place[0] for place in imports.values()}
        bound = list(_bound(statement))
        for each in bound:
            module.definitions.setdefault(each, []).append(statement)
        if not (bound or imports) or isinstance(
            statement, ast.If | ast.For | ast.While | ast.With | ast.Try | ast.Match
        ):
            module.actions.append(statement)
    return module


def _is_for_types_only(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.dump(statement.test) and not statement.orelse


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _is_definition(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)


def _bound(node: ast.AST) -> Iterator[str]:
    """Yield the names that a statement of a module defines."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif not isinstance(
        node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
    ):  # their names are their own
        for child in ast.iter_child_nodes(node):
            yield from _bound(child)


def _imported(module: _Module, node: ast.AST) -> Iterator[tuple[str, Place]]:
    """Yield the names that imports anywhere in a node bind, each with the place that it stands for."""
    for each in ast.walk(node):
        if isinstance(each, ast.Import):
            for alias in each.names:
                top = alias.name.partition(".")[0]
                yield alias.asname or top, (alias.name if alias.asname else top, WHOLE)
                yield alias.name, (alias.name, WHOLE)  # `import a.b` imports both
        elif isinstance(each, ast.ImportFrom):
            base = _absolute(module, each)
            for alias in each.names:
                inner = f"{base}.{alias.name}"
                yield alias.asname or alias.name, (inner, WHOLE) if file_of(inner) else (base, alias.name)


def _absolute(module: _Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parents = module.name.split(".")
    kept = parents[: len(parents) - node.level + module.is_package]
    return ".".join([*kept, *([node.module] if node.module else [])])


def _uses(module: _Module, statement: ast.stmt) -> _Uses:
    """Return what a statement names, wherever in it the names stand."""
    local = dict(_imported(module, statement))
    names = {name: (module.name, name) for name in module.definitions} | module.imports | local
    places = {place for place in _named(statement, names) if place[0]}
    if any(isinstance(node, ast.Name) and node.id in UNFOLLOWED for node in ast.walk(statement)):
        places.add((module.name, WHOLE))
    return _Uses(canonical(statement), frozenset(places), frozenset(place[0] for place in local.values()))


def _named(node: ast.AST, names: dict[str, Place]) -> Iterator[Place]:
    """Yield the place of each name that a node uses; of a module, the attribute that is used."""
    if isinstance(node, ast.Name):
        yield names.get(node.id, ("", ""))
    elif isinstance(node, ast.Attribute) and (place := _attribute(node, names)):
        yield place
    else:
        for child in _children(node):
            yield from _named(child, names)


def _attribute(node: ast.Attribute, names: dict[str, Place]) -> Place | None:
    """Return the place that `a.b.c` stands for if `a` is a module; None if it is none."""
    chain = [node.attr]
    inner = node.value
    while isinstance(inner, ast.Attribute):
        chain.append(inner.attr)
        inner = inner.value
    if not isinstance(inner, ast.Name) or names.get(inner.id, ("", ""))[1] != WHOLE:
        return None
    module = names[inner.id][0]
    for name in reversed(chain):
        if not file_of(f"{module}.{name}"):
            return module, name
        module = f"{module}.{name}"
    return module, WHOLE


def _children(node: ast.AST) -> Iterator[ast.AST]:
    for _, value in _fields(node):
        yield from (each for each in (value if isinstance(value, list) else [value]) if isinstance(each, ast.AST))


def _fields(node: ast.AST) -> Iterator[tuple[str, Any]]:
    """Yield the fields of a node that can change what it does."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "ctx", "kind", "returns", "type_comment", "type_ignores", "type_params"):
            continue
        if name == "body" and (_is_definition(node) or isinstance(node, ast.Module)):
            value = value[bool(value) and _is_docstring(value[0]) :]
        if isinstance(
            node, ast.JoinedStr
        ):  # Python 3.12.0 and 3.12.1 end some format specifications with an empty text
            value = [each for each in value if not (isinstance(each, ast.Constant) and each.value == "")]
        if value not in (None, []) or isinstance(node, ast.Constant):
            yield name, value


def canonical(node: ast.AST) -> str:
    """Return a node as text: without docstrings and annotations, the same in all versions of Python.

    Example:
        >>> canonical(ast.parse("def f(x: float): return x").body[0])
        "FunctionDef(name='f', args=arguments(args=[arg(arg='x')]), body=[Return(value=Name(id='x'))])"
    """
    return f"{type(node).__name__}({', '.join(f'{name}={_text(value)}' for name, value in _fields(node))})"


def _text(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    return canonical(value) if isinstance(value, ast.AST) else repr(value)
