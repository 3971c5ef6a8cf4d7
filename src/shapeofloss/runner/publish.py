"""Move what ended well into its committed place, and rebuild the index files from all notebooks."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shapeofloss import workspace
from shapeofloss.files import lock, read_rows, sha256, write_atomically, write_rows
from shapeofloss.hashing import digest
from shapeofloss.ledger.rows import Row, rebuilt, summary
from shapeofloss.profiles import Notebook, load

STAMP = "stamp.json"
TEXTS = tuple(name for name, kind in Row.__annotations__.items() if kind is str)  # of a row of the ledger


def ledger_path() -> Path:
    """Return the path of the committed ledger."""
    return workspace.root() / "data" / "ledger" / "laptop.json"


def index_path() -> Path:
    """Return the path of the committed index of figures."""
    return workspace.root() / "figures" / "index.json"


def committed(path: Path) -> list[dict[str, Any]]:
    """Return the rows of the committed ledger or index; none if there is no file yet.

    Raises:
        UserError: If the file holds anything else.
    """
    if path == index_path():
        return read_rows(path, texts=("notebook", "figure"))
    return read_rows(path, texts=TEXTS, others=Row.__annotations__)


def finish(notebook: Notebook, folder: Path, inputs: str, *, seed: Any, published: bool) -> None:
    """Complete a good run: add seed and inputs to its figures' entries, publish it if asked, and stamp it."""
    index = folder / "figures.json"
    write_rows(index, [{**row, "seed": seed, "inputs": inputs} for row in read_rows(index, texts=("figure",))])
    if published:
        with lock(workspace.runs() / "publish.lock"):
            _publish(notebook, folder)
    # The stamp comes last: a run that was killed before it counts as never run.
    stamp = {"inputs": inputs, "outputs": _outputs(notebook, folder, published=published)}
    write_atomically(folder / STAMP, json.dumps(stamp))


def up_to_date(notebook: Notebook, folder: Path, inputs: str, *, published: bool) -> bool:
    """Tell whether the last good run had the same inputs and its outputs are still as it left them."""
    try:
        stamp = json.loads((folder / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):  # none, or damaged: run again
        return False
    expected = {"inputs": inputs, "outputs": _outputs(notebook, folder, published=published)}
    return bool(stamp == expected)


def refresh() -> None:
    """Rebuild the index of figures, the ledger and the README's tables from what is committed."""
    with lock(workspace.runs() / "publish.lock"):
        _rebuild([], [], replaced=None)


def _publish(notebook: Notebook, folder: Path) -> None:
    _sweep(notebook)
    write_atomically(notebook.print, (folder / f"{notebook.name}.ipynb").read_bytes())
    place = _place(notebook)
    new = _figures(folder)
    for path in new:
        write_atomically(place / path.name, path.read_bytes())
    for old in set(place.glob("*")) - {place / path.name for path in new}:
        old.unlink()
    _rebuild(
        read_rows(folder / "figures.json", texts=("figure",)),
        read_rows(folder / "ledger.json", texts=("id",)),
        replaced=notebook.name,
    )


def _place(notebook: Notebook) -> Path:
    return workspace.root() / "figures" / notebook.name


def _figures(folder: Path) -> list[Path]:
    """Return the files of the figures that a run's index names."""
    images = [folder / "figures" / row["figure"] for row in read_rows(folder / "figures.json", texts=("figure",))]
    return sorted(path for image in images for path in (image, image.with_suffix(".csv")))


def _sweep(notebook: Notebook) -> None:
    """Remove what a run that was killed while publishing left beside its targets; the lock is ours."""
    targets = [notebook.print, index_path(), ledger_path(), workspace.root() / "README.md", _place(notebook) / "*"]
    for target in targets:
        for left in target.parent.glob(f".{target.name}.*.tmp"):
            left.unlink()


def _rebuild(figures: list[dict[str, Any]], rows: list[dict[str, Any]], *, replaced: str | None) -> None:
    catalogue = load()

    def others(path: Path) -> list[dict[str, Any]]:
        return [row for row in committed(path) if row["notebook"] in catalogue and row["notebook"] != replaced]

    write_rows(index_path(), sorted(others(index_path()) + figures, key=lambda row: (row["notebook"], row["figure"])))
    ledger = rebuilt(others(ledger_path()) + rows)
    write_rows(ledger_path(), ledger)
    readme = workspace.root() / "README.md"
    if readme.is_file():
        text = readme.read_text(encoding="utf-8")
        new = with_tables(text, catalogue, ledger)
        if new != text:
            write_atomically(readme, new)


def with_tables(text: str, catalogue: Mapping[str, Notebook], ledger: list[dict[str, Any]]) -> str:
    """Return the README with its generated tables: the map of the notebooks and the ledger's summary."""
    return _block(_block(text, "ledger", summary(ledger)), "map", course_map(catalogue))


def course_map(catalogue: Mapping[str, Notebook]) -> str:
    """Return a Markdown table of the notebooks, with links to their prints."""
    lines = ["| part | notebook | question | source | minutes |", "|---|---|---|---|---:|"]
    for name, notebook in catalogue.items():
        link = f"[`{name}`](notebooks/{name}.ipynb)"
        lines.append(
            f"| {notebook.part} | {link} | {notebook.question} | {notebook.source} | {notebook.minutes['laptop']:g} |"
        )
    return "\n".join(lines)


def _block(text: str, name: str, content: str) -> str:
    pattern = rf"(<!-- {name}:begin[^>]*-->\n).*?(<!-- {name}:end -->)"
    return re.sub(pattern, lambda match: f"{match[1]}{content}\n{match[2]}", text, flags=re.DOTALL)


def _outputs(notebook: Notebook, folder: Path, *, published: bool) -> dict[str, str]:
    """Return a hash of everything that a reader may look at; a missing file gives an empty one."""
    figures = _figures(folder)
    paths = [folder / f"{notebook.name}.ipynb", *figures]
    found = {}
    if published:
        paths += [notebook.print, *(_place(notebook) / path.name for path in figures)]
        for path in (ledger_path(), index_path()):
            found[path.name] = digest([row for row in committed(path) if row["notebook"] == notebook.name])
    for path in paths:
        found[str(path.relative_to(workspace.root()))] = sha256(path) if path.is_file() else ""
    return found
