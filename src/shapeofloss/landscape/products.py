"""Points that are known by their inner products alone: their distances and angles follow from those.

Sums of the two indices come first throughout, so that rounding keeps the matrices symmetric.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from shapeofloss.arrays import Floats, as_floats
from shapeofloss.errors import UserError, unknown

View = Literal["plain", "origin", "mean"]


def centred(products: Floats) -> Floats:
    """Return the inner products of the points minus their mean, shape (n, n)."""
    means = products.mean(axis=0)
    return products - (means[:, None] + means) + means.mean()


def directions(products: Floats, centre: str) -> Floats:
    """Return the inner products of the unit vectors that point from a centre to the points, shape (n, n).

    Args:
        products: Inner products as seen from the centre, shape (n, n).
        centre: What the error calls it.
    Raises:
        UserError: If a point lies on the centre, where it has no direction.
    """
    lengths = np.sqrt(np.maximum(np.diag(products), 0))
    if not lengths.all():
        raise UserError(f"Point {int(np.argmin(lengths))} lies at the {centre}, so it has no direction: drop it.")
    units = products / np.outer(lengths, lengths)
    np.fill_diagonal(units, 1)
    return units


def euclidean_distances(products: Floats) -> Floats:
    """Return the distances between points, shape (n, n), symmetric, not negative, with a zero diagonal."""
    squares = np.diag(products)
    return np.sqrt(np.maximum(squares[:, None] + squares - 2 * products, 0))


def seen(inner_products: ArrayLike, view: View) -> Floats:
    """Return the inner products of points, or of the unit vectors that point to them from somewhere.

    Args:
        inner_products: Inner products of n points as seen from the origin, shape (n, n), symmetric.
        view: "plain" for the points as they are; "origin" or "mean" for unit vectors from the origin or from the mean.
    Returns:
        Shape (n, n).
    Raises:
        UserError: If the inner products are no symmetric matrix of finite numbers, the view is none of these, or a
            point has no direction since it lies where the view is from.
    """
    products = as_symmetric(inner_products, "inner_products")
    if not isinstance(view, str) or view not in ("plain", "origin", "mean"):
        raise unknown("view", view, ("plain", "origin", "mean"))
    if view == "plain":
        return products
    return directions(centred(products) if view == "mean" else products, view)


def distances_between(inner_products: ArrayLike, view: View) -> Floats:
    """Return Euclidean distances of plain points, else one minus the cosine of the angles between points.

    Args:
        inner_products, view: As for `seen`.
    Returns:
        Shape (n, n), symmetric, not negative, with a zero diagonal.
    Raises:
        UserError: As for `seen`.
    """
    products = seen(inner_products, view)
    return euclidean_distances(products) if view == "plain" else np.clip(1 - products, 0, 2)


def as_symmetric(values: ArrayLike, name: str) -> Floats:
    """Return a symmetric matrix of finite numbers.

    Raises:
        UserError: If it is anything else; `name` is what the error calls it.
    """
    matrix = as_floats(values, name, shape=("n", "n"), empty=False)
    if matrix.shape[0] != matrix.shape[1]:
        raise UserError(f"{name} has to have the shape (n, n), not {matrix.shape}.")
    if np.abs(matrix - matrix.T).max() > 1e-6 * np.abs(matrix).max():  # more than rounding in single precision
        raise UserError(f"{name} is not symmetric: entries (i, j) and (j, i) belong to the same two points.")
    return matrix
