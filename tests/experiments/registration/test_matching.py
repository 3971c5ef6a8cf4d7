"""Robust transport and closest points as matchings: against another library, brute force, and what must not count."""

import numpy as np
from scipy.spatial.distance import cdist

from shapeofloss.experiments.registration import matching as m


def test_the_kernel_is_the_dense_one_within_the_cut(cloud):
    k = m.kernel(cloud, cloud[:20] + 1, 5.0, 15.0).toarray()
    distance = cdist(cloud, cloud[:20] + 1)
    assert np.allclose(k, np.where(distance <= 15, np.exp(-(distance**2) / 50), 0))


def test_clusters_keep_mass_and_mean(cloud):
    labels = m.cells(cloud, 7.0)
    means, counts = m.cell_means(cloud, labels, np.ones(len(cloud)))
    assert len(means) < len(cloud) and counts.sum() == len(cloud)
    assert np.allclose(counts @ means / len(cloud), cloud.mean(0))
    assert np.abs(means[labels] - cloud).max() <= 7
    tiny = m.cell_means(cloud, m.cells(cloud, 1e-6), np.ones(len(cloud)))[0]
    assert np.array_equal(np.sort(tiny, axis=0), np.sort(cloud, axis=0))


def test_the_plan_is_that_of_pots_unbalanced_transport(ot):
    rng = np.random.default_rng(3)
    x, y = rng.random((15, 3)), rng.random((12, 3)) + 0.2
    a, b = 0.1 * rng.random(15), 0.1 * rng.random(12)
    blur, ratio = 0.3, 2.0
    u, v = m.scalings(m.kernel(x, y, blur, 9.0), a, b, ratio=ratio, steps=500)
    plan = a[:, None] * u[:, None] * np.exp(-cdist(x, y, "sqeuclidean") / (2 * blur**2)) * v * b
    eps = blur**2
    options = {"reg_type": "kl", "method": "sinkhorn_stabilized", "stopThr": 1e-14, "numItermax": 5000}
    expected = ot.unbalanced.sinkhorn_unbalanced(a, b, cdist(x, y, "sqeuclidean") / 2, eps, ratio**2 * eps, **options)
    assert np.allclose(plan, expected, rtol=1e-6, atol=1e-14)


def test_forty_steps_take_the_error_down_as_promised():
    rng = np.random.default_rng(4)
    k = m.kernel(rng.random((40, 3)), rng.random((30, 3)), 0.2, 9.0)
    a, b = np.full(40, 0.025), np.full(30, 0.025)
    exact = np.log(m.scalings(k, a, b, ratio=m.SHARPNESS, steps=2000)[0])
    errors = [np.abs(np.log(m.scalings(k, a, b, ratio=m.SHARPNESS, steps=n)[0]) - exact).max() for n in (1, m.STEPS)]
    rate = (1 + m.SHARPNESS**-2) ** -2
    assert errors[1] <= 1.01 * errors[0] * rate ** (m.STEPS - 1)


def test_well_separated_points_are_matched_with_their_copies_and_keep_their_mass():
    grid = 50.0 * np.stack(np.meshgrid(*[np.arange(3)] * 3), axis=-1).reshape(-1, 3)
    moved = grid + np.array([1.0, 0.0, 0.0])
    matching = m.by_transport(grid, moved, 8.0)
    assert np.allclose(matching.targets, moved, atol=1e-6)
    assert np.allclose(matching.carry(grid), matching.targets)
    assert np.ptp(matching.weights) < 1e-6


def test_robust_transport_is_the_dense_one_where_points_of_a_cluster_coincide():
    rng, reach = np.random.default_rng(9), 4.0
    x, y = (np.repeat(rng.integers(-2, 3, (40, 3)) + 0.01 * shift, rng.integers(1, 6, 40), axis=0) for shift in (1, 30))
    matching = m.by_transport(x, y, reach)
    distance = cdist(x, y)
    assert distance.max() < m.CUT * reach
    k, one = np.exp(-(distance**2) / 2), 1 / max(len(x), len(y))  # the blur is 1
    u = np.ones(len(x))
    for _ in range(m.STEPS):
        v = (k.T @ (one * u)) ** (-16 / 17)
        u = (k @ (one * v)) ** (-16 / 17)
    plan = one * u[:, None] * k * v * one
    assert np.allclose(matching.targets, plan @ y / plan.sum(1, keepdims=True))
    # A mass is what its last update makes of it: u^(-1 / 16), which is the plan's row sum over the mass itself.
    assert np.allclose(matching.weights, plan.sum(1) / one)
    assert np.allclose(matching.carry(x), matching.targets)


def test_what_has_no_partner_loses_its_mass_and_does_not_pull():
    grid = 50.0 * np.stack(np.meshgrid(*[np.arange(3)] * 3), axis=-1).reshape(-1, 3)
    lonely = np.concatenate([grid, [[20.0, 0.0, 0.0], [500.0, 0.0, 0.0]]])
    matching = m.by_transport(lonely, grid, 8.0)
    assert matching.weights[-2] < 0.25 * matching.weights[1]
    assert matching.weights[-1] == 0
    assert np.array_equal(matching.targets[-1], lonely[-1])
    assert np.allclose(matching.targets[:27], grid, atol=1e-3)


def test_closest_points_are_those_of_brute_force_in_both_directions(cloud):
    other, reach = np.random.default_rng(6).normal(size=(40, 3)) * [10.0, 20.0, 30.0], 12.0
    matching = m.by_closest_points(cloud, other, reach)
    distance = cdist(cloud, other)
    for i in range(len(cloud)):
        partners = [j for j in [distance[i].argmin()] if distance[i, j] <= reach]
        partners += [j for j in range(len(other)) if distance[:, j].argmin() == i and distance[i, j] <= reach]
        assert matching.weights[i] == len(partners)
        assert np.allclose(matching.targets[i], other[partners].mean(0) if partners else cloud[i])
    assert np.array_equal(matching.carry(cloud), other[distance.argmin(1)])
