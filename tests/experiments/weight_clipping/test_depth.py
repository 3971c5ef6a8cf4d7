"""Gradients through depth: of chains with known factors, and of trained critics."""

import numpy as np
import pytest
import torch
from critics import constant_weights, source

from shapeofloss.adversarial.constraints import gradient_norms
from shapeofloss.adversarial.networks import perceptron
from shapeofloss.errors import UserError
from shapeofloss.experiments.weight_clipping.depth import (
    factor_per_layer,
    gradients_through_depth,
    layer_norms,
    straightness,
)
from shapeofloss.experiments.weight_clipping.weight_clipping import weights


def test_layer_norms_of_a_chain_of_factors_are_powers_of_the_factor():
    chain = constant_weights((1, 1, 1, 1, 1), 3.0)
    norms = layer_norms(chain, torch.ones(4, 1))
    assert norms == pytest.approx([81, 27, 9, 3])
    assert factor_per_layer(norms) == pytest.approx(3) and straightness(norms) == pytest.approx(1)


def test_layer_norms_leave_the_network_in_single_precision():
    network = perceptron((2, 4, 4, 1), generator=source())
    norms = layer_norms(network, torch.randn(7, 2, generator=source(1)))
    assert network[0].weight.dtype == torch.float32 and norms.shape == (3,)
    expected = gradient_norms(network, torch.randn(7, 2, generator=source(1))).mean().item()
    assert norms[0] == pytest.approx(expected, rel=1e-5)


def test_a_deep_critics_record_holds_its_weights_and_where_they_are():
    own = {
        "distribution": "swiss roll",
        "layers": 4,
        "width": 8,
        "steps": 3,
        "batch": 16,
        "rate": 1e-3,
        "points": 20,
        "seed": 0,
    }
    clipped = gradients_through_depth(method="WGAN", strength=0.1, **own)
    assert clipped["weights"].shape == (2 * 8 + 8 * 8 * 2 + 8,) and np.abs(clipped["weights"]).max() <= np.float32(0.1)
    assert 0 < clipped["clamped"] < 1 and clipped["norms"].shape == (4,)
    assert gradients_through_depth(method="WGAN-GP", strength=1.0, **own)["edges"] == 0
    untrained = torch.cat([m.flatten() for m in weights(perceptron((2, 8, 8, 8, 1), generator=source()))])
    for name, values in (("clamped", untrained.numpy()), ("edges", clipped["weights"])):
        assert clipped[name] == pytest.approx(np.mean(np.abs(values) >= 0.099))


def test_statistics_of_norms_need_numbers_above_0_that_differ():
    for norms in ([1.0, 2.0], [1.0, 0.0, 2.0], [1.0, np.nan, 2.0]):
        for statistic in (factor_per_layer, straightness):
            with pytest.raises(UserError, match="norms"):
                statistic(np.array(norms))
    with pytest.raises(UserError, match="All norms are 2"):
        straightness(np.full(4, 2.0))
