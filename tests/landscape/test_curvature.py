"""Curvature against second derivatives in closed form, and against finite differences in double precision."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.autograd.functional import hessian
from torch.func import functional_call

from shapeofloss.errors import UserError
from shapeofloss.landscape.curvature import curvature, curvature_at_jumps, extreme_eigenvalues, hessian_product
from shapeofloss.landscape.directions import direction_of
from shapeofloss.landscape.minima import dataset
from shapeofloss.landscape.networks import Architecture, WideResNet
from shapeofloss.landscape.parameters import flatten, load_parameters

SMALL = {"architecture": {"depth": 10, "width": 1, "base": 2}, "images": {"train": 32}}


def test_a_product_is_that_of_the_whole_hessian():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    inputs, labels = torch.randn(9, 3).double(), torch.randint(0, 2, (9,))
    names = [name for name, _ in model.named_parameters()]
    shapes = [p.shape for p in model.parameters()]

    def loss_at(theta):
        parts = theta.split([shape.numel() for shape in shapes])
        values = {n: part.view(shape) for n, part, shape in zip(names, parts, shapes, strict=True)}
        return nn.functional.cross_entropy(functional_call(model, values, (inputs,)), labels)

    whole = hessian(loss_at, flatten(model))
    product = hessian_product(model, lambda m, b: nn.functional.cross_entropy(m(b[0]), b[1]), (inputs, labels))
    vector = torch.randn(len(whole)).double()
    torch.testing.assert_close(product(vector), whole @ vector)
    ends = torch.linalg.eigvalsh(whole)
    low, high = extreme_eigenvalues(product, torch.randn(len(whole)).double(), iterations=len(whole))
    assert low == pytest.approx(float(ends[0])) and high == pytest.approx(float(ends[-1]))


def test_lanczos_stops_where_the_start_can_reach_no_more():
    matrix = torch.diag(torch.tensor([3.0, -1.0, 7.0, 9.0]))
    start = torch.tensor([1.0, 1.0, 0.0, 0.0])  # 7 and 9 are out of reach
    assert extreme_eigenvalues(lambda v: matrix @ v, start, iterations=4) == pytest.approx((-1, 3))
    with pytest.raises(UserError, match="iterations is 0; a whole number from 1"):
        extreme_eigenvalues(lambda v: v, start, iterations=0)


def parameters_of(seed=0):
    return flatten(Architecture(depth=10, width=1, base=2).network(seed=seed)).numpy()


def test_curvature_along_directions_is_that_of_differences_of_slopes():
    # Differences of slopes in double precision, with steps too short to meet a kink.
    parameters = parameters_of()
    found = curvature(parameters=parameters, iterations=3, probes=2, directions=3, **SMALL)
    model: WideResNet = Architecture(depth=10, width=1, base=2).network()
    load_parameters(model, parameters)
    ways = [direction_of(model, seed).double() for seed in range(3)]
    exact, images = model.double(), dataset("digits").load(32, 0)
    optimum, step = flatten(exact), 1e-8

    def slope(place):
        load_parameters(exact, place)
        exact.train()
        loss = nn.functional.cross_entropy(exact(images.train_images.double()), images.train_labels)
        return nn.utils.parameters_to_vector(torch.autograd.grad(loss, list(exact.parameters())))

    bends = [float((slope(optimum + step * v) - slope(optimum - step * v)) @ v) / (2 * step) for v in ways]
    assert found["normalised"] == pytest.approx(np.mean(bends), rel=1e-3)


def test_the_trace_lies_between_the_ends_and_is_estimated_without_bias():
    found = curvature(parameters=parameters_of(), iterations=20, probes=6, directions=1, **SMALL)
    count = len(parameters_of())
    assert found["smallest"] < found["trace"] / count < found["largest"]
    more = curvature(parameters=parameters_of(), iterations=1, probes=60, directions=1, **SMALL)
    assert abs(found["trace"] - more["trace"]) < 4 * (found["trace_error"] + more["trace_error"])


def test_at_a_jump_of_no_length_it_is_that_of_the_minimum():
    own = curvature(parameters=parameters_of(), iterations=8, probes=2, directions=1, **SMALL)
    jumps = curvature_at_jumps(parameters=parameters_of(), seeds=[0], steps=[0.0, 1.0], iterations=8, **SMALL)
    assert jumps["largest"].shape == (2,)
    assert jumps["largest"][0] == pytest.approx(own["largest"], rel=1e-4)
    assert jumps["smallest"][0] == pytest.approx(own["smallest"], rel=1e-3, abs=1e-5)
    assert abs(jumps["largest"][1] - own["largest"]) > 1e-3


def squares(model, batch):
    return nn.functional.mse_loss(model(batch[0]), batch[1])


def test_parameters_that_the_loss_does_not_use_have_no_curvature():
    class Headless(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Linear(2, 1), nn.Linear(3, 1)

        def forward(self, x):
            return self.used(x)

    x = torch.randn(9, 2, generator=torch.Generator().manual_seed(0))
    product = hessian_product(Headless(), squares, (x, torch.zeros(9, 1)))
    design = torch.cat([x, torch.ones(9, 1)], dim=1)
    wanted = torch.zeros(7, 7)
    wanted[:3, :3] = 2 * design.T @ design / 9  # of least squares
    torch.testing.assert_close(torch.stack([product(row) for row in torch.eye(7)]), wanted)


def test_a_loss_that_is_linear_in_its_parameters_has_none_either():
    product = hessian_product(nn.Linear(2, 1), lambda model, batch: model(batch).mean(), torch.ones(3, 2))
    assert not product(torch.ones(3)).any()


def test_a_model_comes_back_in_its_mode_with_its_running_averages():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
    batch = torch.randn(9, 2), torch.zeros(9, 1)
    before = [buffer.clone() for buffer in model.buffers()]
    hessian_product(model, squares, batch)
    assert model.training and model[1].training and model[1].track_running_stats
    assert all(map(torch.equal, before, model.buffers()))
    model(batch[0])
    assert not torch.equal(before[0], model[1].running_mean)  # training goes on as before


def test_attention_has_second_derivatives():
    layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True).double()
    x = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0)).double()
    product = hessian_product(layer, squares, (x, torch.zeros_like(x)))
    at = flatten(layer)
    way = torch.randn(at.shape, generator=torch.Generator().manual_seed(1)).double()

    def slope(distance):
        load_parameters(layer, at + distance * way)
        value = squares(layer, (x, torch.zeros_like(x)))
        return torch.cat([s.flatten() for s in torch.autograd.grad(value, list(layer.parameters()))])

    bent = product(way)
    differences = (slope(1e-5) - slope(-1e-5)) / 2e-5
    assert (bent - differences).norm() < 1e-6 * bent.norm()


@pytest.mark.parametrize("start", [torch.zeros(3), torch.full((3,), torch.nan)])
def test_a_start_without_direction_is_refused(start):
    with pytest.raises(UserError, match="no direction"):
        extreme_eigenvalues(lambda v: v, start, iterations=2)
    with pytest.raises(UserError, match="not finite"):
        extreme_eigenvalues(lambda v: v * torch.nan, torch.ones(3), iterations=2)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"probes": 1}, "probes is 1; a whole number from 2"),
        ({"directions": 0}, "directions is 0; a whole number from 1"),
        ({"iterations": 2.0}, "iterations is 2.0; a whole number from 1"),
    ],
)
def test_numbers_that_leave_nothing_to_average_are_refused(wrong, sentence):
    with pytest.raises(UserError, match=sentence):
        curvature(parameters=None, **{"iterations": 2, "probes": 2, "directions": 1} | wrong, **SMALL)


def test_jumps_without_seeds_or_with_one_twice_are_refused():
    for seeds in ([], [0, 0], 3):
        with pytest.raises(UserError, match=r"seeds is .*; a list of different whole numbers from 0 is needed"):
            curvature_at_jumps(parameters=None, seeds=seeds, steps=[1.0], iterations=2, **SMALL)
    with pytest.raises(UserError, match=r"steps is \[1.0, 1.0\]; different step sizes are needed"):
        curvature_at_jumps(parameters=None, seeds=[0], steps=[1, 1], iterations=2, **SMALL)
