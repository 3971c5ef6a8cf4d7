"""Tables that the runner writes into pages: the map of the course, the ledger's summary, which figure answers which."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from shapeofloss import sources
from shapeofloss.engine.profiles import Notebook
from shapeofloss.ledger.rows import VERDICTS, summary

Rows = list[dict[str, Any]]


def with_tables(text: str, catalogue: Mapping[str, Notebook], index: Rows, ledger: Rows) -> str:
    """Return a page with its generated tables, where it has marks for them."""
    text = _block(text, "ledger", lambda: summary(ledger))
    text = _block(text, "map", lambda: course_map(catalogue))
    return _block(text, "answers", lambda: answers_table(index, ledger))


def course_map(catalogue: Mapping[str, Notebook]) -> str:
    """Return a Markdown table of the notebooks, with links to their prints."""
    lines = ["| part | notebook | question | source | minutes |", "|---|---|---|---|---:|"]
    for name, notebook in catalogue.items():
        link = f"[`{name}`](notebooks/{name}.ipynb)"
        lines.append(
            f"| {notebook.part} | {link} | {notebook.question} | {notebook.source} | {notebook.minutes['laptop']:g} |"
        )
    return "\n".join(lines)


def answers_table(index: Rows, ledger: Rows) -> str:
    """Return, for each source, a Markdown table of its figures, tables, algorithms and slides with what answers each.

    A row of the ledger belongs to an item if its place names it, or if a figure shows the row that answers the item.
    """
    figures: dict[tuple[str, str], Rows] = {}
    for entry in index:
        for place in sources.answered(entry["answers"]):
            figures.setdefault(place, []).append(entry)
    lines: list[str] = []
    for name, source in sources.load().items():
        lines += [f"### {source.title}", "", "| there | what it shows | notebook | our figures | rows of the ledger |"]
        lines += ["|---|---|---|---|---|"]
        for item, what in source.items.items():
            here = figures.get((name, item), [])
            notebooks = dict.fromkeys(entry["notebook"] for entry in here)
            links = [f"[{_stem(entry)}]({entry['notebook']}/{entry['figure']})" for entry in here]
            names = [f"[`{each}`](../notebooks/{each}.ipynb)" for each in notebooks]
            rows = [row for row in ledger if _belongs(row, name, item, here)]
            lines.append(f"| {item} | {what} | {_cell(names)} | {_cell(links)} | {_counted(rows)} |")
        lines.append("")
    return "\n".join(lines).rstrip()


def _stem(entry: Mapping[str, Any]) -> str:
    return str(entry["figure"]).rpartition(".")[0]


def _belongs(row: Mapping[str, Any], source: str, item: str, figures: Rows) -> bool:
    shown = any(row["notebook"] == entry["notebook"] and row["figure"] == _stem(entry) for entry in figures)
    words = item.removeprefix("slide ").strip('"')
    part = {"wgan": "adversarial"}.get(source, source.replace(" ", "_"))
    return shown or (row["part"] == part and re.search(rf"(?<!\w){re.escape(words)}(?!\w)", row["place"]) is not None)


def _cell(words: Iterable[str]) -> str:
    return ", ".join(words) or "–"


def _counted(rows: Rows) -> str:
    """Return how many rows there are with each verdict."""
    counts = Counter(row["verdict"] for row in rows)
    return _cell(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])


def _block(text: str, name: str, content: Any) -> str:
    pattern = rf"(<!-- {name}:begin[^>]*-->\n).*?(<!-- {name}:end -->)"
    if not re.search(pattern, text, flags=re.DOTALL):
        return text
    made = content()
    return re.sub(pattern, lambda match: f"{match[1]}{made}\n{match[2]}", text, flags=re.DOTALL)
