"""The training loop: closed forms on lines and normal distributions, and what stops a training."""

import math
from dataclasses import fields
from functools import partial

import numpy as np
import pytest
import torch
from critics import Shift, Slope, line, source
from torch import nn

from shapeofloss.adversarial import training
from shapeofloss.adversarial.constraints import Clip, GradientPenalty
from shapeofloss.adversarial.history import Watch
from shapeofloss.adversarial.networks import perceptron
from shapeofloss.adversarial.objectives import MINIMAX, WASSERSTEIN, Objective
from shapeofloss.distributions.mixtures import choices, eight_gaussians, normal
from shapeofloss.errors import UserError

ADAM = partial(torch.optim.Adam, lr=1e-2, betas=(0.5, 0.9))
SGD = partial(torch.optim.SGD, lr=0.1)


def scheduled(function, *arguments, **settings):
    """Call a training, with what belongs to its schedule given by name beside the other settings."""
    plan = {field.name: settings.pop(field.name) for field in fields(training.Schedule) if field.name in settings}
    return function(*arguments, training.Schedule(**plan), **settings)


train, train_critic = (partial(scheduled, function) for function in (training.train, training.train_critic))


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


@pytest.mark.parametrize("weight", [0.1, 1.0, 10.0])
def test_a_penalised_linear_critic_reads_the_biased_distance_of_two_lines(weight):
    # With f = s x_1 and lines at distance 1, s - weight (s - 1)^2 is largest at s = 1 + 1 / (2 weight).
    critic = Slope(1.0, 0.0)
    history = train_critic(
        critic,
        lambda count, source: line(count, source) + torch.tensor([1.0, 0.0]),
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
        watch=Watch(lambda done: {"theta": generator.theta.item(), "pair": [done, done + 1]}, 100),
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

    first, again = run(3), run(3, watch=Watch(lambda done: {"done": done}, 2))
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

    def counted(count, source):
        batches.append(line(count, source))
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
        watch=Watch(lambda _: turns.append(len(batches)) or {}, 1),
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
        train(Shift(1.0), Slope(1.0, 0.0), line, MINIMAX, optimizer=ADAM, seed=0, **counts)


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
        ({"watch": lambda done: {}}, r"The watch is <function.*Watch\(look, every\)"),
        ({"watch": Watch(lambda done: done, 1)}, "The watch gives 0; a dict"),
        ({"watch": Watch(lambda done: {"x": [0] * (done + 1)}, 1)}, "names and shapes have to stay"),
        ({"objective": "WGAN"}, "The objective is 'WGAN'; an Objective"),
        ({"law": None}, "sampler is a NoneType; a function"),
        ({"law": lambda count, source: line(count + 1, source)}, r"shape \(9, 2\); \(8, ...\) is needed"),
        ({"law": lambda count, source: line(count, source).numpy()}, "What sampler gives is a ndarray; a tensor"),
        ({"law": lambda count, source: line(count, source)[:, :1]}, "a critic needs points of one shape"),
        (
            {"law": lambda count, source: line(count, source) * math.nan},
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
    assert np.array_equal(first, run(3, watch=Watch(lambda done: {"x": torch.rand(done + 1).sum()}, 1)))
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
        watch=Watch(lambda done: {"view": view, "tensor": generator.theta}, 1),
    )
    assert history.watched["view"][0] == 1 and len(np.unique(history.watched["view"])) == 3
    assert np.array_equal(history.watched["view"], history.watched["tensor"])


def test_a_watch_is_a_function_that_is_asked_at_times():
    with pytest.raises(UserError, match="look is an int; a function is needed"):
        Watch(3, 1)
    for every in (-1, 0, 1.5):
        with pytest.raises(UserError, match="every is"):
            Watch(lambda done: {}, every)


def test_a_loss_is_a_single_number():
    with pytest.raises(UserError, match=r"critic's loss of each has shape \(8,\); a single number"):
        tiny(objective=Objective("each", lambda real, fake: fake - real, lambda fake: fake.mean()))
