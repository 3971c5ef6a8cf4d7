"""JupyterLab on loopback, where scripts open as notebooks and committed prints cannot be overwritten."""

import json
import os
import subprocess
import sys

from shapeofloss.engine import workspace
from shapeofloss.files import write_atomically
from shapeofloss.runner.process import kernels

VIEWERS = {"@jupyterlab/docmanager-extension:plugin": {"defaultViewers": {"python": "Jupytext Notebook"}}}
SERVER = {
    "ServerApp": {
        "ip": "127.0.0.1",
        "contents_manager_class": "shapeofloss.runner.server.Contents",
        "identity_provider_class": "shapeofloss.runner.server.Identity",
    },
    # A script that is saved keeps the header that it has.
    "ContentsManager": {"notebook_metadata_filter": "kernelspec,-jupytext"},
}


def start(arguments: list[str]) -> int:
    """Start JupyterLab in the notebooks' folder and return its exit status.

    It binds to loopback and asks for a token, whatever the user's own settings say. Further arguments are passed on.
    """
    folder = workspace.runs() / "jupyter"
    write_atomically(folder / "labconfig" / "default_setting_overrides.json", json.dumps(VIEWERS))
    write_atomically(folder / "jupyter_server_config.json", json.dumps(SERVER))
    environment = {
        **os.environ,
        "JUPYTER_PATH": os.pathsep.join(filter(None, (str(kernels()), os.environ.get("JUPYTER_PATH")))),
        "JUPYTER_CONFIG_PATH": os.pathsep.join(filter(None, (str(folder), os.environ.get("JUPYTER_CONFIG_PATH")))),
    }
    command = [sys.executable, "-m", "shapeofloss.runner.server", "--notebook-dir", str(workspace.root()), *arguments]
    return subprocess.run(command, env=environment).returncode
