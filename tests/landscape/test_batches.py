"""What a network sees follows from a seed, and from nothing else."""

from itertools import islice

import pytest
import torch
from nets import classified, mlp, tokens
from torch.utils.data import DataLoader, TensorDataset

from shapeofloss.datasets.digits import load_digits
from shapeofloss.errors import UserError
from shapeofloss.landscape.batches import epochs_of, examples, image_epochs, joined, once, share_of
from shapeofloss.landscape.ensembles import cross_entropy

PLAIN = {"batch": 16, "augment": False, "purpose": "training"}


@pytest.fixture(scope="module")
def data():
    return load_digits(train=40, seed=0)


def shown(epochs, seed=0, count=2):
    """Return the first epochs of a seed, each as a list of batches."""
    return [list(epoch) for epoch in islice(epochs(seed), count)]


def rows(batches):
    """Return the images with their labels, sorted."""
    return sorted(
        (*image.tolist(), label)
        for images, labels in batches
        for image, label in zip(images.flatten(1), labels.tolist(), strict=True)
    )


def same(first, second):
    return all(
        torch.equal(left, right)
        for one, other in zip(first, second, strict=True)
        for pair in zip(one, other, strict=True)
        for left, right in zip(*pair, strict=True)
    )


def test_an_epoch_shows_every_image_once_with_its_label_in_batches_of_a_new_order(data):
    first, second = shown(image_epochs(data.train_images, data.train_labels, **PLAIN))
    assert [len(labels) for _, labels in first] == [16, 16, 8]
    assert not torch.equal(first[0][0], second[0][0])
    assert rows(first) == rows(second) == rows([(data.train_images, data.train_labels)])


def test_a_share_of_the_images_is_the_same_in_every_epoch_and_another_for_another_seed(data):
    epochs = image_epochs(data.train_images, data.train_labels, **PLAIN, share=0.9)
    first, second = map(rows, shown(epochs))
    assert len(first) == 36 and first == second and set(first) < set(rows([(data.train_images, data.train_labels)]))
    assert rows(shown(epochs, seed=1, count=1)[0]) != first


def test_augmentation_moves_the_images_and_keeps_to_those_given(data):
    epochs = image_epochs(data.train_images, data.train_labels, **{**PLAIN, "augment": True})
    first, second = (torch.cat([images for images, _ in epoch]).flatten(1) for epoch in shown(epochs))
    known = data.train_images.flatten(1)
    for images in (first, second):
        still = (images[:, None] == known).all(dim=2).any(dim=1).double().mean()
        assert 0 < still < 0.5
    assert data.train_images.sum() == load_digits(train=40, seed=0).train_images.sum()


def test_what_is_shown_depends_on_seed_and_purpose_alone(data):
    def of(seed, purpose):
        torch.rand(3)
        epochs = image_epochs(data.train_images, data.train_labels, batch=16, augment=True, purpose=purpose, share=0.5)
        return shown(epochs, seed)

    first = of(0, "training")
    assert same(first, of(0, "training"))
    assert not same(first, of(1, "training")) and not same(first, of(0, "retraining"))


@pytest.mark.parametrize("share", [0.0, 1.1, -1.0, float("nan")])
def test_a_share_out_of_range_is_refused(data, share):
    with pytest.raises(UserError, match=f"lies above 0 and is at most 1, not {share}"):
        image_epochs(data.train_images, data.train_labels, **PLAIN, share=share)


def test_a_share_is_at_least_one_image():
    assert [share_of(count, 0.1) for count in (1, 4, 10, 256)] == [1, 1, 1, 26] and share_of(40, 1) == 40


def test_a_list_comes_in_a_new_random_order_each_time():
    batches = classified((2,) * 20)
    first, second = shown(epochs_of(batches))
    for epoch in (first, second):
        assert sorted(id(batch) for batch in epoch) == sorted(map(id, batches))
    orders = {tuple(map(id, epoch)) for epoch in (batches, first, second, shown(epochs_of(tuple(batches)), 1, 1)[0])}
    assert len(orders) == 4
    assert same([first, second], shown(epochs_of(batches)))


@pytest.fixture
def loader():
    inputs, labels = classified((20,))[0]
    return DataLoader(TensorDataset(inputs, labels), batch_size=8, shuffle=True)


