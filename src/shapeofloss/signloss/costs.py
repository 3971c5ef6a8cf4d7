"""What a computation costs: its time on one thread, and the memory that it needs beyond its arguments."""

import time
import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch.profiler import ProfilerActivity, profile


def seconds(call: Callable[[], Any], *, repeats: int = 5) -> float:
    """Return the median time of a call in seconds, after one that does not count."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def peak_of_tensors(call: Callable[[], Any]) -> int:
    """Return the most bytes that PyTorch had allocated at once during a call, beyond what it had before.

    The call is made once before, so that what is set up once does not count.

    Example:
        >>> import torch
        >>> peak_of_tensors(lambda: torch.zeros(1000) + 1) >= 8000
        True
    """
    call()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as watched:
        kept = call()
    del kept
    results = watched.profiler.kineto_results
    changes = sorted((event.start_ns(), event.nbytes()) for event in results.events() if event.name() == "[memory]")
    return int(max(np.cumsum([size for _, size in changes]), default=0))


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


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Return b of the least-squares line log(value) = a + b log(size).

    Example:
        >>> round(exponent([1, 2, 4], [3, 12, 48]), 6)
        2.0
    """
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])
