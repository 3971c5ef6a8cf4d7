# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Diagrams as a yardstick
#
# [Script](206_persistence_as_a_yardstick.py) · [executed print](206_persistence_as_a_yardstick.ipynb) · [course map](../README.md)
#
# **Question.** What does the distance between persistence diagrams measure, and can directions stand in for it?
#
# **Source.** Dam et al., *Directional sign loss*, appendices 5.1 and 5.3, Algorithm 2; the claim of the abstract that
# the loss is a proxy for measures of topology. **Time on a laptop.** Five minutes after notebooks 202 to 205.
#
# The tables of this part have a column "diagram distance". It is the yardstick that topologists would use to say that
# one array has kept the valleys of another (those of minus the array are its hills, which no table of this part looks
# at). Here we take it apart: how a diagram is made, step by step, on the source's own example (which comes out
# differently); how two diagrams are compared, by the source's own steps (of which two are mended); what all of that
# costs; and then the claim that matters: does the directional sign loss (DSL) rank reconstructions as the yardstick
# does? At the end comes the source's recipe for the one number that DSL needs, its sharpness.

# %% tags=["parameters"]
seeds = [201, 202, 203]  # of random arrays and searches
trained = [201, 202, 203]  # of the models that notebooks 202 to 205 trained
sides = [64, 128, 256, 512]  # of the images whose cost is measured
volume = [8, 64, 64]  # shape for which diagrams of all dimensions are timed
repeats = 3  # of each timed call; the median counts
search_steps = 2000  # of Algorithm 2
search_batch = 16  # pairs per step
points = 2048  # of a wave
patch = 64  # side of a patch of a photograph
simulations = 100  # whose reconstructions are ranked
settle_batch = 256  # pairs for the mean whose steadiness is measured

# %%
import itertools
import math
import warnings
from functools import partial

import gudhi
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown
from scipy.ndimage import minimum_filter
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching
from scipy.stats import spearmanr

from shapeofloss import figures, ledger
from shapeofloss.datasets.photographs import NAMES, expanded, next_patches, patches
from shapeofloss.datasets.prices import minute_prices
from shapeofloss.datasets.shallow_water import snapshots
from shapeofloss.engine import compute, profiles, workspace
from shapeofloss.engine.measure import exponent, peak_of_arrays, seconds
from shapeofloss.experiments.persistence_as_a_yardstick.learned_sharpness import search
from shapeofloss.signloss import directional_sign_loss, exact_sign_mismatch
from shapeofloss.signloss.rate_distortion import measure_images
from shapeofloss.signloss.train_models import train_images, train_prices, train_water, train_waves
from shapeofloss.topology.diagrams import persistence_diagram, wasserstein
from shapeofloss.topology.union_find import by_assignment, completed_cost, diagram, hungarian, offsets, sweep

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it looks for a progress bar that we do not use
    from cripser import tcripser

run = workspace.begin("206_persistence_as_a_yardstick")
figures.use_house_style()
torch.set_num_threads(1)

# %% [markdown]
# ## The water rises
#
# Think of an array $f$ as land, and let $t$ be a threshold. The *sublevel set* $X_t = \{x : f(x) \le t\}$ is what
# lies at or below $t$: flood the land from below, and these are the places under water. As $t$ rises, ponds appear,
# at local minima, and grow until they meet. When two ponds meet, one of them is said to *die*: the one that appeared
# later (the *elder rule*). The *persistence diagram* of dimension 0 is the list of all ponds by their *birth* $b$ and
# *death* $d$, and $d - b$, how long a pond lives, says how deep the valley is below its lowest rim. The oldest pond
# never dies.
#
# Whether two places are neighbours is a choice. The source takes orthogonal *and* diagonal ones, $3^d - 1$ in $d$
# dimensions.

# %%
counted = [len(offsets(d)) for d in (1, 2, 3)]
ledger.record({"sign-loss-neighbour-count": max(abs(n - (3**d - 1)) for d, n in zip((1, 2, 3), counted))})

# %% [markdown]
# Sublevel sets only grow, so that a component once born stays until it meets an older one. The procedure visits the
# places in the order of their heights, and keeps the components in a *union-find* structure: every place points to
# another of its component, and in the end to the component's oldest place. `sweep` in the package is that procedure,
# and yields what happens at each place. We check it: nested sets, the same points as compiled libraries find, one
# birth for each local minimum, and exactly one component that never dies.

