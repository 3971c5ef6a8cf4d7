"""What the runner costs beside bare papermill: the same small notebook, executed by both."""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

SCRIPT = '''# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# A small notebook.

# %% tags=["parameters"]
seed = 0  # of nothing

# %%
sum(range(10))
'''
CATALOGUE = """[01_small]
part = "small"
question = "How long does nothing take?"
source = "none"
minutes = { smoke = 0.1, laptop = 0.1, paper = 0.1 }
paper_gigabytes = 0.0

[01_small.numbers]
seed = { smoke = 0, laptop = 0, paper = 0, source = "none", why = "none" }
"""


@contextlib.contextmanager
def checkout() -> Iterator[Path]:
    """Make a throw-away checkout with one small notebook and no claims."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in ("notebooks", "data"):
            (root / name).mkdir()
        (root / "notebooks" / "01_small.py").write_text(SCRIPT)
        (root / "notebooks" / "profiles.toml").write_text(CATALOGUE)
        (root / "data" / "claims.toml").write_text("claim = []\n")
        (root / "pins.txt").write_text("")
        yield root


def with_runner() -> None:
    """Run the notebook through the runner, as `make figures` does."""
    with checkout() as root:
        _call("-m", "shapeofloss", "figures", "--profile", "smoke", root=root)


def with_papermill() -> None:
    """Convert the script and run it with papermill's own command."""
    with checkout() as root:
        script = root / "notebooks" / "01_small.py"
        _call("-m", "jupytext", "--quiet", "--to", "ipynb", str(script), root=root)
        notebook = str(script.with_suffix(".ipynb"))
        _call("-m", "papermill", "--no-progress-bar", "--log-level", "ERROR", notebook, notebook, root=root)


def _call(*arguments: str, root: Path) -> None:
    environment = {**os.environ, "SHAPEOFLOSS_ROOT": str(root)}
    subprocess.run([sys.executable, *arguments], check=True, env=environment, capture_output=True)
