"""Photographs that come with the dependencies, or those of a folder, and random patches of them."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapeofloss.errors import UserError, unknown

NAMES = {
    "astronaut": "scikit-image",
    "chelsea": "scikit-image",
    "coffee": "scikit-image",
    "rocket": "scikit-image",
    "china": "scikit-learn",
    "flower": "scikit-learn",
}
ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


def photograph(name: str) -> NDArray[np.uint8]:
    """Return a photograph by name, shape (height, width, 3), from 0 to 255.

    Raises:
        UserError: If there is no such name.
    """
    if name not in NAMES:
        raise unknown("photograph", name, NAMES)
    if NAMES[name] == "scikit-learn":
        from sklearn.datasets import load_sample_image

        return np.asarray(load_sample_image(f"{name}.jpg"))
    import skimage.data

    return np.asarray(getattr(skimage.data, name)())


def folder(path: Path, *, smallest: int) -> list[NDArray[np.uint8]]:
    """Return the images of a folder in the order of their names, shape (height, width, 3) each, from 0 to 255.

    Args:
        path: The folder; what does not end as images do is passed over.
        smallest: The least height and width.
    Raises:
        UserError: If there is no such folder or no image in it, or one is damaged or too small.
    """
    from PIL import Image, UnidentifiedImageError

    files = sorted(file for file in path.glob("*") if file.suffix.lower() in ENDINGS) if path.is_dir() else []
    if not files:
        raise UserError(f"{path.name} is no folder with images; files that end in {', '.join(ENDINGS)} are needed.")
    found = []
    for file in files:
        try:
            with Image.open(file) as image:
                pixels = np.asarray(image.convert("RGB"))
        except (UnidentifiedImageError, OSError):
            raise UserError(f"{file.name} cannot be read as an image; mend it or take it out of {path.name}.") from None
        if min(pixels.shape[:2]) < smallest:
            height, width = pixels.shape[:2]
            raise UserError(f"{file.name} has {height} x {width} pixels; each side needs at least {smallest}.")
        found.append(pixels)
    return found


def patches(names: Sequence[str], side: int, seed: int) -> Iterator[NDArray[np.float32]]:
    """Yield square patches at random places of photographs that are drawn at random, without end.

    Args:
        names: Of the photographs.
        side: Of a patch, in pixels.
        seed: Of the choices.
    Returns:
        Shape (3, side, side) each, from 0 to 1.
    Raises:
        UserError: If a name is unknown, or a photograph smaller than a patch.
    """
    images = [photograph(name) for name in names]
    for name, image in zip(names, images, strict=True):
        if min(image.shape[:2]) < side:
            raise UserError(f"{name} has {image.shape[0]} x {image.shape[1]} pixels; a patch of {side} does not fit.")
    return _drawn(images, side, np.random.default_rng(seed))


def _drawn(
    images: Sequence[NDArray[np.uint8]], side: int, generator: np.random.Generator
) -> Iterator[NDArray[np.float32]]:
    while True:
        image = images[int(generator.integers(len(images)))]
        top, left = (int(generator.integers(n - side + 1)) for n in image.shape[:2])
        patch = image[top : top + side, left : left + side]
        yield (patch.transpose(2, 0, 1) / 255).astype(np.float32)


def next_patches(drawn: Iterator[NDArray[np.float32]], count: int) -> Tensor:
    """Return the next patches as a batch, shape (count, 3, side, side)."""
    return torch.from_numpy(np.stack(list(itertools.islice(drawn, count))))
