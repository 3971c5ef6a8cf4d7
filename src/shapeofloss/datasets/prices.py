"""Minute prices of a stock, those of a file or simulated ones, and windows of them."""

import math
import warnings
from pathlib import Path

import numpy as np
import torch

from shapeofloss.arrays import Floats, as_count, as_floats
from shapeofloss.engine import workspace
from shapeofloss.errors import UserError

DAYS, MINUTES, PRICES = 18, 960, 15_360  # trading days; minutes from 4:00 to 20:00; prices in the source's file
OPEN, CLOSE = 330, 720  # minutes after 4:00 at which the regular session begins and ends
TIMES, CLOSES = ("timestamp", "datetime", "time", "date"), ("close", "price")
FEWEST, WEEK = 1_000, 7 * 24 * 60  # rows of a file, and the minutes that it may leave out at once


def minute_prices(seed: int) -> Floats:
    """Return the prices of `prices.csv` in the data folder if it is there, else `simulated_prices` with this seed."""
    file = workspace.data() / "prices.csv"
    return load_prices(file) if file.is_file() else simulated_prices(seed)


def simulated_prices(seed: int) -> Floats:
    r"""Simulate minute prices of a volatile stock over 18 trading days, extended hours included.

    .. math:: p_{t+1} = \operatorname{round}\bigl(p_t\, e^{\sigma(t)\, \varepsilon_t}\bigr), \qquad
        \varepsilon_t \sim t_4 / \sqrt{2}

    Prices are rounded to a tick of 0.01. What each number is taken from:

    * 18 days of 960 minutes, of which thin minutes of the extended hours are missing at random until 15,360 prices are
      left, as many as the source has: its dates hold 18 trading days, so that its file has extended hours.
    * The regular session makes 2.5% a day, more at both ends than in the middle by a factor of 3 (a U); a minute of the
      extended hours has half of the smallest volatility. A first price of 140, near that of the source's share.
    * Heavy tails: Student's t with 4 degrees of freedom, as minute returns are known to have; gaps over night of 1%.
    * About 7% of the minutes end at the price at which they began.

    Args:
        seed: Seed of all noise.
    Returns:
        Shape (15360,), in dollars.
    """
    generator = np.random.default_rng(as_count(seed, "seed", at_least=0))
    minute = np.arange(MINUTES)
    place = 2 * (minute - OPEN) / (CLOSE - OPEN) - 1  # -1 at the opening, 1 at the close
    regular = (minute >= OPEN) & (minute < CLOSE)
    shape = np.where(regular, 1 + 2 * place**2, 1 / 2)
    scale = 0.025 / math.sqrt(np.sum(shape[regular] ** 2))
    noise = generator.standard_t(4, (DAYS, MINUTES)) / math.sqrt(2)
    steps = scale * shape * noise
    steps[:, 0] = 0.01 * generator.standard_normal(DAYS)  # over night
    exact = 140 * np.exp(np.cumsum(steps))
    extended = np.flatnonzero(np.tile(~regular, DAYS))
    missing = generator.choice(extended, DAYS * MINUTES - PRICES, replace=False)
    return np.round(np.delete(exact, missing), 2)


def load_prices(path: Path) -> Floats:
    """Read minute prices from a CSV file.

    Args:
        path: A table, with commas, with one column of times (`timestamp`, `datetime`, `time` or `date`), each with its
            date, year first (2025-01-06 09:30, seconds and offset as you like), and one of prices (`close` or
            `price`); other columns, blank lines, and commas at the end of a row are ignored. One row a minute, oldest
            first; nights, weekends and missing minutes are left as they are, so that some windows lead across them.
    Returns:
        Shape (rows,), in the file's currency.
    Raises:
        UserError: If the file is no table of UTF-8 text; a column is missing, there twice, or cannot be read; times are
            not rising or are far from a minute apart, there is a gap of more than a week, or prices are not positive,
            or too few. It names the row: the heading is the first, and blank lines do not count.
    """
    import pandas as pd

    path = Path(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pd.errors.ParserWarning)  # of commas at the end of rows
            table = pd.read_csv(path, dtype=str, index_col=False, skipinitialspace=True)
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        why = error.strerror if isinstance(error, OSError) else str(error).strip()
        raise UserError(f"{path.name} cannot be read as a table of UTF-8 text: {why}.") from None
    table.columns = table.columns.str.strip().str.lower()
    times, closes = ([name for name in table.columns if name in names] for names in (TIMES, CLOSES))
    if len(times) != 1 or len(closes) != 1:
        raise UserError(
            f"{path.name} has the columns {', '.join(table.columns)}; one column of {', '.join(TIMES)} that holds date "
            f"and time, and one of {', '.join(CLOSES)} are needed."
        )
    time, close = table[times[0]].str.strip(), table[closes[0]]
    dated = time.where(time.str.match(r"\d{4}-\d\d-\d\d"))
    moments = pd.to_datetime(dated, format="ISO8601", errors="coerce", utc=True)
    prices = pd.to_numeric(close, errors="coerce")
    apart = moments.diff().dt.total_seconds() / 60
    for bad, what in (
        (moments.isna(), "has no time like 2025-01-06 09:30"),
        (~prices.between(0, math.inf, inclusive="neither"), "has no positive price"),
        (apart <= 0, "is not later than the row before; every minute has to come once, oldest first"),
        (apart > WEEK, "comes after a gap of more than a week"),
    ):
        if bad.any():
            row = int(bad.to_numpy().argmax())
            raise UserError(f"Row {row + 2} of {path.name}, {time[row]} with price {close[row]}, {what}.")
    if len(table) < FEWEST or not 0.9 <= apart.median() <= 1.1:
        raise UserError(
            f"{path.name} has {len(table)} rows, {apart.median():g} minutes apart; at least {FEWEST} minute prices are "
            "needed."
        )
    return prices.to_numpy(np.float64)


def windows(prices: Floats, length: int) -> Floats:
    """Return every stretch of prices, each less its first price, shape (prices - length + 1, length).

    Raises:
        UserError: If the prices are no list of finite numbers, or fewer than `length`.
    """
    prices, length = as_floats(prices, "prices", shape=("n",)), as_count(length, "length")
    if len(prices) < length:
        raise UserError(f"{len(prices)} prices hold no window of {length}.")
    stretches = np.lib.stride_tricks.sliding_window_view(prices, length)
    return stretches - stretches[:, :1]


def split(prices: Floats, length: int, share: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return training and held-out windows, over one standard deviation: that of all values of training windows.

    Args:
        prices: Shape (n,).
        length: Minutes of a window.
        share: Share of the prices, the latest, from which held-out windows are taken.
    Returns:
        Shape (windows, length) each, float32, without unit.
    Raises:
        UserError: As `windows`; if the share is not between 0 and 1, or the first prices never change.
    Source:
        Directional sign loss paper, section 4.1; held-out windows are ours.
    """
    prices = as_floats(prices, "prices", shape=("n",))
    if not 0 < share < 1:
        raise UserError(f"The share of prices to hold out is {share}; it has to be between 0 and 1.")
    border = round(len(prices) * (1 - share))
    seen, unseen = (windows(part, length) for part in (prices[:border], prices[border:]))
    unit = seen.std()
    if not unit > 0:
        raise UserError(
            f"The first {border} prices never change, so that they have no standard deviation to divide by."
        )
    return torch.tensor(seen / unit, dtype=torch.float32), torch.tensor(unseen / unit, dtype=torch.float32)
