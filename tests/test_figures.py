"""Figures: same bytes, right format, alternative text, numbers beside the image."""

import base64
import hashlib
import html
import io
import json
import re
import shutil
import sys
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from shapeofloss import figures
from shapeofloss.engine import workspace
from shapeofloss.errors import UserError

matplotlib.use("agg")
ALT = "A made-up line over a few points, for a test of the figure writer."


@pytest.fixture
def folder(checkout):
    shutil.copy(Path(__file__).parents[1] / "data" / "sources.toml", checkout() / "data")
    figures.use_house_style()
    return workspace.begin("01_small").folder


def line(points=5):
    figure, (axes,) = figures.panels(1)
    axes.plot(np.arange(points), np.arange(points) ** 2, label="squares")
    axes.set(xlabel="x", ylabel="y")
    return figure


@pytest.mark.parametrize("kind", ["svg", "png"])
def test_the_same_figure_gives_the_same_bytes_without_dates_or_versions(kind):
    first, second = (figures.render(line(), kind) for _ in range(2))
    assert first == second
    assert not re.search(rb"<dc:date>|Matplotlib|Software", first)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems round glyphs otherwise")
def test_the_look_is_the_one_that_the_committed_figures_have(folder):
    """Figures do not depend on the look: after a change draw all of them anew, then put the new hash here."""
    figure, (left, right) = figures.panels(2)
    left.plot([0, 1, 2], [0, 1, 4], label="squares")
    left.scatter([0, 1], [2, 3], color=figures.TARGET, label="points")
    left.set(xlabel="x", ylabel="y", title="title")
    left.legend()
    right.bar(["a", "b"], [1, 2], color=figures.SOURCE)
    drawn = figures.render(figure, "svg")
    plt.close(figure)
    assert hashlib.sha256(drawn).hexdigest()[:16] == "f0c342f5cc8d585b", "make figures ARGS=--force"


def test_lines_become_svg_and_clouds_and_images_become_png(folder):
    figures.save(line(), "line", alt=ALT, data={"y": range(5)})
    cloud, (axes,) = figures.panels(1)
    axes.scatter(*np.random.default_rng(0).normal(size=(2, 5000)))
    figures.save(cloud, "cloud", alt=ALT, data={"y": range(5)})
    field, (axes,) = figures.panels(1)
    axes.imshow(np.eye(3))
    figures.save(field, "field", alt=ALT, data={"y": range(5)})
    assert {p.name for p in (folder / "figures").iterdir() if p.suffix != ".csv"} == {
        "line.svg",
        "cloud.png",
        "field.png",
    }


def test_the_numbers_stand_beside_the_image_and_in_the_index(folder):
    numbers = {"x": [0.1, 1 / 3], "y": [1e-9, 2.0]}
    figures.save(line(), "line", alt=ALT, data=numbers, answers="landscape: section 1")
    table = pd.read_csv(folder / "figures" / "line.csv")
    assert np.allclose(table["x"], numbers["x"], rtol=1e-9) and np.allclose(table["y"], numbers["y"], rtol=1e-9)
    (entry,) = json.loads((folder / "figures.json").read_text(encoding="utf-8"))
    assert entry["alt"] == ALT and entry["answers"] == "landscape: section 1" and not entry["timing"]


def test_saving_again_replaces_the_entry(folder):
    for _ in range(2):
        figures.save(line(), "line", alt=ALT, data={"y": [1]})
    assert len(json.loads((folder / "figures.json").read_text(encoding="utf-8"))) == 1


def test_saving_again_in_another_format_leaves_no_second_image(folder):
    figures.save(line(), "one", alt=ALT, data={"y": [1]})
    field, (axes,) = figures.panels(1)
    axes.imshow(np.eye(3))
    figures.save(field, "one", alt=ALT, data={"y": [1]})
    assert {path.name for path in (folder / "figures").iterdir()} == {"one.png", "one.csv"}


