"""The mixture, its descent, and what is measured afterwards."""

import math

import numpy as np
import pytest
import torch

from shapeofloss.errors import UserError
from shapeofloss.signloss.autoencoders import perceptron_autoencoder
from shapeofloss.signloss.training import Mixture, Schedule, fit, measures


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
    history = fit(model, lambda _: data, Mixture(1, 0, 1.0), Schedule(500, 800, 0.01))
    assert history[-1] < 1e-3 * history[0] and len(history) == 800


def test_the_rate_is_halved_on_a_plateau_and_only_there():
    def moved(plateau, steps):
        model = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.zeros_(model.weight)
        # Adam moves by the learning rate at each step, for a loss of constant slope that never improves
        schedule = Schedule(1, steps, 0.1, plateau=plateau)
        fit(model, lambda _: torch.ones(1, 1), lambda y, x: (y - y.detach()).sum() + 1, schedule)
        return -model.weight.item()

    assert moved(0, 900) == pytest.approx(90, rel=1e-3)
    assert moved(2, 400) == pytest.approx(40, rel=1e-3)  # one best mean, and three that are no better
    assert moved(2, 500) == pytest.approx(45, rel=1e-3)


def test_a_loss_that_runs_away_is_named_with_its_step():
    model = torch.nn.Linear(4, 4)
    with pytest.raises(UserError, match=r"at step \d+ with learning rate 1e\+30"):
        fit(model, lambda _: torch.ones(2, 4), Mixture(1, 0, 1.0), Schedule(2, 9, 1e30))


@pytest.mark.parametrize("size", [(2048, 32, 2, 1024), (64, 2048, 32, 64)])
def test_the_paper_profiles_of_waves_and_prices_run_for_two_steps_at_their_shapes(size):
    points, hidden, latent, batch = size
    model = perceptron_autoencoder(points, hidden, latent, seed=0)
    data = torch.randn(batch, points, generator=torch.Generator().manual_seed(0))
    history = fit(model, lambda _: data, Mixture(1, 128, 32.0), Schedule(batch, 2, 1e-3))
    assert np.isfinite(history).all()


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
        ({"draw": torch.ones(2, 4)}, "draw is a Tensor; a function is needed"),
        ({"draw": lambda _: np.ones((2, 4))}, "The batch is a ndarray; a tensor is needed"),
        ({"draw": lambda _: torch.ones(2, 4, requires_grad=True)}, r"give batch\.detach\(\)"),
        ({"loss": lambda x, y: 1.0}, "The loss is a float; a tensor is needed"),
        ({"loss": lambda x, y: y.sum()}, "lacks gradients; one number is needed"),
        ({"loss": lambda x, y: x}, r"The loss has shape \(2, 4\)"),
        ({"steps": 1.5}, "steps is 1.5"),
        ({"learning_rate": math.nan}, "learning_rate is nan"),
        ({"learning_rate": -1.0}, "learning_rate is -1.0"),
        ({"plateau": -1}, "plateau is -1"),
        ({"batch": 0}, "batch is 0"),
        ({"clip": 0.0}, "clip is 0.0"),
    ],
)
def test_what_cannot_be_fitted_is_refused(change, sentence):
    settings = {"model": torch.nn.Linear(4, 4), "draw": lambda _: torch.ones(2, 4), "loss": Mixture(1, 0, 1.0)}
    schedule = {"batch": 2, "steps": 2, "learning_rate": 0.1}
    settings |= {name: value for name, value in change.items() if name in settings}
    schedule |= {name: value for name, value in change.items() if name not in settings}
    with pytest.raises(UserError, match=sentence):
        fit(**settings, schedule=Schedule(**schedule))
