# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What transport is
#
# [Script](302_what_transport_is.py) · [executed print](302_what_transport_is.ipynb) · [course map](../README.md)
#
# **Question.** What does it mean to sort points that do not lie on a line?
#
# **Source.** Feydy, *Computational optimal transport* (slides, 2024), "Optimal transport generalizes sorting", the
# Gauss map, and "Duality". **Time on a laptop.** Half a minute.
#
# Two heaps of sand have the same volume. Turn the one into the other with the least work: that is Monge's problem of
# 1781. A hundred and sixty years later Kantorovich allowed grains to be split, and made of it a linear program, one of
# the first. This notebook looks at the problem from five sides, as sorting, as an assignment, as a linear program, as a
# market of prices, and as a geometry of probability distributions, and leaves the solving to libraries. (Solvers of our own
# follow in notebook 303.) Everything here is exact, so most rows of the ledger are theorems: their job is to test the
# code and the reader's understanding.

# %% tags=["parameters"]
seeds = [201, 202, 203]  # of the random clouds
line_points = 200  # N, on the line
points = 60  # N = M, of the clouds in the plane
sources = 30  # N, of the weighted clouds
targets = 40  # M, of the weighted clouds
shown = 120  # points of the drawn clouds
pairs = 6  # random pairs of Gaussians for each seed
random_prices = 200  # pairs of random prices and plans for weak duality

# %%
import numpy as np
import pandas as pd
from IPython.display import Markdown

from shapeofloss import figures, ledger
from shapeofloss.distributions import gaussians
from shapeofloss.distributions.clouds import disk_and_moons, gaussian, uniform
from shapeofloss.engine import profiles, workspace
from shapeofloss.experiments.what_transport_is import gauss_map
from shapeofloss.transport.assignment.exact import (
    cost_matrix,
    mean_cost,
    optimal_assignment,
    optimal_plan,
    optimal_value,
)
from shapeofloss.transport.assignment.programs import (
    c_transform,
    northwest_corner,
    plan_program,
    price_program,
    projection_program,
)

run = workspace.begin("302_what_transport_is")
figures.use_house_style()

# %% [markdown]
# ## Sorting
#
# Let $x_1, \dots, x_N$ and $y_1, \dots, y_N$ be points, and let it cost $C(x, y) = \tfrac1p \lVert x - y \rVert^p$ to
# bring $x$ to $y$, for some $p \ge 1$ (the source's choice, mostly with $p = 2$). A *permutation* $\sigma$ gives
# every $x_i$ a target of its own, at a mean cost of $\tfrac1N \sum_i C(x_i, y_{\sigma(i)})$. The least mean cost over
# all $N!$ permutations is called $\mathrm{OT}(x, y)$.
#
# On the line there is no need to search. If two paths cross, uncrossing them does not cost more. So the smallest goes
# to the smallest, the next to the next: optimal transport *is* sorting. We compare with an exact assignment solver.


# %%
def sorting_gap(seed, p):
    """Return the relative gap between the sorted matching and the exact optimum on the line."""
    x, y = gaussian(line_points, 1, 2 * seed), 2 * uniform(line_points, 1, 2 * seed + 1)
    cost = cost_matrix(x, y, p=p)
    best = mean_cost(cost, optimal_assignment(cost))
    in_order = np.mean(np.abs(np.sort(x[:, 0]) - np.sort(y[:, 0])) ** p / p)
    return abs(in_order / best - 1)


ledger.record(
    {
        "transport-sorting-is-optimal-p1": [sorting_gap(seed, 1) for seed in seeds],
        "transport-sorting-is-optimal-p2": [sorting_gap(seed, 2) for seed in seeds],
    }
)

# %% [markdown]
# **A simpler method wins.** Sorting $N$ numbers takes about $N \log_2 N$ comparisons, an assignment solver some $N^3$
# operations and a linear program has $N^2$ unknowns. For a million points that is twenty million against a million
# million unknowns. Never solve a transport problem on the line by anything but sorting.
#
# ## Assignment
#
# In the plane there is no order to sort by, but the question is the same. Here are a disk and two half-moons:

