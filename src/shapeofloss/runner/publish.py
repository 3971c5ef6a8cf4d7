"""Move what ended well into its committed place, and rebuild the index files from all notebooks."""

import contextlib
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shapeofloss.engine import workspace
from shapeofloss.engine.hashing import digest
from shapeofloss.engine.profiles import Notebook, load
from shapeofloss.engine.reach import PACKAGE
from shapeofloss.errors import UserError
from shapeofloss.files import lock, read_json, read_rows, rows_text, sha256, write_atomically, write_rows
from shapeofloss.ledger.rows import Row, rebuilt
from shapeofloss.runner.tables import with_tables

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


@dataclass(frozen=True)
class Origin:
    """Where results come from.

    Attributes:
        inputs: The hash of all that they depend on.
        sources: The hash of the files from which it was made.
        seed: The notebook's seed, if it has one.
        packages: The packages that were imported, with their versions.
    """

    inputs: str
    sources: str = ""
    seed: Any = None
    packages: Mapping[str, str] = field(default_factory=dict)


def finish(notebook: Notebook, folder: Path, origin: Origin, *, published: bool) -> None:
    """Complete a good run: write its origin into print, figures' entries and rows, publish it if asked, and stamp it.

    Either all of it happens or, after an error, committed files are as they were.

    Raises:
        OSError: If a file cannot be written, renamed or removed.
        UserError: If a committed file is damaged.
    """
    inputs = {"inputs": origin.inputs}
    figures = {**inputs, "seed": origin.seed, "packages": dict(origin.packages)}
    for name, more in (("figures.json", figures), ("ledger.json", inputs)):
        write_rows(folder / name, [{**row, **more} for row in read_json(folder / name, [])])
    printed = read_json(folder / f"{notebook.name}.ipynb")
    printed["metadata"][PACKAGE] = inputs
    write_atomically(folder / f"{notebook.name}.ipynb", _notebook_text(printed))
    _publish(notebook, folder, origin.inputs, origin.sources, published=published)


def _publish(notebook: Notebook, folder: Path, inputs: str, sources: str, *, published: bool) -> None:
    with lock(workspace.runs() / "publish.lock") if published else contextlib.nullcontext():
        files, old = _new(notebook, folder) if published else ({}, [])
        with replaced(files, remove=old):
            # The stamp comes last: a run that was killed before it counts as never run.
            outputs = _outputs(notebook, folder, published=published)
            write_atomically(folder / STAMP, json.dumps({"inputs": inputs, "outputs": outputs, "sources": sources}))


def _notebook_text(content: Mapping[str, Any]) -> str:
    """Return a notebook as nbformat writes it."""
    return json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def reword(notebook: Notebook, folder: Path, sources: str, *, published: bool) -> bool:
    """Bring text and comments of an up-to-date print into step with its script; tell whether any had changed."""
    stamp = _stamp(folder)
    if stamp.get("sources") == sources:
        return False
    from shapeofloss.runner import prints
    from shapeofloss.runner.inputs import read_script

    path = folder / f"{notebook.name}.ipynb"
    printed = read_json(path)
    cells = prints.reworded(read_script(notebook), printed["cells"])
    changed = cells is not None and cells != printed["cells"]
    if changed:
        write_atomically(path, _notebook_text({**printed, "cells": cells}))
    _publish(notebook, folder, stamp["inputs"], sources, published=published)
    return changed


def origins_of_committed() -> dict[str, set[str]]:
    """Return, by notebook, the inputs that its committed print, figures and rows name: one if they come from one run.

    What names none counts as an empty name.
    """
    prints = {name: read_json(notebook.print, {}).get("metadata", {}) for name, notebook in load().items()}
    origins = {name: {about.get(PACKAGE, {}).get("inputs", "")} for name, about in prints.items()}
    for row in (*committed(index_path()), *committed(ledger_path())):
        if row.get("per_seed", ()) is not None and row["notebook"] in origins:
            origins[row["notebook"]].add(row.get("inputs") or "")
    return origins


def inputs_of(folder: Path, sources: str) -> str | None:
    """Return the inputs of the last good run if it had the same sources: they need not be hashed again."""
    stamp = _stamp(folder)
    return stamp["inputs"] if stamp.get("sources") == sources else None


