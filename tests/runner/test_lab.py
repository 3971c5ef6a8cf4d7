"""JupyterLab as `make lab` starts it: loopback, token, scripts as notebooks, prints that cannot be overwritten."""

import json
import re
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
def server(checkout, tmp_path, monkeypatch):
    """A running server, its root, and a function that asks it; the user's own want neither token nor prints."""
    own = tmp_path / "own"
    own.mkdir()
    settings = {"IdentityProvider": {"token": ""}, "ServerApp": {"ip": "0.0.0.0"}}
    (own / "jupyter_server_config.json").write_text(json.dumps(settings), encoding="utf-8")
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(own))
    root = checkout()
    assert call(root, "figures").returncode == 0  # so that there is a print
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--no-browser", "--allow-root", f"--port={port}"]
    said = tmp_path / "said"
    with said.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "shapeofloss", "lab", *options], env=environment(root), stdout=file, stderr=file
        )

    def ask(path, content=None, token=None, method="PUT"):
        shown = re.search(r"[?]token=(\w{48})", said.read_text(encoding="utf-8"))
        data = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, method=method if data else "GET")
        request.add_header("Authorization", f"token {token or (shown and shown[1])}")
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    for _ in range(300):
        try:
            if ask("/api/status")[0] == 200:
                break
        except urllib.error.URLError:
            pass
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
    (root / "linked").symlink_to("notebooks")
    (root / "notebooks" / "link.ipynb").symlink_to("01_small.ipynb")
    printed = ask("/api/contents/notebooks/01_small.ipynb")[1]
    printed["content"]["cells"] = []
    file = {"type": "file", "format": "text", "content": "x"}
    paired = json.loads(json.dumps(script))
    paired["content"]["metadata"]["jupytext"] = {"formats": "ipynb,py:percent"}
    for path, model in [
        ("notebooks/01_small.ipynb", printed),
        ("linked/01_small.ipynb", printed),
        ("notebooks/link.ipynb", printed),
        ("notebooks/01_small.ipynb", file),
        *(("notebooks/01_small.ipynb", file | {"chunk": chunk}) for chunk in (1, 2, -1)),
    ]:
        status, answer = ask(f"/api/contents/{path}", model)
        assert status == 403 and "written by the runner only" in answer["message"], (path, status, answer)
    place = "/api/contents/notebooks/01_small.ipynb/checkpoints"
    status, checkpoint = ask(place, {}, method="POST")
    assert status == 201 and ask(f"{place}/{checkpoint['id']}", {}, method="POST")[0] == 403
    assert ask("/api/contents/notebooks/01_small.py", paired)[0] >= 400  # it would write the print beside the script
    assert (root / "notebooks" / "01_small.ipynb").read_bytes() == before

    script["content"]["cells"][0]["source"] = "Changed by a reader."
    assert ask("/api/contents/notebooks/01_small.py", script)[0] == 200
    assert "# Changed by a reader." in (root / "notebooks" / "01_small.py").read_text(encoding="utf-8")
