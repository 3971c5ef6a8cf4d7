r"""RealNVP: an invertible map with a cheap Jacobian, and the density that it gives to what it maps to N(0, I).

.. math:: \log p(z) = \log N(f(z); 0, I) + \log |\det J_f(z)|, \qquad z = g(z^*) = f^{-1}(z^*)
"""

import math

import torch
from torch import Tensor, nn

from shapeofloss.adversarial.networks import perceptron
from shapeofloss.adversarial.training import stop_if_not_finite
from shapeofloss.arrays import as_count, as_function, as_number, as_tensor
from shapeofloss.distributions.mixtures import Sampler, as_source, seeded_source
from shapeofloss.errors import UserError

LARGEST = 2.0  # a coupling stretches or shrinks a coordinate by a factor of at most e^2


class Coupling(nn.Module):
    r"""One layer: some coordinates stay, and tell how the others are stretched and shifted.

    .. math:: z_B \leftarrow z_B\, e^{s(z_A)} + t(z_A), \qquad \log|\det J| = \sum_B s(z_A)

    Args:
        dimension: Dimension of z, at least 2.
        first: Whether the first half stays; else the second half does.
        width: Values of each of two hidden layers, with SiLU between, so that densities are smooth.
        generator: Source of the initial weights.
        start: Factor of the last layer's initial weights: at 0 the layer begins as the identity.
    Raises:
        UserError: If a number is out of range.
    """

    def __init__(self, dimension: int, *, first: bool, width: int, generator: torch.Generator, start: float) -> None:
        super().__init__()
        half = as_count(dimension, "dimension", at_least=2) // 2
        as_number(start, "start")
        self.stay = slice(None, half) if first else slice(half, None)
        self.move = slice(half, None) if first else slice(None, half)
        kept, moved = (half, dimension - half) if first else (dimension - half, half)
        self.network = perceptron((kept, width, width, 2 * moved), generator=generator, activation=nn.SiLU)
        last = self.network[-1]
        assert isinstance(last, nn.Linear)
        with torch.no_grad():
            last.weight.mul_(start)
            last.bias.mul_(start)

    def _moves(self, z: Tensor) -> tuple[Tensor, Tensor]:
        stretch, shift = self.network(z[:, self.stay]).chunk(2, dim=1)
        return LARGEST * torch.tanh(stretch / LARGEST), shift

    def _with(self, z: Tensor, moved: Tensor) -> Tensor:
        halves = [z[:, self.stay], moved]
        return torch.cat(halves if self.stay.start is None else halves[::-1], dim=1)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return the image, shape (N, d), and log |det J|, shape (N,)."""
        stretch, shift = self._moves(z)
        return self._with(z, z[:, self.move] * stretch.exp() + shift), stretch.sum(1)

    def inverse(self, z: Tensor) -> Tensor:
        """Return what is mapped to z, shape (N, d)."""
        stretch, shift = self._moves(z)
        return self._with(z, (z[:, self.move] - shift) * (-stretch).exp())


class RealNVP(nn.Module):
    """Couplings whose halves take turns: f from z to z*, its inverse g, and the density of z.

    Args:
        dimension: Dimension of z, at least 2.
        layers: Number of couplings, at least 2, so that every coordinate moves.
        width, generator, start: As for `Coupling`.
    Raises:
        UserError: If there are fewer than two dimensions or layers, or points have another number of coordinates.
    Source:
        WGAN lecture, slide "ELBO with flow-based VAE prior", which leaves the flow open; RealNVP: Dinh et al. (2017).
    Example:
        >>> flow = RealNVP(2, layers=2, width=4, generator=torch.Generator().manual_seed(0), start=0.0)
        >>> [round(value, 6) for value in flow.log_prob(torch.zeros(1, 2)).tolist()]  # the identity: N(0, I)
        [-1.837877]
    """

    def __init__(
        self, dimension: int, *, layers: int, width: int, generator: torch.Generator, start: float = 0.1
    ) -> None:
        super().__init__()
        self.dimension = as_count(dimension, "dimension", at_least=2)
        as_count(layers, "layers", at_least=2)
        self.couplings = nn.ModuleList(
            Coupling(dimension, first=place % 2 == 0, width=width, generator=generator, start=start)
            for place in range(layers)
        )

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return z* = f(z), shape (N, d), and log |det J_f(z)|, shape (N,), for z of shape (N, d)."""
        if as_tensor(z, "z").dim() != 2 or z.shape[1] != self.dimension:
            raise UserError(f"The points have shape {tuple(z.shape)}; the flow takes (N, {self.dimension}).")
        log_det = z.new_zeros(len(z))
        for coupling in self.couplings:
            z, stretched = coupling(z)
            log_det = log_det + stretched
        return z, log_det

    def inverse(self, base: Tensor) -> Tensor:
        """Return z = g(z*), shape (N, d)."""
        for coupling in reversed(self.couplings):
            assert isinstance(coupling, Coupling)
            base = coupling.inverse(base)
        return base

    def log_prob(self, z: Tensor) -> Tensor:
        """Return the logarithm of the density at z, shape (N,)."""
        base, log_det = self(z)
        return log_standard(base) + log_det


def log_standard(z: Tensor) -> Tensor:
    """Return the logarithm of the density of N(0, I) at z, shape (N, d), as shape (N,).

    Example:
        >>> [round(value, 6) for value in log_standard(torch.zeros(1, 2)).tolist()]
        [-1.837877]
    """
    if as_tensor(z, "z").dim() != 2:
        raise UserError(f"The points have shape {tuple(z.shape)}; (N, d) is needed.")
    return -z.square().sum(1) / 2 - z.shape[1] / 2 * math.log(2 * math.pi)


def fit_flow(
    flow: RealNVP, sampler: Sampler, *, steps: int, batch: int, learning_rate: float, seed: int
) -> list[float]:
    """Train a flow on samples of a distribution by maximum likelihood, with Adam along half a cosine.

    Args:
        flow: It is changed.
        sampler: The distribution.
        steps, batch, learning_rate: Steps, batch size and first learning rate.
        seed: Seed of the samples.
    Returns:
        The mean negative log density of each batch, in nats.
    Raises:
        UserError: If it is not finite, with the step and the learning rate, or an argument is of another kind or out of
            range.
    """
    if not isinstance(flow, RealNVP):
        raise UserError(f"The flow is {flow!r}; a RealNVP is needed.")
    as_function(sampler, "sampler", example="two_moons")
    as_count(steps, "steps"), as_count(batch, "batch")
    as_number(learning_rate, "learning_rate", above=0)
    generator = seeded_source(seed)
    optimizer = torch.optim.Adam(flow.parameters(), lr=learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    losses = []
    for _ in range(steps):
        loss = -flow.log_prob(sampler(batch, generator)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        stop_if_not_finite("loss", losses[-1], len(losses), f"a flow with learning rate {learning_rate:g}")
    return losses


def two_moons(count: int, generator: torch.Generator) -> Tensor:
    """Return points about two half circles that interlock, noise of deviation 0.15, shape (count, 2); a sampler."""
    as_count(count, "count", at_least=0)
    angle, upper = (
        math.pi * torch.rand(count, generator=as_source(generator)),
        torch.rand(count, generator=generator) < 0.5,
    )
    x = torch.where(upper, torch.cos(angle) - 0.5, 0.5 - torch.cos(angle))
    y = torch.where(upper, torch.sin(angle) - 0.25, 0.25 - torch.sin(angle))
    return torch.stack([x, y], dim=1) + 0.15 * torch.randn(count, 2, generator=generator)
