"""Compare two runs by value: verdicts and figure numbers that differ, and by how much."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from shapeofloss.arrays import Floats
from shapeofloss.engine import workspace
from shapeofloss.errors import UserError
from shapeofloss.files import read_rows

Tables = dict[str, tuple[pd.DataFrame, bool]]

ENTRY = {"texts": ("notebook", "figure"), "others": ("timing",)}
ROW = {"texts": ("id", "verdict"), "others": ("timing", "per_seed")}


def compare(first: str, second: str, *, tolerance: float = 0.0) -> list[str]:
    """Return one line for each difference between two runs; an empty list if there is none.

    Args:
        first, second: A checkout (its committed results), a folder of runs such as `runs/smoke`, or a profile's name.
        tolerance: Relative difference, against the largest value of the column, up to which numbers count as equal.
    """
    (rows_a, tables_a), (rows_b, tables_b) = _load(first), _load(second)
    return [*_verdicts(rows_a, rows_b, tolerance), *_figures(tables_a, tables_b, tolerance)]


def _load(name: str) -> tuple[dict[str, dict[str, Any]], Tables]:
    bare = Path(name).name == name and (workspace.runs() / name).is_dir()
    place = workspace.runs() / name if bare else Path(name)
    if (place / "figures" / "index.json").is_file():
        entries = read_rows(place / "figures" / "index.json", **ENTRY)
        folders = {row["notebook"]: place / "figures" / row["notebook"] for row in entries}
        ledger = read_rows(place / "data" / "ledger" / "laptop.json", **ROW)
    else:
        runs = [path for path in sorted(place.glob("*")) if (path / "stamp.json").is_file()]
        if not runs:
            raise UserError(
                f"'{name}' holds no finished run. Give a checkout, a folder like runs/smoke, or a profile that was run."
            )
        folders = {path.name: path / "figures" for path in runs}
        entries = [row for path in runs for row in read_rows(path / "figures.json", **ENTRY)]
        ledger = [row for path in runs for row in read_rows(path / "ledger.json", **ROW)]
    tables = {}
    for row in entries:
        path = folders[row["notebook"]] / row["figure"]
        tables[f"{row['notebook']}/{path.stem}"] = (pd.read_csv(path.with_suffix(".csv")), bool(row["timing"]))
    return {row["id"]: row for row in ledger}, tables


def _verdicts(first: dict[str, dict[str, Any]], second: dict[str, dict[str, Any]], tolerance: float) -> Iterator[str]:
    for name in sorted(first.keys() | second.keys()):
        a, b = first.get(name, {}), second.get(name, {})
        if a.get("verdict", "absent") != b.get("verdict", "absent"):
            yield f"claim {name}: {a.get('verdict', 'absent')} against {b.get('verdict', 'absent')}"
        elif not a["timing"] and a["per_seed"] is not None:
            x, y = _flat(a["per_seed"]), _flat(b["per_seed"])
            if len(x) == len(y):
                yield from _numbers(f"claim {name}", x, y, tolerance)
            else:
                yield f"claim {name}: {len(x)} values against {len(y)}"


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
            x, y = a[column], b[column]
            if pd.api.types.is_numeric_dtype(x) and pd.api.types.is_numeric_dtype(y):
                yield from _numbers(f"figure {name}, {column}", x.to_numpy(float), y.to_numpy(float), tolerance)
            elif unlike := int(((x != y) & ~(x.isna() & y.isna())).sum()):
                yield f"figure {name}, {column}: {unlike} of {len(x)} entries differ"


def _numbers(name: str, x: Floats, y: Floats, tolerance: float) -> Iterator[str]:
    """Yield a line if two arrays differ by more than the tolerance times the largest finite value of the first."""
    same = (x == y) | (np.isnan(x) & np.isnan(y))
    with np.errstate(invalid="ignore"):
        apart = np.where(same, 0.0, np.abs(x - y))
    worst = np.where(np.isnan(apart), np.inf, apart).max(initial=0.0)
    scale = np.abs(x[np.isfinite(x)]).max(initial=np.finfo(float).tiny)
    if worst > tolerance * scale:
        yield f"{name}: differs by up to {worst:.3g}, {worst / scale:.2g} of the largest value"


def _flat(per_seed: Any) -> Floats:
    """Return a claim's values as one array, groups one after the other."""
    groups = per_seed.values() if isinstance(per_seed, dict) else [per_seed]
    return np.array([np.nan if value is None else value for group in groups for value in group], float)
