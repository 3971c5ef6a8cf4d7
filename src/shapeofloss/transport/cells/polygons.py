"""Compiled: convex polygons cut by half-planes, and integrals over a polygon, or over its part in a disc.

Import it where it is needed: numba is slow to import. `laguerre` is the module to call.
"""

import math

import numpy as np

from shapeofloss.arrays import Floats
from shapeofloss.engine.jit import njit

WALL = -1  # the label of the box's sides; other labels are numbers of cells

compiled = njit(error_model="numpy")


@compiled
def cut(corners, labels, now, count, normal_x, normal_y, offset, label):  # type: ignore[no-untyped-def]
    """Write the part of a convex polygon where normal . u <= offset, and return its number of corners.

    Edge k goes from corner k to the next one, and has label k. The polygon is in buffer `now` of two, its part comes
    into the other one. Returns -1, and writes nothing, if nothing is cut off.
    """
    outside = 0
    for k in range(count):
        if corners[now, k, 0] * normal_x + corners[now, k, 1] * normal_y > offset:
            outside += 1
    if outside == 0:
        return -1
    if outside == count:
        return 0
    new, written = 1 - now, 0
    for k in range(count):
        if written + 2 > corners.shape[1]:
            break  # rounding has bent a sliver so that it is cut more than twice
        n = k + 1 if k + 1 < count else 0
        x, y, to_x, to_y = corners[now, k, 0], corners[now, k, 1], corners[now, n, 0], corners[now, n, 1]
        here = x * normal_x + y * normal_y - offset
        there = to_x * normal_x + to_y * normal_y - offset
        if here <= 0:
            corners[new, written, 0], corners[new, written, 1], labels[new, written] = x, y, labels[now, k]
            written += 1
        if (here <= 0) != (there <= 0):
            share = here / (here - there)
            corners[new, written, 0], corners[new, written, 1] = x + share * (to_x - x), y + share * (to_y - y)
            labels[new, written] = label if here <= 0 else labels[now, k]
            written += 1
    return written


@compiled
def cell(i, seeds, f, highest, near, box, bound, seen, corners, labels):  # type: ignore[no-untyped-def]
    """Write cell i relative to its seed, without the cut by its disc; return its corners' number, and which buffer.

    Half-planes of near seeds come first. If a seed farther than these could still matter, even with the highest
    potential, all others follow, of which most are told to be too far by one comparison. No seed matters farther from
    the cell's own than twice the square root of `bound`, the radius of its disc. There are two buffers, corners
    (2, K, 2) and labels (2, K), and each cut writes the other one.
    """
    x, y = seeds[i, 0], seeds[i, 1]
    labels[0, :4] = WALL
    corners[0, 0, 0], corners[0, 0, 1] = -x, -y
    corners[0, 1, 0], corners[0, 1, 1] = box[0] - x, -y
    corners[0, 2, 0], corners[0, 2, 1] = box[0] - x, box[1] - y
    corners[0, 3, 0], corners[0, 3, 1] = -x, box[1] - y
    count, now, squared = 4, 0, 0.0
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
        written = cut(corners, labels, now, count, to_x, to_y, twice / 2, j)
        if written < 0:
            continue
        count, now = written, 1 - now
        if count == 0:
            break
        reach = 0.0
        for k in range(count):
            reach = max(reach, corners[now, k, 0] ** 2 + corners[now, k, 1] ** 2)
        reach = min(reach, bound)
    return count, now


@compiled
def outlines(seeds, f, near, box, void):  # type: ignore[no-untyped-def]
    """Return the corners of all cells, relative to the seeds, one cell after another: no arcs.

    Returns:
        corners, labels: Each corner and the label of the edge that begins there, shape (K, 2) and (K,).
        numbers: How many corners each cell has, shape (N,).
    """
    count = len(f)
    flat, edges, stored = np.empty((8 * count + 8, 2)), np.empty(8 * count + 8, np.int64), 0
    numbers, seen, highest = np.zeros(count, np.int64), np.full(count, -1), f.max()
    corners, labels = np.empty((2, count + 8, 2)), np.empty((2, count + 8), np.int64)
    for i in range(count):
        if void and f[i] <= 0:
            continue
        size, now = cell(i, seeds, f, highest, near, box, f[i] if void else np.inf, seen, corners, labels)
        while stored + size > len(flat):  # only degenerate cells have so many
            flat, edges = np.concatenate((flat, flat)), np.concatenate((edges, edges))
        flat[stored : stored + size], edges[stored : stored + size] = corners[now, :size], labels[now, :size]
        numbers[i] = size
        stored += size
    return flat[:stored], edges[:stored], numbers


