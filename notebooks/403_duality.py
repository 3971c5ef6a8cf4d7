# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Duality
#
# [Script](403_duality.py) · [executed print](403_duality.ipynb) · [course map](../README.md)
#
# **Question.** How can a function of one point measure the cost of moving mass between two distributions?
#
# **Source.** Isachenko, *Deep Generative Models*, lecture 8 (2024), slides "Wasserstein distance (discrete)",
# "(continuous)", "Wasserstein metric", and the theorem of Kantorovich and Rubinstein. **Time on a laptop.** Half a
# minute.
#
# Two towns have the same number of inhabitants, and in both everyone wants bread. The bakeries are not where the
# mouths are. What is the least that has to be paid for moving all the bread, at one franc for a loaf and a
# kilometre? One person draws a map with arrows, from each bakery to its customers, and adds up. That is a *plan*.
# Another person never looks at arrows. She puts a price on bread at each place, so that no two places differ by
# more than a franc per kilometre between them, and asks how much more the bread is worth where it is eaten than
# where it is baked.
#
# That the best plan and the best prices give the same number is the theorem that Wasserstein GANs are built on.
# This notebook takes it apart: plans first, then prices, then networks that look for prices and never find quite
# the best ones. On the way we find out from which side they approach, and what happens if they are held by the
# lecture's penalty.

# %% tags=["parameters"]
seeds = [201, 202, 203]  # of random distributions, clouds and trainings
bins = 40  # bins of random histograms on the line
grid_side = 6  # random histograms in the plane have its square of bins
sources = 30  # weighted points of one cloud
targets = 40  # weighted points of the other
plans = 100  # random feasible plans
triples = 10  # random triples for the triangle inequality
separated = 500  # random pairs of histograms on a grid
functions = 1000  # random minima of cones
sizes = [50, 100, 200]  # points per side for the times of the linear program
repeats = 1  # of each timed call, after one that does not count
line_points = 500  # points of each mixture on the line
plane_points = 1000  # points of each cloud in the plane for training
fresh_points = 10000  # points of each cloud in the plane for measuring
shift = 2.0  # between the two clouds in the plane, in standard deviations
hidden = 32  # values of each hidden layer of critics
batch = 256  # points of each distribution per step
steps = 600  # of Adam
every = 20  # steps between two records
learning_rate = 0.01  # of Adam
penalty_line = 100.0  # lambda of the one-sided penalty on the line
penalty = 10.0  # lambda of the lecture's penalty
penalties = [1.0, 10.0]  # further lambdas of the one-sided penalty, for its bias

# %%
from functools import partial

import numpy as np
import pandas as pd
from IPython.display import Markdown
from scipy.stats import wasserstein_distance

from shapeofloss import figures, ledger
from shapeofloss.adversarial.convergence import random_histograms
from shapeofloss.adversarial.divergences import total_variation
from shapeofloss.adversarial.quality import wasserstein
from shapeofloss.distributions.clouds import gaussian
from shapeofloss.distributions.quantiles import wasserstein_on_line
from shapeofloss.engine import compute, profiles, workspace
from shapeofloss.engine.measure import exponent, seconds
from shapeofloss.experiments.duality.critics import fit_lipschitz_critic
from shapeofloss.transport.assignment.exact import cost_matrix, optimal_value
from shapeofloss.transport.assignment.programs import lipschitz_program, northwest_corner, plan_program

run = workspace.begin("403_duality")
figures.use_house_style()

# %% [markdown]
# ## Plans
#
# Let $\pi$ have masses $\pi_i$ at points $x_i$, and $p$ masses $p_j$ at points $y_j$; both add up to 1. A *plan*
# $\gamma$ says how much mass $\gamma_{ij} \ge 0$ goes from $x_i$ to $y_j$. Whatever leaves $x_i$ has to be what is
# there, and whatever arrives at $y_j$ what is wanted:
#
# $$\sum_j \gamma_{ij} = \pi_i, \qquad \sum_i \gamma_{ij} = p_j, \qquad
#   W(\pi, p) = \min_\gamma \sum_{i, j} \gamma_{ij} \, |x_i - y_j|.$$
#
# These two sums are called the *marginals* of the plan. $W$ is the *earth mover's* or *Wasserstein distance*. Sums
# become integrals for distributions with densities, and the minimum an infimum, as on the lecture's slide. For
# finitely many points it is a linear program: notebook 302 solves it by HiGHS, a solver that has never heard of
# transport. We check its marginals.


# %%
def clouds(seed):
    """Return two random weighted clouds on the line: places, masses, places, masses."""
    generator = np.random.default_rng(seed)
    x, y = generator.standard_normal((sources, 1)), 2 * generator.standard_normal((targets, 1))
    return x, generator.dirichlet(np.ones(sources)), y, generator.dirichlet(np.ones(targets))


