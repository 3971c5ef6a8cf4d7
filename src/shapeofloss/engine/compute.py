"""Independent heavy tasks, each with its own stored result."""

import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from shapeofloss.engine import store, workspace
from shapeofloss.engine.cluster import computed_on
from shapeofloss.errors import UserError

Call = tuple[Callable[..., store.Result], Mapping[str, Any]]
Case = TypeVar("Case", bound=Hashable)


def workers() -> int:
    """Return the number of processes that a map may use: what the runner allots, else what the machine has."""
    return int(os.environ.get(workspace.WORKERS) or workspace.cores())


def run(
    calls: Iterable[Call],
    cluster: str | None = None,
    *,
    label: str = "tasks",
    resources: Mapping[str, float] | None = None,
    alone: bool = False,
) -> list[store.Result]:
    """Return the stored result of `function(**setting)` for every call, computing what is missing in parallel.

    Files are the only truth: a call that was interrupted goes on where it stopped, and the number of processes has no
    influence on a result. Each task runs on one thread.

    Args:
        calls: Pairs of a function, as for `store.get_or_compute`, and its keyword arguments.
        cluster: None for this machine; else the address or the scheduler file of a Dask cluster.
        label: What the tasks are, for the progress on stderr.
        resources: On a cluster, what a worker has to offer for a task, such as {"GPU": 1}; of no effect here.
        alone: Whether tasks are computed one after another in this process, as a measurement of times needs it.
    Returns:
        The results, in the order of the calls.
    Raises:
        UserError: If a worker process dies, or as for `cluster.computed_on`. What an error in one task does not touch
            is kept.
    """
    tasks: list[Call] = [(function, dict(setting)) for function, setting in calls]
    missing = [task for task in tasks if not store.path_of(*task).is_file()]
    if missing:
        if alone:
            done = _computed_here(missing)
        elif cluster is None:
            done = _computed(missing, label)
        else:
            done = computed_on(cluster, missing, resources=resources)
        _show_progress(done, len(missing), label)
    return [store.get_or_compute(*task) for task in tasks]


def map(
    function: Callable[..., store.Result],
    settings: Iterable[Mapping[str, Any]],
    cluster: str | None = None,
    *,
    label: str = "tasks",
    resources: Mapping[str, float] | None = None,
    alone: bool = False,
) -> list[store.Result]:
    """Return the stored results of one function, one for each setting and in their order; see `run`.

    Raises:
        UserError: As for `run`.
    """
    calls = [(function, setting) for setting in settings]
    return run(calls, cluster, label=label, resources=resources, alone=alone)


def grid(
    function: Callable[..., store.Result],
    cases: Mapping[Case, Mapping[str, Any]],
    seeds: Iterable[int],
    *,
    common: Mapping[str, Any] | None = None,
    label: str = "tasks",
    cluster: str | None = None,
    alone: bool = False,
) -> dict[Case, list[store.Result]]:
    """Return the stored results of one function by case, one for each seed; see `run`.

    Args:
        function: As for `store.get_or_compute`; it takes a `seed`.
        cases: What is compared: the settings of each case by its name.
        seeds: The seeds with which each case is computed.
        common: Settings that all cases share; a case may overrule them.
        label, cluster, alone: As for `run`.
    Raises:
        UserError: As for `run`.
    """
    seeds = list(seeds)
    calls = [(function, {**(common or {}), **case, "seed": seed}) for case in cases.values() for seed in seeds]
    results = iter(run(calls, cluster, label=label, alone=alone))
    return {name: [next(results) for _ in seeds] for name in cases}


def _show_progress(done: Iterator[None], count: int, label: str) -> None:
    """Go through what yields once per task, and tell how many are done and how long the rest will take."""
    began = time.monotonic()
    _report(f"0 of {count} {label}")
    for number, _ in enumerate(done, start=1):
        left = (time.monotonic() - began) / number * (count - number)
        _report(f"{number} of {count} {label}, about {left:.0f} s left" if number < count else "")


def _computed_here(tasks: Sequence[Call]) -> Iterator[None]:
    for task in tasks:
        _compute_one(*task)
        yield


def _computed(tasks: Sequence[Call], label: str) -> Iterator[None]:
    """Compute tasks in processes of this machine, and yield once for each that is done."""
    # Not forked from here: forking a process that runs threads (a kernel does) may lock up. A server without threads is
    # started once, imports what the tasks need, and is forked for each worker.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", *dict.fromkeys(function.__module__ for function, _ in tasks)])
    number = min(workers(), len(tasks))
    pool = ProcessPoolExecutor(number, mp_context=context, initializer=_begin_worker, initargs=(dict(os.environ),))
    try:
        for future in as_completed([pool.submit(_compute_one, *task) for task in tasks]):
            future.result()
            yield
    except BrokenProcessPool:
        raise UserError(
            f"A process that computed {label} died, perhaps for lack of memory. What was done is kept: run again, "
            f"with {workspace.WORKERS}=1 if memory is short."
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _compute_one(function: Callable[..., store.Result], task: Mapping[str, Any]) -> None:
    store.get_or_compute(function, task)  # the parent reads the file: nothing large travels between processes


def _report(text: str) -> None:
    """Show progress as one line that is written over; the runner takes such lines out of a notebook's print."""
    print(f"\r\033[K{text}\r", end="", file=sys.stderr, flush=True)


def _begin_worker(environment: dict[str, str]) -> None:
    """Fix the threads at one, and end with the parent: an idle worker would outlive a killed one.

    The parent's environment may be younger than that of the server from which this process was forked.
    """
    os.environ.clear()
    os.environ.update(environment)
    workspace.use_one_thread()
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
