"""Photographs that come with the dependencies, or those of a folder, and random patches of them."""

import itertools
import warnings
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapeofloss.arrays import as_count
from shapeofloss.engine import workspace
from shapeofloss.errors import UserError, unknown

NAMES = {  # package and file
    "astronaut": ("skimage", "data/astronaut.png"),
    "chelsea": ("skimage", "data/chelsea.png"),
    "coffee": ("skimage", "data/coffee.png"),
    "rocket": ("skimage", "data/rocket.jpg"),
    "china": ("sklearn", "datasets/images/china.jpg"),
    "flower": ("sklearn", "datasets/images/flower.jpg"),
}
ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


def photograph(name: str) -> NDArray[np.uint8]:
    """Return a photograph by name, shape (height, width, 3), from 0 to 255.

    A name with a slash is a file in the data folder, as `expanded` gives them. It is turned as its tag says; grey of 16
    bits is scaled to 8; what is transparent is shown on white; of several pages the first is taken.

    Raises:
        UserError: If there is no such name, the file is no image, too large to be opened safely (about 179 million
            pixels), or holds numbers without a known white: grey of floats, or of whole numbers of 32 bits.
    """
    if isinstance(name, str) and "/" in name:
        return _read(workspace.data() / name)
    if not isinstance(name, str) or name not in NAMES:
        raise unknown("photograph", name, NAMES)
    package, file = NAMES[name]
    place = find_spec(package)  # not imported: that would take seconds
    if place is None or place.origin is None:
        raise UserError(f"The photograph {name} comes with {package}, which is not installed.")
    return _read(Path(place.origin).parent / file)


def expanded(names: Sequence[str]) -> list[str]:
    """Return names of photographs, and for the name of a folder in the data folder those of the images in it.

    Raises:
        UserError: If a name is neither, or there is no image in a folder.
    """
    if isinstance(names, str):
        raise UserError(f"names is '{names}'; a list of names is needed: ['{names}'].")
    photographs: list[str] = []
    for name in names:
        if name in NAMES:
            photographs.append(name)
        elif isinstance(name, str) and (folder := workspace.data() / name).is_dir():
            files = sorted(file.name for file in folder.glob("*") if file.suffix.lower() in ENDINGS)
            if not files:
                raise UserError(f"No image is in the folder {name}; files that end in {', '.join(ENDINGS)} are needed.")
            photographs += [f"{name}/{file}" for file in files]
        else:
            raise unknown("photograph, and no folder of that name in the data folder:", name, NAMES)
    return photographs


def _read(file: Path) -> NDArray[np.uint8]:
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large panoramas and odd tags; beyond twice the limit Pillow refuses
            with Image.open(file) as stored:
                image = ImageOps.exif_transpose(stored)  # a copy, whose pixels have been read
    except Exception as error:  # Pillow's plugins raise whatever their parsers meet
        unsaid = isinstance(error, UnidentifiedImageError) or (isinstance(error, OSError) and error.filename)
        told = "" if unsaid else f" ({type(error).__name__}: {str(error).rstrip('.')})"
        raise UserError(
            f"{file.name} cannot be read as an image{told}; mend it or take it out of its folder."
        ) from None
    if image.mode in ("I", "F"):
        raise UserError(
            f"{file.name} holds grey values of {'floats' if image.mode == 'F' else '32 bits'}, whose white is not "
            "known; save it with 8 or 16 bits."
        )
    if image.mode.startswith("I;16"):
        grey = (np.asarray(image).astype(np.int64) + 128) // 257  # in 8 bits, rounded
        image = Image.fromarray(grey.astype(np.uint8))
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"))


def patches(names: Sequence[str], side: int, seed: int) -> Iterator[NDArray[np.float32]]:
    """Yield square patches at random places of photographs that are drawn at random, without end.

    Args:
        names: Names of the photographs, as `expanded` gives them.
        side: Side of a patch, in pixels.
        seed: Seed of the choices.
    Returns:
        Shape (3, side, side) each, from 0 to 1.
    Raises:
        UserError: If a name is unknown, or a photograph smaller than a patch.
    """
    side, seed = as_count(side, "side"), as_count(seed, "seed", at_least=0)
    if isinstance(names, str) or not len(names):
        raise UserError(f"names is {names!r}; a list of at least one name of a photograph is needed.")
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
    """Return the next patches as a batch, shape (count, 3, side, side).

    Raises:
        UserError: If the count is no whole number from 1.
    """
    return torch.from_numpy(np.stack(list(itertools.islice(drawn, as_count(count, "count")))))