def _stamp(folder: Path) -> dict[str, Any]:
    try:
        stamp = json.loads((folder / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):  # none, or damaged: run again
        return {}
    return stamp if isinstance(stamp, dict) and {"inputs", "outputs"} <= stamp.keys() else {}


def up_to_date(notebook: Notebook, folder: Path, inputs: str, *, published: bool) -> bool:
    """Tell whether the last good run had the same inputs and its outputs are still as it left them."""
    stamp = _stamp(folder)
    return bool(stamp.get("inputs") == inputs and stamp["outputs"] == _outputs(notebook, folder, published=published))


def refresh() -> None:
    """Rebuild the index of figures, the ledger and the README's tables from what is committed: all of them, or none.

    Raises:
        OSError: If a file cannot be written.
        UserError: If a committed file is damaged.
    """
    with lock(workspace.runs() / "publish.lock"), replaced(_rebuilt([], [], without=None)):
        pass


def check_writable(*folders: Path) -> None:
    """See that results can be put into folders, before they are computed; one that is not there yet is passed over.

    Raises:
        UserError: If one cannot be written, or is no folder.
    """
    for folder in folders:
        try:
            with tempfile.TemporaryFile(dir=folder):
                pass
        except FileNotFoundError:
            continue
        except OSError as error:
            where = folder.relative_to(workspace.root())
            raise UserError(
                f"{f'The folder {where}' if where.name else 'The checkout'} cannot be written ({error.strerror}): "
                "a laptop run puts its results there. Make it writable, or choose --profile smoke."
            ) from None


def check_all_writable() -> None:
    """Call `check_writable` for every folder that all notebooks share."""
    root = workspace.root()
    check_writable(root, root / "notebooks", index_path().parent, ledger_path().parent)


@contextmanager
def replaced(files: Mapping[Path, bytes], *, remove: Iterable[Path] = ()) -> Iterator[None]:
    """Write files and remove others; after an error, in the body too, everything is as it was.

    What needs room on the disk comes first: every new file, and a copy of every old one, under temporary names. Then
    there are only renames, which the copies can undo. A process that is killed among them leaves whole files, and
    copies that the next run sweeps.
    """
    changed = {path: new for path, new in files.items() if not path.is_file() or path.read_bytes() != new}
    targets = [*changed, *remove]
    folders = [path.parent for path in targets if not path.parent.exists()]
    touched: list[Path] = []
    try:
        for path in targets:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path in changed:
                _beside(path, "new").write_bytes(changed[path])
            if path.is_file():
                _beside(path, "old").write_bytes(path.read_bytes())
        for path in targets:
            touched.append(path)
            _beside(path, "new").replace(path) if path in changed else path.unlink()
        yield
    except BaseException:
        for path in touched:
            with contextlib.suppress(OSError):  # the others are put back all the same
                if _beside(path, "old").exists():
                    _beside(path, "old").replace(path)
                else:
                    path.unlink(missing_ok=True)
        _clear(targets, "new")
        _clear((path for path in targets if path not in touched), "old")
        for folder in folders:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise
    _clear(targets, "old")


def _beside(path: Path, what: str) -> Path:
    """Return the temporary name of the new file or of the old one; it is ours alone, since publishing is locked."""
    return path.with_name(f".{path.name}.{what}.tmp")


def _clear(targets: Iterable[Path], what: str) -> None:
    for path in targets:
        with contextlib.suppress(OSError):  # the next run sweeps it
            _beside(path, what).unlink(missing_ok=True)


def _new(notebook: Notebook, folder: Path) -> tuple[dict[Path, bytes], list[Path]]:
    """Return what a run publishes, by place, and what it leaves no longer."""
    _sweep(notebook)
    files = {notebook.print: (folder / f"{notebook.name}.ipynb").read_bytes()}
    files |= {place(notebook) / path.name: path.read_bytes() for path in _figures(folder)}
    old = [path for path in place(notebook).glob("*") if path.is_file() and path not in files]
    rows = (read_json(folder / name, []) for name in ("figures.json", "ledger.json"))
    return {**files, **_rebuilt(*rows, without=notebook.name)}, old


def place(notebook: Notebook) -> Path:
    """Return the folder of a notebook's committed figures."""
    return workspace.root() / "figures" / notebook.name


def _figures(folder: Path) -> list[Path]:
    """Return the files of the figures that a run's index names."""
    images = [folder / "figures" / row["figure"] for row in read_rows(folder / "figures.json", texts=("figure",))]
    return sorted(path for image in images for path in (image, image.with_suffix(".csv")))


def _sweep(notebook: Notebook) -> None:
    """Remove what a run that was killed while publishing left beside its targets; the lock is ours."""
    targets = [notebook.print, index_path(), ledger_path(), place(notebook) / "*"]
    targets += [folder / "README.md" for folder in (workspace.root(), index_path().parent)]
    for target in targets:
        for left in target.parent.glob(f".{target.name}.*.tmp"):
            left.unlink()


def _rebuilt(figures: list[dict[str, Any]], rows: list[dict[str, Any]], *, without: str | None) -> dict[Path, bytes]:
    """Return the index, the ledger and the pages with tables, with the given rows in place of a notebook's."""
    catalogue = load()

    def others(path: Path) -> list[dict[str, Any]]:
        return [row for row in committed(path) if row["notebook"] in catalogue and row["notebook"] != without]

    index = sorted(others(index_path()) + figures, key=lambda row: (row["notebook"], row["figure"]))
    ledger = rebuilt(others(ledger_path()) + rows)
    texts = {index_path(): rows_text(index), ledger_path(): rows_text(ledger)}
    for path in (workspace.root() / "README.md", index_path().with_name("README.md")):
        if path.is_file():
            texts[path] = with_tables(path.read_text(encoding="utf-8"), catalogue, index, ledger)
    return {path: text.encode() for path, text in texts.items()}


def _outputs(notebook: Notebook, folder: Path, *, published: bool) -> dict[str, str]:
    """Return a hash of everything that a reader may look at; a missing file gives an empty one."""
    figures = _figures(folder)
    paths = [folder / f"{notebook.name}.ipynb", *figures]
    found = {}
    if published:
        paths += [notebook.print, *(place(notebook) / path.name for path in figures)]
        for path in (ledger_path(), index_path()):
            found[path.name] = digest([row for row in committed(path) if row["notebook"] == notebook.name])
    for path in paths:
        found[str(path.relative_to(workspace.root()))] = sha256(path) if path.is_file() else ""
    return found
