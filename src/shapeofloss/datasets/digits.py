"""The images of the laptop-scale landscapes: scikit-learn's bundled handwritten digits, and their augmentation."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapeofloss.arrays import Floats, as_count

TEST_IMAGES = 797
LARGEST_TRAIN = 1000
GREYS = 17  # levels of a pixel


@dataclass(frozen=True, eq=False)
class Images:
    """Images and their classes, split for training and testing.

    Attributes:
        train_images, test_images: Shape (N, channels, height, width), float32; zero mean and unit standard deviation
            over all pixels of the training images.
        train_labels, test_labels: Classes, shape (N,), int64.
    """

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor

    def to(self, device: torch.device) -> "Images":
        """Return the images on a device."""
        train, test = (self.train_images, self.train_labels), (self.test_images, self.test_labels)
        return Images(*(part.to(device) for part in (*train, *test)))

    def rows(self) -> "Images":
        """Return each image as a row of its pixels."""
        return replace(self, train_images=self.train_images.flatten(1), test_images=self.test_images.flatten(1))


def load_digits(*, train: int = 256, seed: int) -> Images:
    """Split scikit-learn's 1797 digits of 8 x 8 pixels with 16 grey levels into training and test images.

    The seed orders the images such that every class is spread evenly. The first `train` of them train and the last 797
    test, so that a larger training set contains a smaller one and all share their test images.

    Args:
        train: Number of training images, 1 to 1000.
        seed: Seed of the order, not negative.
    Returns:
        Images with one channel.
    Raises:
        UserError: If `train` or the seed is out of range.
    Source:
        None: the loss-landscape paper (section 4.1) uses the 50,000 training images of CIFAR-10.
    """
    as_count(train, "train", at_most=LARGEST_TRAIN)  # the other digits are for testing
    as_count(seed, "seed", at_least=0)
    from sklearn import datasets

    digits = datasets.load_digits()
    order = _evenly_spread(digits.target, np.random.default_rng(seed))
    grey = digits.images[order]
    scaled = (grey - grey[:train].mean()) / grey[:train].std()
    images = torch.from_numpy(scaled[:, None].astype(np.float32))
    labels = torch.from_numpy(digits.target[order].astype(np.int64))
    return Images(images[:train], labels[:train], images[-TEST_IMAGES:], labels[-TEST_IMAGES:])


def binary_digits(*, train: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return training and test digits of 8 x 8 pixels, 1 where a pixel is brighter than the mean and 0 elsewhere.

    Args:
        train, seed: As for `load_digits`.
    Returns:
        Shapes (train, 64) and (797, 64).
    Raises:
        UserError: If `train` or the seed is out of range.
    Example:
        >>> [tuple(images.shape) for images in binary_digits(train=10, seed=0)]
        [(10, 64), (797, 64)]
    """
    data = load_digits(train=train, seed=seed).rows()
    return (data.train_images > 0).float(), (data.test_images > 0).float()


def digit_clouds(seed: int) -> tuple[Floats, Floats]:
    """Return the digits as points of the unit cube with 64 coordinates: 1,000 to fit, 797 to test.

    Uniform noise of one grey level is added, so that densities exist: a pixel of level k lies in [k, k + 1] / 17.

    Args:
        seed: Seed of the split, in which classes are not spread evenly, and of the noise.
    """
    from sklearn import datasets

    generator = np.random.default_rng(seed)
    grey = datasets.load_digits().data
    points = generator.permutation((grey + generator.random(grey.shape)) / GREYS)
    return points[:-TEST_IMAGES], points[-TEST_IMAGES:]


def _evenly_spread(labels: NDArray[np.integer], generator: np.random.Generator) -> NDArray[np.integer]:
    """Return a random order in which any run of images holds the classes in nearly their overall shares."""
    position = np.empty(len(labels))
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        # One image in each of the equal slices of [0, 1), anywhere in its slice.
        position[members] = (np.arange(len(members)) + generator.random(len(members))) / len(members)
    return np.argsort(position)


def shifted(images: Tensor, generator: torch.Generator) -> Tensor:
    """Shift each image by -1, 0 or +1 pixels along each axis, all nine shifts equally likely.

    Args:
        images: Shape (N, channels, height, width).
        generator: Source of the shifts, on the CPU.
    Returns:
        New images of the same shape. What moves in from outside has the image's smallest value, which is the background
        (grey level 0) in every digit.
    Source:
        Loss-landscape paper, section 4.1, where images of 32 x 32 pixels are padded by 4, cropped and flipped.
    """
    count, channels, height, width = images.shape
    padded = images.amin(dim=(1, 2, 3), keepdim=True).repeat(1, channels, height + 2, width + 2)
    padded[:, :, 1:-1, 1:-1] = images
    down, right = torch.randint(0, 3, (2, count, 1), generator=generator).to(images.device)
    rows = down + torch.arange(height, device=images.device)
    columns = right + torch.arange(width, device=images.device)
    image = torch.arange(count, device=images.device)[:, None, None, None]
    channel = torch.arange(channels, device=images.device)[:, None, None]
    return padded[image, channel, rows[:, None, :, None], columns[:, None, None, :]]
