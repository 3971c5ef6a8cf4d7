"""RealNVP: automatic differentiation, the inverse, quadrature, and closed forms of one coupling."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal

from shapeofloss.distributions.mixtures import normal
from shapeofloss.errors import UserError
from shapeofloss.experiments.likelihood_free.flows import (
    LARGEST,
    Coupling,
    RealNVP,
    fit_flow,
    log_standard,
    two_moons,
)


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def wild(dimension, *, layers=4, seed=0):
    return RealNVP(dimension, layers=layers, width=8, generator=source(seed), start=1.0).double()


def log_det_by_differentiation(flow, z):
    jacobian = torch.func.vmap(torch.func.jacrev(lambda point: flow(point[None])[0][0]))(z)
    return torch.linalg.slogdet(jacobian)[1].detach()


def points(count, dimension, seed=1):
    return torch.randn(count, dimension, generator=source(seed), dtype=torch.float64)


@pytest.mark.parametrize("dimension", [2, 5])
def test_log_determinants_are_those_of_the_full_jacobian(dimension):
    flow, z = wild(dimension), points(20, dimension)
    assert torch.allclose(flow(z)[1], log_det_by_differentiation(flow, z), atol=1e-11)


def test_differentiation_knows_the_determinant_of_a_linear_map():
    matrix = points(3, 3)

    def linear(z):
        return z @ matrix.T, None

    expected = torch.linalg.slogdet(matrix)[1].expand(4)
    assert torch.allclose(log_det_by_differentiation(linear, points(4, 3, seed=2)), expected)


@pytest.mark.parametrize("dimension", [2, 5])
def test_the_inverse_undoes_the_flow_on_both_sides(dimension):
    flow, z = wild(dimension), points(50, dimension)
    assert torch.allclose(flow.inverse(flow(z)[0]), z, atol=1e-10)
    assert torch.allclose(flow(flow.inverse(z))[0], z, atol=1e-10)


def test_every_coordinate_moves():
    flow, z = wild(5, layers=2), points(10, 5)
    assert ((flow(z)[0] - z).abs() > 1e-6).all()


def test_a_coupling_keeps_the_half_that_it_reads():
    z = points(6, 5)
    for first, kept in ((True, slice(None, 2)), (False, slice(2, None))):
        coupling = Coupling(5, first=first, width=4, generator=source(), start=1.0).double()
        assert torch.equal(coupling(z)[0][:, kept], z[:, kept])


def test_a_coupling_stretches_by_a_bounded_factor():
    coupling = Coupling(4, first=True, width=8, generator=source(), start=1.0).double()
    z = 1e6 * points(50, 4)
    found = coupling(z)[1].abs().max().item()
    assert 2 < found <= 2 * LARGEST


def test_the_density_sums_to_one():
    ticks = torch.linspace(-12, 12, 481, dtype=torch.float64)
    with torch.no_grad():
        density = wild(2, layers=2, seed=4).log_prob(torch.cartesian_prod(ticks, ticks)).exp()
    assert density.sum().item() * 0.05**2 == pytest.approx(1, abs=1e-4)


def test_a_flow_that_starts_as_the_identity_has_the_standard_normal_density():
    flow = RealNVP(3, layers=2, width=4, generator=source(), start=0.0).double()
    z = points(5, 3)
    expected = MultivariateNormal(torch.zeros(3).double(), torch.eye(3).double()).log_prob(z)
    assert torch.allclose(flow.log_prob(z), expected)
    assert torch.allclose(log_standard(z), expected)


def test_training_reaches_the_entropy_of_a_stretched_normal_law():
    flow = RealNVP(2, layers=2, width=8, generator=source(), start=0.0)

    def wide(count, generator):
        return torch.tensor([3.0, 0.5]) * normal(2)(count, generator)

    losses = fit_flow(flow, wide, steps=150, batch=256, learning_rate=0.02, seed=0)
    entropy = 1 + math.log(2 * math.pi) + math.log(1.5)
    assert sum(losses[-20:]) / 20 == pytest.approx(entropy, abs=0.1)
    assert losses[0] > entropy + 1


def test_the_same_seed_trains_the_same_flow():
    runs = []
    for _ in range(2):
        flow = RealNVP(2, layers=2, width=4, generator=source())
        runs.append(fit_flow(flow, two_moons, steps=3, batch=8, learning_rate=0.01, seed=1))
    assert runs[0] == runs[1]


def test_moons_lie_about_two_half_circles_that_are_turned_into_each_other():
    x = two_moons(4000, source()).double()
    assert x.mean(0).abs().max() < 0.06
    centres = torch.tensor([[-0.5, -0.25], [0.5, 0.25]]).double()
    nearest = (torch.cdist(x, centres) - 1).abs().min(1).values
    assert nearest.mean() < 0.15


def test_a_training_that_leaves_the_finite_numbers_stops_with_the_step_and_the_rate():
    flow = RealNVP(2, layers=2, width=4, generator=source())
    with pytest.raises(UserError, match=r"The loss is (nan|inf) at step \d of a flow with learning rate 1e\+30"):
        fit_flow(flow, two_moons, steps=9, batch=8, learning_rate=1e30, seed=1)


@pytest.mark.parametrize(("dimension", "layers"), [(1, 2), (2, 1)])
def test_a_flow_that_cannot_mix_is_refused(dimension, layers):
    with pytest.raises(UserError, match="is 1; a whole number from 2"):
        RealNVP(dimension, layers=layers, width=4, generator=source())


def test_wrong_arguments_of_a_flow_get_a_sentence():
    flow = RealNVP(2, layers=2, width=4, generator=source())
    with pytest.raises(UserError, match=r"shape \(5, 3\); the flow takes \(N, 2\)"):
        flow.log_prob(torch.zeros(5, 3))
    given = {"sampler": two_moons, "steps": 1, "batch": 4, "learning_rate": 1e-3, "seed": 0}
    for name, value in (("steps", 0), ("batch", 2.5), ("learning_rate", -1.0), ("seed", None), ("sampler", 3)):
        with pytest.raises(UserError, match=f"{name} is"):
            fit_flow(flow, **{**given, name: value})
    with pytest.raises(UserError, match="a RealNVP is needed"):
        fit_flow(torch.nn.Linear(2, 2), **given)
