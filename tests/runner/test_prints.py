"""Prints that do not change from run to run, and that every viewer can show."""

import html
import re
from itertools import pairwise

import nbformat
import pytest
from nbformat import NotebookNode, v4

from shapeofloss.engine import profiles, workspace
from shapeofloss.errors import UserError
from shapeofloss.files import read_json
from shapeofloss.runner import inputs, prints, publish

CATALOGUE = profiles.load()
each_notebook = pytest.mark.parametrize("name", CATALOGUE)


def executed(*outputs, tags=()):
    cell = v4.new_code_cell("x", metadata={"tags": list(tags), "papermill": {"duration": 1}}, execution_count=1)
    cell.outputs = [NotebookNode(output) for output in outputs]
    return v4.new_notebook(cells=[v4.new_markdown_cell("Text."), cell])


def stream(text, name="stdout"):
    return v4.new_output("stream", text=text, name=name)


def test_ids_depend_on_the_place_and_timing_metadata_is_gone():
    first, second = (prints.normalised(executed(stream("a"))) for _ in range(2))
    assert first == second and [cell.id for cell in first.cells] == ["cell-000", "cell-001"]
    assert first.cells[1].metadata == {"tags": []}


def test_where_a_stream_was_cut_does_not_matter():
    cut, whole = (
        executed(stream("a"), stream("b"), stream("c", "stderr")),
        executed(stream("ab"), stream("c", "stderr")),
    )
    assert prints.normalised(cut) == prints.normalised(whole)


def test_addresses_and_the_checkouts_path_are_taken_out():
    text = f"<object at 0x7f3a9c1d2e10> in {workspace.root()}/notebooks"
    (output,) = prints.normalised(executed(stream(text))).cells[1].outputs
    assert output.text == "<object at 0x...> in ./notebooks"


def test_a_print_is_in_step_only_with_the_same_cells():
    script = v4.new_notebook(cells=[v4.new_markdown_cell("Text."), v4.new_code_cell("x")])
    assert prints.in_sync(script, executed(stream("a")))
    script.cells[1].source = "y"
    assert not prints.in_sync(script, executed(stream("a")))


def test_a_print_that_is_too_large_is_refused_with_its_largest_output(monkeypatch):
    small = executed(stream("a"), v4.new_output("display_data", {"text/plain": "Figure cells: dots", "x": "y" * 3000}))
    assert nbformat.reads(prints.written(small), as_version=4) == small
    monkeypatch.setattr(prints, "LARGEST", 2000)
    with pytest.raises(UserError, match=r"in cell 2: 'Figure cells"):
        prints.written(small)
    with pytest.raises(UserError, match="in cell 1: 'word word"):
        prints.written(v4.new_notebook(cells=[v4.new_markdown_cell("word " * 1000)]))


@each_notebook
def test_a_committed_print_is_small_and_shows_every_figure_as_png_with_its_description(name):
    path = CATALOGUE[name].print
    assert path.stat().st_size <= prints.LARGEST
    outputs = [o for cell in nbformat.read(path, as_version=4).cells for o in cell.get("outputs", []) if "data" in o]
    kinds = {kind for output in outputs for kind in output.data if kind.startswith("image/")}
    images = [output for output in outputs if "image/png" in output.data]
    assert kinds == {"image/png"}
    assert not any("text/html" in output.data for output in images)  # it would be shown instead of the image
    expected = {row["alt"]: row["figure"] for row in read_json(publish.index_path()) if row["notebook"] == name}
    assert sorted(output.metadata["image/png"]["alt"] for output in images) == sorted(expected)
    marks = "<summary>Description and files"  # a table of claims has details, too
    pages = [output.data["text/html"] for output in outputs if marks in output.data.get("text/html", "")]
    assert len(pages) == len(images)
    for output, page in zip(images, pages, strict=True):
        figure = expected[output.metadata["image/png"]["alt"]]
        links = re.findall(r'href="([^"]+)"', page)
        assert f"../figures/{name}/{figure}" in links
        assert all((path.parent / link).is_file() for link in links)


@each_notebook
def test_headings_of_a_notebook_have_one_at_the_top_and_skip_no_level(name):
    cells = [cell.source for cell in inputs.read_script(CATALOGUE[name]).cells if cell.cell_type == "markdown"]
    text = re.sub(r"^```.*?^```", "", "\n".join(cells), flags=re.DOTALL | re.MULTILINE)
    levels = [len(marks) for marks in re.findall(r"^(#+) ", text, flags=re.MULTILINE)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(below <= above + 1 for above, below in pairwise(levels))


@each_notebook
def test_the_first_cell_links_script_print_and_map(name):
    notebook = CATALOGUE[name]
    first = inputs.read_script(notebook).cells[0].source.split("\n\n")
    assert first[1] == f"[Script]({name}.py) · [executed print]({name}.ipynb) · [course map](../README.md)"
    for target in re.findall(r"\]\(([^)]+)\)", first[1]):
        assert (notebook.script.parent / target).is_file()


def test_nbconvert_finds_the_description_of_each_image_in_the_metadata():
    from nbconvert import HTMLExporter

    executed = nbformat.read(CATALOGUE["001_start_here"].print, as_version=4)
    executed.cells = [cell for cell in executed.cells if "image/png" in str(cell)]  # the rest only takes time
    outputs = [output for cell in executed.cells for output in cell.get("outputs", [])]
    alts = [output.metadata["image/png"]["alt"] for output in outputs if "image/png" in output.get("data", {})]
    page, _ = HTMLExporter(template_name="classic").from_notebook_node(executed)
    found = re.findall(r"<img[^>]*? ?alt=\"([^\"]*)", page)
    assert alts and [html.unescape(alt) for alt in found] == alts
    page, _ = HTMLExporter().from_notebook_node(executed)  # its template drops them; the folded text below stays
    assert all(alt in html.unescape(page) for alt in alts)
