"""Each way to compute an ensemble gives what its networks give one by one in double precision."""

import copy
from functools import cache
from types import SimpleNamespace

import pytest
import torch
from nets import (
    Attentive,
    Recurrent,
    Remembering,
    Tied,
    classified,
    mlp,
    next_token_loss,
    normalised,
    seeded,
    tokens,
)
from torch import nn
from torch.nn import functional

from shapeofloss.errors import UserError
from shapeofloss.landscape.ensembles import (
    Lanes,
    Plain,
    Vectorised,
    base,
    cross_entropy,
    ensemble_of,
    fits_lanes,
    vectorises,
)
from shapeofloss.landscape.networks import WideResNet
from shapeofloss.landscape.parameters import flatten, load_parameters
from shapeofloss.landscape.training import evaluate

WAYS = {"lanes": lambda model, loss, count: Lanes(model, count), "vectorised": Vectorised, "plain": Plain}
GENERAL = ["vectorised", "plain"]
RATE, MOMENTUM, DECAY = 0.05, 0.9, 0.1
# depth, width, base, strides, channels of the images, height, width, images of a batch, networks
CASES = [
    (10, 1, 4, (1, 2, 2), 1, 8, 8, 16, 3),
    (16, 2, 4, (1, 2, 2), 1, 8, 8, 16, 3),
    (10, 1, 2, (1, 1, 1), 3, 5, 7, 5, 9),
    (10, 1, 3, (1, 2, 2), 3, 6, 4, 7, 8),
    (10, 1, 3, (2, 2, 2), 1, 5, 8, 33, 17),
    (10, 2, 3, (1, 1, 1), 1, 8, 6, 230, 1),  # no divisor of 230 is between 23 and the largest chunk
]


def residual(case, generator):
    """Draw a network whose scales and shifts are not those of the initialisation."""
    depth, width, base_channels, strides, channels, *_ = case
    model = WideResNet(
        depth, width, base=base_channels, strides=strides, in_channels=channels, classes=5, generator=generator
    )
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
    return model


@cache
def setting(case):
    """Return networks, two different batches, and which one each network has."""
    *_, channels, height, width, size, count = case
    generator = torch.Generator().manual_seed(0)
    models = [residual(case, generator) for _ in range(count)]
    batches = classified((size, size), shape=(channels, height, width), classes=5)
    return models, batches, torch.arange(count) % 2


@cache
def exact(case):
    """Return losses (M, 2) and movements (M, P) of two steps in double precision, and each network's own decay.

    Near zero a ReLU may switch in single precision only. No oracle can agree with that: for these seeds it does not
    happen, which this reference in double precision shows by agreeing.
    """
    models, batches, of = setting(case)
    decays, losses, movements = [0.01 * number for number in range(len(models))], [], []
    for model, number, decay in zip(models, of, decays, strict=True):
        own, (images, labels) = copy.deepcopy(model).double(), batches[number]
        start, velocity, history = flatten(own), 0, []
        for _ in range(2):
            loss = functional.cross_entropy(own(images.double()), labels)
            slopes = torch.autograd.grad(loss, list(own.parameters()))
            theta = flatten(own)
            velocity = MOMENTUM * velocity + nn.utils.parameters_to_vector(slopes) + (DECAY + decay) * theta
            load_parameters(own, theta - RATE * velocity)
            history.append(loss.item())
        losses.append(history)
        movements.append(flatten(own) - start)
    return SimpleNamespace(losses=torch.tensor(losses).double(), movements=torch.stack(movements), decays=decays)


def ensemble_for(way, models, loss=cross_entropy):
    ensemble = WAYS[way](copy.deepcopy(models[0]), loss, len(models))
    ensemble.load(torch.stack([flatten(model) for model in models]))
    return ensemble


def trained(ensemble, batches, of, decays, steps=2):
    """Take steps of SGD and return the losses before each, shape (M, steps)."""
    optimizer = torch.optim.SGD([ensemble.theta], lr=RATE, momentum=MOMENTUM, weight_decay=DECAY)
    own = ensemble.per_network(decays)
    losses = []
    for _ in range(steps):
        losses.append(ensemble.backward(batches, of))
        ensemble.theta.grad.addcmul_(own, ensemble.theta.detach())
        optimizer.step()
    return torch.stack(losses, dim=1)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_two_steps_of_every_network_are_those_in_double_precision(case, way):
    (models, batches, of), expected = setting(case), exact(case)
    ensemble = ensemble_for(way, models)
    start = ensemble.vectors().double()
    losses = trained(ensemble, batches, of, expected.decays)
    torch.testing.assert_close(losses.double(), expected.losses, rtol=1e-6, atol=0)
    errors = (ensemble.vectors().double() - start - expected.movements).norm(dim=1)
    assert (errors < 1e-5 * expected.movements.norm(dim=1)).all()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_evaluation_is_that_of_each_network_with_the_statistics_of_its_whole_batch(case, way):
    models, batches, of = setting(case)
    ensemble = ensemble_for(way, models)
    losses, accuracies = ensemble.evaluate(batches, of)
    expected = [evaluate(model, *batches[number]) for model, number in zip(models, of, strict=True)]
    assert losses.tolist() == pytest.approx([loss for loss, _ in expected], rel=1e-6)
    assert accuracies.tolist() == pytest.approx([accuracy for _, accuracy in expected], abs=1e-6)


