"""Tests of the fluid of particles that keep their volumes."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from shapeofloss.errors import UserError
from shapeofloss.experiments.incompressible_particles import fluid
from shapeofloss.experiments.incompressible_particles.fluid import Fluid, simulate

SMALL = Fluid(np.full(40, 0.4 / 40), np.ones(40), (1.0, 1.0))


def column(seed=0, count=40):
    """Return particles that fill the left 0.5 x 0.8 of a box."""
    return fluid.settled(np.full(count, 0.4 / count), (0.5, 0.8), seed, rounds=10)


def test_free_particles_fall_like_galileos_and_pass_through_each_other():
    free = replace(SMALL, correction="none")
    y = column()
    *_, last = islice(simulate(free, y), 21)
    assert last.positions[:, 0] == pytest.approx(y[:, 0])
    high = y[:, 1] > 0.1
    assert last.positions[high, 1] == pytest.approx(y[high, 1] - 0.01**2 * 20 * 21 / 2)  # g dt^2 (1 + ... + 20)
    assert np.isnan(last.error) and last.elastic == 0 and last.evaluations == 0


def test_volumes_are_kept_within_the_tolerance_in_every_frame():
    for correction in ("spring", "jump"):
        states = list(islice(simulate(replace(SMALL, correction=correction, tolerance=1e-4), column()), 40))
        assert max(state.error for state in states) <= 1e-4
        assert all(state.diagram.converged for state in states)


def test_energies_count_masses_not_volumes():
    one = Fluid(np.array([0.1]), np.array([2.0]), gravity=3.0, correction="none")
    state = next(simulate(one, [[0.5, 0.25]], [[3.0, 4.0]]))
    assert (state.kinetic, state.height) == pytest.approx((0.2 * 25 / 2, 0.2 * 3 * 0.25))
    assert state.energy == pytest.approx(state.kinetic + state.height)


def test_the_heavy_fluid_starts_above_a_wave_that_dips_in_the_middle():
    tank = {"count": 400, "seed": 9, "frames": 1, "step": 0.01, "spring": 0.02}
    record = fluid.rayleigh_taylor(heavy=3.0, amplitude=0.1, **tank)
    upper = record["densities"] == 3
    found = fluid.depth_of_wave(record["positions"][0][upper], record["volumes"][upper], fluid.TANK[0])
    assert found == pytest.approx(0.1, abs=0.02)


def test_a_frame_starts_from_the_potentials_of_the_last_one():
    states = list(islice(simulate(SMALL, column(1)), 30))
    cold = [fluid.Domain(state.positions, void=True).solve(SMALL.volumes).evaluations for state in states]
    assert sum(state.evaluations for state in states) < 0.75 * sum(cold)


def test_without_gravity_a_settled_fluid_stays_where_it_is():
    y = fluid.settled(np.full(30, 1 / 30), (1.0, 1.0), 1, rounds=300)
    tank = Fluid(np.full(30, 1 / 30), np.ones(30), void=False, gravity=0.0, tolerance=1e-6)
    *_, last = islice(simulate(tank, y), 50)
    assert last.positions == pytest.approx(y, abs=2e-3)


def test_the_springs_force_is_minus_the_derivative_of_the_elastic_energy():
    y, h = column(2), 1e-6
    exact = replace(SMALL, gravity=0.0, tolerance=1e-9)
    for i, axis in ((0, 0), (17, 1), (39, 0)):
        shift = np.zeros_like(y)
        shift[i, axis] = h
        there, back = (next(simulate(exact, y + sign * shift)).elastic for sign in (1, -1))
        _, second = islice(simulate(exact, y), 2)
        force = second.velocities[i, axis] / exact.step * exact.masses[i]
        assert force == pytest.approx(-(there - back) / (2 * h), rel=1e-4, abs=1e-6)


def test_the_energy_of_springs_changes_less_with_a_shorter_step():
    y = column(3)
    drifts = []
    for step, frames in ((0.01, 101), (0.0025, 401)):
        states = list(islice(simulate(replace(SMALL, step=step, tolerance=1e-6, bounce=1.0), y), frames))
        energies = np.array([state.energy for state in states])
        drifts.append(np.abs(energies - energies[0]).max() / max(state.kinetic for state in states))
    assert drifts[0] < 0.05
    assert drifts[1] < drifts[0] / 2


def test_momentum_is_kept_where_no_wall_is_near():
    y = 0.35 + 0.3 * fluid.settled(np.full(20, 1 / 20), (1.0, 1.0), 4)
    drop = Fluid(np.full(20, 0.09 / 20), np.linspace(1, 2, 20), gravity=0.0, tolerance=1e-8)
    *_, last = islice(simulate(drop, y), 20)
    assert np.abs(last.velocities).max() > 1e-3
    assert (drop.masses[:, None] * last.velocities).sum(0) == pytest.approx(0, abs=1e-9)


def test_a_jump_ends_at_the_centroid():
    still = replace(SMALL, correction="jump", gravity=0.0)
    first, second = islice(simulate(still, column(5)), 2)
    assert second.positions == pytest.approx(first.diagram.centroids)
    assert second.velocities == pytest.approx((second.positions - first.positions) / still.step)


def test_walls_mirror_positions_and_give_back_their_share():
    y, v = np.array([[-0.1, 0.5], [1.2, 2.3], [0.3, 0.4]]), np.ones((3, 2))
    inside, after = fluid.reflected(y, v, (1.0, 2.0), bounce=0.25)
    assert inside == pytest.approx(np.array([[0.1, 0.5], [0.8, 1.7], [0.3, 0.4]]))
    assert after == pytest.approx(np.array([[-0.25, 1], [-0.25, -0.25], [1, 1]]))
    assert (fluid.reflected(np.array([[57.3, -9.1]]), v[:1], (1.0, 2.0), bounce=0)[0] <= (1, 2)).all()


def test_settled_particles_are_near_their_centroids():
    y = fluid.settled(np.full(50, 0.6 / 50), (0.6, 1.0), 6, rounds=60)
    found = fluid.Domain(y, (0.6, 1.0)).solve(np.full(50, 0.6 / 50))
    assert np.linalg.norm(found.centroids - y, axis=1).max() < 0.05 * np.sqrt(0.6 / 50)


def test_covered_area_of_discs_apart_and_of_discs_on_top_of_each_other():
    apart = np.array([[0.2, 0.2], [0.8, 0.2], [0.5, 0.8]])
    assert fluid.covered(apart, 0.05, (1.0, 1.0)) == pytest.approx(1, abs=0.01)
    assert fluid.covered(np.repeat(apart[:1], 4, 0), 0.05, (1.0, 1.0)) == pytest.approx(0.25, abs=0.01)
    assert fluid.covered(np.array([[0.0, 0.5]]), 0.05, (2.0, 1.0)) == pytest.approx(0.5, abs=0.01)


def test_a_straight_path_has_no_roughness_and_a_zigzag_its_bends():
    assert fluid.roughness(np.arange(10.0)[:, None, None] * [1.0, 2.0], 0.1) == pytest.approx(0)
    zigzag = np.zeros((5, 2, 2))
    zigzag[1::2, :, 0] = 1
    assert fluid.roughness(zigzag, 4.0) == pytest.approx(0.5)


def test_the_amplitude_of_a_wave_is_found_from_the_upper_fluid():
    points = (np.stack(np.meshgrid(np.arange(300), np.arange(400), indexing="ij"), axis=-1).reshape(-1, 2) + 0.5) / 400
    width = 0.75
    upper = points[points[:, 1] > 0.5 + 0.07 * np.cos(2 * np.pi * points[:, 0] / width)]
    assert fluid.depth_of_wave(upper, np.full(len(upper), 1 / 400**2), width) == pytest.approx(0.07, rel=0.01)


def test_a_heavy_fluid_on_top_comes_down_and_a_light_one_stays():
    tank = {"count": 100, "seed": 7, "frames": 140, "amplitude": 0.05, "step": 0.02, "spring": 0.06}
    falls, stays = (fluid.rayleigh_taylor(heavy=heavy, **tank) for heavy in (3.0, 1 / 3))
    for record in (falls, stays):
        assert record["error"].max() <= 0.01
    fallen, stayed = (r["positions"][:, r["densities"] != 1, 1].mean(1) for r in (falls, stays))
    assert fallen[0] == stayed[0] == pytest.approx(0.75, abs=0.02)
    assert fallen[-1] < 0.65
    assert stayed[-1] > 0.73


def test_a_record_of_a_dam_has_the_shapes_that_it_names():
    dam = {"count": 20, "seed": 8, "frames": 5, "step": 0.01, "spring": 0.02}
    record = fluid.dam_break(correction="spring", **dam)
    assert record["positions"].shape == (5, 20, 2)
    assert record["f"].shape == (5, 20)
    assert all(record[name].shape == (5,) for name in ("error", "evaluations", "kinetic", "height", "elastic"))
    again = fluid.Domain(record["positions"][4], fluid.BASIN, void=True).cells(record["f"][4])
    assert again.volumes == pytest.approx(record["volumes"], rel=0.01)
    assert np.isnan(fluid.dam_break(correction="none", **dam)["f"]).all()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"correction": "leap"}, "There is no correction 'leap'. .*jump"),
        ({"step": 0.0}, "The time step is 0.0"),
        ({"step": 0.03}, "too long for a spring of 0.02.* 0.02 at most"),
        ({"densities": np.zeros(40)}, "40 volumes; as many densities above 0"),
        ({"densities": np.full(40, 0.01)}, "0.002 at most"),
    ],
)
def test_wrong_settings_get_their_sentence(changes, sentence):
    with pytest.raises(UserError, match=sentence):
        replace(SMALL, **changes)


def test_more_water_than_room_is_refused():
    with pytest.raises(UserError, match="with a void that has to be below"):
        next(simulate(replace(SMALL, volumes=np.full(40, 0.1)), column()))
