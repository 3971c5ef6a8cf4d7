"""What the sources show, and how figures name what they answer."""

import ast
from pathlib import Path

import pytest

from shapeofloss import sources
from shapeofloss.errors import UserError
from shapeofloss.runner.tables import answers_table

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("answers", "items"),
    [
        ("", []),
        ("landscape: Fig. 2c", ["Fig. 2c"]),
        ("landscape: Fig. 2d-f; section 4.3", ["Fig. 2d", "Fig. 2e", "Fig. 2f", "section 4.3"]),
        ("landscape: Fig. 3", ["Fig. 3A", "Fig. 3B"]),
        ("sign loss: Fig. 3; Table 2", ["Fig. 3", "Table 2"]),
        ('wgan: slide "Theorem 1"; slide "Theorem 2"', ['slide "Theorem 1"', 'slide "Theorem 2"']),
    ],
)
def test_answers_are_read_item_by_item(answers, items):
    assert sources.answered(answers) == [(answers.partition(":")[0], item) for item in items]


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ("Fig. 1", "names no source"),
        ("gan: Table 1", "names no source"),
        ('wgan: slide "Theorem 3"', "Did you mean 'slide \"Theorem [12]\"'"),
        ("landscape: Fig. 9", "no item of landscape 'Fig. 9'"),
        ("landscape: Fig. 2c;Fig. 2d", "no item of landscape"),
    ],
)
def test_other_forms_are_refused_in_a_sentence(answers, words):
    with pytest.raises(UserError, match=words):
        sources.answered(answers)


@pytest.mark.parametrize("script", sorted((ROOT / "notebooks").glob("*.py")), ids=lambda path: path.stem)
def test_every_figure_names_what_the_sources_show(script):
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.keyword) and node.arg == "answers":
            assert isinstance(node.value, ast.Constant), ast.unparse(node)
            sources.answered(node.value.value)


def test_the_table_has_each_item_once_with_its_figures_and_the_verdicts_on_it():
    entry = {"notebook": "101_jump_and_retrain", "figure": "phate.png", "answers": "landscape: Fig. 2c; section 3"}
    shown = {
        "part": "landscape",
        "notebook": "101_jump_and_retrain",
        "figure": "phate",
        "place": "section 4",
        "verdict": "holds",
    }
    placed = {**shown, "figure": None, "place": "section 4.2, Fig. 2c", "verdict": "in trend"}
    other = {**placed, "part": "sign_loss"}
    lines = answers_table([entry], [shown, placed, other]).splitlines()
    (line,) = [line for line in lines if line.startswith("| Fig. 2c |")]
    assert "[phate](101_jump_and_retrain/phate.png)" in line and "../notebooks/101_jump_and_retrain.ipynb" in line
    assert line.endswith("| 1 holds, 1 in trend |")
    count = sum(len(source.items) for source in sources.load().values())
    assert sum(line.startswith("| ") and not line.startswith("| there") for line in lines) == count > 90
