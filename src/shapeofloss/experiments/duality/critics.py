"""The Lipschitz function with the largest difference of means, by linear program and by network."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy import sparse
from scipy.optimize import linprog
from torch import Tensor, nn

from shapeofloss.adversarial.networks import perceptron
from shapeofloss.adversarial.penalty import GradientPenalty, gradient_norms
from shapeofloss.adversarial.training import WASSERSTEIN, train_critic
from shapeofloss.arrays import Floats, as_count, as_floats, as_number
from shapeofloss.distributions.clouds import as_cloud, as_weights
from shapeofloss.distributions.mixtures import choices, seeded_source
from shapeofloss.errors import UserError
from shapeofloss.transport.assignment.programs import TOLERANCES, as_costs


def lipschitz_program(distance: ArrayLike, pi: ArrayLike, p: ArrayLike, *, slope: float = 1.0) -> Floats:
    """Return a function on N points that tells two laws on them apart as far as its slope allows, by linear program.

    max sum_i (pi_i - p_i) f_i over f with f_i - f_j <= K d_ij for all i, j.

    It has N unknowns and N (N - 1) constraints, and knows nothing of plans. Adding a constant to f changes nothing; the
    last value is set to 0.

    Args:
        distance: d, shape (N, N), a metric, in units of length.
        pi, p: Masses that are brought to a sum of 1, shape (N,).
        slope: K, above 0 and finite.
    Returns:
        f, shape (N,), in units of K times length.
    Raises:
        UserError: If distances are not square or negative, masses are none, the slope is no finite number above 0, or
            the solver gives up.
    Source:
        WGAN lecture, slide "Wasserstein distance", theorem of Kantorovich and Rubinstein.
    Example:
        >>> lipschitz_program([[0.0, 3.0], [3.0, 0.0]], [1, 0], [0, 1]).tolist()
        [3.0, 0.0]
    """
    d = as_costs(as_floats(distance, "The table of distances", finite=False))
    count = len(d)
    if d.shape != (count, count):
        raise UserError(f"The distances have shape {d.shape}; a function on N points needs those between all, (N, N).")
    if d.min() < 0:
        raise UserError(f"The least distance is {d.min():g}; none can be negative.")
    slope = as_number(slope, "The bound of the slope", above=0)
    pi, p = as_weights(pi, count, "pi"), as_weights(p, count, "p")
    i, j = np.nonzero(~np.eye(count, dtype=bool))
    rows = np.arange(len(i))
    ones = np.ones(len(i))
    differences = sparse.csr_array((np.r_[ones, -ones], (np.r_[rows, rows], np.r_[i, j])), shape=(len(i), count))
    scale = d.max() or 1.0
    result = linprog(
        -(pi - p) * count,  # about 1 each, as tolerances are absolute
        A_ub=differences,
        b_ub=d[i, j] / scale,
        bounds=[(None, None)] * (count - 1) + [(0, 0)],
        method="highs-ds",
        options=TOLERANCES,
    )
    if result.status:
        raise UserError(f"HiGHS found no function: {result.message}")
    return result.x * scale * slope


@dataclass(frozen=True)
class OneSidedPenalty(GradientPenalty):
    """A price on gradient norms above 1 only: what a slope of *at most* 1 asks for.

    Source:
        Not in the WGAN lecture, whose penalty also pushes up slopes below 1.
    """

    def norms(self, critic: nn.Module, real: Tensor, fake: Tensor, rng: torch.Generator) -> Tensor:
        """Return the gradient norms, those below 1 as 1, where they cost nothing."""
        return super().norms(critic, real, fake, rng).clamp(min=1)


def mixture_1d(count: int, seed: int, *, centres: ArrayLike, deviation: float) -> Floats:
    """Return samples of equal parts of normal laws on the line, shape (count, 1).

    Args:
        count: Number of samples.
        seed: Not negative.
        centres: Means, shape (K,).
        deviation: The standard deviation of each, not negative.
    Raises:
        UserError: If a number is out of range, or there is no centre.
    Example:
        >>> mixture_1d(3, 0, centres=[-1.0, 1.0], deviation=0.0).ravel()
        array([1., 1., 1.])
    """
    centres = as_floats(centres, "The list of centres", shape=("K",), empty=False)
    as_count(count, "count"), as_number(deviation, "deviation", at_least=0)
    rng = np.random.default_rng(as_count(seed, "seed", at_least=0))
    return (rng.choice(centres, count) + deviation * rng.standard_normal(count))[:, None]


def fit_critic(
    x: Floats,
    y: Floats,
    seed: int,
    *,
    hidden: int,
    batch: int,
    steps: int,
    learning_rate: float,
    penalty: float,
    one_sided: bool = False,
    every: int = 0,
    places: Floats,
    fresh_x: Floats,
    fresh_y: Floats,
) -> dict[str, Any]:
    """Train a critic with a gradient penalty on two clouds, and record what it says on others.

    Args:
        x, y: Clouds of shape (N, D) and (M, D) that batches are drawn from, with replacement.
        seed: Of weights and batches.
        hidden: Values of each of two hidden layers.
        batch: Points of each cloud per step.
        steps: Of Adam, whose learning rate falls to 0 along half a cosine.
        learning_rate: At the start.
        penalty, one_sided: lambda, and whether slopes below 1 are free.
        every: After how many steps to record, also before the first; 0 for the end only.
        places: Where the slope is looked at, shape (P, D).
        fresh_x, fresh_y: What means are taken over; the clouds themselves, or others of the same laws.
    Returns:
        `at`: steps done at each of R records; `value`: mean of f over fresh_x less that over fresh_y, shape (R,);
        `slope`: the largest gradient norm at the places, shape (R,); `f`: values at the places at the end, shape (P,).
    Raises:
        UserError: If one is no cloud, or as for `train_critic`.
    """
    clouds = [as_cloud(cloud, name) for cloud, name in ((x, "x"), (y, "y"), (places, "places"))]
    dimension = clouds[0].shape[1]
    critic = perceptron((dimension, hidden, hidden, 1), generator=seeded_source(seed))
    fresh = as_cloud(fresh_x, "fresh_x"), as_cloud(fresh_y, "fresh_y")
    means = [torch.as_tensor(cloud, dtype=torch.float32) for cloud in fresh]
    where = torch.as_tensor(clouds[2], dtype=torch.float32)

    def watch(_: int) -> dict[str, float]:
        with torch.no_grad():
            first, second = (critic(cloud).double().mean().item() for cloud in means)
        return {"value": first - second, "slope": gradient_norms(critic, where).max().item()}

    history = train_critic(
        critic,
        choices(clouds[0]),
        choices(clouds[1]),
        WASSERSTEIN,
        steps=steps,
        optimizer=partial(torch.optim.Adam, lr=learning_rate, betas=(0.5, 0.9)),
        constraint=(OneSidedPenalty if one_sided else GradientPenalty)(penalty),
        batch=batch,
        cosine=True,
        seed=seed,
        record_every=as_count(every, "every", at_least=0) or steps,
        watch=watch,
    )
    with torch.no_grad():
        f = critic(where).flatten().double().numpy()
    return {"at": history.at, **history.watched, "f": f}
