"""Training on mixtures, what is measured afterwards, and the tasks of the notebooks."""

import math

import numpy as np
import pytest
import torch

from shapeofloss.datasets.shallow_water import snapshots
from shapeofloss.engine.costs import exponent, peak_of_arrays, peak_of_tensors
from shapeofloss.errors import UserError
from shapeofloss.signloss.convolutional import autoencoder, train_water
from shapeofloss.signloss.prices import simulated_prices, train_prices
from shapeofloss.signloss.training import Mixture, fit, measures, perceptrons
from shapeofloss.signloss.waves import train_waves, waves


def test_a_mixture_is_the_weighted_sum_of_its_parts():
    x, y = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    squared = float(((x - y) ** 2).sum() / 3)
    signs = [(torch.tanh(2 * t.diff(dim=1))) for t in (x, y)]
    directional = float((signs[0] - signs[1]).abs().mean())
    assert float(Mixture(3, 7, 2.0)(x, y)) == pytest.approx(3 * squared + 7 * directional)
    assert float(Mixture(3, 0, 2.0, summed=False)(x, y)) == pytest.approx(3 * squared / 5)


def test_what_is_measured_follows_the_tables():
    x = torch.tensor([[0.0, 1.0, 0.0, 2.0], [0.0, 1.0, 2.0, 3.0]])
    zero = torch.zeros_like(x)
    found = measures(x, zero, sharpness=1e6)
    assert found["mse"] == pytest.approx((5 + 14) / 2)
    assert found["exact"] == pytest.approx(1.5)  # three directions against standstill, half each
    assert found["dsl"] == pytest.approx(1.0)
    assert found["persistence"] == pytest.approx((1 / math.sqrt(2)) / 2)  # one pond of life 1, in one of two
    assert measures(x, x, sharpness=2.0) == {"mse": 0, "dsl": 0, "exact": 0, "persistence": 0}
    assert measures(x, zero, sharpness=1.0, summed=False)["mse"] == pytest.approx(19 / 8)


def test_training_on_squared_error_finds_the_principal_components():
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(12, 2, generator=generator))[0]
    data = torch.randn(500, 2, generator=generator) @ basis.T
    model = torch.nn.Sequential(torch.nn.Linear(12, 2), torch.nn.Linear(2, 12))
    history = fit(model, lambda _: data, Mixture(1, 0, 1.0), steps=800, learning_rate=0.01)
    assert history[-1] < 1e-3 * history[0] and len(history) == 800


def test_the_rate_is_halved_on_a_plateau_and_only_there():
    def moved(plateau, steps):
        model = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.zeros_(model.weight)
        # Adam moves by the learning rate at each step, for a loss of constant slope that never improves
        fit(model, lambda _: torch.ones(1, 1), lambda y, x: (y - y.detach()).sum() + 1, steps=steps, learning_rate=0.1,
            plateau=plateau)  # fmt: skip
        return -model.weight.item()

    assert moved(0, 900) == pytest.approx(90, rel=1e-3)
    assert moved(2, 400) == pytest.approx(40, rel=1e-3)  # one best mean, and three that are no better
    assert moved(2, 500) == pytest.approx(45, rel=1e-3)


def test_a_loss_that_runs_away_is_named_with_its_step():
    model = torch.nn.Linear(4, 4)
    with pytest.raises(UserError, match=r"at step \d+ with learning rate 1e\+30"):
        fit(model, lambda _: torch.ones(2, 4), Mixture(1, 0, 1.0), steps=9, learning_rate=1e30)


def test_initial_weights_follow_the_seed_and_the_initialisation():
    plain, again, he = (perceptrons(512, 64, 2, seed=5, initialisation=kind) for kind in ("default", "default", "he"))
    assert torch.equal(plain[0].weight, again[0].weight)
    assert plain[0].weight.var().item() * 512 == pytest.approx(1 / 3, rel=0.05)
    assert he[0].weight.var().item() * 512 == pytest.approx(2, rel=0.05) and not he[0].bias.any()


WAVE = {"seed": 0, "points": 64, "hidden": 8, "latent": 2, "batch": 4, "steps": 12, "learning_rate": 0.001}
LOSS = {"squared": 1.0, "directional": 2.0, "sharpness": 4.0}


