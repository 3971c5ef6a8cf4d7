"""What clipped weights do to a critic: its slope, its gradients through depth, its weights, its surface."""

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from shapeofloss.adversarial.lines import line
from shapeofloss.adversarial.networks import perceptron
from shapeofloss.adversarial.penalty import (
    Clip,
    Constraint,
    GradientPenalty,
    gradient_norms,
    input_gradients,
    scores_of,
)
from shapeofloss.adversarial.quality import wasserstein
from shapeofloss.adversarial.toy_runs import adam, rmsprop, toy_run
from shapeofloss.adversarial.training import WASSERSTEIN, train_critic
from shapeofloss.arrays import Floats, as_count, as_floats, as_number, as_tensor
from shapeofloss.distributions.mixtures import blurred, normal, seeded_source, toy
from shapeofloss.errors import UserError, unknown


def weights(network: nn.Module) -> list[Tensor]:
    """Return the weight matrices of a perceptron from input to output, each of shape (values out, values in).

    Raises:
        UserError: If it has parameters that are in no affine map, about which matrices say nothing.
    """
    if not isinstance(network, nn.Module):
        raise UserError(f"The network is {network!r}; a torch.nn.Module is needed.")
    for name, module in network.named_modules():
        if module._parameters and not isinstance(module, nn.Linear):
            raise UserError(
                f"The layer '{name}' is a {type(module).__name__}; matrices and their bounds are those of perceptrons."
            )
    return [module.weight.detach() for module in network.modules() if isinstance(module, nn.Linear)]


def box_bound(network: nn.Module, bound: float) -> float:
    """Return a Lipschitz constant that all ReLU perceptrons of this shape share whose weights lie in [-c, c].

    The product over layers of c sqrt(values in x values out): the largest norm of a matrix with such entries.

    Args:
        network: Affine maps and activations with slopes in [0, 1].
        bound: c, above 0.
    Raises:
        UserError: If the bound is not above 0, or as for `weights`.
    Source:
        WGAN lecture, slide on Wasserstein GAN: parameters in a compact set give a Lipschitz critic.
    Example:
        >>> round(box_bound(nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1)), 0.5), 6)
        2.828427
    """
    as_number(bound, "bound", above=0)
    return math.prod(bound * math.sqrt(matrix.numel()) for matrix in weights(network))


def spectral_bound(network: nn.Module) -> float:
    """Return a Lipschitz constant of one ReLU perceptron: the product of its layers' largest singular values.

    Raises:
        UserError: As for `weights`.
    """
    # To the CPU first: some devices have no double precision.
    return math.prod(float(torch.linalg.matrix_norm(matrix.cpu().double(), ord=2)) for matrix in weights(network))


