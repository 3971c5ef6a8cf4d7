"""What a computation costs: its time on one thread, and the memory that it needs beyond its arguments."""

import ctypes
import gc
import resource
import time
import tracemalloc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from shapeofloss.arrays import as_count, as_floats, as_function
from shapeofloss.errors import UserError


def seconds(call: Callable[[], Any], *, repeats: int = 5) -> float:
    """Return the median time of a call in seconds, after one that does not count.

    Raises:
        UserError: If the call is no function, or repeats are no whole number from 1.
    """
    as_function(call, "call", example="lambda: f(x)"), as_count(repeats, "repeats")
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

    Raises:
        UserError: If the call is no function.
    Example:
        >>> peak_of_tensors(lambda: torch.zeros(1000) + 1)
        8000
    """
    as_function(call, "call", example="lambda: f(x)")
    with _Watch() as watch:
        call()
    return watch.peak


def peak_of_arrays(call: Callable[[], Any]) -> int:
    """Return the most bytes that NumPy and Python had allocated at once during a call, beyond what they had before.

    Raises:
        UserError: If the call is no function.
    Example:
        >>> peak_of_arrays(lambda: np.zeros(1000)) >= 8000
        True
    """
    as_function(call, "call", example="lambda: f(x)")()
    already = tracemalloc.is_tracing()  # by the caller, who wants to go on
    tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        call()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        if not already:
            tracemalloc.stop()


def peak_of_process(call: Callable[[], Any]) -> int:
    """Return by how many bytes the resident memory of the process rose above its start, at most, during a call.

    What compiled code allocates is seen, too, in pages; what the allocator had kept from before is given back first. A
    megabyte is about the least that it can tell from nothing, and one page the least that it returns.

    Raises:
        UserError: If the call is no function, or the system has no record of it that can be reset, as only Linux has,
            and not in every container.
    """
    as_function(call, "call", example="lambda: f(x)")
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not reset.exists():
        raise UserError("The peak of resident memory can be read on Linux only.")
    gc.collect()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):  # of the GNU library only
        trim(0)
    try:
        reset.write_text("5", encoding="utf-8")  # the record starts anew
    except OSError as error:
        raise UserError(
            f"The peak of resident memory cannot be reset here ({error}): run outside of the container."
        ) from None
    before = _kilobytes(status, "VmRSS")
    kept = call()  # until the record is read
    peak = _kilobytes(status, "VmHWM")
    del kept
    return max(1024 * (peak - before), resource.getpagesize())


def _kilobytes(status: Path, name: str) -> int:
    for line in status.read_text(encoding="utf-8").splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    raise UserError(f"{status} has no {name} here: the peak of resident memory cannot be read.")


def exponent(sizes: ArrayLike, values: ArrayLike) -> float:
    """Return b of the least-squares line log(value) = a + b log(size).

    Args:
        sizes: Above 0, shape (N,), at least two different ones.
        values: Above 0, shape (N,).
    Raises:
        UserError: If shapes differ, a number is not above 0, or all sizes are the same.
    Example:
        >>> round(exponent([1, 2, 4], [3, 12, 48]), 6)
        2.0
    """
    sizes = as_floats(sizes, "The list of sizes", shape=("N",))
    values = as_floats(values, "The list of values", shape=(len(sizes),))
    if len(np.unique(sizes)) < 2 or min(sizes.min(), values.min()) <= 0:
        raise UserError(
            f"Sizes are {sizes.tolist()} and values {values.tolist()}; all have to be above 0, and two sizes to differ."
        )
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])
