"""Tests of the deformable solid."""

from itertools import islice

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from shapeofloss.errors import UserError
from shapeofloss.experiments.incompressible_particles import fluid, solid
from shapeofloss.experiments.incompressible_particles.solid import Material, Solid, simulate
from shapeofloss.transport.cells.laguerre import Domain

COUNT, SIDE = 36, 0.3
LIQUID = Material(bonded=False)
VOLUMES = np.full(COUNT, SIDE**2 / COUNT)


def square(low=0.4, seed=0):
    """Return particles that fill a square in the middle of the box."""
    return np.array([0.35, low]) + fluid.settled(VOLUMES, (SIDE, SIDE), seed)


def run(material, frames=120, **settings):
    return list(islice(simulate(Solid(VOLUMES, material, **settings), square()), frames))


@pytest.fixture(scope="module")
def falls():
    materials = {
        "elastic": Material(),
        "plastic": Material(flows_at=0.05),
        "brittle": Material(breaks_at=0.05),
        "liquid": LIQUID,
    }
    return {name: run(material, 150) for name, material in materials.items()}


def test_volumes_are_within_the_tolerance_in_every_frame(falls):
    for states in falls.values():
        assert max(state.error for state in states) <= 0.01


def test_rubber_comes_back_clay_keeps_a_dent_and_water_runs_away(falls):
    first, size = falls["elastic"][0].positions, SIDE
    end = {name: solid.non_rigid(first, states[-1].positions) / size for name, states in falls.items()}
    assert end["elastic"] < end["plastic"] < end["liquid"]
    assert end["elastic"] < 0.5 * max(solid.non_rigid(first, s.positions) / size for s in falls["elastic"])


def test_only_clay_changes_rest_lengths_and_only_glass_loses_bonds(falls):
    for name, states in falls.items():
        first, last = states[0], states[-1]
        assert (len(last.bonds) < len(first.bonds)) == (name == "brittle")
        if name != "brittle":
            assert np.array_equal(last.rest, first.rest) == (name != "plastic")
    assert len(falls["liquid"][0].bonds) == 0
    assert falls["liquid"][0].pieces == COUNT
    assert falls["elastic"][-1].pieces == 1


def test_after_yielding_no_bond_of_clay_is_strained_beyond_the_limit_that_it_had_before_walls_and_frames(falls):
    for before, after in zip(falls["plastic"][:-1], falls["plastic"][1:], strict=True):
        lengths = np.linalg.norm(np.diff(after.positions[after.bonds], axis=1)[:, 0], axis=1)
        changed = after.rest != before.rest
        inside = (after.positions[after.bonds] > 0.02).all((1, 2))  # walls may have mirrored the others
        strain = lengths / after.rest - 1
        assert np.abs(strain[changed & inside]) == pytest.approx(0.05)


def test_a_block_in_free_fall_keeps_its_shape_and_falls_like_galileos():
    states = run(Material(), 31, pull=0.0, viscosity=0.0)
    y, last = states[0].positions, states[-1].positions
    assert last[:, 0] == pytest.approx(y[:, 0], abs=1e-12)
    assert last[:, 1] == pytest.approx(y[:, 1] - 0.01**2 * 30 * 31 / 2, abs=1e-12)


def test_bonds_and_friction_keep_the_momentum():
    rng = np.random.default_rng(1)
    shaken = 0.1 * rng.standard_normal((COUNT, 2))
    start = Solid(VOLUMES, Material(), gravity=0.0)
    *_, last = islice(simulate(start, square(), shaken), 20)
    assert last.velocities.sum(0) == pytest.approx(shaken.sum(0), abs=0.05 * np.abs(shaken).sum())
    calm = Solid(VOLUMES, Material(), gravity=0.0, pull=0.0)
    *_, last = islice(simulate(calm, square(), shaken), 20)
    assert last.velocities.sum(0) == pytest.approx(shaken.sum(0), abs=1e-12)
    assert np.abs(last.velocities).mean() < np.abs(shaken).mean()


def test_two_particles_settle_at_the_rest_length_of_their_bond():
    y = np.array([[0.465, 0.5], [0.535, 0.5]])
    still = Solid(np.full(2, 0.005), Material(), gravity=0.0, pull=0.0, stiffness=1.0, rounds=1)
    moving = simulate(still, y, [[-1.0, 0.0], [1.0, 0.0]])
    for state in islice(moving, 10):
        assert state.bonds.tolist() == [[0, 1]]
        assert np.linalg.norm(state.positions[1] - state.positions[0]) == pytest.approx(0.07)


PAIR = np.array([[0.465, 0.5], [0.535, 0.5]])


def after_a_push(speed, material, **settings):
    """Return the second frame of two particles, 0.07 apart, that part by 0.02 times the speed, and their distance."""
    quiet = {"gravity": 0.0, "pull": 0.0, "viscosity": 0.0, "stiffness": 0.5, "rounds": 0} | settings
    pushed = simulate(Solid(np.full(2, 0.005), material, **quiet), PAIR, [[-speed, 0.0], [speed, 0.0]])
    _, state = islice(pushed, 2)
    return state, np.linalg.norm(state.positions[1] - state.positions[0])


