"""Run notebooks as processes: each in a process group and kernel of its own, with a time limit, within a CPU budget."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from shapeofloss import workspace
from shapeofloss.errors import UserError
from shapeofloss.files import lock, read_json, write_atomically
from shapeofloss.profiles import Notebook
from shapeofloss.runner import inputs, publish
from shapeofloss.runner.execute import FAILURE, PARTIAL
from shapeofloss.runner.needs import missing
from shapeofloss.runner.prints import KERNEL

POLL = 0.1  # seconds between two looks at the running notebooks
GOOD = ("done", "up to date")


@dataclass
class Outcome:
    """How one notebook ended.

    Attributes:
        status: `done`, `up to date`, `failed`, `timed out`, `killed`, `refused` or `interrupted`.
        seconds, peak_mb: Wall time, and the largest resident memory of all its processes together.
        detail: For a failure: the cell, the error's last lines, and where the partial notebook is.
    """

    notebook: str
    status: str
    seconds: float = 0.0
    peak_mb: float = 0.0
    detail: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether the results of this notebook are there."""
        return self.status in GOOD


@dataclass
class Settings:
    """What one call of the runner was asked for."""

    profile: str
    jobs: int
    overrides: dict[str, Any]
    force: bool = False
    limit: float | None = None  # seconds, instead of the notebook's own

    def folder(self, notebook: Notebook) -> Path:
        """Return the run folder; a run with overrides never shares one with a plain run."""
        return workspace.runs() / (self.profile + ("-overridden" if self.overrides else "")) / notebook.name

    @property
    def published(self) -> bool:
        """Whether a good run moves its results into their committed places."""
        return self.profile == "laptop" and not self.overrides


@dataclass
class Running:
    """One notebook under way."""

    notebook: Notebook
    folder: Path
    runtime: Path
    guard: FileLock
    process: subprocess.Popen[str]
    inputs: str
    began: float = field(default_factory=time.monotonic)
    cell: int = 0
    cells: int = 0
    progress: str = ""
    peak: float = 0.0
    looked: float = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.began

    def listen(self) -> None:
        """Read the process's reports until it closes its stdout."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            try:
                event = json.loads(line)
            except ValueError:
                continue
            self.cell, self.cells = event.get("cell", self.cell), event.get("cells", self.cells)
            self.progress = event.get("progress", "" if "cell" in event else self.progress)

    def measure(self) -> None:
        """Note the largest memory so far, looked at twice a second."""
        if time.monotonic() - self.looked > 0.5:
            self.looked = time.monotonic()
            self.peak = max(self.peak, sum(_resident(process) for process in _tree(self.process.pid)))

    def stop(self) -> None:
        """End the process, its kernel and whatever they started, orphans included: all carry the run's folder."""
        for process in _marked(str(self.folder)):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()


def run(
    notebooks: list[Notebook], settings: Settings, show: Callable[[list[Running], list[Outcome], int], None]
) -> list[Outcome]:
    """Run notebooks and return how each ended, in the order given.

    A notebook that fails does not stop the others. Ctrl-C and SIGTERM end every kernel; what is then under way or
    waiting counts as interrupted.

    Args:
        notebooks: What to run.
        settings: Profile, number of jobs, overrides.
        show: Called about ten times a second with what runs, what ended, and how many there are.
    """
    kernels = write_kernelspec()
    outcomes: list[Outcome] = []
    waiting: list[Notebook] = []
    for notebook in notebooks:
        reasons = [sentence for need in notebook.needs if (sentence := missing(need))]
        if reasons:
            outcomes.append(Outcome(notebook.name, "refused", detail=reasons))
        else:
            waiting.append(notebook)
    waiting.sort(key=lambda notebook: (notebook.exclusive, -notebook.minutes[settings.profile]))
    workers = max(1, workspace.cores() // max(1, min(settings.jobs, len(waiting))))
    running: list[Running] = []
    previous = (
        signal.signal(signal.SIGTERM, _interrupt) if threading.current_thread() is threading.main_thread() else None
    )
    try:
        while waiting or running:
            for notebook in list(waiting):
                if not _may_start(notebook, running, settings.jobs):
                    break
                started = _start(notebook, settings, kernels, workers)
                if started is not None:  # else another run holds it: ask again
                    waiting.remove(notebook)
                    running.append(started) if isinstance(started, Running) else outcomes.append(started)
            for task in list(running):
                task.measure()
                outcome = _ended(task, settings)
                if outcome is not None:
                    running.remove(task)
                    outcomes.append(outcome)
            show(running, outcomes, len(notebooks))
            time.sleep(POLL)
    except KeyboardInterrupt:
        for task in running:
            task.stop()
            _clean(task)
            outcomes.append(Outcome(task.notebook.name, "interrupted", task.elapsed, task.peak))
        outcomes += [Outcome(notebook.name, "interrupted") for notebook in waiting]
    finally:
        for task in running:  # after an error of the runner itself: leave nothing behind
            task.stop()
        if previous is not None:
            signal.signal(signal.SIGTERM, previous)
    order = [notebook.name for notebook in notebooks]
    return sorted(outcomes, key=lambda outcome: order.index(outcome.notebook))


def write_kernelspec() -> Path:
    """Write a kernelspec with this environment's Python, and return the folder to put first in JUPYTER_PATH.

    A `python3` kernelspec in the user's home would otherwise start another Python.
    """
    folder = workspace.runs() / "jupyter"
    spec = {"argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"], **KERNEL}
    write_atomically(folder / "kernels" / "python3" / "kernel.json", json.dumps(spec))
    return folder


