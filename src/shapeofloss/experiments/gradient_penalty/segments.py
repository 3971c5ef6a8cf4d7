"""Critics along the segments of exact transport plans: optimal ones in closed form or from prices, and trained ones."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.spatial import Delaunay

from shapeofloss.adversarial.constraints import Critic, GradientPenalty, gradient_norms, input_gradients
from shapeofloss.adversarial.networks import perceptron
from shapeofloss.adversarial.objectives import WASSERSTEIN
from shapeofloss.adversarial.quality import wasserstein
from shapeofloss.adversarial.training import Schedule, adam, train_critic
from shapeofloss.arrays import Floats, as_count, as_floats
from shapeofloss.distributions.clouds import as_cloud
from shapeofloss.distributions.mixtures import Mixture, choices, seeded_source
from shapeofloss.errors import UserError, unknown
from shapeofloss.transport.assignment.exact import cost_matrix, optimal_assignment

BOX = 2.0  # centres of random mixtures lie in [-BOX, BOX]^2
CENTRES = 3  # of each random mixture
DEVIATION = 0.2  # of each of its parts, along each axis


class Example(NamedTuple):
    """Data y and generated points z, both of shape (N, 2) and in no common order, with an optimal critic."""

    y: Floats
    z: Floats
    critic: Critic


EXAMPLES = ("shift", "outwards", "inwards")


def moved(kind: str, count: int, seed: int) -> Example:
    """Return an example in which all mass moves and whose optimal critic is differentiable along the way.

    Args:
        kind: "shift": normal points and the same, shifted at random. "outwards" and "inwards": points at random angles
            on two rings about 0 with random radii, the data on the larger and on the smaller one.
        count: N.
        seed: Seed of the points.
    Raises:
        UserError: If there is no such kind, or no point.
    Example:
        >>> moved("outwards", 5, 0).y.shape
        (5, 2)
    """
    if not isinstance(kind, str) or kind not in EXAMPLES:
        raise unknown("example", kind, EXAMPLES)
    as_count(count, "count")
    generator = np.random.default_rng(as_count(seed, "seed", at_least=0))
    if kind == "shift":
        angle, length = generator.uniform(0, 2 * np.pi), generator.uniform(0.5, 2)
        vector = length * np.array([np.cos(angle), np.sin(angle)])
        z = generator.standard_normal((count, 2))
        # Optimal where the data are the generated points, shifted: the coordinate along the shift.
        return Example(z[generator.permutation(count)] + vector, z, lambda x: x @ torch.tensor(vector / length))
    angles = generator.uniform(0, 2 * np.pi, count)
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    small, large = generator.uniform(0.3, 1) * ring, generator.uniform(1.5, 3) * ring
    # Optimal where mass moves along rays: the distance from 0, with its sign.
    sign, y, z = (1.0, large, small) if kind == "outwards" else (-1.0, small, large)
    return Example(y[generator.permutation(count)], z, lambda x: sign * torch.linalg.vector_norm(x, dim=1))


def coupled(y: ArrayLike, z: ArrayLike) -> Floats:
    """Return the points z in the order in which an optimal plan for W_1 pairs them with y, shape (N, D).

    Args:
        y, z: Shape (N, D) each.
    Raises:
        UserError: If they differ in number or dimension.
    Example:
        >>> coupled([[0.0], [5.0]], [[6.0], [1.0]]).ravel().tolist()
        [1.0, 6.0]
    """
    first, second = as_cloud(y, "y"), as_cloud(z, "z")
    if len(first) != len(second):
        raise UserError(f"There are {len(first)} points y and {len(second)} points z; pairs need as many of both.")
    return second[optimal_assignment(cost_matrix(first, second, p=1))]


class Along(NamedTuple):
    """A critic's gradients at points of segments.

    Attributes:
        x: The points, shape (N, D).
        cosine: Cosine of the angle between the gradient and the way from z to y, shape (N,).
        norm: Norm of the gradient, shape (N,).
    """

    x: Floats
    cosine: Floats
    norm: Floats


def along_segments(critic: Critic, y: Floats, z: Floats, t: ArrayLike) -> Along:
    """Return what the gradient of a critic does at t y + (1 - t) z.

    The direction y - z is that of y - x_t for every t below 1, without the loss of digits near the end.

    Args:
        critic: In double precision, from shape (N, D) to (N,) or (N, 1).
        y, z: Pairs, row by row, shape (N, D).
        t: In [0, 1], shape (N,).
    Raises:
        UserError: If points or places are not those of as many pairs, or a pair does not move at all, so that it has
            no direction.
    Source:
        WGAN lecture, theorem on the optimal critic.
    """
    y, z = as_cloud(y, "y"), as_cloud(z, "z")
    if y.shape != z.shape:
        raise UserError(f"The points y have shape {y.shape} and the points z {z.shape}; pairs need the same of both.")
    t = as_floats(t, "The list of places t", shape=(len(y),))
    if (t < 0).any() or (t > 1).any():
        raise UserError(f"Places t reach from {t.min():g} to {t.max():g}; on a segment they lie in [0, 1].")
    way = y - z
    length = np.linalg.norm(way, axis=1)
    if not length.all():
        raise UserError(
            f"{(length == 0).sum()} of {len(length)} pairs do not move: a segment without length has no direction."
        )
    x = z + t[:, None] * way
    gradient = input_gradients(critic, torch.from_numpy(x)).numpy()
    norm = np.linalg.norm(gradient, axis=1)
    rise = (gradient * way).sum(axis=1)
    cosine = np.divide(rise, norm * length, out=np.zeros_like(rise), where=norm > 0)
    return Along(x, cosine, norm)


def mixture_clouds(count: int, seed: int) -> tuple[Floats, Floats]:
    """Return points of two random mixtures, y and z, shape (count, 2) each.

    Each mixture has three round parts in the plane, with centres uniform in [-2, 2]^2 and deviation 0.2. Between these
    clouds, not between the mixtures, critics are trained and distances taken: then W is known exactly.
    """
    as_count(count, "count")
    generator = np.random.default_rng(as_count(seed, "seed", at_least=0))
    source = seeded_source(seed)
    modes = generator.uniform(-BOX, BOX, (2, CENTRES, 2)).astype(np.float32)
    y, z = (Mixture(centres, DEVIATION) for centres in modes)
    return y(count, source).double().numpy(), z(count, source).double().numpy()


def box_grid(y: Floats, z: Floats, side: int) -> Floats:
    """Return a uniform grid over the bounding box of both clouds, shape (side * side, 2), first coordinate slowest."""
    as_count(side, "side", at_least=2)
    both = np.concatenate([as_cloud(y, "y"), as_cloud(z, "z")])
    ticks = [np.linspace(low, high, side) for low, high in zip(both.min(0), both.max(0), strict=True)]
    return np.stack(np.meshgrid(*ticks, indexing="ij"), axis=-1).reshape(-1, 2)


def mixture_critic(
    *,
    penalty: float,
    pairs: Literal["independent", "coupled"],
    width: int,
    steps: int,
    batch: int,
    rate: float,
    points: int,
    side: int,
    seed: int,
) -> dict[str, Any]:
    """Train a penalised critic between two clouds, and compare it with their exact plan.

    The critic is a perceptron with three hidden layers. Batches are drawn from the clouds.

    Args:
        penalty, pairs: lambda, and how the penalty pairs data and samples ("coupled": by a plan for each batch). A
            negative lambda is the sign that the lecture prints.
        width: Values of each hidden layer.
        steps, batch: Steps of Adam, and points of each cloud in a batch.
        rate: Learning rate of Adam at the start; it falls to zero along half a cosine.
        points: Size of each cloud.
        side: The gradient is taken on side x side points of the bounding box.
        seed: Seed of the clouds, of weights and batches, and of the places on segments.
    Returns:
        By name: "y", and "z" in the order of the exact plan; "wasserstein", exact; "value", the critic's on both
        clouds; "cosine", "norm", "x" as in `Along`, on one random point of each segment; "grid", gradient norms, shape
        (side, side); "inside", which of these points lie in the convex hull of both clouds; "largest", the largest norm
        there and on the segments: "value" over "largest" is at most W, up to what the grid misses, because the hull is
        convex.
    Raises:
        UserError: If the loss leaves the finite numbers, or `pairs` is none of the two.
    Source:
        WGAN lecture, slides "Wasserstein GAN with Gradient Penalty".
    """
    y, z = mixture_clouds(points, seed)
    z = coupled(y, z)
    critic = perceptron((2, width, width, width, 1), generator=seeded_source(seed))
    train_critic(
        critic,
        choices(y),
        choices(z),
        WASSERSTEIN,
        Schedule(steps=steps, batch=batch, cosine=True, seed=seed),
        optimizer=adam(rate),
        constraint=GradientPenalty(penalty, pairs),
    )
    critic.double()
    segments = along_segments(critic, y, z, np.random.default_rng(seed + 1).random(points))
    with torch.no_grad():
        value = (critic(torch.from_numpy(y)).mean() - critic(torch.from_numpy(z)).mean()).item()
    grid = box_grid(y, z, side)
    norms = gradient_norms(critic, torch.from_numpy(grid)).numpy()
    inside = Delaunay(np.concatenate([y, z])).find_simplex(grid) >= 0
    return {
        "y": y,
        "z": z,
        "wasserstein": wasserstein(y, z),
        "value": value,
        **segments._asdict(),
        "grid": norms.reshape(side, side),
        "inside": inside.reshape(side, side),
        "largest": max(norms[inside].max(initial=0.0).item(), segments.norm.max().item()),
    }


def bounded_waves(seed: int, *, waves: int = 5, side: int = 201) -> tuple[Callable[[Floats], Floats], float]:
    """Return a random smooth function on the unit disk with a gradient norm of at most 1, and nearly 1 somewhere.

    The bound is the largest norm on a grid, plus half the diagonal of a cell times the sum of |a| |w|^2, which bounds
    the second derivatives: no point of the disk is farther from a point of the grid.

    Args:
        seed: Seed of amplitudes a, wave vectors w and phases.
        waves: Number of waves.
        side: Points of the grid along [-1, 1], at least 2.
    Returns:
        The function, a sum of plane waves over the bound, from points, shape (N, 2), to values, shape (N,); the bound.
    Raises:
        UserError: If a number is out of range.
    """
    as_count(waves, "waves"), as_count(side, "side", at_least=2)
    generator = np.random.default_rng(as_count(seed, "seed", at_least=0))
    amplitudes, phases = generator.standard_normal(waves), generator.uniform(0, 2 * np.pi, waves)
    vectors = 3 * generator.standard_normal((waves, 2))
    corners = np.array([[-1.0, -1.0], [1.0, 1.0]])
    grid = box_grid(corners[:1], corners[1:], side)
    slopes = (np.cos(grid @ vectors.T + phases) * amplitudes) @ vectors
    curvature = float(np.abs(amplitudes) @ np.square(vectors).sum(axis=1))
    bound = float(np.linalg.norm(slopes, axis=1).max() + np.sqrt(2) / (side - 1) * curvature)

    def value(x: Floats) -> Floats:
        result: Floats = np.sin(x @ vectors.T + phases) @ amplitudes / bound
        return result

    return value, bound
