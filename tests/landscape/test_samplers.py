"""Each way to sample a loss around a minimum gives the points that it promises, with their losses."""

import copy
import inspect
import itertools
import math
import random

import numpy as np
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
from torch.utils.data import DataLoader, TensorDataset

from shapeofloss.datasets.digits import load_digits
from shapeofloss.errors import UserError
from shapeofloss.landscape import samplers
from shapeofloss.landscape.batches import epochs_of, image_epochs
from shapeofloss.landscape.directions import direction_of, direction_vector, filter_normalised_direction, jump
from shapeofloss.landscape.ensembles import cross_entropy
from shapeofloss.landscape.networks import Architecture
from shapeofloss.landscape.parameters import flatten, load_parameters
from shapeofloss.landscape.randomness import generator_for
from shapeofloss.landscape.record import Record, Recorder
from shapeofloss.landscape.samplers import memory_estimate, record_trajectories, sample_around
from shapeofloss.landscape.surroundings import Around
from shapeofloss.landscape.training import evaluate, retrain

SGD = {"learning_rate": 0.05, "weight_decay": 1e-3}
STEPS = [0.25, 1.0]
POINTS = {
    "grid": {"seeds": [3], "counts": (2, 4, 3), "reach": 0.5},
    "line": {"seeds": [3], "counts": (5,), "reach": 0.5},
    "plane": {"seeds": [3], "counts": (4, 5)},
    "naive": {"seeds": range(6), "steps": [0.25, 0.5, 1.0]},
}


@pytest.fixture(scope="module")
def data():
    return load_digits(train=40, seed=0)


@pytest.fixture
def model():
    return Architecture(depth=10, width=1, base=2).network()


def batches_of(data, size=16):
    return list(zip(data.train_images.split(size), data.train_labels.split(size), strict=True))


def retraining(data, *, seeds=(0, 1), steps=STEPS, epochs=3, together="auto", model=None, **options):
    """Jump and retrain around a network as `minima.sample_minimum` does."""
    order = image_epochs(data.train_images, data.train_labels, batch=16, augment=True, share=0.9, purpose="retraining")
    return sample_around(
        model or Architecture(depth=10, width=1, base=2).network(),
        [(data.train_images, data.train_labels)],
        seeds=seeds,
        steps=steps,
        epochs=epochs,
        order=order,
        together=together,
        **SGD | options,
    )


@pytest.fixture(scope="module")
def record(data):
    return retraining(data)


def same_bytes(first, second):
    return all(array.tobytes() == second.to_arrays()[name].tobytes() for name, array in first.to_arrays().items())


def expected_directions(model, sampling, options):
    """Return the directions of points off trajectories, drawn by hand, in double precision."""
    if sampling == "naive":
        return torch.stack([direction_of(model, seed) for seed in options["seeds"]]).double().numpy()
    generator = generator_for(options["seeds"][0], "direction")
    drawn = [direction_vector(model, generator) for _ in options["counts"]]
    assert torch.equal(drawn[0], direction_of(model, options["seeds"][0]))
    return torch.stack(drawn).double().numpy()


