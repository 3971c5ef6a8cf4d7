"""Execute one notebook: the process that the runner starts for it, `python -m shapeofloss.runner.execute JOB`.

It reports each cell as a JSON line on stdout, leaves the executed print or the partial notebook in the run folder, and
ends when its stdin closes, that is, when its runner dies; what the notebook itself started, the next run ends.
"""

import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import nbformat
import papermill
from jupyter_client.manager import AsyncKernelManager
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, papermill_engines
from papermill.exceptions import PapermillExecutionError

from shapeofloss.engine import profiles, workspace
from shapeofloss.errors import UserError
from shapeofloss.files import write_atomically
from shapeofloss.runner.inputs import read_script
from shapeofloss.runner.prints import normalised, written
from shapeofloss.runner.process import FAILURE, KERNEL, PARTIAL

OUTPUT_LIMIT = 20_000_000  # characters of output per notebook; beyond, a print cannot be opened
PROGRESS = re.compile(r"\r\033\[K([^\r\n]*)\r")  # a line that compute.map writes over
LINE = 500  # characters of a line of an error
# The kernel's debugger takes the place of Python's own hook, and does nothing where nobody debugs.
NO_BREAKPOINTS = """import sys
def refuse(*arguments, **options):
    raise RuntimeError("breakpoint() waits for somebody, and nobody is there: take it out.")
sys.breakpointhook = refuse
del refuse, sys"""


def report(**event: Any) -> None:
    """Tell the runner what happened."""
    print(json.dumps(event), flush=True)


def fail(folder: Path, cell: int | None, error: list[str]) -> None:
    """Leave for the runner which cell failed, and the last lines of its error."""
    lines = [line if len(line) <= LINE else f"{line[:LINE]}..." for text in error for line in text.splitlines()]
    write_atomically(folder / FAILURE, json.dumps({"cell": cell, "error": lines[-6:]}))


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
        parts = [content.get("text", ""), *content.get("data", {}).values(), *content.get("traceback", [])]
        self.received += sum(len(str(part)) for part in parts)
        if self.received > OUTPUT_LIMIT:  # an exception would be lost here: messages come on a task of their own
            reason = f"Its outputs exceed {OUTPUT_LIMIT:,} characters: print less, or save to a file."
            fail(Path(os.environ[workspace.FOLDER]), cell_index + 1, [reason])
            os._exit(1)
        return super().process_message(msg, cell, cell_index)

    async def _check_raise_for_error(self, cell: Any, cell_index: int, exec_reply: dict[str, Any] | None) -> None:
        reply = exec_reply["content"] if exec_reply else {}
        if reply.get("status") == "error" and all(output.output_type != "error" for output in cell.outputs):
            # IPython prints a group of exceptions itself, and papermill would have no word on it.
            cell.outputs.append(nbformat.v4.new_output("error", ename=reply["ename"], evalue=reply["evalue"]))
        await super()._check_raise_for_error(cell, cell_index, exec_reply)
        if any(part.get("source") == "ask_exit" for part in reply.get("payload", [])):
            # Papermill takes a kernel that was asked to exit for a good end.
            raise UserError(f"The notebook ended itself in cell {cell_index + 1} (exit?).")


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
        client.extra_arguments = [f"--IPKernelApp.exec_lines={NO_BREAKPOINTS}"]
        client.owns_km = True  # so that it also shuts the kernel down
        client.execute()


def execute(name: str, folder: Path, parameters: dict[str, Any]) -> int:
    """Execute a script as a notebook in its run folder; return the exit status."""
    papermill_engines.register("reporting", _ReportingEngine)
    partial = folder / PARTIAL
    try:
        entry = profiles.load()[name]
        entry.parameters()  # a second such cell would undo what is injected
        notebook = read_script(entry)
        notebook.metadata["kernelspec"] = dict(KERNEL)
        _build_font_cache()
        papermill.execute_notebook(
            notebook,
            partial,
            parameters,
            engine_name="reporting",
            kernel_name="python3",
            progress_bar=False,
            cwd=folder,
        )
        executed = nbformat.read(partial, as_version=4)
    except PapermillExecutionError as error:
        text = re.sub(r"\033\[[0-9;]*m", "", "\n".join(error.traceback)).strip()
        fail(folder, error.cell_index + 1, [text or f"{error.ename}: {error.evalue}"])
        return 1
    except UserError as error:
        fail(folder, None, [str(error)])
        return 1
    except Exception as error:  # a dead kernel: whatever else papermill lets through
        fail(folder, None, [f"{type(error).__name__}: {error}".strip()])
        return 1
    if (broken := _first_error(executed)) is not None:
        fail(folder, *broken)
        return 1
    try:
        text = written(normalised(executed))
    except UserError as error:
        fail(folder, None, [str(error)])
        return 1
    write_atomically(folder / f"{name}.ipynb", text)
    partial.unlink()
    return 0


def _first_error(executed: nbformat.NotebookNode) -> tuple[int, list[str]] | None:
    """Return the number of the first cell that went wrong without papermill's noticing, and what it says."""
    code = [(number, cell) for number, cell in enumerate(executed.cells, 1) if cell.cell_type == "code" and cell.source]
    for number, cell in code:
        for output in cell.outputs:
            if output.output_type == "error":
                return number, [f"{output.ename}: {output.evalue}"]
        if cell.execution_count is None:
            return number - 1, ["The kernel ended itself before the next cell was done (sys.exit?)."]
    return None


def _build_font_cache() -> None:
    """Let Matplotlib look for fonts once in a checkout: it says so in the print where that takes five seconds."""
    if not any(Path(os.environ["MPLCONFIGDIR"]).glob("fontlist*")):
        subprocess.run(
            [sys.executable, "-c", "import matplotlib.font_manager"], stdout=sys.stderr, stdin=subprocess.DEVNULL
        )


def _end_with_runner() -> None:
    sys.stdin.read()
    os._exit(1)  # the kernel follows: it watches its parent


def main() -> None:
    """Read the job from the command line and execute it."""
    job = json.loads(sys.argv[1])
    threading.Thread(target=_end_with_runner, daemon=True).start()
    status = execute(job["name"], Path(job["folder"]), job["parameters"])
    sys.stdout.flush()
    os._exit(status)  # without waiting for threads that may hang


if __name__ == "__main__":
    main()
