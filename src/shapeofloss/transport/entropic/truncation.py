"""The soft distance transform without the pairs that cannot matter: whole blocks of pairs are left out."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from shapeofloss.errors import UserError
from shapeofloss.transport.entropic.softmin import Symbolic


@dataclass(frozen=True)
class Clusters:
    """A cloud sorted by the cubes of a grid.

    Attributes:
        points: Shape (N, D), the points of a cube side by side.
        order: Where each point stood before, shape (N,).
        labels: The cube of each point, shape (N,).
        ranges: First and last point of each cube, the latter excluded, shape (K, 2).
        centres, radii: The mean of a cube's points, shape (K, D), and its distance to the farthest of them, shape (K,).
    """

    points: Tensor
    order: Tensor
    labels: Tensor
    ranges: Tensor
    centres: Tensor
    radii: Tensor

    @classmethod
    def of(cls, x: Tensor, size: float) -> "Clusters":
        """Sort a cloud by the cubes of a grid whose sides are `size`."""
        from pykeops.torch.cluster import cluster_ranges_centroids, grid_cluster

        labels, order = grid_cluster(x, size).view(-1).sort(stable=True)
        labels = labels.unique_consecutive(return_inverse=True)[1]
        points = x[order].contiguous()
        ranges, centres, _ = cluster_ranges_centroids(points, labels)
        distances = (points - centres[labels]).norm(dim=1)
        radii = torch.zeros(len(centres), dtype=x.dtype, device=x.device).scatter_reduce(0, labels, distances, "amax")
        return cls(points, order, labels, ranges, centres, radii)

    def reduce(self, values: Tensor, kind: str) -> Tensor:
        """Return the "amax" or "amin" over each cube of one value per point, in the order before, shape (K,)."""
        start = torch.full((len(self.centres),), math.nan, dtype=values.dtype, device=values.device)
        return start.scatter_reduce(0, self.labels, values[self.order], kind, include_self=False)

    @property
    def sizes(self) -> Tensor:
        """The number of points of each cube, shape (K,)."""
        return (self.ranges[:, 1] - self.ranges[:, 0]).long()


@dataclass(frozen=True)
class Truncated:
    """The transform over the blocks that are kept.

    Attributes:
        softmin: The transform between the sorted clouds.
        x_order, y_order: Where the sorted points stood before, shape (N,) and (M,).
        pairs: How many pairs of points are evaluated.
    """

    softmin: Symbolic
    x_order: Tensor
    y_order: Tensor
    pairs: int

    def __call__(self, eps: float, h: Tensor) -> Tensor:
        """Return f, shape (N,), for h of shape (M,), both in the order of the points."""
        f = torch.empty(len(self.x_order), dtype=h.dtype, device=h.device)
        f[self.x_order] = self.softmin(eps, h[self.y_order].contiguous())
        return f


def truncated(x: Tensor, y: Tensor, h: Tensor, *, eps: float, size: float, tail: float = 1e-3) -> Truncated:
    """Return the transform for h and eps without the pairs whose terms add up to less than a share `tail` of each sum.

    Two cubes are left out together if even their nearest points would add less than tail / M of what some cube adds
    at the least. So f is too large, by at most -eps log(1 - tail).

    Args:
        x, y: Clouds, shape (N, D) and (M, D), D up to 3.
        h: Shape (M,).
        eps: Temperature, above 0, in units of |x - y|^2 / 2.
        size: Side of a cube, above 0, in units of length.
        tail: Above 0 and below 1.
    Raises:
        UserError: If a number is none of the above.
    Source:
        Optimal transport talk, slide "Remark 1: a streamlined algorithm".
    """
    if not (eps > 0 and size > 0 and 0 < tail < 1):
        raise UserError(f"eps = {eps} and size = {size} have to be above 0, and tail = {tail} between 0 and 1.")
    from pykeops.torch.cluster import from_matrix

    ours, theirs = Clusters.of(x, size), Clusters.of(y, size)
    apart = torch.cdist(ours.centres, theirs.centres)
    spread = ours.radii[:, None] + theirs.radii
    most = theirs.reduce(h, "amax") - (apart - spread).clamp(min=0) ** 2 / (2 * eps)
    least = theirs.reduce(h, "amin") - (apart + spread) ** 2 / (2 * eps)
    keep = most >= least.amax(1, keepdim=True) + math.log(tail / len(y))
    ranges = from_matrix(ours.ranges, theirs.ranges, keep)
    pairs = int((keep * ours.sizes[:, None] * theirs.sizes).sum())
    return Truncated(Symbolic(ours.points, theirs.points, ranges), ours.order, theirs.order, pairs)