@pytest.mark.parametrize("companions", [[5], [5, 0, 16], range(3, 11), range(9), reversed(range(17))])
def test_what_a_network_does_in_lanes_depends_on_no_other_to_the_last_bit(companions):
    models, batches, of = setting(CASES[4])
    together = ensemble_for("lanes", models)
    losses = trained(together, batches, of, [0.01] * 17)
    chosen = list(companions)
    few = ensemble_for("lanes", [models[number] for number in chosen])
    assert torch.equal(trained(few, batches, of[chosen], [0.01] * len(chosen)), losses[chosen])
    assert torch.equal(few.vectors(), together.vectors()[chosen])
    for part, whole in zip(few.evaluate(batches, of[chosen]), together.evaluate(batches, of), strict=True):
        assert torch.equal(part, whole[chosen])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("count", [1, 3, 8, 9, 17])
def test_vectors_come_back_as_they_were_loaded(way, count):
    model = residual(CASES[0], torch.Generator().manual_seed(0))
    ensemble = WAYS[way](model, cross_entropy, count)
    assert torch.equal(ensemble.vectors(), flatten(model).repeat(count, 1))
    vectors = torch.randn(count, len(flatten(model)), generator=torch.Generator().manual_seed(count))
    ensemble.load(vectors)
    assert torch.equal(ensemble.vectors(), vectors)
    with torch.no_grad():
        ensemble.theta.mul_(ensemble.per_network(range(count)))
    assert torch.equal(ensemble.vectors(), vectors * torch.arange(count)[:, None])


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("way", WAYS)
def test_a_diverged_network_shows_and_leaves_the_others_alone(way, value):
    models, batches, of = setting(CASES[0])
    healthy, ill = (ensemble_for(way, models) for _ in range(2))
    vectors = ill.vectors().clone()
    vectors[1, 0] = value
    ill.load(vectors)
    losses, expected = (trained(ensemble, batches, of, [0.0] * 3) for ensemble in (ill, healthy))
    assert losses[1].isnan().all() and ill.evaluate(batches, of)[0][1].isnan()
    assert torch.equal(losses[[0, 2]], expected[[0, 2]])
    assert torch.equal(ill.vectors()[[0, 2]], healthy.vectors()[[0, 2]])


@pytest.mark.parametrize("way", WAYS)
def test_networks_may_have_batches_of_different_shapes(way):
    models, _, _ = setting(CASES[3])
    batches = classified((7, 5, 7), shape=(3, 6, 4), classes=5)
    of = torch.tensor([2, 0, 1, 1, 0, 2, 0, 1])
    ensemble = ensemble_for(way, models)
    losses, gradients = ensemble.backward(batches, of), ensemble.theta.grad.clone()
    evaluated = ensemble.evaluate(batches, of)
    for batch in range(3):
        alone = ensemble_for(way, models)
        has = of == batch
        expected = alone.backward(batches[batch : batch + 1], torch.zeros(8, dtype=torch.long))
        torch.testing.assert_close(losses[has], expected[has], rtol=1e-6, atol=0)
        if way == "lanes":
            torch.testing.assert_close(gradients[0][:, has], alone.theta.grad[0][:, has], rtol=0, atol=0)
        else:
            torch.testing.assert_close(gradients[has], alone.theta.grad[has], rtol=1e-4, atol=1e-6)
        for number in has.nonzero()[:, 0]:
            loss, accuracy = evaluate(models[number], *batches[batch])
            assert [part[number].item() for part in evaluated] == pytest.approx([loss, accuracy], rel=1e-5)


def test_lanes_refuse_images_that_do_not_suit_the_network():
    models, ((images, labels), _), _ = setting(CASES[0])
    ensemble = ensemble_for("lanes", models)
    for unsuited, what in ((images.double(), "1 channels in torch.float64"), (images.repeat(1, 3, 1, 1), "3 channels")):
        with pytest.raises(UserError, match=f"cannot take {what}"):
            ensemble.evaluate([(unsuited, labels)], torch.zeros(3, dtype=torch.long))


def gradient_in_double(model, loss, vector, batch):
    """Return loss and gradient at a vector, by one call in double precision."""
    own = copy.deepcopy(model).double()
    load_parameters(own, vector)
    value = loss(own, batch)
    value = value[0] if isinstance(value, tuple) else value
    trained_ones = [parameter for parameter in own.parameters() if parameter.requires_grad]
    return value.item(), nn.utils.parameters_to_vector(torch.autograd.grad(value, trained_ones))


def frozen(model):
    model[0].weight.requires_grad_(False)
    return model


def doubled(batch):
    return batch if isinstance(batch, dict) else (batch[0].double(), batch[1])


ANY = {
    "smooth": (mlp, cross_entropy, classified((8,))),
    "frozen": (lambda: frozen(mlp()), cross_entropy, classified((8,))),
    "tied": (lambda: seeded(Tied), next_token_loss, tokens((4,))),
    "normalised": (normalised, cross_entropy, classified((9,), shape=(1, 6, 6), classes=3)),
    "attentive": (lambda: seeded(Attentive).eval(), cross_entropy, classified((6,), shape=(4, 3))),
}
PLAIN_ONLY = {
    "LSTM": (lambda: seeded(lambda: Recurrent(nn.LSTM)), cross_entropy, classified((6,), shape=(4, 3))),
    "GRU": (lambda: seeded(lambda: Recurrent(nn.GRU)), cross_entropy, classified((6,), shape=(4, 3))),
}


@pytest.mark.parametrize(
    ("what", "way"), [(what, way) for what in ANY for way in GENERAL] + [(what, "plain") for what in PLAIN_ONLY]
)
def test_gradients_of_any_network_are_those_in_double_precision(what, way):
    make, loss, (batch,) = (ANY | PLAIN_ONLY)[what]
    model = make()
    start = flatten(model)
    vectors = torch.stack([start, 0.8 * start, -start])
    ensemble = WAYS[way](copy.deepcopy(model), loss, 3)
    ensemble.load(vectors)
    losses = ensemble.backward([batch], torch.zeros(3, dtype=torch.long))
    for vector, value, gradient in zip(vectors, losses, ensemble.theta.grad, strict=True):
        exact_value, exact_gradient = gradient_in_double(model, loss, vector, doubled(batch))
        assert value.item() == pytest.approx(exact_value, rel=1e-5)
        assert (gradient - exact_gradient).norm() < 1e-4 * exact_gradient.norm()


@pytest.mark.parametrize("what", ANY)
def test_the_vectorised_way_is_chosen_where_it_works(what):
    make, loss, (batch,) = ANY[what]
    assert isinstance(ensemble_of(make(), loss, 2, example=batch), Vectorised)
    assert isinstance(ensemble_of(make(), loss, 1, example=batch), Plain)


@pytest.mark.parametrize("what", PLAIN_ONLY)
def test_the_plain_way_is_chosen_where_vmap_has_no_rule(what):
    make, loss, (batch,) = PLAIN_ONLY[what]
    assert isinstance(ensemble_of(make(), loss, 2, example=batch), Plain)
    with pytest.raises(UserError, match="Recurrent with this loss cannot be trained as 'vectorised': use 'auto'"):
        ensemble_of(make(), loss, 2, example=batch, together="vectorised")


def test_the_plain_way_is_chosen_where_vmap_has_no_rule_in_training_only():
    model = nn.Sequential(nn.utils.parametrizations.spectral_norm(mlp()[0]), nn.Linear(8, 2))
    assert isinstance(ensemble_of(model, cross_entropy, 2, example=classified((8,))[0]), Plain)


@pytest.mark.parametrize("always", [True, False])
@pytest.mark.parametrize("in_place", [True, False])
def test_networks_with_buffers_that_training_changes_have_buffers_of_their_own(in_place, always):
    model, batches = seeded(lambda: Remembering(in_place=in_place, always=always)), classified((8, 8))
    with base.untouched(model):
        ensemble = ensemble_of(model, cross_entropy, 3, example=batches[0])
        assert isinstance(ensemble, Plain)
        start = flatten(model)
        ensemble.load(torch.stack([start, 2 * start, 3 * start]))
        losses = torch.stack([ensemble.backward(batches[:1], torch.zeros(3, dtype=torch.long)) for _ in range(3)])
    assert model.average.item() == 0
    for network in range(3):
        alone = copy.deepcopy(model)
        load_parameters(alone, (network + 1) * start)
        expected = [cross_entropy(alone, batches[0])[0].item() for _ in range(3)]
        assert losses[:, network].tolist() == pytest.approx(expected, rel=1e-6)
        assert expected[0] != expected[1]


