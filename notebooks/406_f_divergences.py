# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # f-divergences
#
# [Script](406_f_divergences.py) · [executed print](406_f_divergences.ipynb) · [course map](../README.md)
#
# **Question.** What do maximum likelihood, variational inference and the GAN have in common, and can each of their
# divergences be measured, and lowered, from samples alone?
#
# **Source.** Isachenko, *Deep Generative Models*, lecture 8 (2024), slides "Divergences" to "Variational divergence
# estimation", which follow Nowozin, Cseke and Tomioka, *f-GAN* (2016). **Time on a laptop.** Two and a half minutes.
#
# Somebody has built a machine that draws faces, and you want to know how far its faces are from real ones. Every
# textbook formula for that asks for the *ratio* of two densities, at each picture: how much likelier is it among
# real faces than among drawn ones? Nobody can compute either density. All there is are two piles of pictures.
#
# There is a way out, and it is a piece of convex analysis from the 1940s: a convex function is the highest of its
# tangents. Put into the formula, it turns the unknown ratio into a *contest*, which needs nothing but the two
# piles. The GAN is one example. The lecture has a table of six, and this notebook goes through it row by row,
# column by column, and checks everything that can be checked: algebra on histograms, integrals by quadrature, and
# then networks. Six entries or sentences on these slides turn out to need a correction; each is where it belongs.

# %% tags=["parameters"]
seeds = [201, 202, 203]  # of random histograms, critics and generators
bins = 8  # of each histogram
pairs = 100  # of histograms for each seed
first = [0.0, 1.0]  # mean and standard deviation of pi, on the line
second = [1.0, 1.2]  # of p
far = [2.0, 1.2]  # of p further away
width = 32  # values in each of the two hidden layers of a critic on the line
batch = 1024  # samples of each distribution in a step of such a critic
steps = 600  # of such a critic
learning_rate = 0.005  # of such a critic
examples = 10000  # samples of each distribution in an evaluation by Monte Carlo
few = [100, 1000, 10000]  # samples of each distribution where there are no more
net_width = 128  # values in each of the two hidden layers of f-GAN's networks
net_batch = 256  # data and samples in each step of f-GAN
net_steps = 1800  # of f-GAN's generator
critic_steps = 1  # of f-GAN's critic for each of the generator
net_rate = 0.001  # learning rate of f-GAN's networks
samples = 1000  # of the data and of the generator, compared by exact transport

# %%
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown
from scipy.optimize import minimize
from scipy.special import expit, logsumexp
from sklearn.mixture import GaussianMixture

from shapeofloss import figures, ledger
from shapeofloss.adversarial.conjugates import numerical_biconjugate, numerical_conjugate
from shapeofloss.adversarial.densities import closed_form, critic_bound, densities, quadrature
from shapeofloss.adversarial.divergences import (
    GAN_DIVERGENCE,
    HELLINGER,
    JENSEN_SHANNON,
    KL,
    PEARSON,
    REVERSE_KL,
    TABLE,
    bound,
    divergence,
    random_pair,
)
from shapeofloss.adversarial.fgan import charge
from shapeofloss.adversarial.quality import modes_covered, sampling_floor, wasserstein
from shapeofloss.distributions.mixtures import eight_gaussians, log_density
from shapeofloss.engine import compute, profiles, workspace
from shapeofloss.errors import UserError
from shapeofloss.experiments.f_divergences.critics import fit_bound_critic
from shapeofloss.experiments.f_divergences.games import fit_fgan

run = workspace.begin("406_f_divergences")
figures.use_house_style()

# %% [markdown]
# ## What a divergence is
#
# Let $\pi$ be the distribution of the data and $p$ that of a model. A *divergence* is a number $D(\pi \| p)$ that is
# never negative, and zero if and only if $\pi = p$. That is less than a distance: it may be larger one way than the
# other, and the way over a third distribution may be shorter. The lecture names four that generative models lower:
# the Kullback-Leibler divergence (KL) in maximum likelihood, the reverse KL in variational inference, Jensen-Shannon
# in the GAN, and Wasserstein. The last one moves mass through space (notebooks 402 to 405). The others never ask how
# far apart two points are. They look at one number per point, the ratio $u = \pi(x) / p(x)$, and charge for it:
#
# $$D_f(\pi \| p) \;=\; \mathbb E_{p}\, f\Bigl(\frac{\pi(x)}{p(x)}\Bigr) \;=\; \int p(x)\, f\Bigl(\frac{\pi(x)}{p(x)}\Bigr)\, dx .$$
#
# The *generator* $f$ is a function of the ratio, $f: \mathbb R_+ \to \mathbb R$; the lecture asks that it be
# convex, lower semicontinuous (no jumps upwards at a limit) and $f(1) = 0$. (It has nothing to do with the network
# that generates samples, which has the same name.) Here is the lecture's table. The first two columns are the
# lecture's, the other four are ours and are explained when they are needed.
#
# | row | generator $f(u)$ | conjugate $f^*(t)$ | for | best critic $f'(u)$ | activation $g(v)$ |
# |---|---|---|---|---|---|
# | Kullback-Leibler | $u \log u$ | $e^{t - 1}$ | all $t$ | $1 + \log u$ | $v$ |
# | reverse KL | $-\log u$ | $-1 - \log(-t)$ | $t < 0$ | $-1/u$ | $-e^{-v}$ |
# | Pearson $\chi^2$ | $(u - 1)^2$ | $t^2/4 + t$, and $-1$ below $t = -2$ | all $t$ | $2 (u - 1)$ | $v$ |
# | squared Hellinger | $(\sqrt u - 1)^2$ | $t / (1 - t)$ | $t < 1$ | $1 - 1/\sqrt u$ | $1 - e^{-v}$ |
# | Jensen-Shannon | $u \log u - (u + 1) \log \frac{u + 1}2$ | $-\log(2 - e^t)$ | $t < \log 2$ | $\log \frac{2u}{u + 1}$ | $\log 2 - \log(1 + e^{-v})$ |
# | GAN | $u \log u - (u + 1) \log (u + 1)$ | $-\log(1 - e^t)$ | $t < 0$ | $\log \frac{u}{u + 1}$ | $-\log(1 + e^{-v})$ |
#
# In the package the same table is data, one record for each row. A few numbers tell the rows apart:

