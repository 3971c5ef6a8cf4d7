r"""Wasserstein barycenters: the mean of measures, by mass that moves.

.. math:: \min_\alpha F(\alpha), \qquad F(\alpha) = \sum_k w_k\, \mathrm{OT}(\alpha, \alpha_k)

Three solvers: a fixed point for Gaussians, a linear program for points that may carry mass, and Sinkhorn's algorithm
between densities on one grid, where the soft distance transform splits into one-dimensional ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy import sparse
from scipy.optimize import linprog
from torch import Tensor

from shapeofloss.arrays import Floats, as_count, as_floats, as_number
from shapeofloss.distributions.clouds import as_cloud, as_weights, is_positive
from shapeofloss.errors import UserError
from shapeofloss.transport.assignment.exact import cost_matrix
from shapeofloss.transport.assignment.programs import TOLERANCES
from shapeofloss.transport.entropic.grid_transforms import check_transform, grid_points
from shapeofloss.transport.entropic.sinkhorn import annealing

# Within a block the kernel may fall to exp(-RANGE): sums then stay far above the smallest double, exp(-708).
RANGE = 600.0
NEGLIGIBLE = 40.0  # exp(-40) of a sum adds nothing to it in double precision
ROUNDED = 1e-6  # what rounding may do to the logarithm of a density
WORST_CONDITION = 1e12  # of a covariance: beyond it, what the iteration finds is rounding


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
    total = a.flatten(1).sum(1)
    if not torch.isfinite(a).all() or (a < 0).any() or (total == 0).any():
        raise UserError("Densities must be finite, not negative, and not zero everywhere.")
    if not torch.isfinite(total).all():  # the sum alone is too large
        return as_densities(a / (2.0 * a[0].numel()))
    return a / total.reshape(-1, *[1] * (a.ndim - 1))


def gaussian_density(shape: Sequence[int], mean: ArrayLike, covariance: ArrayLike) -> Floats:
    """Return a Gaussian at the points of a grid of spacing 1, with a sum of 1, of that shape.

    Args:
        shape: (n_1, ..., n_D).
        mean: In units of the spacing from the grid's first point, shape (D,).
        covariance: In squares of the spacing, shape (D, D).
    Raises:
        UserError: If the covariance is none, the mean or the grid has another dimension, or no point of the grid is
            near enough to the mean to have a density above 0.
    Example:
        >>> gaussian_density((3,), [1.0], [[1.0]]).round(3)
        array([0.274, 0.452, 0.274])
    """
    sizes = tuple(as_count(length, "A length of the grid") for length in shape)
    inverse = np.linalg.inv(_as_covariance(covariance, len(sizes)))
    apart = grid_points(sizes) - as_floats(mean, "The mean", shape=(len(sizes),))
    density = np.exp(-np.einsum("ni,ij,nj->n", apart, inverse, apart) / 2).reshape(sizes)
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
    mean = masses @ points
    return mean, (points - mean).T @ ((points - mean) * masses[:, None])


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
    scaling: float = 0.7,
    tolerance: float = 1e-3,
    limit: int = 500,
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
    steps = 0
    while True:
        eps = schedule[min(steps, len(schedule) - 1)]
        updated = torch.stack([soft_transform(h, eps=eps) for h in log_a + p / eps])
        if steps >= len(schedule):
            # Plan k has the marginals a_k, which has mass 1, and alpha exp((q_k - T(log a_k + p_k / eps)) / eps).
            marginals = torch.exp(log_bar + (q - updated) / eps)
            density = (w * marginals).sum(0)
            plans = [*marginals, log_self.exp()] if debias else marginals
            disagreement = max(float((marginal - density).abs().sum()) for marginal in plans)
            if disagreement <= tolerance or steps >= limit:
                return GridBarycenter(density, disagreement, steps)
        q = updated
        log_bar = log_d - (w * q).sum(0) / eps
        p = torch.stack([soft_transform(h, eps=eps) for h in log_bar + q / eps])
        if debias:
            log_self = log_d - soft_transform(log_d, eps=eps) / eps
            log_d = log_d + (log_bar - log_self) / 2
        steps += 1


def grid_divergence(
    first: ArrayLike | Tensor,
    second: ArrayLike | Tensor,
    *,
    blur: float,
    scaling: float = 0.7,
    tolerance: float = 1e-3,
    limit: int = 500,
) -> float:
    r"""Return the Sinkhorn divergence of two densities on one grid: near half the squared W2 distance for a small blur.

    .. math:: \mathrm{OT}_\varepsilon(a, b) - \tfrac12 \mathrm{OT}_\varepsilon(a, a)
              - \tfrac12 \mathrm{OT}_\varepsilon(b, b)

    Args:
        first, second: a and b, masses that are brought to sums of 1, of one shape (n_1, ..., n_D).
        blur, scaling, limit: As for `grid_barycenter`.
        tolerance: Stop once no marginal of the three plans has absolute errors with a sum above it, or after `limit`
            steps.
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
    a = as_densities(np.stack(pair))
    if isinstance(first, Tensor):
        a = a.to(first.device)
    tolerance, limit = as_number(tolerance, "tolerance", at_least=0), as_count(limit, "limit", at_least=0)
    if torch.equal(a[0], a[1]):
        _schedule(a.shape[1:], blur, scaling)  # what is refused for others is refused here
        return 0.0
    log_a = a.log()
    schedule = _schedule(a.shape[1:], blur, scaling)
    f, g, s, t = (torch.zeros_like(a[0]) for _ in range(4))
    steps = 0
    while True:
        eps = schedule[min(steps, len(schedule) - 1)]
        potentials = [(log_a[1], g), (log_a[0], s), (log_a[1], t)]
        new_f, new_s, new_t = (soft_transform(log_b + old / eps, eps=eps) for log_b, old in potentials)
        error = np.inf
        if steps >= len(schedule):
            pairs = [(a[0], f, new_f), (a[0], s, new_s), (a[1], t, new_t)]
            error = max(float((b * torch.expm1((old - new) / eps).abs()).sum()) for b, old, new in pairs)
        # With these, the sums below are dual values of plans of mass 1: their errors are of second order.
        f, s, t = new_f, (s + new_s) / 2, (t + new_t) / 2
        if steps >= len(schedule) and (error <= tolerance or steps >= limit):
            return max(float((a[0] * (f - s)).sum() + (a[1] * (g - t)).sum()), 0.0)
        g = soft_transform(log_a[0] + f / eps, eps=eps)
        steps += 1