problems = {seed: clouds(seed) for seed in seeds}
lengths = {seed: cost_matrix(x, y, p=1) for seed, (x, _, y, _) in problems.items()}
best = {seed: plan_program(lengths[seed], pi, p) for seed, (_, pi, _, p) in problems.items()}
value = {seed: float((plan * lengths[seed]).sum()) for seed, plan in best.items()}
leaving = [np.abs(best[seed].sum(1) - pi).max() for seed, (_, pi, _, _) in problems.items()]
arriving = [np.abs(best[seed].sum(0) - p).max() for seed, (_, _, _, p) in problems.items()]
ledger.record({"adversarial-plan-marginal-pi": leaving, "adversarial-plan-marginal-p": arriving}, figure="plan")

# %% [markdown]
# Is it the cheapest? A solver may say what it likes; let others try. The *independent plan*
# $\gamma_{ij} = \pi_i p_j$ has the right marginals and takes from everywhere to everywhere. Other plans come from
# serving targets in a random order from sources in a random order, each until it has enough, and from mixtures of
# such a plan with the best one.


# %%
def random_plan(generator, pi, p, plan):
    """Return a plan with the marginals pi and p: a random corner, mixed with the given plan by a random share."""
    rows, columns = generator.permutation(len(pi)), generator.permutation(len(p))
    corner = np.zeros((len(pi), len(p)))
    corner[np.ix_(rows, columns)] = northwest_corner(pi[rows], p[columns])
    share = generator.random() ** 2  # often near 0
    return share * corner + (1 - share) * plan


undercut, dearest = [], []
for seed, (_, pi, _, p) in problems.items():
    generator = np.random.default_rng(seed)
    tried = [np.outer(pi, p), *(random_plan(generator, pi, p, best[seed]) for _ in range(plans))]
    costs = [float((plan * lengths[seed]).sum()) for plan in tried]
    undercut.append(value[seed] - min(costs))
    dearest.append((costs[0] / value[seed], min(costs) / value[seed]))
ledger.record({"adversarial-plan-is-cheapest": undercut})
pd.DataFrame(dearest, index=pd.Index(seeds, name="seed"), columns=["independent plan", "cheapest tried"]).round(4)

# %% [markdown]
# As shares of the linear program's cost: taking from everywhere to everywhere is 1.6 to 4.4 times as dear, and the
# best of the others, which are nearly the program's own plan, is dearer by a hair. None is cheaper.
#
# ## On the line there is a formula
#
# The lecture calls the infimum over all plans intractable. On the line it is not. Let $F$ be the *distribution
# function* of $\pi$, $F(x)$ the mass at or below $x$, and $F^{-1}(u)$, for $0 < u < 1$, the place where it reaches
# $u$, the *quantile function*; $G$ and $G^{-1}$ the same for $p$. Sorting is optimal on the line (notebook 302): the
# mass that is at level $u$ in the one distribution goes to level $u$ in the other. So
#
# $$W(\pi, p) = \int_0^1 |F^{-1}(u) - G^{-1}(u)| \, du.$$
#
# Both functions are steps, and the integral is a sum over the places where one of them jumps. It agrees with the
# linear program, which does not know that the points are on a line; and with SciPy's own function. (`src` has it as
# `wasserstein_on_line`, which later cells use.)


# %%
def by_quantiles(x, pi, y, p):
    """Return W on the line: sort, and integrate the difference of two step functions."""
    order_x, order_y = x[:, 0].argsort(), y[:, 0].argsort()
    up_to_x, up_to_y = np.cumsum(pi[order_x]), np.cumsum(p[order_y])
    cuts = np.sort(np.concatenate([[0], up_to_x[:-1], up_to_y[:-1], [1]]))
    u = (cuts[1:] + cuts[:-1]) / 2
    quantiles = x[order_x][np.searchsorted(up_to_x[:-1], u), 0], y[order_y][np.searchsorted(up_to_y[:-1], u), 0]
    return np.diff(cuts) @ np.abs(quantiles[0] - quantiles[1])


formula = {seed: by_quantiles(*problem) for seed, problem in problems.items()}
ledger.record({"adversarial-quantile-formula": [abs(formula[s] - value[s]) for s in seeds]}, figure="plan")
scipys = [wasserstein_distance(x[:, 0], y[:, 0], pi, p) for x, pi, y, p in problems.values()]
assert np.abs(np.subtract(scipys, list(formula.values()))).max() < 1e-9
assert np.isclose(wasserstein_on_line(*[problems[seeds[0]][k].ravel() for k in (0, 2, 1, 3)]), scipys[0], atol=1e-9)

# %%
x, pi, y, p = problems[seeds[0]]
rows, columns = np.argsort(x[:, 0]), np.argsort(y[:, 0])
staircase = northwest_corner(pi[rows], p[columns])
routes = {"linear program": (x, y, best[seeds[0]]), "quantiles": (x[rows], y[columns], staircase)}
parts = []
for name, (from_x, to_y, plan) in routes.items():
    i, j = np.nonzero(plan > 1e-12)
    cost = float((plan * cost_matrix(from_x, to_y, p=1)).sum())
    parts.append(pd.DataFrame({"plan": name, "x": from_x[i, 0], "y": to_y[j, 0], "mass": plan[i, j], "cost": cost}))
