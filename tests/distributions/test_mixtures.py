"""The laws to train on: their moments, their geometry, and what is refused."""

import numpy as np
import pytest
import torch
from scipy.stats import norm

from shapeofloss.distributions import mixtures
from shapeofloss.errors import UserError


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def test_eight_gaussians_lie_in_a_ring_as_in_the_released_code():
    law = mixtures.eight_gaussians()
    assert np.allclose(np.linalg.norm(law.modes, axis=1), 2 / 1.414, rtol=1e-6)
    x = law(40_000, source()).numpy()
    nearest = np.linalg.norm(x[:, None] - law.modes, axis=2).argmin(axis=1)
    assert np.allclose(np.bincount(nearest) / len(x), 1 / 8, atol=0.01)
    assert (x - law.modes[nearest]).std() == pytest.approx(0.02 / 1.414, rel=0.02)


def test_25_gaussians_lie_in_a_square_grid_with_distinct_modes():
    law = mixtures.twenty_five_gaussians()
    assert len(np.unique(law.modes.round(4), axis=0)) == 25
    distances = np.linalg.norm(law.modes[:, None] - law.modes, axis=2)
    assert distances[distances > 0].min() == pytest.approx(2 / 2.828, rel=1e-5)
    assert law(40_000, source()).numpy().std() == pytest.approx(2 * np.sqrt(2) / 2.828, rel=0.02)


def test_the_swiss_roll_is_scikit_learns_seen_from_its_side():
    datasets = pytest.importorskip("sklearn.datasets")
    ours = mixtures.swiss_roll(20_000, source()).numpy()
    theirs = datasets.make_swiss_roll(20_000, noise=0.25, random_state=0)[0][:, [0, 2]] / 7.5
    assert np.allclose(ours.mean(0), theirs.mean(0), atol=0.03)
    assert np.allclose(np.cov(ours.T), np.cov(theirs.T), atol=0.03)
    radii = [np.quantile(np.linalg.norm(x, axis=1), [0.01, 0.5, 0.99]) for x in (ours, theirs)]
    assert np.allclose(*radii, atol=0.03)


@pytest.mark.parametrize("name", mixtures.TOYS)
def test_a_toy_law_repeats_from_its_seed_and_differs_from_another(name):
    first, again, other = (mixtures.toy(name)(5, source(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert first.shape == (5, 2) and first.dtype == torch.float32


def test_blurred_data_have_the_noises_variance_on_top():
    law = mixtures.eight_gaussians()
    x, y = law(20_000, source()), mixtures.blurred(law, 2.0)(20_000, source())
    assert (y.var(0) - x.var(0)).numpy() == pytest.approx([4.0, 4.0], rel=0.05)


def test_noise_is_standard_normal_in_its_dimension():
    x = mixtures.normal(3)(20_000, source())
    assert x.shape[1] == 3 and torch.allclose(x.T.cov(), torch.eye(3), atol=0.05)


def test_choices_draw_every_point_and_nothing_else():
    points = np.arange(6.0).reshape(3, 2)
    drawn = mixtures.choices(points)(200, source()).numpy()
    assert {tuple(row) for row in drawn} == {tuple(row) for row in points}


@pytest.mark.parametrize("points", [[1.0, 2.0], [[np.nan]], np.zeros((0, 2))])
def test_choices_need_a_table_of_finite_numbers(points):
    with pytest.raises(UserError, match=r"table of points (has|is)"):
        mixtures.choices(np.asarray(points))


def test_an_unknown_law_names_the_nearest_one():
    with pytest.raises(UserError, match="Did you mean '8 Gaussians'"):
        mixtures.toy("8 gaussians")


def test_samplers_take_a_count_and_a_source_of_torch():
    for law in (
        mixtures.eight_gaussians(),
        mixtures.swiss_roll,
        mixtures.normal(2),
        mixtures.blurred(mixtures.normal(2)),
        mixtures.choices([[1.0]]),
    ):
        with pytest.raises(UserError, match="source of random numbers is 0; one of torch"):
            law(3, 0)
        with pytest.raises(UserError, match=r"count is 2\.5"):
            law(2.5, torch.Generator())
    for broken in ([[np.nan, 0]], [1.0], [], [[1e39, 0]], "modes"):
        with pytest.raises(UserError, match="table of modes"):
            mixtures.Mixture(broken, 0.1)
    with pytest.raises(UserError, match="deviation of a mode is -1"):
        mixtures.Mixture([[0.0]], -1)
    assert mixtures.Mixture([[0, 1], [2, 3]], 0)(2, torch.Generator()).dtype == torch.float32


def test_choices_take_any_layout():
    points = np.arange(6.0).reshape(3, 2)
    for own in (
        points[::-1],
        np.asfortranarray(points),
        points.astype(np.int64),
        points.tolist(),
        torch.tensor(points),
    ):
        drawn = mixtures.choices(own)(100, torch.Generator().manual_seed(0))
        assert {tuple(row) for row in drawn.tolist()} == {tuple(row) for row in points.tolist()}
    with pytest.raises(UserError, match=r"\.detach\(\) on it first"):
        mixtures.choices(torch.zeros(2, 2, requires_grad=True))


def test_densities_of_mixtures_are_scipys_and_their_samples_follow_them():
    law = [[-1.0, 0.5], [2.0, 1.0]]
    x = np.linspace(-4, 5, 50)
    assert np.exp(mixtures.log_density(x, law)) == pytest.approx((norm(-1, 0.5).pdf(x) + norm(2, 1).pdf(x)) / 2)
    points = mixtures.on_the_line(law)(40_000, source()).numpy()
    assert points.shape == (40_000, 1)
    assert points.mean() == pytest.approx(0.5, abs=0.03)
    assert points.var() == pytest.approx(0.625 + 2.25, abs=0.06)


def test_a_mixture_of_unequal_parts_has_scipys_density_and_masses():
    parts, weights, x = [[-1.0, 0.5], [2.0, 1.5]], np.array([0.3, 0.7]), np.linspace(-4, 5, 7)
    theirs = norm(*np.transpose(parts))
    density = theirs.pdf(x[:, None]) @ weights
    assert np.exp(mixtures.log_density(x, parts, weights=weights)) == pytest.approx(density, rel=1e-12)
    between = np.diff(theirs.cdf(x[:, None]) @ weights)
    assert mixtures.masses(x, parts, weights=weights) == pytest.approx(between, abs=1e-15)
    assert mixtures.masses([-np.inf, np.inf], parts) == pytest.approx([1.0])


def test_mixtures_on_the_line_have_parts_and_a_weight_for_each():
    for law in (np.zeros((0, 2)), np.ones((2, 3, 2))):
        with pytest.raises(UserError, match="A mixture has shape"):
            mixtures.log_density(0.0, law)
    with pytest.raises(UserError, match="x has 1 value that is not finite"):
        mixtures.log_density([0.0, np.nan], [0.0, 1.0])
    with pytest.raises(UserError, match="list of weights has shape"):
        mixtures.log_density(0.0, [[0.0, 1.0], [1.0, 1.0]], weights=[1.0])
