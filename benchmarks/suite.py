"""Measure ratios of times against a named baseline, and keep them in `data/benchmarks.json`."""

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from benchmarks import assignment, crystals, laguerre, persistence, runner_overhead, sign_loss, together
from shapeofloss.engine import workspace
from shapeofloss.errors import unknown
from shapeofloss.files import lock, read_rows, write_rows


@dataclass(frozen=True)
class Benchmark:
    """Two ways of doing the same: ours and the baseline, each a function that does it once."""

    name: str
    baseline: str
    ours: Callable[[], None]
    reference: Callable[[], None]
    repeats: int


SEQUENTIAL = "a plain PyTorch loop over the 16 networks"


def _of(name: str, make: Callable[[], tuple[Callable[[], None], Callable[[], None]]], repeats: int) -> Benchmark:
    """Return a benchmark whose two sides are prepared when they are first called."""
    return Benchmark(name, SEQUENTIAL, lambda: make()[0](), lambda: make()[1](), repeats)


_ALL = [
    Benchmark(
        "runner-overhead",
        "jupytext and papermill by hand",
        runner_overhead.with_runner,
        runner_overhead.with_papermill,
        7,
    ),
    Benchmark("graph-persistence", "gudhi's simplex tree", persistence.ours, persistence.gudhis, 30),
    Benchmark("auction", "SciPy's linear_sum_assignment", assignment.auctioned, assignment.scipys, 5),
    Benchmark(
        "laguerre-cells",
        "the same damped Newton steps on cells of SciPy's ConvexHull",
        laguerre.clipped,
        laguerre.hulls,
        30,
    ),
    Benchmark(
        "laguerre-pixels", "SciPy's L-BFGS on a stored matrix of costs", laguerre.newtons, laguerre.quasi_newtons, 3
    ),
    Benchmark("crystals", "PyAPD", crystals.ours, crystals.pyapds, 3),
    *(
        Benchmark(
            f"sign-loss-{shape}-{dtype}",
            "torch's mse_loss",
            partial(sign_loss.directional, shape, dtype),
            partial(sign_loss.squared, shape, dtype),
            15,
        )
        for shape in sign_loss.SHAPES
        for dtype in sign_loss.TYPES
    ),
    _of("train-together-zoo", together.whole_zoo, 3),
    *(
        _of(f"train-together-wrn-{depth}-{width}-batch-{batch}", partial(together.training, depth, width, batch), 3)
        for depth, width, batch in together.zoo()
    ),
    *(
        _of(f"evaluate-together-wrn-{depth}-{width}", partial(together.evaluation, depth, width), 5)
        for depth, width in ((10, 1), (16, 2), (22, 2))
    ),
]
SUITE = {benchmark.name: benchmark for benchmark in _ALL}


@dataclass(frozen=True)
class Measurement:
    """A row of `data/benchmarks.json`: `ratio` is ours over baseline, so below 1 is faster.

    `spread` is half the distance between the quartiles of the ratios.
    """

    name: str
    baseline: str
    ratio: float
    spread: float
    seconds: float
    baseline_seconds: float
    repeats: int
    threads: int


def measure(benchmark: Benchmark) -> Measurement:
    """Run both sides in turn and return the median of the ratios of neighbouring runs.

    Neighbours share the state of the machine, so a ratio is steadier than either time. One run of each warms up.
    """

    def seconds(function: Callable[[], None]) -> float:
        began = time.perf_counter()
        function()
        return time.perf_counter() - began

    seconds(benchmark.ours), seconds(benchmark.reference)
    times = [(seconds(benchmark.ours), seconds(benchmark.reference)) for _ in range(benchmark.repeats)]
    ratios = [ours / reference for ours, reference in times]
    low, _, high = statistics.quantiles(ratios, n=4)
    ours, reference = (statistics.median(column) for column in zip(*times, strict=True))
    return Measurement(
        benchmark.name,
        benchmark.baseline,
        round(statistics.median(ratios), 3),
        round((high - low) / 2, 3),
        round(ours, 4),
        round(reference, 4),
        benchmark.repeats,
        threads=1,
    )


def path() -> Path:
    """Return where the measurements are kept."""
    return workspace.root() / "data" / "benchmarks.json"


def run(names: list[str]) -> list[Measurement]:
    """Run the named benchmarks, or all of them, and write their rows.

    Raises:
        UserError: If a name is unknown.
    """
    for name in names:
        if name not in SUITE:
            raise unknown("benchmark", name, SUITE)
    results = [measure(SUITE[name]) for name in names or SUITE]
    with lock(workspace.runs() / "benchmarks.lock"):
        fresh = {result.name for result in results}
        kept = [row for row in read_rows(path(), texts=("name",)) if row["name"] in SUITE and row["name"] not in fresh]
        rows = kept + [asdict(result) for result in results]
        write_rows(path(), sorted(rows, key=lambda row: row["name"]))
    return results
