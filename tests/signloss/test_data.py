"""What the sign loss is trained on: waves, prices, photographs and shallow water."""

import hashlib
import math

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from shapeofloss.datasets.photographs import NAMES, expanded, next_patches, patches, photograph
from shapeofloss.datasets.shallow_water import bumps, simulate, snapshots
from shapeofloss.errors import UserError
from shapeofloss.signloss.prices import load_prices, simulated_prices, split, windows
from shapeofloss.signloss.waves import waves


def test_waves_are_one_cycle_that_swells_or_fades():
    drawn = waves(400, 101, torch.Generator().manual_seed(0)).double().numpy()
    t = np.linspace(0, 1, 101)
    swelling = 0
    for wave in drawn:
        fits = []
        for sign in (1, -1):  # a sine of one cycle is a combination of sine and cosine, of amplitude 1
            flat = wave * np.exp(-sign * (2 * t - 1))
            basis = np.stack([np.sin(2 * np.pi * t), np.cos(2 * np.pi * t)], axis=1)
            weights, rest = np.linalg.lstsq(basis, flat, rcond=None)[:2]
            fits.append(rest[0])
            if rest[0] < 1e-9:
                assert np.hypot(*weights) == pytest.approx(1, abs=1e-5)
        assert min(fits) < 1e-9
        swelling += fits[0] < fits[1]
    assert 150 < swelling < 250
    with pytest.raises(UserError, match="points is 1; a whole number from 2"):
        waves(1, 1, torch.Generator())


def test_simulated_prices_are_what_their_description_says():
    for seed in range(3):
        prices = simulated_prices(seed)
        changes = np.diff(prices)
        assert prices.shape == (15_360,) and np.array_equal(prices, simulated_prices(seed))
        assert np.allclose(prices, np.round(prices, 2)) and prices.min() > 50
        assert 0.06 < np.mean(changes == 0) < 0.08
        assert np.mean(changes**4) / np.mean(changes**2) ** 2 > 10  # heavy tails and nights
    assert not np.array_equal(simulated_prices(0), simulated_prices(1))


def test_windows_start_at_zero_and_share_one_unit():
    prices = simulated_prices(0)[:1000]
    seen, unseen = split(prices, 64, 0.25)
    assert seen.shape == (750 - 63, 64) and unseen.shape == (250 - 63, 64)
    assert (seen[:, 0] == 0).all() and float(seen.std(correction=0)) == pytest.approx(1, rel=1e-5)
    unit = windows(prices[:750], 64).std()
    assert np.allclose(unseen.numpy(), windows(prices[750:], 64) / unit, atol=1e-5)
    with pytest.raises(UserError, match="no window of 64"):
        windows(prices[:63], 64)


@pytest.fixture
def table():
    times = pd.date_range("2025-01-06 09:30", periods=1200, freq="min")
    return pd.DataFrame({"Timestamp": times.astype(str), "Open": 1.0, "Close": np.linspace(100, 101, 1200)})


def test_a_file_of_prices_is_read_with_gaps_over_night(table, tmp_path):
    days = pd.to_datetime(table.Timestamp)
    table["Timestamp"] = days + pd.to_timedelta(np.where(np.arange(1200) >= 600, 16, 0), unit="h")
    table.to_csv(tmp_path / "prices.csv", index=False)
    assert np.allclose(load_prices(tmp_path / "prices.csv"), table.Close)


def spoiled(table, kind):
    rows = table.copy()
    match kind:
        case "columns":
            return rows.drop(columns="Close")
        case "no time":
            return rows.drop(columns="Timestamp")
        case "few":
            return rows[:500]
        case "missing":
            rows.loc[7, "Close"] = np.nan
        case "words":
            rows["Close"] = rows.Close.astype(object)
            rows.loc[7, "Close"] = "n/a?"
        case "negative":
            rows.loc[7, "Close"] = -1.0
        case "unreadable":
            rows.loc[7, "Timestamp"] = "yesterday"
        case "twice":
            rows.loc[7, "Timestamp"] = rows.loc[6, "Timestamp"]
        case "backwards":
            return rows[::-1]
        case "coarse":
            rows["Timestamp"] = pd.date_range("2025-01-06", periods=1200, freq="5min").astype(str)
        case "gap":
            times = pd.to_datetime(rows.Timestamp)
            times[600:] += pd.Timedelta(days=30)
            rows["Timestamp"] = times.astype(str)
    return rows


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("columns", "has the columns timestamp, open; one of .* and one of close, price are needed"),
        ("no time", "one of timestamp, datetime, time, date"),
        ("few", "has 500 rows; at least 1000"),
        ("missing", "Row 9 of prices.csv has '' in close, which is not a positive price"),
        ("words", r"Row 9 of prices.csv has 'n/a\?' in close"),
        ("negative", "Row 9 of prices.csv has '-1.0' in close"),
        ("unreadable", "Row 9 of prices.csv has 'yesterday' in timestamp, which is not a time"),
        ("twice", "Row 9 of prices.csv has the time of the row before once more"),
        ("backwards", "an earlier time than the row before; every minute has to come once, oldest first"),
        ("coarse", "are 5 minutes apart; minute prices are needed"),
        ("gap", "Before row 602 of prices.csv is a gap of 30 days"),
    ],
)
def test_a_file_of_prices_that_will_not_do_is_refused_with_a_sentence(table, kind, sentence, tmp_path):
    spoiled(table, kind).to_csv(tmp_path / "prices.csv", index=False)
    with pytest.raises(UserError, match=sentence):
        load_prices(tmp_path / "prices.csv")


