"""What clipped weights do to the slope of a critic: bounds for all weights in the box, and trained critics."""

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

from shapeofloss.adversarial.constraints import Clip, gradient_norms, input_gradients
from shapeofloss.adversarial.history import Watch
from shapeofloss.adversarial.lines import upright
from shapeofloss.adversarial.networks import perceptron
from shapeofloss.adversarial.objectives import WASSERSTEIN
from shapeofloss.adversarial.quality import wasserstein
from shapeofloss.adversarial.training import Schedule, rmsprop, train_critic
from shapeofloss.arrays import as_count, as_number
from shapeofloss.distributions.mixtures import eight_gaussians, normal, seeded_source
from shapeofloss.errors import UserError


def weights(network: nn.Module) -> list[Tensor]:
    """Return the weight matrices of a perceptron from input to output, each of shape (values out, values in).

    Raises:
        UserError: If it has parameters that are in no affine map, about which matrices say nothing.
    """
    if not isinstance(network, nn.Module):
        raise UserError(f"The network is {network!r}; a torch.nn.Module is needed.")
    for name, module in network.named_modules():
        if any(True for _ in module.parameters(recurse=False)) and not isinstance(module, nn.Linear):
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


def clipped_critic(
    *, bound: float, steps: int, batch: int, rate: float, points: int, records: int, seed: int
) -> dict[str, Any]:
    """Train a clipped critic 2-64-64-1 between eight Gaussians and N(0, I), and compare its value with exact transport.

    Args:
        bound: c.
        steps, batch, rate: Steps, batch size and learning rate of RMSProp.
        points: Size of the two samples on which value and distance are taken.
        records: How often, evenly spread, and once before the first step.
        seed: Seed of weights, batches and samples.
    Returns:
        By name, for each record, in double precision: "at", steps done; "value", the critic's; "bound", its spectral
        bound; "norm", the largest gradient norm on the samples and on segments between them. And "wasserstein", exact.
    """
    as_count(records, "records", at_most=as_count(steps, "steps"))
    start = seeded_source(seed)
    critic = perceptron((2, 64, 64, 1), generator=start)
    ring, cloud = eight_gaussians(), normal(2)
    y, z = ring(points, start).double(), cloud(points, start).double()
    where = torch.cat([y, z, y + torch.rand(points, 1, generator=start).double() * (z - y)])

    def look(_: int) -> dict[str, float]:
        precise = copy.deepcopy(critic).double()
        with torch.no_grad():
            value = (precise(y).mean() - precise(z).mean()).item()
        return {"value": value, "bound": spectral_bound(precise), "norm": gradient_norms(precise, where).max().item()}

    history = train_critic(
        critic,
        ring,
        cloud,
        WASSERSTEIN,
        Schedule(steps=steps, batch=batch, seed=seed),
        optimizer=rmsprop(rate),
        constraint=Clip(bound),
        watch=Watch(look, every=steps // records),
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
    data, generated = upright(0.0), upright(separation)
    schedule = Schedule(steps=steps, batch=batch, seed=seed)
    train_critic(critic, data, generated, WASSERSTEIN, schedule, optimizer=rmsprop(rate), constraint=Clip(bound))
    unseen = seeded_source(seed + 1)
    y, z = data(1000, unseen), generated(1000, unseen)
    with torch.no_grad():
        value = (critic(y).mean() - critic(z).mean()).item()
    return {"pull": -input_gradients(critic, z)[:, 0].mean().item(), "value": value}
