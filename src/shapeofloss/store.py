"""Heavy results on disk, computed once.

A result is a flat mapping of names to NumPy arrays and JSON values. Arrays go into an `.npz` without pickle, the rest
into a `.json` that also holds the checksum of the arrays and is moved into place last: an entry is whole or absent.
"""

import hashlib
import inspect
import io
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from shapeofloss import workspace
from shapeofloss.checkpoints import Checkpoint
from shapeofloss.errors import UserError
from shapeofloss.files import lock, read_json, sha256, write_atomically
from shapeofloss.hashing import code_of_module, digest, numerical_pins

Result = dict[str, Any]
FORMAT = 3  # of the files: another one gives other keys, so that no entry is misread


def key(function: Callable[..., Result], arguments: Mapping[str, Any]) -> str:
    """Return the hash of a call: the function, its arguments, the code that it can reach, and the numerical pins.

    Raises:
        UserError: If the function lives in no module, or an argument is neither JSON-able nor an array of numbers.
    """
    name = f"{function.__module__}.{getattr(function, '__qualname__', '<object>')}"
    try:
        code = code_of_module(function.__module__)
    except ValueError:
        code = {}
    if not code or "<" in name:
        raise UserError(f"{name} cannot be stored: move the function into a module, so that its code is known.")
    try:
        return digest(FORMAT, name, _described(arguments), code, numerical_pins())
    except (TypeError, ValueError) as error:
        raise UserError(
            f"The arguments of {name} must be finite JSON values or arrays of numbers, to be a key: {error}."
        ) from None


def _described(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments as JSON values, each array as its shape, type and checksum."""
    return {name: _checksum(value) if isinstance(value, np.ndarray) else value for name, value in arguments.items()}


def _checksum(array: np.ndarray) -> dict[str, Any]:
    if array.dtype.hasobject:
        raise TypeError("an array of objects has no checksum")
    content = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    return {"array": content, "shape": list(array.shape), "dtype": array.dtype.str}


def path_of(function: Callable[..., Result], arguments: Mapping[str, Any]) -> Path:
    """Return the path of the entry's `.json`; the arrays lie beside it."""
    return workspace.data() / "store" / function.__qualname__ / f"{key(function, arguments)}.json"


def get_or_compute(function: Callable[..., Result], arguments: Mapping[str, Any]) -> Result:
    """Return the stored result of `function(**arguments)`, computing and storing it if there is none.

    Two processes that want the same result compute it once: the second waits for the first, and takes over if the first
    dies. A damaged entry is reported on stderr and computed again.

    Args:
        function: A function of a module (not of a notebook) that returns a mapping of names to arrays and JSON values.
            If it takes a `checkpoint`, it gets one beside the entry, to go on from after an interruption.
        arguments: Its keyword arguments, all JSON-able or NumPy arrays of numbers.
    Returns:
        The result, always as read back from disk, so that a first and a later call agree to the last bit.
    Raises:
        UserError: If the function or its arguments cannot be a key, or a value cannot be stored.
    """
    path = path_of(function, arguments)
    result = _read(path)
    if result is not None:
        return result
    with lock(path.with_suffix(".lock")):
        result = _read(path, report=True)  # another process may have been first
        if result is None:
            checkpoint = Checkpoint(path.with_suffix(".checkpoint.npz"))
            own = {"checkpoint": checkpoint} if "checkpoint" in inspect.signature(function).parameters else {}
            _write(path, function(**arguments, **own), _described(arguments))
            checkpoint.remove()
            result = _read(path)
    assert result is not None
    return result


def _write(path: Path, result: Result, arguments: Mapping[str, Any]) -> None:
    if not isinstance(result, Mapping) or not all(isinstance(name, str) and name.isidentifier() for name in result):
        raise UserError("Only a mapping of names to arrays and JSON values can be stored: return a dict.")
    arrays = {name: value for name, value in result.items() if isinstance(value, np.ndarray)}
    values = {name: value for name, value in result.items() if name not in arrays}
    if any(array.dtype.hasobject for array in arrays.values()):
        raise UserError("An array of objects cannot be stored: it would need pickle. Use numbers or fixed-width text.")
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **{f"_{name}": array for name, array in arrays.items()})  # `file` is taken
    packed = buffer.getvalue()
    record = {"key": path.stem, "arguments": arguments, "values": values, "sha256": hashlib.sha256(packed).hexdigest()}
    try:
        text = json.dumps({**record, "check": digest(record)}, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UserError(f"Only arrays and finite JSON values can be stored: {error}.") from None
    write_atomically(path.with_suffix(".npz"), packed, alone=True)
    write_atomically(path, text, alone=True)


def _read(path: Path, *, report: bool = False) -> Result | None:
    """Return a whole entry; None if there is none, it is damaged, or it is the entry of another key.

    Nothing is deleted: the writer, who holds the lock, replaces a damaged entry.
    """
    arrays = path.with_suffix(".npz")
    if not path.is_file():
        return None
    try:
        record = read_json(path)
        whole = record.pop("check") == digest(record) and sha256(arrays) == record["sha256"]
        whole = whole and record["key"] == path.stem
    except (UserError, OSError, KeyError, AttributeError, TypeError, ValueError):
        whole = False
    if not whole:
        if report:
            print(f"The stored result {path.name} is damaged and is computed again.", file=sys.stderr)
        return None
    with np.load(arrays, allow_pickle=False) as stored:
        return {**record["values"], **{name[1:]: stored[name] for name in stored.files}}