@pytest.mark.parametrize("sampling", POINTS)
@pytest.mark.parametrize("kind", ["residual", "smooth"])
def test_points_along_fixed_directions_have_the_products_and_losses_of_their_explicit_vectors(
    model, data, sampling, kind
):
    batches = batches_of(data) if kind == "residual" else classified()
    model = model if kind == "residual" else mlp()
    record = sample_around(model, batches, sampling=sampling, **POINTS[sampling])
    optimum = flatten(model).double().numpy()
    directions = expected_directions(model, sampling, POINTS[sampling])
    vectors = optimum + record.coefficients @ directions
    displacements = vectors - optimum
    np.testing.assert_allclose(record.gram, displacements @ displacements.T, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(record.along, displacements @ optimum, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(record.norm, np.linalg.norm(optimum), rtol=1e-12)
    assert np.array_equal(record.gram, record.gram.T)

    images, labels = (torch.cat(column) for column in zip(*batches, strict=True))
    twin = copy.deepcopy(model)
    for vector, loss, accuracy in zip(vectors, record.loss, record.accuracy, strict=True):
        load_parameters(twin, vector.astype(np.float32))
        assert (loss, accuracy) == pytest.approx(evaluate(twin, images, labels), rel=1e-5)
    assert (record.optimum_loss, record.optimum_accuracy) == pytest.approx(evaluate(model, images, labels), rel=1e-5)


@pytest.mark.parametrize("sampling", ["grid", "line", "plane"])
def test_a_grid_is_the_product_of_its_axes_with_the_last_one_fastest(sampling):
    options = POINTS[sampling]
    reach, counts = options.get("reach", 1.0), options["counts"]
    record = sample_around(mlp(), classified(), sampling=sampling, **options)
    axes = [[-reach + 2 * reach * n / (count - 1) for n in range(count)] for count in counts]
    np.testing.assert_allclose(record.coefficients, list(itertools.product(*axes)), atol=1e-15)
    lengths = np.linalg.norm(record.coefficients, axis=1)
    np.testing.assert_allclose(record.step, record.coefficients[:, 0] if sampling == "line" else lengths, rtol=1e-14)
    assert (record.seed == 3).all() and not record.epoch.any()


def test_naive_points_lie_along_one_direction_for_each_seed():
    record = sample_around(mlp(), classified(), sampling="naive", seeds=[4, 2], steps=STEPS)
    assert record.coefficients.tolist() == [[0.25, 0], [1, 0], [0, 0.25], [0, 1]]
    assert record.step.tolist() == STEPS * 2 and record.seed.tolist() == [4, 4, 2, 2] and not record.epoch.any()
    np.testing.assert_allclose(record.cosine_distances("optimum")[[0, 2], [1, 3]], 0, atol=1e-12)


def test_the_optimum_is_not_among_the_points_but_in_the_middle_of_a_line_with_an_odd_count():
    for options in ({"sampling": "grid", "counts": (2, 3, 4)}, {"sampling": "naive", "seeds": range(8)}):
        assert sample_around(mlp(), classified(), **options).distance_to_optimum().min() > 0.1
    line = sample_around(mlp(), classified(), sampling="line", counts=(5,))
    assert line.distance_to_optimum()[2] == 0 and line.loss[2] == pytest.approx(line.optimum_loss, rel=1e-6)


def test_by_default_every_sampling_has_the_640_points_of_the_source():
    defaults = {
        name: {key: option.default for key, option in inspect.signature(function).parameters.items()}
        for name, function in (samplers.SAMPLINGS | {"jump_and_retrain": record_trajectories}).items()
    }
    assert math.prod(defaults["grid"]["counts"]) == 640 and len(defaults["grid"]["counts"]) == 3
    assert all(count % 2 == 0 for count in defaults["grid"]["counts"])
    assert len(defaults["naive"]["seeds"]) * len(defaults["naive"]["steps"]) == 640
    jumps = defaults["jump_and_retrain"]
    assert len(jumps["seeds"]) * len(jumps["steps"]) * jumps["epochs"] == 640


def test_points_are_labelled_in_the_order_of_seeds_steps_and_epochs(record):
    expected = [(seed, step, epoch) for seed in (0, 1) for step in STEPS for epoch in range(3)]
    assert list(zip(record.seed, record.step, record.epoch, strict=True)) == expected
    assert record.coefficients.shape == (12, 0)


@pytest.mark.parametrize(("together", "rtol"), [("plain", 1e-5), ("vectorised", 1e-4), ("lanes", 1e-4)])
def test_jump_and_retrain_is_the_plain_loop_of_the_paper(model, data, together, rtol):
    """In a long run, differences in rounding grow: what is compared are the jump and the first epoch."""
    record = retraining(data, epochs=2, together=together)
    optimum = flatten(model)
    recorder = Recorder(optimum, *evaluate(model, data.train_images, data.train_labels))
    directions = [filter_normalised_direction(model, generator_for(seed, "direction")) for seed in (0, 1)]
    for seed, direction in enumerate(directions):
        for step in STEPS:
            jump(model, optimum, direction, step)
            for epoch in retrain(model, data, epochs=2, batch=16, augment=True, **SGD, seed=seed):
                loss, accuracy = evaluate(model, data.train_images, data.train_labels)
                recorder.add(flatten(model), loss, accuracy, seed=seed, step=step, epoch=epoch)
    expected = recorder.record().to_arrays()
    for name, array in record.to_arrays().items():
        exact = name in ("seed", "step", "epoch", "coefficients")
        np.testing.assert_allclose(array, expected[name], rtol=0 if exact else rtol, atol=0 if exact else rtol)


def test_steps_of_a_seed_share_their_minibatches_and_seeds_do_not(model, data):
    seen = []
    model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]) if torch.is_grad_enabled() else None)
    retraining(data, model=model, together="plain")
    assert len(seen) == 24  # two epochs of three steps, in each the networks after one another
    trajectories = [torch.cat(seen[start::4]) for start in range(4)]
    assert torch.equal(trajectories[0], trajectories[1]) and torch.equal(trajectories[2], trajectories[3])
    assert not torch.equal(trajectories[0], trajectories[2])


