"""Every notebook at the smoke profile, through the real runner; one of them twice."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from conftest import environment

from shapeofloss import profiles

ROOT = Path(__file__).parents[1]
CATALOGUE = profiles.load()
TWICE = "00_start_here"


def smoke(folder: Path, data: Path, *names: str) -> Path:
    """Run notebooks from a copy of the checkout's texts, so that the checkout's own runs stay as they are."""
    folder.mkdir()
    for name in ("notebooks", "data", "pins.txt", "README.md"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "figures").mkdir()
    command = [sys.executable, "-m", "shapeofloss", "figures", *names, "--profile", "smoke"]
    result = subprocess.run(
        command, env=environment(folder) | {"SHAPEOFLOSS_DATA": str(data)}, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return folder / "runs" / "smoke"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    base = tmp_path_factory.mktemp("smoke")
    return smoke(base / "first", base / "data"), smoke(base / "second", base / "other", TWICE)


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_notebook_runs_at_the_smoke_profile(runs, name):
    executed = nbformat.read(runs[0] / name / f"{name}.ipynb", as_version=4)
    assert len(executed.cells) > 5 and (runs[0] / name / "figures.json").is_file()


def test_a_second_run_elsewhere_gives_identical_bytes(runs):
    first, second = (run / TWICE for run in runs)
    names = sorted(path.name for path in (first / "figures").iterdir())
    assert names == sorted(path.name for path in (second / "figures").iterdir())
    for name in names:
        assert (first / "figures" / name).read_bytes() == (second / "figures" / name).read_bytes(), name
    assert (first / f"{TWICE}.ipynb").read_bytes() == (second / f"{TWICE}.ipynb").read_bytes()
