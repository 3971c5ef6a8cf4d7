"""The ledger: recording, verdicts, and the committed rows against the claims."""

import ast
import json
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import CLAIM, EMPIRICAL, EXACT

from shapeofloss import ledger
from shapeofloss.engine import workspace
from shapeofloss.errors import UserError
from shapeofloss.ledger.rows import rebuilt, row, summary

ROOT = Path(__file__).parents[2]
CLAIMS = ledger.load_claims()
COMMITTED = json.loads((ROOT / "data" / "ledger" / "laptop.json").read_text(encoding="utf-8"))


@pytest.fixture
def notebook(checkout):
    """A begun notebook with one theorem and one empirical claim."""
    own = (
        CLAIM.format(id="exact", kind="theorem", rule=EXACT),
        CLAIM.format(id="found", kind="number", rule=EMPIRICAL),
    )
    other = CLAIM.format(id="other", kind="number", rule=EMPIRICAL)
    checkout(claims={"01_small": "".join(own), "02_other": other})
    workspace.begin("01_small")
    return workspace.current()


def verdict_of(name, measured):
    (row,) = ledger.judged({name: measured})
    return row.verdict


def test_a_recorded_row_holds_the_measurement_and_the_verdict_of_the_rule(notebook):
    ledger.record({"found": [1.0, 1.5, 2.0]}, figure="picture", notes={"found": "A remark."})
    (entry,) = json.loads((notebook.folder / "ledger.json").read_text(encoding="utf-8"))
    assert entry["verdict"] == "in trend" and entry["measured"] == 1.5 and entry["spread"] == 0.5
    assert entry["per_seed"] == [1.0, 1.5, 2.0] and entry["figure"] == "picture"


def test_recording_again_replaces_the_row(notebook):
    for value in (5.0, 0.5):
        ledger.record({"found": [value] * 3})
    assert [
        entry["verdict"] for entry in json.loads((notebook.folder / "ledger.json").read_text(encoding="utf-8"))
    ] == ["reproduced"]


def test_a_theorem_that_fails_raises_and_writes_nothing(notebook):
    with pytest.raises(ledger.ClaimFailedError, match="exact does not hold"):
        ledger.record({"found": [1, 1, 1], "exact": 0.1})
    assert not (notebook.folder / "ledger.json").exists()


def test_a_finding_that_fails_is_recorded_and_raises_nothing(notebook):
    assert verdict_of("found", [9, 9, 9]) == "not reproduced"
    assert verdict_of("found", [float("nan")] * 3) == "not reproduced"


def test_a_smoke_run_judges_identities_only(notebook, monkeypatch):
    monkeypatch.setenv(workspace.PROFILE, "smoke")
    assert verdict_of("found", [9.0]) == "not judged"
    assert verdict_of("exact", 1e-9) == "holds"
    with pytest.raises(ledger.ClaimFailedError):
        ledger.record({"exact": 1.0})


def test_a_reader_who_changes_parameters_is_never_stopped_by_a_finding(notebook, monkeypatch):
    for profile in ("interactive", "laptop-overridden"):
        monkeypatch.setenv(workspace.PROFILE, profile)
        assert verdict_of("found", [9.0]) == "not judged"
        assert verdict_of("found", [9.0] * 3) == "not reproduced"
        with pytest.raises(ledger.ClaimFailedError):
            ledger.record({"exact": 1.0})
    monkeypatch.setenv(workspace.PROFILE, "laptop")
    with pytest.raises(UserError, match="at least 3 values; 1 came"):
        ledger.record({"found": [9.0]})


def test_a_claim_of_another_notebook_or_none_is_refused_with_the_nearest_name(notebook):
    with pytest.raises(UserError, match=r"no claim of 01_small 'foundd'\. Did you mean 'found'"):
        ledger.record({"foundd": 1.0})
    with pytest.raises(UserError, match="no claim of 01_small 'other'"):
        ledger.record({"other": [1, 1, 1]})


def test_the_ledger_is_judged_again_when_a_rule_changes(notebook):
    (entry,) = ledger.judged({"found": [0.5, 0.5, 0.5]})
    rows = {r["id"]: r for r in rebuilt([{**vars(entry), "verdict": "wrong"}])}
    assert rows["found"]["verdict"] == "reproduced" and rows["exact"]["verdict"] == "open"


def test_a_row_that_a_new_rule_cannot_accept_is_open_and_says_what_to_run(notebook):
    entry = vars(ledger.judged({"exact": 0.0})[0]) | {"per_seed": [1.0]}
    row = {r["id"]: r for r in rebuilt([entry])}["exact"]
    assert row["verdict"] == "open" and row["note"].startswith("Run 01_small again: exact does not hold")


def test_several_claims_are_kept_together_with_their_figures_and_notes(notebook):
    found, exact = ledger.judged(
        {"found": [1, 1, 1], "exact": 0.0}, figure={"exact": "picture"}, notes={"found": "So."}
    )
    assert (found.figure, found.note, exact.figure, exact.note) == (None, "So.", "picture", "")
    assert len(json.loads((notebook.folder / "ledger.json").read_text(encoding="utf-8"))) == 2


