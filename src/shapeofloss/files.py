"""Files that are either whole or absent: atomic writes, locks, and JSON with one entry per line."""

import hashlib
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from filelock import FileLock

from shapeofloss.errors import UserError


@contextmanager
def replacing(path: Path, *, alone: bool = False) -> Iterator[IO[bytes]]:
    """Open a file under a temporary name in the same folder, and move it to `path` at the end if all went well.

    A reader sees the old file or the new one, never a part. The parent folder is made if needed. The file gets the
    permissions of any new file of this process.

    Args:
        path: The file.
        alone: Whether the caller holds a lock. The temporary name is then always the same, so that what a killed
            writer left is replaced without a look through the folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_of(path) if alone else path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    if alone:
        temporary.unlink(missing_ok=True)
    try:
        with temporary.open("xb") as file:
            yield file
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def temporary_of(path: Path) -> Path:
    """Return the name under which a writer that is alone writes a file."""
    return path.with_name(f".{path.name}.tmp")


def write_atomically(path: Path, content: bytes | str, *, alone: bool = False) -> None:
    """Write `content` as by `replacing`."""
    with replacing(path, alone=alone) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def results_go_to(folder: Path) -> Iterator[None]:
    """Turn the failure of a write below the data folder into a sentence.

    Raises:
        UserError: If the folder, or the disk, takes no file.
    """
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{folder} takes no result ({error.strerror or error}): give it room and the right to write, or set "
            "SHAPEOFLOSS_DATA to another folder."
        ) from None


def lock(path: Path) -> FileLock:
    """Return an advisory lock on `path`; the operating system releases it when its owner dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path, thread_local=False)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path, default: Any = None) -> Any:
    """Read a JSON file; a missing one gives `default`, a damaged one an error that names it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return default
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(
            f"{path.name} is not valid JSON ({error}). Restore it with git, or delete it and rerun."
        ) from None


def read_rows(path: Path, *, texts: Iterable[str], others: Iterable[str] = ()) -> list[dict[str, Any]]:
    """Read a JSON list of rows; a missing file gives none.

    Args:
        path: The file.
        texts: Names that each row has with a text.
        others: Names that each row has with any value.
    Raises:
        UserError: If the file holds anything else.
    """
    rows = read_json(path, [])
    texts, others = list(texts), list(others)
    for row in rows if isinstance(rows, list) else [None]:
        if (
            not isinstance(row, dict)
            or not all(isinstance(row.get(name), str) for name in texts)
            or not all(name in row for name in others)
        ):
            raise UserError(
                f"{path.name} does not hold rows of the runner's with {', '.join(dict.fromkeys(texts + others))}. "
                "Restore it with git, or delete it and rerun."
            )
    return list(rows)


def rows_text(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return a JSON list with one row per line, so that branches that add rows merge.

    Raises:
        ValueError: If a number is not finite; JSON has no such number.
    """
    lines = [json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows]
    return "[\n" + ",\n".join(lines) + "\n]\n" if lines else "[]\n"


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as `rows_text` gives them.

    Raises:
        ValueError: If a number is not finite; JSON has no such number.
    """
    write_atomically(path, rows_text(rows))