routes = pd.concat(parts)
routes.groupby("plan").agg(routes=("mass", "size"), mass=("mass", "sum"), cost=("cost", "first")).round(9)

# %%
figure, axes = figures.panels(2, height=3.4, width=4.4)
looks = {"linear program": {"color": figures.PALETTE[2], "alpha": 0.6}}
looks |= {"quantiles": {"facecolor": "none", "edgecolor": "black", "linewidth": 0.7}}
for name, part in routes.groupby("plan"):
    axes[0].scatter(part.x, part.y, s=600 * part.mass, label=name, **looks[name])
axes[0].axline((0, 0), slope=1, color="gray", linewidth=0.8, linestyle=":")
axes[0].set(xlabel="x, source (length)", ylabel="y, target (length)")
levels = [np.concatenate([[0], np.cumsum(masses)]) for masses in (pi[rows], p[columns])]
axes[1].stairs(x[rows, 0], levels[0], baseline=None, color=figures.SOURCE, label=r"$F^{-1}$, source", linewidth=1.5)
axes[1].stairs(y[columns, 0], levels[1], baseline=None, color=figures.TARGET, label=r"$G^{-1}$, target", linewidth=1.5)
axes[1].set(xlabel="u, share of the mass", ylabel="place (length)")
for ax in axes:
    ax.legend(fontsize="small")
figures.save(
    figure,
    "plan",
    alt="Left, circles at the pairs of source and target that two plans use, larger for more mass. Those of the quantiles, hollow, rise like a "
    "staircase; those of the linear program, green, are scattered, most of them above the dotted diagonal. Right, two quantile functions, rising steps.",
    data=routes,
    answers='wgan: slide "Wasserstein distance (discrete)"',
)

# %% [markdown]
# **Reading the figure.** Right: the two quantile functions; $W$ is the area between them. Left, a surprise. Mass
# above the dotted line $y = x$ goes to the right, mass below it to the left. Hollow circles are the plan that the
# formula belongs to, level to level, a staircase that never goes down. The linear program, green, has found another
# plan at the same cost, with ways that overtake each other. For $W$ with its plain distances this is no mistake. If
# two loaves go to the right, from 0 to 2 and from 1 to 3, they may as well go from 0 to 3 and from 1 to 2: it is
# four kilometres both times. Only ways in opposite directions must not pass each other. So the best plan is rarely
# unique, and what is unique is the cost. (With squared distances, as in most of notebook 302, the staircase is the
# only one.)
#
# ## A metric
#
# The lecture also defines $W_s(\pi, p) = (\min_\gamma \sum \gamma_{ij} |x_i - y_j|^s)^{1/s}$, and calls it a metric.
# That means three things: it is symmetric, it obeys the triangle inequality, and it is zero for equal distributions
# only. (All $W$ elsewhere in this notebook are $W_1$.) We try all of them for $s = 1$ and $2$, on weighted points in
# the plane, by POT's network simplex.


# %%
def weighted(seed):
    """Return a random weighted cloud in the plane."""
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((15, 2)) * generator.uniform(0.2, 2) + generator.standard_normal(2)
    return x, generator.dirichlet(np.ones(15))


def distance(first, second, s):
    """Return W_s between two weighted clouds."""
    (x, a), (y, b) = first, second
    return (s * optimal_value(cost_matrix(x, y, p=s), a, b)) ** (1 / s)


trios = {seed: [[weighted(1000 * seed + 3 * n + k) for k in range(3)] for n in range(triples)] for seed in seeds}
gaps = [[abs(distance(a, b, s) - distance(b, a, s)) for a, b, _ in trios[seed] for s in (1, 2)] for seed in seeds]
detours = [
    [distance(a, c, s) - distance(a, b, s) - distance(b, c, s) for a, b, c in trios[seed] for s in (1, 2)]
    for seed in seeds
]
ticks = np.linspace(0, 1, 11)
least = []
for seed in seeds:
    drawn = [random_histograms(1000 * seed + n, bins=11) for n in range(separated)]
    distinct = [(q.pi, q.p) for q in drawn if total_variation(q.pi, q.p) >= 0.1]
    least.append(min(wasserstein_on_line(ticks, ticks, pi, p, order=s) for pi, p in distinct for s in (1, 2)))
ledger.record(
    {
        "adversarial-w-symmetric": np.max(gaps, axis=1),
        "adversarial-w-triangle": np.max(detours, axis=1).clip(min=0),
        "adversarial-w-separates": least,
    }
)

