"""The trainings of the notebooks: what is trained on what, and what cannot be."""

import math

import numpy as np
import pytest
import torch

from shapeofloss.datasets.prices import simulated_prices
from shapeofloss.datasets.shallow_water import snapshots
from shapeofloss.datasets.waves import waves
from shapeofloss.errors import UserError
from shapeofloss.signloss import train_models
from shapeofloss.signloss.autoencoders import convolutional_autoencoder
from shapeofloss.signloss.train_models import train_prices, train_water, train_waves
from shapeofloss.signloss.training import measures

SCHEDULE = {"batch": 4, "steps": 12, "learning_rate": 0.001}
WAVE = {"seed": 0, "points": 64, "network": {"hidden": 8, "latent": 2}, "schedule": SCHEDULE, "examples": 5}
LOSS = {"squared": 1.0, "directional": 2.0, "sharpness": 4.0}
BASIN = {"size": 16, "frames": 8, "every": 4, "step": 0.5}
WATER = {"network": {"filters": [4, 8]}, "schedule": {"batch": 3, "steps": 1, "learning_rate": 1e-3}, "measured": 1}


def mixed(share):
    """Return a mixture of which the sign loss has a share."""
    return {"squared": 1 - share, "directional": share, "sharpness": 4.0}


def changed(settings, change):
    """Return settings with one of them, or one within one of them, replaced."""
    inner = {
        name: {**value, **change}
        for name, value in settings.items()
        if isinstance(value, dict) and {*change} & {*value}
    }
    return {**settings, **(inner or change)}


def test_waves_are_measured_as_they_are_returned_and_twice_the_same():
    first, second = (train_waves(**WAVE, loss=LOSS) for _ in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in first)
    x, y = (torch.from_numpy(first[name]) for name in ("original", "reconstruction"))
    assert x.shape == y.shape == (5, 64) and len(first["squared_error"]) == len(first["dsl_along"]) == 2
    assert {n: first[n] for n in ("mse", "dsl", "exact", "persistence")} == measures(x, y, sharpness=4.0)
    assert torch.equal(x, waves(5, 64, torch.Generator().manual_seed(10_000)))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"measured_at": 0}, "measured_at is 0; a finite number above 0"),
        ({"examples": 0}, "examples is 0"),
        ({"batch": 0}, "batch is 0"),
        ({"points": 1}, "points is 1; a whole number from 2"),
        ({"sharpness": -1.0}, "sharpness is -1.0"),
        ({"network": {"hidden": 8, "latent": 2, "initialisation": "xavier"}}, "There is no initialisation 'xavier'"),
    ],
)
def test_waves_are_refused_before_the_training(change, sentence, monkeypatch):
    monkeypatch.setattr(train_models, "fit", lambda *a, **k: pytest.fail("it was trained"))
    if "points" in change:
        monkeypatch.undo()  # the first batch says so
    with pytest.raises(UserError, match=sentence):
        train_waves(**changed({**WAVE, "loss": LOSS}, change))


def test_prices_are_measured_on_both_sides_of_the_border():
    settings = {"length": 16, "held_out": 0.25, "network": {"hidden": 8, "latent": 4}, "schedule": SCHEDULE}
    found = train_prices(prices=simulated_prices(0)[:400], seed=0, examples=30, loss=LOSS, **settings)
    for prefix in ("", "unseen_"):
        x, y = (torch.from_numpy(found[prefix + name]) for name in ("original", "reconstruction"))
        own = {name: found[prefix + name] for name in ("mse", "dsl", "exact", "persistence")}
        assert x.shape == (30, 16) and own == measures(x, y, sharpness=4.0)
    assert found["mse"] != found["unseen_mse"]


def test_a_model_is_trained_before_the_border_and_held_out_windows_are_after_it():
    turn = 150 - np.abs(np.arange(-300, 100.0)) / 10  # rises up to the border, falls after it
    found = train_prices(
        prices=turn, seed=0, length=16, held_out=0.25, network={"hidden": 16, "latent": 4}, loss=mixed(0.0),
        schedule={"batch": 16, "steps": 300, "learning_rate": 0.01}, examples=40,
    )  # fmt: skip
    assert (found["original"][:, -1] > 0).all() and (found["unseen_original"][:, -1] < 0).all()
    assert found["mse"] < 0.1 < found["unseen_mse"]


@pytest.mark.parametrize("change", [{"batch": 0}, {"examples": 1.5}, {"steps": -1}, {"seed": None}])
def test_prices_are_not_trained_on_with_counts_that_are_none(change):
    settings = {"length": 16, "held_out": 0.25, "network": {"hidden": 8, "latent": 4}, "examples": 2, "seed": 0}
    settings = changed({**settings, "loss": LOSS, "schedule": SCHEDULE}, change)
    (name,) = change
    with pytest.raises(UserError, match=f"{name} is .*; a whole number from"):
        train_prices(prices=simulated_prices(0)[:400], **settings)


@pytest.fixture(scope="module")
def heights():
    seen, unseen = (snapshots(seed=seed, count=6, **BASIN)["heights"] for seed in (900, 901))
    return {"heights": seen, "unseen": unseen}


@pytest.fixture
def untrained(monkeypatch):
    """Keep what the training would be given, and leave the model as it is."""
    given = {}

    def keep(model, draw, loss, schedule):
        given.update(model=model, draw=draw, loss=loss, schedule=schedule)

    monkeypatch.setattr(train_models, "fit", keep)
    return given


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_share_is_that_of_the_sign_loss_and_both_are_means(heights, untrained, share):
    train_water(**heights, **WATER, seed=900, loss=mixed(share))
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, 2, 4, 8, 8, generator=generator, dtype=torch.float64)
    changes = [(torch.tanh(4 * x.diff(dim=d)) - torch.tanh(4 * y.diff(dim=d))).abs().flatten() for d in (1, 2, 3)]
    expected = (1 - share) * (x - y).square().mean() + share * torch.cat(changes).mean()
    assert float(untrained["loss"](y, x)) == pytest.approx(float(expected))


