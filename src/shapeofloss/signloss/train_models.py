"""The trainings of the directional sign loss paper: on waves, prices, volumes of water, and photographs.

Each takes its network, loss and schedule as mappings, so that a call can be stored: the arguments of an autoencoder, of
`Mixture` (`squared`, `directional`, `sharpness`) and of `Schedule` (`batch`, `steps`, `learning_rate`).
"""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shapeofloss.arrays import Floats, as_count, as_floats, as_number
from shapeofloss.datasets.photographs import next_patches, patches
from shapeofloss.datasets.prices import split
from shapeofloss.datasets.waves import waves
from shapeofloss.errors import UserError
from shapeofloss.signloss.autoencoders import convolutional_autoencoder, perceptron_autoencoder
from shapeofloss.signloss.residual_vae import ResidualVAE, drawn_weights
from shapeofloss.signloss.training import Mixture, Schedule, descend, fit, rebuilt

WATCHED = 10  # at every tenth step both losses are written down
Settings = Mapping[str, Any]


def train_waves(
    *,
    seed: int,
    points: int,
    network: Settings,
    loss: Settings,
    schedule: Settings,
    examples: int,
    measured_at: float | None = None,
) -> dict[str, Any]:
    """Train the demonstration's autoencoder on waves, and measure it on waves that it has not seen.

    Args:
        seed: Seed of the weights and of the waves.
        points: Samples of a wave.
        network: For `perceptron_autoencoder`: `hidden`, `latent` and, if you like, `initialisation`.
        loss, schedule: For `Mixture`, with the squared error summed, and `Schedule`.
        examples: New waves to measure on, the same for all losses.
        measured_at: Sharpness of the DSL that is measured; that of the training if None.
    Returns:
        What `training.rebuilt` makes of the new waves, shape (examples, points); and at every tenth step of the
        training `squared_error` (summed) and `dsl_along`.
    Raises:
        UserError: If a setting is out of range, before the training.
    """
    seed, examples = as_count(seed, "seed", at_least=0), as_count(examples, "examples")
    mixture, steps = Mixture(**loss), Schedule(**schedule)
    sharpness = mixture.sharpness if measured_at is None else as_number(measured_at, "measured_at", above=0)
    generator = torch.Generator().manual_seed(seed)
    model = perceptron_autoencoder(points, **network, seed=seed)
    parts = Mixture(1, 0, mixture.sharpness), Mixture(0, 1, mixture.sharpness)
    along: list[list[float]] = []
    counter = itertools.count()

    def watched(reconstruction: Tensor, original: Tensor) -> Tensor:
        if next(counter) % WATCHED == 0:
            with torch.no_grad():
                along.append([float(part(reconstruction, original)) for part in parts])
        return mixture(reconstruction, original)

    fit(model, lambda count: waves(count, points, generator), watched, steps)
    original = waves(examples, points, torch.Generator().manual_seed(10_000 + seed))
    squared_error, directional = np.array(along).T
    return {
        **rebuilt(model, original, sharpness=sharpness),
        "squared_error": squared_error,
        "dsl_along": directional,
    }


def train_prices(
    *,
    prices: Floats,
    seed: int,
    length: int,
    held_out: float,
    network: Settings,
    loss: Settings,
    schedule: Settings,
    examples: int,
) -> dict[str, Any]:
    """Train an autoencoder on windows of prices, and measure it on training and held-out windows.

    Args:
        prices: Shape (n,).
        seed: Seed of the weights, the batches, and the windows that are measured.
        length, held_out: Minutes of a window, and the share of held-out prices, as for `datasets.prices.split`.
        network: For `perceptron_autoencoder`: `hidden` and `latent`.
        loss, schedule: For `Mixture`, with the squared error summed, and `Schedule`.
        examples: Windows to measure on, of either kind; the same for all losses.
    Returns:
        What `training.rebuilt` makes of training windows, shape (examples, length), and of held-out windows, with names
        that begin with `unseen_`.
    Raises:
        UserError: As `split`, or if another setting is out of range.
    Source:
        Directional sign loss paper, section 4.1 and Table 4.
    """
    seed, examples = as_count(seed, "seed", at_least=0), as_count(examples, "examples")
    mixture, steps = Mixture(**loss), Schedule(**schedule)
    seen, unseen = split(prices, length, held_out)
    model = perceptron_autoencoder(length, **network, seed=seed)
    batches, chooser = (torch.Generator().manual_seed(number) for number in (seed, 10_000 + seed))
    fit(model, lambda count: _some(seen, count, batches), mixture, steps)
    known, new = (
        rebuilt(model, _some(source, examples, chooser), sharpness=mixture.sharpness) for source in (seen, unseen)
    )
    return known | {f"unseen_{name}": value for name, value in new.items()}


