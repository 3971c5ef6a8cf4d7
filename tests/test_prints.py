"""Prints that do not change from run to run."""

from nbformat import NotebookNode, v4

from shapeofloss import workspace
from shapeofloss.runner import prints


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
