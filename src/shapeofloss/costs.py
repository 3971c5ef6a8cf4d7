"""What a computation costs: its time on one thread, and the memory that it needs beyond its arguments."""

import ctypes
import gc
import resource
import time
import tracemalloc
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from shapeofloss.errors import UserError


def seconds(call: Callable[[], Any], *, repeats: int = 5) -> float:
    """Return the median time of a call in seconds, after one that does not count."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


class _Watch(TorchDispatchMode):
    """Follows which storages operations make, and when they are gone."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()
        self.now = self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation, and count the storages that it returns and that are new."""
        given = {id(t.untyped_storage()) for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)}
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                if id(storage) not in given and storage not in self.seen:
                    self.seen.add(storage)
                    self.now += storage.nbytes()
                    self.peak = max(self.peak, self.now)
                    weakref.finalize(storage, self._gone, storage.nbytes())
        return result

    def _gone(self, size: int) -> None:
        self.now -= size


def peak_of_tensors(call: Callable[[], Any]) -> int:
    """Return the most bytes of tensors that operations had made and not yet given up during a call.

    What an operation needs inside, between its arguments and its results, is not seen.

    Example:
        >>> peak_of_tensors(lambda: torch.zeros(1000) + 1)
        8000
    """
    with _Watch() as watch:
        call()
    return watch.peak


def peak_of_arrays(call: Callable[[], Any]) -> int:
    """Return the most bytes that NumPy and Python had allocated at once during a call, beyond what they had before.

    Example:
        >>> peak_of_arrays(lambda: np.zeros(1000)) >= 8000
        True
    """
    call()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        call()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def peak_of_process(call: Callable[[], Any]) -> int:
    """Return by how many bytes the resident memory of the process rose above its start, at most, during a call.

    What compiled code allocates is seen, too, in pages; what the allocator had kept from before is given back first. A
    megabyte is about the least that it can tell from nothing, and one page the least that it returns.

    Raises:
        UserError: If the system has no resettable record of it, as only Linux has.
    """
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not reset.exists():
        raise UserError("The peak of resident memory can be read on Linux only.")
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    reset.write_text("5", encoding="utf-8")  # the record starts anew
    before = _kilobytes(status, "VmRSS")
    kept = call()  # until the record is read
    peak = _kilobytes(status, "VmHWM")
    del kept
    return max(1024 * (peak - before), resource.getpagesize())


def _kilobytes(status: Path, name: str) -> int:
    return int(
        next(line.split()[1] for line in status.read_text(encoding="utf-8").splitlines() if line.startswith(name))
    )


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Return b of the least-squares line log(value) = a + b log(size).

    Example:
        >>> round(exponent([1, 2, 4], [3, 12, 48]), 6)
        2.0
    """
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])