# %%
half, quarter, one = np.array([0.5, 0.5]), np.array([0.25, 0.75]), np.ones(1)
pd.DataFrame(
    {
        row.name: {
            "f(1)": row.generator(one)[0],
            "f''(1)": (row.derivative(one + 1e-6) - row.derivative(one - 1e-6))[0] / 2e-6,
            "f(0)": row.at_zero,
            "f(u) / u at infinity": row.slope,
            "D of (1/2, 1/2) and (1/4, 3/4)": divergence(row, half, quarter),
        }
        for row in TABLE.values()
    }
).T.round(4)

# %% [markdown]
# $f(0)$ is what a model pays for mass where the data have none, per unit of it. The limit of $f(u)/u$ is the charge
# for data where the model has nothing. The lecture's formula leaves the second one out, as $u$ is then infinite; it
# has to be added, or the worst of all models, one that misses everything, would cost little. Where a number is
# infinite, a single impossible sample makes the divergence infinite. Hellinger, Jensen-Shannon and the GAN row
# charge finite prices for both and have a largest value.
#
# ## Does each generator give what is printed beside it?
#
# The table prints each divergence twice, as a generator and as an integral. The two should agree for all
# distributions, so we try a hundred pairs of random histograms per seed, none nearer to each other than 0.1 in *total
# variation* (half the sum of $|\pi_k - p_k|$, the largest difference of the two probabilities of any event). In the
# table's notation $P = \pi$ and $Q = p$.

# %%
drawn = {}
for seed in seeds:
    generator = np.random.default_rng(seed)
    drawn[seed] = [random_pair(bins, generator, apart=0.1) for _ in range(pairs)]


def per_seed(statistic, number):
    """Return one statistic per seed of the numbers number(pi, p) of its pairs."""
    return [float(statistic([number(*pair) for pair in drawn[seed]])) for seed in seeds]


def per_row(statistic, number):
    """Return for each row one statistic per seed of the numbers number(row, pi, p)."""
    return {key: per_seed(statistic, partial(number, row)) for key, row in TABLE.items()}


apart = per_row(np.max, lambda row, pi, p: abs(divergence(row, pi, p) - row.printed(pi, p)))
ledger.record(
    {
        "adversarial-generator-kl": apart["kl"],
        "adversarial-generator-reverse-kl": apart["reverse-kl"],
        "adversarial-generator-hellinger": apart["hellinger"],
        "adversarial-generator-gan": apart["gan"],
    }
)

# %% [markdown]
# Two rows disagree with themselves. *Pearson*: the integral that is printed has $p(x) = \pi(x)$ below the line, and
# the generator $(u - 1)^2$ puts $q(x)$ there. Both are sensible, and they are two divergences, each the other with
# the distributions exchanged (the one with $\pi$ below is named after Neyman). For $P = (\tfrac12, \tfrac12)$ and $Q
# = (\tfrac14, \tfrac34)$:

# %%
ledger.record({"adversarial-generator-pearson": divergence(PEARSON, half, quarter)})
{"generator": divergence(PEARSON, half, quarter), "printed": PEARSON.printed(half, quarter)}

# %% [markdown]
# *Jensen-Shannon*: the generator gives twice the integral, as the half in front is missing in $f$. Where a lecture
# says "the GAN minimises JSD", a factor of 2 and a $\log 4$ get lost easily; below, a *bound* of this row is a
# bound of $2\,$JSD.

# %%
times = per_seed(np.mean, lambda pi, p: divergence(JENSEN_SHANNON, pi, p) / JENSEN_SHANNON.printed(pi, p))
ledger.record({"adversarial-generator-js": times})

# %% [markdown]
# ## Is each row a divergence?
#
# Three conditions, six rows. *Convex*: no chord runs below the function. We take midpoints of a hundred thousand
# random chords per seed.

# %%
dents = {key: [] for key in TABLE}
for seed in seeds:
    a, b = 10 ** np.random.default_rng(seed).uniform(-3, 3, size=(2, 1000 * pairs))
    for key, row in TABLE.items():
        dent = row.generator((a + b) / 2) - (row.generator(a) + row.generator(b)) / 2
        dents[key].append(max(0.0, dent.max()))
ledger.record(
    {
        "adversarial-convex-kl": dents["kl"],
        "adversarial-convex-reverse-kl": dents["reverse-kl"],
        "adversarial-convex-pearson": dents["pearson"],
        "adversarial-convex-hellinger": dents["hellinger"],
        "adversarial-convex-js": dents["js"],
        "adversarial-convex-gan": dents["gan"],
    }
)

# %% [markdown]
# *Zero at one*, so that equal distributions are at 0:


# %%
def at_home(row, pi, p):
    """Return the larger of |f(1)| and |D_f(pi | pi)|."""
    return max(abs(row.generator(one)[0]), abs(divergence(row, pi, pi)))


homes = per_row(np.max, at_home)
ledger.record(
    {
        "adversarial-zero-kl": homes["kl"],
        "adversarial-zero-reverse-kl": homes["reverse-kl"],
        "adversarial-zero-pearson": homes["pearson"],
        "adversarial-zero-hellinger": homes["hellinger"],
        "adversarial-zero-js": homes["js"],
        "adversarial-zero-gan": GAN_DIVERGENCE.generator(one),
    }
)

# %% [markdown]
# The GAN row is the exception: $f(1) = -\log 4$. The table knows it, for its integral ends in $-\log 4$, and the
# definition two lines above does not. And then, *positive for distinct distributions*. Why should it be? By Jensen's
# inequality, $\mathbb E_p f(u) \ge f(\mathbb E_p u) = f(1) = 0$, as the mean ratio $\int p \cdot \pi / p$ is 1.

# %%
least = per_row(np.min, divergence)
ledger.record(
    {
        "adversarial-positive-kl": least["kl"],
        "adversarial-positive-reverse-kl": least["reverse-kl"],
        "adversarial-positive-pearson": least["pearson"],
        "adversarial-positive-hellinger": least["hellinger"],
        "adversarial-positive-js": least["js"],
        "adversarial-positive-gan": divergence(GAN_DIVERGENCE, half, quarter),
        "adversarial-gan-shifted-positive": np.add(least["gan"], np.log(4)),
    }
)

# %% [markdown]
# The GAN row becomes a divergence when $\log 4$ is added, and nothing is lost by that, as constants move no
# optimum.
#
# Jensen gives "at least 0". Does it give "0 only if equal"? Not from the three conditions. The linear
# $f(u) = u - 1$ meets them all, and $\int p\,(\pi/p - 1) = 1 - 1$ is zero for *every* pair. What is missing is that
# $f$ bends at 1, *strict* convexity there, which all six rows have.

