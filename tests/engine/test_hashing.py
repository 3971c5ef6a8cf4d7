"""The key moves when a result could, and only then."""

import ast
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from tasks import squares, uniform

from shapeofloss.engine import hashing, reach

ROOT = Path(__file__).parents[2]
UNPINNED = {"distributed", "tasks"}  # an extra of its own; a module of the tests


def test_only_numerical_pins_count():
    pins = hashing.numerical_pins()
    assert {"torch", "phate", "pyapd"} <= set(pins) and not {"ruff", "jupyterlab"} & set(pins)


def test_pins_are_those_of_the_imported_packages_and_of_what_they_need():
    alone, whole = (hashing.pins_of(["sklearn", "json", "ruff"], needed=needed) for needed in (False, True))
    assert list(alone) == ["scikit-learn"]
    assert {"numpy", "scipy", "joblib", "scikit-learn"} <= set(whole) and "torch" not in whole
    assert hashing.pins_of(["nowhere"]) == {}


def test_every_package_that_is_imported_is_known_under_the_name_of_its_pin():
    pinned = {line.partition("==")[0].lower() for line in (ROOT / "pins.txt").read_text(encoding="utf-8").split("\n")}
    installed = metadata.packages_distributions()
    for path in [*(ROOT / "src").rglob("*.py"), *(ROOT / "notebooks").glob("*.py")]:
        for name in reach.reached(path.read_text(encoding="utf-8"), name=path.stem).packages:
            known = hashing.INSTALLED_AS.get(name, name)
            assert known.lower() in {each.lower() for each in installed.get(name, [known])}, (path, name)
            assert {known.lower(), known.lower().replace("_", "-")} & pinned or name in UNPINNED, (path, name)


def test_a_function_of_another_module_has_another_key_and_an_edit_is_seen(tmp_path, monkeypatch):
    one, other = (hashing.code_of_function("tasks", function.__name__) for function in (squares, uniform))
    assert one.code != other.code and one is hashing.code_of_function("tasks", "squares")
    path = tmp_path / "edited.py"
    path.write_text("def f():\n    return 1\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    import edited

    before = hashing.code_of_function("edited", "f")
    path.write_text("def f():\n    return 22\n", encoding="utf-8")
    assert hashing.code_of_function(edited.__name__, "f").code != before.code


@pytest.mark.parametrize("command", ["import shapeofloss.engine.hashing"])
def test_a_key_needs_nothing_heavy(command):
    check = f"import sys; {command}; assert not {{'torch', 'numpy', 'jupytext'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True)


def test_no_constant_is_made_by_a_call_that_changes_something_else():
    """A key leaves out constants that are not reached, so making one may have no effect on others."""
    effects = re.compile(r"(set|seed|manual_seed|register|update|append|simplefilter|filterwarnings|environ)")
    for path in (ROOT / "src" / "shapeofloss").rglob("*.py"):
        for statement in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
                calls = [ast.unparse(node.func) for node in ast.walk(statement.value) if isinstance(node, ast.Call)]
                assert not [call for call in calls if effects.match(call.rpartition(".")[2])], path
