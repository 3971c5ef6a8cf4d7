"""The compiled loops of `pixel_costs`: who is the cheapest at each pixel.

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
def reaches(R, n0, n1, n2, h):
    """Return the largest |R u| from the centre of a block of n0 x n1 x n2 pixels to one of its corners."""
    u0, u1, u2 = (n0 - 1) * h / 2, (n1 - 1) * h / 2, (n2 - 1) * h / 2
    widest = np.empty(len(R))
    for i in range(len(R)):
        first, second = distance(R[i], u0, u1, u2), distance(R[i], u0, u1, -u2)
        third, fourth = distance(R[i], u0, -u1, u2), distance(R[i], u0, -u1, -u2)
        widest[i] = math.sqrt(max(first, second, third, fourth))
    return widest


@compiled
def cull(y, R, p, f, void, x0, x1, x2, reach, among):
    """Return who may be the cheapest somewhere in a block: by |R u| at its centre x, give or take the reach."""
    lower, bound = np.empty(len(among)), 0.0 if void else np.inf
    for k in range(len(among)):
        i = among[k]
        s = math.sqrt(distance(R[i], x0 - y[i, 0], x1 - y[i, 1], x2 - y[i, 2]))
        low, high = max(s - reach[i], 0.0), s + reach[i]
        if p[i] == 2.0:
            low, high = low * low, high * high
        else:
            low, high = low ** p[i], high ** p[i]
        lower[k] = low - f[i]
        bound = min(bound, high - f[i])
    bound += 1e-9 * abs(bound)  # rounding must not leave anyone out
    kept, count = np.empty(len(among), np.int64), 0
    for k in range(len(among)):
        if lower[k] <= bound:
            kept[count] = among[k]
            count += 1
    return kept[:count]


@compiled
def cheapest(y, R, p, f, void, x0, x1, x2, among):
    """Return who is the cheapest at a point, or -1."""
    best, owner = (0.0, -1) if void else (np.inf, -1)
    for i in among:
        value = distance(R[i], x0 - y[i, 0], x1 - y[i, 1], x2 - y[i, 2])
        if p[i] != 2.0:
            value = value ** (p[i] / 2)
        value -= f[i]
        if value < best:
            best, owner = value, i
    return owner


@compiled
def count_pixels(labels, count):
    """Return how many pixels each particle has."""
    counts = np.zeros(count, np.int64)
    for owner in labels.flat:
        if owner >= 0:
            counts[owner] += 1
    return counts


@compiled
def fill(y, R, p, f, void, h, start, among, inside, labels):
    """Write the labels of the inner block that begins at this pixel."""
    shape = labels.shape
    for a in range(start[0], min(start[0] + INNER, shape[0])):
        for b in range(start[1], min(start[1] + INNER, shape[1])):
            for c in range(start[2], min(start[2] + INNER, shape[2])):
                labels[a, b, c] = -1
                if inside[a, b, c]:
                    x0, x1, x2 = (a + 0.5) * h, (b + 0.5) * h, (c + 0.5) * h
                    labels[a, b, c] = cheapest(y, R, p, f, void, x0, x1, x2, among)


@compiled
def assign_powers(y, R, p, f, void, h, inside, labels):
    """Write the cheapest particle of each pixel, or -1, into labels; return the pixels of each particle."""
    (n0, n1, n2), everyone = labels.shape, np.arange(len(y))
    w0, w1, w2 = min(OUTER, n0), min(OUTER, n1), min(OUTER, n2)
    v0, v1, v2 = min(INNER, n0), min(INNER, n1), min(INNER, n2)
    wide_reach, narrow_reach = reaches(R, w0, w1, w2, h), reaches(R, v0, v1, v2, h)
    for i0, i1, i2 in np.ndindex((n0 + OUTER - 1) // OUTER, (n1 + OUTER - 1) // OUTER, (n2 + OUTER - 1) // OUTER):
        x0, x1, x2 = (i0 * OUTER + w0 / 2) * h, (i1 * OUTER + w1 / 2) * h, (i2 * OUTER + w2 / 2) * h
        far = cull(y, R, p, f, void, x0, x1, x2, wide_reach, everyone)
        for j0, j1, j2 in np.ndindex(OUTER // INNER, OUTER // INNER, OUTER // INNER):
            a, b, c = i0 * OUTER + j0 * INNER, i1 * OUTER + j1 * INNER, i2 * OUTER + j2 * INNER
            if a < n0 and b < n1 and c < n2:
                x0, x1, x2 = (a + v0 / 2) * h, (b + v1 / 2) * h, (c + v2 / 2) * h
                near = cull(y, R, p, f, void, x0, x1, x2, narrow_reach, far)
                fill(y, R, p, f, void, h, (a, b, c), near, inside, labels)
    return count_pixels(labels, len(y))


@compiled
def assign_matrix(matrix, f, void, inside, labels):
    """Write the cheapest particle of each pixel, or -1, into labels; return the pixels of each particle."""
    best = np.full(labels.size, 0.0 if void else np.inf)
    labels[:] = -1
    for i in range(len(matrix)):  # row by row, as the matrix lies in memory
        for x in range(labels.size):
            value = matrix[i, x] - f[i]
            if value < best[x]:
                best[x] = value
                labels[x] = i
    for x in range(labels.size):
        if not inside[x]:
            labels[x] = -1
    return count_pixels(labels, len(matrix))


@compiled
def contacts(labels, inside):
    """Return the particles of each pair of unlike neighbouring pixels, the first pixel, and the axis to the second.

    Of a pair with the void the second particle is -1. Shapes (M, 2) and (M, 4).
    """
    end0, end1, end2 = labels.shape
    pairs, places, total = np.empty((3 * labels.size, 2), np.int32), np.empty((3 * labels.size, 4), np.int32), 0
    for a, b, c in np.ndindex(labels.shape):
        if not inside[a, b, c]:
            continue
        for k in range(3):
            a2, b2, c2 = a + (k == 0), b + (k == 1), c + (k == 2)
            if a2 == end0 or b2 == end1 or c2 == end2 or not inside[a2, b2, c2]:
                continue
            i, j = labels[a, b, c], labels[a2, b2, c2]
            if i == j:
                continue
            if i < 0:
                i, j = j, i
            pairs[total, 0], pairs[total, 1] = i, j
            places[total, 0], places[total, 1], places[total, 2], places[total, 3] = a, b, c, k
            total += 1
    return pairs[:total].copy(), places[:total].copy()


@compiled
def add_slope(y, R, p, x, sign, total):
    """Add the gradient of c at x, which is p |R d|^(p - 2) R' R d, to the total."""
    d0, d1, d2 = x[0] - y[0], x[1] - y[1], x[2] - y[2]
    a = R[0, 0] * d0 + R[0, 1] * d1 + R[0, 2] * d2
    b = R[1, 1] * d1 + R[1, 2] * d2
    c = R[2, 2] * d2
    scale = 2.0 * sign
    if p != 2.0:
        scale = sign * p * max(a * a + b * b + c * c, 1e-300) ** (p / 2 - 1)  # at the particle itself a = b = c = 0
    total[0] += scale * R[0, 0] * a
    total[1] += scale * (R[0, 1] * a + R[1, 1] * b)
    total[2] += scale * (R[0, 2] * a + R[1, 2] * b + R[2, 2] * c)