def _may_start(notebook: Notebook, running: list[Running], jobs: int) -> bool:
    if notebook.exclusive or any(task.notebook.exclusive for task in running):
        return not running
    return len(running) < jobs


def _start(notebook: Notebook, settings: Settings, kernels: Path, workers: int) -> Running | Outcome | None:
    """Start a notebook; or return its outcome if there is nothing to do, or None if another run works on it."""
    folder = settings.folder(notebook)
    guard = lock(folder.with_suffix(".lock"))
    try:
        guard.acquire(blocking=False)
    except Timeout:
        return None
    state = inputs.inputs_hash(notebook, settings.profile, settings.overrides)
    if not settings.force and publish.up_to_date(notebook, folder, state, published=settings.published):
        guard.release()
        return Outcome(notebook.name, "up to date")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    runtime = Path(tempfile.mkdtemp(prefix="sol-"))  # short: the path of a socket holds about 100 characters
    path = os.pathsep.join(filter(None, (str(kernels), os.environ.get("JUPYTER_PATH"))))
    environment = {
        **os.environ,
        **workspace.ONE_THREAD,
        "JUPYTER_PATH": path,
        "JUPYTER_RUNTIME_DIR": str(runtime),
        "PYTHONHASHSEED": "0",
        workspace.NOTEBOOK: notebook.name,
        workspace.PROFILE: settings.profile,
        workspace.FOLDER: str(folder),
        workspace.WORKERS: str(workers),
    }
    job = {
        "name": notebook.name,
        "script": str(notebook.script),
        "folder": str(folder),
        "parameters": inputs.injected(notebook, settings.profile, settings.overrides),
    }
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "shapeofloss.runner.execute", json.dumps(job)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment,
            start_new_session=True,
        )
    task = Running(notebook, folder, runtime, guard, process, state)
    threading.Thread(target=task.listen, daemon=True).start()
    return task


def _ended(task: Running, settings: Settings) -> Outcome | None:
    """Return the outcome of a notebook that has ended or run out of time; publish it if it ended well."""
    limit = settings.limit or task.notebook.limit(settings.profile)
    name, partial = task.notebook.name, _relative(task.folder / PARTIAL)
    if task.process.poll() is None:
        if task.elapsed < limit:
            return None
        where = f"cell {task.cell} of {task.cells}"
        task.stop()
        _clean(task)
        detail = [f"No end after {limit:.0f} s, in {where}: the partial notebook is {partial}."]
        return Outcome(name, "timed out", task.elapsed, task.peak, detail)
    status = task.process.returncode
    task.stop()  # whatever the notebook left running
    failure = read_json(task.folder / FAILURE)
    if status == 0:
        try:
            publish.finish(
                task.notebook, task.folder, task.inputs, published=settings.published, profile=settings.profile
            )
            outcome = Outcome(name, "done", task.elapsed, task.peak)
        except UserError as error:
            outcome = Outcome(name, "failed", task.elapsed, task.peak, [f"Its results cannot be published: {error}"])
    elif failure is not None:
        cell = (
            f"In cell {failure['cell']} of {task.cells}:"
            if failure["cell"]
            else f"In cell {task.cell} of {task.cells}:"
        )
        detail = [cell, *failure["error"], f"The partial notebook is {partial}."]
        outcome = Outcome(name, "failed", task.elapsed, task.peak, detail)
    else:
        detail = [f"Its process ended with status {status} in cell {task.cell} of {task.cells}.", *_tail(task.folder)]
        outcome = Outcome(name, "killed", task.elapsed, task.peak, [*detail, f"The partial notebook is {partial}."])
    _clean(task)
    return outcome


def _clean(task: Running) -> None:
    for stream in (task.process.stdin, task.process.stdout):
        if stream is not None:
            stream.close()
    shutil.rmtree(task.runtime, ignore_errors=True)
    task.guard.release()


def _tree(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _marked(folder: str) -> list[psutil.Process]:
    """Return every process that works for the run in this folder."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(workspace.FOLDER) == folder and process.pid != os.getpid():
                found.append(process)
    return found


def _resident(process: psutil.Process) -> float:
    try:
        return float(process.memory_info().rss) / 2**20
    except psutil.Error:
        return 0.0


def _tail(folder: Path) -> list[str]:
    return (folder / "log.txt").read_text(errors="replace").strip().splitlines()[-3:]


def _relative(path: Path) -> str:
    return str(path.relative_to(workspace.root()))


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt
