"""Critics with a penalty, against closed forms and functions from pencil and paper."""

import numpy as np
import pytest
import torch
from torch import nn

from shapeofloss.adversarial.constraints import GradientPenalty, OneSidedPenalty
from shapeofloss.distributions.clouds import gaussian
from shapeofloss.errors import UserError
from shapeofloss.experiments.duality.critics import fit_lipschitz_critic


def test_the_one_sided_penalty_leaves_slopes_below_one_alone():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(5, 2, generator=generator)
    for slope, two_sided, one_sided in ((0.5, 0.5, 1.0), (3.0, 3.0, 3.0)):
        critic = nn.Linear(2, 1)
        with torch.no_grad():
            critic.weight.copy_(torch.tensor([[slope, 0.0]]))
        assert GradientPenalty(1.0).norms(critic, x, x + 1, generator).tolist() == pytest.approx([two_sided] * 5)
        assert OneSidedPenalty(1.0).norms(critic, x, x + 1, generator).tolist() == pytest.approx([one_sided] * 5)


def settings(every=100):
    return {"training": {"hidden": 8, "batch": 32, "steps": 100, "learning_rate": 0.02, "every": every}}


def test_a_critic_of_shifted_clouds_reads_the_shift_from_below_and_raw_from_above():
    x, y = (gaussian(100, 2, 0) + np.array([shift, 0]) for shift in (0.0, 3.0))
    clouds = {"places": np.concatenate([x, y]), "fresh_x": x, "fresh_y": y}
    found = fit_lipschitz_critic(x, y, 0, penalty=10.0, **settings(every=50), **clouds)
    assert found["at"].tolist() == [0, 50, 100] and found["f"].shape == (200,)
    assert 2.4 < found["value"][-1] / found["slope"][-1] <= 3
    assert found["value"][-1] > 3


def test_records_say_what_the_critic_says_where_it_is_asked():
    x, y = gaussian(40, 1, 0), gaussian(40, 1, 1, shift=2)
    places = np.concatenate([x, y])
    found = fit_lipschitz_critic(
        x, y, 0, penalty=10.0, one_sided=True, **settings(), places=places, fresh_x=x, fresh_y=y
    )
    assert found["at"].tolist() == [0, 100]
    assert found["value"][-1] == pytest.approx(found["f"][:40].mean() - found["f"][40:].mean(), abs=1e-5)
    order = places[:, 0].argsort()
    secants = np.abs(np.diff(found["f"][order]) / np.diff(places[order, 0]))
    assert secants.max() <= found["slope"][-1] * 1.01


def test_what_is_no_cloud_is_refused():
    d, row = np.eye(3), np.ones(3)
    with pytest.raises(UserError, match="cloud fresh_y"):
        fit_lipschitz_critic(d, d, 0, penalty=1.0, **settings(), places=d, fresh_x=d, fresh_y=row)
    with pytest.raises(UserError, match="cloud x"):
        fit_lipschitz_critic(row, row, 0, penalty=1.0, **settings(), places=d, fresh_x=d, fresh_y=d)
