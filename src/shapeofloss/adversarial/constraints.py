"""How steep a critic is, and what holds its slope: weights in a box, or a penalty on gradient norms other than 1."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.batchnorm import _BatchNorm

from shapeofloss.arrays import Floats, as_floats, as_function, as_number, as_tensor
from shapeofloss.distributions.mixtures import as_source
from shapeofloss.errors import UserError
from shapeofloss.transport.assignment.exact import cost_matrix, optimal_assignment

Critic = Callable[[Tensor], Tensor]  # from points, shape (N, ...), to scores, (N,) or (N, 1); a network or another one


def scores_of(critic: Critic, x: Tensor) -> Tensor:
    """Return a critic's scores of points, shape (N,).

    Raises:
        UserError: If it gives anything but one number for each point, (N,) or (N, 1): patches or logits, for example.
    """
    as_function(critic, "critic", example="perceptron((2, 8, 1), generator=torch.Generator())")
    scores = as_tensor(critic(x), "What the critic gives")
    if scores.shape not in ((len(x),), (len(x), 1)):
        raise UserError(
            f"The critic gives {len(x)} points scores of shape {tuple(scores.shape)}; one for each is needed, "
            f"({len(x)},) or ({len(x)}, 1): take the mean of patches, or one of several logits."
        )
    return scores.flatten()


def input_gradients(critic: Critic, x: Tensor, *, graph: bool = False) -> Tensor:
    """Return the gradient of a critic's score at each point with respect to that point.

    Args:
        critic: Scores each point by itself, from shape (N, ...) to (N,) or (N, 1).
        x: Points, shape (N, ...).
        graph: Whether the gradients can be differentiated in turn.
    Returns:
        Shape (N, ...).
    Raises:
        UserError: If the points are no tensor of real numbers, or scores are not one for each.
    Example:
        >>> input_gradients(nn.Flatten(0), torch.zeros(3, 1)).tolist()
        [[1.0], [1.0], [1.0]]
    """
    if not as_tensor(x, "x").is_floating_point():
        raise UserError(f"The points are of type {x.dtype}, which has no gradients: give them in floating point.")
    points = x.detach().requires_grad_()
    # Attention in its plain form: the fused ones have no second derivative, which a penalty needs.
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        return torch.autograd.grad(scores_of(critic, points).sum(), points, create_graph=graph)[0]


def gradient_norms(critic: Critic, x: Tensor, *, graph: bool = False) -> Tensor:
    """Return the Euclidean norm of the gradient at each point, over all its coordinates, shape (N,).

    Arguments as for `input_gradients`. Where a norm is zero, its own derivative is taken as zero, not as NaN.
    """
    return torch.linalg.vector_norm(input_gradients(critic, x, graph=graph).flatten(1), dim=1)


def quotients(values: ArrayLike, x: ArrayLike, others: ArrayLike, z: ArrayLike) -> Floats:
    """Return |f(x) - f(z)| / |x - z|, shape (N,), from the values at both, shape (N,), and the points, shape (N, D).

    Raises:
        UserError: If shapes differ, a number is not finite, or two points of a pair are the same.
    """
    x, z = as_floats(x, "x", shape=("N", "D")), as_floats(z, "z", shape=np.shape(x))
    rise = np.subtract(*(as_floats(side, "The list of values", shape=(len(x),)) for side in (values, others)))
    length = np.linalg.norm(x - z, axis=1)
    if not length.all():
        raise UserError(f"{(length == 0).sum()} of {len(length)} pairs are one point twice, which has no slope.")
    return np.abs(rise) / length


def between(real: Tensor, fake: Tensor, generator: torch.Generator) -> Tensor:
    """Return one point on the segment between each pair of rows: t y + (1 - t) z with t uniform in [0, 1].

    Args:
        real, fake: y and z, both of shape (N, ...).
        generator: Source of t, one for each pair.
    Raises:
        UserError: If they differ in shape.
    Source:
        WGAN lecture, slide "Gradient penalty".
    """
    if as_tensor(real, "real").shape != as_tensor(fake, "fake").shape:
        raise UserError(
            f"Data have shape {tuple(real.shape)} and samples {tuple(fake.shape)}; pairs need the same of both."
        )
    device = as_source(generator).device
    t = torch.rand(len(real), *[1] * (real.dim() - 1), generator=generator, device=device).to(real.device)
    return t * real + (1 - t) * fake


@dataclass(frozen=True)
class Clip:
    """Weights in a box: after each update, every parameter of the critic is moved to the nearest number in [-c, c].

    Attributes:
        bound: c, above 0.

    Raises:
        UserError: If the bound is no finite number above 0.
    Source:
        WGAN lecture, slide on Wasserstein GAN, where c = 0.01 is an example.
    """

    bound: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "bound", as_number(self.bound, "The bound of the box for the weights", above=0))

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

    Raises:
        UserError: If the weight is no finite number, or pairs are made in another way.
    Source:
        WGAN lecture, slide "Gradient penalty".
    """

    weight: float
    pairs: Literal["independent", "coupled"] = "independent"

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", as_number(self.weight, "The weight of the penalty"))
        if not isinstance(self.pairs, str) or self.pairs not in ("independent", "coupled"):
            raise UserError(f"Pairs of data and samples can be 'independent' or 'coupled', not '{self.pairs}'.")

    def check(self, critic: nn.Module) -> None:
        """Refuse a critic with a layer that normalises batches, by its name.

        Whatever else makes a score depend on the other points shows in the first step: see `refuse_mixed_scores`.

        Raises:
            UserError: If it has batch normalisation: the gradient at a point would be none of its own score.
        """
        for name, module in critic.named_modules():
            if isinstance(module, _BatchNorm) and (module.training or module.running_mean is None):
                raise UserError(
                    f"The critic's layer '{name}' normalises batches, so that a score depends on other points, and the "
                    "penalty is on the gradient for each point: leave it out, or use layer normalisation."
                )

    def norms(self, critic: nn.Module, real: Tensor, fake: Tensor, generator: torch.Generator) -> Tensor:
        """Return the gradient norm at a random point of each segment, to be differentiated, shape (N,)."""
        if self.pairs == "coupled":
            cost = cost_matrix(real.detach().flatten(1), fake.detach().flatten(1), p=1)
            fake = fake[torch.from_numpy(optimal_assignment(cost)).to(fake.device)]
        return gradient_norms(critic, between(real, fake, generator), graph=True)


