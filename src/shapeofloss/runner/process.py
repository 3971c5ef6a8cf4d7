"""One notebook as a process: its environment, what it reports, what it uses, and how it is ended."""

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from shapeofloss.engine import workspace
from shapeofloss.engine.profiles import Notebook
from shapeofloss.errors import UserError
from shapeofloss.files import write_atomically

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
PARTIAL = "partial.ipynb"
FAILURE = "failure.json"
RUNTIME = "sol-"
ROOM = 65  # characters of a temporary folder's path: that of a socket below it holds about 100


class NotebookProcess:
    """A notebook under way, in a process group and kernel of its own.

    Attributes:
        notebook, folder: What runs, and the run folder that takes its results.
        cell, cells, progress: The cell that runs, how many there are, and what `compute.map` last said.
        peak: Largest resident memory so far of all its processes together, in MB.
    """

    def __init__(self, notebook: Notebook, folder: Path, parameters: dict[str, Any], *, workers: int) -> None:
        end_all_of(folder)  # whatever a killed run may have left there, before its folder is used again
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.notebook = notebook
        self.folder = folder
        self.cell = self.cells = 0
        self.progress = ""
        self.peak = 0.0
        self._began = time.monotonic()
        self._looked = 0.0
        self._seen: set[psutil.Process] = set()
        self._runtime, self._guard = _runtime_folder()
        job = {"name": notebook.name, "folder": str(folder), "parameters": parameters}
        with (folder / "log.txt").open("w", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "shapeofloss.runner.execute", json.dumps(job)],
                stdin=subprocess.PIPE,  # closes when this runner dies, and the notebook follows
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=self._environment(workers),
                start_new_session=True,
            )
        threading.Thread(target=self._listen, daemon=True).start()

    def _environment(self, workers: int) -> dict[str, str]:
        path = os.pathsep.join(filter(None, (str(kernels()), os.environ.get("JUPYTER_PATH"))))
        return {
            **os.environ,
            **workspace.ONE_THREAD,
            "JUPYTER_PATH": path,
            "JUPYTER_RUNTIME_DIR": str(self._runtime),
            "IPYTHONDIR": str(self._runtime / "ipython"),  # no start-up files of the user's
            # No settings of the user's, and no warning with a path in the print where there is no home to write to.
            "MPLCONFIGDIR": str(workspace.runs() / "matplotlib"),
            "TMPDIR": str(self._runtime.parent),  # short: what runs in parallel has sockets, too
            "PYTHONHASHSEED": "0",
            "SHAPEOFLOSS_DATA": str(workspace.data()),  # made absolute: the kernel stands elsewhere
            workspace.NOTEBOOK: self.notebook.name,
            workspace.PROFILE: self.folder.parent.name,  # a run with overrides is none of the fixed profiles
            workspace.FOLDER: str(self.folder),
            workspace.WORKERS: str(workers),
        }

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    @property
    def status(self) -> int | None:
        """The exit status, or None while it runs."""
        return self._process.poll()

    def measure(self) -> None:
        """Note the largest memory and every process so far, looked at twice a second."""
        if time.monotonic() - self._looked < 0.5:
            return
        self._looked = time.monotonic()
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(self._process.pid)
            tree = [process, *process.children(recursive=True)]
            self._seen.update(tree)
            self.peak = max(self.peak, sum(map(_resident, tree)))

    def end(self) -> None:
        """End the process, its kernel and what they started, and remove what they needed.

        A process that gave up both its parent and its environment within half a second escapes.
        """
        for process in [*self._seen, *_marked(self.folder)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()  # psutil checks that the number was not given to another process since
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        shutil.rmtree(self._runtime, ignore_errors=True)
        with contextlib.suppress(OSError):  # closed before
            os.close(self._guard)

    def _listen(self) -> None:
        """Read the process's reports until it closes its stdout."""
        assert self._process.stdout is not None
        with contextlib.suppress(ValueError):  # the stream is closed when the process is ended
            for line in self._process.stdout:
                event = json.loads(line)
                self.cell, self.cells = event.get("cell", self.cell), event.get("cells", self.cells)
                self.progress = event.get("progress", "" if "cell" in event else self.progress)


def kernels() -> Path:
    """Return the folder to put first in JUPYTER_PATH: its kernelspec starts this environment's Python.

    A `python3` kernelspec in the user's home would otherwise start another one.
    """
    folder = workspace.runs() / "jupyter"
    spec = {"argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"], **KERNEL}
    write_atomically(folder / "kernels" / "python3" / "kernel.json", json.dumps(spec))
    return folder


def end_all_of(folder: Path) -> None:
    """End every process that still works for a run folder, and sweep the runtime folders of runners that are gone."""
    for process in _marked(folder):
        with contextlib.suppress(psutil.Error):
            process.kill()
    for left in _temporary().glob(f"{RUNTIME}*-*"):
        if left.name.removeprefix(RUNTIME).partition("-")[0].isdigit() and (guard := _locked(left)) is not None:
            shutil.rmtree(left, ignore_errors=True)
            os.close(guard)


def _temporary() -> Path:
    """Return the folder for temporary files, or a usual one where its path is too long for sockets."""
    given = tempfile.gettempdir()
    for place in (given, "/tmp", "/var/tmp"):
        if len(os.fsencode(place)) <= ROOM and os.access(place, os.W_OK):
            return Path(place)
    raise UserError(f"TMPDIR is too long for sockets: {given}. Set it to a folder of at most {ROOM} characters.")


def _runtime_folder() -> tuple[Path, int]:
    """Make a folder for a kernel's sockets; a lock tells other runners that it is in use, in containers too."""
    for _ in range(10):  # another runner may sweep it before it is locked
        folder = Path(tempfile.mkdtemp(prefix=f"{RUNTIME}{os.getpid()}-", dir=_temporary()))
        guard = _locked(folder)
        if guard is not None and folder.exists():
            return folder, guard
        if guard is not None:
            os.close(guard)
    raise UserError(f"{folder} cannot be locked. Set TMPDIR to a folder of a local disk.")


def _locked(folder: Path) -> int | None:
    """Lock a folder until the descriptor is closed; None if it is locked, not ours, or gone."""
    try:
        guard = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(guard)
        return None
    return guard


def _marked(folder: Path) -> list[psutil.Process]:
    """Return every other process whose environment names the run folder."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(workspace.FOLDER) == str(folder) and process.pid != os.getpid():
                found.append(process)
    return found


def _resident(process: psutil.Process) -> float:
    try:
        return float(process.memory_info().rss) / 2**20
    except psutil.Error:
        return 0.0
