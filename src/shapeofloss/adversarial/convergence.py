"""Sequences of pairs of histograms that converge in KL, in JSD or in W only, and random pairs.

A pair holds masses at common nodes of the line. For distributions with densities a node is the middle of a cell, and
its mass is width times density: sums over nodes are then the midpoint rule, which is exact for densities that are
constant on cells.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from shapeofloss.adversarial.divergences import jsd, kl
from shapeofloss.arrays import Floats, as_count
from shapeofloss.distributions.quantiles import wasserstein_on_line
from shapeofloss.errors import unknown


@dataclass(frozen=True, eq=False)
class HistogramPair:
    """Two distributions on the line with common nodes.

    Attributes:
        nodes: Places, shape (N,).
        pi, p: Masses, both of shape (N,) and of sum 1.
    """

    nodes: Floats
    pi: Floats
    p: Floats

    @property
    def kl_forward(self) -> float:
        """KL(pi | p), in nats."""
        return kl(self.pi, self.p)

    @property
    def kl_reverse(self) -> float:
        """KL(p | pi), in nats."""
        return kl(self.p, self.pi)

    @property
    def jsd(self) -> float:
        """In nats."""
        return jsd(self.pi, self.p)

    @property
    def w(self) -> float:
        """The earth mover's distance by the quantile formula, in units of length."""
        return wasserstein_on_line(self.nodes, self.nodes, self.pi, self.p)


def _cells(edges: Floats) -> tuple[Floats, Floats]:
    """Return the middles and the widths of cells."""
    return (edges[1:] + edges[:-1]) / 2, np.diff(edges)


def fading(t: int, *, cells: int = 1000) -> HistogramPair:
    """Return U[0, 1] against (1 - 1/t) U[0, 1] + (1/t) of the density 2 x: everything tends to 0."""
    middles, widths = _cells(np.linspace(0, 1, cells + 1))
    return HistogramPair(middles, widths, widths * (1 - 1 / t + 2 * middles / t))


def shifted(t: int) -> HistogramPair:
    """Return U[0, 1] against U[1/t, 1 + 1/t], in three cells: JSD = log 2 / t, W = 1/t, and both KL are infinite."""
    middles, widths = _cells(np.array([0, 1 / t, 1, 1 + 1 / t]))
    return HistogramPair(middles, widths * [1, 1, 0], widths * [0, 1, 1])


def waves(t: int, *, cells: int = 200) -> HistogramPair:
    """Return U[0, 1] against the density 1 + sin(2 pi t x), `cells` to a wave: W = 1 / (2 pi t), JSD stays."""
    middles, widths = _cells(np.linspace(0, 1, t * cells + 1))
    return HistogramPair(middles, widths, widths * (1 + np.sin(2 * np.pi * t * middles)))


def points(t: int) -> HistogramPair:
    """Return the point mass at 0 against that at 1/t: W = 1/t, JSD = log 2."""
    return HistogramPair(np.array([0, 1 / t]), np.array([1.0, 0.0]), np.array([0.0, 1.0]))


def escaping(t: int) -> HistogramPair:
    """Return the point mass at 0 against (1 - 1/t) of it and 1/t at the place t: KL(pi | p) tends to 0, W = 1."""
    return HistogramPair(np.array([0.0, t]), np.array([1.0, 0.0]), np.array([1 - 1 / t, 1 / t]))


SEQUENCES: dict[str, Callable[[int], HistogramPair]] = {
    "fading": fading,
    "shifted": shifted,
    "waves": waves,
    "points": points,
    "escaping": escaping,
}


def sequence(name: str, t: int) -> HistogramPair:
    """Return the t-th pair of a sequence: the limit pi first.

    Args:
        name: `fading`, `shifted`, `waves`, `points` or `escaping`.
        t: At least 2 (for `waves` at least 1).
    Raises:
        UserError: If there is no such sequence, or t is too small.
    Source:
        WGAN lecture, theorem 2, whose implications these sequences illustrate, and whose converses they refute.
    Example:
        >>> pair = sequence("shifted", 10)
        >>> round(pair.w, 12), round(pair.jsd, 6), pair.kl_forward
        (0.1, 0.069315, inf)
    """
    if not isinstance(name, str) or name not in SEQUENCES:
        raise unknown("sequence", name, SEQUENCES)
    return SEQUENCES[name](as_count(t, f"The place t in the sequence '{name}'", at_least=1 if name == "waves" else 2))


def random_histograms(seed: int, *, bins: int = 20, overlap: bool = True) -> HistogramPair:
    """Return random histograms on equal bins of [0, 1], some bins of which may be empty.

    Args:
        seed: Not negative.
        bins: At least 2.
        overlap: Whether both may have mass in the same bin. If not, each bin belongs to one of the two.
    Raises:
        UserError: If there are fewer bins, or the seed is negative.
    Example:
        >>> round(random_histograms(0, overlap=False).jsd, 6)
        0.693147
    """
    as_count(bins, "bins", at_least=2)
    generator = np.random.default_rng(as_count(seed, "seed", at_least=0))
    middles, _ = _cells(np.linspace(0, 1, bins + 1))
    # Heights of very different size, so that near and far pairs both come up.
    pi, p = generator.exponential(size=(2, bins)) ** generator.uniform(0.1, 4, size=(2, 1))
    if overlap:
        p = p + generator.choice([0, 1, 100]) * pi  # or nearly the same
    else:
        first = generator.permutation(bins) < generator.integers(1, bins)
        pi, p = pi * first, p * ~first
    return HistogramPair(middles, pi / pi.sum(), p / p.sum())
