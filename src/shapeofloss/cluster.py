"""Independent heavy tasks on a Dask cluster, each with its own stored result.

Files in a data folder that all machines share are the only truth: the scheduler hands out tasks, and a worker stores
what it computes, so that no result travels through the scheduler.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from shapeofloss import store, workspace
from shapeofloss.errors import UserError

WAIT = 10.0  # seconds for the scheduler, and again for a worker


def computed_on(
    cluster: str,
    function: Callable[..., store.Result],
    tasks: Sequence[Mapping[str, Any]],
    *,
    resources: Mapping[str, float] | None = None,
) -> Iterator[None]:
    """Compute tasks on a cluster, one Dask task each, and yield once for each that is done.

    A task whose worker dies is given to another one; what was stored stays stored.

    Args:
        cluster: Address of the scheduler, such as `tcp://127.0.0.1:8786`, or the path of its scheduler file.
        function: As for `store.get_or_compute`.
        tasks: Keyword arguments of each.
        resources: What a worker has to offer for a task, such as {"GPU": 1}.
    Raises:
        UserError: If Dask is not installed, there is no scheduler or no worker that would do, a worker runs other code
            or does not share the data folder, or a task brings down one worker after another.
    """
    try:
        import distributed
    except ImportError:
        raise UserError("A cluster needs Dask: pip install -e '.[cluster]' -c pins.txt.") from None
    client, expected = _connected(cluster), {}
    try:
        _wait_for_worker(client, resources or {}, cluster)
        for task in tasks:
            path = store.path_of(function, task)
            future = client.submit(
                compute_here, function, dict(task), key=f"shapeofloss-{path.stem}", pure=False, resources=resources
            )
            expected[future.key] = (future, path)
        for future in distributed.as_completed([future for future, _ in expected.values()], loop=client.loop):
            try:
                name = future.result()
            except distributed.KilledWorker:
                raise UserError(
                    "A task ended one worker after another, perhaps for lack of memory. What was done is kept: run "
                    "again with larger workers."
                ) from None
            path = expected[future.key][1]
            if name != path.stem:
                raise UserError(
                    "A worker runs other code or other versions than this machine, so that its results are others: "
                    "bring its checkout and its environment up to date, and start it again."
                )
            if not path.is_file():
                raise UserError(
                    f"A worker stored a result that is not in {path.parents[1]}: let SHAPEOFLOSS_DATA point to one "
                    "folder that all machines share."
                )
            yield
    finally:
        client.cancel([future for future, _ in expected.values()])
        client.close()


def compute_here(function: Callable[..., store.Result], task: Mapping[str, Any]) -> str:
    """Compute a task on one thread of this worker, store its result, and return the name of the entry."""
    workspace.use_one_thread()
    store.get_or_compute(function, task)
    return store.path_of(function, task).stem


def _connected(cluster: str) -> Any:
    import distributed

    if "://" not in cluster:
        try:
            cluster = json.loads(Path(cluster).read_text(encoding="utf-8"))["address"]
        except OSError:
            raise UserError(
                f"There is no scheduler file {cluster}, and it is no address either: write one such as "
                "tcp://127.0.0.1:8786, or the path that `--scheduler-file` was given."
            ) from None
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{cluster} is no scheduler file: give the one that `--scheduler-file` wrote.") from None
    try:
        return distributed.Client(cluster, timeout=WAIT, set_as_default=False)
    except (OSError, TimeoutError, ValueError):
        raise UserError(
            f"No scheduler answers at {cluster}: start one with `python -m shapeofloss scheduler`."
        ) from None


def _wait_for_worker(client: Any, resources: Mapping[str, float], cluster: str) -> None:
    deadline = time.monotonic() + WAIT
    while True:
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        if any(all(worker["resources"].get(name, 0) >= n for name, n in resources.items()) for worker in workers):
            return
        if time.monotonic() > deadline:
            offered = " ".join(f"{name}={number:g}" for name, number in resources.items())
            option = f' --resources "{offered}"' if offered else ""
            raise UserError(
                f"The cluster has {len(workers)} workers, and none that {'offers ' + offered if offered else 'works'}: "
                f"start one with `dask worker {cluster} --nthreads 1{option}`."
            )
        time.sleep(0.2)