@pytest.mark.parametrize(
    ("measured", "more", "words"),
    [
        ({}, {}, "record takes a mapping"),
        ("found", {}, "record takes a mapping"),
        ({"found": [1.0]}, {"figure": {"foun": "picture"}}, "Did you mean 'found'"),
        ({"found": [1.0]}, {"notes": {"exact": "So."}}, "no claim of 01_small 'exact'"),
        ({"found": {"a": [1.0]}}, {}, "found: This claim takes one list of values"),
    ],
)
def test_what_cannot_be_recorded_is_refused_in_a_sentence(notebook, measured, more, words):
    with pytest.raises(UserError, match=words):
        ledger.record(measured, **more)
    assert not (notebook.folder / "ledger.json").exists()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[exact]", "[exact", "01_small.toml is not valid TOML"),
        ("[exact]", "x = 1\n[exact]", "x in data/claims/01_small.toml cannot be read: 1 is no table"),
        ('place = "section 1"\n', "", "exact in data/claims/01_small.toml cannot be read: .*place"),
        ('kind = "theorem"', 'kind = "theory"', "'theory' is no kind"),
        ('kind = "theorem"', "kind = 1", "kind = 1 is no text"),
        ('accept = "<= 1e-6"', 'accept = "small"', "'small' is no condition"),
        ("[found]", "[other]", "other stands in data/claims/02_other.toml and in 01_small.toml"),
    ],
)
def test_claims_that_cannot_be_read_are_named(notebook, old, new, words):
    path = workspace.root() / "data" / "claims" / "01_small.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(UserError, match=words):
        ledger.load_claims()


def test_a_claim_without_rule_cannot_be_recorded_and_reads_not_testable():
    claim = replace(next(iter(CLAIMS.values())), rule=ledger.claims.NO_RULE, not_testable="No GPU.")
    assert row(claim, None).verdict == "not testable here"
    with pytest.raises(UserError, match="has no rule"):
        claim.rule.read([1.0])


def test_every_claim_names_its_part_and_belongs_to_a_notebook():
    for name, claim in CLAIMS.items():
        assert name.startswith(claim.part.replace("_", "-") + "-"), name
        assert (ROOT / "notebooks" / f"{claim.notebook}.py").is_file(), name
        assert claim.statement.endswith(".") and claim.place and claim.measure, name
        assert claim.source_value not in ("", None), name


# One value is all there is: a fit over all networks at once, or a deterministic quantity.
SINGLE: set[str] = {
    "landscape-bad-minima-non-convex",
    "landscape-good-minima-flat-eigenvalue",
    "landscape-good-minima-flat-normalised",
    "landscape-persistence-1-rises-with-test-loss",
    "landscape-persistence-rises-essential-counted",
    "landscape-persistence-rises-given-size",
    "landscape-persistence-rises-given-training",
    "landscape-persistence-rises-log-loss",
    "landscape-persistence-rises-neighbours",
    "landscape-persistence-rises-order-one",
    "landscape-persistence-rises-permutation",
    "landscape-persistence-rises-released-graph",
    "landscape-persistence-rises-retrain-rate",
    "landscape-persistence-rises-test-filtration",
    "landscape-persistence-rises-with-test-loss",
    "sign-loss-figure-1",
    "sign-loss-parallel-assignment",
    "sign-loss-parallel-cost-matrix",
    "sign-loss-parallel-sorting",
    "transport-cells-on-100-cubed",
}


def test_empirical_claims_are_judged_on_several_values_but_for_a_known_few():
    assert {n for n, c in CLAIMS.items() if not c.exact and 0 < c.rule.seeds < 3} == SINGLE


def test_trends_are_weaker_than_what_is_accepted():
    from shapeofloss.ledger.rules import condition

    for name, claim in CLAIMS.items():
        if claim.rule.trend:
            (low, high, _), (weak_low, weak_high, _) = condition(claim.rule.accept), condition(claim.rule.trend)
            assert weak_low <= low and high <= weak_high and not claim.exact, name


def recorded_in(script: Path) -> set[str]:
    """The identifiers of claims that stand in a notebook's code."""
    names = {
        node.value for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))) if isinstance(node, ast.Constant)
    }
    return {name for name in names if name in CLAIMS}


@pytest.mark.parametrize("script", sorted((ROOT / "notebooks").glob("*.py")), ids=lambda path: path.stem)
def test_a_notebook_records_exactly_the_claims_that_name_it(script):
    own = {name: claim for name, claim in CLAIMS.items() if claim.notebook == script.stem}
    recorded = recorded_in(script)
    assert recorded <= set(own)
    testable = {name for name, claim in own.items() if not claim.not_testable}
    assert testable <= recorded
    assert not testable & {row["id"] for row in COMMITTED if row["verdict"] == "open"}


def test_the_committed_ledger_has_one_row_per_claim_as_its_rule_judges_it():
    assert json.loads(json.dumps(rebuilt(COMMITTED))) == COMMITTED
    notebooks = {path.stem for path in (ROOT / "notebooks").glob("*.py")}
    assert not [r["id"] for r in COMMITTED if r["notebook"] in notebooks and r["verdict"] == "open"]


def test_the_summary_counts_every_row_once():
    last = summary(COMMITTED).splitlines()[-1].split("|")
    assert int(last[-2]) == len(COMMITTED) == sum(int(cell) for cell in last[2:-2])
