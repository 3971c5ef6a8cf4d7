"""Compare two runs by value: verdicts and figure numbers that differ, and by how much."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from shapeofloss import workspace
from shapeofloss.errors import UserError
from shapeofloss.files import read_json

Tables = dict[str, tuple[pd.DataFrame, bool]]


def compare(first: str, second: str, *, tolerance: float = 0.0) -> list[str]:
    """Return one line for each difference between two runs; an empty list if there is none.

    Args:
        first, second: A checkout (its committed results), a folder of runs such as `runs/smoke`, or a profile's name.
        tolerance: Relative difference, against the largest value of the column, up to which numbers count as equal.
    """
    (rows_a, tables_a), (rows_b, tables_b) = _load(first), _load(second)
    return [*_verdicts(rows_a, rows_b), *_figures(tables_a, tables_b, tolerance)]


def _load(name: str) -> tuple[dict[str, dict[str, Any]], Tables]:
    places = (workspace.runs() / name, Path(name))
    place = next((place for place in places if place.is_dir()), places[0])
    if (place / "figures" / "index.json").is_file():
        folders = {
            row["notebook"]: place / "figures" / row["notebook"] for row in read_json(place / "figures" / "index.json")
        }
        entries = read_json(place / "figures" / "index.json")
        ledger = read_json(place / "data" / "ledger" / "laptop.json", [])
    else:
        runs = [path for path in sorted(place.glob("*")) if (path / "stamp.json").is_file()]
        if not runs:
            raise UserError(
                f"'{name}' holds no finished run. Give a checkout, a folder like runs/smoke, or a profile that was run."
            )
        folders = {path.name: path / "figures" for path in runs}
        entries = [row for path in runs for row in read_json(path / "figures.json", [])]
        ledger = [row for path in runs for row in read_json(path / "ledger.json", [])]
    tables = {}
    for row in entries:
        path = folders[row["notebook"]] / row["figure"]
        tables[f"{row['notebook']}/{path.stem}"] = (pd.read_csv(path.with_suffix(".csv")), bool(row["timing"]))
    return {row["id"]: row for row in ledger}, tables


def _verdicts(first: dict[str, dict[str, Any]], second: dict[str, dict[str, Any]]) -> Iterator[str]:
    for name in sorted(first.keys() | second.keys()):
        a, b = first.get(name, {}), second.get(name, {})
        if a.get("verdict", "absent") != b.get("verdict", "absent"):
            yield f"claim {name}: {a.get('verdict', 'absent')} against {b.get('verdict', 'absent')}"
        elif not a.get("timing") and a.get("per_seed") != b.get("per_seed"):
            yield f"claim {name}: measured {a['measured']} against {b['measured']}"


def _figures(first: Tables, second: Tables, tolerance: float) -> Iterator[str]:
    for name in sorted(first.keys() | second.keys()):
        if name not in first or name not in second:
            yield f"figure {name}: only in the {'first' if name in first else 'second'}"
            continue
        (a, timing), (b, _) = first[name], second[name]
        if list(a.columns) != list(b.columns) or len(a) != len(b):
            yield f"figure {name}: a table of {a.shape} against {b.shape}"
            continue
        for column in [] if timing else a.columns:
            yield from _column(f"figure {name}, {column}", a[column], b[column], tolerance)


def _column(name: str, a: pd.Series, b: pd.Series, tolerance: float) -> Iterator[str]:
    if pd.api.types.is_numeric_dtype(a) and pd.api.types.is_numeric_dtype(b):
        x, y = a.to_numpy(float), b.to_numpy(float)
        apart = np.where(np.isnan(x) & np.isnan(y), 0.0, np.abs(x - y))
        apart = np.where(np.isnan(apart), np.inf, apart)
        scale = max(np.nanmax(np.abs(x), initial=0.0), np.finfo(float).tiny)
        if (worst := apart.max(initial=0.0)) > tolerance * scale:
            yield f"{name}: differs by up to {worst:.3g}, {worst / scale:.2g} of its largest value"
    elif not a.equals(b):
        yield f"{name}: {int((a != b).sum())} of {len(a)} entries differ"
