"""The look of figures, and the only writer of images.

Every figure is saved with its alternative text and with the plotted numbers as CSV beside it, so that two runs can be
compared by value. The same figure gives the same bytes on every run.
"""

import io
import re
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.collections import Collection
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D

from shapeofloss import workspace
from shapeofloss.errors import UserError
from shapeofloss.files import read_json, sha256, write_atomically, write_rows

# One colour for one role everywhere; the palette is told apart by colour-blind readers.
PALETTE = sns.color_palette("colorblind")
SOURCE, TARGET = PALETTE[0], PALETTE[1]
FIELD = "viridis"  # perceptually uniform: loss values, densities

PNG_POINTS = 4000  # a drawing with more marks than this is smaller, and quicker to open, as PNG
DOTS_PER_INCH = 160
NUMERICAL = "numpy scipy pandas torch matplotlib seaborn scikit-learn phate ripser gudhi umap-learn"  # in the index

LOOK = {
    "figure.figsize": (6.4, 4.0),
    "figure.dpi": 100,
    "figure.constrained_layout.use": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "axes.titlesize": "medium",
    "axes.labelsize": "medium",
    "legend.frameon": False,
    "font.size": 10,
    "lines.linewidth": 1.6,
    "image.cmap": FIELD,
    "svg.hashsalt": "shapeofloss",
}


def use_house_style() -> None:
    """Set the look of every figure of the present process, whatever the user's own settings are."""
    mpl.rcdefaults()
    sns.set_theme(style="ticks", palette="colorblind", rc=LOOK)


def save(
    figure: Figure,
    name: str,
    *,
    alt: str,
    data: pd.DataFrame | Mapping[str, Any],
    answers: str = "",
    timing: bool = False,
) -> None:
    """Write a figure, its numbers and its entry for the index into the present run, and show it.

    The format follows a fixed rule: SVG, or PNG where the figure holds an image or more than 4,000 marks.

    Args:
        figure: A matplotlib figure; it is closed afterwards.
        name: File name without ending: lower-case letters, digits and underscores. Saving a name again replaces it.
        alt: What a reader who cannot see it should know: at least 40 characters.
        data: The plotted numbers: a table, or columns of equal length.
        answers: The source's figure or table that it answers, for example `Fig. 2c`.
        timing: Whether it shows measured times; it is then compared by structure, not by value.
    Raises:
        UserError: If the name has other characters, the alternative text is too short, or the table is empty.
    """
    if not re.fullmatch(r"[a-z0-9_]+", name):
        raise UserError(f"'{name}' is no name of a figure: use lower-case letters, digits and underscores.")
    if len(alt.strip()) < 40:
        raise UserError(f"Figure {name} needs alternative text of at least 40 characters that says what it shows.")
    table = data if isinstance(data, pd.DataFrame) else pd.DataFrame(dict(data))
    if table.empty:
        raise UserError(f"Figure {name} needs the numbers that it plots: the table has no rows.")
    run = workspace.current()
    kind = "png" if _marks(figure) > PNG_POINTS else "svg"
    image = render(figure, kind)
    plt.close(figure)
    path = run.folder / "figures" / f"{name}.{kind}"
    path.with_suffix(".svg" if kind == "png" else ".png").unlink(missing_ok=True)
    write_atomically(path, image)
    write_atomically(path.with_suffix(".csv"), table.to_csv(index=False, float_format="%.10g"))
    description = " ".join(alt.split())
    entry = {
        "notebook": run.notebook,
        "figure": path.name,
        "alt": description,
        "answers": answers,
        "profile": run.profile,
        "timing": timing,
        "sha256": sha256(path),
        "packages": {name: version for name in NUMERICAL.split() if (version := _version(name))},
    }
    index = run.folder / "figures.json"
    others = [old for old in read_json(index, []) if Path(old["figure"]).stem != name]
    write_rows(index, sorted([*others, entry], key=lambda row: row["figure"]))
    _show(image, kind, description, width=round(figure.get_figwidth() * 100))


def _version(package: str) -> str:
    """Return the installed version without its build; empty if there is none."""
    try:
        return metadata.version(package).partition("+")[0]
    except metadata.PackageNotFoundError:
        return ""


def render(figure: Figure, kind: str) -> bytes:
    """Return the bytes of a figure as `svg` or `png`: the same figure gives the same bytes."""
    buffer = io.BytesIO()
    dated = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
    fixed = {name: value for name, value in mpl.rcParamsDefault.items() if name.startswith(("savefig.", "svg."))}
    with mpl.rc_context({**fixed, "svg.hashsalt": LOOK["svg.hashsalt"]}):
        figure.savefig(buffer, format=kind, dpi=DOTS_PER_INCH, metadata=dated)
    return buffer.getvalue()


def _marks(figure: Figure) -> float:
    """Count what an SVG would spell out; an image counts as infinitely many."""
    total = 0.0
    for axes in figure.axes:
        for artist in axes.get_children():
            if isinstance(artist, AxesImage):
                return float("inf")
            if isinstance(artist, Line2D):
                total += np.size(artist.get_xdata())
            elif isinstance(artist, Collection):
                total += max(
                    np.size(artist.get_offsets()) // 2, sum(np.size(path.vertices) // 2 for path in artist.get_paths())
                )
    return total


def _show(image: bytes, kind: str, alt: str, *, width: int) -> None:
    """Show the written image in a notebook, with its alternative text."""
    from IPython import get_ipython
    from IPython.display import display

    if get_ipython() is None:
        return
    mime = "image/png" if kind == "png" else "image/svg+xml"
    content: str | bytes = image if kind == "png" else image.decode()
    bundle: dict[str, Any] = {mime: content, "text/plain": f"Figure: {alt}"}
    display(bundle, raw=True, metadata={mime: {"alt": alt, "width": width}})


def panels(columns: int, *, height: float = 3.2, width: float = 3.2) -> tuple[Figure, Sequence[Any]]:
    """Return a figure with a row of axes in the house look, and its axes as a flat list."""
    figure, axes = plt.subplots(1, columns, figsize=(width * columns, height), squeeze=False)
    return figure, list(axes.flat)
