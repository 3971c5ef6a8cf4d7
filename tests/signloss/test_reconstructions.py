"""Directions, size and shape of reconstructions, by hand."""

import numpy as np
import pytest

from shapeofloss.signloss.reconstructions import cumulative_signs, explained_share, relative_size


def test_cumulative_signs_go_along_the_last_axis_from_zero():
    x = np.random.default_rng(0).integers(0, 3, (2, 4, 9)).astype(float)
    sums = cumulative_signs(x)
    assert sums.shape == x.shape and (sums[..., 0] == 0).all()
    assert np.array_equal(np.diff(sums), np.sign(np.diff(x)))


def test_a_scaled_copy_has_that_size_and_misses_what_is_left():
    x = np.random.default_rng(1).standard_normal((5, 8))
    results = [{"original": x, "reconstruction": c * x} for c in (0.0, 0.5, 1.0)]
    assert relative_size(results) == pytest.approx([0, 0.5, 1])
    assert explained_share(results) == pytest.approx([0, 0.75, 1])
