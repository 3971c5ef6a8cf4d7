"""What a variable-rate model makes of photographs that it has not seen, at several rates."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from shapeofloss.arrays import Floats, as_count, as_number
from shapeofloss.datasets.photographs import next_patches, patches
from shapeofloss.errors import UserError
from shapeofloss.signloss.loss import directional_sign_loss, exact_sign_mismatch
from shapeofloss.signloss.residual_vae import trained_model
from shapeofloss.topology.diagrams import persistence_diagram, wasserstein

GREY = (0.299, 0.587, 0.114)  # shares of red, green and blue


def measure_images(
    *,
    parameters: NDArray[np.float32],
    network: Mapping[str, int],
    weights: list[float],
    names: list[str],
    side: int,
    count: int,
    seed: int,
    sharpness: float,
) -> dict[str, Any]:
    """Measure a model on square crops of photographs at several weights lambda.

    Args:
        parameters, network: The model, as for `residual_vae.trained_model`: its `channels` and `latent`.
        weights: Values of lambda.
        names, side, count, seed: Crops, as for `photographs.patches`; the same for all models.
        sharpness: s of DSL.
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
    model = trained_model(parameters, **network)
    crops = next_patches(patches(names, side, seed), count)
    rebuilt, rows = [], []
    for weight in weights:
        with torch.no_grad():
            images, bits = model(2 * crops - 1, torch.full((count,), weight))
        rebuilt.append(((images + 1) / 2).clamp(0, 1))
        rows.append({"bpp": (bits / side**2).tolist(), **_measured(crops, rebuilt[-1], sharpness)})
    scales = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return {**scales, "original": crops.numpy(), "reconstruction": rebuilt[0].numpy()}


def _measured(crops: Tensor, images: Tensor, sharpness: float) -> dict[str, list[float]]:
    """Return the scales of each reconstruction, all on [0, 1]."""
    dsl = directional_sign_loss(2 * images, 2 * crops, sharpness=sharpness, average="dimensions", reduction="none")
    exact = exact_sign_mismatch(images, crops, average="comparisons", reduction="none")
    pairs = list(zip(crops.double().numpy(), images.double().numpy(), strict=True))
    return {
        "dsl": dsl.tolist(),
        "exact": exact.tolist(),
        "mse": [float(np.mean((a - b) ** 2)) for a, b in pairs],
        "psnr": [float(peak_signal_noise_ratio(a, b, data_range=1)) for a, b in pairs],
        "ssim": [float(structural_similarity(a, b, data_range=1, channel_axis=0)) for a, b in pairs],
        "contrast": [float(np.abs(b - 0.5).mean() / np.abs(a - 0.5).mean()) for a, b in pairs],
        "persistence": [wasserstein(_grey_diagram(a), _grey_diagram(b)) for a, b in pairs],
    }


def _grey_diagram(image: Floats) -> Floats:
    return persistence_diagram(np.tensordot(GREY, image, 1))