def _roots(matrix: Floats) -> tuple[Floats, Floats]:
    """Return the root of a symmetric positive definite matrix, and its inverse."""
    values, vectors = np.linalg.eigh(matrix)
    values = values.clip(min=np.finfo(np.float64).eps ** 2 * values[-1])  # what rounding made of a small one
    return (vectors * np.sqrt(values)) @ vectors.T, (vectors / np.sqrt(values)) @ vectors.T


def as_covariances(covariances: ArrayLike) -> Floats:
    """Return covariances in double precision, shape (K, D, D).

    Raises:
        UserError: If they are no square matrices, or one is not symmetric and positive definite.
    """
    s = as_floats(covariances, "The array of covariances", finite=False)
    if s.ndim != 3 or s.shape[1] != s.shape[2] or 0 in s.shape:
        raise UserError(f"The covariances have shape {s.shape}; they need (K, D, D), K and D at least 1.")
    if not is_positive(s):
        raise UserError("A covariance has to be symmetric, with finite entries and eigenvalues above 0.")
    return s


def _as_covariance(covariance: ArrayLike, dimension: int | str = "D") -> Floats:
    return as_covariances(as_floats(covariance, "The covariance", shape=(dimension, dimension), finite=False)[None])[0]


def gaussian_distance(first: ArrayLike, second: ArrayLike) -> float:
    r"""Return the squared W2 distance of two Gaussians with one mean, the squared Bures distance of their covariances.

    .. math:: \mathrm{tr}\, S_1 + \mathrm{tr}\, S_2 - 2\, \mathrm{tr} (S_1^{1/2} S_2 S_1^{1/2})^{1/2}

    With different means, the square of their distance comes on top.

    Args:
        first, second: Covariances, shape (D, D).
    Returns:
        In units of a covariance.
    Raises:
        UserError: If they are no covariances of one shape.
    Example:
        >>> gaussian_distance([[1.0]], [[9.0]])
        4.0
    """
    one = _as_covariance(first)
    s = np.stack([one, _as_covariance(second, len(one))])
    unit = 4.0 ** np.floor(np.log2(np.abs(s).max()) / 2)  # products of covariances may underflow; this rounds nothing
    s /= unit
    root = _roots(s[0])[0]
    mixed = np.sqrt(np.linalg.eigvalsh(root @ s[1] @ root).clip(min=0))
    return max(float(unit * (np.trace(s[0]) + np.trace(s[1]) - 2 * mixed.sum())), 0.0)