def test_each_round_takes_back_its_share_of_a_bonds_change_of_length():
    assert after_a_push(0.35, Material(), rounds=3)[1] == pytest.approx(0.07 + 0.007 / 2**3)


def test_glass_breaks_when_stretched_and_not_when_pressed():
    glass = Material(breaks_at=0.05)
    assert len(after_a_push(0.35, glass)[0].bonds) == 0
    assert len(after_a_push(-0.35, glass)[0].bonds) == 1


@pytest.mark.parametrize("sign", [1, -1])
def test_clay_yields_to_stretching_and_to_pressure_alike(sign):
    state, length = after_a_push(0.35 * sign, Material(flows_at=0.05))
    assert length == pytest.approx(0.07 + 0.007 * sign)
    assert length / state.rest[0] - 1 == pytest.approx(0.05 * sign)


def test_a_particle_goes_its_share_of_the_way_to_its_centroid():
    alone = Solid(np.array([0.05]), LIQUID, gravity=0.0, pull=0.3)
    first, second = islice(simulate(alone, [[0.02, 0.5]]), 2)
    centroid = first.diagram.centroids[0]
    assert centroid[0] > 0.05
    assert second.positions[0] == pytest.approx(first.positions[0] + 0.3 * (centroid - first.positions[0]))


def test_friction_takes_its_share_of_the_difference_of_velocities():
    rubbing = Solid(np.full(2, 0.005), LIQUID, gravity=0.0, pull=0.0, viscosity=0.1)
    _, state = islice(simulate(rubbing, PAIR, [[0.0, 1.0], [0.0, -1.0]]), 2)
    assert state.velocities == pytest.approx(np.array([[0.0, 0.8], [0.0, -0.8]]))


def test_bonds_join_neighbours_only():
    y = square()
    found = Domain(y, void=True).solve(VOLUMES)
    bonds = solid.bonds_of(y, found, most=1.5 * np.sqrt(VOLUMES[0]))
    lengths = np.linalg.norm(y[bonds[:, 0]] - y[bonds[:, 1]], axis=1)
    assert lengths.max() <= 1.5 * np.sqrt(VOLUMES[0])
    assert 2 * COUNT < len(bonds) < 3 * COUNT


def test_the_residual_is_that_of_scipys_best_rotation():
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((2, 20, 2))
    flat = [np.column_stack([z - z.mean(0), np.zeros(20)]) for z in (x, y)]
    _, rssd = Rotation.align_vectors(flat[1], flat[0])
    assert solid.non_rigid(x, y) <= np.sqrt(((flat[0] - flat[1]) ** 2).sum() / 20) + 1e-12
    angles = np.linspace(0, 2 * np.pi, 100_001)
    turned = np.einsum(
        "nk,kla->anl", x - x.mean(0), np.array([[np.cos(angles), np.sin(angles)], [-np.sin(angles), np.cos(angles)]])
    )
    best = np.sqrt(((turned - (y - y.mean(0))) ** 2).sum((1, 2)).min() / 20)
    assert solid.non_rigid(x, y) == pytest.approx(best, rel=1e-6)
    assert solid.non_rigid(x, y) >= rssd / np.sqrt(20) - 1e-9  # in space one may also turn it over


def test_a_rigid_motion_has_no_residual_and_a_mirror_image_has_one():
    x = np.random.default_rng(3).standard_normal((20, 2))
    cos, sin = np.cos(1.0), np.sin(1.0)
    assert solid.non_rigid(x, x @ [[cos, sin], [-sin, cos]] + 5) == pytest.approx(0, abs=1e-7)
    assert solid.non_rigid(x, x * [-1, 1]) > 0.1
    assert solid.non_rigid(x, 1.5 * x) == pytest.approx(0.5 * np.sqrt(((x - x.mean(0)) ** 2).sum() / 20))


def test_a_record_of_a_drop_has_the_shapes_that_it_names():
    record = solid.drop(count=25, seed=4, frames=6, step=0.02, material={"breaks_at": 0.1})
    assert record["positions"].shape == (6, 25, 2)
    assert record["f"].shape == (6, 25)
    assert all(record[name].shape == (6,) for name in ("error", "pieces", "evaluations"))
    assert record["bonds"].shape == (record["bonds_at_start"], 2)
    assert record["error"].max() <= 0.01
    heights = record["positions"][:, :, 1].mean(1)
    assert heights[5] - heights[0] == pytest.approx(-(0.02**2) * 5 * 6 / 2, rel=0.01)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Material(flows_at=0.0), "above 0, not 0.0 and inf"),
        (lambda: Material(breaks_at=-1.0), "above 0, not inf and -1.0"),
        (lambda: Solid(VOLUMES, LIQUID, step=0.0), "The time step is 0.0"),
        (lambda: Solid(VOLUMES, LIQUID, pull=1.5), "pull = 1.5"),
        (lambda: Solid(VOLUMES, LIQUID, viscosity=0.5), "0.5 one between 0 and 0.2"),
        (lambda: Solid(VOLUMES, LIQUID, stiffness=0.0), "stiffness = 0.0"),
        (lambda: next(simulate(Solid(VOLUMES, LIQUID), square(low=0.9))), "outside the box"),
    ],
)
def test_wrong_settings_get_their_sentence(make, sentence):
    with pytest.raises(UserError, match=sentence):
        make()
