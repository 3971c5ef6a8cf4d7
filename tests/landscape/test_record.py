import io

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.metrics import pairwise_distances

from shapeofloss.errors import UserError
from shapeofloss.landscape import record as module
from shapeofloss.landscape.record import Record, Recorder

POINTS, PARAMETERS = 12, 700


def recorded(points, optimum):
    recorder = Recorder(torch.as_tensor(np.asarray(optimum, np.float32)), 0.25, 1.0)
    for number, point in enumerate(points):
        vector = torch.as_tensor(np.asarray(point, np.float32))
        recorder.add(vector, number / 8, 0.5, seed=number, step=0.75, epoch=number + 1)
    return recorder.record()


@pytest.fixture(scope="module")
def optimum():
    return np.random.default_rng(0).normal(size=PARAMETERS).astype(np.float32)


@pytest.fixture(scope="module")
def points(optimum):
    """Points along a few directions, on a grid so coarse that displacements have no rounding error."""
    generator = np.random.default_rng(1)
    displacements = generator.normal(size=(POINTS, 4)) @ generator.normal(size=(4, PARAMETERS))
    return optimum.astype(np.float64) + np.round(64 * displacements) / 64


@pytest.fixture(scope="module", params=[8192, 128])
def record(points, optimum, request):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "COLUMNS", request.param)
        return recorded(points, optimum)


def test_labels_are_kept_in_order(record):
    assert record.loss.tolist() == [number / 8 for number in range(POINTS)]
    assert record.seed.tolist() == list(range(POINTS)) and record.epoch.tolist() == list(range(1, POINTS + 1))
    assert set(record.step) == {0.75} and set(record.accuracy) == {0.5}
    assert (record.optimum_loss, record.optimum_accuracy) == (0.25, 1.0)
    assert record.coefficients.shape == (POINTS, 0)


def test_inner_products_are_those_of_the_vectors(record, points, optimum):
    mean = points.mean(axis=0)
    for centre, vectors in {"origin": points, "optimum": points - optimum, "mean": points - mean}.items():
        np.testing.assert_allclose(record.inner_products(centre), vectors @ vectors.T, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(record.inner_products("mean").sum(axis=0), 0, atol=1e-8)


def test_distances_are_those_of_scikit_learn(record, points, optimum):
    np.testing.assert_allclose(record.distances(), pairwise_distances(points), rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(record.distance_to_optimum(), np.linalg.norm(points - optimum, axis=1), rtol=1e-6)


@pytest.mark.parametrize("centre", ["origin", "mean", "optimum"])
def test_cosine_distances_are_those_of_scikit_learn(record, points, optimum, centre):
    at = {"origin": 0, "mean": points.mean(axis=0), "optimum": optimum.astype(np.float64)}[centre]
    expected = pairwise_distances(points - at, metric="cosine")
    np.testing.assert_allclose(record.cosine_distances(centre), expected, atol=1e-6)


def test_the_cosine_distance_to_the_optimum_is_measured_at_the_origin(record, points, optimum):
    expected = pairwise_distances(points, optimum[None].astype(np.float64), metric="cosine")[:, 0]
    np.testing.assert_allclose(record.cosine_distance_to_optimum(), expected, atol=1e-6)


def test_all_distances_are_exactly_symmetric_with_a_zero_diagonal_and_never_negative(record):
    for distances in [record.distances(), *map(record.cosine_distances, ("origin", "mean", "optimum"))]:
        assert np.array_equal(distances, distances.T)
        assert not np.diag(distances).any() and distances.min() == 0


def test_equal_and_opposite_points_have_the_extreme_distances():
    record = recorded([[2, 0], [4, 0], [4, 0], [-2, 0]], [1, 0])
    assert record.cosine_distances("origin")[0].tolist() == [0, 0, 0, 2]
    assert record.distances()[1].tolist() == [2, 0, 0, 6]


def test_small_displacements_keep_their_precision(optimum):
    steps = 2.0 ** -np.arange(10, 16)
    record = recorded(1 + steps[:, None] * np.eye(6, PARAMETERS), np.ones(PARAMETERS))
    np.testing.assert_allclose(record.distance_to_optimum(), steps, rtol=1e-14)
    np.testing.assert_allclose(record.cosine_distances("optimum"), 1 - np.eye(6), rtol=1e-14)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9, 0.999])
