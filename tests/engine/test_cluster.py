"""Tasks on a real Dask scheduler with worker processes: equal results, a killed worker, resources, and sentences."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from conftest import environment
from tasks import refuses, squares

from shapeofloss.engine import cluster, compute, store
from shapeofloss.errors import UserError

pytest.importorskip("distributed")
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
PORTS = ["--port", "0", "--dashboard-address", "127.0.0.1:0"]
TESTS, SRC = Path(__file__).parents[1], Path(compute.__file__).parents[2]


class Cluster:
    """A scheduler on loopback and the workers that a test asks for."""

    def __init__(self, folder: Path, *options: str, **variables: str) -> None:
        self.file = folder / "scheduler.json"
        self._folder, self.processes = folder, []
        self.scheduler = self._start("scheduler", *PORTS, "--scheduler-file", str(self.file), *options, **variables)
        while not self.file.is_file() or not self.file.read_text(encoding="utf-8").strip():
            time.sleep(0.05)
        self.address = json.loads(self.file.read_text(encoding="utf-8"))["address"]

    def worker(self, *options: str, nanny: bool = False, **variables: str) -> subprocess.Popen:
        plain = ["--scheduler-file", str(self.file), "--local-directory", str(self._folder)]
        return self._start("worker", *plain, "--nanny" if nanny else "--no-nanny", *options, **variables)

    def _start(self, *arguments: str, **variables: str) -> subprocess.Popen:
        root = Path(os.environ["SHAPEOFLOSS_ROOT"])
        own = {"PYTHONPATH": f"{TESTS}{os.pathsep}{SRC}", "SHAPEOFLOSS_DATA": os.environ["SHAPEOFLOSS_DATA"]}
        process = subprocess.Popen(
            [sys.executable, "-m", "shapeofloss", *arguments],
            env=environment(root) | own | variables,
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.processes.append(process)
        return process

    def close(self) -> None:
        for process in reversed(self.processes):
            process.kill()
            process.wait()


def below(process):
    """A process and those that it started."""
    return [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]


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
    (tmp_path / "other.json").write_text("[]", encoding="utf-8")
    with pytest.raises(UserError, match="is no scheduler file"):
        compute.map(squares, [{"count": 1}], str(tmp_path / "other.json"))


def test_no_part_of_a_cluster_listens_to_other_machines(dask, marks):
    dask.worker(nanny=True)
    compute.map(squares, [{"count": 1}], str(dask.file))
    programs = [one for process in dask.processes for one in below(process)]
    ports = [port for one in programs for port in one.net_connections() if port.status == psutil.CONN_LISTEN]
    assert len(ports) >= 5  # scheduler, its dashboard, nanny, worker, the worker's HTTP server
    assert {port.laddr.ip for port in ports} == {"127.0.0.1"}


def test_a_killed_scheduler_is_told_at_once_and_costs_only_what_was_computed(dask, marks):
    worker = dask.worker()
    killed = []

    def kill():
        while len(list(marks.iterdir())) < 2:
            time.sleep(0.02)
        killed.append(time.monotonic())
        dask.scheduler.kill()

    thread = threading.Thread(target=kill)
    thread.start()
    with pytest.raises(UserError, match=r"^The scheduler is gone.* kept: start it and the workers again\.$"):
        compute.map(squares, [{"count": 1}, {"count": 2, "sleep": 30.0}], dask.address)
    thread.join()
    assert time.monotonic() - killed[0] < 10
    assert stored(1).is_file() and not stored(2, sleep=30.0).is_file()
    worker.kill()


def test_a_scheduler_that_ends_before_a_worker_came_is_told(dask, marks):
    threading.Timer(1.0, dask.scheduler.kill).start()
    with pytest.raises(UserError, match=r"^The scheduler is gone"):
        compute.map(squares, [{"count": 1}], dask.address)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"1", b"null", b"\xff", b"[" * 100_000]
    + [b'{"address": %s}' % value for value in (b"null", b"1", b'""', b'["tcp://127.0.0.1:1"]', b'"127.0.0.1:1"')],
    ids=lambda content: content[:30].decode("latin-1") or "empty",
)
def test_a_scheduler_file_without_an_address_is_told(marks, tmp_path, content):
    (tmp_path / "other.json").write_bytes(content)
    with pytest.raises(UserError, match=r"other\.json is no scheduler file: give the one"):
        compute.map(squares, [{"count": 1}], str(tmp_path / "other.json"))


@pytest.mark.parametrize("address", ["foo://127.0.0.1:1", "tcp://127.0.0.1", "inproc://127.0.0.1/1/1", "://"])
def test_an_address_that_is_none_is_told(marks, address):
    with pytest.raises(UserError, match=f"^{address} is no scheduler that would do .* such as tcp://127"):
        compute.map(squares, [{"count": 1}], address)


@pytest.mark.parametrize("given", [8786, b"tcp://127.0.0.1:1", ["tcp://127.0.0.1:1"], True])
def test_a_cluster_is_named_by_text(marks, given):
    with pytest.raises(UserError, match=r"^cluster is .*: give the address of a scheduler"):
        compute.map(squares, [{"count": 1}], given)


@pytest.mark.parametrize("given", [["GPU"], "GPU", {"GPU": "1"}, {"GPU": 0}, {"GPU": float("nan")}, {"GPU": None}])
def test_resources_are_names_with_numbers(marks, given):
    with pytest.raises(UserError, match=r"^resources"):
        compute.map(squares, [{"count": 1}], "tcp://127.0.0.1:1", resources=given)


def test_what_listens_and_never_answers_is_no_scheduler(marks, monkeypatch):
    monkeypatch.setattr(cluster, "WAIT", 0.5)
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(UserError, match=r"^No scheduler answers at tcp://"),
    ):
        compute.map(squares, [{"count": 1}], f"tcp://127.0.0.1:{silent.getsockname()[1]}")


def test_an_entry_may_become_visible_later(dask, marks, tmp_path, monkeypatch):
    dask.worker(SHAPEOFLOSS_DATA=str(tmp_path / "remote"))

    def show():
        while not list((tmp_path / "remote").rglob("*.json")):
            time.sleep(0.02)
        time.sleep(1.0)
        shutil.copytree(tmp_path / "remote", tmp_path / "elsewhere", dirs_exist_ok=True)

    thread = threading.Thread(target=show)
    thread.start()
    (result,) = compute.map(squares, [{"count": 3}], dask.address)
    thread.join()
    assert result["values"].tolist() == [0, 1, 4]
    assert len(list(marks.iterdir())) == 1  # computed once, over there


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A folder with two certificates, each its own authority, and their keys."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificates")
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("own", "foreign"):
        files = ["-keyout", folder / f"{name}.key", "-out", folder / f"{name}.crt"]
        options = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        command = ["openssl", "req", "-x509", *options, "-subj", f"/CN={name}", *files]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return folder


def test_a_cluster_under_tls_computes_and_refuses_in_sentences(certificates, marks, tmp_path, monkeypatch):
    from dask import config

    def settings(cert, key=None, authority="own"):
        names = {"ca-file": f"{authority}.crt", "client.cert": f"{cert}.crt", "client.key": f"{key or cert}.key"}
        return config.set({f"distributed.comm.tls.{name}": str(certificates / file) for name, file in names.items()})

    own = [f"--tls-{kind}={certificates / file}" for kind, file in (("ca-file", "own.crt"), ("cert", "own.crt"))]
    tls = ["--protocol", "tls", *own, f"--tls-key={certificates / 'own.key'}"]
    monkeypatch.setattr(cluster, "WAIT", 60.0)
    made = Cluster(tmp_path, *tls)
    try:
        made.worker(*tls)
        with settings("own"):
            (result,) = compute.map(squares, [{"count": 3}], str(made.file))
        assert result["values"].tolist() == [0, 1, 4]
        monkeypatch.setattr(cluster, "WAIT", 3.0)
        began = time.monotonic()
        tasks = [{"count": 4}]
        with pytest.raises(UserError, match=r"needs a certificate: set `ca-file`.*`distributed\.comm\.tls`"):
            compute.map(squares, tasks, str(made.file))
        for cert, authority in (("foreign", "own"), ("own", "foreign")):
            with (
                settings(cert, authority=authority),
                pytest.raises(UserError, match=r"No scheduler answers at tls:.*, or it refuses the certificate"),
            ):
                compute.map(squares, tasks, made.address)
        with pytest.raises(UserError, match=r"No scheduler answers at tcp:.*, or it wants TLS.*write tls://"):
            compute.map(squares, tasks, made.address.replace("tls", "tcp"))
        for key in ("missing", "foreign"):
            with settings("own", key=key), pytest.raises(UserError, match=r"The settings for TLS do not work \("):
                compute.map(squares, tasks, made.address)
        assert time.monotonic() - began < 20
    finally:
        made.close()


def test_a_client_without_a_certificate_ends_at_once(marks):
    code = "from shapeofloss.engine import compute; from tasks import squares; "
    code += "compute.map(squares, [{'count': 1}], 'tls://127.0.0.1:1')"
    paths = {"PYTHONPATH": f"{TESTS}{os.pathsep}{SRC}"}
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | paths, capture_output=True, text=True)
    assert "UserError: tls://127.0.0.1:1 needs a certificate" in done.stderr
    assert time.monotonic() - began < 15  # a client that was made in vain held up the end for 20 s


def test_a_scheduler_with_other_code_is_told(marks, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "WAIT", 60.0)
    made = Cluster(tmp_path, PYTHONPATH=str(SRC))  # without the module of the tasks
    try:
        made.worker()
        with pytest.raises(UserError, match=r"^The scheduler runs other code"):
            compute.map(squares, [{"count": 1}], made.address)
    finally:
        made.close()


def test_what_is_stored_needs_no_cluster(marks):
    store.get_or_compute(squares, {"count": 3})
    (result,) = compute.map(squares, [{"count": 3}], "tcp://127.0.0.1:1")
    assert result["values"].tolist() == [0, 1, 4]


def test_dask_is_imported_only_where_it_is_used():
    code = "import sys, shapeofloss.engine.compute; sys.exit('distributed' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
