"""Ensembles: many networks of one architecture, trained and evaluated side by side.

`Plain` works for every model, `Vectorised` for those that `torch.func.vmap` can follow, `Lanes` for wide residual
networks on a CPU. All see the same batches and start from the same parameters; they differ in the order of sums only.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, cast

import torch
from torch import nn

from shapeofloss.engine import compiler
from shapeofloss.errors import UserError, unknown
from shapeofloss.landscape.ensembles.base import Batch, Ensemble, Loss, cross_entropy, untouched
from shapeofloss.landscape.ensembles.lanes import Lanes
from shapeofloss.landscape.ensembles.plain import Plain
from shapeofloss.landscape.ensembles.vectorised import Vectorised
from shapeofloss.landscape.networks import WideResNet

Together = Literal["auto", "lanes", "vectorised", "plain"]
AGREEMENT = 1e-3  # relative, between the gradients of two ways to compute them in single precision

__all__ = ["Batch", "Ensemble", "Lanes", "Loss", "Plain", "Together", "Vectorised", "cross_entropy", "ensemble_of"]


def ensemble_of(model: nn.Module, loss: Loss, count: int, *, example: Batch, together: Together = "auto") -> Ensemble:
    """Return an ensemble of copies of a model, computed in the fastest way that the model allows.

    Args:
        model: The model, which the ensemble will use: wrap what follows in `untouched`.
        loss: As for `samplers.sample_around`.
        count: Number of networks, at least 1.
        example: A batch to try the loss on. "auto" takes the vectorised way if it gives the losses and gradients that
            the plain way gives, for two networks that differ.
        together: "auto", or one way by name.
    Raises:
        UserError: If `together` is unknown, or a way that this model does not allow.
    """
    if together != "auto":
        if together not in WAYS:
            raise unknown("way to train together", together, ["auto", *WAYS])
        if not WAYS[together](model, loss, example):
            raise UserError(f"{type(model).__name__} with this loss cannot be trained as '{together}': use 'auto'.")
    elif fits_lanes(model, loss, example):
        together = "lanes"
    else:
        together = "vectorised" if count > 1 and vectorises(model, loss, example) else "plain"
    match together:
        case "lanes":
            return Lanes(cast(WideResNet, model), count)
        case "vectorised":
            return Vectorised(model, loss, count)
    return Plain(model, loss, count)


def fits_lanes(model: nn.Module, loss: Loss, example: Batch) -> bool:
    """Tell whether `Lanes` can train a model: a wide residual network in single precision on a CPU, and a compiler.

    A trial on the example guards against what was done to the model since: a replaced layer, a hook.
    """
    parameters = list(model.parameters())
    if not (
        type(model) is WideResNet
        and loss is cross_entropy
        and all(p.device.type == "cpu" and p.dtype == torch.float32 and p.requires_grad for p in parameters)
        and compiler.find() is not None
    ):
        return False
    try:
        with untouched(model):
            of = torch.zeros(1, dtype=torch.long)
            ours, _ = Lanes(model, 1).evaluate([example], of)
            others, _ = Plain(model, loss, 1).evaluate([example], of)
    except RuntimeError:  # a label that is no class, say
        return False
    return torch.allclose(ours, others, rtol=AGREEMENT, atol=AGREEMENT)


def vectorises(model: nn.Module, loss: Loss, example: Batch) -> bool:
    """Try both ways on two networks that differ: an operation may be refused, or may ignore its parameters.

    A model that changes its buffers in training is refused: each network needs buffers of its own.
    """
    outcomes = []
    for kind in (Plain, Vectorised):
        try:
            with untouched(model), _slow_rules_refused():
                ensemble, of = kind(model, loss, 2), torch.zeros(2, dtype=torch.long)
                buffers = [buffer.clone() for buffer in model.buffers()]
                ensemble.load(ensemble.theta.detach() * torch.tensor([[1.0], [0.9]]).to(ensemble.theta))
                ensemble.backward([example], of)  # dropout, and what else acts in training only
                if not all(map(torch.equal, buffers, model.buffers())):
                    return False
                losses = ensemble.backward([example], of, dropout=False)
                ensemble.evaluate([example], of)
        except UserError:
            raise
        except (RuntimeError, NotImplementedError, ValueError, TypeError, UserWarning):
            if kind is Plain:
                raise
            return False  # vmap has no rule for one of the operations
        assert ensemble.theta.grad is not None
        outcomes.append((losses, ensemble.theta.grad))
    (losses, gradient), (others, another) = outcomes
    close = torch.allclose(losses, others, rtol=AGREEMENT, atol=AGREEMENT)
    return bool(close and (gradient - another).norm() <= AGREEMENT * gradient.norm())


# What each way asks of a model.
WAYS = {"lanes": fits_lanes, "vectorised": vectorises, "plain": lambda model, loss, example: True}


@contextmanager
def _slow_rules_refused() -> Iterator[None]:
    """Make an error of torch's warning that it goes through networks one by one after all."""
    always = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "There is a performance drop")
            yield
    finally:
        torch.set_warn_always(always)