@compiled
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


@compiled
def add_triangle(a_x, a_y, b_x, b_y, sums):  # type: ignore[no-untyped-def]
    """Add the signed triangle (0, a, b): area, both first moments, second moment."""
    double = a_x * b_y - a_y * b_x
    sums[0] += double / 2
    sums[1] += double * (a_x + b_x) / 6
    sums[2] += double * (a_y + b_y) / 6
    sums[3] += double * (a_x * a_x + a_y * a_y + a_x * b_x + a_y * b_y + b_x * b_x + b_y * b_y) / 12


@compiled
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


@compiled
def add_edge(a_x, a_y, b_x, b_y, squared_radius, sums):  # type: ignore[no-untyped-def]
    """Add what lies between an edge and the origin, in a disc; return the share of the edge that the disc contains."""
    if a_x * a_x + a_y * a_y <= squared_radius and b_x * b_x + b_y * b_y <= squared_radius:
        add_triangle(a_x, a_y, b_x, b_y, sums)
        return 1.0
    enters, leaves = inside(a_x, a_y, b_x, b_y, squared_radius)
    if enters == leaves:
        add_sector(a_x, a_y, b_x, b_y, squared_radius, sums)
        return 0.0
    p_x, p_y = a_x + enters * (b_x - a_x), a_y + enters * (b_y - a_y)
    q_x, q_y = a_x + leaves * (b_x - a_x), a_y + leaves * (b_y - a_y)
    if enters > 0:
        add_sector(a_x, a_y, p_x, p_y, squared_radius, sums)
    add_triangle(p_x, p_y, q_x, q_y, sums)
    if leaves < 1:
        add_sector(q_x, q_y, b_x, b_y, squared_radius, sums)
    return leaves - enters


@compiled
def integrate(corners, numbers, squared_radii):  # type: ignore[no-untyped-def]
    """Return the integrals of all cells, each in its disc about the seed, and the lengths of their edges in it.

    Returns:
        sums: Area, first moments and second moment about the seed, and length of the arc, shape (N, 5).
        lengths: Length of the edge that begins at each corner, shape (K,).
    """
    sums, lengths, start = np.zeros((len(numbers), 5)), np.empty(len(corners)), 0
    for i in range(len(numbers)):
        end = start + numbers[i]
        for k in range(start, end):
            n = k + 1 if k + 1 < end else start
            a_x, a_y, b_x, b_y = corners[k, 0], corners[k, 1], corners[n, 0], corners[n, 1]
            share = add_edge(a_x, a_y, b_x, b_y, squared_radii[i], sums[i])
            lengths[k] = share * math.hypot(b_x - a_x, b_y - a_y)
        start = end
    return sums, lengths


def in_disc(outline: Floats, radius: float, arc_step: float) -> Floats:
    """Return the part of an anticlockwise convex polygon in the disc about the origin, arcs as chords, shape (K, 2).

    Example:
        >>> square = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0]])
        >>> in_disc(square, 1.0, np.pi / 4).round(2).tolist()
        [[0.0, 0.0], [1.0, 0.0], [0.71, 0.71], [0.0, 1.0]]
    """
    edges = list(zip(outline, np.roll(outline, -1, axis=0), strict=True))
    kept = []
    for a, b in edges:
        enters, leaves = inside(*a, *b, radius**2)
        if leaves > enters:
            kept.append((a + enters * (b - a), a + leaves * (b - a)))
    if not kept:
        around = all(a[0] * b[1] - a[1] * b[0] > 0 for a, b in edges) and len(outline) > 0
        return _arc(0.0, 2 * np.pi, radius, arc_step)[1:] if around else np.empty((0, 2))
    points: list[Floats] = []
    for (start, end), (following, _) in zip(kept, kept[1:] + kept[:1], strict=True):
        points.append(start[None])
        if np.linalg.norm(following - end) > 1e-9 * radius:
            first, last = (float(np.arctan2(point[1], point[0])) for point in (end, following))
            points += [end[None], _arc(first, (last - first) % (2 * np.pi), radius, arc_step)[1:-1]]
    return np.concatenate(points)


def _arc(first: float, width: float, radius: float, step: float) -> Floats:
    angles = first + np.linspace(0, width, max(2, int(np.ceil(width / step)) + 1))
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
