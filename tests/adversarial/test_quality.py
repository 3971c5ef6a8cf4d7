"""Measures of samples: against other libraries, closed forms, and what is refused."""

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from scipy.stats import wasserstein_distance

from shapeofloss.adversarial import quality
from shapeofloss.adversarial.networks import perceptron
from shapeofloss.adversarial.quality import frechet_distance, mode_shares, modes_covered, wasserstein
from shapeofloss.distributions import mixtures
from shapeofloss.distributions.mixtures import eight_gaussians
from shapeofloss.errors import UserError


@pytest.mark.parametrize(("n", "m"), [(40, 40), (40, 25)])
def test_transport_on_the_line_is_scipys_distance(n, m):
    rng = np.random.default_rng(0)
    x, y = rng.random(n), rng.random(m)
    assert quality.wasserstein(x[:, None], y[:, None]) == pytest.approx(wasserstein_distance(x, y), rel=1e-9)


def test_transport_of_a_shifted_cloud_is_the_shifts_length_and_not_its_square():
    x = np.random.default_rng(0).standard_normal((50, 2))
    assert quality.wasserstein(x, x + np.array([3.0, 4.0])) == pytest.approx(5)


def test_data_cover_all_modes_and_noise_covers_none():
    for law in (mixtures.eight_gaussians(), mixtures.twenty_five_gaussians()):
        assert quality.modes_covered(law(1000, torch.Generator().manual_seed(0)).numpy(), law) == len(law.modes)
        assert quality.modes_covered(np.random.default_rng(0).standard_normal((1000, 2)), law) == 0


@pytest.mark.parametrize(("inside", "covered"), [(24, 0), (25, 1)])
def test_a_mode_is_covered_from_a_fifth_of_its_fair_share(inside, covered):
    law = mixtures.eight_gaussians()  # the fair share of 1,000 samples is 125, a fifth of it 25
    samples = np.full((1000, 2), 99.0)
    samples[:inside] = law.modes[3]
    assert quality.modes_covered(samples, law) == covered


@pytest.mark.parametrize(("distance", "share"), [(3.99, 1.0), (4.01, 0.0)])
def test_a_sample_belongs_to_a_mode_within_four_deviations(distance, share):
    law = mixtures.eight_gaussians()
    samples = law.modes[:1] + distance * law.deviation * np.array([[0.6, 0.8]])
    assert quality.mode_shares(samples, law)[0] == share


def test_too_few_samples_cannot_tell_modes():
    with pytest.raises(UserError, match="take at least 625"):
        quality.modes_covered(np.zeros((600, 2)), mixtures.twenty_five_gaussians())


def test_the_floor_shrinks_with_the_sample_and_repeats_from_its_seed():
    law = mixtures.eight_gaussians()
    few, many = (quality.sampling_floor(law, count, pairs=6, seed=0) for count in (50, 800))
    assert few.shape == (6,) and few.mean() > 2 * many.mean() > 0
    assert np.array_equal(many, quality.sampling_floor(law, 800, pairs=6, seed=0))


def test_the_frechet_distance_is_the_formula_with_a_matrix_root():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((200, 4)) @ rng.standard_normal((4, 4)), rng.standard_normal((150, 4)) + 1
    a, b = np.cov(x.T, bias=True), np.cov(y.T, bias=True)
    expected = np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(a + b - 2 * np.real(sqrtm(a @ b)))
    assert quality.frechet_distance(x, y) == pytest.approx(expected, rel=1e-9)


def test_the_frechet_distance_is_a_shifts_square_symmetric_and_zero_on_itself_even_where_flat():
    x = np.random.default_rng(0).standard_normal((50, 3)) * [1.0, 2.0, 0.0]
    y = 2 * x + 1
    assert quality.frechet_distance(x, x + np.array([3.0, 4.0, 0.0])) == pytest.approx(25)
    assert quality.frechet_distance(x, y) == pytest.approx(quality.frechet_distance(y, x))
    assert quality.frechet_distance(x, x) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("y", [np.zeros((1, 3)), np.zeros((5, 2))])
def test_the_frechet_distance_needs_two_points_each_and_one_dimension(y):
    with pytest.raises(UserError, match="two points and one dimension"):
        quality.frechet_distance(np.zeros((4, 3)), y)


def test_a_generators_output_as_it_comes_is_refused_with_what_to_do():
    made = perceptron((2, 2), generator=torch.Generator().manual_seed(0))(torch.randn(250, 2))
    for call in (
        lambda: wasserstein(made, made),
        lambda: frechet_distance(made, made),
        lambda: modes_covered(made, eight_gaussians()),
        lambda: mode_shares(made, eight_gaussians()),
    ):
        with pytest.raises(UserError, match=r"\.detach\(\) on it first"):
            call()
    done = made.detach()
    assert wasserstein(done, done + 1) == pytest.approx(np.sqrt(2)) and modes_covered(done, eight_gaussians()) >= 0


def test_samples_are_points_of_the_modes_space():
    with pytest.raises(UserError, match=r"shape \(300, 2, 2\)"):
        modes_covered(np.zeros((300, 2, 2)), eight_gaussians())
    with pytest.raises(UserError, match="3 coordinates and the modes 2"):
        modes_covered(np.zeros((300, 3)), eight_gaussians())
    with pytest.raises(UserError, match="not finite"):
        modes_covered(np.full((300, 2), np.nan), eight_gaussians())
    with pytest.raises(UserError, match="a Mixture is needed"):
        mode_shares(np.zeros((300, 2)), "8 Gaussians")
