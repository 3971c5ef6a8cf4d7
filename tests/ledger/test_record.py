"""The table that a notebook shows of what it records."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from shapeofloss import ledger
from shapeofloss.ledger.record import SIGNS, Table
from shapeofloss.ledger.rows import row

CLAIMS = ledger.load_claims()
NUMBER = next(claim for claim in CLAIMS.values() if claim.rule.statistic == "mean" and claim.rule.seeds == 3)
ORDER = next(claim for claim in CLAIMS.values() if claim.rule.pairs)


class Cells(HTMLParser):
    """The text of each cell, by line of the table."""

    def __init__(self, text):
        super().__init__()
        self.lines = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag == "tr":
            self.lines.append([])
        elif tag in ("td", "th"):
            self.lines[-1].append("")

    def handle_data(self, data):
        if self.lines and self.lines[-1]:
            self.lines[-1][-1] += data.strip("\n")


def test_each_row_is_a_line_with_verdict_claim_source_and_measurement():
    number = replace(row(NUMBER, [1.0, 2.0, 3.0]), statement="Less <than> that.", note="A remark.", verdict="in trend")
    order = row(ORDER, {name: [float(n), n + 1.0, n + 2.0] for n, name in enumerate(ORDER.rule.groups)})
    head, first, second = Cells(Table([number, order])._repr_html_()).lines
    assert head == ["verdict", "claim", "source", "measured"]
    assert first[0] == "◐\N{NO-BREAK SPACE}in trend" and first[1].startswith("Less <than> that.")
    assert "A remark." in first[1] and NUMBER.id in first[1] and NUMBER.measure in first[1]
    assert "Mean of 3 values" in first[1] and NUMBER.place in first[2] and first[3] == "2 ± 1"
    assert second[3] == ", ".join(f"{name}: {n + 1} ± 1" for n, name in enumerate(ORDER.rule.groups))


def test_a_verdict_is_told_by_its_sign_alone_too():
    assert len(set(SIGNS.values())) == len(SIGNS) and not set(SIGNS) & {"open", "not testable here"}
    assert "– not judged" in repr(Table([row(NUMBER, [1.0] * 3, judged=False)])).replace("\N{NO-BREAK SPACE}", " ")


def test_as_plain_text_it_is_one_line_per_row():
    lines = repr(Table([row(NUMBER, [1.0, 2.0, 3.0])] * 2)).splitlines()
    assert len(lines) == 2 and re.search(r"Measured: 2 ± 1\.$", lines[0])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_says_so(value):
    assert "not finite" in Table([row(NUMBER, [value] * 3)])._repr_html_()
