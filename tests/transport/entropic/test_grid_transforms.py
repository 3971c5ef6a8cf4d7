"""The soft distance transform in blocks and on grids, against sums written out."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt
from scipy.special import logsumexp

from shapeofloss.distributions import clouds
from shapeofloss.errors import UserError
from shapeofloss.transport.entropic.grid_transforms import fft_transform, grid_points, separable_transform
from shapeofloss.transport.entropic.softmin import halved_squared_distances
from shapeofloss.transport.entropic.truncation import Clusters, truncated
from shapeofloss.transport.symbolic import keops


@pytest.fixture(scope="module", autouse=True)
def compiled():
    keops.prepare(["transforms"])


def written_out(x, y, h, eps):
    """Return the transform by SciPy."""
    return -eps * logsumexp(h - np.sum((x[:, None] - y[None]) ** 2, -1) / (2 * eps), axis=1)


def test_clusters_are_the_points_sorted_with_their_spheres():
    x = torch.tensor(clouds.uniform(200, 3, 0))
    found = Clusters.of(x, 0.3)
    assert torch.equal(found.points, x[found.order])
    assert found.sizes.sum() == 200
    for (start, end), centre, radius in zip(found.ranges, found.centres, found.radii, strict=True):
        inside = found.points[start:end]
        assert torch.allclose(inside.mean(0), centre)
        assert float((inside - centre).norm(dim=1).max()) == pytest.approx(float(radius))
    values = torch.arange(200.0)
    for k, (start, end) in enumerate(found.ranges):
        assert found.reduce(values, "amax")[k] == values[found.order][start:end].max()
        assert found.reduce(values, "amin")[k] == values[found.order][start:end].min()


@pytest.mark.parametrize("eps", [1.0, 0.01, 0.0003])
def test_what_truncation_leaves_out_is_below_the_tail(eps):
    x, y = clouds.surfaces(400, 1)
    h = np.random.default_rng(0).standard_normal(400) * 0.01 / eps
    tail = 1e-3
    blocks = truncated(*map(torch.tensor, (x, y, h)), eps=eps, size=0.1, tail=tail)
    error = (blocks(eps, torch.tensor(h)).numpy() - written_out(x, y, h, eps)) / eps
    assert error.min() > -1e-9  # terms can only be missing
    assert error.max() <= -math.log1p(-tail) + 1e-9


def test_truncation_leaves_out_most_pairs_at_a_small_eps_and_none_at_a_large_one():
    x, y = map(torch.tensor, clouds.surfaces(400, 2))
    h = torch.zeros(400, dtype=torch.float64)
    assert truncated(x, y, h, eps=0.0003, size=0.1).pairs < 0.2 * 400**2
    assert truncated(x, y, h, eps=1.0, size=0.1).pairs == 400**2


@pytest.mark.parametrize("wrong", [{"eps": 0.0}, {"size": -1.0}, {"tail": 1.0}])
def test_truncation_refuses_numbers_that_make_no_sense(wrong):
    x = torch.zeros(3, 3, dtype=torch.float64)
    with pytest.raises(UserError, match="have to be above 0"):
        truncated(x, x, x[:, 0], **{"eps": 1.0, "size": 1.0, **wrong})


@pytest.mark.parametrize("shape", [(7,), (5, 6), (3, 4, 5)])
@pytest.mark.parametrize("eps", [0.01, 1.0, 30.0])
def test_the_separable_transform_is_the_sum_over_all_points_of_the_grid(shape, eps):
    h = np.random.default_rng(0).standard_normal(shape)
    h.flat[::4] = -np.inf  # points without mass
    points = grid_points(shape)
    expected = written_out(points, points, h.ravel(), eps).reshape(shape)
    assert np.allclose(separable_transform(torch.tensor(h), eps=eps), expected, rtol=0, atol=1e-12 * max(eps, 1))


def test_with_a_tiny_eps_the_separable_transform_is_half_the_squared_distance():
    points = np.random.default_rng(1).random((12, 13)) < 0.05
    h = torch.tensor(np.where(points, 0.0, -np.inf))
    assert np.allclose(separable_transform(h, eps=1e-9), distance_transform_edt(~points) ** 2 / 2, atol=1e-6)


def test_the_fft_agrees_where_the_blur_is_wide_and_fails_where_it_is_small():
    h = torch.full((32, 32), -torch.inf, dtype=torch.float64)
    h[3, 4] = h[20, 25] = 0.0
    assert torch.allclose(fft_transform(h, eps=100.0), separable_transform(h, eps=100.0), atol=1e-8)
    assert not torch.allclose(fft_transform(h, eps=1.0), separable_transform(h, eps=1.0), atol=1.0)


@pytest.mark.parametrize("transform", [separable_transform, fft_transform])
def test_a_grid_transform_refuses_what_it_cannot_do(transform):
    with pytest.raises(UserError, match="eps is 0"):
        transform(torch.zeros(3, 3), eps=0)
    with pytest.raises(UserError, match="at least one point"):
        transform(torch.zeros(0, 3), eps=1.0)


def test_distances_between_coincident_points_are_exactly_zero():
    x = torch.tensor(clouds.gaussian(50, 3, 0)) * 1e6
    assert torch.equal(halved_squared_distances(x, x).diagonal(), torch.zeros(50, dtype=torch.float64))
