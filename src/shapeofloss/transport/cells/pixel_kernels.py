"""The compiled loops of `pixels`: who is the cheapest at each pixel, and how volumes flow through interfaces.

All grids have three axes here; in 2-D the last one has a single pixel. y (N, 3) are positions, R (N, 3, 3) upper
triangular factors of the matrices A = R' R, p (N,) exponents, h the spacing, f (N,) potentials.
"""

# mypy: allow-untyped-defs

import math

import numpy as np

from shapeofloss.engine.jit import njit

OUTER, INNER = 16, 4  # sides of the blocks of pixels, one in the other, for which far particles are left out together

# Sums may be reordered; infinities keep their meaning.
compiled = njit(error_model="numpy", fastmath={"contract", "reassoc"})


@compiled
def distance(R, u0, u1, u2):
    """Return |R u|^2 for an upper triangular R."""
    a = R[0, 0] * u0 + R[0, 1] * u1 + R[0, 2] * u2
    b = R[1, 1] * u1 + R[1, 2] * u2
    c = R[2, 2] * u2
    return a * a + b * b + c * c


@compiled
def reaches(R, half):
    """Return the largest |R u| over a block with these half sides, for each particle: at one of its corners."""
    found = np.empty(len(R))
    for i in range(len(R)):
        widest = 0.0
        for s in range(4):
            sign1, sign2 = 1.0 - 2.0 * (s & 1), 1.0 - (s & 2)
            widest = max(widest, distance(R[i], half[0], sign1 * half[1], sign2 * half[2]))
        found[i] = math.sqrt(widest)
    return found


@compiled
def cull(y, R, p, f, void, corner, half, reach, among, total, kept, lower):
    """Keep who may be the cheapest somewhere in a block: by |R u| at its centre, give or take the reach."""
    bound = 0.0 if void else np.inf
    for k in range(total):
        i = among[k]
        s = math.sqrt(
            distance(
                R[i],
                corner[0] + half[0] - y[i, 0],
                corner[1] + half[1] - y[i, 1],
                corner[2] + half[2] - y[i, 2],
            )
        )
        low, high = max(s - reach[i], 0.0), s + reach[i]
        if p[i] == 2.0:
            lower[k] = low * low - f[i]
            bound = min(bound, high * high - f[i])
        else:
            lower[k] = low ** p[i] - f[i]
            bound = min(bound, high ** p[i] - f[i])
    bound += 1e-9 * abs(bound)  # rounding must not leave anyone out
    count = 0
    for k in range(total):
        if lower[k] <= bound:
            kept[count] = among[k]
            count += 1
    return count


