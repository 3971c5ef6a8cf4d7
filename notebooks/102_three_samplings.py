# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Three ways to sample a landscape
#
# [Script](102_three_samplings.py) · [executed print](102_three_samplings.ipynb) · [course map](../README.md)
#
# **Question.** What does each way of sampling show of the same minimum?
#
# **Source.** Horoi et al., *Exploring the geometry and topology of neural network loss landscapes*, sections 1, 3.1,
# 3.2, 4.2 and 4.3, Fig. 2 a to c. **Time on a laptop.** Three minutes.
#
# A network's training loss $f(\theta)$ is a landscape over all its weights $\theta$, in tens of thousands of
# dimensions. Nobody can look at all of it, so whoever wants to see the surroundings of a minimum $\theta_o$ has to
# choose where to evaluate $f$. The source compares three choices, 640 points each:
#
# - a **grid** on three random directions, which stands for the slices that others have drawn;
# - **naive** sampling: a few steps along each of many random directions;
# - **jump and retrain**: a few steps along few directions, and from each of them the path that training takes.
#
# It finds the first two rigid and the third informative, draws three pictures to show it (Fig. 2 a to c), and calls
# the third an approximation of something that mathematicians know well, the *Morse-Smale complex* of $f$. We draw the
# slices and the pictures, put numbers to what they are said to show, and then go where the complex can be computed:
# to losses of two parameters.

# %% tags=["parameters"]
seed = 101  # of the first network of each kind, and of the random toy loss; the next networks count up
networks = 3  # of each kind
train = 256  # training images
depth = 16  # of the wide residual networks
width = 2  # their widening factor
base = 4  # channels before widening
epochs = 150  # of the first training
batch = 32  # images per step
learning_rate = 0.1  # at the start; divided by ten at 50%, 75% and 92.5% of the epochs
weight_decay = 0.001  # of the regularised networks, added to the gradient, times the weights
lines = 10  # random directions for one-dimensional slices
line_points = 41  # along each, from -1 to 1
plane_points = 41  # along each side of the two-dimensional slice
counts = [8, 8, 10]  # points along the axes of the grid; even, so that the optimum is none of them
reach = 1.0  # the grid spans [-reach, reach] along each axis, in units of the direction
directions = 160  # of naive sampling
jump_seeds = [0, 1, 2, 3]  # of jump and retrain: one random direction each
steps = [0.25, 0.5, 0.75, 1.0]  # how far to go along a direction: naive points and jumps
states = 40  # per trajectory: the jump, then one per epoch of retraining
retrain_rate = 0.05  # learning rate of the retraining, constant
neighbours = 5  # of each point in PHATE's random walk
nearest = 10  # neighbours in a picture that predict a point's loss
toy_points = 2000  # random points that test the cells of a toy loss
toy_pixels = 600  # along each side, to cut the plane into cells
toy_jumps = 100  # random directions to jump along
toy_length = 2.0  # of a jump of step 1
toy_batches = 8  # steps of descent per epoch
toy_rate = 0.01  # learning rate
toy_momentum = 0.9  # share of the last move that is kept
toy_noise = 1.0  # standard deviation of the noise on each component of the gradient
toy_rates = [0.01, 0.03, 0.1]  # rate / (1 - momentum), beyond the judged protocol

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown
from matplotlib.colors import BoundaryNorm, ListedColormap
from scipy.spatial import procrustes
from sklearn.metrics import adjusted_rand_score

from shapeofloss import figures, ledger
from shapeofloss.datasets.digits import load_digits
from shapeofloss.engine import compute, profiles, workspace
from shapeofloss.experiments.three_samplings.morse_smale import (
    critical_points,
    maximum_above,
    minimum_below,
    pixel_of,
    regions,
    retrained_jumps,
    separatrices,
)
from shapeofloss.experiments.three_samplings.toy_losses import gaussian_hills, himmelblau, tilted_cosines
from shapeofloss.landscape.directions import direction_of
from shapeofloss.landscape.minima import PROBES, sample_minimum, train_minima
from shapeofloss.landscape.networks import Architecture
from shapeofloss.landscape.parameters import flatten, load_parameters
from shapeofloss.landscape.projections import draw
from shapeofloss.landscape.record import Record
from shapeofloss.landscape.training import evaluate

run = workspace.begin("102_three_samplings")
figures.use_house_style()

# %% [markdown]
# ## Two kinds of minima
#
# The networks are those of notebook 101: small wide residual networks that learn a few hundred handwritten digits.
# Three of them are *regularised*: weight decay pulls every weight towards zero, and each digit is shifted a little
# whenever it is shown. Three others start from the same weights and are trained without either. The second kind is
# there for a question that comes up below: does a picture of the surroundings depend on which network is in the
# middle?

# %%
shape = {"depth": depth, "width": width, "base": base}
images = {"train": train}
first = {"epochs": epochs, "batch": batch, "learning_rate": learning_rate}
seeds = [seed + n for n in range(networks)]
kinds = {
    "regularised": {"weight_decay": weight_decay, "augment": True},
    "unregularised": {"weight_decay": 0.0, "augment": False},
}
settings = [
    {"architecture": shape, "images": images, **first, "networks": [{"seed": s, **kind} for s in seeds]}
    for kind in kinds.values()
]
trained = dict(zip(kinds, compute.map(train_minima, settings, label="trainings")))
quality = ["train_loss", "train_accuracy", "test_loss", "test_accuracy"]
pd.concat(
    {kind: pd.DataFrame({name: found[name] for name in quality}, index=seeds) for kind, found in trained.items()},
    names=["kind", "seed"],
).round(5)

# %% [markdown]
# ## All samples in one go
#
# Every direction here is random and *filter-normalised*, as Li et al. proposed and the source does too (notebook 101):
# each filter of $v$ is noise, rescaled to the length of the network's own filter, so that a step of 1 changes every
# filter by its own length; biases and the parameters of batch normalisation stay. Write $v_0, v_1, \dots$ for such
# directions. Then the three samplings are, 640 points each, the optimum not among them:
#
# - **Grid:** $\theta_o + a\,v_0 + b\,v_1 + c\,v_2$, with 8 values of $a$, 8 of $b$ and 10 of $c$, equally spaced from
#   $-1$ to $1$. (The source states neither counts nor range. $8\cdot 8\cdot 10$ is a way to make 640, and even counts
#   leave out the optimum.)
# - **Naive:** $\theta_o + c\,v_k$ for 160 directions and four steps $c$, those of the jumps.
# - **Jump and retrain:** jumps along four directions by four steps, and from each of the 16 a path of 40 states.
#
# To these come slices along a line and in a plane. Grid and naive samples of the first network are taken three times,
# with new directions. `compute.map` works off the whole list and keeps each result.

