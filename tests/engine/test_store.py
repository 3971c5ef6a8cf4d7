"""The store: whole entries, damaged entries, one computation for many askers, and what moves a key."""

import errno
import functools
import json
import multiprocessing
import os
import re
import time
from pathlib import Path

import numpy as np
import pytest
from tasks import squares

from shapeofloss.engine import hashing, store
from shapeofloss.errors import UserError
from shapeofloss.files import lock as files_lock
from shapeofloss.files import temporary_of

SPAWN = multiprocessing.get_context("spawn")


def computed(marks):
    return len(list(marks.iterdir()))


def test_a_result_is_computed_once_and_read_back_to_the_bit(marks, tmp_path):
    first = store.get_or_compute(squares, {"count": 5, "scale": 0.1})
    (mark,) = marks.iterdir()
    mark.unlink()
    again = store.get_or_compute(squares, {"scale": 0.1, "count": 5})
    assert computed(marks) == 0 and list((tmp_path / "elsewhere" / "store").iterdir())
    assert np.array_equal(first["values"], again["values"]) and first["values"].dtype == again["values"].dtype
    assert first["mean"] == again["mean"] == pytest.approx(np.mean(first["values"])) and again["name"] == "θ"


@pytest.mark.parametrize("ending", [".npz", ".json"])
def test_a_damaged_entry_is_reported_and_computed_again(marks, capsys, ending):
    arguments = {"count": 4, "scale": 1.0}
    good = store.get_or_compute(squares, arguments)
    path = store.path_of(squares, arguments).with_suffix(ending)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    again = store.get_or_compute(squares, arguments)
    assert "damaged" in capsys.readouterr().err
    assert np.array_equal(good["values"], again["values"])
    assert store.path_of(squares, arguments).with_suffix(ending).read_bytes() != bytes(content)


def test_a_changed_value_in_valid_json_is_noticed(marks, capsys):
    arguments = {"count": 4, "scale": 1.0}
    store.get_or_compute(squares, arguments)
    path = store.path_of(squares, arguments)
    assert '"mean": 3.5' in path.read_text(encoding="utf-8")
    path.write_text(path.read_text(encoding="utf-8").replace('"mean": 3.5', '"mean": 3.6'), encoding="utf-8")
    assert store.get_or_compute(squares, arguments)["mean"] == 3.5


def test_an_entry_under_another_name_is_not_served(marks, capsys):
    for count in (3, 4):
        store.get_or_compute(squares, {"count": count})
    for ending in (".json", ".npz"):
        mine, other = (store.path_of(squares, {"count": count}).with_suffix(ending) for count in (3, 4))
        mine.write_bytes(other.read_bytes())
    assert store.get_or_compute(squares, {"count": 3})["values"].tolist() == [0, 1, 4]
    assert "damaged" in capsys.readouterr().err


def test_a_reader_without_the_lock_deletes_nothing(marks, capsys):
    store.get_or_compute(squares, {"count": 3})
    path = store.path_of(squares, {"count": 3})
    path.with_suffix(".npz").rename(path.with_suffix(".later"))  # as on a network folder that shows one file first
    assert store._read(path) is None and path.is_file() and not capsys.readouterr().err
    path.with_suffix(".later").rename(path.with_suffix(".npz"))
    assert store._read(path)["values"].tolist() == [0, 1, 4]


def test_the_key_depends_on_arguments_code_and_pins(marks, monkeypatch):
    base, pins = store.key(squares, {"count": 1}), hashing.numerical_pins()
    assert base == store.key(squares, {"count": 1}) != store.key(squares, {"count": 2})
    monkeypatch.setattr(hashing, "numerical_pins", lambda: {"numpy": "0", "torch": "0"})
    assert store.key(squares, {"count": 1}) != base
    monkeypatch.setattr(hashing, "numerical_pins", lambda: {**pins, "torch": "0"})
    assert store.key(squares, {"count": 1}) == base  # no torch in squares
    other = hashing.code_of_function("tasks", "uniform")
    monkeypatch.setattr(store, "code_of_function", lambda *name: other)
    assert store.key(squares, {"count": 1}) != base


