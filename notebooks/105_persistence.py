# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Hills and valleys, counted: persistence
#
# [Script](105_persistence.py) · [executed print](105_persistence.ipynb) · [course map](../README.md)
#
# **Question.** Does the topology of the loss around a minimum tell how well a network generalises?
#
# **Source.** Horoi et al., *Exploring the geometry and topology of neural network loss landscapes*, sections 2.2, 3.3 and
# 4.4, Fig. 3. **Time on a laptop.** Half an hour, nearly all of it the training and sampling of 108 networks.
#
# Take the points that jump and retrain has sampled around a minimum (`101_jump_and_retrain`), join neighbours to a graph,
# and let water rise in it: at level $t$ every point with a loss of at most $t$ is wet. Where the loss has several basins,
# several puddles appear, and merge later. *Persistent homology* keeps the books: when each puddle appears, and when it
# merges into an older one. The source adds up the squared differences of the two, over all puddles, and reports that this
# **total persistence** rises with the test loss: networks that generalise poorly stand in rugged surroundings.
#
# We build the bookkeeping on an example that fits on paper, check its theorems, and then ask 108 networks. After the source's
# protocol as written come its variants, and the controls that a sceptic would ask for.

# %% tags=["parameters"]
seed = 201  # of the initial weights, minibatches and shifts of all networks of the study
data = "digits"  # what the networks learn
train = 256  # training images
depths = [10, 16, 22]  # of the wide residual networks
widths = [1, 2]  # their widening factors
batches = [8, 32, 128]  # images per step
weight_decays = [0.0, 0.001, 0.005]  # added to the gradient, times the weights
base = 4  # channels before widening
epochs = 150  # of the first training
learning_rate = 0.1  # at the start; divided by ten at 50%, 75% and 92.5% of the epochs
jump_seeds = [0, 1, 2, 3]  # one random direction each
steps = [0.25, 0.5, 0.75, 1.0]  # how far to jump, in units of the direction
states = 40  # recorded per trajectory: the jump, then one per epoch of retraining
retrain_rate = 0.1  # learning rate of the retraining, constant
held_out = 256  # test images whose loss is recorded along the retraining
evaluated = 256  # training images whose loss is recorded
neighbours = 20  # of each point in the graph
other_neighbours = [10, 40]  # the same, in variants
knn = 5  # neighbours that set the width of PHATE's kernel
other_rate = 0.01  # a lower learning rate of the retraining, for a third of the networks
four_seeds = [202, 203]  # further initialisations of the four networks of Fig. 3A
iterations = 12  # of Lanczos' method, at the minima
probes = 4  # random vectors for the trace of the Hessian
directions_of_curvature = 8  # random directions along which the loss is bent
jump_iterations = 16  # of Lanczos' method, where jumps lead
permutations = 1000  # random pairings of persistence and test loss
together = 6  # networks that are trained in one task
device = "cpu"  # where networks are trained

# %%
import itertools
from contextlib import suppress
from dataclasses import replace

import matplotlib.pyplot as plt
import networkx as nx
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import Markdown
from scipy.spatial import procrustes
from scipy.stats import false_discovery_control, ortho_group

from shapeofloss import figures, ledger
from shapeofloss.engine import compute, profiles, workspace
from shapeofloss.errors import UserError
from shapeofloss.experiments.network_study import study
from shapeofloss.experiments.persistence.activity import HEADLINE, activity
from shapeofloss.experiments.persistence.correlation import permutation_share, rank_correlation
from shapeofloss.experiments.persistence.sublevels import betti_numbers, subgraph
from shapeofloss.landscape.curvature import curvature, curvature_at_jumps
from shapeofloss.landscape.minima import dataset
from shapeofloss.landscape.networks import Architecture, number_of_parameters
from shapeofloss.landscape.phate import phate_embedding, potential_distances
from shapeofloss.landscape.record import Record
from shapeofloss.topology.diagrams import total_persistence, wasserstein
from shapeofloss.topology.graphs import graph_persistence, neighbour_edges, points_of

run = workspace.begin("105_persistence")
figures.use_house_style()

# %% [markdown]
# ## An example on paper
#
# A graph has vertices $V$ and edges $E$; a function $f$ gives each vertex a height. The *sublevel graph* at level $t$ keeps the
# vertices with $f(v) \le t$, and the edges with both ends among them. Raise $t$, and it grows. Two numbers describe it at each
# level: $\beta_0$, its connected components, and $\beta_1$, its independent cycles.
#
# When an edge arrives, one of two things happens. Either it joins two components: then the *younger* one, whose lowest
# vertex is higher, dies, and is written down as a point (birth, death). Or it joins two vertices that were connected
# already: then it closes a cycle, which never dies, since a graph has no triangles to fill it with. That is all there is to
# compute: one pass over the sorted edges.