# %%
through = np.linspace(-1, 1, line_points)
line = {"sampling": "naive", "seeds": list(range(lines)), "steps": through.tolist()}
plane = {"sampling": "plane", "seeds": list(PROBES[:1]), "counts": [plane_points] * 2, "reach": 1.0}
grids = [{"sampling": "grid", "seeds": [n], "counts": counts, "reach": reach} for n in range(3)]
blocks = [list(range(n * directions, (n + 1) * directions)) for n in range(3)]
naives = [{"sampling": "naive", "seeds": block, "steps": steps} for block in blocks]
retraining = {"sampling": "jump_and_retrain", "seeds": jump_seeds, "steps": steps, "epochs": states}
retraining |= {"learning_rate": retrain_rate, "batch": batch}

wanted = {}
for kind, training in kinds.items():
    for n in range(networks):
        wanted[kind, n, "jump_and_retrain"] = {**retraining, **training}
        wanted[kind, n, "grid"], wanted[kind, n, "naive"] = grids[0], naives[0]
    wanted[kind, 0, "lines"] = line
wanted["regularised", 0, "plane"] = plane
for n in (1, 2):
    wanted["regularised", 0, f"grid {n}"], wanted["regularised", 0, f"naive {n}"] = grids[n], naives[n]
tasks = [
    {"architecture": shape, "images": images, **sampling, "parameters": trained[kind]["parameters"][n]}
    for (kind, n, _), sampling in wanted.items()
]
results = dict(zip(wanted, compute.map(sample_minimum, tasks, label="samples")))
records = {which: Record.from_arrays(result) for which, result in results.items()}
print(f"{len(records)} samples with {sum(len(record.loss) for record in records.values()):,} points")

# %% [markdown]
# ## What came before: slices
#
# The oldest picture is the loss along a straight line: choose a direction $v$ and draw $f(\theta_o + c\,v)$ over the
# step $c$. One direction shows one line of many, so we take several random ones.

# %%
curves = {kind: records[kind, 0, "lines"].loss.reshape(lines, line_points) for kind in kinds}
figure, (axes,) = figures.panels(1, width=6, height=3.6)
for color, (kind, losses) in zip(figures.PALETTE, curves.items()):
    axes.semilogy(through, losses.T, color=color, linewidth=0.6, alpha=0.5)
    axes.semilogy(through, np.median(losses, axis=0), color=color, linewidth=2.4, label=kind)
axes.set(xlabel="step along a random direction", ylabel="training loss (nats)")
axes.legend(title=f"median of {lines} directions")
figures.save(
    figure,
    "lines",
    alt="Training loss on a logarithmic axis along random straight lines through two minima, over the step from minus one "
    "to one. For both networks thin lines for single directions scatter around a thick median, which falls from a few nats "
    "at the ends to a round hole at step zero; that of the unregularised network is deeper.",
    data={"step": through} | {f"{kind}_{s}": losses[s] for kind, losses in curves.items() for s in range(lines)},
)

# %% [markdown]
# **Reading the figure.** Thin lines are single directions, thick ones the median at each step. Every curve is a hole
# with walls, and nothing else. The bottom of the unregularised network lies lower by a factor of thirty, since nothing held
# its training back; beyond half a step the two can hardly be told apart. How much do directions differ?

# %%
half = np.argmin(np.abs(through - 0.5))
for kind, losses in curves.items():
    low, middle, high = np.quantile(losses[:, half], [0, 0.5, 1])
    print(f"{kind}: loss at step {through[half]:.2f}: median {middle:.3f}, from {low:.3f} to {high:.3f}")

# %% [markdown]
# Two directions make a plane, and the most popular picture of a loss.

# %%
plane = records["regularised", 0, "plane"]
side = np.linspace(-1, 1, plane_points)
height = np.log10(plane.loss).reshape(plane_points, plane_points)  # first direction, second direction
figure = plt.figure(figsize=(9, 3.9))
flat = figure.add_subplot(1, 2, 1)
shown = flat.contourf(side, side, height.T, levels=20, cmap=figures.FIELD)
flat.plot(0, 0, "o", color="white", markeredgecolor="black", label="the minimum")
flat.set(xlabel="step along direction 1", ylabel="step along direction 2", aspect="equal")
flat.legend(loc="upper right", frameon=True)
figure.colorbar(shown, ax=flat, label="log10 of the training loss")
raised = figure.add_subplot(1, 2, 2, projection="3d")
raised.plot_surface(*np.meshgrid(side, side), height.T, cmap=figures.FIELD, rcount=60, ccount=60, linewidth=0)
raised.set(xlabel="step along direction 1", ylabel="step along direction 2", zlabel="log10 loss")
raised.set(xticks=[-1, 0, 1], yticks=[-1, 0, 1], zticks=[-2, -1, 0])
raised.view_init(elev=28, azim=-58)
raised.set_box_aspect((1, 1, 0.75), zoom=0.78)
figures.save(
    figure,
    "plane",
    alt="The logarithm of the training loss on a plane through a minimum, spanned by two random directions. Left: filled "
    "contours, nearly round, dark around the minimum in the middle and bright at the rim. Right: the same as a surface, a "
    "funnel with a round bottom.",
    data={
        "step_1": plane.coefficients[:, 0],
        "step_2": plane.coefficients[:, 1],
        "log10_loss": np.log10(plane.loss),
    },
)

# %% [markdown]
# **Reading the figure.** Both panels show the same numbers. The logarithm lets the bottom be seen: without it the
# middle would look flat. A slice is honest about one thing, how fast the loss rises along these two directions, in
# units of the network's own filters.
#
# **What a slice cannot show.** It says nothing on all the other directions, of which there are tens of thousands. The
# source holds exactly this against slices. How much do they miss of where training goes? Take the samples of jump and
# retrain. Let $d = \theta - \theta_o$ be a sample's displacement, and $u_1, u_2$ two fresh random directions. The share
# of $\lVert d\rVert^2$ that lies in their plane is
#
# $$\frac{p^\top G^{-1} p}{\lVert d\rVert^2}, \qquad p_i = \langle d, u_i\rangle, \quad G_{ij} = \langle u_i, u_j\rangle .$$

