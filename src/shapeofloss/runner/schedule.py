"""Run notebooks within a CPU budget and a time limit, whatever each of them does."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from shapeofloss.engine import workspace
from shapeofloss.engine.profiles import Notebook
from shapeofloss.files import lock, read_json
from shapeofloss.runner import inputs, publish
from shapeofloss.runner.needs import missing
from shapeofloss.runner.process import FAILURE, PARTIAL, NotebookProcess

POLL = 0.1  # seconds between two looks at the running notebooks
GOOD = ("done", "up to date", "reworded")


@dataclass
class Outcome:
    """How one notebook ended.

    Attributes:
        status: `done`, `up to date`, `reworded` (only its text had changed), `failed`, `timed out`, `killed`, `refused`
            or `interrupted`.
        seconds, peak_mb: Wall time, and the largest resident memory of all its processes together.
        detail: For a failure: the cell, the error's last lines, and where the partial notebook is.
    """

    notebook: str
    status: str
    seconds: float = 0.0
    peak_mb: float = 0.0
    detail: list[str] = field(default_factory=list)

    @property
    def reason(self) -> str:
        """What went wrong in one line: the place and the last line of the error; empty if nothing is known."""
        lines = [line for line in self.detail if line.strip() and not line.startswith("The partial notebook")]
        return " ".join(dict.fromkeys(line.strip() for line in (*lines[:1], *lines[-1:])))

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

    def state(self, notebook: Notebook) -> tuple[str, str]:
        """Return the hash of the files that a notebook is made from, and that of what its results depend on.

        The second takes long, and is that of the last good run if the first has not changed since.

        Raises:
            UserError: If the script, or what it reaches, cannot be read.
        """
        # First the files: an edit between the two is then seen.
        sources = inputs.sources(notebook, self.profile, self.overrides)
        known = publish.inputs_of(self.folder(notebook), sources)
        return sources, known or inputs.inputs_hash(notebook, self.profile, self.overrides)

    @property
    def published(self) -> bool:
        """Whether a good run moves its results into their committed places."""
        return self.profile == "laptop" and not self.overrides


@dataclass
class Task:
    """A notebook under way, with the lock that keeps other runs off its folder."""

    process: NotebookProcess
    guard: FileLock
    origin: publish.Origin

    def end(self) -> None:
        """End the process and free the folder."""
        self.process.end()
        self.guard.release()

    def outcome(self, status: str, *detail: str) -> Outcome:
        """Return the outcome with what the process used."""
        return Outcome(self.process.notebook.name, status, self.process.elapsed, self.process.peak, list(detail))


Show = Callable[[list[NotebookProcess], list[Outcome], list[str], int], None]


def run(notebooks: list[Notebook], settings: Settings, show: Show) -> list[Outcome]:
    """Run notebooks and return how each ended, in the order given.

    A notebook that fails does not stop the others. An exclusive one runs while no other of this call does, except
    at toy size. Ctrl-C and SIGTERM end every kernel; what is then under way or waiting counts as interrupted.

    Args:
        notebooks: What to run.
        settings: Profile, number of jobs, overrides.
        show: Called about ten times a second with what runs, what ended, what another run holds, and the total.
    """
    outcomes: list[Outcome] = []
    waiting: list[Notebook] = []
    for notebook in in_order(notebooks, settings):
        reasons = [sentence for need in notebook.needs if (sentence := missing(need))]
        if reasons:
            outcomes.append(Outcome(notebook.name, "refused", detail=reasons))
        else:
            waiting.append(notebook)
    workers = max(1, workspace.cores() // max(1, min(settings.jobs, len(waiting))))
    tasks: list[Task] = []
    try:
        with _handling({signal.SIGTERM: _interrupt}):  # it ends this call as Ctrl-C does
            while waiting or tasks:
                held = _start_some(waiting, tasks, outcomes, settings, workers)
                _end_some(tasks, outcomes, settings)
                show([task.process for task in tasks], outcomes, held, len(notebooks))
                time.sleep(POLL)
    except KeyboardInterrupt:
        outcomes += [task.outcome("interrupted") for task in tasks]
        outcomes += [Outcome(notebook.name, "interrupted") for notebook in waiting]
    finally:
        for task in tasks:
            task.end()
    order = [notebook.name for notebook in notebooks]
    return sorted(outcomes, key=lambda outcome: order.index(outcome.notebook))


def _start_some(
    waiting: list[Notebook], tasks: list[Task], outcomes: list[Outcome], settings: Settings, workers: int
) -> list[str]:
    """Start what may start, and return the names of those that another run works on."""
    held: list[str] = []
    for notebook in list(waiting):
        if _has_to_wait(notebook, [*waiting, *(task.process.notebook for task in tasks)]):
            continue
        if not _may_start(notebook, tasks, settings):
            break
        started = _start(notebook, settings, workers)
        if started is None:
            held.append(notebook.name)
            continue
        waiting.remove(notebook)
        tasks.append(started) if isinstance(started, Task) else outcomes.append(started)
    return held


def _end_some(tasks: list[Task], outcomes: list[Outcome], settings: Settings) -> None:
    for task in list(tasks):
        task.process.measure()
        outcome = _ended(task, settings)
        if outcome is not None:
            tasks.remove(task)
            outcomes.append(outcome)


def in_order(notebooks: list[Notebook], settings: Settings) -> list[Notebook]:
    """Return notebooks in the order in which they start: the quickest, for a first look, then the longest first.

    The longest first leave the least to wait for at the end; exclusive ones come last.
    """
    minutes = settings.profile
    quickest = sorted(notebooks, key=lambda notebook: (notebook.exclusive, notebook.minutes[minutes]))[: settings.jobs]
    return sorted(
        notebooks, key=lambda notebook: (notebook.exclusive, notebook not in quickest, -notebook.minutes[minutes])
    )


def _has_to_wait(notebook: Notebook, others: list[Notebook]) -> bool:
    return any(other.name in notebook.after for other in others)


def _may_start(notebook: Notebook, tasks: list[Task], settings: Settings) -> bool:
    alone = notebook.exclusive or any(task.process.notebook.exclusive for task in tasks)
    if alone and settings.profile != "smoke":  # at toy size no time is judged
        return not tasks
    return len(tasks) < settings.jobs


def _start(notebook: Notebook, settings: Settings, workers: int) -> Task | Outcome | None:
    """Start a notebook; or return its outcome if there is nothing to do, or None if another run works on it."""
    folder = settings.folder(notebook)
    try:
        guard = lock(folder.with_suffix(".lock"))
        guard.acquire(blocking=False)
    except Timeout:
        return None
    except OSError as error:
        return Outcome(notebook.name, "failed", detail=[f"It cannot start: {_told(error)}"])
    try:
        sources, state = settings.state(notebook)
        if not settings.force and publish.up_to_date(notebook, folder, state, published=settings.published):
            reworded = publish.reword(notebook, folder, sources, published=settings.published)
            guard.release()
            return Outcome(notebook.name, "reworded" if reworded else "up to date")
        if settings.published:
            publish.check_writable(publish.place(notebook))
        parameters = inputs.injected(notebook, settings.profile, settings.overrides)
        seed = {**notebook.at(settings.profile), **settings.overrides}.get("seed")
        origin = publish.Origin(state, sources, seed, inputs.packages(notebook))
        return Task(NotebookProcess(notebook, folder, parameters, workers=workers), guard, origin)
    except Exception as error:  # a script that is no Python, a folder that cannot be written: the others go on
        guard.release()
        return Outcome(notebook.name, "failed", detail=[f"It cannot start: {_told(error)}"])


def _ended(task: Task, settings: Settings) -> Outcome | None:
    """Return the outcome of a notebook that has ended or run out of time; publish it if it ended well."""
    process = task.process
    limit = settings.limit or process.notebook.limit(settings.profile)
    cell = f"cell {process.cell} of {process.cells}"
    status = process.status
    if status is None and process.elapsed < limit:
        return None
    process.end()  # and whatever the notebook left running, before its results are looked at
    partial = process.folder / PARTIAL
    there = [f"The partial notebook is {partial.relative_to(workspace.root())}."] if partial.is_file() else []
    try:
        failure = read_json(process.folder / FAILURE)
        if status is None:
            return task.outcome("timed out", f"No end after {limit:.0f} s, in {cell}.", *there)
        if status == 0:
            with _undisturbed():
                publish.finish(process.notebook, process.folder, task.origin, published=settings.published)
            return task.outcome("done")
        if failure is not None:
            number = failure["cell"] or process.cell
            place = [f"In cell {number} of {process.cells}:"] if number else []  # none if it did not come to cells
            return task.outcome("failed", *place, *failure["error"], *there)
        log = (process.folder / "log.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
        return task.outcome(
            "killed",
            f"Its process ended with status {status} in {cell}.",
            *(inputs.shown(line) for line in log),
            *there,
        )
    except Exception as error:
        return task.outcome("failed", f"Its results cannot be published: {_told(error)}")
    finally:
        task.guard.release()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back until results are in their places."""
    came: list[int] = []
    with _handling(dict.fromkeys((signal.SIGINT, signal.SIGTERM), lambda number, frame: came.append(number))):
        yield
    if came:
        raise KeyboardInterrupt


@contextmanager
def _handling(handlers: dict[signal.Signals, Any]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # signals reach the main thread only
        return
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _told(error: Exception) -> str:
    """Return the first line of an error; what is wrong with a file comes with its name."""
    return inputs.shown(str(error)) or type(error).__name__
