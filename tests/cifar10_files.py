"""The six files of CIFAR-10 in miniature, for the tests of whatever reads them."""

import numpy as np

from shapeofloss.datasets.cifar10 import TESTING, TRAINING

RECORDS = 20


def drawn():
    """Pixels (120, 3, 32, 32) and labels (120,) of six files, as bytes."""
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (120, 3, 32, 32), np.uint8), generator.integers(0, 10, 120, np.uint8)


def files():
    """The files by name: label, red, green, blue, image after image."""
    pixels, labels = drawn()
    records = [bytes([label]) + image.tobytes() for image, label in zip(pixels, labels, strict=True)]
    names = (*TRAINING, TESTING)
    return {name: b"".join(records[n * RECORDS : (n + 1) * RECORDS]) for n, name in enumerate(names)}