def test_a_loader_orders_itself_by_the_seed_whatever_the_global_random_state_which_it_leaves_alone(loader):
    orders = []
    for state in range(3):
        torch.manual_seed(state)
        before = torch.get_rng_state()
        orders.append([*shown(epochs_of(loader)), once(loader)])
        assert torch.equal(torch.get_rng_state(), before)
    first, second, single = orders[0]
    assert all(same(one, other) for order in orders[1:] for one, other in zip(orders[0], order, strict=True))
    assert not same(first, second) and not same(first, shown(epochs_of(loader), seed=1)[0])
    assert rows(first) == rows(second) == rows(single) == rows(loader)


def test_two_streams_of_a_loader_do_not_disturb_each_other(loader):
    alone = shown(epochs_of(loader), seed=0, count=1)[0]
    streams = zip(next(epochs_of(loader)(0)), next(epochs_of(loader)(1)), strict=True)
    first, second = zip(*[pair for pair in streams if torch.rand(1) < 2], strict=True)
    assert same(alone, first) and same(second, shown(epochs_of(loader), seed=1, count=1)[0])


def test_what_a_loader_draws_for_its_examples_differs_from_batch_to_batch_and_follows_from_the_seed():
    def shaken(examples):
        return torch.stack(examples) + torch.rand(len(examples))

    loader = DataLoader(torch.zeros(12), batch_size=4, collate_fn=shaken)
    first, again = ([batch for batch in shown(epochs_of(loader), count=1)[0] if torch.rand(1) < 2] for _ in range(2))
    assert len(torch.cat(first).unique()) == 12 and torch.equal(torch.cat(first), torch.cat(again))


def test_one_pass_of_a_list_keeps_its_order():
    batches = classified()
    assert all(one is other for one, other in zip(once(batches), batches, strict=True))


def test_batches_that_can_be_gone_through_only_once_are_refused():
    for batches in (iter(classified()), (batch for batch in classified())):
        with pytest.raises(UserError, match="gone through only once: give a list of them, or a DataLoader"):
            epochs_of(batches)


def test_the_number_of_examples_is_the_length_of_the_first_tensor():
    assert examples(classified((5,))[0]) == 5
    assert examples(tokens((4,))[0]) == 4
    assert examples({"scale": torch.tensor(2.0), "parts": [{"x": torch.zeros(3, 7)}], "y": torch.zeros(9)}) == 3
    for batch in ({"x": torch.tensor(1.0)}, (1, "two"), []):
        with pytest.raises(UserError, match="holds no tensor with a dimension for its examples"):
            examples(batch)


def test_batches_are_joined_example_by_example():
    batches = classified((8, 8, 5))
    inputs, labels = joined(batches)
    assert torch.equal(inputs, torch.cat([part for part, _ in batches])) and len(labels) == 21
    assert joined(batches[:1]) is batches[0]
    together = joined([{**batch, "weight": 2.0} for batch in tokens((4, 3))])
    assert together["tokens"].shape == (7, 5) and together["weight"] == 2.0
    for unlike in ([(torch.zeros(2, 3),), (torch.zeros(2, 4),)], [torch.zeros(2), [torch.zeros(2)]]):
        with pytest.raises(UserError, match="these cannot be joined: pass `evaluation`, a list with one batch"):
            joined(unlike)


def test_one_batch_in_place_of_a_list_of_them_is_refused():
    ((inputs, labels),) = classified(sizes=(8,))
    for function in (epochs_of, once):
        with pytest.raises(UserError, match=r"which is one batch: give a list, \[\(inputs, labels\)\]"):
            function((inputs, labels))
        with pytest.raises(UserError, match="The batches are a Tensor: give a list of batches, or a DataLoader"):
            function(inputs)
        with pytest.raises(UserError, match="The batches are a int: give a list of batches, or a DataLoader"):
            function(3)
    assert [len(part) for part in once([inputs, inputs[:3]])] == [8, 3]  # batches without labels


@pytest.mark.parametrize("batch", [torch.zeros(2, 3), (torch.zeros(2, 3),), {"x": torch.zeros(2, 3), "y": None}])
def test_the_loss_of_a_classifier_names_what_a_batch_has_to_be(batch):
    with pytest.raises(
        UserError, match=r"A batch is a (Tensor|tuple of 1|dict); give a list of pairs \(inputs, labels\)"
    ):
        cross_entropy(mlp(), batch)
