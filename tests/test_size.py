"""How large the rooms are (`python tests/test_size.py` prints it), and what keeps each of their pieces readable."""

import ast
from collections import Counter
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src" / "shapeofloss"
MODULES = sorted(SRC.rglob("*.py"))
LINES, BODY, PARAMETERS, DEPTH = 400, 40, 10, 4
BLOCKS = (ast.If, ast.For, ast.While, ast.With, ast.Try, ast.Match, ast.FunctionDef, ast.ClassDef)


def depth(node: ast.AST) -> int:
    """How many blocks lie within each other below a function; an `elif` lies beside its `if`."""
    inner = [0]
    for child in ast.iter_child_nodes(node):
        beside = isinstance(node, ast.If) and node.orelse == [child] and isinstance(child, ast.If)
        inner.append(depth(child) + (isinstance(child, BLOCKS) and not beside))
    return max(inner)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SRC)))
def test_a_module_and_its_functions_stay_small(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            body = node.body[ast.get_docstring(node) is not None :] or node.body
            names = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
            size = node.end_lineno - body[0].lineno + 1, len({*names} - {"self", "cls"}), depth(node)
            assert size <= (BODY, size[1], size[2]) and size[1] <= PARAMETERS and size[2] <= DEPTH, (node.name, size)


def rooms() -> Counter[str]:
    """Lines by room: a folder of the package, or the modules beside the folders."""
    found: Counter[str] = Counter()
    for path in MODULES:
        found["/".join(path.relative_to(SRC).parts[:-1][:2]) or "."] += len(
            path.read_text(encoding="utf-8").splitlines()
        )
    return found


def test_the_rooms_are_printed(capsys):
    with capsys.disabled():
        print("", *(f"{lines:6} {room}" for room, lines in sorted(rooms().items())), sep="\n")
    assert sum(rooms().values()) == sum(len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES)


if __name__ == "__main__":
    test = rooms()
    print(*(f"{lines:6} {room}" for room, lines in sorted(test.items())), f"{test.total():6} all", sep="\n")