# %%
heights = np.array([0.0, 3.0, 1.0, 4.0, 2.0, 5.0])
edges = np.array([[0, 1], [1, 2], [2, 3], [3, 4], [4, 5], [0, 5]])
found = graph_persistence(heights, edges)
ring = nx.Graph(edges.tolist())
place = nx.circular_layout(ring)
figure, axes = plt.subplots(1, 4, figsize=(10.5, 2.9), width_ratios=[1, 1, 1, 1.15])
for ax, level in zip(axes, (2.0, 3.0, 5.0)):
    vertices, kept = subgraph(heights, edges, level)
    wet = [figures.PALETTE[0] if v else "white" for v in vertices]
    nx.draw_networkx_nodes(ring, place, nodelist=range(6), node_color=wet, edgecolors="gray", ax=ax)
    nx.draw_networkx_edges(ring, place, edgelist=edges[kept].tolist(), ax=ax, width=2)
    nx.draw_networkx_labels(ring, place, {n: f"{h:g}" for n, h in enumerate(heights)}, font_size=9, ax=ax)
    counts = betti_numbers(heights, edges, level)
    ax.set_title(rf"$t={level:g}$: $\beta_0={counts[0]}$, $\beta_1={counts[1]}$", fontsize=10)
    ax.margins(0.15)
    ax.axis("off")
axes[-1].plot([0, 5.6], [0, 5.6], color="black", linewidth=0.8)
lived = found.components[found.components[:, 0] < found.components[:, 1]]
axes[-1].scatter(*lived.T, color=figures.PALETTE[0], label="components", zorder=2)
axes[-1].scatter(found.essential, [5.5], marker="^", color=figures.PALETTE[0], label="never dies", zorder=2)
axes[-1].scatter(found.cycles, [5.5], marker="s", color=figures.PALETTE[1], label="cycle, never dies", zorder=2)
axes[-1].set(xlabel="birth", ylabel="death", yticks=[0, 2, 4, 5.5], yticklabels=["0", "2", "4", "∞"])
axes[-1].legend(fontsize="x-small", loc="lower right")
figures.save(
    figure,
    "example",
    alt="A ring of six vertices with heights 0, 3, 1, 4, 2, 5, wet up to levels 2, 3 and 5, with three, two and one component "
    "and at the last level one cycle; and its persistence diagram, with the points (1, 3) and (2, 4), a component born at 0 and a "
    "cycle born at 5 that never die.",
    data={"birth": found.components[:, 0], "death": found.components[:, 1]},
    answers="landscape: section 2.2",
)
found.components

# %% [markdown]
# **Reading the figure.** Three wells, at 0, 1 and 2. The passes between them are at 3 and 4, and the last edge, at 5,
# closes the ring. The well at 1 dies at 3, that at 2 dies at 4; the deepest never dies. The three points on the diagonal in
# the list above are vertices that join an older component in the moment that they appear; they live for no time, and add
# nothing.
#
# ## What the source relies on, on random graphs
#
# Section 2.2: the subgraphs are nested; Betti numbers do not depend on how the vertices are numbered; and *diagrams are
# robust*: if no height changes by more than $\delta$, no point of the diagram moves farther than $\delta$ (the *bottleneck
# distance* pairs the points of two diagrams, or drops them on the diagonal, so that the longest move is short). And Euler's
# identity holds at every level, $\beta_0 - \beta_1 = |V| - |E|$. We count $\beta_0$ and $\beta_1$ from the rank of a
# matrix, independently of the pass over edges.


# %%
def random_graph(generator):
    """Return the heights, with ties, and edges of a random graph with thirty vertices."""
    pairs = np.array([(i, j) for i in range(30) for j in range(i + 1, 30)])
    return generator.integers(0, 12, 30).astype(float), pairs[generator.random(len(pairs)) < 0.1]


graphs = [random_graph(np.random.default_rng(s)) for s in range(3)]
missing, changed, imbalance = [], [], []
for n, (values, links) in enumerate(graphs):
    levels = np.unique(values)
    parts = [np.concatenate(subgraph(values, links, level)) for level in levels]
    missing.append(sum(int((earlier & ~later).sum()) for earlier, later in itertools.pairwise(parts)))
    counts = np.array([betti_numbers(values, links, level) for level in levels])
    orders = [np.random.default_rng([n, k]).permutation(30) for k in range(5)]
    again = [[betti_numbers(values[np.argsort(o)], o[links], level) for level in levels] for o in orders]
    changed.append(np.abs(np.array(again) - counts).max(axis=(0, 1)))
    sizes = np.array([[part[:30].sum(), part[30:].sum()] for part in parts])
    imbalance.append(np.abs(counts[:, 0] - counts[:, 1] - sizes[:, 0] + sizes[:, 1]).max())
ledger.record(
    {
        "landscape-filtration-nested": missing,
        "landscape-betti-0-invariant": [change[0] for change in changed],
        "landscape-betti-1-invariant": [change[1] for change in changed],
        "landscape-euler": imbalance,
    }
)


# %%
def both(diagrams):
    """Return the diagrams of both dimensions, with what never dies dying at infinity."""
    endless = [
        np.column_stack([births, np.full(len(births), np.inf)]) for births in (diagrams.essential, diagrams.cycles)
    ]
    return [np.vstack([diagrams.components, endless[0]]), endless[1]]


bottleneck = {"order": np.inf, "ground": np.inf, "essential": "keep"}
shifts = [0.01, 0.1, 0.5]
moved = []
for n, (values, links) in enumerate(graphs):
    ratios = []
    for delta in shifts:
        other = values + np.random.default_rng([n, 7]).uniform(-delta, delta, len(values))
        before, after = (both(graph_persistence(v, links)) for v in (values, other))
        largest = max(wasserstein(a, b, **bottleneck) for a, b in zip(before, after))
        ratios.append(largest / np.abs(other - values).max())
    moved.append(max(ratios))
ledger.record({"landscape-persistence-stable": moved})

