"""Rows of the ledger: a claim, what was measured for it, and the verdict of its rule."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from statistics import stdev
from typing import Any

from shapeofloss.engine import workspace
from shapeofloss.errors import UserError, unknown
from shapeofloss.files import read_rows, write_rows
from shapeofloss.ledger.claims import EXACT, PARTS, Claim, load_claims
from shapeofloss.ledger.rules import Measured, finite

WORDS = {"lower": "mean minus two standard errors", "upper": "mean plus two standard errors"}
VERDICTS = ("holds", "corrected", "reproduced", "in trend", "not reproduced", "not testable here", "open")


class ClaimFailedError(AssertionError):
    """Raised when a theorem or an erratum does not hold: the mistake is then ours."""


@dataclass(frozen=True)
class Row:
    """One row of the ledger, as it stands in `data/ledger/laptop.json`; `inputs` names what it was made from."""

    id: str
    part: str
    kind: str
    statement: str
    source: str
    place: str
    source_value: Any
    measure: str
    statistic: str
    measured: float | dict[str, float | None] | None
    per_seed: list[float | None] | dict[str, list[float | None]] | None
    spread: float | dict[str, float | None] | None
    verdict: str
    notebook: str
    figure: str | None
    timing: bool
    note: str
    inputs: str = ""


def verdict(claim: Claim, measured: Measured | None, *, judged: bool = True) -> str:
    """Return the verdict of the claim's rule on a measurement.

    Args:
        claim: The claim.
        measured: What `Rule.read` returned, or None where nothing was measured.
        judged: False where the run is too small to judge (smoke).
    Raises:
        ClaimFailedError: If a theorem or an erratum does not hold.
    """
    if claim.not_testable:
        return "not testable here"
    if measured is None:
        return "open"
    if not judged:
        return "not judged"
    outcome = claim.rule.judge(measured)
    if claim.exact:
        if outcome != "accept":
            raise ClaimFailedError(
                f"{claim.id} does not hold: {claim.measure} is {claim.rule.reduce(measured)}, "
                f"and the rule asks for {claim.rule.accept or claim.rule.pairs}."
            )
        return EXACT[claim.kind]
    return {"accept": "reproduced", "trend": "in trend", "reject": "not reproduced"}[outcome]


def row(
    claim: Claim, measured: Measured | None, *, judged: bool = True, figure: str | None = None, note: str = ""
) -> Row:
    """Return the claim's row for a measurement; None leaves it open."""
    reduced: Any = None
    spread: Any = None
    if measured is not None:
        reduced = claim.rule.reduce(measured)
        spread = _spread(measured)
    return Row(
        id=claim.id,
        part=claim.part,
        kind=claim.kind,
        statement=claim.statement,
        source=claim.source,
        place=claim.place,
        source_value=claim.source_value,
        measure=claim.measure,
        statistic=WORDS.get(claim.rule.statistic, claim.rule.statistic) or "mean of each group",
        measured=_finite(reduced),
        per_seed=_finite(measured),
        spread=_finite(spread),
        verdict=verdict(claim, measured, judged=judged),
        notebook=claim.notebook,
        figure=figure,
        timing=claim.timing,
        note=note or claim.not_testable,
    )


def judged(
    measured: Mapping[str, Any],
    *,
    figure: str | Mapping[str, str] | None = None,
    notes: Mapping[str, str] | None = None,
) -> list[Row]:
    """Return the rows of several claims and keep them in the present run; all of them, or none if one has no row.

    Args, Raises:
        As for `record`.
    """
    claims, run = load_claims(), workspace.current()
    here = {name for name, claim in claims.items() if claim.notebook == run.notebook}
    if not isinstance(measured, Mapping) or not measured:
        raise UserError(f'record takes a mapping such as {{"{next(iter(here), "claim")}": values}}, not {measured!r}.')
    shown_by = dict.fromkeys(measured, figure) if isinstance(figure, str | None) else figure
    for names, valid in ((measured, here), (shown_by, measured), (notes or {}, measured)):
        for name in names:
            if name not in valid:
                raise unknown(f"claim of {run.notebook}", name, valid)
    rows = []
    for name, values in measured.items():
        row = _judged(claims[name], values, run.profile)
        rows.append(replace(row, figure=shown_by.get(name), note=(notes or {}).get(name, row.note)))
    path = run.folder / "ledger.json"
    others = [entry for entry in read_rows(path, texts=("id",)) if entry["id"] not in measured]
    write_rows(path, sorted([*others, *(asdict(row) for row in rows)], key=lambda entry: entry["id"]))
    return rows


def _judged(claim: Claim, measured: Any, profile: str) -> Row:
    # Identities hold at any size. Findings are judged at the profiles that were fixed for it; a reader who changes a
    # parameter sees a verdict where there are values enough, and is never stopped by a finding.
    fixed = profile in ("laptop", "paper")
    try:
        values = claim.rule.read(measured, complete=fixed)
    except UserError as error:
        raise UserError(f"{claim.id}: {error}") from None
    few = claim.rule.count(values) < claim.rule.seeds
    return row(claim, values, judged=fixed or (not claim.trained if claim.exact else profile != "smoke" and not few))


def rebuilt(measurements: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a complete ledger: one row per claim, judged again from earlier rows, sorted by identifier.

    A row of a claim that is no longer listed, or that another notebook records now, is left out.
    """
    measured = {entry["id"]: entry for entry in measurements if entry["per_seed"] is not None}
    rows = []
    for claim in load_claims().values():
        entry = measured.get(claim.id)
        if entry is None or entry["notebook"] != claim.notebook:
            rows.append(row(claim, None))
            continue
        try:
            values = claim.rule.read(_with_nan(entry["per_seed"]))
            new = row(claim, values, figure=entry["figure"], note=entry["note"])
            rows.append(replace(new, inputs=entry.get("inputs", "")))
        except (TypeError, ValueError, ClaimFailedError) as error:  # the rule has changed since, or the row is damaged
            rows.append(row(claim, None, note=f"Run {claim.notebook} again: {error}"))
    return [asdict(entry) for entry in sorted(rows, key=lambda entry: (PARTS.index(entry.part), entry.id))]


def summary(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return a Markdown table of verdicts by part."""
    counts = Counter((entry["part"], entry["verdict"]) for entry in rows)
    lines = ["| part | " + " | ".join(VERDICTS) + " | rows |", "|---|" + "---:|" * (len(VERDICTS) + 1)]
    for part in (*PARTS, "all"):
        numbers = [
            sum(n for (p, v), n in counts.items() if part in (p, "all") and v == verdict) for verdict in VERDICTS
        ]
        if sum(numbers):
            lines.append(f"| {part.replace('_', ' ')} | " + " | ".join(map(str, [*numbers, sum(numbers)])) + " |")
    return "\n".join(lines)


def _spread(values: Measured) -> Any:
    """Return the standard deviation over seeds, of each group if there are groups; None for a single value."""
    if isinstance(values, dict):
        return {name: _spread(group) for name, group in values.items()}
    return stdev(values) if len(values) > 1 and finite(values) else None


def _finite(value: Any) -> Any:
    """Return the value with every number that is not finite as None, as JSON has it."""
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _with_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_nan(part) for name, part in value.items()}
    return [math.nan if number is None else number for number in value]