# %%
x, y = disk_and_moons(shown, seeds[0])
cost = cost_matrix(x, y)
best, nearest = optimal_assignment(cost), cost.argmin(1)
figure, axes = figures.panels(3, height=3.2, width=3.6)
for ax, images, title in zip(axes, (None, y[nearest], y[best]), ("two clouds", "projection", "transport"), strict=True):
    if images is not None:
        ax.plot(*np.stack([x, images], axis=1).transpose(2, 1, 0), color="gray", linewidth=0.6)
    ax.scatter(*x.T, s=9, color=figures.SOURCE, label="x, source", zorder=2)
    ax.scatter(*y.T, s=9, color=figures.TARGET, label="y, target", zorder=2)
    ax.set(title=title, aspect="equal", xticks=[], yticks=[])
axes[0].legend(fontsize="x-small", loc="upper center")
figures.save(
    figure,
    "projection_and_transport",
    alt="A disk of blue points between two orange half-moons. With the projection all points run to the inner rims of the moons and leave the "
    "rest empty; with transport every point of the moons is reached by one line, and the disk is torn in two.",
    data={"x1": x[:, 0], "x2": x[:, 1], "y1": y[:, 0], "y2": y[:, 1], "nearest": nearest, "optimal": best},
    answers='transport: slide "The optimal transport plan"',
)

# %% [markdown]
# **Reading the figure.** In the middle, each point of the disk goes to its nearest target. That is cheapest for
# everyone, and it crowds. On the right every target is used once. In numbers:

# %%
arrivals = np.bincount(nearest, minlength=shown)
pd.DataFrame(
    {
        "projection": [(arrivals > 0).sum(), arrivals.max(), mean_cost(cost, nearest)],
        "transport": [shown, 1, mean_cost(cost, best)],
    },
    index=["targets in use", "points at the busiest target", "mean cost"],
).round(3)

# %% [markdown]
# Twelve of 120 targets take everything, one of them 37 points. To spread out to all targets costs 1.6 times as much.
# The source puts the difference in a formula of words: transport is nearest-neighbour projection with an
# *incompressibility* constraint. Mass must not be squeezed. We will see that this is exact. First we count empty
# targets on other clouds, a normal one and a square, where no gap between them helps the projection to crowd:


# %%
def plane(seed):
    """Return two clouds of equal size in the plane, and their costs."""
    x, y = gaussian(points, 2, 2 * seed), uniform(points, 2, 2 * seed + 1) * 3
    return x, y, cost_matrix(x, y)


costs = [plane(seed)[2] for seed in seeds]
ledger.record(
    {"transport-projection-is-not-incompressible": [1 - len(np.unique(cost.argmin(1))) / points for cost in costs]},
    figure="projection_and_transport",
)

# %% [markdown]
# ## A linear program
#
# Kantorovich's step: let $\pi_{ij} \ge 0$ say how much goes from $x_i$ to $y_j$, with given masses $a_i$ and $b_j$
# that add up to 1 (here equal ones):
#
# $$\mathrm{OT} \;=\; \min_{\pi \ge 0} \; \sum_{i,j} \pi_{ij} \, C_{ij}
# \quad\text{with}\quad \sum_j \pi_{ij} = a_i, \quad \sum_i \pi_{ij} = b_j.$$
#
# Cost and constraints are linear in the *plan* $\pi$; a permutation is the plan with $\pi_{i \sigma(i)} = 1/N$.
# Grains may be split now. Does it help? By a theorem of Birkhoff, no: the corners of the set of plans with equal
# masses are the permutations, and a linear cost is least at a corner. We solve by a general program, HiGHS, which
# does not know what transport is, and compare with the assignment.

# %%
plans = [plan_program(cost) for cost in costs]
by_plan = [float((plan * cost).sum()) for plan, cost in zip(plans, costs, strict=True)]
by_permutation = [mean_cost(cost, optimal_assignment(cost)) for cost in costs]
pd.DataFrame({"plan": by_plan, "permutation": by_permutation}, index=pd.Index(seeds, name="seed")).round(4)


# %%
def from_whole(plan):
    """Return the largest distance of an entry of N times the plan from 0 or 1."""
    entries = points * plan
    return float(np.minimum(np.abs(entries), np.abs(entries - 1)).max())


