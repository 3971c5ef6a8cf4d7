"""The look of figures, and the only writer of images.

Every figure is saved with its description and with the plotted numbers as CSV beside it, so that two runs can be
compared by value. The same figure gives the same bytes on every run. A notebook shows a small PNG of it, the one kind
of image that every viewer of notebooks shows, also one that does not trust the notebook.
"""

import base64
import html
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.collections import Collection
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D

from shapeofloss import sources
from shapeofloss.engine import workspace
from shapeofloss.errors import UserError
from shapeofloss.files import read_rows, sha256, write_atomically, write_rows

if TYPE_CHECKING:
    from PIL.Image import Image

# One colour for one role everywhere; the palette is told apart by colour-blind readers.
PALETTE = sns.color_palette("colorblind")
SOURCE, TARGET = PALETTE[0], PALETTE[1]
FIELD = "viridis"  # perceptually uniform: loss values, densities

PNG_POINTS = 4000  # a drawing with more marks than this is smaller, and quicker to open, as PNG
DOTS_PER_INCH = 160
PREVIEW_DOTS_PER_INCH = 120  # of what a notebook shows
SHOWN_DOTS_PER_INCH = 100  # at which width it shows it
ANIMATION_DOTS_PER_INCH = 80
LARGEST_ANIMATION = 1_000_000  # bytes

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
    """Write a figure, its numbers and its entry for the index into the present run, and show a preview.

    The format follows a fixed rule: SVG, or PNG where the figure holds an image or more than 4,000 marks.

    Args:
        figure: A matplotlib figure; it is closed afterwards.
        name: File name without ending: lower-case letters, digits and underscores. Saving a name again replaces it.
        alt: What a reader who cannot see it should know: at least 40 characters.
        data: The plotted numbers: a table, or columns of equal length.
        answers: What of the sources it answers, such as `landscape: Fig. 2c` or `wgan: Table 1; slide "Theorem 2"`;
            empty for a figure of our own.
        timing: Whether it shows measured times; it is then compared by structure, not by value.
    Raises:
        UserError: If the name has other characters, the alternative text is too short, the table is empty, or
            `answers` has another form.
    """
    table = _checked(name, alt, data, answers)
    kind = "png" if _marks(figure) > PNG_POINTS else "svg"
    image = render(figure, kind)
    small = _opened(render(figure, "png", PREVIEW_DOTS_PER_INCH))
    plt.close(figure)
    _write(image, f"{name}.{kind}", alt=alt, table=table, answers=answers, timing=timing)
    _show(small, f"{name}.{kind}", alt, width=round(figure.get_figwidth() * SHOWN_DOTS_PER_INCH))