# %% [markdown]
# On a grid of spacing $h$, mass that has to move at all has to move by $h$, so $W_1 \ge h \cdot TV$ with the *total
# variation* $TV = \frac12 \sum |\pi_i - p_i|$. With $h = 0.1$ and $TV \ge 0.1$ that is 0.01, and what came out is
# above it. ($W_2$ is never below $W_1$.)
#
# ## Prices
#
# A function $f$ has a *Lipschitz constant* of at most $K$ (is $K$-Lipschitz) if $|f(x) - f(y)| \le K |x - y|$ for
# all $x, y$: its slope is nowhere above $K$. Take a 1-Lipschitz $f$ and any plan. Then
#
# $$E_\pi f - E_p f = \sum_{ij} \gamma_{ij} \, (f(x_i) - f(y_j)) \le \sum_{ij} \gamma_{ij} \, |x_i - y_j|.$$
#
# The first equation uses the marginals, the inequality the slope. So *every* 1-Lipschitz function gives at most the
# cost of *every* plan: at most $W$. (In the picture of the beginning, bread is eaten at the $x_i$ and baked at the
# $y_j$, so that the plan's arrows are to be read from $y_j$ to $x_i$. A way back is as long as a way there.) This
# is all that is needed for "from below". The theorem of Kantorovich and Rubinstein says that the best function
# reaches it:
#
# $$W(\pi, p) = \max_{f \text{ 1-Lipschitz}} \; E_\pi f - E_p f.$$
#
# It is the duality of linear programs (prices $f_i$ and $g_j$ with $f_i + g_j \le C_{ij}$, notebook 302), for costs
# that are distances: then one may take $g = -f$, one and the same price list for buying and selling. On a finite
# set of points, this is a linear program of its own, with one unknown for each point and one constraint for each
# ordered pair of points, $f_i - f_j \le |x_i - x_j|$. We solve both, for histograms on a line and on a square:


# %%
def histograms(seed, points):
    """Return the distances of some points, and two random histograms on them."""
    pair = random_histograms(seed, bins=len(points))
    return cost_matrix(points, points, p=1), pair.pi, pair.p


line = (np.arange(bins)[:, None] + 0.5) / bins
square = np.stack(np.meshgrid(*[(np.arange(grid_side) + 0.5) / grid_side] * 2), axis=-1).reshape(-1, 2)
drawn = {seed: [histograms(2 * seed, line), histograms(2 * seed + 1, square)] for seed in seeds}
primal = {s: [float((plan_program(d, pi, p) * d).sum()) for d, pi, p in drawn[s]] for s in seeds}
prices = {s: [lipschitz_program(d, pi, p) for d, pi, p in drawn[s]] for s in seeds}
dual = {s: [float((pi - p) @ f) for (_, pi, p), f in zip(drawn[s], prices[s], strict=True)] for s in seeds}
ledger.record(
    {"adversarial-primal-is-dual": [np.abs(np.subtract(primal[s], dual[s])).max() for s in seeds]}, figure="prices"
)

# %%
values = {"primal": primal, "dual": dual}
table = {name: pd.DataFrame(program, index=["line", "square"]).stack() for name, program in values.items()}
pd.DataFrame(table).rename_axis(["histograms on the", "seed"]).round(6)

# %% [markdown]
# Two programs, two numbers, one value, for near distributions and far ones. What do the best prices look like? On the
# line one can say it: $W$ is also the area $\int |F(x) - G(x)| \, dx$ between the two distribution functions, and
# partial integration gives $E_\pi f - E_p f = \int f'(x) \, (G(x) - F(x)) \, dx$. To make that as large as possible
# with $|f'| \le 1$, let $f$ rise where $G > F$ and fall where $G < F$: away from where there is too much $p$, towards
# where there is too much $\pi$.

# %%
q = random_histograms(2 * seeds[0], bins=bins)
ahead = np.cumsum(q.p - q.pi)  # G - F
f = prices[seeds[0]][0]
by_sign = np.concatenate([[0], np.cumsum(np.sign(ahead[:-1]) / bins)])
figure, axes = figures.panels(3, height=3.0, width=3.7)
edges = np.linspace(0, 1, bins + 1)
axes[0].stairs(q.pi, edges, color=figures.SOURCE, label=r"$\pi$")
axes[0].stairs(q.p, edges, color=figures.TARGET, label="p")
axes[0].set(xlabel="x (length)", ylabel="mass in a bin")
axes[1].stairs(ahead[:-1], line[:, 0], baseline=0, color="gray", fill=True, alpha=0.5)  # the mass is at the centres
axes[1].set(xlabel="x (length)", ylabel="G - F")
axes[2].plot(line, f - f[0], color=figures.PALETTE[2], linewidth=3, alpha=0.5, label="linear program")
axes[2].plot(line, by_sign, "k:", label="slope sign(G - F)")
axes[2].set(xlabel="x (length)", ylabel="price f (length)")
axes[2].set_ylim(top=np.max(f - f[0]) + 0.2)  # room for the legend
for ax in (axes[0], axes[2]):
    ax.legend(fontsize="small")
figures.save(
    figure,
    "prices",
    alt="Left, two random histograms. Middle, the difference of their distribution functions, positive in some stretches and negative in "
    "others. Right, the best prices by linear program: straight lines with slopes of plus and minus 1, which change where the sign changes.",
    data={"x": line[:, 0], "pi": q.pi, "p": q.p, "G - F": ahead, "f": f - f[0], "by sign": by_sign},
    answers='wgan: slide "Wasserstein distance"',
)

