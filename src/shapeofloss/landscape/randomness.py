"""Random numbers that follow from a seed and a purpose."""

import numpy as np
import torch

from shapeofloss.errors import UserError


def generator_for(seed: int, purpose: str) -> torch.Generator:
    """Return a fresh generator on the CPU whose numbers depend on the seed and the purpose only.

    One generator for each purpose keeps them apart: drawing more numbers for one does not shift another.

    Args:
        seed: Not negative.
        purpose: A word, such as "direction".
    Raises:
        UserError: If the seed is negative.
    Example:
        >>> torch.equal(*(torch.rand(3, generator=generator_for(0, "direction")) for _ in range(2)))
        True
    """
    if seed < 0:
        raise UserError(f"A seed is not negative, unlike {seed}: use 0, 1, 2, ...")
    sequence = np.random.SeedSequence([seed, *purpose.encode()])
    return torch.Generator().manual_seed(int(sequence.generate_state(1, np.uint64)[0]))