def test_the_explained_dimension_is_that_of_principal_components(record, points, share):
    ratios = PCA().fit(points).explained_variance_ratio_
    assert record.explained_dimension(share) == np.argmax(np.cumsum(ratios) >= share) + 1


def test_a_regular_simplex_fills_all_its_dimensions_equally():
    record = recorded(np.eye(6), np.zeros(6) + 3)
    assert record.participation_ratio() == pytest.approx(5)
    assert [record.explained_dimension(share) for share in (0.19, 0.21, 0.99)] == [1, 2, 5]


def test_a_line_has_one_dimension():
    record = recorded([[step, 2 * step] for step in range(5)], [7, 7])
    assert record.participation_ratio() == pytest.approx(1)
    assert record.explained_dimension() == 1


def test_a_record_survives_the_way_through_a_file(record):
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **record.to_arrays(), more=np.zeros(3))
    file.seek(0)
    with np.load(file, allow_pickle=False) as stored:
        again = Record.from_arrays(stored)
    for name, array in record.to_arrays().items():
        assert again.to_arrays()[name].tobytes() == array.tobytes()
    assert isinstance(again.norm, float) and isinstance(again.optimum_loss, float)


def test_a_recorder_keeps_its_points_when_the_vectors_move_on():
    optimum, point = torch.zeros(2), torch.tensor([3.0, 4.0])
    recorder = Recorder(optimum, 0.0, 1.0)
    recorder.add(point, 0.5, 0.5, seed=0, step=1.0, epoch=0)
    point += 1
    optimum += 1
    record = recorder.record()
    assert record.distance_to_optimum().tolist() == [5] and record.norm == 0


def test_trajectories_that_were_recorded_side_by_side_become_whole_in_the_order_in_which_they_came_first():
    recorder = Recorder(torch.zeros(4), 0.0, 1.0)
    labels = [(1, 0.5, 0), (0, 0.5, 0), (1, 0.25, 0), (1, 0.5, 1), (0, 0.5, 1), (1, 0.25, 1)]
    points = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    for point, (seed, step, epoch) in zip(points, labels, strict=True):
        recorder.add(torch.from_numpy(point), float(point[0]), float(point[1]), seed=seed, step=step, epoch=epoch)
    record = recorder.record()
    order = [0, 3, 1, 4, 2, 5]
    assert list(zip(record.seed, record.step, record.epoch, strict=True)) == [labels[n] for n in order]
    assert record.loss.tolist() == points[order, 0].tolist() and record.accuracy.tolist() == points[order, 1].tolist()
    exact = points[order].astype(np.float64)
    np.testing.assert_allclose(record.gram, exact @ exact.T, rtol=1e-14)
    probes = np.random.default_rng(1).normal(size=(3, 4))
    np.testing.assert_allclose(recorder.products_with(probes), exact @ probes.T, rtol=1e-14)
    np.testing.assert_allclose(recorder.products_with(probes[0]), exact @ probes[:1].T, rtol=1e-14)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_parameters_may_have_any_precision(dtype):
    recorder = Recorder(torch.ones(2, dtype=dtype), 0.0, 1.0)
    recorder.add(torch.tensor([4.0, 5.0], dtype=dtype), 0.5, 0.5, seed=0, step=1.0, epoch=0)
    assert recorder.record().distance_to_optimum().tolist() == [5]


