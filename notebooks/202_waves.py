# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What a wave becomes when only its direction counts
#
# [Script](202_waves.py) · [executed print](202_waves.ipynb) · [course map](../README.md)
#
# **Question.** What does an autoencoder learn that is told only which way to go?
#
# **Source.** Dam et al., *Directional sign loss*, section 3.3, Table 1, Fig. 2. **Time on a laptop.** Four minutes.
#
# Notebook 201 built the loss: take the differences between neighbours in a sequence and in its reconstruction, smooth
# their signs, and add up where they disagree. Now we train with it. The source does so on the simplest data that rise
# and fall, one cycle of a wave, and squeezes each wave through *two* numbers, too few to rebuild it well. What does
# the model save when it cannot save everything? It depends on what it is asked for:
#
# - **MSE**: the squared error, summed over the 2048 places of a wave;
# - **DSL**: the directional sign loss alone, as a mean over comparisons, with sharpness $s = 32$;
# - **mixture**: 1 MSE + 128 DSL.
#
# The source prints what each of the three ends with on four scales (Table 1), and an example of each (Fig. 2).

# %% tags=["parameters"]
seeds = [201, 202, 203]  # of weights and waves; each is trained on every loss
points = 2048  # of a wave
hidden = 32  # values of each hidden layer
latent = 2  # numbers that a wave is squeezed into
larger_latent = 4  # the same for the last experiment
sharpness = 32.0  # s, in training and in the DSL that is measured
other_sharpness = [4.0, 256.0]  # to see what the choice does
weight = 128.0  # of DSL beside one squared error, in the mixture
batch = 64  # waves per step, always new ones
steps = 3000  # of Adam
learning_rate = 0.001  # of Adam
examples = 256  # new waves to measure on

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown
from matplotlib.ticker import LogLocator

from shapeofloss import figures, ledger
from shapeofloss.datasets.waves import waves
from shapeofloss.engine import compute, profiles, workspace
from shapeofloss.signloss import directional_sign_loss, exact_sign_mismatch
from shapeofloss.signloss.reconstructions import cumulative_signs, explained_share, relative_size
from shapeofloss.signloss.train_models import train_waves
from shapeofloss.signloss.training import measures

run = workspace.begin("202_waves")
figures.use_house_style()

# %% [markdown]
# ## The waves
#
# $$x(t) = \sin(2\pi t + \varphi)\; e^{\pm (2t - 1)}, \qquad t \in [0, 1],$$
#
# with a random phase $\varphi$; a coin decides whether the wave swells by a factor of $e^2$ or fades. There are only
# two random choices in a wave, one of them a mere sign, so in principle two numbers could hold it. Whether small
# networks find that code is another matter.

# %%
drawn = waves(4, points, torch.Generator().manual_seed(seeds[0])).numpy()
figure, ax = plt.subplots(figsize=(6, 2.6))
ax.plot(drawn.T)
ax.set(xlabel="place in the wave", ylabel="value")
figures.save(
    figure,
    "waves",
    alt="Four waves of one cycle each over 2048 places: two swell towards the right and two fade, with different phases.",
    data=pd.DataFrame(drawn.T, columns=[f"wave_{n}" for n in range(len(drawn))]),
)

# %% [markdown]
# ## Three losses, one model
#
# Encoder and decoder are perceptrons with one hidden layer of 32 and a ReLU, $\max(0, \cdot)$, in it, as in the
# source's table of settings. Every batch consists of new waves, and what follows is measured on 256 waves more that
# no model has seen, the same for all losses of a seed.
#
# Four scales: the squared error, DSL, the *exact* number of wrong directions (out of 2047), and the distance between
# *persistence diagrams*, which list at what height valleys appear and at what height they join; notebook 206 is about
# them. Of the paper's conventions some had to be decoded from its numbers: the squared error is summed over a wave
# and averaged over waves; DSL is not halved; for the diagrams the 2-Wasserstein distance fits best.
#
# All trainings of this notebook are independent of each other, so we start them together: the three losses of Table
# 1, and the variations that the questions further down ask for.

