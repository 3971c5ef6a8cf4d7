# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The curse of dimensionality
#
# [Script](305_curse_of_dimensionality.py) · [executed print](305_curse_of_dimensionality.ipynb) · [course map](../README.md)
#
# **Question.** What is left of optimal transport when points have fifty coordinates?
#
# **Source.** Feydy, *Computational optimal transport* (slides, 2024), "Remark 3: the curse of dimensionality". **Time
# on a laptop.** One minute.
#
# Everything in notebooks 301 to 304 happens on lines, in the plane and in space, where the talk's data live. Machine
# learning lives elsewhere: an image has thousands of coordinates, a feature vector some dozens. The same programs run
# there and return numbers. The source has one slide on what those numbers mean, in two columns. In low dimension
# distances are large and small, the objective has a marked minimum, nearly optimal plans are useful, and samples
# stand for their distribution. In high dimension all of this is false. We measure each clause, as a function of the dimension
# $D$, and ask at the end what one should do instead.

# %% tags=["parameters"]
seeds = [201, 202, 203, 204, 205]  # of the samples
few = 3  # how many of these seeds count for a claim about one dimension
dimensions = [2, 3, 5, 10, 20, 50]  # D
points = 1000  # N, of each sample
share = 0.05  # eps of nearly optimal plans, as a share of the mean cost of random ones
counts = [125, 250, 500, 1000]  # N, where its influence is asked for

# %%
import numpy as np
import pandas as pd
from IPython.display import Markdown
from scipy.stats import spearmanr

from shapeofloss import figures, ledger
from shapeofloss.distributions.clouds import gaussian
from shapeofloss.engine import compute, profiles, workspace
from shapeofloss.engine.measure import exponent
from shapeofloss.experiments.curse_of_dimensionality.dimension import (
    distances,
    nearly_optimal,
    objective,
    sample_distances,
)
from shapeofloss.transport.assignment.exact import cost_matrix, optimal_assignment

run = workspace.begin("305_curse_of_dimensionality")
figures.use_house_style()

# %% [markdown]
# ## Distances
#
# Take $N$ points from the standard normal distribution in $\mathbb{R}^D$. The squared distance of two of them is twice a sum
# of $D$ squares of normal numbers: its mean is $2D$, its standard deviation $2 \sqrt{2D}$. The *coefficient of
# variation* of the distance, standard deviation over mean, is therefore about $1 / \sqrt{2D}$. It is 0.1 at $D = 50$.

# %%
pairwise = {d: [distances(d, points, seed) for seed in seeds] for d in dimensions}
variation = {d: [np.std(r) / np.mean(r) for r in rows] for d, rows in pairwise.items()}
ratio = {d: [np.percentile(r, 99) / np.percentile(r, 1) for r in rows] for d, rows in pairwise.items()}
pd.DataFrame(
    {
        "coefficient of variation": {d: np.mean(v) for d, v in variation.items()},
        "1 / root of 2 D": {d: (2 * d) ** -0.5 for d in dimensions},
        "99th over 1st percentile": {d: np.mean(v) for d, v in ratio.items()},
    }
).rename_axis("D").round(3)

# %%
figure, axes = figures.panels(2, height=3.4, width=4.6)
bins = np.linspace(0, 3, 90)
heights = {}
for (d, (first, *_)), color in zip(pairwise.items(), figures.PALETTE, strict=False):
    heights[f"D = {d}"], _ = np.histogram(first / first.mean(), bins=bins, density=True)
    axes[0].stairs(heights[f"D = {d}"], bins, color=color, label=f"D = {d}")
axes[0].set(xlabel="distance over its mean", ylabel="density")
axes[0].legend(fontsize="small")
axes[1].loglog(dimensions, [np.mean(variation[d]) for d in dimensions], "o-", color=figures.PALETTE[0])
axes[1].loglog(dimensions, [(2 * d) ** -0.5 for d in dimensions], "k--", label=r"$1/\sqrt{2D}$")
axes[1].set(xlabel="dimension D", ylabel="coefficient of variation", xticks=dimensions, xticklabels=dimensions)
axes[1].minorticks_off()
axes[1].legend()
figures.save(
    figure,
    "distances",
    alt="Left, densities of the distance over its mean, broad for dimension 2 and narrower and narrower around 1 up to dimension 50. "
    "Right, the coefficient of variation falls along the line 1 over root 2 D.",
    data={"distance over mean": (bins[1:] + bins[:-1]) / 2, **heights},
    answers='transport: slide "Remark 3: the curse of dimensionality"',
)


