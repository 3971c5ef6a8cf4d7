"""Independent heavy tasks, each with its own stored result."""

import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from shapeofloss.engine import store, workspace
from shapeofloss.engine.cluster import computed_on
from shapeofloss.errors import UserError


def workers() -> int:
    """Return the number of processes that a map may use: what the runner allots, else what the machine has."""
    return int(os.environ.get(workspace.WORKERS) or workspace.cores())


def map(
    function: Callable[..., store.Result],
    settings: Iterable[Mapping[str, Any]],
    cluster: str | None = None,
    *,
    label: str = "tasks",
    resources: Mapping[str, float] | None = None,
) -> list[store.Result]:
    """Return the stored result of `function(**setting)` for every setting, computing what is missing in parallel.

    Files are the only truth: a call that was interrupted goes on where it stopped, and the number of processes has no
    influence on a result. Each task runs on one thread.

    Args:
        function: As for `store.get_or_compute`.
        settings: Keyword arguments, one mapping for each task.
        cluster: None for this machine; else the address or the scheduler file of a Dask cluster.
        label: What the tasks are, for the progress on stderr.
        resources: On a cluster, what a worker has to offer for a task, such as {"GPU": 1}; of no effect here.
    Returns:
        The results, in the order of the settings.
    Raises:
        UserError: If a worker process dies, or as for `cluster.computed_on`. What an error in one task does not touch
            is kept.
    """
    tasks = [dict(setting) for setting in settings]
    missing = [task for task in tasks if not store.path_of(function, task).is_file()]
    if missing:
        if cluster is None:
            done = _computed(function, missing, label)
        else:
            done = computed_on(cluster, function, missing, resources=resources)
        _show_progress(done, len(missing), label)
    return [store.get_or_compute(function, task) for task in tasks]


def _show_progress(done: Iterator[None], count: int, label: str) -> None:
    """Go through what yields once per task, and tell how many are done and how long the rest will take."""
    began = time.monotonic()
    _report(f"0 of {count} {label}")
    for number, _ in enumerate(done, start=1):
        left = (time.monotonic() - began) / number * (count - number)
        _report(f"{number} of {count} {label}, about {left:.0f} s left" if number < count else "")


def _computed(function: Callable[..., store.Result], tasks: list[dict[str, Any]], label: str) -> Iterator[None]:
    """Compute tasks in processes of this machine, and yield once for each that is done."""
    # Not forked from here: forking a process that runs threads (a kernel does) may lock up. A server without threads is
    # started once, imports what the tasks need, and is forked for each worker.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", function.__module__])
    number = min(workers(), len(tasks))
    pool = ProcessPoolExecutor(number, mp_context=context, initializer=_begin_worker, initargs=(dict(os.environ),))
    try:
        for future in as_completed([pool.submit(_compute_one, function, task) for task in tasks]):
            future.result()
            yield
    except BrokenProcessPool:
        raise UserError(
            f"A process that computed {label} died, perhaps for lack of memory. What was done is kept: run again, "
            f"with {workspace.WORKERS}=1 if memory is short."
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _compute_one(function: Callable[..., store.Result], task: dict[str, Any]) -> None:
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
