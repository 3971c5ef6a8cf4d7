import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import root

from shapeofloss.errors import UserError
from shapeofloss.experiments.three_samplings.morse_smale import (
    INFINITY,
    CriticalPoints,
    critical_points,
    flow,
    maximum_above,
    minimum_below,
    pixel_of,
    regions,
    retrained_jumps,
    separatrices,
)
from shapeofloss.experiments.three_samplings.toy_losses import ToyLoss, gaussian_hills, himmelblau, tilted_cosines

TOYS = [gaussian_hills(seed=0), gaussian_hills(seed=4), tilted_cosines(), himmelblau()]
every_toy = pytest.mark.parametrize("toy", TOYS, ids=["hills 0", "hills 4", "cosines", "himmelblau"])


# Two separable losses whose complexes are known in closed form.
WELLS = ToyLoss(  # (x^2 - 1)^2 + (y^2 - 1)^2
    "double wells",
    2.0,
    lambda p: ((p**2 - 1) ** 2).sum(axis=1),
    lambda p: 4 * p * (p**2 - 1),
)
EGG_BOX = ToyLoss(  # - cos x - cos y
    "egg box",
    50.0,
    lambda p: -np.cos(p).sum(axis=1),
    lambda p: np.sin(p),
)
QUADRATIC = ToyLoss(
    "quadratic",
    1.0,
    lambda p: p**2 @ [0.5, 1.5],
    lambda p: p * [1.0, 3.0],
)
CORNERS = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])


def scattered(count, reach, seed=0):
    return np.random.default_rng(seed).uniform(-reach, reach, size=(count, 2))


# ----- losses


@every_toy
def test_gradients_and_hessians_are_derivatives_by_finite_differences(toy):
    points, step = scattered(50, toy.reach), 1e-5
    for axis, move in enumerate(step * np.eye(2)):
        slope = (toy.value(points + move) - toy.value(points - move)) / (2 * step)
        bend = (toy.gradient(points + move) - toy.gradient(points - move)) / (2 * step)
        np.testing.assert_allclose(toy.gradient(points)[:, axis], slope, atol=1e-6)
        np.testing.assert_allclose(toy.hessian(points)[:, axis], bend, atol=1e-6)


@every_toy
def test_a_loss_rises_outward_beyond_its_reach(toy):
    angle = np.linspace(0, 2 * np.pi, 500)
    for radius in toy.reach * np.linspace(1, 4, 30):
        circle = radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        assert ((circle * toy.gradient(circle)).sum(axis=1) > 0).all(), radius


def test_hills_follow_from_their_seed_and_keep_their_distance():
    points = scattered(20, 3)
    assert np.array_equal(gaussian_hills(seed=5).value(points), gaussian_hills(seed=5).value(points))
    assert not np.allclose(gaussian_hills(seed=5).value(points), gaussian_hills(seed=6).value(points))
    alone = gaussian_hills(seed=5, hills=1)
    grid = np.stack(np.meshgrid(*[np.linspace(-3, 3, 301)] * 2), axis=-1).reshape(-1, 2)
    well = alone.value(grid) - (grid**2).sum(axis=1) / 4
    assert -1.5 <= well.min() <= -0.5 and well.max() <= 0
    centre = grid[well.argmin()]
    half = grid[np.isclose(well, well.min() * np.exp(-0.5), rtol=0.02)]
    np.testing.assert_allclose(np.linalg.norm(half - centre, axis=1), 0.45, atol=0.03)


# ----- critical points


def test_the_critical_points_of_two_double_wells_are_those_of_the_closed_form():
    found = critical_points(WELLS)
    assert {tuple(np.round(p, 9) + 0.0) for p in found.minima} == {tuple(corner) for corner in CORNERS}
    assert {tuple(np.round(p, 9) + 0.0) for p in found.saddles} == {(0, 1), (0, -1), (1, 0), (-1, 0)}
    np.testing.assert_allclose(found.maxima, [[0, 0]], atol=1e-12)


def test_himmelblau_has_its_famous_critical_points_nearly():
    minima = np.array([[3, 2], [-2.805118, 3.131312], [-3.779310, -3.283186], [3.584428, -1.848126]])
    found = critical_points(himmelblau())
    for point in minima:
        assert np.linalg.norm(2 * found.minima - point, axis=1).min() < 0.05
    np.testing.assert_allclose(2 * found.maxima, [[-0.270845, -0.923039]], atol=0.05)
    assert (np.diff(himmelblau().value(found.minima)) > 0).all()  # the tilt orders them