# %%
shares = []
for n in range(networks):
    p, G = (results["regularised", n, "jump_and_retrain"][name] for name in ("probed", "probe_gram"))
    away = records["regularised", n, "jump_and_retrain"].distance_to_optimum()
    inside = np.einsum("ni,ni->n", p, np.linalg.solve(G, p.T).T) / away**2
    shares.append(float(np.median(inside)))
model = Architecture(**shape).network()
weights = sum(parameter.numel() for parameter in model.parameters() if parameter.dim() > 1)
ledger.record(
    {"landscape-slice-misses-samples": shares},
    notes={
        "landscape-slice-misses-samples": f"Control: a random plane holds 2/{weights:,} = {2 / weights:.1e} of a random vector's squared length, so that no "
        "displacement that knows nothing of the plane could fail this."
    },
)

# %% [markdown]
# **What we think.** The claim is true, and it is no finding on the landscape. In a space of so many dimensions a
# random plane misses *everything* that was not made from it. A fairer opponent is the plane that fits the samples
# best, that of their first two principal components. The source says in section 3.2 that no plane can show all the
# variation.


# %%
def plane_share(gram):
    """Return the share of the variance of points that their best plane holds, from inner products of displacements."""
    centring = np.eye(len(gram)) - 1 / len(gram)
    variances = np.linalg.eigvalsh(centring @ gram @ centring)
    return float(variances[-2:].sum() / variances.sum())


retrained = [records["regularised", n, "jump_and_retrain"] for n in range(networks)]
best = [plane_share(record.gram) for record in retrained]
jumps = [plane_share(record.gram[np.ix_(record.epoch == 0, record.epoch == 0)]) for record in retrained]
ledger.record(
    {"landscape-plane-misses-variance": best},
    notes={
        "landscape-plane-misses-variance": f"The jump points alone, before any retraining: {min(jumps):.2f} to {max(jumps):.2f}."
    },
)

# %% [markdown]
# The control in the note says where this comes from: the jumps were made along four random directions, which are
# nearly orthogonal, so that already the points where retraining *starts* lie in no plane. Much of what a plane misses
# is our own choice of jumps.
#
# ## Three samplings of the same minimum
#
# Now the three choices of the source, around the first network. Distances are in units of the length of $\theta_o$.

# %%
titles = {"grid": "grid", "naive": "naive", "jump_and_retrain": "jump and retrain"}
colors = dict(zip(titles, figures.PALETTE[2:5]))
pd.DataFrame(
    {
        title: {
            "points": len(r.loss),
            "directions to start with": len({*r.seed.tolist()}) if name != "grid" else len(counts),
            "distance, nearest": r.distance_to_optimum().min() / r.norm,
            "distance, farthest": r.distance_to_optimum().max() / r.norm,
        }
        for name, title in titles.items()
        for r in [records["regularised", 0, name]]
    }
).round(2)

# %% [markdown]
# Two of the samplings share points: a jump *is* a naive point, before anything is retrained. Here is one by hand, and
# found again in both records.

# %%
data = load_digits(train=train, seed=0)
s, c = jump_seeds[-1], steps[1]
load_parameters(model, trained["regularised"]["parameters"][0])
optimum = flatten(model)
load_parameters(model, optimum + c * direction_of(model, s))
by_hand, _ = evaluate(model, data.train_images, data.train_labels)
for name in ("naive", "jump_and_retrain"):
    r = records["regularised", 0, name]
    (there,) = np.flatnonzero((r.seed == s) & (r.step == c) & (r.epoch == 0))
    assert np.isclose(r.loss[there], by_hand, rtol=1e-3), name
    print(f"direction {s}, step {c}: {by_hand:.6f} by hand, {r.loss[there]:.6f} in the {titles[name]} sample")

# %% [markdown]
# The sizes, and how many dimensions the displacements span, for three sets of random directions around the first
# network:


# %%
def size(record):
    """Return by how many points a sample differs from 640, plus the number of points at the optimum."""
    return abs(len(record.loss) - 640) + int((record.distance_to_optimum() == 0).sum())


others = {
    name: [records["regularised", 0, which] for which in (name, f"{name} 1", f"{name} 2")] for name in ("grid", "naive")
}
ledger.record({"landscape-grid-sample-size": [size(r) for r in others["grid"]]})

# %%
ledger.record({"landscape-naive-sample-size": [size(r) for r in others["naive"]]})


# %%
def rank(record):
    """Count the singular values of the displacements above 1e-5 of the largest; their squares are those of the Gram."""
    squares = np.linalg.eigvalsh(record.gram)
    return int((squares > 1e-10 * squares[-1]).sum())


spanned = [rank(record) for record in retrained]
ledger.record(
    {"landscape-naive-explores-more-directions": {name: [rank(r) for r in three] for name, three in others.items()}},
    notes={
        "landscape-naive-explores-more-directions": f"For comparison, the displacements of jump and retrain span {min(spanned)} to {max(spanned)} dimensions, though "
        f"they start along {len(jump_seeds)}."
    },
)

# %% [markdown]
# **What we think.** This result is a matter of counting: a grid on three vectors spans three dimensions, and each
# new random direction adds one. Jump and retrain starts with few directions and finds the rest on its way, since
# nearly every epoch of retraining moves in a new one. (Whether these are directions of the landscape or of the
# noise in the gradient is another question; notebook 101 has a control for it.)
#
# ## How low do the samples lie?
#
# The caption of Fig. 2 says that jump and retrain "successfully samples the low-loss manifolds surrounding minima".
# For each sampling here is the share of its points below any given loss.

# %%
guess, regular = np.log(10), [("regularised", n) for n in range(networks)]
figure, (axes,) = figures.panels(1, width=6.4, height=3.6)
table = {}
for name, title in titles.items():
    for pair in regular:
        table[f"{name}_{pair[1]}"] = ordered = np.sort(records[*pair, name].loss)
        share = np.arange(1, len(ordered) + 1) / len(ordered)
        axes.step(ordered, share, color=colors[name], where="post", linewidth=1.2, label=None if pair[1] else title)
for level, text in ((guess, "guessing"), (guess / 10, "a tenth of it")):
    axes.axvline(level, color="0.5", linestyle=":", linewidth=1)
    axes.text(level, 1.03, text, ha="center", fontsize="small", color="0.35")
