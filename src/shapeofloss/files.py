"""Files that are either whole or absent: atomic writes, locks, and JSON with one entry per line."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from filelock import FileLock

from shapeofloss.errors import UserError


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a file under a temporary name in the same folder, and move it to `path` at the end if all went well.

    A reader sees the old file or the new one, never a part. The parent folder is made if needed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        Path(temporary).chmod(0o644)  # mkstemp makes private files; results are ordinary ones
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write `content` as by `replacing`."""
    with replacing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


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
        return json.loads(path.read_text())
    except FileNotFoundError:
        return default
    except ValueError as error:
        raise UserError(
            f"{path.name} is not valid JSON ({error}). Restore it with git, or delete it and rerun."
        ) from None


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