def test_steps_of_a_seed_share_their_direction_and_seeds_do_not(record):
    jumps = np.flatnonzero(record.epoch == 0)
    cosines = record.cosine_distances("optimum")[np.ix_(jumps, jumps)]
    np.testing.assert_allclose(cosines[[0, 2], [1, 3]], 0, atol=1e-6)
    assert cosines[0, 2] > 0.5
    ratio = record.distance_to_optimum()[jumps]
    np.testing.assert_allclose(ratio[[0, 2]] / ratio[[1, 3]], 0.25, rtol=1e-5)


def test_sampling_again_gives_the_same_bytes(data, record):
    torch.manual_seed(1)
    assert same_bytes(record, retraining(data))


def test_the_trajectories_of_a_seed_do_not_depend_on_other_seeds_and_steps(data, record):
    swapped = retraining(data, seeds=[2, 1, 0], steps=[*STEPS[::-1], 0.5])
    order = [np.flatnonzero((swapped.seed == s) & (swapped.step == c)) for s in (0, 1) for c in STEPS]
    order = np.concatenate(order)
    assert np.array_equal(swapped.loss[order], record.loss) and np.array_equal(swapped.along[order], record.along)
    np.testing.assert_allclose(swapped.gram[np.ix_(order, order)], record.gram, rtol=1e-12, atol=1e-12)


def test_residual_networks_may_have_batches_of_different_sizes(data, model):
    batches = batches_of(data)
    assert len({len(labels) for _, labels in batches}) == 2
    together, plain = (
        sample_around(model, batches, seeds=range(3), steps=[0.5], epochs=2, together=way, **SGD)
        for way in ("lanes", "plain")
    )
    np.testing.assert_allclose(together.loss, plain.loss, rtol=1e-5)
    np.testing.assert_allclose(together.gram, plain.gram, rtol=1e-4)


def by_hand(model, batches, loss, *, seed, step, epochs, make=None):
    """Jump and retrain one network with `loss.backward()` and an optimizer of its own; return vectors and losses."""
    own = copy.deepcopy(model)
    load_parameters(own, flatten(model) + step * direction_of(model, seed))
    optimizer = (make or (lambda parameters: torch.optim.SGD(parameters, lr=0.05, momentum=0.9, weight_decay=1e-3)))(
        [parameter for parameter in own.parameters() if parameter.requires_grad]
    )
    vectors, stream = [flatten(own)], epochs_of(batches)(seed)
    own.train()
    for _ in range(epochs - 1):
        for batch in next(stream):
            optimizer.zero_grad()
            value = loss(own, batch)
            (value[0] if isinstance(value, tuple) else value).backward()
            optimizer.step()
        vectors.append(flatten(own))
    return torch.stack(vectors)


def free_of_the_first_layer(model):
    model[0].weight.requires_grad_(False)
    return model


SMOOTH = {
    "a perceptron": (mlp, cross_entropy, classified()),
    "frozen weights": (lambda: free_of_the_first_layer(mlp()), cross_entropy, classified()),
    "tied weights and dicts": (lambda: seeded(Tied), next_token_loss, tokens()),
    "batch normalisation": (normalised, cross_entropy, classified(shape=(1, 6, 6), classes=3)),
    "attention": (lambda: seeded(Attentive).eval(), cross_entropy, classified((6, 6), shape=(4, 3))),
    "LSTM": (lambda: seeded(lambda: Recurrent(nn.LSTM)), cross_entropy, classified(shape=(4, 3))),
}


