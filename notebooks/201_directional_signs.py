# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Counting wrong directions
#
# [Script](201_directional_signs.py) · [executed print](201_directional_signs.ipynb) · [course map](../README.md)
#
# **Question.** Can a count of wrong directions be turned into a loss, and what does it cost?
#
# **Source.** Dam et al., *Directional sign loss*, sections 2.1.2, 3.1 and 3.2, Algorithm 1, Fig. 1. **Time on a
# laptop.** Two minutes.
#
# An autoencoder squeezes an array of numbers into a short code and rebuilds it. Almost always it is trained to keep
# the squared error small. But a curve can be near another at each point and still go up where the other goes down: a
# thousand tiny zigzags cost next to nothing in squared error. Whoever reads peaks, valleys or trends off the rebuilt
# curve would prefer the opposite mistake, a curve of the right shape in the wrong place.
#
# The source's idea: compare *directions*. Take the differences between neighbours in both arrays, look at their signs
# only, and count where they disagree. This notebook builds the count, its smooth twin, and the loss that part 2 of
# this course is about; then it looks at what the loss costs, in time and in memory, beside a squared error and beside
# what topologists would compute instead.

# %% tags=["parameters"]
seeds = [201, 202, 203]  # of the random arrays
walks = 200  # pairs of random walks that compare the loss with an absolute error
sequences = [1024, 2048]  # examples and places, for the cost in one dimension
images = [32, 1, 256, 256]  # the same in two: examples, channel, height, width
volumes = [64, 8, 64, 64]  # the same in three
growth = [14, 16, 18, 20, 22]  # powers of two: numbers of elements, for the growth of the cost
diagram_elements = [512, 1024, 2048, 4096]  # numbers of elements, for the growth of the diagrams' cost
crop = 128  # side of the photograph for which diagrams and loss are timed
repeats = 5  # of each timed call; the median counts

# %%
import math
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown
from scipy.stats import spearmanr
from sklearn.datasets import load_sample_image

from shapeofloss import figures, ledger
from shapeofloss.engine import profiles, workspace
from shapeofloss.engine.measure import exponent, peak_of_arrays, peak_of_tensors, seconds
from shapeofloss.signloss import directional_sign_loss, exact_sign_mismatch
from shapeofloss.topology.diagrams import persistence_diagram, wasserstein
from shapeofloss.topology.union_find import by_assignment

run = workspace.begin("201_directional_signs")
figures.use_house_style()
torch.set_num_threads(1)

# %% [markdown]
# ## From turning points to signs
#
# A smooth function has a *critical point* where its derivative is zero: a maximum, a minimum, or a flat spot on the
# way. An array of samples $x_1, \dots, x_n$ has no derivative. What it has are *finite differences* $\Delta x_k =
# x_{k+1} - x_k$, and their signs $+1$, $0$ or $-1$. Where the sign changes, the array turns.
#
# How far can such a turn be from the true extremum? The source says: of the order of the step $h$ between samples. We
# sample cosines of random frequency and phase with ever finer steps, and measure the distance from each true extremum
# to the nearest sample at which the sign changes, in units of $h$.

# %%
steps = np.logspace(-1, -3, 9)
farthest = []
for seed in seeds:
    generator = np.random.default_rng(seed)
    worst = 0.0
    for h in steps:
        frequency, phase = generator.uniform(1, 3), generator.uniform(0, 2 * np.pi)
        place = np.arange(0, 10, h)
        signs = np.sign(np.diff(np.cos(frequency * place + phase)))
        turning = place[1:-1][signs[1:] * signs[:-1] <= 0]
        extrema = (np.pi * np.arange(-20, 20) - phase) / frequency
        extrema = extrema[(extrema > 2 * h) & (extrema < 10 - 3 * h)]
        worst = max(worst, np.abs(turning[:, None] - extrema).min(axis=0).max() / h)
    farthest.append(worst)
ledger.record({"sign-loss-extremum-crosses-zero": farthest})

# %% [markdown]
# Never more than one step, as it has to be: between the last sample before a maximum and the first one after it, the
# differences change from up to down.
#
# ## The exact count
#
# Two arrays $X$ and $Y$ of the same shape *mismatch* in a pair of neighbours where the signs of their differences are
# not equal. Half the absolute difference of the signs counts 1 for up against down, and $\tfrac12$ for a standstill
# against a move:
#
# $$\text{exact}(X, Y) = \sum_{\text{pairs of neighbours}}
#   \tfrac12\,\bigl|\operatorname{sign}(\Delta X) - \operatorname{sign}(\Delta Y)\bigr|.$$
#
# The half is no decoration. Prices move in ticks of a cent, and often not at all; notebook 203 counts many halves.


