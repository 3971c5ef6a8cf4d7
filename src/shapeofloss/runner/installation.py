"""Make the pinned environment in `.venv`: standard library only, since nothing else is there yet."""

import contextlib
import fcntl
import hashlib
import importlib.util
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from shapeofloss.engine import compiler
from shapeofloss.errors import UserError

ROOT = Path(__file__).parents[3]
ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / "bin" / "python"
STAMP = ENVIRONMENT / "shapeofloss.stamp"
PINS = ROOT / "pins.txt"
# PyTorch's own index of builds without CUDA: asked only where the usual index offers none.
CPU_INDEX = "https://download.pytorch.org/whl/cpu"


def install() -> None:
    """Make `.venv` if it is not there, mend it if it is broken, and install the pins; at once if nothing changed.

    Raises:
        UserError: If this is no checkout, the venv module is missing, or a package cannot be installed.
    """
    if not PINS.is_file():
        raise UserError(
            f"{ROOT} is not a checkout of The Shape of Loss: it has no pins.txt. Set-up makes the environment of a "
            "clone; a package that pip installed has its own already."
        )
    if _is_current():
        return
    for module in ("venv", "ensurepip"):
        if importlib.util.find_spec(module) is None:
            version = f"{sys.version_info.major}.{sys.version_info.minor}"
            raise UserError(
                f"This Python lacks the {module} module: install python{version}-venv and run the command again."
            )
    with _alone():
        if _is_current():
            return  # another run has just done it
        print("Making the environment in .venv: about 3 minutes and 1.6 GB, once.", flush=True)
        STAMP.unlink(missing_ok=True)
        if not _works():
            command = [sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)]
            _run(command, "The environment .venv cannot be made")
        print("1 of 2: PyTorch", flush=True)
        _install_torch()
        print("2 of 2: everything else", flush=True)
        _pip(["-c", str(PINS), "-e", f"{ROOT}[all]"], "The pinned packages cannot be installed")
        STAMP.write_text(fingerprint(), encoding="utf-8")
    if not compiler.is_plain(ROOT):
        print(f"KeOps takes no path with a space: it gets those below {ROOT} in quotes.", flush=True)
    if sentence := compiler.missing():
        print(f"Notebooks that use KeOps will be refused. {sentence}", flush=True)


def _is_current() -> bool:
    """Tell whether the environment is whole and made from the present pins."""
    torch = next(ENVIRONMENT.glob("lib/python*/site-packages/torch/__init__.py"), None)
    return (
        STAMP.is_file() and STAMP.read_text(encoding="utf-8") == fingerprint() and PYTHON.exists() and torch is not None
    )


def _works() -> bool:
    """Tell whether the environment's Python starts, is of this version, and has pip."""
    check = f"import pip, sys; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
    return PYTHON.exists() and subprocess.run([str(PYTHON), "-c", check], capture_output=True).returncode == 0


def fingerprint() -> str:
    """Return the hash of what an environment depends on: pins, requirements, interpreter, and the checkout's place."""
    parts = [PINS.read_bytes(), (ROOT / "pyproject.toml").read_bytes(), sys.version.encode(), str(ROOT).encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def has_gpu() -> bool:
    """Tell whether an NVIDIA driver is there."""
    return shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia").exists()


def torch_attempts(torch: str) -> list[list[str]]:
    """Return what to ask pip for, in turn, until one works.

    On Linux without a GPU the plain wheel would pull gigabytes of CUDA, so only builds without it are asked for.

    Args:
        torch: The pin, for example `torch==2.13.0`.
    """
    if platform.system() == "Linux" and not has_gpu():
        return [[f"{torch}+cpu"], [f"{torch}+cpu", "--extra-index-url", CPU_INDEX]]
    return [[torch]]


def _install_torch() -> None:
    """Install the pinned torch, in the build that suits the machine; one that is there already is kept.

    Raises:
        UserError: If no index offers the build.
    """
    pin = next(line for line in PINS.read_text(encoding="utf-8").splitlines() if line.startswith("torch=="))
    check = f"import importlib.metadata as m, sys; sys.exit(m.version('torch').split('+')[0] != '{pin[7:]}')"
    if subprocess.run([str(PYTHON), "-c", check], capture_output=True).returncode == 0:
        return
    attempts = torch_attempts(pin)
    for number, arguments in enumerate(attempts, start=1):
        try:
            _pip(arguments, f"{arguments[0]} cannot be installed")
            return
        except UserError as error:
            if number == len(attempts):
                hint = f". To take the build with CUDA instead (gigabytes): {PYTHON} -m pip install {pin}, then again."
                raise UserError(f"{error}{hint if len(attempts) > 1 else ''}") from None


def _pip(arguments: list[str], failure: str) -> None:
    command = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*command, *arguments], failure)


def _run(command: list[str], failure: str) -> None:
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        lines = [line for line in (result.stderr or result.stdout).splitlines() if line.strip()]
        last = [line for line in lines if line.startswith("ERROR")][-2:] or lines[-2:]
        raise UserError(
            f"{failure}: check the network and the disk, then run the command again. It said: {' / '.join(last)}"
        )


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Let one process at a time make the environment; the lock goes with its owner."""
    (ROOT / "runs").mkdir(exist_ok=True)
    with (ROOT / "runs" / "setup.lock").open("w", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
