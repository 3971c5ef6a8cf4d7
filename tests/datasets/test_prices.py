"""Minute prices: day and night, windows, and what files may be."""

import numpy as np
import pandas as pd
import pytest

from shapeofloss.datasets.prices import load_prices, minute_prices, simulated_prices, split, windows
from shapeofloss.errors import UserError

ROWS = 15_360 / 18  # of a day
OPENING = 330 * (15_360 - 18 * 390) / (18 * 570)  # rows of a day before the regular session, on average


def rows_of_days(first, last):
    """Return the rows between two places after each opening, of all days."""
    return np.concatenate([np.arange(first, last) + round(ROWS * day + OPENING) for day in range(18)])


def test_simulated_prices_are_what_their_description_says():
    for seed in range(3):
        prices = simulated_prices(seed)
        changes = np.diff(prices)
        assert prices.shape == (15_360,) and np.array_equal(prices, simulated_prices(seed))
        assert np.allclose(prices, np.round(prices, 2)) and prices.min() > 50
        assert 0.06 < np.mean(changes == 0) < 0.08
        assert np.mean(changes**4) / np.mean(changes**2) ** 2 > 10  # heavy tails and nights
    assert not np.array_equal(simulated_prices(0), simulated_prices(1))


def test_a_session_is_wild_at_its_ends_and_calm_in_between_and_calmer_outside():
    changes = np.mean([np.abs(np.diff(simulated_prices(seed))) for seed in range(5)], axis=0)
    opening, middle, closing = (changes[rows_of_days(*part)].mean() for part in ((35, 75), (170, 220), (315, 355)))
    assert 1.5 < opening / middle < 2.5 and 1.5 < closing / middle < 2.5
    assert changes[rows_of_days(-150, -60)].mean() < 0.75 * middle


@pytest.mark.parametrize("seed", range(3))
def test_prices_jump_over_night(seed):
    changes = np.abs(np.diff(simulated_prices(seed)))
    largest = [changes[round(ROWS * day) - 80 : round(ROWS * day) + 80].max() for day in range(1, 18)]
    assert np.median(largest) > 0.5  # an ordinary minute there moves by 0.05


def test_windows_start_at_zero_and_share_one_unit():
    prices = simulated_prices(0)[:1000]
    seen, unseen = split(prices, 64, 0.25)
    assert seen.shape == (750 - 63, 64) and unseen.shape == (250 - 63, 64)
    assert (seen[:, 0] == 0).all() and float(seen.std(correction=0)) == pytest.approx(1, rel=1e-5)
    unit = windows(prices[:750], 64).std()
    assert np.allclose(unseen.numpy(), windows(prices[750:], 64) / unit, atol=1e-5)
    with pytest.raises(UserError, match="no window of 64"):
        windows(prices[:63], 64)


@pytest.mark.parametrize("share", [-0.5, 0.0, 1.0, 1.5, float("nan")])
def test_a_share_of_held_out_prices_is_between_zero_and_one(share):
    with pytest.raises(UserError, match="has to be between 0 and 1"):
        split(simulated_prices(0)[:1000], 64, share)


def test_prices_that_never_change_have_no_unit():
    with pytest.raises(UserError, match="never change"):
        split(np.full(1000, 5.0), 64, 0.25)


@pytest.fixture
def table():
    times = pd.date_range("2025-01-06 09:30", periods=1200, freq="min")
    return pd.DataFrame({"time": times.astype(str), "close": np.linspace(100, 101, 1200)})


def written(table, tmp_path):
    table.to_csv(tmp_path / "prices.csv", index=False)
    return tmp_path / "prices.csv"


def test_a_file_of_prices_is_read_with_gaps_over_night(table, tmp_path):
    days = pd.to_datetime(table.time)
    table["time"] = days + pd.to_timedelta(np.where(np.arange(1200) >= 600, 16, 0), unit="h")
    table.to_csv(tmp_path / "prices.csv", index=False)
    assert np.allclose(load_prices(tmp_path / "prices.csv"), table.close)