# %%
losses = {"mse": (1.0, 0.0), "dsl": (0.0, 1.0), "mixture": (1.0, weight)}
common = {
    "points": points,
    "network": {"hidden": hidden, "latent": latent},
    "schedule": {"batch": batch, "steps": steps, "learning_rate": learning_rate},
    "examples": examples,
    "measured_at": sharpness,
}


def mixed(squared, directional, s=sharpness):
    """Return the loss of one training."""
    return {"loss": {"squared": squared, "directional": directional, "sharpness": s}}


larger = {"network": {"hidden": hidden, "latent": larger_latent}}
he = {"network": {**common["network"], "initialisation": "he"}}
cases = {name: mixed(*loss) for name, loss in losses.items()}
cases |= {f"{name}, larger code": {**mixed(*loss), **larger} for name, loss in losses.items()}
cases |= {f"mixture, s = {s:g}": mixed(*losses["mixture"], s) for s in other_sharpness}
cases |= {"equal weights": mixed(1.0, 1.0), "dsl, He": {**mixed(*losses["dsl"]), **he}}
trained = compute.grid(train_waves, cases, seeds, common=common, label="trainings")

# %%
results = {name: trained[name] for name in losses}
names = {"mse": "MSE", "dsl": "DSL", "exact": "exact DSL", "persistence": "diagram distance"}
values = {metric: {name: [float(r[metric]) for r in each] for name, each in results.items()} for metric in names}
table = pd.DataFrame({metric: {name: np.mean(v) for name, v in groups.items()} for metric, groups in values.items()})
spread = pd.DataFrame({metric: {name: np.std(v) for name, v in groups.items()} for metric, groups in values.items()})
table.rename(columns=names).round(3)

# %%
spread.rename(columns=names).round(3).rename_axis("standard deviation over seeds")

# %% [markdown]
# The source's clauses, one by one. First the orderings: which loss is best, and which is worst, on each scale?

# %%
ledger.record(
    {
        "sign-loss-waves-mse-best": values["mse"],
        "sign-loss-waves-mse-worst": values["mse"],
        "sign-loss-waves-dsl-best": values["dsl"],
        "sign-loss-waves-dsl-worst": values["dsl"],
        "sign-loss-waves-exact-best": values["exact"],
        "sign-loss-waves-exact-worst": values["exact"],
        "sign-loss-waves-persistence-best": values["persistence"],
        "sign-loss-waves-persistence-worst": values["persistence"],
        "sign-loss-waves-mixture-beats-dsl-on-dsl": {name: values["dsl"][name] for name in ("mixture", "dsl")},
    }
)

# %% [markdown]
# Then the numbers themselves, twelve of them. "Reproduced" means within a factor of 1.25 of what is printed.

# %%
ledger.record(
    {
        "sign-loss-waves-mse-after-mse": values["mse"]["mse"],
        "sign-loss-waves-mse-after-dsl": values["mse"]["dsl"],
        "sign-loss-waves-mse-after-mixture": values["mse"]["mixture"],
        "sign-loss-waves-dsl-after-mse": values["dsl"]["mse"],
        "sign-loss-waves-dsl-after-dsl": values["dsl"]["dsl"],
        "sign-loss-waves-dsl-after-mixture": values["dsl"]["mixture"],
        "sign-loss-waves-exact-after-mse": values["exact"]["mse"],
        "sign-loss-waves-exact-after-dsl": values["exact"]["dsl"],
        "sign-loss-waves-exact-after-mixture": values["exact"]["mixture"],
        "sign-loss-waves-persistence-after-mse": values["persistence"]["mse"],
        "sign-loss-waves-persistence-after-dsl": values["persistence"]["dsl"],
        "sign-loss-waves-persistence-after-mixture": values["persistence"]["mixture"],
    }
)

# %% [markdown]
# And the two sentences on which the paper rests, taken for these data: the mixture keeps topological features better
# than MSE alone, and gives up little for it.

# %%
ledger.record(
    {
        "sign-loss-waves-topology-kept-better": {name: values["persistence"][name] for name in ("mixture", "mse")},
        "sign-loss-waves-mse-hardly-sacrificed": np.divide(values["mse"]["mixture"], values["mse"]["mse"]),
    }
)

