"""Minute prices of a stock: simulated ones, or those of a file; and the autoencoder that compresses an hour of them."""

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from shapeofloss.arrays import as_count, as_floats
from shapeofloss.errors import UserError
from shapeofloss.signloss.training import Mixture, fit, measures, perceptrons

DAYS, MINUTES, PRICES = 18, 960, 15_360  # trading days; minutes from 4:00 to 20:00; prices in the source's file
OPEN, CLOSE = 330, 720  # minutes after 4:00 at which the regular session begins and ends
TIMES, CLOSES = ("timestamp", "datetime", "time", "date"), ("close", "price")
FEWEST = 1_000  # rows of a file


def simulated_prices(seed: int) -> NDArray[np.float64]:
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
        seed: Of all noise.
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


def load_prices(path: Path) -> NDArray[np.float64]:
    """Read minute prices from a CSV file.

    Args:
        path: A table, with commas, with one column of times (`timestamp`, `datetime`, `time` or `date`), each with its
            date, year first (2025-01-06 09:30, seconds and offset as you like), and one of prices (`close` or
            `price`); other columns, blank lines, and commas at the end of a row are ignored. One row a minute, oldest
            first; nights, weekends and missing minutes are left as they are, so that some windows lead across them.
    Returns:
        Shape (rows,), in the file's currency.
    Raises:
        UserError: If the file is no table of UTF-8 text; a row is longer than the heading; a column is missing, there
            twice, or cannot be read; times are not rising or are far from a minute apart, there is a gap of more than
            a week, or prices are missing or not positive, or too few. It names the row by its line in the file.
    """
    import pandas as pd

    path = Path(path)
    heading, lines, rows = _table(path)
    table = pd.DataFrame(rows, columns=heading, dtype=str)
    for name in (*TIMES, *CLOSES):
        if list(table.columns).count(name) > 1:
            raise UserError(
                f"{path.name} has the column {name} more than once, spelt alike, or alike but for capitals or spaces."
            )
    if {"date", "time"} <= set(table.columns) and not {"timestamp", "datetime"} & set(table.columns):
        raise UserError(
            f"{path.name} has a column date and a column time; one column that holds date and time is needed."
        )
    time, close = (next((n for n in names if n in table.columns), None) for names in (TIMES, CLOSES))
    if time is None or close is None:
        raise UserError(
            f"{path.name} has the columns {', '.join(table.columns)}; one of {', '.join(TIMES)} and one of "
            f"{', '.join(CLOSES)} are needed."
        )
    if len(table) < FEWEST:
        raise UserError(f"{path.name} has {len(table)} rows; at least {FEWEST} are needed.")
    dated = table[time].astype(str).str.match(r"\s*\d{4}-\d\d-\d\d")
    moments = pd.to_datetime(table[time].astype(str).where(dated), format="ISO8601", errors="coerce", utc=True)
    prices = pd.to_numeric(table[close], errors="coerce")
    for name, bad, wanted in (
        (time, moments.isna(), "a time like 2025-01-06 09:30"),
        (close, ~(prices > 0) | np.isinf(prices), "a positive price"),
    ):
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise UserError(
                f"Row {lines[row]} of {path.name} has '{table[name].iloc[row]}' in {name}, which is not {wanted}."
            )
    apart = moments.diff().dt.total_seconds().to_numpy()[1:] / 60
    if (apart <= 0).any():
        row = int(np.flatnonzero(apart <= 0)[0])
        what = "the time of the row before once more" if apart[row] == 0 else "an earlier time than the row before"
        raise UserError(f"Row {lines[row + 1]} of {path.name} has {what}; every minute has to come once, oldest first.")
    if not 0.9 <= np.median(apart) <= 1.1:
        raise UserError(f"The rows of {path.name} are {np.median(apart):g} minutes apart; minute prices are needed.")
    if apart.max() > 7 * 24 * 60:
        row = int(apart.argmax())
        raise UserError(
            f"Before row {lines[row + 1]} of {path.name} is a gap of {apart[row] / 1440:.0f} days; 7 at most may be."
        )
    return prices.to_numpy(np.float64)


