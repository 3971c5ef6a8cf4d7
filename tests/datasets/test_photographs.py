"""Images of a folder: every kind of file is shown as it looks, or refused with a sentence."""

import hashlib
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin, features

from shapeofloss.datasets.photographs import NAMES, expanded, next_patches, patches, photograph
from shapeofloss.errors import UserError

COLOURS = np.random.default_rng(0).integers(0, 256, (7, 5, 3), dtype=np.uint8)
TURNS = {  # the tag of EXIF, and what brings the stored rows and columns upright
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a[::-1].transpose(1, 0, 2),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: a.transpose(1, 0, 2)[::-1],
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SHAPEOFLOSS_DATA", str(tmp_path))
    (tmp_path / "own").mkdir()
    return tmp_path / "own"


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth, colour, rows, *more):
    """Return the bytes of a PNG file; each row is led by a zero, for no filter."""
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"".join(
        [b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", head), *more, chunk(b"IDAT", body), chunk(b"IEND", b"")]
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["png", "tif", "big-endian tif"])
def test_a_ramp_of_sixteen_bits_has_all_levels_of_eight_equally_often(folder, kind):
    ramp = np.arange(65_536, dtype=np.uint16).reshape(256, 256)
    if kind == "png":
        (folder / "ramp.png").write_bytes(png(256, 256, 16, 0, [row.astype(">u2").tobytes() for row in ramp]))
    elif kind == "tif":
        Image.fromarray(ramp).save(folder / "ramp.tif")
    else:
        entries = [(256, 256), (257, 256), (258, 16), (259, 1), (262, 1), (273, 8), (277, 1), (278, 256)]
        data = ramp.astype(">u2").tobytes()
        tags = [struct.pack(">HHIHH", tag, 3, 1, value, 0) for tag, value in entries]
        tags.append(struct.pack(">HHII", 279, 4, 1, len(data)))
        directory = struct.pack(">H", len(tags)) + b"".join(tags) + bytes(4)
        (folder / "ramp.tif").write_bytes(b"MM\0*" + struct.pack(">I", 8 + len(data)) + data + directory)
    found = photograph(f"own/ramp.{kind[-3:]}")
    assert found.shape == (256, 256, 3) and (found == found[..., :1]).all()
    grey = found[..., 0].ravel()
    assert np.array_equal(grey, np.round(np.arange(65_536) * (255 / 65_535)))
    counts = np.bincount(grey, minlength=256)
    assert set(counts[1:-1]) == {257} and counts[0] == counts[-1] == 129


@pytest.mark.parametrize(("kind", "told"), [(np.float32, "floats"), (np.int32, "32 bits")])
def test_grey_without_a_known_white_is_refused(folder, kind, told):
    Image.fromarray(np.linspace(0, 70_000, 12).reshape(3, 4).astype(kind)).save(folder / "grey.tiff")
    with pytest.raises(UserError, match=rf"grey\.tiff holds grey values of {told}, whose white is not known; save it"):
        photograph("own/grey.tiff")


@pytest.mark.parametrize("tag", TURNS)
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_a_photograph_stands_upright_as_its_tag_says(folder, tag, ending):
    exif = Image.Exif()
    exif[0x0112] = tag
    Image.fromarray(COLOURS).save(folder / f"turned.{ending}", exif=exif)
    assert np.array_equal(photograph(f"own/turned.{ending}"), TURNS[tag](COLOURS))


def test_an_upright_camera_shows_the_sky_above(folder):
    stored = np.full((64, 96, 3), 40, np.uint8)
    stored[:, :48] = 220  # the sky is at the left of what the sensor saw: the camera was turned
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(stored).save(folder / "camera.jpg", exif=exif, quality=95)
    found = photograph("own/camera.jpg")
    assert found.shape == (96, 64, 3) and found[:40].min() > 200 and found[56:].max() < 60


@pytest.mark.parametrize("alpha", [0, 1, 51, 128, 254, 255])
def test_what_is_transparent_is_shown_on_white(folder, alpha):
    rows = [b"".join(bytes([*pixel, alpha]) for pixel in row) for row in COLOURS]
    (folder / "veil.png").write_bytes(png(5, 7, 8, 6, rows))
    expected = 255 - (255 - COLOURS.astype(float)) * alpha / 255
    assert np.abs(photograph("own/veil.png") - expected).max() <= 1


def test_transparent_greys_and_colours_of_a_palette_are_shown_on_white(folder):
    (folder / "grey.png").write_bytes(png(2, 1, 8, 4, [bytes([10, 0, 10, 255])]))
    (folder / "key.png").write_bytes(png(2, 1, 8, 2, [bytes([1, 2, 3, 4, 5, 6])], chunk(b"tRNS", bytes(range(1))
        + b"\1\0\2\0\3")))  # fmt: skip
    palette = chunk(b"PLTE", bytes([9, 8, 7, 30, 20, 10])) + chunk(b"tRNS", bytes([0]))
    (folder / "few.png").write_bytes(png(2, 1, 8, 3, [bytes([0, 1])], palette))
    white = [255, 255, 255]
    assert photograph("own/grey.png").tolist() == [[white, [10, 10, 10]]]
    assert photograph("own/key.png").tolist() == [[white, [4, 5, 6]]]
    assert photograph("own/few.png").tolist() == [[white, [30, 20, 10]]]


def test_one_bit_and_ink_are_shown_in_three_colours(folder):
    (folder / "bits.png").write_bytes(png(8, 1, 1, 0, [bytes([0b10100000])]))
    assert photograph("own/bits.png")[0, :, 1].tolist() == [255, 0, 255, 0, 0, 0, 0, 0]
    ink = np.zeros((2, 2, 4), np.uint8)
    ink[0, 0] = [255, 0, 0, 0]  # cyan alone
    Image.fromarray(ink, "CMYK").save(folder / "ink.tif")
    assert photograph("own/ink.tif")[0].tolist() == [[0, 255, 255], [255, 255, 255]]


def test_of_several_pages_the_first_is_taken(folder):
    pages = [Image.fromarray(COLOURS), Image.fromarray(255 - COLOURS)]
    pages[0].save(folder / "pages.tif", save_all=True, append_images=pages[1:])
    assert np.array_equal(photograph("own/pages.tif"), COLOURS)


@pytest.mark.parametrize("side", [14_000, 60_000])
def test_a_small_file_that_opens_to_billions_of_pixels_is_refused(folder, side):
    (folder / "bomb.png").write_bytes(png(side, side, 8, 2, []))
    with pytest.raises(UserError, match=r"bomb\.png cannot be read as an image \(DecompressionBombError"):
        photograph("own/bomb.png")


def test_text_beside_the_pixels_is_read_if_it_is_short_and_refused_if_it_swells(folder):
    rows = [row.tobytes() for row in COLOURS]
    (folder / "told.png").write_bytes(png(5, 7, 8, 2, rows, chunk(b"tEXt", b"Title\0A view")))
    assert np.array_equal(photograph("own/told.png"), COLOURS)
    swollen = zlib.compress(b"a" * (PngImagePlugin.MAX_TEXT_CHUNK + 1))
    (folder / "swollen.png").write_bytes(png(5, 7, 8, 2, rows, chunk(b"zTXt", b"Title\0\0" + swollen)))
    with pytest.raises(UserError, match=r"swollen\.png cannot be read as an image \(ValueError: "):
        photograph("own/swollen.png")


@pytest.mark.parametrize("spoil", ["cut", "checksum", "empty", "words"])
def test_a_spoiled_file_is_named(folder, spoil):
    good = png(5, 7, 8, 2, [row.tobytes() for row in COLOURS])
    data = {"cut": good[:60], "checksum": good[:20] + b"\7" + good[21:], "empty": b"", "words": b"no picture"}[spoil]
    (folder / "bad.png").write_bytes(data)
    with pytest.raises(UserError, match=r"bad\.png cannot be read as an image.*; mend it or take it out"):
        photograph("own/bad.png")


@pytest.mark.skipif(not features.check("webp"), reason="this Pillow was built without WebP")
def test_a_lossless_webp_is_read_to_the_bit(folder):
    Image.fromarray(COLOURS).save(folder / "view.webp", lossless=True)
    assert np.array_equal(photograph("own/view.webp"), COLOURS)


HASHES = {
    "astronaut": "a8c429c18afa7b0fd5673e598d73a21225d94c864a71bbb3885126fdecb41071",
    "chelsea": "416b729128bfb2c3d1eb69bf9b1734a796293abc17939267b2dc94f8a5784031",
    "coffee": "0ce2b51640b9c95f19617f03eabf40c3f0368589cc1ee1190b70966165ac184f",
    "rocket": "3d4435cc745752b7f9724df88c6e18817de3ce7e3d2d71c55f85f7831e68f197",
    "china": "e701459344fd69797154c91add3bb5d70e5ed1a61d8bed889bab3a796104698d",
    "flower": "3202904ed246795bf616c66d7859cd7c6080eff736c6e38dc5cc62779742033f",
}


@pytest.mark.parametrize("name", NAMES)
def test_photographs_are_at_hand_and_those_of_the_data_card(name):
    image = photograph(name)
    assert image.dtype == np.uint8 and image.shape[2] == 3 and min(image.shape[:2]) >= 256
    assert hashlib.sha256(image.tobytes()).hexdigest() == HASHES[name]


def test_patches_are_pieces_of_the_named_photographs():
    drawn = next_patches(patches(["chelsea"], 40, seed=0), 3)
    assert drawn.shape == (3, 3, 40, 40) and drawn.dtype == torch.float32
    image = photograph("chelsea").transpose(2, 0, 1).astype(np.float32) / 255
    views = np.lib.stride_tricks.sliding_window_view(image, (3, 40, 40))[0]
    for patch in drawn.numpy():
        corner = np.argwhere((views[..., 0, 0, 0] == patch[0, 0, 0]) & (views[..., 2, 39, 39] == patch[2, 39, 39]))
        assert any(np.array_equal(views[tuple(place)], patch) for place in corner)
    assert torch.equal(drawn, next_patches(patches(["chelsea"], 40, seed=0), 3))
    with pytest.raises(UserError, match="Did you mean 'chelsea'"):
        photograph("chelsey")
    with pytest.raises(UserError, match="a patch of 301 does not fit"):
        patches(["chelsea"], 301, seed=0)


def test_a_folder_of_images_is_read_or_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("SHAPEOFLOSS_DATA", str(tmp_path))
    own = tmp_path / "kodak"
    own.mkdir()
    with pytest.raises(UserError, match="No image is in the folder kodak"):
        expanded(["kodak"])
    pixels = np.random.default_rng(0).integers(0, 256, (12, 10, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(own / "b.png")
    Image.fromarray(pixels[..., 0]).save(own / "a.PNG")
    (own / "notes.txt").write_text("not an image", encoding="utf-8")
    assert expanded(["coffee", "kodak"]) == ["coffee", "kodak/a.PNG", "kodak/b.png"]
    grey, colour = (photograph(name) for name in expanded(["kodak"]))
    assert np.array_equal(colour, pixels) and np.array_equal(grey[..., 1], pixels[..., 0])
    with pytest.raises(UserError, match=r"kodak/a\.PNG has 12 x 10 pixels; a patch of 11 does not fit"):
        patches(["kodak/a.PNG"], 11, seed=0)
    (own / "c.jpg").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"c\.jpg cannot be read as an image"):
        photograph("kodak/c.jpg")
    with pytest.raises(UserError, match="no folder of that name"):
        expanded(["kodack"])