def test_wrong_input_is_named(record):
    with pytest.raises(UserError, match=r"no centre 'orgin'\. Did you mean 'origin'"):
        record.cosine_distances("orgin")
    with pytest.raises(UserError, match="Point 1 lies at the optimum, so it has no direction: drop it"):
        recorded([[1, 1], [0, 1]], [0, 1]).cosine_distances("optimum")
    with pytest.raises(UserError, match=r"share is 1\.5; a finite number above 0 and up to 1"):
        record.explained_dimension(1.5)
    with pytest.raises(UserError, match="do not differ"):
        recorded([[1, 1], [1, 1]], [0, 1]).participation_ratio()
    with pytest.raises(UserError, match="lack along, epoch"):
        Record.from_arrays(
            {name: value for name, value in record.to_arrays().items() if name not in ("along", "epoch")}
        )
    with pytest.raises(UserError, match="no point to record yet"):
        Recorder(torch.zeros(1), 0.0, 1.0).record()


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda r: r.inner_products(0), "There is no centre 0: it is chosen by name"),
        (lambda r: r.cosine_distances(np.zeros(700)), "There is no centre array"),
        (lambda r: r.inner_products(None), "There is no centre None"),
        (lambda r: r.explained_dimension("0.9"), "share is '0.9'; a finite number above 0 and up to 1"),
        (lambda r: r.explained_dimension(np.nan), "share is nan; a finite number"),
        (
            lambda r: Record.from_arrays(r.to_arrays() | {"gram": np.ones((3, 4))}),
            r"gram has shape \(3, 4\); \(3, 3\) is",
        ),
        (lambda r: Record.from_arrays(r.to_arrays() | {"gram": 1.0}), r"gram has shape \(\); \(1, 1\) is needed"),
        (
            lambda r: Record.from_arrays(r.to_arrays() | {"loss": r.loss[1:]}),
            r"loss has shape \(11,\); \(12,\) is needed",
        ),
        (lambda r: Record.from_arrays(r.to_arrays() | {"loss": r.loss * np.nan}), "loss has 12 values that are not"),
        (
            lambda r: Record.from_arrays(r.to_arrays() | {"held_out_loss": r.loss[1:]}),
            r"held_out_loss has shape \(11,\)",
        ),
        (lambda r: Record.from_arrays(r.to_arrays() | {"coefficients": r.loss}), r"\(12, k\) is needed"),
        (lambda r: Recorder([0.0], 0.0, 1.0), "optimum is a list; a tensor is needed"),
        (lambda r: Recorder(torch.zeros(1, 3), 0.0, 1.0), r"optimum has shape \(1, 3\); one vector of all parameters"),
    ],
)
def test_what_is_no_record_or_no_centre_is_refused(record, call, sentence):
    with pytest.raises(UserError, match=sentence):
        call(record)


def test_a_point_or_vector_of_another_length_is_not_broadcast():
    recorder = Recorder(torch.ones(3), 0.0, 1.0)
    labels = {"seed": 0, "step": 1.0, "epoch": 0}
    for point, sentence in ((torch.ones(1), r"shape \(1,\), the optimum \(3,\)"), (np.ones(3), "point is a ndarray")):
        with pytest.raises(UserError, match=sentence):
            recorder.add(point, 0.0, 1.0, **labels)
    recorder.add(torch.zeros(3), 0.0, 1.0, **labels, held_out=1.0)
    for vectors in (np.ones(4), np.ones((2, 1)), np.ones((1, 1, 3))):
        with pytest.raises(UserError, match=r"The vectors have shape .*; \(q, 3\) is needed"):
            recorder.products_with(vectors)
    recorder.add(torch.zeros(3), 0.0, 1.0, **labels)
    with pytest.raises(UserError, match="1 of 2 points have a held-out loss: give all or none"):
        recorder.record()


def test_an_angle_at_the_origin_needs_two_directions():
    for points, optimum in (([[1, 1], [0, 0]], [0, 1]), ([[1, 1], [0, 1]], [0, 0])):
        with pytest.raises(UserError, match="lies at the origin, so it has no angle to others"):
            recorded(points, optimum).cosine_distance_to_optimum()
