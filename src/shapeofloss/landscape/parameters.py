"""A network's parameters as one vector."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shapeofloss.errors import UserError


def trained_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that are not frozen, by name; tied ones once.

    Raises:
        UserError: If all are frozen.
    """
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if not trained:
        raise UserError("Every parameter of the network is frozen: set requires_grad where its loss is to be explored.")
    return trained


def flatten(model: nn.Module) -> Tensor:
    """Copy the parameters that are not frozen, in their order and without buffers, into one vector of shape (P,)."""
    return nn.utils.parameters_to_vector(trained_parameters(model).values()).detach()


def load_parameters(model: nn.Module, flat: Tensor | NDArray[np.float32]) -> None:
    """Copy a vector of shape (P,) into the parameters that are not frozen; later training leaves the vector alone.

    Args:
        model: The network, changed in place.
        flat: Real numbers. Values that are not finite are taken, too: a training may have led there.
    Raises:
        UserError: If the network has another number of such parameters, or these are no real numbers.
    """
    parameters = list(trained_parameters(model).values())
    try:
        vector = torch.as_tensor(flat)
    except (TypeError, ValueError, RuntimeError):
        raise UserError(f"The parameters are a {type(flat).__name__} that holds no vector of real numbers.") from None
    if vector.is_complex() or vector.dtype == torch.bool:
        raise UserError(f"The parameters are of type {vector.dtype}; real numbers are needed.")
    expected = sum(parameter.numel() for parameter in parameters)
    if vector.shape != (expected,):
        raise UserError(
            f"A vector of shape {tuple(vector.shape)} does not fit a network with {expected} parameters: "
            "build the network with the settings that the vector was trained with."
        )
    for parameter, part in zip(parameters, vector.split([p.numel() for p in parameters]), strict=True):
        parameter.data.copy_(part.view_as(parameter))  # in a way that autograd does not count as a change
