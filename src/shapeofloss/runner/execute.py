"""Execute one notebook: the process that the runner starts for it, `python -m shapeofloss.runner.execute JOB`.

It reports each cell as a JSON line on stdout, leaves the executed print or the partial notebook in the run folder, and
ends when its stdin closes, that is, when its runner dies; what the notebook itself started, the next run ends.
"""

import json
import os
import re
import sys
import threading
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import papermill
from jupyter_client.manager import AsyncKernelManager
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, papermill_engines
from papermill.exceptions import PapermillExecutionError

from shapeofloss import workspace
from shapeofloss.errors import UserError
from shapeofloss.files import write_atomically
from shapeofloss.runner.prints import KERNEL, normalised, written

OUTPUT_LIMIT = 20_000_000  # characters of output per notebook; beyond, a print cannot be opened
PROGRESS = re.compile(r"\r\033\[K([^\r\n]*)\r")  # a line that compute.map writes over
PARTIAL = "partial.ipynb"
FAILURE = "failure.json"


def report(**event: Any) -> None:
    """Tell the runner what happened."""
    print(json.dumps(event), flush=True)


def fail(folder: Path, cell: int | None, error: list[str]) -> None:
    """Leave for the runner which cell failed, and the last lines of its error."""
    write_atomically(folder / FAILURE, json.dumps({"cell": cell, "error": error}))


class _Client(PapermillNotebookClient):
    """A client that limits a notebook's output and hands lines of progress on to the runner."""

    received = 0

    def process_message(self, msg: dict[str, Any], cell: Any, cell_index: int) -> Any:
        content = msg["content"]
        if msg["msg_type"] == "stream":
            for line in PROGRESS.findall(content["text"]):
                report(progress=line)
            content["text"] = PROGRESS.sub("", content["text"])
            if not content["text"]:
                return None
        self.received += len(content.get("text", "")) + sum(len(str(part)) for part in content.get("data", {}).values())
        if self.received > OUTPUT_LIMIT:  # an exception would be lost here: messages come on a task of their own
            reason = f"Its outputs exceed {OUTPUT_LIMIT:,} characters: print less, or save to a file."
            fail(Path(os.environ[workspace.FOLDER]), cell_index + 1, [reason])
            os._exit(1)
        return super().process_message(msg, cell, cell_index)


class _ReportingEngine(Engine):
    """Papermill's own engine over IPC sockets, with a report for each cell."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> None:
        began, total = nb_man.cell_start, len(nb_man.nb.cells)

        def cell_start(cell: Any, cell_index: int | None = None, **rest: Any) -> None:
            report(cell=(cell_index or 0) + 1, cells=total)
            began(cell, cell_index, **rest)

        nb_man.cell_start = cell_start
        # Sockets of the file system: parallel kernels cannot race for a port, and other users cannot listen.
        connection = str(Path(os.environ["JUPYTER_RUNTIME_DIR"]) / "kernel.json")
        manager = AsyncKernelManager(kernel_name=kernel_name, transport="ipc", connection_file=connection)
        client = _Client(nb_man, km=manager, kernel_name=kernel_name, timeout=None, startup_timeout=120)
        client.owns_km = True  # so that it also shuts the kernel down
        client.execute()


def execute(name: str, script: Path, folder: Path, parameters: dict[str, Any]) -> int:
    """Execute a script as a notebook in its run folder; return the exit status."""
    papermill_engines.register("reporting", _ReportingEngine)
    notebook = jupytext.read(script, fmt="py:percent")
    notebook.metadata["kernelspec"] = dict(KERNEL)
    partial = folder / PARTIAL
    try:
        papermill.execute_notebook(
            notebook,
            partial,
            parameters,
            engine_name="reporting",
            kernel_name="python3",
            progress_bar=False,
            cwd=folder,
        )
    except PapermillExecutionError as error:
        text = re.sub(r"\033\[[0-9;]*m", "", "\n".join(error.traceback))
        fail(folder, error.cell_index + 1, text.strip().splitlines()[-6:])
        return 1
    except Exception as error:  # a dead kernel: whatever else papermill lets through
        fail(folder, None, [f"{type(error).__name__}: {error}".strip()])
        return 1
    executed = nbformat.read(partial, as_version=4)
    code = [(number, cell) for number, cell in enumerate(executed.cells, 1) if cell.cell_type == "code" and cell.source]
    if skipped := [number for number, cell in code if cell.execution_count is None]:
        # Papermill takes a kernel that exits by itself for a good end.
        fail(folder, skipped[0] - 1, ["The kernel ended itself before this cell was done (sys.exit?)."])
        return 1
    try:
        text = written(normalised(executed))
    except UserError as error:
        fail(folder, None, [str(error)])
        return 1
    write_atomically(folder / f"{name}.ipynb", text)
    partial.unlink()
    return 0


def _end_with_runner() -> None:
    sys.stdin.read()
    os._exit(1)  # the kernel follows: it watches its parent


def main() -> None:
    """Read the job from the command line and execute it."""
    job = json.loads(sys.argv[1])
    threading.Thread(target=_end_with_runner, daemon=True).start()
    status = execute(job["name"], Path(job["script"]), Path(job["folder"]), job["parameters"])
    sys.stdout.flush()
    os._exit(status)  # without waiting for threads that may hang


if __name__ == "__main__":
    main()