def _table(path: Path) -> tuple[list[str], list[int], list[list[str]]]:
    """Return the names of columns, in small letters, the line at which each row begins, and the rows, as long as these.

    Raises:
        UserError: If the file cannot be read, or a row is longer than the heading.
    """
    heading, lines, rows = None, [], []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader, line = csv.reader(file, skipinitialspace=True), 1
            for row in reader:
                if any(field.strip() for field in row):
                    if heading is None:
                        heading = [name.strip().lower() for name in row]
                    elif any(field.strip() for field in row[len(heading) :]):
                        raise UserError(
                            f"Row {line} of {path.name} has {len(row)} fields, the heading {len(heading)}; every field "
                            "needs a column."
                        )
                    else:
                        lines.append(line)
                        rows.append(row[: len(heading)] + [""] * (len(heading) - len(row)))
                line = reader.line_num + 1
    except UserError:
        raise
    except (OSError, ValueError, csv.Error) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{path.name} cannot be read as a table of UTF-8 text: {why}.") from None
    if heading is None:
        raise UserError(f"{path.name} cannot be read as a table: it is empty.")
    return heading, lines, rows


def windows(prices: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Return every stretch of prices, each less its first price, shape (prices - length + 1, length).

    Raises:
        UserError: If the prices are no list of finite numbers, or fewer than `length`.
    """
    prices, length = as_floats(prices, "prices", shape=("n",)), as_count(length, "length")
    if len(prices) < length:
        raise UserError(f"{len(prices)} prices hold no window of {length}.")
    found = np.lib.stride_tricks.sliding_window_view(prices, length)
    return found - found[:, :1]


def split(prices: NDArray[np.float64], length: int, share: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return training and held-out windows, over one standard deviation: that of all values of training windows.

    Args:
        prices: Shape (n,).
        length: Of a window.
        share: Of the prices, the latest, from which held-out windows are taken.
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


def train_prices(
    *,
    prices: NDArray[np.float64],
    seed: int,
    length: int,
    held_out: float,
    hidden: int,
    latent: int,
    squared: float,
    directional: float,
    sharpness: float,
    batch: int,
    steps: int,
    learning_rate: float,
    examples: int,
) -> dict[str, Any]:
    """Train an autoencoder on windows of prices, and measure it on training and held-out windows.

    Args:
        prices: Shape (n,).
        seed: Of the weights, the batches, and the windows that are measured.
        length, held_out: As for `split`.
        hidden, latent: As for `training.perceptrons`.
        squared, directional, sharpness: The loss, a `training.Mixture` with the squared error summed.
        batch, steps, learning_rate: As for `training.fit`.
        examples: Windows to measure on, of either kind; the same for all losses.
    Returns:
        `original` and `reconstruction` of training windows, shape (examples, length), with their `training.measures`,
        and all of it for held-out windows with names that begin with `unseen_`.
    Raises:
        UserError: As `split`, or if another setting is out of range.
    Source:
        Directional sign loss paper, section 4.1 and Table 4.
    """
    seed, steps = as_count(seed, "seed", at_least=0), as_count(steps, "steps", at_least=0)
    batch, examples = as_count(batch, "batch"), as_count(examples, "examples")
    seen, unseen = split(prices, length, held_out)
    generator = torch.Generator().manual_seed(seed)
    model = perceptrons(length, hidden, latent, seed=seed)
    loss = Mixture(squared, directional, sharpness)

    def drawn(_: int) -> torch.Tensor:
        return seen[torch.randint(len(seen), (batch,), generator=generator)]

    fit(model, drawn, loss, steps=steps, learning_rate=learning_rate)
    chooser = torch.Generator().manual_seed(10_000 + seed)
    result: dict[str, Any] = {}
    for prefix, source in (("", seen), ("unseen_", unseen)):
        original = source[torch.randint(len(source), (examples,), generator=chooser)]
        with torch.no_grad():
            reconstruction = model(original)
        found = measures(original, reconstruction, sharpness=sharpness)
        result |= {prefix + "original": original.numpy(), prefix + "reconstruction": reconstruction.numpy()}
        result |= {prefix + name: value for name, value in found.items()}
    return result