def matrix_gap(seed, cost):
    """Return the difference between a random permutation's cost and the sum over its matrix."""
    permutation = np.random.default_rng(seed).permutation(points)
    matrix = np.zeros((points, points))
    matrix[np.arange(points), permutation] = 1 / points
    return abs(mean_cost(cost, permutation) - float((matrix * cost).sum()))


ledger.record(
    {
        "transport-optimal-plan-is-a-permutation": np.abs(np.divide(by_permutation, by_plan) - 1),
        "transport-solver-returns-a-permutation": [from_whole(plan) for plan in plans],
        "transport-optimal-cost-is-linear-in-the-plan": [
            matrix_gap(seed, cost) for seed, cost in zip(seeds, costs, strict=True)
        ],
    }
)

# %% [markdown]
# Now drop the constraint on the targets, $\sum_i \pi_{ij} = b_j$. What the program finds then costs just as much as
# sending each point to its nearest neighbour: without incompressibility, transport *is* the projection.

# %%
projected = [float((projection_program(cost) * cost).sum()) for cost in costs]
pd.DataFrame({"projection": projected, "transport": by_plan}, index=pd.Index(seeds, name="seed")).mean().round(3)

# %%
weighted = []
for seed in seeds:
    rng = np.random.default_rng(seed)
    clouds = gaussian(sources, 2, 2 * seed), 3 * uniform(targets, 2, 2 * seed + 1)
    masses = [w / w.sum() for w in (rng.random(sources) + 0.1, rng.random(targets) + 0.1)]
    weighted.append((clouds, masses))
received = [optimal_plan(cost_matrix(*clouds), a, b).sum(0) / b - 1 for clouds, (a, b) in weighted]
ledger.record(
    {
        "transport-incompressibility-is-the-only-difference": [
            abs(value / cost.min(1).mean() - 1) for value, cost in zip(projected, costs, strict=True)
        ],
        "transport-transport-is-incompressible": [float(np.abs(excess).max()) for excess in received],
    }
)

# %% [markdown]
# **A simpler method wins, again.** Incompressibility has its price, here 3.2 times the cost of the projection. Where
# nobody needs it (the nearest station, the nearest cluster centre), the projection is the right tool: cheaper to carry
# out, and found by $N M = 3{,}600$ comparisons, where the linear program has as many unknowns and 120 constraints that
# tie them to each other. What makes transport hard is what makes it transport.
#
# And what becomes of sorting when masses differ? On the line, walk through sources and targets from the left, and let
# each source fill the first target that is not yet full. That plan, the *north-west corner* of the table $\pi$, takes
# one pass over $N + M$ running sums. It costs as much as the program's plan with its $N M$ unknowns:

# %%
(on_line, to_line), (a, b) = [np.sort(cloud[:, :1], axis=0) for cloud in weighted[0][0]], weighted[0][1]
in_order = northwest_corner(a, b)
line_costs = {p: cost_matrix(on_line, to_line, p=p) for p in (1, 2)}
best_on_line = {p: optimal_value(cost, a, b) for p, cost in line_costs.items()}
assert all(np.isclose((in_order * line_costs[p]).sum(), best_on_line[p], rtol=1e-9) for p in (1, 2))
{"unknowns": in_order.size, "running sums": len(a) + len(b), "routes in use": int((in_order > 0).sum())}

# %% [markdown]
# ### A distance
#
# The square root of $\mathrm{OT}$ with $p = 2$ is a distance between clouds: it obeys the triangle inequality. The
# source calls it the Wasserstein distance; with its factor ½, it is the usual Wasserstein-2 distance over $\sqrt2$.
# The independent number comes from quantiles on the line, where $W_2^2$ is the integral of the squared difference of
# quantiles.


# %%
def triangle(seed):
    """Return the largest violation of the triangle inequality over random triples of clouds."""
    worst = -np.inf
    for n in range(10):
        trio = [gaussian(20, 2, 1000 * seed + 3 * n + k) * (1 + k) + k for k in range(3)]
        d = [[np.sqrt(optimal_value(cost_matrix(p, q))) for q in trio] for p in trio]
        worst = max(worst, *(d[i][k] - d[i][j] - d[j][k] for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1))))
    return max(worst, 0.0)


