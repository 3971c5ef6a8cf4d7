import numpy as np
import ot
import pytest

from shapeofloss.errors import UserError
from shapeofloss.experiments.cells_and_crystals.crystals import GrainDistribution, random_grains
from shapeofloss.transport.cells.pixel_costs import MatrixCosts, PowerCosts
from shapeofloss.transport.cells.pixel_solver import solve
from shapeofloss.transport.cells.pixels import NOBODY, Grid, centroids, covariances


def crowd(grid, count, seed=901, *, void=False, exponents=2.0):
    """Anisotropic particles in a box, and volumes for them."""
    rng = np.random.default_rng(seed)
    dimension = len(grid.shape)
    L = np.eye(dimension) + 0.3 * rng.standard_normal((count, dimension, dimension))
    y = rng.random((count, dimension)) * np.array(grid.shape) * grid.spacing
    v = 0.5 + rng.random(count)
    share = 0.5 if void else 1.0
    costs = PowerCosts(grid, y, shapes=L @ L.mT, exponents=exponents, void=void)
    return costs, share * grid.volume * v / v.sum()


def by_hand(costs, f):
    """The labels without blocks: every particle at every pixel."""
    values = costs.at(costs.grid.centres) - f[:, None]
    labels = values.argmin(0)
    if costs.void:
        labels = np.where(values.min(0) < 0, labels, NOBODY)
    return labels.reshape(costs.grid.shape)


@pytest.mark.parametrize("shape", [(37, 50), (19, 23, 21)])
@pytest.mark.parametrize("void", [False, True])
@pytest.mark.parametrize("exponents", [2.0, 1.5, 5.0])
def test_leaving_out_far_particles_block_by_block_changes_no_label(shape, void, exponents):
    costs, _ = crowd(Grid(shape, 0.1), 60, void=void, exponents=exponents)
    f = np.random.default_rng(902).random(60) * (0.3 if void else 0.05)
    labels, counts = costs.assign(f)
    expected = by_hand(costs, f)
    assert (labels == expected).mean() > 0.9999  # a tie may be broken by rounding
    assert (counts == np.bincount(labels[labels >= 0], minlength=60)).all()


@pytest.mark.parametrize("shape", [(64, 64), (24, 24, 24)])
@pytest.mark.parametrize("void", [False, True])
def test_cells_get_their_volumes(shape, void):
    costs, v = crowd(Grid(shape, 1 / shape[0]), 8, void=void)
    found = solve(costs, v)
    assert found.converged and found.errors.max() <= 0.01 and not found.empty.size
    counted = np.array([(found.labels == i).mean() for i in range(8)])
    assert counted == pytest.approx(v, rel=0.01)


@pytest.mark.parametrize("void", [False, True])
@pytest.mark.parametrize("exponents", [2.0, 4.0])
def test_the_interfaces_give_the_derivatives_of_the_volumes(void, exponents):
    costs, v = crowd(Grid((400, 400), 1 / 400), 6, void=void, exponents=exponents)
    f = solve(costs, v).f
    i, j, flow = costs.interfaces(costs.assign(f)[0])
    hessian = np.zeros((6, 6))
    for a, b, w in zip(i, j, flow, strict=True):
        hessian[a, a] += w
        if b != NOBODY:
            hessian[b, b] += w
            hessian[a, b] -= w
            hessian[b, a] -= w
    step = 0.02 * v.mean() / np.abs(hessian).max()
    for k in range(6):
        move = step * (np.arange(6) == k)
        change = (costs.assign(f + move)[1] - costs.assign(f - move)[1]) * costs.grid.pixel / (2 * step)
        assert change == pytest.approx(hessian[k], abs=0.05 * np.abs(hessian).max())


def test_a_matrix_of_costs_gives_the_cells_of_the_formula():
    costs, v = crowd(Grid((80, 60), 0.02), 12)
    matrix = MatrixCosts(costs.grid, costs.at(costs.grid.centres).reshape(12, 80, 60))
    first, second = solve(costs, v), solve(matrix, v)
    assert second.converged
    assert (first.labels == second.labels).mean() > 0.98
    f = np.random.default_rng(903).random(12) * 0.05
    assert (costs.assign(f)[0] == matrix.assign(f)[0]).all()
    i, j, flow = costs.interfaces(costs.assign(f)[0])
    i2, j2, flow2 = matrix.interfaces(costs.assign(f)[0])
    assert (i == i2).all() and (j == j2).all() and flow.sum() * 1.0 == pytest.approx(flow2.sum(), rel=0.1)


def test_the_cells_are_the_optimal_transport_of_the_pixels():
    costs, v = crowd(Grid((30, 30), 1 / 30), 5)
    found = solve(costs, v, tolerance=0.02)
    matrix = costs.at(costs.grid.centres)
    value = np.take_along_axis(matrix, found.labels.reshape(1, -1), 0).mean()
    assert value == pytest.approx(ot.emd2(found.volumes, np.full(900, 1 / 900), matrix), rel=1e-9)


