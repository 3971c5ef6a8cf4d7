"""Two ways to hold a critic's slope: weights in a box, and a penalty on gradient norms other than 1."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from shapeofloss.errors import UserError
from shapeofloss.transport.exact import cost_matrix, optimal_assignment


def input_gradients(critic: nn.Module, x: Tensor, *, graph: bool = False) -> Tensor:
    """Return the gradient of a critic's score at each point with respect to that point.

    Args:
        critic: Scores each point by itself, from shape (N, ...) to (N,) or (N, 1).
        x: Points, shape (N, ...).
        graph: Whether the gradients can be differentiated in turn.
    Returns:
        Shape (N, ...).
    Example:
        >>> input_gradients(nn.Flatten(0), torch.zeros(3, 1)).tolist()
        [[1.0], [1.0], [1.0]]
    """
    points = x.detach().requires_grad_()
    return torch.autograd.grad(critic(points).sum(), points, create_graph=graph)[0]


def gradient_norms(critic: nn.Module, x: Tensor, *, graph: bool = False) -> Tensor:
    """Return the Euclidean norm of the gradient at each point, over all its coordinates, shape (N,).

    Arguments as for `input_gradients`. Where a norm is zero, its own derivative is taken as zero, not as NaN.
    """
    return torch.linalg.vector_norm(input_gradients(critic, x, graph=graph).flatten(1), dim=1)


def between(real: Tensor, fake: Tensor, rng: torch.Generator) -> Tensor:
    """Return one point on the segment between each pair of rows: t y + (1 - t) z with t uniform in [0, 1].

    Args:
        real, fake: y and z, both of shape (N, ...).
        rng: Source of t, one for each pair.
    Source:
        WGAN lecture, slide "Gradient penalty".
    """
    t = torch.rand(len(real), *[1] * (real.dim() - 1), generator=rng)
    return t * real + (1 - t) * fake


@dataclass(frozen=True)
class Clip:
    """Weights in a box: after each update, every parameter of the critic is moved to the nearest number in [-c, c].

    Attributes:
        bound: c, above 0.
    Source:
        WGAN lecture, slide on Wasserstein GAN, where c = 0.01 is an example.
    """

    bound: float

    def __post_init__(self) -> None:
        if not self.bound > 0:
            raise UserError(f"The box for the weights is [-{self.bound}, {self.bound}]; its bound has to be above 0.")

    @torch.no_grad()
    def apply(self, critic: nn.Module) -> None:
        """Clip the parameters where they are."""
        for parameter in critic.parameters():
            parameter.clamp_(-self.bound, self.bound)


@dataclass(frozen=True)
class GradientPenalty:
    r"""A price on gradient norms other than 1, on segments between data and samples.

    .. math:: \lambda \, E\,(\|\nabla f(\hat x_t)\| - 1)^2, \qquad \hat x_t = t y + (1 - t) z

    It is *added* to the loss that the critic minimises, hence subtracted from the objective that it maximises.

    Attributes:
        weight: lambda. A negative one rewards such norms: the sign that the lecture prints.
        pairs: "independent" takes y and z as they come; "coupled" pairs the two batches by an optimal plan.
    Source:
        WGAN lecture, slide "Gradient penalty".
    """

    weight: float
    pairs: Literal["independent", "coupled"] = "independent"

    def __post_init__(self) -> None:
        if self.pairs not in ("independent", "coupled"):
            raise UserError(f"Pairs of data and samples can be 'independent' or 'coupled', not '{self.pairs}'.")

    def check(self, critic: nn.Module) -> None:
        """Refuse a critic whose score of a point depends on the rest of the batch.

        Raises:
            UserError: If it has batch normalisation: the gradient at a point would be none of its own score.
        """
        for name, module in critic.named_modules():
            if isinstance(module, _BatchNorm):
                raise UserError(
                    f"The critic's layer '{name}' normalises batches, so that a score depends on other points, and the "
                    "penalty is on the gradient for each point: leave it out, or use layer normalisation."
                )

    def norms(self, critic: nn.Module, real: Tensor, fake: Tensor, rng: torch.Generator) -> Tensor:
        """Return the gradient norm at a random point of each segment, to be differentiated, shape (N,)."""
        if self.pairs == "coupled":
            cost = cost_matrix(real.flatten(1).numpy(), fake.flatten(1).numpy(), p=1)
            fake = fake[torch.from_numpy(optimal_assignment(cost))]
        return gradient_norms(critic, between(real, fake, rng), graph=True)


Constraint = Clip | GradientPenalty