@every_toy
def test_another_solver_finds_no_further_critical_point(toy):
    found = critical_points(toy)
    known = np.vstack([found.minima, found.saddles, found.maxima])
    assert np.abs(toy.gradient(known)).max() < 1e-8
    for start in scattered(150, toy.reach, seed=1):
        result = root(lambda x: toy.gradient(x[None])[0], start, method="lm", tol=1e-12)
        if result.success and np.abs(result.fun).max() < 1e-9:
            assert np.linalg.norm(known - result.x, axis=1).min() < 1e-5


@every_toy
def test_kinds_are_those_of_the_loss_on_a_small_circle(toy):
    found = critical_points(toy)
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    circle = 1e-3 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    for points, changes in ((found.minima, 0), (found.saddles, 4), (found.maxima, 0)):
        for point in points:
            rise = toy.value(point + circle) - toy.value(point[None])
            assert np.count_nonzero(np.diff(np.sign(rise), append=np.sign(rise[0]))) == changes
            assert changes or (rise > 0).all() == (points is found.minima)


# ----- flow and cells


@every_toy
def test_the_flow_goes_down_and_uphill_it_goes_up(toy):
    for uphill in (False, True):
        states = np.array(list(flow(toy, scattered(40, toy.reach), uphill=uphill)))
        change = np.diff([toy.value(state) for state in states], axis=0)
        assert ((change > 0) if uphill else (change < 0))[0].all()
        assert ((change >= -1e-12) if uphill else (change <= 1e-12)).all()


def test_flow_lines_of_the_egg_box_keep_the_ratio_of_half_angle_tangents():
    states = np.array(list(flow(EGG_BOX, scattered(50, 3.0))))[:80]
    ratio = np.divide(*np.moveaxis(np.tan(states / 2), -1, 0))
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[0], ratio.shape), rtol=1e-5)


def test_cells_of_the_egg_box_are_squares_between_a_maximum_and_a_minimum():
    maxima = np.pi * CORNERS
    known = CriticalPoints(np.zeros((1, 2)), np.empty((0, 2)), maxima)
    points = scattered(200, np.pi)
    assert (minimum_below(EGG_BOX, known, points) == 0).all()
    assert np.array_equal(np.sign(maxima[maximum_above(EGG_BOX, known, points)]), np.sign(points))


def test_cells_of_two_double_wells_are_those_of_the_closed_form():
    found = critical_points(WELLS)
    points = scattered(300, 2.0)
    assert np.array_equal(np.sign(found.minima[minimum_below(WELLS, found, points)]).round(), np.sign(points))
    inside = (np.abs(points) < 1).all(axis=1)
    assert np.array_equal(maximum_above(WELLS, found, points), np.where(inside, 0, INFINITY))


@every_toy
def test_the_minimum_below_is_that_of_another_integrator_of_gradient_flow(toy):
    found, points = critical_points(toy), scattered(12, toy.reach, seed=2)
    for point, reached in zip(points, minimum_below(toy, found, points), strict=True):
        end = solve_ivp(lambda _, x: -toy.gradient(x[None])[0], (0, 30), point, method="LSODA", rtol=1e-8, atol=1e-10)
        assert np.linalg.norm(found.minima - end.y[:, -1], axis=1).argmin() == reached


def test_a_point_on_a_border_has_no_minimum_below_and_a_minimum_has_no_maximum_above():
    found = critical_points(WELLS)
    with pytest.raises(UserError, match=r"ends at \(0, 1\), which is no minimum"):
        minimum_below(WELLS, found, np.array([[0.0, 0.5]]))
    with pytest.raises(UserError, match=r"ends at \(1, 1\), which is no maximum"):
        maximum_above(WELLS, found, np.array([[1.0, 1.0]]))


def test_separatrices_of_two_double_wells_are_the_axes_and_a_square():
    found = critical_points(WELLS)
    up, down = (separatrices(WELLS, found.saddles, uphill=uphill) for uphill in (True, False))
    assert len(up) == len(down) == 8
    for line in up:
        assert np.abs(line).min(axis=1).max() < 1e-6  # on an axis
        assert np.linalg.norm(line[-1]) < 1e-5 or np.linalg.norm(line[-1]) >= 3
    for line in down:
        assert np.abs(np.abs(line) - 1).min(axis=1).max() < 1e-6  # on an edge of the square
        np.testing.assert_allclose(np.abs(line[-1]), 1, atol=1e-5)
    starts = {tuple(line[0].round(6) + 0.0) for line in up}
    assert starts == {tuple(point.round(6) + 0.0) for point in found.saddles}


def test_a_loss_without_saddles_has_no_separatrix():
    assert separatrices(QUADRATIC, critical_points(QUADRATIC).saddles, uphill=True) == []