# %%
def random_pair(seed, shape, ties=False):
    """Return two arrays of normal numbers of the shape (1, ...); rounded ones have ties."""
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.randn((2, 1, *shape), generator=generator, dtype=torch.float64)
    return ((2 * x).round(), (2 * y).round()) if ties else (x, y)


def exact(x, y, **options):
    """Return the number of mismatches of an example as a float."""
    return exact_sign_mismatch(x, y, **options).item()


gaps = []
for seed in seeds:
    x, noise = random_pair(seed, (500,), ties=True)
    moves = torch.where(x.diff() == 0, noise.diff().sign(), x.diff())  # y moves as x does, and sometimes where x rests
    y = torch.cat([torch.zeros(1, 1), moves.cumsum(dim=1)], dim=1)
    facing = ((x.diff() == 0) & (y.diff() != 0)).sum().item()
    gaps.append(abs(exact(x, y) - facing / 2))
ledger.record({"sign-loss-tie-counts-half": gaps})

# %% [markdown]
# The count sees *where* an array turns, and nothing of its values. Any strictly increasing function may be applied to
# either array, and the count stays.

# %%
increasing = [torch.exp, lambda x: x**3 + x, torch.atan, lambda x: 1000 * x - 7]
changes = []
for seed in seeds:
    x, y = random_pair(seed, (12, 15))
    changes.append(max(abs(exact(f(x), g(y)) - exact(x, y)) for f in increasing for g in increasing))
ledger.record({"sign-loss-exact-ignores-values": changes})

# %% [markdown]
# So it is useless for training as it stands: nudge any entry a little, and no sign changes; the gradient is zero
# wherever it exists. We nudge each entry of arrays whose differences are all larger than a thousandth.

# %%
moved = []
for seed in seeds:
    x = torch.from_numpy(np.random.default_rng(seed).permutation(200.0 * np.arange(80))[None] / 200)
    y, _ = random_pair(seed, (80,))
    nudged = [x + 1e-6 * torch.nn.functional.one_hot(torch.tensor(k), 80) for k in range(80)]
    moved.append(sum(exact(n, y) != exact(x, y) for n in nudged))
ledger.record({"sign-loss-exact-has-no-gradient": moved})

# %% [markdown]
# ## A soft sign, and Algorithm 1
#
# The way out is old: replace the step by a slope. $\tanh(s\,u)$ goes from $-1$ to $1$ as $u$ passes zero; the
# *sharpness* $s$ says how suddenly. Its unit is one over the unit of the data, so $s$ only means something together
# with a scale: differences much smaller than $1/s$ are treated as proportional, much larger ones as signs.

# %%
u = torch.linspace(-1, 1, 401, dtype=torch.float64)
soft = {f"tanh, s = {s:g}": torch.tanh(s * u) for s in (1, 4, 16, 64)}
soft |= {
    "softsign, s = 16": torch.nn.functional.softsign(16 * u),
    "arctan, s = 16": torch.atan(16 * u) / (math.pi / 2),
    "erf, s = 16": torch.erf(16 * u),
}
figure, axes = figures.panels(2, width=4.2, height=3.2)
shades = plt.get_cmap("viridis")(np.linspace(0.85, 0, 4))
for (name, curve), color in zip(soft.items(), [*shades, *figures.PALETTE[:3]]):
    axes[0 if "tanh" in name else 1].plot(u, curve, label=name, color=color)
axes[1].plot(u, soft["tanh, s = 16"], label="tanh, s = 16", color=shades[2])
for ax in axes:
    ax.plot(u, u.sign(), color="gray", linewidth=0.8, linestyle="--", label="sign")
    ax.set(xlabel="difference u", ylabel="smoothed sign")
    ax.legend(fontsize="x-small")
figures.save(
    figure,
    "soft_signs",
    alt="Smoothed signs against the difference, from -1 to 1. Left, tanh with sharpness 1, 4, 16 and 64: the larger, the "
    "closer to a step. Right, at sharpness 16, softsign and arctan approach the step slowest, then tanh, the error function fastest.",
    data={"u": u, **soft},
    answers="sign loss: Fig. 1",
)

