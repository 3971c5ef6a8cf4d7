"""Independent tasks in parallel: order, independence of the number of workers, resumption, and no orphans."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from conftest import environment
from tasks import squares, uniform

from shapeofloss.engine import compute, store
from shapeofloss.errors import UserError

SETTINGS = [{"count": count} for count in (5, 2, 9)]


@pytest.mark.parametrize("workers", ["1", "3"])
def test_results_come_in_the_order_of_the_settings(marks, monkeypatch, workers, capsys):
    monkeypatch.setenv("SHAPEOFLOSS_WORKERS", workers)
    results = compute.map(squares, SETTINGS, label="squares")
    assert [len(result["values"]) for result in results] == [5, 2, 9]
    assert all(np.array_equal(result["values"], np.arange(len(result["values"])) ** 2) for result in results)
    assert "2 of 3 squares" in capsys.readouterr().err


def test_a_grid_has_one_result_for_each_case_and_seed(marks):
    cases = {"few": {"count": 2}, ("many", 1): {"count": 5, "low": 0.5}}
    results = compute.grid(uniform, cases, iter([7, 8]), common={"low": 0.25})
    assert list(results) == list(cases)
    for name, count, low in (("few", 2, 0.25), (("many", 1), 5, 0.5)):
        for seed, result in zip((7, 8), results[name], strict=True):
            assert np.array_equal(result["values"], np.random.default_rng(seed).uniform(low, 1.0, count))


def test_one_run_may_call_several_functions(marks):
    first, second = compute.run([(squares, {"count": 3}), (uniform, {"seed": 0, "count": 2})])
    assert first["values"].tolist() == [0, 1, 4] and len(second["values"]) == 2


def test_a_measurement_runs_alone_in_this_process_and_once(marks):
    for _ in range(2):
        results = compute.map(squares, SETTINGS, alone=True)
        assert [len(result["values"]) for result in results] == [5, 2, 9]
    assert {path.name.split("-")[2] for path in marks.iterdir()} == {str(os.getpid())}
    assert len(list(marks.iterdir())) == len(SETTINGS)


def test_only_what_is_missing_is_computed(marks):
    store.get_or_compute(squares, SETTINGS[1])
    compute.map(squares, SETTINGS)
    assert sorted(path.name.split("-")[1] for path in marks.iterdir()) == ["2", "5", "9"]


def test_an_error_in_a_task_reaches_the_caller_and_keeps_what_is_done(marks, monkeypatch):
    monkeypatch.setenv("SHAPEOFLOSS_WORKERS", "1")
    with pytest.raises(TypeError, match="nonsense"):
        compute.map(squares, [SETTINGS[0], {"nonsense": 1}])
    assert store.path_of(squares, SETTINGS[0]).is_file()


def test_a_worker_that_dies_is_explained_and_what_is_done_is_kept(marks, monkeypatch):
    monkeypatch.setenv("SHAPEOFLOSS_WORKERS", "1")
    with pytest.raises(UserError, match=r"A process that computed squares died.*is kept: run again"):
        compute.map(squares, [SETTINGS[0], {"count": 3, "sleep": -1.0}], label="squares")
    assert store.path_of(squares, SETTINGS[0]).is_file()


def test_workers_end_when_their_parent_is_killed(marks, tmp_path):
    script = tmp_path / "driver.py"
    script.write_text(
        "from shapeofloss.engine import compute\nfrom tasks import squares, uniform\n"
        "if __name__ == '__main__':\n    compute.map(squares, [{'count': n, 'sleep': 60} for n in (1, 2)])\n",
        encoding="utf-8",
    )
    path = os.pathsep.join([str(Path(__file__).parents[1]), str(Path(compute.__file__).parents[2])])
    variables = environment(Path(os.environ["SHAPEOFLOSS_ROOT"])) | {
        "PYTHONPATH": path,
        "SHAPEOFLOSS_DATA": os.environ["SHAPEOFLOSS_DATA"],
        "SHAPEOFLOSS_WORKERS": "2",
    }
    driver = subprocess.Popen([sys.executable, str(script)], env=variables)
    while len(list(marks.iterdir())) < 2:
        time.sleep(0.05)
        assert driver.poll() is None
    children = psutil.Process(driver.pid).children(recursive=True)
    driver.kill()
    driver.wait()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