@compiled
def assign_powers(y, R, p, h, f, void, inside, labels):
    """Write the cheapest particle of each pixel, or -1, into labels; return the pixels of each particle."""
    count = len(y)
    shape = labels.shape
    counts = np.zeros(count, np.int64)
    everyone = np.arange(count)
    far, near, lower = np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count)
    wide, narrow, corner = np.empty(3), np.empty(3), np.empty(3)
    for k in range(3):
        wide[k] = (min(OUTER, shape[k]) - 1) * h / 2
        narrow[k] = (min(INNER, shape[k]) - 1) * h / 2
    wide_reach, narrow_reach = reaches(R, wide), reaches(R, narrow)
    for outer in np.ndindex(
        (shape[0] + OUTER - 1) // OUTER, (shape[1] + OUTER - 1) // OUTER, (shape[2] + OUTER - 1) // OUTER
    ):
        for k in range(3):
            corner[k] = (outer[k] * OUTER + 0.5) * h
        some = cull(y, R, p, f, void, corner, wide, wide_reach, everyone, count, far, lower)
        for inner in np.ndindex(OUTER // INNER, OUTER // INNER, OUTER // INNER):
            x0, x1, x2 = (
                outer[0] * OUTER + inner[0] * INNER,
                outer[1] * OUTER + inner[1] * INNER,
                outer[2] * OUTER + inner[2] * INNER,
            )
            if x0 >= shape[0] or x1 >= shape[1] or x2 >= shape[2]:
                continue
            corner[0], corner[1], corner[2] = (x0 + 0.5) * h, (x1 + 0.5) * h, (x2 + 0.5) * h
            few = cull(y, R, p, f, void, corner, narrow, narrow_reach, far, some, near, lower)
            for a in range(x0, min(x0 + INNER, shape[0])):
                for b in range(x1, min(x1 + INNER, shape[1])):
                    for c in range(x2, min(x2 + INNER, shape[2])):
                        best, owner = (0.0, -1) if void else (np.inf, -1)
                        if inside[a, b, c]:
                            for k in range(few):
                                i = near[k]
                                u0, u1, u2 = (
                                    (a + 0.5) * h - y[i, 0],
                                    (b + 0.5) * h - y[i, 1],
                                    (c + 0.5) * h - y[i, 2],
                                )
                                value = distance(R[i], u0, u1, u2)
                                if p[i] != 2.0:
                                    value = value ** (p[i] / 2)
                                value -= f[i]
                                if value < best:
                                    best, owner = value, i
                        labels[a, b, c] = owner
                        if owner >= 0:
                            counts[owner] += 1
    return counts


@compiled
def slope(y, R, p, x, out):
    """Write the gradient of c at x, which is p |R d|^(p - 2) R' R d."""
    d0, d1, d2 = x[0] - y[0], x[1] - y[1], x[2] - y[2]
    a = R[0, 0] * d0 + R[0, 1] * d1 + R[0, 2] * d2
    b = R[1, 1] * d1 + R[1, 2] * d2
    c = R[2, 2] * d2
    scale = 2.0
    if p != 2.0:
        scale = p * max(a * a + b * b + c * c, 1e-300) ** (p / 2 - 1)  # at the particle itself a = b = c = 0
    out[0] = scale * R[0, 0] * a
    out[1] = scale * (R[0, 1] * a + R[1, 1] * b)
    out[2] = scale * (R[0, 2] * a + R[1, 2] * b + R[2, 2] * c)


@compiled
def interfaces_powers(y, R, p, h, labels, inside):
    """Return the particles of each pair of unlike neighbouring pixels, and |g_k| / |g|^2 of the costs' difference."""
    shape = labels.shape
    total = 0
    for fill in range(2):  # count first, then fill
        if fill:
            first, second, flow = np.empty(total, np.int32), np.empty(total, np.int32), np.empty(total)
            total = 0
        x, mine, other = np.empty(3), np.zeros(3), np.zeros(3)
        for a in range(shape[0]):
            for b in range(shape[1]):
                for c in range(shape[2]):
                    if not inside[a, b, c]:
                        continue
                    for k in range(3):
                        a2, b2, c2 = a + (k == 0), b + (k == 1), c + (k == 2)
                        if a2 == shape[0] or b2 == shape[1] or c2 == shape[2] or not inside[a2, b2, c2]:
                            continue
                        i, j = labels[a, b, c], labels[a2, b2, c2]
                        if i == j:
                            continue
                        if i < 0:
                            i, j = j, i
                        if fill:
                            x[0], x[1], x[2] = (a + a2 + 1) * h / 2, (b + b2 + 1) * h / 2, (c + c2 + 1) * h / 2
                            slope(y[i], R[i], p[i], x, mine)
                            other[:] = 0.0
                            if j >= 0:
                                slope(y[j], R[j], p[j], x, other)
                            square = 0.0
                            for m in range(3):
                                square += (mine[m] - other[m]) ** 2
                            first[total], second[total] = i, j
                            # |n_k| dS / |grad|: the sum over the three axes is dS / |grad|
                            flow[total] = abs(mine[k] - other[k]) / max(square, 1e-300)
                        total += 1
    return first, second, flow


@compiled
def assign_matrix(matrix, f, void, inside, labels):
    """Write the cheapest particle of each pixel, or -1, into labels; return the pixels of each particle."""
    count, size = matrix.shape
    counts = np.zeros(count, np.int64)
    best = np.empty(size)
    best[:] = 0.0 if void else np.inf
    labels[:] = -1
    for i in range(count):  # row by row, as the matrix lies in memory
        for x in range(size):
            value = matrix[i, x] - f[i]
            if value < best[x]:
                best[x] = value
                labels[x] = i
    for x in range(size):
        if not inside[x]:
            labels[x] = -1
        elif labels[x] >= 0:
            counts[labels[x]] += 1
    return counts


@compiled
def interfaces_matrix(matrix, unit, labels, inside):
    """Return what interfaces_powers does, with differences between pixels for gradients, costs counted in units."""
    shape = labels.shape
    total = 0
    for fill in range(2):
        if fill:
            first, second, flow = np.empty(total, np.int32), np.empty(total, np.int32), np.empty(total)
            total = 0
        for a in range(shape[0]):
            for b in range(shape[1]):
                for c in range(shape[2]):
                    if not inside[a, b, c]:
                        continue
                    for k in range(3):
                        a2, b2, c2 = a + (k == 0), b + (k == 1), c + (k == 2)
                        if a2 == shape[0] or b2 == shape[1] or c2 == shape[2] or not inside[a2, b2, c2]:
                            continue
                        i, j = labels[a, b, c], labels[a2, b2, c2]
                        if i == j:
                            continue
                        if i < 0:
                            i, j = j, i
                        if fill:
                            square, along = 0.0, 0.0
                            for m in range(3):  # differences between neighbouring pixels, at most two apart
                                lo0, lo1, lo2 = max(a - (m == 0), 0), max(b - (m == 1), 0), max(c - (m == 2), 0)
                                hi0, hi1, hi2 = (
                                    min(a + (m == 0), shape[0] - 1),
                                    min(b + (m == 1), shape[1] - 1),
                                    min(c + (m == 2), shape[2] - 1),
                                )
                                apart = (hi0 - lo0) + (hi1 - lo1) + (hi2 - lo2)
                                if apart == 0:
                                    continue
                                change = matrix[i, hi0, hi1, hi2] - matrix[i, lo0, lo1, lo2]
                                if j >= 0:
                                    change -= matrix[j, hi0, hi1, hi2] - matrix[j, lo0, lo1, lo2]
                                change /= apart * unit
                                square += change * change
                                if m == k:
                                    along = abs(change)
                            first[total], second[total] = i, j
                            flow[total] = along / max(square, 1e-300)
                        total += 1
    return first, second, flow
