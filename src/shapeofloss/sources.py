"""What the four sources show: each figure, table, algorithm and slide, and how our figures name what they answer."""

import re
import tomllib
from dataclasses import dataclass
from functools import cache

from shapeofloss.engine import workspace
from shapeofloss.errors import UserError, unknown

# Parts of a text that are no item of the table: they need no entry.
PLACES = r"(section|Appendix|equation) [\w.-]+"


@dataclass(frozen=True)
class Source:
    """One source, as `data/sources.toml` lists it.

    Attributes:
        name: The word for it in `answers`.
        title: Its title.
        items: What each of its figures, tables, algorithms and slides shows, by its name, in the source's order.
    """

    name: str
    title: str
    items: dict[str, str]


def load() -> dict[str, Source]:
    """Return the sources by name.

    Raises:
        UserError: If `data/sources.toml` cannot be read.
    """
    path = workspace.root() / "data" / "sources.toml"
    try:
        return _parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"data/sources.toml is no table of sources ({error}): restore it with git.") from None


@cache
def _parse(text: str) -> dict[str, Source]:
    return {name: Source(name, table["title"], dict(table["items"])) for name, table in tomllib.loads(text).items()}


def answered(answers: str) -> list[tuple[str, str]]:
    """Return the source and the item of each thing that a figure answers.

    Args:
        answers: A source and its items, such as `landscape: Fig. 2c`, `landscape: Fig. 2d-f; section 4.3` or
            `wgan: slide "Theorem 1"; slide "Theorem 2"`; `Fig. 2` stands for all of its parts. Empty answers nothing.
    Raises:
        UserError: If it has another form, or the source has no such item.
    """
    if not answers:
        return []
    name, colon, rest = answers.partition(": ")
    sources = load()
    if not colon or name not in sources:
        raise UserError(
            f"'{answers}' names no source: write {', '.join(sources)}, a colon and items such as Fig. 2c, Table 1, "
            'Algorithm 1, section 3.1 or slide "Title", separated by "; ".'
        )
    return [(name, item) for text in rest.split("; ") for item in _items(sources[name], text)]


def _items(source: Source, text: str) -> list[str]:
    if re.fullmatch(PLACES, text):
        return [text]
    if parts := re.fullmatch(r"(Fig\. \d+)([a-z])-([a-z])", text):
        letters = range(ord(parts[2]), ord(parts[3]) + 1)
        return [item for letter in letters for item in _items(source, f"{parts[1]}{chr(letter)}")]
    if text in source.items:
        return [text]
    whole = [item for item in source.items if re.fullmatch(rf"{re.escape(text)}[A-Za-z]", item)]
    if not whole:
        raise unknown(f"item of {source.name}", text, source.items)
    return whole
