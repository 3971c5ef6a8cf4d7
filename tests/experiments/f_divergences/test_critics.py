"""Critics on the variational bound: near the truth and below it, and what few samples do to them."""

import numpy as np
import pytest
import torch

from shapeofloss.adversarial.densities import critic_bound, densities, quadrature
from shapeofloss.adversarial.divergences import TABLE
from shapeofloss.errors import UserError
from shapeofloss.experiments.f_divergences.critics import fit_bound_critic

torch.set_num_threads(1)  # small networks are quicker on one, and sums always have one order

each_row = pytest.mark.parametrize("row", TABLE.values(), ids=lambda row: row.key)
FIRST, SECOND = [0.0, 1.0], [1.0, 1.2]
SETTING = {
    "first": FIRST,
    "second": SECOND,
    "width": 32,
    "batch": 512,
    "steps": 300,
    "learning_rate": 1e-2,
    "examples": 1000,
    "seed": 3,
}


@each_row
def test_a_critic_that_is_trained_on_samples_comes_within_two_per_cent_and_not_above(row):
    found = fit_bound_critic(divergence=row.key, **SETTING)
    laws = densities(FIRST, SECOND)
    shift = np.log(4) if row.key == "gan" else 0.0
    value = quadrature(row, laws) + shift
    first, *_, last = (critic_bound(row.key, raw, laws) + shift for raw in found["raw"])
    assert first < 0.9 * value and 0.98 * value < last <= value * (1 + 1e-9)
    assert found["monte_carlo"].mean() + shift == pytest.approx(last, rel=0.2)
    assert found["at"].tolist() == list(range(0, 301, 15)) and np.isnan(found["training"])


def test_a_critic_of_few_samples_flatters_itself():
    found = fit_bound_critic(divergence="kl", points=20, **SETTING)
    laws = densities(FIRST, SECOND)
    assert found["training"] > quadrature(TABLE["kl"], laws) > critic_bound("kl", found["raw"][-1], laws)
    assert found["monte_carlo"].mean() < found["training"] / 2  # on samples that it has not seen


def test_a_loss_that_is_not_finite_stops_with_step_and_row():
    with pytest.raises(UserError, match=r"at step .* of f-GAN, Kullback-Leibler .* learning rate 1000"):
        fit_bound_critic(divergence="kl", **(SETTING | {"learning_rate": 1000.0}))
