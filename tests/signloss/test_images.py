"""The variable-rate model: its likelihood, its rates, its bytes, and what is measured of it."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm
from skimage.metrics import peak_signal_noise_ratio

from shapeofloss.datasets.photographs import photograph
from shapeofloss.errors import UserError
from shapeofloss.experiments.images.range_coding import HEADER, compress, decompress
from shapeofloss.signloss.rate import measure_images, psnr
from shapeofloss.signloss.residual_vae import ResidualVAE, bits_of, drawn_weights, train_images, trained_model

MODEL = {"channels": 8, "latent": 3}
FITTING = {"side": 16, "batch": 4, "steps": 60, "learning_rate": 0.005, "lowest": 16.0, "highest": 1024.0}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # small convolutions are slower on two, and bytes are promised for one
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def trained():
    return train_images(
        seed=0, squared=1.0, directional=0.0, sharpness=9.6, names=["coffee"], **MODEL, **FITTING
    )  # fmt: skip


@pytest.fixture(scope="module")
def model(trained):
    return trained_model(trained["parameters"], **MODEL)


@pytest.fixture(scope="module")
def image():
    return 2 * torch.from_numpy(photograph("chelsea")[:61, :90].transpose(2, 0, 1) / 255).float() - 1


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
    again = train_images(seed=0, squared=1.0, directional=0.0, sharpness=9.6, names=["coffee"], **MODEL, **FITTING)
    assert np.array_equal(trained["parameters"], again["parameters"])
    assert trained["loss"][-10:].mean() < 0.5 * trained["loss"][:10].mean()


@pytest.mark.parametrize("weight", [16.0, 100.3, 1024.0])
def test_an_image_is_written_and_read_back_exactly_at_the_claimed_rate(model, image, weight):
    data, rebuilt, bits = compress(model, image, weight)
    assert rebuilt.shape == image.shape
    assert torch.equal(decompress(model, data), rebuilt)
    assert (len(data) - HEADER.size) * 8 == pytest.approx(bits, rel=0.02, abs=64)


def test_a_larger_weight_costs_more_bits_and_gives_a_nearer_image(model, image):
    coarse, fine = (compress(model, image, weight) for weight in (16.0, 1024.0))
    assert fine[2] > 1.3 * coarse[2]
    assert float((fine[1] - image).square().mean()) < float((coarse[1] - image).square().mean())


def test_other_bytes_are_refused(model, image):
    data, _, _ = compress(model, image, 64.0)
    spoiled = data[:20] + bytes([data[20] ^ 255]) + data[21:]
    for other in (spoiled, data[:-4], data + bytes(4), data[: HEADER.size]):
        with pytest.raises(UserError, match="cut short, or changed"):
            decompress(model, other)
    for nothing in (b"", b"123", data[:-1]):
        with pytest.raises(UserError, match="are no coded image"):
            decompress(model, nothing)
    with pytest.raises(UserError, match="all have to be positive"):
        decompress(model, HEADER.pack(0, 8, 1.0, 0))


@pytest.mark.parametrize("weight", [0.0, -1.0, math.nan, math.inf, 1e-60, 1e60, "2"])
def test_a_lambda_that_is_not_positive_is_refused(model, image, weight):
    with pytest.raises(UserError, match="lambda is"):
        compress(model, image, weight)


def test_what_is_no_image_is_refused(model):
    for wrong in (
        torch.full((3, 8, 8), math.nan),
        torch.zeros(3, 1, 70_000),
        torch.zeros(3, 0, 8),
        np.zeros((3, 8, 8)),
    ):
        with pytest.raises(UserError, match=r"finite|pixels|a tensor is needed"):
            compress(model, wrong, 16.0)
    with pytest.raises(UserError, match=r"\(3, height, width\) is needed"):
        compress(model, torch.zeros(1, 8, 8), 16.0)
    with pytest.raises(UserError, match="multiples of 8"):
        model(torch.zeros(1, 3, 12, 16), torch.ones(1))


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
        parameters=trained["parameters"], **MODEL, weights=[16.0, 1024.0], names=["chelsea"], side=32, count=3,
        seed=1, sharpness=9.6,
    )  # fmt: skip
    a, b = found["original"].astype(float), found["reconstruction"].astype(float)
    assert found["mse"].shape == (2, 3) and np.allclose(found["mse"][0], ((a - b) ** 2).mean(axis=(1, 2, 3)), rtol=1e-4)
    expected = [peak_signal_noise_ratio(x, y, data_range=1) for x, y in zip(a, b, strict=True)]
    assert np.allclose(found["psnr"][0], expected, atol=1e-3) and np.allclose(psnr(found["mse"]), found["psnr"])
    right = [np.sign(np.diff(a, axis=i)) != np.sign(np.diff(b, axis=i)) for i in (1, 2, 3)]
    assert np.all(found["exact"][0] <= sum(w.sum(axis=(1, 2, 3)) for w in right) / sum(w[0].size for w in right) + 1e-6)
    assert (found["bpp"][1] > found["bpp"][0]).all() and (found["persistence"] > 0).all()
    assert b.min() >= 0 and b.max() <= 1


def test_the_paper_profile_runs_for_a_step_at_its_patches():
    found = train_images(
        seed=0, squared=0.5, directional=0.5, sharpness=9.6, names=["coffee"], channels=64, latent=32, side=256,
        batch=2, steps=1, learning_rate=2e-4, lowest=16.0, highest=1024.0,
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


def test_an_image_in_double_precision_or_with_gradients_has_the_bytes_of_the_plain_one(model, image):
    data, rebuilt, _ = compress(model, image, 64.0)
    for other in (image.double(), image.clone().requires_grad_()):
        again, same, _ = compress(model, other, 64.0)
        assert again == data and torch.equal(same, rebuilt) and not same.requires_grad
    with pytest.raises(UserError, match=r"model\.float\(\)"):
        compress(ResidualVAE(**MODEL).double().eval(), image, 64.0)


@pytest.mark.parametrize(
    ("x", "weight", "sentence"),
    [
        ((3, 16, 16), [1.0], r"\(N, 3, height, width\) is needed"),
        ((2, 1, 16, 16), [1.0, 1.0], r"\(N, 3, height, width\) is needed"),
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
        measure_images(parameters=trained["parameters"], **MODEL, **settings)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"batch": 1.5}, "batch is 1.5"),
        ({"learning_rate": math.nan}, "learning_rate is nan"),
        ({"lowest": 0.0}, "lowest is 0.0"),
        ({"highest": 1.0}, "highest is 1.0; a finite number from 16"),
        ({"side": 12}, "multiples of 8"),
        ({"channels": 0}, "channels is 0"),
    ],
)
def test_trainings_that_cannot_be_made_are_refused(change, sentence):
    settings = {"seed": 0, "squared": 1.0, "directional": 0.0, "sharpness": 9.6, **MODEL, **FITTING, **change}
    with pytest.raises(UserError, match=sentence):
        train_images(names=["coffee"], **settings)


def test_a_signal_to_noise_ratio_needs_an_error_above_zero():
    assert np.allclose(psnr([1.0, 0.1, 0.001]), [0, 10, 30])
    for mse in ([0.1, 0.0], [-1.0], [math.nan]):
        with pytest.raises(UserError, match="mse"):
            psnr(mse)
