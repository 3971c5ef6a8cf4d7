"""Whole trainings on toy distributions: what is recorded, and what a new discriminator reads of known divergences."""

import numpy as np
import pytest
import torch

from shapeofloss.adversarial.quality import wasserstein
from shapeofloss.adversarial.toy_runs import fresh_divergence, toy_run
from shapeofloss.adversarial.training import rmsprop
from shapeofloss.distributions.mixtures import Mixture, eight_gaussians
from shapeofloss.errors import UserError

TINY = {"schedule": {"steps": 4, "critic_steps": 1, "warm_up": 1, "batch": 16, "cosine": True}, "rates": [1e-3, 1e-3]}
TINY |= {"width": 8, "checkpoints": 2, "samples": 200, "seed": 0}


@pytest.mark.parametrize("method", ["minimax GAN", "non-saturating GAN", "WGAN", "WGAN-GP"])
def test_every_method_records_exact_measures_at_its_checkpoints(method):
    found = toy_run(distribution="8 Gaussians", method=method, strength=0.1, **TINY)
    assert found["at"].tolist() == [0, 2, 4] and found["samples"].shape == (3, 200, 2)
    assert found["wasserstein"][-1] == pytest.approx(wasserstein(found["samples"][-1], found["data"]))
    assert np.isfinite(found["norms"]).all() == (method == "WGAN-GP") and np.isfinite(found["values"]).all()
    assert ((found["modes"] >= 0) & (found["modes"] <= 8)).all() and found["jensen_shannon"].size == 0
    if "GAN" in method.split():  # log-probabilities: a discriminator's value is negative
        assert (found["value"] < 0).all()


def test_each_network_has_its_own_rate():
    still = toy_run(distribution="8 Gaussians", method="WGAN", strength=0.1, **{**TINY, "rates": [1e-3, 0.0]})
    assert np.array_equal(still["samples"][0], still["samples"][-1]) and still["value"][0] != still["value"][-1]
    with_idle_critic = toy_run(
        distribution="8 Gaussians", method="WGAN-GP", strength=0.1, **{**TINY, "rates": [0.0, 1e-3]}
    )
    assert not np.array_equal(with_idle_critic["samples"][0], with_idle_critic["samples"][-1])


def test_the_first_step_of_rmsprop_is_no_longer_than_its_rate():
    weight = torch.nn.Parameter(torch.zeros(3))
    optimizer = rmsprop(0.01)([weight])
    (weight * torch.tensor([2.0, -30.0, 0.5])).sum().backward()
    optimizer.step()
    assert torch.allclose(weight.detach(), torch.tensor([-0.01, 0.01, -0.01]), rtol=1e-4)


def test_new_discriminators_read_every_checkpoint_but_the_first():
    found = toy_run(distribution="swiss roll", method="minimax GAN", fresh_steps=2, **TINY)
    assert found["jensen_shannon"].shape == (2,) and (found["modes"] == -1).all()


def test_a_new_discriminator_on_waves_reads_a_divergence_that_a_perceptron_is_blind_for():
    # Eight modes of deviation 0.0141 against 0.05 in the same places; the exact value is a radial integral.
    law = eight_gaussians()
    other, r = Mixture(law.modes, 0.05), np.linspace(1e-9, 0.6, 100_001)
    p, q = (r / s**2 * np.exp(-(r**2) / (2 * s**2)) for s in (law.deviation, 0.05))
    m = np.maximum((p + q) / 2, 1e-300)
    exact = np.trapezoid(sum(own * np.log(np.maximum(own, 1e-300) / m) for own in (p, q)) / 2, r)
    assert fresh_divergence(law, other, steps=100, seed=0) == pytest.approx(exact, rel=0.08)
    assert fresh_divergence(law, other, steps=30, seed=0, waves=False) < 0.1 * exact


def test_a_new_discriminator_reads_next_to_nothing_between_a_distribution_and_itself():
    assert fresh_divergence(eight_gaussians(), eight_gaussians(), steps=30, seed=0) < 0.01


def test_unknown_methods_and_uneven_checkpoints_are_refused():
    with pytest.raises(UserError, match="Did you mean 'WGAN-GP'"):
        toy_run(distribution="swiss roll", method="WGAN GP", **TINY)
    with pytest.raises(UserError, match="equal parts"):
        toy_run(distribution="swiss roll", method="WGAN", strength=0.1, **{**TINY, "checkpoints": 3})
