"""What the dimension does to transport: distances, the objective, nearly optimal plans, and samples of a distribution.

They are normal, so that the value between two of them is known: between N(0, I) and N(e, I), with |e| = 1, it is 1/2.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist, pdist

from shapeofloss.arrays import Floats, as_number
from shapeofloss.distributions.clouds import gaussian
from shapeofloss.transport.assignment.exact import cost_matrix, mean_cost, optimal_assignment

BISECTIONS = 9  # bisections of the size of the noise
BETWEEN_NORMALS = 0.5  # |e|^2 / 2


def distances(dimension: int, count: int, seed: int) -> Floats:
    """Return the distances between all pairs of `count` standard normal samples, shape (count choose 2,)."""
    return pdist(gaussian(count, dimension, seed))


def nearly_optimal(cost: Floats, excess: float, seed: int) -> NDArray[np.int64]:
    """Return a permutation whose mean cost exceeds the optimum by `excess` at most, and by nearly that.

    It is the optimum of the cost plus normal noise, and the size of the noise is found by bisection. Any permutation
    can come out of this, unlike out of an auction, which ends far closer to the optimum than its eps.

    Args:
        cost: Shape (N, N).
        excess: Above 0, in units of the cost.
        seed: Seed of the noise.
    Raises:
        UserError: If the excess is not above 0 and finite, or the costs are not square.
    """
    excess = as_number(excess, "The excess", above=0)
    noise = np.random.default_rng(seed).standard_normal(cost.shape)
    best = optimal_assignment(cost)
    allowed = mean_cost(cost, best) + excess
    low, high = 0.0, float(np.ptp(cost)) / 2
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        tried = optimal_assignment(cost + middle * noise)
        if mean_cost(cost, tried) <= allowed:
            low, best = middle, tried
        else:
            high = middle
    return best


def disagreement(y: Floats, first: NDArray[np.int64], second: NDArray[np.int64]) -> float:
    """Return the mean distance between the images of a point under two permutations, over that under random ones.

    0 means the same plan, 1 two plans that have nothing to do with each other.

    Args:
        y: The targets, shape (N, D).
        first, second: Permutations, shape (N,).
    """
    return float(np.linalg.norm(y[first] - y[second], axis=1).mean() / cdist(y, y).mean())


def objective(dimension: int, count: int, seed: int, share: float) -> dict[str, float]:
    """Measure transport between two samples of one normal distribution, and between samples of two.

    Args:
        dimension, count: D and N of each sample.
        seed: Seed of the samples.
        share: The eps of nearly optimal plans, as a share of the mean cost of random permutations.
    Returns:
        By name: "flatness", the optimal cost over the mean cost of random permutations; "from_optimum" and
        "from_each_other", the disagreement of two nearly optimal plans with the optimal one (the first of the two) and
        with each other; "excess", the larger excess of the two over the mean cost; "samples", the relative difference
        between transport of samples and of distributions one standard deviation apart; and "means", the same for half
        the squared difference of the samples' means.
    """
    x, y = gaussian(count, dimension, 2 * seed), gaussian(count, dimension, 2 * seed + 1)
    cost = cost_matrix(x, y)
    best = optimal_assignment(cost)
    random = float(cost.mean())  # the expectation over uniform permutations
    plans = [nearly_optimal(cost, share * random, 1000 * seed + n) for n in (0, 1)]
    moved = y + np.eye(dimension)[0]
    shifted = cost_matrix(x, moved)
    return {
        "flatness": mean_cost(cost, best) / random,
        "from_optimum": disagreement(y, plans[0], best),
        "from_each_other": disagreement(y, *plans),
        "excess": max(mean_cost(cost, plan) - mean_cost(cost, best) for plan in plans) / random,
        "samples": abs(mean_cost(shifted, optimal_assignment(shifted)) / BETWEEN_NORMALS - 1),
        "means": abs(float(np.sum((moved.mean(0) - x.mean(0)) ** 2)) / 2 / BETWEEN_NORMALS - 1),
    }


def sample_distances(dimension: int, counts: list[int], seed: int) -> dict[str, Floats]:
    """Return W2 between two standard normal samples of several sizes, |x - y| without the factor 1/2, as "w2"."""
    w2 = []
    for n, count in enumerate(counts):
        x, y = (gaussian(count, dimension, 100 * seed + 2 * n + k) for k in (0, 1))
        cost = cost_matrix(x, y)
        w2.append(np.sqrt(2 * mean_cost(cost, optimal_assignment(cost))))
    return {"w2": np.array(w2)}