# %% [markdown]
# ## Total persistence, and what it is continuous in
#
# Section 3.3 sums up a diagram $D$ by
#
# $$ \mathrm{pers}(D) = \sum_{(c, d) \in D} |d - c|^2 , $$
#
# and says of it that rotations of the embedding do not change it, and that it "will change continuously" with the input.
# The first holds trivially, since the graph is made from distances. The second holds *for a fixed graph*: heights that move
# by $\delta$ move each lifetime by $2\delta$ at most, and so $|\Delta\,\mathrm{pers}| \le 2\delta\,(L + L')$ with $L$, $L'$
# the sums of lifetimes before and after. (Why? The points can be paired such that none moves farther than $\delta$, and
# $|a^2 - b^2| = |a - b|\,(a + b)$.)

# %%
drifts = []
for n, (values, links) in enumerate(graphs):
    ratios = []
    for delta in shifts:
        other = values + np.random.default_rng([n, 8]).uniform(-delta, delta, len(values))
        diagrams = [graph_persistence(v, links).components for v in (values, other)]
        totals = [total_persistence(d) for d in diagrams]
        lifetimes = sum(total_persistence(d, order=1) for d in diagrams)
        ratios.append(abs(totals[1] - totals[0]) / (2 * np.abs(other - values).max() * lifetimes))
    drifts.append(max(ratios))
ledger.record({"landscape-persistence-continuous": drifts})

# %% [markdown]
# But the graph is not fixed: it is made of nearest neighbours, and who is nearest can change at any moment. Four points on
# a line, each joined to its nearest one, at places $0$, $1 \mp 10^{-9}$, $2$, $2.9$ and with heights $0, 1, 1, 0$: a shift
# of the second point by a billionth makes or breaks the bridge between two wells.

# %%
totals = []
for second in (1 - 1e-9, 1 + 1e-9):
    line = np.array([0.0, second, 2.0, 2.9])
    links = neighbour_edges(abs(line[:, None] - line), neighbours=1)
    totals.append(total_persistence(graph_persistence([0, 1, 1, 0], links).components))
ledger.record({"landscape-neighbour-graph-jumps": abs(totals[1] - totals[0])})

# %% [markdown]
# ## 108 networks
#
# Three depths, two widths, three batch sizes, three weight decays, with and without augmentation: every combination is
# trained from the same initial weights (of its architecture), and sampled by jump and retrain: four directions, four step
# sizes, forty states, 640 points. Retraining goes on as section 3.1 says, "with the original optimizer": with the network's
# own batch size, weight decay and augmentation, at the learning rate with which the first training began. One call does it
# all, here, in a shell (`python -m shapeofloss study`), or on a cluster; what was computed before comes from the store.

# %%
levels = study.Levels(depths, widths, batches, weight_decays)
sampling = study.Sampling(retrain_rate, jump_seeds, steps, states, held_out=held_out)
options = {
    "training": study.Training(
        **{"data": data, "train": train, "base": base, "epochs": epochs, "learning_rate": learning_rate},
        **{"evaluated": evaluated, "together": together, "device": device},
    ),
    "samplings": ["jump_and_retrain"],
}
zoo = study.run(seed=seed, levels=levels, sampling=sampling, **options)
print(study.summary(zoo))
networks = pd.DataFrame(zoo.networks).assign(**zoo.optimum)
ledger.record({"landscape-zoo-size": abs(len(networks) - 108)})

# %%
networks[["train_loss", "test_loss", "train_accuracy", "test_accuracy"]].describe().loc[["min", "50%", "max"]].round(4)

# %%
networks.pivot_table("test_loss", ["depth", "width", "batch"], ["weight_decay", "augment"]).round(3)

# %% [markdown]
# Even the worst of them reads 86% of digits that it has not seen, the best 98%; the test losses differ by a factor of
# eight, which is what we need. All but a few have learned all their training digits. Augmentation helps most, then weight
# decay; and batches of 128 give the worst networks, since in the same number of epochs they take the fewest steps.
#
# ## Four networks, looked at
#
# Fig. 3A shows four WRN 16-2 with the same initial weights, "trained in different ways", which is not said further. Ours:
# with and without augmentation, without weight decay and with the strongest, all with batches of 32. The source has one of
# each; we have three initialisations.
#
# For each: cosine distances between the 640 points (`103_phate_beside_the_others` shows what PHATE does with them), the
# potential of PHATE's random walk, a graph that joins each point to the 20 nearest by *potential distance*, the Euclidean
# distance of two rows of the potential; and the training loss as height. What never dies is said to die at the largest
# loss.


# %%
def four(initialisation, directions, **more):
    """Run the four networks of Fig. 3A from an initialisation."""
    shape = ([16], [2]) if 16 in depths else (depths[:1], widths[:1])  # toy sizes have no WRN 16-2
    corners = study.Levels(*shape, batches[1:2], [weight_decays[0], weight_decays[-1]])
    sampled = replace(sampling, jump_seeds=directions)
    return study.run(seed=initialisation, levels=corners, sampling=sampled, **options, **more)


seeds = [seed, *four_seeds]
quartets = {s: four(s, jump_seeds) for s in seeds}
pictures, diagrams, tops, sorts = {}, {}, {}, {}
for s, quartet in quartets.items():
    sorts[s] = np.argsort(quartet.optimum["test_loss"])  # good ones first
    for n, sample in enumerate(quartet.samples["jump_and_retrain"]):
        record = Record.from_arrays(sample)
        pictures[s, n], walk = phate_embedding(record.cosine_distances(), knn=knn, seed=0)
        links = neighbour_edges(potential_distances(walk.potential), neighbours=neighbours)
        diagrams[s, n], tops[s, n] = graph_persistence(record.loss, links), record.loss.max()
