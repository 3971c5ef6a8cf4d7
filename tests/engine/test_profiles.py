"""The catalogue of notebooks and their numbers."""

import re

import pytest
from conftest import call

from shapeofloss.engine import profiles
from shapeofloss.errors import UserError
from shapeofloss.runner import inputs

CATALOGUE = profiles.load()


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_parameters_cell_holds_the_laptop_values(name):
    notebook = CATALOGUE[name]
    assert inputs.parameters_of(notebook) == notebook.at("laptop")


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_parameter_is_explained_beside_its_value(name):
    cells = [c.source for c in inputs.read_script(CATALOGUE[name]).cells if "parameters" in c.metadata.get("tags", [])]
    assert len(cells) == 1 and all("  # " in text for text in cells[0].splitlines())


def test_every_script_is_in_the_catalogue_and_is_named_by_part_and_order():
    scripts = {path.stem for path in (profiles.workspace.root() / "notebooks").glob("*.py")}
    assert scripts == set(CATALOGUE) and all(re.fullmatch(r"[0-5]\d\d_[a-z0-9_]+", name) for name in scripts)


def test_the_table_of_differences_has_one_row_per_number():
    for name, notebook in CATALOGUE.items():
        rows = profiles.differences(name).splitlines()[2:]
        assert len(rows) == len(notebook.numbers)
        assert all(number.why and number.source for number in notebook.numbers.values())


def test_an_incomplete_entry_is_named(checkout):
    root = checkout()
    path = root / "notebooks" / "profiles.toml"
    good = path.read_text(encoding="utf-8")
    for old, new, words in [
        ("smoke = 0, ", "", "01_small: .*smoke"),
        ('question = "What does the runner do with it?"\n', "", "01_small: .*question"),
        ("[01_small.numbers]", "[01_small.numbers", "not valid TOML"),
        ("[01_small]", "[02_none]", "entry 01_small: "),
        ("[01_small]", "a = 1\n[01_small]", "entry a: it is no table"),
    ]:
        path.write_text(good.replace(old, new, 1), encoding="utf-8")
        with pytest.raises(UserError, match=words):
            profiles.load()


def test_a_computed_parameter_is_refused(checkout):
    root = checkout()
    script = root / "notebooks" / "01_small.py"
    script.write_text(script.read_text(encoding="utf-8").replace("seed = 0", "seed = 1 + len('a')"), encoding="utf-8")
    assert "parameter seed must be a plain value" in call(root, "figures", "-p", "seed=1").stderr


def test_the_time_limit_is_six_times_what_is_expected_and_ten_minutes_at_least(checkout):
    root = checkout()
    path = root / "notebooks" / "profiles.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("laptop = 0.1", "laptop = 10"), encoding="utf-8")
    (notebook,) = profiles.load().values()
    assert (notebook.limit("smoke"), notebook.limit("laptop")) == (600, 3600)
