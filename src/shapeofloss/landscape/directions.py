"""Random directions that respect a network's filters, and the jump along one."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from shapeofloss.errors import UserError
from shapeofloss.landscape.parameters import load_parameters, trained_parameters
from shapeofloss.landscape.randomness import generator_for


def filter_normalised_direction(model: nn.Module, generator: torch.Generator) -> list[Tensor]:
    r"""Draw a random direction in which each filter has the length of the network's own filter.

    .. math:: v_f = \frac{|\theta_f|}{|g_f|} g_f, \qquad g_f \sim N(0, 1)

    A filter f is a slice of a parameter tensor along its first dimension; a row of an affine map counts as one. Biases
    and the scales and shifts of normalisations have one dimension and do not move; frozen parameters are left out.

    Args:
        model: A network at the optimum.
        generator: Source of g, on the CPU.
    Returns:
        One tensor for each parameter tensor that is not frozen, of its shape.
    Raises:
        UserError: If no such parameter has two dimensions or more.
    Source:
        Loss-landscape paper, section 3.1, step 1, after Li et al., "Visualizing the loss landscape of neural nets".
    """
    parameters = [parameter.detach() for parameter in trained_parameters(model).values()]
    if all(parameter.dim() < 2 for parameter in parameters):
        raise UserError("This is a network without filters: give one with a parameter of two dimensions or more.")
    return [
        _as_long_as(parameter, torch.randn(parameter.shape, generator=generator).to(parameter))
        if parameter.dim() > 1
        else torch.zeros_like(parameter)
        for parameter in parameters
    ]


def _as_long_as(filters: Tensor, noise: Tensor) -> Tensor:
    """Rescale each slice of the noise to the length of the filter at its place."""
    axes = list(range(1, filters.dim()))
    lengths, noise_lengths = (torch.linalg.vector_norm(tensor, dim=axes, keepdim=True) for tensor in (filters, noise))
    return noise * (lengths / noise_lengths)


def direction_vector(model: nn.Module, generator: torch.Generator) -> Tensor:
    """Return `filter_normalised_direction` as one vector of shape (P,)."""
    return nn.utils.parameters_to_vector(filter_normalised_direction(model, generator))


def direction_of(model: nn.Module, seed: int) -> Tensor:
    """Return the direction of a seed, shape (P,): that of the jumps, and of naive samples and slices."""
    return direction_vector(model, generator_for(seed, "direction"))


def jump(model: nn.Module, optimum: Tensor, direction: Sequence[Tensor], step: float) -> None:
    """Set the parameters to theta_o + step * v; buffers stay.

    Args:
        model: A network, moved in place from wherever it is.
        optimum: Parameters theta_o, shape (P,).
        direction: One tensor for each parameter tensor.
        step: In multiples of the direction.
    Source:
        Loss-landscape paper, section 3.1, step 2, with steps 0.25, 0.5, 0.75 and 1.
    """
    load_parameters(model, optimum + step * nn.utils.parameters_to_vector(direction))
