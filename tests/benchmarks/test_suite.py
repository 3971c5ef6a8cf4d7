"""The benchmark suite, on a clock that the test turns."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import suite
from shapeofloss.errors import UserError


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still unless it is turned."""
    now = [0.0]
    monkeypatch.setattr(suite.time, "perf_counter", lambda: now[0])

    def turn(*seconds):
        durations = iter(seconds)

        def work():
            now[0] += next(durations)

        return work

    return turn


def test_the_ratio_is_the_median_of_neighbouring_runs_without_the_warm_up(clock):
    ours, reference = clock(99, 2, 4, 3), clock(99, 1, 1, 2)
    result = suite.measure(suite.Benchmark("a", "b", ours, reference, 3))
    assert (result.ratio, result.seconds, result.baseline_seconds, result.threads) == (2.0, 3.0, 1.0, 1)
    assert result.spread == 1.25  # quartiles of 1.5, 2, 4 at 1.5 and 4


def test_rows_are_kept_by_name_and_strangers_are_dropped(checkout, clock, monkeypatch):
    root = checkout()
    monkeypatch.setattr(suite, "SUITE", {n: suite.Benchmark(n, "b", clock(*[1] * 9), clock(*[2] * 9), 2) for n in "ab"})
    suite.path().write_text('[{"name": "b", "ratio": 7}, {"name": "gone", "ratio": 7}]', encoding="utf-8")
    suite.run(["a"])
    rows = json.loads((root / "data" / "benchmarks.json").read_text(encoding="utf-8"))
    assert [(row["name"], row["ratio"]) for row in rows] == [("a", 0.5), ("b", 7)]


def test_an_unknown_benchmark_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="Did you mean 'runner-overhead'"):
        suite.run(["runner"])
    root = Path(suite.__file__).parents[1]
    said = subprocess.run([sys.executable, "-m", "benchmarks", "runner-over"], cwd=root, capture_output=True, text=True)
    assert said.returncode and "Did you mean" in said.stderr
