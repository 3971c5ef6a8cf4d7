"""Tests of Sinkhorn's algorithm."""

from itertools import islice

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from shapeofloss.errors import UserError
from shapeofloss.transport.entropic.sinkhorn import annealing, hard_bound, sinkhorn, sinkhorn_steps
from shapeofloss.transport.entropic.softmin import Dense
from shapeofloss.transport.symbolic import keops


@pytest.fixture(scope="module")
def compiled():
    keops.prepare(["transforms"])


def clouds(seed=0, sizes=(25, 18), dimension=2):
    rng = np.random.default_rng(seed)
    x, y = rng.random((sizes[0], dimension)), rng.random((sizes[1], dimension)) + 0.3
    a, b = rng.random(sizes[0]), rng.random(sizes[1])
    return x, y, a / a.sum(), b / b.sum()


def costs(x, y):
    return ((x[:, None] - y) ** 2).sum(2) / 2


def primal(plan, cost, a, b, eps):
    """Return <pi, C> + eps KL(pi, a x b), where no entry is zero."""
    return (plan * cost).sum() + eps * (plan * np.log(plan / np.outer(a, b))).sum()


@pytest.mark.parametrize("scaling", [None, 0.9])
@pytest.mark.parametrize("eps", [0.5, 0.05, 0.01])
def test_plan_and_value_are_those_of_pot(ot, eps, scaling):
    x, y, a, b = clouds()
    found = sinkhorn(x, y, a, b, eps=eps, tolerance=1e-10, scaling=scaling)
    plan = ot.sinkhorn(a, b, costs(x, y), eps, method="sinkhorn_log", stopThr=1e-12, numItermax=20_000)
    assert found.converged
    np.testing.assert_allclose(found.plan(), plan, atol=1e-9)
    assert found.value == pytest.approx(primal(plan, costs(x, y), a, b, eps), rel=1e-8)


@pytest.mark.parametrize("blur", [0.3, 0.1])
def test_the_value_is_that_of_geomloss(ot, blur):
    from geomloss import SamplesLoss

    x, y, a, b = clouds(1)
    loss = SamplesLoss("sinkhorn", p=2, blur=blur, scaling=0.99, debias=False, backend="tensorized")
    theirs = loss(*map(torch.from_numpy, (a, x, b, y))).item()
    assert sinkhorn(x, y, a, b, eps=blur**2, tolerance=1e-9).value == pytest.approx(theirs, rel=1e-3)


def test_the_bound_lies_below_exact_transport_and_the_value_above(ot):
    for seed in range(3):
        x, y, a, b = clouds(seed)
        exact = ot.emd2(a, b, costs(x, y))
        found = sinkhorn(x, y, a, b, eps=exact / 100, tolerance=1e-4)
        assert 0.99 * exact <= found.bound <= exact + 1e-12
        assert exact - 1e-9 <= found.value <= exact + found.eps * np.log(25 * 18 / min(a) / min(b))


def test_with_equal_weights_the_value_is_at_most_eps_log_n_above_the_assignment():
    x, y, _, _ = clouds(3, (20, 20))
    rows, columns = linear_sum_assignment(costs(x, y))
    exact = costs(x, y)[rows, columns].mean()
    for eps in (1.0, 0.1, 0.01):
        value = sinkhorn(x, y, eps=eps, tolerance=1e-8).value
        assert exact <= value <= exact + eps * np.log(20)


def test_any_potential_gives_a_lower_bound(ot):
    x, y, a, b = clouds(4)
    softmin = Dense(torch.from_numpy(costs(x, y)))
    exact = ot.emd2(a, b, costs(x, y))
    for seed in range(5):
        g = torch.from_numpy(np.random.default_rng(seed).standard_normal(18))
        own = hard_bound(softmin, torch.from_numpy(a), torch.from_numpy(b), g, 0.1)
        assert own <= exact
        assert own == pytest.approx(a @ (costs(x, y) - g.numpy()).min(1) + b @ g.numpy(), abs=1e-8)


def test_between_two_points_everything_is_known():
    found = sinkhorn([[0.0, 0.0]], [[3.0, 4.0]], eps=0.1)
    assert found.value == pytest.approx(12.5)
    assert found.bound == pytest.approx(12.5, abs=1e-8)
    assert found.plan().tolist() == [[pytest.approx(1.0)]]


def test_two_by_two_has_a_closed_form():
    # By symmetry the plan is p on the diagonal and 1/2 - p off it, with p / (1/2 - p) = exp(C / eps).
    eps, x = 0.3, [[0.0], [1.0]]
    p = np.exp(0.5 / eps) / (1 + np.exp(0.5 / eps)) / 2
    np.testing.assert_allclose(
        sinkhorn(x, x, eps=eps, tolerance=1e-12).plan(), [[p, 0.5 - p], [0.5 - p, p]], atol=1e-10
    )