# %%
distance = [float((torch.tanh(s * u) - u.sign()).abs().mean()) for s in 2.0 ** np.arange(0, 7)]
ledger.record({"sign-loss-figure-1": min(1 - np.divide(distance[1:], distance[:-1]))}, figure="soft_signs")

# %% [markdown]
# With it, the *directional sign loss* (DSL) of one example of shape $(n_1, \dots, n_d)$ is
#
# $$\ell(X, Y) = \sum_{i=1}^{d} W_i \sum_{\text{pairs along dimension } i}
#   \tfrac12 \bigl|\tanh(s\,\Delta_i X) - \tanh(s\,\Delta_i Y)\bigr|,$$
#
# with a weight $W_i$ for each dimension, one if none is given. In code it is hardly longer. This is the source's
# Algorithm 1, with a first dimension that counts examples and is left alone:


# %%
def algorithm_1(x, y, s):
    """Return the directional sign loss of each example, shape (N,), of arrays of shape (N, n_1, ..., n_d)."""
    loss = torch.zeros(len(x), dtype=x.dtype)
    for i in range(1, x.dim()):
        delta = (torch.tanh(s * x.diff(dim=i)) - torch.tanh(s * y.diff(dim=i))).abs() / 2
        loss = loss + delta.flatten(1).sum(dim=1)
    return loss


counts = {"average": "none", "halve": True}  # the units of the exact count
x, y = random_pair(seeds[0], (6, 7, 8))
assert torch.allclose(algorithm_1(x, y, 3.0), directional_sign_loss(x, y, sharpness=3.0, reduction="none", **counts))

# %% [markdown]
# The package's `directional_sign_loss` does the same with options and checks, and from now on we use it. Does it tend
# to the count as the sharpness grows? With ties, too? Arrays of rounded numbers in one, two and three dimensions have
# smallest non-zero difference $m = 1$; at $s m = 40$, $\tanh$ differs from 1 by less than a double can say.

# %%
shapes = [(60,), (9, 11), (4, 5, 6)]
gaps = []
for seed in seeds:
    pairs = [random_pair(seed, shape, ties=True) for shape in shapes]
    gaps.append(max(abs(directional_sign_loss(x, y, sharpness=40.0, **counts).item() - exact(x, y)) for x, y in pairs))
ledger.record({"sign-loss-limit-tanh": gaps})


# %% [markdown]
# Other slopes do as well, but the limit comes later. Softsign, $u / (1 + |u|)$, is still $1/(1 + s m)$ away from the
# sign at the smallest difference, so that its error has this bound per comparison; the scaled arctangent behaves
# alike, while $u/\sqrt{1 + u^2}$ and the error function hurry.


# %%
def gap_per_comparison(x, y, sign_like, sm):
    """Return |halved DSL - exact count| over the number of comparisons."""
    comparisons = sum(x.diff(dim=i).numel() for i in range(1, x.dim()))
    loss = directional_sign_loss(x, y, sharpness=sm, sign_like=sign_like, **counts).item()
    return abs(loss - exact(x, y)) / comparisons


excess, others = [], []
for seed in seeds:
    pairs = [random_pair(seed, shape, ties=True) for shape in shapes]
    powers = 10.0 ** np.arange(7)
    excess.append(max(gap_per_comparison(*pair, "softsign", sm) - 1 / (1 + sm) for pair in pairs for sm in powers))
    others.append(max(gap_per_comparison(*pair, f, 1e6) for pair in pairs for f in ("arctan", "algebraic", "erf")))
ledger.record({"sign-loss-limit-softsign": excess, "sign-loss-limit-other-signs": others})

# %% [markdown]
# And now there is a gradient. Automatic differentiation against central differences, in double precision:

# %%
errors = []
for seed in seeds:
    x, y = random_pair(seed, (6, 7))
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(directional_sign_loss(leaf, y, sharpness=1.0, **counts), leaf)
    central = torch.zeros_like(x)
    for place in np.ndindex(*x.shape):
        nudge = torch.zeros_like(x)
        nudge[place] = 1e-6
        up, down = (directional_sign_loss(x + sign * nudge, y, sharpness=1.0, **counts) for sign in (1, -1))
        central[place] = (up - down) / 2e-6
    errors.append(float((gradient - central).abs().max() / central.abs().max()))
ledger.record({"sign-loss-smooth-has-gradient": errors})