# %%
linear = per_seed(np.max, lambda pi, p: abs((p * (pi / p - 1)).sum()))
ledger.record({"adversarial-convex-is-not-enough": linear})

# %% [markdown]
# This counterexample is useful. If adding $c\,(u - 1)$ to $f$ changes no divergence, then rows are better compared
# after their tangent at 1 has been taken away, and in units of how much they bend there,
# $\tilde f(u) = \bigl(f(u) - f(1) - f'(1)(u - 1)\bigr) / f''(1)$. Then all six begin as $(u - 1)^2/2$.

# %%
u, shifts = np.logspace(-2, 2, 201), np.logspace(-1.5, 0.8, 60)
bend = {"kl": 1, "reverse-kl": 1, "pearson": 2, "hellinger": 0.5, "js": 0.5, "gan": 0.5}  # f''(1), from the table above
styles = {
    key: {"color": figures.PALETTE[n], "label": row.name.replace("chi^2", r"$\chi^2$")}
    for n, (key, row) in enumerate(TABLE.items())
}
styles["gan"] |= {"linestyle": ":", "color": "black"}
figure, axes = figures.panels(2, width=4.6, height=3.5)
charges, distances = {"u": u}, {"shift": shifts}
for key, row in TABLE.items():
    charges[key] = (row.generator(u) - row.generator(one) - row.derivative(one) * (u - 1)) / bend[key]
    values = [quadrature(row, densities([0, 1], [shift, 1], reach=20)) - row.generator(one)[0] for shift in shifts]
    distances[key] = np.array(values) / bend[key]
    axes[0].loglog(u, charges[key], **styles[key])
    axes[1].loglog(shifts, distances[key], **styles[key])
axes[0].set(xlabel=r"ratio $u = \pi / p$", ylabel=r"charge $\tilde f(u)$", ylim=(1e-3, 1e4))
axes[1].set(xlabel="shift of p against pi (standard deviations)", ylabel=r"$D_f\, /\, f''(1)$", ylim=(3e-4, 1e4))
axes[1].legend(fontsize="x-small")
figures.save(
    figure,
    "charges",
    alt="Left, six charges against the ratio, all touching zero at ratio 1: reverse KL rises most steeply towards small ratios, Pearson and KL "
    "towards large ones. Right, divergences of two unit normal distributions against their shift: one line up to a shift of about a half; beyond, Pearson "
    "explodes, both KL go on as the square and Hellinger and Jensen-Shannon level off.",
    data=pd.concat([pd.DataFrame(charges).assign(panel="left"), pd.DataFrame(distances).assign(panel="right")]),
    answers='wgan: slide "f-divergence"',
)

# %% [markdown]
# **Reading the figure.** Near $u = 1$ (left) and for small shifts (right) the six are one divergence, $\tfrac12
# f''(1)\,\chi^2$. The choice of a row is a choice about *large* errors. At small ratios (the model draws what the
# data never do), reverse KL charges most. At large ones (the model misses what the data have) Pearson does, then KL.
# So maximum likelihood covers everything and variational inference avoids the impossible. (On the right, KL lies
# below reverse KL: for two Gaussians of equal width they are equal.) Hellinger and Jensen-Shannon are symmetric and
# mild, and level off: for distributions that are far apart, they say "far" and nothing else. The dotted GAN row lies
# on Jensen-Shannon everywhere: six rows, five divergences.
#
# ## A convex function is the highest of its tangents
#
# The *Fenchel conjugate* of $f$ takes a slope $t$ instead of a ratio $u$,
#
# $$f^*(t) = \sup_{u \ge 0}\,(u t - f(u)).$$
#
# In words: of all lines $u t - c$ with slope $t$, the one with $c = f^*(t)$ just touches $f$ from below; $-f^*(t)$
# is where that tangent crosses the axis $u = 0$. Where no line of that slope stays below $f$, the supremum is
# infinite, and $t$ is outside the *domain* of $f^*$. We compute suprema by zooming in on a grid, which knows only
# values of $f$, and compare with the table's third column, across the domain and close to its end.

# %%
grids = {
    k: np.linspace(-9.9, 9.9, 80) if np.isinf(row.end) else row.end - np.logspace(-2.01, 1, 80)
    for k, row in TABLE.items()
}
conjugates = {}
for key, row in TABLE.items():
    numbers = numerical_conjugate(row.generator, grids[key], at_zero=row.at_zero)
    conjugates[key] = np.abs(numbers / row.conjugate(grids[key]) - 1).max()
ledger.record(
    {
        "adversarial-conjugate-kl": conjugates["kl"],
        "adversarial-conjugate-reverse-kl": conjugates["reverse-kl"],
        "adversarial-conjugate-pearson": conjugates["pearson"],
        "adversarial-conjugate-hellinger": conjugates["hellinger"],
        "adversarial-conjugate-js": conjugates["js"],
        "adversarial-conjugate-gan": conjugates["gan"],
    }
)

# %% [markdown]
# Pearson's conjugate is mostly printed as $t^2/4 + t$ for all $t$. That is the supremum over all real $u$, and a
# ratio is not negative: below $t = -2$ the best $u$ is 0, and $f^*$ stays at $-1$. A critic that is charged
# $t^2/4 + t$ down there pays too much.
#
# Now back: $f^{**}(u) = \sup_t\,(u t - f^*(t))$ is the highest tangent at $u$. The lecture's "important property"
# says that it is $f$.

# %%
u = np.logspace(-3, 3, 80)
twice = {
    key: np.abs(numerical_biconjugate(row.conjugate, u, end=row.end) / row.generator(u) - 1).max()
    for key, row in TABLE.items()
}
ledger.record(
    {
        "adversarial-biconjugate-kl": twice["kl"],
        "adversarial-biconjugate-reverse-kl": twice["reverse-kl"],
        "adversarial-biconjugate-pearson": twice["pearson"],
        "adversarial-biconjugate-hellinger": twice["hellinger"],
        "adversarial-biconjugate-js": twice["js"],
        "adversarial-biconjugate-gan": twice["gan"],
    }
)