# %% [markdown]
# **Reading the figure.** In the plane there are neighbours and strangers. In dimension 50 everybody is a stranger, at
# nearly one distance. This is also why the KD-tree of notebook 301 found nothing to leave out.


# %%
def ranks(values):
    """Return Spearman's correlation of the dimension with a value per dimension, one for each seed."""
    return [spearmanr(dimensions, [values[d][n] for d in dimensions]).statistic for n in range(len(seeds))]


low, high = dimensions[0], dimensions[-1]
ledger.record(
    {
        "transport-distances-concentrate": ranks(variation),
        "transport-distances-vary-in-low-dimension": ratio[low][:few],
        "transport-distances-barely-vary-in-high-dimension": variation[high][:few],
    },
    figure="distances",
)

# %% [markdown]
# ## The objective
#
# Let $x$ and $y$ be two samples of one distribution, $C_{ij} = \tfrac12 \lVert x_i - y_j \rVert^2$, and $\sigma$ a
# permutation, a plan for equal weights. If all distances are nearly equal, so are all plans. We call the cost of the
# best plan over the mean cost of random ones the *flatness*: near 0, the objective has a deep minimum; at 1 there
# would be nothing to optimise.
#
# And the plans themselves? A solver stops somewhere within some $\varepsilon$ of the optimum. Does it matter where?
# We take $\varepsilon$ = 5% of the mean cost of random plans, and draw two plans whose cost exceeds the optimum by
# just that. How to draw them needs thought. An auction with this $\varepsilon$ *may* be so far off, but ends much
# closer to the optimum, so two auctions would look alike for the wrong reason. Instead we add noise to the costs,
# solve exactly, and make the noise larger, by bisection, until the excess is $\varepsilon$. The *disagreement* of two
# plans is the mean distance between the two images of a point, over the mean distance of any two targets.

# %%
cases = {d: {"dimension": d} for d in dimensions}
measured = compute.grid(objective, cases, seeds, common={"count": points, "share": share}, label="pairs of samples")
results = pd.DataFrame({"dimension": d, **result} for d in dimensions for result in measured[d])
results = results.astype(float).astype({"dimension": int})
results.groupby("dimension")[["flatness", "from_optimum", "from_each_other", "excess"]].mean().round(3)


# %%
def by_dimension(column):
    """Return the values of a column, one list over the seeds for each dimension."""
    return {d: results[results.dimension == d][column].tolist() for d in dimensions}


flatness, apart = by_dimension("flatness"), by_dimension("from_each_other")
ledger.record(
    {
        "transport-objective-is-peaky-in-low-dimension": flatness[low][:few],
        "transport-objective-is-flat-in-high-dimension": flatness[high][:few],
        "transport-flatness-grows-with-dimension": ranks(flatness),
        "transport-eps-optimal-plans-are-useful-in-low-dimension": by_dimension("from_optimum")[low][:few],
        "transport-eps-optimal-plans-are-random-in-high-dimension": apart[high][:few],
        "transport-eps-optimal-plans-scatter-with-dimension": ranks(apart),
    },
    figure="plans",
)

# %%
figure, axes = figures.panels(3, height=3.3, width=3.5)
for column, color, label in (
    ("flatness", figures.PALETTE[0], "best over random cost"),
    ("from_optimum", figures.PALETTE[1], "5% plan and best plan: disagreement"),
    ("from_each_other", figures.PALETTE[2], "two 5% plans: disagreement"),
):
    axes[0].plot(dimensions, results.groupby("dimension")[column].mean(), "o-", color=color, label=label)
