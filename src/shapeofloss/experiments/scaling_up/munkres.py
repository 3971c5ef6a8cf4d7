"""The Hungarian method as Munkres wrote it in 1957, with its operations counted, to see how they grow."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shapeofloss.transport.assignment.programs import square_costs


def munkres(cost: ArrayLike) -> tuple[NDArray[np.int64], int]:
    """Assign by Munkres's matrix method: cover zeros by lines, make new zeros, exchange along alternating paths.

    Between two exchanges the matrix is searched, and changed, up to N times, at N^2 entries each; there are N
    exchanges. So it takes O(N^4) in the worst case; what is called O(N^3) today keeps the smallest entry of each
    column instead.

    Args:
        cost: Shape (N, N), finite.
    Returns:
        The column of each row, shape (N,), and how many entries of the matrix were looked at or changed.
    Raises:
        UserError: If the costs are not square and finite.
    Source:
        Optimal transport talk, slide "Key dates"; Munkres, 1957.
    Example:
        >>> munkres([[1.0, 2.0], [1.0, 4.0]])[0].tolist()
        [1, 0]
    """
    matrix = square_costs(cost).copy()
    count = len(matrix)
    starred, primed = np.full(count, -1), np.full(count, -1)  # the column of each row's starred and primed zero
    covered_rows, covered_columns = np.zeros(count, bool), np.zeros(count, bool)
    matrix -= matrix.min(1, keepdims=True)
    operations = 2 * matrix.size
    while (starred < 0).any():
        open_entries = np.where(covered_rows[:, None] | covered_columns, np.inf, matrix)
        row, column = np.unravel_index(open_entries.argmin(), matrix.shape)
        smallest = open_entries[row, column]
        operations += matrix.size
        if smallest > 0:  # no zero is uncovered: make one
            matrix[covered_rows] += smallest
            matrix[:, ~covered_columns] -= smallest
            matrix[row, column] = 0.0  # whatever was rounded
            operations += 2 * matrix.size
        primed[row] = column
        if starred[row] >= 0:
            covered_rows[row], covered_columns[starred[row]] = True, False
            continue
        while column >= 0:  # exchange along the path of primed and starred zeros
            rival = np.flatnonzero(starred == column)
            starred[row] = column
            operations += count
            if not len(rival):
                break
            row = rival[0]
            column = primed[row]
        primed[:], covered_rows[:], covered_columns[:] = -1, False, False
        covered_columns[starred[starred >= 0]] = True
    return starred, operations
