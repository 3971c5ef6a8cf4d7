"""The claims of the four sources, read from `data/claims.toml`."""

import tomllib
from dataclasses import dataclass
from functools import cache
from typing import Any

from shapeofloss.engine import workspace
from shapeofloss.errors import UserError
from shapeofloss.ledger.rules import Rule

PARTS = ("landscape", "sign_loss", "transport", "adversarial", "together")
# What an accepted measurement is called; the other kinds are empirical.
EXACT = {"theorem": "holds", "erratum": "corrected"}
NO_RULE = Rule(seeds=0)  # of a claim that no laptop can test
KINDS = (*EXACT, "number", "ordering", "trend", "picture")


@dataclass(frozen=True)
class Claim:
    """One clause of a source that can fail alone.

    Attributes:
        id: Unique name, beginning with the part.
        part: `landscape`, `sign_loss`, `transport`, `adversarial` or `together`.
        kind: `theorem` and `erratum` are exact; `number`, `ordering`, `trend` and `picture` are empirical.
        notebook: The one notebook that records it.
        source, place: The source and the section, table, figure or slide.
        statement: The claim in our own words.
        source_value: What the source prints, for an erratum the value to be corrected.
        measure: What one measured value is, with its unit.
        rule: What turns the measurement into a verdict.
        refuted_by: A made-up measurement that the rule must reject.
        timing: Whether the measurement is a time, a memory size or a ratio of them.
        trained: Whether an exact claim needs training, so that a smoke run cannot judge it.
        not_testable: Why a laptop cannot test it; empty if it can.
    """

    id: str
    part: str
    kind: str
    notebook: str
    source: str
    place: str
    statement: str
    source_value: Any
    measure: str
    rule: Rule = NO_RULE
    refuted_by: Any = None
    timing: bool = False
    trained: bool = False
    not_testable: str = ""

    @property
    def exact(self) -> bool:
        """Whether a failure is a defect of ours, and not a finding."""
        return self.kind in EXACT


def load_claims() -> dict[str, Claim]:
    """Return every claim by its identifier.

    Raises:
        UserError: If a claim is incomplete, repeats an identifier, or has a rule that cannot be read.
    """
    path = workspace.root() / "data" / "claims.toml"
    try:
        return _parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError) as error:
        raise UserError(f"data/claims.toml cannot be read ({error}): restore it with git.") from None


@cache
def _parse(text: str) -> dict[str, Claim]:
    try:
        tables = tomllib.loads(text)["claim"]
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            raise TypeError("claim is something else")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"data/claims.toml is no list of [[claim]] tables: {error}.") from None
    claims: dict[str, Claim] = {}
    for table in tables:
        name = table.get("id", "without id")
        try:
            claim = Claim(**{**table, "rule": Rule.parse(table["rule"]) if "rule" in table else NO_RULE})
            for field, kind in Claim.__annotations__.items():
                if kind in (str, bool) and not isinstance(value := getattr(claim, field), kind):
                    raise TypeError(f"{field} = {value!r} is no {'text' if kind is str else 'true or false'}")
            if claim.rule is NO_RULE and not claim.not_testable:
                raise UserError("it has neither a rule nor a reason why it is not testable.")
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise UserError(f"Claim {name} in data/claims.toml cannot be read: {error}") from None
        if name in claims or claim.part not in PARTS or claim.kind not in KINDS:
            raise UserError(f"Claim {name} in data/claims.toml repeats an id, or has an unknown part or kind.")
        claims[name] = claim
    return claims
