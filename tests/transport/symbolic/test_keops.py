"""KeOps's compiled formulas: complete before they are needed, whoever else compiles them or is interrupted."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shapeofloss.engine import compiler
from shapeofloss.errors import UserError
from shapeofloss.transport.symbolic import keops

FORMULA = "images of GeomLoss"  # quick to compile
USE = f"""
import pykeops, torch
from shapeofloss.transport.symbolic import keops

keops.prepare([{FORMULA!r}])
pykeops.set_verbose(True)  # it would tell that it compiles
from geomloss import ImagesBarycenter

image = torch.full((1, 1, 2, 2), 0.25, dtype=torch.float64)
found = ImagesBarycenter(image, torch.ones((1, 1), dtype=torch.float64))
print([round(value, 3) for value in found.ravel().tolist()])
"""
RIGHT = "[0.25, 0.25, 0.25, 0.25]"


def started(code: str, place: Path, **environment: str) -> subprocess.Popen:
    """Start code in a fresh process with its libraries in a folder."""
    own = {**os.environ, compiler.KEOPS_FOLDER: str(place), **environment}
    texts = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", code], env=own, start_new_session=True, **texts)


def said(process: subprocess.Popen) -> str:
    """Return what a process says in the end."""
    out, err = process.communicate(timeout=600)
    assert not process.returncode, err
    return out.strip()


def files(place: Path) -> dict[str, int]:
    """Return what KeOps's folder holds beside its index files, with the times of the last changes."""
    return {path.name: path.stat().st_mtime_ns for path in place.glob("*/*") if path.suffix not in (".pkl", ".lock")}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder in which two processes have prepared one formula at once, after a third was killed while it did."""
    place = tmp_path_factory.mktemp("keops")
    killed = started(USE, place)
    while not list(place.glob("*/tmp*/*/*.cpp")):
        assert killed.poll() is None, killed.communicate()
        time.sleep(0.1)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert not [name for name in files(place) if not name.startswith("tmp")]
    both = [started(USE, place) for _ in range(2)]
    assert [said(process) for process in both] == [RIGHT, RIGHT]
    return place


def test_one_of_two_processes_has_compiled_and_the_other_has_waited(place):
    made = [Path(name).suffix for name in files(place) if not name.startswith("tmp")]
    assert sorted(made) == [".compiled", ".cpp", ".cpp", ".nfo", ".so"]


def test_what_is_prepared_is_not_compiled_again(place):
    before = files(place)
    assert said(started(USE, place)) == RIGHT
    assert files(place) == before


def test_a_library_cut_short_before_a_formula_was_prepared_is_replaced(place):
    (library,) = place.glob("*/*.so")
    (done,) = place.glob("*/*.compiled")
    library.write_bytes(library.read_bytes()[:100_000])
    done.unlink()
    assert said(started(USE, place)) == RIGHT


def test_a_formula_that_cannot_be_compiled_says_so_and_leaves_nothing(tmp_path):
    process = started(USE, tmp_path, CXXFLAGS="--no-such-option")
    err = process.communicate(timeout=600)[1]
    assert process.returncode and f"KeOps could not compile the formula '{FORMULA}', and ended with: " in err
    assert not files(tmp_path)


USE_OF_GEOMLOSS_AND_PYAPD = """
import pykeops, torch
from pathlib import Path
from shapeofloss.transport.symbolic import keops

keops.prepare(["images of GeomLoss", "crystals of PyAPD"])
folder = Path(pykeops.get_build_folder())
before = set(folder.glob("*.so"))

import PyAPD
from geomloss import ImagesBarycenter

generator = torch.Generator().manual_seed(0)
images = torch.rand((1, 3, 8, 8), generator=generator, dtype=torch.float64)
weights = torch.full((1, 3), 1 / 3, dtype=torch.float64, requires_grad=True)
ImagesBarycenter(images / images.sum((2, 3), keepdim=True), weights, scaling_N=2, backward_iterations=2)
system = PyAPD.apd_system(
    X=torch.rand((5, 3), generator=generator), As=torch.eye(3).expand(5, 3, 3).contiguous(),
    target_masses=torch.full((5,), 0.2), D=3, dt=torch.float64, pixel_params=(6, 6, 6), device="cpu",
)
system.assemble_pixels()
system.find_optimal_W(verbose=False)
system.assemble_apd()
print(len(before), len(set(folder.glob("*.so"))))
"""


def test_geomloss_and_pyapd_find_all_that_they_need_in_the_prepared_formulas(place):
    assert said(started(USE_OF_GEOMLOSS_AND_PYAPD, place)).splitlines()[-1] == "2 2"


def test_a_formula_that_is_none_is_refused_with_the_names_of_those_that_are():
    with pytest.raises(UserError, match=r"no formula 'fog'.*crystals of PyAPD, .*images of GeomLoss.*transforms"):
        keops.prepare(["transforms", "fog"])


def test_without_a_compiler_the_sentence_says_what_to_install_and_what_works_without(monkeypatch):
    monkeypatch.setattr(compiler, "missing", lambda: "KeOps needs a C++ compiler: install g++.")
    with pytest.raises(UserError, match=r"install g\+\+.*backend='dense'"):
        keops.prepare(["transforms"])