@pytest.mark.parametrize("together", ["auto", "plain"])
@pytest.mark.parametrize("what", SMOOTH)
def test_whole_runs_of_smooth_networks_are_those_by_hand(what, together):
    make, loss, batches = SMOOTH[what]
    model = make()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    record = sample_around(model, batches, loss=loss, seeds=[0, 1], steps=[0.5], epochs=4, together=together, **SGD)
    vectors = torch.cat([by_hand(model, batches, loss, seed=seed, step=0.5, epochs=4) for seed in (0, 1)])
    exact = (vectors - flatten(model)).double().numpy()
    np.testing.assert_allclose(record.gram, exact @ exact.T, rtol=1e-3, atol=1e-5)

    own = copy.deepcopy(model).eval()
    for layer in own.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.train()
    merged = batches if what != "batch normalisation" else [tuple(torch.cat(c) for c in zip(*batches, strict=True))]
    sizes = [len(next(iter(b.values())) if isinstance(b, dict) else b[1]) for b in merged]
    for vector, recorded, accuracy in zip(vectors, record.loss, record.accuracy, strict=True):
        load_parameters(own, vector)
        with torch.no_grad():
            values = [loss(own, batch) for batch in merged]
        values = [value if isinstance(value, tuple) else (value, torch.tensor(torch.nan)) for value in values]
        expected = np.average([[float(part) for part in pair] for pair in values], axis=0, weights=sizes)
        assert recorded == pytest.approx(expected[0], rel=1e-4)
        assert accuracy == pytest.approx(expected[1], abs=1 / 16, nan_ok=True)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_frozen_weights_do_not_move_and_are_no_part_of_the_landscape():
    model = free_of_the_first_layer(mlp())
    held, seen = model[0].weight.detach().clone(), []

    def watching(network, batch):
        seen.append(torch.equal(network[0].weight, held))
        return cross_entropy(network, batch)

    record = sample_around(model, classified(), loss=watching, seeds=[0], steps=[1.0], epochs=3, together="plain")
    assert all(seen) and len(seen) > 6
    filters = torch.linalg.vector_norm(model[3].weight.detach().double()).item()
    assert record.distance_to_optimum()[0] == pytest.approx(filters, rel=1e-6)
    assert record.norm == pytest.approx(flatten(model).norm().item(), rel=1e-6) and len(flatten(model)) == 26


def test_any_elementwise_optimizer_may_be_used():
    def adam(parameters):
        return torch.optim.AdamW(parameters, lr=0.02, weight_decay=0.1)

    model, batches = mlp(), classified()
    record = sample_around(model, batches, seeds=[0, 1], steps=[0.5], epochs=4, optimizer=adam)
    vectors = torch.cat(
        [by_hand(model, batches, cross_entropy, seed=seed, step=0.5, epochs=4, make=adam) for seed in (0, 1)]
    )
    exact = (vectors - flatten(model)).double().numpy()
    np.testing.assert_allclose(record.gram, exact @ exact.T, rtol=1e-3, atol=1e-5)
    with pytest.raises(UserError, match=r"epoch 1 at learning_rate 1e\+38"):
        sample_around(
            model, batches, seeds=[0], epochs=2, optimizer=lambda parameters: torch.optim.SGD(parameters, lr=1e38)
        )