# %% [markdown]
# **Reading the figure.** The prices of the linear program, which was given masses and distances and no formula, are
# made of straight pieces of slope 1 and -1. They turn where the grey area changes its sign, and where there is
# nothing to gain they could do as they like. Nothing in them looks like either histogram. A critic is not a
# classifier: it does not say how likely a point is to be data, only in which direction more of it is wanted.
#
# ### K
#
# The lecture's theorem has a constant: $W = \frac1K \max_{\|f\|_L \le K} [\dots]$. A later slide has
# $K \cdot W = \max [\dots]$. The two are the same statement: a $K$-Lipschitz function is $K$ times a 1-Lipschitz
# one, so that the maximum is $K W$. (One must not read "$W / K$" out of either.) Where nobody knows $K$, as with
# clipped weights in notebook 404, one does not know $W$ either.

# %%
scaled = []
for seed in seeds:
    for (d, pi, p), w in zip(drawn[seed], primal[seed], strict=True):
        scaled.append([abs(float((pi - p) @ lipschitz_program(d, pi, p, slope=k)) / k - w) for k in (0.1, 1.0, 10.0)])
ledger.record({"adversarial-dual-scales-with-k": np.max(np.reshape(scaled, (len(seeds), -1)), axis=1)})

# %% [markdown]
# ## Functions at random
#
# How good is a function that nobody optimised? A *cone* $h + |x - c|$ is 1-Lipschitz, and so is the smallest of
# several cones, $f(x) = \min_k \, (h_k + |x - c_k|)$. All 1-Lipschitz functions on finitely many points are of this
# form: put a cone on each point, with height $h_k = f(c_k)$. We draw cones with tips $c_k$ at random points of two
# clouds in the plane. Their heights are either random, or those of the best prices at their tips, blurred more or
# less.


# %%
def cones(x, tips, heights):
    """Return the smallest of several cones of slope 1 at points x, shape (N,)."""
    return (heights + cost_matrix(x, tips, p=1)).min(axis=1)


rows = []
for seed in seeds:
    generator = np.random.default_rng(seed)
    (x, a), (y, b) = weighted(10 * seed), weighted(10 * seed + 1)
    everywhere, mass = np.concatenate([x, y]), (np.r_[a, np.zeros(15)], np.r_[np.zeros(15), b])
    best_prices = lipschitz_program(cost_matrix(everywhere, everywhere, p=1), *mass)
    w = distance((x, a), (y, b), 1)
    for _ in range(functions):
        count, blur = generator.integers(1, 31), generator.choice([0, 0.1])
        tips = generator.permutation(30)[:count]
        for kind, heights in (("random", 0 * best_prices), ("best", best_prices)):
            h = heights[tips] + (1 if kind == "random" else blur) * generator.standard_normal(count)
            difference = a @ cones(x, everywhere[tips], h) - b @ cones(y, everywhere[tips], h)
            rows.append((seed, kind, count, blur, difference - w, difference / w))
tried = pd.DataFrame(rows, columns=["seed", "heights", "cones", "blur", "excess", "share"])
ledger.record({"adversarial-lipschitz-value-below": tried.groupby("seed").excess.max()}, figure="cones")

# %%
figure, axes = figures.panels(2, height=3.0, width=4.2)
unblurred = tried[(tried.heights == "best") & (tried.blur == 0)]
shown = {"random heights": tried[tried.heights == "random"], "best heights": unblurred}
for ax, (title, table) in zip(axes, shown.items(), strict=True):
    middle = table.groupby("cones").share.quantile([0.05, 0.5, 0.95]).unstack()
    ax.fill_between(middle.index, middle[0.05], middle[0.95], color=figures.PALETTE[2], alpha=0.3, label="9 of 10")
    ax.plot(middle[0.5], color=figures.PALETTE[2], label="median")
    ax.axhline(1, color="black", linestyle="--", linewidth=1, label="W")
    ax.set(title=title, xlabel="number of cones", ylabel=r"$E_\pi f - E_p f$, as a share of W", ylim=(-1.05, 1.15))
axes[1].legend(fontsize="small", loc="lower right")
figures.save(
    figure,
    "cones",
    alt="Values of minima of cones as shares of W against their number. With random heights the median is near 0, and the band of nine "
    "in ten shrinks from +-0.95 for one cone to +-0.5 for thirty. With the heights of the best prices the values rise with the number of cones and reach the dashed line W at 30.",
    data=tried[["seed", "heights", "cones", "blur", "share"]],
    answers='wgan: slide "Wasserstein distance"',
)

