"""Random numbers that follow from a seed and a purpose, and the state of the generators that all code shares."""

import random
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
import torch

from shapeofloss.arrays import as_count


def generator_for(seed: int, purpose: str) -> torch.Generator:
    """Return a fresh generator on the CPU whose numbers depend on the seed and the purpose only.

    One generator for each purpose keeps them apart: drawing more numbers for one does not shift another.

    Args:
        seed: Not negative.
        purpose: A word, such as "direction".
    Raises:
        UserError: If the seed is negative, or no whole number.
    Example:
        >>> torch.equal(*(torch.rand(3, generator=generator_for(0, "direction")) for _ in range(2)))
        True
    """
    sequence = np.random.SeedSequence([as_count(seed, "A seed", at_least=0), *purpose.encode()])
    return torch.Generator().manual_seed(int(sequence.generate_state(1, np.uint64)[0]))


def random_state(devices: Iterable[torch.device] = ()) -> Callable[[], None]:
    """Return a function that puts the generators of PyTorch, NumPy and Python back to where they are now.

    Args:
        devices: Whose generators count beside that of the CPU.
    """
    states: list[tuple[Callable[[Any], object], Any]] = [
        (torch.set_rng_state, torch.get_rng_state()),
        (np.random.set_state, np.random.get_state()),
        (random.setstate, random.getstate()),
    ]
    for device in set(devices):
        if device.type == "cuda":
            states.append((partial(torch.cuda.set_rng_state, device=device), torch.cuda.get_rng_state(device)))
        elif device.type == "mps":
            states.append((torch.mps.set_rng_state, torch.mps.get_rng_state()))

    def restore() -> None:
        for put, state in states:
            put(state)

    return restore


def seed_all(seed: int) -> None:
    """Seed the generators of PyTorch, NumPy and Python: a loss or a data set may draw from any."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)
