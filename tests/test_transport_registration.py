"""Registration: each step against closed forms and other libraries, and what users may hand in."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

import shapeofloss.transport
from shapeofloss.errors import UserError
from shapeofloss.transport import registration as r
from shapeofloss.transport.anatomy import two_phases
from shapeofloss.transport.exact import cost_matrix, optimal_assignment


@pytest.fixture(scope="module")
def ot():
    assert shapeofloss.transport  # quiets KeOps, which POT loads
    return pytest.importorskip("ot")


@pytest.fixture(scope="module")
def drawn():
    return two_phases(7, points=400, amplitude=8.0, levels=6)


@pytest.fixture
def cloud():
    return np.random.default_rng(0).normal(size=(60, 3)) * [10.0, 20.0, 30.0]


def rotation():
    return np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))[0]


# --- step one ---


def test_the_gaussian_map_is_that_of_pot(ot, cloud):
    other = np.random.default_rng(1).normal(size=(50, 3)) @ rotation() * [20.0, 5.0, 9.0] + 4
    found = r.gaussian_map(cloud, other)
    matrix, shift = ot.gaussian.bures_wasserstein_mapping(
        cloud.mean(0), other.mean(0), np.cov(cloud.T), np.cov(other.T)
    )
    assert np.allclose(found.matrix, matrix.T)
    assert np.allclose(found.shift, shift)


def test_the_gaussian_map_carries_mean_and_covariance_over(cloud):
    other = np.random.default_rng(1).normal(size=(50, 3)) * [20.0, 5.0, 9.0] + 4
    image = r.gaussian_map(cloud, other)(cloud)
    assert np.allclose(image.mean(0), other.mean(0))
    assert np.allclose(np.cov(image.T), np.cov(other.T))


def test_an_affine_map_is_found_again_from_its_images_with_any_weights(cloud):
    exact = r.Affine(rotation() * [1.0, 2.0, 0.5], np.array([1.0, -2.0, 3.0]))
    targets, weights = exact(cloud), np.random.default_rng(2).random(len(cloud))
    targets[0], weights[0] = 1e6, 0.0  # must not count
    found = r.Affine.fit(cloud, targets, weights)
    assert np.allclose(found.matrix, exact.matrix) and np.allclose(found.shift, exact.shift)


def test_the_alignment_undoes_a_pose_and_a_stretch_between_samples_of_one_tree():
    first, second = (two_phases(7, points=n, amplitude=0.0, missing=0.0) for n in (500, 600))
    angle = 0.2
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    exact = r.Affine(turn @ np.diag([1.0, 1.1, 1.2]), np.array([15.0, 0.0, -30.0]))
    found = r.align(first.x, exact(second.y))
    assert r.landmark_error(exact(first.landmarks), first.landmarks) > 20
    assert r.landmark_error(found(first.landmarks), exact(first.landmarks)) < 1


# --- step two ---


def test_the_kernel_is_the_dense_one_within_the_cut(cloud):
    k = r.kernel(cloud, cloud[:20] + 1, 5.0, 15.0).toarray()
    distance = cdist(cloud, cloud[:20] + 1)
    assert np.allclose(k, np.where(distance <= 15, np.exp(-(distance**2) / 50), 0))


def test_clusters_keep_mass_and_mean(cloud):
    means, counts, labels = r.clustered(cloud, 7.0)
    assert len(means) < len(cloud) and counts.sum() == len(cloud)
    assert np.allclose(counts @ means / len(cloud), cloud.mean(0))
    assert np.abs(means[labels] - cloud).max() <= 7
    assert np.array_equal(np.sort(r.clustered(cloud, 1e-6)[0], axis=0), np.sort(cloud, axis=0))


def test_the_plan_is_that_of_pots_unbalanced_transport(ot):
    rng = np.random.default_rng(3)
    x, y = rng.random((15, 3)), rng.random((12, 3)) + 0.2
    a, b = 0.1 * rng.random(15), 0.1 * rng.random(12)
    blur, ratio = 0.3, 2.0
    u, v = r.scalings(r.kernel(x, y, blur, 9.0), a, b, ratio=ratio, steps=500)
    plan = a[:, None] * u[:, None] * np.exp(-cdist(x, y, "sqeuclidean") / (2 * blur**2)) * v * b
    eps = blur**2
    options = {"reg_type": "kl", "method": "sinkhorn_stabilized", "stopThr": 1e-14, "numItermax": 5000}
    expected = ot.unbalanced.sinkhorn_unbalanced(a, b, cdist(x, y, "sqeuclidean") / 2, eps, ratio**2 * eps, **options)
    assert np.allclose(plan, expected, rtol=1e-6, atol=1e-14)


def test_forty_steps_take_the_error_down_as_promised():
    rng = np.random.default_rng(4)
    k = r.kernel(rng.random((40, 3)), rng.random((30, 3)), 0.2, 9.0)
    a, b = np.full(40, 0.025), np.full(30, 0.025)
    exact = np.log(r.scalings(k, a, b, ratio=r.SHARPNESS, steps=2000)[0])
    errors = [np.abs(np.log(r.scalings(k, a, b, ratio=r.SHARPNESS, steps=n)[0]) - exact).max() for n in (1, r.STEPS)]
    rate = (1 + r.SHARPNESS**-2) ** -2
    assert errors[1] <= 1.01 * errors[0] * rate ** (r.STEPS - 1)


def test_well_separated_points_are_matched_with_their_copies_and_keep_their_mass():
    grid = 50.0 * np.stack(np.meshgrid(*[np.arange(3)] * 3), axis=-1).reshape(-1, 3)
    moved = grid + np.array([1.0, 0.0, 0.0])
    found = r.Transported(grid, moved, 8.0)
    assert np.allclose(found.targets, moved, atol=1e-6)
    assert np.allclose(found(grid), found.targets)
    assert np.ptp(found.weights) < 1e-6


def test_what_has_no_partner_loses_its_mass_and_does_not_pull():
    grid = 50.0 * np.stack(np.meshgrid(*[np.arange(3)] * 3), axis=-1).reshape(-1, 3)
    lonely = np.concatenate([grid, [[20.0, 0.0, 0.0], [500.0, 0.0, 0.0]]])
    found = r.Transported(lonely, grid, 8.0)
    assert found.weights[-2] < 0.25 * found.weights[1]
    assert found.weights[-1] == 0
    assert np.array_equal(found.targets[-1], lonely[-1])
    assert np.allclose(found.targets[:27], grid, atol=1e-3)


def test_closest_points_are_those_of_brute_force_in_both_directions(cloud):
    other, reach = np.random.default_rng(6).normal(size=(40, 3)) * [10.0, 20.0, 30.0], 12.0
    found = r.Closest(cloud, other, reach)
    distance = cdist(cloud, other)
    for i in range(len(cloud)):
        partners = [j for j in [distance[i].argmin()] if distance[i, j] <= reach]
        partners += [j for j in range(len(other)) if distance[:, j].argmin() == i and distance[i, j] <= reach]
        assert found.weights[i] == len(partners)
        assert np.allclose(found.targets[i], other[partners].mean(0) if partners else cloud[i])
    assert np.array_equal(found(cloud), other[distance.argmin(1)])


# --- step three ---


def test_an_affine_displacement_is_smooth_at_any_stiffness(cloud):
    exact = r.Affine(np.eye(3) + 0.1 * rotation(), np.array([3.0, 0.0, -5.0]))
    smooth = r.Smoother(cloud, 15.0).fit(exact(cloud), np.ones(len(cloud)), 1e6)
    beyond = 2 * cloud + 7
    assert np.allclose(smooth(beyond), exact(beyond), atol=1e-6)


def test_the_smooth_map_is_the_minimiser_of_its_objective(cloud):
    rng = np.random.default_rng(8)
    targets, weights, stiffness, width = cloud + rng.normal(size=cloud.shape), rng.random(len(cloud)), 0.05, 15.0
    found = r.Smoother(cloud, width).fit(targets, weights, stiffness)
    penalty = np.exp(-cdist(found.centres, found.centres, "sqeuclidean") / (2 * width**2))

    def objective(smooth):
        fit = (weights * ((smooth(cloud) - targets) ** 2).sum(1)).sum() / weights.sum()
        return fit + stiffness * np.einsum("ki,kl,li", smooth.bumps, penalty, smooth.bumps)

    def moved(matrix, shift, bumps):
        affine = r.Affine(found.affine.matrix + matrix, found.affine.shift + shift)
        return objective(r.Smooth(affine, found.centres, found.bumps + bumps, width))

    for _ in range(20):  # the objective is a parabola along each line, with its bottom at the minimiser
        step = 0.01 * rng.normal(size=(3, 3)), rng.normal(size=3), rng.normal(size=found.bumps.shape)
        ahead, behind = moved(*step), moved(*(-s for s in step))
        assert abs(ahead - behind) < 1e-6 * (ahead + behind - 2 * objective(found))


def test_a_point_without_weight_has_no_say(cloud):
    targets, weights = cloud + 1, np.ones(len(cloud))
    weights[:5] = 0
    smoother = r.Smoother(cloud, 15.0)
    first = smoother.fit(targets, weights, 0.1)(cloud)
    targets[:5] += 100
    assert np.allclose(smoother.fit(targets, weights, 0.1)(cloud), first)


def test_chosen_points_are_apart_and_leave_nothing_out(cloud):
    chosen = r.spread_out(cloud, 12.0)
    apart = cdist(chosen, chosen) + 1e3 * np.eye(len(chosen))
    assert apart.min() > 12
    assert cdist(cloud, chosen).min(1).max() <= 12


# --- all three ---


@pytest.mark.parametrize("matching", ["transport", "icp"])
def test_a_known_deformation_is_undone_within_a_millimetre(drawn, matching):
    found = r.register(drawn.x, drawn.y, matching=matching)
    assert r.landmark_error(drawn.landmarks, drawn.images) > 7
    assert r.landmark_error(found(drawn.landmarks), drawn.images) < 1


def test_following_points_ends_where_the_map_sends_them(drawn):
    found = r.register(drawn.x, drawn.y, settings=r.Settings(rounds=3))
    path = list(found.follow(drawn.landmarks))
    assert len(path) == 3
    assert np.array_equal(path[-1][1], found(drawn.landmarks))
    aligned = found.alignment(drawn.landmarks)
    assert np.array_equal(path[0][0], found.rounds[0][0](aligned))
    assert np.array_equal(path[1][0], found.rounds[1][0](path[0][1]))


@pytest.mark.parametrize("matching", ["transport", "icp"])
def test_where_the_frame_of_the_second_phase_lies_does_not_matter(drawn, matching):
    settings = r.Settings(rounds=3)
    found, moved = (
        r.register(drawn.x, drawn.y + shift, matching=matching, settings=settings) for shift in (0.0, [512.0, -1024, 0])
    )
    # The cubes of the clusters lie elsewhere, which closest points have in their alignment only.
    assert np.abs(moved(drawn.landmarks) - found(drawn.landmarks) - [512.0, -1024, 0]).mean() < 0.3


def test_an_anatomy_ten_times_smaller_is_registered_alike_if_the_scale_says_so(drawn):
    settings = {"rounds": 3}
    large = r.register(drawn.x, drawn.y, settings=r.Settings(**settings))
    small = r.register(drawn.x / 10, drawn.y / 10, settings=r.Settings(**settings, scale=0.1))
    assert np.allclose(10 * small(drawn.landmarks / 10), large(drawn.landmarks), atol=0.05)


def test_trials_are_what_register_finds():
    tried = [("transport", {"rounds": 2}), ("icp", {"rounds": 3, "first": 10.0})]
    result = r.trials(7, 8.0, 200, 0.1, tried)
    drawn = two_phases(7, points=200, amplitude=8.0, missing=0.1)
    assert result["before"] == pytest.approx(np.linalg.norm(drawn.landmarks - drawn.images, axis=1).mean())
    assert result["landmarks"] == len(drawn.landmarks)
    for n, (matching, settings) in enumerate(tried):
        found = r.register(drawn.x, drawn.y, matching=matching, settings=r.Settings(**settings))
        assert len(result["matched"][n]) == len(result["smoothed"][n]) == settings["rounds"]
        assert result["smoothed"][n][-1] == pytest.approx(r.landmark_error(found(drawn.landmarks), drawn.images))
        assert result["aligned"] == pytest.approx(
            r.landmark_error(found.alignment(drawn.landmarks), drawn.images), rel=1e-9
        )


def shifted(shift):
    still = r.Smooth(r.Affine(np.zeros((3, 3)), np.zeros(3)), np.zeros((1, 3)), np.zeros((1, 3)), 1.0)
    return r.Registration(r.Affine(np.eye(3), np.array(shift)), [(r.Closest(np.eye(3), np.eye(3), 1.0), still)])


def test_a_round_trip_is_zero_for_inverse_maps_and_else_what_is_left(cloud):
    assert r.round_trip(shifted([5.0, 0, 0]), shifted([-5.0, 0, 0]), cloud) == pytest.approx(0)
    assert r.round_trip(shifted([5.0, 0, 0]), shifted([-1.0, 3.0, 0]), cloud) == pytest.approx(5)


def test_the_gap_is_zero_between_equal_clouds_and_counts_both_directions():
    corners = 10 * np.eye(3)
    assert r.gap(corners, corners) == 0
    assert r.gap(corners, corners[:2]) == pytest.approx(np.sqrt(200) / 5)  # one of five points has no partner


def test_balanced_transport_of_equal_numbers_is_the_optimal_assignment(cloud):
    other = np.random.default_rng(9).normal(size=cloud.shape) * 20
    permutation = optimal_assignment(cost_matrix(cloud, other))
    assert np.allclose(r.balanced(cloud, other), other[permutation])


def test_one_matching_of_a_still_anatomy_is_right_but_for_balanced_transport():
    found = r.matched_once(7, 0.0, 300, 0.2, 10.0, levels=6)
    assert max(found["aligned"], found["robust"], found["closest"]) < 3
    assert found["balanced"] > 2 * found["robust"]


def test_checks_are_those_of_register():
    result = r.trials(7, 8.0, 200, 0.1, [("icp", {"rounds": 2})], checks=True)
    drawn = two_phases(7, points=200, amplitude=8.0, missing=0.1)
    settings = {"matching": "icp", "settings": r.Settings(rounds=2)}
    forth, back = r.register(drawn.x, drawn.y, **settings), r.register(drawn.y, drawn.x, **settings)
    assert result["gap"] == [pytest.approx(r.gap(forth(drawn.x), drawn.y))]
    assert result["round_trip"] == [pytest.approx(r.round_trip(forth, back, drawn.x))]


def test_reach_and_stiffness_fall_from_round_to_round():
    schedule = r.Settings(first=16.0, last=4.0, rounds=3, stiffness=0.01, scale=2.0).schedule()
    assert np.allclose(schedule, [(32, 1), (16, 0.1), (8, 0.01)])
    assert r.Settings(first=9.0, last=4.0, rounds=1, stiffness=0.01).schedule() == [(4.0, 0.01)]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda d: r.register(d.x, d.y, matching="ipc"), "Did you mean 'icp'"),
        (lambda d: r.register(d.x, d.y, settings=r.Settings(rounds=0)), "at least one round"),
        (lambda d: r.register(d.x, d.y, settings=r.Settings(stiffness=0.0)), "above 0"),
        (lambda d: r.register(d.x[:, 0], d.y), r"The cloud x has shape \(\d+,\)"),
        (lambda d: r.register(d.x, d.y, settings=r.Settings(scale=1e-6)), "No point has a partner within reach"),
        (
            lambda d: r.register(d.x, d.y, alignment=r.Affine(np.eye(3), np.full(3, 1e4))),
            "No point has a partner within reach",
        ),
    ],
)
def test_wrong_input_gets_a_sentence(drawn, call, says):
    with pytest.raises(UserError, match=says):
        call(drawn)


# --- a pair of one's own ---


def test_a_good_pair_comes_back_in_millimetres_and_in_its_order(cloud):
    pair = r.check_pair(cloud / 10, cloud / 10 + 1, unit="cm")
    assert np.allclose(pair.x, cloud) and np.allclose(pair.y, cloud + 10)
    assert pair.dropped == (0, 0)


def test_repeated_points_are_left_out_and_counted(cloud):
    pair = r.check_pair(np.concatenate([cloud, cloud[:7]]), cloud)
    assert np.array_equal(pair.x, cloud)
    assert pair.dropped == (7, 0)


def test_the_scale_of_a_lung_is_about_one_and_follows_the_size():
    lung = two_phases(7, points=1000, amplitude=0.0)
    assert r.check_pair(lung.x, lung.y).scale == pytest.approx(1, abs=0.05)
    assert r.check_pair(lung.x / 4, lung.y / 4).scale == pytest.approx(0.25, abs=0.02)


def spoilt(cloud, row, value):
    bad = cloud.copy()
    bad[row, 1] = value
    return bad


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: (c[:, :2], c, "mm"), r"The cloud x has shape \(60, 2\)"),
        (lambda c: (c, c[None], "mm"), r"The cloud y has shape \(1, 60, 3\)"),
        (lambda c: (c, [["a", "b", "c"]], "mm"), "The cloud y holds something else than numbers"),
        (lambda c: (spoilt(c, 4, np.nan), c, "mm"), r"1 of the 60 points of x .* \(rows 4, counted"),
        (lambda c: (c, spoilt(c, slice(2, 9), np.inf), "mm"), r"7 of the 60 points of y .* \(rows 2, 3, 4, \.\.\."),
        (lambda c: (np.ones((60, 3)), c, "mm"), "Only 1 of the 60 points of x are distinct"),
        (lambda c: (c, np.concatenate([c[:20]] * 3), "mm"), "Only 20 of the 60 points of y are distinct"),
        (lambda c: (c[:19], c, "mm"), "The cloud x has 19 distinct points; at least 20"),
        (lambda c: (c, c * [1, 1, 0], "mm"), "The points of y lie in a plane"),
        (lambda c: (c, c, "inch"), "There is no unit 'inch'"),
        (lambda c: (c, c, "m"), r"In m, the box around x .* Plausible here: mm, cm"),
        (lambda c: (c / 1000, c / 1000, "mm"), r"In mm, the box around x .* Plausible here: cm, m"),
        (lambda c: (c, c / 10, "mm"), r"The cloud x is 10 times as large as y"),
        (lambda c: (c / 10, c, "mm"), r"The cloud y is 10 times as large as x"),
    ],
)
def test_a_pair_that_cannot_be_registered_is_refused_with_a_sentence(cloud, change, says):
    x, y, unit = change(cloud)
    with pytest.raises(UserError, match=says):
        r.check_pair(x, y, unit=unit)


@pytest.mark.parametrize(
    ("name", "delimiter", "heading"),
    [("a.csv", ",", "x,y,z"), ("a.csv", ";", ""), ("a.txt", " ", ""), ("a.xyz", "\t", "x y z")],
)
def test_text_files_are_read(tmp_path, cloud, name, delimiter, heading):
    np.savetxt(tmp_path / name, cloud, delimiter=delimiter, header=heading, comments="")
    np.save(tmp_path / "b.npy", cloud + 1)
    pair = r.read_pair(tmp_path / name, tmp_path / "b.npy")
    assert np.allclose(pair.x, cloud) and np.allclose(pair.y, cloud + 1)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.ply", "", "ending '.ply'; known are .npy, .csv, .txt, .xyz"),
        ("a.csv", None, "There is no file"),
        ("a.csv", "1,2,3\n4,five,6\n", "cannot be read as a table of numbers"),
        ("a.csv", "1,2,3\n4,5\n", "cannot be read as a table of numbers"),
        ("a.npy", "no array", "cannot be read as a table of numbers"),
        ("a.txt", "1,2,nan\n" + "1,2,3\n" * 30, "1 of the 31 points of x"),
    ],
)
def test_files_that_cannot_be_read_are_refused_with_a_sentence(tmp_path, name, content, says):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=says):
        r.read_pair(tmp_path / name, tmp_path / name)