pd.DataFrame(
    {s: quartets[s].optimum["test_loss"] for s in seeds}, index=map(study.name_of, quartets[seed].networks)
).round(3)

# %%
figure, axes = plt.subplots(2, 4, figsize=(11, 5.6))
rows = []
limits = (5e-5, 2 * max(tops[seed, n] for n in range(4)))
for (upper, lower), n in zip(axes.T, sorts[seed][::-1]):
    loss = quartets[seed].samples["jump_and_retrain"][n]["loss"]
    shown = upper.scatter(*pictures[seed, n].T, c=np.log10(loss), s=4, cmap="viridis", vmin=-3, vmax=0)
    net, quality = quartets[seed].networks[n], quartets[seed].optimum["test_loss"][n]
    upper.set_title(
        f"weight decay {net['weight_decay']:g}, {'shifted' if net['augment'] else 'plain'}\ntest loss {quality:.2f}",
        fontsize=9,
    )
    upper.set(xticks=[], yticks=[], xlabel="PHATE 1", ylabel="PHATE 2")
    lower.plot(limits, limits, color="black", linewidth=0.7)
    for dimension in (1, 0):
        points = points_of(diagrams[seed, n], dimension, top=tops[seed, n])
        points = points[points[:, 1] > points[:, 0]]  # the others live for no time
        lower.scatter(*points.T, s=6, color=figures.PALETTE[dimension], label=f"dimension {dimension}")
        rows.append(pd.DataFrame(points, columns=["birth", "death"]).assign(network=n, dimension=dimension))
    totals = [total_persistence(points_of(diagrams[seed, n], d, top=tops[seed, n])) for d in (0, 1)]
    lower.set_title(f"pers $D_0$ {totals[0]:.2f}, $D_1$ {totals[1]:,.0f} nats²", fontsize=8)
    lower.set(
        **{"xlim": limits, "ylim": limits, "xscale": "log", "yscale": "log"},
        xlabel="birth (training loss, nats)",
        ylabel="death (nats)",
    )
axes[1, 0].legend(fontsize="x-small", loc="lower right")
figure.colorbar(shown, ax=axes[0].tolist(), label="log10 of training loss", shrink=0.9)
figures.save(
    figure,
    "four_networks",
    alt="Above, PHATE pictures of samples around four networks, coloured by training loss, from the highest test loss to the lowest: "
    "four petals around a centre for the two without weight decay, two fans side by side for the two with it. Below, their diagrams on "
    "logarithmic axes: dimension 0 as a cloud above the diagonal, born at about 0.01 and dead by 0.4 nats, "
    "dimension 1 as a horizontal bar at the largest loss, from 5 nats on "
    "the left to 1 or 3 on the right.",
    data=pd.concat(rows),
    answers="landscape: Fig. 3A",
)


# %% [markdown]
# **Reading the figure.** From left to right the test loss falls. The pictures do look different: four petals, one for each
# direction, without weight decay, and two fans with it, in which two directions each run side by side. The diagrams, on
# logarithmic axes, hold a few dozen points in dimension 0: puddles that appear at about 0.01 nats and have merged by 0.3.
# The cycles form a bar on top, since all of them die at the largest loss by decree. There are thousands: a graph with
# twenty neighbours for each point is full of them. So what "total persistence of dimension 1" adds up is the square of the
# largest loss, some 6,500 times over; that loss is the height of one single jump point, and makes the numbers in the
# titles.
#
# The clauses, one by one, over three initialisations; "good" are the two of lower test loss, "poor" the two of higher.


# %%
def good_and_poor(values):
    """Return the means of the two good and the two poor networks for each initialisation, given values by network."""
    split = {s: np.array([values[s, n] for n in sorts[s]]) for s in seeds}
    return {"good": [split[s][:2].mean() for s in seeds], "poor": [split[s][2:].mean() for s in seeds]}


def high_points(dimension):
    """Count the points longer than half the longest lifetime of the four diagrams, dimensions apart."""
    lives = {key: np.ptp(points_of(d, dimension, top=tops[key]), axis=1) for key, d in diagrams.items()}
    longest = {s: max(lives[s, n].max(initial=0) for n in range(4)) for s in seeds}
    return {(s, n): int((life > longest[s] / 2).sum()) for (s, n), life in lives.items()}


ledger.record(
    {
        "landscape-poor-more-high-persistence-0": good_and_poor(high_points(0)),
        "landscape-poor-more-high-persistence-1": good_and_poor(high_points(1)),
    },
    figure="four_networks",
)


# %%
def median_birth(dimension):
    """Return the median birth of the points of a dimension, of those that live for some time."""
    births = {}
    for key, d in diagrams.items():
        points = points_of(d, dimension, top=tops[key])
        births[key] = np.median(points[points[:, 1] > points[:, 0], 0])
    return births


def total(dimension):
    """Return the total persistence of each diagram in a dimension."""
    return {key: total_persistence(points_of(d, dimension, top=tops[key])) for key, d in diagrams.items()}


