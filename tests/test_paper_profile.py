"""Paths of the paper profile of the study, for a few steps at the source's shapes, on files of CIFAR-10's format."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from cifar10_files import RECORDS, files

from shapeofloss.datasets import cifar10
from shapeofloss.engine import compute
from shapeofloss.experiments.network_study import study
from shapeofloss.landscape import minima
from shapeofloss.landscape.curvature import curvature, curvature_at_jumps
from shapeofloss.landscape.networks import Architecture, number_of_parameters


@pytest.fixture
def cifar(checkout, tmp_path, monkeypatch):
    """Twenty images per file in the data folder, and tasks in this process."""
    monkeypatch.setenv("SHAPEOFLOSS_DATA", str(tmp_path / "data"))
    (tmp_path / "data" / cifar10.FOLDER).mkdir(parents=True)
    for name, content in files().items():
        (tmp_path / "data" / cifar10.FOLDER / name).write_bytes(content)
    few = cifar10.Source(cifar10.OFFICIAL.url, cifar10.OFFICIAL.hash, RECORDS)
    monkeypatch.setattr(minima, "load_cifar10", partial(cifar10.load_cifar10, source=few))

    def in_this_process(tasks, label):
        for function, task in tasks:
            yield compute._compute_one(function, task)

    monkeypatch.setattr(compute, "_computed", in_this_process)
    torch.set_num_threads(1)


def test_the_study_runs_at_the_sources_shapes(cifar):
    paper = study.numbers("paper")
    training, sampling = paper["training"], paper["sampling"]
    assert (training.data, training.epochs, training.train) == ("cifar10", 200, 50_000)
    few = {
        # One level of each factor but augmentation keeps this to seconds.
        "levels": study.Levels(depths=[10], widths=[2], batches=[512], weight_decays=[0.001]),
        "training": replace(training, train=12, epochs=2, evaluated=8),
        "sampling": replace(sampling, states=2, counts=[2, 2, 2], directions=2, held_out=6, jump_seeds=[0]),
    }
    found = study.run(**paper | few)
    assert len(found.networks) == 2 and not found.failures
    size = number_of_parameters(Architecture(depth=10, width=2, base=16).network(channels=3))
    assert {len(parameters) for parameters in found.parameters} == {size}
    sample = found.samples["jump_and_retrain"][1]
    assert sample["loss"].shape == sample["held_out_loss"].shape == (8,)
    assert found.samples["grid"][0]["loss"].shape == found.samples["naive"][0]["loss"].shape == (8,)
    bent = study.around(found, curvature, places=[0], iterations=2, probes=2, directions=1)
    jumps = study.around(found, curvature_at_jumps, places=[0], seeds=[0], steps=[1.0], iterations=2)
    assert np.isfinite(bent["largest"]).all() and np.isfinite(jumps["smallest"]).all()


def test_the_network_that_memorises_trains_at_the_sources_shape(cifar):
    found = minima.train_minima(
        architecture={"depth": 28, "width": 2, "base": 16},
        images={"train": 20, "data": "cifar10"},
        epochs=1,
        batch=10,
        learning_rate=0.1,
        networks=[{"seed": 0, "weight_decay": 0.0, "augment": False, "random_labels": True}],
    )
    assert found["parameters"].shape == (1, 1_467_610) and np.isfinite(found["test_loss"]).all()