# %%
shapes = [(60,), (12, 15), (5, 6, 7)]
leaving, apart, odd, infinite = [], [], [], []
for seed in seeds:
    generator = np.random.default_rng(seed)
    arrays = [generator.standard_normal(shape) for shape in shapes]
    left = [
        np.sum((x <= low) & ~(x <= high)) for x in arrays for low, high in itertools.pairwise(np.sort(x, axis=None))
    ]
    leaving.append(sum(left))
    ours = [diagram(x) for x in arrays]
    compiled = [persistence_diagram(x) for x in arrays]
    finite = [(a[np.isfinite(a[:, 1])], b[np.isfinite(b[:, 1])]) for a, b in zip(ours, compiled)]
    apart.append(max(np.abs(a - b).max() if a.shape == b.shape else math.inf for a, b in finite))
    minima = [set(x[x == minimum_filter(x, size=3, mode="nearest")]) for x in arrays]
    births = [{event.height for event in sweep(x) if event.born} for x in arrays]
    odd.append(sum(len(a ^ b) for a, b in zip(minima, births)))
    infinite.append(max(abs(np.isinf(ponds[:, 1]).sum() - 1) for ponds in ours))
ledger.record(
    {
        "sign-loss-sublevel-sets-nested": leaving,
        "sign-loss-union-find-is-the-diagram": apart,
        "sign-loss-births-are-minima": odd,
        "sign-loss-one-infinite-point": infinite,
    }
)

# %% [markdown]
# ## The worked example, worked again
#
# The appendix takes an array of nine numbers through the procedure, and ends with five finite points: (1, 2), (1, 3),
# (1, 4), (1, 5) and (1, 6). Here is what the procedure does, with the appendix's own eight neighbours, and with four.

# %%
example = np.array([[1, 3, 2], [4, 1, 5], [2, 6, 3]])
figure, axes = plt.subplots(2, 5, figsize=(9.5, 4))
counts = []
for row, neighbours in zip(axes, ("all", "axes")):
    labels = np.zeros(example.shape, int)
    for ax, t in zip(row, (1, 2, 3, 4, 5)):
        inside = [event for event in sweep(example, neighbours=neighbours) if event.height <= t]
        ax.imshow(example <= t, cmap="Blues", vmin=0, vmax=1.6)
        for place, value in np.ndenumerate(example):
            ax.text(place[1], place[0], value, ha="center", va="center")
        ax.set(
            xticks=[],
            yticks=[],
            title=f"t = {t}: {inside[-1].components} component" + "s" * (inside[-1].components > 1),
        )
        ax.title.set_fontsize("small")
        counts.append((neighbours, t, inside[-1].components))
axes[0, 0].set_ylabel("8 neighbours")
axes[1, 0].set_ylabel("4 neighbours")
figures.save(
    figure,
    "worked_example",
    alt="The array of the appendix at thresholds 1 to 5, cells at or below the threshold shaded. With eight neighbours there is one "
    "component throughout. With four neighbours there are two, four, three, two and one.",
    data=pd.DataFrame(counts, columns=["neighbours", "threshold", "components"]),
    answers="sign loss: Appendix 5.1.2",
)

# %%
diagrams = {
    (kind, neighbours): diagram(sign * example, neighbours=neighbours)
    for kind, sign in (("sublevel", 1), ("superlevel", -1))
    for neighbours in ("all", "axes")
}
{key: ponds.tolist() for key, ponds in diagrams.items()}

# %% [markdown]
# With eight neighbours the two cells of value 1 touch at a corner, so that one pond is there at $t = 1$, not two;
# every later cell touches it, and there is no finite point at all. With four neighbours there are four finite points,
# of a total lifetime of 7. The printed list fits neither, nor the superlevel sets (where the water falls); in fact no
# list in which all five births are at 1 can be a diagram of an array with two cells of value 1, as every pond needs a
# minimum of its own.

