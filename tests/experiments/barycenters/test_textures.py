"""Textures: what generated them is found again, and their distances are those of POT."""

import numpy as np
import ot
import pytest
from scipy.special import ndtr

from shapeofloss.distributions import clouds
from shapeofloss.errors import UserError
from shapeofloss.experiments.barycenters.textures import (
    SCALES,
    distance_matrix,
    local_features,
    positions,
    random_textures,
    texture,
    texture_distances,
)


@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.5, 1.0])
def test_a_texture_has_the_share_of_solid_voxels_that_was_asked_for(fraction):
    solid = texture(20, correlation_length=2.0, volume_fraction=fraction, seed=0)
    assert solid.shape == (20, 20, 20)
    assert solid.mean() == pytest.approx(fraction, abs=0.5 / 20**3)


@pytest.mark.parametrize("length", [1.5, 3.0])
def test_half_solid_textures_have_the_correlation_of_a_clipped_gaussian_field(length):
    products = []
    for seed in range(6):
        signs = 2.0 * texture(32, correlation_length=length, volume_fraction=0.5, seed=seed) - 1
        products.append([np.mean(signs * np.roll(signs, lag, axis=axis)) for axis in range(3) for lag in (1, 2, 3)])
    found = np.mean(products, axis=0).reshape(3, 3).mean(0)
    # The signs of two normal numbers with correlation r have the correlation 2 arcsin(r) / pi.
    expected = 2 / np.pi * np.arcsin(np.exp(-(np.arange(1, 4) ** 2) / (2 * length**2)))
    assert np.allclose(found, expected, atol=0.03)


def test_features_of_a_slab_are_those_of_a_blurred_step():
    solid = np.zeros((32, 32, 32), dtype=bool)
    solid[8:24] = True
    found = local_features(solid, count=32**3, seed=0)
    assert found[:, 0].min() == pytest.approx(0, abs=1e-6)
    assert found[:, 0].mean() == pytest.approx(0.5)
    # Beside the step, half a voxel away: from one voxel nearer, on its other side, to one farther away.
    width = SCALES[0]
    assert found[:, 2].max() == pytest.approx(width * (ndtr(1.5 / width) - ndtr(-0.5 / width)) / 2, rel=0.03)
    assert np.std(found[:, 0]) > np.std(found[:, 1])
    assert SCALES[0] < SCALES[1]


def test_features_do_not_depend_on_where_the_texture_is():
    solid = texture(16, correlation_length=2.0, volume_fraction=0.4, seed=1)
    everywhere = [
        np.sort(local_features(moved, count=16**3, seed=0), axis=0) for moved in (solid, np.roll(solid, 5, axis=1))
    ]
    assert np.allclose(*everywhere, atol=1e-9)


def test_positions_are_of_solid_voxels_and_different():
    solid = texture(16, correlation_length=2.0, volume_fraction=0.2, seed=2)
    found = np.rint(positions(solid, count=100, seed=0) * 16).astype(int)
    assert solid[tuple(found.T)].all()
    assert len(np.unique(found, axis=0)) == 100


def test_random_textures_have_the_parameters_that_come_with_them():
    solids, lengths, fractions = random_textures(5, 16, 3)
    assert solids.shape == (5, 16, 16, 16)
    assert np.allclose(solids.mean((1, 2, 3)), fractions, atol=1e-3)
    assert lengths.min() >= 1.5
    again, _, _ = random_textures(5, 16, 3)
    assert (solids == again).all()
    assert (solids != random_textures(5, 16, 4)[0]).any()


def test_distances_between_clouds_are_those_of_pot():
    three = [clouds.gaussian(30, 3, seed) for seed in range(3)]
    found = distance_matrix(three)
    assert np.array_equal(found, found.T)
    for i in range(3):
        for j in range(3):
            squared = ot.emd2([], [], ot.dist(three[i], three[j]))
            assert found[i, j] == pytest.approx(np.sqrt(max(squared, 0)), abs=1e-7)


def test_textures_with_one_set_of_parameters_are_nearer_to_each_other_than_to_others():
    kinds = [(1.5, 0.3), (4.0, 0.3), (4.0, 0.7)]
    solids = [
        texture(24, correlation_length=length, volume_fraction=fraction, seed=10 * k + n)
        for k, (length, fraction) in enumerate(kinds)
        for n in range(2)
    ]
    found = distance_matrix([local_features(solid, count=150, seed=n) for n, solid in enumerate(solids)])
    np.fill_diagonal(found, np.inf)
    assert found.argmin(1).tolist() == [1, 0, 3, 2, 5, 4]


def test_the_stored_distances_are_those_of_the_samples():
    found = texture_distances(count=3, side=16, points=20, seed=5)
    solids, _, _ = random_textures(3, 16, 5)
    for name, sample in (("features", local_features), ("positions", positions)):
        assert np.array_equal(
            found[name], distance_matrix([sample(solid, count=20, seed=k) for k, solid in enumerate(solids)])
        )


def test_numbers_that_make_no_texture_or_no_sample_are_refused():
    solid = np.zeros((4, 4, 4), dtype=bool)
    with pytest.raises(UserError, match="correlation length is 5"):
        texture(16, correlation_length=5.0, volume_fraction=0.5, seed=0)
    with pytest.raises(UserError, match=r"volume fraction is 1\.5"):
        texture(16, correlation_length=2.0, volume_fraction=1.5, seed=0)
    with pytest.raises(UserError, match="side is 15 voxels"):
        random_textures(1, 15, 0)
    with pytest.raises(UserError, match="65 voxels cannot be drawn from 64"):
        local_features(solid, count=65, seed=0)
    with pytest.raises(UserError, match="1 solid voxels cannot be drawn from 0"):
        positions(solid, count=1, seed=0)
    with pytest.raises(UserError, match="as many rows as columns"):
        distance_matrix([np.zeros((2, 3)), np.zeros((3, 3))])