# %% [markdown]
# **Reading the figure.** No function out of 6,000 is above $W$, but for rounding. Left, with random heights the
# value is anything, and as often negative; more cones do not help. Right, heights from the best prices: ten cones
# of thirty make nine tenths of $W$ in the median, and all thirty make $W$ exactly. So the dual is a search that can
# be stopped at any time, with a true statement in hand: "at least this much". The primal gives "at most this much"
# in the same way, by any plan.
#
# ## A network that looks for prices
#
# A *critic* is a network $f$ that is trained to make $E_\pi f - E_p f$ large, by batches of samples, while something
# holds its slope. The lecture's *gradient penalty* takes points $\hat x$ on segments between samples of the two
# distributions and subtracts $\lambda \, E (|\nabla f(\hat x)| - 1)^2$. We begin on the line, where the best $f$ is
# known. The distributions are samples of two mixtures of two normal distributions: $\pi$ has its modes at $\pm 1.5$,
# $p$ at $\pm 0.5$. The best price has a kink in the middle: bread goes outwards on both sides.
#
# At each record we take the value of the critic on all 500 points, raw, and divided by its largest slope on a fine
# grid. The second one is what the theorem is about: $f / \max |f'|$ is 1-Lipschitz on the interval that contains
# all points, so its value is at most $W$.


# %%
def two_modes(place, seed):
    """Return samples of two equal normal distributions of deviation 0.3, at -place and place."""
    generator = np.random.default_rng(seed)
    centres = generator.choice([-place, place], line_points)
    return (centres + 0.3 * generator.standard_normal(line_points))[:, None]


training = {"hidden": hidden, "batch": batch, "steps": steps, "learning_rate": learning_rate, "every": every}
kinds = [(penalty, False, seed) for seed in seeds] + [(penalty_line, True, seed) for seed in seeds]
fits, w = [], {}
for weight, free_below, seed in [*kinds, *((weight, True, seeds[0]) for weight in penalties)]:
    x, y = two_modes(1.5, 2 * seed), two_modes(0.5, 2 * seed + 1)
    w[seed] = wasserstein_on_line(x[:, 0], y[:, 0])
    places = np.linspace(min(x.min(), y.min()), max(x.max(), y.max()), 2001)[:, None]
    task = {"x": x, "y": y, "seed": seed, "penalty": weight, "one_sided": free_below, "training": training}
    fits.append({**task, "places": places, "fresh_x": x, "fresh_y": y})

# %% [markdown]
# And two normal clouds in the plane, a shift of 2 apart, so that $W = 2$: no plan is cheaper than the shift itself,
# since $f(x) = -x_1$ is a price that reaches it. Here the critic is trained on 1,000 points of each and its value
# and largest slope are measured on 10,000 *fresh* ones. All trainings at once:


# %%
def plane(seed, count, first):
    """Return samples of two normal clouds, with random numbers of their own for each `first`."""
    return [gaussian(count, 2, 10 * seed + first + k, shift=shift * k) for k in (0, 1)]


for seed in seeds:
    (x, y), (fresh_x, fresh_y) = plane(seed, plane_points, 0), plane(seed, fresh_points, 2)
    task = {"x": x, "y": y, "seed": seed, "penalty": penalty, "training": training}
    fits.append({**task, "places": np.concatenate([fresh_x, fresh_y]), "fresh_x": fresh_x, "fresh_y": fresh_y})
critics = compute.map(fit_lipschitz_critic, fits, label="critics")
results = [fit | critic for fit, critic in zip(fits, critics, strict=True)]
on_line, in_plane = results[: -len(seeds)], results[-len(seeds) :]
two_sided, one_sided = on_line[: len(seeds)], on_line[len(seeds) : 2 * len(seeds)]
named = [("one-sided", r) for r in one_sided] + [("lecture's", r) for r in two_sided]

# %%
below = [r["value"][-1] / r["slope"][-1] / w[r["seed"]] for r in one_sided]
ledger.record({"adversarial-critic-from-below": below}, figure="critic")

# %% [markdown]
# This is *not* the lecture's penalty. It is one-sided, $\lambda \, E \max(|\nabla f| - 1, 0)^2$: slopes below 1 are
# free, as in the theorem. Here is why:

# %%
figure, axes = figures.panels(3, height=3.2, width=4.0)
for r in one_sided:
    raw = r["value"] / w[r["seed"]]
    label = ("raw value", "over largest slope") if r is one_sided[0] else (None, None)
    axes[0].plot(r["at"], raw, color="gray", linewidth=1, label=label[0])
    axes[0].plot(r["at"], raw / r["slope"], color=figures.PALETTE[2], label=label[1])
axes[0].axhline(1, color="black", linestyle="--", linewidth=1, label="W")
axes[0].set(xlabel="steps", ylabel="value, as a share of W", ylim=(0.3, 1.15))
axes[0].legend(fontsize="small", loc="lower right")
for ax, group, title in zip(axes[1:], (one_sided, two_sided), ("one-sided penalty", "lecture's penalty"), strict=True):
    for r in group:
        ax.plot(r["places"], r["f"] - r["f"].mean(), color=figures.PALETTE[2], alpha=0.8)
    places, width = group[0]["places"][:, 0], np.diff(group[0]["places"][:2, 0])
    ahead = np.searchsorted(np.sort(group[0]["y"][:, 0]), places) - np.searchsorted(
        np.sort(group[0]["x"][:, 0]), places
    )
    steepest = np.cumsum(np.sign(ahead)) * width
    ax.plot(places, steepest - steepest.mean(), "k:", label="best, first seed")
    ax.set(title=title, xlabel="x (length)", ylabel="f (length)")