# %%
finite = {key: ponds[np.isfinite(ponds[:, 1])] for key, ponds in diagrams.items()}
at_one = [event.components for event in sweep(example) if event.height <= 1][-1]
lifetimes = np.diff(finite["sublevel", "axes"], axis=1)
printed = {(1, 2), (1, 3), (1, 4), (1, 5), (1, 6)}
in_print = [
    len(printed & {tuple(sorted(abs(p) for p in point)) for point in ponds.tolist()}) for ponds in finite.values()
]
ledger.record(
    {
        "sign-loss-example-finite-points": len(finite["sublevel", "all"]),
        "sign-loss-example-components-at-1": at_one,
        "sign-loss-example-four-neighbours": lifetimes.sum(),
        "sign-loss-example-is-neither": max(in_print),
    },
    figure={
        "sign-loss-example-finite-points": "worked_example",
        "sign-loss-example-components-at-1": "worked_example",
        "sign-loss-example-four-neighbours": "worked_example",
    },
)

# %% [markdown]
# ## How far apart are two diagrams?
#
# Pair the points of one diagram with those of the other such that the pairs are near each other. Where that is
# impossible, because there are more points here than there, a point may be paired with the nearest point of the
# diagonal $b = d$: a pond that lives for no time is no pond. With Euclidean distances, the *Wasserstein distance* of
# order $p$ is
#
# $$W_p(D_1, D_2) = \Bigl(\min_\gamma \sum_{(x, y) \in \gamma} \lVert x - y \rVert^p\Bigr)^{1/p}$$
#
# over all such pairings $\gamma$, and for $p \to \infty$ it becomes the *bottleneck distance*, the longest pair in
# the best pairing. The source adds to each diagram the projections of the other's points onto the diagonal, makes a
# table of all distances, and solves the *assignment problem*. We do so, and ask an independent solver.


# %%
def random_diagram(generator, count):
    """Return that many points above the diagonal."""
    births = generator.uniform(0, 1, count)
    return np.stack([births, births + generator.exponential(0.5, count)], axis=1)


def bottleneck(cost):
    """Return the longest pair of the best pairing: the least length at which all points can be paired."""
    lengths = np.unique(cost)
    low, high = 0, len(lengths) - 1
    while low < high:
        middle = (low + high) // 2
        paired = maximum_bipartite_matching(csr_array(cost <= lengths[middle]))
        low, high = (low, middle) if np.all(paired >= 0) else (middle + 1, high)
    return lengths[low]


gaps, violations, doubled = [], [], []
for seed in seeds:
    worst = 0.0
    generator = np.random.default_rng(seed)
    pairs = [(random_diagram(generator, 20), random_diagram(generator, n)) for n in (15, 20, 30)]
    both = [(by_assignment(*pair, order=p), wasserstein(*pair, order=p)) for pair in pairs for p in (1, 2)]
    gaps.append(max(abs(assigned / solved - 1) for assigned, solved in both))
    cost = completed_cost(*pairs[0])
    limit, n = bottleneck(cost), len(cost)
    for p in (1, 2, 4, 8, 16, 32, 64):
        # what is longer cannot be in the best pairing; cut off, its power does not drown the others
        powers = np.minimum(cost / limit, 1.01 * n ** (1 / p)) ** p
        distance = powers[linear_sum_assignment(powers)].sum() ** (1 / p)
        worst = max(worst, 1 - distance, distance - n ** (1 / p))
    violations.append(worst)
    a, b = pairs[0]
    doubled.append(wasserstein(2 * a, 2 * b) / wasserstein(a, b))
ledger.record({"sign-loss-wasserstein-by-assignment": gaps, "sign-loss-bottleneck-limit": violations})

# %% [markdown]
# The steps as printed differ from the definition in two places. They charge pairs of two *projections*, which should
# be free; then $\{(0, 4)\}$ and $\{(1, 5)\}$ would be $2.83$ apart. And they add up distances instead of their $p$-th
# powers before the root is taken; then a diagram of doubled values would not be twice as far.

# %%
first, second = np.array([[0.0, 4.0]]), np.array([[1.0, 5.0]])
charged = completed_cost(first, second, free=False)
as_printed = min(charged[0, 0] + charged[1, 1], charged[0, 1] + charged[1, 0])
print(f"as printed {as_printed:.3f}, by the definition {by_assignment(first, second, order=1):.3f}")
ledger.record(
    {
        "sign-loss-diagonal-pairs-charged": by_assignment(first, second, order=1),
        "sign-loss-power-missing": doubled,
    }
)

# %% [markdown]
# ## What it costs
#
# The appendix counts steps and memory. Four of its counts can be checked without a clock, on the procedure itself.
#
# - The Hungarian algorithm, run serially, is said to take $n^2$ steps. That is the size of its table; a step of its
#   outer loop can take all of it. For costs $i \cdot j$, where it has to change its mind as often as it can, the
#   number of inner steps grows as