def fixed_point_step(covariance: ArrayLike, covariances: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    r"""Return the right side of the fixed point equation, sum_k w_k (S^1/2 S_k S^1/2)^1/2, shape (D, D).

    Args:
        covariance: S, shape (D, D).
        covariances: S_k, shape (K, D, D).
        weights: w, shape (K,), brought to a sum of 1; equal ones by default.
    Raises:
        UserError: If a matrix is no covariance, or weights are none.
    """
    s = as_covariances(covariances)
    w = as_weights(weights, len(s), "w")
    return _mean_root(_roots(_as_covariance(covariance, s.shape[1]))[0], s, w)


def _mean_root(root: Floats, s: Floats, w: Floats) -> Floats:
    """Return sum_k w_k (R S_k R)^1/2 for R = S^1/2, from the singular values of R S_k^1/2: no digit is squared away."""
    parts = [np.linalg.svd(root @ _roots(own)[0])[:2] for own in s]
    return np.asarray(sum(share * (u * values) @ u.T for share, (u, values) in zip(w, parts, strict=True)))


def gaussian_barycenter(covariances: ArrayLike, weights: ArrayLike | None = None, *, steps: int = 200) -> Floats:
    r"""Return the covariance of the barycenter of centred Gaussians, by a fixed point iteration.

    .. math:: S \leftarrow S^{-1/2} \Bigl(\sum_k w_k (S^{1/2} S_k S^{1/2})^{1/2}\Bigr)^2 S^{-1/2}

    Its fixed point solves S = sum_k w_k (S^1/2 S_k S^1/2)^1/2. The barycenter is Gaussian, and its mean is the weighted
    mean of the means.

    Args:
        covariances: S_k, shape (K, D, D).
        weights: w, shape (K,), brought to a sum of 1; equal ones by default.
        steps: At most so many; it ends before where S changes by no more than rounding.
    Returns:
        Shape (D, D).
    Raises:
        UserError: If covariances or weights are none, or the condition of one is above 10^12.
    Source:
        Agueh and Carlier (2011), the talk's reference on barycenters; the iteration is that of Alvarez-Esteban, del
        Barrio, Cuesta-Albertos and Matran, "A fixed-point approach to barycenters in Wasserstein space" (2016).
    Example:
        >>> gaussian_barycenter([[[1.0]], [[9.0]]]).round(9)
        array([[4.]])
    """
    s = as_covariances(covariances)
    w = as_weights(weights, len(s), "w")
    values = np.linalg.eigvalsh(s)
    if (condition := float((values[:, -1] / values[:, 0]).max())) > WORST_CONDITION:
        raise UserError(
            f"A covariance has the condition {condition:.2g}, its largest eigenvalue over its least; beyond "
            f"{WORST_CONDITION:g} rounding hides the barycenter: leave out the flat directions, or add a little to all."
        )
    steps = as_count(steps, "steps", at_least=0)
    found = np.einsum("k,kij->ij", w, s)
    for _ in range(steps):
        root, inverse = _roots(found)
        side = inverse @ _mean_root(root, s, w)
        previous, found = found, side @ side.T
        found = (found + found.T) / 2
        if np.abs(found - previous).max() <= 1e-15 * np.abs(found).max():
            break
    return found


def barycenter_program(
    support: ArrayLike,
    clouds: Sequence[ArrayLike],
    weights: ArrayLike | None = None,
    *,
    masses: Sequence[ArrayLike] | None = None,
) -> Floats:
    r"""Find the exact barycenter of clouds among the measures on given points: a linear program, solved by HiGHS.

    .. math:: \min \sum_k w_k \langle \pi_k, C_k \rangle \quad\text{over plans } \pi_k \ge 0
              \text{ from one unknown measure to } a_k

    with C_k the halved squared distances from the support to cloud k.

    Args:
        support: The points that may carry mass, shape (M, D).
        clouds: K of them, of shapes (N_k, D).
        weights: w, shape (K,), brought to a sum of 1; equal ones by default.
        masses: a_k of each cloud, shape (N_k,), brought to a sum of 1; equal ones by default.
    Returns:
        The mass of each point of the support, with sum 1, shape (M,).
    Raises:
        UserError: If a cloud, masses or weights are none, there is no cloud or not one set of masses for each, or HiGHS
            gives up.
    Source:
        Optimal transport talk, slide "Wasserstein barycenters".
    Example:
        >>> barycenter_program([[0.0], [1.0], [2.0]], [[[0.0]], [[2.0]]])
        array([0., 1., 0.])
    """
    places = as_cloud(support, "support")
    given = masses if masses is not None else [None] * len(clouds)
    if not len(clouds) or len(given) != len(clouds):
        raise UserError(f"{len(clouds)} clouds with {len(given)} sets of masses; at least one is needed, and as many.")
    w = as_weights(weights, len(clouds), "w")
    costs = [share * cost_matrix(places, cloud) for share, cloud in zip(w, clouds, strict=True)]
    arriving = [as_weights(a, c.shape[1], "a") for a, c in zip(given, costs, strict=True)]
    count, scale = len(places), max(float(c.max()) for c in costs) or 1.0
    leaving = [sparse.kron(sparse.eye_array(count), np.ones((1, c.shape[1]))) for c in costs]
    columns = [sparse.kron(np.ones((1, count)), sparse.eye_array(c.shape[1])) for c in costs]
    # What leaves each point is the same for all plans.
    same = [
        sparse.hstack([-row if j == k else row if j == k - 1 else 0 * row for j, row in enumerate(leaving)])
        for k in range(1, len(costs))
    ]
    result = linprog(
        np.concatenate([c.ravel() for c in costs]) / scale,
        A_eq=sparse.csr_array(sparse.vstack([sparse.block_diag(columns), *same])),
        b_eq=np.concatenate([*arriving, np.zeros(count * len(same))]) * count,  # tolerances are absolute
        method="highs-ds",
        options=TOLERANCES,
    )
    if result.status:
        raise UserError(f"HiGHS found no barycenter: {result.message}")
    first = np.maximum(result.x[: costs[0].size], 0.0).reshape(costs[0].shape).sum(1)
    return np.asarray(first / first.sum())
