"""f-GANs in small: what is measured, and how a training ends that explodes."""

import numpy as np
import pytest
import torch

from shapeofloss.adversarial.quality import modes_covered, wasserstein
from shapeofloss.distributions.mixtures import eight_gaussians
from shapeofloss.errors import UserError
from shapeofloss.experiments.f_divergences.games import fit_fgan

torch.set_num_threads(1)  # small networks are quicker on one, and sums always have one order

SETTING = {
    "divergence": "js",
    "width": 16,
    "batch": 32,
    "steps": 6,
    "critic_steps": 2,
    "learning_rate": 1e-3,
    "largest_step": 1.0,
    "samples": 200,
    "record_every": 3,
    "seed": 5,
}


def test_a_training_is_measured_from_its_start_and_can_be_repeated():
    found, again = fit_fgan(**SETTING), fit_fgan(**SETTING)
    assert found["at"].tolist() == [0, 3, 6]
    assert found["points"].shape == (200, 2)
    assert found["wasserstein"][0] > 0.3 and (found["modes"] <= 8).all()
    assert np.array_equal(found["points"], again["points"])


def test_measurements_are_those_of_the_last_samples_against_data():
    found = fit_fgan(**SETTING)
    data = eight_gaussians()(200, torch.Generator().manual_seed(5 + 10_000)).numpy()
    assert found["wasserstein"][-1] == pytest.approx(wasserstein(found["points"], data))
    assert found["modes"][-1] == modes_covered(found["points"], eight_gaussians()) < 8


def test_gradients_are_shortened():
    quick = SETTING | {"learning_rate": 0.05}
    moved, still = (fit_fgan(**(quick | {"largest_step": size}))["wasserstein"] for size in (1.0, 1e-13))
    assert still[-1] == pytest.approx(still[0], rel=1e-3) and moved[-1] != pytest.approx(moved[0], rel=1e-2)


def test_a_training_that_explodes_names_step_and_row():
    wild = {"divergence": "kl", "learning_rate": 30.0, "largest_step": 1e9, "steps": 50, "record_every": 1}
    with pytest.raises(UserError, match=r"at step \d+ of f-GAN, Kullback-Leibler .* learning rate 30"):
        fit_fgan(**(SETTING | wild))
