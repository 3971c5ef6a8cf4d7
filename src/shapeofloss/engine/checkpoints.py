"""The state of a long task on disk, so that one that was interrupted goes on where it stopped."""

import hashlib
import io
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapeofloss.files import replacing, results_go_to, temporary_of

SECONDS = 60.0  # between two states; a quicker task leaves none
DIGEST = 32  # bytes of the checksum, which come first
SHARE = 0.05  # of the time, at most, that is spent on writing


class Checkpoint:
    """A file with the last state of a task: whole or absent, without pickle. One task at a time has it.

    Args:
        path: File that ends in `.npz`.
        every: Least number of seconds between two states.
    """

    def __init__(self, path: Path, *, every: float = SECONDS) -> None:
        self._path, self._every = path, every
        self._last, self._cost = time.monotonic(), 0.0

    def load(self) -> dict[str, NDArray[Any]] | None:
        """Return the last state; None if there is none. A damaged one is reported on stderr and not used."""
        if not self._path.is_file():
            return None
        try:
            content = self._path.read_bytes()
            if hashlib.sha256(content[DIGEST:]).digest() != content[:DIGEST]:
                raise ValueError
            with np.load(io.BytesIO(content[DIGEST:]), allow_pickle=False) as state:
                return {name: state[name] for name in state.files}
        except (OSError, ValueError):
            print(f"The checkpoint {self._path.name} is damaged: its task begins anew.", file=sys.stderr)
            return None

    def due(self) -> bool:
        """Tell whether it is time for another state."""
        return time.monotonic() - self._last >= max(self._every, self._cost / SHARE)

    def save(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Write a state in place of the last one.

        Raises:
            UserError: If the folder, or the disk, takes no file.
        """
        began = time.monotonic()
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **dict(state))
        with results_go_to(self._path.parent), replacing(self._path, alone=True) as file:
            file.write(hashlib.sha256(buffer.getbuffer()).digest())
            file.write(buffer.getbuffer())
        self._last = time.monotonic()
        self._cost = self._last - began

    def remove(self) -> None:
        """Delete the state, once the task is done."""
        for path in (self._path, temporary_of(self._path)):
            path.unlink(missing_ok=True)
