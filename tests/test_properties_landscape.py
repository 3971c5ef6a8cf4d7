"""Whatever numbers come, the tools of the landscape give what other tools give, or refuse them in a sentence."""

import gudhi
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from nets import seeded
from scipy.spatial.distance import cdist
from scipy.stats import spearmanr
from torch import nn
from torch.nn import functional

from shapeofloss.errors import UserError
from shapeofloss.experiments.persistence.correlation import permutation_share, rank_correlation
from shapeofloss.experiments.persistence.sublevels import betti_numbers, subgraph
from shapeofloss.landscape.directions import direction_of
from shapeofloss.landscape.parameters import flatten, load_parameters
from shapeofloss.landscape.phate import phate_embedding
from shapeofloss.landscape.samplers import sample_around
from shapeofloss.topology.diagrams import total_persistence
from shapeofloss.topology.graphs import graph_persistence

tried = settings(derandomize=True, deadline=None, max_examples=80, database=None)
TYPES = st.sampled_from([np.float64, np.float32, np.float16, ">f8", np.int64, np.int32, np.uint8, np.int8])
SPECIAL = st.sampled_from([np.nan, np.inf, -np.inf, 1e308, -1e308, 5e-324, -0.0])
FEW = st.integers(0, 5).map(float)  # so that there are ties


def as_it_may_come(values, kind):
    """Return the same numbers with other strides and of another type."""
    spread = np.zeros((len(values), 2), kind)
    spread[:, 1] = np.asarray(values)[::-1]
    return spread[::-1, 1]


# ----- persistence


@st.composite
def graphs(draw):
    count = draw(st.integers(1, 9))
    pairs = [(i, j) for i in range(count) for j in range(i)]
    edges = draw(st.lists(st.sampled_from(pairs), max_size=20)) if pairs else []
    heights = draw(st.lists(FEW | st.floats(-1e9, 1e9, width=32), min_size=count, max_size=count))
    return np.array(heights), np.array(edges, int).reshape(-1, 2)


@tried
@given(graphs())
def test_the_diagrams_of_a_graph_are_those_of_gudhi(graph):
    heights, edges = graph
    found = graph_persistence(heights, edges)
    tree = gudhi.SimplexTree()
    for vertex, height in enumerate(heights):
        tree.insert([vertex], height)
    simple = np.unique(np.sort(edges, axis=1), axis=0)
    for first, second in simple.tolist():
        tree.insert([first, second], max(heights[first], heights[second]))
    tree.compute_persistence(min_persistence=-1, persistence_dim_max=True)
    zeroth, first = (np.asarray(tree.persistence_intervals_in_dimension(k)).reshape(-1, 2) for k in (0, 1))
    endless = np.isinf(zeroth[:, 1])
    assert sorted(map(tuple, found.components)) == sorted(map(tuple, zeroth[~endless]))
    assert found.essential.tolist() == sorted(zeroth[endless, 0])
    again = np.sort(edges, axis=1).tolist()
    for edge in simple.tolist():  # each further time is a cycle
        again.remove(edge)
    assert found.cycles.tolist() == sorted([*first[:, 0], *(heights[edge].max() for edge in again)])
    for order in (1, 2, 0.5):
        expected = sum((death - birth) ** order for birth, death in zeroth[~endless].tolist())
        assert total_persistence(found.components, order=order) == pytest.approx(expected, rel=1e-9)


@tried
@given(graphs(), st.integers(-1, 6) | st.floats(-1e9, 1e9))
def test_what_is_alive_at_a_level_is_counted_by_linear_algebra(graph, level):
    heights, edges = graph
    found = graph_persistence(heights, edges)
    vertices, kept = subgraph(heights, edges, level)
    alive = (found.essential <= level).sum() + (
        (found.components[:, 0] <= level) & (found.components[:, 1] > level)
    ).sum()
    assert (alive, (found.cycles <= level).sum()) == betti_numbers(heights, edges, level)
    assert vertices.any() or (alive == 0 and not kept.any())


@tried
@given(graphs(), SPECIAL, st.data())
def test_heights_that_are_not_finite_have_no_diagram(graph, odd, data):
    heights, edges = graph
    heights[data.draw(st.integers(0, len(heights) - 1))] = odd
    if np.isfinite(odd):
        graph_persistence(heights, edges)
    else:
        with pytest.raises(UserError, match="values has 1 value that is not finite"):
            graph_persistence(heights, edges)


# ----- correlations


SIDES = st.integers(5, 12).flatmap(lambda n: st.tuples(*[st.lists(st.integers(0, 9), min_size=n, max_size=n)] * 2))


@tried
@given(SIDES, TYPES, TYPES)
def test_a_rank_correlation_is_that_of_scipy_whatever_the_type(sides, kind, other):
    first, second = (as_it_may_come(side, k) for side, k in zip(sides, (kind, other), strict=True))
    if len(set(sides[0])) == 1 or len(set(sides[1])) == 1:
        for function in (rank_correlation, lambda a, b: permutation_share(a, b, permutations=3, seed=0)):
            with pytest.raises(UserError, match=r"leave nothing of one side|is the same throughout"):
                function(first, second)
        return
    found = rank_correlation(first, second)
    assert found.value == pytest.approx(spearmanr(*sides).statistic, abs=1e-12)
    assert -1 <= found.low <= found.value + 1e-9 and found.value - 1e-9 <= found.high <= 1 and 0 <= found.p <= 1
    assert rank_correlation(*sides) == found == rank_correlation(second, first)
    assert rank_correlation(first, -second.astype(float)).value == pytest.approx(-found.value, abs=1e-12)


