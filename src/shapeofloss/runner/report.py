"""What the runner tells its user: progress, the table of outcomes, the state of the notebooks."""

import shutil
import sys
import time
from collections.abc import Mapping

from shapeofloss.engine.profiles import Notebook
from shapeofloss.errors import UserError
from shapeofloss.ledger.rows import VERDICTS
from shapeofloss.runner import inputs, publish
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
    """Show what runs: one line that is written over on a terminal, plain lines elsewhere."""

    EVERY = 15.0  # seconds between two plain lines on one notebook

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.live = sys.stdout.isatty()
        self.told: dict[str, float] = {}
        self.ended = 0

    def __call__(self, running: list[NotebookProcess], outcomes: list[Outcome], held: list[str], total: int) -> None:
        """Show the present state; called about ten times a second."""
        for outcome in outcomes[self.ended :]:
            self._line(f"{outcome.notebook}: {outcome.status} after {clock(outcome.seconds)}")
        self.ended = len(outcomes)
        states = {process.notebook.name: self._state(process) for process in running}
        states |= {name: f"{name}: waits for another run that works on it" for name in held}
        if self.live:
            line = f"{self.ended} of {total} notebooks, {clock(time.monotonic() - self.began)}"
            line = " | ".join([line, *states.values()])[: shutil.get_terminal_size().columns - 1]
            print(f"\r\033[K{line}", end="", flush=True)
        else:
            for name, state in states.items():
                if time.monotonic() - self.told.get(name, self.began) > self.EVERY:
                    self.told[name] = time.monotonic()
                    self._line(state)

    def _state(self, process: NotebookProcess) -> str:
        cell = f"cell {process.cell} of {process.cells}" if process.cells else "starting"
        more = f", {process.progress}" if process.progress else ""
        return f"{process.notebook.name}: {cell}, {clock(process.elapsed)}{more}"

    def _line(self, text: str) -> None:
        print(("\r\033[K" if self.live else "") + text, flush=True)


def table(outcomes: list[Outcome]) -> str:
    """Return the closing table."""
    width = max(len(outcome.notebook) for outcome in outcomes)
    lines = [f"{'notebook':<{width}}  {'status':<11}  {'seconds':>7}  {'peak MB':>7}"]
    for outcome in outcomes:
        lines.append(
            f"{outcome.notebook:<{width}}  {outcome.status:<11}  {outcome.seconds:>7.1f}  {outcome.peak_mb:>7.0f}"
        )
    return "\n".join(lines)


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
    """Return the table of `list`: every notebook with its source, expected time, needs and state."""
    rows = [("notebook", "source", "minutes", "needs", "state")]
    for notebook in notebooks.values():
        minutes = f"{notebook.minutes[settings.profile]:g}"
        needs = ", ".join(notebook.needs) or "-"
        rows.append((notebook.name, notebook.source, minutes, needs, _readiness(notebook, settings)))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _readiness(notebook: Notebook, settings: Settings) -> str:
    if lacking := [need for need in notebook.needs if missing(need)]:
        return f"cannot run: {', '.join(lacking)} missing"
    folder = settings.folder(notebook)
    try:
        if not (folder / publish.STAMP).is_file():
            inputs.check_script(notebook)  # a hash of all that it imports takes long
            return "to be run"
        state = publish.inputs_of(
            folder, inputs.sources(notebook, settings.profile, settings.overrides)
        ) or inputs.inputs_hash(notebook, settings.profile, settings.overrides)
    except UserError as error:
        return f"cannot run: {error}"
    return "up to date" if publish.up_to_date(notebook, folder, state, published=settings.published) else "changed"


def ledger_lines(part: str | None, verdict: str | None) -> str:
    """Return the committed ledger's rows, filtered, one per line."""
    rows = publish.committed(publish.ledger_path())
    chosen = [row for row in rows if part in (None, row["part"]) and verdict in (None, row["verdict"])]
    width = max(map(len, VERDICTS))
    return "\n".join(f"{row['verdict']:<{width}}  {row['id']}: {row['statement']}" for row in chosen)