def spoiled(table, kind):
    rows = table.copy()
    match kind:
        case "columns":
            return rows.drop(columns="close")
        case "no time":
            return rows.drop(columns="time")
        case "few":
            return rows[:500]
        case "missing":
            rows.loc[7, "close"] = np.nan
        case "words":
            rows["close"] = rows.close.astype(object)
            rows.loc[7, "close"] = "n/a?"
        case "negative":
            rows.loc[7, "close"] = -1.0
        case "unreadable":
            rows.loc[7, "time"] = "yesterday"
        case "twice":
            rows.loc[7, "time"] = rows.loc[6, "time"]
        case "backwards":
            return rows[::-1]
        case "coarse":
            rows["time"] = pd.date_range("2025-01-06", periods=1200, freq="5min").astype(str)
        case "gap":
            times = pd.to_datetime(rows.time)
            times[600:] += pd.Timedelta(days=30)
            rows["time"] = times.astype(str)
    return rows


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("columns", "has the columns time; one column of .*, and one of close, price are needed"),
        ("no time", "has the columns close; one column of timestamp, datetime, time, date"),
        ("few", "has 500 rows, 1 minutes apart; at least 1000"),
        ("missing", "Row 9 of prices.csv, 2025-01-06 09:37:00 with price nan, has no positive price"),
        ("words", r"Row 9 of prices.csv, .* with price n/a\?, has no positive price"),
        ("negative", "Row 9 of prices.csv, .* with price -1.0, has no positive price"),
        ("unreadable", "Row 9 of prices.csv, yesterday with price .*, has no time like 2025-01-06 09:30"),
        ("twice", "Row 9 of prices.csv, .*, is not later than the row before"),
        ("backwards", "Row 3 of .* is not later than the row before; every minute has to come once, oldest first"),
        ("coarse", "1200 rows, 5 minutes apart; at least 1000 minute prices are needed"),
        ("gap", "Row 602 of prices.csv, .*, comes after a gap of more than a week"),
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


@pytest.mark.parametrize(("days", "fits"), [(4, True), (8, False)])
def test_a_long_weekend_may_be_missing_but_not_eight_days(table, tmp_path, days, fits):
    times = pd.to_datetime(table.time)
    times[600:] += pd.Timedelta(days=days)
    path = written(table.assign(time=times.astype(str)), tmp_path)
    if fits:
        assert len(load_prices(path)) == 1200
    else:
        with pytest.raises(UserError, match=r"Row 602 of .* comes after a gap of more than a week"):
            load_prices(path)


def test_prices_of_half_minutes_and_infinite_ones_are_refused(table, tmp_path):
    times = pd.date_range("2025-01-06", periods=1200, freq="30s").astype(str)
    with pytest.raises(UserError, match=r"1200 rows, 0\.5 minutes apart"):
        load_prices(written(table.assign(time=times), tmp_path))
    table.loc[7, "close"] = np.inf
    with pytest.raises(UserError, match=r"Row 9 of prices\.csv, .* with price inf, has no positive price"):
        load_prices(written(table, tmp_path))


def test_spaces_around_a_heading_do_no_harm(table, tmp_path):
    assert len(load_prices(written(table.rename(columns={"close": " Close "}), tmp_path))) == 1200


@pytest.mark.parametrize("name", ["Close", "TIME"])
def test_a_heading_that_comes_twice_is_refused(table, tmp_path, name):
    table[name] = table[name.lower()]
    with pytest.raises(UserError, match=f"has the columns time, close, {name.lower()}; one column of"):
        load_prices(written(table, tmp_path))


def test_date_and_time_in_two_columns_are_refused_with_what_would_do(table, tmp_path):
    days = pd.to_datetime(table.time)
    own = pd.DataFrame({"date": days.dt.strftime("%Y-%m-%d"), "time": days.dt.strftime("%H:%M"), "close": table.close})
    with pytest.raises(UserError, match=r"has the columns date, time, close; one column .* holds date and time"):
        load_prices(written(own, tmp_path))


