"""What a variable-rate model makes of photographs that it has not seen, at several rates."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from shapeofloss.arrays import as_count, as_floats, as_number
from shapeofloss.datasets.photographs import next_patches, patches
from shapeofloss.errors import UserError
from shapeofloss.signloss.loss import directional_sign_loss, exact_sign_mismatch
from shapeofloss.signloss.residual_vae import trained_model
from shapeofloss.topology.diagrams import persistence_diagram, wasserstein

GREY = (0.299, 0.587, 0.114)  # shares of red, green and blue


def measure_images(
    *,
    parameters: NDArray[np.float32],
    channels: int,
    latent: int,
    weights: list[float],
    names: list[str],
    side: int,
    count: int,
    seed: int,
    sharpness: float,
) -> dict[str, Any]:
    """Measure a model on square crops of photographs at several weights lambda.

    Args:
        parameters, channels, latent: The model, as for `residual_vae.trained_model`.
        weights: lambda.
        names, side, count, seed: Crops, as for `photographs.patches`; the same for all models.
        sharpness: Of DSL.
    Returns:
        For each weight and crop, shape (weights, count): `bpp`, bits per pixel by the model's own likelihood; `mse`
        per value on [0, 1]; `psnr` in dB, by scikit-image; `dsl`, the sum over the three dimensions of means, not
        halved, of images in [-1, 1]; `exact`, the share of wrong signs; `persistence`, the 2-Wasserstein distance
        (Euclidean, finite points, all neighbours) between diagrams of dimension 0 of the grey crops; `ssim`, structural
        similarity; `contrast`, the mean distance from mid-range over the original's. And `original` and
        `reconstruction` at the first weight, on [0, 1], shape (count, 3, side, side).
    Raises:
        UserError: If the parameters are not those of the model, a photograph is unknown or too small, the side no
            multiple of 8, a weight or another setting not positive, or there is no weight.
    """
    count = as_count(count, "count")
    if not len(weights):
        raise UserError("weights is empty; at least one lambda is needed.")
    weights = [as_number(weight, "A weight", above=0) for weight in weights]
    model = trained_model(parameters, channels, latent)
    crops = next_patches(patches(names, side, seed), count)
    diagrams = [persistence_diagram(np.tensordot(GREY, crop.double().numpy(), 1)) for crop in crops]
    rows: dict[str, list[list[float]]] = {
        name: [] for name in ("bpp", "mse", "psnr", "dsl", "exact", "persistence", "ssim", "contrast")
    }
    first = None
    for weight in weights:
        with torch.no_grad():
            images, bits = model(2 * crops - 1, torch.full((count,), float(weight)))
            images = ((images + 1) / 2).clamp(0, 1)
            dsl = directional_sign_loss(
                2 * images, 2 * crops, sharpness=sharpness, average="dimensions", reduction="none"
            )
            exact = exact_sign_mismatch(images, crops, average="comparisons", reduction="none")
        first = images if first is None else first
        pairs = list(zip(crops.double().numpy(), images.double().numpy(), strict=True))
        rows["bpp"].append((bits / side**2).tolist())
        rows["mse"].append([float(np.mean((a - b) ** 2)) for a, b in pairs])
        rows["psnr"].append([float(peak_signal_noise_ratio(a, b, data_range=1)) for a, b in pairs])
        rows["dsl"].append(dsl.tolist())
        rows["exact"].append(exact.tolist())
        rows["persistence"].append(
            [
                wasserstein(d, persistence_diagram(np.tensordot(GREY, b, 1)))
                for d, (_, b) in zip(diagrams, pairs, strict=True)
            ]
        )
        rows["ssim"].append([float(structural_similarity(a, b, data_range=1, channel_axis=0)) for a, b in pairs])
        rows["contrast"].append([float(np.abs(b - 0.5).mean() / np.abs(a - 0.5).mean()) for a, b in pairs])
    assert first is not None
    found = {name: np.array(values) for name, values in rows.items()}
    return {**found, "original": crops.numpy(), "reconstruction": first.numpy()}


def psnr(mse: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the peak signal-to-noise ratio in dB of squared errors per value on [0, 1].

    Raises:
        UserError: If an error is not a positive finite number.
    """
    mse = as_floats(mse, "mse")
    if not (mse > 0).all():
        raise UserError(f"mse goes down to {mse.min():g}; squared errors above 0 are needed.")
    return -10 / math.log(10) * np.log(mse)
