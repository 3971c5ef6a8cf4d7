# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Waves, and three ways to tell an autoencoder what matters

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

from shapeofloss import compute, figures, ledger, profiles, workspace
from shapeofloss.signloss import directional_sign_loss, exact_sign_mismatch
from shapeofloss.signloss.training import measures
from shapeofloss.signloss.waves import train_waves, waves

run = workspace.begin("22_waves")
figures.use_house_style()

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

# %%
losses = {"mse": (1.0, 0.0), "dsl": (0.0, 1.0), "mixture": (1.0, weight)}
shape = {"points": points, "hidden": hidden, "batch": batch, "steps": steps, "learning_rate": learning_rate}


def task(squared, directional, seed, **changed):
    """Return the settings of one training."""
    own = {"squared": squared, "directional": directional, "seed": seed, "latent": latent, "sharpness": sharpness}
    return {**shape, **own, "examples": examples, "measured_at": sharpness, **changed}


experiments = {name: (loss, {}) for name, loss in losses.items()}
experiments |= {f"{name}, larger code": (loss, {"latent": larger_latent}) for name, loss in losses.items()}
experiments |= {f"mixture, s = {s:g}": (losses["mixture"], {"sharpness": s}) for s in other_sharpness}
experiments |= {"equal weights": ((1.0, 1.0), {}), "dsl, He": (losses["dsl"], {"initialisation": "he"})}
tasks = [task(*loss, seed, **changed) for loss, changed in experiments.values() for seed in seeds]
found = compute.map(train_waves, tasks, label="trainings")
trained = {name: found[n * len(seeds) : (n + 1) * len(seeds)] for n, name in enumerate(experiments)}

# %%
results = {name: trained[name] for name in losses}
names = {"mse": "MSE", "dsl": "DSL", "exact": "exact DSL", "persistence": "diagram distance"}
values = {metric: {name: [float(r[metric]) for r in found] for name, found in results.items()} for metric in names}
table = pd.DataFrame({metric: {name: np.mean(v) for name, v in groups.items()} for metric, groups in values.items()})
spread = pd.DataFrame({metric: {name: np.std(v) for name, v in groups.items()} for metric, groups in values.items()})
table.rename(columns=names).round(3)

# %%
spread.rename(columns=names).round(3).rename_axis("standard deviation over seeds")

# %%
ledger.record("sign-loss-waves-mse-best", values["mse"])

# %%
ledger.record("sign-loss-waves-mse-worst", values["mse"])

# %%
ledger.record("sign-loss-waves-dsl-best", values["dsl"])

# %%
ledger.record("sign-loss-waves-dsl-worst", values["dsl"])

# %%
ledger.record("sign-loss-waves-exact-best", values["exact"])

# %%
ledger.record("sign-loss-waves-exact-worst", values["exact"])

# %%
ledger.record("sign-loss-waves-persistence-best", values["persistence"])

# %%
ledger.record("sign-loss-waves-persistence-worst", values["persistence"])

# %%
ledger.record("sign-loss-waves-mixture-beats-dsl-on-dsl", {name: values["dsl"][name] for name in ("mixture", "dsl")})

# %%
ledger.record("sign-loss-waves-mse-after-mse", values["mse"]["mse"])
ledger.record("sign-loss-waves-mse-after-dsl", values["mse"]["dsl"])
ledger.record("sign-loss-waves-mse-after-mixture", values["mse"]["mixture"])
ledger.record("sign-loss-waves-dsl-after-mse", values["dsl"]["mse"])
ledger.record("sign-loss-waves-dsl-after-dsl", values["dsl"]["dsl"])
ledger.record("sign-loss-waves-dsl-after-mixture", values["dsl"]["mixture"])
ledger.record("sign-loss-waves-exact-after-mse", values["exact"]["mse"])
ledger.record("sign-loss-waves-exact-after-dsl", values["exact"]["dsl"])
ledger.record("sign-loss-waves-exact-after-mixture", values["exact"]["mixture"])
ledger.record("sign-loss-waves-persistence-after-mse", values["persistence"]["mse"])
ledger.record("sign-loss-waves-persistence-after-dsl", values["persistence"]["dsl"])
ledger.record("sign-loss-waves-persistence-after-mixture", values["persistence"]["mixture"])

# %%
ledger.record(
    "sign-loss-waves-topology-kept-better", {name: values["persistence"][name] for name in ("mixture", "mse")}
)

# %%
sacrifice = np.divide(values["mse"]["mixture"], values["mse"]["mse"])
ledger.record("sign-loss-waves-mse-hardly-sacrificed", sacrifice)

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
    ax.minorticks_off()
axes[0].legend(fontsize="small")
figures.save(
    figure,
    "table",
    alt="Four metrics after training on each loss, three seeds as dots and the source's table as diamonds, logarithmic axes. ",
    data=pd.DataFrame(
        [(m, name, s, v) for m, g in values.items() for name, vs in g.items() for s, v in zip(seeds, vs)],
        columns=["metric", "loss", "seed", "value"],
    ),
    answers="Table 1",
)


# %%
def cumulative_signs(x):
    """Return the running sum of the signs of the differences along the last axis, from 0."""
    signs = np.sign(np.diff(x))
    return np.concatenate([np.zeros((*x.shape[:-1], 1)), np.cumsum(signs, axis=-1)], axis=-1)


shown = 1
figure, axes = plt.subplots(1, 2, figsize=(10, 3.6))
curves = {"original": results["mse"][0]["original"][shown]} | {
    n: f[0]["reconstruction"][shown] for n, f in results.items()
}
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
    alt="Left, a wave and three reconstructions. Right, their cumulative signs. ",
    data=pd.DataFrame(curves),
    answers="Fig. 2",
)