def test_dropout_is_the_same_both_ways_and_acts_in_training_alone():
    records = [
        sample_around(mlp(dropout=0.5), classified(), seeds=[0, 1], steps=STEPS, epochs=4, together=way, **SGD)
        for way in ("plain", "vectorised", "auto")
    ]
    without = sample_around(mlp(), classified(), seeds=[0, 1], steps=STEPS, epochs=4, **SGD)
    np.testing.assert_allclose(records[0].gram, records[1].gram, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(records[0].loss, records[1].loss, rtol=1e-5)
    assert np.array_equal(records[1].loss, records[2].loss) and np.array_equal(records[1].gram, records[2].gram)
    jumps = without.epoch == 0
    np.testing.assert_allclose(records[0].loss[jumps], without.loss[jumps], rtol=1e-6)
    assert (np.abs(records[0].loss - without.loss)[~jumps] > 1e-4).all()


def test_dropout_drops_others_in_each_epoch_and_batch():
    model, dropped = mlp(dropout=0.5), []
    model[2].register_forward_hook(lambda layer, _, kept: dropped.append(kept == 0) if layer.training else None)
    sample_around(model, classified((8, 8)), seeds=[0], steps=[0.5], epochs=3, together="plain", **SGD)
    masks = {tuple(mask.flatten().tolist()) for mask in dropped}
    assert len(dropped) == 4 and len(masks) == 4


def test_a_loader_gives_the_same_record_whatever_the_global_random_state_which_it_leaves_alone():
    inputs, labels = classified((21,))[0]
    loader = DataLoader(TensorDataset(inputs, labels), batch_size=8, shuffle=True)
    records = []
    for state in (0, 1):
        torch.manual_seed(state)
        before = torch.get_rng_state()
        records.append(sample_around(mlp(), loader, seeds=[0, 1], steps=STEPS, epochs=3))
        assert torch.equal(torch.get_rng_state(), before)
    assert same_bytes(*records)
    other = sample_around(mlp(), loader, seeds=[5, 6], steps=STEPS, epochs=3)
    assert not np.array_equal(other.loss, records[0].loss)


def test_the_losses_are_those_of_the_evaluation_weighted_by_examples():
    model, evaluation = mlp(), classified((9, 3), seed=7)
    record = sample_around(
        model, classified(), evaluation=evaluation, sampling="naive", seeds=range(3), steps=[0.5, 1.0]
    )
    (inputs, labels), twin = (torch.cat(column) for column in zip(*evaluation, strict=True)), mlp()
    for point, coefficients in enumerate(record.coefficients):
        directions = torch.stack([direction_of(model, seed) for seed in range(3)])
        load_parameters(twin, flatten(model) + torch.from_numpy(coefficients).float() @ directions)
        assert record.loss[point] == pytest.approx(functional.cross_entropy(twin(inputs), labels).item(), rel=1e-5)
        assert record.accuracy[point] == pytest.approx((twin(inputs).argmax(1) == labels).double().mean().item())


@pytest.mark.parametrize("sampling", samplers.SAMPLINGS)
@pytest.mark.parametrize("failing", [False, True])
def test_sampling_leaves_the_network_as_it_was_even_after_an_error(model, data, sampling, failing):
    class BrokenError(Exception):
        pass

    calls = []

    def loss(network, batch):
        calls.append(0)
        if failing and len(calls) > 4:
            raise BrokenError
        return cross_entropy(network, batch)

    model.train()
    functional.cross_entropy(model(data.train_images), data.train_labels).backward()
    model.scores.weight.requires_grad_(False)
    model.blocks[1].eval()

    def state():
        values = [tensor.detach().clone() for tensor in (*model.parameters(), *model.buffers())]
        gradients = [parameter.grad.clone() for parameter in model.parameters()]
        flags = [parameter.requires_grad for parameter in model.parameters()]
        flags += [layer.track_running_stats for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]
        return values + gradients, flags, [module.training for module in model.modules()]

    numbers = torch.get_rng_state()
    tensors, *flags = state()
    options = POINTS.get(sampling, {"seeds": [0, 1], "steps": [0.5], "epochs": 2})
    if failing:
        with pytest.raises(BrokenError):
            sample_around(model, batches_of(data), loss=loss, sampling=sampling, together="plain", **options)
    else:
        sample_around(model, batches_of(data), loss=loss, sampling=sampling, together="plain", **options)
    tensors_after, *flags_after = state()
    assert flags == flags_after and len(calls) > 4
    assert all(map(torch.equal, tensors, tensors_after))
    assert torch.equal(torch.get_rng_state(), numbers)


@pytest.mark.parametrize("in_place", [True, False])
def test_buffers_come_back_and_each_network_has_its_own(in_place):
    model, batches = seeded(lambda: Remembering(in_place=in_place)), classified((8,))
    buffer = model.average
    record = sample_around(model, batches, seeds=[0, 1], steps=STEPS, epochs=4, **SGD)
    assert model.average is buffer and buffer.item() == 0
    alone = sample_around(model, batches, seeds=[1], steps=STEPS[1:], epochs=4, **SGD)
    np.testing.assert_allclose(record.loss[12:], alone.loss, rtol=1e-6)
    exact = (by_hand(model, batches, cross_entropy, seed=1, step=1.0, epochs=4) - flatten(model)).double().numpy()
    np.testing.assert_allclose(alone.gram, exact @ exact.T, rtol=1e-3, atol=1e-5)


def test_a_frozen_network_and_one_without_filters_are_refused():
    with pytest.raises(UserError, match="Every parameter of the network is frozen"):
        sample_around(mlp().requires_grad_(False), classified())
    lonely = nn.BatchNorm1d(3)
    for sampling in samplers.SAMPLINGS:
        with pytest.raises(UserError, match="a network without filters"):
            sample_around(lonely, classified(classes=3), sampling=sampling)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampling": "gird"}, r"There is no sampling 'gird'\. Did you mean 'grid'\? Valid: grid, jump_and"),
        ({"epochs": 0}, "epochs is 0; a whole number from 1"),
        ({"seeds": []}, r"seeds is \[\]"),
        ({"steps": np.array([])}, "steps is empty"),
        ({"seeds": [0, -1], "epochs": 1}, "An entry of seeds is -1"),
        ({"sampling": "naive", "seeds": []}, r"seeds is \[\]"),
        ({"sampling": "naive", "steps": []}, "steps is empty"),
        ({"sampling": "grid", "seeds": [0, 1]}, r"seeds is \[0, 1\]; a grid takes one seed"),
        ({"sampling": "grid", "counts": (2, 1)}, "An entry of counts is 1; a whole number from 2"),
        ({"sampling": "grid", "counts": ()}, "counts is empty"),
        ({"sampling": "grid", "reach": 0}, "reach is 0; a finite number above 0"),
        ({"sampling": "grid", "reach": math.inf}, "reach is inf"),
        ({"sampling": 1}, "There is no sampling 1: it is chosen by name"),
        ({"sampling": "line", "counts": 41}, "counts is 41; a list"),
        ({"seeds": 3}, r"seeds is 3; .*for example \[3\]"),
        ({"seeds": [0, 0]}, "different whole numbers"),
        ({"steps": [0.5, 0.5]}, "different step sizes"),
        ({"steps": 0.5}, r"steps has shape \(\)"),
        ({"steps": [0.5, math.nan]}, "not finite"),
        ({"loss": 0.5}, "loss is a float; a function is needed"),
        ({"loss": lambda model, batch: 0.5}, "The loss returns float"),
        ({"loss": lambda model, batch: (model(batch[0]).mean(), 0.5)}, "The loss returns Tensor and float"),
        ({"loss": lambda model, batch: [model(batch[0]).mean()]}, "The loss returns list"),
        ({"optimizer": torch.optim.SGD(mlp().parameters(), lr=0.1)}, "optimizer is a SGD; a function is needed"),
        ({"sampling": "line", "counts": (2, 2)}, r"A line has 1 count, one for each axis, not \[2, 2\]"),
        ({"sampling": "plane", "counts": (2,)}, r"A plane has 2 counts, one for each axis, not \[2\]"),
        ({"batches": []}, "There is no batch: give at least one"),
        ({"batches": [], "evaluation": classified(), "epochs": 2}, "There is no batch to train on"),
        ({"batches": iter(classified())}, "gone through only once: give a list of them, or a DataLoader"),
        ({"batches": [{"x": 1.0}]}, "A batch holds no tensor with a dimension"),
        ({"loss": lambda model, batch: model(batch[0])}, r"a tensor of shape \(8, 2\): let it return the mean"),
        ({"loss": lambda model, batch: model(batch[0]).sum() * torch.nan}, "Sequential at its optimum is nan"),
        ({"together": "lines"}, r"no way to train together 'lines'\. Did you mean 'lanes'"),
        ({"together": "lanes"}, "Sequential with this loss cannot be trained as 'lanes': use 'auto'"),
    ],
)
def test_what_cannot_be_sampled_is_refused_in_a_sentence(options, message):
    options = {"batches": classified(), **options}
    with pytest.raises(UserError, match=message):
        sample_around(mlp(), options.pop("batches"), **options)


