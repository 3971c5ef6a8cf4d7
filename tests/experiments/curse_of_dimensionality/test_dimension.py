"""Transport in many dimensions: nearly optimal plans keep their promise, and known limits are met."""

import numpy as np
import pytest

from shapeofloss.distributions import clouds
from shapeofloss.errors import UserError
from shapeofloss.experiments.curse_of_dimensionality.dimension import (
    disagreement,
    distances,
    nearly_optimal,
    objective,
    sample_distances,
)
from shapeofloss.transport.assignment.exact import cost_matrix, mean_cost, optimal_assignment


def test_distances_of_normal_samples_have_the_mean_square_of_twice_the_dimension():
    found = distances(30, 300, 0)
    assert found.shape == (300 * 299 // 2,)
    assert np.mean(found**2) == pytest.approx(60, rel=0.03)


@pytest.mark.parametrize("share", [0.02, 0.1])
def test_a_nearly_optimal_plan_exceeds_the_optimum_by_nearly_what_is_allowed(share):
    cost = cost_matrix(clouds.gaussian(200, 3, 0), clouds.gaussian(200, 3, 1))
    excess = share * cost.mean()
    found = nearly_optimal(cost, excess, 0)
    assert sorted(found) == list(range(200))
    over = mean_cost(cost, found) - mean_cost(cost, optimal_assignment(cost))
    assert 0.7 * excess < over <= excess
    assert not np.array_equal(found, nearly_optimal(cost, excess, 1))


def test_an_excess_of_nothing_is_refused():
    with pytest.raises(UserError, match="above 0"):
        nearly_optimal(np.eye(3), 0.0, 0)


def test_plans_disagree_by_zero_with_themselves_and_by_one_when_random():
    y = clouds.gaussian(2000, 4, 0)
    rng = np.random.default_rng(0)
    first, second = rng.permutation(2000), rng.permutation(2000)
    assert disagreement(y, first, first) == 0
    assert disagreement(y, first, second) == pytest.approx(1, abs=0.05)


def test_the_means_answer_and_transport_overestimates_in_high_dimension():
    found = objective(40, 150, 0, 0.05)
    assert found["means"] < 1 < 10 < found["samples"]
    assert 0 < found["flatness"] < 1 and found["excess"] <= 0.05


def test_samples_of_one_law_on_the_line_are_as_far_apart_as_sorting_says():
    (found,) = sample_distances(1, [50], 7)["w2"]
    x, y = (np.sort(clouds.gaussian(50, 1, 700 + k)[:, 0]) for k in (0, 1))
    assert found == pytest.approx(np.sqrt(np.mean((x - y) ** 2)), rel=1e-9)
