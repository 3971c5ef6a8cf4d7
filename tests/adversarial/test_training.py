"""Networks, constraints and the training loop: closed forms on lines and normal laws, and what stops a training."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from shapeofloss.adversarial.networks import perceptron
from shapeofloss.adversarial.penalty import Clip, GradientPenalty, between, gradient_norms, input_gradients
from shapeofloss.adversarial.training import (
    GAN,
    NON_SATURATING,
    WASSERSTEIN,
    Objective,
    critic_step,
    jensen_shannon,
    train,
    train_critic,
)
from shapeofloss.distributions.mixtures import choices, eight_gaussians, normal
from shapeofloss.errors import UserError

ADAM = partial(torch.optim.Adam, lr=1e-2, betas=(0.5, 0.9))
SGD = partial(torch.optim.SGD, lr=0.1)


def source(seed=0):
    return torch.Generator().manual_seed(seed)


class Slope(nn.Module):
    """f(x) = <v, x>."""

    def __init__(self, *v):
        super().__init__()
        self.v = nn.Parameter(torch.tensor(v))

    def forward(self, x):
        return x @ self.v


class Shift(nn.Module):
    """A generator that moves its noise by theta along the first axis."""

    def __init__(self, theta):
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(theta))

    def forward(self, z):
        return z + self.theta * torch.tensor([1.0, 0.0])


def line(count, rng):
    """Points (0, U[0, 1])."""
    return torch.stack([torch.zeros(count), torch.rand(count, generator=rng)], dim=1)


# Networks


def test_a_perceptron_repeats_from_its_source_and_keeps_the_size_of_its_input():
    net, again = (perceptron((50, 400, 400, 400, 10), generator=source()) for _ in range(2))
    x = torch.randn(2000, 50, generator=source(1))
    assert torch.equal(net(x), again(x))
    assert 0.5 < net(x).square().mean() < 1.5


@pytest.mark.parametrize("sizes", [(2,), (2, 0, 1)])
def test_a_perceptron_needs_an_input_and_an_output(sizes):
    with pytest.raises(UserError, match=r"of a perceptron is 0|cannot have sizes"):
        perceptron(sizes, generator=source())


# Constraints


def assert_differences(critic, x):
    """Compare the gradient at each point, shape (N, 3), with central differences."""
    found = input_gradients(critic, x)
    for axis in range(3):
        small = 1e-5 * torch.eye(3).double()[axis]
        difference = (critic(x + small) - critic(x - small)).detach().flatten() / 2e-5
        assert torch.allclose(found[:, axis], difference, atol=1e-8)


def test_gradients_for_each_point_are_those_of_finite_differences():
    critic = perceptron((3, 16, 16, 1), generator=source(), activation=nn.SiLU).double()
    x = torch.randn(5, 3, generator=source(1)).double()
    assert_differences(critic, x)


def test_the_norm_runs_over_all_coordinates_of_a_point_and_over_no_others():
    critic = nn.Sequential(nn.Flatten(), Slope(*[2.0] * 12))
    norms = gradient_norms(critic, torch.randn(5, 3, 2, 2))
    assert norms.shape == (5,) and torch.allclose(norms, torch.tensor(math.sqrt(48.0)))


def test_the_penalty_of_a_constant_critic_has_finite_derivatives():
    critic, penalty = Slope(0.0, 0.0), GradientPenalty(1.0)
    loss = (penalty.norms(critic, torch.zeros(4, 2), torch.ones(4, 2), source()) - 1).square().mean()
    loss.backward()
    assert loss.item() == 1 and critic.v.grad.isfinite().all()


def test_points_between_pairs_lie_on_their_segments_at_uniform_places():
    real, fake = torch.zeros(4000, 2), torch.tensor([[3.0, 4.0]]).repeat(4000, 1)
    x = between(real, fake, source())
    place = x.norm(dim=1) / 5
    assert torch.allclose(x, place[:, None] * fake, atol=1e-6)
    assert place.mean() == pytest.approx(0.5, abs=0.02) and place.var() == pytest.approx(1 / 12, abs=0.01)


def test_each_pair_has_a_place_of_its_own_also_for_images():
    x = between(torch.zeros(50, 1, 2, 2), torch.ones(50, 1, 2, 2), source())
    assert torch.equal(x.flatten(1).amin(1), x.flatten(1).amax(1)) and len(x.flatten(1)[:, 0].unique()) == 50


def test_coupled_pairs_are_those_of_an_optimal_plan():
    class Recorder(nn.Module):
        def forward(self, x):
            self.seen = x.detach()
            return x.sum(dim=1)

    real = torch.tensor([[0.0], [10.0], [20.0]])
    fake = torch.tensor([[21.0], [1.0], [11.0]])
    critic = Recorder()
    GradientPenalty(1.0, pairs="coupled").norms(critic, real, fake, source())
    assert ((critic.seen >= real) & (critic.seen <= real + 1)).all()


def test_clipping_moves_weights_to_the_box_and_leaves_those_inside():
    critic = Slope(0.5, -3.0)
    Clip(1.0).apply(critic)
    assert critic.v.tolist() == [0.5, -1.0]


@pytest.mark.parametrize("bound", [0.0, -1.0, math.nan, math.inf, "0.1"])
def test_a_box_needs_a_width(bound):
    with pytest.raises(UserError, match="a finite number above 0 is needed"):
        Clip(bound)


def test_pairs_are_independent_or_coupled():
    with pytest.raises(UserError, match="'random'"):
        GradientPenalty(1.0, pairs="random")


@pytest.mark.parametrize("place", ["critic", "generator"])
def test_a_penalised_critic_may_not_normalise_batches_but_its_generator_may(place):
    models = {
        "critic": perceptron((2, 4, 1), generator=source()),
        "generator": perceptron((2, 4, 2), generator=source()),
    }
    models[place].insert(1, nn.BatchNorm1d(4))
    call = partial(train, models["generator"], models["critic"], line, WASSERSTEIN, steps=1, optimizer=ADAM, seed=0)
    if place == "critic":
        with pytest.raises(UserError, match="layer '1' normalises batches"):
            call(constraint=GradientPenalty(1.0))
    else:
        call(constraint=GradientPenalty(1.0))


# Objectives


def test_the_discriminators_loss_is_the_cross_entropy_and_both_generators_agree_on_its_sign():
    real, fake = torch.randn(6, generator=source()), torch.randn(9, generator=source(1))
    d = torch.sigmoid
    assert GAN.critic_loss(real, fake).item() == pytest.approx(-(d(real).log().mean() + (1 - d(fake)).log().mean()))
    assert GAN.generator_loss(fake).item() == pytest.approx((1 - d(fake)).log().mean().item())
    assert NON_SATURATING.generator_loss(fake).item() == pytest.approx(-d(fake).log().mean().item())


def test_only_the_saturating_loss_vanishes_for_a_confident_discriminator():
    for objective, expected in ((GAN, 0.0), (NON_SATURATING, -1.0)):
        score = torch.tensor([-200.0], requires_grad=True)
        objective.generator_loss(score).backward()
        assert score.grad.item() == pytest.approx(expected)


def test_a_discriminator_between_equal_laws_reads_a_divergence_of_zero_and_a_perfect_one_log_two():
    zero, far = torch.zeros(3), torch.full((3,), 50.0)
    assert jensen_shannon(-GAN.critic_loss(zero, zero).item()) == pytest.approx(0, abs=1e-7)
    assert jensen_shannon(-GAN.critic_loss(far, -far).item()) == pytest.approx(math.log(2))


# Steps and loops


def test_one_step_subtracts_the_penalty_from_what_the_critic_maximises():
    # f(x) = 3 x_1, data at 1 and samples at 0: value 3, and the derivatives of value and penalty are 1 and 2 (3 - 1).
    critic = Slope(3.0, 0.0)
    real, fake = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 0.0]])
    optimizer = torch.optim.SGD(critic.parameters(), lr=0.1)
    value, norm = critic_step(critic, optimizer, WASSERSTEIN, real, fake, constraint=GradientPenalty(0.5), rng=source())
    assert (value, norm) == (3.0, 3.0)
    assert critic.v.tolist() == pytest.approx([3.0 + 0.1 * (1 - 0.5 * 4), 0.0])


def test_a_gradient_is_shortened_to_the_largest_step():
    critic = Slope(0.0, 0.0)
    optimizer = torch.optim.SGD(critic.parameters(), lr=1.0)
    critic_step(
        critic, optimizer, WASSERSTEIN, torch.tensor([[3.0, 4.0]]), torch.zeros(1, 2), rng=source(), largest_step=1.0
    )
    assert critic.v.tolist() == pytest.approx([0.6, 0.8], rel=1e-4)


@pytest.mark.parametrize("weight", [0.1, 1.0, 10.0])
def test_a_penalised_linear_critic_reads_the_biased_distance_of_two_lines(weight):
    # With f = s x_1 and lines at distance 1, s - weight (s - 1)^2 is largest at s = 1 + 1 / (2 weight).
    critic = Slope(1.0, 0.0)
    history = train_critic(
        critic,
        lambda count, rng: line(count, rng) + torch.tensor([1.0, 0.0]),
        line,
        WASSERSTEIN,
        steps=400,
        optimizer=partial(torch.optim.Adam, lr=0.1, betas=(0.5, 0.9)),
        constraint=GradientPenalty(weight),
        batch=2000,
        cosine=True,
        seed=0,
    )
    assert critic.v[0].item() == pytest.approx(1 + 1 / (2 * weight), rel=0.02)
    assert history.value[-1] == pytest.approx(critic.v[0].item(), abs=0.05)


def test_a_clipped_linear_critic_ends_at_the_edge_of_the_box():
    critic = Slope(0.0, 0.0)
    data = choices(np.array([[2.0, 1.0]]))
    history = train_critic(critic, data, normal(2), WASSERSTEIN, steps=50, optimizer=SGD, constraint=Clip(0.3), seed=0)
    assert critic.v.tolist() == pytest.approx([0.3, 0.3]) and np.isnan(history.norm).all()


def test_training_moves_a_shift_to_the_data():
    # At the optimum the critic circles around zero, so the mean over the last steps counts.
    generator, critic = Shift(1.0), Slope(0.0, 0.0)
    history = train(
        generator,
        critic,
        line,
        WASSERSTEIN,
        steps=300,
        optimizer=partial(torch.optim.SGD, lr=0.05),
        constraint=Clip(1.0),
        prior=line,
        seed=0,
        record_every=100,
        watch=lambda done: {"theta": generator.theta.item(), "pair": [done, done + 1]},
    )
    assert history.at.tolist() == [0, 100, 200, 300]
    assert history.watched["pair"].tolist() == [[n, n + 1] for n in history.at]
    assert history.watched["theta"][0] == 1 and abs(history.watched["theta"][-1]) < 0.3
    assert history.value.shape == history.generator_loss.shape == (300,)


def test_a_training_repeats_from_its_seeds_and_watching_changes_nothing():
    def run(seed, **watched):
        generator, critic = perceptron((2, 8, 2), generator=source()), perceptron((2, 8, 1), generator=source(1))
        law = eight_gaussians()
        penalty = GradientPenalty(0.1)
        return train(
            generator, critic, law, WASSERSTEIN, steps=5, optimizer=ADAM, constraint=penalty, seed=seed, **watched
        )

    first, again = run(3), run(3, record_every=2, watch=lambda done: {"done": done})
    assert np.array_equal(first.value, again.value) and np.array_equal(first.generator_loss, again.generator_loss)
    assert np.isfinite(first.norm).all() and first.at.size == 0
    assert not np.array_equal(first.value, run(4).value)


def test_a_generators_update_leaves_the_critic_and_its_gradients_alone():
    # The critic's optimizer sees gradients of its own loss only, and a frozen layer stays frozen.
    generator, critic = Shift(1.0), perceptron((2, 4, 1), generator=source())
    critic[0].requires_grad_(False)
    before = critic[0].weight.clone()
    train(generator, critic, line, WASSERSTEIN, steps=2, critic_steps=1, optimizer=ADAM, prior=line, seed=0)
    assert torch.equal(critic[0].weight, before) and not critic[0].weight.requires_grad


def test_rates_fall_along_half_a_cosine():
    seen = []

    def optimizer(parameters):
        own = torch.optim.SGD(parameters, lr=1.0)
        own.register_step_pre_hook(lambda opt, *_: seen.append(opt.param_groups[0]["lr"]))
        return own

    train_critic(
        Slope(0.0, 0.0),
        line,
        line,
        WASSERSTEIN,
        steps=4,
        optimizer=optimizer,
        cosine=True,
        constraint=Clip(1.0),
        seed=0,
    )
    assert seen == pytest.approx([(1 + math.cos(math.pi * k / 4)) / 2 for k in range(4)])


def test_every_update_of_the_critic_has_its_own_data_and_the_first_turn_is_longer():
    batches, turns = [], []

    def counted(count, rng):
        batches.append(line(count, rng))
        return batches[-1]

    history = train(
        Shift(1.0),
        Slope(0.0, 0.0),
        counted,
        WASSERSTEIN,
        steps=3,
        critic_steps=2,
        warm_up=4,
        optimizer=SGD,
        constraint=Clip(1.0),
        batch=7,
        prior=line,
        seed=0,
        record_every=1,
        watch=lambda _: turns.append(len(batches)) or {},
    )
    assert turns == [0, 6, 8, 10] and history.value.shape == (3,)
    assert {len(batch) for batch in batches} == {7} and len({batch.sum().item() for batch in batches}) == 10


def test_both_players_have_their_own_rates_which_fall_and_their_gradients_are_shortened():
    rates = {"critic": [], "generator": []}

    def maker(name, rate):
        def make(parameters):
            own = torch.optim.SGD(parameters, lr=rate)
            own.register_step_pre_hook(lambda opt, *_: rates[name].append(opt.param_groups[0]["lr"]))
            return own

        return make

    generator = Shift(1.0)
    train(
        generator,
        Slope(100.0, 0.0),
        line,
        WASSERSTEIN,
        steps=2,
        critic_steps=1,
        optimizer=maker("critic", 1e-9),
        generator_optimizer=maker("generator", 0.5),
        prior=line,
        cosine=True,
        largest_step=0.1,
        seed=0,
    )
    assert rates["critic"] == pytest.approx([1e-9, 5e-10]) and rates["generator"] == pytest.approx([0.5, 0.25])
    # A slope of 100 would move the generator by 50 and 25; gradients of norm 0.1 move it by 0.05 and 0.025.
    assert generator.theta.item() == pytest.approx(1 + 0.05 + 0.025, abs=1e-5)


def test_any_objective_of_scores_can_be_trained():
    # Maximising E s(y) - E s(z)^2 / 4 with a constant critic ends at s = 2, the bound of an f-divergence.
    critic = nn.Sequential(nn.Linear(2, 1))
    nn.init.zeros_(critic[0].weight)
    critic[0].weight.requires_grad_(False)
    pearson = Objective(
        "Pearson", lambda real, fake: (fake.square() / 4).mean() - real.mean(), lambda fake: -fake.mean()
    )
    train_critic(critic, line, line, pearson, steps=100, optimizer=SGD, seed=0)
    assert critic[0].bias.item() == pytest.approx(2, abs=0.05)


def test_a_loss_that_is_not_finite_stops_with_the_step_and_the_settings():
    broken = Objective("broken", lambda real, fake: fake.mean() * math.inf, lambda fake: fake.mean())
    with pytest.raises(UserError, match=r"critic's loss is .* at step 1 of broken with Clip\(bound=1.0\).* rate 0.01"):
        train_critic(Slope(1.0, 0.0), line, line, broken, steps=3, optimizer=ADAM, constraint=Clip(1.0), seed=0)
    with pytest.raises(UserError, match=r"critic's loss is .* at step 1 of broken without a constraint"):
        train(Shift(1.0), Slope(1.0, 0.0), line, broken, steps=3, optimizer=ADAM, prior=line, seed=0)
    broken = Objective("broken", lambda real, fake: fake.mean(), lambda fake: fake.mean() * math.nan)
    with pytest.raises(UserError, match="generator's loss is nan at step 1 of broken without a constraint"):
        train(Shift(1.0), Slope(1.0, 0.0), line, broken, steps=3, optimizer=ADAM, prior=line, seed=0)


def test_a_penalised_norm_that_is_not_finite_stops_although_the_value_is():
    zero = choices(np.zeros((1, 2), dtype=np.float32))
    with pytest.raises(UserError, match=r"norm of the critic's gradient is inf at step 1 of WGAN with GradientPenalty"):
        train_critic(
            Slope(3e38, 3e38), zero, zero, WASSERSTEIN, steps=2, optimizer=SGD, constraint=GradientPenalty(1.0), seed=0
        )


def test_a_later_step_and_the_generators_own_rate_are_named():
    calls = []

    def fails_at_the_third(fake):
        calls.append(1)
        return fake.mean() * (math.nan if len(calls) == 3 else 1)

    broken = Objective("broken", lambda real, fake: fake.mean(), fails_at_the_third)
    with pytest.raises(UserError, match=r"generator's loss is nan at step 3 of broken .* learning rate 0.1:"):
        train(
            Shift(1.0),
            Slope(1.0, 0.0),
            line,
            broken,
            steps=5,
            optimizer=ADAM,
            generator_optimizer=SGD,
            prior=line,
            seed=0,
        )


@pytest.mark.parametrize("counts", [{"steps": 0}, {"steps": 1, "critic_steps": 0}])
def test_a_training_has_steps(counts):
    with pytest.raises(UserError, match="steps is 0; a whole number from 1"):
        train(Shift(1.0), Slope(1.0, 0.0), line, GAN, optimizer=ADAM, seed=0, **counts)


# What cannot be meant, or would count for nothing


def tiny(law=line, objective=WASSERSTEIN, critic=None, **settings):
    given = {"steps": 1, "optimizer": ADAM, "critic_steps": 1, "prior": line, "batch": 8, "seed": 0, **settings}
    return train(
        Shift(1.0), perceptron((2, 4, 1), generator=source()) if critic is None else critic, law, objective, **given
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"constraint": 10.0}, r"The constraint is 10.0; Clip\(0.1\)"),
        ({"constraint": "clip"}, "The constraint is 'clip'"),
        ({"constraint": Clip}, "The constraint is <class"),
        ({"largest_step": -1.0}, "largest_step is -1.0"),
        ({"largest_step": 0}, "largest_step is 0"),
        ({"largest_step": math.nan}, "largest_step is nan"),
        ({"warm_up": -1}, "warm_up is -1"),
        ({"steps": 2.0}, "steps is 2.0"),
        ({"batch": 0}, "batch is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": None}, "seed is None"),
        ({"cosine": "no"}, "cosine is 'no'"),
        ({"record_every": -1, "watch": lambda done: {}}, "record_every is -1"),
        ({"record_every": 1}, "there is no watch"),
        ({"watch": lambda done: {}}, "record_every is 0, and there is a watch"),
        ({"record_every": 1, "watch": 3}, "watch is an int; a function is needed"),
        ({"record_every": 1, "watch": lambda done: done}, "The watch gives 0; a dict"),
        ({"record_every": 1, "watch": lambda done: {"x": [0] * (done + 1)}}, "names and shapes have to stay"),
        ({"objective": "WGAN"}, "The objective is 'WGAN'; an Objective"),
        ({"law": None}, "sampler is a NoneType; a function"),
        ({"law": lambda count, rng: line(count + 1, rng)}, r"shape \(9, 2\); \(8, ...\) is needed"),
        ({"law": lambda count, rng: line(count, rng).numpy()}, "What sampler gives is a ndarray; a tensor"),
        ({"law": lambda count, rng: line(count, rng)[:, :1]}, "a critic needs points of one shape"),
        (
            {"law": lambda count, rng: line(count, rng) * math.nan},
            "The data have values that are not finite, at step 1",
        ),
        ({"prior": 2}, "prior is an int; a function"),
        ({"optimizer": torch.optim.SGD([torch.ones(1)], lr=1.0)}, "optimizer is a SGD; a function"),
        ({"optimizer": lambda parameters: None}, "The optimizer is None"),
        ({"critic": lambda x: x}, "The critic is <function"),
        ({"critic": nn.Flatten(0)}, "no parameter that requires gradients"),
        ({"critic": perceptron((2, 2), generator=source())}, r"scores of shape \(16, 2\); one for each is needed"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused(change, sentence):
    with pytest.raises(UserError, match=sentence):
        tiny(**change)


@pytest.mark.parametrize("weight", [math.nan, math.inf, "abc", None])
def test_a_penalty_has_a_finite_weight(weight):
    with pytest.raises(UserError, match="weight of the penalty is"):
        GradientPenalty(weight)


def step(critic, real, fake, **settings):
    optimizer = torch.optim.SGD(critic.parameters(), lr=0.1)
    return critic_step(critic, optimizer, WASSERSTEIN, real, fake, **{"rng": source(), **settings})


def test_one_step_refuses_what_a_training_refuses():
    real = torch.ones(3, 2)
    for change, sentence in (
        ({"constraint": 1.0}, "The constraint is 1.0"),
        ({"largest_step": 0.0}, "largest_step is 0"),
        ({"rng": 0}, "The source of random numbers is 0"),
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


def test_dropout_repeats_from_the_seed_whatever_was_drawn_before_and_leaves_the_global_state_alone():
    def run(before, seed=5, **watched):
        critic = nn.Sequential(
            perceptron((2, 16), generator=source()), nn.Dropout(0.5), perceptron((16, 1), generator=source(1))
        )
        torch.manual_seed(before)
        state = torch.get_rng_state()
        both = [
            tiny(critic=critic, steps=3, seed=seed, **watched),
            train_critic(critic, line, line, WASSERSTEIN, steps=2, optimizer=SGD, seed=seed),
        ]
        assert torch.equal(torch.get_rng_state(), state)
        return np.concatenate([own.value for own in both])

    first = run(1)
    assert np.array_equal(first, run(2))
    assert np.array_equal(first, run(3, record_every=1, watch=lambda done: {"x": torch.rand(done + 1).sum()}))
    assert not np.array_equal(first, run(1, seed=6))


def test_what_is_watched_is_what_it_was_then():
    generator = Shift(1.0)
    view = generator.theta.detach().numpy()  # changes as training goes on
    history = train(
        generator,
        Slope(1.0, 0.0),
        line,
        WASSERSTEIN,
        steps=2,
        optimizer=SGD,
        prior=line,
        seed=0,
        record_every=1,
        watch=lambda done: {"view": view, "tensor": generator.theta},
    )
    assert history.watched["view"][0] == 1 and len(np.unique(history.watched["view"])) == 3
    assert np.array_equal(history.watched["view"], history.watched["tensor"])


def test_a_loss_is_a_single_number_and_losses_are_functions():
    with pytest.raises(UserError, match=r"critic's loss of each has shape \(8,\); a single number"):
        tiny(objective=Objective("each", lambda real, fake: fake - real, lambda fake: fake.mean()))
    with pytest.raises(UserError, match="critic_loss is a str; a function"):
        Objective("words", "wasserstein", lambda fake: fake.mean())