def test_waves_are_measured_as_they_are_returned_and_twice_the_same():
    first, second = (train_waves(**WAVE, **LOSS, examples=5) for _ in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in first)
    x, y = (torch.from_numpy(first[name]) for name in ("original", "reconstruction"))
    assert x.shape == y.shape == (5, 64) and len(first["squared_error"]) == len(first["dsl_along"]) == 2
    assert {n: first[n] for n in ("mse", "dsl", "exact", "persistence")} == measures(x, y, sharpness=4.0)
    assert torch.equal(x, waves(5, 64, torch.Generator().manual_seed(10_000)))


def test_prices_are_measured_on_both_sides_of_the_border():
    settings = {"length": 16, "held_out": 0.25, "hidden": 8, "latent": 4, "batch": 4, "steps": 5}
    prices = simulated_prices(0)[:400]
    found = train_prices(prices=prices, seed=0, learning_rate=0.001, examples=30, **settings, **LOSS)
    for prefix in ("", "unseen_"):
        x, y = (torch.from_numpy(found[prefix + name]) for name in ("original", "reconstruction"))
        own = {name: found[prefix + name] for name in ("mse", "dsl", "exact", "persistence")}
        assert x.shape == (30, 16) and own == measures(x, y, sharpness=4.0)
    assert found["mse"] != found["unseen_mse"]


def test_the_autoencoder_of_volumes_halves_twice_and_has_the_sizes_of_the_paper():
    model = autoencoder((64, 128), seed=0, dropout=0.1)
    x = torch.zeros(1, 1, 8, 64, 64)
    code = model[0](x)
    assert code.shape == (1, 128, 2, 16, 16) and model(x).shape == x.shape


def test_the_paper_profile_of_the_simulations_runs_for_two_steps_at_its_shapes():
    basin = {"size": 64, "frames": 8, "every": 2, "step": 0.5}
    seen, new = (snapshots(seed=s, count=2, **basin)["heights"] for s in (0, 1))
    found = train_water(
        heights=seen, unseen=new, seed=0, share=0.5, filters=[64, 128], sharpness=16.0,
        batch=1, steps=2, learning_rate=1e-4, dropout=0.1, plateau=20, measured=1,
    )  # fmt: skip
    assert found["reconstruction"].shape == (2, 8, 64, 64) and math.isfinite(found["mse"])


@pytest.mark.parametrize("size", [(2048, 32, 2, 1024), (64, 2048, 32, 64)])
def test_the_paper_profiles_of_waves_and_prices_run_for_two_steps_at_their_shapes(size):
    points, hidden, latent, batch = size
    model = perceptrons(points, hidden, latent, seed=0)
    data = torch.randn(batch, points, generator=torch.Generator().manual_seed(0))
    history = fit(model, lambda _: data, Mixture(1, 128, 32.0), steps=2, learning_rate=1e-3)
    assert np.isfinite(history).all()


def test_costs_are_those_of_known_computations():
    x = torch.zeros(1000)
    assert peak_of_tensors(lambda: x + 1) == 4000
    assert peak_of_tensors(lambda: (x + 1) + 1) == 8000
    assert peak_of_tensors(lambda: [x + 1 for _ in range(3)]) == 12_000
    assert 8_000_000 <= peak_of_arrays(lambda: np.zeros(1_000_000)) < 8_010_000
    assert exponent([1, 10, 100], [5, 500, 50_000]) == pytest.approx(2)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"initialisation": "He"}, "There is no initialisation 'He'. Did you mean 'he'"),
        ({"initialisation": None}, "There is no initialisation None"),
        ({"size": 0}, "size is 0"),
        ({"hidden": 2.0}, "hidden is 2.0"),
        ({"latent": "2"}, "latent is '2'"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_perceptrons_that_cannot_be_are_refused(change, sentence):
    with pytest.raises(UserError, match=sentence):
        perceptrons(**{"size": 4, "hidden": 3, "latent": 2, "seed": 0, **change})


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ((0, 0, 1.0), "one has to be above 0"),
        ((-1, 1, 1.0), "squared is -1"),
        ((1, math.nan, 1.0), "directional is nan"),
        ((1, 0, 0.0), "sharpness is 0.0"),
        ((1, 1, math.nan), "sharpness is nan"),
    ],
)
def test_a_mixture_of_nothing_or_of_less_is_refused(weights, sentence):
    with pytest.raises(UserError, match=sentence):
        Mixture(*weights)