axes[0].set(xscale="log", xlabel="dimension D", ylim=(0, 1.45), xticks=dimensions, xticklabels=dimensions)
axes[0].minorticks_off()
axes[0].legend(fontsize="x-small", loc="upper left")
drawn = {}
for ax, d in zip(axes[1:], (low, high), strict=True):
    x, y = gaussian(points, d, 2 * seeds[0]), gaussian(points, d, 2 * seeds[0] + 1)
    cost = cost_matrix(x, y)
    plans = [optimal_assignment(cost), nearly_optimal(cost, share * cost.mean(), 1000 * seeds[0])]
    for plan, color, label in zip(plans, figures.PALETTE, ("best plan", "5% plan"), strict=False):
        ax.scatter(x[:, 0], y[plan, 0], s=4, linewidth=0, color=color, label=label)
        drawn |= {f"y, {label}, D = {d}": y[plan, 0]}
    drawn |= {f"x, D = {d}": x[:, 0]}
    ax.set(title=f"D = {d}", xlabel="first coordinate of $x_i$", ylabel=r"first coordinate of $y_{\sigma(i)}$")
    ax.legend(fontsize="x-small", loc="upper left")
figures.save(
    figure,
    "plans",
    alt="Left, flatness and disagreements rise with the dimension, from near 0 to above one half. Middle, in dimension 2 the first "
    "coordinates of points and images lie along the diagonal. Right, in dimension 50 they form a round cloud for both plans.",
    data=drawn,
    answers='transport: slide "Remark 3: the curse of dimensionality"',
)

# %% [markdown]
# **Reading the figure.** Both samples come from one distribution, so that an ideal plan moves nothing: each point's image is
# the point. In the plane (middle) the best plan is close to that, and the 5% plan is a blurred version of it. In
# dimension 50 the first coordinate of the image depends only weakly on that of the point, even for the *best* plan:
# what is optimal is not meaningful any more.
#
# The curves rise all the way, but more slowly than the slide's words. In the plane the best plan costs 0.9% of a
# random one, in dimension 50 it still costs only 58%: flatter, not flat. Two 5% plans disagree by 0.80 of what random
# plans do, not by all of it. And in the plane a 5% plan disagrees with the best one by 0.23, a little more than the
# 0.2 that we asked for. That last one is a hard test, though: in the plane, 5% of a random plan's cost is five times
# the *whole* optimal cost. The source's three statements stand as directions; the extremes would need a larger
# dimension, or a smaller $\varepsilon$.
#
# ## Samples and distributions
#
# Transport is mostly computed between samples, and meant between the distributions that they come from. The most basic test:
# two samples of *one* distribution. Its distance from itself is zero. Between samples, $W_2$ (here without the factor ½, $W_2^2 =
# 2\, \mathrm{OT}$) falls with $N$: as $N^{-1/D}$ in the long run for $D > 2$, and as $N^{-1/2}$ in the plane, up to
# logarithms.

# %%
small = compute.grid(sample_distances, cases, seeds, common={"counts": counts}, label="samples")
w2 = {d: [result["w2"] for result in small[d]] for d in dimensions}
slopes = {d: [exponent(counts, row) for row in w2[d]] for d in dimensions}
pd.DataFrame(
    {
        "slope": {d: np.mean(v) for d, v in slopes.items()},
        "spread": {d: np.std(v, ddof=1) for d, v in slopes.items()} if len(seeds) > 1 else 0.0,
        "-1 / D": {d: -1 / d for d in dimensions},
        "samples for half of W2": {d: f"{2 ** (-1 / np.mean(v)):.2g} times" for d, v in slopes.items()},
    }
).rename_axis("D").round(3)

# %% [markdown]
# Now two distributions whose distance is known. Move one of them by one standard deviation along one axis: the best map is
# that shift, and $\mathrm{OT} = \tfrac12 \cdot 1^2 = \tfrac12$ in every dimension. How far from ½ is transport
# between samples of 1,000 points? Beside it is a simpler statistic that answers the same question here: half the
# squared difference of the two means.

# %%
error, means = by_dimension("samples"), by_dimension("means")
ledger.record(
    {
        "transport-more-samples-help-less-in-high-dimension": ranks(slopes),
        "transport-samples-represent-the-law-in-low-dimension": error[low][:few],
        "transport-samples-miss-the-law-in-high-dimension": error[high][:few],
        "transport-sample-error-grows-with-dimension": ranks(error),
    },
    figure="samples",
)