# %%
sizes = [16, 32, 64, 128]
solved = [hungarian(np.outer(range(1, n + 1), range(1, n + 1)))[1] for n in sizes]
ledger.record({"sign-loss-hungarian-cubic": exponent(sizes, solved)})

# %% [markdown]
# - The table of costs has $(n + m)^2$ entries, as the source says:

# %%
grown = [
    completed_cost(random_diagram(np.random.default_rng(0), n), random_diagram(np.random.default_rng(1), n)).size
    for n in sizes
]
ledger.record({"sign-loss-cost-matrix-size": abs(exponent(sizes, grown) - 2)})

# %% [markdown]
# - The complex of cells, edges, faces and cubes is said to need $m^d$ memory for $m$ points. A grid has only a few
#   cells per point, whatever $m$ is:

# %%
cubes = [8, 16, 32, 64]
cells = [gudhi.CubicalComplex(top_dimensional_cells=np.zeros((n, n, n))).num_simplices() for n in cubes]
ledger.record({"sign-loss-cells-of-a-grid": exponent(np.power(cubes, 3), cells)})

# %% [markdown]
# And with a clock: our readable procedure takes time and memory in proportion to the number of points.

# %%
times, memories = [], []
for seed in seeds:
    images = [np.random.default_rng(seed).standard_normal((n, n)) for n in sides]
    costs = [(seconds(partial(diagram, x), repeats=1), peak_of_arrays(partial(diagram, x))) for x in images]
    times.append(exponent(np.square(sides), [t for t, _ in costs]))
    memories.append(exponent(np.square(sides), [m for _, m in costs]))
ledger.record({"sign-loss-union-find-time": times, "sign-loss-union-find-memory": memories})

# %% [markdown]
# So three of the appendix's orders of growth are too high and one is too low. None of that matters for the paper's
# argument; but whoever plans a computation by them would give up too early on memory and too late on time.

# %% [markdown]
# Diagrams of higher dimension, of loops and hollows, are said to be impractically expensive. With one library, for
# one volume, all dimensions against dimension 0:

# %%
ratios = []
for seed in seeds:
    noise = np.random.default_rng(seed).standard_normal(volume)
    every, zero = (seconds(partial(tcripser.computePH, noise, maxdim=d), repeats=repeats) for d in (3, 0))
    ratios.append(every / zero)
ledger.record({"sign-loss-higher-diagrams-expensive": ratios})

# %% [markdown]
# About ten times: more, but a tenth of a second for a volume is hardly impractical with a library made for it. (The
# rule asks for a factor of ten; from run to run it is met or missed by a hair.)

# %% [markdown]
# ## Is DSL a proxy?
#
# The two see different things by construction. The diagram knows *heights* and not where; the directional sign loss
# knows *where* and, if its sharpness is large, no heights. An array and its double have all directions in common, and
# diagrams that are far apart:

# %%
smallest = []
for seed in seeds:
    x = np.random.default_rng(seed).standard_normal((3, 200)).cumsum(axis=1)
    assert exact_sign_mismatch(torch.from_numpy(x), torch.from_numpy(2 * x)).item() == 0
    each = []
    for row in x:
        ponds = persistence_diagram(row)
        lives = np.diff(ponds[np.isfinite(ponds[:, 1])], axis=1)
        each.append(wasserstein(ponds, persistence_diagram(2 * row)) / np.sqrt(np.mean(lives**2)))
    smallest.append(min(each))
ledger.record({"sign-loss-diagram-sees-values": smallest})

# %% [markdown]
# Still, among the reconstructions that one model makes, the two might agree on which are good. That is what a proxy
# has to do, and it is a matter of measuring. We take the models of notebooks 202 to 205 that were trained on the
# mixture, their reconstructions of hundreds of waves and windows of prices, and compute the rank correlation between
# the loss of each and the 2-Wasserstein distance of its diagram from the original's. (The paper says "proxy" and
# gives no number. The rule of the ledger, made beforehand, calls 0.7 a success and 0.3 a trend, on the lower side of
# three seeds.)


# %%
def numbers_of(notebook):
    """Return the numbers of another notebook at the present profile."""
    return profiles.load()[notebook].at(run.profile)