ledger.record(
    {
        "landscape-good-later-features-0": good_and_poor(median_birth(0)),
        "landscape-good-later-features-1": good_and_poor(median_birth(1)),
        "landscape-poor-more-total-persistence-0": good_and_poor(total(0)),
        "landscape-poor-more-total-persistence-1": good_and_poor(total(1)),
    },
    figure="four_networks",
)

# %%
measures = {
    "high points 0": high_points(0),
    "high points 1": high_points(1),
    "median birth 0": median_birth(0),
    "median birth 1": median_birth(1),
    "total persistence 0": total(0),
    "total persistence 1": total(1),
}
pd.DataFrame({name: {k: np.round(v, 4) for k, v in good_and_poor(m).items()} for name, m in measures.items()}).T

# %% [markdown]
# And the pictures? "From the PHATE visualizations alone it is clear that the sampled manifold have different structures." They
# differ; but do they differ more between networks than between two samples of *one* network, along other directions? The
# *Procrustes disparity* is the squared distance that is left between two pictures, of total variance one each, after the best
# shift, rotation and scaling.

# %%
fresh = {s: four(s, [k + len(jump_seeds) for k in jump_seeds], only=[0, 3]) for s in seeds}
same, different = [], []
for s in seeds:
    again = [Record.from_arrays(sample) for sample in fresh[s].samples["jump_and_retrain"]]
    redrawn = [phate_embedding(record.cosine_distances(), knn=knn, seed=0)[0] for record in again]
    same.append(np.mean([procrustes(pictures[s, n], xy)[2] for n, xy in zip((0, 3), redrawn)]))
    pairs = [(a, b) for a in range(4) for b in range(a + 1, 4)]
    different.append(np.mean([procrustes(pictures[s, a], pictures[s, b])[2] for a, b in pairs]))
ledger.record(
    {"landscape-pictures-differ-by-network": {"same_network": same, "different_networks": different}},
    figure="four_networks",
)

# %% [markdown]
# The features of the good networks do *emerge later*, as the source says, in both dimensions and for all three
# initialisations: with weight decay and augmentation the training loss is higher all along the retraining, and with it the
# level at which anything can begin. But of "more topological activity" around the poor ones, nothing: in dimension 0 they
# have *less* total persistence, less than half, for every initialisation, and fewer high points. Dimension 1 has the
# source's order in the mean and not in each case; see above for what it measures.
#
# The pictures of different networks do differ more than two pictures of one network. This claim stands, though by the row of
# pictures it is weight decay that draws the difference, and not generalisation.
#
# One more property that section 3.3 names is tested on real data: total persistence does not change when an embedding is rotated.
# We rotate the rows of the potential in their 640 dimensions, and the picture in its two, and build the graphs anew.

# %%
record = Record.from_arrays(quartets[seed].samples["jump_and_retrain"][0])
xy, walk = phate_embedding(record.cosine_distances(), knn=knn, seed=0)


def of_points(points):
    """Return the total persistence of the loss on the graph of nearest points, in both dimensions."""
    links = neighbour_edges(potential_distances(points), neighbours=neighbours)
    turned = graph_persistence(record.loss, links)
    return np.array([total_persistence(points_of(turned, d, top=record.loss.max())) for d in (0, 1)])


changes = []
for s in range(3):
    turns = [ortho_group.rvs(points.shape[1], random_state=s) for points in (walk.potential, xy)]
    before, after = [
        np.array([of_points(p @ t) for p, t in zip((walk.potential, xy), ts)])
        for ts in ((np.eye(len(xy)), np.eye(2)), turns)
    ]
    changes.append(np.max(np.abs(after - before) / before.clip(min=1e-12)))
ledger.record({"landscape-persistence-rotation": changes})

# %% [markdown]
# ## All 108
#
# Total persistence of dimension 0 against the test loss at the minimum, as in Fig. 3B; the headline is the protocol of section
# 3.3 as written. Since only the order is asked for, we use Spearman's rank correlation $\rho$; its 95% interval is that of
# Fisher's transformation, and says what another zoo of this kind might have given.

# %%
common = {"neighbours": neighbours, "other_neighbours": other_neighbours, "knn": knn}


def activities(these):
    """Return the total persistence of each network of a study: a frame for each dimension, variants as columns."""
    tasks = [
        {**{k: np.asarray(v) for k, v in sample.items()}, **common} for sample in these.samples["jump_and_retrain"]
    ]
    results = compute.map(activity, tasks, label="total persistences")
    names = results[0]["variant"]
    return [pd.DataFrame([r["total"][:, d] for r in results], columns=names) for d in (0, 1)]


dimension = activities(zoo)
persistence, test_loss = dimension[0][HEADLINE].to_numpy(), networks.test_loss.to_numpy()
headline = rank_correlation(persistence, test_loss)
cycles = rank_correlation(dimension[1][HEADLINE], test_loss)
figure, axes = plt.subplots(1, 2, figsize=(9.4, 3.9), sharey=True)
colors = dict(zip(weight_decays, (figures.PALETTE[3], figures.PALETTE[1], figures.PALETTE[0])))
for ax, by, palette in zip(axes, ("weight_decay", "batch"), (colors, "viridis")):
    sns.scatterplot(
        networks.assign(persistence=persistence), x="test_loss", y="persistence", hue=by, palette=palette, s=26, ax=ax
    )
    ax.set(xlabel="test loss at the minimum (nats)", ylabel="total persistence, dimension 0 (nats²)", yscale="log")
    ax.legend(title=by.replace("_", " "), fontsize="small")