def test_wide_residual_networks_train_in_lanes_and_any_way_that_is_asked_for():
    (model, *_), (batch, _), _ = setting(CASES[0])
    chosen = {together: ensemble_of(model, cross_entropy, 2, example=batch, together=together) for together in WAYS}
    assert [type(ensemble) for ensemble in chosen.values()] == [Lanes, Vectorised, Plain]
    assert all(isinstance(ensemble_of(model, cross_entropy, count, example=batch), Lanes) for count in (1, 2))


def test_a_way_that_does_not_exist_or_fit_is_refused():
    with pytest.raises(UserError, match=r"no way to train together 'lane'\. Did you mean 'lanes'\? Valid: auto, lanes"):
        ensemble_of(mlp(), cross_entropy, 2, example=classified((8,))[0], together="lane")
    with pytest.raises(UserError, match="Sequential with this loss cannot be trained as 'lanes'"):
        ensemble_of(mlp(), cross_entropy, 2, example=classified((8,))[0], together="lanes")


def test_lanes_fit_wide_residual_networks_in_single_precision_with_all_parameters_free_and_the_usual_loss():
    class Other(WideResNet):
        pass

    def made(kind=WideResNet):
        return kind(10, 1, base=2)

    (batch,) = classified((8,), shape=(3, 8, 8), classes=10)

    def fits(model, loss=cross_entropy):
        return fits_lanes(model, loss, batch)

    assert fits(made())
    assert not fits(made().double())
    assert not fits(made(), lambda model, batch: cross_entropy(model, batch))
    assert not fits(made(Other))
    assert not fits(mlp())
    frozen = made()
    frozen.scores.bias.requires_grad_(False)
    assert not fits(frozen)


def test_lanes_do_not_fit_a_network_that_was_changed_or_labels_that_are_no_classes():
    images, labels = classified((8,), shape=(3, 8, 8), classes=10)[0]
    network = seeded(lambda: WideResNet(10, 1, base=2))
    assert fits_lanes(network, cross_entropy, (images, labels))
    assert not fits_lanes(network, cross_entropy, (images, labels.index_fill(0, torch.tensor([0]), -100)))
    network.convolution.register_forward_hook(lambda module, inputs, output: 2 * output.relu())
    assert not fits_lanes(network, cross_entropy, (images, labels))


def test_without_a_compiler_another_way_gives_the_same_losses(monkeypatch):
    models, batches, of = setting(CASES[0])
    expected = ensemble_for("lanes", models).backward(batches, of)
    monkeypatch.setenv("CXX", "/nonexistent")
    assert not fits_lanes(models[0], cross_entropy, batches[0])
    ensemble = ensemble_of(copy.deepcopy(models[0]), cross_entropy, 3, example=batches[0])
    assert isinstance(ensemble, Vectorised)
    ensemble.load(torch.stack([flatten(model) for model in models]))
    torch.testing.assert_close(ensemble.backward(batches, of), expected, rtol=1e-6, atol=0)
    with pytest.raises(UserError, match="WideResNet with this loss cannot be trained as 'lanes': use 'auto'"):
        ensemble_of(models[0], cross_entropy, 3, example=batches[0], together="lanes")


def test_a_loss_that_the_vectorised_way_would_get_wrong_is_noticed():
    model, (batch,) = mlp(), classified((8,))
    held = model[0].weight  # the vectorised way puts other tensors in its place and cannot reach this one

    def value_ignored(network, batch):
        return cross_entropy(network, batch)[0] + held.detach().square().sum()

    def slope_ignored(network, batch):
        return cross_entropy(network, batch)[0] + 10 * (held * (network[0].weight - network[0].weight.detach())).sum()

    assert vectorises(model, cross_entropy, batch)
    assert not vectorises(model, value_ignored, batch) and not vectorises(model, slope_ignored, batch)


@pytest.mark.parametrize("sizes", [(8,), (8, 8), (8, 5)])
def test_dropout_drops_the_same_units_in_all_networks_and_both_ways(sizes):
    model, batches, of = mlp(dropout=0.5), classified(sizes), torch.arange(4) % len(sizes)
    losses = []
    for way in GENERAL:
        ensemble = WAYS[way](copy.deepcopy(model), cross_entropy, 4)
        torch.manual_seed(3)
        losses.append(ensemble.backward(batches, of))
        again = ensemble.backward(batches, of)
        assert not torch.equal(losses[-1], again)
        torch.testing.assert_close(again[: len(sizes)], again[-len(sizes) :], rtol=1e-6, atol=0)
    torch.testing.assert_close(*losses, rtol=1e-6, atol=0)