# %%
figure, axes = figures.panels(2, height=3.4, width=4.6)
for (d, rows), color in zip(w2.items(), figures.PALETTE, strict=False):
    axes[0].loglog(counts, np.mean(rows, axis=0), "o-", color=color, label=f"D = {d}")
axes[0].set(
    xlabel="points in each sample, N",
    ylabel="$W_2$ between two samples of one distribution",
    xticks=counts,
    xticklabels=counts,
)
axes[0].minorticks_off()
axes[0].legend(fontsize="x-small", ncols=2)
for values, color, label in (
    (error, figures.PALETTE[0], "transport"),
    (means, figures.PALETTE[1], "difference of means"),
):
    axes[1].loglog(dimensions, [np.mean(values[d]) for d in dimensions], "o-", color=color, label=label)
axes[1].axhline(1, color="gray", linewidth=0.8, linestyle=":")
axes[1].set(
    xlabel="dimension D",
    ylabel="relative error of the value",
    xticks=dimensions,
    xticklabels=dimensions,
)
axes[1].minorticks_off()
axes[1].legend(fontsize="small")
figures.save(
    figure,
    "samples",
    alt="Left, the distance between two samples of one distribution falls with the number of points, steeply in dimension 2 and hardly at all "
    "in dimension 50. Right, the relative error of transport rises from a tenth to beyond fifty, that of the means stays low.",
    data={
        "dimension": dimensions,
        "error of transport": [np.mean(error[d]) for d in dimensions],
        "error of means": [np.mean(means[d]) for d in dimensions],
        **{f"W2 at N = {n}": [np.mean(w2[d], axis=0)[k] for d in dimensions] for k, n in enumerate(counts)},
    },
    answers='transport: slide "Remark 3: the curse of dimensionality"',
)

# %%
pd.DataFrame(
    {name: {d: np.mean(values[d]) for d in dimensions} for name, values in (("transport", error), ("means", means))}
).rename_axis("D").round(3)

# %% [markdown]
# **Reading the figure.** The left panel is the practical one. To halve the distance that is due to sampling alone
# takes 7 times as many points in the plane and 430 times as many in dimension 10; in dimension 50 it is hopeless.
# (From dimension 10 on the lines fall a little faster than $N^{-1/D}$; a thousand points are too few for the long run
# to have begun. In the plane they fall more slowly than $N^{-1/2}$, as the logarithms and the tails of the normal distribution
# want it.) In the right panel, transport between samples is within a tenth of the truth in the plane, off by a factor
# of five in dimension 10, and by a factor of 59 in dimension 50, where nearly all of what it measures is the distance
# of two samples of *any* distribution.
#
# **A simpler method wins.** The difference of the means answers this question within about a tenth in every
# dimension. It can because it has been told what to look for: a shift. Two distributions with the same mean are all one to it.
# Between these extremes lie the remedies in use: a Sinkhorn divergence with a large blur, which looks at coarse
# features and has the sampling error of a smooth statistic (notebook 303 shows what the blur does to the value);
# projections to lines, where transport is sorting; and features of low dimension, in which transport is computed
# then.
#
# ## Exercises
#
# 1. The distribution of the points here fills all dimensions. Put a two-dimensional normal distribution into $\mathbb{R}^{50}$ by a
#    random rotation and measure again. Which of the columns is about $D$, and which about the dimension of the
#    support?
# 2. Show that the coefficient of variation of $\lVert x - y \rVert$ tends to $1 / \sqrt{2D}$.
# 3. Debias by hand: subtract from the value between the shifted samples the mean of the values between two halves of
#    each. How far down does the error at $D = 50$ come?
#
# ## What differs from the source
#
# - The slide gives no numbers and no distribution. Normal ones are the friendliest case with a known answer; data that lie
#   near a surface have its dimension, not that of the space.
# - How nearly optimal plans are drawn is ours, as explained above.

# %%
Markdown(profiles.differences(run.notebook))