def picked(numbers, *names):
    return {name: numbers[name] for name in names}


def on_the_mixture(numbers, squared, directional):
    """Return loss and schedule of a training on the mixture."""
    schedule = picked(numbers, "batch", "steps", "learning_rate")
    loss = {"squared": squared, "directional": directional, "sharpness": numbers["sharpness"]}
    return {"loss": loss, "schedule": schedule}


waved, priced = numbers_of("202_waves"), numbers_of("203_stocks")
wet, pictured = numbers_of("205_shallow_water"), numbers_of("204_images")
wave_settings = {
    **picked(waved, "points", "examples"),
    **on_the_mixture(waved, 1.0, waved["weight"]),
    "network": picked(waved, "hidden", "latent"),
    "measured_at": waved["sharpness"],
}
price_settings = {
    **picked(priced, "length", "held_out", "examples"),
    **on_the_mixture(priced, 1.0, priced["weight"]),
    "network": picked(priced, "hidden", "latent"),
}

# %%
basin = {**picked(wet, "size", "frames", "every"), "step": wet["time_step"]}
seen, unseen = (
    compute.map(
        snapshots, [{**basin, "seed": offset + seed, "count": count} for seed in trained], label="sets of simulations"
    )
    for offset, count in ((0, wet["simulations"]), (20_000, simulations))
)
water_settings = {
    **on_the_mixture(wet, 0.5, 0.5),
    "network": picked(wet, "filters", "dropout"),
    "measured": 1,
}
water_settings["schedule"]["plateau"] = wet["plateau"]
wave_tasks = [{**wave_settings, "seed": seed} for seed in trained]
price_tasks = [{**price_settings, "seed": seed, "prices": minute_prices(seed)} for seed in trained]
water_tasks = [
    {**water_settings, "seed": seed, "heights": old["heights"], "unseen": new["heights"]}
    for seed, old, new in zip(trained, seen, unseen)
]
models = {
    "waves": (compute.map(train_waves, wave_tasks, label="trainings"), waved),
    "prices": (compute.map(train_prices, price_tasks, label="trainings"), priced),
    "water": (compute.map(train_water, water_tasks, label="trainings"), wet),
}


# %%
def by_example(result, sharpness, weight=None):
    """Return DSL, the mixture's loss and the diagram distance of each reconstruction; equal shares of means without a weight."""
    x, y = (torch.from_numpy(result[name]) for name in ("original", "reconstruction"))
    dsl = directional_sign_loss(y, x, sharpness=sharpness, reduction="none").numpy()
    squared = (x - y).square().flatten(1).sum(dim=1).numpy()
    distance = [
        wasserstein(persistence_diagram(a), persistence_diagram(b))
        for a, b in zip(x.double().numpy(), y.double().numpy())
    ]
    return pd.DataFrame(
        {
            "DSL": dsl,
            "mixture": squared + weight * dsl if weight else squared / x[0].numel() + dsl,
            "squared error": squared,
            "distance": distance,
        }
    )


image_settings = {
    **on_the_mixture(pictured, 0.5, 0.5),
    "network": picked(pictured, "channels", "latent"),
    "names": expanded(pictured["training"]),
    "side": pictured["side"],
    "weights": [pictured["weights"][0], pictured["weights"][-1]],
}
coders = compute.map(train_images, [{**image_settings, "seed": seed} for seed in trained], label="trainings")
crop_settings = {
    **picked(pictured, "weights", "sharpness"),
    "network": image_settings["network"],
    "names": expanded(pictured["held_out"]),
    "side": pictured["crop"],
    "count": pictured["crops"],
}
crops = compute.map(
    measure_images,
    [{**crop_settings, "seed": seed, "parameters": coder["parameters"]} for seed, coder in zip(trained, coders)],
    label="measurements",
)


def of_crops(result):
    """Return the same for crops of photographs at the lowest weight, whose grey diagrams are compared already."""
    x, y = (2 * torch.from_numpy(result[name]) for name in ("original", "reconstruction"))
    dsl = directional_sign_loss(y, x, sharpness=pictured["sharpness"], reduction="none").numpy()
    squared = (x - y).square().flatten(1).mean(dim=1).numpy()
    distance = result["persistence"][0]
    return pd.DataFrame({"DSL": dsl, "mixture": squared + dsl, "squared error": squared, "distance": distance})