# %% [markdown]
# All of it in one picture:

# %%
printed = pd.DataFrame(
    {
        "mse": [23.3221, 1887.9517, 185.3973],
        "dsl": [0.5920, 0.1471, 0.0944],
        "exact": [968.1504, 194.4619, 429.5840],
        "persistence": [0.6992, 2.0775, 0.4317],
    },
    index=list(losses),
)
colors = {"mse": figures.PALETTE[0], "dsl": figures.PALETTE[1], "mixture": figures.PALETTE[2]}
figure, axes = plt.subplots(1, 4, figsize=(11, 2.9))
for ax, metric in zip(axes, names):
    for n, name in enumerate(losses):
        ax.plot([n] * len(seeds), values[metric][name], "o", color=colors[name], markersize=5)
    ax.plot(range(3), printed[metric], "D", color="black", markerfacecolor="none", label="source")
    ax.set(xticks=range(3), xticklabels=list(losses), title=names[metric], yscale="log", xlim=(-0.5, 2.5))
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.minorticks_off()
axes[0].legend(fontsize="small")
figures.save(
    figure,
    "table",
    alt="Four scales after training on each loss, three seeds as dots and the source's table as diamonds, logarithmic axes. The squared "
    "error is lowest after MSE and highest after DSL, wrong directions the reverse; the mixture lies between, with a wide spread, "
    "and has the lowest diagram distance in two of three seeds.",
    data=pd.DataFrame(
        [(m, name, s, v) for m, g in values.items() for name, vs in g.items() for s, v in zip(seeds, vs)],
        columns=["metric", "loss", "seed", "value"],
    ),
    answers="sign loss: Table 1",
)

# %% [markdown]
# **Reading the figure.** For MSE and for DSL alone we land where the source does, within a factor of two, on all
# scales but one: the source's MSE model is better at MSE than ours, which see a hundredth as many waves in training
# (3,000 batches of 64 instead of 20,000 of 1,024). Trained on DSL alone, the model hardly differs from a constant in
# squared error (1,881), makes the fewest wrong directions (298 of 2047), and has the worst diagrams, as the source
# says.
#
# The mixture is where seeds disagree. In two of three it has the best diagrams; in the third its DSL is as bad as
# after MSE, and its diagrams are worse, and its MSE model is five times worse than the others, too. (We suspect
# that this seed never finds the second number of the code, but have not looked.) So "the mixture is best on DSL",
# the most surprising entry of the printed table (0.094 against 0.147 for the model that is trained on nothing
# else), holds in one seed of three, and not on average. With one training per loss, as in a printed table, either
# answer could have been the result.

# %% [markdown]
# ## An example, and its cumulative signs
#
# The cumulative sign starts at zero, goes one up for each rise and one down for each fall. For the original it is a
# sawtooth: straight up to the crest, straight down to the trough. We draw the same wave with the models of the second
# seed (the MSE model of the first one is a poor one, as the picture above shows).

# %%
shown, second = 1, min(1, len(seeds) - 1)  # an example, and the models of the second seed
figure, axes = plt.subplots(1, 2, figsize=(10, 3.6))
curves = {"original": results["mse"][second]["original"][shown]}
curves |= {name: each[second]["reconstruction"][shown] for name, each in results.items()}
for ax, change in zip(axes, (lambda x: x, cumulative_signs)):
    for name, curve in curves.items():
        style = {"color": "black", "linewidth": 1.8} if name == "original" else {"color": colors[name], "linewidth": 1}
        ax.plot(change(curve), label=name, **style)
    ax.set_xlabel("place in the wave")
axes[0].set_ylabel("value")
axes[1].set_ylabel("cumulative signs")
axes[0].legend(fontsize="small")
figures.save(
    figure,
    "example",
    alt="Left, a wave and three reconstructions: MSE follows it with fuzz, the mixture is smooth and too flat, DSL is noise around zero. "
    "Right, cumulative signs: the original is a sawtooth, DSL follows it closely, the mixture less, MSE stays near zero.",
    data=pd.DataFrame(curves),
    answers="sign loss: Fig. 2",
)

