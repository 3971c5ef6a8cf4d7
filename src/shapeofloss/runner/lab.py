"""JupyterLab on loopback, where scripts open as notebooks and committed prints cannot be overwritten."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from shapeofloss import workspace
from shapeofloss.files import write_atomically
from shapeofloss.runner.process import kernels

VIEWERS = {"@jupyterlab/docmanager-extension:plugin": {"defaultViewers": {"python": "Jupytext Notebook"}}}
SERVER = {
    "ServerApp": {"ip": "127.0.0.1"},
    # A script that is saved keeps the header that it has.
    "ContentsManager": {"notebook_metadata_filter": "kernelspec,-jupytext"},
    "FileContentsManager": {"pre_save_hook": "shapeofloss.runner.lab.keep_prints"},
}


def start(arguments: list[str]) -> int:
    """Start JupyterLab in the notebooks' folder and return its exit status.

    It binds to loopback and asks for a token, as is its default. Further arguments are passed on.
    """
    folder = workspace.runs() / "jupyter"
    write_atomically(folder / "labconfig" / "default_setting_overrides.json", json.dumps(VIEWERS))
    write_atomically(folder / "jupyter_server_config.json", json.dumps(SERVER))
    environment = {
        **os.environ,
        "JUPYTER_PATH": os.pathsep.join(filter(None, (str(kernels()), os.environ.get("JUPYTER_PATH")))),
        "JUPYTER_CONFIG_PATH": os.pathsep.join(filter(None, (str(folder), os.environ.get("JUPYTER_CONFIG_PATH")))),
    }
    command = [sys.executable, "-m", "jupyterlab", "--notebook-dir", str(workspace.root()), *arguments]
    return subprocess.run(command, env=environment).returncode


def keep_prints(*, path: str, **rest: Any) -> None:
    """Refuse to save the print of a script: prints are written by the runner alone."""
    from tornado.web import HTTPError

    place = Path(path)
    script = workspace.root() / place.with_suffix(".py")
    if place.suffix == ".ipynb" and place.parent.name == "notebooks" and script.is_file():
        raise HTTPError(
            403,
            f"{place.name} is the executed print of {script.name} and is written by the runner only. "
            f"Open {script.name} to change or try things.",
        )