@compiled
def share_of(slope, k):
    """Return |g_k| / |g|^2, which is |n_k| dS / |g| for pixels of side 1: the sum over the three axes is dS / |g|."""
    return abs(slope[k]) / max(slope[0] ** 2 + slope[1] ** 2 + slope[2] ** 2, 1e-300)


@compiled
def flow_powers(y, R, p, h, pairs, places):
    """Return |g_k| / |g|^2 of the costs' difference at each contact, from the gradients between both pixels."""
    flow, x, slope = np.empty(len(pairs)), np.empty(3), np.empty(3)
    for m in range(len(pairs)):
        (i, j), k = pairs[m], places[m, 3]
        for axis in range(3):
            x[axis], slope[axis] = (2 * places[m, axis] + (axis == k) + 1) * h / 2, 0.0
        add_slope(y[i], R[i], p[i], x, 1.0, slope)
        if j >= 0:
            add_slope(y[j], R[j], p[j], x, -1.0, slope)
        flow[m] = share_of(slope, k)
    return flow


@compiled
def flow_matrix(matrix, unit, shape, pairs, places):
    """Return what flow_powers does, with differences between pixels for gradients, costs counted in units."""
    flow, slope, strides = np.empty(len(pairs)), np.empty(3), (shape[1] * shape[2], shape[2], 1)
    for m in range(len(pairs)):
        i, j = pairs[m]
        pixel = places[m, 0] * strides[0] + places[m, 1] * strides[1] + places[m, 2]
        for axis in range(3):  # differences between neighbouring pixels, at most two apart
            before, after = places[m, axis] > 0, places[m, axis] + 1 < shape[axis]
            slope[axis] = 0.0
            if before or after:
                low, high = pixel - before * strides[axis], pixel + after * strides[axis]
                change = matrix[i, high] - matrix[i, low]
                if j >= 0:
                    change -= matrix[j, high] - matrix[j, low]
                slope[axis] = change / ((before + after) * unit)
        flow[m] = share_of(slope, places[m, 3])
    return flow
