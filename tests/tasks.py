"""Tasks for the tests of the store and of `compute.map`: quick, with an answer in closed form."""

import os
import time
from pathlib import Path

import numpy as np


def squares(count, scale=1.0, sleep=0.0):
    """Return arrays and values, and leave a mark for each computation."""
    folder = Path(os.environ["TEST_MARKS"])
    (folder / f"began-{count}-{os.getpid()}").touch()
    if sleep < 0:
        os._exit(9)  # as the kernel does to a process that takes too much memory
    time.sleep(sleep)
    return {"values": scale * np.arange(count) ** 2, "mean": scale * (count - 1) * (2 * count - 1) / 6, "name": "θ"}


def uniform(seed, count, low=0.0):
    """Draw numbers."""
    return {"values": np.random.default_rng(seed).uniform(low, 1.0, count)}


def refuses(count):
    """Fail as a task does whose input is wrong."""
    from shapeofloss.errors import UserError

    raise UserError(f"No squares of {count} numbers: give 1 or more.")


def interrupted(count, checkpoint=None):
    """Compute squares one by one, and be interrupted once in the middle."""
    state = checkpoint.load()
    values = [] if state is None else state["values"].tolist()
    while len(values) < count:
        (Path(os.environ["TEST_MARKS"]) / f"square-{time.monotonic_ns()}").touch()
        values.append(len(values) ** 2)
        checkpoint.save({"values": np.array(values)})
        if state is None and len(values) == 2:
            raise KeyboardInterrupt
    return {"values": np.array(values)}