def usual_over_talks(seed):
    """Return the usual Wasserstein-2 distance, from quantiles, over the root of the talk's OT."""
    p, q = gaussian(line_points, 1, 2 * seed), 2 + gaussian(line_points, 1, 2 * seed + 1)
    levels = (np.arange(line_points) + 0.5) / line_points
    u, v = (np.quantile(z[:, 0], levels, method="inverted_cdf") for z in (p, q))
    return np.sqrt(np.mean((u - v) ** 2) / optimal_value(cost_matrix(p, q)))


ledger.record(
    {
        "transport-root-of-transport-satisfies-the-triangle-inequality": [triangle(seed) for seed in seeds],
        "transport-root-of-transport-carries-one-half": [usual_over_talks(seed) for seed in seeds],
    }
)

# %% [markdown]
# ## A market of prices
#
# A planner who runs bakeries at $x_i$ and cafes at $y_j$ has $N M$ numbers to decide, one for each lorry route. A
# transport firm comes and offers to take all of it off her hands. It asks a price $f_i$ for each unit that it
# collects at $x_i$ and $g_j$ for each that it delivers at $y_j$. She accepts only if no route is dearer than if she
# drove herself, $f_i + g_j \le C_{ij}$. The firm wants as much as it can get:
#
# $$\max_{f, g} \; \sum_i a_i f_i + \sum_j b_j g_j \quad\text{with}\quad f_i + g_j \le C_{ij} \text{ for all } i, j.$$
#
# That is the *dual* program, with only $N + M$ unknowns. *Weak duality* takes one line: no plan is cheaper than what
# any accepted prices yield, as $\sum \pi_{ij} C_{ij} \ge \sum \pi_{ij} (f_i + g_j) = \sum a_i f_i + \sum b_j g_j$.
# *Strong duality* is the theorem: with the best prices the firm earns exactly what the best plan costs. Two programs,
# solved separately:


# %%
def both_programs(clouds, masses, p):
    """Return costs, the best plan and the best prices, from two separate programs."""
    cost = cost_matrix(*clouds, p=p)
    return cost, plan_program(cost, *masses), *price_program(cost, *masses)


def gap(cost, plan, f, g, masses):
    """Return the relative gap between the values of the two programs."""
    a, b = masses
    return abs(float(a @ f + b @ g) / float((plan * cost).sum()) - 1)


solved = {p: [both_programs(*problem, p) for problem in weighted] for p in (1, 2)}
gaps = {
    p: [gap(*s, masses) for s, (_, masses) in zip(problems, weighted, strict=True)] for p, problems in solved.items()
}
violation = [float((f[:, None] + g - cost).max() / cost.max()) for cost, _, f, g in solved[2]]
pd.DataFrame({"relative gap, p = 1": gaps[1], "p = 2": gaps[2], "violation": violation}, index=seeds)


# %% [markdown]
# Weak duality, on random prices near and far from the best ones, made acceptable by lowering $f$, and on random
# plans, mixtures of the product plan $a_i b_j$ and the best one:


# %%
def excess(seed, problem, masses):
    """Return by how much the value of random acceptable prices exceeds the cost of a random plan, at most."""
    (cost, best_plan, _, best_g), (a, b) = problem, masses
    rng = np.random.default_rng(seed)
    worst = -np.inf
    for _ in range(random_prices):
        g = best_g + rng.random() ** 2 * rng.normal(scale=cost.std(), size=len(b))
        share = rng.random()
        plan = share * best_plan + (1 - share) * np.outer(a, b)
        worst = max(worst, a @ c_transform(cost, g) + b @ g - (plan * cost).sum())
    return float(worst)


ledger.record(
    {
        "transport-strong-duality-p1": gaps[1],
        "transport-strong-duality-p2": gaps[2],
        "transport-dual-is-feasible": violation,
        "transport-weak-duality": [
            excess(seed, problem, masses) for seed, problem, (_, masses) in zip(seeds, solved[2], weighted, strict=True)
        ],
    }
)

# %% [markdown]
# If the two values are equal, every inequality in the one line must be one: wherever $\pi_{ij} > 0$, the firm's price
# equals the planner's own cost, $f_i + g_j = C_{ij}$. This is *complementary slackness*. We draw it for one problem:
# the table of the *slack* $C_{ij} - f_i - g_j$, which is nowhere below zero but for rounding, and the places where the
# plan sends something.

