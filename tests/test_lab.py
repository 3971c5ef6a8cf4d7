"""JupyterLab as `make lab` starts it: loopback, token, scripts as notebooks, prints that cannot be overwritten."""

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import psutil
import pytest
from conftest import call, environment


@pytest.fixture
def server(checkout):
    """A running server, its root, and a function that asks it."""
    root = checkout()
    assert call(root, "figures").returncode == 0  # so that there is a print
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--no-browser", "--allow-root", f"--port={port}", "--IdentityProvider.token=secret"]
    process = subprocess.Popen(
        [sys.executable, "-m", "shapeofloss", "lab", *options],
        env=environment(root),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def ask(path, content=None, token="secret"):
        data = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, method="PUT" if data else "GET")
        request.add_header("Authorization", f"token {token}")
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    for _ in range(300):
        try:
            ask("/api/status")
            break
        except urllib.error.URLError:
            time.sleep(0.1)
    yield process, port, root, ask
    for child in [*psutil.Process(process.pid).children(recursive=True), process]:
        child.kill()
    process.wait()


def test_the_server_is_safe_and_opens_scripts_as_notebooks(server):
    process, port, root, ask = server
    children = psutil.Process(process.pid).children(recursive=True)
    listening = {c.laddr for child in children for c in child.net_connections() if c.status == "LISTEN"}
    assert {address.ip for address in listening} == {"127.0.0.1"} and port in {address.port for address in listening}
    assert ask("/api/contents/notebooks", token="wrong")[0] == 403

    status, script = ask("/api/contents/notebooks/01_small.py?type=notebook")
    assert status == 200 and script["content"]["cells"][1]["metadata"]["tags"] == ["parameters"]
    assert "Jupytext Notebook" in json.dumps(ask("/lab/api/settings")[1])

    text = (root / "notebooks" / "01_small.py").read_text(encoding="utf-8")
    assert ask("/api/contents/notebooks/01_small.py", script)[0] == 200
    saved = (root / "notebooks" / "01_small.py").read_text(encoding="utf-8")
    assert saved == text  # saving what was not edited changes nothing

    before = (root / "notebooks" / "01_small.ipynb").read_bytes()
    _, printed = ask("/api/contents/notebooks/01_small.ipynb")
    printed["content"]["cells"] = []
    status, answer = ask("/api/contents/notebooks/01_small.ipynb", printed)
    assert status >= 400 and "written by the runner only" in answer["message"]
    assert (root / "notebooks" / "01_small.ipynb").read_bytes() == before

    script["content"]["cells"][0]["source"] = "Changed by a reader."
    assert ask("/api/contents/notebooks/01_small.py", script)[0] == 200
    assert "# Changed by a reader." in (root / "notebooks" / "01_small.py").read_text(encoding="utf-8")
