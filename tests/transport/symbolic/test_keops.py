"""KeOps's compiled formulas: complete before they are needed, in nobody's way, and compiled again where damaged."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shapeofloss.engine import compiler
from shapeofloss.errors import UserError
from shapeofloss.transport.symbolic import keops

FORMULA = "five smallest"  # quick to compile


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of libraries of its own, with one formula compiled in it."""
    place = tmp_path_factory.mktemp("keops")
    prepared(place)
    return next(place.glob(f"*/{keops.RECORD}")).parent


def prepared(place: Path) -> str:
    """Prepare a formula in a fresh process, use it, and return what the process said."""
    return said(
        "from shapeofloss.transport import keops; import torch;"
        f"print(keops.prepare([{FORMULA!r}])); from shapeofloss.transport.symbolic.lazy import smallest;"
        "x = torch.arange(8.0, dtype=torch.float64)[:, None].expand(8, 3).contiguous();"
        "print(smallest(x, x, 5)[0].tolist())",
        place,
    )


def said(code: str, place: Path) -> str:
    """Run code in a fresh process with its libraries in a folder; return what it said."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, compiler.KEOPS_FOLDER: str(place)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert not done.returncode, done.stderr
    assert "Compiling" not in done.stdout
    return done.stdout


RIGHT = "[0.0, 3.0, 12.0, 27.0, 48.0]"


def test_a_prepared_formula_is_there_and_right(folder):
    assert prepared(folder.parent).splitlines() == ["[]", RIGHT]


def test_no_process_writes_the_index_that_several_would_write_at_once(folder):
    prepared(folder.parent)
    assert not list(folder.glob("*.pkl"))


def test_a_library_cut_short_is_named_and_compiled_again(folder):
    (library,) = folder.glob("*.so")
    library.write_bytes(library.read_bytes()[:100_000])
    assert prepared(folder.parent).splitlines() == [str([library.name]), RIGHT]
    assert prepared(folder.parent).splitlines() == ["[]", RIGHT]


def test_a_library_that_went_missing_is_compiled_again(folder):
    (library,) = folder.glob("*.so")
    library.unlink()
    assert prepared(folder.parent).splitlines()[1] == RIGHT
    assert library.is_file()


def test_what_an_interrupted_compiler_left_is_removed_and_a_users_own_library_is_kept(folder):
    (library,) = folder.glob("*.so")
    suffix = library.name.partition(".")[2]
    whole, part = (folder / f"pykeops_cpp_{name}.{suffix}" for name in ("own", "part"))
    whole.write_bytes(library.read_bytes())
    part.write_bytes(library.read_bytes()[:3000])
    assert prepared(folder.parent).splitlines() == [str([part.name]), RIGHT]
    assert whole.is_file() and not part.is_file()


def test_another_environment_compiles_its_own(folder):
    record = json.loads((folder / keops.RECORD).read_text(encoding="utf-8"))
    (own, names), *_ = record["formulas"].items()
    (folder / keops.RECORD).write_text(json.dumps({**record, "formulas": {"another": names}}), encoding="utf-8")
    assert prepared(folder.parent).splitlines() == ["[]", RIGHT]
    assert set(json.loads((folder / keops.RECORD).read_text(encoding="utf-8"))["formulas"]) == {"another", own}


def test_an_index_cut_short_is_removed_before_keops_reads_it(folder):
    index = folder / "LoadKeOps_cpp_class_cache.pkl"
    index.write_bytes(b"\x80\x04\x95")
    assert prepared(folder.parent).splitlines() == [str([index.name]), RIGHT]


USE_OF_GEOMLOSS_AND_PYAPD = """
import torch
from shapeofloss.transport.symbolic import keops

keops.prepare(["images of GeomLoss", "crystals of PyAPD"])
folder, _ = keops._open()
before = keops._libraries(folder)

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
print(len(before), len(keops._libraries(folder)))
"""


def test_geomloss_and_pyapd_find_all_that_they_need_in_the_prepared_formulas(tmp_path):
    assert said(USE_OF_GEOMLOSS_AND_PYAPD, tmp_path).splitlines()[-1] == "2 2"


def test_a_formula_that_is_none_is_refused_with_the_names_of_those_that_are():
    with pytest.raises(UserError, match=r"no formula 'fog'; there are: transform, .*gravity, images of GeomLoss"):
        keops.prepare(["gravity", "fog"])


def test_without_a_compiler_the_sentence_says_what_to_install_and_what_works_without(monkeypatch):
    monkeypatch.setattr(compiler, "missing", lambda: "KeOps needs a C++ compiler: install g++.")
    with pytest.raises(UserError, match=r"install g\+\+.*backend='dense'"):
        keops.prepare()
