"""The hash moves when a result could, and only then."""

import pytest

from shapeofloss.engine import hashing


def test_the_closure_follows_imports_also_inside_functions_and_of_packages():
    names = set(hashing.code_of("from shapeofloss.engine import store"))
    assert {"shapeofloss", "shapeofloss.engine.store", "shapeofloss.files", "shapeofloss.engine.hashing"} <= names
    assert "shapeofloss.figures" not in names and "shapeofloss.runner" not in names
    inside = hashing.code_of("def f():\n    from shapeofloss.ledger import record\n")
    assert {"shapeofloss.ledger", "shapeofloss.ledger.rules", "shapeofloss.ledger.rows"} <= set(inside)


def test_parents_of_a_module_count_because_importing_it_runs_them():
    assert {"shapeofloss", "shapeofloss.ledger"} <= set(hashing.code_of("import shapeofloss.ledger.rules"))


def test_other_packages_do_not_count():
    assert hashing.code_of("import numpy\nfrom shapeoflossless import x\n") == {}


def test_comments_and_docstrings_do_not_change_the_code_but_a_constant_does():
    plain = "def f(x):\n    return x + 1\n"
    described = '"""Module."""\n\n\ndef f(x):\n    """Add one."""\n    return x + 1  # one\n'
    assert hashing._bare(plain) == hashing._bare(described)
    assert hashing._bare(plain) != hashing._bare(plain.replace("1", "2"))


def test_a_function_of_nothing_but_a_docstring_still_parses():
    compile(hashing._bare('def f():\n    """Do nothing."""\n'), "test", "exec")


def test_only_numerical_pins_count():
    pins = hashing.numerical_pins()
    assert any(pin.startswith("torch==") for pin in pins) and any(pin.startswith("phate==") for pin in pins)
    assert not any(pin.startswith(("ruff==", "jupyterlab==")) for pin in pins)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of one module with a C++ source beside it, in the place of this one."""
    folder = tmp_path / "shapeofloss" / "fast"
    folder.mkdir(parents=True)
    for path in (folder.parent / "__init__.py", folder / "__init__.py"):
        path.touch()
    (folder.parent / "slow.py").write_text("x = 1\n", encoding="utf-8")
    (folder / "kernels.py").write_text("x = 1\n", encoding="utf-8")
    (folder / "loops.cpp").write_text("int x = 1;\n", encoding="utf-8")
    monkeypatch.setattr(hashing, "__file__", str(folder.parent / "hashing.py"))
    hashing._file_of.cache_clear()
    yield folder
    hashing._file_of.cache_clear()


def test_compiled_sources_beside_a_module_count_for_whoever_imports_it(package):
    user, other = "from shapeofloss.fast import kernels\n", "from shapeofloss import slow\n"
    before, elsewhere = hashing.code_of(user), hashing.code_of(other)
    assert before["fast/loops.cpp"] == "int x = 1;\n" and "fast/loops.cpp" not in elsewhere
    assert set(before) == {"shapeofloss", "shapeofloss.fast", "shapeofloss.fast.kernels", "fast/loops.cpp"}
    (package / "loops.cpp").write_text("int x = 2;\n", encoding="utf-8")
    assert hashing.digest(hashing.code_of(user)) != hashing.digest(before)
    assert hashing.code_of(other) == elsewhere
    (package / "more.cpp").touch()
    assert "fast/more.cpp" in hashing.code_of(user)


def test_the_kernels_of_the_landscapes_count_for_minima_and_samples():
    assert "ensembles/lanes.cpp" in hashing.code_of("from shapeofloss.landscape import minima")
    assert "ensembles/lanes.cpp" not in hashing.code_of("from shapeofloss.landscape import phate")
