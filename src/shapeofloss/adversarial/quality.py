"""How good samples are, by exact measures: transport to the data, modes covered, distances of features."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import cdist

from shapeofloss.arrays import Floats, as_count, as_function
from shapeofloss.distributions import gaussians
from shapeofloss.distributions.clouds import as_cloud
from shapeofloss.distributions.gaussians import matrix_power
from shapeofloss.distributions.mixtures import Mixture, Sampler, seeded_source
from shapeofloss.errors import UserError
from shapeofloss.transport.assignment.exact import cost_matrix, optimal_value

RADIUS = 4.0  # standard deviations about a mode
FAIR = 0.2  # of a mode's fair share of the samples


def wasserstein(x: ArrayLike, y: ArrayLike) -> float:
    """Return the exact earth mover's distance W_1 between two clouds with equal weights, Euclidean ground distance.

    Args:
        x, y: Shape (N, D) and (M, D).
    Returns:
        In units of length.
    Raises:
        UserError: If one is no cloud, the dimensions differ, or distances exceed about 1e154.
    Source:
        WGAN lecture, slide "Wasserstein distance (continuous)".
    Example:
        >>> wasserstein([[0.0], [1.0]], [[2.0], [1.0]])
        1.0
    """
    # For N = M an assignment would do, but the network simplex is quicker: three times on samples of like distributions, and ten
    # times where the clouds lie apart.
    with np.errstate(over="ignore"):
        cost = cost_matrix(x, y, p=1)
    if not np.isfinite(cost).all():
        raise UserError("The clouds have distances whose squares double precision does not hold: take a larger unit.")
    return optimal_value(cost)


def mode_shares(samples: ArrayLike, mixture: Mixture) -> Floats:
    """Return the share of samples within 4 standard deviations of each mode, shape (K,).

    Args:
        samples: Shape (N, D).
        mixture: The distribution that they should follow.
    Raises:
        UserError: If the distribution is no mixture, the samples are no cloud, or the dimensions differ.
    """
    if not isinstance(mixture, Mixture):
        raise UserError(
            f"The distribution is {mixture!r}; a Mixture is needed, whose modes are known, such as eight_gaussians()."
        )
    x = as_cloud(samples, "samples")
    if x.shape[1] != mixture.modes.shape[1]:
        raise UserError(
            f"The samples have {x.shape[1]} coordinates and the modes {mixture.modes.shape[1]}; both need as many."
        )
    near = cdist(x, mixture.modes) <= RADIUS * mixture.deviation
    return near.mean(axis=0)


def modes_covered(samples: ArrayLike, mixture: Mixture) -> int:
    """Count the modes with at least a fifth of their fair share of the samples within 4 standard deviations.

    Args:
        samples: Shape (N, D), N at least 25 times the number of modes, so that a fifth of a share is five samples.
        mixture: The distribution that they should follow.
    Raises:
        UserError: If there are fewer samples, or as for `mode_shares`.
    """
    samples = as_cloud(samples, "samples")
    shares = mode_shares(samples, mixture)
    if len(samples) < 25 * len(mixture.modes):
        raise UserError(
            f"{len(samples)} samples are too few to tell which of {len(mixture.modes)} modes are covered: "
            f"take at least {25 * len(mixture.modes)}."
        )
    return int((shares >= FAIR / len(mixture.modes)).sum())


def sampling_floor(sampler: Sampler, count: int, *, pairs: int, seed: int) -> Floats:
    """Return W_1 between independent samples of one and the same distribution: no model can be expected to be closer.

    Args:
        sampler: The distribution.
        count: Size of each sample.
        pairs: Number of pairs of samples.
        seed: Seed of the samples.
    Returns:
        Shape (pairs,), in units of length.
    Raises:
        UserError: If the sampler is no function, or a number is out of range.
    """
    as_function(sampler, "sampler", example="eight_gaussians()")
    as_count(count, "count"), as_count(pairs, "pairs")
    source = seeded_source(seed)
    return np.array([wasserstein(sampler(count, source), sampler(count, source)) for _ in range(pairs)])


def frechet_distance(x: ArrayLike, y: ArrayLike) -> float:
    r"""Return the squared 2-Wasserstein distance between the normal distributions with the means and covariances of two clouds.

    .. math:: |m_x - m_y|^2 + \mathrm{tr}\,(S_x + S_y - 2 (S_x S_y)^{1/2})

    Args:
        x, y: Shape (N, D) and (M, D), such as features of images.
    Returns:
        In units of length squared, not negative.
    Raises:
        UserError: If one is no cloud, has a single point, or the dimensions differ.
    Source:
        The WGAN paper's followers measure images so, in features of a large classifier; ours is small.
    Example:
        >>> frechet_distance([[0.0], [2.0]], [[1.0], [3.0]])
        1.0
    """
    x, y = as_cloud(x, "x"), as_cloud(y, "y")
    if x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
        raise UserError(f"The clouds have shapes {x.shape} and {y.shape}; both need two points and one dimension.")
    first, second = (matrix_power(np.cov(z, rowvar=False, bias=True).reshape(z.shape[1], -1), 0.5) for z in (x, y))
    return gaussians.wasserstein(x.mean(0), first, y.mean(0), second) ** 2
