"""The images of the laptop-scale landscapes: scikit-learn's bundled handwritten digits, and their augmentation."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapeofloss.arrays import as_count

TEST_IMAGES = 797
LARGEST_TRAIN = 1000


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
