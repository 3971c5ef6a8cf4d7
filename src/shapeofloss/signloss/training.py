"""Train an autoencoder on a mixture of squared error and directional sign loss, and measure what it makes of data."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shapeofloss.arrays import as_count, as_floats, as_function, as_number, as_tensor
from shapeofloss.errors import UserError, unknown
from shapeofloss.signloss.loss import directional_sign_loss, exact_sign_mismatch
from shapeofloss.topology.diagrams import persistence_diagram, wasserstein

MEAN = 100  # steps whose mean loss tells a plateau
INITIALISATIONS = ("default", "he")


@dataclass(frozen=True)
class Mixture:
    """A weighted sum of squared error and directional sign loss.

    Attributes:
        squared: Weight of the squared error.
        directional: Weight of the directional sign loss, mean over comparisons, not halved.
        sharpness: Of the directional sign loss.
        summed: Whether the squared error is summed over the values of an example, as in the paper's tables for waves
            and prices, or their mean is taken; over examples it is a mean.
    Raises:
        UserError: If a weight is negative, both are zero, or the sharpness is not positive; when it is called, if
            the two are no tensors of one shape.
    """

    squared: float
    directional: float
    sharpness: float
    summed: bool = True

    def __post_init__(self) -> None:
        """Refuse weights and a sharpness that make no loss."""
        for name in ("squared", "directional"):
            as_number(getattr(self, name), name, at_least=0)
        if not (self.squared or self.directional):
            raise UserError("Both weights of the mixture, squared and directional, are 0; one has to be above 0.")
        as_number(self.sharpness, "sharpness", above=0)

    def __call__(self, reconstruction: Tensor, original: Tensor) -> Tensor:
        """Return the loss of a batch, shape (N, ...) each; half precision is computed and returned in single."""
        _alike(reconstruction, original)
        reconstruction, original = _wide(reconstruction), _wide(original)
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
    Raises:
        UserError: If a size is no whole number from 1, the seed none from 0, or the initialisation unknown.
    Source:
        Directional sign loss paper, section 3.3 and Table 4.
    """
    if initialisation not in INITIALISATIONS:
        raise unknown("initialisation", initialisation, INITIALISATIONS)
    size, hidden, latent = as_count(size, "size"), as_count(hidden, "hidden"), as_count(latent, "latent")
    seed = as_count(seed, "seed", at_least=0)
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
        model: Takes a batch, shape (N, ...), and returns one of the same shape. Its parameters are changed.
        batch: Returns the batch of a step.
        loss: Of the reconstruction and the original.
        steps: Batches in all.
        learning_rate: Of Adam, at the start.
        plateau: After how many means over 100 steps without improvement the learning rate is halved; 0 for never.
    Returns:
        The loss at each step, shape (steps,).
    Raises:
        UserError: If the model has no parameters to train, a setting is out of range, a batch is no tensor or records
            gradients, or the loss is no finite scalar that records them, at some step.
    """
    if not isinstance(model, nn.Module):
        raise UserError(f"model is of type {type(model).__name__}; a torch.nn.Module is needed.")
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise UserError("The model has no parameters that record gradients; there is nothing to train.")
    batch, loss = as_function(batch, "batch"), as_function(loss, "loss", example="Mixture(1, 0, 1.0)")
    steps, plateau = as_count(steps, "steps", at_least=0), as_count(plateau, "plateau", at_least=0)
    learning_rate = as_number(learning_rate, "learning_rate", above=0)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    halving = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=plateau)
    history = np.empty(steps)
    for step in range(steps):
        original = as_tensor(batch(step), "The batch")
        if original.requires_grad:
            raise UserError("The batch records gradients, which would be lost here: give batch.detach().")
        value = as_tensor(loss(model(original), original), "The loss")
        if value.numel() != 1 or not value.requires_grad:
            raise UserError(
                f"The loss has shape {tuple(value.shape)} and {'has' if value.requires_grad else 'lacks'} gradients;"
                " one number is needed that follows from the parameters of the model by PyTorch's operations."
            )
        history[step] = value.item()
        if not np.isfinite(history[step]):
            raise UserError(f"The loss is {history[step]} at step {step + 1} with learning rate {learning_rate}.")
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
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
    Raises:
        UserError: If the two are no tensors of finite numbers of one shape, or record gradients, which would be lost;
            if the sharpness is not positive.
    Source:
        Directional sign loss paper, Tables 1 and 2; the conventions fit the printed magnitudes.
    """
    _alike(reconstruction, original)
    known = [as_floats(t, name) for t, name in ((original, "original"), (reconstruction, "reconstruction"))]
    with torch.no_grad():
        squared = (_wide(original) - _wide(reconstruction)).square().flatten(1)
        directional = float(directional_sign_loss(reconstruction, original, sharpness=sharpness))
        pairs = zip(*known, strict=True)
        distances = [wasserstein(persistence_diagram(a), persistence_diagram(b)) for a, b in pairs]
        return {
            "mse": float((squared.sum(1) if summed else squared.mean(1)).mean()),
            "dsl": directional,
            "exact": float(exact_sign_mismatch(reconstruction, original)),
            "persistence": float(np.mean(distances)),
        }


def _wide(t: Tensor) -> Tensor:
    """Return half precision, whose sums end at 65,504 or lose all digits, in single; other types as they are."""
    return t.float() if t.is_floating_point() and t.dtype.itemsize == 2 else t


def _alike(reconstruction: Tensor, original: Tensor) -> None:
    shapes = [
        tuple(as_tensor(t, name).shape) for t, name in ((reconstruction, "reconstruction"), (original, "original"))
    ]
    if shapes[0] != shapes[1] or 0 in (*shapes[0], len(shapes[0])):
        raise UserError(
            f"reconstruction has shape {shapes[0]} and original {shapes[1]}; one shape (N, ...) with at least one "
            "number is needed."
        )
