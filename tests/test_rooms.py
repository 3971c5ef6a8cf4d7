"""The picture of the rooms in CONTRIBUTING.md; `python tests/test_rooms.py` draws it anew."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "shapeofloss"
PAGE = ROOT / "CONTRIBUTING.md"
BLOCK = re.compile(r"(<!-- rooms:begin[^>]*-->\n).*?(<!-- rooms:end -->)", re.DOTALL)


def room(path: Path) -> str:
    """A folder of the package, or a module beside the folders."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports() -> dict[str, set[str]]:
    """The rooms that the modules of each room import, anywhere in them."""
    rooms = {room(path) for path in PACKAGE.rglob("*.py") if not room(path).startswith("__")}
    found: dict[str, set[str]] = {name: set() for name in rooms}
    for path in PACKAGE.rglob("*.py"):
        if room(path) not in rooms:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "shapeofloss":
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
                found[room(path)] |= {name.split(".")[1] for name in names if "." in name} & rooms
    return {name: others - {name} for name, others in found.items()}


def below(name: str, graph: dict[str, set[str]]) -> set[str]:
    """All rooms that a room imports, directly or not."""
    return graph[name].union(*(below(other, graph) for other in graph[name]))


def drawn() -> str:
    """The picture: an arrow where a room imports another one and does not reach it by other arrows as well."""
    graph = imports()
    lines = ["```mermaid", "flowchart TD"]
    for name in sorted(graph):
        others = graph[name]
        reached = set().union(*(below(other, graph) for other in others))
        lines += [f"    {name} --> {other}" for other in sorted(others - reached)]
    return "\n".join([*lines, "```"])


def test_the_picture_of_the_rooms_is_true():
    found = BLOCK.search(PAGE.read_text(encoding="utf-8"))
    assert found is not None and found[0] == f"{found[1]}{drawn()}\n{found[2]}", "run python tests/test_rooms.py"


def test_every_room_is_described():
    text = PAGE.read_text(encoding="utf-8")
    assert not [name for name in imports() if f"`{name}`" not in text.partition("<!-- rooms:end")[2]]


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(BLOCK.sub(lambda match: f"{match[1]}{drawn()}\n{match[2]}", text), encoding="utf-8")
