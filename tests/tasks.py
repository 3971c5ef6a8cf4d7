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


def refuses(count):
    """Fail as a task does whose input is wrong."""
    from shapeofloss.errors import UserError

    raise UserError(f"No squares of {count} numbers: give 1 or more.")
