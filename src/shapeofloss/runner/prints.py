"""Prints: executed notebooks in a form that does not change from run to run."""

import re
from typing import Any

from nbformat import NotebookNode, v4

from shapeofloss import workspace
from shapeofloss.runner.process import KERNEL


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
    metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    return v4.new_notebook(cells=cells, metadata=metadata)


def in_sync(script: NotebookNode, executed: NotebookNode) -> bool:
    """Tell whether a print shows exactly the cells of its script."""
    return [(cell.cell_type, cell.source) for cell in script.cells] == [
        (cell.cell_type, cell.source) for cell in executed.cells
    ]


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
