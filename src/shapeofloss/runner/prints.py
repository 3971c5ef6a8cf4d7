"""Prints: executed notebooks in a form that does not change from run to run."""

import re
from typing import Any

import nbformat
from nbformat import NotebookNode, v4

from shapeofloss.engine import workspace
from shapeofloss.engine.reach import PACKAGE
from shapeofloss.errors import UserError
from shapeofloss.runner.process import KERNEL

LARGEST = 1_500_000  # bytes of a print; hosts stop to show notebooks at about 2 MB


def normalised(executed: NotebookNode) -> NotebookNode:
    """Return a print with stable cell ids, without timing metadata, machine paths or split streams."""
    cells = []
    for number, cell in enumerate(executed.cells):
        copy = NotebookNode(
            id=f"cell-{number:03d}", cell_type=cell.cell_type, source=cell.source, metadata=_metadata(cell.metadata)
        )
        if cell.cell_type == "code":
            copy.execution_count = cell.execution_count
            copy.outputs = [_output(output) for output in _joined(cell.outputs)]
        cells.append(copy)
    ours = {name: value for name, value in executed.metadata.items() if name == PACKAGE}  # what it was made from
    metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}, **ours}
    return v4.new_notebook(cells=cells, metadata=metadata)


def written(executed: NotebookNode) -> str:
    """Return a print as the text of its file.

    Raises:
        UserError: If it would be larger than 1.5 MB.
    """
    text = str(nbformat.writes(executed)) + "\n"
    if (total := len(text.encode())) > LARGEST:
        parts = []
        for number, cell in enumerate(executed.cells, 1):
            parts.append((len(cell.source.encode()), number, cell.source))
            for output in cell.get("outputs", []):
                words = output.get("text") or output.get("data", {}).get("text/plain", output.output_type)
                parts.append((len(str(output).encode()), number, words))
        size, number, words = max(parts)
        raise UserError(
            f"The print would take {total / 1e6:.1f} MB; {LARGEST / 1e6:g} MB are allowed, so that viewers open it. "
            f"Its largest part, {size / 1e6:.1f} MB, is in cell {number}: {words[:60]!r}. Show less, or smaller."
        )
    return text


def in_sync(script: NotebookNode, executed: NotebookNode) -> bool:
    """Tell whether a print shows exactly the cells of its script."""
    return [(cell.cell_type, cell.source) for cell in script.cells] == [
        (cell.cell_type, cell.source) for cell in executed.cells
    ]


def reworded(script: NotebookNode, printed: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    """Return a print's cells with the text and the comments of its script, whose code is the same.

    Args:
        script: The script as a notebook without outputs.
        printed: The cells of its print, as JSON.
    Returns:
        The cells, each with the outputs that its code had; None if the code cells are not as many.
    """
    code = [cell for cell in printed if cell["cell_type"] == "code"]
    outputs = iter(code)
    if sum(cell.cell_type == "code" for cell in script.cells) != len(code):
        return None  # parameters were injected, or comments make up a cell
    cells = []
    for number, cell in enumerate(script.cells):
        source = str(cell.source).splitlines(keepends=True)
        old = next(outputs) if cell.cell_type == "code" else {"cell_type": cell.cell_type, "metadata": {}}
        cells.append({**old, "id": f"cell-{number:03d}", "source": source})
        if cell.cell_type != "code":
            cells[-1]["metadata"] = {"tags": [], **_metadata(cell.metadata)}  # as papermill writes it
    return cells


def _metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metadata.items() if name not in ("papermill", "execution", "trusted")}


def _joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Join neighbouring pieces of one stream: where a stream is cut depends on time."""
    joined: list[NotebookNode] = []
    for output in outputs:
        last = joined[-1] if joined else None
        if last is not None and output.output_type == "stream" == last.output_type and output.name == last.name:
            last.text += output.text
        else:
            joined.append(NotebookNode(output))
    return joined


def _output(output: NotebookNode) -> NotebookNode:
    if output.output_type == "stream":
        output.text = _plain(output.text)
    elif text := output.get("data", {}).get("text/plain"):
        output.data["text/plain"] = _plain(text)
    return output


def _plain(text: str) -> str:
    """Return text without the checkout's path and without memory addresses."""
    return re.sub(r"\b0x[0-9a-f]{6,}\b", "0x...", text.replace(str(workspace.root()), "."))
