"""The set-up: what it says when something is missing, which torch it asks for, and that nothing changed is quick."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from shapeofloss.engine import compiler
from shapeofloss.errors import UserError
from shapeofloss.runner import installation

ROOT = Path(__file__).parents[2]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A checkout of which only what the set-up reads is there."""
    for name in ("pins.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.setattr(installation, "ROOT", tmp_path)
    monkeypatch.setattr(installation, "PINS", tmp_path / "pins.txt")
    monkeypatch.setattr(installation, "ENVIRONMENT", tmp_path / ".venv")
    monkeypatch.setattr(installation, "PYTHON", tmp_path / ".venv" / "bin" / "python")
    monkeypatch.setattr(installation, "STAMP", tmp_path / ".venv" / "shapeofloss.stamp")
    return tmp_path


def test_an_old_python_reads_the_entry_and_is_told_what_to_install():
    source = (ROOT / "src/shapeofloss/__main__.py").read_text(encoding="utf-8")
    for text in (source, (ROOT / "src/shapeofloss/__init__.py").read_text(encoding="utf-8")):
        ast.parse(text, feature_version=(3, 5))
    check = "import sys; sys.version_info = (3, 9, 18); exec(open('src/shapeofloss/__main__.py').read())"
    result = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1 and result.stderr.startswith("Python 3.9 is too old: install Python 3.11 or newer")


@pytest.mark.parametrize("module", ["venv", "ensurepip"])
def test_a_missing_module_is_named_with_its_package(place, monkeypatch, module):
    find = installation.importlib.util.find_spec
    monkeypatch.setattr(installation.importlib.util, "find_spec", lambda name: None if name == module else find(name))
    with pytest.raises(UserError, match=rf"lacks the {module} module: install python3\.\d+-venv"):
        installation.install()
    assert not (place / ".venv").exists()


def test_linux_without_a_gpu_asks_only_for_builds_without_cuda(monkeypatch):
    monkeypatch.setattr(installation.platform, "system", lambda: "Linux")
    monkeypatch.setattr(installation, "has_gpu", lambda: False)
    attempts = installation.torch_attempts("torch==2.13.0")
    assert [attempt[0] for attempt in attempts] == ["torch==2.13.0+cpu"] * 2 and installation.CPU_INDEX in attempts[1]


@pytest.mark.parametrize(("system", "gpu"), [("Linux", True), ("Darwin", False)])
def test_a_gpu_or_a_mac_gets_the_plain_build(monkeypatch, system, gpu):
    monkeypatch.setattr(installation.platform, "system", lambda: system)
    monkeypatch.setattr(installation, "has_gpu", lambda: gpu)
    assert installation.torch_attempts("torch==2.13.0") == [["torch==2.13.0"]]


def test_the_second_index_is_asked_only_after_the_first_and_a_last_failure_says_what_to_do(place, monkeypatch):
    asked = []

    def refuse(arguments, failure):
        asked.append(arguments)
        raise UserError(failure)

    monkeypatch.setattr(installation, "_pip", refuse)
    monkeypatch.setattr(installation, "torch_attempts", lambda pin: [["one"], ["two"]])
    (place / ".venv" / "bin").mkdir(parents=True)
    installation.PYTHON.symlink_to("/bin/false")
    with pytest.raises(UserError, match=r"two cannot be installed\. To take the build with CUDA .* install torch=="):
        installation._install_torch()
    assert asked == [["one"], ["two"]]


def test_a_torch_that_is_there_already_is_kept(place, monkeypatch):
    (place / ".venv" / "bin").mkdir(parents=True)
    installation.PYTHON.symlink_to(sys.executable)
    monkeypatch.setenv("PYTHONPATH", str(Path(torch.__file__).parents[1]))
    monkeypatch.setattr(installation, "_pip", lambda arguments, failure: pytest.fail("it was asked for again"))
    installation._install_torch()


@pytest.fixture
def steps(place, monkeypatch):
    """A set-up whose downloads are replaced by notes of what was done; it makes real environments."""
    done = []

    def torch_installed():
        package = next((place / ".venv" / "lib").glob("python*")) / "site-packages" / "torch"
        package.mkdir(exist_ok=True)
        (package / "__init__.py").touch()
        done.append("torch")

    monkeypatch.setattr(installation, "_install_torch", torch_installed)
    monkeypatch.setattr(installation, "_pip", lambda arguments, failure: done.append("rest"))
    return done


def test_a_set_up_that_was_interrupted_is_not_taken_for_a_whole_one(steps, monkeypatch):
    def stop(arguments, failure):
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(installation, "_pip", stop)
        with pytest.raises(KeyboardInterrupt):
            installation.install()
    installation.install()
    assert steps == ["torch", "torch", "rest"]


def test_nothing_is_done_until_something_changes_and_a_broken_environment_is_mended(place, steps):
    installation.install()
    installation.install()
    assert steps == ["torch", "rest"]

    pins = place / "pins.txt"
    pins.write_text(pins.read_text(encoding="utf-8").replace("numpy==", "numpy==0"), encoding="utf-8")
    installation.install()
    assert steps == ["torch", "rest"] * 2

    installation.PYTHON.unlink()
    installation.PYTHON.symlink_to(place / "an-older-python-that-is-gone")
    installation.install()
    assert steps == ["torch", "rest"] * 3 and installation._works()

    shutil.rmtree(next((place / ".venv" / "lib").glob("python*")) / "site-packages" / "torch")
    installation.install()
    assert steps == ["torch", "rest"] * 4


def test_a_failing_command_is_one_sentence_with_its_last_words(place):
    with pytest.raises(UserError, match=r"It cannot be done: check the network and the disk.*the reason"):
        installation._run([sys.executable, "-c", "raise SystemExit('the reason')"], "It cannot be done")


def test_the_compiler_is_tried_and_not_only_looked_for(monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    assert compiler.missing() == ""
    monkeypatch.setenv("CXX", "false")
    assert "needs the headers of Python" in compiler.missing()
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert "needs a C++ compiler" in compiler.missing()
    monkeypatch.delenv("CXX")
    monkeypatch.setattr(compiler.shutil, "which", lambda name: None)
    assert "needs a C++ compiler" in compiler.missing()


def test_set_up_outside_of_a_checkout_makes_nothing(place):
    (place / "pins.txt").unlink()
    with pytest.raises(UserError, match="is not a checkout"):
        installation.install()
    assert [path.name for path in place.iterdir()] == ["pyproject.toml"]