axes[1].legend(fontsize="small")
figures.save(
    figure,
    "critic",
    alt="Left, values of three critics as shares of W over 600 steps: raw they end just above 1, divided by the largest slope they climb "
    "towards 1 from below. Middle, with the one-sided penalty all three have the shape of the best price, a V. Right, with the lecture's "
    "penalty two have that shape as well, one of them with its left end bent down, and the third is a straight rising line.",
    data=pd.concat(
        pd.DataFrame({"penalty": name, "seed": r["seed"], "x": r["places"][::20, 0], "f": r["f"][::20]})
        for name, r in named
    ),
    answers='wgan: slide "Wasserstein distance"; slide "Wasserstein GAN with Gradient Penalty"',
)

# %%
rows = [(name, r["seed"], *(r["value"][-1] / [1, r["slope"][-1]] / w[r["seed"]])) for name, r in named]
pd.DataFrame(rows, columns=["penalty", "seed", "raw value over W", "divided by the largest slope"]).round(4)

# %% [markdown]
# **Reading the figure.** Left: the divided value climbs, with setbacks, to 98.8, 99.3 and 99.9% of $W$, from below.
# The raw value, grey, is above $W$ in the end. Middle: all three critics are the V that they should be. Right: with
# the lecture's penalty two of three are as well, but for the left end of one, which slopes the wrong way. The third
# is a straight line, whose value is 3% of $W$. It does not move any more, and the reason is the penalty. On the
# left half of the line its slope has the wrong sign. To get to $-1$ it would have to pass 0, the top of a hill
# between the two: $\lambda (0 - 1)^2 = 10$. On the line a slope cannot turn round, it can only go through zero. The
# theorem asks for slopes of *at most* 1; the lecture's penalty asks for *exactly* 1 and so puts a wall between two
# halves of the search. In the plane there is a way round: a gradient can turn. (Of the ten exploring seeds from 900
# to 909, five were caught on the line, with at most a fifth of $W$.)
#
# ### The bias, again
#
# A soft penalty lets the slope go above 1. In notebook 402, for two lines, we found that the raw value is $W + W^2 /
# (2 \lambda)$. Here are the numbers for other distributions, one critic for each $\lambda$, as shares of $W$:

# %%
rows = []
for r in [one_sided[0], *on_line[2 * len(seeds) :]]:
    best_value, raw, weight = w[r["seed"]], r["value"][-1], r["penalty"]
    inverted = weight * (np.sqrt(1 + 2 * raw / weight) - 1)  # of raw = W + W^2 / (2 lambda)
    shares = (raw / best_value, inverted / best_value, raw / r["slope"][-1] / best_value)
    rows.append((weight, 1 + best_value / (2 * weight), *shares))
columns = ["lambda", "formula", "raw value", "formula inverted", "over largest slope"]
pd.DataFrame(rows, columns=columns).set_index("lambda").sort_index().round(4)

# %% [markdown]
# The formula is nearly right, and always too small. If a 1-Lipschitz $f$ has the value $W$, then
# $(1 + W / 2 \lambda) f$ has this raw value at a penalty of at most $\lambda (W / 2 \lambda)^2$: that much can be
# had by scaling alone. A cleverer critic is steeper where segments are rare, and gets more. So one cannot take the
# bias away with the formula and call the rest a lower bound: "formula inverted" is above $W$ in all three rows.
# Only division by the largest slope leads to something certain. It does so at every $\lambda$, and at the price of
# about one per cent.
#
# ## Do samples suffice?
#
# The lecture says that one now needs samples and nothing else. For the shift in the plane, whose $W$ is 2, we compare
# four estimates: the critic, trained on 1,000 points and measured on 10,000 fresh ones, with and without division by
# its largest slope; exact transport between the 1,000 points; and the distance between the two means, of the fresh
# points. The last one is a lower bound of $W$ for any pair of distributions, as the means are those of linear prices,
# and for a shift it is all there is.

# %%
estimates = pd.DataFrame(
    {
        "critic over largest slope": [r["value"][-1] / r["slope"][-1] for r in in_plane],
        "critic, raw": [r["value"][-1] for r in in_plane],
        "exact transport": [wasserstein(r["x"], r["y"]) for r in in_plane],
        "distance of fresh means": [
            np.linalg.norm(np.subtract(r["fresh_x"].mean(0), r["fresh_y"].mean(0))) for r in in_plane
        ],
    },
    index=pd.Index(seeds, name="seed"),
)
ledger.record({"adversarial-critic-from-samples": (estimates["critic over largest slope"] / shift - 1).abs()})
estimates.round(3)

