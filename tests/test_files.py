"""Files that are whole or absent."""

import multiprocessing
import os
import time

import pytest

from shapeofloss import files
from shapeofloss.errors import UserError


def test_a_failing_write_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "result.txt"
    files.write_atomically(path, "old")
    with pytest.raises(TypeError):
        files.write_atomically(path, 3)
    with pytest.raises(ValueError):
        files.write_rows(path, [{"value": float("nan")}])
    assert path.read_text(encoding="utf-8") == "old" and [entry.name for entry in tmp_path.iterdir()] == ["result.txt"]


def test_a_writer_that_is_alone_replaces_what_a_killed_one_left(tmp_path):
    path = tmp_path / "result.txt"
    files.temporary_of(path).write_bytes(b"a longer part of an old result")
    files.write_atomically(path, "new", alone=True)
    assert path.read_bytes() == b"new" and [entry.name for entry in tmp_path.iterdir()] == ["result.txt"]


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
@pytest.mark.parametrize("alone", [True, False])
def test_a_file_gets_the_permissions_of_any_other(tmp_path, mask, mode, alone):
    old = os.umask(mask)
    try:
        files.write_atomically(tmp_path / "result.txt", "text", alone=alone)
    finally:
        os.umask(old)
    assert (tmp_path / "result.txt").stat().st_mode & 0o777 == mode


def test_rows_stand_on_a_line_each_and_read_back(tmp_path):
    rows = [{"id": "a", "x": 0.1}, {"id": "θ", "x": [1, 2]}]
    files.write_rows(tmp_path / "rows.json", rows)
    assert len((tmp_path / "rows.json").read_text(encoding="utf-8").splitlines()) == len(rows) + 2
    assert files.read_json(tmp_path / "rows.json") == rows
    files.write_rows(tmp_path / "rows.json", [])
    assert files.read_json(tmp_path / "rows.json") == []


def test_damaged_json_is_named_and_missing_json_gives_the_default(tmp_path):
    (tmp_path / "rows.json").write_text("[{", encoding="utf-8")
    with pytest.raises(UserError, match=r"rows.json is not valid JSON"):
        files.read_json(tmp_path / "rows.json")
    assert files.read_json(tmp_path / "none.json", []) == []


def hold(path):
    with files.lock(path):
        time.sleep(60)


def test_a_lock_goes_with_the_death_of_its_owner(tmp_path):
    owner = multiprocessing.get_context("spawn").Process(target=hold, args=(tmp_path / "lock",))
    owner.start()
    guard = files.lock(tmp_path / "lock")
    for _ in range(100):  # until the owner holds it
        try:
            guard.acquire(blocking=False)
            guard.release()
            time.sleep(0.1)
        except TimeoutError:
            break
    else:
        pytest.fail("the owner never took the lock")
    owner.kill()
    owner.join()
    guard.acquire(timeout=5)
    guard.release()
