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

from shapeofloss.engine import workspace
from shapeofloss.engine.checkpoints import Checkpoint
from shapeofloss.engine.hashing import code_of_function, dependencies, digest
from shapeofloss.errors import UserError
from shapeofloss.files import lock, read_json, results_go_to, sha256, write_atomically

Result = dict[str, Any]
ENDINGS = (".json", ".npz", ".checkpoint.npz")
FORMAT = 4  # of the files: another one gives other keys, so that no entry is misread


def key(function: Callable[..., Result], arguments: Mapping[str, Any]) -> str:
    """Return the hash of a call: the function, its arguments, the code that it can reach, and the packages below it.

    Raises:
        UserError: If the function lives in no module, an argument is neither JSON-able nor an array of numbers, or
            there is no checkout.
    """
    name = f"{function.__module__}.{getattr(function, '__qualname__', '<object>')}"
    if "<" in name:
        raise UserError(f"{name} cannot be stored: move the function into a module, so that its code is known.")
    code = dependencies(code_of_function(function.__module__, function.__qualname__))
    try:
        return digest(FORMAT, name, _described(arguments), code)
    except (TypeError, ValueError, RecursionError) as error:
        raise UserError(
            f"The arguments of {name} must be finite JSON values or arrays of numbers, to be a key: {error}."
        ) from None


def _described(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments as JSON values, each array and NumPy number as its shape, type and checksum."""
    return {
        name: _checksum(value) if _is_array(value) else _with_text_as_keys(value) for name, value in arguments.items()
    }


def _is_array(value: Any) -> bool:
    """Tell whether bytes, shape and type say all about a value: a mask, for example, is more."""
    return type(value) in (np.ndarray, np.memmap) or (
        isinstance(value, np.number | np.bool) and not isinstance(value, float)
    )


def _with_text_as_keys(value: Any) -> Any:
    """Return the value, whose mappings have text as keys: JSON would take 1 and "1" for the same one."""
    if isinstance(value, dict) and not all(isinstance(key, str) for key in value):
        raise TypeError("a mapping in them has keys that are no text")
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
        _with_text_as_keys(part)
    return value


def _checksum(array: Any) -> dict[str, Any]:
    if array.dtype.hasobject:
        raise TypeError("an array of objects has no checksum")
    content = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    return {"array": content, "shape": list(array.shape), "dtype": array.dtype.str}


def path_of(function: Callable[..., Result], arguments: Mapping[str, Any]) -> Path:
    """Return the path of the entry's `.json`; the arrays lie beside it."""
    name = f"{key(function, arguments)}.json"  # first, since not every callable has a name
    return workspace.data() / "store" / function.__qualname__ / name


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
        UserError: If the function or its arguments cannot be a key, a value cannot be stored, or nothing is stored yet
            and the folder takes no file.
    """
    path = path_of(function, arguments)
    result = _read(path)
    if result is not None:
        return result
    with results_go_to(path.parent):
        held = lock(path.with_suffix(".lock")).acquire()
    with held:
        result = _read(path, report=True)  # another process may have been first
        if result is None:
            _make_way(path)
            checkpoint = Checkpoint(path.with_suffix(ENDINGS[-1]))
            own = {"checkpoint": checkpoint} if "checkpoint" in inspect.signature(function).parameters else {}
            _write(path, function(**arguments, **own), _described(arguments))
            checkpoint.remove()
            result = _read(path)
    assert result is not None
    return result


def _make_way(path: Path) -> None:
    """Refuse a folder in the place of a file before anything is computed."""
    for ending in ENDINGS:
        place = path.with_suffix(ending)
        if place.is_dir():
            raise UserError(f"{place} is a folder, where a file with a stored result has to be: move it away.")


def _write(path: Path, result: Result, arguments: Mapping[str, Any]) -> None:
    if not isinstance(result, Mapping) or not all(isinstance(name, str) and name.isidentifier() for name in result):
        raise UserError("Only a mapping of names to arrays and JSON values can be stored: return a dict.")
    arrays = {name: value for name, value in result.items() if isinstance(value, np.ndarray) and _is_array(value)}
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
    with results_go_to(path.parent):
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
