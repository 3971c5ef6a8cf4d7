"""Places for compiled code: KeOps and a shell decide whether a path is good."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shapeofloss.engine import compiler
from shapeofloss.errors import UserError


@pytest.mark.parametrize("path", ["/a b", "/a'b", "/a(b)", "/a&b", "/a$HOME", "/a;b", "/äö-ü", "/plain_1.2/x"])
def test_a_plain_path_is_one_word_to_a_shell(path):
    said = subprocess.run(f"printf '%s\n' {path}", shell=True, capture_output=True, text=True).stdout
    if compiler.is_plain(path):
        assert said == f"{path}\n"
    else:
        assert said != f"{path}\n"


def test_a_link_is_always_the_same_and_leads_to_its_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(compiler, "private_folder", lambda: tmp_path)
    target = tmp_path / "my folder"
    target.mkdir()
    link = compiler.link_to(target)
    assert link == compiler.link_to(target) and link.resolve() == target.resolve() and compiler.is_plain(link)
    link.unlink()
    link.symlink_to(tmp_path)
    with pytest.raises(UserError, match="should be a link to"):
        compiler.link_to(target)


def test_a_private_folder_is_ours_alone_and_one_that_is_not_is_passed_over(tmp_path, monkeypatch):
    monkeypatch.setattr(compiler.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = compiler.private_folder()
    assert folder.parent == tmp_path and folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)  # others could put a library there
    assert compiler.private_folder().parent != tmp_path


def test_a_temporary_folder_with_a_space_is_passed_over(tmp_path, monkeypatch):
    place = tmp_path / "with space"
    place.mkdir()
    monkeypatch.setattr(compiler.tempfile, "gettempdir", lambda: str(place))
    assert compiler.is_plain(compiler.private_folder())


USE = """
import numpy as np
from shapeofloss.transport.entropic.sinkhorn import sinkhorn
x, y = np.random.default_rng(0).random((2, 9, 3))
print(sinkhorn(x, y, eps=0.1, backend="symbolic").value, sinkhorn(x, y, eps=0.1, backend="dense").value)
"""


@pytest.mark.skipif(compiler.missing() != "", reason=compiler.missing())
@pytest.mark.parametrize("kind", ["a space in its folder", "no writable home"])
def test_keops_works_where_it_could_not_alone(kind, tmp_path):
    place = tmp_path / "my folder"
    place.mkdir()
    kept = {name: value for name, value in os.environ.items() if name not in (compiler.KEOPS_FOLDER, "XDG_CACHE_HOME")}
    more = {"HOME": "/proc/nowhere"} if kind == "no writable home" else {compiler.KEOPS_FOLDER: str(place)}
    done = subprocess.run([sys.executable, "-c", USE], env=kept | more, capture_output=True, text=True)
    symbolic, dense = map(float, done.stdout.split()[-2:])
    assert symbolic == pytest.approx(dense, rel=1e-9), done.stderr


@pytest.mark.skipif(compiler.missing() != "", reason=compiler.missing())
def test_keops_works_from_an_environment_whose_path_has_a_space(tmp_path):
    # A small copy of KeOps stands for the whole environment, in which it would lie beside 1.6 GB.
    site = tmp_path / "my environment"
    site.mkdir()
    import keopscore
    import pybind11
    import pykeops

    for package in (keopscore, pykeops, pybind11):
        subprocess.run(["cp", "-r", str(Path(package.__file__).parent), str(site)], check=True)
    folder = tmp_path / "libraries"
    folder.mkdir()
    paths = [str(site), *(os.environ.get("PYTHONPATH") or "").split(os.pathsep)]
    more = {"PYTHONPATH": os.pathsep.join(filter(None, paths)), compiler.KEOPS_FOLDER: str(folder)}
    checked = "import keopscore; assert ' ' in keopscore.__file__, keopscore.__file__\n" + USE
    done = subprocess.run([sys.executable, "-c", checked], env=os.environ | more, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    symbolic, dense = map(float, done.stdout.split()[-2:])
    assert symbolic == pytest.approx(dense, rel=1e-9)
