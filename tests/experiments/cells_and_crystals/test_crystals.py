import numpy as np
import pytest

from shapeofloss.errors import UserError
from shapeofloss.experiments.cells_and_crystals.crystals import (
    GrainDistribution,
    fit,
    grow,
    measure,
    morphology,
    prescribed_log_aspects,
    random_grains,
    unit_determinant,
)
from shapeofloss.transport.cells.pixel_costs import PowerCosts
from shapeofloss.transport.cells.pixel_solver import solve
from shapeofloss.transport.cells.pixels import Grid, covariances

GRID = Grid((64, 64), 1 / 64)


def crystal(seed=901, *, grid=GRID, count=12, moves=5):
    shares, A = random_grains(count, len(grid.shape), GrainDistribution(0.3, 0.6), seed)
    return grow(grid, shares * grid.volume, A, seed, moves=moves)


@pytest.mark.parametrize("dimension", [2, 3])
def test_axes_of_random_grains_prefer_no_direction(dimension):
    _, A = random_grains(4000, dimension, GrainDistribution(0.3, 0.5), 902)
    assert np.linalg.det(A) == pytest.approx(np.ones(4000))
    mean = A.mean(0)
    assert mean == pytest.approx(np.eye(dimension) * mean.trace() / dimension, abs=0.05)
    first = np.linalg.eigh(A)[1][:, 0, 0]  # of a uniform direction: the mean square is 1 / D
    assert (first**2).mean() == pytest.approx(1 / dimension, abs=0.02)


def test_a_grown_polycrystal_has_its_volumes_and_particles_in_the_middle():
    few, many = crystal(moves=0), crystal(moves=15)
    assert many.diagram.converged
    assert few.evaluations < many.evaluations < 12 * few.evaluations  # 16 diagrams: each starts from the last one

    def off_centre(found):
        labels = found.diagram.labels
        places = [GRID.centres[labels.ravel() == i].mean(0) for i in range(12)]
        return np.linalg.norm(np.array(places) - found.positions, axis=1).mean()

    assert off_centre(many) < 0.2 * off_centre(few)


def test_moves_make_cells_take_on_the_prescribed_elongation():
    def agreement(found):
        seen = morphology(found.diagram.labels, 40, GRID).log_aspects
        return np.corrcoef(seen, prescribed_log_aspects(found.shapes))[0, 1]

    assert agreement(crystal(count=40, moves=15)) > agreement(crystal(count=40, moves=0)) + 0.1


def test_a_fit_to_a_diagram_finds_it_again_and_needs_the_matrices():
    found = crystal(moves=15)
    own = fit(found.diagram.labels, 12, GRID)
    round_ones = fit(found.diagram.labels, 12, GRID, isotropic=True)
    right = (own.diagram.labels == found.diagram.labels).mean()
    assert right > 0.95 and right > (round_ones.diagram.labels == found.diagram.labels).mean() + 0.02
    assert own.diagram.targets == pytest.approx(found.diagram.volumes)


def test_a_measurement_without_errors_is_the_image_and_errors_stay_near_boundaries():
    labels = crystal().diagram.labels
    exact = measure(labels, 903, bend=0.0, jitter=0.0)
    assert (exact.truth == labels).all() and (exact.labels == labels).all()
    noisy = measure(labels, 903, bend=1.0, jitter=0.7)
    assert 0.01 < (noisy.truth != labels).mean() < 0.2 and 0.01 < (noisy.labels != noisy.truth).mean() < 0.2
    inner = np.ones_like(labels, bool)
    for shift in np.ndindex(13, 13):
        inner &= np.roll(labels, (shift[0] - 6, shift[1] - 6), (0, 1)) == labels
    inner[:6] = inner[-6:] = inner[:, :6] = inner[:, -6:] = False
    assert inner.any() and (noisy.labels == labels)[inner].all()


def test_the_morphology_of_a_turned_ellipse():
    turn = np.array([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]])
    A = turn @ np.diag([1.0, 9.0]) @ turn.T
    grid = Grid((200, 200), 0.005)
    found = solve(PowerCosts(grid, [[0.5, 0.5]], shapes=A, void=True), [0.1])
    labels = np.where(found.labels < 0, 1, 0)
    seen = morphology(labels, 2, grid)
    assert seen.log_aspects[0] == pytest.approx(np.log(3), abs=0.01)
    assert seen.angles[0] == pytest.approx(0.4, abs=0.01)
    assert prescribed_log_aspects(A[None]) == pytest.approx([np.log(3)])
    spread = np.linalg.inv(covariances(labels, 2, grid)[:1])
    assert unit_determinant(spread)[0] == pytest.approx(A / 3, abs=0.05)


def test_3d_grains_have_their_volumes():
    grid = Grid((20, 20, 20), 0.05)
    found = crystal(grid=grid, moves=2)
    assert found.diagram.errors.max() <= 0.01
    assert morphology(found.diagram.labels, 12, grid).volumes == pytest.approx(found.diagram.volumes)


def test_what_cannot_be_grown_or_fitted_gets_its_sentence():
    with pytest.raises(UserError, match="moves is -1"):
        crystal(moves=-1)
    with pytest.raises(UserError, match="Grain 2 has no voxel"):
        fit(np.array([[0, 1], [3, 3]]), 4, Grid((2, 2), 1.0))
