"""One update of a critic: what it subtracts, what it refuses, and which layers may have a penalty."""

import math

import numpy as np
import pytest
import torch
from critics import Slope, assert_differences, source
from torch import nn

from shapeofloss.adversarial.constraints import GradientPenalty, gradient_norms
from shapeofloss.adversarial.objectives import WASSERSTEIN
from shapeofloss.adversarial.steps import critic_step
from shapeofloss.errors import UserError


def test_one_step_subtracts_the_penalty_from_what_the_critic_maximises():
    # f(x) = 3 x_1, data at 1 and samples at 0: value 3, and the derivatives of value and penalty are 1 and 2 (3 - 1).
    critic = Slope(3.0, 0.0)
    real, fake = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 0.0]])
    optimizer = torch.optim.SGD(critic.parameters(), lr=0.1)
    value, norm = critic_step(
        critic, optimizer, WASSERSTEIN, real, fake, constraint=GradientPenalty(0.5), generator=source()
    )
    assert (value, norm) == (3.0, 3.0)
    assert critic.v.tolist() == pytest.approx([3.0 + 0.1 * (1 - 0.5 * 4), 0.0])


def test_a_gradient_is_shortened_to_the_largest_step():
    critic = Slope(0.0, 0.0)
    optimizer = torch.optim.SGD(critic.parameters(), lr=1.0)
    critic_step(
        critic,
        optimizer,
        WASSERSTEIN,
        torch.tensor([[3.0, 4.0]]),
        torch.zeros(1, 2),
        generator=source(),
        largest_step=1.0,
    )
    assert critic.v.tolist() == pytest.approx([0.6, 0.8], rel=1e-4)


def step(critic, real, fake, **settings):
    optimizer = torch.optim.SGD(critic.parameters(), lr=0.1)
    return critic_step(critic, optimizer, WASSERSTEIN, real, fake, **{"generator": source(), **settings})


def test_one_step_refuses_what_a_training_refuses():
    real = torch.ones(3, 2)
    for change, sentence in (
        ({"constraint": 1.0}, "The constraint is 1.0"),
        ({"largest_step": 0.0}, "largest_step is 0"),
        ({"generator": 0}, "The source of random numbers is 0"),
        ({"fake": torch.ones(2, 2), "constraint": GradientPenalty(1.0)}, "as many of both for a penalty"),
        ({"fake": torch.ones(0, 2)}, "some of both"),
        ({"fake": np.ones((3, 2))}, "fake is a ndarray; a tensor"),
    ):
        with pytest.raises(UserError, match=sentence):
            step(Slope(1.0, 0.0), **{"real": real, "fake": real, **change})
    with torch.no_grad(), pytest.raises(UserError, match=r"outside of torch.no_grad\(\)"):
        step(Slope(1.0, 0.0), real, real)
    assert step(Slope(2.0, 0.0), real, torch.zeros(1, 2))[0] == 2  # unequal batches do without a penalty


def test_scores_are_one_for_each_point():
    class Patches(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.ones(1))

        def forward(self, x):
            return self.w * nn.functional.avg_pool2d(x, 4)

    with pytest.raises(UserError, match=r"12 points scores of shape \(12, 1, 2, 2\)"):
        step(Patches(), torch.ones(6, 1, 8, 8), torch.zeros(6, 1, 8, 8))
    with pytest.raises(UserError, match=r"take the mean of patches"):
        gradient_norms(Patches(), torch.ones(6, 1, 8, 8))
    value, _ = step(
        nn.Sequential(Patches(), nn.Flatten(), nn.Linear(4, 1)), torch.ones(6, 1, 8, 8), torch.ones(6, 1, 8, 8)
    )
    assert value == 0


class Less(nn.Module):
    """A critic with something in the middle."""

    def __init__(self, middle):
        super().__init__()
        self.first, self.last, self.middle = nn.Linear(2, 4), nn.Linear(4, 1), middle

    def forward(self, x):
        return self.last(self.middle(self.first(x)))


MIXING = {
    "mean": lambda h: h - h.mean(0),
    "functional": lambda h: nn.functional.batch_norm(h, None, None, training=True),
    "spread": lambda h: h * h.std(0, correction=0).mean(),
    "softmax over the batch": lambda h: h.softmax(0),
    "neighbour": lambda h: h + h.roll(1, 0),
}


@pytest.mark.parametrize("kind", MIXING)
def test_a_critic_whose_score_depends_on_the_batch_has_no_penalty_whatever_its_layers_are_called(kind):
    torch.manual_seed(0)
    real, fake = torch.randn(2, 6, 2, generator=source()).unbind()
    critic = Less(MIXING[kind])
    x = torch.cat([real, fake])
    assert not torch.allclose(critic(x)[:1], critic(x[:6])[:1])  # a point in another batch
    with pytest.raises(UserError, match="depends on the other points of its batch"):
        step(critic, real, fake, constraint=GradientPenalty(1.0))
    assert math.isfinite(step(critic, real, fake)[0])


def test_layers_that_leave_points_alone_have_a_penalty():
    torch.manual_seed(0)
    quiet = nn.BatchNorm1d(4).eval()  # with its running averages, a score is of its own point
    for layer in (nn.LayerNorm(4), nn.GroupNorm(2, 4), nn.Dropout(0.5), nn.ReLU(), quiet):
        value, norm = step(Less(layer), *torch.randn(2, 6, 2).unbind(), constraint=GradientPenalty(1.0))
        assert math.isfinite(value) and math.isfinite(norm)


def test_attention_has_gradients_by_points_that_agree_with_differences_and_a_penalty():
    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.up, self.down = nn.Linear(1, 4), nn.Linear(4, 1)
            self.layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True, activation="gelu")

        def forward(self, x):
            return self.down(self.layer(self.up(x[..., None])).mean(1))

    torch.manual_seed(0)
    critic = Attention()
    assert math.isfinite(step(critic, torch.randn(6, 3), torch.randn(6, 3), constraint=GradientPenalty(1.0))[1])
    critic.double()
    x = torch.randn(4, 3).double()
    assert_differences(critic, x)
