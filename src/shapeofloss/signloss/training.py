"""Train an autoencoder on a mixture of squared error and directional sign loss, and measure what it makes of data."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shapeofloss.errors import UserError
from shapeofloss.signloss.diagrams import persistence_diagram, wasserstein
from shapeofloss.signloss.loss import directional_sign_loss, exact_sign_mismatch

MEAN = 100  # steps whose mean loss tells a plateau


@dataclass(frozen=True)
class Mixture:
    """A weighted sum of squared error and directional sign loss.

    Attributes:
        squared: Weight of the squared error.
        directional: Weight of the directional sign loss, mean over comparisons, not halved.
        sharpness: Of the directional sign loss.
        summed: Whether the squared error is summed over the values of an example, as in the paper's tables for waves
            and prices, or their mean is taken; over examples it is a mean.
    """

    squared: float
    directional: float
    sharpness: float
    summed: bool = True

    def __call__(self, reconstruction: Tensor, original: Tensor) -> Tensor:
        """Return the loss of a batch, shape (N, ...) each."""
        loss = reconstruction.new_zeros(())
        if self.squared:
            error = torch.nn.functional.mse_loss(reconstruction, original)
            loss = loss + self.squared * (error * original[0].numel() if self.summed else error)
        if self.directional:
            loss = loss + self.directional * directional_sign_loss(reconstruction, original, sharpness=self.sharpness)
        return loss


def perceptrons(size: int, hidden: int, latent: int, *, seed: int, initialisation: str = "default") -> nn.Sequential:
    """Return an autoencoder of two perceptrons of two layers with ReLU between the layers.

    Args:
        size, hidden, latent: Values of an example, of the hidden layers, and of the code between encoder and decoder.
        seed: Of the weights.
        initialisation: "default" for PyTorch's own, "he" for normal weights of variance 2 / inputs and zero biases.
    Source:
        Directional sign loss paper, section 3.3 and Table 4.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = [nn.Linear(size, hidden), nn.ReLU(), nn.Linear(hidden, latent)]
        layers += [nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, size)]
        model = nn.Sequential(*layers)
        if initialisation == "he":
            for layer in model:
                if isinstance(layer, nn.Linear):
                    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                    nn.init.zeros_(layer.bias)
    return model


def fit(
    model: nn.Module,
    batch: Callable[[int], Tensor],
    loss: Callable[[Tensor, Tensor], Tensor],
    *,
    steps: int,
    learning_rate: float,
    plateau: int = 0,
) -> NDArray[np.float64]:
    """Train a model with Adam to reconstruct its input.

    Args:
        model: Takes a batch, shape (N, ...), and returns one of the same shape. It is changed.
        batch: Returns the batch of a step.
        loss: Of the reconstruction and the original.
        steps: Batches in all.
        learning_rate: Of Adam, at the start.
        plateau: After how many means over 100 steps without improvement the learning rate is halved; 0 for never.
    Returns:
        The loss at each step, shape (steps,).
    Raises:
        UserError: If the loss is not finite at some step.
    """
    optimiser = torch.optim.Adam(model.parameters(), lr=learning_rate)
    halving = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.5, patience=plateau)
    history = np.empty(steps)
    for step in range(steps):
        original = batch(step)
        value = loss(model(original), original)
        history[step] = value.item()
        if not np.isfinite(history[step]):
            raise UserError(f"The loss is {history[step]} at step {step + 1} with learning rate {learning_rate}.")
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        if plateau and (step + 1) % MEAN == 0:
            halving.step(float(history[step + 1 - MEAN : step + 1].mean()))
    return history


def measures(original: Tensor, reconstruction: Tensor, *, sharpness: float, summed: bool = True) -> dict[str, float]:
    """Measure reconstructions as the paper's tables do.

    Args:
        original, reconstruction: Shape (N, ...), 1 to 3 dimensions after the first.
        sharpness: Of DSL.
        summed: As for `Mixture`.
    Returns:
        Means over examples: `mse`, the squared error; `dsl`, mean over comparisons, not halved; `exact`, the sign
        mismatches of an example; `persistence`, the 2-Wasserstein distance (Euclidean ground distance, finite points)
        between diagrams of dimension 0, all neighbours.
    Source:
        Directional sign loss paper, Tables 1 and 2; the conventions fit the printed magnitudes.
    """
    with torch.no_grad():
        squared = (original - reconstruction).square().flatten(1)
        pairs = zip(original.double().numpy(), reconstruction.double().numpy(), strict=True)
        distances = [wasserstein(persistence_diagram(a), persistence_diagram(b)) for a, b in pairs]
        return {
            "mse": float((squared.sum(1) if summed else squared.mean(1)).mean()),
            "dsl": float(directional_sign_loss(reconstruction, original, sharpness=sharpness)),
            "exact": float(exact_sign_mismatch(reconstruction, original)),
            "persistence": float(np.mean(distances)),
        }