def train_water(
    *,
    heights: NDArray[np.float32],
    unseen: NDArray[np.float32],
    seed: int,
    network: Settings,
    loss: Settings,
    schedule: Settings,
    measured: int | None = None,
) -> dict[str, Any]:
    """Train an autoencoder on simulations, and measure it on simulations it has not seen.

    Args:
        heights, unseen: Heights of the water, shape (N, frames, size, size), frames and sides multiples of 4; both are
            standardised by mean and standard deviation of `heights`.
        seed: Seed of weights, batches and dropout.
        network: For `convolutional_autoencoder`: `filters` and, if you like, `dropout`.
        loss: For `Mixture`: the squared error is a mean over values, the sharpness in 1 / standard deviations.
        schedule: For `Schedule`.
        measured: How many of the unseen simulations are measured; all if None.
    Returns:
        What `training.rebuilt` makes of all unseen simulations, in standard deviations.
    Raises:
        UserError: If a setting is out of range; if the heights are not finite numbers of that shape, or those to train
            on are all equal.
    """
    seed = as_count(seed, "seed", at_least=0)
    mixture, steps = Mixture(**loss, summed=False), Schedule(**schedule)
    if measured is not None:
        measured = as_count(measured, "measured")
    heights, unseen = _volumes(heights, "heights"), _volumes(unseen, "unseen")
    if heights.min() == heights.max():
        raise UserError("The heights are all equal, so that they have no standard deviation to divide by.")
    mean, deviation = float(heights.mean()), float(heights.std())
    seen, new = (torch.from_numpy((h - mean) / deviation) for h in (heights, unseen))
    model = convolutional_autoencoder(**network, seed=seed)
    batches = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # of the dropout
        fit(model, lambda count: _some(seen, count, batches), mixture, steps)
    return rebuilt(model, new, sharpness=mixture.sharpness, summed=False, measured=measured)


def train_images(
    *,
    names: list[str],
    side: int,
    seed: int,
    network: Settings,
    loss: Settings,
    schedule: Settings,
    weights: list[float],
) -> dict[str, Any]:
    """Train a variable-rate model on patches of photographs, with a weight lambda that is drawn anew at every step.

    Minimised is (bits per pixel + lambda * distortion) / sqrt(lambda), with Adam and cosine annealing.

    Args:
        names: Names of the photographs.
        side: Side of a patch, in pixels.
        seed: Seed of weights, patches and lambdas.
        network: For `ResidualVAE`: `channels` and `latent`.
        loss: For `Mixture`: the distortion of images in [-1, 1], the squared error a mean over values.
        schedule: For `Schedule`.
        weights: The smallest and the largest lambda.
    Returns:
        `parameters` of the model, shape (P,), and `loss` at each step.
    Raises:
        UserError: If a photograph is unknown or too small, a setting out of range, or the loss not finite at some step.
    """
    seed, (lowest, highest) = as_count(seed, "seed", at_least=0), weights
    distortion, steps = Mixture(**loss, summed=False), Schedule(**schedule, cosine=True, clip=2.0)
    generator = torch.Generator().manual_seed(seed)
    drawn = patches(names, side, seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = ResidualVAE(**network)

        def rate_and_distortion() -> Tensor:
            x = 2 * next_patches(drawn, steps.batch) - 1
            weight = drawn_weights(1, lowest, highest, generator)
            images, bits = model(x, weight.expand(steps.batch))
            cost: Tensor = (bits.mean() / side**2 + weight[0] * distortion(images, x)) / weight[0].sqrt()
            return cost

        history = descend(model, rate_and_distortion, steps)
    return {"parameters": nn.utils.parameters_to_vector(model.parameters()).detach().numpy(), "loss": history}


def _some(source: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return that many examples, drawn with replacement."""
    return source[torch.randint(len(source), (count,), generator=generator)]


def _volumes(heights: Any, name: str) -> NDArray[np.float32]:
    """Return heights in single precision, as they are if they have it."""
    known = as_floats(heights, name, shape=("N", "frames", "size", "size"), empty=False)
    if any(side % 4 for side in known.shape[1:]):
        raise UserError(f"{name} has shape {known.shape}; frames and sides have to be multiples of 4.")
    return heights if isinstance(heights, np.ndarray) and heights.dtype == np.float32 else known.astype(np.float32)