@pytest.mark.parametrize("together", ["lanes", "vectorised", "plain"])
def test_a_loss_that_is_not_finite_names_network_seed_step_epoch_and_learning_rate(model, data, together):
    before = flatten(model)
    sentence = r"^The loss of WRN, jump of seed 3 and step 0\.5, is (nan|inf) in epoch 1 at learning_rate 1e\+30: use"
    with pytest.raises(UserError, match=sentence):
        sample_around(
            *(model, batches_of(data, 20)),
            **{"name": "WRN", "seeds": [3], "steps": [0.5], "epochs": 3, "learning_rate": 1e30, "together": together},
        )
    assert torch.equal(flatten(model), before)


def test_a_point_with_a_loss_that_is_not_finite_is_named():
    def steep(network, batch):
        return torch.where(flatten(network).norm() < 1.1 * start.norm(), cross_entropy(network, batch)[0], torch.inf)

    start = flatten(mlp())
    with pytest.raises(UserError, match="loss of Sequential is inf at point 0, 2 steps from the optimum: use"):
        sample_around(mlp(), classified(), loss=steep, sampling="line", reach=2.0, together="plain")


def test_an_evaluation_that_batch_normalisation_cannot_join_is_refused():
    batches = [(torch.randn(4, 1, 6, 6), torch.zeros(4).long()), (torch.randn(4, 1, 6, 7), torch.zeros(4).long())]
    with pytest.raises(UserError, match="needs all examples in one batch"):
        sample_around(normalised(), batches, sampling="line")


