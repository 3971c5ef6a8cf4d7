"""How a loss curves at a point in parameter space: extreme eigenvalues, trace, and along filters' own lengths."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from shapeofloss.arrays import as_count, as_seeds
from shapeofloss.errors import UserError
from shapeofloss.landscape.directions import direction_of
from shapeofloss.landscape.ensembles.base import Batch, Loss, cross_entropy, loss_and_accuracy, set_mode, untouched
from shapeofloss.landscape.minima import ImageSet, at_minimum
from shapeofloss.landscape.networks import Architecture
from shapeofloss.landscape.parameters import flatten, load_parameters, trained_parameters
from shapeofloss.landscape.randomness import generator_for
from shapeofloss.landscape.surroundings import as_steps, check_network

Product = Callable[[Tensor], Tensor]


def hessian_product(model: nn.Module, loss: Loss, batch: Batch) -> Product:
    """Return the function that multiplies a vector with the Hessian of the loss where the model is.

    The second derivatives are those of automatic differentiation: where the loss has a kink, which ReLU makes, the kink
    itself does not count.

    Args:
        model: The network; batch normalisation uses the statistics of the batch, dropout does not act. Afterwards it is
            as it was. Parameters that the loss does not use have a product of zero.
        loss: As for `samplers.sample_around`.
        batch: All examples.
    Returns:
        A function of a vector of shape (P,), of the model's type, to a product of this shape, for as long as the
        parameters are not changed.
    Raises:
        UserError: If the loss is no scalar tensor, or has no gradient at all; by the function, if the vector has
            another shape.
    """
    check_network(model, loss)
    parameters = list(trained_parameters(model).values())
    # Other ways to compute attention have no second derivatives.
    with torch.enable_grad(), untouched(model), sdpa_kernel(SDPBackend.MATH):
        set_mode(model, training=False)
        value, _ = loss_and_accuracy(loss, model, batch)
        if not value.requires_grad:
            raise UserError("The loss does not depend on the parameters in a way that PyTorch can follow: no detach().")
        slopes = torch.autograd.grad(value, parameters, create_graph=True, materialize_grads=True)
    sizes = [parameter.numel() for parameter in parameters]
    curved = [number for number, slope in enumerate(slopes) if slope.requires_grad]

    def product(vector: Tensor) -> Tensor:
        if vector.shape != (sum(sizes),):
            raise UserError(f"The vector has shape {tuple(vector.shape)}; ({sum(sizes)},) is needed.")
        if not curved:  # a loss that is linear in its parameters
            return torch.zeros_like(vector)
        parts = [part.view_as(p) for part, p in zip(vector.split(sizes), parameters, strict=True)]
        bent = torch.autograd.grad(
            [slopes[n] for n in curved],
            parameters,
            [parts[n] for n in curved],
            retain_graph=True,
            materialize_grads=True,
        )
        return torch.cat([part.flatten() for part in bent])

    return product


def extreme_eigenvalues(product: Product, start: Tensor, *, iterations: int) -> tuple[float, float]:
    """Return the smallest and the largest eigenvalue of a symmetric matrix, by Lanczos' method.

    Args:
        product: Multiplies a vector of shape (P,) with the matrix.
        start: First vector, shape (P,), in general position.
        iterations: Products to take, at least 1; the extremes are approached from inside.
    Raises:
        UserError: If there is no iteration, the start is no vector with a direction, or a product is not finite.
    Example:
        >>> matrix = torch.diag(torch.tensor([-1.0, 2.0, 5.0]))
        >>> low, high = extreme_eigenvalues(lambda v: matrix @ v, torch.ones(3), iterations=3)
        >>> round(low, 4), round(high, 4)
        (-1.0, 5.0)
    """
    as_count(iterations, "iterations")
    first = start.cpu().double()  # on the CPU: some devices have no double precision
    if first.dim() != 1 or not 0 < float(first.norm()) < np.inf:
        raise UserError("The start is no vector, zero, or not finite, and has no direction: draw it at random.")
    basis = [first / first.norm()]
    diagonal: list[float] = []
    beside: list[float] = []
    for _ in range(iterations):
        following = product(basis[-1].to(start)).cpu().double()
        scale = following.norm()
        if not torch.isfinite(scale):
            raise UserError("A product with the matrix is not finite, so that it has no eigenvalues.")
        diagonal.append(float(following @ basis[-1]))
        for earlier in basis * 2:  # once is not enough in floating point
            following = following - (following @ earlier) * earlier
        beside.append(float(following.norm()))
        if beside[-1] <= 1e-10 * scale:
            break  # the vectors so far span all that the start can reach
        basis.append(following / beside[-1])
    off = np.array(beside[: len(diagonal) - 1])
    values = np.linalg.eigvalsh(np.diag(diagonal) + np.diag(off, 1) + np.diag(off, -1))
    return float(values[0]), float(values[-1])


def curvature(
    *,
    parameters: NDArray[np.float32],
    architecture: Mapping[str, Any],
    images: Mapping[str, Any],
    iterations: int,
    probes: int,
    directions: int,
) -> dict[str, Any]:
    """Measure the curvature of the training loss, on unchanged images and without weight decay, at a minimum.

    Args:
        parameters, architecture, images: As for `minima.sample_minimum`.
        iterations: Steps of Lanczos' method.
        probes: Random vectors of signs for the trace (Hutchinson's estimate), at least 2.
        directions: Random filter-normalised directions, with seeds from 0, at least 1.
    Returns:
        What the store keeps, in nats: `smallest` and `largest` eigenvalue of the Hessian, `trace` and its standard
        error over the probes `trace_error`, and `normalised`, the mean second derivative along the filter-normalised
        directions.
    Raises:
        UserError: If a number is too small or no whole one, or as for `hessian_product` and `extreme_eigenvalues`.
    Source:
        Section 4.4 of the loss-landscape paper speaks of flat regions without measuring them.
    """
    as_count(probes, "probes", at_least=2)  # or the trace would have no error
    as_count(directions, "directions")
    as_count(iterations, "iterations")
    model, _, batch = at_minimum(parameters, Architecture(**architecture), ImageSet(**images))
    product = hessian_product(model, cross_entropy, batch)
    smallest, largest = extreme_eigenvalues(product, _noise(model, 0), iterations=iterations)
    signs = [torch.sign(_noise(model, 1 + n)) for n in range(probes)]
    traces = [float(product(sign) @ sign) for sign in signs]
    ways = [direction_of(model, seed) for seed in range(directions)]
    return {
        "smallest": smallest,
        "largest": largest,
        "trace": float(np.mean(traces)),
        "trace_error": float(np.std(traces, ddof=1) / np.sqrt(probes)),
        "normalised": float(np.mean([float(product(way) @ way) for way in ways])),
    }


def curvature_at_jumps(
    *,
    parameters: NDArray[np.float32],
    architecture: Mapping[str, Any],
    images: Mapping[str, Any],
    seeds: Sequence[int],
    steps: Sequence[float],
    iterations: int,
) -> dict[str, Any]:
    """Measure extreme eigenvalues of the training loss's Hessian where jumps from a minimum lead.

    Args:
        parameters, architecture, images: As for `minima.sample_minimum`.
        seeds, steps: Directions and lengths of the jumps, as for jump and retrain.
        iterations: Steps of Lanczos' method.
    Returns:
        What the store keeps: `smallest` and `largest` eigenvalues, shape (seeds * steps,), in nats.
    Raises:
        UserError: If the seeds or steps are no lists of different numbers, or as for `curvature`.
    """
    seeds, steps = as_seeds(seeds), as_steps(steps)
    model, _, batch = at_minimum(parameters, Architecture(**architecture), ImageSet(**images))
    optimum = flatten(model)
    ways = {seed: direction_of(model, seed) for seed in seeds}
    extremes = []
    for seed, step in itertools.product(seeds, steps):
        load_parameters(model, optimum + step * ways[seed])
        product = hessian_product(model, cross_entropy, batch)
        extremes.append(extreme_eigenvalues(product, _noise(model, 0), iterations=iterations))
    smallest, largest = np.array(extremes).T
    return {"smallest": smallest, "largest": largest}


def _noise(model: nn.Module, seed: int) -> Tensor:
    """Return a normal vector of a seed, of the shape and type of the model's parameters."""
    like = flatten(model)
    return torch.randn(like.shape, generator=generator_for(seed, "curvature")).to(like)
