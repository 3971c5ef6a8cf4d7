"""The study: which networks, which of them together, what a failure does, and what an interruption costs."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from conftest import call

from shapeofloss.engine import compute, store
from shapeofloss.errors import UserError
from shapeofloss.experiments.network_study import study
from shapeofloss.experiments.persistence.activity import HEADLINE, activity
from shapeofloss.landscape import minima
from shapeofloss.landscape.curvature import curvature
from shapeofloss.landscape.phate import diffusion_between, potential_distances
from shapeofloss.landscape.record import Record
from shapeofloss.topology.diagrams import total_persistence
from shapeofloss.topology.graphs import graph_persistence, neighbour_edges, points_of

LEVELS = study.Levels(depths=[10], widths=[1], batches=[8, 16, 32], weight_decays=[0.0, 1e-3])
TRAINING = study.Training(base=2, train=32, epochs=2, learning_rate=0.05)
SAMPLING = study.Sampling(
    **{"retrain_rate": 0.05, "jump_seeds": [0, 1], "steps": [0.5, 1.0], "states": 3},
    **{"counts": [2, 2, 3], "directions": 6, "held_out": 20},
)
TINY = {"seed": 3, "levels": LEVELS, "training": TRAINING, "sampling": SAMPLING}
WHERE = {"architecture": {"depth": 10, "width": 1, "base": 2}, "images": {"train": 32}}


@pytest.fixture
def folder(checkout, tmp_path, monkeypatch):
    checkout()
    monkeypatch.setenv("SHAPEOFLOSS_DATA", str(tmp_path / "data"))

    def in_this_process(tasks, label):  # to start others takes longer than these tasks
        for function, task in tasks:
            yield compute._compute_one(function, task)

    monkeypatch.setattr(compute, "_computed", in_this_process)
    torch.set_num_threads(1)
    return tmp_path / "data" / "store"


def test_the_source_has_108_networks_and_a_third_of_them_is_balanced():
    networks = study.Levels([10, 16, 22], [1, 2], [32, 128, 512], [0, 1e-4, 1e-3]).networks()
    assert len({study.name_of(network) for network in networks}) == 108
    third = [networks[place] for place in study.balanced_third(networks)]
    assert len(third) == 36
    for first, second in product(study.FACTORS, repeat=2):
        pairs = [(network[first], network[second]) for network in third]
        shares = [pairs.count(pair) for pair in set(pairs)]
        assert len(set(pairs)) == len({(n[first], n[second]) for n in networks}) and max(shares) - min(shares) == 0
    with pytest.raises(UserError, match="batch has 2 levels"):
        study.balanced_third([network for network in networks if network["batch"] > 32])


def test_a_study_is_what_its_parts_give_one_by_one(folder):
    found = study.run(**TINY)
    assert len(found.networks) == 12 and not found.failures
    assert {name: len(samples) for name, samples in found.samples.items()} == dict.fromkeys(study.SAMPLINGS, 12)
    place = 7
    network = found.networks[place]
    alone = minima.train_minima(
        **WHERE,
        epochs=2,
        batch=network["batch"],
        learning_rate=0.05,
        networks=[{"seed": 3, "weight_decay": network["weight_decay"], "augment": network["augment"]}],
    )
    assert np.array_equal(alone["parameters"][0], found.parameters[place])
    assert alone["test_loss"][0] == found.optimum["test_loss"][place]
    sample = minima.sample_minimum(
        **WHERE,
        parameters=found.parameters[place],
        sampling="jump_and_retrain",
        seeds=[0, 1],
        steps=[0.5, 1.0],
        epochs=3,
        learning_rate=0.05,
        batch=network["batch"],
        weight_decay=network["weight_decay"],
        augment=network["augment"],
    )
    assert np.array_equal(sample["loss"], found.samples["jump_and_retrain"][place]["loss"])
    assert found.samples["jump_and_retrain"][place]["held_out_loss"].shape == (12,)
    assert found.samples["grid"][place]["loss"].shape == found.samples["naive"][place]["loss"].shape == (12,)
    assert "gram" not in found.samples["grid"][place]


def test_networks_trained_together_or_not_are_the_same_and_only_what_is_asked_for_is_sampled(folder):
    together = study.run(**TINY, samplings=["naive"], only=[0, 5])
    apart = study.run(**TINY | {"training": replace(TRAINING, together=1)}, samplings=["naive"], only=[0, 5])
    assert [study.name_of(n) for n in together.networks] == [study.name_of(n) for n in apart.networks]
    for first, second in zip(together.parameters, apart.parameters, strict=True):
        assert np.array_equal(first, second)
    assert len(list((folder / "train_minima").glob("*.json"))) == 3 + 12
    assert len(list((folder / "sample_network").glob("*.json"))) == 2


def test_a_network_that_diverges_is_named_with_its_epoch_and_the_others_go_on(folder):
    found = study.run(**TINY | {"levels": replace(LEVELS, weight_decays=[0.0, 1e30])}, samplings=["naive"])
    assert len(found.networks) == 6 and all(network["weight_decay"] == 0 for network in found.networks)
    assert len(found.failures) == 6
    assert found.failures[0].startswith(
        "WRN 10-1, batch 8, weight decay 1e+30, plain: the loss is not finite in epoch "
    )
    assert study.summary(found).endswith("\n".join(found.failures))


def test_a_sampling_that_diverges_is_a_failure_of_that_network(folder):
    found = study.run(**TINY | {"sampling": replace(SAMPLING, retrain_rate=1e30)}, samplings=["jump_and_retrain"])
    assert not found.networks and len(found.failures) == 12
    assert "WRN 10-1, batch 8, weight decay 0, plain: The loss of WRN 10-1, jump of seed 0" in found.failures[0]
    assert "in epoch 1 at learning_rate 1e+30" in found.failures[0]
    assert study.summary(found).startswith("0 networks are trained and sampled, 12 are not.")


def test_what_is_measured_around_the_networks_comes_in_their_order(folder):
    found = study.run(**TINY, samplings=[])
    settings = {"iterations": 2, "probes": 2, "directions": 1}
    bent = study.around(found, curvature, places=[4, 1], **settings)
    alone = curvature(parameters=found.parameters[1], **WHERE, **settings)
    assert bent["largest"].shape == (2,) and bent["largest"][1] == pytest.approx(alone["largest"])


def test_activity_has_the_totals_of_the_diagrams_and_variants_that_differ(folder):
    (sample,) = study.run(**TINY, samplings=["jump_and_retrain"], only=[2]).samples["jump_and_retrain"]
    found = activity(**sample, neighbours=4, other_neighbours=[3], knn=3)
    totals = dict(zip(found["variant"].tolist(), found["total"], strict=True))
    record = Record.from_arrays(sample)
    potential = diffusion_between(record.cosine_distances(), knn=3).potential
    diagrams = graph_persistence(record.loss, neighbour_edges(potential_distances(potential), neighbours=4))
    expected = [total_persistence(points_of(diagrams, d, top=record.loss.max())) for d in (0, 1)]
    assert totals[HEADLINE].tolist() == expected
    births = record.loss.max() - diagrams.essential
    assert totals["components that never die, too"][0] == pytest.approx(expected[0] + (births**2).sum())
    swapped = activity(**{**sample, "loss": sample["held_out_loss"]}, neighbours=4, other_neighbours=[3], knn=3)
    assert totals["test loss"].tolist() == swapped["total"][0].tolist()
    assert len({tuple(values) for values in totals.values()}) > 10


def test_an_interrupted_training_goes_on_and_ends_as_if_undisturbed(folder, monkeypatch):
    task = {
        **WHERE,
        "batch": 8,
        "epochs": 6,
        "learning_rate": 0.05,
        "networks": [{"seed": 1, "weight_decay": 0.0, "augment": True}],
    }
    undisturbed = minima.train_minima(**task)
    monkeypatch.setattr("shapeofloss.engine.checkpoints.SECONDS", 0.0)
    monkeypatch.setattr("shapeofloss.engine.checkpoints.Checkpoint.due", lambda self: True)
    epochs = []
    once = minima.train_together

    def stopping(*arguments, epoch, **more):
        epochs.append(epoch)
        if len(epochs) == 4:
            raise KeyboardInterrupt
        return once(*arguments, epoch=epoch, **more)

    monkeypatch.setattr(minima, "train_together", stopping)
    with pytest.raises(KeyboardInterrupt):
        store.get_or_compute(minima.train_minima, task)
    result = store.get_or_compute(minima.train_minima, task)
    assert epochs == [0, 1, 2, 3, 3, 4, 5]
    assert all(np.array_equal(result[name], undisturbed[name]) for name in undisturbed)


def test_an_interrupted_sampling_goes_on_and_ends_as_if_undisturbed(folder, monkeypatch):
    from shapeofloss.landscape import samplers

    task = {
        **{**WHERE, "batch": 8, "augment": True, "held_out": 9},
        **{"sampling": "jump_and_retrain", "seeds": [0, 1], "steps": [0.5, 1.0], "epochs": 5, "name": "a network"},
        "parameters": minima.flatten(minima.Architecture(depth=10, width=1, base=2).network()).numpy(),
    }
    undisturbed = study.sample_network(**task)
    monkeypatch.setattr("shapeofloss.engine.checkpoints.Checkpoint.due", lambda self: True)
    epochs = []
    once = samplers.train_together

    def stopping(*arguments, epoch, **more):
        epochs.append(epoch)
        if len(epochs) == 3:
            raise KeyboardInterrupt
        return once(*arguments, epoch=epoch, **more)

    monkeypatch.setattr(samplers, "train_together", stopping)
    with pytest.raises(KeyboardInterrupt):
        store.get_or_compute(study.sample_network, task)
    result = store.get_or_compute(study.sample_network, task)
    assert epochs == [1, 2, 3, 3, 4]
    assert all(np.array_equal(result[name], undisturbed[name], equal_nan=True) for name in undisturbed)


def test_a_wrong_profile_is_refused_from_a_shell(checkout):
    result = call(checkout(), "study", "--profile", "latop")
    assert result.returncode == 2 and "Did you mean 'laptop'?" in result.stderr


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"seed": -1}, "seed is -1; a whole number from 0"),
        (
            {"sampling": replace(SAMPLING, jump_seeds=2)},
            r"jump_seeds is 2; a list of different whole numbers from 0 is needed, for example \[2\]",
        ),
        ({"sampling": replace(SAMPLING, directions=0)}, "directions is 0; a whole number from 1"),
        ({"training": replace(TRAINING, together=0)}, "together is 0; a whole number from 1"),
        ({"samplings": ["niave"]}, "There is no sampling 'niave'. Did you mean 'naive'"),
        ({"only": [-1]}, "An entry of only is -1; a whole number from 0 to 11"),
        ({"only": [12]}, "An entry of only is 12; a whole number from 0 to 11"),
    ],
)
def test_what_is_no_study_is_refused_before_anything_runs(monkeypatch, wrong, sentence):
    monkeypatch.setattr(compute, "map", None)
    with pytest.raises(UserError, match=sentence):
        study.run(**TINY | wrong)


def test_places_are_those_of_networks_in_the_study(monkeypatch):
    monkeypatch.setattr(compute, "map", None)
    nothing = study.Study(TRAINING, [], [], {}, {}, [])
    with pytest.raises(UserError, match="There is no network to measure anything of"):
        study.around(nothing, curvature)
    with pytest.raises(UserError, match="An entry of places is 0; a whole number"):
        study.around(nothing, curvature, places=[0])


def test_activity_needs_held_out_losses_and_losses_with_a_logarithm():
    arrays = Record(
        **{"gram": np.eye(8), "along": np.zeros(8), "norm": 1.0, "loss": np.arange(8.0), "accuracy": np.ones(8)},
        **{"seed": np.arange(8), "step": np.ones(8), "epoch": np.zeros(8, int), "coefficients": np.empty((8, 0))},
        **{"optimum_loss": 0.0, "optimum_accuracy": 1.0},
    ).to_arrays()
    options = {"neighbours": 2, "other_neighbours": [], "knn": 2}
    with pytest.raises(UserError, match="holds no held-out losses: sample with `held_out`"):
        activity(**options, **arrays)
    with pytest.raises(UserError, match="A loss is 0; its logarithm is asked for"):
        activity(**options, **arrays | {"held_out_loss": np.ones(8)})
    with pytest.raises(UserError, match="potential has 1 value that is not finite"):
        potential_distances([[0.0, np.nan]])
