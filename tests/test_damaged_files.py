"""Catalogue, claims, ledger and index: a damaged file is told in one sentence that names it."""

import json
import random

import pytest

from shapeofloss import ledger
from shapeofloss.engine import profiles, workspace
from shapeofloss.errors import UserError
from shapeofloss.ledger.rows import rebuilt, summary
from shapeofloss.runner import publish, tables

LEDGER = "data/ledger/laptop.json"
INDEX = "figures/index.json"
CLAIMS = "data/claims/101_jump_and_retrain.toml"
CATALOGUE = "notebooks/profiles.toml"


def read_ledger():
    rows = publish.committed(publish.ledger_path())
    ledger.load_claims()
    return summary(rows), summary(rebuilt(rows))


LOADERS = {
    LEDGER: read_ledger,
    INDEX: lambda: publish.committed(publish.index_path()),
    CLAIMS: lambda: [claim.rule.groups for claim in ledger.load_claims().values()],
    CATALOGUE: lambda: tables.course_map(profiles.load()),
}
ODD = ["[]", "{}", "1", '"x"', "true", "1e999", "-1", '["a", 1]', "{ a = 1 }", "nan", "1979-05-27", "null"]


def mutated(text, source):
    """Return the text with a few bytes, values or lines changed."""
    content = text.encode()
    for _ in range(source.randint(1, 3)):
        place, kind = source.randrange(len(content)), source.randrange(5)
        if kind == 0:
            content = content[:place] + bytes([source.randrange(256)]) + content[place + 1 :]
        elif kind == 1:
            content = content[:place] or b" "
        else:
            lines = content.split(b"\n") if kind == 2 else content.split(b", ")
            joint = b"\n" if kind == 2 else b", "
            line = source.randrange(len(lines))
            for sign in (b" = ", b": "):
                if sign in lines[line]:
                    name = lines[line].split(sign)[0]
                    lines[line] = name + sign + source.choice(ODD).encode()
                    break
            else:
                del lines[line]
            content = joint.join(lines) or b" "
    return content


@pytest.fixture
def originals(checkout, monkeypatch):
    """The good texts by name, in a small checkout: a few claims with the rows of the ledger, entries of the index."""
    real = workspace.root()
    texts = {name: (real / name).read_text(encoding="utf-8") for name in LOADERS}
    root = checkout()
    rows, entries = (json.loads(texts[name])[:3] for name in (LEDGER, INDEX))
    claims = texts[CLAIMS].split("\n\n")
    texts[CLAIMS] = "\n\n".join(claims[:5] + [text for text in claims[5:] if "rising" in text or "among" in text][:1])
    texts[LEDGER], texts[INDEX] = json.dumps(rows), json.dumps(entries)
    texts[CATALOGUE] = (root / CATALOGUE).read_text(encoding="utf-8")
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root, texts


@pytest.mark.parametrize("name", LOADERS)
def test_a_mutated_file_is_read_or_named_and_nothing_else(originals, name):
    root, texts = originals
    LOADERS[name]()  # as it is
    source, refused = random.Random(0), 0
    for _ in range(250):
        content = mutated(texts[name], source)
        (root / name).write_bytes(content)
        try:
            LOADERS[name]()
        except UserError as error:
            refused += 1
            assert name.rpartition("/")[2] in str(error), content
    assert refused > 50


@pytest.mark.parametrize("name", LOADERS)
@pytest.mark.parametrize(
    "content", [b"\xff", b"a = " + b"[" * 100_000, b"[" * 100_000, b"[1]", b'{"a": 1}', b"claim = [1]"]
)
def test_a_file_of_another_kind_is_named(originals, name, content):
    root, _ = originals
    (root / name).write_bytes(content)
    with pytest.raises(UserError, match=name.rpartition("/")[2]):
        LOADERS[name]()