@pytest.mark.parametrize("name", ["../escaped", "Line", "a b", ""])
def test_a_name_that_is_no_plain_word_is_refused(folder, name):
    with pytest.raises(UserError, match="no name of a figure"):
        figures.save(line(), name, alt=ALT, data={"y": [1]})


def test_the_users_own_settings_change_nothing(folder):
    with matplotlib.rc_context():
        figures.use_house_style()
        plain = figures.render(line(), "svg")
        matplotlib.rcParams.update({"savefig.transparent": True, "lines.linewidth": 9, "svg.fonttype": "none"})
        figures.use_house_style()
        matplotlib.rcParams["savefig.transparent"] = True
        assert figures.render(line(), "svg") == plain


def test_a_figure_without_alternative_text_or_numbers_is_refused_and_writes_nothing(folder):
    with pytest.raises(UserError, match="alternative text of at least 40"):
        figures.save(line(), "line", alt="A line.", data={"y": [1]})
    with pytest.raises(UserError, match="no rows"):
        figures.save(line(), "line", alt=ALT, data={"y": []})
    assert not (folder / "figures").exists()


def test_saving_before_a_notebook_has_begun_is_refused(checkout, monkeypatch):
    checkout()
    with pytest.raises(UserError, match="No notebook has begun"):
        figures.save(line(), "line", alt=ALT, data={"y": [1]})


def test_the_palette_can_be_told_apart_without_colour():
    greys = sorted(float(np.dot(color, (0.299, 0.587, 0.114))) for color in (figures.SOURCE, figures.TARGET))
    assert greys[1] - greys[0] > 0.15


def test_an_animation_shows_every_frame_and_has_the_same_bytes_again(folder):
    def frames():
        for end in (1, 3, 5):
            yield line(end)

    contents = []
    for _ in range(2):
        figures.save_animation(frames(), "moving", alt=ALT, data={"y": range(5)}, milliseconds=100)
        contents.append((folder / "figures" / "moving.gif").read_bytes())
    assert contents[0] == contents[1]
    with Image.open(folder / "figures" / "moving.gif") as image:
        assert image.n_frames == 3 and image.info["duration"] == 100 and image.info["loop"] == 0
        shown = []
        for k in range(3):
            image.seek(k)
            shown.append(image.convert("RGB").tobytes())
    assert len(set(shown)) == 3
    (entry,) = json.loads((folder / "figures.json").read_text(encoding="utf-8"))
    assert entry["figure"] == "moving.gif" and (folder / "figures" / "moving.csv").is_file()


def test_an_animation_of_one_frame_or_too_many_bytes_is_refused(folder, monkeypatch):
    with pytest.raises(UserError, match="at least two frames"):
        figures.save_animation([line()], "still", alt=ALT, data={"y": [1]})
    monkeypatch.setattr(figures, "LARGEST_ANIMATION", 100)
    with pytest.raises(UserError, match="fewer or smaller"):
        figures.save_animation([line(), line(3)], "large", alt=ALT, data={"y": [1]})
    assert not list((folder / "figures").glob("*.gif"))


def smooth():
    """A picture of too many colours for a palette: a colour map over a field, with stripes that fade to white."""
    field = np.add.outer(np.linspace(0, 1, 200), np.linspace(0, 1, 300)) / 2
    white = (np.arange(300) % 12 / 11)[None, :, None] * (np.arange(200) % 40 < 8)[:, None, None]
    colours = 255 * matplotlib.colormaps["viridis"](field)[..., :3]
    return Image.fromarray((colours * (1 - white) + 255 * white).round().astype("uint8"))


def shown(monkeypatch):
    """Let figures believe that this is a notebook; return the list that gets what they show."""
    caught = []
    monkeypatch.setattr("IPython.get_ipython", lambda: object())
    monkeypatch.setattr("IPython.display.display", lambda data, *, raw, metadata: caught.append((data, metadata)))
    return caught


