"""Maps of space: against closed forms, another library, and the objectives that they minimise."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from shapeofloss.errors import UserError
from shapeofloss.experiments.registration import smooth_maps as m


def rotation():
    return np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))[0]


def test_the_gaussian_map_is_that_of_pot(ot, cloud):
    other = np.random.default_rng(1).normal(size=(50, 3)) @ rotation() * [20.0, 5.0, 9.0] + 4
    found = m.gaussian_map(cloud, other)
    matrix, shift = ot.gaussian.bures_wasserstein_mapping(
        cloud.mean(0), other.mean(0), np.cov(cloud.T), np.cov(other.T)
    )
    assert np.allclose(found.matrix, matrix.T)
    assert np.allclose(found.shift, shift)


def test_the_gaussian_map_carries_mean_and_covariance_over(cloud):
    other = np.random.default_rng(1).normal(size=(50, 3)) * [20.0, 5.0, 9.0] + 4
    image = m.gaussian_map(cloud, other)(cloud)
    assert np.allclose(image.mean(0), other.mean(0))
    assert np.allclose(np.cov(image.T), np.cov(other.T))


def test_an_affine_map_is_found_again_from_its_images_with_any_weights(cloud):
    exact = m.Affine(rotation() * [1.0, 2.0, 0.5], np.array([1.0, -2.0, 3.0]))
    targets, weights = exact(cloud), np.random.default_rng(2).random(len(cloud))
    targets[0], weights[0] = 1e6, 0.0  # must not count
    found = m.Affine.fit(cloud, targets, weights)
    assert np.allclose(found.matrix, exact.matrix) and np.allclose(found.shift, exact.shift)


def test_an_affine_displacement_is_smooth_at_any_stiffness(cloud):
    exact = m.Affine(np.eye(3) + 0.1 * rotation(), np.array([3.0, 0.0, -5.0]))
    smooth = m.Smoother(cloud, 15.0).fit(exact(cloud), np.ones(len(cloud)), 1e6)
    beyond = 2 * cloud + 7
    assert np.allclose(smooth(beyond), exact(beyond), atol=1e-6)


def test_the_smooth_map_is_the_minimiser_of_its_objective(cloud):
    rng = np.random.default_rng(8)
    targets, weights, stiffness, width = cloud + rng.normal(size=cloud.shape), rng.random(len(cloud)), 0.05, 15.0
    found = m.Smoother(cloud, width).fit(targets, weights, stiffness)
    penalty = np.exp(-cdist(found.centres, found.centres, "sqeuclidean") / (2 * width**2))

    def objective(smooth):
        fit = (weights * ((smooth(cloud) - targets) ** 2).sum(1)).sum() / weights.sum()
        return fit + stiffness * np.einsum("ki,kl,li", smooth.bumps, penalty, smooth.bumps)

    def moved(matrix, shift, bumps):
        affine = m.Affine(found.affine.matrix + matrix, found.affine.shift + shift)
        return objective(m.Smooth(affine, found.centres, found.bumps + bumps, width))

    for _ in range(20):  # the objective is a parabola along each line, with its bottom at the minimiser
        step = 0.01 * rng.normal(size=(3, 3)), rng.normal(size=3), rng.normal(size=found.bumps.shape)
        ahead, behind = moved(*step), moved(*(-s for s in step))
        assert abs(ahead - behind) < 1e-6 * (ahead + behind - 2 * objective(found))


def test_flat_clouds_and_targets_without_any_weight_are_refused_with_a_sentence(cloud):
    flat = cloud @ rotation() * [1.0, 1.0, 0.0] @ rotation().T + 5
    for pair, name in (((flat, cloud), "x"), ((cloud, flat), "y"), ((cloud[:3], cloud), "x")):
        with pytest.raises(UserError, match=f"The points of {name} lie in a plane"):
            m.gaussian_map(*pair)
    with pytest.raises(UserError, match="Too few points have a partner"):
        m.Smoother(cloud, 15.0).fit(cloud, np.zeros(len(cloud)), 0.1)


def test_bumps_are_spread_over_the_cloud_at_most_six_tenths_of_their_width_apart(cloud):
    centres = m.Smoother(cloud, 30.0).centres
    assert cdist(cloud, centres).min(1).max() <= 18
    assert 1 < len(centres) < len(cloud)


def test_a_point_without_weight_has_no_say(cloud):
    targets, weights = cloud + 1, np.ones(len(cloud))
    weights[:5] = 0
    smoother = m.Smoother(cloud, 15.0)
    first = smoother.fit(targets, weights, 0.1)(cloud)
    targets[:5] += 100
    assert np.allclose(smoother.fit(targets, weights, 0.1)(cloud), first)


def test_chosen_points_are_apart_and_leave_nothing_out(cloud):
    chosen = m.spread_out(cloud, 12.0)
    apart = cdist(chosen, chosen) + 1e3 * np.eye(len(chosen))
    assert apart.min() > 12
    assert cdist(cloud, chosen).min(1).max() <= 12
