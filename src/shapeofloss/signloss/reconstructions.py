"""What reconstructions of sequences keep: their directions, their size, their shape."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shapeofloss.arrays import Floats, as_floats


def cumulative_signs(x: ArrayLike) -> Floats:
    """Return the running sum of the signs of the differences along the last axis, from 0; of the shape of `x`.

    Source:
        Directional sign loss paper, Fig. 2b.
    Example:
        >>> cumulative_signs([1.0, 3.0, 2.0, 2.0, 5.0]).tolist()
        [0.0, 1.0, 0.0, 0.0, 1.0]
    """
    x = as_floats(x, "x")
    return np.cumsum(np.sign(np.diff(x, prepend=x[..., :1])), axis=-1)


def relative_size(results: Iterable[Mapping[str, NDArray[Any]]]) -> list[float]:
    """Return the root mean square of each result's `reconstruction` over that of its `original`."""
    return [float(np.sqrt(np.mean(r["reconstruction"] ** 2) / np.mean(r["original"] ** 2))) for r in results]


def explained_share(results: Iterable[Mapping[str, NDArray[Any]]]) -> list[float]:
    """Return the share of the sum of squares of each result's `original` that its `reconstruction` explains."""
    return [float(1 - np.sum((r["original"] - r["reconstruction"]) ** 2) / np.sum(r["original"] ** 2)) for r in results]