def test_a_large_temperature_sends_everybody_everywhere():
    x, y, a, b = clouds(5)
    found = sinkhorn(x, y, a, b, eps=1e6)
    np.testing.assert_allclose(found.plan(), np.outer(a, b), rtol=1e-5)
    assert found.value == pytest.approx((np.outer(a, b) * costs(x, y)).sum(), rel=1e-5)


def test_moving_one_cloud_adds_what_the_means_say():
    # |x - y - t|^2 / 2 = |x - y|^2 / 2 - (x - y) t + |t|^2 / 2, and marginals are fixed.
    x, y, a, b = clouds(6)
    t = np.array([0.4, -1.1])
    first, second = (sinkhorn(x, z, a, b, eps=0.05, tolerance=1e-9).value for z in (y, y + t))
    assert second == pytest.approx(first - (a @ x - b @ y) @ t + t @ t / 2, rel=1e-7)


def test_rotation_exchange_and_order_change_nothing():
    x, y, a, b = clouds(7)
    options = {"eps": 0.05, "tolerance": 1e-9}
    value = sinkhorn(x, y, a, b, **options).value
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    order = np.random.default_rng(0).permutation(25)
    assert sinkhorn(x @ turn, y @ turn, a, b, **options).value == pytest.approx(value, rel=1e-8)
    assert sinkhorn(y, x, b, a, **options).value == pytest.approx(value, rel=1e-8)
    assert sinkhorn(x[order], y, a[order], b, **options).value == pytest.approx(value, rel=1e-8)


def test_lengths_and_the_blur_scale_together():
    x, y, a, b = clouds(8)
    first = sinkhorn(x, y, a, b, eps=0.05, tolerance=1e-9)
    second = sinkhorn(10 * x, 10 * y, a, b, eps=5.0, tolerance=1e-9)
    assert second.value == pytest.approx(100 * first.value, rel=1e-8)


def test_two_halves_of_a_point_are_as_good_as_the_point():
    x, y, a, b = clouds(9)
    whole = sinkhorn(x, y, a, b, eps=0.05, tolerance=1e-9).value
    halves = sinkhorn(np.repeat(x, 2, axis=0), y, np.repeat(a, 2) / 2, b, eps=0.05, tolerance=1e-9).value
    assert halves == pytest.approx(whole, rel=1e-8)


def test_points_of_weight_zero_get_no_mass_and_change_no_value():
    x, y, a, b = clouds(10)
    a[3] = b[5] = 0
    found = sinkhorn(x, y, a, b, eps=0.02, tolerance=1e-9)
    without = sinkhorn(
        np.delete(x, 3, 0), np.delete(y, 5, 0), np.delete(a, 3), np.delete(b, 5), eps=0.02, tolerance=1e-9
    )
    assert found.value == pytest.approx(without.value, rel=1e-8)
    plan = found.plan()
    assert (plan[3] == 0).all() and (plan[:, 5] == 0).all()
    assert torch.isfinite(torch.cat([found.f, found.g])).all()


@pytest.mark.parametrize("eps", [1e-6, 1e-12, 1e-100])
def test_a_tiny_temperature_gives_numbers(eps):
    x, y, a, b = clouds(11)
    a[0] = 0
    found = sinkhorn(x, y, a, b, eps=eps, steps=200)
    numbers = [found.value, found.bound, found.source_error, found.target_error, *found.f, *found.g]
    assert np.isfinite(numbers).all()


@pytest.mark.parametrize("eps", [1.0, 1e-3, 1e-9])
def test_clouds_of_coincident_points_cost_nothing(eps):
    x = np.full((5, 2), 0.7)
    found = sinkhorn(x, x[:3], eps=eps)
    assert found.converged
    assert found.value == pytest.approx(0.0, abs=1e-12)
    np.testing.assert_allclose(found.plan(), 1 / 15)


def test_keops_gives_what_the_stored_matrix_gives(compiled):
    x, y, a, b = clouds(12, dimension=3)
    options = {"eps": 0.02, "tolerance": 1e-8}
    dense, symbolic = (sinkhorn(x, y, a, b, backend=name, **options) for name in ("dense", "symbolic"))
    assert symbolic.steps == dense.steps
    assert symbolic.value == pytest.approx(dense.value, rel=1e-10)
    assert symbolic.bound == pytest.approx(dense.bound, rel=1e-10)
    with pytest.raises(UserError, match="backend='dense'"):
        symbolic.plan()


def test_the_reported_errors_are_those_of_the_plan():
    x, y, a, b = clouds(13)
    for steps in (1, 5, 60):
        found = sinkhorn(x, y, a, b, eps=0.01, scaling=None, steps=steps)
        plan = found.plan().numpy()
        assert found.source_error == pytest.approx(np.abs(plan.sum(1) - a).sum(), abs=1e-12)
        assert found.target_error == pytest.approx(np.abs(plan.sum(0) - b).sum(), abs=1e-12)
        assert found.steps == steps