# %%
def turns(x):
    """Return how often each sequence changes direction, zero differences left out."""
    signs = [np.sign(np.diff(row)) for row in x]
    return np.array([np.sum(np.diff(s[s != 0]) != 0) for s in signs])


def turning(name, which="reconstruction"):
    return np.array([turns(r[which]).mean() for r in results[name]])


ledger.record("sign-loss-mse-changes-direction", turning("mse") / turning("mse", "original"), figure="example")

# %%
ledger.record("sign-loss-original-is-a-sawtooth", turning("mse", "original"), figure="example")


# %%
def size(name):
    """Return the root mean square of the reconstructions over that of the originals, by seed."""
    return [np.sqrt(np.mean(r["reconstruction"] ** 2) / np.mean(r["original"] ** 2)) for r in results[name]]


ledger.record("sign-loss-dsl-stays-near-zero", size("dsl"), figure="example")


# %%
def jumps(x, times=10):
    """Return the places of differences above `times` the median size, shape of the differences."""
    d = np.abs(np.diff(x))
    return d > times * np.median(d, axis=-1, keepdims=True)


count, across = [], []
for result in results["dsl"]:
    x = result["reconstruction"]
    found = jumps(x)
    count.append(np.mean(np.where(found.mean(axis=1) < 0.05, found.sum(axis=1), 0)))
    crossing = np.sign(x[:, 1:]) != np.sign(x[:, :-1])
    across.append(np.mean(crossing[found]) if found.any() else 0.0)
ledger.record("sign-loss-dsl-jumps", count, figure="example")

# %%
ledger.record("sign-loss-dsl-jumps-across-zero", across, figure="example")

# %%
rising = torch.arange(100, dtype=torch.float64)
excess = []
for jump in np.logspace(-2, 6, 9):
    saw = rising.clone()
    saw[50:] -= 1 + jump  # the step from 49 to 50 goes down by `jump`
    excess.append(abs(float(exact_sign_mismatch(saw[None], rising[None])) - 1))
ledger.record("sign-loss-jump-costs-one-sign", [max(excess)] * 3)

# %%


def explained_by(x, z):
    """Return the share of the variance of each row of x that the row of z explains."""
    x, z = x - x.mean(axis=1, keepdims=True), z - z.mean(axis=1, keepdims=True)
    return np.sum(x * z, axis=1) ** 2 / np.sum(x * x, axis=1) / np.sum(z * z, axis=1)


straight = [explained_by(r["reconstruction"], cumulative_signs(r["original"])).mean() for r in results["dsl"]]
ledger.record("sign-loss-dsl-not-linear", straight, figure="example")


# %%
def sawtooth(name):
    """Return the mean correlation of the reconstructions' cumulative signs with the originals', by seed."""
    pairs = [(cumulative_signs(r["reconstruction"]), cumulative_signs(r["original"])) for r in results[name]]
    return [np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(*pair)]) for pair in pairs]


alike = {name: sawtooth(name) for name in losses}
ledger.record("sign-loss-mixture-more-sawtooth", {name: alike[name] for name in ("mse", "mixture")}, figure="example")


# %%
def kept(found):
    """Return the share of the originals' sum of squares that the reconstructions explain, by seed."""
    return [1 - np.sum((r["original"] - r["reconstruction"]) ** 2) / np.sum(r["original"] ** 2) for r in found]


ledger.record("sign-loss-mixture-keeps-shape", kept(results["mixture"]), figure="example")

# %%
ledger.record("sign-loss-mixture-keeps-trends", 1 - np.array(values["exact"]["mixture"]) / (points - 1))

# %%
ledger.record("sign-loss-ratio-150-mse", printed.mse["mse"] / printed.dsl["mse"])
ledger.record("sign-loss-ratio-150-dsl", printed.mse["dsl"] / printed.dsl["dsl"])
ledger.record("sign-loss-ratio-150-mixture", printed.mse["mixture"] / printed.dsl["mixture"])

# %%
in_training = [float(np.median(r["squared_error"] / r["dsl_along"])) for r in results["mixture"]]
ledger.record("sign-loss-ratio-150-in-training", in_training)

# %%
ratio = np.array([float(r["exact"]) for r in trained["equal weights"]]) / values["exact"]["mse"]
ledger.record("sign-loss-weight-1-too-small", ratio)

# %%
ledger.record("sign-loss-weight-128-is-enough", np.divide(values["exact"]["mixture"], values["exact"]["mse"]))

# %%
by_sharpness = {sharpness: values["exact"]["mixture"]} | {
    s: [float(r["exact"]) for r in trained[f"mixture, s = {s:g}"]] for s in other_sharpness
}
each = np.array(list(by_sharpness.values()))
ledger.record("sign-loss-sharpness-matters", each.max(axis=0) / each.min(axis=0))

# %%
pd.DataFrame(by_sharpness, index=seeds).sort_index(axis=1).round(1).rename_axis("exact DSL by sharpness, seed")

# %%
ledger.record("sign-loss-he-initialisation", [float(r["exact"]) for r in trained["dsl, He"]])

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
ax.legend(fontsize="small")
figures.save(
    figure,
    "constant_zero",
    alt="DSL between a wave and c times itself, a curve over c from 0 to 1.2; dashed lines for the models.",
    data={"c": amounts, "dsl": along},
)

# %%
large = {name: trained[f"{name}, larger code"] for name in losses}
ledger.record("sign-loss-latent-4-mse", kept(large["mse"]))

# %%
ledger.record("sign-loss-latent-4-mixture", kept(large["mixture"]))

# %%
ledger.record("sign-loss-latent-4-dsl", kept(large["dsl"]))

# %%
Markdown(profiles.differences(run.notebook))