# %%
u, touched = np.linspace(0.02, 3, 120), np.array([0.1, 0.25, 0.5, 1, 1.5, 2.5])
figure, grid_axes = plt.subplots(2, 3, figsize=(9.6, 5.2), sharex=True)
drawings = {"u": u}
for ax, (key, row) in zip(grid_axes.flat, TABLE.items()):
    slopes = row.derivative(touched)
    ends = u[[0, -1]]
    ax.plot(ends, np.outer(ends, slopes) - row.conjugate(slopes), color="gray", linewidth=0.7)
    drawings[f"{key}, f"] = row.generator(u)
    drawings[f"{key}, highest tangent"] = numerical_biconjugate(row.conjugate, u, end=row.end)
    ax.plot(u, drawings[f"{key}, f"], color=figures.SOURCE, linewidth=2.4)
    ax.plot(u[::8], drawings[f"{key}, highest tangent"][::8], "o", color=figures.TARGET, markersize=4)
    low, high = row.generator(u).min(), row.generator(u).max()
    ax.set(title=styles[key]["label"], ylim=(low - 0.35 * (high - low), high + 0.05 * (high - low)))
    ax.set_xlabel("ratio u" if key in ("hellinger", "js", "gan") else "")
grid_axes[0, 0].legend(
    [grid_axes[0, 0].lines[k] for k in (-2, -1, 0)],
    ["f", "f** (numerical)", "tangents u t - f*(t)"],
    fontsize="x-small",
)
figures.save(
    figure,
    "tangents",
    alt="Six panels, one for each row of the table. In each, a blue convex curve over the ratio u from 0 to 3, six grey tangents that touch it "
    "from below, and orange dots of the numerically found highest tangent, which all lie on the curve.",
    data=drawings,
    answers='wgan: slide "Fenchel conjugate"',
)

# %% [markdown]
# **Reading the figure.** Each grey line is one $t$; its intercept at $u = 0$ is $-f^*(t)$. Orange dots, the highest
# of *all* tangents, sit on the blue function. The steep tangents of reverse KL near $u = 0$ have slopes down to
# $-\infty$ and never a positive one: that is its domain $t < 0$.
#
# The slide says $f^{**} = f$ "for convex $f$". It needs lower semicontinuity as well, which the definition of $f$
# has asked for: tangents see no jump. Take $f = 0$ for $u > 0$ and $f(0) = 1$. It is convex, and $f^{**}(0) = 0$,
# not 1:


# %%
def with_jump(t):
    """Return the conjugate of f = 0 on u > 0, f(0) = 1, at slopes t, numerically."""
    return numerical_conjugate(np.zeros_like, t, at_zero=1.0)


ledger.record({"adversarial-biconjugate-needs-semicontinuity": numerical_biconjugate(with_jump, [0.0], end=np.inf)})

# %% [markdown]
# ## The variational bound
#
# Write $f$ in $D_f$ as its highest tangent, choose a slope $t$ for every $x$, and call that choice $T(x)$, the
# *critic*:
#
# $$D_f(\pi \| p) = \int p\, \sup_t \Bigl(\frac{\pi}{p}\, t - f^*(t)\Bigr) dx
#   \;\ge\; \int \pi\, T - p\, f^*(T)\; dx = \mathbb E_\pi T(x) - \mathbb E_p f^*(T(x)).$$
#
# The ratio has gone. What is left are two means, one over the data and one over the model, and means can be had
# from samples. Every tangent is below $f$, so *every* critic gives a lower bound; and the bound is tight for the
# tangent at the right place, $T^*(x) = f'(\pi(x) / p(x))$, the fifth column of the table. Critics for the test: the
# best one plus noise of two sizes, and ones that are pure noise. They have to stay in the domain of $f^*$, which
# the last column's *activation* $g$ sees to: the critic is $T = g(v)$ with a raw number $v$.


# %%
def best_raw(row, pi, p):
    """Return v with g(v) = f'(pi / p)."""
    return row.raw(pi / p)


noise = np.random.default_rng(seeds[0])


def excess(row, pi, p):
    """Return by how much random critics exceed the divergence, at most."""
    raws = [best_raw(row, pi, p) + size * noise.standard_normal(bins) for size in (1e-3, 1.0)]
    raws.append(2 * noise.standard_normal(bins))
    return max(bound(row, row.activation(v), pi, p) for v in raws) - divergence(row, pi, p)


above = per_row(np.max, excess)
ledger.record(
    {
        "adversarial-bound-kl": above["kl"],
        "adversarial-bound-reverse-kl": above["reverse-kl"],
        "adversarial-bound-pearson": above["pearson"],
        "adversarial-bound-hellinger": above["hellinger"],
        "adversarial-bound-js": above["js"],
        "adversarial-bound-gan": above["gan"],
    }
)

# %%
slack = per_row(np.max, lambda row, pi, p: abs(bound(row, row.derivative(pi / p), pi, p) - divergence(row, pi, p)))
ledger.record(
    {
        "adversarial-tight-kl": slack["kl"],
        "adversarial-tight-reverse-kl": slack["reverse-kl"],
        "adversarial-tight-pearson": slack["pearson"],
        "adversarial-tight-hellinger": slack["hellinger"],
        "adversarial-tight-js": slack["js"],
        "adversarial-tight-gan": slack["gan"],
    }
)

# %% [markdown]
# (All excesses are below zero: no random critic is quite as good as the best one.)
#
# ### What makes it a bound
#
# The slide explains the "$\ge$" by "Jensen's inequality and the restricted class of functions". Jensen has no part
# in it. If $T$ may be *any* function, choosing the best $t$ at each point and then integrating is the same as
# choosing the best $T$: there is an equal sign. We maximise bin by bin, numerically:


# %%
def bin_by_bin(row, pi, p):
    """Return the bound with the best t for every bin."""
    return float((p * numerical_biconjugate(row.conjugate, pi / p, end=row.end)).sum())


slack = per_row(np.max, lambda row, pi, p: divergence(row, pi, p) - bin_by_bin(row, pi, p))
ledger.record({"adversarial-slack-is-not-jensen": np.max(list(slack.values()), axis=0)})

# %% [markdown]
# All slack comes from the class of functions. How much? Let the critic be a polynomial on the line, for the KL row,
# with data in two heaps and one broad Gaussian as the model. With the best constant term, the bound becomes
# $\mathbb E_\pi\, h - \log \mathbb E_p\, e^h$ for the polynomial $h$ without constant (the formula of Donsker and
# Varadhan), a concave problem:

# %%
two_heaps, broad = [[-1.0, 0.5], [2.0, 0.5]], [0.0, 2.0]
both = densities(two_heaps, broad, reach=8)
dx, pi = both.x[1] - both.x[0], np.exp(both.log_pi)


