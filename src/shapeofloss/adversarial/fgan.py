"""f-GAN: a row of the table of f-divergences as an adversarial objective."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import softplus

from shapeofloss.adversarial.divergences import LOG_2, row
from shapeofloss.adversarial.objectives import Objective
from shapeofloss.arrays import as_tensor


def _pearson_charge(v: Tensor) -> Tensor:
    inner = v.clamp(min=-2)  # the conjugate is flat below
    return inner.square() / 4 + inner


# By row: T = g(v), and f*(g(v)) simplified by hand. The detour over T would round away what is close to the end of
# the conjugate's domain: for the GAN row in single precision f*(g(18)) is infinite, and softplus(18) is 18.
_FORMS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "kl": (lambda v: v, lambda v: torch.exp(v - 1)),
    "reverse-kl": (lambda v: -torch.exp(-v), lambda v: v - 1),
    "pearson": (lambda v: v, _pearson_charge),
    "hellinger": (lambda v: -torch.expm1(-v), torch.expm1),
    "js": (lambda v: LOG_2 - softplus(-v), lambda v: softplus(v) - LOG_2),
    "gan": (lambda v: -softplus(-v), softplus),
}


def reward(key: str, v: Tensor) -> Tensor:
    """Return T = g(v), the critic's value from its raw output: what it gets for data, any shape.

    For `reverse-kl` and `hellinger` it falls as -exp(-v): below v = -88 it is minus infinity in single precision, and a
    training stops there with a sentence.

    Raises:
        UserError: If there is no such row, or v is no tensor.
    Example:
        >>> reward("hellinger", torch.tensor([0.0])).tolist()
        [0.0]
    """
    return _FORMS[row(key).key][0](as_tensor(v, "v"))


def charge(key: str, v: Tensor) -> Tensor:
    """Return f*(g(v)), what the critic pays for samples, from its raw output, without overflow inside.

    For `kl` and `hellinger` it grows as exp(v), and is infinite above v = 89 in single precision.

    Raises:
        UserError: If there is no such row, or v is no tensor.
    Example:
        >>> charge("gan", torch.tensor([-200.0, 200.0])).tolist()
        [0.0, 200.0]
    """
    return _FORMS[row(key).key][1](as_tensor(v, "v"))


def objective(key: str) -> Objective:
    r"""Return the objective of f-GAN for a row of the table, as a game in which both players want one number.

    .. math:: \min_G \max_v\; E_\pi\, g(v(x)) - E_z\, f^*(g(v(G(z))))

    Args:
        key: Key of the row.
    Raises:
        UserError: If there is no such row.
    Source:
        WGAN lecture, slides on the variational divergence estimation. The f-GAN paper's generator mostly maximises
        g(v) instead, as the non-saturating GAN does; here it lowers what the critic raises.
    Example:
        >>> objective("gan").name
        'f-GAN, GAN'
    """
    return Objective(
        f"f-GAN, {row(key).name}",
        lambda real, fake: charge(key, fake).mean() - reward(key, real).mean(),
        lambda fake: -charge(key, fake).mean(),
    )
