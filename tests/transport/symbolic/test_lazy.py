"""Symbolic matrices against stored ones and against SciPy, and the laws that gravitation keeps."""

from itertools import islice

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from shapeofloss.errors import UserError
from shapeofloss.experiments.symbolic_matrices import nbody
from shapeofloss.transport.symbolic import keops
from shapeofloss.transport.symbolic import lazy as sym


@pytest.fixture(scope="module", autouse=True)
def compiled():
    keops.prepare(["symbolic matrices"])


@pytest.fixture
def clouds():
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(n, 50, generator=generator, dtype=torch.float64) + 0.1 for n in (17, 23)]


ORACLES = {"euclidean": "sqeuclidean", "manhattan": "cityblock", "cosine": "cosine"}


@pytest.mark.parametrize("metric", ORACLES)
def test_a_formula_is_scipys_distance(clouds, metric):
    x, y = clouds
    if metric == "cosine":
        x, y = (z / z.norm(dim=1, keepdim=True) for z in (x, y))
    expected = cdist(x, y, ORACLES[metric])
    stored = sym.dissimilarities(x, y, metric=metric, symbolic=False)
    assert np.allclose(stored, expected, atol=1e-12)
    assert np.array_equal(sym.nearest(x, y, metric=metric), expected.argmin(1))
    assert np.array_equal(sym.nearest(x, y, metric=metric, symbolic=False), expected.argmin(1))


def test_the_hyperbolic_formula_does_not_change_under_the_scalings_of_the_half_space(clouds):
    x, y = clouds
    once, twice = (sym.dissimilarities(s * x, s * y, metric="hyperbolic", symbolic=False) for s in (1, 7))
    assert torch.allclose(once, twice, rtol=1e-12)
    assert torch.equal(sym.nearest(x, y, metric="hyperbolic"), once.argmin(1))


def test_an_unknown_metric_is_named(clouds):
    with pytest.raises(UserError, match=r"no metric 'euclid'\. Did you mean 'euclidean'"):
        sym.nearest(*clouds, metric="euclid")


def test_the_convolution_is_the_sum_that_it_says_by_both_ways():
    x, y = torch.tensor([[0.0, 0, 0]]).double(), torch.tensor([[1.0, 0, 0], [0, 2.0, 0]]).double()
    b = torch.tensor([[3.0], [5.0]]).double()
    expected = 3 * np.exp(-1) + 5 * np.exp(-4)
    assert all(
        float(sym.gaussian_convolution(x, y, b, symbolic=s)) == pytest.approx(expected, abs=1e-14)
        for s in (True, False)
    )


def test_the_network_of_pairs_is_that_of_torchs_layers():
    generator = torch.Generator().manual_seed(1)
    x, y, weights = (torch.randn(n, 3, generator=generator, dtype=torch.float64) for n in (5, 6, 8))
    out = torch.randn(8, generator=generator, dtype=torch.float64)
    layers = torch.nn.Sequential(torch.nn.Linear(3, 8, bias=False), torch.nn.ReLU(), torch.nn.Linear(8, 1, bias=False))
    layers = layers.double()
    layers[0].weight.data, layers[2].weight.data = weights, out[None]
    expected = layers(x[:, None] - y)[..., 0].sum(1).detach()
    for symbolic in (True, False):
        assert torch.allclose(sym.pair_network(x, y, weights, out, symbolic=symbolic), expected, atol=1e-12)


def test_two_bodies_attract_each_other_as_newton_says():
    x = torch.tensor([[0.0, 0, 0], [2.0, 0, 0]]).double()
    masses = torch.tensor([3.0, 5.0]).double()
    expected = torch.tensor([[5 / 4, 0, 0], [-3 / 4, 0, 0]]).double()
    for symbolic in (True, False):
        assert torch.allclose(sym.gravity(x, masses, softening=1e-9, symbolic=symbolic), expected, atol=1e-12)


def test_forces_keep_the_total_momentum_and_follow_from_the_energy():
    start = nbody.plummer_sphere(40, 0)
    force = sym.gravity(start.positions, start.masses, softening=0.1)
    assert (start.masses[:, None] * force).sum(0).abs().max() < 1e-14
    step = 1e-5
    for axis in range(3):
        there, back = (
            nbody.energy(
                nbody.Bodies(
                    start.positions.index_add(0, torch.tensor([7]), sign * step * torch.eye(3).double()[axis][None]),
                    start.velocities,
                    start.masses,
                ),
                softening=0.1,
            )
            for sign in (1, -1)
        )
        slope = -(there - back) / (2 * step) / float(start.masses[7])
        assert slope == pytest.approx(float(force[7, axis]), rel=1e-5, abs=1e-5)


def circle():
    """Two bodies of mass 1/2 at distance 1, which circle around each other once in a time of 2 pi."""
    x = torch.tensor([[0.5, 0, 0], [-0.5, 0, 0]]).double()
    v = torch.tensor([[0.0, 0.5, 0], [0, -0.5, 0]]).double()
    return nbody.Bodies(x, v, torch.tensor([0.5, 0.5]).double())


def after_one_turn(steps):
    """Return the error of the position after one turn."""
    start = circle()
    moving = nbody.leapfrog(
        start, lambda x: sym.gravity(x, start.masses, softening=1e-9, symbolic=False), step=2 * np.pi / steps
    )
    *_, end = islice(moving, steps)
    return float((end.positions - start.positions).abs().max())


def test_the_leapfrog_closes_a_circle_with_an_error_of_second_order():
    assert after_one_turn(400) < 1e-3
    assert after_one_turn(200) / after_one_turn(400) == pytest.approx(4, rel=0.02)


def test_the_leapfrog_can_be_run_backwards():
    start = nbody.plummer_sphere(20, 1)

    def force(x):
        return sym.gravity(x, start.masses, softening=0.1, symbolic=False)

    *_, there = islice(nbody.leapfrog(start, force, step=0.05), 50)
    turned = nbody.Bodies(there.positions, -there.velocities, there.masses)
    *_, back = islice(nbody.leapfrog(turned, force, step=0.05), 50)
    assert torch.allclose(back.positions, start.positions, atol=1e-10)


def test_a_plummer_sphere_is_in_equilibrium():
    sphere = nbody.plummer_sphere(4000, 2)
    kinetic = float((sphere.masses * (sphere.velocities**2).sum(1)).sum() / 2)
    potential = nbody.energy(sphere, softening=1e-9) - kinetic
    assert potential == pytest.approx(-3 * np.pi / 32, rel=0.05)  # of an uncut sphere of mass and scale 1
    assert -2 * kinetic / potential == pytest.approx(1, abs=0.06)  # the virial theorem
    inside = float((sphere.positions.norm(dim=1) < 1).double().mean())
    assert inside == pytest.approx(2**-1.5 * 101**1.5 / 1000, abs=0.03)
