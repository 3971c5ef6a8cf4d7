"""Clipped critics: bounds on slopes, gradients of known networks, surfaces with a known answer, optimal critics."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from shapeofloss.adversarial.networks import Waves, perceptron
from shapeofloss.adversarial.penalty import gradient_norms
from shapeofloss.errors import UserError
from shapeofloss.experiments.weight_clipping import weight_clipping as clipping
from shapeofloss.experiments.weight_clipping.optimal_critics import optimal_surface


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def constant_weights(sizes, value):
    """A perceptron whose every weight is `value` and whose offsets are zero."""
    network = perceptron(sizes, generator=source()).double()
    for parameter in network.parameters():
        nn.init.constant_(parameter, value if parameter.dim() == 2 else 0.0)
    return network


def test_the_shared_bound_is_attained_by_equal_weights_and_by_nothing_in_the_box():
    bound = clipping.box_bound(constant_weights((2, 8, 8, 1), 0.3), 0.3)
    diagonal = torch.tensor([[1.0, 1.0], [2.0, 2.0]]).double()
    steepest = clipping.difference_quotients(constant_weights((2, 8, 8, 1), 0.3), diagonal[:1], diagonal[1:])
    assert steepest.item() == pytest.approx(bound, rel=1e-12)
    assert bound == pytest.approx(0.3**3 * math.sqrt(2 * 8) * 8 * math.sqrt(8))


def test_the_spectral_bound_of_orthogonal_layers_is_the_product_of_their_factors():
    network = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
    for layer, factor in ((network[0], 2.0), (network[2], 0.5)):
        nn.init.orthogonal_(layer.weight, gain=factor)
    assert clipping.spectral_bound(network) == pytest.approx(1.0, rel=1e-6)


def test_no_gradient_exceeds_the_spectral_bound_and_that_not_the_shared_one():
    network = perceptron((2, 16, 16, 1), generator=source()).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.clamp_(-0.2, 0.2)
    largest = gradient_norms(network, torch.randn(500, 2, generator=source(1)).double()).max().item()
    assert largest <= clipping.spectral_bound(network) <= clipping.box_bound(network, 0.2)


def test_layer_norms_of_a_chain_of_factors_are_powers_of_the_factor():
    chain = constant_weights((1, 1, 1, 1, 1), 3.0)
    norms = clipping.layer_norms(chain, torch.ones(4, 1))
    assert norms == pytest.approx([81, 27, 9, 3])
    assert clipping.factor_per_layer(norms) == pytest.approx(3) and clipping.straightness(norms) == pytest.approx(1)


def test_layer_norms_leave_the_network_in_single_precision():
    network = perceptron((2, 4, 4, 1), generator=source())
    norms = clipping.layer_norms(network, torch.randn(7, 2, generator=source(1)))
    assert network[0].weight.dtype == torch.float32 and norms.shape == (3,)
    expected = gradient_norms(network, torch.randn(7, 2, generator=source(1))).mean().item()
    assert norms[0] == pytest.approx(expected, rel=1e-5)


def test_a_cone_is_no_quadratic_and_its_rest_is_that_of_a_fine_quadrature():
    # Over a disk |x| has mean 2/3 and variance 1/18; the best a + b |x|^2 leaves 1/18 - cov(|x|, |x|^2)^2 / var(|x|^2).
    grid = clipping.square_grid(201, 1.0).double().numpy()
    radius = np.linalg.norm(grid, axis=1)
    inside = radius <= 1
    expected = 1 - (2 / 5 - 2 / 3 * 1 / 2) ** 2 / ((1 / 3 - 1 / 4) * (1 / 18))
    assert clipping.left_by_quadratic(grid[inside], radius[inside]) == pytest.approx(expected, abs=0.002)


def test_the_grid_of_a_surface_has_the_second_coordinate_along_its_rows():
    grid = clipping.square_grid(3, 2.0).reshape(3, 3, 2)
    assert grid[:, :, 0].tolist() == [[-2, 0, 2]] * 3 and grid[2, :, 1].tolist() == [2, 2, 2]


def test_peaks_are_counted_inside_and_ridges_are_none():
    ticks = np.linspace(-2, 2, 41)
    x, y = np.meshgrid(ticks, ticks)
    assert clipping.peaks(np.exp(-8 * ((x - 1) ** 2 + y**2)) + np.exp(-8 * ((x + 1) ** 2 + y**2))) == 2
    assert clipping.peaks(-np.abs(x)) == 0


def test_an_optimal_surface_reaches_exact_transport_and_is_not_explained_by_a_quadratic():
    found = optimal_surface(law="8 Gaussians", points=60, side=20, reach=2.0, seed=0)
    assert abs(found["gap"]) < 1e-9 and found["surface"].shape == (20, 20)
    steps = np.diff(found["surface"], axis=0), np.diff(found["surface"], axis=1)
    assert max(np.abs(own).max() for own in steps) <= 4 / 19 + 1e-9
    assert found["unexplained"] > 0.1


def test_a_clipped_critic_stays_in_its_box_and_below_its_bound():
    found = clipping.clipped_critic(bound=0.05, steps=20, batch=32, rate=1e-2, points=40, records=4, seed=0)
    assert found["at"].tolist() == [0, 5, 10, 15, 20]
    assert (found["value"] <= found["bound"] * found["wasserstein"]).all() and (found["norm"] <= found["bound"]).all()
    assert found["bound"][-1] <= 0.05**3 * math.sqrt(2 * 64) * 64 * math.sqrt(64)


def test_the_pull_between_lines_is_the_change_of_the_value():
    found = clipping.pull_between_lines(separation=0.5, bound=0.1, steps=60, batch=64, rate=1e-2, seed=0)
    # The critic is nearly linear between the lines, so that its value is about pull times separation.
    assert found["pull"] > 0 and found["value"] == pytest.approx(0.5 * found["pull"], rel=0.5)


def test_a_deep_critics_record_holds_its_weights_and_where_they_are():
    own = {"law": "swiss roll", "layers": 4, "width": 8, "steps": 3, "batch": 16, "rate": 1e-3, "points": 20, "seed": 0}
    clipped = clipping.gradients_through_depth(kind="clipping", strength=0.1, **own)
    assert clipped["weights"].shape == (2 * 8 + 8 * 8 * 2 + 8,) and np.abs(clipped["weights"]).max() <= np.float32(0.1)
    assert 0 < clipped["clamped"] < 1 and clipped["norms"].shape == (4,)
    assert clipping.gradients_through_depth(kind="penalty", strength=1.0, **own)["edges"] == 0
    untrained = torch.cat([m.flatten() for m in clipping.weights(perceptron((2, 8, 8, 8, 1), generator=source()))])
    for name, values in (("clamped", untrained.numpy()), ("edges", clipped["weights"])):
        assert clipped[name] == pytest.approx(np.mean(np.abs(values) >= 0.099))


def test_a_value_surface_is_as_flat_as_its_box_and_its_critic_prefers_the_data():
    own = {"law": "8 Gaussians", "width": 16, "batch": 64, "rate": 1e-2, "side": 21, "reach": 4.0, "seed": 0}
    found = clipping.value_surface(kind="clipping", strength=0.1, steps=60, **own)
    steepest = max(np.abs(np.diff(found["surface"], axis=axis)).max() for axis in (0, 1)) / 0.4
    assert 0 < steepest <= clipping.box_bound(perceptron((2, 16, 16, 16, 1), generator=source()), 0.1)
    assert found["surface"].shape == (21, 21) and 0 <= found["unexplained"] < 1
    corners = found["surface"][[0, 0, -1, -1], [0, -1, 0, -1]]
    assert found["surface"][10, 10] > corners.max()  # noise reaches the corners, data do not
    penalised = clipping.value_surface(kind="penalty", strength=1.0, steps=2, **own)
    assert not np.allclose(penalised["surface"], found["surface"])


def test_a_critic_is_held_by_one_of_two_means():
    with pytest.raises(UserError, match="not by 'hope'"):
        clipping.constraint_of("hope", 1.0)


def test_waves_have_unit_mean_square_and_wave_numbers_in_their_range():
    waves = Waves(2, 400, generator=source(), longest=2.0, shortest=30.0)
    x = 20 * torch.rand(4000, 2, generator=source(1))
    assert waves(x).square().mean().item() == pytest.approx(1, abs=0.02)
    assert waves.k.norm(dim=1).min() >= 2 and waves.k.norm(dim=1).max() <= 30


def test_a_training_is_found_by_its_name_and_a_wrong_one_names_the_nearest():
    own = {"separation": 0.5, "bound": 0.1, "steps": 2, "batch": 8, "rate": 1e-2, "seed": 0}
    assert clipping.study(name="pull_between_lines", **own) == clipping.pull_between_lines(**own)
    assert set(clipping.STUDIES) > {"toy_run", "clipped_critic"}
    with pytest.raises(UserError, match="Did you mean 'value_surface'"):
        clipping.study(name="value_surfaces")


def test_bounds_are_of_perceptrons_and_their_statistics_of_numbers():
    with pytest.raises(UserError, match="The layer '0' is a Conv1d"):
        clipping.spectral_bound(nn.Sequential(nn.Conv1d(1, 1, 1), nn.Linear(2, 1)))
    with pytest.raises(UserError, match="bound is -1"):
        clipping.box_bound(nn.Linear(2, 1), -1)
    with pytest.raises(UserError, match="1 of 2 pairs are one point twice"):
        clipping.difference_quotients(nn.Linear(2, 1), torch.zeros(2, 2), torch.tensor([[0.0, 0.0], [1.0, 0.0]]))
    for norms in ([1.0, 2.0], [1.0, 0.0, 2.0], [1.0, np.nan, 2.0]):
        for statistic in (clipping.factor_per_layer, clipping.straightness):
            with pytest.raises(UserError, match="norms"):
                statistic(np.array(norms))
    with pytest.raises(UserError, match="All norms are 2"):
        clipping.straightness(np.full(4, 2.0))
    with pytest.raises(UserError, match="All values are 3"):
        clipping.left_by_quadratic(np.eye(2), np.full(2, 3.0))
    for surface in (np.zeros((2, 5)), np.full((3, 3), np.nan), [1.0]):
        with pytest.raises(UserError, match="The surface has"):
            clipping.peaks(surface)
