"""Critics along the segments of exact transport plans: optimal ones in closed form or from prices, and trained ones."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import Delaunay
from torch import Tensor, nn

from shapeofloss.adversarial.networks import perceptron
from shapeofloss.adversarial.penalty import GradientPenalty, gradient_norms, input_gradients
from shapeofloss.adversarial.quality import wasserstein
from shapeofloss.adversarial.toy_runs import adam
from shapeofloss.adversarial.training import WASSERSTEIN, train_critic
from shapeofloss.arrays import Floats, as_count, as_floats, as_number
from shapeofloss.distributions.clouds import as_cloud
from shapeofloss.distributions.mixtures import Mixture, choices, seeded_source
from shapeofloss.errors import UserError, unknown
from shapeofloss.transport.assignment.exact import cost_matrix, optimal_assignment

BOX = 2.0  # centres of random mixtures lie in [-BOX, BOX]^2
CENTRES = 3  # of each random mixture
DEVIATION = 0.2  # of each of its parts, along each axis


class Cones(nn.Module):
    r"""A critic as the lower envelope of cones with slope 1.

    .. math:: f(x) = \min_j \, (h_j + |x - z_j|)

    It is 1-Lipschitz on the whole space, whatever the heights are. With heights h_j = -g_j, minus the transport firm's
    prices of the generated points, its value E_pi f - E_p f is W: it extends the prices from points to the space.

    Args:
        tips: z_j, shape (M, D).
        heights: h_j, shape (M,), in units of length.
    Raises:
        UserError: If the tips are no cloud, or the heights are not one finite number for each.
    Example:
        >>> Cones([[0.0], [3.0]], [0.0, 1.0])(torch.tensor([[1.0], [3.0], [5.0]]).double())
        tensor([1., 1., 3.], dtype=torch.float64)
    """

    def __init__(self, tips: ArrayLike, heights: ArrayLike) -> None:
        super().__init__()
        # Copies, and buffers, which go with the critic to another device or precision.
        self.tips: Tensor
        self.heights: Tensor
        self.register_buffer("tips", torch.tensor(as_cloud(tips, "tips")))
        self.register_buffer("heights", torch.tensor(as_floats(heights, "The list of heights")))
        if self.heights.shape != (len(self.tips),):
            raise UserError(
                f"There are {len(self.tips)} tips and heights of shape {tuple(self.heights.shape)}: give one for each."
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return scores, shape (N,), of points, shape (N, D)."""
        # By differences: the quicker way by products loses half of the digits of short distances.
        away = torch.cdist(x.to(self.tips.dtype), self.tips, compute_mode="donot_use_mm_for_euclid_dist")
        return (self.heights + away).amin(dim=1)


class Plane(nn.Module):
    """The critic f(x) = <x, s> / |s|: optimal where the data are the generated points, shifted by s, shape (D,).

    Raises:
        UserError: If the shift is 0 or holds anything but finite numbers.
    """

    def __init__(self, shift: ArrayLike) -> None:
        super().__init__()
        vector = torch.tensor(as_floats(shift, "shift", shape=("D",)))
        if not vector.any():
            raise UserError("The shift is 0, which has no direction: give another one.")
        self.normal: Tensor
        self.register_buffer("normal", vector / torch.linalg.vector_norm(vector))

    def forward(self, x: Tensor) -> Tensor:
        """Return scores, shape (N,), of points, shape (N, D)."""
        return x.to(self.normal.dtype) @ self.normal


class Radius(nn.Module):
    """The critic f(x) = sign |x|: optimal where mass moves along rays, outwards (sign 1) or inwards (sign -1)."""

    def __init__(self, sign: float) -> None:
        super().__init__()
        self.sign = as_number(sign, "sign")

    def forward(self, x: Tensor) -> Tensor:
        """Return scores, shape (N,), of points, shape (N, D)."""
        return self.sign * torch.linalg.vector_norm(x, dim=1)


class Example(NamedTuple):
    """Data y and generated points z, both of shape (N, 2) and in no common order, with an optimal critic."""

    y: Floats
    z: Floats
    critic: nn.Module


EXAMPLES = ("shift", "outwards", "inwards")


