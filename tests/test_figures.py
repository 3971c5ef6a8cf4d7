"""Figures: same bytes, right format, alternative text, numbers beside the image."""

import json
import re

import matplotlib
import numpy as np
import pandas as pd
import pytest

from shapeofloss import figures, workspace
from shapeofloss.errors import UserError

matplotlib.use("agg")
ALT = "A made-up line over a few points, for a test of the figure writer."


@pytest.fixture
def folder(checkout):
    checkout()
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
    figures.save(line(), "line", alt=ALT, data=numbers, answers="Fig. 1")
    table = pd.read_csv(folder / "figures" / "line.csv")
    assert np.allclose(table["x"], numbers["x"], rtol=1e-9) and np.allclose(table["y"], numbers["y"], rtol=1e-9)
    (entry,) = json.loads((folder / "figures.json").read_text(encoding="utf-8"))
    assert entry["alt"] == ALT and entry["answers"] == "Fig. 1" and not entry["timing"]
    assert entry["packages"]["matplotlib"] == matplotlib.__version__


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
    from PIL import Image

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
