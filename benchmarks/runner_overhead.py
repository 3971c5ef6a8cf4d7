"""What the runner costs beside bare papermill: the same small notebook, executed by both."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

HEADER = """# ---
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

"""
ENTRY = """
[{name}]
part = "small"
question = "What does the runner do with it?"
source = "none"
minutes = {{ smoke = 0.1, laptop = 0.1, paper = 0.1 }}
paper_gigabytes = 0.0
{more}
[{name}.numbers]
seed = {{ source = "none", why = "none" }}
"""


def make_checkout(
    root: Path, bodies: Mapping[str, str], *, more: str = "", claims: Mapping[str, str] | None = None
) -> Path:
    """Make a checkout of small notebooks, for benchmarks and tests.

    Args:
        root: An empty folder.
        bodies: By notebook name, the cells below the parameters cell.
        more: Further lines for every notebook's entry in `profiles.toml`.
        claims: By notebook name, its file of `data/claims/`.
    Returns:
        The root.
    """
    for folder in ("notebooks", "data", "data/claims"):
        (root / folder).mkdir()
    for name, body in bodies.items():
        (root / "notebooks" / f"{name}.py").write_text(HEADER + body, encoding="utf-8")
    entries = "".join(ENTRY.format(name=name, more=more) for name in bodies)
    (root / "notebooks" / "profiles.toml").write_text(entries, encoding="utf-8")
    for name, text in (claims or {}).items():
        (root / "data" / "claims" / f"{name}.toml").write_text(text, encoding="utf-8")
    (root / "pins.txt").write_text("", encoding="utf-8")
    return root


def with_runner() -> None:
    """Run the notebook through the runner, as `make figures` does."""
    with tempfile.TemporaryDirectory() as folder:
        root = make_checkout(Path(folder), {"01_small": "# %%\nsum(range(10))\n"})
        _call("-m", "shapeofloss", "figures", "--profile", "smoke", root=root)


def with_papermill() -> None:
    """Convert the script and run it with papermill's own command."""
    with tempfile.TemporaryDirectory() as folder:
        root = make_checkout(Path(folder), {"01_small": "# %%\nsum(range(10))\n"})
        script = root / "notebooks" / "01_small.py"
        _call("-m", "jupytext", "--quiet", "--to", "ipynb", str(script), root=root)
        notebook = str(script.with_suffix(".ipynb"))
        _call("-m", "papermill", "--no-progress-bar", "--log-level", "ERROR", notebook, notebook, root=root)


def _call(*arguments: str, root: Path) -> None:
    environment = {**os.environ, "SHAPEOFLOSS_ROOT": str(root)}
    subprocess.run([sys.executable, *arguments], check=True, env=environment, capture_output=True)