def test_batches_are_drawn_anew_from_heights_in_standard_deviations(heights, untrained):
    train_water(**heights, **WATER, seed=900, loss=mixed(0.5))
    seen = heights["heights"].astype(np.float64)
    known = (seen - seen.mean()) / seen.std()
    assert untrained["schedule"].batch == 3
    batches = [untrained["draw"](3).numpy() for _ in range(40)]
    assert all(batch.shape == (3, 8, 16, 16) for batch in batches)
    numbers = [np.abs(known - x).max(axis=(1, 2, 3)) for batch in batches for x in batch]
    assert max(far.min() for far in numbers) < 1e-4 and {int(far.argmin()) for far in numbers} == set(range(6))


def test_what_is_unseen_is_in_the_unit_of_what_is_seen_and_rebuilt_without_dropout(heights, untrained):
    state = torch.random.get_rng_state()
    wet = changed(WATER, {"network": {"filters": [4, 8], "dropout": 0.9}})
    found = train_water(**heights, **wet, seed=900, loss=mixed(0.5))
    assert torch.equal(state, torch.random.get_rng_state())
    seen = heights["heights"]
    assert np.allclose(found["original"], (heights["unseen"] - seen.mean()) / seen.std(), atol=1e-4)
    with torch.no_grad():
        plain = convolutional_autoencoder((4, 8), seed=900)(torch.from_numpy(found["original"]))
    assert found["reconstruction"].dtype == np.float32 and np.allclose(found["reconstruction"], plain, atol=1e-6)


def test_a_short_training_beats_still_water_and_repeats(heights):
    settings = changed(WATER, {"steps": 60, "learning_rate": 0.01})
    first, second = (train_water(**heights, **settings, seed=900, loss=mixed(0.0)) for _ in range(2))
    assert np.array_equal(first["reconstruction"], second["reconstruction"])
    x, y = first["original"], first["reconstruction"]
    assert np.mean((x - y) ** 2) < 0.5 * np.mean(x**2)
    assert first["mse"] == pytest.approx(np.mean((x[:1] - y[:1]) ** 2), rel=1e-5)


def test_what_cannot_be_trained_or_simulated_is_refused_with_a_sentence(heights):
    with pytest.raises(UserError, match=r"squared is -0.5; a finite number from 0"):
        train_water(**heights, **WATER, seed=900, loss=mixed(1.5))
    odd = {name: values[:, :6] for name, values in heights.items()}
    with pytest.raises(UserError, match="multiples of 4"):
        train_water(**odd, **WATER, seed=900, loss=mixed(0.5))
    with pytest.raises(UserError, match="every is 0; a whole number from 1"):
        snapshots(seed=0, count=2, **{**BASIN, "every": 0})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"squared": np.nan}, "squared is nan"),
        ({"heights": np.full((2, 4, 4, 4), np.nan, np.float32)}, "heights has 128 values that are not finite"),
        ({"unseen": np.full((1, 4, 4, 4), np.inf, np.float32)}, "unseen has 64 values that are not finite"),
        ({"heights": np.full((2, 4, 4, 4), 0.1, np.float32)}, "The heights are all equal"),
        ({"heights": np.zeros((4, 4, 4))}, r"\(N, frames, size, size\) is needed"),
        ({"heights": np.zeros((0, 4, 4, 4))}, "heights is empty"),
        ({"unseen": np.zeros((1, 4, 6, 4))}, "unseen has shape .*multiples of 4"),
        ({"filters": [4]}, r"filters is \[4\]; two whole numbers"),
        ({"filters": 4}, "filters is 4; two whole numbers"),
        ({"filters": [4, 0]}, "A number of filters is 0"),
        ({"network": {"filters": [4, 8], "dropout": 1.5}}, "dropout is 1.5; a finite number from 0 and up to 1"),
        ({"measured": 0}, "measured is 0"),
        ({"batch": 0}, "batch is 0"),
        ({"steps": -1}, "steps is -1"),
        ({"sharpness": np.nan}, "sharpness is nan"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
        ({"schedule": {**SCHEDULE, "plateau": -1}}, "plateau is -1"),
    ],
)
def test_water_that_cannot_be_trained_on_is_refused_with_a_sentence(heights, change, sentence):
    with pytest.raises(UserError, match=sentence):
        train_water(**changed({**heights, **WATER, "seed": 900, "loss": mixed(0.5)}, change))


def test_heights_in_double_precision_are_trained_on_as_those_in_single(heights):
    doubles = {name: values.astype(np.float64) for name, values in heights.items()}
    one, other = (train_water(**given, **WATER, seed=900, loss=mixed(0.5)) for given in (heights, doubles))
    assert np.array_equal(one["reconstruction"], other["reconstruction"]) and one["mse"] == other["mse"]


def test_the_paper_profile_of_the_simulations_runs_for_two_steps_at_its_shapes():
    basin = {"size": 64, "frames": 8, "every": 2, "step": 0.5}
    seen, new = (snapshots(seed=s, count=2, **basin)["heights"] for s in (0, 1))
    found = train_water(
        heights=seen, unseen=new, seed=0, network={"filters": [64, 128], "dropout": 0.1}, loss=mixed(0.5),
        schedule={"batch": 1, "steps": 2, "learning_rate": 1e-4, "plateau": 20}, measured=1,
    )  # fmt: skip
    assert found["reconstruction"].shape == (2, 8, 64, 64) and math.isfinite(found["mse"])
