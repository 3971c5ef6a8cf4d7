"""What is looked at and kept during a training."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from shapeofloss.arrays import Floats, as_count, as_function
from shapeofloss.errors import UserError


@dataclass(frozen=True)
class Watch:
    """What is looked at during a training, and how often.

    Attributes:
        look: From the number of steps done to numbers or arrays by name, always of the same names and shapes. Random
            numbers that it needs are its own, so that watching changes nothing.
        every: After how many steps, and once before the first one; at least 1.

    Raises:
        UserError: If `look` is no function, or `every` no such number.
    """

    look: Callable[[int], Mapping[str, ArrayLike | Tensor]]
    every: int

    def __post_init__(self) -> None:
        as_function(self.look, "look", example='lambda done: {"done": done}')
        as_count(self.every, "every")


@dataclass(frozen=True, eq=False)
class History:
    """What happened in a training of S steps.

    Attributes:
        value: The critic's value on its last batch in each step, without penalty, shape (S,).
        norm: Mean gradient norm on the penalised points of that batch, shape (S,); NaN without a penalty.
        generator_loss: Shape (S,); NaN if only the critic was trained.
        at: The numbers of steps done when something was recorded, from 0, shape (R,).
        watched: By name, what was recorded then, each of shape (R, ...).
    """

    value: Floats
    norm: Floats
    generator_loss: Floats
    at: NDArray[np.int64]
    watched: dict[str, NDArray[Any]]


class Log:
    """Collects a history."""

    def __init__(self, steps: int, watch: Watch | None) -> None:
        if not isinstance(watch, Watch | None):
            raise UserError(f"The watch is {watch!r}; Watch(look, every) or None is needed.")
        self.value, self.norm, self.generator_loss = (np.full(steps, math.nan) for _ in range(3))
        self.watch = watch
        self.at: list[int] = []
        self.rows: list[dict[str, NDArray[Any]]] = []
        self.record(0)

    def record(self, done: int) -> None:
        """Ask the watch if it is time."""
        if self.watch is None or done % self.watch.every:
            return
        with torch.random.fork_rng(devices=[]):
            seen = self.watch.look(done)
        if not isinstance(seen, Mapping):
            raise UserError(f"The watch gives {seen!r}; a dict from names to numbers or arrays is needed.")
        # Copies, since an array may change as training goes on.
        row = {
            name: np.array(values.detach().cpu().numpy() if isinstance(values, Tensor) else values)
            for name, values in seen.items()
        }
        if self.rows and _shapes(row) != _shapes(self.rows[0]):
            raise UserError(
                f"The watch gives {_shapes(row)} after {done} steps, and gave {_shapes(self.rows[0])} at first; "
                "names and shapes have to stay."
            )
        self.at.append(done)
        self.rows.append(row)

    def history(self) -> History:
        """Return all of it as arrays."""
        names = self.rows[0] if self.rows else ()
        watched = {name: np.stack([row[name] for row in self.rows]) for name in names}
        return History(self.value, self.norm, self.generator_loss, np.array(self.at, dtype=np.int64), watched)


def _shapes(row: dict[str, NDArray[Any]]) -> dict[str, tuple[int, ...]]:
    return {name: values.shape for name, values in row.items()}
