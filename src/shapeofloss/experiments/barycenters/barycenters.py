r"""Wasserstein barycenters: the mean of measures, by mass that moves.

.. math:: \min_\alpha F(\alpha), \qquad F(\alpha) = \sum_k w_k\, \mathrm{OT}(\alpha, \alpha_k)

Two solvers: a linear program for points that may carry mass, and Sinkhorn's algorithm between densities on one grid,
where the soft distance transform splits into one-dimensional ones. GeomLoss has a barycenter of images, not of volumes,
and a divergence for blurs below two spacings; to be as accurate as this one, that takes four times as long.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy import sparse
from scipy.optimize import linprog
from scipy.stats import multivariate_normal
from torch import Tensor

from shapeofloss.arrays import Floats, as_count, as_floats, as_number
from shapeofloss.distributions.clouds import as_cloud, as_weights
from shapeofloss.errors import UserError
from shapeofloss.transport.assignment.exact import cost_matrix
from shapeofloss.transport.assignment.programs import TOLERANCES
from shapeofloss.transport.entropic.grid_transforms import check_transform, grid_points
from shapeofloss.transport.entropic.sinkhorn import annealing

# Within a block the kernel may fall to exp(-RANGE): sums then stay far above the smallest double, exp(-708).
RANGE = 600.0
SCALING, LIMIT = 0.7, 500  # the blur falls by this factor from step to step; the most steps, once it is small
NEGLIGIBLE = 40.0  # exp(-40) of a sum adds nothing to it in double precision
ROUNDED = 1e-6  # what rounding may do to the logarithm of a density


def soft_transform(h: Tensor, *, eps: float) -> Tensor:
    r"""Return f(x) = -eps log sum_y exp(h(y) - |x - y|^2 / 2 eps) on a grid of spacing 1, by products of matrices.

    It is `separable_transform` with fewer exponentials. A line of n points is multiplied with the kernel in blocks of
    neighbours within which the kernel cannot underflow, and the blocks' sums are added in the logarithm. There is one
    block, and nothing to add, if the blur sqrt(eps) is at least n / 35.

    Args:
        h: Entries finite or minus infinity (no mass), not all of the latter.
        eps: Temperature, above 0, in squares of the spacing.
    Returns:
        f, in squares of the spacing, of the shape of h.
    Raises:
        UserError: As for `grid_transforms.check_transform`.
    Source:
        Optimal transport talk, slides "Remark 1: a streamlined algorithm" and "Wasserstein barycenters".
    Example:
        >>> soft_transform(torch.tensor([0.0, -torch.inf, -torch.inf]), eps=2.0)
        tensor([-0.0000, 0.5000, 2.0000])
    """
    eps = check_transform(h, eps)
    for axis, n in enumerate(h.shape):
        place = torch.arange(n, dtype=h.dtype, device=h.device)
        lines = h.movedim(axis, -1)
        # Exponents of the kernel differ by (k - 1) (2 n - 1 - k) / 2 eps at most within a block of k points.
        size = max(k for k in range(1, n + 1) if (k - 1) * (2 * n - 1 - k) <= 2 * RANGE * eps)
        sums = []
        for block, sources in zip(lines.split(size, -1), place.split(size), strict=True):
            exponent = (place[:, None] - sources) ** 2 / (2 * eps)  # (to, from)
            nearest = exponent.amin(1)
            largest = block.amax(-1, keepdim=True).clamp(min=torch.finfo(h.dtype).min)
            masses = (block - largest).clamp_(min=-RANGE - NEGLIGIBLE).exp_()
            sums.append((masses @ torch.exp(nearest - exponent.T)).log_() + (largest - nearest))
        total = sums[0] if len(sums) == 1 else torch.stack(sums).logsumexp(0)
        h = total.movedim(-1, axis)
    return -eps * h


@dataclass(frozen=True)
class GridBarycenter:
    """A barycenter of densities on a grid, and how far it is from being one.

    Attributes:
        density: Masses that add up to 1, of the shape of the grid: the mean of what the K plans have there.
        disagreement: Sum over the grid of the absolute difference between what one plan has there and the density, for
            the worst plan; with debiasing, the plan from the density to itself is one of them. It is 0 at the fixed
            point.
        steps: How many steps were made.
    """

    density: Tensor
    disagreement: float
    steps: int


def as_densities(densities: ArrayLike | Tensor) -> Tensor:
    """Return densities on one grid in double precision, each with a sum of 1, shape (K, n_1, ..., n_D).

    Raises:
        UserError: If there is no grid, or an entry is negative or not finite, or a density is 0 everywhere.
    """
    a = torch.from_numpy(as_floats(densities, "The array of densities", finite=False))
    if isinstance(densities, Tensor):
        a = a.to(densities.device)
    if a.ndim < 2 or not a.numel():
        raise UserError(f"The densities have shape {tuple(a.shape)}; they need (K, n_1, ..., n_D), none of them 0.")
    axes = tuple(range(1, a.ndim))
    largest = a.amax(axes, keepdim=True)
    if not torch.isfinite(a).all() or (a < 0).any() or (largest == 0).any():
        raise UserError("Densities must be finite, not negative, and not zero everywhere.")
    a = a / largest  # their sum may be too large for a number
    return a / a.sum(axes, keepdim=True)


def gaussian_density(shape: Sequence[int], mean: ArrayLike, covariance: ArrayLike) -> Floats:
    """Return a Gaussian at the points of a grid of spacing 1, with a sum of 1, of that shape.

    Args:
        shape: (n_1, ..., n_D).
        mean: In units of the spacing from the grid's first point, shape (D,).
        covariance: In squares of the spacing, shape (D, D), symmetric and positive definite.
    Raises:
        UserError: If no point of the grid is near enough to the mean to have a density above 0.
    Example:
        >>> gaussian_density((3,), [1.0], [[1.0]]).round(3)
        array([0.274, 0.452, 0.274])
    """
    sizes = tuple(as_count(length, "A length of the grid") for length in shape)
    density = multivariate_normal(mean, covariance).pdf(grid_points(sizes)).reshape(sizes)
    if not density.sum() > 0:
        raise UserError(f"No point of the grid {sizes} is near enough to the mean {np.asarray(mean).tolist()}.")
    return np.asarray(density / density.sum())


def moments(density: ArrayLike | Tensor) -> tuple[Floats, Floats]:
    """Return the mean, shape (D,), and the covariance, shape (D, D), of a density on a grid of spacing 1.

    Raises:
        UserError: If it is no density.
    Example:
        >>> moments([0.5, 0.0, 0.5])
        (array([1.]), array([[1.]]))
    """
    a = as_densities(as_floats(density, "The density", finite=False)[None])[0].numpy()
    points, masses = grid_points(a.shape), a.ravel()
    return masses @ points, np.cov(points, rowvar=False, aweights=masses, ddof=0).reshape(a.ndim, a.ndim)


def _schedule(shape: Sequence[int], blur: float, scaling: float) -> list[float]:
    blur = as_number(blur, "The blur", above=0, at_most=1e100)
    # Potentials are about as large as squared distances. Over eps, their last digit is an error of a logarithm.
    smallest = float(np.sqrt(sum(n**2 for n in shape) * np.finfo(np.float64).eps / ROUNDED))
    if blur < smallest:
        raise UserError(
            f"The blur is {blur} spacings; on a grid of shape {tuple(shape)} double precision does not resolve less "
            f"than {smallest:.3g}."
        )
    return annealing(max(*shape, blur) ** 2, blur**2, scaling=scaling)


def grid_barycenter(
    densities: ArrayLike | Tensor,
    weights: ArrayLike | None = None,
    *,
    blur: float,
    scaling: float = SCALING,
    tolerance: float = 1e-3,
    limit: int = LIMIT,
    debias: bool = True,
) -> GridBarycenter:
    r"""Find the barycenter of densities on one grid of any dimension, by Sinkhorn's algorithm.

    The cost is |x - y|^2 / 2, and F has the Sinkhorn divergence in the place of OT, or, without debiasing, OT_eps with
    the plan's entropy. One step, with T = `soft_transform`, is

    .. math::
        q_k &= T(\log a_k + p_k / \varepsilon) \\
        \log\alpha &= \log d - \textstyle\sum_k w_k q_k / \varepsilon \\
        p_k &= T(\log\alpha + q_k / \varepsilon) \\
        \log d &\leftarrow \tfrac12 (\log d + \log\alpha + T(\log d) / \varepsilon)

    and d stays 1 without debiasing. The temperature eps falls from the square of the grid's longest side to blur^2;
    more steps follow until all plans agree, those between the density and the inputs, and that of the density to
    itself, d(x) exp(-|x - y|^2 / 2 eps) d(y).

    Args:
        densities: a_k, masses that are brought to sums of 1, shape (K, n_1, ..., n_D), on any device.
        weights: w, shape (K,), brought to a sum of 1; equal ones by default.
        blur: Square root of the last eps, in units of the spacing; above what double precision resolves, 1.5e-5
            diagonals of the grid.
        scaling: Factor of the blur from step to step, above 0 and below 1.
        tolerance: Stop once the disagreement is not above it, or after `limit` steps.
        limit: The largest number of steps, if the schedule is not longer.
        debias: Whether to take out the blur that the entropy adds.
    Returns:
        The barycenter. Its mass is 1 after any number of steps, as every plan's is.
    Raises:
        UserError: If densities or weights are none, or a number is out of its range.
    Source:
        Optimal transport talk, slide "Wasserstein barycenters". The steps are those of Janati, Cuturi and Gramfort,
        "Debiased Sinkhorn barycenters" (2020), in the logarithm and with a falling eps.
    Example:
        >>> left, right = [0.0, 1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0, 0.0]
        >>> grid_barycenter([left, right], blur=0.2).density.round(decimals=3)
        tensor([0., 0., 1., 0., 0.], dtype=torch.float64)
    """
    a = as_densities(densities)
    tolerance, limit = as_number(tolerance, "tolerance", at_least=0), as_count(limit, "limit", at_least=0)
    w = torch.as_tensor(as_weights(weights, len(a), "w"), device=a.device).reshape(-1, *[1] * (a.ndim - 1))
    schedule = _schedule(a.shape[1:], blur, scaling)
    log_a, p, q = a.log(), torch.zeros_like(a), torch.zeros_like(a)
    log_d = log_bar = log_self = torch.zeros_like(a[0])
    for steps in itertools.count():
        eps = schedule[min(steps, len(schedule) - 1)]
        updated = torch.stack([soft_transform(h, eps=eps) for h in log_a + p / eps])
        if steps >= len(schedule):
            # Plan k has the marginals a_k, which has mass 1, and alpha exp((q_k - T(log a_k + p_k / eps)) / eps).
            marginals = torch.exp(log_bar + (q - updated) / eps)
            density = (w * marginals).sum(0)
            plans = [*marginals, log_self.exp()] if debias else marginals
            disagreement = max(float((marginal - density).abs().sum()) for marginal in plans)
            if disagreement <= tolerance or steps >= limit:
                break
        q = updated
        log_bar = log_d - (w * q).sum(0) / eps
        p = torch.stack([soft_transform(h, eps=eps) for h in log_bar + q / eps])
        if debias:
            log_self = log_d - soft_transform(log_d, eps=eps) / eps
            log_d = log_d + (log_bar - log_self) / 2
    return GridBarycenter(density, disagreement, steps)


def grid_divergence(
    first: ArrayLike | Tensor, second: ArrayLike | Tensor, *, blur: float, tolerance: float = 1e-3
) -> float:
    r"""Return the Sinkhorn divergence of two densities on one grid: near half the squared W2 distance for a small blur.

    .. math:: \mathrm{OT}_\varepsilon(a, b) - \tfrac12 \mathrm{OT}_\varepsilon(a, a)
              - \tfrac12 \mathrm{OT}_\varepsilon(b, b)

    Args:
        first, second: a and b, masses that are brought to sums of 1, of one shape (n_1, ..., n_D).
        blur: As for `grid_barycenter`, whose schedule is taken.
        tolerance: Stop once no marginal of the three plans has absolute errors with a sum above it, or after 500 steps.
    Returns:
        From 0, in squares of the spacing, for the cost |x - y|^2 / 2.
    Raises:
        UserError: If they are no densities on one grid, or a number is out of its range.
    Source:
        Optimal transport talk, slide "Wasserstein barycenters".
    Example:
        >>> round(grid_divergence([1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0], blur=0.5), 6)
        4.5
    """
    pair = [as_floats(density, "A density", finite=False) for density in (first, second)]
    if pair[0].shape != pair[1].shape:
        raise UserError(f"The densities have shapes {pair[0].shape} and {pair[1].shape}; one is needed.")
    a, tolerance = as_densities(np.stack(pair)), as_number(tolerance, "tolerance", at_least=0)
    schedule = _schedule(a.shape[1:], blur, SCALING)
    if torch.equal(a[0], a[1]):
        return 0.0
    log_a = a.log()
    f, g, s, t = (torch.zeros_like(a[0]) for _ in range(4))
    for step in itertools.count():
        eps = schedule[min(step, len(schedule) - 1)]
        potentials = [(log_a[1], g), (log_a[0], s), (log_a[1], t)]
        new_f, new_s, new_t = (soft_transform(log_b + old / eps, eps=eps) for log_b, old in potentials)
        pairs = [(a[0], f, new_f), (a[0], s, new_s), (a[1], t, new_t)]
        error = max(float((b * torch.expm1((old - new) / eps).abs()).sum()) for b, old, new in pairs)
        # With these, the sums below are dual values of plans of mass 1: their errors are of second order.
        f, s, t = new_f, (s + new_s) / 2, (t + new_t) / 2
        if step >= len(schedule) and (error <= tolerance or step >= LIMIT):
            break
        g = soft_transform(log_a[0] + f / eps, eps=eps)
    return max(float((a[0] * (f - s)).sum() + (a[1] * (g - t)).sum()), 0.0)


def barycenter_program(
    support: ArrayLike,
    clouds: Sequence[ArrayLike],
    weights: ArrayLike | None = None,
) -> Floats:
    r"""Find the exact barycenter of clouds among the measures on given points: a linear program, solved by HiGHS.

    .. math:: \min \sum_k w_k \langle \pi_k, C_k \rangle \quad\text{over plans } \pi_k \ge 0
              \text{ from one unknown measure to } a_k

    with C_k the halved squared distances from the support to cloud k, whose points have equal masses a_k. (POT's
    `ot.lp.barycenter` wants all clouds on the support: 40 times as many unknowns for the clouds of notebook 307.)

    Args:
        support: The points that may carry mass, shape (M, D).
        clouds: K of them, of shapes (N_k, D).
        weights: w, shape (K,), brought to a sum of 1; equal ones by default.
    Returns:
        The mass of each point of the support, with sum 1, shape (M,).
    Raises:
        UserError: If a cloud or weights are none, or HiGHS gives up.
    Source:
        Optimal transport talk, slide "Wasserstein barycenters".
    Example:
        >>> barycenter_program([[0.0], [1.0], [2.0]], [[[0.0]], [[2.0]]])
        array([0., 1., 0.])
    """
    places = as_cloud(support, "support")
    if not len(clouds):
        raise UserError("There is no cloud; at least one is needed.")
    count, w = len(places), as_weights(weights, len(clouds), "w")
    costs = [share * cost_matrix(places, cloud) for share, cloud in zip(w, clouds, strict=True)]
    scale = max(float(cost.max()) for cost in costs) or 1.0
    leaving = [sparse.kron(sparse.eye_array(count), np.ones((1, cost.shape[1]))) for cost in costs]
    columns = [sparse.kron(np.ones((1, count)), sparse.eye_array(cost.shape[1])) for cost in costs]
    # What leaves each point is the same for all plans.
    same = [
        sparse.hstack([-row if j == k else row if j == k - 1 else 0 * row for j, row in enumerate(leaving)])
        for k in range(1, len(costs))
    ]
    arriving = [np.full(cost.shape[1], count / cost.shape[1]) for cost in costs]  # times M: tolerances are absolute
    result = linprog(
        np.concatenate([cost.ravel() for cost in costs]) / scale,
        A_eq=sparse.vstack([sparse.block_diag(columns), *same], format="csr"),
        b_eq=np.concatenate([*arriving, np.zeros(count * len(same))]),
        method="highs-ds",
        options=TOLERANCES,
    )
    if result.status:
        raise UserError(f"HiGHS found no barycenter: {result.message}")
    first = np.maximum(result.x[: costs[0].size], 0.0).reshape(costs[0].shape).sum(1)
    return np.asarray(first / first.sum())
