"""What the runner tells its user: progress, the table of outcomes, the state of the notebooks."""

import sys
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from shapeofloss.engine import workspace
from shapeofloss.engine.profiles import Notebook
from shapeofloss.errors import UserError
from shapeofloss.ledger.rows import VERDICTS, summary
from shapeofloss.runner import publish
from shapeofloss.runner.needs import missing
from shapeofloss.runner.process import NotebookProcess
from shapeofloss.runner.schedule import Outcome, Settings


def clock(seconds: float) -> str:
    """Return minutes and seconds.

    Example:
        >>> clock(75.2)
        '1:15'
    """
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


class Progress:
    """Show what runs: on a terminal a live line for each notebook, with a bar and the time left; plain lines elsewhere.

    Args:
        profile: Whose expected minutes the bars count in.
    """

    EVERY = 15.0  # seconds between two plain lines on one notebook

    def __init__(self, profile: str) -> None:
        self.profile = profile
        self.began = time.monotonic()
        self.told: dict[str, float] = {}
        self.ended = 0
        self.bars = Bars() if sys.stdout.isatty() else None

    def __enter__(self) -> "Progress":
        if self.bars:
            self.bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.bars:
            self.bars.stop()

    def __call__(self, running: list[NotebookProcess], outcomes: list[Outcome], held: list[str], total: int) -> None:
        """Show the present state; called about ten times a second."""
        for outcome in outcomes[self.ended :]:
            self._line(f"{outcome.notebook}: {outcome.status} after {clock(outcome.seconds)}")
        self.ended = len(outcomes)
        waits = "waits for another run that works on it"
        if self.bars:
            head = f"{self.ended} of {total} notebooks, {clock(time.monotonic() - self.began)}"
            bars = {process.notebook.name: self._bar(process) for process in running}
            self.bars.show(head, self.ended / total, {**bars, **dict.fromkeys(held, (0.0, waits))})
            return
        states = {process.notebook.name: _state(process) for process in running}
        for name, state in {**states, **dict.fromkeys(held, waits)}.items():
            if time.monotonic() - self.told.get(name, self.began) > self.EVERY:
                self.told[name] = time.monotonic()
                self._line(f"{name}: {state}")

    def _bar(self, process: NotebookProcess) -> tuple[float, str]:
        """Return how far a notebook has come, and in words: by the time that it is expected to take."""
        expected = 60 * process.notebook.minutes[self.profile]
        left = f"about {clock(expected - process.elapsed)} left" if process.elapsed < expected else "nearly done"
        return min(process.elapsed / max(expected, 1.0), 0.99), f"{_cell(process)}, {process.progress or left}"

    def _line(self, text: str) -> None:
        if self.bars:
            self.bars.print(text)
        else:
            print(text, flush=True)


def _state(process: NotebookProcess) -> str:
    more = f", {process.progress}" if process.progress else ""
    return f"{_cell(process)}, {clock(process.elapsed)}{more}"


def _cell(process: NotebookProcess) -> str:
    return f"cell {process.cell} of {process.cells}" if process.cells else "starting"


class Bars:
    """Bars of a terminal, drawn by rich: one for all notebooks, one for each that runs."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        columns = (TextColumn("{task.description}", markup=False), BarColumn(20), TextColumn("{task.fields[words]}"))
        self._progress = Progress(*columns, transient=True, redirect_stdout=False, redirect_stderr=False)
        self._tasks: dict[str, Any] = {}
        self.start, self.stop = self._progress.start, self._progress.stop

    def show(self, head: str, share: float, bars: Mapping[str, tuple[float, str]]) -> None:
        """Draw the head's bar, and below it those of the notebooks: how far each has come, and words beside it."""
        wanted = {"": (share, head), **bars}
        for name in self._tasks.keys() - wanted.keys():
            self._progress.remove_task(self._tasks.pop(name))
        for name, (done, words) in wanted.items():
            if name not in self._tasks:
                self._tasks[name] = self._progress.add_task(name, total=1.0, words="")
            self._progress.update(self._tasks[name], completed=done, words=words)

    def print(self, text: str) -> None:
        """Print a line above the bars."""
        self._progress.console.print(text, markup=False, highlight=False)


def table(outcomes: list[Outcome]) -> str:
    """Return the closing table."""
    width = max(len(outcome.notebook) for outcome in outcomes)
    lines = [f"{'notebook':<{width}}  {'status':<11}  {'seconds':>7}  {'peak MB':>7}"]
    for outcome in outcomes:
        lines.append(
            f"{outcome.notebook:<{width}}  {outcome.status:<11}  {outcome.seconds:>7.1f}  {outcome.peak_mb:>7.0f}"
        )
    return "\n".join(lines)


def places(notebooks: list[Notebook], settings: Settings) -> str:
    """Return where the results are; of a laptop run with the summary of the ledger."""
    if not settings.published:
        return f"\nResults: {settings.folder(notebooks[0]).parent}"
    root, ledger = workspace.root(), publish.ledger_path()
    where = f"\nFigures: {root / 'figures'}\nPrints: {root / 'notebooks'}\nLedger: {ledger}\n"
    return f"{where}\n{summary(publish.committed(ledger))}"


def failures(outcomes: list[Outcome]) -> str:
    """Return what went wrong and where to look, with the first reason as the last line; empty if all went well."""
    lines: list[str] = []
    failed = [outcome for outcome in outcomes if outcome.detail]
    for outcome in failed:
        lines += ["", f"{outcome.notebook}: {outcome.status}", *(f"  {line}" for line in outcome.detail)]
    if failed:
        lines += ["", f"First failure: {failed[0].notebook}: {failed[0].reason}"]
    return "".join(f"{line}\n" for line in lines)


def catalogue(notebooks: Mapping[str, Notebook], settings: Settings) -> str:
    """Return the table of `list`: every notebook with its expected time, its needs, and where its results stand."""
    rows = [("notebook", "minutes", "needs", "committed results", "next run")]
    origins = cache(publish.origins_of_committed)  # read once, and where a damaged file is told
    for notebook in notebooks.values():
        minutes = f"{notebook.minutes[settings.profile]:g}"
        needs = ", ".join(notebook.needs) or "-"
        rows.append((notebook.name, minutes, needs, *_readiness(notebook, settings, origins)))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _readiness(notebook: Notebook, settings: Settings, origins: Callable[[], dict[str, set[str]]]) -> tuple[str, str]:
    """Return whether the committed results are those of the code at hand, and what a run would do."""
    if lacking := [need for need in notebook.needs if missing(need)]:
        return "-", f"cannot run: {', '.join(lacking)} missing"
    try:
        _, state = settings.state(notebook)
        _, laptop = Settings("laptop", 1, {}).state(notebook)
        origin = origins()[notebook.name]
    except UserError as error:
        return "-", f"cannot run: {error}"
    committed = "none" if origin == {""} else "of this code" if origin == {laptop} else "of other code"
    folder = settings.folder(notebook)
    if publish.up_to_date(notebook, folder, state, published=settings.published):
        return committed, "nothing to do"
    return committed, "changed" if (folder / publish.STAMP).is_file() else "to be run"


def ledger_lines(part: str | None, verdict: str | None) -> str:
    """Return the committed ledger's rows, filtered, one per line."""
    rows = publish.committed(publish.ledger_path())
    chosen = [row for row in rows if part in (None, row["part"]) and verdict in (None, row["verdict"])]
    width = max(map(len, VERDICTS))
    return "\n".join(f"{row['verdict']:<{width}}  {row['id']}: {row['statement']}" for row in chosen)