# %% [markdown]
# It has a kink where two smoothed signs coincide, as an absolute value does at zero. And it can be *small*: the slope
# of $\tanh(s u)$ is $s\,(1 - \tanh^2(s u))$, which is next to nothing wherever $|u|$ is a few times $1/s$. For noise
# of unit standard deviation and the largest sharpness that the source uses, 32, what share of the differences has a
# slope below a thousandth?

# %%
share = []
for seed in seeds:
    d, _ = random_pair(seed, (100_000,))
    d = d.diff()
    share.append(float((32 * (1 - torch.tanh(32 * d) ** 2) < 0.001).double().mean()))
ledger.record({"sign-loss-gradients-vanish": share})

# %% [markdown]
# Nine in ten: most of the array tells an optimizer nothing. A small sharpness avoids that, at another price: for
# small $s$ the smoothed sign is just $s$ times the difference, so that DSL becomes the mean absolute error of the
# *differences*, and a relative of the mean absolute error (MAE) of the values. We take pairs of random walks with
# steps between 0.01 and 1, and ask how well the MAE of the values predicts DSL. (Walks with larger steps have more of
# both, so part of the agreement is a matter of scale.)

# %%
alike = {f"s_{s}": [] for s in (64, 8, 1)}
for seed in seeds:
    generator = torch.Generator().manual_seed(seed)
    size = 10 ** (-2 * torch.rand(walks, 1, generator=generator, dtype=torch.float64))
    x, y = (size * torch.randn(2, walks, 256, generator=generator, dtype=torch.float64)).cumsum(dim=2)
    absolute = (x - y).abs().mean(dim=1)
    for s in (64, 8, 1):
        dsl = directional_sign_loss(x, y, sharpness=float(s), reduction="none")
        alike[f"s_{s}"].append(float(spearmanr(dsl, absolute).statistic))
ledger.record({"sign-loss-sharpness-against-mae": alike})
pd.DataFrame(alike, index=seeds).round(3).rename_axis("rank correlation of DSL and MAE, seed")

# %% [markdown]
# ## Weights, fields and batches
#
# The weights pick dimensions. The loss is linear in them, so a single weight of 1 leaves that dimension's mismatches:

# %%
far = []
for seed in seeds:
    x, y = random_pair(seed, (5, 6, 7))
    weights = np.random.default_rng(seed).uniform(0.1, 2, 3)
    single = [directional_sign_loss(x, y, sharpness=2.0, weights=list(unit), **counts).item() for unit in np.eye(3)]
    whole = directional_sign_loss(x, y, sharpness=2.0, weights=list(weights), **counts).item()
    far.append(abs(whole / np.dot(weights, single) - 1))
ledger.record({"sign-loss-weights-select": far})

# %% [markdown]
# A *field* has an array at each place: a wind has two or three components, a stress has a matrix. Components are no
# neighbours of each other, so the trailing dimensions that number them get weight zero, and the loss becomes the sum
# over components. How many zeros? For elements of dimensionality $m$ in an array of $d$ dimensions, the last $m$. The
# source's range of indices, read with both ends included as its own definition says, has one more: a slip, which
# would ignore a direction in space.


# %%
def components_apart(x, y, m):
    """Return the sum of the losses of a field's components, the last m dimensions of the arrays."""
    flat = [t.flatten(x.dim() - m) for t in (x, y)]
    parts = [
        directional_sign_loss(*(t[..., c] for t in flat), sharpness=2.0, **counts) for c in range(flat[0].shape[-1])
    ]
    return float(sum(parts))


def as_field(x, y, zeros):
    """Return the loss with that many trailing weights of zero."""
    weights = [1.0] * (x.dim() - 1 - zeros) + [0.0] * zeros
    return directional_sign_loss(x, y, sharpness=2.0, weights=weights, **counts).item()


far, needed = [], []
for seed in seeds:
    vector, matrix = random_pair(seed, (6, 7, 3)), random_pair(seed, (5, 6, 2, 2))
    far.append(max(abs(as_field(*pair, m) / components_apart(*pair, m) - 1) for pair, m in ((vector, 1), (matrix, 2))))
    needed.append([z for z in (1, 2) if math.isclose(as_field(*vector, z), components_apart(*vector, 1))])
ledger.record({"sign-loss-field-weights": far, "sign-loss-field-weights-index": needed[0][0]})

# %% [markdown]
# Examples of a batch are not neighbours either: the summed loss of a batch is the sum over its examples.