def polynomial_bound(degree):
    """Return the best bound of the KL row among polynomials of a degree."""
    powers = (both.x[:, None] / 6) ** np.arange(1, degree + 1)
    means = dx * pi @ powers

    def negative(coefficients):
        exponent = both.log_p + powers @ coefficients
        total = logsumexp(exponent) + np.log(dx)
        return total - means @ coefficients, dx * np.exp(exponent - total) @ powers - means

    return -minimize(negative, np.zeros(degree), jac=True, method="BFGS", options={"maxiter": 2000}).fun


whole = quadrature(KL, both)
gaps = pd.Series({degree: 1 - polynomial_bound(degree) / whole for degree in (1, 2, 4, 6, 8)}, name="missing share")
gaps.rename_axis("degree").round(4)

# %%
ledger.record({"adversarial-slack-is-restricted-class": gaps[1]})

# %% [markdown]
# An affine critic sees nothing but the mean. Its bound is $(m_\pi - m_p)^2 / (2 \sigma_p^2)$, with the means $m$ of
# both distributions and the deviation $\sigma_p$ of the model: what it would cost to shift the Gaussian. It misses
# 94% of the divergence. A quadratic sees the variance, too, and misses 85%; two heaps take a polynomial of degree 4
# (11%). "How far is the model from the data" has become "how far can this critic tell", and a generator that is
# trained against it learns that much and no more.
#
# ### Where the critic may go
#
# A network's output is any real number $v$. The activation has to keep $T = g(v)$ inside the domain of $f^*$, where
# the charge is finite, and must not forbid a value $f'(u)$ that a ratio can ask for. We count offences of both
# kinds: raw outputs in $[-10, 10]$ sent outside, and ratios from 0.001 to 1000 whose $f'(u)$ lies between no two
# values of $g$. (A sign slip in the activation of reverse KL is a classic of public code.)

# %%
raw, u = np.linspace(-10, 10, 2001), np.logspace(-3, 3, 601)


def offences(row):
    """Count raw outputs that leave the domain, and values of f' that the activation does not reach."""
    t, reached = row.activation(raw), np.zeros(len(u), dtype=bool)
    for reach in 2.0 ** np.arange(12):  # g rises and has no gaps: what lies between two of its values is reached
        with np.errstate(over="ignore"):
            low, high = row.activation(np.array([-reach, reach]))
        reached |= (low <= row.derivative(u)) & (row.derivative(u) <= high)
    return int((~np.isfinite(t) | (t >= row.end)).sum() + (~reached).sum())


ledger.record(
    {
        "adversarial-domain-kl": offences(KL),
        "adversarial-domain-reverse-kl": offences(REVERSE_KL),
        "adversarial-domain-pearson": offences(PEARSON),
        "adversarial-domain-hellinger": offences(HELLINGER),
        "adversarial-domain-js": offences(JENSEN_SHANNON),
        "adversarial-domain-gan": offences(GAN_DIVERGENCE),
    }
)

# %% [markdown]
# And what does the network have to learn, before the activation? Set $g(v) = f'(u)$ and solve. The answer is the
# same for almost all rows: $v = \log u$ for reverse KL, Jensen-Shannon and GAN, $1 + \log u$ for KL,
# $\tfrac12 \log u$ for Hellinger. The *logarithm of the density ratio*, which for two Gaussians is a parabola. Only
# Pearson asks for the ratio itself, $v = 2 (u - 1)$.

# %%
near, distant = densities(first, second), densities(first, far)
shown = np.flatnonzero((near.x > -4) & (near.x < 5))[::8]
figure, axes = figures.panels(2, width=4.6, height=3.4)
curves = {"x": near.x[shown]}
for key, row in TABLE.items():
    curves[f"{key}, T"], curves[f"{key}, v"] = row.derivative(near.ratio)[shown], row.raw(near.ratio)[shown]
    axes[0].plot(curves["x"], curves[f"{key}, T"], **styles[key])
    axes[1].plot(curves["x"], curves[f"{key}, v"], **styles[key])
axes[0].set(xlabel="x", ylabel=r"best critic $T^*(x)$", ylim=(-8, 3))
axes[1].set(xlabel="x", ylabel=r"raw output $v^*(x)$", ylim=(-8, 3))
axes[1].legend(fontsize="x-small", loc="lower center")
figures.save(
    figure,
    "best_critics",
    alt="Best critics for two overlapping normal distributions. Left, behind the activation: curves of different kinds, reverse KL plunging on the right, "
    "Pearson flat at minus two. Right, before it: parabolas, one for three of the rows; only Pearson is flat on the right.",
    data=curves,
    answers='wgan: slide "Variational divergence estimation"',
)

# %% [markdown]
# **Reading the figure.** Data $N(0, 1)$, model $N(1, 1.2^2)$. On the left, six critics. On the right, what a
# network is asked for: three rows share one parabola, KL and Hellinger have it moved up or halved. Learning any of
# these five is a regression to the log ratio, with another weight on each $x$; so the rows differ not in *what*
# they learn but in *where they care*.
#
# In which precision? Formulas that go through $T$ do not survive: for the GAN row, $f^*(g(v))$ simplifies to
# $\log(1 + e^v)$, *softplus*, by hand. In single precision, the detour is infinite as soon as $g(v)$ is rounded to
# the end of the domain, the number 0:

# %%
v = torch.tensor([5.0, 15.0, 16.0, 17.0, 18.0, 100.0])
through = -torch.log(1 - torch.exp(-torch.nn.functional.softplus(-v)))
pd.DataFrame({"v": v, "through T": through, "softplus(v)": charge("gan", v)}).set_index("v").round(3)

# %% [markdown]
# `shapeofloss.adversarial.fgan` has all six rows in such forms. Two charges stay exponential by nature, $e^{v - 1}$
# for KL and $e^v - 1$ for Hellinger, and so do two rewards, $-e^{-v}$ for reverse KL and $1 - e^{-v}$ for
# Hellinger.
#
# ## The GAN as a special case
#
# Choose the GAN row and call $D = e^T$, so that $T = \log D$ and $-f^*(T) = \log(1 - D)$. The bound is then, to the
# letter, the GAN's objective, and its best critic the best discriminator $\pi / (\pi + p)$.


# %%
def objectives_apart(pi, p):
    """Return the difference of the GAN's objective and the bound, for a random discriminator."""
    d = expit(noise.standard_normal(bins))
    return abs((pi * np.log(d) + p * np.log(1 - d)).sum() - bound(GAN_DIVERGENCE, np.log(d), pi, p))


ledger.record({"adversarial-gan-objective-from-f": per_seed(np.max, objectives_apart)})

