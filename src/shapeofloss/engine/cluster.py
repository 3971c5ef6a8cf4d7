"""Independent heavy tasks on a Dask cluster, each with its own stored result.

Files in a data folder that all machines share are the only truth: the scheduler hands out tasks, and a worker stores
what it computes, so that no result travels through the scheduler.
"""

import asyncio
import json
import logging
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shapeofloss.arrays import as_number
from shapeofloss.engine import store, workspace
from shapeofloss.errors import UserError

WAIT = 10.0  # seconds for the scheduler file, again for the scheduler, and again for a worker
SEEN = 10.0  # seconds until a network folder shows a file that was written elsewhere
GONE = "The scheduler is gone, or gave the tasks up. What was done is kept: start it and the workers again."
SETTINGS = (  # of Dask: also as DASK_DISTRIBUTED__COMM__TLS__CA_FILE and so on
    "set `ca-file`, `client.cert` and `client.key` under `distributed.comm.tls` in Dask's configuration"
)


def computed_on(
    cluster: str | Path,
    calls: Sequence[tuple[Callable[..., store.Result], Mapping[str, Any]]],
    *,
    resources: Mapping[str, float] | None = None,
) -> Iterator[None]:
    """Compute tasks on a cluster, one Dask task each, and yield once for each that is done.

    A task whose worker dies is given to another one; what was stored stays stored.

    Args:
        cluster: Address of the scheduler, such as `tcp://127.0.0.1:8786`, or the path of its scheduler file.
        calls: Pairs of a function, as for `store.get_or_compute`, and its keyword arguments.
        resources: What a worker has to offer for a task, such as {"GPU": 1}.
    Raises:
        UserError: If Dask is not installed; there is no scheduler, it does not accept this machine's certificate, or it
            ends; there is no worker that would do; a worker runs other code or does not share the data folder; or a
            task brings down one worker after another. An error of a task itself arrives as it was.
    """
    try:
        import distributed
    except ImportError:
        raise UserError("A cluster needs Dask: pip install -e '.[cluster]' -c pins.txt.") from None
    if not isinstance(resources or {}, Mapping):
        raise UserError(f'resources is {resources!r}: give names with numbers, such as {{"GPU": 1}}.')
    needed = {
        str(name): as_number(number, f"resources[{name!r}]", above=0) for name, number in (resources or {}).items()
    }
    client, expected = _connected(cluster), {}
    try:
        _wait_for_worker(client, needed, cluster)
        for function, task in calls:
            path = store.path_of(function, task)
            future = client.submit(
                compute_here, function, dict(task), key=f"shapeofloss-{path.stem}", pure=False, resources=needed or None
            )
            expected[future.key] = (future, path)
        for future in distributed.as_completed([future for future, _ in expected.values()], loop=client.loop):
            name, path = _result(future), expected[future.key][1]
            if name != path.stem:
                raise UserError(
                    "A worker runs other code or other versions than this machine, so that its results are others: "
                    "bring its checkout and its environment up to date, and start it again."
                )
            if not _soon(path.is_file, SEEN) or not _soon(path.with_suffix(".npz").is_file, SEEN):
                raise UserError(
                    f"A worker stored a result that is not in {path.parents[1]}: let SHAPEOFLOSS_DATA point to one "
                    "folder that all machines share."
                )
            yield
    finally:
        with _without_log():
            if client.status == "running":
                client.cancel([future for future, _ in expected.values()])
            client.close()


def compute_here(function: Callable[..., store.Result], task: Mapping[str, Any]) -> str:
    """Compute a task on one thread of this worker, store its result, and return the name of the entry."""
    workspace.use_one_thread()
    store.get_or_compute(function, task)
    return store.path_of(function, task).stem