axes.set(xscale="log", xlabel="training loss (nats)", ylabel="share of the samples below", ylim=(0, 1.01))
axes.legend(loc="upper left")
longest = max(map(len, table.values()))
figures.save(
    figure,
    "losses",
    alt="Share of samples below a given training loss, on a logarithmic axis, for three samplings around three networks each. "
    "Nearly all of the jump-and-retrain samples lie below a tenth of the loss of guessing; of the naive samples fewer "
    "than half, in steps for the four step sizes; of the grid samples hardly any, and most lie above guessing.",
    data={name: np.pad(values, (0, longest - len(values)), constant_values=np.nan) for name, values in table.items()},
    answers="landscape: Fig. 2a; Fig. 2b; Fig. 2c",
)

# %%
medians = {name: [float(np.median(records[*pair, name].loss)) for pair in regular] for name in titles}
ledger.record(
    {"landscape-jump-and-retrain-lower-loss-than-grid": {name: medians[name] for name in ("jump_and_retrain", "grid")}},
    figure="losses",
)

# %%
ledger.record(
    {
        "landscape-jump-and-retrain-lower-loss-than-naive": {
            name: medians[name] for name in ("jump_and_retrain", "naive")
        }
    },
    figure="losses",
)

# %%
low = {name: [float((records[*pair, name].loss < guess / 10).mean()) for pair in regular] for name in titles}
ledger.record(
    {"landscape-jump-and-retrain-low-loss-share": low["jump_and_retrain"]},
    figure="losses",
    notes={
        "landscape-jump-and-retrain-low-loss-share": f"For comparison: naive {np.mean(low['naive']):.2f}, grid {np.mean(low['grid']):.2f}."
    },
)

# %% [markdown]
# **Reading the figure.** Each curve is one network. Dotted lines mark the loss of guessing evenly among ten digits,
# $\log 10$, and a tenth of it. The naive curve has a step for each of the four step sizes. A grid has few points near
# its centre, because in three dimensions most of a cube is far out: that is the shape of the cube and not of the
# loss.
#
# **What we think.** That retraining leads to low loss is what retraining is for. The order of the three medians is
# therefore no surprise, and those of grid and naive depend on ranges that we had to choose. What is worth having is
# the other half of the sentence: points of low loss that are *far away*. So we draw the loss against the distance.

# %%
figure, panels = figures.panels(3, width=3.1, height=3.2)
points = []
for axes, (name, title) in zip(panels, titles.items()):
    r = records["regularised", 0, name]
    away = r.distance_to_optimum() / r.norm
    axes.scatter(away, r.loss, s=5, color=colors[name], linewidth=0, alpha=0.7)
    axes.axhline(r.optimum_loss, color="black", linestyle="--", linewidth=1)
    axes.set(title=title, yscale="log", xlabel=r"distance to the optimum / $\Vert\theta_o\Vert$", xlim=(0, 1.6))
    points.append(pd.DataFrame({"sampling": name, "distance": away, "loss": r.loss}))
ends = [min(axes.get_ylim()[0] for axes in panels), max(axes.get_ylim()[1] for axes in panels)]
for axes in panels:
    axes.set_ylim(ends)
panels[0].set_ylabel("training loss (nats)")
figures.save(
    figure,
    "distances",
    alt="Training loss over the distance to the optimum in three panels with common axes; a dashed line marks the loss of the "
    "optimum. Grid: a rising cloud. Naive: four rising bunches at four distances. Jump and retrain: a wide low band that "
    "stays level from near to far, with a few points of high loss above it.",
    data=pd.concat(points),
)

# %% [markdown]
# **Reading the figure.** On a grid and along naive directions the distance nearly decides the loss: the further, the
# higher. Retrained points break that rule. They are as far away as the naive ones, and yet low. *This* is what static
# sampling hardly ever finds: low ground at a distance, in a space where nearly every straight way leads uphill.
#
# ## Fig. 2 a to c: the pictures
#
# The source puts each sample into two dimensions with PHATE (notebook 101 introduces it, and notebook 103 builds it
# step by step): points are compared by one minus the cosine of the angle between them, a random walk steps among near
# neighbours, and points from where walks end up alike are drawn together.
#
# Seen from where, the angle? The text leaves it open, and for these samples nearly everything hangs on it. Seen from
# the optimum, the four naive points of one direction lie exactly behind each other, at an angle of zero: the picture
# would have
# 160 places for 640 points, whatever their loss, and the grid would lose the distance in the same way. Seen from the
# **origin**, $\theta = 0$, a longer step turns $\theta$ further away from $\theta_o$, so that the distance stays
# visible as an angle. This is also the plain reading of the text, and our headline, as in notebook 11. The released
# code amounts to angles from the **mean** of the samples. For grid and naive this is nearly the view from the optimum:
# the grid's mean *is* the optimum, by symmetry. We compute both.

# %%
for name, title in titles.items():
    r = records["regularised", 0, name]
    angle = np.degrees(np.arccos(1 - r.cosine_distance_to_optimum()))
    print(
        f"{title}: angle at the origin between a sample and the optimum: {angle.min():.0f} to {angle.max():.0f} degrees"
    )

# %%
views = ("origin", "mean")
every = [(kind, n) for kind in kinds for n in range(networks)]
asked = [(view, name, pair) for view in views for name in titles for pair in every]
phate = {"method": "phate_cosine", "neighbours": neighbours, "seed": 0}
tasks = [
    {"inner_products": records[*pair, name].inner_products("origin"), "view": view, **phate}
    for view, name, pair in asked
]
drawn = dict(zip(asked, compute.map(draw, tasks, label="pictures")))

# %%
rows = [(kind, 0) for kind in kinds]
logs = {(name, pair): np.log10(records[*pair, name].loss) for name in titles for pair in every}
scale = {
    "vmin": min(logs[name, pair].min() for name in titles for pair in rows),
    "vmax": max(logs[name, pair].max() for name in titles for pair in rows),
}
figure, grid_of_axes = plt.subplots(2, 3, figsize=(9.3, 6.2))
table = []
for line, pair in zip(grid_of_axes, rows):
    for axes, (name, title) in zip(line, titles.items()):
        xy = drawn["origin", name, pair]["picture"]
        shown = axes.scatter(*xy.T, c=logs[name, pair], s=9, linewidth=0, cmap=figures.FIELD, **scale)
        axes.set(title=title if pair == rows[0] else "", xlabel="PHATE 1", xticks=[], yticks=[])
        described = {"kind": pair[0], "sampling": name, "x": xy[:, 0], "y": xy[:, 1], "log10_loss": logs[name, pair]}
        table.append(pd.DataFrame(described))
    line[0].set_ylabel(f"{pair[0]}\nPHATE 2")
