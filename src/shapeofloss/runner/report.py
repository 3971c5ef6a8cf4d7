"""What the runner tells its user: progress, the table of outcomes, the state of the notebooks."""

import sys
import time
from collections.abc import Mapping

from shapeofloss.files import read_json
from shapeofloss.ledger.rows import VERDICTS
from shapeofloss.profiles import Notebook
from shapeofloss.runner import inputs, publish
from shapeofloss.runner.needs import missing
from shapeofloss.runner.schedule import Outcome, Running, Settings


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

    def __call__(self, running: list[Running], outcomes: list[Outcome], total: int) -> None:
        """Show the present state; called about ten times a second."""
        for outcome in outcomes[self.ended :]:
            self._line(f"{outcome.notebook}: {outcome.status} after {clock(outcome.seconds)}")
        self.ended = len(outcomes)
        states = {task.notebook.name: self._state(task) for task in running}
        if self.live:
            line = " | ".join(
                [f"{self.ended} of {total} notebooks, {clock(time.monotonic() - self.began)}", *states.values()]
            )
            print(f"\r\033[K{line[:160]}", end="", flush=True)
        else:
            for name, state in states.items():
                if time.monotonic() - self.told.get(name, self.began) > self.EVERY:
                    self.told[name] = time.monotonic()
                    self._line(state)

    def _state(self, task: Running) -> str:
        cell = f"cell {task.cell} of {task.cells}" if task.cells else "starting"
        return f"{task.notebook.name}: {cell}, {clock(task.elapsed)}" + (f", {task.progress}" if task.progress else "")

    def _line(self, text: str) -> None:
        print(("\r\033[K" if self.live else "") + text, flush=True)


def table(outcomes: list[Outcome]) -> str:
    """Return the closing table, and below it what went wrong and where to look."""
    width = max(len(outcome.notebook) for outcome in outcomes)
    lines = [f"{'notebook':<{width}}  {'status':<11}  {'seconds':>7}  {'peak MB':>7}"]
    for outcome in outcomes:
        lines.append(
            f"{outcome.notebook:<{width}}  {outcome.status:<11}  {outcome.seconds:>7.1f}  {outcome.peak_mb:>7.0f}"
        )
    for outcome in outcomes:
        if outcome.detail:
            lines += ["", f"{outcome.notebook}: {outcome.status}", *(f"  {line}" for line in outcome.detail)]
    return "\n".join(lines)


def catalogue(notebooks: Mapping[str, Notebook], settings: Settings) -> str:
    """Return the table of `list`: every notebook with its source, expected time, needs and state."""
    rows = [("notebook", "source", "minutes", "needs", "state")]
    for notebook in notebooks.values():
        folder = settings.folder(notebook)
        state = inputs.inputs_hash(notebook, settings.profile, settings.overrides)
        lacking = [need for need in notebook.needs if missing(need)]
        if lacking:
            word = f"cannot run: {', '.join(lacking)} missing"
        elif publish.up_to_date(notebook, folder, state, published=settings.published):
            word = "up to date"
        else:
            word = "to be run" if read_json(folder / publish.STAMP) is None else "changed"
        minutes = f"{notebook.minutes[settings.profile]:g}"
        rows.append((notebook.name, notebook.source, minutes, ", ".join(notebook.needs) or "-", word))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def ledger_lines(part: str | None, verdict: str | None) -> str:
    """Return the committed ledger's rows, filtered, one per line."""
    rows = read_json(publish.ledger_path(), [])
    chosen = [row for row in rows if part in (None, row["part"]) and verdict in (None, row["verdict"])]
    width = max((len(word) for word in VERDICTS), default=0)
    return "\n".join(f"{row['verdict']:<{width}}  {row['id']}: {row['statement']}" for row in chosen)