@every_toy
def test_separatrices_cut_the_plane_into_two_cells_for_each_saddle_and_flow_agrees(toy):
    found = critical_points(toy)
    lines = [line for uphill in (True, False) for line in separatrices(toy, found.saddles, uphill=uphill)]
    piece = regions(lines, reach=toy.reach, pixels=500)
    assert (np.bincount(piece.ravel())[1:] >= 20).sum() == 2 * len(found.saddles)
    points = scattered(150, toy.reach, seed=3)
    column, row = pixel_of(points, reach=toy.reach, pixels=500).T
    ends = list(zip(maximum_above(toy, found, points), minimum_below(toy, found, points), strict=True))
    for number in np.unique(piece[row, column]):
        own = {end for end, of in zip(ends, piece[row, column], strict=True) if of == number}
        assert number == 0 or len(own) == 1


def test_a_cross_cuts_a_square_into_four_and_a_diagonal_lets_nothing_through():
    cross = [np.array([[-1.0, 0.0], [1.0, 0.0]]), np.array([[0.0, -1.0], [0.0, 1.0]])]
    piece = regions(cross, reach=1.0, pixels=51)
    assert piece.max() == 4 and (piece == 0).sum() == 101
    assert regions([np.array([[-1.0, -1.0], [1.0, 0.9]])], reach=1.0, pixels=40).max() == 2
    assert regions([np.array([[-5.0, 0.0], [5.0, 0.0]])], reach=1.0, pixels=40).max() == 2


def test_a_pixel_has_its_column_first_and_counts_from_the_lower_left():
    assert pixel_of(np.array([[-0.99, 0.99], [0.1, -1.5]]), reach=1.0, pixels=10).tolist() == [[0, 9], [5, -3]]
    right = regions([np.array([[0.5, -1.0], [0.5, 1.0]])], reach=1.0, pixels=8)
    assert (right[:, 6] == 0).all() and (right != 0).sum() == 56


# ----- jump and retrain


def retrain(loss=QUADRATIC, **changes):
    options = {"length": 2.0, "seeds": [1, 2, 3], "steps": [0.25, 1.0], "states": 5, "batches": 4}
    options |= {"learning_rate": 0.05, "momentum": 0.9, "noise": 0.0} | changes
    return retrained_jumps(loss, np.array([0.3, -0.2]), **options)


def test_jumps_of_a_seed_lie_on_one_ray_at_the_given_lengths():
    jumps = retrain()[:, :, 0] - [0.3, -0.2]
    assert retrain().shape == (3, 2, 5, 2)
    np.testing.assert_allclose(np.linalg.norm(jumps, axis=2), [[0.5, 2.0]] * 3)
    np.testing.assert_allclose(4 * jumps[:, 0], jumps[:, 1])
    many = retrain(seeds=range(400), states=1)[:, 1, 0] - [0.3, -0.2]
    assert np.abs(many.mean(axis=0)).max() < 0.25 and abs(np.mean(many[:, 0] * many[:, 1])) < 0.2


def test_retraining_of_a_quadratic_is_a_power_of_a_matrix():
    states = retrain(states=6)
    for axis, curvature in enumerate((1.0, 3.0)):
        # From x and m to the next x and m.
        step = np.array([[1 - 0.05 * curvature, -0.05 * 0.9], [curvature, 0.9]])
        for epoch in range(6):
            wanted = np.linalg.matrix_power(step, 4 * epoch)[0, 0] * states[:, :, 0, axis]
            np.testing.assert_allclose(states[:, :, epoch, axis], wanted, rtol=1e-9, atol=1e-12)


def test_all_steps_of_a_seed_see_the_same_noise():
    quiet, noisy = retrain(), retrain(noise=2.0)
    assert not np.allclose(quiet[:, :, 1:], noisy[:, :, 1:], rtol=0.1)
    # On a quadratic loss the difference of two trajectories with the same noise does not depend on it.
    np.testing.assert_allclose(noisy[:, 1] - noisy[:, 0], quiet[:, 1] - quiet[:, 0], atol=1e-12)
    kicks = (noisy - quiet)[:, 0, 1]
    assert np.abs(kicks[:, None] - kicks)[~np.eye(3, dtype=bool)].min() > 1e-3


def test_noise_has_its_size_in_each_direction():
    flat = ToyLoss("flat", 1.0, lambda p: 0 * p[:, 0], lambda p: 0 * p)
    states = retrain(flat, seeds=range(500), momentum=0.0, noise=3.0, batches=9, states=2)
    moves = (states[:, 0, 1] - states[:, 0, 0]) / (0.05 * 3.0 * 3)
    np.testing.assert_allclose(moves.std(axis=0), 1, rtol=0.1)
    assert abs(np.mean(moves[:, 0] * moves[:, 1])) < 0.12