def test_arrays_change_a_key_by_value_shape_and_type(marks):
    base = np.arange(6, dtype=np.float32)
    others = [base + 1, base.reshape(2, 3), base.reshape(3, 2), base.astype(np.float64), base[:5], base.astype(">f4")]
    others += [base.view(np.int32), base.tolist(), np.array(["a"])]
    keys = [store.key(squares, {"count": value}) for value in (base, *others)]
    assert len(set(keys)) == len(keys)
    wide = np.zeros((6, 2), np.float32)
    wide[:, 0] = base
    assert store.key(squares, {"count": base.copy()}) == store.key(squares, {"count": wide[:, 0]}) == keys[0]
    assert store.key(squares, {"scale": base}) != keys[0]


def test_a_call_with_an_array_is_stored_with_its_description_alone(marks):
    scale = np.array([0.5, 2.0, 1.0])
    first = store.get_or_compute(squares, {"count": 3, "scale": scale})
    again = store.get_or_compute(squares, {"count": 3, "scale": scale.copy()})
    assert computed(marks) == 1 and np.array_equal(first["values"], again["values"])
    assert first["values"].tolist() == [0, 2, 4]
    described = json.loads(store.path_of(squares, {"count": 3, "scale": scale}).read_text(encoding="utf-8"))[
        "arguments"
    ]
    assert described["count"] == 3 and (described["scale"]["shape"], described["scale"]["dtype"]) == ([3], "<f8")


def test_what_cannot_be_a_key_or_be_stored_is_refused(marks):
    for function in (lambda: {}, functools.partial(squares, 3)):
        with pytest.raises(UserError, match="move the function into a module"):
            store.key(function, {})
    with pytest.raises(UserError, match="finite JSON values"):
        store.key(squares, {"count": float("nan")})
    with pytest.raises(UserError, match="or arrays of numbers, to be a key: an array of objects has no checksum"):
        store.key(squares, {"count": np.array([{}])})
    with pytest.raises(UserError, match="finite JSON values or arrays of numbers"):
        store.key(squares, {"count": [np.zeros(2)]})
    path = store.path_of(squares, {})
    with pytest.raises(UserError, match="array of objects"):
        store._write(path, {"a": np.array([{}])}, {})
    with pytest.raises(UserError, match="finite JSON"):
        store._write(path, {"a": float("inf")}, {})
    for result in (None, [1], {"not a name": 1}):
        with pytest.raises(UserError, match="return a dict"):
            store._write(path, result, {})
    assert not list(path.parent.glob("*"))