@pytest.mark.parametrize("way", GENERAL)
def test_nothing_is_dropped_in_an_evaluation_or_where_dropout_is_off(way):
    batches, of, losses = classified((8,)), torch.zeros(2, dtype=torch.long), []
    for dropout in (0.5, 0.0):
        ensemble = WAYS[way](mlp(dropout), cross_entropy, 2)
        losses += [ensemble.evaluate(batches, of)[0], ensemble.backward(batches, of, dropout=False)]
    for loss in losses[1:]:
        torch.testing.assert_close(loss, losses[0], rtol=1e-6, atol=0)


@pytest.mark.parametrize("way", GENERAL)
def test_a_loss_without_accuracy_has_none_and_one_that_is_no_scalar_is_refused(way):
    ensemble = WAYS[way](seeded(Tied), next_token_loss, 2)
    losses, accuracies = ensemble.evaluate(tokens((4,)), torch.zeros(2, dtype=torch.long))
    assert losses.isfinite().all() and accuracies.isnan().all()
    ensemble = WAYS[way](mlp(), lambda model, batch: model(batch[0])[:, 0], 2)
    with pytest.raises(UserError, match=r"gives a tensor of shape \(8,\): let it return the mean, a scalar"):
        ensemble.evaluate(classified((8,)), torch.zeros(2, dtype=torch.long))


@pytest.mark.parametrize("way", GENERAL)
def test_a_parameter_that_the_loss_does_not_use_has_no_gradient(way):
    model = nn.ModuleDict({"used": nn.Linear(3, 2), "idle": nn.Linear(3, 2)})
    ensemble = WAYS[way](model, lambda model, batch: cross_entropy(model["used"], batch), 2)
    ensemble.backward(classified((8,)), torch.zeros(2, dtype=torch.long))
    parts = ensemble.theta.grad.split(8, dim=1)
    assert parts[0].any() and not parts[1].any()


def test_batch_normalisation_uses_the_statistics_of_the_batch_in_both_modes_and_keeps_its_averages():
    model, ((images, _),) = normalised(), classified((9,), shape=(1, 6, 6), classes=3)
    model(images + 5)
    averages = [buffer.clone() for buffer in model.buffers()]
    in_training = copy.deepcopy(model).train()(images)
    for training in (True, False):
        base.set_mode(model, training=training)
        torch.testing.assert_close(model(images), in_training, rtol=1e-6, atol=1e-6)
        assert model[0].training == training
    assert all(map(torch.equal, averages, model.buffers()))
    assert base.normalises_batches(model) and not base.normalises_batches(mlp())


@pytest.mark.parametrize("error", [None, ZeroDivisionError])
def test_a_model_comes_back_untouched_even_after_an_error(error):
    model = seeded(lambda: nn.ModuleList([normalised(), Remembering(in_place=False), mlp()]))
    model.register_buffer("absent", None)
    model[0][4].eval()
    model[2][0].weight.requires_grad_(False)
    cross_entropy(model[0], classified((9,), shape=(1, 6, 6), classes=3)[0])[0].backward()

    def state():
        tensors = [*model.parameters(), *model.buffers(), *(p.grad for p in model.parameters() if p.grad is not None)]
        flags = [p.requires_grad for p in model.parameters()] + [module.training for module in model.modules()]
        return tensors, [tensor.detach().clone() for tensor in tensors], [*flags, model[0][1].track_running_stats]

    objects, values, flags = state()
    numbers = torch.get_rng_state()
    try:
        with base.untouched(model):
            base.set_mode(model, training=True)
            torch.rand(3)
            with torch.no_grad():
                for tensor in objects[: len(list(model.parameters()))]:
                    tensor.add_(1)
                for buffer in model.buffers():
                    buffer.fill_(7)
            model.absent = torch.ones(2)
            model.register_buffer("late", torch.ones(2))
            model[1](torch.ones(2, 3)), model[1].requires_grad_(False)
            for parameter in model.parameters():
                parameter.grad = None
            if error:
                raise error
    except ZeroDivisionError:
        pass
    objects_after, values_after, flags_after = state()
    assert all(before is after for before, after in zip(objects, objects_after, strict=True))
    assert all(map(torch.equal, values, values_after)) and flags == flags_after
    assert model.absent is None and torch.equal(torch.get_rng_state(), numbers)
