"""The formulas that the course and the libraries beside it ask KeOps for, compiled before they are needed.

KeOps compiles a formula at its first use, for some seconds, into a folder that all processes of a user share. Processes
that start cold would write the same files side by side; and where one is interrupted, the library that it leaves ends
the next process without a word. So formulas are compiled elsewhere, under a lock, and moved when they are complete.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from shapeofloss.engine import compiler
from shapeofloss.engine.hashing import code_of_function, digest
from shapeofloss.errors import UserError, unknown
from shapeofloss.files import lock
from shapeofloss.transport.entropic import softmin
from shapeofloss.transport.symbolic import lazy


def _clouds(dimension: int = 3) -> Tensor:
    return torch.rand((2, 4, dimension), generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 0.1


def _transforms() -> None:
    from pykeops.torch.cluster import from_matrix

    x, y = _clouds()
    clamped, every = softmin.ClampedSymbolic(x, y), torch.tensor([[0, len(x)]])
    for transform in (clamped, clamped, softmin.Symbolic(x, y, from_matrix(every, every, torch.tensor([[True]])))):
        transform(1.0, y[:, 0])  # the first is not clamped yet


def _symbolic_matrices() -> None:
    x, y = _clouds()
    b = torch.ones_like(y[:, :1])
    z = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(lazy.gaussian_convolution(z, y, b).sum(), z, create_graph=True)
    torch.autograd.grad((gradient**2).sum(), z)
    lazy.gaussian_convolution(x.float(), y.float(), b.float())
    lazy.gaussian_convolution(*(z.expand(2, *z.shape) for z in (x, y, b)))  # in batches, or blocks
    for metric in lazy.METRICS:
        lazy.nearest(*_clouds(50), metric=metric)
    lazy.smallest(x, y, 5)
    lazy.pair_network(x, y, torch.ones((8, 3), dtype=x.dtype), torch.ones(8, dtype=x.dtype))
    lazy.gravity(x, y[:, 0], softening=0.1)


def _images_of_geomloss() -> None:
    from geomloss import ImagesBarycenter

    ImagesBarycenter(torch.full((1, 1, 2, 2), 0.25, dtype=torch.float64), torch.ones((1, 1), dtype=torch.float64))


def _crystals_of_pyapd(dtype: torch.dtype = torch.float64) -> None:
    import PyAPD

    x, sides = _clouds()[0].to(dtype), torch.eye(3, dtype=dtype).expand(4, 3, 3)
    PyAPD.apd_system(X=x, As=sides, dt=dtype, D=3, pixel_params=(2, 2, 2), device="cpu").assemble_apd()


def _single_crystals_of_pyapd() -> None:
    _crystals_of_pyapd(torch.float32)


FORMULAS: dict[str, Callable[[], None]] = {
    "transforms": _transforms,
    "symbolic matrices": _symbolic_matrices,
    "images of GeomLoss": _images_of_geomloss,
    "crystals of PyAPD": _crystals_of_pyapd,
    "crystals of PyAPD in single precision": _single_crystals_of_pyapd,
}


def prepare(names: Sequence[str]) -> None:
    """Have formulas compiled that are not; call it before processes are started that use them.

    A second process waits until the first is through, and an interrupted one leaves nothing behind.

    Args:
        names: Keys of `FORMULAS`.
    Raises:
        UserError: If a name is not among them, there is no compiler, or a formula cannot be compiled.
    """
    for name in names:
        if name not in FORMULAS:
            raise unknown("formula", name, FORMULAS)
    if reason := compiler.missing():
        raise UserError(f"{reason} Small problems can be solved without KeOps, by backend='dense'.")
    import pykeops

    pykeops.set_verbose(False)
    folder = Path(pykeops.get_build_folder())
    # The paths of an environment and the compiler's options are part of the names of its libraries.
    made_by = version("pykeops"), sys.prefix, compiler.find(), os.environ.get("CXXFLAGS")
    for name in names:
        code = code_of_function(__name__, FORMULAS[name].__name__).code
        done = folder / f"{digest(code, *made_by)[:16]}.compiled"
        with lock(done.with_suffix(".lock")):
            if not done.exists():
                _compile(name, folder)
                done.touch()


def _compile(name: str, folder: Path) -> None:
    """Use a formula once in a process with a folder of its own, and move what KeOps has made there."""
    code = "import sys; from shapeofloss.transport.symbolic.keops import FORMULAS; FORMULAS[sys.argv[1]]()"
    with TemporaryDirectory(dir=folder) as place:
        apart = os.environ | {compiler.KEOPS_FOLDER: place}
        process = subprocess.run([sys.executable, "-c", code, name], env=apart, capture_output=True, text=True)
        if process.returncode:
            reason = (process.stderr.strip().splitlines() or [f"status {process.returncode}"])[-1]
            raise UserError(f"KeOps could not compile the formula {name!r}, and ended with: {reason}")
        made = [path for path in Path(place).glob("*/*") if path.suffix in (".nfo", ".so", ".cpp")]
        for path in sorted(made, key=lambda path: path.suffix == ".cpp"):  # by its source KeOps sees that one is there
            path.replace(folder / path.name)
