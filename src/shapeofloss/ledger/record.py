"""What a notebook calls to hand over measurements, and the table that it shows of them."""

import html
import json
from collections.abc import Mapping, Sequence
from typing import Any

from shapeofloss.ledger.rows import Row, judged
from shapeofloss.ledger.rules import Rule

# A word and a sign for each verdict: the fuller the sign, the better the claim stands; no colour is needed.
SIGNS = {
    "holds": "■",
    "corrected": "◩",
    "reproduced": "●",
    "in trend": "◐",
    "not reproduced": "○",
}


def record(
    measured: Mapping[str, Any],
    *,
    figure: str | Mapping[str, str] | None = None,
    notes: Mapping[str, str] | None = None,
) -> None:
    """Hand over what was measured for several claims; their rules pass the verdicts, and a table shows them.

    Args:
        measured: For each claim, by its identifier in `data/claims/`: one number per seed (a number, a sequence, an
            array), or for a rule that orders groups a mapping of each group's name to its values, paired by seed.
            Units are those of the claim's `measure`.
        figure: The name of the figure of this notebook that shows them all, or a name for each claim that has one.
        notes: Remarks for the reader, by claim.
    Raises:
        UserError: If a claim is unknown, belongs to another notebook, or its measurement has another shape.
        ClaimFailedError: If a theorem or an erratum does not hold. Nothing of the call is then kept.
    """
    table = Table(judged(measured, figure=figure, notes=notes))
    from IPython import get_ipython
    from IPython.display import display

    if get_ipython() is not None:
        display(table)


class Table:
    """Rows of the ledger for the reader of a notebook: a compact table, with details on a click.

    Args:
        rows: What to show.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows

    def __repr__(self) -> str:
        return "\n".join(f"{_verdict(row)}: {row.statement} Measured: {_measured(row)}." for row in self.rows)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in ("verdict", "claim", "source", "measured"))
        return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{''.join(map(_line, self.rows))}</tbody>\n</table>"


def _line(row: Row) -> str:
    words = filter(None, (f"Measure: {row.measure}.", _values(row), row.note))
    details = f"{html.escape(' '.join(words))} Row <code>{row.id}</code>."
    claim = f"{html.escape(row.statement)}<details><summary>details</summary>{details}</details>"
    source = f"{html.escape(row.place)}: {html.escape(_shown(row.source_value))}"
    cells = (_verdict(row), claim, source, html.escape(_measured(row)))
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>\n"


def _verdict(row: Row) -> str:
    return f"{SIGNS.get(row.verdict, '–')}\N{NO-BREAK SPACE}{row.verdict}"


def _measured(row: Row) -> str:
    """Return the statistic with the standard deviation over seeds, of each group if there are groups."""
    if isinstance(row.measured, dict):
        spread = row.spread if isinstance(row.spread, dict) else {}
        return ", ".join(f"{name}: {_with_spread(value, spread.get(name))}" for name, value in row.measured.items())
    return _with_spread(row.measured, None if isinstance(row.spread, dict) else row.spread)


def _with_spread(value: float | None, spread: float | None) -> str:
    return _shown(value) + (f" ± {spread:.2g}" if spread else "")


def _values(row: Row) -> str:
    if row.per_seed is None:
        return ""
    count = Rule.count(row.per_seed)
    return (
        f"{row.statistic.capitalize()} of {count} value{'s' * (count > 1)}, ± standard deviation." if count > 1 else ""
    )


def _shown(value: Any) -> str:
    if value is None:
        return "not finite"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_shown(part)}" for name, part in value.items())
    if isinstance(value, float):
        return f"{value:.3g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
