"""Tasks on a real Dask scheduler with worker processes: equal results, a killed worker, resources, and sentences."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from conftest import environment
from tasks import refuses, squares

from shapeofloss import cluster, compute, store
from shapeofloss.errors import UserError

pytest.importorskip("distributed")
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
TESTS, SRC = Path(__file__).parent, Path(compute.__file__).parents[1]


class Cluster:
    """A scheduler on loopback and the workers that a test asks for."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "scheduler.json"
        self._folder, self._processes = folder, []
        ports = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
        self._start("scheduler", *ports, "--scheduler-file", str(self.file))
        while not self.file.is_file() or not self.file.read_text().strip():
            time.sleep(0.05)
        self.address = json.loads(self.file.read_text())["address"]

    def worker(self, *options: str, **variables: str) -> subprocess.Popen:
        plain = ["--no-nanny", "--nthreads", "1", "--no-dashboard", "--local-directory", str(self._folder)]
        return self._start("worker", self.address, "--host", "127.0.0.1", *plain, *options, **variables)

    def _start(self, *arguments: str, **variables: str) -> subprocess.Popen:
        root = Path(os.environ["SHAPEOFLOSS_ROOT"])
        own = {"PYTHONPATH": f"{TESTS}{os.pathsep}{SRC}", "SHAPEOFLOSS_DATA": os.environ["SHAPEOFLOSS_DATA"]}
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", *arguments],
            env=environment(root) | own | variables,
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._processes.append(process)
        return process

    def close(self) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.wait()


@pytest.fixture
def dask(marks, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "WAIT", 60.0)  # a slow machine takes its time to start a worker
    made = Cluster(tmp_path)
    yield made
    made.close()


def marked(marks):
    """How often each task began, and in which processes."""
    found = [path.name.split("-")[1:] for path in marks.iterdir()]
    return sorted(int(count) for count, _ in found), {int(pid) for _, pid in found}


def stored(count, **more):
    return store.path_of(squares, {"count": count, **more}).with_suffix(".npz")


def test_a_killed_worker_costs_only_what_it_was_computing(dask, marks, monkeypatch, tmp_path, capsys):
    first, second = dask.worker(), dask.worker()
    settings = [{"count": count, "sleep": 1.5} for count in range(1, 7)]

    def kill_one():
        while not any(path.name.endswith(f"-{first.pid}") for path in marks.iterdir()):
            time.sleep(0.02)
        time.sleep(0.3)
        first.send_signal(signal.SIGKILL)

    thread = threading.Thread(target=kill_one)
    thread.start()
    results = compute.map(squares, settings, str(dask.file), label="squares")
    thread.join()
    began, processes = marked(marks)
    assert len(began) == 7 and set(began) == set(range(1, 7))  # the interrupted one twice, the others once
    assert processes == {first.pid, second.pid}
    assert "5 of 6 squares" in capsys.readouterr().err
    assert [result["values"][-1] for result in results] == [(count - 1) ** 2 for count in range(1, 7)]
    on_cluster = [stored(**setting).read_bytes() for setting in settings]
    monkeypatch.setenv("SHAPEOFLOSS_DATA", str(tmp_path / "undisturbed"))
    compute.map(squares, settings)
    assert on_cluster == [stored(**setting).read_bytes() for setting in settings]


def test_resources_choose_the_worker_and_files_what_is_missing(dask, marks):
    dask.worker()
    equipped = dask.worker("--resources", "GPU=1")
    store.get_or_compute(squares, {"count": 2})
    compute.map(squares, [{"count": count} for count in (1, 2, 3, 4)], dask.address, resources={"GPU": 1})
    assert marked(marks) == ([1, 2, 3, 4], {os.getpid(), equipped.pid})


def test_an_error_of_a_task_arrives_as_it_was(dask, marks):
    dask.worker()
    with pytest.raises(UserError, match=r"^No squares of -1 numbers"):
        compute.map(refuses, [{"count": -1}], dask.address)


def test_a_worker_that_stores_elsewhere_is_reported(dask, marks, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "SEEN", 1.0)
    dask.worker(SHAPEOFLOSS_DATA=str(tmp_path / "its_own"))
    with pytest.raises(UserError, match="point to one folder that all machines share"):
        compute.map(squares, [{"count": 1}], dask.address)


def test_a_worker_with_other_code_is_reported(dask, marks, monkeypatch):
    dask.worker()
    monkeypatch.setattr(store, "FORMAT", store.FORMAT + 1)  # here only
    with pytest.raises(UserError, match="A worker runs other code or other versions"):
        compute.map(squares, [{"count": 1}], dask.address)


def test_a_cluster_without_a_worker_that_would_do_says_how_to_start_one(dask, monkeypatch):
    monkeypatch.setattr(cluster, "WAIT", 1.0)
    with pytest.raises(UserError, match=r'0 workers.*shapeofloss worker tcp://[^ ]+ --resources "GPU=1"`'):
        compute.map(squares, [{"count": 1}], dask.address, resources={"GPU": 1})


def test_without_a_scheduler_it_says_what_would_do(marks, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "WAIT", 0.5)
    with pytest.raises(UserError, match=r"No scheduler answers at tcp://127\.0\.0\.1:1, or it wants TLS: start one"):
        compute.map(squares, [{"count": 1}], "tcp://127.0.0.1:1")
    with pytest.raises(UserError, match=r"There is no scheduler file nowhere\.json"):
        compute.map(squares, [{"count": 1}], "nowhere.json")
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(UserError, match="is no scheduler file"):
        compute.map(squares, [{"count": 1}], str(tmp_path / "other.json"))


def test_what_is_stored_needs_no_cluster(marks):
    store.get_or_compute(squares, {"count": 3})
    (result,) = compute.map(squares, [{"count": 3}], "tcp://127.0.0.1:1")
    assert result["values"].tolist() == [0, 1, 4]


def test_dask_is_imported_only_where_it_is_used():
    code = "import sys, shapeofloss.compute; sys.exit('distributed' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