def test_networks_in_double_and_in_half_precision_are_sampled_too():
    options = {"seeds": [0, 1], "steps": [0.5], "epochs": 2, **SGD}
    single = sample_around(mlp(), classified(), **options)
    for dtype, tolerance in ((torch.float64, 1e-5), (torch.bfloat16, 0.02)):
        batches = [(inputs.to(dtype), labels) for inputs, labels in classified()]
        record = sample_around(mlp().to(dtype), batches, **options)
        np.testing.assert_allclose(record.loss, single.loss, rtol=tolerance)


def test_the_recorder_and_the_surroundings_are_at_hand_for_more():
    model = mlp()
    around = Around(model, classified())
    recorder = record_trajectories(around, seeds=[0, 1], steps=STEPS, epochs=2)
    record = recorder.record()
    assert same_bytes(record, sample_around(mlp(), classified(), seeds=[0, 1], steps=STEPS, epochs=2))
    assert torch.equal(around.direction(1), direction_of(model, 1))
    products = recorder.products_with(torch.stack([around.direction(seed) for seed in (0, 1)]).numpy())
    jumps = np.flatnonzero(record.epoch == 0)
    own = [direction_of(model, seed).double().norm().item() ** 2 for seed in (0, 1)]
    np.testing.assert_allclose(products[jumps[:2], 0], np.array(STEPS) * own[0], rtol=1e-5)
    np.testing.assert_allclose(products[jumps[2:], 1], np.array(STEPS) * own[1], rtol=1e-5)


def test_the_memory_estimate_counts_what_is_held():
    held = []
    model, points, networks = mlp(), 12, 6

    def watched(parameters):
        optimizer = torch.optim.SGD(parameters, lr=0.01, momentum=0.9)
        held.append((parameters[0], optimizer))
        return optimizer

    recorder = record_trajectories(
        Around(model, classified()), seeds=range(3), steps=STEPS, epochs=2, optimizer=watched
    )
    theta, optimizer = held[0]
    momentum = optimizer.state[theta]["momentum_buffer"]
    copy_under_way = theta.detach().clone()
    trained = sum(tensor.nbytes for tensor in (theta, theta.grad, momentum, copy_under_way))
    displacements = sum(displacement.nbytes for displacement in recorder._displacements)
    expected = displacements + trained + 2 * recorder.record().gram.nbytes
    assert memory_estimate(parameters=len(flatten(model)), points=points, networks=networks) == expected


@pytest.mark.parametrize(
    ("sampling", "options"),
    [
        ("jump_and_retrain", {"seeds": [0, 1], "steps": [0.5], "epochs": 2}),
        ("grid", {"counts": [2, 3]}),
        ("naive", {"seeds": range(5), "steps": [0.3]}),
    ],
)
def test_held_out_losses_are_those_of_the_same_points_on_other_examples(sampling, options):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
    batches = [(torch.randn(8, 4), torch.randint(0, 3, (8,))) for _ in range(2)]
    others = [(torch.randn(n, 4), torch.randint(0, 3, (n,))) for n in (8, 3)]
    both = sample_around(model, batches, sampling=sampling, held_out=others, **options)
    swapped = sample_around(model, batches, sampling=sampling, evaluation=others, **options)
    plain = sample_around(model, batches, sampling=sampling, **options)
    np.testing.assert_allclose(both.held_out_loss, swapped.loss, rtol=1e-6)
    assert np.array_equal(both.loss, plain.loss) and plain.held_out_loss.shape == (0,)
    assert np.array_equal(Record.from_arrays(both.to_arrays()).held_out_loss, both.held_out_loss)


