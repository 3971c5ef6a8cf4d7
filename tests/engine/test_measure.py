"""What the memory of the whole process shows, beside known allocations."""

import sys
import tracemalloc

import numpy as np
import pytest
import torch

from shapeofloss.engine import measure
from shapeofloss.engine.measure import exponent, peak_of_arrays, peak_of_process, peak_of_tensors, seconds
from shapeofloss.errors import UserError


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps a peak that can be reset")
def test_the_peak_of_the_process_is_what_a_call_fills_at_once_whether_it_is_kept_or_given_back():
    peak_of_process(lambda: np.ones(10))
    kept = peak_of_process(lambda: np.ones(4_000_000))
    given_back = peak_of_process(lambda: float((np.ones(4_000_000) + np.ones(4_000_000)).sum()))
    assert kept == pytest.approx(32e6, rel=0.05)
    assert given_back == pytest.approx(64e6, rel=0.05)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps a peak that can be reset")
def test_a_call_that_makes_nothing_new_has_hardly_a_peak_but_one_whose_logarithm_can_be_taken():
    array = np.ones(4_000_000)
    assert 0 < peak_of_process(lambda: float(array.sum())) < 2e6
    assert peak_of_process(lambda: None) > 0


def test_a_peak_of_arrays_is_the_same_while_the_caller_traces_memory_and_lets_it_go_on():
    alone = peak_of_arrays(lambda: np.ones(100_000))
    tracemalloc.start()
    try:
        kept = np.ones(300_000) * 2
        del kept  # a higher peak from before
        assert peak_of_arrays(lambda: np.ones(100_000)) == pytest.approx(alone, rel=0.05)
        assert tracemalloc.is_tracing()
    finally:
        tracemalloc.stop()


def test_an_exponent_is_of_positive_numbers_of_two_sizes():
    sizes = np.array([1.0, 10.0, 100.0])
    assert exponent(sizes[::-1], (3 * sizes**1.5)[::-1]) == pytest.approx(1.5)
    for values in ([1.0, 0.0, 2.0], [1.0, -1.0, 2.0], [1.0, np.nan, 2.0], [1.0, 2.0]):
        with pytest.raises(UserError, match=r"above 0|not finite|shape"):
            exponent(sizes, values)
    with pytest.raises(UserError, match="two sizes to differ"):
        exponent([3.0, 3.0], [1.0, 2.0])


def test_what_is_measured_is_a_call():
    for each in (seconds, peak_of_arrays, peak_of_tensors, peak_of_process):
        with pytest.raises(UserError, match="call is a ndarray; a function is needed"):
            each(np.ones(3))
    with pytest.raises(UserError, match="repeats is 0"):
        seconds(lambda: None, repeats=0)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps a peak that can be reset")
def test_a_record_that_cannot_be_read_or_reset_is_told(monkeypatch, tmp_path):
    (tmp_path / "status").write_text("VmRSS: 10 kB\n", encoding="utf-8")
    monkeypatch.setattr(measure, "Path", lambda name: tmp_path / name.rsplit("/", 1)[1])
    (tmp_path / "clear_refs").mkdir()  # cannot be written to, as in some containers
    with pytest.raises(UserError, match="cannot be reset here"):
        peak_of_process(lambda: None)
    (tmp_path / "clear_refs").rmdir()
    (tmp_path / "clear_refs").touch()
    with pytest.raises(UserError, match="has no VmHWM here"):
        peak_of_process(lambda: None)


def test_costs_are_those_of_known_computations():
    x = torch.zeros(1000)
    assert peak_of_tensors(lambda: x + 1) == 4000
    assert peak_of_tensors(lambda: (x + 1) + 1) == 8000
    assert peak_of_tensors(lambda: [x + 1 for _ in range(3)]) == 12_000
    assert 8_000_000 <= peak_of_arrays(lambda: np.zeros(1_000_000)) < 8_010_000
    assert exponent([1, 10, 100], [5, 500, 50_000]) == pytest.approx(2)