# %%
cost, plan, f, g = solved[2][0]
slack = cost - f[:, None] - g
rows, columns = np.nonzero(plan > 1e-9)
by_first = [np.argsort(cloud[:, 0]) for cloud in weighted[0][0]]
place = [np.argsort(order) for order in by_first]
figure, axes = figures.panels(2, height=3.6, width=5.0)
shade = axes[0].imshow(slack[by_first[0]][:, by_first[1]], cmap=figures.FIELD, aspect="auto")
axes[0].plot(place[1][columns], place[0][rows], "o", color="white", markersize=4, markeredgecolor="black")
axes[0].set(xlabel="target j, from left to right", ylabel="source i, from left to right")
figure.colorbar(shade, ax=axes[0], label="slack")
values = np.sort(np.maximum(slack.ravel(), 1e-17))
axes[1].semilogy(values, color=figures.PALETTE[0], label="all pairs")
axes[1].axvline(len(rows), color="gray", linestyle=":", label=f"{len(rows)} pairs with mass")
axes[1].set(xlabel="pairs, from the smallest slack", ylabel="slack $C_{ij} - f_i - g_j$")
axes[1].legend(fontsize="small")
figures.save(
    figure,
    "slackness",
    alt="Left, a table of the slack of all pairs with white dots where the plan has mass; the dots lie where the slack is darkest, at zero. "
    "Right, the sorted slack jumps by many orders of magnitude after as many pairs as have mass.",
    data={
        "source": np.repeat(np.arange(sources), targets),
        "target": np.tile(np.arange(targets), sources),
        "slack": slack.ravel(),
        "mass": plan.ravel(),
    },
    answers='transport: slide "Duality: central planning with NM variables ≃ outsourcing with N + M variables"',
)

# %% [markdown]
# **Reading the figure.** White dots sit where the slack is zero. There are $N + M - 1 = 69$ of them, of 1,200 pairs:
# as many as there are independent constraints, and a corner of the set of plans never has more. Nobody asked the plan
# to be sparse. The right panel shows the gap between "zero", which is below $10^{-15}$, and the next pair, at 0.005.

# %% [markdown]
# The $M$ numbers $g$ are enough. The best $f$ beside a given $g$ is its *c-transform*, $f_i = \min_j \, (C_{ij} -
# g_j)$, one pass over the costs. This is the operation that notebooks 301, 303 and 304 are about.

# %%
ledger.record(
    {
        "transport-complementary-slackness": [
            abs(float((plan * (cost - f[:, None] - g)).sum() / (plan * cost).sum())) for cost, plan, f, g in solved[2]
        ],
        "transport-dual-has-fewer-unknowns": [
            abs(float(a @ c_transform(cost, g) + b @ g) / float((plan * cost).sum()) - 1)
            for (cost, plan, _, g), (_, (a, b)) in zip(solved[2], weighted, strict=True)
        ],
    },
    figure={"transport-complementary-slackness": "slackness"},
)
{"unknowns of the plan": sources * targets, "unknowns of the prices": sources + targets}

# %% [markdown]
# ## A geometry of distributions
#
# Distances between probability distributions turn a family of them into a landscape. Take the normal ones of the line, one for
# each mean $m$ and standard deviation $\sigma > 0$: a half-plane. Which distances and shortest paths does it inherit?
#
# *Wasserstein-2* moves mass. Between two Gaussians $W_2^2 = (m_1 - m_2)^2 + (\sigma_1 - \sigma_2)^2$: the
# half-plane is flat, shortest paths are straight. *Fisher-Rao* measures how well samples tell two neighbouring Gaussians
# apart. It is the relative entropy seen up close, and makes the half-plane hyperbolic. Each of the statements is
# checked against quadrature or a numerical shortest path that does not know the formula.


# %%
def random_pairs(seed, count):
    """Return random pairs of Gaussians (m, sigma), shape (count, 2, 2)."""
    rng = np.random.default_rng(seed)
    return np.stack([rng.normal(size=(count, 2)), np.exp(0.5 * rng.normal(size=(count, 2)))], axis=-1)