def moved(kind: str, count: int, seed: int) -> Example:
    """Return an example in which all mass moves and whose optimal critic is differentiable along the way.

    Args:
        kind: "shift": normal points and the same, shifted at random. "outwards" and "inwards": points at random angles
            on two rings about 0 with random radii, the data on the larger and on the smaller one.
        count: N.
        seed: Of everything.
    Raises:
        UserError: If there is no such kind, or no point.
    Example:
        >>> moved("outwards", 5, 0).y.shape
        (5, 2)
    """
    as_count(count, "count")
    rng = np.random.default_rng(as_count(seed, "seed", at_least=0))
    critic: nn.Module
    if isinstance(kind, str) and kind == "shift":
        angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 2)
        vector = length * np.array([np.cos(angle), np.sin(angle)])
        z = rng.standard_normal((count, 2))
        y, critic = z + vector, Plane(vector)
    elif isinstance(kind, str) and kind in EXAMPLES:
        angles = rng.uniform(0, 2 * np.pi, count)
        ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        small, large = rng.uniform(0.3, 1) * ring, rng.uniform(1.5, 3) * ring
        y, z, critic = (large, small, Radius(1.0)) if kind == "outwards" else (small, large, Radius(-1.0))
    else:
        raise unknown("example", kind, EXAMPLES)
    return Example(y[rng.permutation(count)], z, critic)


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
        cosine: Of the angle between gradient and the way from z to y, shape (N,).
        norm: Of the gradient, shape (N,).
        length: |y - z|, shape (N,).
    """

    x: Floats
    cosine: Floats
    norm: Floats
    length: Floats


def along_segments(critic: nn.Module, y: Floats, z: Floats, t: ArrayLike) -> Along:
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
    return Along(x, cosine, norm, length)


def random_mixture(rng: np.random.Generator) -> Mixture:
    """Return three round normal laws in the plane, with centres uniform in [-2, 2]^2 and deviation 0.2."""
    return Mixture(rng.uniform(-BOX, BOX, (CENTRES, 2)).astype(np.float32), DEVIATION)


def mixture_clouds(count: int, seed: int) -> tuple[Floats, Floats]:
    """Return points of two random mixtures, y and z, shape (count, 2) each.

    Between these clouds, not between the mixtures, critics are trained and distances taken: then W is known exactly.
    """
    as_count(count, "count")
    rng = np.random.default_rng(as_count(seed, "seed", at_least=0))
    source = seeded_source(seed)
    laws = random_mixture(rng), random_mixture(rng)
    first, second = (law(count, source).double().numpy() for law in laws)
    return first, second


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
        steps, batch, rate: Of Adam, whose rate falls to zero along half a cosine.
        points: Size of each cloud.
        side: The gradient is taken on side x side points of the bounding box.
        seed: Of everything.
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
        steps=steps,
        optimizer=adam(rate),
        constraint=GradientPenalty(penalty, pairs),
        batch=batch,
        cosine=True,
        seed=seed,
    )
    critic.double()
    segments = along_segments(critic, y, z, np.random.default_rng(seed + 1).random(points))
    with torch.no_grad():
        value = (critic(torch.from_numpy(y)).mean() - critic(torch.from_numpy(z)).mean()).item()
    grid = torch.from_numpy(box_grid(y, z, side))
    norms = gradient_norms(critic, grid).numpy().reshape(side, side)
    inside = (Delaunay(np.concatenate([y, z])).find_simplex(grid.numpy()) >= 0).reshape(side, side)
    return {
        "y": y,
        "z": z,
        "wasserstein": wasserstein(y, z),
        "value": value,
        "cosine": segments.cosine,
        "norm": segments.norm,
        "x": segments.x,
        "grid": norms,
        "inside": inside,
        "largest": max(norms[inside].max(initial=0.0).item(), segments.norm.max().item()),
    }


class PlaneWaves(NamedTuple):
    """A sum of K plane waves, scaled so that a bound on its gradient norm over the unit disk is 1.

    Attributes:
        value: From points, shape (N, 2), to values, shape (N,).
        bound: The bound before scaling.
    """

    value: Callable[[Floats], Floats]
    bound: float


def bounded_waves(seed: int, *, waves: int = 5, side: int = 201) -> PlaneWaves:
    """Return a random smooth function on the unit disk with a gradient norm of at most 1, and nearly 1 somewhere.

    The bound is the largest norm on a grid, plus half the diagonal of a cell times the sum of |a| |w|^2, which bounds
    the second derivatives: no point of the disk is farther from a point of the grid.

    Args:
        seed: Of amplitudes a, wave vectors w and phases.
        waves: K.
        side: Points of the grid along [-1, 1], at least 2.
    Raises:
        UserError: If a number is out of range.
    """
    as_count(waves, "waves"), as_count(side, "side", at_least=2)
    rng = np.random.default_rng(as_count(seed, "seed", at_least=0))
    amplitudes, phases = rng.standard_normal(waves), rng.uniform(0, 2 * np.pi, waves)
    vectors = 3 * rng.standard_normal((waves, 2))
    ticks = np.linspace(-1, 1, side)
    grid = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
    slopes = (np.cos(grid @ vectors.T + phases) * amplitudes) @ vectors
    curvature = float(np.abs(amplitudes) @ np.square(vectors).sum(axis=1))
    bound = float(np.linalg.norm(slopes, axis=1).max() + np.sqrt(2) / (side - 1) * curvature)

    def value(x: Floats) -> Floats:
        result: Floats = np.sin(x @ vectors.T + phases) @ amplitudes / bound
        return result

    return PlaneWaves(value, bound)


def quotients(values: NDArray[np.float64], x: Floats, others: NDArray[np.float64], z: Floats) -> Floats:
    """Return |f(x) - f(z)| / |x - z|, shape (N,), from the values at both, shape (N,), and the points, shape (N, D).

    Raises:
        UserError: If shapes differ, a number is not finite, or two points of a pair are the same.
    """
    x, z = as_floats(x, "x", shape=("N", "D")), as_floats(z, "z", shape=np.shape(x))
    values, others = (as_floats(own, "The list of values", shape=(len(x),)) for own in (values, others))
    length = np.linalg.norm(x - z, axis=1)
    if not length.all():
        raise UserError(f"{(length == 0).sum()} of {len(length)} pairs are one point twice, which has no slope.")
    result: Floats = np.abs(values - others) / length
    return result
