"""The synthetic anatomy: what a tree is, flows against closed forms, and what two phases have in common."""

import numpy as np
import pytest
from scipy.linalg import expm

from shapeofloss.errors import UserError
from shapeofloss.experiments.registration.anatomy import SEMI_AXES, breathe, grow, two_phases


@pytest.fixture(scope="module")
def tree():
    return grow(3)


def distance_to_branches(points, starts, ends):
    """Return each point's distance to the nearest of some straight branches."""
    along = ends - starts
    share = np.einsum("nbk,bk->nb", points[:, None] - starts, along) / (along**2).sum(1)
    nearest = starts + np.clip(share, 0, 1)[..., None] * along
    return np.linalg.norm(points[:, None] - nearest, axis=2).min(1)


@pytest.mark.parametrize("levels", [1, 2, 5])
def test_every_fork_has_two_branches(levels):
    grown = grow(0, levels=levels)
    assert len(grown.starts) == 2**levels - 1
    assert len(grown.forks) == 2 ** (levels - 1) - 1
    assert np.all(np.bincount(grown.parents[1:], minlength=len(grown.parents))[grown.forks] == 2)


def test_a_branch_begins_where_its_parent_ends_and_lies_one_level_deeper(tree):
    child = np.flatnonzero(tree.parents >= 0)
    assert np.array_equal(tree.starts[child], tree.ends[tree.parents[child]])
    assert np.array_equal(tree.levels[child], tree.levels[tree.parents[child]] + 1)


def test_the_tree_fills_its_ellipsoid_and_stays_in_it(tree):
    scaled = tree.ends / SEMI_AXES
    assert (scaled**2).sum(1).max() < 1
    octants = np.unique((scaled > 0) @ [1, 2, 4])
    assert len(octants) == 8


def test_descendants_are_all_branches_on_the_way_up_to_a_branch(tree):
    def ancestors(branch):
        while branch >= 0:
            yield branch
            branch = tree.parents[branch]

    chosen = tree.forks[5]
    expected = [chosen in ancestors(branch) for branch in range(len(tree.parents))]
    assert tree.descendants(chosen).tolist() == expected


def test_seeds_give_other_trees_and_the_same_seed_the_same(tree):
    assert np.array_equal(grow(3).ends, tree.ends)
    assert not np.allclose(grow(4).ends, tree.ends)


@pytest.mark.parametrize("amplitude", [1.0, 40.0])
def test_the_ends_of_branches_travel_by_the_amplitude_on_average(tree, amplitude):
    moved = breathe(tree, 3, amplitude=amplitude)(tree.ends) - tree.ends
    assert np.linalg.norm(moved, axis=1).mean() == pytest.approx(amplitude, abs=0.01)


def test_a_deformation_of_amplitude_zero_leaves_everything_where_it_is(tree):
    assert np.allclose(breathe(tree, 3, amplitude=0.0)(tree.ends), tree.ends)


def test_without_bumps_the_flow_is_the_exponential_of_a_matrix(tree):
    flow = breathe(tree, 3, amplitude=30.0, local=0.0)
    generator = np.zeros((4, 4))
    generator[:3, :3], generator[:3, 3] = flow.strength * flow.linear, flow.strength * flow.shift
    exact = (expm(generator) @ np.column_stack([tree.ends, np.ones(len(tree.ends))]).T).T[:, :3]
    assert np.allclose(flow(tree.ends), exact, atol=1e-5)


def test_the_local_share_is_that_of_the_mean_squared_velocity(tree):
    flow = breathe(tree, 3, amplitude=30.0, local=0.3)
    affine = flow.strength * (flow.shift + tree.ends @ flow.linear.T)
    bumps = flow.velocity(tree.ends) - affine
    squares = [(part**2).sum(1).mean() for part in (bumps, affine)]
    assert squares[0] / sum(squares) == pytest.approx(0.3)


def test_the_width_of_the_bumps_reaches_the_two_phases(tree):
    drawn = two_phases(3, points=50, amplitude=20.0, width=20.0)
    expected = breathe(tree, 3, amplitude=20.0, width=20.0)
    assert np.array_equal(drawn.images, expected(drawn.landmarks))
    assert not np.allclose(drawn.images, breathe(tree, 3, amplitude=20.0)(drawn.landmarks))