def difference_quotients(network: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Return |f(x) - f(y)| / |x - y| for each pair of rows, shape (N,).

    Raises:
        UserError: If shapes differ, two points of a pair are the same, or scores are not one for each point.
    """
    if as_tensor(x, "x").shape != as_tensor(y, "y").shape or x.dim() != 2:
        raise UserError(
            f"The points have shapes {tuple(x.shape)} and {tuple(y.shape)}; pairs of rows are needed, (N, D)."
        )
    away = (x - y).norm(dim=1)
    if not away.all():
        raise UserError(f"{int((away == 0).sum())} of {len(away)} pairs are one point twice, which has no slope.")
    with torch.no_grad():
        rise = (scores_of(network, x) - scores_of(network, y)).abs()
    return rise / away


def clipped_critic(
    *, bound: float, steps: int, batch: int, rate: float, points: int, records: int, seed: int
) -> dict[str, Any]:
    """Train a clipped critic 2-64-64-1 between eight Gaussians and N(0, I), and compare its value with exact transport.

    Args:
        bound: c.
        steps, batch, rate: Of RMSProp.
        points: Size of the two samples on which value and distance are taken.
        records: How often, evenly spread, and once before the first step.
        seed: Of everything.
    Returns:
        By name, for each record, in double precision: "at", steps done; "value", the critic's; "bound", its spectral
        bound; "norm", the largest gradient norm on the samples and on segments between them. And "wasserstein", exact.
    """
    start = seeded_source(seed)
    critic = perceptron((2, 64, 64, 1), generator=start)
    law, other = toy("8 Gaussians"), normal(2)
    y, z = law(points, start).double(), other(points, start).double()
    where = torch.cat([y, z, y + torch.rand(points, 1, generator=start).double() * (z - y)])

    def watch(done: int) -> dict[str, Any]:
        precise = copy.deepcopy(critic).double()
        with torch.no_grad():
            value = (precise(y).mean() - precise(z).mean()).item()
        return {"value": value, "bound": spectral_bound(precise), "norm": gradient_norms(precise, where).max().item()}

    history = train_critic(
        critic,
        law,
        other,
        WASSERSTEIN,
        steps=steps,
        optimizer=rmsprop(rate),
        constraint=Clip(bound),
        batch=batch,
        seed=seed,
        record_every=as_count(steps, "steps") // as_count(records, "records", at_most=steps),
        watch=watch,
    )
    return {"at": history.at, **history.watched, "wasserstein": wasserstein(y.numpy(), z.numpy())}


def pull_between_lines(
    *, separation: float, bound: float, steps: int, batch: int, rate: float, seed: int
) -> dict[str, Any]:
    """Train a clipped critic between the lines (0, U) and (theta, U), and return the derivative of its value in theta.

    Args:
        separation: theta, above 0.
        bound, steps, batch, rate, seed: As for `clipped_critic`.
    Returns:
        "pull": minus the mean, over 1,000 generated points, of the first component of the critic's gradient; and
        "value" of the critic.
    """
    critic = perceptron((2, 64, 64, 1), generator=seeded_source(seed))
    data, generated = line(0.0), line(separation)
    train_critic(
        critic,
        data,
        generated,
        WASSERSTEIN,
        steps=steps,
        optimizer=rmsprop(rate),
        constraint=Clip(bound),
        batch=batch,
        seed=seed,
    )
    rng = torch.Generator().manual_seed(seed + 1)
    y, z = data(1000, rng), generated(1000, rng)
    with torch.no_grad():
        value = (critic(y).mean() - critic(z).mean()).item()
    return {"pull": -input_gradients(critic, z)[:, 0].mean().item(), "value": value}


def constraint_of(kind: str, strength: float) -> Constraint:
    """Return `Clip(strength)` or `GradientPenalty(strength)` by the names "clipping" and "penalty".

    Raises:
        UserError: If the kind is another one.
    """
    kinds: dict[str, type[Clip] | type[GradientPenalty]] = {"clipping": Clip, "penalty": GradientPenalty}
    if not isinstance(kind, str) or kind not in kinds:
        raise UserError(f"A critic is held by 'clipping' or by a 'penalty', not by '{kind}'.")
    return kinds[kind](strength)


def gradients_through_depth(
    *,
    kind: str,
    strength: float,
    law: str,
    layers: int,
    width: int,
    steps: int,
    batch: int,
    rate: float,
    points: int,
    seed: int,
) -> dict[str, Any]:
    """Train a deep critic between a law and the same law plus N(0, I), and return its gradients at every layer.

    Args:
        kind, strength: "clipping" with c, by RMSProp, or "penalty" with lambda, by Adam.
        law: Name of a toy law.
        layers: Number of affine maps, at least 3, so that there are two hidden layers to compare.
        width: Values of each hidden layer.
        steps, batch, rate: Of the training.
        points: Generated points at which gradients are taken.
        seed: Of everything.
    Returns:
        "norms", shape (layers,): the mean norm of the score's gradient at the input and at each hidden layer, from the
        input on; "weights", all entries of the matrices; "clamped", the share of them at c or -c, within 1%, right
        after clamping the initial ones, and "edges" after training (both 0 for a penalty).
    """
    start = seeded_source(seed)
    critic = perceptron((2, *[width] * (as_count(layers, "layers", at_least=3) - 1), 1), generator=start)
    constraint = constraint_of(kind, strength)
    sampler = toy(law)
    generated = blurred(sampler)

    def entries() -> Tensor:
        return torch.cat([matrix.flatten() for matrix in weights(critic)])

    def at_the_edges(values: Tensor) -> float:
        return (values.abs() >= 0.99 * strength).double().mean().item() if isinstance(constraint, Clip) else 0.0

    clamped = at_the_edges(entries())
    optimizer = rmsprop(rate) if kind == "clipping" else adam(rate)
    train_critic(
        critic,
        sampler,
        generated,
        WASSERSTEIN,
        steps=steps,
        optimizer=optimizer,
        constraint=constraint,
        batch=batch,
        seed=seed,
    )
    norms = layer_norms(critic, generated(points, start))
    return {"norms": norms, "weights": entries().numpy(), "clamped": clamped, "edges": at_the_edges(entries())}


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
    values = (
        as_tensor(x, "x").detach().cpu().double().requires_grad_()
    )  # to the CPU first: some devices have no double precision
    stops = [values]
    for layer in copy.deepcopy(critic).cpu().double():
        values = layer(values)
        if not isinstance(layer, nn.Linear):
            stops.append(values)
    found = torch.autograd.grad(values.sum(), stops)
    return np.array([gradient.norm(dim=1).mean().item() for gradient in found])


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
    found = as_floats(norms, "The list of norms", shape=("L",))[1:]
    if len(found) < 2 or (found <= 0).any():
        raise UserError(f"The norms of the hidden layers are {found.tolist()}; at least two above 0 are needed.")
    return found


def value_surface(
    *,
    kind: str,
    strength: float,
    law: str,
    width: int,
    steps: int,
    batch: int,
    rate: float,
    side: int,
    reach: float,
    seed: int,
) -> dict[str, Any]:
    """Train a critic with three hidden layers between a law and that law plus N(0, I), and return its surface.

    Args:
        kind, strength: As for `gradients_through_depth`.
        law: Name of a toy law.
        width, steps, batch, rate: As there; learning rates fall along half a cosine.
        side, reach: The surface is taken on side x side points of the square [-reach, reach]^2.
        seed: Of everything.
    Returns:
        "surface", the critic's scores, shape (side, side), rows along the second coordinate; "unexplained", the share
        of its variance that the best quadratic in the two coordinates leaves.
    Source:
        WGAN lecture, slide "Wasserstein GAN with Gradient Penalty"; the generator held fixed as in the released code.
    """
    critic = perceptron((2, width, width, width, 1), generator=seeded_source(seed))
    sampler = toy(law)
    train_critic(
        critic,
        sampler,
        blurred(sampler),
        WASSERSTEIN,
        steps=steps,
        optimizer=rmsprop(rate) if kind == "clipping" else adam(rate),
        constraint=constraint_of(kind, strength),
        batch=batch,
        cosine=True,
        seed=seed,
    )
    grid = square_grid(side, reach)
    with torch.no_grad():
        surface = critic(grid).numpy().reshape(side, side)
    return {"surface": surface, "unexplained": left_by_quadratic(grid.numpy(), surface.ravel())}


def square_grid(side: int, reach: float) -> Tensor:
    """Return side x side points of [-reach, reach]^2, shape (side^2, 2); the second coordinate changes slowest.

    Raises:
        UserError: If there is no point, or the reach is not above 0.
    """
    as_count(side, "side"), as_number(reach, "reach", above=0)
    ticks = torch.linspace(-reach, reach, side)
    return torch.cartesian_prod(ticks, ticks).flip(1)


def peaks(surface: Floats) -> int:
    """Count the points inside a grid that lie above their eight neighbours.

    Raises:
        UserError: If the surface is no table of finite numbers with at least 3 rows and columns.
    Example:
        >>> peaks(np.array([[0, 0, 0, 0], [0, 2, 1, 0], [0, 0, 0, 0]]))
        1
    """
    surface = as_floats(surface, "The surface", shape=("H", "W"))
    if min(surface.shape) < 3:
        raise UserError(f"The surface has shape {surface.shape}; a point with eight neighbours needs (3, 3) or more.")
    windows = np.lib.stride_tricks.sliding_window_view(surface, (3, 3)).reshape(-1, 9)
    return int((windows[:, 4] > np.delete(windows, 4, axis=1).max(axis=1)).sum())


def left_by_quadratic(x: NDArray[np.floating], values: NDArray[np.floating]) -> float:
    """Return the share of the variance of values at points that the best quadratic polynomial leaves, in [0, 1].

    Args:
        x: Points of the plane, shape (N, 2).
        values: Shape (N,), not all the same.
    Raises:
        UserError: If shapes are others, a number is not finite, or all values are the same.
    Example:
        >>> x = np.random.default_rng(0).random((50, 2))
        >>> round(left_by_quadratic(x, 3 + x[:, 0] * x[:, 1] - x[:, 1] ** 2), 12)
        0.0
    """
    first, second = as_floats(x, "x", shape=("N", 2), empty=False).T
    terms = np.stack([np.ones_like(first), first, second, first**2, first * second, second**2], axis=1)
    z = as_floats(values, "The list of values", shape=(len(first),))
    if not np.ptp(z):
        raise UserError(f"All values are {z[0]:g}; there is no variance of which something could be left.")
    rest = z - terms @ np.linalg.lstsq(terms, z, rcond=None)[0]
    return float(rest.var() / z.var())


STUDIES: dict[str, Callable[..., dict[str, Any]]] = {
    own.__name__: own for own in (clipped_critic, pull_between_lines, gradients_through_depth, value_surface, toy_run)
}


def study(*, name: str, **settings: Any) -> dict[str, Any]:
    """Return what a training returns, by its name, so that all of them can be started together.

    Args:
        name: `clipped_critic`, `pull_between_lines`, `gradients_through_depth` or `value_surface` of this module, or
            `toy_run`.
        settings: Its arguments.
    Raises:
        UserError: If there is no such training.
    """
    if not isinstance(name, str) or name not in STUDIES:
        raise unknown("training", name, STUDIES)
    return STUDIES[name](**settings)