figures.save(
    figure,
    "persistence",
    alt="Total persistence of dimension 0, on a logarithmic axis from 0.001 to 10, against test loss at the minimum, for 108 networks, "
    "twice. Left, coloured by weight decay: the colours are mixed everywhere, with the lowest points without weight decay. Right, by batch "
    "size: 128 on top and to the right, 32 in the middle, 8 spread from top left to bottom right.",
    data=networks.assign(persistence_0=persistence, persistence_1=dimension[1][HEADLINE]),
    answers="landscape: Fig. 3B",
)
others = ["depth", "width", "batch", "augment"]
by_decay = networks.assign(persistence=persistence).sort_values(others).groupby("weight_decay").persistence
groups = dict(zip(("none", "medium", "strong"), (list(values) for _, values in by_decay)))
ledger.record(
    {
        "landscape-persistence-rises-with-test-loss": headline.value,
        "landscape-persistence-1-rises-with-test-loss": cycles.value,
        "landscape-strong-decay-lowest-persistence": groups,
        "landscape-no-decay-highest-persistence": groups,
    },
    figure="persistence",
    notes={
        "landscape-persistence-rises-with-test-loss": f"95% interval {headline.low:.2f} to {headline.high:.2f}.",
        "landscape-persistence-1-rises-with-test-loss": f"95% interval {cycles.low:.2f} to {cycles.high:.2f}.",
    },
)

# %%
by_decay.agg(["mean", "median", "std"]).round(4)

# %% [markdown]
# **Reading the figure.** Total persistence spans four orders of magnitude, and its rank correlation with the test
# loss is positive: *in trend* by our rule, with an interval that only just leaves out zero. The panel on the right
# shows what makes it. Networks trained with batches of 128 are the worst, and have the highest persistence; and
# *within* the two smaller batch sizes the points fall from left to right. The order of weight decays, on the left, is
# not the source's: no weight decay has the *lowest* median in this zoo, the strongest the highest, and pair by pair
# nothing is significant. (The ledger compares means. Over four orders of magnitude a mean is decided by a few
# networks, so that its row says "in trend" where the medians point the other way.)
#
# Why does the batch size set the height of the hills? Look at where the trajectories begin and end:

# %%
levels_of_loss = pd.DataFrame(
    [np.median(sample["loss"].reshape(-1, states), axis=0) for sample in zoo.samples["jump_and_retrain"]],
    columns=pd.RangeIndex(states, name="median loss after epoch"),
)
levels_of_loss.groupby(networks.batch).median()[[0, 1, states // 4, states - 1]].round(3)

# %% [markdown]
# The jumps from minima that were found with batches of 128 land at a loss almost four times as high as those with
# batches of 8, though they are equally long in units of the filters; later the trajectories of large batches even run
# lowest, since they are less noisy. So the hills, in nats, are as high as the loss where the trajectories come from.
# That is a kind of *sharpness*, at the distance of a jump, and it goes together with the curvature at the minimum
# itself, as we shall see.
#
# ## Which conclusions survive a change of protocol?
#
# The programs that the source released do something else than its section 3.3 says, in several ways: the height is the
# *test* loss; and each point is joined to the 20 entries of its row of the potential that are *largest*, which are the
# points that the random walk reaches least. Other choices are nobody's mistake, but have to be made: the power of the
# lifetimes, whether the component that never dies counts, how many neighbours, what an angle is measured at, and the loss
# or its logarithm. One row each.

# %%
rows = {}
for name in dimension[0]:
    for d in (0, 1):
        if dimension[d][name].nunique() > 1:
            rows[name, d] = rank_correlation(dimension[d][name], test_loss)
variants = pd.DataFrame(rows, index=["rho", "low", "high", "p"]).T
variants["corrected p"] = false_discovery_control(variants.p)
variants.round({"rho": 2, "low": 2, "high": 2, "p": 4, "corrected p": 4})


# %%
def variant(name):
    """Return the correlation of a variant in dimension 0; zero if it is the same for all networks."""
    return variants.rho.get((name, 0), 0.0)


counts = [HEADLINE, *(f"{k} neighbours" for k in other_neighbours)]
ledger.record(
    {
        "landscape-persistence-rises-log-loss": variant("logarithm of the loss"),
        "landscape-persistence-rises-test-filtration": variant("test loss"),
        "landscape-persistence-rises-released-graph": variant("released graph"),
        "landscape-persistence-rises-essential-counted": variant("components that never die, too"),
        "landscape-persistence-rises-order-one": variant("lifetimes not squared"),
        "landscape-persistence-rises-neighbours": min(variant(name) for name in counts),
    }
)

# %% [markdown]
# And the learning rate of the retraining, on a third of the networks that was fixed beforehand: a Latin square, in which every
# architecture meets every weight decay and both augmentations, and batch sizes are spread evenly.

# %%
third = study.balanced_third(zoo.networks)
at_other_rate = replace(sampling, retrain_rate=other_rate)
slower = study.run(seed=seed, levels=levels, sampling=at_other_rate, **options, only=third)
slow = activities(slower)
at_rates = pd.DataFrame(
    {
        (name, f"rate {rate}"): rank_correlation(values[name], test_loss[third])
        for name in (HEADLINE, "logarithm of the loss", "angles at the optimum", "angles at the optimum, logarithm")
        for rate, values in ((retrain_rate, dimension[0].iloc[third]), (other_rate, slow[0]))
    },
    index=["rho", "low", "high", "p"],
).T
ledger.record({"landscape-persistence-rises-retrain-rate": at_rates.loc[HEADLINE].rho.min()})

# %%
at_rates.round(2)

# %% [markdown]
# **Reading the tables.** The sign of the answer is a matter of protocol. With ten neighbours in place of twenty the
# correlation doubles, to 0.45; with forty it is −0.29, and so it is for the Vietoris-Rips complex of the picture. The
# released graph shows nothing ($\rho = 0.04$). At a tenth of the learning rate 0.30 becomes −0.36 on the same 36 networks.
# Angles at the optimum are less touchy, and so is the *logarithm* of the loss at the judged rate, which compares factors
# and not differences: its 0.41 comes nearest to the source's claim, but at the lower rate it has the wrong sign as well.
#
# Dimension 1 hardly moves, from 0.24 to 0.26 whatever graph or order we take. It need not: it is the largest loss of a jump
# point in disguise, raised to a power and multiplied by the number of edges.
#
# ## Is it more than chance, and is it topology?
#
# Chance first: how often does a random pairing of persistence and test loss reach the observed correlation?

# %%
ledger.record(
    {
        "landscape-persistence-rises-permutation": permutation_share(
            persistence, test_loss, permutations=permutations, seed=seed
        )
    }
)

# %% [markdown]
# Then the question behind: batch size, weight decay and augmentation act on both, the test loss *and* the noise of the
# retraining, and with it the hills that we see. The *partial* correlation takes out what a given property explains in both.
# A property with levels (such as the architecture) counts as a category, with a mean of its own for each level.

# %%
channels = dataset(data).channels
shapes = [Architecture(n.depth, n.width, base) for n in networks.itertuples()]
sizes = [number_of_parameters(shape.network(channels=channels)) for shape in shapes]
text = {name: networks[name].astype(str).to_numpy(dtype=str) for name in ("batch", "weight_decay", "augment")}
shape = np.array([f"{n.depth}-{n.width}" for n in networks.itertuples()])
given = {
    "nothing": [],
    "number of parameters": [np.array(sizes, float)],
    "architecture": [shape],
    "batch size": [text["batch"]],
    "weight decay": [text["weight_decay"]],
    "augmentation": [text["augment"]],
    "weight decay and augmentation": [text["weight_decay"], text["augment"]],
    "all of them": [shape, *text.values()],
    "training loss at the minimum": [networks.train_loss.to_numpy()],
}


def controlled(values):
    """Return the partial correlations of values with the test loss, given each set of properties."""
    found = {}
    for name, own in given.items():
        with suppress(UserError):  # toy sizes leave nothing to correlate
            found[name] = rank_correlation(values, test_loss, given=own)
    frame = pd.DataFrame(found, index=["rho", "low", "high", "p"]).T
    return frame.assign(**{"corrected p": false_discovery_control(frame.p)})


controls = controlled(persistence)
controls.round({"rho": 2, "low": 2, "high": 2, "p": 4, "corrected p": 4})

# %%
ledger.record(
    {
        "landscape-persistence-rises-given-size": controls.rho["number of parameters"],
        "landscape-persistence-rises-given-training": controls.rho["weight decay and augmentation"],
    }
)

# %% [markdown]
# The same for the variant that the loss's logarithm makes:

# %%
controlled(dimension[0]["logarithm of the loss"]).round({"rho": 2, "low": 2, "high": 2, "p": 4, "corrected p": 4})

# %% [markdown]
# **Reading the tables.** More than chance, yes: one permutation in a hundred and fifty does as well. But it is a balance of
# opposite effects. Given the batch size, the correlation is gone ($-0.11$, an interval around zero), as the figure told.
# Given weight decay and augmentation it *rises* to 0.67: augmentation makes networks better and hills higher at once, and
# hides what batch and architecture do in the other direction. Given all settings, 0.16 is left, with an interval that
# contains zero. With the logarithm the list is another, and its last line but one the same: 0.12.
#
# So total persistence does rise with the test loss, in the zoo as a whole; but within networks that were set up alike we
# see nothing that 108 of them could establish. And each row of the table, taken alone, would have made a headline.
#
# ## Flat and sharp
#
# Section 4.4 goes on: the persistence "further confirms the idea that good generalization optima are surrounded by
# relatively flat loss-landscape regions while bad generalization optima tend to be situated in regions with many
# non-convexities". Flatness can be measured directly. The *Hessian* $H$ is the matrix of second derivatives of the training
# loss, here on unshifted digits and without weight decay. We take, at each minimum, its largest eigenvalue $\lambda_1$
# (Lanczos' method, with exact products $Hv$ by automatic differentiation), its trace (Hutchinson: the mean of $z^\top H z$
# over random vectors of signs), and $v^\top H v$ along filter-normalised directions $v$, the mean of several. The last one
# is the fair one: rescaling a filter before a batch normalisation changes $H$, but not the network, and it changes $v$ to
# compensate.

# %%
bent = study.around(zoo, curvature, iterations=iterations, probes=probes, directions=directions_of_curvature)
at_jumps = study.around(
    zoo, curvature_at_jumps, places=third, seeds=jump_seeds[:2], steps=steps, iterations=jump_iterations
)
ratio = np.median(-at_jumps["smallest"] / at_jumps["largest"], axis=1)
curved = networks.assign(**bent, persistence=persistence).sort_values(["depth", "width", "batch"])
with_care = curved[(curved.weight_decay == weight_decays[-1]) & curved.augment]
without = curved[(curved.weight_decay == weight_decays[0]) & ~curved.augment]
ledger.record(
    {
        "landscape-good-minima-flat-eigenvalue": rank_correlation(bent["largest"], test_loss).value,
        "landscape-good-minima-flat-normalised": rank_correlation(bent["normalised"], test_loss).value,
        "landscape-bad-minima-non-convex": rank_correlation(ratio, test_loss[third]).value,
        "landscape-regularised-minima-flat": {"regularised": with_care.normalised, "unregularised": without.normalised},
    },
    figure={"landscape-bad-minima-non-convex": "flatness", "landscape-regularised-minima-flat": "flatness"},
)

# %%
figure, axes = plt.subplots(1, 3, figsize=(11, 3.6))
panels = [
    ("largest", "largest eigenvalue of the Hessian (nats)", curved),
    ("normalised", "second derivative along\nfilter-normalised directions (nats)", curved),
    (
        "ratio",
        "minus smallest over largest eigenvalue,\nmedian over jump points",
        networks.iloc[third].assign(ratio=ratio),
    ),
]
for ax, (column, label, frame) in zip(axes, panels):
    sns.scatterplot(
        frame,
        x="test_loss",
        y=column,
        hue="weight_decay",
        style="augment",
        palette=colors,
        s=28,
        ax=ax,
        legend=ax is axes[0],
    )
    ax.set(xlabel="test loss at the minimum (nats)", ylabel=label)
    if column != "ratio":
        ax.set_yscale("log")
axes[0].legend(fontsize="x-small")
figures.save(
    figure,
    "flatness",
    alt="Three scatter plots against test loss at the minimum, coloured by weight decay, crosses for augmentation. Left and middle, largest "
    "eigenvalue and second derivative along filter-normalised directions on logarithmic axes: the cloud as a whole has no trend, but "
    "the points of one colour and marker rise with the test loss. Lowest, by factors of ten to a thousand, are the networks without "
    "weight decay and augmentation, highest those with. Right, ratio of smallest to largest "
    "eigenvalue at jump points of 36 networks, between 0.05 and 0.42, rising slightly.",
    data=curved,
    answers="landscape: section 4.4",
)

# %%
flat = {
    name: rank_correlation(values, test_loss)
    for name, values in {
        "largest eigenvalue": bent["largest"],
        "trace": bent["trace"],
        "along filter-normalised directions": bent["normalised"],
        "training loss at the minimum": networks.train_loss,
        "total persistence, dimension 0": persistence,
        "total persistence, logarithm": dimension[0]["logarithm of the loss"],
    }.items()
}
pd.DataFrame(flat, index=["rho", "low", "high", "p"]).T.round({"rho": 2, "low": 2, "high": 2, "p": 4})

# %% [markdown]
# **Reading the figure.** Taken over the whole zoo, flatness and test loss have nothing to do with each other, by any
# of the three measures ($\rho$ between $-0.05$ and $0.02$). But look at one colour and one marker at a time: there
# the points rise. How the networks were trained hides what happens among networks that were trained alike. This is
# *Simpson's paradox*, and the question of the section before has to be asked here, too: given weight decay and
# augmentation, the partial correlation with the test loss is 0.63 for the largest eigenvalue, 0.61 for the trace and
# 0.65 for the filter-normalised curvature, as high as the 0.67 of total persistence; given all settings it is about
# 0.2, as little as that of persistence. (`figures/105_persistence/flatness.csv` and `rank_correlation` give these
# numbers in a second; try it.) the minima found *with* regularisation are the sharp ones, in all 18 pairs, by a
# factor of about 25 on average. The left half of the figure shows why. Without weight decay and augmentation a
# network drives its training loss down to $10^{-4}$ and below, and where the loss is that small for each image, the
# cross-entropy is flat: its second derivative goes with $p(1 - p)$, where $p$ is the probability that the network
# gives to the right digit, and $p$ is one. Such a minimum is flat because it is far out, not because it is good.
#
# What rises with the test loss, in trend, is the most negative eigenvalue at the jump points in units of the largest
# one: "many non-convexities" around the bad minima. And total persistence is a stand-in for flatness: its rank
# correlation with the filter-normalised curvature is 0.77 over the zoo, and 0.52 given all settings. So the source's
# paragraph holds among networks that were trained alike, its two halves are nearly one finding, and over a zoo of
# mixed training both drown.
#
# **What we think.** There is a weak relation of topology and generalisation in these data, as the source reports; it is
# carried by how the networks were trained. With all settings held fixed it cannot be told from zero. And it depends, up
# to its sign, on choices that could as well have been others, such as the number of neighbours, which the source sets to 20
# without a reason. A claim of this kind needs its variants printed beside it.
#
# **Exercise.** Raise the water in the other direction: use minus the loss as height. What does the diagram of dimension 0 count
# then?
#
# **Exercise.** The graph decides. Replace the potential distance by the plain cosine distance (`record.cosine_distances()`), and
# see which rows of the table of variants move.
#
# ## What differs from the source
#
# Beyond the numbers below: batch normalisation uses the statistics of all training digits whenever a loss is recorded, where
# the released code uses running averages; the test loss along the retraining is normalised by the test digits' own
# statistics.

# %%
Markdown(profiles.differences(run.notebook))