def test_a_particle_alone_is_a_disc_a_ball_or_what_its_matrix_says():
    disc = solve(PowerCosts(Grid((200, 200), 0.005), [[0.5, 0.5]], void=True, exponents=4.0), [0.2])
    assert disc.f[0] ** 0.25 == pytest.approx(np.sqrt(0.2 / np.pi), rel=0.01)
    long = PowerCosts(Grid((200, 200), 0.005), [[0.5, 0.5]], shapes=np.diag([1.0, 9.0]), void=True)
    spread = covariances(solve(long, [0.1]).labels, 1, long.grid)[0]
    assert spread[0, 0] / spread[1, 1] == pytest.approx(9, rel=0.02)
    ball = solve(PowerCosts(Grid((60, 60, 60), 1 / 60), [[0.5, 0.5, 0.5]], void=True), [0.1])
    assert ball.f[0] ** 0.5 == pytest.approx((0.1 * 3 / (4 * np.pi)) ** (1 / 3), rel=0.01)


def test_pixels_outside_of_the_domain_belong_to_nobody():
    grid = Grid((64, 64), 1 / 64)
    inside = (np.hypot(*(grid.centres - 0.5).T) < 0.5).reshape(64, 64)
    disk = Grid((64, 64), 1 / 64, inside)
    found = solve(PowerCosts(disk, [[0.3, 0.5], [0.7, 0.5]]), [disk.volume / 4, 3 * disk.volume / 4])
    assert (found.labels[~inside] == NOBODY).all() and (found.labels[inside] != NOBODY).all()
    assert found.volumes[0] == pytest.approx(disk.volume / 4, rel=0.01)


def test_an_empty_cell_is_woken():
    costs, v = crowd(Grid((64, 64), 1 / 64), 8)
    f = np.zeros(8)
    f[3] = -5.0
    assert not costs.assign(f)[1][3]
    assert solve(costs, v, f=f).converged
    matrix = MatrixCosts(costs.grid, costs.at(costs.grid.centres).reshape(8, 64, 64))
    assert solve(matrix, v, f=f).converged


def test_a_warm_start_that_leads_astray_is_given_up():
    rng = np.random.default_rng(905)
    y, p, each = rng.random((24, 2)), np.where(np.arange(24) % 2, 8.0, 1.0), 0.9 / 24
    grid = Grid((96, 96), 1 / 96)
    costs = PowerCosts(grid, y, shapes=np.eye(2) * np.pi / each, exponents=p, void=True)
    v = np.full(24, each)
    cold = solve(costs, v, tolerance=0.02)
    far = solve(costs, v, tolerance=0.02, f=rng.random(24) ** 8 * 20)
    assert cold.converged and far.converged and far.evaluations > cold.evaluations


def test_the_evaluations_are_bounded():
    costs, v = crowd(Grid((64, 64), 1 / 64), 12)
    for most in (1, 2, 5):
        found = solve(costs, v, tolerance=1e-6, most=most)
        assert found.evaluations <= most and not found.converged


def test_volumes_that_pixels_cannot_give_are_reported():
    costs, v = crowd(Grid((8, 8), 1 / 8), 40)
    found = solve(costs, v)
    assert not found.converged and found.errors.max() > 0.01
    assert found.volumes.sum() == pytest.approx(1)


def test_moments_of_a_rectangle():
    labels = np.full((10, 10), NOBODY, np.int32)
    labels[2:6, 3:5] = 0
    grid = Grid((10, 10), 0.1)
    assert centroids(labels, 2, grid)[0] == pytest.approx([0.4, 0.4])
    assert covariances(labels, 1, grid)[0] == pytest.approx(np.diag([0.4**2, 0.2**2]) / 12)
    assert np.isnan(centroids(labels, 2, grid)[1]).all()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Grid((4,), 1.0), "2 or 3 axes"),
        (lambda: Grid((4, 4), 0.0), "above 0"),
        (lambda: Grid((4, 4), 1.0, np.zeros((4, 4), bool)), "at least one pixel"),
        (lambda: PowerCosts(Grid((4, 4), 1.0), [[0.0, 0.0, 0.0]]), "dimension 3"),
        (lambda: PowerCosts(Grid((4, 4), 1.0), [[5.0, 0.0]]), "outside of the box"),
        (lambda: PowerCosts(Grid((4, 4), 1.0), [[1.0, 0.0], [1.0, 0.0]]), "coincide"),
        (lambda: PowerCosts(Grid((4, 4), 1.0), [[1.0, 0.0]], shapes=np.diag([1.0, -1.0])), "symmetric"),
        (lambda: PowerCosts(Grid((4, 4), 1.0), [[1.0, 0.0]], exponents=0.5), "at least 1"),
        (lambda: MatrixCosts(Grid((4, 4), 1.0), np.zeros((3, 4, 5))), "is needed"),
        (lambda: MatrixCosts(Grid((4, 4), 1.0), np.full((3, 4, 4), np.inf)), "not finite"),
    ],
)
def test_what_is_no_grid_or_cost_gets_its_sentence(make, said):
    with pytest.raises(UserError, match=said):
        make()


