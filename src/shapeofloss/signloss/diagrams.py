"""Persistence diagrams of dimension 0 of arrays on a grid, and distances between diagrams.

Thin over gudhi, CRipser and POT, which differ in what they leave unsaid: which cells of a grid are neighbours, the norm
of the plane, the order, and what becomes of the component that never dies. Here each is an argument.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shapeofloss import compiler
from shapeofloss.errors import UserError, unknown

compiler.ready_keops()  # POT and CRipser load it
NEIGHBOURS = ("all", "axes")
ESSENTIAL = ("drop", "keep")


def persistence_diagram(array: ArrayLike, *, neighbours: str = "all") -> NDArray[np.float64]:
    """Return the births and deaths of the components of an array's sublevel sets.

    Args:
        array: A function on a grid, of 1, 2 or 3 dimensions, all finite.
        neighbours: "all" for the 3^d - 1 cells that touch in a face or a corner; "axes" for the 2 d along the axes.
    Returns:
        One row (birth, death) for each component that lives longer than zero, shape (n, 2), in units of the array,
        sorted; the component that never dies has death infinity.
    Raises:
        UserError: If the array has another number of dimensions, or is not finite.
    Source:
        Directional sign loss paper, appendix 5.1.1, which takes all neighbours.
    Example:
        >>> persistence_diagram([0.0, 2.0, 1.0])
        array([[ 0., inf],
               [ 1.,  2.]])
    """
    values = np.ascontiguousarray(array, dtype=np.float64)
    if neighbours not in NEIGHBOURS:
        raise unknown("kind of neighbours", neighbours, NEIGHBOURS)
    if values.ndim not in (1, 2, 3) or not values.size:
        raise UserError(f"The array has shape {values.shape}; diagrams are made of 1, 2 or 3 dimensions with values.")
    if not np.isfinite(values).all():
        raise UserError("The array has values that are not finite; a filtration needs numbers.")
    found = _volume(values, neighbours) if values.ndim == 3 else _cubical(values, neighbours)
    found = found[found[:, 1] > found[:, 0]]
    return found[np.lexsort(found.T[::-1])]


def _cubical(values: NDArray[np.float64], neighbours: str) -> NDArray[np.float64]:
    from gudhi.sklearn.cubical_persistence import CubicalPersistence

    kind = {"all": "top_dimensional_cells", "axes": "vertices"}[neighbours]
    if values.ndim == 1 or min(values.shape) == 1:  # in a row both are the same
        values, kind = values.reshape(-1), "top_dimensional_cells"
    (diagram,) = CubicalPersistence(homology_dimensions=0, input_type=kind).fit_transform([values])
    return np.asarray(diagram, dtype=np.float64).reshape(-1, 2)


def _volume(values: NDArray[np.float64], neighbours: str) -> NDArray[np.float64]:
    from cripser import computePH, tcripser  # in three dimensions ten times faster than gudhi

    compute = {"all": tcripser.computePH, "axes": computePH}[neighbours]
    diagram = np.asarray(compute(values, maxdim=0)).reshape(-1, 9)[:, 1:3].copy()
    diagram[diagram[:, 1] == np.finfo(np.float64).max, 1] = np.inf
    return diagram


def wasserstein(
    first: ArrayLike, second: ArrayLike, *, order: float = 2, ground: float = 2, essential: str = "drop"
) -> float:
    r"""Return the Wasserstein distance between two persistence diagrams.

    .. math:: W_p(D_1, D_2) = \Bigl(\min_\gamma \sum_{(a, b) \in \gamma} \lVert a - b \rVert_q^p\Bigr)^{1/p}

    over matchings of points with each other or with their nearest points on the diagonal; an infinite order gives the
    bottleneck distance, the largest of the distances in the best matching.

    Args:
        first, second: Diagrams, shape (n, 2) and (m, 2), in one unit.
        order: p, at least 1; `math.inf` for the bottleneck distance, for which `ground` has to be infinite.
        ground: q, the norm of the plane: 1 to `math.inf`.
        essential: "drop" leaves out what never dies; "keep" matches those points among themselves, by birth.
    Returns:
        The distance, in units of the diagrams; infinite if points that never die are kept and differ in number.
    Raises:
        UserError: If an argument is none of the above.
    Source:
        Directional sign loss paper, appendix 5.1.3, whose steps leave out the power p and charge matches on the
        diagonal.
    Example:
        >>> round(wasserstein([[0.0, 4.0]], [[1.0, 5.0]]), 3)
        1.414
    """
    if essential not in ESSENTIAL:
        raise unknown("treatment of essential points", essential, ESSENTIAL)
    if not (order >= 1 and ground >= 1):
        raise UserError(f"The order is {order} and the norm {ground}; both have to be at least 1.")
    pair = [np.asarray(diagram, dtype=np.float64).reshape(-1, 2) for diagram in (first, second)]
    if essential == "drop":
        pair = [diagram[np.isfinite(diagram).all(1)] for diagram in pair]
    if len({int(np.isinf(diagram[:, 1]).sum()) for diagram in pair}) > 1:
        return float("inf")
    if not np.isfinite(order):
        if np.isfinite(ground):
            raise UserError(f"The bottleneck distance is computed with the infinity norm; the norm given is {ground}.")
        from gudhi import bottleneck_distance

        return float(bottleneck_distance(*pair, 0.0))
    from gudhi.wasserstein import wasserstein_distance

    norm = np.inf if not np.isfinite(ground) else ground
    return float(wasserstein_distance(*pair, order=order, internal_p=norm, keep_essential_parts=essential == "keep"))