def test_two_arrays_that_would_be_stretched_to_one_shape_are_refused():
    for call in (Mixture(1, 0, 1.0), lambda x, y: measures(y, x, sharpness=1.0)):
        with pytest.raises(UserError, match=r"has shape \(2, 1\) and original \(2, 5\)"):
            call(torch.zeros(2, 1), torch.zeros(2, 5))
        with pytest.raises(UserError, match="a tensor is needed"):
            call(np.zeros((2, 5)), torch.zeros(2, 5))
        with pytest.raises(UserError, match="at least one number"):
            call(torch.zeros(0, 5), torch.zeros(0, 5))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_a_squared_error_of_half_precision_is_summed_in_single(kind):
    x, y = torch.full((1, 300, 300), 2.0, dtype=kind), torch.zeros(1, 300, 300, dtype=kind)
    assert float(Mixture(1, 0, 1.0)(x, y)) == measures(x, y, sharpness=1.0)["mse"] == 360_000


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_what_is_measured_keeps_no_gradient_and_is_finite(kind):
    x, y = torch.rand(2, 2, 6, generator=torch.Generator().manual_seed(0)).to(kind)
    for pair in ((x, y.clone().requires_grad_()), (x.clone().requires_grad_(), y)):
        with pytest.raises(UserError, match=r"records gradients, .* call \.detach\(\) on it first"):
            measures(*pair, sharpness=1.0)
    y[0, 0] = math.nan
    with pytest.raises(UserError, match="reconstruction has 1 value that is not finite"):
        measures(x, y, sharpness=1.0)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"model": torch.nn.ReLU()}, "no parameters that record gradients"),
        ({"model": abs}, "a torch.nn.Module is needed"),
        ({"batch": torch.ones(2, 4)}, "batch is a Tensor; a function is needed"),
        ({"batch": lambda _: np.ones((2, 4))}, "The batch is a ndarray; a tensor is needed"),
        ({"batch": lambda _: torch.ones(2, 4, requires_grad=True)}, r"give batch\.detach\(\)"),
        ({"loss": lambda x, y: 1.0}, "The loss is a float; a tensor is needed"),
        ({"loss": lambda x, y: y.sum()}, "lacks gradients; one number is needed"),
        ({"loss": lambda x, y: x}, r"The loss has shape \(2, 4\)"),
        ({"steps": 1.5}, "steps is 1.5"),
        ({"learning_rate": math.nan}, "learning_rate is nan"),
        ({"learning_rate": -1.0}, "learning_rate is -1.0"),
        ({"plateau": -1}, "plateau is -1"),
    ],
)
def test_what_cannot_be_fitted_is_refused(change, sentence):
    settings = {"model": torch.nn.Linear(4, 4), "batch": lambda _: torch.ones(2, 4), "loss": Mixture(1, 0, 1.0)}
    settings |= {"steps": 2, "learning_rate": 0.1, **change}
    with pytest.raises(UserError, match=sentence):
        fit(settings.pop("model"), settings.pop("batch"), settings.pop("loss"), **settings)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"measured_at": 0}, "measured_at is 0; a finite number above 0"),
        ({"examples": 0}, "examples is 0"),
        ({"batch": 0}, "batch is 0"),
        ({"points": 1}, "points is 1; a whole number from 2"),
        ({"sharpness": -1.0}, "sharpness is -1.0"),
        ({"initialisation": "xavier"}, "There is no initialisation 'xavier'"),
    ],
)
def test_waves_are_refused_before_the_training(change, sentence, monkeypatch):
    monkeypatch.setattr("shapeofloss.signloss.waves.fit", lambda *a, **k: pytest.fail("it was trained"))
    if "points" in change:
        monkeypatch.undo()  # the first batch says so
    with pytest.raises(UserError, match=sentence):
        train_waves(**{**WAVE, **LOSS, "examples": 5, **change})


def test_waves_need_a_generator_of_their_own():
    for generator in (None, np.random.default_rng(0), 3):
        with pytest.raises(UserError, match=r"a torch\.Generator is needed"):
            waves(2, 8, generator)