@pytest.mark.parametrize(
    ("volumes", "more", "said"),
    [
        ([0.5], {}, r"\(2,\) is needed"),
        ([0.0, 1.0], {}, "above 0"),
        ([0.2, 0.2], {}, "without a void that has to be"),
        ([0.5, 0.5], {"f": [0.0]}, "f has shape"),
        ([0.5, 0.5], {"tolerance": 0.0}, "tolerance"),
    ],
)
def test_what_cannot_be_solved_gets_its_sentence(volumes, more, said):
    costs = PowerCosts(Grid((4, 4), 0.25), [[0.2, 0.5], [0.7, 0.5]])
    with pytest.raises(UserError, match=said):
        solve(costs, volumes, **more)
    with pytest.raises(UserError, match="with a void that has to be below"):
        solve(PowerCosts(Grid((4, 4), 0.25), [[0.2, 0.5], [0.7, 0.5]], void=True), [0.5, 0.5])


@pytest.mark.parametrize("seed", [908, 933, 945])
def test_where_steps_for_all_cells_help_no_more_the_last_ones_are_put_right(seed):
    shares, shapes = random_grains(60, 2, GrainDistribution(0.35, 0.5), seed)
    seeds = np.random.default_rng(seed).random((60, 2))
    found = solve(PowerCosts(Grid((128, 128), 1 / 128), seeds, shapes=shapes), shares)
    counted = np.bincount(found.labels.ravel(), minlength=60) / 128**2
    assert found.converged and np.abs(counted / shares - 1).max() <= 0.01


@pytest.mark.parametrize("unit", [1e-250, 1e-12, 1e-7, 1e12, 1e250])
def test_costs_in_other_units_give_the_same_cells(unit):
    grid = Grid((24, 24), 1 / 24)
    seeds = np.random.default_rng(1).random((5, 2))
    costs = ((grid.centres - seeds[:, None]) ** 2).sum(-1).reshape(5, 24, 24)
    costs[4] += 10  # empty at first
    own = solve(MatrixCosts(grid, costs), np.full(5, 0.2), tolerance=0.03)
    other = solve(MatrixCosts(grid, unit * costs), np.full(5, 0.2), tolerance=0.03)
    assert own.converged and other.converged and np.abs(own.volumes - other.volumes).max() < 0.02


def test_no_loop_reads_beyond_its_arrays():
    grid = Grid([8, 8], 1 / 8, np.ones((8, 8), bool).tolist())
    costs = PowerCosts(grid, [[0.2, 0.5], [0.7, 0.5]])
    for call, said in (
        (lambda: costs.assign(np.zeros(1)), r"f has shape \(1,\)"),
        (lambda: costs.assign(np.full(2, np.nan)), "not finite"),
        (lambda: MatrixCosts(grid, np.zeros((2, 8, 8))).assign([0.0]), r"f has shape \(1,\)"),
        (lambda: costs.interfaces(np.full((8, 8), 2, np.int32)), "from -1 to 1 is possible"),
        (lambda: costs.interfaces(np.full((8, 9), 1, np.int32)), r"labels have shape \(8, 9\)"),
        (lambda: centroids(np.full((8, 8), -2), 2, grid), "from -1 to 1 is possible"),
        (lambda: PowerCosts(grid, costs.positions, shapes=costs.shapes[:1]), r"\(2, 2, 2\) is needed"),
        (lambda: PowerCosts(grid, costs.positions, shapes=np.eye(3)), r"shape \(3, 3\); \(2, 2\) or"),
        (lambda: PowerCosts(grid, costs.positions, shapes=np.diag([np.inf, 1.0])), "finite and symmetric"),
        (lambda: PowerCosts(grid, costs.positions, shapes=[[1e-9, 5e-9], [0.0, 1e-9]]), "symmetric"),
        (lambda: PowerCosts(grid, costs.positions, exponents=np.inf), "at least 1 and finite"),
        (lambda: PowerCosts(Grid((8, 8), 9.0), costs.positions, exponents=1000), "Costs overflow"),
        (lambda: Grid((8, 8), np.inf), "spacing is inf"),
        (lambda: Grid((8, 8), 1.0, np.ones((8, 8))), "holds float64"),
        (lambda: MatrixCosts(grid, [1.0, 2.0]), r"\(N, 8, 8\) is needed"),
        (lambda: solve(costs, [0.5, 0.5], most=np.nan), "most is nan"),
    ):
        with pytest.raises(UserError, match=said):
            call()


@pytest.mark.parametrize("kind", [np.float16, ">f4", np.int64, list])
def test_costs_of_any_type_of_numbers_are_those_of_double_precision(kind):
    grid = Grid((6, 4), 1.0)
    costs = np.random.default_rng(0).integers(0, 9, (3, 6, 4)).astype(float)
    given = costs.tolist() if kind is list else costs.astype(kind)
    f = [0.0, 0.25, 0.5]
    assert (MatrixCosts(grid, given).assign(f)[0] == MatrixCosts(grid, costs).assign(f)[0]).all()
