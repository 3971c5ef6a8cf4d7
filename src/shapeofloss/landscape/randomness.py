"""Random numbers that follow from a seed and a purpose, and the state of the generators that all code shares."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

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


def random_state(device: torch.device) -> list[Tensor]:
    """Return the state of PyTorch's generators on the CPU and on a device, for `set_random_state`."""
    if device.type == "cpu":
        return [torch.get_rng_state()]
    module = torch.get_device_module(device)
    return [torch.get_rng_state(), module.get_rng_state() if device.type == "mps" else module.get_rng_state(device)]


def set_random_state(device: torch.device, state: list[Tensor]) -> None:
    """Put PyTorch's generators on the CPU and on a device back into a state."""
    torch.set_rng_state(state[0])
    if device.type != "cpu":
        module = torch.get_device_module(device)
        module.set_rng_state(state[1]) if device.type == "mps" else module.set_rng_state(state[1], device)


@contextmanager
def shared_generators_kept(device: torch.device) -> Iterator[None]:
    """Give back the generators that all code shares, of PyTorch, NumPy and Python, in the state that they were in."""
    state, others, python = random_state(device), np.random.get_state(), random.getstate()
    try:
        yield
    finally:
        set_random_state(device, state)
        np.random.set_state(others)
        random.setstate(python)
