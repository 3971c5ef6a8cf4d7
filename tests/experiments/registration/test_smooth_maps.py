"""Maps of space: against closed forms, another library, and the objectives that they minimise."""

from functools import partial

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from shapeofloss.distributions.gaussians import matrix_power
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
    smooth = m.smooth_map(cloud, exact(cloud), np.ones(len(cloud)), width=15.0, stiffness=1e6)
    beyond = 2 * cloud + 7
    assert np.allclose(smooth(beyond), exact(beyond), atol=1e-6)


def test_the_smooth_map_is_the_minimiser_of_its_objective(cloud):
    rng = np.random.default_rng(8)
    stiffness, width = 0.05, 15.0
    assert len(np.unique(m.cells(cloud, m.CELL * width))) == len(cloud)  # so that each centre is a point
    targets, weights = cloud + rng.normal(size=cloud.shape), rng.random(len(cloud))
    smooth = m.smooth_map(cloud, targets, weights, width=width, stiffness=stiffness)
    bumps = np.exp(-cdist(cloud, cloud, "sqeuclidean") / (2 * width**2))
    # The objective as a sum of squares: what is left of the targets, and a root of the penalty times the bumps.
    root, penalty = np.sqrt(weights / weights.sum())[:, None], np.sqrt(stiffness) * matrix_power(bumps, 0.5)
    affine = np.column_stack([cloud, np.ones(len(cloud))])
    squares = np.block([[root * bumps, root * affine], [penalty, np.zeros((len(cloud), 4))]])
    solution = np.linalg.lstsq(squares, np.concatenate([root * (targets - cloud), 0 * cloud]))[0]
    beyond = 1.1 * cloud + 2
    expected = np.exp(-cdist(beyond, cloud, "sqeuclidean") / (2 * width**2)) @ solution[: len(cloud)]
    expected += np.column_stack([beyond, np.ones(len(cloud))]) @ solution[len(cloud) :]
    assert np.allclose(smooth(beyond), beyond + expected, atol=1e-6)


def test_targets_of_a_cube_are_averaged_with_their_weights(cloud):
    shifts, weights = np.array([[2.0, 0, 0], [0, 4.0, 0]]), np.array([3.0, 1.0])
    twice, middle = np.repeat(cloud, 2, axis=0), cloud + weights @ shifts / 4
    separate = twice + np.tile(shifts, (len(cloud), 1))
    ones = np.ones(len(cloud))
    split = m.smooth_map(twice, separate, np.tile(weights, len(cloud)), width=15.0, stiffness=0.1)
    assert np.allclose(split(cloud), m.smooth_map(cloud, middle, ones, width=15.0, stiffness=0.1)(cloud))


def test_flat_clouds_and_targets_without_any_weight_are_refused_with_a_sentence(cloud):
    flat = cloud @ rotation() * [1.0, 1.0, 0.0] @ rotation().T + 5
    for pair, name in (((flat, cloud), "x"), ((cloud, flat), "y"), ((cloud[:3], cloud), "x")):
        with pytest.raises(UserError, match=f"The points of {name} lie in a plane"):
            m.gaussian_map(*pair)
    weights = np.ones(len(cloud))
    for fit in (m.Affine.fit, partial(m.smooth_map, width=15.0, stiffness=0.1)):
        with pytest.raises(UserError, match="Too few points have a partner"):
            fit(cloud, cloud, 0 * weights)
        with pytest.raises(UserError, match="The points of x that have a partner within reach lie in a plane"):
            fit(flat, cloud, weights)


def test_a_point_without_weight_has_no_say(cloud):
    targets, weights = cloud + 1, np.ones(len(cloud))
    weights[:5] = 0
    fit = partial(m.smooth_map, width=15.0, stiffness=0.1)
    first = fit(cloud, targets, weights)(cloud)
    targets[:5] += 100
    assert np.allclose(fit(cloud, targets, weights)(cloud), first)
