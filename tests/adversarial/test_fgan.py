"""f-GAN: the forms that a network is trained with against the table, their gradients, and a training in small."""

import numpy as np
import pytest
import torch

from shapeofloss.adversarial import fgan
from shapeofloss.adversarial.divergences import LOG_2, TABLE
from shapeofloss.adversarial.fgan import charge, reward
from shapeofloss.adversarial.quality import modes_covered, wasserstein
from shapeofloss.adversarial.training import GAN
from shapeofloss.distributions.mixtures import eight_gaussians
from shapeofloss.errors import UserError

torch.set_num_threads(1)  # small networks are quicker on one, and sums always have one order

KEYS = list(TABLE)
RAW = torch.linspace(-8, 8, 101, dtype=torch.float64)
SETTING = {
    "divergence": "js",
    "width": 16,
    "layers": 1,
    "batch": 32,
    "steps": 6,
    "critic_steps": 2,
    "learning_rate": 1e-3,
    "largest_step": 1.0,
    "samples": 200,
    "record_every": 3,
    "seed": 5,
}


@pytest.mark.parametrize("key", KEYS)
def test_reward_and_charge_are_the_activation_and_the_conjugate_behind_it(key):
    row = TABLE[key]
    values = row.activation(RAW.numpy())
    assert fgan.reward(key, RAW).numpy() == pytest.approx(values, rel=1e-12, abs=1e-14)
    assert fgan.charge(key, RAW).numpy() == pytest.approx(row.conjugate(values), rel=1e-8, abs=1e-12)


@pytest.mark.parametrize("key", KEYS)
def test_the_best_raw_output_balances_reward_and_charge(key):
    ratio = 1.7
    v = torch.tensor(TABLE[key].raw(np.float64(ratio)), requires_grad=True)
    (ratio * fgan.reward(key, v) - fgan.charge(key, v)).backward()
    assert v.grad.item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("key", ["reverse-kl", "js", "gan"])
def test_large_raw_outputs_do_not_overflow_in_single_precision(key):
    v = torch.tensor([18.0, 80.0], requires_grad=True)
    charge = fgan.charge(key, v)
    charge.sum().backward()
    assert charge.isfinite().all() and v.grad.tolist() == [1, 1]


def test_the_gan_row_is_the_gan_and_the_js_row_the_same_but_for_a_constant():
    real, fake = torch.randn(2, 50, generator=torch.Generator().manual_seed(0))
    own, other = fgan.objective("gan"), fgan.objective("js")
    assert own.critic_loss(real, fake).item() == pytest.approx(GAN.critic_loss(real, fake).item(), rel=1e-6)
    assert own.generator_loss(fake).item() == pytest.approx(GAN.generator_loss(fake).item(), rel=1e-6)
    shifted = own.critic_loss(real, fake).item() - 2 * LOG_2
    assert other.critic_loss(real, fake).item() == pytest.approx(shifted, rel=1e-5)


@pytest.mark.parametrize("key", KEYS)
def test_both_players_want_one_number(key):
    real, fake = torch.randn(2, 50, generator=torch.Generator().manual_seed(1))
    goal = fgan.objective(key)
    value = -goal.critic_loss(real, fake)
    assert value.item() == pytest.approx((fgan.reward(key, real).mean() + goal.generator_loss(fake)).item(), rel=1e-5)


def test_a_training_is_measured_from_its_start_and_can_be_repeated():
    found, again = fgan.fit_fgan(**SETTING), fgan.fit_fgan(**SETTING)
    assert found["at"].tolist() == [0, 3, 6] and found["stopped"] == ""
    assert found["points"].shape == (200, 2) and found["value"].shape == (6,)
    assert found["wasserstein"][0] > 0.3 and (found["modes"] <= 8).all()
    assert np.array_equal(found["points"], again["points"])


def test_measurements_are_those_of_the_last_samples_against_data():
    found = fgan.fit_fgan(**SETTING)
    data = eight_gaussians()(200, torch.Generator().manual_seed(5 + 10_000)).numpy()
    assert found["wasserstein"][-1] == pytest.approx(wasserstein(found["points"], data))
    assert found["modes"][-1] == modes_covered(found["points"], eight_gaussians()) < 8


def test_layers_are_counted_and_gradients_shortened():
    deep = fgan.fit_fgan(**(SETTING | {"layers": 2}))
    assert not np.array_equal(deep["points"], fgan.fit_fgan(**SETTING)["points"])
    quick = SETTING | {"learning_rate": 0.05}
    moved, still = (fgan.fit_fgan(**(quick | {"largest_step": own}))["wasserstein"] for own in (1.0, 1e-13))
    assert still[-1] == pytest.approx(still[0], rel=1e-3) and moved[-1] != pytest.approx(moved[0], rel=1e-2)


def test_a_training_that_explodes_keeps_its_measurements_and_names_step_and_row():
    setting = SETTING | {"divergence": "kl", "learning_rate": 30.0, "largest_step": 1e9, "steps": 50, "record_every": 1}
    found = fgan.fit_fgan(**setting)
    assert "at step" in found["stopped"] and "f-GAN, Kullback-Leibler" in found["stopped"]
    assert "learning rate 30" in found["stopped"]
    assert len(found["at"]) == len(found["wasserstein"]) >= 1


def test_a_row_that_does_not_exist_is_refused():
    with pytest.raises(UserError, match="Did you mean 'pearson'"):
        fgan.charge("pearsn", RAW)
    with pytest.raises(UserError, match="no f-divergence"):
        fgan.objective("total-variation")


def test_single_precision_overflows_where_the_numbers_do_and_a_training_says_so():
    low, high = torch.tensor([-100.0]), torch.tensor([100.0])
    for key, call, v in (("reverse-kl", reward, low), ("hellinger", reward, low), ("kl", charge, high)):
        single, double = (abs(call(key, x).item()) for x in (v, v.double()))
        assert single == np.inf and double > torch.finfo(torch.float32).max
    with pytest.raises(UserError, match="v is a ndarray; a tensor is needed"):
        reward("kl", np.zeros(2))
