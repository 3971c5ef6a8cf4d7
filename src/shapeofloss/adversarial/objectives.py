"""What a critic (the discriminator of a GAN) and a generator want, in terms of scores."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import softplus

from shapeofloss.arrays import as_function


@dataclass(frozen=True)
class Objective:
    """What critic and generator want, in terms of scores.

    Attributes:
        name: For messages and tables.
        critic_loss: From the scores of data, shape (N,), and of samples, shape (M,), to what the critic minimises; its
            negative is the critic's *value*.
        generator_loss: From the scores of samples, shape (M,), to what the generator minimises.

    Raises:
        UserError: If a loss is no function.
    """

    name: str
    critic_loss: Callable[[Tensor, Tensor], Tensor]
    generator_loss: Callable[[Tensor], Tensor]

    def __post_init__(self) -> None:
        as_function(self.critic_loss, "critic_loss", example="lambda real, fake: fake.mean() - real.mean()")
        as_function(self.generator_loss, "generator_loss", example="lambda fake: -fake.mean()")


def _cross_entropy(real: Tensor, fake: Tensor) -> Tensor:
    # With D = sigmoid(score): -log D = softplus(-score) and -log(1 - D) = softplus(score), without overflow.
    return softplus(-real).mean() + softplus(fake).mean()


# E log D(y) + E log(1 - D(z)), the same for both players.
MINIMAX = Objective("GAN", _cross_entropy, lambda fake: -softplus(fake).mean())
# The generator maximises E log D(z) instead: its gradient does not vanish where D is near 0.
NON_SATURATING = Objective("non-saturating GAN", _cross_entropy, lambda fake: softplus(-fake).mean())
# E f(y) - E f(z); a constraint has to hold the slope of f.
WASSERSTEIN = Objective("WGAN", lambda real, fake: fake.mean() - real.mean(), lambda fake: -fake.mean())
