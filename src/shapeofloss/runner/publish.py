"""Move what ended well into its committed place, and rebuild the index files from all notebooks."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shapeofloss import workspace
from shapeofloss.files import lock, read_json, sha256, write_atomically, write_rows
from shapeofloss.hashing import digest
from shapeofloss.ledger.rows import rebuilt, summary
from shapeofloss.profiles import Notebook, load

STAMP = "stamp.json"


def ledger_path() -> Path:
    """Return the path of the committed ledger."""
    return workspace.root() / "data" / "ledger" / "laptop.json"


def index_path() -> Path:
    """Return the path of the committed index of figures."""
    return workspace.root() / "figures" / "index.json"


def finish(notebook: Notebook, folder: Path, inputs: str, *, published: bool, profile: str) -> None:
    """Complete a good run: add seed and inputs to its figures' entries, publish it if asked, and stamp it."""
    index = folder / "figures.json"
    seed = notebook.at(profile).get("seed")
    write_rows(index, [{**row, "seed": seed, "inputs": inputs} for row in read_json(index, [])])
    if published:
        with lock(workspace.runs() / "publish.lock"):
            _publish(notebook, folder)
    # The stamp comes last: a run that was killed before it counts as never run.
    stamp = {"inputs": inputs, "outputs": _outputs(notebook, folder, published=published)}
    write_atomically(folder / STAMP, json.dumps(stamp))


def up_to_date(notebook: Notebook, folder: Path, inputs: str, *, published: bool) -> bool:
    """Tell whether the last good run had the same inputs and its outputs are still as it left them."""
    stamp = read_json(folder / STAMP)
    if stamp is None or stamp["inputs"] != inputs:
        return False
    return bool(stamp["outputs"] == _outputs(notebook, folder, published=published))


def refresh() -> None:
    """Rebuild the index of figures, the ledger and the README's tables from what is committed."""
    with lock(workspace.runs() / "publish.lock"):
        _rebuild([], [], replaced=None)


def _publish(notebook: Notebook, folder: Path) -> None:
    write_atomically(notebook.print, (folder / f"{notebook.name}.ipynb").read_bytes())
    place = workspace.root() / "figures" / notebook.name
    new = {path.name: path for path in sorted((folder / "figures").glob("*"))}
    for name, path in new.items():
        write_atomically(place / name, path.read_bytes())
    for old in place.glob("*"):
        if old.name not in new:
            old.unlink()
    _rebuild(read_json(folder / "figures.json", []), read_json(folder / "ledger.json", []), replaced=notebook.name)


def _rebuild(figures: list[dict[str, Any]], rows: list[dict[str, Any]], *, replaced: str | None) -> None:
    catalogue = load()
    kept = [row for row in read_json(index_path(), []) if row["notebook"] in catalogue and row["notebook"] != replaced]
    write_rows(index_path(), sorted(kept + figures, key=lambda row: (row["notebook"], row["figure"])))
    old = [row for row in read_json(ledger_path(), []) if row["notebook"] in catalogue and row["notebook"] != replaced]
    ledger = rebuilt(old + rows)
    write_rows(ledger_path(), ledger)
    readme = workspace.root() / "README.md"
    if readme.is_file():
        text = readme.read_text()
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
    figures = sorted((folder / "figures").glob("*"))
    paths = [folder / f"{notebook.name}.ipynb", *figures]
    found = {}
    if published:
        root = workspace.root()
        paths += [notebook.print, *(root / "figures" / notebook.name / path.name for path in figures)]
        for path in (ledger_path(), index_path()):
            rows = [row for row in read_json(path, []) if row["notebook"] == notebook.name]
            found[path.name] = digest(rows)
    for path in paths:
        found[str(path.relative_to(workspace.root()))] = sha256(path) if path.is_file() else ""
    return found
