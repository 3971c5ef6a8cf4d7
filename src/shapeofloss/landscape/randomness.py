"""Random numbers that follow from a seed and a purpose."""

import numpy as np
import torch


def generator_for(seed: int, purpose: str) -> torch.Generator:
    """Return a fresh generator on the CPU whose numbers depend on the seed and the purpose only.

    One generator for each purpose keeps them apart: drawing more numbers for one does not shift another.

    Args:
        seed: Not negative.
        purpose: A word, such as "direction".
    Example:
        >>> torch.equal(*(torch.rand(3, generator=generator_for(0, "direction")) for _ in range(2)))
        True
    """
    sequence = np.random.SeedSequence([seed, *purpose.encode()])
    return torch.Generator().manual_seed(int(sequence.generate_state(1, np.uint64)[0]))