def picture_in(bundle):
    return Image.open(io.BytesIO(base64.b64decode(bundle["image/png"])))


def test_a_preview_has_few_colours_close_to_the_true_ones_and_the_same_bytes_again():
    true = smooth()
    first, second = figures.preview(true), figures.preview(true)
    assert first == second
    small = Image.open(io.BytesIO(first))
    assert small.mode == "P" and len(small.getcolors()) <= 256
    error = np.abs(np.asarray(small.convert("RGB"), int) - np.asarray(true, int))
    assert error.max() <= 35 and error.mean() < 0.7  # of 255; median cut alone: 56 and 0.84


def test_a_picture_of_few_colours_keeps_them_exactly():
    few = Image.fromarray(np.random.default_rng(0).choice([0, 60, 255], size=(40, 50, 3)).astype("uint8"))
    small = Image.open(io.BytesIO(figures.preview(few)))
    assert np.array_equal(np.asarray(small.convert("RGB")), np.asarray(few))


@pytest.mark.parametrize("points", [5, 5000])
def test_a_notebook_shows_a_png_and_below_it_the_description_whatever_the_file_is(folder, monkeypatch, points):
    caught = shown(monkeypatch)
    alt = "Two curves: a < b & b > c, which a page must not take for a tag; the rest is here only to be long enough."
    figures.save(line(points), "line", alt=alt, data={"y": range(points)})
    (image, about), (words, _) = caught
    assert set(image) == {"image/png", "text/plain"} and set(words) == {"text/html", "text/plain"}
    assert about["image/png"] == {"alt": alt, "width": 320} and image["text/plain"] == f"Figure line: {alt}"
    assert abs(picture_in(image).width - 1.2 * 320) <= 1
    summary, _, rest = words["text/html"].partition("</summary>")
    assert summary.startswith("<details><summary>") and html.unescape(rest).strip().startswith(alt)
    assert "<img" not in words["text/html"] and "a &lt; b &amp;" in rest
    links = re.findall(r'href="([^"]+)"', rest)
    place = folder.parents[2] / "notebooks"  # where the script is open
    assert len(links) == 2 and all((place / link).resolve().is_file() for link in links)


def test_a_notebook_shows_the_first_frame_of_an_animation_and_a_link_to_it(folder, monkeypatch):
    caught = shown(monkeypatch)
    figures.save_animation((line(end) for end in (1, 3)), "moving", alt=ALT, data={"y": [1]})
    (image, _), (words, _) = caught
    with Image.open(folder / "figures" / "moving.gif") as moving:
        first = np.asarray(moving.convert("RGB"), int)
        moving.seek(1)
        second = np.asarray(moving.convert("RGB"), int)
    seen = np.asarray(picture_in(image).convert("RGB"), int)
    assert "image/gif" not in image and 2 * np.abs(seen - first).mean() < np.abs(seen - second).mean()
    before, _, _ = words["text/html"].partition("<details>")
    (link,) = re.findall(r'href="([^"]+)"', before)
    assert (folder.parents[2] / "notebooks" / link).resolve() == (folder / "figures" / "moving.gif").resolve()


@pytest.mark.parametrize(
    ("profile", "place"), [("laptop", "../figures/01_small"), ("smoke", "figures"), ("laptop-overridden", "figures")]
)
def test_links_fit_the_place_where_the_print_will_be_read(folder, monkeypatch, profile, place):
    caught = shown(monkeypatch)
    monkeypatch.setenv("SHAPEOFLOSS_PROFILE", profile)
    monkeypatch.setenv("SHAPEOFLOSS_FOLDER", str(folder))
    figures.save(line(), "line", alt=ALT, data={"y": [1]})
    assert re.findall(r'href="([^"]+)"', caught[1][0]["text/html"]) == [f"{place}/line.svg", f"{place}/line.csv"]