# %% [markdown]
# The critic reads 2.00, 1.95 and 1.91, on average 2.4% off, and so samples do suffice. (Its slope is looked at in
# 20,000 places and not everywhere. On the line the grid was so fine that this hardly matters; in the plane "from
# below" is likely and no more.) Its raw value is 11% too large; the formula says 10% at least. Exact transport
# between the 1,000 points has seen a tenth of the data and is as good: 2.7% off.
#
# **A simpler method wins.** Two means are 0.6% off, without any training. One has to know, though, that the
# distributions differ by a shift. For the two mixtures on the line, whose means are equal, the distance of means says
# 0.
#
# ## What a plan costs
#
# The lecture calls the infimum over all plans intractable, and goes on to the dual. A plan for $n$ points on either
# side has $n^2$ unknowns, and the program's time grows accordingly. We measure the general solver, the network
# simplex that is made for transport, and the formula on the line (on the first coordinates).

# %%
rows = []
for seed in seeds:
    for n in sizes:
        x, y = plane(seed, n, 4)
        length, first = cost_matrix(x, y, p=1), (x[:, 0], y[:, 0])
        calls = partial(plan_program, length), partial(optimal_value, length), partial(wasserstein_on_line, *first)
        rows.append((seed, n, *(seconds(call, repeats=repeats) for call in calls)))
times = pd.DataFrame(rows, columns=["seed", "n", "linear program", "network simplex", "quantile formula"])
ledger.record(
    {"adversarial-primal-cost-exponent": [exponent(t.n, t["linear program"]) for _, t in times.groupby("seed")]},
    figure="times",
)

# %%
figure, axes = figures.panels(1, height=3.2, width=5.0)
means = times.groupby("n").median().drop(columns="seed")
for name, marker in zip(means, "osv", strict=True):
    axes[0].loglog(means.index, means[name], marker + "-", label=name + (", on the line" if marker == "v" else ""))
axes[0].loglog(means.index, means["linear program"].iloc[0] * (means.index / means.index[0]) ** 2, "k:", label="$n^2$")
axes[0].set(xlabel="n, points of each distribution", ylabel="time (s)", xticks=sizes, xticklabels=sizes)
axes[0].xaxis.minorticks_off()
axes[0].legend(fontsize="x-small")
figures.save(
    figure,
    "times",
    alt="Time against the number of points on two logarithmic axes. The general linear program is slowest and grows faster than the square; "
    "the network simplex takes a small part of its time; the quantile formula on the line is far below both at 200 points.",
    data=times,
    answers='wgan: slide "Wasserstein distance"',
    timing=True,
)

# %% [markdown]
# **Reading the figure.** The time of the general program grows faster than $n^2$, the dotted line. But the conclusion
# "intractable" is too strong. A solver that knows what a plan is takes a small part of that time, less than a
# fiftieth at 200 points, and several thousand points are no problem for it (notebook 304). On the line, sorting will
# do. What is out of reach is the infimum over plans of two *distributions* with densities. There the dual is no
# easier: the best function is not in reach either.
#
# ## What we think
#
# The theorem is exact, and its two sides are not equally handy. A plan needs both distributions at once, point by
# point. A price needs them one after the other: two means. That is why a network can learn it from batches, and why a
# WGAN has a critic and no plan. The dual wins by its form and not by its speed.
#
# What the slides leave out is the word *soft*. With a penalty, the printed number is above $W$ and its bias depends
# on $W$ itself, so that a falling curve is flattered twice. With a largest slope beside it, it is worth something.
# And the penalty that everyone uses asks for more than the theorem, which on the line can be fatal.
#
# **Exercise.** Take away the wall: set `penalty = 0.1` for the lecture's penalty on the line. Do all critics find
# the V? What has become of the raw value? Below which $\lambda$ is a straight critic free? *Hint:* half of $W$ is
# earned on the left. With the slope $a$ there, the objective's part is about $-a W / 2 - \lambda (a - 1)^2 / 2$ for
# $a > 0$. When does it still rise, as $a$ falls to 0? (All three seeds find the V; the raw value is 6 $W$.)
#
# **Exercise.** `lipschitz_program` has a constraint for each pair of points. On the line, neighbours are enough.
# Why? Write it down with $N - 1$ constraints of either sign for `bins = 1000`, and compare with the quantile
# formula. *Hint:* a difference of $f$ over a long way is a sum of differences over short ones.
#
# **Exercise.** Find two distributions of the plane with equal means and $W = 1$. What does the critic say, and what
# the distance of means? *Hint:* one distribution in the middle, the other in two halves at either side of it.
#
# ## What differs from the source
#
# - The slides draw a plan and state the theorem; all distributions, programs, networks and timings are ours.
# - "From below" is measured with a one-sided penalty, which the lecture does not have, and after division by the
#   largest slope. The lecture's penalty stands beside it, with its failure on the line.
# - The slide's constant $K$ appears in two conventions; we keep $K = 1$.

# %%
Markdown(profiles.differences(run.notebook))
