"""What several test files share: throw-away checkouts, and the command line as a user calls it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.runner_overhead import make_checkout
from shapeofloss.engine import workspace

os.environ.update(workspace.ONE_THREAD)  # Numba refuses another number once it has begun, and notebooks begin with one
torch.set_num_threads(1)  # as in the workers: two threads on small networks mostly wait for each other
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for all below its `&`

CLAIM = """
[{id}]
kind = "{kind}"
place = "section 1"
statement = "A statement."
source_value = 1.0
measure = "a number"
rule = {rule}
refuted_by = [9.0, 9.0, 9.0]
"""
EXACT = '{ statistic = "max", accept = "<= 1e-6" }'
EMPIRICAL = '{ statistic = "mean", seeds = 3, accept = "<= 1", trend = "<= 2" }'


def environment(root: Path) -> dict[str, str]:
    """The user's environment in a checkout, without what an outer run may have set."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SHAPEOFLOSS_")}
    return {**kept, "SHAPEOFLOSS_ROOT": str(root)}


def call(root: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess:
    """Call the command line in a checkout and return what it said."""
    command = [sys.executable, "-m", "shapeofloss", *arguments]
    return subprocess.run(command, env=environment(root) | more, capture_output=True, text=True, timeout=300)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A function that makes a throw-away checkout and lets this process work in it."""

    def make(bodies=None, **options):
        root = make_checkout(tmp_path / "checkout", bodies or {"01_small": "# %%\n1 + 1\n"}, **options)
        for name in ("NOTEBOOK", "PROFILE", "FOLDER", "DATA", "WORKERS"):
            monkeypatch.delenv(f"SHAPEOFLOSS_{name}", raising=False)
        monkeypatch.setenv("SHAPEOFLOSS_ROOT", str(root))
        return root

    (tmp_path / "checkout").mkdir()
    return make


@pytest.fixture
def marks(checkout, tmp_path, monkeypatch):
    """A folder that gets one file per computation of `tasks.squares`; `SHAPEOFLOSS_DATA` points to an empty folder."""
    checkout()
    monkeypatch.setenv("SHAPEOFLOSS_DATA", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("TEST_MARKS", str(tmp_path / "marks"))
    (tmp_path / "marks").mkdir()
    return tmp_path / "marks"


@pytest.fixture(scope="session")
def ot():
    """POT, where it is installed."""
    import shapeofloss.transport

    assert shapeofloss.transport  # quiets KeOps, which POT loads
    return pytest.importorskip("ot")


@pytest.fixture
def cloud():
    """Sixty points in space with another spread along each axis, shape (60, 3)."""
    return np.random.default_rng(0).normal(size=(60, 3)) * [10.0, 20.0, 30.0]
