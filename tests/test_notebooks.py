"""Every notebook at the smoke profile, through the real runner; one of them twice."""

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from conftest import environment

from shapeofloss.engine import profiles

ROOT = Path(__file__).parents[1]
CATALOGUE = profiles.load()
TWICE = "001_start_here"
SAID = """01_a: failed after 0:03
02_b: done after 0:01

01_a: failed
  In cell 3 of 4:
  ValueError: no

03_c: refused
  It needs a GPU.

First failure: 01_a: In cell 3 of 4: ValueError: no
"""


def smoke(folder: Path, data: Path, *names: str) -> tuple[Path, str]:
    """Run notebooks from a copy of the checkout's texts, so that the checkout's own runs stay as they are.

    Returns the folder of the runs, and what the runner said.
    """
    folder.mkdir()
    for name in ("notebooks", "data", "pins.txt", "README.md"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "figures").mkdir()
    command = [sys.executable, "-m", "shapeofloss", "figures", *names, "--profile", "smoke"]
    result = subprocess.run(
        command, env=environment(folder) | {"SHAPEOFLOSS_DATA": str(data)}, capture_output=True, text=True
    )
    return folder / "runs" / "smoke", result.stdout + result.stderr


def reason(said: str, name: str) -> str:
    """What the runner said about one notebook: the block below its name, or all of it if there is none."""
    lines = said.splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith(f"{name}: ") and " after " not in line]
    if not starts:
        return said
    end = next((n for n in range(starts[0] + 1, len(lines)) if not lines[n].startswith("  ")), len(lines))
    return "\n".join(lines[starts[0] : end])


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    base = tmp_path_factory.mktemp("smoke")
    return smoke(base / "first", base / "data"), smoke(base / "second", base / "other", TWICE)


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_notebook_runs_at_the_smoke_profile(runs, name):
    folder, said = runs[0]
    if not (folder / name / "stamp.json").is_file():  # the last that a good run leaves
        pytest.fail(reason(said, name), pytrace=False)
    executed = nbformat.read(folder / name / f"{name}.ipynb", as_version=4)
    assert len(executed.cells) > 5 and json.loads((folder / name / "figures.json").read_text(encoding="utf-8"))


def test_the_reason_of_a_failure_is_that_of_its_own_notebook():
    assert reason(SAID, "01_a") == "01_a: failed\n  In cell 3 of 4:\n  ValueError: no"
    assert reason(SAID, "03_c") == "03_c: refused\n  It needs a GPU."
    assert reason("shapeofloss: the disk is full", "01_a") == "shapeofloss: the disk is full"


def test_a_second_run_elsewhere_gives_identical_bytes(runs):
    first, second = (folder / TWICE for folder, _ in runs)
    if not all((folder / "stamp.json").is_file() for folder in (first, second)):
        pytest.fail("\n".join(reason(said, TWICE) for _, said in runs), pytrace=False)
    names = sorted(path.name for path in (first / "figures").iterdir())
    assert names == sorted(path.name for path in (second / "figures").iterdir())
    for name in names:
        assert (first / "figures" / name).read_bytes() == (second / "figures" / name).read_bytes(), name
    assert (first / f"{TWICE}.ipynb").read_bytes() == (second / f"{TWICE}.ipynb").read_bytes()