def test_the_error_of_a_step_is_that_of_the_pair_before_it():
    x, y, a, b = (torch.from_numpy(array) for array in clouds(14))
    cost = torch.cdist(x, y) ** 2 / 2
    first, second = islice(sinkhorn_steps(Dense(cost), a, b, [0.05]), 2)
    plan = a[:, None] * b * ((first.f[:, None] + first.g - cost) / 0.05).exp()
    assert second.error == pytest.approx(float((plan.sum(1) - a).abs().sum()), rel=1e-10)


def test_the_schedule_is_followed_and_its_end_stays():
    x, y, a, b = (torch.from_numpy(array) for array in clouds(15))
    steps = islice(sinkhorn_steps(Dense(torch.cdist(x, y) ** 2 / 2), a, b, [1.0, 0.5, 0.25]), 5)
    assert [step.eps for step in steps] == [1.0, 0.5, 0.25, 0.25, 0.25]


def test_too_few_steps_are_said_to_be_too_few():
    x, y, a, b = clouds(16)
    found = sinkhorn(x, y, a, b, eps=1e-4, steps=3)
    assert not found.converged and found.steps == 3
    assert found.eps > 1e-4  # the schedule was not through
    assert not sinkhorn(x, y, a, b, eps=1e-4, steps=3, scaling=None).converged


def test_scaling_takes_fewer_steps_to_a_tolerance():
    x, y, a, b = clouds(17)
    plain, scaled = (sinkhorn(x, y, a, b, eps=3e-3, scaling=scaling) for scaling in (None, 0.9))
    assert scaled.converged and plain.converged
    assert scaled.steps < plain.steps


def test_the_schedule_is_geometric_and_ends_at_its_end():
    schedule = annealing(2.0, 0.01, scaling=0.8)
    assert schedule[0] == 2.0 and schedule[-1] == 0.01
    np.testing.assert_allclose(np.divide(schedule[1:-1], schedule[:-2]), 0.64)
    assert schedule[-2] > 0.01 >= 0.64 * schedule[-2] * (1 - 1e-12)
    assert annealing(1.0, 1.0, scaling=0.5) == annealing(0.1, 1.0, scaling=0.5) == [1.0]


def test_wrong_arguments_get_their_sentences():
    x, y, _, _ = clouds()
    for eps in (0.0, -1.0, np.inf, np.nan):
        with pytest.raises(UserError, match="temperature eps is"):
            sinkhorn(x, y, eps=eps)
    with pytest.raises(UserError, match="number of steps is 0"):
        sinkhorn(x, y, eps=1.0, steps=0)
    with pytest.raises(UserError, match="dimensions 2 and 1"):
        sinkhorn(x, y[:, :1], eps=1.0)
    with pytest.raises(UserError, match="weights a have shape"):
        sinkhorn(x, y, np.ones(3), eps=1.0)
    with pytest.raises(UserError, match="no backend"):
        sinkhorn(x, y, eps=1.0, backend="gpu")
    for wrong in ((1.0, 0.1, 1.0), (1.0, 0.1, 0.0), (0.0, 0.1, 0.5), (1.0, -1.0, 0.5)):
        with pytest.raises(UserError, match="both ends have to be above 0"):
            annealing(*wrong[:2], scaling=wrong[2])


@pytest.mark.parametrize(
    ("schedule", "said"),
    [((np.inf, 1.0, 0.5), "finite"), ((1.0, 1e-3, 1 - 1e-16), "1,000,000"), ((1e-320, 5e-324, 0.9), "from 1e-290")],
)
def test_a_schedule_without_an_end_is_refused(schedule, said):
    with pytest.raises(UserError, match=said):
        annealing(*schedule[:2], scaling=schedule[2])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"tolerance": np.nan}, "tolerance is nan"),
        ({"tolerance": -1}, "tolerance is -1"),
        ({"steps": np.nan}, "steps is nan"),
        ({"steps": 2.5}, "steps is 2.5"),
    ],
)
def test_numbers_that_would_be_ignored_are_refused(wrong, said):
    x, y, _, _ = clouds()
    with pytest.raises(UserError, match=said):
        sinkhorn(x, y, eps=1.0, **wrong)


def test_clouds_turned_round_in_half_precision_or_with_huge_weights_are_clouds():
    x, y, _, _ = clouds()
    value = sinkhorn(x, y, eps=0.1).value
    assert sinkhorn(x[::-1], y[::-1], eps=0.1).value == pytest.approx(value, rel=1e-6)
    assert sinkhorn(x, y, [1e308] * len(x), eps=0.1).value == pytest.approx(value, rel=1e-12)
    assert sinkhorn(torch.tensor(x).bfloat16(), y, eps=0.1).value == pytest.approx(value, rel=0.05)
    with pytest.raises(UserError, match="records gradients"):
        sinkhorn(torch.tensor(x, requires_grad=True), y, eps=0.1)
    with pytest.raises(UserError, match="overflows"):
        sinkhorn(1e200 * x, y, eps=0.1)