frames = {
    name: [by_example(result, numbers["sharpness"], numbers.get("weight")) for result in results]
    for name, (results, numbers) in models.items()
}
frames["photographs"] = [of_crops(result) for result in crops]
correlations = {
    (name, loss): [float(spearmanr(frame[loss], frame.distance).statistic) for frame in by_seed]
    for name, by_seed in frames.items()
    for loss in ("DSL", "mixture", "squared error")
}
pd.DataFrame(correlations, index=trained).T.round(2).rename_axis("seed", axis=1)

# %% [markdown]
# The last line of each block is not the source's: it is the plain squared error.

# %%
ledger.record(
    {
        "sign-loss-proxy-dsl-waves": correlations["waves", "DSL"],
        "sign-loss-proxy-mixture-waves": correlations["waves", "mixture"],
        "sign-loss-proxy-dsl-stocks": correlations["prices", "DSL"],
        "sign-loss-proxy-mixture-stocks": correlations["prices", "mixture"],
        "sign-loss-proxy-dsl-water": correlations["water", "DSL"],
        "sign-loss-proxy-mixture-water": correlations["water", "mixture"],
        "sign-loss-proxy-dsl-images": correlations["photographs", "DSL"],
        "sign-loss-proxy-mixture-images": correlations["photographs", "mixture"],
    },
    figure="proxy",
)

# %%
figure, axes = plt.subplots(1, 4, figsize=(13, 3.2))
for ax, (name, by_seed) in zip(axes, frames.items()):
    for n, (seed, frame) in enumerate(zip(trained, by_seed)):
        ax.plot(frame.DSL, frame.distance, ".", markersize=3, color=figures.PALETTE[n], label=f"seed {seed}")
    ax.set(xlabel="DSL of a reconstruction", ylabel="2-Wasserstein distance" if ax is axes[0] else "", title=name)
axes[0].legend(fontsize="x-small", markerscale=3)
figures.save(
    figure,
    "proxy",
    alt="Diagram distance against DSL for the reconstructions of models trained on the mixture, one colour per seed. Waves: a different "
    "pattern for each seed. Prices: a cloud that rises. Water: clouds without direction. Photographs: clouds that rise steeply.",
    data=pd.concat(
        {(n, s): f for n, by_seed in frames.items() for s, f in zip(trained, by_seed)}, names=["data", "seed"]
    ).reset_index(),
)

# %% [markdown]
# **Reading table and figure.** For prices the source has a point: DSL ranks reconstructions as the diagrams do, with
# a correlation of 0.6 to 0.7, and the mixture a little better. But the *squared error* does so with 0.92. Whoever
# wants a cheap stand-in for the distance of diagrams of these data has had it all the time.
#
# For waves there is no rule: 0.65, 0.28 and −0.49 in three seeds. The picture shows why. The distance of a wave's
# diagram is governed by the heights of its one valley and of the fuzz, and DSL at $s = 32$ by the slopes; a small
# wave that fades has small slopes, and so a small DSL, whatever becomes of its valley. Small waves, small loss: what
# is measured is the size of the example as much as the quality of its reconstruction.
#
# For water there is no relation either, for DSL, mixture or squared error: one model rebuilds all basins about
# equally well, and the differences that are left are noise.
#
# And for photographs the source is right: 0.93 and more, in every seed, and better than the squared error (0.79 to
# 0.93). Crops differ in how much texture they have; where there is much, every reconstruction loses ponds, gets
# directions wrong, and has the larger loss. So the same remark holds as for waves, with the opposite outcome: what is
# ranked is, for a good part, how hard an example is.
#
# A proxy in the sense of *training* is another matter: a loss that lowers the distance on average (notebooks 202 to 205
# measure that) need not rank examples.

# %% [markdown]
# ## Algorithm 2: a sharpness from the data
#
# How sharp should the sign be? The source suggests: as sharp as makes DSL as large as the loss that it joins. Take
# pairs of unrelated examples, compute the mean squared error of each pair, which "tends to some value", and change
# $s$ by gradient descent until DSL of the pairs has that value. On photographs it finds $s = 9.6$.
#
# We search on patches of six photographs, scaled to $[-1, 1]$, and on waves, for 2,000 steps each. First: does the
# reference settle?

