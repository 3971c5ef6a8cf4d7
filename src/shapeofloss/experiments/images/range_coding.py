"""Write an image's latents with a range coder, and read them back."""

import struct
import zlib

import constriction
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from shapeofloss.arrays import Floats, as_number, as_tensor
from shapeofloss.errors import UserError
from shapeofloss.signloss.residual_vae import STRIDE, ResidualVAE, bits_of

HEADER = struct.Struct("<HHfI")  # height, width, lambda, and a checksum of all else
SINGLE = float(np.finfo(np.float32).max)
LARGEST = 1000  # of a rounded residual, either way
FAMILY = constriction.stream.model.QuantizedGaussian(-LARGEST, LARGEST)


def compress(model: ResidualVAE, image: Tensor, weight: float) -> tuple[bytes, Tensor, float]:
    """Encode an image.

    Args:
        model: Ready for use.
        image: Numbers in [-1, 1], shape (3, height, width), sides up to 65,535; it is taken in single precision.
        weight: lambda, positive in single precision.
    Returns:
        A header of 12 bytes and the coded latents; the reconstruction, shape (3, height, width); and the bits that the
        model claims for the latents.
    Raises:
        UserError: If the image is no image, lambda not positive, the model still in training or not in single
            precision, or what it makes of the image too large to be coded, or not a number.
    """
    _ready(model)
    weight = as_number(weight, "lambda", at_least=float(np.finfo(np.float32).tiny), at_most=SINGLE)
    as_tensor(image, "image")
    if image.dim() != 3 or len(image) != 3:
        raise UserError(f"The image has shape {tuple(image.shape)}; (3, height, width) is needed.")
    height, width = image.shape[1:]
    if not 1 <= min(height, width) <= max(height, width) <= 65_535:
        raise UserError(f"The image has {height} x {width} pixels; sides of 1 to 65,535 can be coded.")
    if not (image.is_floating_point() and bool(image.isfinite().all())):
        raise UserError("The image has values that are not finite floating numbers; numbers in [-1, 1] are needed.")
    edges = (0, -width % STRIDE, 0, -height % STRIDE)  # the last rows and columns are repeated
    padded = functional.pad(image[None].detach().float(), edges, mode="replicate")
    encoder = constriction.stream.queue.RangeEncoder()
    weight = float(np.float32(weight))  # as the decoder will read it
    bits = 0.0

    def choose(level: int, d: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
        nonlocal bits
        residual = (model.centre(level, d, seen, lam) - mean).round()
        if not residual.abs().max() <= LARGEST:  # nor NaN
            raise UserError(f"A latent is {residual.abs().max():g}; at most {LARGEST} can be coded.")
        symbols = residual.flatten().numpy().astype(np.int32)
        encoder.encode(symbols, FAMILY, np.zeros(len(symbols)), _scales(scale))
        bits += float(bits_of(residual, scale).sum())
        return mean + residual

    with torch.no_grad():
        lam, seen = torch.full((1, 1, 1, 1), weight), model.features(padded)
        decoded = model.decode((1, *padded.shape[2:]), lam, choose)
    words = encoder.get_compressed().astype("<u4").tobytes()
    data = HEADER.pack(height, width, weight, _checksum(height, width, weight, words)) + words
    return data, decoded[0, :, :height, :width], bits


def decompress(model: ResidualVAE, data: bytes) -> Tensor:
    """Return the image that `compress` encoded, shape (3, height, width): to the last bit its reconstruction.

    The same model on the same kind of machine is needed: the range coder follows the model's numbers exactly.

    Raises:
        UserError: If the bytes are not all of those that `compress` wrote, or those of another model.
    """
    _ready(model)
    if not isinstance(data, bytes | bytearray | memoryview):
        raise UserError(f"data is of type {type(data).__name__}; bytes are needed.")
    data = bytes(data)
    if len(data) < HEADER.size or (len(data) - HEADER.size) % 4:
        raise UserError(f"{len(data)} bytes are no coded image: a header of {HEADER.size} and words of 4 are needed.")
    height, width, weight, checksum = HEADER.unpack_from(data)
    if not (height and width and 0 < weight <= SINGLE):
        raise UserError(
            f"The header names an image of {height} x {width} with lambda {weight}; all have to be positive."
        )
    if checksum != _checksum(height, width, weight, data[HEADER.size :]):
        raise UserError(f"The {len(data)} bytes are not those that were written: they are cut short, or changed.")
    words = np.frombuffer(data, "<u4", offset=HEADER.size).astype(np.uint32)
    decoder = constriction.stream.queue.RangeDecoder(words)

    def choose(level: int, d: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
        try:
            symbols = decoder.decode(FAMILY, np.zeros(mean.numel()), _scales(scale))
        except AssertionError:
            raise UserError("The bytes cannot be decoded: another model wrote them, or another machine.") from None
        return mean + torch.from_numpy(symbols.astype(np.float32)).reshape(mean.shape)

    sides = [-(-side // STRIDE) * STRIDE for side in (height, width)]
    with torch.no_grad():
        decoded = model.decode((1, sides[0], sides[1]), torch.full((1, 1, 1, 1), weight), choose)
    return decoded[0, :, :height, :width]


def _checksum(height: int, width: int, weight: float, words: bytes) -> int:
    return zlib.crc32(HEADER.pack(height, width, weight, 0) + words)


def _ready(model: ResidualVAE) -> None:
    if not isinstance(model, ResidualVAE):
        raise UserError(f"model is of type {type(model).__name__}; a ResidualVAE is needed.")
    if (kind := model.start.dtype) != torch.float32:
        raise UserError(f"The model computes in {kind}; single precision is needed, with model.float().")
    if model.training:
        raise UserError("The model is in training, and adds noise; call model.eval() first.")


def _scales(scale: Tensor) -> Floats:
    if not bool(((scale > 0) & scale.isfinite()).all()):  # the coder would end the process
        raise UserError("The model gives scales that are not positive and finite; lambda is too large for it.")
    return scale.flatten().numpy().astype(np.float64)
