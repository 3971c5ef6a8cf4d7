"""Waves of one cycle."""

import numpy as np
import pytest
import torch

from shapeofloss.datasets.waves import waves
from shapeofloss.errors import UserError


def test_waves_are_one_cycle_that_swells_or_fades():
    drawn = waves(400, 101, torch.Generator().manual_seed(0)).double().numpy()
    t = np.linspace(0, 1, 101)
    swelling = 0
    for wave in drawn:
        fits = []
        for sign in (1, -1):  # a sine of one cycle is a combination of sine and cosine, of amplitude 1
            flat = wave * np.exp(-sign * (2 * t - 1))
            basis = np.stack([np.sin(2 * np.pi * t), np.cos(2 * np.pi * t)], axis=1)
            weights, rest = np.linalg.lstsq(basis, flat, rcond=None)[:2]
            fits.append(rest[0])
            if rest[0] < 1e-9:
                assert np.hypot(*weights) == pytest.approx(1, abs=1e-5)
        assert min(fits) < 1e-9
        swelling += fits[0] < fits[1]
    assert 150 < swelling < 250
    with pytest.raises(UserError, match="points is 1; a whole number from 2"):
        waves(1, 1, torch.Generator())


def test_waves_need_a_generator_of_their_own():
    for generator in (None, np.random.default_rng(0), 3):
        with pytest.raises(UserError, match=r"a torch\.Generator is needed"):
            waves(2, 8, generator)
