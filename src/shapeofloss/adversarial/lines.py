"""Two parallel lines in the plane: the lecture's example of distributions without a common point, and who reads them.

The data are (0, U) and the samples (theta, U), with U uniform on [0, 1] and theta the signed separation.
"""

from functools import partial
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from shapeofloss.adversarial.constraints import Constraint, GradientPenalty, gradient_norms
from shapeofloss.adversarial.divergences import jsd_of_value
from shapeofloss.adversarial.networks import perceptron
from shapeofloss.adversarial.objectives import MINIMAX, NON_SATURATING, WASSERSTEIN, Objective
from shapeofloss.adversarial.training import Optimizer, Schedule, train_critic
from shapeofloss.arrays import as_number
from shapeofloss.distributions.mixtures import Sampler, seeded_source
from shapeofloss.errors import UserError, unknown

OBJECTIVES = {"jensen_shannon": MINIMAX, "non_saturating": NON_SATURATING, "wasserstein": WASSERSTEIN}


def upright(theta: float) -> Sampler:
    """Return the distribution (theta, U), U uniform on [0, 1], as a sampler.

    Raises:
        UserError: If theta is no finite number.
    Example:
        >>> upright(0.5)(2, torch.Generator().manual_seed(0))[:, 0]
        tensor([0.5000, 0.5000])
    """
    theta = as_number(theta, "theta")

    def sample(count: int, generator: torch.Generator) -> Tensor:
        return torch.stack([torch.full((count,), theta), torch.rand(count, generator=generator)], dim=1)

    return sample


class LineGenerator(nn.Module):
    """The generator with one parameter: G(u) = (theta, u)."""

    def __init__(self, theta: float) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(as_number(theta, "theta")))

    def forward(self, u: Tensor) -> Tensor:
        """Return points of the line, shape (N, 2), from u, shape (N, 1)."""
        return torch.cat([self.theta.expand(len(u), 1), u], dim=1)


class Reader(NamedTuple):
    """A discriminator or a critic of two lines, untrained, and what it is trained with."""

    network: nn.Sequential
    objective: Objective
    optimizer: Optimizer
    constraint: Constraint | None


def reader(
    objective: str,
    seed: int,
    *,
    hidden: int,
    learning_rate: float,
    penalty: float,
    pairs: Literal["independent", "coupled"] = "independent",
) -> Reader:
    """Return a discriminator or a critic; arguments and errors are those of `read_distance`."""
    if not isinstance(objective, str) or objective not in OBJECTIVES:
        raise unknown("objective", objective, OBJECTIVES)
    is_critic = objective == "wasserstein"
    return Reader(
        perceptron((2, hidden, hidden, 1), generator=seeded_source(seed)),
        OBJECTIVES[objective],
        partial(torch.optim.Adam, lr=learning_rate, betas=(0.5, 0.9) if is_critic else (0.9, 0.999)),
        GradientPenalty(penalty, pairs) if is_critic else None,
    )


def read_distance(
    objective: str,
    theta: float,
    seed: int,
    *,
    hidden: int,
    batch: int,
    steps: int,
    learning_rate: float,
    penalty: float,
    pairs: Literal["independent", "coupled"] = "independent",
) -> dict[str, Any]:
    """Train a discriminator or a critic between two lines that stay fixed, and read off what it says.

    Args:
        objective: `jensen_shannon`, `non_saturating` (which trains the same discriminator) or `wasserstein`.
        theta: Separation.
        seed: Seed of weights and samples.
        hidden: Values of each of two hidden layers.
        batch: Points of data and of samples per step.
        steps: Steps of Adam, whose learning rate falls to 0 along half a cosine.
        learning_rate: Learning rate at the start.
        penalty, pairs: lambda of the gradient penalty and how it pairs data and samples; for `wasserstein` only.
    Returns:
        `value`: E f(y) - E f(z), or V(D) in nats, on a thousand equally spaced points of each line.
        `slope`: the largest gradient norm of f, or of the discriminator's logit, on a fine grid of the strip between.
        `reading`: the value over the slope for `wasserstein`, else (V + log 4) / 2.
        `pull`: minus the derivative with respect to theta of the generator's loss: how a step of descent would move it.
        `pull_non_saturating`: of a discriminator, the same for the loss -log D.
    Raises:
        UserError: If there is no such objective, the critic stays flat, or as for `train_critic`.
    """
    critic, kind, optimizer, constraint = reader(
        objective, seed, hidden=hidden, learning_rate=learning_rate, penalty=penalty, pairs=pairs
    )
    schedule = Schedule(steps=steps, batch=batch, cosine=True, seed=seed)
    train_critic(critic, upright(0), upright(theta), kind, schedule, optimizer=optimizer, constraint=constraint)
    critic.double()
    along = (torch.arange(1000).double() + 0.5)[:, None] / 1000
    data, samples = LineGenerator(0.0).double(), LineGenerator(theta).double()
    real, fake = (critic(place(along)).flatten() for place in (data, samples))
    value = -kind.critic_loss(real, fake).item()
    strip = torch.cartesian_prod(torch.linspace(0, theta, 101).double(), torch.linspace(0, 1, 101).double())
    slope = float(gradient_norms(critic, strip).max())

    def pull(loss: Objective) -> float:
        return -torch.autograd.grad(loss.generator_loss(fake), samples.theta, retain_graph=True)[0].item()

    result = {"value": value, "slope": slope, "pull": pull(kind)}
    if kind is not WASSERSTEIN:
        return {**result, "reading": float(jsd_of_value(value)), "pull_non_saturating": pull(NON_SATURATING)}
    if not slope:
        raise UserError("The critic is flat after the training, so that it has no slope to divide by: train it longer.")
    return {**result, "reading": value / slope}
