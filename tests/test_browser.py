"""Prints in JupyterLab as a fresh clone shows them: untrusted, in a real browser."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from shapeofloss.engine import profiles
from shapeofloss.files import read_json
from shapeofloss.runner import publish

websocket = pytest.importorskip("websocket")  # comes with JupyterLab
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium, chromium-browser or google-chrome on the PATH")

# Lines only; the most figures; animations.
PRINTS = ["001_start_here", "102_three_samplings", "308_incompressible_particles"]
SHOWN = """
(() => {
  const all = (selector) => [...document.querySelectorAll('.jp-Notebook ' + selector)];
  return {
    pictures: all('.jp-OutputArea-output img').filter((own) => own.complete && own.naturalWidth > 0).length,
    descriptions: all('.jp-OutputArea-output details').map((own) => own.innerHTML),
    links: all('.jp-OutputArea-output a').map((own) => own.textContent),
    headings: all('h1').length,
  };
})()
"""


def ended(process):
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_for(condition, seconds=60):
    """Return the first true value of a condition; None if there was none in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if value := condition():
                return value
        time.sleep(0.2)
    return None


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a JupyterLab that knows nothing but copies of three prints, and trusts none of them."""
    folder = tmp_path_factory.mktemp("lab")
    for name in PRINTS:
        target = folder / "root" / "notebooks" / f"{name}.ipynb"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(profiles.load()[name].print, target)
    settings = folder / "settings" / "@jupyterlab" / "notebook-extension" / "tracker.jupyterlab-settings"
    settings.parent.mkdir(parents=True)
    settings.write_text(
        json.dumps({"windowingMode": "none"}), encoding="utf-8"
    )  # else cells out of sight are not drawn
    places = {
        "JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces", "HOME": "home",
    }  # fmt: skip
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}", "--ServerApp.port_retries=0", "--IdentityProvider.token=secret",
        f"--ServerApp.root_dir={folder / 'root'}", "--KernelSpecManager.ensure_native_kernel=False",
        "--KernelSpecManager.allowed_kernelspecs=none",
    ]  # fmt: skip
    environment = os.environ | {name: str(folder / place) for name, place in places.items()}
    with (folder / "log.txt").open("w") as log:
        server = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}"
        up = wait_for(lambda: urllib.request.urlopen(f"{address}/api?token=secret", timeout=5).status == 200)
        assert up, (folder / "log.txt").read_text(encoding="utf-8")[-2000:]
        yield address
    finally:
        ended(server)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """The address at which a headless Chromium takes orders."""
    profile = tmp_path_factory.mktemp("chromium")
    command = [
        CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--remote-debugging-port=0", f"--user-data-dir={profile}", "--window-size=1200,1600",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        chosen = profile / "DevToolsActivePort"
        port = wait_for(lambda: chosen.read_text(encoding="utf-8").split()[0])
        assert port, "Chromium did not start"
        yield f"http://127.0.0.1:{port}"
    finally:
        ended(process)


@contextlib.contextmanager
def page(browser, address):
    """Open an address in a tab; yield a function that returns the value of a JavaScript expression there."""
    order = urllib.request.Request(f"{browser}/json/new?{address}", method="PUT")
    tab = json.load(urllib.request.urlopen(order, timeout=30))
    connection = websocket.create_connection(tab["webSocketDebuggerUrl"], timeout=60, suppress_origin=True)

    def value(expression):
        order = {"id": 1, "method": "Runtime.evaluate", "params": {"expression": expression, "returnByValue": True}}
        connection.send(json.dumps(order))
        return json.loads(connection.recv())["result"]["result"].get("value")

    try:
        yield value
    finally:
        connection.close()
        urllib.request.urlopen(f"{browser}/json/close/{tab['id']}", timeout=30).close()


@pytest.mark.parametrize("name", PRINTS)
def test_an_untrusted_jupyterlab_shows_every_figure_of_a_print_with_its_description(lab, browser, name):
    expected = [row for row in read_json(publish.index_path()) if row["notebook"] == name]
    with page(browser, f"{lab}/doc/tree/notebooks/{name}.ipynb?token=secret") as value:
        wait_for(lambda: (now := value(SHOWN)) and now["headings"] and now["pictures"] >= len(expected))
        shown = value(SHOWN)
    assert shown["pictures"] == len(expected) and shown["headings"] == 1
    texts = " ".join(" ".join(shown["descriptions"]).split())
    for row in expected:
        escaped = row["alt"].replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        assert escaped in texts and row["figure"] in shown["links"]
    played = sum(link == "Play the animation" for link in shown["links"])
    assert played == sum(Path(row["figure"]).suffix == ".gif" for row in expected)