def test_an_array_may_have_any_name(marks):
    path = store.path_of(squares, {})
    store._write(path, {"file": np.arange(3), "allow_pickle": np.ones(1)}, {})
    assert store._read(path)["file"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("content", ["[]", "{}", '{"check": NaN}', "nonsense"])
def test_an_entry_of_another_shape_counts_as_damaged(marks, capsys, content):
    path = store.path_of(squares, {"count": 2})
    path.parent.mkdir(parents=True)
    path.write_text(content, encoding="utf-8")
    assert len(store.get_or_compute(squares, {"count": 2})["values"]) == 2 and "damaged" in capsys.readouterr().err


def test_two_processes_compute_once(marks):
    pair = [SPAWN.Process(target=store.get_or_compute, args=(squares, {"count": 3, "sleep": 1.0})) for _ in range(2)]
    for process in pair:
        process.start()
    for process in pair:
        process.join(60)
        assert process.exitcode == 0
    assert computed(marks) == 1


def test_a_killed_owner_is_replaced_and_leaves_nothing_behind(marks):
    arguments = {"count": 6, "sleep": 0.5}
    owner = SPAWN.Process(target=store.get_or_compute, args=(squares, {**arguments}))
    owner.start()
    while not computed(marks):
        time.sleep(0.02)
    owner.kill()
    owner.join()
    assert len(store.get_or_compute(squares, arguments)["values"]) == 6
    assert computed(marks) == 2
    endings = sorted(path.suffix for path in store.path_of(squares, arguments).parent.iterdir())
    assert endings in ([".json", ".lock", ".npz"], [".json", ".npz"])


def test_a_new_entry_costs_no_look_through_the_folder(marks, monkeypatch):
    path = store.path_of(squares, {"count": 2})
    path.parent.mkdir(parents=True)
    for ending in (".json", ".npz", ".checkpoint.npz"):
        temporary_of(path.with_suffix(ending)).touch()  # as a killed writer leaves them
    listed, scandir = [], os.scandir
    monkeypatch.setattr("os.scandir", lambda place=".": (listed.append(Path(place)), scandir(place))[1])
    monkeypatch.setattr("os.listdir", lambda place=".": listed.append(Path(place)) or [])
    store.get_or_compute(squares, {"count": 2})
    monkeypatch.undo()
    assert path.parent not in listed
    assert not list(path.parent.glob("*.tmp"))


@pytest.mark.parametrize("ending", store.ENDINGS)
def test_a_folder_in_the_place_of_a_file_is_named_before_anything_is_computed(marks, ending):
    place = store.path_of(squares, {"count": 2}).with_suffix(ending)
    place.mkdir(parents=True)
    with pytest.raises(UserError, match=re.escape(f"{place} is a folder")):
        store.get_or_compute(squares, {"count": 2})
    assert computed(marks) == 0


def test_a_folder_that_takes_no_file_serves_what_it_has(marks, monkeypatch):
    store.get_or_compute(squares, {"count": 2})
    folder = store.path_of(squares, {"count": 2}).parent
    (folder / "lock").mkdir()
    monkeypatch.setattr(store, "lock", lambda path: files_lock(folder / "lock"))  # which cannot be made
    assert store.get_or_compute(squares, {"count": 2})["values"].tolist() == [0, 1]
    with pytest.raises(UserError, match=f"{folder} takes no result .* set SHAPEOFLOSS_DATA"):
        store.get_or_compute(squares, {"count": 3})
    assert computed(marks) == 1


def test_a_data_folder_that_is_no_folder_is_named(marks, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SHAPEOFLOSS_DATA", str(tmp_path / "file"))
    with pytest.raises(UserError, match=f"{tmp_path / 'file'}.* takes no result .*Not a directory"):
        store.get_or_compute(squares, {"count": 3})


def test_a_full_disk_is_a_sentence_and_an_error_of_the_task_stays_its_own(marks, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(store, "write_atomically", full)
        with pytest.raises(UserError, match=r"takes no result .No space left on device"):
            store.get_or_compute(squares, {"count": 3})
    monkeypatch.setattr("tasks.time.sleep", full)
    with pytest.raises(OSError, match="No space"):
        store.get_or_compute(squares, {"count": 3})


def test_a_number_of_numpy_is_an_argument_of_its_own_type(marks):
    values = [2, np.int64(2), np.int32(2), np.float32(2), 2.0, True, np.True_, -0.0, 0.0]
    assert len({store.key(squares, {"count": value}) for value in values}) == len(values)
    assert store.key(squares, {"count": np.float64(2)}) == store.key(squares, {"count": 2.0})  # it is a float
    assert store.get_or_compute(squares, {"count": np.int64(2)})["values"].tolist() == [0, 1]


def test_what_two_calls_could_share_is_no_key(marks):
    deep = []
    for _ in range(5000):
        deep = [deep]
    masked = np.ma.array([1.0, 2.0], mask=[True, False])
    for value in (
        {1: 2},
        [{"a": {None: 1}}],
        masked,
        np.zeros(2).view(np.recarray),
        deep,
        np.float32("nan").item(),
        "\ud800",
    ):
        with pytest.raises(UserError, match=r"The arguments of tasks.squares must be"):
            store.key(squares, {"count": value})
    with pytest.raises(UserError, match="MaskedArray"):
        store._write(store.path_of(squares, {}), {"values": masked}, {})


def test_a_missing_checkout_is_no_fault_of_the_arguments(marks, monkeypatch, tmp_path):
    monkeypatch.setenv("SHAPEOFLOSS_ROOT", str(tmp_path))
    with pytest.raises(UserError, match=f"^{re.escape(str(tmp_path))} is not a checkout"):
        store.key(squares, {})
    with pytest.raises(UserError, match="move the function into"):
        store.get_or_compute(functools.partial(squares, 3), {})
