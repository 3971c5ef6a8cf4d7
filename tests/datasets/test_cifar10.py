"""CIFAR-10 in miniature: an archive of the same format, served on loopback or dropped into the data folder."""

import hashlib
import io
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from cifar10_files import RECORDS, drawn, files

from shapeofloss.datasets import cifar10
from shapeofloss.datasets.cifar10 import FOLDER, TESTING, TRAINING, Source, cropped_and_flipped, load_cifar10
from shapeofloss.errors import UserError

NAME = "cifar-10-binary.tar.gz"


def packed(contents):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(f"{FOLDER}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


class Server:
    """A web server on loopback that counts what it is asked for."""

    def __init__(self, folder):
        self.requests = requests = []

        class Handler(SimpleHTTPRequestHandler):
            def log_message(self, *arguments):
                requests.append(self.path)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder))
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def source(self, content, name=NAME, records=RECORDS):
        url = f"http://127.0.0.1:{self._server.server_port}/{name}"
        return Source(url, hashlib.sha256(content).hexdigest(), records)

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def data(tmp_path, monkeypatch):
    """An empty data folder."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("SHAPEOFLOSS_DATA", str(folder))
    return folder


@pytest.fixture
def served(tmp_path):
    """A function that serves an archive and returns where it is; its server is `served.server`."""
    folder = tmp_path / "web"
    folder.mkdir()
    server = Server(folder)

    def serve(content):
        (folder / NAME).write_bytes(content)
        return server.source(content)

    serve.server = server
    yield serve
    server.close()


def check(images, train):
    pixels, labels = drawn()
    mean = np.array([125.3, 123.0, 113.9]).reshape(3, 1, 1)
    deviation = np.array([63.0, 62.1, 66.7]).reshape(3, 1, 1)
    expected = (pixels - mean) / deviation
    np.testing.assert_allclose(images.train_images, expected[:train], atol=1e-5)
    np.testing.assert_allclose(images.test_images, expected[100:], atol=1e-5)
    assert images.train_labels.tolist() == labels[:train].tolist()
    assert images.test_labels.tolist() == labels[100:].tolist()
    assert images.train_images.dtype == torch.float32 and images.train_labels.dtype == torch.int64


def test_an_archive_is_fetched_once_and_read_exactly(data, served, capsys):
    source = served(packed(files()))
    check(load_cifar10(train=70, source=source), 70)
    assert capsys.readouterr().err.count("Fetching http://127.0.0.1") == 1
    check(load_cifar10(train=100, source=source), 100)
    assert len(served.server.requests) == 1
    assert {path.name for path in data.iterdir()} <= {NAME, f".{NAME}.lock"}


def test_two_that_fetch_at_once_fetch_it_once(data, served):
    source = served(packed(files()))
    with ThreadPoolExecutor(2) as pool:
        for images in pool.map(lambda _: load_cifar10(train=100, source=source), range(2)):
            check(images, 100)
    assert len(served.server.requests) == 1


def test_a_dropped_archive_or_folder_is_used_without_the_network(data):
    content = packed(files())
    (data / NAME).write_bytes(content)
    nowhere = Source(f"http://127.0.0.1:1/{NAME}", hashlib.sha256(content).hexdigest(), RECORDS)
    check(load_cifar10(train=100, source=nowhere), 100)
    (data / NAME).unlink()
    (data / FOLDER).mkdir()
    for name, part in files().items():
        (data / FOLDER / name).write_bytes(part)
    check(load_cifar10(train=100, source=nowhere), 100)


def test_a_wrong_archive_is_thrown_away_if_fetched_and_left_alone_if_dropped(data, served):
    source = served(packed(files()))
    other = Source(source.url, "0" * 64, RECORDS)
    with pytest.raises(UserError, match=r"is not the archive that was expected.*thrown away"):
        load_cifar10(train=10, source=other)
    assert not (data / NAME).exists() and not list(data.glob("tmp*"))
    (data / NAME).write_bytes(b"something else")
    with pytest.raises(UserError, match="Remove it, and it is fetched anew"):
        load_cifar10(train=10, source=source)
    assert (data / NAME).read_bytes() == b"something else"


@pytest.mark.parametrize("name", ["missing.tar.gz", None])
def test_without_network_or_archive_it_says_where_to_put_it(data, served, name):
    url = served(b"").url.replace(NAME, name) if name else f"http://127.0.0.1:1/{NAME}"
    with pytest.raises(UserError, match=rf"could not be fetched.*put it into {data}"):
        load_cifar10(train=10, source=Source(url, "0" * 64, RECORDS))
    assert not list(data.glob("*.gz"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda parts: parts | {TESTING: parts[TESTING][:-1]}, r"test_batch.bin has 61459 bytes.*truncated"),
        (lambda parts: parts | {TRAINING[2]: parts[TRAINING[2]] * 2}, r"data_batch_3.bin has 122920 bytes"),
        (lambda parts: parts | {TRAINING[0]: b"\x0a" + parts[TRAINING[0]][1:]}, r"data_batch_1.bin has a label 10"),
    ],
)
def test_a_damaged_file_is_named(data, change, message):
    contents = change(files())
    content = packed(contents)
    (data / NAME).write_bytes(content)
    source = Source(f"http://127.0.0.1:1/{NAME}", hashlib.sha256(content).hexdigest(), RECORDS)
    with pytest.raises(UserError, match=message):
        load_cifar10(train=10, source=source)
    (data / FOLDER).mkdir()
    for name, part in contents.items():
        (data / FOLDER / name).write_bytes(part)
    with pytest.raises(UserError, match=message):
        load_cifar10(train=10, source=source)


def test_a_missing_file_is_named(data):
    parts = files()
    del parts[TRAINING[4]]
    content = packed(parts)
    (data / NAME).write_bytes(content)
    source = Source(f"http://127.0.0.1:1/{NAME}", hashlib.sha256(content).hexdigest(), RECORDS)
    with pytest.raises(UserError, match=r"holds no cifar-10-batches-bin/data_batch_5\.bin"):
        load_cifar10(train=10, source=source)
    (data / FOLDER).mkdir()
    with pytest.raises(UserError, match=r"data_batch_1.bin is missing in .*unpack the archive again"):
        load_cifar10(train=10, source=source)


@pytest.mark.parametrize("train", [0, 101, 2.0, "9"])
def test_the_number_of_training_images_is_checked(data, train):
    with pytest.raises(UserError, match=f"train is {train!r}; a whole number from 1 to 100 is needed"):
        load_cifar10(train=train, source=Source("http://127.0.0.1:1/x", "0" * 64, RECORDS))


def test_the_official_archive_has_sixty_thousand_images():
    assert cifar10.OFFICIAL.records * 6 == 60_000 and len(cifar10.OFFICIAL.hash) == 64


# ----- augmentation


def every_cut(image):
    """All crops of the image in its black frame, and their mirrors, shape (162, 3, h, w)."""
    black = -torch.tensor([125.3, 123.0, 113.9]) / torch.tensor([63.0, 62.1, 66.7])
    height, width = image.shape[1:]
    frame = black[:, None, None].repeat(1, height + 8, width + 8)
    frame[:, 4:-4, 4:-4] = image
    cuts = torch.stack([frame[:, y : y + height, x : x + width] for y in range(9) for x in range(9)])
    return torch.cat([cuts, cuts.flip(-1)])


def test_every_augmented_image_is_a_cut_and_all_cuts_are_equally_likely(monkeypatch):
    monkeypatch.setattr(cifar10, "SLICE", 1000)  # several slices, and a part of one
    count = 16_500
    image = torch.randn(3, 5, 6, generator=torch.Generator().manual_seed(0))
    images = image.repeat(count, 1, 1, 1)
    result = cropped_and_flipped(images, torch.Generator().manual_seed(1))
    cuts = every_cut(image)
    distance = torch.cdist(result.flatten(1).double(), cuts.flatten(1).double())
    assert distance.min(dim=1).values.max() < 1e-3
    seen = torch.bincount(distance.argmin(dim=1), minlength=162)
    assert abs(seen - count / 162).max() < 5 * (count / 162) ** 0.5
    assert torch.equal(images, image.repeat(count, 1, 1, 1))
    assert torch.equal(result, cropped_and_flipped(images, torch.Generator().manual_seed(1)))


def test_images_are_augmented_independently():
    images = torch.randn(40, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    result = cropped_and_flipped(images, torch.Generator().manual_seed(1))
    chosen = []
    for image, changed in zip(images, result, strict=True):
        distance = (every_cut(image) - changed).flatten(1).norm(dim=1)
        assert distance.min() < 1e-3
        chosen.append(int(distance.argmin()))
    assert len(set(chosen)) > 30