def quadrature_gap(first, second):
    """Return the relative gap between W2^2 from quantile functions and from the formula."""
    (u, shares), (v, _) = gaussians.quantiles(first), gaussians.quantiles(second)
    return abs(float(shares @ (u - v) ** 2) / gauss_map.wasserstein_distance(first, second) ** 2 - 1)


drawn = {seed: random_pairs(seed, pairs) for seed in seeds}
flatness = [max(quadrature_gap(*pair) for pair in drawn[seed]) for seed in seeds]
flatness


# %% [markdown]
# The Wasserstein path sends each quantile along its straight way, $(1 - t) \, F_1^{-1} + t \, F_2^{-1}$
# (*displacement interpolation*). We take mean and standard deviation of what is on its way, and their distance from
# the segment.


# %%
def off_segment(first, second):
    """Return the largest distance of (m, sigma) of the interpolation from the segment, over the segment's length."""
    (u, shares), (v, _) = gaussians.quantiles(first), gaussians.quantiles(second)
    worst = 0.0
    for t in np.linspace(0, 1, 11):
        between = (1 - t) * u + t * v
        mean = shares @ between
        spread = np.sqrt(shares @ (between - mean) ** 2)
        worst = max(worst, float(np.hypot(*((1 - t) * first + t * second - [mean, spread]))))
    return worst / gauss_map.wasserstein_distance(first, second)


ledger.record(
    {
        "transport-wasserstein-is-flat": flatness,
        "transport-wasserstein-geodesics-are-straight": [max(off_segment(*p) for p in drawn[s]) for s in seeds],
    }
)


# %%
def geodesic_gap(first, second):
    """Return the relative gap between the closed Fisher-Rao distance and the length of a numerical shortest path."""
    shortest = gauss_map.geodesic(gauss_map.fisher_information, first, second)
    return abs(shortest.length / gauss_map.fisher_rao_distance(first, second) - 1)


def entropy_gap(seed, relative=1e-4):
    """Return the largest relative gap between 2 KL and the squared Fisher-Rao length of small steps."""
    rng = np.random.default_rng(seed)
    worst = 0.0
    for first, _ in drawn[seed]:
        angle = 2 * np.pi * rng.random()
        second = first + relative * first[1] * np.array([np.cos(angle), np.sin(angle)])
        length = gauss_map.fisher_rao_distance(first, second)
        worst = max(worst, abs(2 * gauss_map.relative_entropy(first, second) / length**2 - 1))
    return worst


lengths, entropies = [max(geodesic_gap(*pair) for pair in drawn[s]) for s in seeds], [entropy_gap(s) for s in seeds]
pd.DataFrame({"length": lengths, "relative entropy": entropies}, index=pd.Index(seeds, name="seed"))

# %% [markdown]
# The source calls the Fisher-Rao half-plane the Poincaré metric. Up to scale it is: the metric is $(dm^2 + 2 \,
# d\sigma^2) / \sigma^2$, whose curvature is $-\tfrac12$ everywhere, where Poincaré's $(dx^2 + dy^2) / y^2$ has $-1$.
# With $x = m / \sqrt2$ and all lengths divided by $\sqrt2$ the two agree.


