"""Gradients through the layers of deep critics, clipped or penalised."""

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from shapeofloss.adversarial.constraints import Clip
from shapeofloss.adversarial.networks import perceptron
from shapeofloss.adversarial.objectives import WASSERSTEIN
from shapeofloss.adversarial.toy_runs import method_named
from shapeofloss.adversarial.training import Schedule, train_critic
from shapeofloss.arrays import Floats, as_count, as_floats, as_tensor
from shapeofloss.distributions.mixtures import blurred, seeded_source, toy
from shapeofloss.errors import UserError
from shapeofloss.experiments.weight_clipping.weight_clipping import weights


def gradients_through_depth(
    *,
    method: str,
    strength: float,
    distribution: str,
    layers: int,
    width: int,
    steps: int,
    batch: int,
    rate: float,
    points: int,
    seed: int,
) -> dict[str, Any]:
    """Train a deep critic between a distribution and the same plus N(0, I), and return its gradients at every layer.

    Args:
        method, strength: "WGAN" and c, or "WGAN-GP" and lambda.
        distribution: Name of a toy distribution.
        layers: Number of affine maps, at least 3, so that there are two hidden layers to compare.
        width: Values of each hidden layer.
        steps, batch, rate: Steps, batch size and learning rate of the training.
        points: Generated points at which gradients are taken.
        seed: Seed of weights, batches and points.
    Returns:
        "norms", shape (layers,): the mean norm of the score's gradient at the input and at each hidden layer, from the
        input on; "weights", all entries of the matrices; "clamped", the share of them at c or -c, within 1%, right
        after clamping the initial ones, and "edges" after training (both 0 for a penalty).
    """
    way, start = method_named(method), seeded_source(seed)
    critic = perceptron((2, *[width] * (as_count(layers, "layers", at_least=3) - 1), 1), generator=start)
    constraint = way.held(strength)
    data = toy(distribution)
    generated = blurred(data)

    def entries() -> Tensor:
        return torch.cat([matrix.flatten() for matrix in weights(critic)])

    def at_the_edges() -> float:
        return (entries().abs() >= 0.99 * strength).double().mean().item() if isinstance(constraint, Clip) else 0.0

    clamped = at_the_edges()
    schedule = Schedule(steps=steps, batch=batch, seed=seed)
    optimizer = way.optimizer(rate)
    train_critic(critic, data, generated, WASSERSTEIN, schedule, optimizer=optimizer, constraint=constraint)
    norms = layer_norms(critic, generated(points, start))
    return {"norms": norms, "weights": entries().numpy(), "clamped": clamped, "edges": at_the_edges()}


def layer_norms(critic: nn.Sequential, x: Tensor) -> Floats:
    """Return the mean norm of a score's gradient at the input and after each hidden activation, from the input on.

    Args:
        critic: Affine maps with activations between them.
        x: Points, shape (N, D).
    Returns:
        Shape (number of affine maps,).
    """
    if not isinstance(critic, nn.Sequential):
        raise UserError(f"The critic is {critic!r}; a torch.nn.Sequential of layers is needed.")
    # To the CPU first: some devices have no double precision.
    values = as_tensor(x, "x").detach().cpu().double().requires_grad_()
    stops = [values]
    for layer in copy.deepcopy(critic).cpu().double():
        values = layer(values)
        if not isinstance(layer, nn.Linear):
            stops.append(values)
    gradients = torch.autograd.grad(values.sum(), stops)
    return np.array([gradient.norm(dim=1).mean().item() for gradient in gradients])


def factor_per_layer(norms: Floats) -> float:
    """Return the geometric mean of the factors by which gradients change from one hidden layer to the one before it.

    Args:
        norms: As from `layer_norms`; the input, which has another number of values, is left out.
    Raises:
        UserError: If there are fewer than two hidden layers, or a norm is no finite number above 0.
    Example:
        >>> factor_per_layer(np.array([9.0, 4.0, 2.0, 1.0]))
        2.0
    """
    hidden = _hidden(norms)
    return float((hidden[0] / hidden[-1]) ** (1 / (len(hidden) - 1)))


def straightness(norms: Floats) -> float:
    """Return R^2 of a straight line through the logarithms of the norms against the number of the hidden layer.

    Raises:
        UserError: As for `factor_per_layer`, or if all norms are the same, so that there is no variance to explain.
    """
    logs = np.log(_hidden(norms))
    if not np.ptp(logs):
        raise UserError(f"All norms are {norms[1]:g}; R^2 needs some that differ.")
    layer = np.arange(len(logs))
    return float(np.corrcoef(layer, logs)[0, 1] ** 2)


def _hidden(norms: ArrayLike) -> Floats:
    hidden = as_floats(norms, "The list of norms", shape=("L",))[1:]
    if len(hidden) < 2 or (hidden <= 0).any():
        raise UserError(f"The norms of the hidden layers are {hidden.tolist()}; at least two above 0 are needed.")
    return hidden
