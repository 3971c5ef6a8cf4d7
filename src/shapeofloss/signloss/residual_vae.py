"""A small relative of QARV: a hierarchical, quantisation-aware residual autoencoder with a variable rate.

Latents are drawn from coarse to fine. Each has a prior that follows from the coarser ones, and a posterior that sees
the image, too. In training the posterior is uniform over an interval of length one, in use it is rounded: the noise of
the one stands for the rounding of the other. One weight lambda sets the balance of rate and distortion; it is drawn
anew at each step, and scales the latents by its root, so that rounding is finer where the distortion counts more.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from shapeofloss.arrays import as_count, as_floats, as_number, as_tensor
from shapeofloss.errors import UserError

FINEST = 0.05  # least scale of a prior, in units of the rounding
STRIDE = 8  # pixels of the coarsest latent: sides of images have to be multiples
Choose = Callable[[int, Tensor, Tensor, Tensor], Tensor]


class Block(nn.Module):
    """Two convolutions with GELU between them, added to their input."""

    def __init__(self, channels: int):
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape."""
        return x + self.second(functional.gelu(self.first(functional.gelu(x))))


class ResidualVAE(nn.Module):
    """Two levels of latents, at an eighth and at a quarter of the resolution.

    Args:
        channels: Channels of the features.
        latent: Channels of each latent.
    Raises:
        UserError: If one of them is no whole number from 1.
    Source:
        Directional sign loss paper, section 4.2, which takes the model of Duan et al. (2024).
    """

    def __init__(self, channels: int, latent: int):
        super().__init__()
        channels, latent = as_count(channels, "channels"), as_count(latent, "latent")
        self.stem = nn.Conv2d(3, channels, 4, stride=4)
        self.up = nn.ModuleList([Block(channels), Block(channels)])
        self.down = nn.Conv2d(channels, channels, 2, stride=2)
        self.start = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.prior = nn.ModuleList([nn.Conv2d(channels, 2 * latent, 1) for _ in range(2)])
        self.posterior = nn.ModuleList([nn.Conv2d(2 * channels, latent, 3, padding=1) for _ in range(2)])
        self.project = nn.ModuleList([nn.Conv2d(latent, channels, 1) for _ in range(2)])
        self.refine = nn.ModuleList([Block(channels), Block(channels), Block(channels)])
        self.finer = nn.Conv2d(channels, 4 * channels, 1)
        self.out = nn.Conv2d(channels, 48, 1)

    def features(self, x: Tensor) -> list[Tensor]:
        """Return what the encoder sees, coarse first, of images in [-1, 1]."""
        fine = self.up[0](self.stem(x))
        return [self.up[1](self.down(fine)), fine]

    def centre(self, level: int, d: Tensor, seen: list[Tensor], weight: Tensor) -> Tensor:
        """Return the centre of the posterior at a level, in units of the rounding, given the decoder's features `d`."""
        centre: Tensor = weight.sqrt() * self.posterior[level](torch.cat([d, seen[level]], dim=1))
        return centre

    def decode(self, shape: tuple[int, int, int], weight: Tensor, choose: Choose) -> Tensor:
        """Go from coarse to fine, have each latent chosen, and return the images.

        Args:
            shape: Number, height and width of the images.
            weight: lambda of each image, shape (N, 1, 1, 1).
            choose: Given the level, the features so far, and mean and scale of the prior in units of the rounding,
                returns the latent in these units.
        Returns:
            Shape (N, 3, height, width), about [-1, 1].
        """
        count, height, width = shape
        gain = weight.sqrt()
        d = self.start.expand(count, -1, height // STRIDE, width // STRIDE)
        for level in range(2):
            mean, scale = self.prior[level](d).chunk(2, dim=1)
            scale = FINEST + gain * functional.softplus(scale)
            z = choose(level, d, gain * mean, scale)
            d = self.refine[level](d + self.project[level](z / gain))
            if level == 0:
                d = functional.pixel_shuffle(self.finer(d), 2)
        return functional.pixel_shuffle(self.out(self.refine[2](d)), 4)

    def forward(self, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return reconstructions, and the bits of each image: with noise in training, with rounding otherwise.

        Args:
            x: Images in [-1, 1], shape (N, 3, height, width).
            weight: lambda of each image, shape (N,).
        Returns:
            Shape (N, 3, height, width), and (N,).
        Raises:
            UserError: If the images have another shape, or sides that are no multiples of 8, or the weights are not
                one positive number for each.
        """
        if as_tensor(x, "x").dim() != 4 or x.shape[1] != 3 or not x.numel():
            raise UserError(f"x has shape {tuple(x.shape)}; (N, 3, height, width) is needed.")
        if as_tensor(weight, "weight").shape != x.shape[:1] or not bool(((weight > 0) & weight.isfinite()).all()):
            raise UserError(f"weight has to hold one positive finite number for each of {len(x)} images.")
        if x.shape[2] % STRIDE or x.shape[3] % STRIDE:
            raise UserError(
                f"The images have {x.shape[2]} x {x.shape[3]} pixels; sides have to be multiples of {STRIDE}."
            )
        lam = weight.reshape(-1, 1, 1, 1)
        seen = self.features(x)
        bits = x.new_zeros(len(x))

        def choose(level: int, d: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
            nonlocal bits
            residual = self.centre(level, d, seen, lam) - mean
            residual = residual + torch.rand_like(residual) - 0.5 if self.training else residual.round()
            bits = bits + bits_of(residual, scale).flatten(1).sum(1)
            return mean + residual

        return self.decode((len(x), *x.shape[2:]), lam, choose), bits


def bits_of(residual: Tensor, scale: Tensor) -> Tensor:
    """Return -log2 of the probability that a normal number of that scale falls within 1/2 of the residual."""
    normal = torch.distributions.Normal(torch.zeros_like(scale), scale)
    away = residual.abs()  # the tail on the left is the precise one
    probability = normal.cdf(0.5 - away) - normal.cdf(-0.5 - away)
    return -probability.clamp(min=1e-9).log2()


def drawn_weights(count: int, lowest: float, highest: float, generator: torch.Generator) -> Tensor:
    """Return weights lambda, uniform in their logarithm, shape (count,).

    Raises:
        UserError: If the count is no whole number from 1, or not 0 < lowest <= highest.
    """
    count = as_count(count, "count")
    lowest = as_number(lowest, "lowest", above=0)
    highest = as_number(highest, "highest", at_least=lowest)
    return lowest * (highest / lowest) ** torch.rand(count, generator=generator)


def trained_model(parameters: NDArray[np.float32], channels: int, latent: int) -> ResidualVAE:
    """Return a model with parameters found before, ready for use.

    Raises:
        UserError: If the parameters are no finite numbers, or those of a model of another size.
    """
    model = ResidualVAE(channels, latent)
    count = sum(parameter.numel() for parameter in model.parameters())
    known = as_floats(parameters, "parameters", shape=(count,)).astype(np.float32)
    nn.utils.vector_to_parameters(torch.from_numpy(known), model.parameters())
    return model.eval()