def save_animation(
    frames: Iterable[Figure],
    name: str,
    *,
    alt: str,
    data: pd.DataFrame | Mapping[str, Any],
    answers: str = "",
    milliseconds: int = 80,
) -> None:
    """Write figures of one size as a GIF that repeats itself, with what `save` writes beside an image.

    A notebook shows the first frame and a link to the GIF, which some viewers of notebooks would leave out.

    All frames share the colours of the first, the middle and the last one, 128 at most, so that only what moves takes
    room.

    Args:
        frames: At least two; each is closed once it is drawn, so that a generator needs little memory.
        name, alt, data, answers: As for `save`.
        milliseconds: How long each frame is shown.
    Raises:
        UserError: As for `save`, or if there are fewer than two frames, or they differ in size, or the file would be
            larger than 1 MB.
    """
    from PIL import Image

    table = _checked(name, alt, data, answers)
    drawn = []
    for figure in frames:
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=ANIMATION_DOTS_PER_INCH)
        plt.close(figure)
        drawn.append(_opened(buffer.getvalue()))
    if len(drawn) < 2 or len({own.size for own in drawn}) > 1:
        sizes = sorted({own.size for own in drawn})
        raise UserError(f"Animation {name} needs at least two frames of one size, not {len(drawn)} of sizes {sizes}.")
    width, height = drawn[0].size
    sample = Image.new("RGB", (width, 3 * height))
    for row, own in enumerate((drawn[0], drawn[len(drawn) // 2], drawn[-1])):
        sample.paste(own, (0, row * height))
    colours = sample.quantize(128)
    first, *others = [own.quantize(palette=colours, dither=Image.Dither.NONE) for own in drawn]
    buffer = io.BytesIO()
    first.save(buffer, "GIF", save_all=True, append_images=others, duration=milliseconds, loop=0, optimize=False)
    image = buffer.getvalue()
    if len(image) > LARGEST_ANIMATION:
        raise UserError(
            f"Animation {name} would take {len(image) / 1e6:.1f} MB; {LARGEST_ANIMATION / 1e6:g} MB are allowed: "
            "draw fewer or smaller frames."
        )
    _write(image, f"{name}.gif", alt=alt, table=table, answers=answers, timing=False)
    _show(drawn[0], f"{name}.gif", alt, width=width)


def _checked(name: str, alt: str, data: pd.DataFrame | Mapping[str, Any], answers: str) -> pd.DataFrame:
    """Return the numbers as a table, if the name and the alternative text are good too."""
    if not re.fullmatch(r"[a-z0-9_]+", name):
        raise UserError(f"'{name}' is no name of a figure: use lower-case letters, digits and underscores.")
    if len(alt.strip()) < 40:
        raise UserError(f"Figure {name} needs alternative text of at least 40 characters that says what it shows.")
    sources.answered(answers)
    table = data if isinstance(data, pd.DataFrame) else pd.DataFrame(dict(data))
    if table.empty:
        raise UserError(f"Figure {name} needs the numbers that it plots: the table has no rows.")
    return table


def _write(image: bytes, file: str, *, alt: str, table: pd.DataFrame, answers: str, timing: bool) -> None:
    """Write an image, its numbers and its entry for the index into the present run."""
    run = workspace.current()
    path = run.folder / "figures" / file
    for kind in {".png", ".svg", ".gif"} - {path.suffix}:
        path.with_suffix(kind).unlink(missing_ok=True)
    write_atomically(path, image)
    write_atomically(path.with_suffix(".csv"), table.to_csv(index=False, float_format="%.10g"))
    entry = {
        "notebook": run.notebook,
        "figure": path.name,
        "alt": " ".join(alt.split()),
        "answers": answers,
        "profile": run.profile,
        "timing": timing,
        "sha256": sha256(path),
    }
    index = run.folder / "figures.json"
    others = [old for old in read_rows(index, texts=("figure",)) if Path(old["figure"]).stem != path.stem]
    write_rows(index, sorted([*others, entry], key=lambda row: row["figure"]))


def render(figure: Figure, kind: str, dots_per_inch: int = DOTS_PER_INCH) -> bytes:
    """Return the bytes of a figure as `svg` or `png`: the same figure gives the same bytes."""
    buffer = io.BytesIO()
    dated = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
    fixed = {name: value for name, value in mpl.rcParamsDefault.items() if name.startswith(("savefig.", "svg."))}
    with mpl.rc_context({**fixed, "svg.hashsalt": LOOK["svg.hashsalt"]}):
        figure.savefig(buffer, format=kind, dpi=dots_per_inch, metadata=dated)
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


def _opened(image: bytes) -> "Image":
    from PIL import Image

    return Image.open(io.BytesIO(image)).convert("RGB")


def preview(picture: "Image") -> bytes:
    """Return a picture as PNG of at most 256 colours, a third to a half of the size that all its colours would take.

    Median cut alone draws bands into colour maps; k-means after it halves the largest errors and needs no dithering.
    """
    buffer = io.BytesIO()
    picture.quantize(256, kmeans=1).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def bundles(picture: "Image", file: str, alt: str, *, width: int, place: str) -> list[tuple[dict[str, str], Any]]:
    """Return what a notebook shows of a figure: MIME bundles with their metadata.

    The image and its description are two bundles: HTML in the first would be shown instead of the image.

    Args:
        picture: The figure, or the first frame of an animation.
        file: Name of its file in `place`, beside which its numbers lie as CSV.
        alt: Its description.
        width: How wide it is shown, in pixels.
        place: Relative address of the folder with the file, for a reader of the notebook.
    """
    alt = " ".join(alt.split())
    image = {"image/png": base64.b64encode(preview(picture)).decode(), "text/plain": f"Figure {Path(file).stem}: {alt}"}
    link = f"{place}/{file}"
    play = f'<a href="{link}">Play the animation</a>; the image is its first frame.\n' if file.endswith(".gif") else ""
    numbers = Path(file).with_suffix(".csv")
    words = (
        f"{play}<details><summary>Description and files</summary>\n{html.escape(alt)}\n"
        f'<a href="{link}">{file}</a>, <a href="{place}/{numbers}">{numbers}</a></details>'
    )
    return [
        (image, {"image/png": {"alt": alt, "width": width}}),
        ({"text/html": words, "text/plain": f"Files: {link}, {place}/{numbers}"}, {}),
    ]


def _show(picture: "Image", file: str, alt: str, *, width: int) -> None:
    """Show a figure in a notebook, if this is one."""
    from IPython import get_ipython
    from IPython.display import display

    if get_ipython() is None:
        return
    run = workspace.current()
    # The print of a laptop run moves to notebooks/, where scripts are opened too; other prints stay in the run folder.
    homes = {"laptop": f"../figures/{run.notebook}", "interactive": f"../runs/interactive/{run.notebook}/figures"}
    for bundle, about in bundles(picture, file, alt, width=width, place=homes.get(run.profile, "figures")):
        display(bundle, raw=True, metadata=about)


def panels(columns: int, *, height: float = 3.2, width: float = 3.2) -> tuple[Figure, Sequence[Any]]:
    """Return a figure with a row of axes in the house look, and its axes as a flat list."""
    figure, axes = plt.subplots(1, columns, figsize=(width * columns, height), squeeze=False)
    return figure, list(axes.flat)