def test_what_is_no_network_and_inference_mode_are_refused():
    with pytest.raises(UserError, match=r"The model is a function; a torch\.nn\.Module is needed"):
        sample_around(lambda x: x, classified())
    with torch.inference_mode(), pytest.raises(UserError, match="inference_mode"):
        sample_around(mlp(), classified())


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("sampling", ["jump_and_retrain", "line"])
def test_a_scripted_model_is_sampled_like_the_model_itself_and_comes_back(sampling):
    model, options = mlp(), {"epochs": 2, "seeds": [0]} if sampling == "jump_and_retrain" else {"counts": [3]}
    scripted = torch.jit.script(model)
    before = [p.clone() for p in scripted.parameters()]
    ours, theirs = (sample_around(m, classified(), sampling=sampling, **options) for m in (model, scripted))
    assert all(map(torch.equal, before, scripted.parameters()))
    np.testing.assert_allclose(theirs.loss, ours.loss, rtol=1e-5)


def test_parameters_come_back_even_if_something_else_cannot():
    model = mlp()
    before = [p.clone() for p in model.parameters()]

    class Stubborn(dict):
        def clear(self):
            raise RuntimeError("this table cannot be cleared")

    model[0]._buffers = Stubborn()
    with pytest.raises(RuntimeError, match="cannot be cleared"):
        sample_around(model, classified(), epochs=2, seeds=[0], together="plain")
    assert all(map(torch.equal, before, model.parameters()))


def test_a_loss_from_before_can_still_be_differentiated_and_gives_its_own_gradient():
    model, batches = mlp(), classified()
    loss = torch.nn.functional.cross_entropy(model(batches[0][0]), batches[0][1])
    wanted = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)
    for sampling in ("jump_and_retrain", "line"):
        options = {"epochs": 2} if sampling == "jump_and_retrain" else {}
        sample_around(model, batches, sampling=sampling, **options)
    assert all(map(torch.equal, wanted, torch.autograd.grad(loss, list(model.parameters()))))


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
@pytest.mark.parametrize("norm", [nn.utils.weight_norm, nn.utils.spectral_norm])
def test_the_weight_that_an_older_norm_computes_comes_back(norm):
    model = nn.Sequential(norm(nn.Linear(3, 4)), nn.Linear(4, 2))
    model(torch.zeros(1, 3))
    before = model[0].weight.detach().clone()
    sample_around(model, classified(), epochs=2, seeds=[0])
    assert torch.equal(before, model[0].weight)


def test_the_random_numbers_that_all_code_shares_stay_where_they_were():
    def loss(model, batch):
        np.random.random(), random.random(), torch.rand(1)
        return torch.nn.functional.cross_entropy(model(batch[0]), batch[1])

    data = torch.utils.data.TensorDataset(*classified((21,))[0])
    shuffled = torch.utils.data.DataLoader(data, batch_size=7, shuffle=True)
    before = np.random.get_state()[1].tolist(), random.getstate(), torch.get_rng_state()
    sample_around(mlp(), classified(), loss=loss, epochs=2, held_out=shuffled)
    after = np.random.get_state()[1].tolist(), random.getstate(), torch.get_rng_state()
    assert before[:2] == after[:2] and torch.equal(before[2], after[2])


def test_a_loss_that_is_not_finite_at_a_jump_is_not_blamed_on_the_rate():
    def loss(model, batch):
        score = model(batch[0]).square().mean()
        return score / (score < 5).float()

    big = mlp()
    with torch.no_grad():
        big[3].weight.mul_(3)
    with pytest.raises(UserError, match="before any training: begin at parameters"):
        sample_around(big, classified(), loss=loss, epochs=2, steps=[100.0], together="plain")


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_batch_normalisation_in_a_scripted_network_is_refused():
    scripted = torch.jit.script(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)))
    with pytest.raises(UserError, match=r"before torch\.jit\.script"):
        sample_around(scripted, classified())


def test_random_numbers_that_data_and_loss_draw_are_fixed_by_the_seeds():
    class Drawn(torch.utils.data.Dataset):
        def __len__(self):
            return 6

        def __getitem__(self, place):
            return torch.tensor(np.random.normal(size=3) + random.random(), dtype=torch.float32), place % 2

    def loss(model, batch):
        noise = torch.randn_like(batch[0]) * np.random.rand()
        return functional.cross_entropy(model(batch[0] + noise), batch[1])

    def found(seed):
        torch.manual_seed(seed), np.random.seed(seed), random.seed(seed)
        loader = DataLoader(Drawn(), batch_size=3, shuffle=True)
        record = sample_around(model, loader, loss=loss, held_out=loader, epochs=2)
        return np.concatenate([record.loss, record.held_out_loss])

    model = mlp()
    np.testing.assert_array_equal(found(1), found(2))
