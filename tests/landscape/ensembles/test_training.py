"""An epoch of an ensemble."""

import pytest
import torch
from nets import classified, mlp
from torch.nn import functional

from shapeofloss.landscape.ensembles import Plain, cross_entropy
from shapeofloss.landscape.ensembles.training import train_together


def test_an_epochs_loss_is_weighted_by_each_networks_own_batches():
    model, batches = mlp(), classified((8, 5, 2))
    ensemble = Plain(model, cross_entropy, 3)
    still = torch.optim.SGD([ensemble.theta], lr=0.0)
    streams = [batches, batches[::-1]]
    losses = train_together(ensemble, still, streams, torch.tensor([0, 1, 1]), epoch=1)
    inputs, labels = (torch.cat(column) for column in zip(*batches, strict=True))
    expected = functional.cross_entropy(mlp()(inputs), labels).item()
    assert losses.tolist() == pytest.approx([expected] * 3, rel=1e-6)
