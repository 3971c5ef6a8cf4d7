"""What the memory of the whole process shows, beside known allocations."""

import sys

import numpy as np
import pytest

from shapeofloss.costs import peak_of_process


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
