"""Checkpoints: whole or absent, not too often, and a task that goes on from one ends as if undisturbed."""

import hashlib
import io

import numpy as np
import pytest
from tasks import interrupted

from shapeofloss.engine import store
from shapeofloss.engine.checkpoints import Checkpoint

STATE = {"values": np.arange(3.0), "epoch": np.array(2)}


def test_a_state_comes_back_as_it_was(tmp_path):
    path = tmp_path / "some" / "task.npz"
    assert Checkpoint(path).load() is None
    Checkpoint(path).save(STATE)
    found = Checkpoint(path).load()
    assert found.keys() == STATE.keys() and all(np.array_equal(found[name], STATE[name]) for name in STATE)
    Checkpoint(path).remove()
    assert not list(path.parent.iterdir())


def test_a_damaged_state_is_told_and_not_used(tmp_path, capsys):
    path = tmp_path / "task.npz"
    Checkpoint(path).save(STATE)
    good = path.read_bytes()
    changed = [good[:place] + bytes([good[place] ^ 128]) + good[place + 1 :] for place in range(0, len(good), 5)]
    for content in (*changed, *(good[:length] for length in range(0, len(good), 40)), good + b"0"):
        path.write_bytes(content)
        assert Checkpoint(path).load() is None
        assert "task.npz is damaged: its task begins anew" in capsys.readouterr().err


def test_objects_are_not_unpickled(tmp_path):
    buffer = io.BytesIO()
    np.savez(buffer, values=np.array([{}], dtype=object))
    path = tmp_path / "task.npz"
    path.write_bytes(hashlib.sha256(buffer.getvalue()).digest() + buffer.getvalue())
    assert Checkpoint(path).load() is None


def test_states_are_written_no_more_often_than_asked(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("shapeofloss.engine.checkpoints.time.monotonic", lambda: now[0])
    checkpoint = Checkpoint(tmp_path / "task.npz", every=10)
    assert not checkpoint.due()
    now[0] = 111.0
    assert checkpoint.due()
    checkpoint.save(STATE)
    assert not checkpoint.due()


def test_writing_takes_a_twentieth_of_the_time_at_most(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("shapeofloss.engine.checkpoints.time.monotonic", lambda: now[0])
    monkeypatch.setattr("shapeofloss.engine.checkpoints.np.savez", lambda *_, **__: now.__setitem__(0, now[0] + 7))
    checkpoint = Checkpoint(tmp_path / "task.npz", every=0)
    checkpoint.save(STATE)  # seven seconds
    for seconds, due in ((7 * 20 - 1, False), (7 * 20 + 1, True)):
        now[0] = 7.0 + seconds
        assert checkpoint.due() is due


def test_an_interrupted_task_goes_on_in_the_store_and_leaves_no_state(marks):
    with pytest.raises(KeyboardInterrupt):
        store.get_or_compute(interrupted, {"count": 4})
    result = store.get_or_compute(interrupted, {"count": 4})
    assert result["values"].tolist() == [0, 1, 4, 9]
    assert len(list(marks.iterdir())) == 4  # no square twice
    assert not list(store.path_of(interrupted, {"count": 4}).parent.glob("*checkpoint*"))
