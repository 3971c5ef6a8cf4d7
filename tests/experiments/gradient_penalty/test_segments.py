"""Critics along exact plans: closed forms, and what a trained critic's record holds."""

import numpy as np
import pytest
import torch

from shapeofloss.adversarial.constraints import quotients
from shapeofloss.adversarial.quality import wasserstein
from shapeofloss.errors import UserError
from shapeofloss.experiments.gradient_penalty import segments
from shapeofloss.experiments.gradient_penalty.segments import along_segments


def radius(x):
    return x.norm(dim=1)


def points(seed, count=12):
    return np.random.default_rng(seed).standard_normal((2, count, 2))


@pytest.mark.parametrize("kind", segments.EXAMPLES)
def test_the_closed_form_critic_of_an_example_reaches_the_exact_w(kind):
    y, z, critic = segments.moved(kind, 40, 3)
    value = critic(torch.from_numpy(y)).mean() - critic(torch.from_numpy(z)).mean()
    assert value.item() == pytest.approx(wasserstein(y, z), abs=1e-12)
    assert np.linalg.norm(y - segments.coupled(y, z), axis=1).min() > 0.1  # everything moves


@pytest.mark.parametrize("kind", segments.EXAMPLES)
def test_the_optimal_gradient_is_the_unit_vector_towards_the_data(kind):
    y, z, critic = segments.moved(kind, 40, 4)
    z = segments.coupled(y, z)
    found = along_segments(critic, y, z, np.full(40, 0.3))
    assert found.cosine == pytest.approx(np.ones(40), abs=1e-12)
    assert found.norm == pytest.approx(np.ones(40), abs=1e-12)
    assert found.x == pytest.approx(0.3 * y + 0.7 * z)
    step = 1e-6 * (y - z) / np.linalg.norm(y - z, axis=1, keepdims=True)
    rise = critic(torch.from_numpy(found.x + step)) - critic(torch.from_numpy(found.x - step))
    assert rise.numpy() / 2e-6 == pytest.approx(np.ones(40), abs=1e-6)


def test_a_critic_that_falls_towards_the_data_has_cosine_minus_one():
    y, z, _ = segments.moved("outwards", 40, 4)
    found = along_segments(lambda x: -2 * x.norm(dim=1), y, segments.coupled(y, z), np.full(40, 0.3))
    assert found.cosine == pytest.approx(-np.ones(40), abs=1e-12) and found.norm == pytest.approx(2 * np.ones(40))


def test_inwards_is_outwards_the_other_way_round():
    for kind, larger in (("outwards", True), ("inwards", False)):
        y, z, _ = segments.moved(kind, 10, 5)
        assert (np.linalg.norm(y, axis=1).min() > np.linalg.norm(z, axis=1).max()) == larger


def test_an_unknown_example_is_named():
    with pytest.raises(UserError, match="outwards"):
        segments.moved("outward", 5, 0)


def test_coupling_costs_w_and_differs_from_the_given_order():
    y, z = points(6)
    assert np.linalg.norm(y - segments.coupled(y, z), axis=1).mean() == pytest.approx(wasserstein(y, z))
    assert np.linalg.norm(y - z, axis=1).mean() > wasserstein(y, z) + 1e-3


def test_coupling_needs_equal_numbers():
    with pytest.raises(UserError, match="3 points y and 2 points z"):
        segments.coupled(np.zeros((3, 2)), np.zeros((2, 2)))


def test_a_segment_without_length_has_no_direction():
    y = np.ones((2, 2))
    with pytest.raises(UserError, match="1 of 2 pairs do not move"):
        along_segments(radius, y, np.array([[1.0, 1.0], [0.0, 0.0]]), np.zeros(2))


def test_a_flat_critic_has_cosine_zero_not_nan():
    y, z = points(7)
    found = along_segments(lambda x: 0 * x.sum(dim=1), y, z, np.full(len(y), 0.5))
    assert not found.cosine.any() and not found.norm.any()


def test_the_grid_covers_the_bounding_box_with_the_first_coordinate_slowest():
    grid = segments.box_grid(np.array([[0.0, 5.0]]), np.array([[2.0, -1.0], [1.0, 0.0]]), 3)
    assert grid[[0, 1, 3, -1]].tolist() == [[0, -1], [0, 2], [1, -1], [2, 5]]


def test_random_waves_keep_to_their_bound_and_nearly_reach_it():
    for seed in range(5):
        value, bound = segments.bounded_waves(seed)
        generator = np.random.default_rng(seed)
        x = generator.uniform(-0.7, 0.7, (200_000, 2))
        near = x + 1e-4 * generator.standard_normal(x.shape)
        steepest = quotients(value(x), x, value(near), near).max()
        assert bound > 0 and 0.5 < steepest <= 1 + 1e-9


def test_a_coarse_grid_gives_random_waves_a_looser_bound_and_not_a_wrong_one():
    for seed in range(10):
        value, _ = segments.bounded_waves(seed, side=4)
        x = np.random.default_rng(seed).uniform(-0.7, 0.7, (5000, 2))
        near = x + 1e-4
        assert quotients(value(x), x, value(near), near).max() <= 1 + 1e-9


def run(**changed):
    return segments.mixture_critic(
        **{
            **{"penalty": 10.0, "pairs": "independent", "width": 16, "steps": 40, "batch": 16, "rate": 5e-3},
            **{"points": 20, "side": 5, "seed": 8},
            **changed,
        }
    )


@pytest.mark.parametrize("seed", [8, 9])  # the largest norm is on the grid, and on a segment
def test_a_mixture_critics_record_agrees_with_its_own_points(seed):
    found = run(seed=seed)
    assert found["wasserstein"] == pytest.approx(np.linalg.norm(found["y"] - found["z"], axis=1).mean())
    way = found["x"] - found["z"]
    cross = way[:, 0] * (found["y"] - found["z"])[:, 1] - way[:, 1] * (found["y"] - found["z"])[:, 0]
    assert cross == pytest.approx(np.zeros(20), abs=1e-12)  # on the segments
    assert 0 < found["inside"].mean() < 1  # the corners of the box are outside
    assert found["largest"] == max(found["grid"][found["inside"]].max(), found["norm"].max())
    assert (np.abs(found["cosine"]) <= 1 + 1e-12).all() and found["grid"].shape == (5, 5)


def test_training_turns_the_gradient_to_the_data_and_its_norm_towards_one():
    found = run(steps=150, width=32, batch=32)
    assert np.median(found["cosine"]) > 0.8
    assert found["norm"].mean() == pytest.approx(1, abs=0.3)
    assert found["value"] == pytest.approx(found["wasserstein"], rel=0.4)


def test_the_printed_sign_makes_gradients_blow_up():
    assert run(penalty=-10.0)["norm"].mean() > 3 * run()["norm"].mean()


def test_a_run_repeats_from_its_seed_and_coupled_pairs_make_another():
    first, again, other = run(), run(), run(pairs="coupled")
    assert first["value"] == again["value"] != other["value"]


def test_segments_have_ends_places_and_a_length():
    y, z = np.zeros((3, 2)), np.ones((3, 2))
    for change, sentence in (
        ({"y": y[:2]}, "pairs need the same"),
        ({"t": [0.1, 0.2]}, r"\(3,\) is needed"),
        ({"t": [0.1, 0.2, 1.5]}, r"on a segment they lie in \[0, 1\]"),
        ({"t": [0.1, 0.2, np.nan]}, "not finite"),
    ):
        with pytest.raises(UserError, match=sentence):
            along_segments(radius, **{"y": y, "z": z, "t": [0.1, 0.2, 0.3], **change})
