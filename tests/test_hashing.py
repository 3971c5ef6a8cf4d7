"""The hash moves when a result could, and only then."""

from shapeofloss import hashing


def test_the_closure_follows_imports_also_inside_functions_and_of_packages():
    names = set(hashing.code_of("from shapeofloss import store"))
    assert {"shapeofloss", "shapeofloss.store", "shapeofloss.files", "shapeofloss.hashing"} <= names
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