@dataclass(frozen=True)
class OneSidedPenalty(GradientPenalty):
    """A price on gradient norms above 1 only: what a slope of *at most* 1 asks for.

    Source:
        Not in the WGAN lecture, whose penalty also pushes up slopes below 1.
    """

    def norms(self, critic: nn.Module, real: Tensor, fake: Tensor, generator: torch.Generator) -> Tensor:
        """Return the gradient norms, those below 1 as 1, where they cost nothing."""
        return super().norms(critic, real, fake, generator).clamp(min=1)


Constraint = Clip | GradientPenalty


def refuse_mixed_scores(scores: Tensor, points: Tensor, count: int) -> None:
    """Refuse scores of the first points that depend on the others, whatever in the critic makes them so.

    Args:
        scores: Scores of the points, shape (N,), not yet differentiated.
        points: The points, shape (N, ...), whose gradients are recorded.
        count: How many points are the first ones.
    Raises:
        UserError: If they do: the gradient at a point would be none of its own score.
    """
    with sdpa_kernel(SDPBackend.MATH):
        gradient = torch.autograd.grad(scores[:count].sum(), points, retain_graph=True, allow_unused=True)[0]
    if gradient is not None and gradient[count:].nan_to_num().any():
        raise UserError(
            "The critic's score of a point depends on the other points of its batch, and the penalty is on the "
            "gradient for each point: leave out what mixes or normalises batches, or use layer normalisation."
        )