# %% [markdown]
# **Reading the figure.** Left: the MSE model lies on the wave, if you stand back; it is covered with fuzz, tiny
# zigzags at every place. The DSL model stays near zero and looks like noise. The mixture rounds the wave off. Right,
# the same curves, by direction alone: now the *noise* traces the sawtooth nearly to its tips, and the good-looking
# MSE curve hardly leaves zero, for nearly half of its steps go the wrong way. Both pictures show the same three
# arrays.

# %% [markdown]
# Is that what Fig. 2 shows? The source describes it in sentences, and each is given a number. The reconstruction of
# the MSE model *changes direction* very often, where the original does so twice:


# %%
def turns(x):
    """Return how often each sequence changes direction, zero differences left out."""
    signs = [np.sign(np.diff(row)) for row in x]
    return np.array([np.sum(np.diff(s[s != 0]) != 0) for s in signs])


def turning(name, which="reconstruction"):
    return np.array([turns(r[which]).mean() for r in results[name]])


ledger.record(
    {
        "sign-loss-mse-changes-direction": turning("mse") / turning("mse", "original"),
        "sign-loss-original-is-a-sawtooth": turning("mse", "original"),
    },
    figure="example",
)

# %% [markdown]
# The reconstruction by DSL alone *stays near zero*: its root mean square, over that of the original,

# %%
ledger.record({"sign-loss-dsl-stays-near-zero": relative_size(results["dsl"])}, figure="example")

# %% [markdown]
# and it *occasionally jumps* back across zero. As a jump counts a difference above ten times the median one, as long
# as fewer than one difference in twenty is like that; otherwise they are no occasions any more.


# %%
def jumps(x, times=10):
    """Return the places of differences above `times` the median size, shape of the differences."""
    d = np.abs(np.diff(x))
    return d > times * np.median(d, axis=-1, keepdims=True)


count, across = [], []
for result in results["dsl"]:
    x = result["reconstruction"]
    large = jumps(x)
    count.append(np.mean(np.where(large.mean(axis=1) < 0.05, large.sum(axis=1), 0)))
    crossing = np.sign(x[:, 1:]) != np.sign(x[:, :-1])
    across.append(np.mean(crossing[large]) if large.any() else 0.0)
ledger.record({"sign-loss-dsl-jumps": count, "sign-loss-dsl-jumps-across-zero": across}, figure="example")

# %% [markdown]
# Here our model differs from the source's: its jumps are no exceptions. In every reconstruction more than one
# difference in twenty is ten times the median, so that by the rule none is a jump; they are how the model lives
# between its bounds. They do lead across zero, in seven of ten cases.

# %% [markdown]
# Jumps are cheap, says the source: however large, a jump against the direction costs one wrong sign.

# %%
rising = torch.arange(100, dtype=torch.float64)
excess = []
for jump in np.logspace(-2, 6, 9):
    saw = rising.clone()
    saw[50:] -= 1 + jump  # the step from 49 to 50 goes down by `jump`
    excess.append(abs(float(exact_sign_mismatch(saw[None], rising[None])) - 1))
ledger.record({"sign-loss-jump-costs-one-sign": [max(excess)] * 3})

# %% [markdown]
# It says further that one might expect the loss to produce straight lines, up and down, and that this is *not what
# happens*. The share of the variance of a reconstruction that the original's own sawtooth explains:


# %%
def explained_by(x, z):
    """Return the share of the variance of each row of x that the row of z explains."""
    x, z = x - x.mean(axis=1, keepdims=True), z - z.mean(axis=1, keepdims=True)
    return np.sum(x * z, axis=1) ** 2 / np.sum(x * x, axis=1) / np.sum(z * z, axis=1)


straight = [explained_by(r["reconstruction"], cumulative_signs(r["original"])).mean() for r in results["dsl"]]
ledger.record({"sign-loss-dsl-not-linear": straight}, figure="example")

# %% [markdown]
# Nothing at all: the values of the DSL reconstruction do not follow the sawtooth, although its signs do. The loss, at
# $s = 32$, cannot tell a rise of 0.2 from a rise of 2, so a long climb is no cheaper than many short ones with a fall
# in between; and falls cost one sign each, however deep.