# %%
def midpoint_gap(seed):
    """Return the relative gap between the numerical midpoint's sigma and sqrt(s^2 + a^2 / 2)."""
    a, s = np.random.default_rng(seed).uniform(0.5, 1.5, size=2)
    points = gauss_map.geodesic(gauss_map.fisher_information, [-a, s], [a, s]).points
    middle = points[len(points) // 2, 1]
    return abs(middle / np.sqrt(s**2 + a**2 / 2) - 1)


ledger.record(
    {
        "transport-fisher-rao-is-a-half-plane": lengths,
        "transport-fisher-rao-is-local-relative-entropy": entropies,
        "transport-fisher-rao-curvature-is-minus-one-half": gauss_map.curvature(
            gauss_map.fisher_information, [0.3, 1.7]
        ),
        "transport-fisher-rao-geodesics-bend-upwards": [midpoint_gap(seed) for seed in seeds],
    },
    figure={"transport-fisher-rao-geodesics-bend-upwards": "gauss_map"},
)

# %%
ends = np.array([[-2.0, 0.5], [2.0, 0.5]])
times = np.linspace(0, 1, 41)
paths = {
    "Wasserstein-2": (1 - times)[:, None] * ends[0] + times[:, None] * ends[1],
    "Fisher-Rao": gauss_map.fisher_rao_path(*ends, times),
}
grid = np.linspace(-5, 5, 300)
figure, axes = figures.panels(3, height=3.3, width=3.6)
curves = {"x": grid}
for n, ((name, path), color) in enumerate(zip(paths.items(), figures.PALETTE[2:], strict=False)):
    axes[0].plot(*path.T, color=color, label=name)
    for k in range(0, 41, 10):
        share = k / 40
        shade = np.array(figures.SOURCE) * (1 - share) + np.array(figures.TARGET) * share
        curves[f"{name}, t = {share:g}"] = gaussians.density(grid, path[k])
        axes[n + 1].plot(grid, curves[f"{name}, t = {share:g}"], color=shade, label=f"t = {share:g}")
    axes[n + 1].set(title=name, xlabel="x", ylim=(0, 0.85))
axes[0].set(xlabel="m", ylabel=r"$\sigma$", ylim=(0, 2.4), aspect="equal")
axes[0].legend(fontsize="x-small", loc="upper center")
axes[1].set_ylabel("density")
axes[1].legend(fontsize="x-small")
figures.save(
    figure,
    "gauss_map",
    alt="Left, two paths between the same two points of the half-plane of m and sigma: a straight segment and an arch. Middle, the "
    "densities along the segment keep their shape and travel. Right, those along the arch become wide and low in the middle.",
    data=curves,
    answers='transport: slide "Gauss map"',
)

# %% [markdown]
# **Reading the figure.** Between the same two Gaussians, Wasserstein carries a bump across. Fisher-Rao widens it until
# both ends are plausible, then narrows it again: where samples overlap, distributions are hard to tell apart, and the way is
# short.
#
# Which one is better? It depends on what "near" should mean. If values have noise that one knows, Fisher-Rao counts
# in units of it: at $\sigma = 0.01$, a shift by 0.1 is ten standard deviations, and at $\sigma = 10$ it is nothing.
# Wasserstein sees the same 0.1 both times:

# %%
pd.DataFrame(
    {
        sigma: {
            "Fisher-Rao": gauss_map.fisher_rao_distance([0.0, sigma], [0.1, sigma]),
            "Wasserstein-2": gauss_map.wasserstein_distance([0.0, sigma], [0.1, sigma]),
        }
        for sigma in (0.01, 0.1, 1.0, 10.0)
    }
).rename_axis("sigma", axis=1).round(3)

# %% [markdown]
# ## What surprised us
#
# - HiGHS has never heard of permutations, and its plans for equal masses are permutation matrices to the last bit. It
#   makes no use of the freedom to split grains; with unequal masses, it still drives on 69 routes of 1,200 only.
# - One set of constraints, that of the targets, is all that separates a minimum per row from a problem that needs a
#   solver.
# - The slides carry two factors of two that cancel nowhere: the root of $\mathrm{OT}$ is $W_2 / \sqrt2$, and the
#   curvature of Fisher-Rao is $-\tfrac12$. Both are harmless until one compares with the numbers of somebody else.
#
# ## Exercises
#
# 1. Prove that two paths on the line that cross can be uncrossed at no cost, for every convex cost of the difference.
#    Where does it fail for $\sqrt{\lvert x - y \rvert}$?
# 2. The best prices are not unique: one can add a constant to $f$ and take it from $g$. Are they otherwise? Count the
#    equations in the slackness figure.
# 3. On the Fisher-Rao arch between $N(-a, s)$ and $N(a, s)$, let $s$ tend to 0. Where does the midpoint go, and how
#    long is the way? What does Wasserstein say?
#
# ## What differs from the source
#
# - The slides argue by pictures and give no numbers for this part; all numbers are ours, on small random clouds.
# - The source's root of $\mathrm{OT}$ and its Poincaré metric are right up to factors, which the ledger corrects.
# - Weights are random in the dual programs, so that no symmetry makes them degenerate.

# %%
Markdown(profiles.differences(run.notebook))