@tried
@given(SIDES, st.integers(1, 9), st.integers(0, 3))
def test_a_share_of_permutations_lies_between_its_bounds(sides, permutations, seed):
    first, second = sides
    if len(set(first)) == 1 or len(set(second)) == 1:
        first, second = range(len(first)), [*range(1, len(first)), 0]
    share = permutation_share(first, second, permutations=permutations, seed=seed)
    assert 1 / (permutations + 1) <= share <= 1
    assert share * (permutations + 1) == pytest.approx(round(share * (permutations + 1)), abs=1e-9)
    lowest = sorted(first), sorted(first, reverse=True)
    if len(set(first)) == len(first):
        assert permutation_share(*lowest, permutations=permutations, seed=seed) == 1


@tried
@given(SIDES, SPECIAL, st.booleans(), st.data())
def test_a_value_that_is_no_number_has_no_rank(sides, odd, swap, data):
    spoiled = list(map(float, sides[0]))
    spoiled[data.draw(st.integers(0, len(spoiled) - 1))] = odd
    pair = (sides[1], spoiled) if swap else (spoiled, sides[1])
    for function in (rank_correlation, lambda a, b: permutation_share(a, b, permutations=3, seed=0)):
        if not np.isfinite(odd):
            with pytest.raises(UserError, match="has 1 value that is not finite"):
                function(*pair)
        with pytest.raises(UserError, match=r"a correlation needs pairs|leave nothing|too few|is needed"):
            function(sides[0][:-1], sides[1])


# ----- samples around a minimum


def squared_error(model, batch):
    return functional.mse_loss(model(batch["x"]), batch["y"])


@settings(tried, max_examples=12)
@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    line=st.booleans(),
    counts=st.integers(2, 5),
    reach=st.sampled_from([1e-6, 0.5, 3.0, 100.0]),
    double=st.booleans(),
    training=st.booleans(),
)
def test_a_sample_of_a_small_map_holds_its_losses(sizes, line, counts, reach, double, training):
    kind = torch.float64 if double else torch.float32
    model = seeded(lambda: nn.Linear(3, 2)).to(kind).train(training)
    model.weight.grad = torch.ones_like(model.weight)
    numbers = torch.Generator().manual_seed(len(sizes))
    batches = [{k: torch.randn(n, d, generator=numbers, dtype=kind) for k, d in (("x", 3), ("y", 2))} for n in sizes]
    before, optimum, drawn = torch.get_rng_state(), flatten(model), [batch["x"].clone() for batch in batches]
    options = {"sampling": "line", "counts": [counts], "reach": reach}
    if not line:
        options = {"sampling": "naive", "seeds": range(counts), "steps": [reach, 2 * reach]}
    record = sample_around(model, batches, loss=squared_error, **options)
    assert torch.equal(flatten(model), optimum) and model.training == training
    assert torch.equal(model.weight.grad, torch.ones_like(model.weight)) and torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(batch["x"], x) for batch, x in zip(batches, drawn, strict=True))
    x, y = (torch.cat([batch[name] for batch in batches]).double().numpy() for name in ("x", "y"))
    for seed, step, loss in zip(record.seed.tolist(), record.step.tolist(), record.loss.tolist(), strict=True):
        load_parameters(copy := seeded(lambda: nn.Linear(3, 2)).double(), optimum)
        way = direction_of(model, seed).double()
        theta = (flatten(copy) + step * way).numpy()
        error = x @ theta[:6].reshape(2, 3).T + theta[6:] - y
        assert loss == pytest.approx((error**2).mean(), rel=1e-9 if double else 1e-4)
    assert len(record.loss) == (counts if line else 2 * counts) and (record.gram == record.gram.T).all()


# ----- pictures


@st.composite
def odd_matrices(draw):
    count = draw(st.integers(1, 9))
    points = draw(hnp.arrays(np.float64, (count, 2), elements=FEW | st.floats(-1, 1, width=32)))
    matrix = draw(st.sampled_from([1.0, 1e-9, 1e9])) * cdist(points, points)
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)))
        matrix[place] = matrix[place[::-1]] = draw(SPECIAL | st.floats(-1, 5, width=32))
    return matrix


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@settings(tried, max_examples=25)
@given(odd_matrices(), st.integers(1, 4), st.sampled_from(["cosine", "euclidean"]))
def test_a_picture_of_any_matrix_is_finite_or_refused(matrix, knn, kind):
    before = matrix.copy()
    try:
        picture, diffusion = phate_embedding(matrix, knn=knn, mds_distance=kind, seed=0)
    except UserError as error:
        assert str(error).endswith(".")
    else:
        assert picture.shape == (len(matrix), 2) and np.isfinite(picture).all()
        np.testing.assert_allclose(diffusion.operator.sum(axis=1), 1, rtol=1e-9)
    assert np.array_equal(matrix, before, equal_nan=True)