# %% [markdown]
# The mixture shows characteristics of both: its cumulative signs are closer to the sawtooth than those of the MSE
# model, the shape resembles the original's, and most directions are right.


# %%
def sawtooth(name):
    """Return the mean correlation of the reconstructions' cumulative signs with the originals', by seed."""
    pairs = [(cumulative_signs(r["reconstruction"]), cumulative_signs(r["original"])) for r in results[name]]
    return [np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(*pair)]) for pair in pairs]


alike = {name: sawtooth(name) for name in losses}
ledger.record(
    {
        "sign-loss-mixture-more-sawtooth": {name: alike[name] for name in ("mse", "mixture")},
        "sign-loss-mixture-keeps-shape": explained_share(results["mixture"]),
        "sign-loss-mixture-keeps-trends": 1 - np.array(values["exact"]["mixture"]) / (points - 1),
    },
    figure={"sign-loss-mixture-more-sawtooth": "example", "sign-loss-mixture-keeps-shape": "example"},
)

# %% [markdown]
# The shape is kept (87% of the sum of squares), the sawtooth more than by MSE; of the directions 63% are right, where
# the source's table says 79%.

# %% [markdown]
# ## How much is 128?
#
# The weight is needed, the source says, since the squared error is "usually about 150 times" DSL. Its own Table 1
# disagrees: it has ratios of 39, 12,834 and 1,964.

# %%
ledger.record(
    {
        "sign-loss-ratio-150-mse": printed.mse["mse"] / printed.dsl["mse"],
        "sign-loss-ratio-150-dsl": printed.mse["dsl"] / printed.dsl["dsl"],
        "sign-loss-ratio-150-mixture": printed.mse["mixture"] / printed.dsl["mixture"],
    }
)

# %% [markdown]
# Perhaps it is meant during training. The median over the steps of training on the mixture:

# %%
in_training = [float(np.median(r["squared_error"] / r["dsl_along"])) for r in results["mixture"]]
ledger.record({"sign-loss-ratio-150-in-training": in_training})

# %% [markdown]
# Not for us either: it is about 800. Nobody should take a weight from such a ratio anyway. What counts is the ratio
# of *gradients*, and that depends on where a model stands.

# %% [markdown]
# Is it true that equal weights have no obvious effect, and that 128 has one? Exact mismatches over those of the MSE
# model:

# %%
ratio = np.array([float(r["exact"]) for r in trained["equal weights"]]) / values["exact"]["mse"]
ledger.record(
    {
        "sign-loss-weight-1-too-small": ratio,
        "sign-loss-weight-128-is-enough": np.divide(values["exact"]["mixture"], values["exact"]["mse"]),
    }
)

# %% [markdown]
# Equal weights change nothing (0.98), true. With 128 the mismatches fall to 0.66 and 0.78 of those of the MSE model
# in two seeds and not at all in the unlucky one.

# %% [markdown]
# And the sharpness, which is said to change the loss's behaviour greatly: an eighth and eight times of it, in the
# mixture.

# %%
by_sharpness = {sharpness: values["exact"]["mixture"]} | {
    s: [float(r["exact"]) for r in trained[f"mixture, s = {s:g}"]] for s in other_sharpness
}
each = np.array(list(by_sharpness.values()))
ledger.record({"sign-loss-sharpness-matters": each.max(axis=0) / each.min(axis=0)})
pd.DataFrame(by_sharpness, index=seeds).sort_index(axis=1).round(1).rename_axis("exact DSL by sharpness, seed")

# %% [markdown]
# It does matter, but less than we expected: in each seed the largest count is between a tenth and a third above the
# smallest, and no sharpness is far better than 32. At 4, the loss is close to an absolute error of differences; at
# 256, few differences are left in the range in which the slope is not zero (notebook 201).

# %% [markdown]
# Table 4 says that weights were initialised as He et al. proposed, normal with variance $2 / n$ for $n$ inputs.
# PyTorch's own default has a sixth of that variance. With DSL alone it matters:

# %%
ledger.record({"sign-loss-he-initialisation": [float(r["exact"]) for r in trained["dsl, He"]]})

# %% [markdown]
# About 1,000 of 2047: as good as coins. A He-initialised decoder starts with outputs that jump by about one from
# place to place; at $s = 32$ all these differences are deep in the flat part of $\tanh$, and no gradient comes
# through. So we think that the source used the framework's default, as our other trainings do. PyTorch implements
# that default by a function with He's name (`kaiming_uniform_`, with a parameter that shrinks it), which may be how
# the name came into the table of settings.

# %% [markdown]
# ## A constant beats them all
#
# How good is a DSL of 0.15? Take the dullest reconstruction there is, zero everywhere, and more generally $c$
# times the original, with $c$ from 0 to 1.2.

# %%
original = torch.from_numpy(results["mse"][0]["original"])
amounts = np.linspace(0, 1.2, 25)
along = [float(directional_sign_loss(a * original, original, sharpness=sharpness)) for a in amounts]
zero = measures(original, torch.zeros_like(original), sharpness=sharpness)
pd.Series(zero).round(4)

# %%
figure, ax = plt.subplots(figsize=(5.4, 3.2))
ax.plot(amounts, along, color="black", label="c times the original")
for name, v in values["dsl"].items():
    ax.axhline(np.mean(v), color=colors[name], linestyle="--", label=f"model trained on {name}")
ax.set(xlabel="c", ylabel=f"DSL at s = {sharpness:g}", ylim=(0, None))
ax.legend(fontsize="small", loc="center right", bbox_to_anchor=(1, 0.68))
figures.save(
    figure,
    "constant_zero",
    alt="DSL between a wave and c times itself: 0.077 at c = 0, falling straight to zero at c = 1. Dashed lines far above: the models "
    "trained on DSL at 0.15, the mixture at 0.21, MSE at 0.49.",
    data={"c": amounts, "dsl": along},
)

# %% [markdown]
# **Reading the figure.** A constant zero scores 0.077, *half* of what the model reaches that was trained on this very
# loss, and less than every entry of the source's table. The reason is the scale of the data: neighbours of a wave
# differ by 0.0088 at most (0.0024 on average), so that $s$ times a difference is at most 0.28, where $\tanh$ is still
# a straight line. There DSL is no count of signs; it is the mean absolute error of the *slopes*, up to the factor
# $s$, and predicting no slope at all costs no more than the slope itself. Noise of 0.2 between neighbours costs far
# more. The yardstick of the topologists is fooled as well: by its diagram the constant, at 0.62, is nearer to the
# waves than the model trained on MSE, at 0.80. Why do the models not find zero, then? Our guess: with random weights
# the outputs start rough, and from there signs can be corrected much faster than roughness. (A last layer that starts
# near zero would tell; it is an exercise.)
#
# So what does "DSL is lower" mean? At this sharpness, mostly "smoother". The exact count says something else: for a
# constant, every direction counts as half wrong, 1,023 of 2047. To make DSL count signs here, $s$ would have to be
# some thousands; then no model would learn. This is the source's dilemma of sharpness in its purest form, and the
# reason to look at more than one number.

# %% [markdown]
# ## Room for four numbers
#
# With a code of four numbers instead of two, the source says in its last paragraph, all reconstructions closely
# overlap the original, except by DSL alone. The share of the sum of squares that is explained:

# %%
kept = {name: explained_share(trained[f"{name}, larger code"]) for name in losses}
ledger.record(
    {
        "sign-loss-latent-4-mse": kept["mse"],
        "sign-loss-latent-4-mixture": kept["mixture"],
        "sign-loss-latent-4-dsl": kept["dsl"],
    }
)

# %% [markdown]
# True without reserve: 99.97% for MSE, 99.9% for the mixture, and nothing for DSL alone. Then the choice between MSE
# and mixture matters little, which is worth remembering when the next sections train on harder data.
#
# **Exercise.** Train on DSL with the sharpness raised step by step, from 1 to 1000, during the training. Does the
# model get below the constant's 0.077 at $s = 32$?
#
# ## What differs from the source

# %%
Markdown(profiles.differences(run.notebook))