figure.colorbar(shown, ax=grid_of_axes, label="log10 of the training loss", shrink=0.8)
figures.save(
    figure,
    "pictures",
    alt="PHATE pictures of the three samplings, coloured by the logarithm of the loss on one scale, above for a regularised "
    "network and below for an unregularised one. Grid: an ornament of radial branches, the same in both rows, dark inside "
    "and bright outside. Naive: clumps in the order of the step size. Jump and retrain: petals and short lines of mostly "
    "low loss, with bright tips, arranged differently in the two rows.",
    data=pd.concat(table),
    answers="landscape: Fig. 2a; Fig. 2b; Fig. 2c",
)

# %% [markdown]
# **Reading the figure.** The grid looks alike in both rows, down to single points and up to a turn of the page. The
# naive samples are sorted by their step size. Jump and retrain shows its trajectories as lines. So far this agrees
# with what the source sees. It calls the third picture more informative. About what? We ask two things that can be
# measured. (Section 4.2 argues in another way, with classifiers that get the sampled losses without any picture; that
# needs many networks, and is for a later notebook.)
#
# ## Does the picture tell the loss?
#
# If a picture is informative about the loss, then a point's neighbours on the page should tell its loss. We
# predict $\log_{10} f$ of each point by the mean over its ten nearest *other* points on the page, and report the
# share of the variance that is explained, $R^2$: 1 is perfect, 0 no better than the overall mean, and below 0 worse.


# %%
def explained(distances, values):
    """Return R squared of values that are predicted from the nearest other points."""
    others = distances + np.diag(np.full(len(values), np.inf))
    nearby = np.argsort(others, axis=1, kind="stable")[:, :nearest]
    return float(1 - ((values - values[nearby].mean(axis=1)) ** 2).sum() / ((values - values.mean()) ** 2).sum())


def between(positions):
    """Return the distances between points."""
    return np.linalg.norm(positions[:, None] - positions, axis=2)


seen = {
    view: {
        name: [explained(between(drawn[view, name, pair]["picture"]), logs[name, pair]) for pair in regular]
        for name in titles
    }
    for view in views
}
from_mean = {name: np.mean(seen["mean"][name]) for name in titles}
note = f"With angles from the mean: {', '.join(f'{titles[name]} {value:.2f}' for name, value in from_mean.items())}."
ledger.record(
    {
        "landscape-picture-tells-loss-better-than-grid": {
            name: seen["origin"][name] for name in ("grid", "jump_and_retrain")
        }
    },
    figure="pictures",
    notes={"landscape-picture-tells-loss-better-than-grid": note},
)

# %%
ledger.record(
    {
        "landscape-picture-tells-loss-better-than-naive": {
            name: seen["origin"][name] for name in ("naive", "jump_and_retrain")
        }
    },
    figure="pictures",
    notes={"landscape-picture-tells-loss-better-than-naive": note},
)

# %% [markdown]
# Three controls. What would the other view have given? What do a point's nearest others in the *full* space tell,
# before any picture? And how well does the *distance to the optimum* alone, a single number, tell the loss?

# %%
full = {
    name: [explained(records[*pair, name].cosine_distances(), logs[name, pair]) for pair in regular] for name in titles
}
away = {(name, pair): records[*pair, name].distance_to_optimum()[:, None] for name in titles for pair in regular}
alone = {name: [explained(between(away[name, pair]), logs[name, pair]) for pair in regular] for name in titles}
pd.DataFrame(
    {
        title: {
            "picture, angles from the origin": np.mean(seen["origin"][name]),
            "picture, angles from the mean": np.mean(seen["mean"][name]),
            "full space, angles from the origin": np.mean(full[name]),
            "distance to the optimum alone": np.mean(alone[name]),
        }
        for name, title in titles.items()
    }
).round(2)

# %% [markdown]
# **Reading the table** (means over the regularised networks). Seen from the origin the naive picture tells the loss
# best, and the retrained one least: both rows of the ledger come out against the source, since they compare the raw
# $R^2$. (Three data sets have three ceilings. In units of what the points in the full space tell, the retrained
# picture keeps more than the others, and by that reading the source is right.) Seen from the mean the order is the
# other way round: the retrained picture tells as much as before, the two others nothing. So by this measure the
# answer depends on the centre of the angles, which the source does not name. The last row shows how to understand it.
# For grid and naive samples the distance to the optimum is nearly all there is to know about the loss. A picture that
# keeps the distance is then "informative", but only about something that one axis would show; a picture that loses
# the distance tells nothing. (In the full space naive points have useless neighbours: all directions are at right
# angles, so that the nearest others of any point are those with the shortest steps.) For retrained samples the
# distance alone tells far less. What a picture tells beyond it comes from the paths, along which the loss changes
# little from one state to the next.
#
# ## Does the picture depend on the network?
#
# A picture that would come out the same for every network tells nothing on any. The source calls grid and naive
# pictures rigid. So we compare the pictures of a regularised and an unregularised network that share their start and
# all random numbers, point by point. *Procrustes disparity* shifts, turns, mirrors and scales one picture until it
# fits the other as well as possible, both with squared distances to their mean that add up to one, and reports
# the squared distance that is left: 0 for the same shape, 1 for nothing in common.


# %%
def disparities(view, name, pairs):
    """Return the disparity of the pictures of each pair of networks."""
    return [float(procrustes(*(drawn[view, name, one]["picture"] for one in pair))[2]) for pair in pairs]


kinds_apart = [tuple((kind, n) for kind in kinds) for n in range(networks)]
starts_apart = [(regular[n], regular[(n + 1) % networks]) for n in range(networks)]
change = {name: disparities("origin", name, kinds_apart) for name in titles}
control = {name: disparities("origin", name, starts_apart) for name in titles}
among = {name: np.mean(control[name]) for name in titles}
note = (
    "Control, two regularised networks that differ in their start only: "
    f"{', '.join(f'{titles[name]} {value:.3f}' for name, value in among.items())}."
)
ledger.record(
    {"landscape-picture-less-rigid-than-grid": {name: change[name] for name in ("grid", "jump_and_retrain")}},
    figure="pictures",
    notes={"landscape-picture-less-rigid-than-grid": note},
)

# %%
ledger.record(
    {"landscape-picture-less-rigid-than-naive": {name: change[name] for name in ("naive", "jump_and_retrain")}},
    figure="pictures",
    notes={"landscape-picture-less-rigid-than-naive": note},
)

