"""f-GAN: the forms that a network is trained with against the table, and their gradients."""

import numpy as np
import pytest
import torch

from shapeofloss.adversarial import fgan
from shapeofloss.adversarial.divergences import LOG_2, TABLE
from shapeofloss.adversarial.fgan import charge, reward
from shapeofloss.adversarial.objectives import MINIMAX
from shapeofloss.errors import UserError

torch.set_num_threads(1)  # small networks are quicker on one, and sums always have one order

KEYS = list(TABLE)
RAW = torch.linspace(-8, 8, 101, dtype=torch.float64)


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
    assert own.critic_loss(real, fake).item() == pytest.approx(MINIMAX.critic_loss(real, fake).item(), rel=1e-6)
    assert own.generator_loss(fake).item() == pytest.approx(MINIMAX.generator_loss(fake).item(), rel=1e-6)
    shifted = own.critic_loss(real, fake).item() - 2 * LOG_2
    assert other.critic_loss(real, fake).item() == pytest.approx(shifted, rel=1e-5)


@pytest.mark.parametrize("key", KEYS)
def test_both_players_want_one_number(key):
    real, fake = torch.randn(2, 50, generator=torch.Generator().manual_seed(1))
    goal = fgan.objective(key)
    value = -goal.critic_loss(real, fake)
    assert value.item() == pytest.approx((fgan.reward(key, real).mean() + goal.generator_loss(fake)).item(), rel=1e-5)


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