# %%
scatter = []
for seed in seeds:
    drawn = patches(list(NAMES), patch, seed)
    reference = []
    for _ in range(20):
        both = 2 * next_patches(drawn, 2 * settle_batch) - 1
        reference.append(float(torch.nn.functional.mse_loss(both[:settle_batch], both[settle_batch:])))
    scatter.append(np.std(reference) / np.mean(reference))
ledger.record({"sign-loss-algorithm-2-reference-settles": scatter})

# %%
kinds = {"photographs": {"data": "photographs", "size": patch}, "waves": {"data": "waves", "size": points}}
common = {"batch": search_batch, "start": 1.0, "steps": search_steps}
searches = compute.grid(search, kinds, seeds, common=common, label="searches")
pd.DataFrame(
    [
        (data, seed, float(s["value"]), str(s["reason"]), float(s["largest"]), float(np.mean(s["reference"])))
        for data, by_seed in searches.items()
        for seed, s in zip(seeds, by_seed)
    ],
    columns=["data", "seed", "sharpness", "end", "largest DSL", "reference"],
).round(3)

# %%
figure, axes = plt.subplots(1, 2, figsize=(8.6, 3.2))
for (data, by_seed), color in zip(searches.items(), figures.PALETTE):
    for s in by_seed:
        axes[0].plot(s["sharpness"], color=color, linewidth=0.8, label=data if s is by_seed[0] else None)
        smooth = [np.convolve(s[name], np.ones(50) / 50, mode="valid") for name in ("loss", "reference")]
        axes[1].plot(smooth[0], color=color, linewidth=0.8, label=f"DSL, {data}" if s is by_seed[0] else None)
        axes[1].plot(
            smooth[1],
            color=color,
            linewidth=0.8,
            linestyle=":",
            label=f"reference, {data}" if s is by_seed[0] else None,
        )
axes[0].axhline(9.6, color="gray", linestyle="--", linewidth=0.8)
axes[0].set(xlabel="step", ylabel="sharpness s", yscale="log")
axes[1].set(xlabel="step", ylabel="mean over 50 steps", ylim=(0, None))
for ax in axes:
    ax.legend(fontsize="x-small")
figures.save(
    figure,
    "search",
    alt="Algorithm 2 by step. Left, the sharpness: on photographs it levels off, on waves it rises without end; a dashed line at "
    "9.6. Right, DSL and its reference: they meet on photographs, and on waves DSL stays far below.",
    data=pd.DataFrame(
        {f"{data}_{seed}": s["sharpness"] for data, each in searches.items() for seed, s in zip(seeds, each)}
    ),
    answers="sign loss: Algorithm 2",
)

# %% [markdown]
# **Reading the figure.** On photographs the search levels off between 11.5 and 13, above the source's 9.6, but of its
# order: other photographs, whose neighbouring pixels differ by other amounts. It stays restless, since each step sees
# a few pairs only; whether a given window of fifty steps counts as converged is up to chance, as the table shows.
#
# On waves there is nothing to find. Two unrelated waves have a mean squared error of 1.8, and DSL hardly exceeds
# one, whatever the sharpness, as half of the directions agree by chance (its bound is two). The sharpness rises and
# rises; `find_sharpness` says beforehand that it will. The recipe balances two numbers whose units have nothing to
# do with each other (double the waves, and the squared error is four times as large, while DSL's bound stays). That
# a value comes out for photographs between −1 and 1 is a coincidence of their scale.


# %%
def gap(data):
    """Return the relative gap between DSL and its reference over the last 50 steps, by seed."""
    return [abs(np.mean(s["loss"][-50:]) / np.mean(s["reference"][-50:]) - 1) for s in searches[data]]


growth = [s["sharpness"][-1] / s["sharpness"][-len(s["sharpness"]) // 4] - 1 for s in searches["waves"]]
ledger.record(
    {
        "sign-loss-algorithm-2-sharpness": [float(s["value"]) for s in searches["photographs"]],
        "sign-loss-algorithm-2-closes-gap-photographs": gap("photographs"),
        "sign-loss-algorithm-2-closes-gap-waves": gap("waves"),
        "sign-loss-algorithm-2-sharpness-settles-waves": growth,
    },
    figure="search",
)

# %% [markdown]
# **Exercise.** Scale the waves by 0.5 before the search. Does it converge? To what? Explain the scale at which it
# begins to.
#
# ## What differs from the source

# %%
Markdown(profiles.differences(run.notebook))