# %%
parts = {name: [int(drawn["origin", name, pair]["part"].max()) + 1 for pair in every] for name in titles}
pd.DataFrame(
    {
        title: {
            "disparity, regularised and unregularised": np.mean(change[name]),
            "disparity, two regularised": np.mean(control[name]),
            "regularised and unregularised, angles from the mean": np.mean(disparities("mean", name, kinds_apart)),
            "two regularised, angles from the mean": np.mean(disparities("mean", name, starts_apart)),
            "parts that the random walk cannot leave, fewest": min(parts[name]),
            "parts that the random walk cannot leave, most": max(parts[name]),
        }
        for name, title in titles.items()
    }
).round(3)

# %% [markdown]
# **Reading the table.** Seen from the origin the grid's picture hardly changes at all. The reason is that the loss
# does not enter: PHATE sees positions, and those of a grid are fixed by three nearly orthogonal vectors whatever
# network is in the middle. Only the *colours* are the network's. The picture of a grid is a picture of a cube.
#
# The second row is the control that the claim needs. If a picture changes, is it because the networks differ in kind?
# Two regularised networks that differ only in their random start should then look more alike than two of different
# kinds. They do not: the retrained pictures differ as much, by 0.73 in both cases, and the naive ones even a little more. So both
# rows are reproduced, and yet tell nothing on good or bad. Naive positions are almost as fixed as a grid's, and yet the pictures
# differ: 160 directions that are all at right angles can be laid out in very many ways that are nearly as good as
# each other, and little decides which is chosen. The retrained samples have a similar freedom: their random walk
# falls into parts with no connection, as notebook 101 found, and where each part is drawn is not decided by any
# distance between them. A change on the page is not yet a change of the landscape.
#
# ## Where the Morse-Smale complex can be computed
#
# Section 3.1 of the source says that jump and retrain "can be seen as an approximation to the Morse-Smale complex" of
# $f$, "a decomposition of $f$ into regions of similar gradient behavior", which nobody can compute in so many
# dimensions. In two dimensions one can. So let $f$ be a smooth function of $x \in \mathbb{R}^2$ that rises outward
# far from the origin.
#
# Through each point runs one *flow line*, $\dot x = -\nabla f(x)$, which goes straight downhill. Nearly all of them
# end in a minimum; followed backwards, nearly all come from a maximum. (Where $f$ rises for ever, they come from
# infinity, which we count as one more maximum.) The points whose flow lines share their *end* form the **basin** of
# that minimum. Those whose flow lines share their *beginning* form the region of that maximum. The pieces in which
# both are the same are the **cells** of the Morse-Smale complex. Their borders are the few flow lines that run to or
# from a *saddle*, where $f$ has a pass between two hills: four for each saddle, two that come down from the hills and
# separate basins, and two that go on down into the valleys.
#
# This gives two ways to find the cells, and so a test. One traces the four lines of every saddle and cuts the plane
# along them. The other follows the flow lines of single points. Three losses, different in kind: Gaussian wells and
# bumps at random places in a bowl; an egg box, which is a product of cosines, in a tilted bowl; Himmelblau's
# polynomial of degree four, tilted a little. Critical points, where $\nabla f = 0$, are found by SciPy, started from
# wherever both slopes change sign on a fine grid. We did not miss any if minima minus saddles plus maxima equals 1,
# as it must for a function that rises outward.

# %%
toys = [gaussian_hills(seed=seed), tilted_cosines(), himmelblau()]
found = [critical_points(toy) for toy in toys]
ridges = [separatrices(toy, points.saddles, uphill=True) for toy, points in zip(toys, found)]
valleys = [separatrices(toy, points.saddles, uphill=False) for toy, points in zip(toys, found)]
pieces = [regions([*up, *down], reach=toy.reach, pixels=toy_pixels) for toy, up, down in zip(toys, ridges, valleys)]
pd.DataFrame(
    {
        toy.name: {
            "minima": len(points.minima),
            "saddles": len(points.saddles),
            "maxima": len(points.maxima),
            "minima - saddles + maxima": len(points.minima) - len(points.saddles) + len(points.maxima),
            "pieces of the plane (20 pixels or more)": int((np.bincount(piece.ravel())[1:] >= 20).sum()),
            "largest curvature at a minimum": round(np.linalg.eigvalsh(toy.hessian(points.minima)).max(), 1),
        }
        for toy, points, piece in zip(toys, found, pieces)
    }
)

# %% [markdown]
# The line of pieces has a check of its own. A cell has four corners, in turn a maximum, a saddle, a minimum and a
# saddle, and every saddle is a corner of four cells. So there must be twice as many cells as saddles. (Closer to a
# corner than a pixel, thin cells fall apart into crumbs; these are not counted.)


# %%
def mark(axes, points, size=30):
    """Mark minima, saddles and maxima."""
    style = {"s": size, "edgecolor": "black", "linewidth": 0.8, "zorder": 4}
    axes.scatter(*points.minima.T, marker="o", color="white", **style)
    axes.scatter(*points.saddles.T, marker="X", color="0.6", **style)
    axes.scatter(*points.maxima.T, marker="^", color="black", **style)


figure, panels = figures.panels(3, width=3.3, height=3.9)
table = []
for axes, toy, points, up, down in zip(panels, toys, found, ridges, valleys):
    side = np.linspace(-toy.reach, toy.reach, 161)
    place = np.stack(np.meshgrid(side, side), axis=-1)
    values = toy.value(place.reshape(-1, 2)).reshape(161, 161)
    levels = np.quantile(values, np.linspace(0, 1, 25))
    axes.contourf(side, side, values, levels=levels, norm=BoundaryNorm(levels, 256), cmap=figures.FIELD)
    for line in up:
        axes.plot(*line.T, color="black", linewidth=3)
        axes.plot(*line.T, color="white", linewidth=1.5)
    for line in down:
        axes.plot(*line.T, color="white", linewidth=1.3, linestyle=(0, (3, 2)))
    mark(axes, points)
    axes.set(title=toy.name, xlabel="parameter 1", aspect="equal", xlim=side[[0, -1]], ylim=side[[0, -1]])
    for kind in ("minima", "saddles", "maxima"):
        x, y = getattr(points, kind).T
        table.append(
            pd.DataFrame({"loss": toy.name, "kind": kind, "x": x, "y": y, "f": toy.value(np.stack([x, y], 1))})
        )