# %%
discriminators = per_seed(np.max, lambda pi, p: np.abs(np.exp(GAN_DIVERGENCE.derivative(pi / p)) - pi / (pi + p)).max())
ledger.record({"adversarial-gan-optimal-critic": discriminators})

# %% [markdown]
# The slide's headline for this example is "JSD". The value is not the JSD, it is $2\,\mathrm{JSD} - \log 4$. On
# disjoint supports, where the JSD is $\log 2 = 0.693$, the example's generator gives 0:

# %%
ledger.record({"adversarial-example-is-not-jsd": divergence(GAN_DIVERGENCE, [0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5])})

# %% [markdown]
# And the Jensen-Shannon row? Its critic is the GAN's plus $\log 2$, its charge the GAN's minus $\log 2$. To a
# network that is trained by gradients the last two rows of the table are one and the same.
#
# ## Samples suffice
#
# So much for algebra. The lecture's note says that samples of $\pi$ and $p$ are enough to evaluate the bound. We
# train a critic for each row, with 32 + 32 hidden units, on samples of $N(0, 1)$ and $N(1, 1.2^2)$, new ones in
# each step; it never sees a density. *Then* we evaluate its bound by quadrature, where the truth is known: by
# closed forms for four rows,

# %%
shift = {key: np.log(4) if key == "gan" else 0.0 for key in TABLE}  # the GAN row, made a divergence
truth = {key: quadrature(row, near) + shift[key] for key, row in TABLE.items()}
far_truth = {key: quadrature(row, distant) + shift[key] for key, row in TABLE.items()}
closed = {key: closed_form(key, first, second) for key in ("kl", "reverse-kl", "pearson", "hellinger")}
assert all(abs(closed[key] / truth[key] - 1) < 1e-9 for key in closed)
pd.DataFrame({"closed form": closed, "quadrature": truth, "quadrature, means 2 apart": far_truth}).loc[
    list(TABLE)
].round(6)

# %%
common = {"first": first, "width": width, "batch": batch, "steps": steps}
common |= {"learning_rate": learning_rate, "examples": examples}
rows = {key: {"divergence": key, "second": second} for key in TABLE}
further = {key: {"divergence": key, "second": far} for key in TABLE}
limited = {(key, n): {**rows[key], "points": n} for key in TABLE for n in few}
plain = compute.grid(fit_bound_critic, rows, seeds, common=common, label="critics")
apart = compute.grid(fit_bound_critic, further, seeds[:1], common=common, label="critics of distant Gaussians")
scarce = compute.grid(fit_bound_critic, limited, seeds[:1], common=common, label="critics of few samples")


def share(key, bound, value):
    """Return bounds as shares of the divergence; log 4 is added to both for the GAN row."""
    return (np.asarray(bound) + shift[key]) / value[key]


def along(key, critic):
    """Return the shares that a critic reaches on its way, by quadrature."""
    return share(key, [critic_bound(key, raw, near) for raw in critic["raw"]], truth)


shares = {key: [along(key, critic)[-1] for critic in critics] for key, critics in plain.items()}
ledger.record(
    {
        "adversarial-estimate-kl": shares["kl"],
        "adversarial-estimate-reverse-kl": shares["reverse-kl"],
        "adversarial-estimate-pearson": shares["pearson"],
        "adversarial-estimate-hellinger": shares["hellinger"],
        "adversarial-estimate-js": shares["js"],
        "adversarial-estimate-gan": shares["gan"],
    }
)

# %% [markdown]
# Every row is within half a per cent and none is above: it is a bound. How does it get there, and what if the model
# is further away, at $N(2, 1.2^2)$? There we evaluate in both ways, by quadrature and, as one would in earnest, by
# Monte Carlo: twenty times, on 10,000 new samples of each distribution.

# %%
at_two = {}
for key, (critic,) in apart.items():
    sampled = share(key, critic["monte_carlo"], far_truth)
    at_two[TABLE[key].name] = {
        "bound / D by quadrature": share(key, critic_bound(key, critic["raw"][-1], distant), far_truth),
        "by Monte Carlo, mean": sampled.mean(),
        "smallest": sampled.min(),
        "largest": sampled.max(),
    }
pd.DataFrame(at_two).T.astype(float).round(3)

# %%
figure, axes = figures.panels(2, width=4.6, height=3.5)
reached = {key: np.mean([along(key, critic) for critic in critics], axis=0) for key, critics in plain.items()}
missing = 1 - pd.DataFrame(reached, index=plain["kl"][0]["at"])
for key in TABLE:
    axes[0].semilogy(missing.index, missing[key], **styles[key])
axes[0].set(xlabel="steps of the critic", ylabel="missing share of the divergence", ylim=(1e-4, 2))
axes[0].legend(fontsize="x-small")
inside = np.flatnonzero((distant.x > -4) & (distant.x < 7))[::8]
x, learned = distant.x[inside], apart["reverse-kl"][0]["raw"][-1][inside]
best, data_density = REVERSE_KL.raw(distant.ratio)[inside], np.exp(distant.log_pi[inside])
axes[1].plot(x, best, color="black", linestyle="--", label="best, log ratio")
axes[1].plot(x, learned, color=figures.PALETTE[1], label="learned")
axes[1].fill_between(x, -15, -15 + 8 * data_density, color=figures.SOURCE, alpha=0.3, label="density of the data")
axes[1].set(xlabel="x", ylabel="raw output v, reverse KL", ylim=(-15, 4))
axes[1].legend(fontsize="x-small", loc="upper right")
figures.save(
    figure,
    "critics",
    alt="Left, the share of the divergence that trained critics miss falls from above one to about a thousandth in 600 steps for all rows, reverse KL "
    "last. Right, for reverse KL and distributions two apart, the learned raw output follows the parabola of the log ratio where the data are, and "
    "leaves it on the right, where the data have no samples left.",
    data=pd.concat(
        [
            missing.reset_index(names="step").assign(panel="left"),
            pd.DataFrame({"x": x, "best": best, "learned": learned, "density": data_density, "panel": "right"}),
        ]
    ),
    answers='wgan: slide "Variational divergence estimation"',
)

# %% [markdown]
# **Reading the figure.** On the left, a few hundred steps are enough, and reverse KL is last. The rows that are one
# divergence have one line. On the right is the trouble with reverse KL. The critic has learned the log ratio where
# there are data, from $x = -2$ to $x = 3$. To the left it is too low as well, which costs little, as $e^{-v}$ is
# small. To the right it costs a lot: at $x = 5$ it is too low by 7, and the reward there, $-e^{-v}$, is a thousand
# times what it should be. Not one sample in a million lies beyond 5, so the training takes no notice, nor do most
# samples, and the integral does: the bound is $-29$ times the divergence, while the largest of the twenty
# evaluations from samples is 1.25 times the divergence. All rows have evaluations above 1. A bound that is
# *estimated from samples* is not a bound.
#
# How noisy are the two means, even with the best critic? Their standard deviation per sample is an integral, too. We
# give it in units of the divergence, and then the number of samples of each distribution that brings the noise down
# to 1%:


