"""The variable-rate model: its likelihood, its rates, and what is measured of it."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm
from skimage.metrics import peak_signal_noise_ratio
from small_vae import MODEL, SCHEDULE, TRAINING

from shapeofloss.errors import UserError
from shapeofloss.signloss.rate_distortion import measure_images
from shapeofloss.signloss.residual_vae import ResidualVAE, bits_of, drawn_weights, trained_model
from shapeofloss.signloss.train_models import train_images


@pytest.fixture(scope="module")
def trained():
    return train_images(**TRAINING)


@pytest.fixture(scope="module")
def model(trained):
    return trained_model(trained["parameters"], **MODEL)


def test_bits_are_those_of_a_normal_number_that_is_rounded_and_add_up_to_one():
    k = torch.arange(-40, 41, dtype=torch.float64)
    for scale in (0.05, 0.3, 1.0, 7.0):
        bits = bits_of(k, torch.full_like(k, scale))
        share = norm.cdf((k + 0.5) / scale) - norm.cdf((k - 0.5) / scale)
        likely = share > 1e-8
        assert np.allclose(bits[likely], -np.log2(share[likely]), rtol=1e-6)
        assert float((2**-bits).sum()) == pytest.approx(1, abs=1e-6)


def test_noise_in_training_costs_what_rounding_costs(model):
    x = 2 * torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)) - 1
    weight = torch.full((4,), 64.0)
    with torch.no_grad():
        _, rounded = model(x, weight)
        torch.manual_seed(0)
        noisy = torch.stack([model.train()(x, weight)[1] for _ in range(10)]).mean(dim=0)
        model.eval()
    assert torch.allclose(noisy, rounded, rtol=0.1)


def test_training_improves_and_repeats_to_the_bit(trained):
    again = train_images(**TRAINING)
    assert np.array_equal(trained["parameters"], again["parameters"])
    assert trained["loss"][-10:].mean() < 0.5 * trained["loss"][:10].mean()


@pytest.mark.parametrize("change", [[0.0], [0.0] * 5000, -1])
def test_parameters_of_another_model_are_refused_also_too_many(trained, change):
    given = trained["parameters"][:-1] if change == -1 else np.append(trained["parameters"], change)
    with pytest.raises(UserError, match=rf"shape \({len(given)},\); \({len(trained['parameters'])},\) is"):
        trained_model(given, **MODEL)


def test_weights_are_uniform_in_their_logarithm():
    found = drawn_weights(20_000, 16.0, 1024.0, torch.Generator().manual_seed(0)).log2()
    assert float(found.min()) >= 4 and float(found.max()) <= 10
    assert float(found.mean()) == pytest.approx(7, abs=0.05) and float(found.std()) == pytest.approx(
        6 / 12**0.5, rel=0.02
    )


def test_what_is_measured_agrees_with_libraries_and_depends_on_the_weight(trained):
    found = measure_images(
        parameters=trained["parameters"], network=MODEL, weights=[16.0, 1024.0], names=["chelsea"], side=32, count=3,
        seed=1, sharpness=9.6,
    )  # fmt: skip
    a, b = found["original"].astype(float), found["reconstruction"].astype(float)
    assert found["mse"].shape == (2, 3) and np.allclose(found["mse"][0], ((a - b) ** 2).mean(axis=(1, 2, 3)), rtol=1e-4)
    expected = [peak_signal_noise_ratio(x, y, data_range=1) for x, y in zip(a, b, strict=True)]
    assert np.allclose(found["psnr"][0], expected, atol=1e-3) and np.allclose(
        -10 * np.log10(found["mse"]), found["psnr"]
    )
    right = [np.sign(np.diff(a, axis=i)) != np.sign(np.diff(b, axis=i)) for i in (1, 2, 3)]
    assert np.all(found["exact"][0] <= sum(w.sum(axis=(1, 2, 3)) for w in right) / sum(w[0].size for w in right) + 1e-6)
    assert (found["bpp"][1] > found["bpp"][0]).all() and (found["persistence"] > 0).all()
    assert b.min() >= 0 and b.max() <= 1


def test_the_paper_profile_runs_for_a_step_at_its_patches():
    found = train_images(
        seed=0, loss={"squared": 0.5, "directional": 0.5, "sharpness": 9.6}, names=["coffee"], side=256,
        network={"channels": 64, "latent": 32}, schedule={"batch": 2, "steps": 1, "learning_rate": 2e-4},
        weights=[16.0, 1024.0],
    )  # fmt: skip
    assert math.isfinite(found["loss"][0]) and np.isfinite(found["parameters"]).all()
    assert len(found["parameters"]) == sum(p.numel() for p in ResidualVAE(64, 32).parameters())


def test_parameters_in_double_precision_give_the_same_model(trained, model):
    twice = trained_model(trained["parameters"].astype(np.float64), **MODEL)
    for one, other in zip(twice.parameters(), model.parameters(), strict=True):
        assert one.dtype == torch.float32 and torch.equal(one, other)
    spoiled = trained["parameters"].copy()
    spoiled[3] = math.nan
    with pytest.raises(UserError, match="1 value that is not finite"):
        trained_model(spoiled, **MODEL)


@pytest.mark.parametrize(
    ("x", "weight", "sentence"),
    [
        ((3, 16, 16), [1.0], r"\(N, 3, height, width\) is needed"),
        ((2, 1, 16, 16), [1.0, 1.0], r"\(N, 3, height, width\) is needed"),
        ((1, 3, 12, 16), [1.0], "multiples of 8"),
        ((2, 3, 16, 16), [1.0], "one positive finite number for each of 2 images"),
        ((1, 3, 16, 16), [-1.0], "one positive finite number"),
        ((1, 3, 16, 16), [math.nan], "one positive finite number"),
    ],
)
def test_images_and_weights_that_do_not_fit_are_refused(model, x, weight, sentence):
    with pytest.raises(UserError, match=sentence):
        model(torch.zeros(x), torch.tensor(weight))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"weights": []}, "weights is empty"),
        ({"weights": [16.0, 0.0]}, "A weight is 0.0; a finite number above 0"),
        ({"count": 0}, "count is 0; a whole number from 1"),
        ({"side": 20}, "multiples of 8"),
        ({"seed": -1}, "seed is -1; a whole number from 0"),
    ],
)
def test_measurements_that_cannot_be_made_are_refused(trained, change, sentence):
    settings = {"weights": [16.0], "names": ["chelsea"], "side": 16, "count": 1, "seed": 0, "sharpness": 9.6, **change}
    with pytest.raises(UserError, match=sentence):
        measure_images(parameters=trained["parameters"], network=MODEL, **settings)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"batch": 1.5}, "batch is 1.5"),
        ({"learning_rate": math.nan}, "learning_rate is nan"),
        ({"weights": [0.0, 1.0]}, "lowest is 0.0"),
        ({"weights": [16.0, 1.0]}, "highest is 1.0; a finite number from 16"),
        ({"side": 12}, "multiples of 8"),
        ({"network": {"channels": 0, "latent": 3}}, "channels is 0"),
    ],
)
def test_trainings_that_cannot_be_made_are_refused(change, sentence):
    if {*change} & {*SCHEDULE}:
        change = {"schedule": {**SCHEDULE, **change}}
    with pytest.raises(UserError, match=sentence):
        train_images(**{**TRAINING, **change})