panels[0].set_ylabel("parameter 2")
marks = [
    plt.Line2D([], [], marker=shape_, color="none", markerfacecolor=color, markeredgecolor="black")
    for shape_, color in (("o", "white"), ("X", "0.6"), ("^", "black"))
]
marks += [plt.Line2D([], [], color="0.6"), plt.Line2D([], [], color="0.6", linestyle=(0, (3, 2)))]
names = ["minimum", "saddle", "maximum", "border of basins", "border of the regions of maxima"]
figure.legend(marks, names, loc="outside lower center", ncols=5, fontsize="small")
figures.save(
    figure,
    "complexes",
    alt="Three losses of two parameters as filled contours from dark (low) to bright (high), each with its minima, saddles and "
    "maxima. White solid lines climb from every saddle to maxima or off the panel and separate basins; white dashed lines "
    "descend from every saddle to two minima. Together they cut each panel into cells.",
    data=pd.concat(table),
)

# %% [markdown]
# **Reading the figure.** Colours follow the rank of the loss, so that both hollows and the steep rim can be seen.
# Solid lines run along ridges: who stands left or right of one ends up in different minima. Dashed lines run down
# valleys: who stands left or right of one came from different maxima.
#
# Is the gradient's behaviour the same throughout a cell? We scatter random points, take the pieces that the *lines*
# cut, and follow the flow of each *point* up and down. Of all pairs of points from one piece, how many share both
# ends?

# %%
agreement = []
for toy, points, piece in zip(toys, found, pieces):
    place = np.random.default_rng(seed).uniform(-toy.reach, toy.reach, size=(toy_points, 2))
    column, row = pixel_of(place, reach=toy.reach, pixels=toy_pixels).T
    inside = piece[row, column] > 0  # not on a line
    place, of = place[inside], piece[row, column][inside]
    ends = maximum_above(toy, points, place) * 1000 + minimum_below(toy, points, place)
    together = pd.crosstab(of, ends).to_numpy()  # points of each piece, by the ends of their flow lines
    total = together.sum(axis=1)
    agreement.append(float((together * (together - 1)).sum() / (total * (total - 1)).sum()))
ledger.record({"landscape-morse-smale-cells-share-flow": agreement}, figure="complexes")

# %% [markdown]
# ## Does jump and retrain find the cells?
#
# Now the same procedure as around the networks, with the same four steps, 40 states and eight batches per epoch, from
# the deepest minimum of each loss. In two dimensions there are no filters; a direction is uniform on the circle.
# Retraining is noisy gradient descent with momentum, as in training,
#
# $$m \leftarrow \mu\,m + \nabla f(x) + \sigma\,\xi, \qquad x \leftarrow x - \eta\,m, \qquad \xi \sim N(0, I),$$
#
# with $\mu = 0.9$, noise $\sigma = 1$ and $\eta = 0.01$. With the largest curvature in the table above this makes
# $\eta$ times curvature about 0.1. (Plain gradient descent becomes unstable at 2, and networks are often trained not
# far below their own limit.)

# %%
descent = {"length": toy_length, "steps": steps, "states": states, "batches": toy_batches, "noise": toy_noise}
jump_from = range(1000 * seed, 1000 * seed + toy_jumps)  # fresh random numbers for each seed of the notebook


def retrain(toy, points, **options):
    """Return trajectories from the deepest minimum, and which minimum is nearest to the end of each."""
    paths = retrained_jumps(toy, points.minima[0], seeds=jump_from, **options, **descent)
    ends = paths[:, :, -1].reshape(-1, 2)
    return paths, np.linalg.norm(ends[:, None] - points.minima, axis=2).argmin(axis=1)


options = {"learning_rate": toy_rate, "momentum": toy_momentum}
paths, reached = zip(*(retrain(toy, points, **options) for toy, points in zip(toys, found)))
starts = [path[:, :, 0].reshape(-1, 2) for path in paths]
below = [minimum_below(toy, points, start) for toy, points, start in zip(toys, found, starts)]
above = [maximum_above(toy, points, start) for toy, points, start in zip(toys, found, starts)]