# ----- errors


@pytest.mark.parametrize("hills", [0, 17, 2.5, "4"])
def test_too_few_or_too_many_hills_are_named(hills):
    with pytest.raises(UserError, match=f"hills is {hills!r}; a whole number from 1 to 16"):
        gaussian_hills(seed=0, hills=hills)


def test_a_degenerate_critical_point_is_named():
    flat = ToyLoss("quartic", 1.0, lambda p: (p**4).sum(axis=1), lambda p: 4 * p**3)
    with pytest.raises(UserError, match="quartic has a degenerate critical point"):
        critical_points(flat)


def test_missed_critical_points_are_noticed():
    with pytest.raises(UserError, match=r"minima - saddles \+ maxima is 1"):
        critical_points(tilted_cosines(), side=10)


@pytest.mark.parametrize("wrong", [np.zeros(2), np.zeros((3, 3)), np.array([[0.0, np.nan]]), "here", [[1j, 0]]])
def test_wrong_points_are_named(wrong):
    for follow in (lambda: list(flow(WELLS, wrong)), lambda: pixel_of(wrong, reach=1.0, pixels=4)):
        with pytest.raises(
            UserError, match=r"points (has shape .*\(n, 2\) is|has 1 value that|is no array|is complex)"
        ):
            follow()
    with pytest.raises(UserError, match=r"saddles (has shape .*\(k, 2\) is|has 1 value that|is no array|is complex)"):
        separatrices(WELLS, wrong, uphill=True)


def test_a_gradient_that_is_not_finite_is_no_arrival():
    broken = ToyLoss("broken", 1.0, WELLS.value, lambda p: 0 * p - np.where(p > 0.5, np.nan, 1))
    with pytest.raises(UserError, match="broken: the gradient is not finite along a flow line"):
        minimum_below(broken, critical_points(WELLS), [[0.4, 0.4]])


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"seeds": []}, r"seeds is \[\]; a list of different whole numbers"),
        ({"seeds": 3}, r"seeds is 3; a list of different whole numbers from 0 is needed, for example \[3\]"),
        ({"steps": []}, "steps is empty"),
        ({"steps": [np.nan]}, "steps has 1 value that is not finite"),
        ({"states": 0}, "states is 0; a whole number from 1"),
        ({"batches": 2.0}, "batches is 2.0; a whole number from 1"),
        ({"momentum": 1.0}, "momentum is 1.0; a finite number from 0 and below 1"),
        ({"momentum": np.nan}, "momentum is nan"),
        ({"noise": -1.0}, r"noise is -1.0; a finite number from 0"),
        ({"learning_rate": np.nan}, "learning_rate is nan; a finite number from 0"),
        ({"length": np.inf}, "length is inf; a finite number"),
    ],
)
def test_wrong_settings_of_retraining_are_named(wrong, sentence):
    with pytest.raises(UserError, match=sentence):
        retrain(**wrong)


def test_a_jump_starts_at_one_point():
    rest = {"length": 1.0, "seeds": [0], "steps": [1.0], "states": 1, "batches": 1}
    with pytest.raises(UserError, match=r"optimum has shape \(1, 2\); \(2,\) is needed"):
        retrained_jumps(WELLS, np.zeros((1, 2)), **rest, learning_rate=0.1, momentum=0.0, noise=0.0)


def test_a_descent_that_runs_away_is_named():
    with pytest.raises(UserError, match="Himmelblau: the descent runs away at learning rate 5"):
        retrain(himmelblau(), learning_rate=5)


def test_a_square_of_one_pixel_is_refused():
    with pytest.raises(UserError, match="pixels is 1; a whole number from 2"):
        regions([], reach=1.0, pixels=1)


@pytest.mark.parametrize(
    ("lines", "reach", "sentence"),
    [
        ([], 0.0, "reach is 0.0; a finite number above 0"),
        ([], np.nan, "reach is nan"),
        (np.zeros((3, 2)), 1.0, r"A line has shape \(2,\); \(points, 2\) is needed"),
        ([np.array([[0.0, np.nan]])], 1.0, "A line has 1 value that is not finite"),
        ([np.empty((0, 2))], 1.0, "A line is empty"),
    ],
)
def test_what_cannot_be_drawn_in_a_square_is_refused(lines, reach, sentence):
    with pytest.raises(UserError, match=sentence):
        regions(lines, reach=reach, pixels=4)
