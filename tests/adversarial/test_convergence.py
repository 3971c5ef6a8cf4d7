"""KL, JSD and W of pairs of histograms, against SciPy and closed forms."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import wasserstein_distance

from shapeofloss.adversarial.convergence import random_histograms, sequence
from shapeofloss.errors import UserError


def test_waves_have_the_divergences_of_their_integrals_at_every_t():
    def middle(x):
        s = np.sin(2 * np.pi * x)
        return (-np.log1p(s / 2) + (1 + s) * (np.log1p(s) - np.log1p(s / 2))) / 2

    expected = sum(quad(middle, *ends, epsabs=1e-11)[0] for ends in ((0, 0.75), (0.75, 1)))
    for t in (1, 7, 100):
        pair = sequence("waves", t)
        assert pair.jsd == pytest.approx(expected, abs=1e-6)
        assert pair.kl_forward == pytest.approx(np.log(2), abs=1e-2)  # the logarithm has a pole
        assert pair.kl_reverse == pytest.approx(1 - np.log(2), abs=1e-4)
        assert pair.w == pytest.approx(1 / (2 * np.pi * t), rel=1e-3)


def test_shifted_distributions_and_points_have_their_closed_forms():
    for t in (2, 10, 1000):
        shifted, points = sequence("shifted", t), sequence("points", t)
        assert shifted.kl_forward == shifted.kl_reverse == points.kl_forward == points.kl_reverse == np.inf
        assert shifted.jsd == pytest.approx(np.log(2) / t, rel=1e-12) and points.jsd == pytest.approx(np.log(2))
        assert shifted.w == pytest.approx(1 / t, rel=1e-9) and points.w == pytest.approx(1 / t)


def test_an_escaping_share_keeps_w_at_one_while_kl_vanishes():
    for t in (2, 100, 10_000):
        pair = sequence("escaping", t)
        assert pair.kl_forward == pytest.approx(-np.log1p(-1 / t)) and pair.kl_reverse == np.inf
        assert pair.w == pytest.approx(1, abs=1e-12)


def test_fading_distributions_have_the_divergences_of_their_integrals():
    for t in (2, 100):
        pair = sequence("fading", t)
        forward = quad(lambda x, t=t: -np.log(1 - 1 / t + 2 * x / t), 0, 1)[0]
        assert pair.kl_forward == pytest.approx(forward, rel=1e-4)
        # The distribution functions differ by (x - x^2) / t.
        assert pair.w == pytest.approx(1 / (6 * t), rel=1e-5)


def test_the_laws_of_every_pair_have_mass_one_and_scipys_distance():
    pairs = [sequence(name, 5) for name in ("fading", "shifted", "waves", "points", "escaping")]
    for pair in [*pairs, random_histograms(1), random_histograms(2, overlap=False)]:
        assert pair.pi.sum() == pytest.approx(1) and pair.p.sum() == pytest.approx(1)
        assert pair.w == pytest.approx(wasserstein_distance(pair.nodes, pair.nodes, pair.pi, pair.p), abs=1e-12)


def test_random_histograms_share_bins_or_not_and_are_near_as_well_as_far():
    for seed in range(30):
        pair = random_histograms(seed, overlap=False, bins=5)
        assert ((pair.pi > 0) != (pair.p > 0)).all() and pair.pi.any() and pair.p.any()
    far = [random_histograms(seed).jsd for seed in range(100)]
    assert min(far) < 1e-3 and max(far) > 0.3


def test_wrong_input_gets_its_sentence():
    with pytest.raises(UserError, match="Did you mean 'waves'"):
        sequence("wave", 2)
    with pytest.raises(UserError, match="sequence 'shifted' is 1; a whole number from 2"):
        sequence("shifted", 1)
    with pytest.raises(UserError, match="bins is 1; a whole number from 2"):
        random_histograms(0, bins=1)
