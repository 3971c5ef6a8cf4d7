"""The autoencoder of volumes: what is trained on what, and what its decoder does with a place of the code."""

import numpy as np
import pytest
import torch

from shapeofloss.datasets.shallow_water import snapshots
from shapeofloss.errors import UserError
from shapeofloss.signloss import convolutional
from shapeofloss.signloss.convolutional import autoencoder, train_water

BASIN = {"size": 16, "frames": 8, "every": 4, "step": 0.5}
SETTINGS = {"filters": [4, 8], "sharpness": 4.0, "batch": 3, "steps": 1, "learning_rate": 1e-3, "measured": 1}


@pytest.fixture(scope="module")
def heights():
    seen, unseen = (snapshots(seed=seed, count=6, **BASIN)["heights"] for seed in (900, 901))
    return {"heights": seen, "unseen": unseen}


@pytest.fixture
def untrained(monkeypatch):
    """Keep what the training would be given, and leave the model as it is."""
    given = {}

    def keep(model, batch, loss, **settings):
        given.update(model=model, batch=batch, loss=loss, **settings)

    monkeypatch.setattr(convolutional, "fit", keep)
    return given


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_share_is_that_of_the_sign_loss_and_both_are_means(heights, untrained, share):
    train_water(**heights, **SETTINGS, seed=900, share=share)
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, 2, 1, 4, 8, 8, generator=generator, dtype=torch.float64)
    changes = [(torch.tanh(4 * x.diff(dim=d)) - torch.tanh(4 * y.diff(dim=d))).abs().flatten() for d in (2, 3, 4)]
    expected = (1 - share) * (x - y).square().mean() + share * torch.cat(changes).mean()
    assert float(untrained["loss"](y, x)) == pytest.approx(float(expected))


def test_batches_are_drawn_anew_from_heights_in_standard_deviations(heights, untrained):
    train_water(**heights, **SETTINGS, seed=900, share=0.5)
    seen = heights["heights"].astype(np.float64)
    known = (seen - seen.mean()) / seen.std()
    batches = [untrained["batch"](step).numpy() for step in range(40)]
    assert all(batch.shape == (3, 1, 8, 16, 16) for batch in batches)
    numbers = [np.abs(known - x).max(axis=(1, 2, 3)) for batch in batches for x in batch[:, 0]]
    assert max(far.min() for far in numbers) < 1e-4 and {int(far.argmin()) for far in numbers} == set(range(6))


def test_what_is_unseen_is_in_the_unit_of_what_is_seen_and_rebuilt_without_dropout(heights, untrained):
    state = torch.random.get_rng_state()
    found = train_water(**heights, **SETTINGS, seed=900, share=0.5, dropout=0.9)
    assert torch.equal(state, torch.random.get_rng_state())
    seen = heights["heights"]
    assert np.allclose(found["original"], (heights["unseen"] - seen.mean()) / seen.std(), atol=1e-4)
    with torch.no_grad():
        plain = autoencoder((4, 8), seed=900)(torch.from_numpy(found["original"])[:, None])[:, 0]
    assert found["reconstruction"].dtype == np.float32 and np.allclose(found["reconstruction"], plain, atol=1e-6)


def test_a_short_training_beats_still_water_and_repeats(heights):
    settings = {**SETTINGS, "steps": 60, "learning_rate": 0.01}
    first, second = (train_water(**heights, **settings, seed=900, share=0.0) for _ in range(2))
    assert np.array_equal(first["reconstruction"], second["reconstruction"])
    x, y = first["original"], first["reconstruction"]
    assert np.mean((x - y) ** 2) < 0.5 * np.mean(x**2)
    assert first["mse"] == pytest.approx(np.mean((x[:1] - y[:1]) ** 2), rel=1e-5)


@pytest.mark.parametrize("axis", [2, 3, 4])
def test_the_decoder_moves_by_four_when_the_code_moves_by_one_and_by_no_less(axis):
    decoder = autoencoder((4, 8), seed=900)[1]
    shape = [1, 8, 4, 4, 4]
    shape[axis] = 12
    code = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        plain, moved = decoder(code), decoder(code.roll(1, dims=axis))
    apart = [float((plain.narrow(axis, 8, 28) - moved.narrow(axis, 8 + by, 28)).abs().max()) for by in (1, 2, 3, 4)]
    assert apart[3] < 1e-6 < 1e-2 < min(apart[:3])


def test_what_cannot_be_trained_or_simulated_is_refused_with_a_sentence(heights):
    with pytest.raises(UserError, match=r"share of DSL is 1.5; a finite number from 0 and up to 1"):
        train_water(**heights, **SETTINGS, seed=900, share=1.5)
    odd = {name: values[:, :6] for name, values in heights.items()}
    with pytest.raises(UserError, match="multiples of 4"):
        train_water(**odd, **SETTINGS, seed=900, share=0.5)
    with pytest.raises(UserError, match="every is 0; a whole number from 1"):
        snapshots(seed=0, count=2, **{**BASIN, "every": 0})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"share": np.nan}, "The share of DSL is nan"),
        ({"heights": np.full((2, 4, 4, 4), np.nan, np.float32)}, "heights has 128 values that are not finite"),
        ({"unseen": np.full((1, 4, 4, 4), np.inf, np.float32)}, "unseen has 64 values that are not finite"),
        ({"heights": np.full((2, 4, 4, 4), 0.1, np.float32)}, "The heights are all equal"),
        ({"heights": np.zeros((4, 4, 4))}, r"\(N, frames, size, size\) is needed"),
        ({"heights": np.zeros((0, 4, 4, 4))}, "heights is empty"),
        ({"unseen": np.zeros((1, 4, 6, 4))}, "unseen has shape .*multiples of 4"),
        ({"filters": [4]}, r"filters is \[4\]; two whole numbers"),
        ({"filters": 4}, "filters is 4; two whole numbers"),
        ({"filters": [4, 0]}, "A number of filters is 0"),
        ({"dropout": 1.5}, "dropout is 1.5; a finite number from 0 and up to 1"),
        ({"measured": 0}, "measured is 0"),
        ({"batch": 0}, "batch is 0"),
        ({"steps": -1}, "steps is -1"),
        ({"sharpness": np.nan}, "sharpness is nan"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
        ({"plateau": -1}, "plateau is -1"),
    ],
)
def test_water_that_cannot_be_trained_on_is_refused_with_a_sentence(heights, change, sentence):
    with pytest.raises(UserError, match=sentence):
        train_water(**{**heights, **SETTINGS, "seed": 900, "share": 0.5, **change})


def test_heights_in_double_precision_are_trained_on_as_those_in_single(heights):
    doubles = {name: values.astype(np.float64) for name, values in heights.items()}
    one, other = (train_water(**given, **SETTINGS, seed=900, share=0.5) for given in (heights, doubles))
    assert np.array_equal(one["reconstruction"], other["reconstruction"]) and one["mse"] == other["mse"]
