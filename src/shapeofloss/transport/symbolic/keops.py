"""The formulas that the course and the libraries beside it ask KeOps for, compiled once and found undamaged.

KeOps keeps one library for each formula in a folder of the user's. Processes that start cold would all compile the same
ones; a library cut short ends a process without a word. `prepare` guards against both.
"""

import atexit
import json
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from shapeofloss.engine import compiler
from shapeofloss.engine.hashing import digest
from shapeofloss.engine.workspace import cores
from shapeofloss.errors import UserError
from shapeofloss.files import lock, read_json, sha256, write_atomically

# In KeOps's folder: the formulas that are compiled, for each environment (its paths are part of a library's name), and
# the SHA-256 of each library.
RECORD = "shapeofloss_formulas.json"
PICKLE_END = b"."  # the last byte of a whole pickle
PATIENCE = 5  # seconds; a linker takes less to write a library


def _clouds(dimension: int = 3):  # type: ignore[no-untyped-def]
    import torch

    return torch.rand((2, 4, dimension), generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 0.1


def _convolution() -> None:
    import torch

    from shapeofloss.transport.symbolic.lazy import gaussian_convolution

    x, y = _clouds()
    x, b = x.clone().requires_grad_(), torch.ones_like(y[:, :1])
    (gradient,) = torch.autograd.grad(gaussian_convolution(x, y, b).sum(), x, create_graph=True)
    torch.autograd.grad((gradient**2).sum(), x)


def _convolution_in(single: bool) -> None:
    import torch

    from shapeofloss.transport.symbolic.lazy import gaussian_convolution

    x, y = _clouds().float() if single else _clouds().expand(2, 2, 4, 3).transpose(0, 1)
    gaussian_convolution(x, y, torch.ones_like(y[..., :1]))


def _nearest(metric: str) -> None:
    from shapeofloss.transport.symbolic.lazy import nearest

    nearest(*_clouds(50), metric=metric)


def _smallest() -> None:
    from shapeofloss.transport.symbolic.lazy import smallest

    x, y = _clouds()
    smallest(x, y, 5)


def _network() -> None:
    import torch

    from shapeofloss.transport.symbolic.lazy import pair_network

    x, y = _clouds()
    pair_network(x, y, torch.ones((8, 3), dtype=x.dtype), torch.ones(8, dtype=x.dtype))


def _gravity() -> None:
    from shapeofloss.transport.symbolic.lazy import gravity

    x, y = _clouds()
    gravity(x, y[:, 0], softening=0.1)


def _transform_in_blocks() -> None:
    import torch
    from pykeops.torch.cluster import from_matrix

    from shapeofloss.transport.entropic.softmin import Symbolic

    x, y = _clouds()
    every = torch.tensor([[0, len(x)]])
    Symbolic(x, y, from_matrix(every, every, torch.tensor([[True]])))(1.0, y[:, 0])


def _transform() -> None:
    from shapeofloss.transport.entropic.softmin import ClampedSymbolic

    x, y = _clouds()
    transform = ClampedSymbolic(x, y)
    for _ in range(2):  # the first is not clamped yet
        transform(1.0, y[:, 0])


def _images_of_geomloss() -> None:
    import torch
    from geomloss import ImagesBarycenter

    ImagesBarycenter(torch.full((1, 1, 2, 2), 0.25, dtype=torch.float64), torch.ones((1, 1), dtype=torch.float64))


def _crystals_of_pyapd(single: bool) -> None:
    import PyAPD
    import torch

    x = _clouds()[0].float() if single else _clouds()[0]
    system = PyAPD.apd_system(
        X=x, As=torch.eye(3, dtype=x.dtype).expand(4, 3, 3), dt=x.dtype, D=3, pixel_params=(2, 2, 2), device="cpu"
    )
    system.assemble_apd()


FORMULAS: dict[str, Callable[[], None]] = {  # no two have a library in common: they are compiled side by side
    "transform": _transform,
    "transform in blocks": _transform_in_blocks,
    "convolution, its gradient and second derivative": _convolution,
    "convolution in batches or blocks": partial(_convolution_in, False),
    "convolution in single precision": partial(_convolution_in, True),
    **{f"nearest, {m}": partial(_nearest, m) for m in ("euclidean", "manhattan", "cosine", "hyperbolic")},
    "five smallest": _smallest,
    "network of pairs": _network,
    "gravity": _gravity,
    "images of GeomLoss": _images_of_geomloss,
}
if find_spec("PyAPD"):
    FORMULAS |= {
        "crystals of PyAPD": partial(_crystals_of_pyapd, False),
        "crystals of PyAPD in single precision": partial(_crystals_of_pyapd, True),
    }


def prepare(names: Sequence[str] = tuple(FORMULAS)) -> list[str]:
    """Have formulas compiled, and damaged libraries compiled again; where nothing is to be done, it takes a moment.

    A second process waits until the first is through. The present process writes none of KeOps's index files any more,
    which several processes would write at once.

    Args:
        names: Keys of `FORMULAS`; all by default.
    Returns:
        The names of the files that were damaged.
    Raises:
        UserError: If a name is not among them (those of PyAPD are only where PyAPD is installed), there is no compiler,
            or a formula cannot be compiled.
    """
    if unknown := [name for name in names if name not in FORMULAS]:
        raise UserError(f"There is no formula {unknown[0]!r}; there are: {', '.join(FORMULAS)}.")
    if reason := compiler.missing():
        raise UserError(f"{reason} Small problems can be solved without KeOps, by backend='dense'.")
    folder, damaged = _open()
    from pykeops.config import pykeops_base

    with lock(folder / f"{RECORD}.lock"):
        own = digest(
            Path(__file__).read_text(encoding="utf-8"), pykeops_base.get_cxx_compiler(), pykeops_base.get_cpp_flags()
        )
        record = read_json(folder / RECORD, {})
        known, formulas = record.get("libraries", {}), record.get("formulas", {})
        done = formulas.get(own, [])
        for library in _libraries(folder):
            # One that is not in the record may be a user's own, or what an interrupted compiler left.
            if known[library.name] != sha256(library) if library.name in known else _is_broken(library):
                damaged.append(library.name)
                library.unlink()
        lost = damaged or any(not (folder / name).is_file() for name in known)
        if lacking := [name for name in names if lost or name not in done]:
            _compile(lacking)
            libraries = {path.name: sha256(path) for path in _libraries(folder)}
            formulas = {**({} if lost else formulas), own: sorted({*lacking, *([] if lost else done)})}
            write_atomically(folder / RECORD, json.dumps({"formulas": formulas, "libraries": libraries}))
    return damaged


def _open() -> tuple[Path, list[str]]:
    """Load KeOps without a word and without its index files; return its folder and the damaged ones among those."""
    place = compiler.ready_keops()
    damaged = []
    for index in [*place.glob("*/*.pkl"), *place.glob("keops*/*/*.pkl")]:
        if not index.read_bytes().endswith(PICKLE_END):  # written in part; KeOps could not be imported
            damaged.append(index.name)
            index.unlink()
    import pykeops
    from keopscore.get_keops_dll import get_keops_dll
    from pykeops.common.keops_io.LoadKeOps_cpp import LoadKeOps_cpp

    compiler.ready_keops()  # now that it can be imported
    pykeops.set_verbose(False)
    for index in (get_keops_dll, LoadKeOps_cpp):
        atexit.unregister(index.save_cache)
    return Path(pykeops.get_build_folder()), damaged


def _libraries(folder: Path) -> list[Path]:
    return sorted(folder.glob("pykeops_cpp_*" + sysconfig.get_config_var("EXT_SUFFIX")))


def _is_broken(library: Path) -> bool:
    """Tell whether a library cannot be loaded, now or in some seconds: it may just be being written.

    It is tried in a process of its own, as a damaged one would end this one.
    """
    command = [sys.executable, "-c", "import ctypes, sys; ctypes.CDLL(sys.argv[1])", str(library)]
    for pause in (0, PATIENCE):
        time.sleep(pause)
        if subprocess.run(command, capture_output=True).returncode == 0:
            return False
    return True


def _compile(names: Sequence[str]) -> None:
    """Use each formula once, in as many processes as there are cores: plain ones, which import no caller's script."""
    code = "import sys; from shapeofloss.transport.symbolic import keops; keops._use(sys.argv[1:])"
    shares = [names[n :: cores()] for n in range(min(cores(), len(names)))]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, *share], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        for share in shares
    ]
    try:
        for process in processes:
            said = process.communicate()[1]
            if process.returncode:
                reason = said.strip().splitlines()[-1] if said.strip() else f"status {process.returncode}"
                raise UserError(f"KeOps could not compile a formula of the course, and ended with: {reason}")
    finally:
        for process in processes:
            process.kill()


def _use(names: Sequence[str]) -> None:
    _open()
    for name in names:
        FORMULAS[name]()
