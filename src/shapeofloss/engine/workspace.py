"""Where things are: the checkout, its folders, and the run that the present process belongs to.

Notebooks call `begin` once. Under the runner the run folder is `runs/<profile>/<notebook>`; anywhere else, for example
in JupyterLab, it is `runs/interactive/<notebook>`, so that only the runner can reach committed results.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from shapeofloss.errors import UserError

# The runner hands these to each notebook's process.
NOTEBOOK = "SHAPEOFLOSS_NOTEBOOK"
PROFILE = "SHAPEOFLOSS_PROFILE"
FOLDER = "SHAPEOFLOSS_FOLDER"
WORKERS = "SHAPEOFLOSS_WORKERS"

# One thread per task: sums in another order give other last bits, and parallelism comes from tasks.
THREADS = "OMP_NUM_THREADS MKL_NUM_THREADS OPENBLAS_NUM_THREADS NUMBA_NUM_THREADS VECLIB_MAXIMUM_THREADS"
ONE_THREAD = dict.fromkeys(THREADS.split(), "1")


@dataclass(frozen=True)
class Run:
    """One execution of one notebook: its name, its profile, and the folder that takes its results."""

    notebook: str
    profile: str
    folder: Path


def root() -> Path:
    """Return the checkout: `SHAPEOFLOSS_ROOT` if set, else the folder that this package was installed from.

    Raises:
        UserError: If that folder has no `notebooks/profiles.toml`.
    """
    place = Path(os.environ.get("SHAPEOFLOSS_ROOT") or Path(__file__).parents[3]).resolve()
    if not (place / "notebooks" / "profiles.toml").is_file():
        raise UserError(
            f"{place} is not a checkout of The Shape of Loss: it has no notebooks/profiles.toml. "
            "Install the package from a clone with `pip install -e .`, or set SHAPEOFLOSS_ROOT to one."
        )
    return place


def runs() -> Path:
    """Return the folder for everything that is not committed."""
    return root() / "runs"


def data() -> Path:
    """Return the folder for stored heavy results and downloads; `SHAPEOFLOSS_DATA` moves it."""
    place = os.environ.get("SHAPEOFLOSS_DATA")
    return Path(place).expanduser().resolve() if place else root() / "data"


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def begin(notebook: str) -> Run:
    """Declare which notebook the present process is, and fix its threads at one.

    Args:
        notebook: The script's name without `.py`, for example `101_jump_and_retrain`.
    Returns:
        The run, which `figures.save` and `ledger.record` write into from now on.
    Raises:
        UserError: If no such script exists, or the runner started another one.
    """
    if not (root() / "notebooks" / f"{notebook}.py").is_file():
        raise UserError(f"There is no notebooks/{notebook}.py. Call begin() with the script's own name.")
    if FOLDER in os.environ and (expected := os.environ[NOTEBOOK]) != notebook:
        raise UserError(f"{expected} calls itself '{notebook}' in begin(). Call begin('{expected}').")
    os.environ[NOTEBOOK] = notebook
    use_one_thread()
    return current()


def use_one_thread() -> None:
    """Fix the threads of this process, and of those that it starts, at one."""
    os.environ.update(ONE_THREAD)
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(1)
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)


def current() -> Run:
    """Return the present run.

    Raises:
        UserError: If `begin` was not called.
    """
    notebook = os.environ.get(NOTEBOOK)
    if notebook is None:
        raise UserError("No notebook has begun: call workspace.begin('<the notebook's name>') first.")
    folder = os.environ.get(FOLDER)
    place = Path(folder) if folder else runs() / "interactive" / notebook
    return Run(notebook, os.environ.get(PROFILE, "interactive"), place)