# %%
def noise_per_sample(row, other, value):
    """Return the standard deviation of T*(x) - f*(T*(z)), x from pi and z from p, over the divergence."""
    both = densities(first, other, reach=20)  # squares of large critics die out late
    pi, p, t = np.exp(both.log_pi), np.exp(both.log_p), row.derivative(both.ratio)
    charges = row.conjugate(t)
    variances = [both.integral(w * z**2) - both.integral(w * z) ** 2 for w, z in ((pi, t), (p, charges))]
    return np.sqrt(sum(variances)) / value


per_sample = pd.DataFrame(
    {
        TABLE[key].name: {
            "noise, means 1 apart": noise_per_sample(TABLE[key], second, truth[key]),
            "noise, means 2 apart": noise_per_sample(TABLE[key], far, far_truth[key]),
        }
        for key in TABLE
    }
).T
needed = (100 * per_sample["noise, means 2 apart"]) ** 2
per_sample.round(1).assign(**{"samples for 1%, 2 apart": needed.round(-3).astype(int)})

# %% [markdown]
# ## When there are no more samples
#
# New samples in each step are a luxury. With $n$ samples of each distribution and not one more, a critic may learn
# them by heart. We compare what its bound says on its own samples with what it is worth (by quadrature), both over
# the true divergence:

# %%
scarcity = pd.DataFrame(
    {
        (TABLE[key].name, n): {
            "on its own samples": float(share(key, critic["training"], truth)),
            "by quadrature": along(key, critic)[-1],
        }
        for (key, n), (critic,) in scarce.items()
    }
).T.rename_axis(["row", "samples"])
scarcity.map("{:.3g}".format).unstack()

# %% [markdown]
# With 100 samples every critic believes in a divergence that is 1.7 to 27.5 times too large. What it has learned is
# worth 71% of the truth for Jensen-Shannon, 22% for Hellinger, and *less than nothing* for Pearson and the two
# KL: somewhere off the samples, the critic is certain, and pays for it without limit. Softplus forgives: a wrong
# raw output costs in proportion, not exponentially or squared. With 1,000 samples all is well except for reverse
# KL. (One draw each; the two numbers for 100 samples vary a lot from draw to draw.)
#
# **A simpler method wins.** If one may assume that both distributions are Gaussian, take their means and standard
# deviations, put them into the log ratio, and use that as the critic, without any training. Its bound, by quadrature,
# misses this share of the divergence (median of 20 draws), beside what the network misses:


# %%
def fitted_critics(n, seed):
    """Return the shares that critics from two Gaussians miss, if these are fitted to n samples of each distribution."""
    generator = np.random.default_rng(seed)
    drawn = generator.normal(*first, n), generator.normal(*second, n)
    pi, p = (log_density(near.x, [x.mean(), x.std()]) for x in drawn)
    return [1 - share(key, critic_bound(key, row.raw(np.exp(pi - p)), near), truth) for key, row in TABLE.items()]


names = [row.name for row in TABLE.values()]
fitted = pd.DataFrame({n: np.median([fitted_critics(n, s) for s in range(20)], axis=0) for n in few}, index=names)
networks = 1 - scarcity["by quadrature"].unstack().loc[names]
pd.concat({"two Gaussians": fitted, "network": networks}, axis=1).map("{:.2g}".format)

# %% [markdown]
# ## f-GAN
#
# Now let the model move. f-GAN is the game $\min_G \max_T\, \mathbb E_\pi T(x) - \mathbb E_z f^*(T(G(z)))$ between
# a generator network $G$, fed with noise $z$, and a critic. We play it for every row on eight narrow Gaussians in a
# ring, 1.41 from its centre, with the training step that notebooks 401 to 405 share, and exactly the same settings
# for all rows: one step of the critic for one of the generator. Both players want the same number, as the slide has
# it. (The f-GAN paper recommends another loss for the generator, like the non-saturating GAN.) Gradients are
# shortened to norm 1. Without that, and at ten times the learning rate, the exponential of the KL row explodes; the
# training stops as soon as a loss is no longer finite, and says where:

