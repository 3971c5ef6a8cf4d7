"""Algorithm 2: learn the sharpness at which the directional sign loss is as large as a reference loss."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shapeofloss.arrays import as_count, as_function, as_number, as_tensor
from shapeofloss.datasets.photographs import NAMES, next_patches, patches
from shapeofloss.errors import UserError, unknown
from shapeofloss.signloss.loss import directional_sign_loss
from shapeofloss.signloss.waves import waves

GRID = 2.0 ** np.arange(-4, 17)  # sharpnesses over one root mean square difference, for the largest loss
WINDOW = 50  # steps whose mean decides whether the search has converged


@dataclass(frozen=True, eq=False)
class Found:
    """A sharpness, and how it was found.

    Attributes:
        value: The sharpness, in 1 / units of the data: the mean over the last `WINDOW` steps.
        converged: Whether the gap between the two losses came below the tolerance.
        reason: Why the search ended, in a sentence.
        largest: The largest directional sign loss between the first batches, over all sharpnesses.
        sharpness, loss, reference: At each step that was made, shape (steps,).
    """

    value: float
    converged: bool
    reason: str
    largest: float
    sharpness: NDArray[np.float64]
    loss: NDArray[np.float64]
    reference: NDArray[np.float64]


def find_sharpness(
    batch: Callable[[int], tuple[Tensor, Tensor]],
    reference: Callable[[Tensor, Tensor], Tensor],
    *,
    start: float,
    steps: int,
    learning_rate: float = 0.3,
    tolerance: float = 0.02,
    average: str = "comparisons",
    go_on: bool = False,
) -> Found:
    r"""Change the sharpness s by Adam until the loss between unrelated examples equals a reference loss.

    Minimised is :math:`(\mathrm{DSL}_s(B_1, B_2) - L(B_1, B_2))^2` over batches of pairs. DSL, as a mean over
    comparisons, is at most 2, so that a larger reference cannot be reached. Whether it can is decided first, on ten
    batches: DSL is computed for many sharpnesses, since it does not always rise with s.

    Args:
        batch: Returns the two halves of the batch of a step, one shape (N, ...) each.
        reference: The loss to be matched, such as `torch.nn.functional.mse_loss`.
        start: First sharpness, positive.
        steps: At most so many.
        learning_rate: Of Adam, for s itself; s stays above a hundredth of `start`.
        tolerance: The search has converged when the mean of DSL over 50 steps differs from that of the reference by
            less, relative to the reference.
        average: As for `directional_sign_loss`.
        go_on: Whether to make all steps in any case.
    Returns:
        What was found; `converged` is False if the reference cannot be reached, or the steps were too few.
    Raises:
        UserError: If start, steps, learning_rate or tolerance are not positive; if a batch is no pair of tensors of
            finite numbers, or records gradients; if a loss is no finite number, at some step.
    Source:
        Directional sign loss paper, appendix 5.3, Algorithm 2, which stops when the squared gap of a single batch falls
        below a threshold; that happens by chance, too. The second stop is ours.
    """
    batch = as_function(batch, "batch")
    reference = as_function(reference, "reference", example="torch.nn.functional.mse_loss")
    start, steps = as_number(start, "start", above=0), as_count(steps, "steps")
    learning_rate = as_number(learning_rate, "learning_rate", above=0)
    tolerance = as_number(tolerance, "tolerance", above=0)
    largest, target = _reach([_halves(batch, step) for step in range(10)], reference, average)
    unreachable = target > largest
    impossible = (
        f"cannot converge: the reference loss is {target:.3g}, and the largest directional sign loss, over all "
        f"sharpnesses, is {largest:.3g}"
    )
    if unreachable and not go_on:
        empty = np.empty(0)
        return Found(start, False, impossible, largest, empty, empty, empty)
    sharpness = torch.tensor(float(start), requires_grad=True)
    optimizer = torch.optim.Adam([sharpness], lr=learning_rate)
    history: list[tuple[float, float, float]] = []
    converged = False
    for step in range(steps):
        first, second = _halves(batch, step)
        with torch.no_grad():
            wanted = _reference(reference, first, second)
        # s times the arrays at sharpness 1: the same loss, by the compiled loops
        loss = directional_sign_loss(sharpness * first, sharpness * second, sharpness=1.0, average=average)
        history.append((sharpness.item(), loss.item(), wanted.item()))
        optimizer.zero_grad()
        ((loss - wanted) ** 2).backward()
        optimizer.step()
        with torch.no_grad():
            sharpness.clamp_(min=start / 100)
        if len(history) >= WINDOW:
            _, near, far = np.mean(history[-WINDOW:], axis=0)
            converged = bool(abs(near - far) < tolerance * far)
            if converged and not go_on:
                break
    columns = np.array(history).T
    reason = impossible if unreachable else "converged" if converged else f"not converged after {steps} steps"
    return Found(float(columns[0, -WINDOW:].mean()), converged and not unreachable, reason, largest, *columns)


def _reach(
    batches: Sequence[tuple[Tensor, Tensor]], reference: Callable[[Tensor, Tensor], Tensor], average: str
) -> tuple[float, float]:
    """Return the largest mean loss over all sharpnesses, and the mean reference."""
    squares = [x.diff(dim=i).square().mean().item() for x, _ in batches for i in range(1, x.dim()) if x.shape[i] > 1]
    unit = (math.sqrt(float(np.mean(squares))) if squares else 0.0) or 1.0
    means = [
        np.mean([directional_sign_loss(x, y, sharpness=float(s / unit), average=average).item() for x, y in batches])
        for s in GRID
    ]
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
    found = as_tensor(reference(first, second), "The reference loss").detach()
    if found.numel() != 1 or not bool(found.isfinite().all()):
        told = f"{found.item():g}" if found.numel() == 1 else f"of shape {tuple(found.shape)}"
        raise UserError(f"The reference loss is {told}; one finite number is needed.")
    return found


def search(*, data: str, seed: int, size: int, batch: int, start: float, steps: int) -> dict[str, Any]:
    """Run Algorithm 2 for all steps between unrelated waves or photographs, with the mean squared error as reference.

    Args:
        data: "waves" or "photographs", whose patches are scaled to [-1, 1].
        seed: Of the pairs.
        size: Points of a wave, or side of a patch.
        batch: Pairs per step.
        start, steps: As for `find_sharpness`.
    Returns:
        The fields of `Found`.
    Raises:
        UserError: If the kind of data is unknown, or a number out of range.
    """
    seed, batch = as_count(seed, "seed", at_least=0), as_count(batch, "batch")
    if data == "waves":
        generator = torch.Generator().manual_seed(seed)

        def halves(_: int) -> tuple[Tensor, Tensor]:
            return waves(batch, size, generator), waves(batch, size, generator)

    elif data == "photographs":
        drawn = patches(list(NAMES), size, seed)

        def halves(_: int) -> tuple[Tensor, Tensor]:
            both = 2 * next_patches(drawn, 2 * batch) - 1
            return both[:batch], both[batch:]

    else:
        raise unknown("kind of data", data, ["waves", "photographs"])
    found = find_sharpness(halves, torch.nn.functional.mse_loss, start=start, steps=steps, go_on=True)
    return dict(vars(found))
