"""Compiled: convex polygons cut by half-planes, and integrals over a polygon, or over its part in a disc.

Import it where it is needed: numba is slow to import. `laguerre` is the module to call.
"""

import math

import numpy as np

from shapeofloss.engine.jit import njit

BOTTOM, RIGHT, TOP, LEFT = -1, -2, -3, -4  # labels of the box's sides; other labels are numbers of cells


@njit(error_model="numpy")
def cut(corners, labels, count, normal_x, normal_y, offset, label, kept, kept_labels):  # type: ignore[no-untyped-def]
    """Write the part of a convex polygon where normal . u <= offset, and return its number of corners.

    Edge k goes from corner k to the next one, and has label k. Returns -1, and writes nothing, if nothing is cut off.
    """
    outside = 0
    for k in range(count):
        if corners[k, 0] * normal_x + corners[k, 1] * normal_y > offset:
            outside += 1
    if outside == 0:
        return -1
    if outside == count:
        return 0
    written = 0
    for k in range(count):
        if written + 2 > len(kept):
            break  # rounding has bent a sliver so that it is cut more than twice
        n = k + 1 if k + 1 < count else 0
        x, y, to_x, to_y = corners[k, 0], corners[k, 1], corners[n, 0], corners[n, 1]
        here = x * normal_x + y * normal_y - offset
        there = to_x * normal_x + to_y * normal_y - offset
        if here <= 0:
            kept[written, 0], kept[written, 1], kept_labels[written] = x, y, labels[k]
            written += 1
        if (here <= 0) != (there <= 0):
            share = here / (here - there)
            kept[written, 0], kept[written, 1] = x + share * (to_x - x), y + share * (to_y - y)
            kept_labels[written] = label if here <= 0 else labels[k]
            written += 1
    return written


@njit(error_model="numpy")
def cell(i, seeds, f, near, highest, box, void, seen, corners, labels, spare, spare_labels):  # type: ignore[no-untyped-def]
    """Write cell i relative to its seed, without the cut by its disc; return its corners' number, and which buffer.

    Half-planes of near seeds come first. If a seed farther than these could still matter, even with the highest
    potential, all others follow, of which most are told to be too far by one comparison.
    """
    x, y = seeds[i, 0], seeds[i, 1]
    corners[0, 0], corners[0, 1], labels[0] = -x, -y, BOTTOM
    corners[1, 0], corners[1, 1], labels[1] = box[0] - x, -y, RIGHT
    corners[2, 0], corners[2, 1], labels[2] = box[0] - x, box[1] - y, TOP
    corners[3, 0], corners[3, 1], labels[3] = -x, box[1] - y, LEFT
    count, first, squared = 4, True, 0.0
    bound = f[i] if void else np.inf
    reach = bound  # squared distance of the farthest point of the cell
    for turn in range(near.shape[1] + len(f)):
        if turn < near.shape[1]:
            j = near[i, turn]
            seen[j] = i
        else:
            j = turn - near.shape[1]
            if j == 0 and squared >= (math.sqrt(reach) + math.sqrt(max(0.0, reach - f[i] + highest))) ** 2:
                break  # `squared` is still that of the farthest of the near ones
            if j == i or seen[j] == i:
                continue
        to_x, to_y = seeds[j, 0] - x, seeds[j, 1] - y
        squared = to_x * to_x + to_y * to_y
        twice = squared + f[i] - f[j]  # of normal . u on the interface
        if twice >= 0 and twice * twice >= 4 * reach * squared:
            continue
        if first:
            written = cut(corners, labels, count, to_x, to_y, twice / 2, j, spare, spare_labels)
        else:
            written = cut(spare, spare_labels, count, to_x, to_y, twice / 2, j, corners, labels)
        if written < 0:
            continue
        count, first = written, not first
        if count == 0:
            break
        reach = 0.0
        for k in range(count):
            if first:
                reach = max(reach, corners[k, 0] ** 2 + corners[k, 1] ** 2)
            else:
                reach = max(reach, spare[k, 0] ** 2 + spare[k, 1] ** 2)
        reach = min(reach, bound)
    return count, first


@njit(error_model="numpy")
def inside(a_x, a_y, b_x, b_y, squared_radius):  # type: ignore[no-untyped-def]
    """Return the shares of the way from a to b at which a disc about the origin is entered and left; equal if never."""
    way_x, way_y = b_x - a_x, b_y - a_y
    length = way_x * way_x + way_y * way_y
    middle = a_x * way_x + a_y * way_y
    root = middle * middle - length * (a_x * a_x + a_y * a_y - squared_radius)
    if root <= 0 or length == 0:
        return 0.0, 0.0
    root = math.sqrt(root)
    enters, leaves = max(0.0, (-middle - root) / length), min(1.0, (-middle + root) / length)
    return (enters, leaves) if enters < leaves else (0.0, 0.0)