# %%
game = {
    "width": net_width, "batch": net_batch, "critic_steps": critic_steps, "samples": samples,
    "record_every": max(1, net_steps // 5), "learning_rate": net_rate, "largest_step": 1.0, "steps": net_steps,
}  # fmt: skip
wild = game | {"largest_step": np.inf, "learning_rate": 10 * net_rate, "steps": min(100, net_steps), "seed": seeds[0]}
try:
    fit_fgan(divergence="kl", **wild)
except UserError as error:
    print(error)

# %% [markdown]
# We measure the exact Wasserstein distance $W$ between 1,000 samples and 1,000 data, and count *modes covered*: a
# Gaussian is covered if at least a fifth of its fair share of the samples lies within 4 of its standard deviations.
# Even perfect samples are not at $W = 0$: this is the *floor*, between two batches of data.

# %%
played = compute.grid(fit_fgan, {key: {"divergence": key} for key in TABLE}, seeds, common=game, label="f-GANs")
floor = sampling_floor(eight_gaussians(), samples, pairs=5, seed=seeds[0])
{"floor of W, mean": floor.mean(), "least": floor.min(), "greatest": floor.max()}

# %%
outcome = pd.DataFrame(
    [
        (TABLE[key].name, seed, result["wasserstein"][0], result["wasserstein"][-1], result["modes"][-1])
        for key, results in played.items()
        for seed, result in zip(seeds, results)
    ],
    columns=["row", "seed", "W at start", "W at end", "modes"],
)
outcome["ratio"] = outcome["W at end"] / outcome["W at start"]
outcome.pivot_table(["W at start", "W at end", "ratio", "modes"], "row", sort=False).round(3)

# %%
outcome.pivot(index="row", columns="seed", values=["W at end", "modes"]).loc[names].round(2)

# %%
ratios = {key: outcome[outcome.row == row.name].ratio.to_list() for key, row in TABLE.items()}
ledger.record(
    {
        "adversarial-fgan-kl": ratios["kl"],
        "adversarial-fgan-reverse-kl": ratios["reverse-kl"],
        "adversarial-fgan-pearson": ratios["pearson"],
        "adversarial-fgan-hellinger": ratios["hellinger"],
        "adversarial-fgan-js": ratios["js"],
        "adversarial-fgan-gan": ratios["gan"],
    },
    figure="fgan",
)

# %%
figure, grid_axes = plt.subplots(2, 3, figsize=(8.4, 5.8), sharex=True, sharey=True)
ring = eight_gaussians().modes
for ax, key in zip(grid_axes.flat, TABLE):
    result = played[key][0]
    ax.plot(*ring.T, "o", color=figures.SOURCE, markersize=9, alpha=0.35, label="modes of the data")
    ax.plot(*result["points"].T, ".", color=figures.TARGET, markersize=2, label="samples")
    title = f"{styles[key]['label']}: {result['modes'][-1]} modes, W = {result['wasserstein'][-1]:.2f}"
    ax.set(xlim=(-2, 2), ylim=(-2, 2), xticks=[-1, 0, 1], yticks=[-1, 0, 1], title=title, aspect="equal")
for handle in grid_axes[0, 0].legend(fontsize="x-small", loc="center").legend_handles:
    handle.set_markersize(6)  # a dot of a sample could hardly be seen
figures.save(
    figure,
    "fgan",
    alt="Six panels, one for each row of the table, with a thousand samples of a trained f-GAN in orange over eight blue Gaussians in a ring. Most "
    "samples sit on the Gaussians or on straight ways between neighbours. Reverse KL leaves the rightmost one empty; the last two panels are "
    "the same, dot for dot.",
    data=pd.concat(
        [pd.DataFrame(played[key][0]["points"], columns=["x", "y"]).assign(row=key) for key in TABLE],
        ignore_index=True,
    ),
    answers='wgan: slide "Variational divergence estimation"',
)

# %% [markdown]
# **Reading the figure.** A continuous map cannot tear the noise into eight pieces, so there are bridges between the
# modes; what differs is how many samples are on them, and how evenly the modes are served. For this seed, reverse
# KL has almost no samples on the rightmost mode. That is its nature: it charges for samples where there are no
# data, and not for data without samples. But another seed gives it the best $W$, 0.12, of all 18 games: the seed
# matters as much as the row. KL covers all eight modes for every seed, which would be *its* nature, and so do
# Jensen-Shannon and GAN. Over the three seeds the mean ratio is 0.15 for Jensen-Shannon and GAN, 0.16 for
# Pearson, 0.18 for KL, 0.20 for Hellinger and 0.21 for reverse KL. The last two miss the ledger's 0.2 by a hair,
# which we let stand; on exploring seeds, the settings mattered more than that. All rows end at two and a half to
# three and a half times the floor.
#
# The last two panels are no misprint. The losses of Jensen-Shannon and GAN differ by a constant, their gradients by
# nothing:

# %%
max(float(np.abs(a["points"] - b["points"]).max()) for a, b in zip(played["js"], played["gan"]))

# %% [markdown]
# **A simpler method wins, again.** Eight Gaussians are what a mixture of eight Gaussians is made for.
# Expectation-maximisation (scikit-learn, the best of five starts), fitted to 1,000 points, against the 460,800 that
# each f-GAN has seen:


# %%
def mixture_by_em(seed):
    """Return the distance and the modes of samples of a mixture that was fitted by EM."""
    ring, generator = eight_gaussians(), torch.Generator().manual_seed(seed)
    fitted = GaussianMixture(8, n_init=5, random_state=seed).fit(ring(samples, generator).numpy())
    new = fitted.sample(samples)[0]
    return wasserstein(new, ring(samples, generator).numpy()), modes_covered(new, ring)


by_em = [mixture_by_em(seed) for seed in seeds]
pd.DataFrame(by_em, index=pd.Index(seeds, name="seed"), columns=["W", "modes"]).round(3)

# %% [markdown]
# All modes for every seed, and a mean $W$ of 0.10, between the floor of 0.07 and the best row's 0.16.
#
# ## What surprised us
#
# - Six rows, five divergences: networks that are trained with the last two are the same to the last bit.
# - Before the activation, five of the six critics are one function, the log of the density ratio, moved or halved.
#   Rows differ in where they care, and in price: for distributions two apart, a bound with 1% of noise takes 18,000
#   samples for Jensen-Shannon and 3.4 million for reverse KL.
# - "Lower bound" and "samples suffice" do not go together as the slides have it. The bound is one for integrals. On
#   samples it was 27 times the divergence, with a critic whose true bound is minus infinity.
# - In a table of six rows, two of the integrals do not belong to the generators beside them, and a third row breaks
#   the definition above it.
#
# **Exercise.** Total variation is the f-divergence of $f(u) = \tfrac12 \lvert u - 1 \rvert$. Find $f^*$, its domain,
# and an activation. Is the best critic still a function of the log ratio that a network can learn? Make it a
# `Divergence` and run the checks. *Hint:* lines below $f$ have slopes of at most $\tfrac12$, and critics are worth
# something between $-\tfrac12$ and $\tfrac12$: try $\tfrac12 \tanh v$. $f'$ jumps at $u = 1$, so the best critic only
# tells which distribution is likelier.
#
# **Exercise.** Train critics on half of 100 samples and evaluate them on the other half. Is the mean over many
# splits below the divergence? Why is it a bound again, and what has it cost? *Hint:* for a critic that has not seen
# them, the mean over samples is an unbiased estimate of its integral, which is a bound, possibly a very low one.
#
# **Exercise.** The f-GAN paper's other generator loss is $-\mathbb E_z\, g(v(G(z)))$. For which rows is it the same
# game? Write the `Objective`, and see whether reverse KL still loses modes. *Hint:* the derivatives of the two
# losses with respect to $v$ differ by the factor $(f^*)'(g(v))$. Which ratio $u$ is that, and when is it 1?
#
# ## What differs from the source
#
# - The slides have no numbers and no experiments on this subject; histograms, Gaussians and networks are ours.
# - Eight rows of the ledger correct seven entries or sentences: Pearson's integral, Jensen-Shannon's factor of 2,
#   the GAN row's $-\log 4$ (twice), strict convexity at 1, semicontinuity, Jensen's inequality, and the headline
#   "JSD".
# - We add what the slides leave out: conjugates and their domains, the end of Pearson's conjugate at $t = -2$,
#   activations, and the charge for data where the model has nothing.

# %%
Markdown(profiles.differences(run.notebook))
