r"""The soft distance transform on a regular grid of points, where it splits into one-dimensional ones.

.. math:: f(x) = -\varepsilon \log \sum_y \exp(h(y) - \lVert x - y \rVert^2 / 2 \varepsilon)

With the squared distance the kernel is a product over the axes, so that a grid of n^D points takes D n^(D + 1) terms
instead of n^(2 D).
"""

import numpy as np
import torch
from torch import Tensor

from shapeofloss.arrays import Floats, as_number, as_tensor
from shapeofloss.errors import UserError
from shapeofloss.transport.entropic.softmin import CLAMP


def grid_points(shape: tuple[int, ...]) -> Floats:
    """Return the points of a grid of spacing 1, row by row, shape (product of `shape`, D).

    Example:
        >>> grid_points((1, 2)).tolist()
        [[0.0, 0.0], [0.0, 1.0]]
    """
    return np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1).reshape(-1, len(shape)).astype(float)


def check_transform(h: Tensor, eps: float) -> float:
    """Return the temperature of a transform as a float, once h and eps are found to be some.

    Raises:
        UserError: If eps is not above 0, or so small that the kernel's exponents overflow; the grid is empty, h is no
            tensor of real numbers, or holds NaN, plus infinity, or nothing but minus infinity.
    """
    eps = as_number(eps, "The temperature eps", above=0)
    if not as_tensor(h, "h").is_floating_point():
        raise UserError(f"h holds numbers of type {h.dtype}; real ones are needed: torch.float64.")
    if not h.numel():
        raise UserError(f"The grid has shape {tuple(h.shape)}; it needs at least one point.")
    smallest = max(h.shape, default=1) ** 2 / torch.finfo(h.dtype).max
    if eps < smallest:
        raise UserError(f"The temperature eps is {eps}; squared distances over it overflow below {smallest}.")
    if not torch.isfinite(h.max()):
        raise UserError("h needs entries that are finite or minus infinity, at least one of them finite.")
    return eps


def separable_transform(h: Tensor, *, eps: float) -> Tensor:
    """Return the transform of h on a grid of spacing 1, one axis after the other, in the logarithm throughout.

    Args:
        h: Any number of dimensions, entries finite or minus infinity (no mass), not all of the latter.
        eps: Temperature, above 0, in squares of the spacing.
    Returns:
        f, in squares of the spacing, of the shape of h.
    Raises:
        UserError: As for `check_transform`.
    Source:
        Optimal transport talk, slide "Remark 1: a streamlined algorithm".
    Example:
        >>> separable_transform(torch.tensor([0.0, -torch.inf, -torch.inf]), eps=2.0)
        tensor([-0.0000, 0.5000, 2.0000])
    """
    eps = check_transform(h, eps)
    for axis, length in enumerate(h.shape):
        place = torch.arange(length, dtype=h.dtype, device=h.device)
        kernel = -((place[:, None] - place) ** 2) / (2 * eps)  # (to, from)
        terms = h.movedim(axis, -1)[..., None, :] + kernel
        lowest = torch.finfo(h.dtype).min
        largest = terms.amax(-1).clamp(min=lowest)  # a row without mass: its sum is 0, not what infinities leave
        sums = (terms - largest[..., None]).clamp_(min=CLAMP).exp_().sum(-1)
        empty = largest <= lowest
        h = torch.where(empty, -torch.inf, sums.log() + largest).movedim(-1, axis)
    return -eps * h


def fft_transform(h: Tensor, *, eps: float) -> Tensor:
    """Return the transform of h on a grid of spacing 1 by convolving exp(h) with a Gaussian, by FFTs with zero padding.

    The quick way that loses accuracy: an FFT's rounding errors are as large as 1e-16 of the largest sum, everywhere,
    and where the sum is smaller than that its logarithm is noise, or does not exist.

    Args:
        h: Any number of dimensions, entries finite or minus infinity.
        eps: Temperature, above 0, in squares of the spacing.
    Returns:
        f, in squares of the spacing, of the shape of h; NaN where a sum came out negative.
    Raises:
        UserError: As for `check_transform`.
    """
    eps = check_transform(h, eps)
    largest = h.max()
    padded = [2 * length for length in h.shape]
    spectrum = torch.fft.rfftn(torch.exp(h - largest), padded)
    kernel = torch.ones((), dtype=h.dtype)
    for length in padded:
        place = torch.arange(length, dtype=h.dtype)
        kernel = kernel[..., None] * torch.exp(-(torch.minimum(place, length - place) ** 2) / (2 * eps))
    sums = torch.fft.irfftn(spectrum * torch.fft.rfftn(kernel), padded)
    return -eps * (sums[tuple(map(slice, h.shape))].log() + largest)
