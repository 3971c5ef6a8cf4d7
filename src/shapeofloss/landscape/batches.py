"""What a network sees while it is retrained, as a function of a seed alone."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map

from shapeofloss.arrays import as_count
from shapeofloss.datasets.digits import shifted
from shapeofloss.errors import UserError
from shapeofloss.landscape.ensembles.base import Batch
from shapeofloss.landscape.randomness import generator_for, random_state, seed_all

Augmentation = Callable[[Tensor, torch.Generator], Tensor]
Epochs = Callable[[int], Iterator[Iterable[Batch]]]  # from a seed to epoch after epoch of batches


def image_epochs(
    images: Tensor,
    labels: Tensor,
    *,
    batch: int,
    augment: bool,
    augmentation: Augmentation = shifted,
    share: float = 1.0,
    purpose: str,
) -> Epochs:
    """Return the epochs of classified images: minibatches in a new random order each time, perhaps augmented.

    Args:
        images, labels: Shapes (N, channels, height, width) and (N,).
        batch: Images of a minibatch; the last one takes what is left.
        augment: Whether each image is changed at random.
        augmentation: How, as a function of images and a generator.
        share: Share of the images that is used, above 0, at most 1; which ones is fixed by the seed.
        purpose: As for `generator_for`.
    Raises:
        UserError: If the share or the batch is out of range.
    """
    kept_images = share_of(len(images), share)
    as_count(batch, "batch")

    def epochs(seed: int) -> Iterator[Iterable[Batch]]:
        generator = generator_for(seed, purpose)
        kept = torch.arange(len(images))
        if share < 1:
            kept = torch.randperm(len(images), generator=generator)[:kept_images]
        while True:
            order = torch.randperm(len(kept), generator=generator)
            yield [
                (augmentation(images[chosen], generator) if augment else images[chosen], labels[chosen])
                for chosen in kept[order].to(images.device).split(batch)
            ]

    return epochs


def share_of(count: int, share: float) -> int:
    """Return how many of `count` images a share of them is, at least one.

    Raises:
        UserError: If the share is out of range.
    """
    if not 0 < share <= 1:
        raise UserError(f"A share of the training images lies above 0 and is at most 1, not {share}.")
    return max(1, round(share * count))


def epochs_of(batches: Iterable[Batch]) -> Epochs:
    """Return the epochs of any batches that can be gone through again and again.

    A list or tuple is taken in a new random order each time. Anything else, such as a `DataLoader`, orders itself,
    while the global random numbers of torch, NumPy and Python follow from the seed; a generator of its own would not.

    Args:
        batches: The batches of one epoch.
    Raises:
        UserError: If they can be gone through only once, or are no batches.
    """
    if isinstance(batches, Iterator):
        raise UserError("These batches can be gone through only once: give a list of them, or a DataLoader.")
    _check_batches(batches)

    def epochs(seed: int) -> Iterator[Iterable[Batch]]:
        generator = generator_for(seed, "retraining")
        while True:
            if isinstance(batches, Sequence):
                yield [batches[k] for k in torch.randperm(len(batches), generator=generator).tolist()]
            else:
                yield _seeded(batches, int(torch.randint(2**62, (), generator=generator)))

    return epochs


def _check_batches(batches: Iterable[Batch]) -> None:
    """Refuse what holds no batches, and one batch in place of a list of them."""
    if isinstance(batches, Tensor | str | bytes) or not (
        hasattr(batches, "__iter__") or hasattr(batches, "__getitem__")
    ):
        raise UserError(f"The batches are a {type(batches).__name__}: give a list of batches, or a DataLoader.")
    if isinstance(batches, Sequence) and all(isinstance(batch, Tensor) for batch in batches):
        kinds = {(batch.dim(), batch.dtype) for batch in batches}
        if len(kinds) > 1:
            raise UserError(
                "The batches are tensors of different kinds, as (inputs, labels) are, which is one batch: give a list, "
                "[(inputs, labels)]."
            )


def once(batches: Iterable[Batch]) -> list[Batch]:
    """Return the batches of one epoch, those of a `DataLoader` always in the same order.

    Raises:
        UserError: If they are no batches.
    """
    _check_batches(batches)
    return list(batches if isinstance(batches, Sequence) else _seeded(batches, 0))


def _seeded(batches: Iterable[Batch], seed: int) -> Iterator[Batch]:
    """Go through batches with random numbers of their own, whatever else draws some in between."""
    outside = random_state()
    seed_all(seed)
    inside = random_state()
    outside()
    iterator = None
    while True:
        outside = random_state()
        inside()
        try:
            iterator = iter(batches) if iterator is None else iterator
            batch = next(iterator)
        except StopIteration:
            return
        finally:
            inside = random_state()
            outside()
        yield batch


def examples(batch: Batch) -> int:
    """Return how many examples a batch holds: the length of its first tensor.

    Raises:
        UserError: If it holds no tensor with a dimension.
    """
    for leaf in tree_flatten(batch)[0]:
        if isinstance(leaf, Tensor) and leaf.dim():
            return len(leaf)
    raise UserError("A batch holds no tensor with a dimension for its examples: give tensors, or dicts of them.")


def joined(batches: Sequence[Batch]) -> Batch:
    """Return one batch with the examples of all.

    Raises:
        UserError: If their tensors cannot be put one after another.
    """
    if len(batches) == 1:
        return batches[0]
    try:
        return tree_map(lambda *leaves: torch.cat(leaves) if isinstance(leaves[0], Tensor) else leaves[0], *batches)
    except (RuntimeError, TypeError, ValueError) as error:
        raise UserError(
            "Batch normalisation needs all examples in one batch, and these cannot be joined: pass `evaluation`, a "
            f"list with one batch. ({error})"
        ) from None
