"""Write an image's latents with a range coder, and read them back."""

import struct

import constriction
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapeofloss.errors import UserError
from shapeofloss.signloss.residual_vae import STRIDE, ResidualVAE

HEADER = struct.Struct("<HHf")  # height, width, lambda
LARGEST = 1000  # of a rounded residual, either way


def compress(model: ResidualVAE, image: Tensor, weight: float) -> tuple[bytes, Tensor, float]:
    """Encode an image.

    Args:
        model: Ready for use.
        image: In [-1, 1], shape (3, height, width).
        weight: lambda.
    Returns:
        A header of 8 bytes and the coded latents; the reconstruction, shape (3, height, width); and the bits that the
        model claims for the latents.
    Raises:
        UserError: If the image is no image, or has latents too large to be coded.
    """
    if image.dim() != 3 or len(image) != 3:
        raise UserError(f"The image has shape {tuple(image.shape)}; (3, height, width) is needed.")
    height, width = image.shape[1:]
    padded = _padded(image[None])
    encoder = constriction.stream.queue.RangeEncoder()
    with torch.no_grad():
        weight = struct.unpack("<f", struct.pack("<f", weight))[0]  # as the decoder will read it
        lam = torch.full((1, 1, 1, 1), weight)
        seen = model.features(padded)

        def choose(level: int, d: Tensor, mean: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
            centre = lam.sqrt() * model.posterior[level](torch.cat([d, seen[level]], dim=1))
            residual = (centre - mean).round()
            if residual.abs().max() > LARGEST:
                raise UserError(f"A latent is {residual.abs().max():g}; at most {LARGEST} can be coded.")
            encoder.encode(_symbols(residual), _family(), np.zeros(residual.numel()), _scales(scale))
            return mean + residual, residual

        decoded = model.decode((1, padded.shape[2], padded.shape[3]), lam, choose)
        _, bits = model(padded, torch.tensor([weight]))
    data = HEADER.pack(height, width, weight) + encoder.get_compressed().astype("<u4").tobytes()
    return data, decoded[0, :, :height, :width], float(bits)


def decompress(model: ResidualVAE, data: bytes) -> Tensor:
    """Return the image that `compress` encoded, shape (3, height, width): to the last bit its reconstruction.

    The same model on the same kind of machine is needed: the range coder follows the model's numbers exactly.

    Raises:
        UserError: If the bytes cannot be those of an image.
    """
    if len(data) < HEADER.size or (len(data) - HEADER.size) % 4:
        raise UserError(f"{len(data)} bytes are no coded image: a header of {HEADER.size} and words of 4 are needed.")
    height, width, weight = HEADER.unpack_from(data)
    if not (height and width and weight > 0):
        raise UserError(
            f"The header names an image of {height} x {width} with lambda {weight}; all have to be positive."
        )
    words = np.frombuffer(data, "<u4", offset=HEADER.size).astype(np.uint32)
    decoder = constriction.stream.queue.RangeDecoder(words)

    def choose(level: int, d: Tensor, mean: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        symbols = decoder.decode(_family(), np.zeros(mean.numel()), _scales(scale))
        residual = torch.from_numpy(symbols.astype(np.float32)).reshape(mean.shape)
        return mean + residual, residual

    sides = [-(-side // STRIDE) * STRIDE for side in (height, width)]
    with torch.no_grad():
        decoded = model.decode((1, sides[0], sides[1]), torch.full((1, 1, 1, 1), weight), choose)
    return decoded[0, :, :height, :width]


def _padded(images: Tensor) -> Tensor:
    """Return images whose sides are multiples of the stride, the last rows and columns repeated."""
    height, width = images.shape[2:]
    return torch.nn.functional.pad(images, (0, -width % STRIDE, 0, -height % STRIDE), mode="replicate")


def _family() -> constriction.stream.model.QuantizedGaussian:
    return constriction.stream.model.QuantizedGaussian(-LARGEST, LARGEST)


def _symbols(residual: Tensor) -> NDArray[np.int32]:
    return residual.flatten().numpy().astype(np.int32)


def _scales(scale: Tensor) -> NDArray[np.float64]:
    return scale.flatten().numpy().astype(np.float64)
