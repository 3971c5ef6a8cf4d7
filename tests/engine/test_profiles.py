"""The catalogue of notebooks and their numbers."""

import re

import pytest
from conftest import call

from shapeofloss.engine import profiles
from shapeofloss.errors import UserError
from shapeofloss.runner import inputs

CATALOGUE = profiles.load()


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_catalogue_knows_every_number_of_the_parameters_cell_and_no_other(name):
    notebook = CATALOGUE[name]
    laptop, smoke, paper = (notebook.at(profile) for profile in ("laptop", "smoke", "paper"))
    assert laptop.keys() == smoke.keys() == paper.keys() == notebook.numbers.keys()
    for number, value in laptop.items():
        for other in (smoke[number], paper[number]):
            assert type(other) is type(value) or {type(other), type(value)} == {int, float}, number


def test_numbers_that_notebooks_share_are_the_same_in_both():
    profiles.check_shared(CATALOGUE)
    assert sum(bool(number.same_as) for notebook in CATALOGUE.values() for number in notebook.numbers.values()) > 18


def test_a_shared_number_that_differs_is_named_with_both_values(checkout):
    root = checkout({"01_small": "# %%\n1\n", "02_other": "# %%\n1\n"})
    path = root / "notebooks" / "profiles.toml"
    first, second = path.read_text(encoding="utf-8").split("[02_other]")
    second = second.replace('source = "none", why = "none"', 'same_as = "01_small"')
    path.write_text(f"{first}[02_other]{second}", encoding="utf-8")
    profiles.check_shared(profiles.load())
    script = root / "notebooks" / "02_other.py"
    script.write_text(script.read_text(encoding="utf-8").replace("seed = 0", "seed = 5"), encoding="utf-8")
    assert "seed of 02_other is 5, and seed of 01_small is 0" in call(root, "figures", "--profile", "smoke").stderr
    path.write_text(f"{first}[02_other]{second.replace('01_small', '03_none')}", encoding="utf-8")
    with pytest.raises(UserError, match="seed is the same as 03_none, which has no number"):
        profiles.load()


def test_a_number_without_an_entry_is_named(checkout):
    root = checkout()
    script = root / "notebooks" / "01_small.py"
    script.write_text(script.read_text(encoding="utf-8").replace("seed = 0", "sead = 0"), encoding="utf-8")
    with pytest.raises(UserError, match="01_small: sead, seed must stand in"):
        profiles.load()["01_small"].at("smoke")


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
        ("smoke = 0.1, ", "", "01_small: .*smoke"),
        (', why = "none"', "", "01_small: .*why"),
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
