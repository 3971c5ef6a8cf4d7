"""Small critics and generators with known gradients, and the points that they see."""

import torch
from torch import nn

from shapeofloss.adversarial.constraints import input_gradients
from shapeofloss.adversarial.networks import perceptron


def source(seed=0):
    return torch.Generator().manual_seed(seed)


class Slope(nn.Module):
    """f(x) = <v, x>."""

    def __init__(self, *v):
        super().__init__()
        self.v = nn.Parameter(torch.tensor(v))

    def forward(self, x):
        return x @ self.v


class Shift(nn.Module):
    """A generator that moves its noise by theta along the first axis."""

    def __init__(self, theta):
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(theta))

    def forward(self, z):
        return z + self.theta * torch.tensor([1.0, 0.0])


def line(count, generator):
    """Points (0, U[0, 1])."""
    return torch.stack([torch.zeros(count), torch.rand(count, generator=generator)], dim=1)


def assert_differences(critic, x):
    """Compare the gradient at each point, shape (N, 3), with central differences."""
    gradients = input_gradients(critic, x)
    for axis in range(3):
        small = 1e-5 * torch.eye(3).double()[axis]
        difference = (critic(x + small) - critic(x - small)).detach().flatten() / 2e-5
        assert torch.allclose(gradients[:, axis], difference, atol=1e-8)


def constant_weights(sizes, value):
    """A perceptron whose every weight is `value` and whose offsets are zero."""
    network = perceptron(sizes, generator=source()).double()
    for parameter in network.parameters():
        nn.init.constant_(parameter, value if parameter.dim() == 2 else 0.0)
    return network
