"""The directional sign loss with its gradient, beside a mean squared error with its own, on one thread."""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from shapeofloss.signloss import directional_sign_loss

SHAPES = {"1d": (1024, 2048), "2d": (32, 3, 256, 256), "3d": (64, 8, 64, 64)}
TYPES = {"single": torch.float32, "double": torch.float64}


@cache
def arrays(shape: str, dtype: str) -> tuple[Tensor, Tensor]:
    """Return two arrays of normal numbers; the first wants a gradient."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn((2, *SHAPES[shape]), generator=generator, dtype=TYPES[dtype])
    return x.requires_grad_(), y


def _gradient(loss: Callable[[Tensor, Tensor], Tensor], shape: str, dtype: str) -> None:
    x, y = arrays(shape, dtype)
    torch.autograd.grad(loss(x, y), x)


def directional(shape: str, dtype: str) -> None:
    """Find the directional sign loss and its gradient."""
    _gradient(lambda x, y: directional_sign_loss(x, y, sharpness=3.0), shape, dtype)


def squared(shape: str, dtype: str) -> None:
    """Find the mean squared error and its gradient."""
    _gradient(torch.nn.functional.mse_loss, shape, dtype)