def test_the_way_back_leads_back(tree):
    flow = breathe(tree, 3, amplitude=40.0)
    assert np.abs(flow.scaled(-1)(flow(tree.ends)) - tree.ends).max() < 0.01


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_the_largest_deformation_folds_nothing(seed):
    grown = grow(seed)
    flow, h = breathe(grown, seed, amplitude=40.0), 0.01
    columns = [(flow(grown.ends + h * e) - flow(grown.ends - h * e)) / (2 * h) for e in np.eye(3)]
    assert np.linalg.det(np.stack(columns, axis=2)).min() > 0.1


def test_without_noise_points_lie_on_the_branches_that_are_seen_and_only_there():
    drawn = two_phases(3, points=400, amplitude=20.0, missing=0.2, noise=0.0)
    first = drawn.seen[0]
    assert distance_to_branches(drawn.x, drawn.tree.starts[first], drawn.tree.ends[first]).max() < 1e-9
    back = drawn.deformation.scaled(-1)(drawn.y)
    second = drawn.seen[1]
    assert distance_to_branches(back, drawn.tree.starts[second], drawn.tree.ends[second]).max() < 0.01
    assert distance_to_branches(drawn.y, drawn.tree.starts, drawn.tree.ends).mean() > 1


def test_noise_has_its_standard_deviation_in_both_phases():
    still, noisy = (two_phases(3, points=2000, amplitude=20.0, noise=noise) for noise in (0.0, 0.5))
    assert (noisy.x - still.x).std() == pytest.approx(0.5, rel=0.05)
    assert (noisy.y - still.y).std() == pytest.approx(0.5, rel=0.05)
    assert not np.allclose((noisy.x - still.x)[:50], (noisy.y - still.y)[:50])


def test_each_phase_lacks_its_own_whole_subtrees_of_the_length_that_was_asked_for():
    drawn = two_phases(3, points=1000, amplitude=20.0, missing=0.2)
    tree = drawn.tree
    for seen, cloud in zip(drawn.seen, (drawn.x, drawn.y), strict=True):
        lost = tree.lengths[~seen].sum() / tree.lengths.sum()
        assert 0.2 <= lost < 0.3
        assert len(cloud) == pytest.approx(1000 * (1 - lost), abs=1)
        orphans = seen[1:] & ~seen[tree.parents[1:]]
        assert not orphans.any()
    assert not np.array_equal(*drawn.seen)


def test_landmarks_are_forks_that_both_phases_show_and_go_where_the_deformation_takes_them():
    drawn = two_phases(3, points=400, amplitude=20.0, missing=0.2)
    tree, both = drawn.tree, drawn.seen.all(0)
    shown = [f for f in tree.forks if both[f] and both[tree.parents == f].all()]
    assert np.array_equal(drawn.landmarks, tree.ends[shown])
    assert np.array_equal(drawn.images, drawn.deformation(drawn.landmarks))


def test_the_number_of_points_changes_neither_tree_nor_deformation_nor_lost_branches():
    few, many = (two_phases(3, points=points, amplitude=20.0) for points in (100, 1000))
    assert np.array_equal(few.images, many.images)
    assert np.array_equal(few.seen, many.seen)
    assert len(many.x) > 9 * len(few.x)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: grow(0, levels=0), "levels is 0"),
        (lambda: grow(0, levels=15), "levels is 15"),
        (lambda: breathe(grow(0, levels=3), 0, amplitude=-1.0), "amplitude -1.0 mm"),
        (lambda: breathe(grow(0, levels=3), 0, amplitude=1.0, local=2.0), "local share 2.0"),
        (lambda: breathe(grow(0, levels=3), 0, amplitude=1.0, width=0.0), "width 0.0 mm"),
        (lambda: two_phases(0, points=0, amplitude=1.0), "0 points"),
        (lambda: two_phases(0, points=9, amplitude=1.0, missing=0.7), "0.7 missing"),
        (lambda: two_phases(0, points=9, amplitude=1.0, noise=-1.0), "noise -1.0 mm"),
        (lambda: two_phases(0, points=9, amplitude=1.0, levels=1), "no fork"),
    ],
)
def test_wrong_input_gets_a_sentence(call, says):
    with pytest.raises(UserError, match=says):
        call()