# %%
def middles(piece, reach):
    """Return a point of each piece: the middle one of its pixels, counted row by row."""
    middle = [np.flatnonzero(piece == k) for k in range(1, piece.max() + 1)]
    row, column = np.unravel_index([pixels[len(pixels) // 2] for pixels in middle], piece.shape)
    return (np.stack([column, row], axis=1) + 0.5) / len(piece) * 2 * reach - reach


soft = ListedColormap([(1, 1, 1), *(tuple(0.6 + 0.4 * np.array(color)) for color in figures.PALETTE)])
figure, panels = figures.panels(3, width=3.3, height=3.7)
table = []
for n, (axes, toy, points) in enumerate(zip(panels, toys, found)):
    basin = np.append(0, 1 + minimum_below(toy, points, middles(pieces[n], toy.reach)) % 10)[pieces[n]]  # 0 on a line
    square = (-toy.reach, toy.reach)
    axes.imshow(basin, origin="lower", extent=2 * square, cmap=soft, vmin=0, vmax=10, interpolation="none")
    for line in (*ridges[n], *valleys[n]):
        axes.plot(*line.T, color="0.35", linewidth=0.7)
    axes.scatter(
        *starts[n].T, s=9, color=[figures.PALETTE[k % 10] for k in reached[n]], edgecolor="black", linewidth=0.3
    )
    for one in paths[n][0]:
        axes.plot(*one.T, color="black", linewidth=0.7)
    mark(axes, points, size=24)
    axes.plot(*points.minima[0], "*", color="white", markeredgecolor="black", markersize=13, zorder=5)
    axes.set(title=toy.name, xlabel="parameter 1", xlim=square, ylim=square)
    x, y = starts[n].T
    table.append(
        pd.DataFrame({"loss": toy.name, "x": x, "y": y, "basin": below[n], "maximum": above[n], "reached": reached[n]})
    )
panels[0].set_ylabel("parameter 2")
figures.save(
    figure,
    "toy_jumps",
    alt="The three losses with each basin in a pale colour, the borders of all cells as grey lines, and jump points as dots on "
    "rings of four radii around a star, the deepest minimum. A dot has the full colour of the minimum that retraining reached from there: "
    "most dots match the basin below them, and those that do not lie mostly far out or close to a border. Black lines "
    "show the four trajectories of one direction.",
    data=pd.concat(table),
)

# %% [markdown]
# **Reading the figure.** Pale areas are basins, grey lines the borders of cells, the star is the minimum where all
# jumps start. Each dot is a jump; its colour tells which minimum is nearest to where it was 39 epochs later. A dot
# that differs in hue from its ground has crossed a ridge on the way. Black lines are the four trajectories of the
# first direction.

# %%
kept = [float((own == end).mean()) for own, end in zip(below, reached)]
ledger.record({"landscape-jump-and-retrain-finds-basins": kept}, figure="toy_jumps")

# %%
held = [np.unique(own) for own in below]
visited = [float(np.isin(own, end).mean()) for own, end in zip(held, reached)]
counted = ", ".join(f"{len(own)} of {len(points.minima)}" for own, points in zip(held, found))
ledger.record(
    {"landscape-jump-and-retrain-finds-minima": visited},
    figure="toy_jumps",
    notes={"landscape-jump-and-retrain-finds-minima": f"Minima whose basins hold a jump point: {counted}."},
)

# %% [markdown]
# And the cells? Two groupings of the jump points are compared by the *adjusted Rand index*: over all pairs of points,
# how often do both groupings agree on whether the two belong together, rescaled so that 1 is full agreement and 0 is
# what chance would give. One grouping is by the minimum that retraining reached. The other is by exact cell.

# %%
cells = [1000 * high + low for high, low in zip(above, below)]
groups = [adjusted_rand_score(cell, end) for cell, end in zip(cells, reached)]
ceiling = [adjusted_rand_score(cell, own) for cell, own in zip(cells, below)]
basins = [adjusted_rand_score(own, end) for own, end in zip(below, reached)]
ledger.record(
    {"landscape-jump-and-retrain-approximates-cells": groups},
    figure="toy_jumps",
    notes={
        "landscape-jump-and-retrain-approximates-cells": f"If every jump ended in its own basin, without any error: {', '.join(f'{value:.2f}' for value in ceiling)}. Against "
        f"basins instead of cells: {', '.join(f'{value:.2f}' for value in basins)}."
    },
)

# %% [markdown]
# Four in five trajectories end in the basin in which they landed (in trend), every basin that holds a jump is found, and the cells
# are not approximated.
#
# **What we think.** There are two reasons why the groups are not the cells, and only one of them can be helped.
#
# The first is the *stride*. Gradient flow creeps and respects every ridge; descent takes steps of finite size, with
# noise, and momentum carries it on. We retrain at several rates, with momentum and without. Since momentum $\mu$
# makes every gradient count $1/(1-\mu)$ times in the end, we compare at equal $\eta/(1-\mu)$, where both have nearly
# the same noise around a minimum. This is beyond the judged protocol.

# %%
rows = []
for momentum in (0.0, toy_momentum):
    for rate in toy_rates:
        for toy, points, own, cell in zip(toys, found, below, cells):
            _, end = retrain(toy, points, learning_rate=rate * (1 - momentum), momentum=momentum)
            rows.append([momentum, rate, toy.name, float((own == end).mean()), adjusted_rand_score(cell, end)])
table = pd.DataFrame(rows, columns=["momentum", "rate", "loss", "own_basin", "rand_index"])
figure, panels = figures.panels(2, width=4.2, height=3.3)
styles = {0.0: "--", toy_momentum: "-"}
labels = {"own_basin": "share in the jump's basin", "rand_index": "Rand index with the cells"}
for axes, (column, label) in zip(panels, labels.items()):
    for color, toy in zip(figures.PALETTE, toys):
        for momentum, style in styles.items():
            part = table[(table.momentum == momentum) & (table.loss == toy.name)]
            axes.semilogx(part["rate"], part[column], style, color=color, marker="o", markersize=4)
    axes.set(xlabel=r"learning rate / (1 - momentum)", ylabel=label, ylim=(-0.05, 1.05))
    axes.set(xticks=toy_rates, xticklabels=toy_rates)
    axes.minorticks_off()
for color, value in zip(figures.PALETTE, ceiling):
    panels[1].axhline(value, color=color, linestyle=":", linewidth=1.2)
handles = [plt.Line2D([], [], color=color) for color in figures.PALETTE[:3]]
handles += [plt.Line2D([], [], color="black", linestyle=style) for style in (*styles.values(), ":")]
names = [toy.name for toy in toys] + [f"momentum {m}" for m in styles] + ["all in their own basins"]
figure.legend(handles, names, loc="outside lower center", ncols=3, fontsize="small")
figures.save(
    figure,
    "momentum",
    alt="Two panels over the learning rate divided by one minus the momentum, three losses, with momentum (solid) and without "
    "(dashed). Left: the share of jumps that end in the basin in which they landed, nearly one at the lowest rate and lower at "
    "the highest. Right: the adjusted Rand index with the cells, which begins close to a dotted line for each loss, well "
    "below one, and falls with the rate.",
    data=table,
)

# %% [markdown]
# **Reading the figure.** Dashed lines are descent without momentum, solid ones with it; dotted lines on the right are
# what retraining without any error would reach. At small rates nearly every jump ends in its own basin, and the index
# comes close to its dotted line. Larger strides break the link between where a trajectory starts and where it ends.
#
# The second reason is in the dotted lines, and no learning rate removes it. A basin is the union of several cells,
# one or more for each maximum that borders on it, and the end of a descent says nothing on which hill it came from.
# So the sense in which jump and retrain approximates the complex is this: with small strides it samples the
# **descending half**, the basins, and its paths join the valleys that lead down from the saddles. The ascending half,
# the regions of the maxima, and with it the division of a basin into cells, is never visited. Of the borders between
# basins it learns only that they lie somewhere between two jumps with different ends. Around a network there is a
# third reason: sixteen trajectories are very few for a space with tens of thousands of dimensions, and whether they
# end in one minimum or in sixteen is not known.
#
# **What surprised us.** That the picture of the grid is a picture of a cube: had we coloured a cube without any
# network, nobody could have told. That the naive picture tells the loss by sorting four step sizes. And that the best
# argument for jump and retrain is none of the pictures, but the scatter of loss against distance: low ground, far
# away.
#
# **Exercise.** Go both ways: from each jump on a toy loss also climb, by gradient *ascent* in small steps that stops
# outside of the panel, and group the jumps by both ends. What is the adjusted Rand index with the cells now, and what
# would it take to do the same around a network?
#
# **Exercise.** Run the notebook with `-p reach=0.25`, which makes the grid as small as the shortest jumps. Which of
# the comparisons between grid and jump and retrain survive? Which of them were about the range, then, and not about the
# way of sampling?
#
# ## What differs from the source
#
# Beyond the numbers below: digits take the place of CIFAR-10, and losses are taken with the batch statistics of the
# whole training set. The source states neither the ranges of grid and naive sampling nor the centre of the angles,
# and names no measure for "informative" or "rigid": the two here are ours. Its colours may follow another scale; ours
# is the same in all six panels. The two-dimensional losses are ours as well.

# %%
Markdown(profiles.differences(run.notebook))