@njit(error_model="numpy")
def add_triangle(a_x, a_y, b_x, b_y, sums):  # type: ignore[no-untyped-def]
    """Add the signed triangle (0, a, b): area, both first moments, second moment."""
    double = a_x * b_y - a_y * b_x
    sums[0] += double / 2
    sums[1] += double * (a_x + b_x) / 6
    sums[2] += double * (a_y + b_y) / 6
    sums[3] += double * (a_x * a_x + a_y * a_y + a_x * b_x + a_y * b_y + b_x * b_x + b_y * b_y) / 12


@njit(error_model="numpy")
def add_sector(a_x, a_y, b_x, b_y, squared_radius, sums):  # type: ignore[no-untyped-def]
    """Add the signed sector of a disc between the directions of a and b: the same four, and the length of its arc."""
    angle = math.atan2(a_x * b_y - a_y * b_x, a_x * b_x + a_y * b_y)
    size_a, size_b = math.sqrt(a_x * a_x + a_y * a_y), math.sqrt(b_x * b_x + b_y * b_y)
    if size_a == 0 or size_b == 0:
        return
    radius = math.sqrt(squared_radius)
    sums[0] += squared_radius * angle / 2
    sums[1] += squared_radius * radius * (b_y / size_b - a_y / size_a) / 3
    sums[2] += squared_radius * radius * (a_x / size_a - b_x / size_b) / 3
    sums[3] += squared_radius * squared_radius * angle / 4
    sums[4] += radius * angle


@njit(error_model="numpy")
def integrate(seeds, f, near, box, void):  # type: ignore[no-untyped-def]
    """Return the integrals of all cells, and their interfaces.

    Returns:
        sums: Area, first moments and second moment about the seed, and length of the arc, shape (N, 5).
        pairs, lengths: Interfaces (i, j), each from both sides, shape (K, 2) and (K,).
    """
    count = len(f)
    sums = np.zeros((count, 5))
    pairs, lengths, stored = np.empty((8 * count + 8, 2), np.int64), np.empty(8 * count + 8), 0
    seen, highest = np.full(count, -1), f.max()
    corners, spare = np.empty((count + 8, 2)), np.empty((count + 8, 2))
    labels, spare_labels = np.empty(count + 8, np.int64), np.empty(count + 8, np.int64)
    for i in range(count):
        if void and f[i] <= 0:
            continue
        size, first = cell(i, seeds, f, near, highest, box, void, seen, corners, labels, spare, spare_labels)
        polygon, label = (corners, labels) if first else (spare, spare_labels)
        for k in range(size):
            n = k + 1 if k + 1 < size else 0
            a_x, a_y, b_x, b_y = polygon[k, 0], polygon[k, 1], polygon[n, 0], polygon[n, 1]
            share = 1.0
            if not void or (a_x * a_x + a_y * a_y <= f[i] and b_x * b_x + b_y * b_y <= f[i]):
                add_triangle(a_x, a_y, b_x, b_y, sums[i])
            else:
                enters, leaves = inside(a_x, a_y, b_x, b_y, f[i])
                share = leaves - enters
                if share == 0:
                    add_sector(a_x, a_y, b_x, b_y, f[i], sums[i])
                else:
                    p_x, p_y = a_x + enters * (b_x - a_x), a_y + enters * (b_y - a_y)
                    q_x, q_y = a_x + leaves * (b_x - a_x), a_y + leaves * (b_y - a_y)
                    if enters > 0:
                        add_sector(a_x, a_y, p_x, p_y, f[i], sums[i])
                    add_triangle(p_x, p_y, q_x, q_y, sums[i])
                    if leaves < 1:
                        add_sector(q_x, q_y, b_x, b_y, f[i], sums[i])
            if label[k] >= 0 and share > 0:
                if stored == len(lengths):  # only degenerate cells have so many
                    pairs, lengths = np.concatenate((pairs, pairs)), np.concatenate((lengths, lengths))
                pairs[stored, 0], pairs[stored, 1] = i, label[k]
                lengths[stored] = share * math.hypot(b_x - a_x, b_y - a_y)
                stored += 1
    return sums, pairs[:stored], lengths[:stored]


@njit(error_model="numpy")
def corners_of(seeds, f, near, box):  # type: ignore[no-untyped-def]
    """Return the corners of all cells, relative to the seeds, one after another, and their numbers: no discs."""
    count = len(f)
    flat, numbers, stored = np.empty((8 * count + 8, 2)), np.zeros(count, np.int64), 0
    seen, highest = np.full(count, -1), f.max()
    corners, spare = np.empty((count + 8, 2)), np.empty((count + 8, 2))
    labels, spare_labels = np.empty(count + 8, np.int64), np.empty(count + 8, np.int64)
    for i in range(count):
        size, first = cell(i, seeds, f, near, highest, box, False, seen, corners, labels, spare, spare_labels)
        polygon = corners if first else spare
        while stored + size > len(flat):
            flat = np.concatenate((flat, flat))
        flat[stored : stored + size] = polygon[:size]
        numbers[i] = size
        stored += size
    return flat[:stored], numbers
