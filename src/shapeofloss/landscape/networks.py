"""The networks whose losses are looked at: wide residual networks of any size."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from shapeofloss.arrays import as_count
from shapeofloss.errors import UserError
from shapeofloss.landscape.randomness import generator_for


class WideResNet(nn.Module):
    """A residual network that activates before it convolves, in three stages of growing width.

    A convolution to `base` channels, three stages of (depth - 4) / 6 blocks with `base * width`, `2 * base * width` and
    `4 * base * width` channels, batch normalisation, ReLU, the mean over all positions, and an affine map to the
    classes. Convolutions have no bias and start as N(0, 2 / (k k C_out)) for k x k filters and C_out output channels;
    batch normalisations start as the identity; the affine map starts as in torch, with zero bias.

    Args:
        depth: Number of convolutions and affine maps in the longest path, 6 n + 4 with n at least 1.
        width: Factor of the channels.
        base: Channels of the first convolution.
        strides: Stride of the first block of each stage.
        in_channels: Channels of the images.
        classes: Number of scores.
        generator: Source of the initial weights, on the CPU; torch's global one if None.
    Raises:
        UserError: If the depth is not of the form 6 n + 4, there are not three strides, a number is no whole one from
            1, or the generator is none.
    Source:
        Loss-landscape paper, section 4.1, where base is 16.
    """

    def __init__(
        self,
        depth: int,
        width: int,
        *,
        base: int = 16,
        strides: Sequence[int] = (1, 2, 2),
        in_channels: int = 3,
        classes: int = 10,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        blocks, rest = divmod(as_count(depth, "depth") - 4, 6)
        if rest or blocks < 1:
            raise UserError(
                f"A wide residual network cannot have depth {depth}: use 6 n + 4, such as 10, 16, 22 or 28."
            )
        if len(strides) != 3:
            raise UserError(f"There are {len(strides)} strides, but three stages: give three, such as (1, 2, 2).")
        strides = [as_count(stride, "An entry of strides") for stride in strides]
        width, base = as_count(width, "width"), as_count(base, "base")
        in_channels, classes = as_count(in_channels, "in_channels"), as_count(classes, "classes")
        if not isinstance(generator, torch.Generator | None):
            raise UserError(
                f"generator is {generator!r}; a torch.Generator is needed: torch.Generator().manual_seed(0)."
            )
        channels = [base, base * width, 2 * base * width, 4 * base * width]
        self.convolution = nn.Conv2d(in_channels, base, 3, padding=1, bias=False)
        self.blocks = nn.Sequential(
            *(
                Block(channels[stage] if n == 0 else channels[stage + 1], channels[stage + 1], stride if n == 0 else 1)
                for stage, stride in enumerate(strides)
                for n in range(blocks)
            )
        )
        self.normalisation = nn.BatchNorm2d(channels[-1])
        self.scores = nn.Linear(channels[-1], classes)
        self._initialise(generator)

    def _initialise(self, generator: torch.Generator | None) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                size = math.prod(module.kernel_size) * module.out_channels
                nn.init.normal_(module.weight, std=math.sqrt(2 / size), generator=generator)
        nn.init.kaiming_uniform_(self.scores.weight, a=math.sqrt(5), generator=generator)
        nn.init.zeros_(self.scores.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Return the scores, shape (N, classes), of images of shape (N, in_channels, height, width)."""
        features = self.blocks(self.convolution(images))
        return self.scores(functional.relu(self.normalisation(features)).mean(dim=(2, 3)))


class Block(nn.Module):
    """Two convolutions of 3 x 3, each after normalisation and ReLU, beside a shortcut.

    The shortcut is the identity, or a convolution of 1 x 1 where the number of channels or positions changes; that one
    starts from the activated input, as the first convolution does.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.normalisation1 = nn.BatchNorm2d(channels_in)
        self.convolution1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.normalisation2 = nn.BatchNorm2d(channels_out)
        self.convolution2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.shortcut = None
        if channels_in != channels_out or stride != 1:
            self.shortcut = nn.Conv2d(channels_in, channels_out, 1, stride, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Return features of shape (N, channels_out, height / stride, width / stride)."""
        activated = functional.relu(self.normalisation1(features))
        residual = functional.relu(self.normalisation2(self.convolution1(activated)))
        return self.convolution2(residual) + (features if self.shortcut is None else self.shortcut(activated))


@dataclass(frozen=True)
class Architecture:
    """The size of a wide residual network.

    Attributes:
        depth, width, base: As for `WideResNet`.
    Example:
        >>> Architecture(depth=16, width=2, base=4).name
        'WRN 16-2'
    """

    depth: int
    width: int
    base: int

    @property
    def name(self) -> str:
        """What the source calls it."""
        return f"WRN {self.depth}-{self.width}"

    def network(self, *, channels: int = 1, seed: int = 0) -> WideResNet:
        """Return a freshly initialised network for images with so many channels, and ten classes."""
        generator = generator_for(seed, "initialisation")
        return WideResNet(self.depth, self.width, base=self.base, in_channels=channels, classes=10, generator=generator)


def number_of_parameters(model: nn.Module) -> int:
    """Count the trainable and frozen numbers of a network, buffers excluded.

    Example:
        >>> number_of_parameters(nn.Linear(3, 2))
        8
    """
    return sum(parameter.numel() for parameter in model.parameters())