def _result(future: Any) -> str:
    import distributed

    try:
        return str(future.result())
    except distributed.KilledWorker:
        raise UserError(
            "A task ended one worker after another, perhaps for lack of memory. What was done is kept: run again with "
            "larger workers."
        ) from None
    except Exception as error:
        if "deserialization of the task graph" in str(error):
            raise UserError(
                "The scheduler runs other code or other versions than this machine and cannot read the tasks: bring "
                "its checkout and its environment up to date, and start it again."
            ) from None
        if future.status == "error" and not type(error).__module__.startswith("distributed."):
            raise  # the task's own
        raise UserError(GONE) from None


def _connected(cluster: str | Path) -> Any:
    import distributed

    address = _address(cluster)
    try:
        security = distributed.Security()
        arguments = security.get_connection_args("client")
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"The settings for TLS do not work ({error}): {SETTINGS}.") from None
    if address.startswith(("tls:", "wss:")) and arguments["ssl_context"] is None:
        raise UserError(f"{address} needs a certificate: {SETTINGS}.")

    async def knock() -> None:
        comm = await distributed.comm.connect(address, timeout=WAIT, **arguments)
        await comm.close()

    # A client that finds something unexpected may neither give up nor end: a bare connection is tried first. In a
    # thread, since a notebook runs an event loop of its own.
    try:
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, asyncio.wait_for(knock(), WAIT + 1)).result()
        return distributed.Client(address, timeout=WAIT, set_as_default=False, security=security)
    except OSError:
        tls = "or it refuses the certificate" if arguments["ssl_context"] else "or it wants TLS"
        raise UserError(
            f"No scheduler answers at {address}, {tls}: start one with `python -m shapeofloss scheduler`; for TLS, "
            f"{SETTINGS} and write tls:// in the address."
        ) from None
    except Exception as error:
        raise UserError(
            f"{address} is no scheduler that would do ({error}): give an address such as "
            "tcp://127.0.0.1:8786, and the scheduler the same environment as here."
        ) from None


def _address(cluster: str | Path) -> str:
    """Return an address as it is, and that of a scheduler file; a scheduler just started may still have to write it."""
    if not isinstance(cluster, str | Path):
        raise UserError(f"cluster is {cluster!r}: give the address of a scheduler, or the path of its scheduler file.")
    if "://" in str(cluster):
        return str(cluster)
    _soon(Path(cluster).exists, WAIT)
    try:
        address = json.loads(Path(cluster).read_text(encoding="utf-8"))["address"]
    except OSError:
        raise UserError(
            f"There is no scheduler file {cluster}, and it is no address either: write one such as "
            "tcp://127.0.0.1:8786, or the path that `--scheduler-file` was given."
        ) from None
    except (ValueError, LookupError, TypeError, RecursionError):
        address = None
    if not isinstance(address, str) or "://" not in address:
        raise UserError(f"{cluster} is no scheduler file: give the one that `--scheduler-file` wrote.")
    return address


def _wait_for_worker(client: Any, resources: Mapping[str, float], cluster: str | Path) -> None:
    def workers() -> list[Mapping[str, Any]]:
        if client.status != "running":
            raise UserError(GONE)
        return list(client.scheduler_info(n_workers=-1).get("workers", {}).values())

    def would_do() -> bool:
        return any(all(worker["resources"].get(name, 0) >= n for name, n in resources.items()) for worker in workers())

    if _soon(would_do, WAIT):
        return
    offered = " ".join(f"{name}={number:g}" for name, number in resources.items())
    place = str(cluster) if "://" in str(cluster) else f"--scheduler-file {shlex.quote(str(cluster))}"
    option = f' --resources "{offered}"' if offered else ""
    raise UserError(
        f"The cluster has {len(workers())} workers, and none that {'offers ' + offered if offered else 'works'}: "
        f"start one with `python -m shapeofloss worker {place}{option}`."
    )


@contextmanager
def _without_log() -> Iterator[None]:
    """Keep Dask's client from writing a traceback for each connection that it gives up."""
    log = logging.getLogger("distributed.client")
    log.disabled, before = True, log.disabled
    try:
        yield
    finally:
        log.disabled = before


def _soon(condition: Callable[[], bool], seconds: float) -> bool:
    """Return whether a condition comes true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True