@pytest.mark.parametrize("form", ["%d/%m/%Y %H:%M", "%H:%M", "%s"])
def test_times_that_could_be_misread_are_refused(table, tmp_path, form):
    times = pd.to_datetime(table.time)
    text = times.astype("int64") // 10**9 if form == "%s" else times.dt.strftime(form)
    with pytest.raises(UserError, match=r"Row 2 of prices\.csv, .* has no time like 2025-01-06"):
        load_prices(written(table.assign(time=text), tmp_path))


def test_times_with_and_without_seconds_are_the_same(table, tmp_path):
    table["time"] = [text[:16] if row % 2 else text for row, text in enumerate(table.time)]
    assert len(load_prices(written(table, tmp_path))) == 1200


def rows_of(table):
    """Return the rows as text, written here, not by a library."""
    return [f"{time},{close}" for time, close in zip(table.time, table.close, strict=True)]


def read(text, tmp_path, encoding="utf-8"):
    (tmp_path / "prices.csv").write_bytes(text.encode(encoding))
    return load_prices(tmp_path / "prices.csv")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
def test_commas_at_the_end_of_rows_leave_the_closes_where_they_are(table, tmp_path, end):
    rows = [f"{row},{10_000 + n}," for n, row in enumerate(rows_of(table))]  # volumes last, then a comma
    found = read(end.join(["time,close,volume", *rows]), tmp_path)
    assert np.array_equal(found, table.close)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("quote", ["", '"'])
def test_a_byte_order_mark_and_quotes_do_no_harm(table, tmp_path, mark, quote):
    rows = [",".join(f"{quote}{field}{quote}" for field in row.split(",")) for row in ("time,close", *rows_of(table))]
    assert np.array_equal(read(mark + "\n".join(rows), tmp_path), table.close)


@pytest.mark.parametrize("text", ["time;close\n{}", "time\tclose\n{}"])
def test_other_separators_are_refused_with_the_heading_that_was_found(table, tmp_path, text):
    separator = text[4]
    rows = "\n".join(rows_of(table)).replace(",", separator)
    with pytest.raises(UserError, match=rf"has the columns time{separator}close; one column of timestamp"):
        read(text.format(rows), tmp_path)


def test_a_field_without_a_column_is_refused_with_its_row(table, tmp_path):
    rows = rows_of(table)
    rows[7] += ",12"
    with pytest.raises(UserError, match=r"prices\.csv cannot be read .* Expected 2 fields in line 9, saw 3\.$"):
        read("\n".join(["time,close", *rows]), tmp_path)


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_text_in_another_encoding_is_refused(table, tmp_path, encoding):
    text = "\n".join(["time,close,café", *(row + ",é" for row in rows_of(table))])
    with pytest.raises(UserError, match=r"prices\.csv cannot be read as a table of UTF-8 text"):
        read(text, tmp_path, encoding)


def test_times_of_several_offsets_rise_by_the_moment_not_by_the_clock(table, tmp_path):
    times = pd.to_datetime(table.time).dt.tz_localize("America/New_York")
    away = [str(t.tz_convert("Asia/Tokyo" if row % 2 else "UTC")) for row, t in enumerate(times)]
    assert np.array_equal(load_prices(written(table.assign(time=away), tmp_path)), table.close)


def test_a_folder_or_a_missing_file_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "none.csv"):
        with pytest.raises(UserError, match=r"cannot be read as a table of UTF-8 text: (Is a directory|No such file)"):
            load_prices(path)


def test_the_file_in_the_data_folder_is_taken_instead_of_simulated_prices(table, tmp_path, monkeypatch):
    monkeypatch.setenv("SHAPEOFLOSS_DATA", str(tmp_path))
    assert np.array_equal(minute_prices(3), simulated_prices(3))
    written(table, tmp_path)
    assert np.array_equal(minute_prices(3), table.close)