# %%
far = []
for seed in seeds:
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.randn(2, 5, 6, 7, generator=generator, dtype=torch.float64)
    whole = directional_sign_loss(x, y, sharpness=2.0, reduction="sum", **counts)
    parts = sum(directional_sign_loss(x[n : n + 1], y[n : n + 1], sharpness=2.0, **counts) for n in range(5))
    far.append(abs(float(whole / parts) - 1))
ledger.record({"sign-loss-batch-is-skipped": far})

# %% [markdown]
# ## Units
#
# Algorithm 1 gives mismatches, up to the number of comparisons: 2047 for a sequence of 2048. Beside a squared error,
# a number between 0 and 2 is handier, and this is what the source's "DSL" columns hold for waves and prices: the sum
# that is *not* halved, over the number of comparisons.

# %%
far = []
for seed in seeds:
    x, y = random_pair(seed, (8, 9, 10))
    comparisons = sum(x.diff(dim=i).numel() for i in (1, 2, 3))
    scaled = directional_sign_loss(x, y, sharpness=2.0).item()
    far.append(abs(scaled * comparisons / (2 * algorithm_1(x, y, 2.0).item()) - 1))
ledger.record({"sign-loss-scaled-by-comparisons": far})

# %% [markdown]
# How many comparisons are there? Along dimension $i$ there are $n_i - 1$ pairs for each place in the others, so
#
# $$\sum_{i=1}^{d} (n_i - 1) \prod_{j \neq i} n_j.$$
#
# The source prints $d \prod_i (n_i - 1)$, which forgets the last row of every *other* dimension: 83,349 for a volume
# of $8 \times 64 \times 64$, where counting gives

# %%
ledger.record({"sign-loss-comparisons": sum(torch.zeros(8, 64, 64).diff(dim=i).numel() for i in range(3))})

# %% [markdown]
# ## What it costs, in theory
#
# The source counts rounds on a machine with as many processors as we like. Then differences and signs take a fixed
# number of rounds, and what remains is adding $N$ numbers in pairs: $\lceil \log_2 N \rceil$ rounds. All mismatches
# at once take about $\log_2 d + \sum_i \log_2 n_i$ rounds; dimension after dimension, as Algorithm 1 does to save
# memory, up to $d$ times as many; a squared error $\sum_i \log_2 n_i$. We add up arrays of ones and count.


# %%
def rounds(count):
    """Add `count` ones in pairs, and return after how many rounds one number is left."""
    numbers, done = np.ones(count), 0
    while len(numbers) > 1:
        numbers, done = np.add.reduceat(numbers, range(0, len(numbers), 2)), done + 1
    assert numbers[0] == count
    return done


