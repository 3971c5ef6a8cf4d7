"""The VAE on digits: densities against PyTorch's distributions, bounds that hold for any training, wrong input."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from shapeofloss.errors import UserError
from shapeofloss.experiments.likelihood_free.vae import (
    FLATTEST,
    PRIORS,
    VAE,
    Architecture,
    Codes,
    fit_vae,
    log_aggregated,
)

NETWORK = {"dimension": 2, "width": 8, "flow_layers": 2, "flow_width": 4}
FIT = {"batch": 16, "learning_rate": 0.01, "draws": 4, "checkpoints": 2, "shown": 3}
TINY = {"train": 40, "dropout": 0.1, "steps": 4, "importance": 20, "network": NETWORK, "fit": FIT, "seed": 900}


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def tiny_vae():
    return VAE(Architecture(**NETWORK), prior="standard", dropout=0.0, generator=source())


def codes(count=5, dimension=3):
    generator = source(1)
    return Codes(*(torch.randn(count, dimension, generator=generator, dtype=torch.float64) for _ in range(2)))


def test_the_density_of_codes_is_that_of_independent_normal_distributions():
    own = codes()
    z = own.sample(source())
    expected = Independent(Normal(own.m, own.log_sigma.exp()), 1).log_prob(z)
    assert torch.allclose(own.log_prob(z), expected)


def test_codes_have_their_mean_and_deviation():
    own = Codes(torch.full((20_000, 1), 3.0), torch.full((20_000, 1), math.log(0.5)))
    z = own.sample(source())
    assert z.mean().item() == pytest.approx(3, abs=0.02)
    assert z.std().item() == pytest.approx(0.5, abs=0.02)


def test_the_aggregated_posterior_is_pytorchs_mixture():
    own, z = codes(), torch.randn(7, 3, generator=source(2), dtype=torch.float64)
    parts = Independent(Normal(own.m, own.log_sigma.exp()), 1)
    expected = MixtureSameFamily(Categorical(torch.ones(5).double()), parts).log_prob(z)
    assert torch.allclose(log_aggregated(z, own), expected)


def test_the_aggregated_posterior_stays_precise_for_narrow_distributions_far_out():
    own = Codes(torch.full((1, 2), 30.0), torch.full((1, 2), FLATTEST))
    z = torch.full((1, 2), 30.0) + math.exp(FLATTEST)
    expected = -1 - 2 * FLATTEST - math.log(2 * math.pi)
    assert log_aggregated(z, own).item() == pytest.approx(expected, abs=1e-2)


def test_chances_of_an_image_and_of_its_negative_add_up_pixel_by_pixel():
    model = tiny_vae()
    with torch.no_grad():
        model.decoder[-1].weight.zero_()
        model.decoder[-1].bias.zero_()
    found = model.log_likelihood(torch.ones(3, 64), torch.randn(3, 2, generator=source()))
    assert found.tolist() == pytest.approx([-64 * math.log(2)] * 3, rel=1e-6)


def test_code_distributions_are_not_narrower_than_their_bound():
    model = tiny_vae()
    with torch.no_grad():
        model.encoder[-1].bias.fill_(-100.0)
    assert model.encode(torch.zeros(1, 64)).log_sigma.min() == FLATTEST


@pytest.mark.parametrize("prior", PRIORS)
def test_a_short_training_returns_what_it_says(prior):
    found = fit_vae(prior=prior, **TINY)
    assert found["at"].tolist() == [0, 2, 4]
    assert found["train_elbo"].shape == found["test_elbo"].shape == (3,)
    assert all(found[name].shape == (3, 64) for name in ("images", "rebuilt", "drawn"))
    assert 0 <= found["drawn"].min() <= found["drawn"].max() <= 1
    assert found["information"][0] < math.log(797) + 4 * found["information"][1]
    assert found["many_draws"] > found["one_draw"]
    numbers = [value for value in found.values() if isinstance(value, np.ndarray)]
    assert all(np.isfinite(array).all() for array in numbers)


@pytest.mark.parametrize("prior", PRIORS)
def test_the_parts_add_up_within_their_errors(prior):
    # After 150 steps the codes of test images are not where those of training images are: a mix-up of the two shows.
    found = fit_vae(prior=prior, **{**TINY, "steps": 150, "dropout": 0.0, "fit": {**FIT, "draws": 40}})
    (elbo, e), (known, r), (told, i), (missed, k) = (
        found[name] for name in ("elbo", "reconstruction", "information", "marginal")
    )
    assert abs(elbo - (known - told - missed)) < 5 * math.hypot(e, r, i, k)
    assert min(e, r, i, k) > 0


def test_training_raises_the_bound():
    found = fit_vae(prior="standard", **{**TINY, "steps": 60, "importance": 0})
    assert found["test_elbo"][-1] > found["test_elbo"][0] + 10


def test_the_same_seed_gives_the_same_numbers():
    first, second = (fit_vae(prior="flow", **TINY) for _ in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"prior": "flat"}, "There is no prior 'flat'"),
        ({"fit": {**FIT, "draws": 1}}, "draws is 1; a whole number from 2"),
        ({"fit": {**FIT, "checkpoints": 3}}, "cannot be divided"),
        (
            {"fit": {**FIT, "learning_rate": 1e30}},
            r"The loss is (nan|inf) at step \d of a VAE with standard prior .* rate 1e\+30",
        ),
    ],
)
def test_wrong_settings_get_their_sentence(change, sentence):
    with pytest.raises(UserError, match=sentence):
        fit_vae(**{"prior": "standard", **TINY, **change})


def test_a_vae_with_dropout_repeats_from_its_seed_and_leaves_the_global_state_alone():
    found = []
    for before in (1, 2):
        torch.manual_seed(before)
        state = torch.get_rng_state()
        found.append(fit_vae(**{"prior": "standard", **TINY, "dropout": 0.5}))
        assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(found[0]["train_elbo"], found[1]["train_elbo"])


def test_codes_are_two_tensors_of_one_shape():
    with pytest.raises(UserError, match=r"log sigma \(2, 2\); both need \(n, d\)"):
        Codes(torch.zeros(3, 2), torch.zeros(2, 2))
    with pytest.raises(UserError, match=r"\(N, d\) and \(n, d\) are needed"):
        log_aggregated(torch.zeros(4, 3), Codes(torch.zeros(3, 2), torch.zeros(3, 2)))
    with pytest.raises(UserError, match="source of random numbers is 0"):
        Codes(torch.zeros(3, 2), torch.zeros(3, 2)).sample(0)
