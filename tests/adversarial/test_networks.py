"""Networks: what a perceptron and waves keep of their input, and cones against exact prices."""

import numpy as np
import ot
import pytest
import torch
from critics import source

from shapeofloss.adversarial.constraints import input_gradients, quotients
from shapeofloss.adversarial.networks import Cones, Waves, perceptron
from shapeofloss.errors import UserError
from shapeofloss.transport.assignment.programs import price_program


def points(seed, count=12):
    return np.random.default_rng(seed).standard_normal((2, count, 2))


def test_a_perceptron_repeats_from_its_source_and_keeps_the_size_of_its_input():
    net, again = (perceptron((50, 400, 400, 400, 10), generator=source()) for _ in range(2))
    x = torch.randn(2000, 50, generator=source(1))
    assert torch.equal(net(x), again(x))
    assert 0.5 < net(x).square().mean() < 1.5


@pytest.mark.parametrize("sizes", [(2,), (2, 0, 1)])
def test_a_perceptron_needs_an_input_and_an_output(sizes):
    with pytest.raises(UserError, match=r"of a perceptron is 0|cannot have sizes"):
        perceptron(sizes, generator=source())


def test_waves_have_unit_mean_square_and_wave_numbers_in_their_range():
    waves = Waves(2, 400, generator=source())
    x = 20 * torch.rand(4000, 2, generator=source(1))
    assert waves(x).square().mean().item() == pytest.approx(1, abs=0.02)
    assert waves.k.norm(dim=1).min() >= 1 and waves.k.norm(dim=1).max() <= 60


def test_cones_from_prices_reach_w_and_reproduce_the_prices():
    y, z = points(0)
    prices, costs = price_program(ot.dist(y, z, metric="euclidean"))
    critic = Cones(z, -costs)
    scores = critic(torch.from_numpy(y)).numpy()
    assert scores == pytest.approx(prices, abs=1e-9)
    value = scores.mean() - critic(torch.from_numpy(z)).mean().item()
    assert value == pytest.approx(ot.emd2([], [], ot.dist(y, z, metric="euclidean")), abs=1e-9)


def test_cones_are_lipschitz_for_any_heights_and_steep_away_from_all_tips():
    tips, others = points(1)
    heights = np.random.default_rng(2).standard_normal(len(tips)) * 5
    critic = Cones(tips, heights)
    x, z = others, others + 1e-3
    values = (critic(torch.from_numpy(v)).numpy() for v in (x, z))
    first, second = values
    assert quotients(first, x, second, z).max() <= 1 + 1e-9
    far = torch.tensor([[100.0, 0.0]]).double()
    assert input_gradients(critic, far).norm().item() == pytest.approx(1)


def test_cones_refuse_heights_of_another_number():
    with pytest.raises(UserError, match=r"2 tips and heights of shape \(3,\)"):
        Cones([[0.0], [1.0]], [0.0, 1.0, 2.0])


def test_cones_take_any_layout_precision_and_refuse_what_is_no_number():
    generator = np.random.default_rng(0)
    tips, heights, x = generator.random((5, 2)), generator.random(5), generator.random((7, 2))
    wanted = (heights + np.linalg.norm(x[:, None] - tips, axis=2)).min(1)
    for own in (
        Cones(tips[::-1], heights[::-1]),
        Cones(tips.tolist(), heights.tolist()),
        Cones(tips, torch.tensor(heights)),
    ):
        assert own(torch.tensor(x)).numpy() == pytest.approx(wanted)
        assert own(torch.tensor(x).float()).numpy() == pytest.approx(wanted, abs=1e-6)
        assert own.float()(torch.tensor(x).float()).dtype == torch.float32
    critic = Cones(tips, heights)
    tips[:] = 9.0  # what the caller does later with its array is no matter of the critic
    assert critic(torch.tensor(x)).numpy() == pytest.approx(wanted)
    with pytest.raises(UserError, match="heights has 1 value that is not finite"):
        Cones(tips, [0, 1, np.nan, 2, 3])
