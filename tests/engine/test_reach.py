"""What code can reach: everything that can change its result, and little else."""

import ast
import inspect
import shutil
import subprocess
import sys

import pytest

from shapeofloss.engine import reach
from shapeofloss.engine.reach import canonical, reached

SOURCES = {
    "__init__.py": "",
    "numbers.py": """
        import numpy as np
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            from shapeofloss import types
        SCALE = 2
        OFFSET = 1
        OTHER = 2
        TABLE = {}
        TABLE["half"] = lambda x: x / 2
        def scaled(x: "types.X"):
            return SCALE * helper(x)
        def helper(x):
            return x + OFFSET
        def unused(x):
            return np.sum(x) + OTHER
        class Base:
            def value(self): return helper(1)
        class Derived(Base):
            pass
        """,
    "user.py": """
        from shapeofloss import numbers, rooms
        from shapeofloss.numbers import scaled as double
        def direct(x): return double(x)
        def attribute(x): return numbers.scaled(x)
        def handed_on(x): return vars(numbers)
        def of_a_class(): return numbers.Derived().value()
        def of_a_room(): return rooms.inner.deep() + rooms.shown()
        def late():
            import scipy.special as special
            from . import numbers as n
            return n.unused(special.erf(1))
        def free(code): return eval(code)
        """,
    "rooms/__init__.py": "from shapeofloss.rooms.inner import shown as shown\n",
    "rooms/inner.py": "def deep(): return 1\ndef shown(): return 2\ndef hidden(): return 3\n",
    "fast/__init__.py": "",
    "fast/kernels.py": 'SOURCE = "loops.cpp"\ndef run(): return SOURCE\n',
    "fast/loops.cpp": "int x = 1;\n",
    "figures.py": "import matplotlib\ndef save(): pass\n",
    "types.py": "X = int\n",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package in the place of this one."""
    folder = tmp_path / "shapeofloss"
    for name, text in SOURCES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(inspect.cleandoc(text) + "\n", encoding="utf-8")
    monkeypatch.setattr(reach, "__file__", str(folder / "engine" / "reach.py"))
    return folder


def names(source, *start):
    return {name.removeprefix("shapeofloss.") for name in reached(source, start).code if not name.endswith(":")}


def of_user(package, function):
    found = reached((package / "user.py").read_text(encoding="utf-8"), [function], name="shapeofloss.user")
    return {name.removeprefix("shapeofloss.") for name in found.code if not name.endswith(":")}


ALWAYS = {"numbers:TABLE"}  # something is put into it when the module is imported
SCALED = {"numbers:scaled", "numbers:SCALE", "numbers:helper", "numbers:OFFSET"}
REST = {"numbers:unused", "numbers:OTHER", "numbers:TABLE", "numbers:Base", "numbers:Derived"}


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("direct", SCALED),
        ("attribute", SCALED),
        ("handed_on", SCALED | REST),
        ("of_a_class", {"numbers:Derived", "numbers:Base", "numbers:helper", "numbers:OFFSET"}),
        ("of_a_room", {"rooms.inner:deep", "rooms.inner:shown"}),
        ("late", {"numbers:unused", "numbers:OTHER"}),
    ],
)
def test_names_are_followed_through_imports_attributes_and_classes(package, function, expected):
    assert of_user(package, function) == expected | ALWAYS | {f"user:{function}"}


def test_where_a_call_cannot_be_followed_the_whole_module_counts(package):
    assert {"user:direct", "user:late", "numbers:unused"} <= of_user(package, "free")


def test_what_a_module_does_when_it_is_imported_always_counts(package):
    code = reached("from shapeofloss.numbers import helper\nhelper(1)\n").code
    assert "half" in code["shapeofloss.numbers:"] and "shapeofloss.numbers:TABLE" in code
    (package / "__init__.py").write_text("print(1)\n", encoding="utf-8")
    assert "shapeofloss:" in reached("from shapeofloss.numbers import helper\n").code


def test_packages_are_those_that_are_imported_on_the_way(package):
    source = (package / "user.py").read_text(encoding="utf-8")
    assert reached(source, ["direct"], name="shapeofloss.user").packages == ("numpy",)
    assert reached(source, ["late"], name="shapeofloss.user").packages == ("numpy", "scipy")
    assert reached("import os\nimport pandas as pd\nfrom shapeoflossless import x\n").packages == (
        "pandas",
        "shapeoflossless",
    )


def test_looks_and_annotations_do_not_count(package):
    assert names("from shapeofloss import figures\nfigures.save()\n") == {"__main__"}
    assert "types:X" not in of_user(package, "direct")


def test_compiled_sources_count_for_whoever_reaches_the_module_that_names_them(package):
    source = "from shapeofloss.fast import kernels\nkernels.run()\n"
    assert reached(source).code["shapeofloss.fast.kernels/loops.cpp"] == "int x = 1;\n"
    assert not any("cpp" in name for name in names("from shapeofloss import fast\n", "fast"))


def test_a_script_counts_in_its_order(package):
    first, second = "x = 1\n", "x = 2\n"
    assert reached(first + second).code != reached(second + first).code


def test_an_edited_file_is_read_anew(package):
    source = "from shapeofloss.numbers import helper\nhelper(1)\n"
    before = reached(source).code
    text = (package / "numbers.py").read_text(encoding="utf-8")
    (package / "numbers.py").write_text(text.replace("OFFSET = 1", "OFFSET = 3"), encoding="utf-8")
    assert reached(source).code != before


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("def f(x):\n    return x", 'def f(x: int) -> int:\n    """Return x."""\n    return (x)  # so', True),
        ("if a:\n    b()\nc()", "if a:\n    b()\n    c()", False),
        ("if a:\n    b()\nelse:\n    c()", "if a:\n    b()\n    c()", False),
        ("f(a, b)", "f(a, *b)", False),
        ("x = 1", "x = 1.0", False),
        ("x = 1", "x = True", False),
        ("x = 'a' 'b'", 'x = "ab"', True),
        ("x = f'{a:>{b}}'", "x = f'{a:<{b}}'", False),
        ("a < b < c", "a < (b < c)", False),
        ("def f(a, /, b): pass", "def f(a, b, /): pass", False),
        ("def f(a, b=1): pass", "def f(a, *, b=1): pass", False),
        ("lambda: (yield)", "lambda: None", False),
        ("{**a, 'b': 1}", "{'b': 1, **a}", False),
        ("x[1:]", "x[:1]", False),
    ],
)
def test_the_canonical_form_changes_when_and_only_when_the_code_does(first, second, same):
    assert (canonical(ast.parse(first)) == canonical(ast.parse(second))) == same


@pytest.mark.parametrize("minor", [12, 13, 14])
def test_the_canonical_form_is_the_same_in_every_python_at_hand(minor):
    python = shutil.which(f"python3.{minor}")
    if python is None or subprocess.run([python, "--version"], capture_output=True).returncode:
        pytest.skip(f"there is no python3.{minor} here")
    code = (
        "import sys, ast, hashlib, pathlib; sys.path.insert(0, sys.argv[1]); from shapeofloss.engine import reach\n"
        "files = sorted(pathlib.Path(sys.argv[1]).rglob('*.py'))\n"
        "texts = [reach.canonical(ast.parse(f.read_text(encoding='utf-8'))) for f in files]\n"
        "print(hashlib.sha256(repr(texts).encode()).hexdigest())"
    )
    source = reach.file_of("shapeofloss").parents[1]
    said = [
        subprocess.run([each, "-c", code, str(source)], capture_output=True, text=True, check=True).stdout
        for each in (python, sys.executable)
    ]
    assert said[0] == said[1] != ""