at_once, apart, squared = [], [], []
for seed in seeds:
    generator = np.random.default_rng(seed)
    rows = []
    for d in (1, 2, 3, 4) * 5:
        n = generator.integers(2, {1: 3000, 2: 60, 3: 16, 4: 9}[d], d)
        comparisons = [math.prod(n) // k * (k - 1) for k in n]
        bound = np.log2(n).sum()
        apart_rounds = sum(rounds(c) + 1 for c in comparisons)  # one more to add to the loss so far
        rows.append(
            (
                rounds(sum(comparisons)) - math.log2(d) - bound,
                apart_rounds / (d * (2 + bound)),
                rounds(math.prod(n)) - bound,
            )
        )
    for largest, column in zip((at_once, apart, squared), zip(*rows)):
        largest.append(max(column))
ledger.record(
    {
        "sign-loss-depth-all-at-once": at_once,
        "sign-loss-depth-per-dimension": apart,
        "sign-loss-depth-mse": squared,
    }
)

# %% [markdown]
# ## What it costs here
#
# A laptop has a few processors, and what counts is how often numbers travel between memory and processor. First
# memory: the source sums dimension by dimension so that the memory does not depend on the number of dimensions $d$.
# We compare $d = 4$ with $d = 1$ at the same number of elements, for the version that holds all differences at once,
# for Algorithm 1, and for Algorithm 1 with a gradient, as in training.


# %%
def gradient_of(loss, x, y):
    """Return the gradient by x of a scalar loss of x and y."""
    leaf = x.detach().requires_grad_()
    return torch.autograd.grad(loss(leaf, y), leaf)[0]


def all_at_once(x, y, s):
    """Return the loss with the mismatches of all dimensions in memory at the same time."""
    deltas = [(torch.tanh(s * x.diff(dim=i)) - torch.tanh(s * y.diff(dim=i))).abs() for i in range(1, x.dim())]
    return torch.cat([delta.flatten() for delta in deltas]).sum() / 2


ways = {
    "all at once": lambda x, y: all_at_once(x, y, 3.0),
    "algorithm 1": lambda x, y: algorithm_1(x, y, 3.0),
    "algorithm 1, gradient": partial(gradient_of, lambda x, y: algorithm_1(x, y, 3.0).mean()),
}
side = 2 ** (growth[1] // 4)
memory = {name: [] for name in ways}
for seed in seeds:
    four = random_pair(seed, (side,) * 4)
    one = [t.reshape(1, -1) for t in four]
    for name, way in ways.items():
        peaks = [peak_of_tensors(partial(way, *pair)) for pair in (four, one)]
        memory[name].append(peaks[0] / peaks[1])
ledger.record(
    {
        "sign-loss-memory-all-at-once": memory["all at once"],
        "sign-loss-memory-accumulated": memory["algorithm 1"],
        "sign-loss-memory-training": memory["algorithm 1, gradient"],
    }
)

# %% [markdown]
# Without a gradient the memory is nearly independent of $d$, as the source says; with one it is not, since automatic
# differentiation keeps what every dimension needs for the way back. All at once would be expected to take 4 times as
# much for four dimensions; 2.5 is measured, as smoothing and subtracting need room in every case.
#
# Then the time, against a mean squared error with its own gradient, on one thread, for a batch of the source's sizes
# in one, two and three dimensions. Two versions of DSL: Algorithm 1 as written above, and this package's, which makes
# one pass over the arrays in compiled code (with Numba; without it, the package falls back to Algorithm 1).

# %%
cases = {"1d": sequences, "2d": images, "3d": volumes}
squared_error = torch.nn.functional.mse_loss
losses = {
    "mse": squared_error,
    "algorithm 1": lambda x, y: algorithm_1(x, y, 3.0).mean(),
    "package": lambda x, y: directional_sign_loss(x, y, sharpness=3.0),
}
took = []
for case, shape in cases.items():
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        x, y = torch.randn(2, *shape, generator=generator)
        x, y = (t.squeeze(1) if case == "2d" else t for t in (x, y))
        for name, loss in losses.items():
            call = partial(gradient_of, loss, x, y)
            took.append((case, seed, name, 1000 * seconds(call, repeats=repeats), peak_of_tensors(call) / 2**20))
took = pd.DataFrame(took, columns=["case", "seed", "loss", "milliseconds", "megabytes"])
took.groupby(["case", "loss"])[["milliseconds", "megabytes"]].median().unstack().round(1)


# %% [markdown]
# A theorist would expect $d$ times the work of a squared error. Algorithm 1 takes five to ten times as long for
# $d = 1$, and more for larger $d$: each of its seven operations per dimension reads whole arrays from memory and writes
# one, and a squared error is a single pass. The package's version does the arithmetic on numbers that are at hand
# already. It needs as much time as one to four squared errors, and only half of the memory: one array, for the
# gradient. (The benchmark suite measures it more carefully: `python -m benchmarks sign-loss-1d-single` and its
# sisters.)
#
# The rows below judge Algorithm 1, as the source has it.


# %%
def over_mse(column, loss="algorithm 1"):
    """Return, by case, the ratio of a loss to the squared error for each seed."""
    wide = took.pivot(index=["case", "seed"], columns="loss", values=column)
    return {case: (wide[loss] / wide["mse"]).loc[case].to_numpy() for case in cases}


times, spaces = over_mse("milliseconds"), over_mse("megabytes")
ledger.record(
    {
        "sign-loss-time-ratio-1d": times["1d"],
        "sign-loss-time-ratio-2d": times["2d"],
        "sign-loss-time-ratio-3d": times["3d"],
        "sign-loss-memory-ratio-1d": spaces["1d"],
        "sign-loss-memory-ratio-2d": spaces["2d"],
        "sign-loss-memory-ratio-3d": spaces["3d"],
    }
)


# %% [markdown]
# How do time and memory *grow*? From 16,000 to four million elements, the exponents of a fitted power law should be
# equal for DSL and squared error.


# %%
def shape_of(elements, d):
    """Return a shape of d equal sides, or nearly, with about that many elements."""
    sides = [round(elements ** (1 / d))] * (d - 1)
    return (*sides, elements // math.prod(sides))


rows = []
for d in (1, 2, 3):
    for seed in seeds:
        for power in growth:
            x, y = (t.float() for t in random_pair(seed, shape_of(2**power, d)))
            for name in ("mse", "algorithm 1"):
                call = partial(gradient_of, losses[name], x, y)
                rows.append((d, seed, x.numel(), name, seconds(call, repeats=repeats), peak_of_tensors(call)))
growing = pd.DataFrame(rows, columns=["d", "seed", "elements", "loss", "seconds", "bytes"])


def exponents(frame, column):
    """Return the fitted exponent of a column in the number of elements, for each d, loss and seed."""
    groups = frame.groupby(["d", "loss", "seed"])
    return pd.Series({key: exponent(group.elements, group[column]) for key, group in groups}).unstack()


def beyond_mse(column):
    """Return, for each d, the exponent of DSL minus that of the squared error, by seed."""
    fitted = exponents(growing, column)
    return {d: (fitted.loc[(d, "algorithm 1")] - fitted.loc[(d, "mse")]).to_numpy() for d in (1, 2, 3)}


time_growth, memory_growth = beyond_mse("seconds"), beyond_mse("bytes")
ledger.record(
    {
        "sign-loss-time-growth-1d": time_growth[1],
        "sign-loss-time-growth-2d": time_growth[2],
        "sign-loss-time-growth-3d": time_growth[3],
        "sign-loss-memory-growth-1d": memory_growth[1],
        "sign-loss-memory-growth-2d": memory_growth[2],
        "sign-loss-memory-growth-3d": memory_growth[3],
    }
)


# %% [markdown]
# Nearly so. The squared error's own exponent is below 1 in time, as part of its time is spent on getting started.
#
# ## Beside the topologist's way
#
# The established way to compare the topology of two arrays is to compute *persistence diagrams* (which list at what
# height valleys appear and vanish; notebook 206) and the *Wasserstein distance* between the two sets of points. The
# source puts that at $\prod_i n_i^2$ in time and $\prod_i n_i^d$ in memory. The distance is an assignment problem:
# each point of one diagram is paired with one of the other, or with the diagonal, at the least cost. We take arrays
# of noise, whose diagrams have most points, and the exact algorithm of SciPy.


# %%
def diagrams_and_distance(x, y):
    """Return the distance between the diagrams of dimension 0 of two arrays."""
    first, second = (d[np.isfinite(d[:, 1])] for d in (persistence_diagram(x), persistence_diagram(y)))
    return by_assignment(first, second)


rows = []
for d in (1, 2, 3):
    for seed in seeds:
        for elements in diagram_elements:
            x, y = (t[0].numpy() for t in random_pair(seed, shape_of(elements, d)))
            assert math.isclose(
                diagrams_and_distance(x, y), wasserstein(persistence_diagram(x), persistence_diagram(y))
            )
            call = partial(diagrams_and_distance, x, y)
            rows.append(
                (d, seed, x.size, "diagrams", seconds(call, repeats=max(1, repeats // 2)), peak_of_arrays(call))
            )
topological = pd.DataFrame(rows, columns=["d", "seed", "elements", "loss", "seconds", "bytes"])
slow, big = exponents(topological, "seconds"), exponents(topological, "bytes")
loss_time, loss_memory = exponents(growing, "seconds"), exponents(growing, "bytes")
slower = {d: (slow.loc[(d, "diagrams")] - loss_time.loc[(d, "algorithm 1")]).to_numpy() for d in (1, 2, 3)}
bigger = {d: (big.loc[(d, "diagrams")] - loss_memory.loc[(d, "algorithm 1")]).to_numpy() for d in (1, 2, 3)}
pd.DataFrame(
    {
        (what, name): frame.median(axis=1).loc[(slice(None), name)]
        for what, pair in {"time": (loss_time, slow), "memory": (loss_memory, big)}.items()
        for frame, names in ((pair[0], ("mse", "algorithm 1")), (pair[1], ("diagrams",)))
        for name in names
    }
).round(2).rename_axis("dimensions")

# %% [markdown]
# Time grows about with the square of the number of elements, and more where the diagrams are large. In three
# dimensions there are few valleys for as many elements, as each element has 26 neighbours to be lower than; there the
# part that finds the diagrams still counts.

# %%
ledger.record(
    {
        "sign-loss-diagram-time-growth-1d": slower[1],
        "sign-loss-diagram-time-growth-2d": slower[2],
        "sign-loss-diagram-time-growth-3d": slower[3],
        "sign-loss-diagram-time-exponent-1d": slow.loc[(1, "diagrams")].to_numpy(),
        "sign-loss-diagram-time-exponent-2d": slow.loc[(2, "diagrams")].to_numpy(),
        "sign-loss-diagram-time-exponent-3d": slow.loc[(3, "diagrams")].to_numpy(),
    }
)

# %% [markdown]
# Memory goes into the table of costs, which has the square of the number of points. In one dimension it grows
# with the square of the elements, as it should; for images and volumes of this size the exponent is about
# 1.6, since the number of points grows more slowly than the number of elements. The source's exponent, $d$,
# fits neither one dimension nor three.

# %%
ledger.record(
    {
        "sign-loss-diagram-memory-growth-2d": bigger[2],
        "sign-loss-diagram-memory-growth-3d": bigger[3],
        "sign-loss-diagram-memory-exponent-1d": big.loc[(1, "diagrams")].to_numpy(),
        "sign-loss-diagram-memory-exponent-2d": big.loc[(2, "diagrams")].to_numpy(),
        "sign-loss-diagram-memory-exponent-3d": big.loc[(3, "diagrams")].to_numpy(),
    }
)

# %%
both = pd.concat([growing, topological])
figure, axes = plt.subplots(1, 2, figsize=(8.8, 3.6))
colors = {"mse": "black", "algorithm 1": figures.PALETTE[0], "diagrams": figures.PALETTE[3]}
for ax, column, scale, unit in zip(axes, ("seconds", "bytes"), (1000, 2**-20), ("milliseconds", "MB")):
    for (name, d), group in both.groupby(["loss", "d"]):
        middle = group.groupby("elements")[column].median() * scale
        ax.plot(middle, color=colors[name], linestyle=("-", "--", ":")[d - 1], marker=".", label=f"{name}, {d}-D")
    ax.set(
        xscale="log",
        yscale="log",
        xlabel="elements of the array",
        ylabel=f"{'time' if scale > 1 else 'peak memory'} ({unit})",
    )
axes[1].legend(fontsize="x-small", handlelength=3, loc="upper left", bbox_to_anchor=(1, 1))
figures.save(
    figure,
    "cost",
    alt="Time and peak memory against the number of elements, logarithmic axes, for arrays of one, two and three dimensions. Squared "
    "error and Algorithm 1 rise in parallel, with slope about one; diagrams with their distance rise more steeply and lie far above.",
    data=both,
    answers="sign loss: section 3.2",
    timing=True,
)

# %% [markdown]
# **Reading the figure.** On the left, in one dimension, the loss and its gradient for a million elements cost as much as
# diagrams and distance for a thousand; in three dimensions the gap is smaller. On the right, the same for memory.
#
# Lastly, a practical case: two photographs of 128 × 128, one a little noisy. How many times longer do diagrams and
# distance take?

# %%
ratios = []
photograph = load_sample_image("china.jpg").mean(axis=2) / 255
for seed in seeds:
    generator = np.random.default_rng(seed)
    top, left = generator.integers(0, np.array(photograph.shape) - crop)
    x = photograph[top : top + crop, left : left + crop]
    y = np.clip(x + 0.02 * generator.standard_normal(x.shape), 0, 1)  # a reconstruction with some noise
    distance = seconds(partial(diagrams_and_distance, x, y), repeats=1)
    tensors = [torch.from_numpy(a)[None] for a in (x, y)]
    dsl = seconds(partial(gradient_of, losses["package"], *tensors), repeats=repeats)
    ratios.append(distance / dsl)
ledger.record({"sign-loss-cheaper-than-diagrams": ratios})

# %% [markdown]
# Ten thousand times, with this exact algorithm. Better ones exist, several times as quick on the diagrams of this
# course (`data/benchmarks.json` does not measure them); that leaves a factor of thousands. Whether the distance
# has a gradient is another matter than the source makes of it: births and deaths are values of the array at known
# places, so that it has one almost everywhere, and libraries offer it. How useful that gradient is for training,
# this notebook does not test. As a *cost*, then, the source's case is clear. Whether DSL is a good *substitute* is
# another question; that is what notebooks 202 to 206 are for.
#
# **Exercise.** Write DSL for a ring, where the last element is a neighbour of the first. Which line of Algorithm 1
# changes? What happens to the number of comparisons?
#
# ## What differs from the source

# %%
Markdown(profiles.differences(run.notebook))