def test_a_file_that_is_no_table_is_refused(tmp_path):
    (tmp_path / "prices.csv").write_bytes(b"")
    with pytest.raises(UserError, match="cannot be read as a table"):
        load_prices(tmp_path / "prices.csv")


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


def standing_wave(n, modes):
    """Return the largest error of a small standing wave after some time, over its amplitude."""
    x = (np.arange(n) + 0.5) / n
    shape = np.cos(modes[0] * np.pi * x)[:, None] * np.cos(modes[1] * np.pi * x)
    frequency = math.pi * math.hypot(*modes)
    count = round(2 * n)
    surface = simulate((1 + 1e-6 * shape)[None], spacing=1 / n, step=0.4 / n)
    *_, last = (h for _, h in zip(range(count + 1), surface, strict=False))
    return np.abs(last[0] - 1 - 1e-6 * shape * np.cos(0.8 * frequency)).max() / 1e-6


@pytest.mark.parametrize("modes", [(1, 0), (0, 1), (2, 1)])
def test_small_waves_converge_to_the_exact_ones_with_the_square_of_the_cell(modes):
    coarse, middle, fine = (standing_wave(n, modes) for n in (16, 32, 64))
    assert 3.5 < coarse / middle < 4.5 and 3.5 < middle / fine < 4.5 and fine < 0.01


def test_volume_stays_and_symmetry_is_kept():
    start = bumps(3, 32, np.random.default_rng(0))
    turned = simulate(np.rot90(start, axes=(1, 2)), spacing=1, step=0.5)
    for number, (a, b) in enumerate(zip(simulate(start, spacing=1, step=0.5), turned, strict=False)):
        assert np.allclose(a.sum(axis=(1, 2)), start.sum(axis=(1, 2)), rtol=1e-12)
        if number == 60:
            assert np.allclose(np.rot90(a, axes=(1, 2)), b, atol=1e-9) and a.std() > 1e-3
            break


def test_large_waves_never_have_more_energy_of_height_than_the_bump_had():
    start = bumps(2, 48, np.random.default_rng(1))
    heights = [h for _, h in zip(range(400), simulate(start, spacing=1, step=0.5), strict=False)]
    potential = [np.sum((h - h.mean()) ** 2) for h in heights]
    assert max(potential[1:]) < potential[0] and min(potential) < 0.6 * potential[0]  # the rest is motion


def test_snapshots_repeat_and_begin_with_the_bump():
    settings = {"seed": 3, "count": 2, "size": 16, "frames": 4, "every": 5, "step": 0.5}
    found = snapshots(**settings)
    assert found["heights"].shape == (2, 4, 16, 16) and found["heights"].dtype == np.float32
    assert np.allclose(found["heights"][:, 0], bumps(2, 16, np.random.default_rng(3)))
    assert np.array_equal(found["heights"], snapshots(**settings)["heights"]) and found["drift"].max() < 1e-12


@pytest.mark.parametrize(
    ("height", "step", "sentence"),
    [
        (np.ones((1, 4, 4)), 0.8, "may be 0.707 at most"),
        (np.ones((1, 4, 4)), 0.0, "step is 0.0; a finite number above 0"),
        (np.zeros((1, 4, 4)), 0.5, "goes down to 0; depths have to be positive"),
        (np.ones((4, 4)), 0.5, r"has shape \(4, 4\); \(N, n, m\) is needed"),
    ],
)
def test_a_simulation_that_cannot_work_is_refused(height, step, sentence):
    with pytest.raises(UserError, match=sentence):
        next(simulate(height, spacing=1, step=step))
