"""Algorithm 2: learn the sharpness at which the directional sign loss is as large as a reference loss."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shapeofloss.arrays import Floats, as_count, as_function, as_number, as_tensor
from shapeofloss.datasets.photographs import NAMES, next_patches, patches
from shapeofloss.datasets.waves import waves
from shapeofloss.errors import UserError, unknown
from shapeofloss.signloss.loss import directional_sign_loss

GRID = 2.0 ** np.arange(-4, 17)  # sharpnesses over one root mean square difference, for the largest loss
WINDOW = 50  # steps whose mean decides whether the search has converged


@dataclass(frozen=True, eq=False)
class Search:
    """A sharpness, and how it was found.

    Attributes:
        value: The sharpness, in 1 / units of the data: the mean over the last `WINDOW` steps.
        converged: Whether the gap between the two losses came below the tolerance, and can.
        reason: Why not, or that it has, in a sentence.
        largest: The largest directional sign loss between the first batches, over all sharpnesses.
        sharpness, loss, reference: At each step, shape (steps,).
    """

    value: float
    converged: bool
    reason: str
    largest: float
    sharpness: Floats
    loss: Floats
    reference: Floats


def find_sharpness(
    batch: Callable[[int], tuple[Tensor, Tensor]],
    reference: Callable[[Tensor, Tensor], Tensor],
    *,
    start: float,
    steps: int,
    learning_rate: float = 0.3,
    tolerance: float = 0.02,
) -> Search:
    r"""Change the sharpness s by Adam until the loss between unrelated examples equals a reference loss.

    Minimised is :math:`(\mathrm{DSL}_s(B_1, B_2) - L(B_1, B_2))^2` over batches of pairs. DSL, as a mean over
    comparisons, is at most 2, so that a larger reference cannot be reached. Whether it can is decided first, on ten
    batches: DSL is computed for many sharpnesses, since it does not always rise with s.

    Args:
        batch: Returns the two halves of the batch of a step, one shape (N, ...) each.
        reference: The loss to be matched, such as `torch.nn.functional.mse_loss`.
        start: First sharpness, positive.
        steps: Number of steps.
        learning_rate: Learning rate of Adam, for s itself; s stays above a hundredth of `start`.
        tolerance: The search has converged when the mean of DSL over the last 50 steps differs from that of the
            reference by less, relative to the reference.
    Raises:
        UserError: If start, steps, learning_rate or tolerance are not positive; if a batch is no pair of tensors of
            finite numbers, or records gradients; if a loss is no finite number, at some step.
    Source:
        Directional sign loss paper, appendix 5.3, Algorithm 2, which stops when the squared gap of a single batch falls
        below a threshold; that happens by chance, too. All steps are made here.
    """
    batch = as_function(batch, "batch")
    reference = as_function(reference, "reference", example="torch.nn.functional.mse_loss")
    start, steps = as_number(start, "start", above=0), as_count(steps, "steps")
    learning_rate = as_number(learning_rate, "learning_rate", above=0)
    tolerance = as_number(tolerance, "tolerance", above=0)
    largest, target = _reach([_halves(batch, step) for step in range(10)], reference)
    sharpness = torch.tensor(float(start), requires_grad=True)
    optimizer = torch.optim.Adam([sharpness], lr=learning_rate)
    history: list[tuple[float, float, float]] = []
    for step in range(steps):
        first, second = _halves(batch, step)
        with torch.no_grad():
            wanted = _reference(reference, first, second)
        # s times the arrays at sharpness 1: the same loss, by the compiled loops
        loss = directional_sign_loss(sharpness * first, sharpness * second, sharpness=1.0)
        history.append((sharpness.item(), loss.item(), wanted.item()))
        optimizer.zero_grad()
        ((loss - wanted) ** 2).backward()
        optimizer.step()
        with torch.no_grad():
            sharpness.clamp_(min=start / 100)
    value, near, far = np.mean(history[-WINDOW:], axis=0)
    converged = target <= largest and steps >= WINDOW and bool(abs(near - far) < tolerance * far)
    reason = "converged" if converged else f"not converged after {steps} steps"
    if target > largest:
        reason = (
            f"cannot converge: the reference loss is {target:.3g}, and the largest directional sign loss, over all "
            f"sharpnesses, is {largest:.3g}"
        )
    return Search(float(value), converged, reason, largest, *np.array(history).T)


def _reach(
    batches: Sequence[tuple[Tensor, Tensor]], reference: Callable[[Tensor, Tensor], Tensor]
) -> tuple[float, float]:
    """Return the largest mean loss over all sharpnesses, and the mean reference."""
    squares = [x.diff(dim=i).square().mean().item() for x, _ in batches for i in range(1, x.dim()) if x.shape[i] > 1]
    unit = (math.sqrt(float(np.mean(squares))) if squares else 0.0) or 1.0
    means = [np.mean([directional_sign_loss(x, y, sharpness=float(s / unit)).item() for x, y in batches]) for s in GRID]
    return float(max(means)), float(np.mean([_reference(reference, x, y).item() for x, y in batches]))


def _halves(batch: Callable[[int], tuple[Tensor, Tensor]], step: int) -> tuple[Tensor, Tensor]:
    both = batch(step)
    if not isinstance(both, tuple | list | Tensor) or len(both) != 2:
        raise UserError(f"The batch of step {step + 1} is of type {type(both).__name__}; a pair of tensors is needed.")
    first, second = (as_tensor(half, f"A half of the batch of step {step + 1}") for half in both)
    for half in (first, second):
        if half.requires_grad or not (half.is_floating_point() and bool(half.isfinite().all())):
            raise UserError(
                f"The batch of step {step + 1} records gradients, or has values that are not finite floating numbers; "
                "give it detached, without them."
            )
    return first, second


def _reference(reference: Callable[[Tensor, Tensor], Tensor], first: Tensor, second: Tensor) -> Tensor:
    value = as_tensor(reference(first, second), "The reference loss").detach()
    if value.numel() != 1 or not bool(value.isfinite().all()):
        told = f"{value.item():g}" if value.numel() == 1 else f"of shape {tuple(value.shape)}"
        raise UserError(f"The reference loss is {told}; one finite number is needed.")
    return value


def search(*, data: str, seed: int, size: int, batch: int, start: float, steps: int) -> dict[str, Any]:
    """Run Algorithm 2 between unrelated waves or photographs, with the mean squared error as reference.

    Args:
        data: "waves" or "photographs", whose patches are scaled to [-1, 1].
        seed: Seed of the pairs.
        size: Points of a wave, or side of a patch.
        batch: Pairs per step.
        start, steps: As for `find_sharpness`.
    Returns:
        The fields of `Search`.
    Raises:
        UserError: If the kind of data is unknown, or a number out of range.
    """
    seed, batch = as_count(seed, "seed", at_least=0), as_count(batch, "batch")
    if data not in ("waves", "photographs"):
        raise unknown("kind of data", data, ["waves", "photographs"])
    generator = torch.Generator().manual_seed(seed)
    drawn = patches(list(NAMES), size, seed) if data == "photographs" else iter(())

    def halves(_: int) -> tuple[Tensor, Tensor]:
        if data == "waves":
            return waves(batch, size, generator), waves(batch, size, generator)
        both = 2 * next_patches(drawn, 2 * batch) - 1
        return both[:batch], both[batch:]

    return dict(vars(find_sharpness(halves, torch.nn.functional.mse_loss, start=start, steps=steps)))
