"""The images of the source's own scale: CIFAR-10's binary version, fetched or dropped in, and their augmentation."""

import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapeofloss.arrays import as_count
from shapeofloss.datasets.digits import Images
from shapeofloss.engine import workspace
from shapeofloss.errors import UserError
from shapeofloss.files import lock, sha256

FOLDER = "cifar-10-batches-bin"
TRAINING = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TESTING = "test_batch.bin"
SHAPE = (3, 32, 32)
RECORD = 1 + 3 * 32 * 32  # bytes: a label, then red, green and blue, row by row
MEAN = torch.tensor([125.3, 123.0, 113.9]).view(3, 1, 1) / 255  # released code, as the deviation
DEVIATION = torch.tensor([63.0, 62.1, 66.7]).view(3, 1, 1) / 255
PADDING = 4  # pixels
SLICE = 5000  # images that are augmented at a time


@dataclass(frozen=True)
class Source:
    """Where an archive comes from, and what it is known to be.

    Attributes:
        url: Address of the archive, whose last part is its name.
        hash: Its SHA-256, in hexadecimal.
        records: Images in each of its six files.
    """

    url: str
    hash: str
    records: int


OFFICIAL = Source(
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    10_000,
)


def load_cifar10(*, train: int = 50_000, source: Source = OFFICIAL) -> Images:
    """Load CIFAR-10, from the data folder if it is there, else from its home.

    In the data folder (`data/`, or where `SHAPEOFLOSS_DATA` points) the archive `cifar-10-binary.tar.gz` or its
    unpacked folder `cifar-10-batches-bin` will do. The archive is checked against its hash each time; the files of a
    folder have no published hashes, so that their sizes and labels are all that is checked.

    Args:
        train: Number of training images, the first ones of the five files, at least 1.
        source: Where to fetch it, and what it has to be.
    Returns:
        Images with three channels, each minus the source's mean and over its deviation.
    Raises:
        UserError: If `train` is out of range, the archive cannot be fetched or is another one, or a file is missing,
            truncated or has labels other than 0 to 9.
    Source:
        Loss-landscape paper, section 4.1; mean and deviation from its released code.
    """
    most = len(TRAINING) * source.records
    as_count(train, "train", at_most=most)
    folder, archive = workspace.data() / FOLDER, workspace.data() / source.url.rpartition("/")[2]
    if folder.is_dir():
        contents = {name: _in_folder(folder / name) for name in (*TRAINING, TESTING)}
    else:
        contents = _in_archive(_present(archive, source))
    parts = {name: _parsed(name, content, source.records) for name, content in contents.items()}
    pixels, labels = (
        np.concatenate(column)[:train] for column in zip(*(parts[name] for name in TRAINING), strict=True)
    )
    unseen, truth = parts[TESTING]
    return Images(_scaled(pixels), torch.from_numpy(labels), _scaled(unseen), torch.from_numpy(truth))


def _in_folder(path: Path) -> bytes:
    if not path.is_file():
        raise UserError(f"{path.name} is missing in {path.parent}: unpack the archive again, or remove the folder.")
    return path.read_bytes()


def _present(archive: Path, source: Source) -> Path:
    """Return the path of the archive, fetching it if it is not there."""
    by_hand = f"To do without the network, get {source.url} elsewhere and put it into {archive.parent}."
    with lock(archive.with_name(f".{archive.name}.lock")):
        if archive.is_file():
            if (present := sha256(archive)) != source.hash:
                raise UserError(
                    f"{archive} is not the archive it should be: its SHA-256 is {present[:12]}..., not "
                    f"{source.hash[:12]}.... Remove it, and it is fetched anew."
                )
            return archive
        import pooch  # type: ignore[import-untyped]
        import requests

        pooch.get_logger().setLevel("ERROR")
        print(f"Fetching {source.url} to {archive.parent}.", file=sys.stderr)
        try:  # it is written under another name, checked, and moved into place
            pooch.retrieve(source.url, f"sha256:{source.hash}", archive.name, archive.parent, progressbar=False)
        except ValueError:
            raise UserError(
                f"What came from {source.url} is not the archive that was expected (SHA-256 {source.hash[:12]}...), "
                f"and was thrown away: try again. {by_hand}"
            ) from None
        except (requests.RequestException, OSError) as error:
            raise UserError(f"{source.url} could not be fetched ({type(error).__name__}). {by_hand}") from None
    return archive


def _in_archive(archive: Path) -> dict[str, bytes]:
    contents = {}
    with tarfile.open(archive, "r:gz") as packed:
        for name in (*TRAINING, TESTING):
            try:
                member = packed.extractfile(f"{FOLDER}/{name}")
            except KeyError:
                member = None
            if member is None:
                raise UserError(f"{archive} holds no {FOLDER}/{name}: it is another archive than the binary version.")
            contents[name] = member.read()
    return contents


def _parsed(name: str, content: bytes, records: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the pixels, shape (records, 3, 32, 32), and labels, shape (records,), of a file."""
    if len(content) != records * RECORD:
        raise UserError(
            f"{name} has {len(content)} bytes, but {records} images of {RECORD} bytes make {records * RECORD}: it is "
            "truncated, or another file."
        )
    rows = np.frombuffer(content, np.uint8).reshape(records, RECORD)
    labels = rows[:, 0].astype(np.int64)
    if labels.max() > 9:
        raise UserError(f"{name} has a label {labels.max()}, but the classes are 0 to 9: it is another file.")
    return rows[:, 1:].reshape(records, *SHAPE), labels


def _scaled(pixels: NDArray[np.uint8]) -> Tensor:
    return (torch.tensor(pixels).float() / 255 - MEAN) / DEVIATION


def cropped_and_flipped(images: Tensor, generator: torch.Generator) -> Tensor:
    """Surround each image by 4 black pixels, cut a random image of its size out, and mirror it in half of the cases.

    Args:
        images: Images of `load_cifar10`, shape (N, 3, height, width).
        generator: Source of the cuts and mirrors, on the CPU.
    Returns:
        New images of the same shape; all 81 cuts are equally likely, mirrored left to right or not.
    Source:
        Loss-landscape paper, section 4.1; details from its released code.
    """
    count, channels, height, width = images.shape
    cuts = torch.randint(0, 2 * PADDING + 1, (2, count, 1), generator=generator)
    mirrored = torch.randint(0, 2, (count, 1), generator=generator)
    columns = torch.arange(width).expand(count, width)
    columns = torch.where(mirrored == 1, width - 1 - columns, columns) + cuts[1]
    rows = torch.arange(height) + cuts[0]
    black = (-MEAN / DEVIATION).to(images)
    result = torch.empty_like(images)
    for start in range(0, count, SLICE):
        part = slice(start, start + SLICE)
        padded = black.expand(-1, height + 2 * PADDING, width + 2 * PADDING).repeat(len(images[part]), 1, 1, 1)
        padded[:, :, PADDING:-PADDING, PADDING:-PADDING] = images[part]
        image = torch.arange(len(padded), device=images.device)[:, None, None, None]
        channel = torch.arange(channels, device=images.device)[:, None, None]
        down, right = (places[part].to(images.device) for places in (rows, columns))
        result[part] = padded[image, channel, down[:, None, :, None], right[:, None, None, :]]
    return result
