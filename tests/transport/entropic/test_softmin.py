"""Tests of the soft distance transform."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

from shapeofloss.engine import compiler
from shapeofloss.errors import UserError
from shapeofloss.transport.entropic import softmin
from shapeofloss.transport.entropic.softmin import Dense, Symbolic, halved_squared_distances, softmin_between
from shapeofloss.transport.symbolic import keops


@pytest.fixture(scope="module")
def compiled():
    keops.prepare(["transforms"])


def clouds(seed=0, sizes=(40, 30), dimension=3):
    generator = torch.Generator().manual_seed(seed)
    x, y = (torch.rand(size, dimension, generator=generator, dtype=torch.float64) for size in sizes)
    return x, y, torch.randn(sizes[1], generator=generator, dtype=torch.float64)


def by_scipy(x, y, eps, h):
    return -eps * logsumexp(h.numpy() - cdist(x, y, "sqeuclidean") / 2 / eps, axis=1)


@pytest.mark.parametrize("clamp", [True, False])
@pytest.mark.parametrize("eps", [10.0, 0.1, 1e-3, 1e-6])
def test_the_stored_transform_is_that_of_scipy(eps, clamp):
    x, y, h = clouds()
    found = Dense(halved_squared_distances(x, y), clamp)(eps, h)
    np.testing.assert_allclose(found, by_scipy(x, y, eps, h), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("eps", [10.0, 0.1, 1e-3, 1e-6])
def test_the_symbolic_transform_is_the_stored_one(compiled, eps):
    x, y, h = clouds(1)
    dense, symbolic = softmin_between(x, y, backend="dense"), softmin_between(x, y, backend="symbolic")
    torch.testing.assert_close(symbolic(eps, h), dense(eps, h), rtol=1e-12, atol=1e-13)
    back = torch.arange(len(x), dtype=x.dtype) / len(x)
    torch.testing.assert_close(symbolic.transpose()(eps, back), dense.transpose()(eps, back), rtol=1e-12, atol=1e-13)


def test_blocks_that_are_not_visited_do_not_count(compiled):
    from pykeops.torch.cluster import from_matrix

    x, y, h = clouds(2)
    rows, columns = torch.tensor([[0, 15], [15, 40]]), torch.tensor([[0, 10], [10, 30]])
    kept = Symbolic(x, y, from_matrix(rows, columns, torch.eye(2, dtype=torch.bool)))
    expected = np.concatenate([by_scipy(x[:15], y[:10], 0.1, h[:10]), by_scipy(x[15:], y[10:], 0.1, h[10:])])
    np.testing.assert_allclose(kept(0.1, h), expected, rtol=1e-12)
    back = kept.transpose()(0.1, torch.zeros(40, dtype=x.dtype))
    expected = [by_scipy(y[:10], x[:15], 0.1, torch.zeros(15)), by_scipy(y[10:], x[15:], 0.1, torch.zeros(25))]
    np.testing.assert_allclose(back, np.concatenate(expected), rtol=1e-12)


def test_a_constant_added_to_h_is_taken_off_eps_times():
    x, y, h = clouds(3)
    transform = softmin_between(x, y)
    torch.testing.assert_close(transform(0.3, h + 2), transform(0.3, h) - 0.6)


@pytest.mark.parametrize("eps", [1e-8, 1e-100, 1e-300])
def test_the_limit_of_a_small_temperature_is_the_minimum(eps):
    x, y, _ = clouds(4)
    found = softmin_between(x, y)(eps, torch.zeros(30, dtype=x.dtype))
    torch.testing.assert_close(found, halved_squared_distances(x, y).amin(1), rtol=1e-6, atol=1e-6)


def test_one_point_gives_its_cost():
    x, y = torch.tensor([[0.0, 0.0]], dtype=torch.float64), torch.tensor([[3.0, 4.0]], dtype=torch.float64)
    assert softmin_between(x, y)(0.1, torch.zeros(1, dtype=x.dtype)).item() == pytest.approx(12.5)


def test_coincident_points_cost_nothing_at_all():
    x = torch.full((3, 2), 1e8, dtype=torch.float64)
    assert (halved_squared_distances(x, x) == 0).all()
    found = softmin_between(x, x)(1e-9, torch.full((3,), -np.log(3), dtype=x.dtype))
    torch.testing.assert_close(found, torch.zeros(3, dtype=x.dtype))


def test_a_target_without_weight_does_not_count():
    x, y, h = clouds(5)
    h[7] = np.log(1e-300)
    rest = [j for j in range(30) if j != 7]
    torch.testing.assert_close(softmin_between(x, y)(1.0, h), softmin_between(x, y[rest])(1.0, h[rest]))


def test_the_transpose_of_the_transpose_is_the_transform():
    x, y, h = clouds(6)
    transform = softmin_between(x, y)
    torch.testing.assert_close(transform.transpose().transpose()(0.1, h), transform(0.1, h), rtol=0, atol=0)


def test_auto_stores_few_pairs_and_many_ones_only_for_want_of_a_compiler(monkeypatch):
    x, y, _ = clouds(7)
    assert isinstance(softmin_between(x, y), Dense)
    monkeypatch.setattr(softmin, "DENSE_PAIRS", 100)
    monkeypatch.setattr(compiler, "missing", lambda: "")
    assert isinstance(softmin_between(x, y), Symbolic)
    monkeypatch.setattr(compiler, "missing", lambda: "There is no compiler.")
    assert isinstance(softmin_between(x, y), Dense)
    with pytest.raises(UserError, match=r"There is no compiler\. Without it, clouds of up to about 100 points"):
        softmin_between(x, y, backend="symbolic")
    monkeypatch.setattr(softmin, "DENSE_PAIRS", 1)
    with pytest.raises(UserError, match="backend='dense'"):
        softmin_between(x, y)


def test_an_unknown_backend_is_refused():
    x, y, _ = clouds()
    with pytest.raises(UserError, match=r"There is no backend 'denes'\. Did you mean 'dense'"):
        softmin_between(x, y, backend="denes")
