"""The claims of the four sources, read from the files of `data/claims/`, one for each notebook."""

import tomllib
from dataclasses import dataclass
from functools import cache
from typing import Any

from shapeofloss.engine import workspace
from shapeofloss.errors import UserError
from shapeofloss.ledger.rules import Rule

# The first digit of a notebook's name tells its part and its source.
SOURCES = {
    "1": ("landscape", "loss landscape paper"),
    "2": ("sign_loss", "directional sign loss paper"),
    "3": ("transport", "optimal transport talk"),
    "4": ("adversarial", "WGAN lecture"),
}
TOGETHER = ("together", "all four")  # of any other digit
PARTS = tuple(part for part, _ in (*SOURCES.values(), TOGETHER))
# What an accepted measurement is called; the other kinds are empirical.
EXACT = {"theorem": "holds", "erratum": "corrected"}
NO_RULE = Rule(seeds=0)  # of a claim that no laptop can test
KINDS = (*EXACT, "number", "ordering", "trend", "picture")


@dataclass(frozen=True)
class Claim:
    """One clause of a source that can fail alone.

    Attributes:
        id: Unique name, beginning with the part.
        part: `landscape`, `sign_loss`, `transport`, `adversarial` or `together`; from the notebook's name.
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
    texts = []
    for path in sorted((workspace.root() / "data" / "claims").glob("*.toml")):
        try:
            texts.append((path.stem, path.read_text(encoding="utf-8")))
        except (OSError, UnicodeError) as error:
            raise UserError(f"data/claims/{path.name} cannot be read ({error}): restore it with git.") from None
    return _parse(tuple(texts))


@cache
def _parse(files: tuple[tuple[str, str], ...]) -> dict[str, Claim]:
    claims: dict[str, Claim] = {}
    for notebook, text in files:
        try:
            tables = tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            raise UserError(f"data/claims/{notebook}.toml is not valid TOML: {error}.") from None
        for name, table in tables.items():
            if name in claims:
                raise UserError(
                    f"Claim {name} stands in data/claims/{notebook}.toml and in {claims[name].notebook}.toml."
                )
            try:
                claims[name] = _claim(name, notebook, table)
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                raise UserError(f"Claim {name} in data/claims/{notebook}.toml cannot be read: {error}") from None
    return claims


def _claim(name: str, notebook: str, table: Any) -> Claim:
    if not isinstance(table, dict):
        raise TypeError(f"{table!r} is no table; write [{name}] above its lines.")
    part, source = SOURCES.get(notebook[0], TOGETHER)
    rule = Rule.parse(table["rule"]) if "rule" in table else NO_RULE
    claim = Claim(**{**table, "rule": rule}, id=name, part=part, notebook=notebook, source=source)
    for field, kind in Claim.__annotations__.items():
        if kind in (str, bool) and not isinstance(value := getattr(claim, field), kind):
            raise TypeError(f"{field} = {value!r} is no {'text' if kind is str else 'true or false'}.")
    if claim.kind not in KINDS:
        raise UserError(f"'{claim.kind}' is no kind. Choose from {', '.join(KINDS)}.")
    if claim.rule is NO_RULE and not claim.not_testable:
        raise UserError("it has neither a rule nor a reason why it is not testable.")
    return claim
