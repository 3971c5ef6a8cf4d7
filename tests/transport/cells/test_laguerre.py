"""Tests of exact Laguerre cells."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import Voronoi

from benchmarks.laguerre import HullDomain
from shapeofloss.errors import UserError
from shapeofloss.transport.cells.laguerre import NEAR, Domain
from shapeofloss.transport.cells.polygons import in_disc

BOX = (1.5, 0.8)


def random_domain(count, seed, *, box=BOX, void=False):
    """Return a domain, potentials that leave most cells their place, and the generator."""
    rng = np.random.default_rng(seed)
    domain = Domain(rng.random((count, 2)) * box, box, void=void)
    scale = box[0] * box[1] / count
    f = scale * rng.random(count) * 0.6
    return domain, f, rng


def on_grid(domain, f, side):
    """Return who is the cheapest at the centres of small squares, -1 for the void, and these centres."""
    axes = [(np.arange(side) + 0.5) / side * length for length in domain.box]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    costs = ((points[:, None] - domain.seeds) ** 2).sum(2) - f
    owner = costs.argmin(1)
    return np.where(domain.void & (costs.min(1) > 0), -1, owner), points


def area_of(outline):
    x, y = outline.T
    return (x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2


def test_cells_of_equal_potentials_are_those_of_scipys_voronoi():
    domain, _, _ = random_domain(40, 0)
    y, (width, height) = domain.seeds, BOX
    mirrors = [y * [-1, 1], y * [-1, 1] + [2 * width, 0], y * [1, -1], y * [1, -1] + [0, 2 * height]]
    diagram = Voronoi(np.concatenate([y, *mirrors]))
    regions = [diagram.vertices[diagram.regions[diagram.point_region[i]]] for i in range(40)]
    expected = [abs(area_of(region)) for region in regions]
    assert domain.cells(np.full(40, 0.3)).volumes == pytest.approx(expected, rel=1e-9)


def test_cells_are_those_of_qhulls_lifted_points():
    for seed in range(5):
        domain, f, _ = random_domain(50, seed)
        ours, hulls = domain.cells(f), HullDomain(domain.seeds, BOX).cells(f)
        assert ours.volumes == pytest.approx(hulls.volumes, rel=1e-9)
        there = {tuple(sorted(pair)): length for pair, length in zip(hulls.pairs.tolist(), hulls.lengths, strict=True)}
        here = {tuple(pair): length for pair, length in zip(ours.pairs.tolist(), ours.lengths, strict=True)}
        assert here == pytest.approx({pair: there[pair] for pair in here}, abs=1e-9)
        assert sum(here.values()) == pytest.approx(sum(there.values()))


@pytest.mark.parametrize("void", [False, True])
@pytest.mark.parametrize("spread", [1.0, 10.0])
def test_cells_are_where_their_seed_is_the_cheapest(void, spread):
    domain, f, _ = random_domain(3 * NEAR, 1, void=void)
    f = spread * f + 0.005
    owner, points = on_grid(domain, f, 500)
    cells, pixel = domain.cells(f), BOX[0] * BOX[1] / 500**2
    counted = np.bincount(owner[owner >= 0], minlength=len(f)) * pixel
    assert cells.volumes == pytest.approx(counted, abs=2.5e-4)
    for i in np.flatnonzero(counted > 0.005):
        own = points[owner == i]
        assert cells.centroids[i] == pytest.approx(own.mean(0), abs=2e-3)
        assert cells.costs[i] == pytest.approx(((own - domain.seeds[i]) ** 2).sum() * pixel, rel=0.05)


def test_one_very_high_potential_cuts_cells_that_are_far_from_its_seed():
    domain, f, _ = random_domain(4 * NEAR, 2)
    f[0] += 0.25
    owner, _ = on_grid(domain, f, 500)
    counted = np.bincount(owner, minlength=len(f)) * BOX[0] * BOX[1] / 500**2
    volumes = domain.cells(f).volumes
    assert volumes.sum() == pytest.approx(BOX[0] * BOX[1], rel=1e-12)
    assert volumes == pytest.approx(counted, abs=2.5e-4)
    assert (volumes == 0).sum() > 10


@pytest.mark.parametrize("void", [False, True])
def test_the_duals_derivative_is_the_lack_of_volume(void):
    domain, f, rng = random_domain(30, 3, void=void)
    v, step = rng.random(30) / 100, 1e-6
    for i in range(30):
        there, back = f + step * np.eye(30)[i], f - step * np.eye(30)[i]
        slope = (domain.value(there, v) - domain.value(back, v)) / (2 * step)
        assert slope == pytest.approx(v[i] - domain.cells(f).volumes[i], abs=1e-8)


@pytest.mark.parametrize("void", [False, True])
def test_the_jacobian_agrees_with_finite_differences(void):
    domain, f, _ = random_domain(30, 4, void=void)
    f, step = f + 0.01, 1e-6
    cells = domain.cells(f)
    assert not void or (0 < np.count_nonzero(cells.arcs) < 30 and len(cells.pairs) > 30)
    found = domain.jacobian(f, cells).toarray()
    for i in range(30):
        there, back = domain.cells(f + step * np.eye(30)[i]), domain.cells(f - step * np.eye(30)[i])
        assert found[:, i] == pytest.approx((there.volumes - back.volumes) / (2 * step), abs=1e-5)


def test_a_lonely_particle_in_the_void_is_a_disc():
    r = 0.2
    alone = Domain([[0.5, 0.5]], void=True).cells([r**2])
    assert alone.volumes == pytest.approx(np.pi * r**2, rel=1e-12)
    assert alone.arcs == pytest.approx(2 * np.pi * r, rel=1e-12)
    assert alone.costs == pytest.approx(np.pi * r**4 / 2, rel=1e-12)
    assert alone.centroids[0] == pytest.approx([0.5, 0.5])


def test_at_a_wall_it_is_half_a_disc_and_in_a_corner_a_quarter():
    r, far = 0.2, 4 * 0.2 / (3 * np.pi)
    half = Domain([[0.5, 0.0]], void=True).cells([r**2])
    assert half.volumes == pytest.approx(np.pi * r**2 / 2, rel=1e-12)
    assert half.centroids[0] == pytest.approx([0.5, far], rel=1e-12)
    quarter = Domain([[1.0, 1.0]], void=True).cells([r**2])
    assert quarter.volumes == pytest.approx(np.pi * r**2 / 4, rel=1e-12)
    assert quarter.centroids[0] == pytest.approx([1 - far, 1 - far], rel=1e-12)


def test_particles_that_do_not_touch_become_discs_of_their_own():
    v = np.array([0.02, 0.05, 0.01])
    found = Domain([[0.2, 0.2], [0.7, 0.3], [0.4, 0.8]], void=True).solve(v, tolerance=1e-9)
    assert found.f == pytest.approx(v / np.pi, rel=1e-9)
    assert len(found.cells.pairs) == 0


def test_a_start_at_which_a_cell_almost_starves_is_replaced():
    rng = np.random.default_rng(18)
    y = rng.random((60, 2)) * [1.0, 0.5]
    y[1] = y[0] + [1e-4, 6e-4]
    domain, v = Domain(y, void=True), np.full(60, 0.3 / 60)
    f = domain.solve(v).f
    while domain.cells(f).volumes[1] > 0.01 * v[1]:
        f[1] -= 1e-7
    assert domain.cells(f).volumes[1] > 0
    assert domain.solve(v, f=f).converged


def test_two_discs_share_their_lens_evenly():
    r, d = 0.2, 0.3
    pair = Domain([[0.35, 0.5], [0.65, 0.5]], void=True).cells([r**2, r**2])
    segment = r**2 * np.arccos(d / (2 * r)) - d / 4 * np.sqrt(4 * r**2 - d**2)
    assert pair.volumes == pytest.approx(np.pi * r**2 - segment, rel=1e-12)
    assert pair.lengths == pytest.approx(np.sqrt(4 * r**2 - d**2), rel=1e-12)
    assert pair.pairs.tolist() == [[0, 1]]


def test_a_disc_that_does_not_contain_its_seed_is_integrated_too():
    domain, f = Domain([[0.5, 0.5], [0.56, 0.5]], void=True), np.array([0.01, 0.02])
    seed_owner, _ = on_grid(Domain([[0.5, 0.5], [0.56, 0.5]]), f, 999)
    assert seed_owner[999 * 499 + 499] == 1
    owner, points = on_grid(domain, f, 1000)
    cells = domain.cells(f)
    assert cells.volumes == pytest.approx([(owner == 0).mean(), (owner == 1).mean()], abs=1e-4)
    assert cells.centroids[0] == pytest.approx(points[owner == 0].mean(0), abs=1e-3)


@pytest.mark.parametrize("void", [False, True])
@pytest.mark.parametrize("method", ["newton", "quasi-newton"])
def test_both_methods_find_the_prescribed_volumes(method, void):
    domain, _, rng = random_domain(50, 5, void=void)
    v = 0.2 + rng.random(50)
    v *= (0.7 if void else 1.0) * domain.area / v.sum()
    found = domain.solve(v, method=method, tolerance=1e-4, most=1000)
    assert found.converged
    assert found.volumes == pytest.approx(v, rel=1e-4)
    assert len(found.empty) == 0
    assert found.history[-1, 2] <= 1e-4
    assert found.evaluations == len(found.history) > found.iterations > 0


def test_both_methods_agree_on_the_potentials_of_a_void():
    domain, _, rng = random_domain(50, 6, void=True)
    v = (0.2 + rng.random(50)) / 100
    newton, other = (domain.solve(v, method=m, tolerance=1e-7, most=2000) for m in ("newton", "quasi-newton"))
    assert newton.f == pytest.approx(other.f, abs=1e-7)
    assert newton.evaluations < other.evaluations / 3


def test_newtons_method_converges_to_the_last_digits_in_few_steps():
    domain, _, _ = random_domain(200, 7)
    found = domain.solve(np.full(200, domain.area / 200), tolerance=1e-10)
    assert found.converged
    assert found.iterations <= 8


def test_particles_in_a_heap_are_told_apart_too():
    rng = np.random.default_rng(8)
    heap = 0.5 + 0.001 * rng.standard_normal((60, 2))
    assert Domain(heap).solve(np.full(60, 1 / 60), tolerance=1e-6).converged
    assert Domain(heap, void=True).solve(np.full(60, 0.5 / 60), tolerance=1e-6).converged


def test_at_the_optimum_dual_and_transport_cost_are_equal_and_below_that_of_any_other_map():
    domain, _, rng = random_domain(30, 9)
    v = rng.random(30) + 0.5
    v *= domain.area / v.sum()
    found = domain.solve(v, tolerance=1e-10)
    assert found.value == pytest.approx(found.cost, rel=1e-9)
    for seed in range(5):
        elsewhere = np.random.default_rng(seed).normal(scale=0.01, size=30)
        assert domain.value(elsewhere, v) < found.value


def test_the_cost_is_that_of_the_network_simplex_on_a_grid():
    import ot

    domain, _, _ = random_domain(12, 10, box=(1.0, 1.0))
    found = domain.solve(np.full(12, 1 / 12), tolerance=1e-9)
    points = (np.stack(np.meshgrid(*2 * [np.arange(48)], indexing="ij"), axis=-1).reshape(-1, 2) + 0.5) / 48
    costs = ((points[:, None] - domain.seeds) ** 2).sum(2)
    exact = ot.emd2(np.full(48**2, 48.0**-2), np.full(12, 1 / 12), costs)
    assert found.cost == pytest.approx(exact + 2 / 12 / 48**2, rel=1e-3)  # plus the second moment of a pixel


def test_a_void_of_cell_zero_keeps_the_rest():
    domain, _, _ = random_domain(40, 11, void=True)
    found = domain.solve(np.full(40, 0.6 * domain.area / 40), tolerance=1e-9)
    owner, _ = on_grid(domain, found.f, 500)
    assert (owner == -1).mean() == pytest.approx(0.4, abs=2e-3)


def test_a_constant_changes_nothing_without_a_void():
    domain, f, _ = random_domain(30, 12)
    assert domain.cells(f + 7.0).volumes == pytest.approx(domain.cells(f).volumes, abs=1e-12)


def test_lengths_scale_and_mirrors_mirror():
    domain, f, _ = random_domain(30, 13, void=True)
    small = domain.cells(f)
    large = Domain(3 * domain.seeds, (3 * BOX[0], 3 * BOX[1]), void=True).cells(9 * f)
    assert large.volumes == pytest.approx(9 * small.volumes, rel=1e-9)
    mirrored = Domain([BOX[0], 0] + domain.seeds * [-1, 1], BOX, void=True).cells(f)
    assert mirrored.volumes == pytest.approx(small.volumes, rel=1e-9)
    assert mirrored.centroids == pytest.approx([BOX[0], 0] + small.centroids * [-1, 1], rel=1e-9, nan_ok=True)


@pytest.mark.parametrize("void", [False, True])
def test_a_regular_lattice_where_four_cells_meet_is_no_difficulty(void):
    lattice = (np.stack(np.meshgrid(*2 * [np.arange(8)]), axis=-1).reshape(-1, 2) + 0.5) / 8
    found = Domain(lattice, void=void).solve(np.full(64, (0.9 if void else 1) / 64), tolerance=1e-8)
    assert found.converged
    assert found.centroids == pytest.approx(lattice, abs=1e-6)


def test_a_warm_start_needs_fewer_evaluations_and_a_useless_one_is_replaced():
    domain, _, rng = random_domain(100, 14, void=True)
    v = np.full(100, 0.6 * domain.area / 100)
    cold = domain.solve(v)
    moved = Domain(np.clip(domain.seeds + 1e-4 * rng.standard_normal((100, 2)), 0, BOX), BOX, void=True)
    assert moved.solve(v, f=cold.f).evaluations < cold.evaluations
    empty = np.where(np.arange(100) == 3, -1.0, cold.f)
    assert (domain.cells(empty).volumes == 0).any()
    assert domain.solve(v, f=empty).converged


def test_a_search_that_is_stopped_says_so_and_keeps_its_errors():
    domain, _, _ = random_domain(60, 15)
    v = np.full(60, domain.area / 60)
    for method in ("newton", "quasi-newton"):
        found = domain.solve(v, most=1, method=method)
        assert not found.converged
        assert found.evaluations == 1
        assert found.errors == pytest.approx(np.abs(domain.cells(np.zeros(60)).volumes / v - 1))
        assert found.errors.max() > 0.5


def test_a_stopped_quasi_newton_search_returns_the_best_that_it_saw():
    domain, _, _ = random_domain(60, 15)
    found = domain.solve(np.full(60, domain.area / 60), most=2, method="quasi-newton")
    assert found.history[1, 2] > found.history[0, 2]  # its first step is too long
    assert found.errors.max() == pytest.approx(found.history[0, 2])


def test_empty_cells_are_reported():
    domain, _, _ = random_domain(20, 16)
    f = np.where(np.arange(20) == 4, -10.0, 0.0)
    found = replace(domain.solve(np.full(20, domain.area / 20)), cells=domain.cells(f))
    assert found.empty.tolist() == [4]
    assert np.isnan(found.centroids[4]).all()
    assert found.errors[4] == 1


@pytest.mark.parametrize("void", [False, True])
def test_outlines_have_the_area_of_their_cells(void):
    domain, f, _ = random_domain(40, 17, void=void)
    f[3] -= 1
    outlines = domain.polygons(f, arc_step=1e-3)
    volumes = domain.cells(f).volumes
    assert [area_of(outline) if len(outline) else 0 for outline in outlines] == pytest.approx(volumes, abs=1e-7)
    assert len(outlines[3]) == 0


def test_a_polygon_outside_of_a_disc_is_gone_and_one_around_it_becomes_the_disc():
    square = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    assert in_disc(square + 3, 1.0, 0.1).shape == (0, 2)
    assert area_of(in_disc(9 * square - 4, 1.0, 1e-3)) == pytest.approx(np.pi, rel=1e-6)
    assert area_of(in_disc(square, 9.0, 0.1)) == pytest.approx(1)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: Domain([[0.5, 1.5]]), r"Seed 0 is at \[0.5, 1.5\], outside the box \[1.0, 1.0\]"),
        (lambda: Domain([[0.5, 0.5], [0.1, 0.1], [0.5, 0.5]]), r"Two seeds are at \[0.5, 0.5\]"),
        (lambda: Domain([[0.5, 0.5, 0.5]]), r"shape \(1, 3\); exact cells are planar"),
        (lambda: Domain([[0.5, np.nan]]), "not finite"),
        (lambda: Domain([[0.5, 0.5]], (1.0, 0.0)), "a width and a height, both above 0"),
        (lambda: Domain([[0.5, 0.5]]).cells([0.0, 0.0]), r"f has shape \(2,\)"),
        (lambda: Domain([[0.5, 0.5]]).cells([np.inf]), "1 value that is not finite"),
        (lambda: Domain([[0.2, 0.5], [0.5, 0.5]]).solve([1.0, 0.0]), "volume of cell 1 is 0.0; finite numbers above 0"),
        (lambda: Domain([[0.2, 0.5], [0.5, 0.5]]).solve([0.5, 0.6]), r"add up to 1.1; without a void that has to be"),
        (lambda: Domain([[0.2, 0.5], [0.5, 0.5]]).solve([0.5, 0.4]), r"add up to 0.9; without a void that has to be"),
        (lambda: Domain([[0.5, 0.5]], void=True).solve([1.0]), r"add up to 1.0; with a void that has to be below"),
        (lambda: Domain([[0.5, 0.5]]).solve([1.0], tolerance=0), "The tolerance is 0"),
        (lambda: Domain([[0.5, 0.5]]).solve([1.0], method="newtown"), "Did you mean 'newton'"),
    ],
)
def test_wrong_input_gets_its_sentence(call, sentence):
    with pytest.raises(UserError, match=sentence):
        call()


def test_a_single_particle_has_the_whole_box():
    found = Domain([[0.1, 0.2]], BOX).solve([BOX[0] * BOX[1]])
    assert found.converged
    assert found.centroids[0] == pytest.approx([BOX[0] / 2, BOX[1] / 2])


def test_volumes_in_single_precision_are_accepted_and_put_right():
    rng = np.random.default_rng(1)
    share = rng.random(7).astype(np.float32)
    share /= share.sum() * np.float32(1 + 3e-7)
    found = Domain(rng.random((7, 2))).solve(share, tolerance=1e-9)
    assert found.converged and found.targets.sum() == pytest.approx(1, rel=1e-15)
    with pytest.raises(UserError, match=r"add up to 1\.00001; without"):
        Domain(rng.random((2, 2))).solve([0.5, 0.50001])


@pytest.mark.parametrize("most", [np.nan, 0, 2.5])
def test_a_number_of_evaluations_that_is_none_is_refused(most):
    with pytest.raises(UserError, match="most is"):
        Domain([[0.5, 0.5]]).solve([1.0], most=most)


@pytest.mark.parametrize("side", [1e-50, 1e50])
def test_cells_know_no_unit(side):
    y, v = np.random.default_rng(0).random((9, 2)), np.full(9, 1 / 9)
    small, own = Domain(side * y, (side, side)).solve(side**2 * v), Domain(y).solve(v)
    assert np.allclose(small.f / side**2, own.f, rtol=1e-6, atol=1e-9)
    with pytest.raises(UserError, match="from 1e-60 to 1e"):
        Domain(y, (1e-200, 1.0))
