# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Two parallel lines
#
# [Script](402_two_lines.py) · [executed print](402_two_lines.ipynb) · [course map](../README.md)
#
# **Question.** What do KL, JSD and the earth mover's distance say about two distributions that have no point in
# common?
#
# **Source.** Isachenko, *Deep Generative Models*, lecture 8 (2024), slides from "Informal theoretical results" to
# "Theorem 2", and "Summary". **Time on a laptop.** Less than a minute.
#
# A student throws darts at a wall, and all of them hit one vertical line. Another student, who should imitate her,
# hits another vertical line. How far off is the imitation? "A hand's breadth to the right" would be a helpful answer.
# "Completely wrong" is a correct one, and it does not tell whether to aim further left or right. This notebook is
# about distances between probability distributions that give the first answer, and others that give the second one,
# and about why this matters when one distribution has to learn to be the other.
#
# The data have a distribution $\pi$, the imitation has a distribution $p$. We take the lecture's example apart three
# times: with pencil and paper, by quadrature and linear programs, and by trained networks that see samples only. Then
# we test its two theorems, one of them with sequences that show why every word in it is needed.

# %% tags=["parameters"]
seeds = [201, 202, 203]  # of random generators, histograms, samples and trainings
codes = 100  # random codes at which generators are differentiated
histograms = 500  # random pairs of histograms for each seed
line_points = 50  # equal points per line for the linear program
separations = [0.05, 0.2, 0.5, 1.0]  # between lines for trained networks
hidden = 32  # values of each hidden layer of discriminators and critics
batch = 128  # points per line and step
steps = 600  # of Adam, for each network between fixed lines
learning_rate = 0.01  # of Adam
penalty = 10.0  # lambda of the gradient penalty
penalties = [0.1, 1.0, 10.0]  # lambdas for its bias
samples = 1000  # points per line for exact transport
gap_steps = 100  # of the generator
warm_up = 200  # steps of the discriminator or critic before them
critic_steps = 5  # for each step of the generator
rate = 0.02  # of the generator's optimizer
draws = 200  # random parameters and directions for theorem 1
sample_points = 1000  # points of data, and codes, for theorem 1
times = [2, 10, 100, 1000, 10000]  # t of the sequences for theorem 2

# %%
import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown
from scipy.integrate import trapezoid
from scipy.special import expit
from scipy.stats import cauchy, norm

from shapeofloss import figures, ledger
from shapeofloss.adversarial.convergence import SEQUENCES, random_histograms, sequence
from shapeofloss.adversarial.divergences import jsd, kl
from shapeofloss.adversarial.lines import read_distance
from shapeofloss.adversarial.networks import perceptron
from shapeofloss.adversarial.quality import wasserstein
from shapeofloss.distributions.quantiles import wasserstein_on_line
from shapeofloss.engine import compute, profiles, workspace
from shapeofloss.experiments.two_lines.two_lines import bins, close_gap, distances, thick_distances
from shapeofloss.transport.assignment.exact import cost_matrix
from shapeofloss.transport.assignment.programs import plan_program

run = workspace.begin("402_two_lines")
figures.use_house_style()
LOG2 = np.log(2)

# %% [markdown]
# ## Thin sets
#
# A *generator* $G$ makes a point $x = G(z)$ of a random *code* $z$. Mostly the code is short, a hundred numbers,
# and the point is long, a picture with thousands of them. The lecture draws a conclusion from that: what comes out
# is a set of at most as many dimensions as $z$ has. The reason is the *Jacobian*, the matrix of derivatives of $G$:
# a small step $v$ of the code moves the output by $J v$, and all these movements together span no more dimensions
# than $v$ has.
#
# We take random networks with 2 numbers in and 10 out, move the code in 12 random directions, one at a time, and
# let automatic differentiation tell how the output moves. The *singular values* of these 12 movements say how far
# they spread in the first, second, third, ... direction. The third has to be zero, as a share of the first.


# %%
def spreads(seed, inputs=2, outputs=10):
    """Return the singular values of movements of the output at random codes, over the first, shape (codes, 10)."""
    generator = torch.Generator().manual_seed(seed)
    network = perceptron((inputs, 64, 64, outputs), generator=generator).double()
    z = torch.randn(codes, inputs, generator=generator).double()
    ways = torch.randn(12, 1, inputs, generator=generator).double()
    moves = torch.stack([torch.func.jvp(network, (z,), (way.expand_as(z),))[1] for way in ways], dim=1)
    values = torch.linalg.svdvals(moves)
    return (values / values[:, :1]).detach().numpy()


spread = np.array([spreads(seed) for seed in seeds])
ledger.record({"adversarial-generator-rank": spread[..., 2].max(1)})
pd.Series(np.median(spread, axis=(0, 1)), range(1, 11), name="median singular value over the first")[:5]

# %% [markdown]
# Data are thin, too, or so the lecture says of photographs: nobody can prove that, but most random pictures are
# noise, and the interesting ones can be changed in far fewer ways than they have pixels. And two thin sets in a
# large space miss each other as two threads in a room do. They may cross somewhere, but in general they share no
# mass.
#
# ## A perfect discriminator that teaches nothing
#
# A *discriminator* $D(x) \in [0, 1]$ says how likely a point is to be data. In a generative adversarial network
# (GAN) it is trained to make $V(D) = E_\pi \log D(x) + E_p \log(1 - D(x))$ as large as possible. Each logarithm is
# at most 0, so $V \le 0$. If data and samples lie on disjoint sets, the lecture states, some *smooth* $D$ is
# optimal. (We add that the sets be closed and bounded, so that there is a gap between them.) That is no abstract
# statement: take any smooth function $u(x)$ that is above 1 on the data and below 0 on the samples, and put it into
# a smooth step.


# %%
def step(u):
    """Return 0 for u <= 0 and 1 for u >= 1, with all derivatives in between: a / (a + b)."""
    inside = u.clamp(1e-3, 1 - 1e-3)  # exp(-1000) is 0 in double precision: nothing is lost
    a, b = torch.exp(-1 / inside), torch.exp(-1 / (1 - inside))
    return a / (a + b)


def bent(y, seed):
    """Return the first coordinate of a bent line at height y: a sum of three random waves."""
    amplitude, phase = torch.from_numpy(np.random.default_rng(seed).random((2, 3)))
    return sum(0.1 * amplitude[k] * torch.sin(np.pi * (k + 1) * y + 6 * phase[k]) for k in range(3))


def discriminator(points, seed, theta):
    """Return D for points (x, y): it falls from 1 to 0 in the middle third between the two bent lines."""
    x, y = points.T
    return step(2 - 3 * (x - bent(y, seed)) / theta)


# %% [markdown]
# Two lines, bent alike and 0.5 apart; 1,000 points of each, and the gradient of $D$ by automatic differentiation:

# %%
values, slopes = [], []
for seed in seeds:
    y = torch.rand(2, 1000, generator=torch.Generator().manual_seed(seed)).double()
    data, fake = (torch.stack([bent(h, seed) + place, h], 1).requires_grad_() for h, place in zip(y, (0, 0.5)))
    on_data, on_fake = discriminator(data, seed, 0.5), discriminator(fake, seed, 0.5)
    values.append(abs((on_data.log().mean() + torch.log1p(-on_fake).mean()).item()))
    gradients = torch.autograd.grad(on_data.sum() + on_fake.sum(), (data, fake))
    slopes.append(torch.cat(gradients).norm(dim=1).max().item())
ledger.record(
    {
        "adversarial-smooth-perfect-discriminator": values,
        "adversarial-smooth-perfect-discriminator-gradient": slopes,
    },
    figure="perfect",
)

# %%
place = torch.cartesian_prod(torch.linspace(-0.5, 1, 121), torch.linspace(0, 1, 81)).double().requires_grad_()
level = discriminator(place, seeds[0], 0.5)
steepness = torch.autograd.grad(level.sum(), place)[0].norm(dim=1)
figure, axes = figures.panels(2, height=3.2, width=4.4)
labels = "discriminator D", "length of its gradient"
for ax, field, label in zip(axes, (level.detach(), steepness), labels, strict=True):
    shade = ax.imshow(
        field.reshape(121, 81).T, origin="lower", extent=(-0.5, 1, 0, 1), cmap=figures.FIELD, aspect="auto"
    )
    height = torch.linspace(0, 1, 50).double()
    ax.plot(bent(height, seeds[0]), height, color=figures.PALETTE[3], label="data")
    ax.plot(bent(height, seeds[0]) + 0.5, height, "--", color="white", label="samples")
    ax.set(xlabel="x", ylabel="y")
    figure.colorbar(shade, ax=ax, label=label)
axes[0].legend(fontsize="small", labelcolor="white", loc="lower right")
figures.save(
    figure,
    "perfect",
    alt="Two fields over the plane with two bent lines, 0.5 apart. The discriminator is 1 on the side of the data and 0 on that of the "
    "samples; the length of its gradient is above zero only in a stripe between the lines, which touches neither.",
    data={
        "x": place[:, 0].detach(),
        "y": place[:, 1].detach(),
        "discriminator": level.detach(),
        "gradient": steepness,
    },
    answers='wgan: slide "Informal theoretical results"',
)

# %% [markdown]
# **Reading the figure.** All of the slope is in a stripe where there are neither data nor samples. A generator
# learns by asking $D$ in which direction its samples should move. This $D$, which nobody can improve, answers:
# nowhere.
#
# ## Three ways to compare two distributions
#
# For two *histograms* over the same bins, with masses $\pi_i$ and $p_i$ that add up to 1, the *Kullback-Leibler
# divergence* and the *Jensen-Shannon divergence* are
#
# $$KL(\pi \| p) = \sum_i \pi_i \log \frac{\pi_i}{p_i}, \qquad
#   JSD(\pi \| p) = \tfrac12 KL(\pi \| m) + \tfrac12 KL(p \| m), \quad m = \tfrac12 (\pi + p),$$
#
# in *nats*, as logarithms are natural. A bin without data counts 0; a bin with data and no samples makes $KL$
# infinite, and that is meant: someone who holds such data to be impossible is wrong beyond measure. If the histograms
# are disjoint, *every* bin with data is such a bin. In JSD each distribution is compared with the mean $m$ of both,
# of which it is a half, so that each logarithm is $\log 2$, and can be no larger, as $m \ge \pi / 2$. We count and
# compare, with random histograms in which each bin belongs to one of the two, and others that share bins:

# %%
apart = {s: [random_histograms(1000 * s + n, overlap=False) for n in range(histograms)] for s in seeds}
shared = {s: [random_histograms(1000 * s + n) for n in range(histograms)] for s in seeds}
ledger.record(
    {
        "adversarial-disjoint-kl-forward": [sum(np.isfinite(q.kl_forward) for q in apart[s]) for s in seeds],
        "adversarial-disjoint-kl-reverse": [sum(np.isfinite(q.kl_reverse) for q in apart[s]) for s in seeds],
        "adversarial-disjoint-jsd": [max(abs(q.jsd - LOG2) for q in apart[s]) for s in seeds],
        "adversarial-jsd-maximum": [max(q.jsd - LOG2 for q in apart[s] + shared[s]) for s in seeds],
    }
)

# %% [markdown]
# The third way is to move things. A *plan* $\gamma$ says how much mass goes from $x$ to $y$; whatever leaves the
# $x$ has to add up to $\pi$, whatever arrives at the $y$ to $p$. The *earth mover's distance* or *Wasserstein
# distance* is what the cheapest plan costs, if each unit of mass costs the length of its way:
#
# $$W(\pi, p) = \min_\gamma \; E_{(x, y) \sim \gamma} \, |x - y|.$$
#
# (Notebook 302 is about this problem, and notebook 403 about its other face.)
#
# ## Two lines
#
# Now the lecture's example. Let $U$ be uniform on $[0, 1]$, let the data be $(0, U)$ and the samples $(\theta, U)$:
# two vertical lines, a *separation* of $\theta$ apart. For $\theta \ne 0$ they are disjoint, hence both KL are
# infinite and JSD is $\log 2$. And the cheapest plan moves each point straight across, hence $W = |\theta|$. (No
# plan is cheaper, as each way has to cross the gap.) For $\theta = 0$ all four are 0:

# %%
pd.DataFrame({theta: distances(theta) for theta in (-0.5, 0, 0.01, 0.5)}, index=distances(0)._fields).round(4)

# %% [markdown]
# That was pencil and paper. First the computer's own view of $\theta = 0$, on a grid of 10 by 20 bins of which the
# line fills one column: 180 bins are empty in both distributions, and must not do any harm. $W$ is a linear program
# with 40,000 unknowns that is solved by HiGHS, which does not know what the distributions are.

# %%
(centres, on_line), (_, again) = bins(0.0), bins(0.0)
length = cost_matrix(centres, centres, p=1)
ledger.record(
    {
        "adversarial-lines-zero-kl-forward": abs(kl(on_line, again)),
        "adversarial-lines-zero-kl-reverse": abs(kl(again, on_line)),
        "adversarial-lines-zero-jsd": abs(jsd(on_line, again)),
        "adversarial-lines-zero-w": abs(float((plan_program(length, on_line, again) * length).sum())),
    }
)


# %% [markdown]
# And $W = |\theta|$, by the same linear program, with each line as equal points (the distribution of the points, not
# of the line; each point of the one has a partner in the other at the same height):


# %%
def by_program(theta):
    """Return W between two lines of equal points."""
    height = (np.arange(line_points) + 0.5) / line_points
    cost = cost_matrix(*(np.stack([np.full(line_points, x), height], axis=1) for x in (0.0, theta)), p=1)
    return float((plan_program(cost) * cost).sum())


across = np.linspace(-1, 1, 9)
ledger.record({"adversarial-lines-w": max(abs(by_program(theta) - abs(theta)) for theta in across)})

# %% [markdown]
# ### Infinite, says who?
#
# No computer measures infinity. What it can show is how a quantity passes every bound. Blur both lines by a Gaussian
# of width $s$ in the direction across. (What happens along the lines is the same for both distributions and does not
# count.) Then we have $N(0, s^2)$ against $N(\theta, s^2)$, everything is finite, and quadrature over logarithms of
# densities gives all four distances. With pencil and paper, $KL = \theta^2 / (2 s^2)$. Both grow without bound as $s
# \to 0$:

# %%
wide = np.linspace(0.1, 1, 10)
thin = [thick_distances(theta, 0.001) for theta in wide]
ledger.record(
    {
        "adversarial-lines-kl-forward": min(d.kl_forward for d in thin),
        "adversarial-lines-kl-reverse": min(d.kl_reverse for d in thin),
        "adversarial-lines-jsd": max(abs(d.jsd - LOG2) for d in thin),
    },
    figure="blurred",
)

# %%
widths, thetas = np.geomspace(0.01, 3, 60), (0.1, 0.3, 1.0)
blurred = pd.DataFrame([{"theta": t, "s": s, **thick_distances(t, s)._asdict()} for t in thetas for s in widths])
figure, axes = figures.panels(3, height=3.0, width=3.7)
labels = {"kl_forward": "KL (nats)", "jsd": "JSD (nats)", "w": "W (length)"}
for ax, (name, label) in zip(axes, labels.items(), strict=True):
    for (theta, table), style in zip(blurred.groupby("theta"), (":", "--", "-"), strict=True):
        ax.plot(table.s, table[name], style, color=figures.PALETTE[0], label=rf"$\theta$ = {theta}")
    ax.set(xscale="log", xlabel="width s of the blur (length)", ylabel=label)
axes[0].set_yscale("log")
axes[1].axhline(LOG2, color="gray", linewidth=0.8)
axes[1].annotate("log 2", (3, LOG2), xytext=(0, -11), textcoords="offset points", color="gray", ha="right")
axes[2].legend(fontsize="small", loc="center right")
figures.save(
    figure,
    "blurred",
    alt="KL, JSD and W of two blurred lines against the width of the blur, for separations 0.1, 0.3 and 1. KL grows without bound for "
    "thin lines, JSD climbs to log 2 and saturates once lines are thinner than a sixth of their separation, W does not change at all.",
    data=blurred,
    answers='wgan: slide "Wasserstein distance vs KL vs JSD"',
)

# %% [markdown]
# **Reading the figure.** From right to left the lines get thinner. KL goes through the roof, as $1/s^2$. JSD rises to
# $\log 2$ and stays there from about $s = \theta / 6$ on: below that width it knows that the distributions differ,
# and no more. $W$ does not see the blur. Note the other end, too: where lines are wider than their separation, KL and
# JSD are smooth, small and informative. Blurring both distributions, known as *instance noise*, is a cure of the
# disease. It only has to be known how much.
#
# ## What networks read from samples
#
# In practice nobody knows $\pi$ and $p$; there are samples, and a network. Two kinds:
#
# - A *discriminator* maximises $V(D)$. At the best $D$, $V = 2 \, JSD - \log 4$ (notebook 401), so a trained one
#   reads off $JSD \approx (V + \log 4) / 2$.
# - A *critic* $f$ maximises $E_\pi f - E_p f$ while its *slope*, the length of its gradient, is held near 1. The
#   best value under a slope of at most 1 is $W$: notebook 403 shows that with linear programs. Here we believe it.
#
# The slope is held by a *gradient penalty*, $\lambda \, E (|\nabla f(\hat x)| - 1)^2$, which is subtracted from
# what the critic maximises, at random points $\hat x$ of segments between data and samples (notebook 405 is about
# it). This penalty is *soft*: a slope other than 1 is not forbidden, it costs something. Between two lines we can
# see what that does to the result. For $f(x, y) = -a x$ the critic's objective is $a \theta - \lambda (a - 1)^2$.
# This is largest for
#
# $$a = 1 + \frac{\theta}{2 \lambda}, \qquad \text{and then} \qquad
#   E_\pi f - E_p f = a \theta = W + \frac{W^2}{2 \lambda}.$$
#
# So the value that is printed during training is *too large*, and is no lower bound of $W$. What helps is to
# divide it by the largest slope: $f / \max |\nabla f|$ has a slope of at most 1, and its value is at most $W$ for
# certain. We train one critic for each of three $\lambda$, with segments between independent pairs as in the
# lecture and, for comparison, between pairs from the optimal plan of the two batches:

# %%
network = {"hidden": hidden, "batch": batch, "steps": steps, "learning_rate": learning_rate}
common = {"objective": "wasserstein", "theta": 1.0, **network}
cases = {(k, weight): {"pairs": k, "penalty": weight} for k in ("independent", "coupled") for weight in penalties}
biased = compute.grid(read_distance, cases, seeds[:1], common=common, label="critics")
table = pd.DataFrame({case: results[0] for case, results in biased.items()}).T.rename_axis(["pairs", "lambda"])
table["formula"] = 1 + 1 / (2 * table.index.get_level_values("lambda"))
table[["formula", "value", "slope", "reading"]].astype(float).round(3)

# %% [markdown]
# At $\theta = 1$ and $\lambda = 0.1$ the raw value is 6 instead of 1, as predicted. Divided by the largest slope on
# a fine grid of the strip between the lines, what is left is between 0.98 and 1, from below, for every $\lambda$.
# With coupled pairs the slope is more even. (Independent segments cross each other. They are denser in the middle
# of the strip than near its upper and lower edges, so that it costs less to be steep near the edges. The formula is
# exact for the best critic of coupled pairs; with other pairs the best critic's raw value is at least that.)
#
# Now discriminators and critics at several separations, from batches of 128 points per line. Values are measured
# on 1,000 equally spaced points of each line.

# %%
kinds = "jensen_shannon", "wasserstein"
cases = {(kind, theta): {"objective": kind, "theta": theta} for kind in kinds for theta in separations}
common = {**network, "penalty": penalty}
read = compute.grid(read_distance, cases, seeds, common=common, label="discriminators and critics")
readings = pd.DataFrame(
    [
        {"objective": kind, "theta": theta, "seed": seed, **result}
        for (kind, theta), results in read.items()
        for seed, result in zip(seeds, results, strict=True)
    ]
)
trained = {kind: table.pivot_table("reading", "seed", "theta") for kind, table in readings.groupby("objective")}
errors = (trained["wasserstein"] / np.array(separations) - 1).abs()
ledger.record(
    {
        "adversarial-lines-jsd-samples": trained["jensen_shannon"].mean(axis=1),
        "adversarial-lines-w-critic": errors.max(axis=1),
    },
    figure="readings",
)
pd.DataFrame({kind: table.mean() for kind, table in trained.items()}).round(4)

# %% [markdown]
# Each network was trained anew. For a generator what counts is not what the network says but how it pulls. We let
# the discriminator and the critic each pull at $\theta$: minus the derivative of the generator's loss with respect
# to it, which is the speed at which gradient descent would move the line. For the discriminator there are two
# losses, the lecture's $E_p \log(1 - D)$, and the *non-saturating* one, $-E_p \log D$, that everyone uses.

# %%
pulls = readings.pivot_table(["pull", "pull_non_saturating"], "theta", "objective")
pulls = pulls.set_axis(["jensen_shannon", "wasserstein", "non_saturating"], axis=1)
pulls.map("{:.2g}".format)

# %%
figure, axes = figures.panels(3, height=3.2, width=3.8)
names = {
    "jensen_shannon": "discriminator, log(1 - D)",
    "non_saturating": "discriminator, -log D",
    "wasserstein": "critic",
}
colors = dict(zip(names, (figures.PALETTE[3], figures.PALETTE[4], figures.PALETTE[2]), strict=True))
for ax, name, exact in ((axes[0], "jensen_shannon", "log 2"), (axes[1], "wasserstein", r"$\theta$")):
    for _, values in trained[name].iterrows():
        ax.plot(separations, values, "o", color=colors[name], markersize=5, alpha=0.6)
    fine = np.linspace(0, 1, 100)
    ax.plot(fine, [distances(t).w if name == "wasserstein" else distances(t).jsd for t in fine + 1e-9], color="gray")
    ax.annotate(exact, (0.5, 0.5 if name == "wasserstein" else LOG2), xytext=(-18, 8), textcoords="offset points")
axes[0].plot(0, 0, "o", color="gray")
axes[0].set(xlabel=r"separation $\theta$ (length)", ylabel="JSD that is read (nats)", ylim=(-0.03, 0.8))
axes[1].set(xlabel=r"separation $\theta$ (length)", ylabel="W that is read (length)")
for name, label in names.items():
    axes[2].loglog(pulls.index, -pulls[name], "o-", color=colors[name], label=label)
axes[2].set(xlabel=r"separation $\theta$ (length)", ylabel=r"pull towards the data (per unit of $\theta$)")
axes[2].set_ylim(top=1e5)
axes[2].legend(fontsize="x-small", loc="upper right")
figures.save(
    figure,
    "readings",
    alt="Readings of trained networks against the separation of two lines. Discriminators read log 2 everywhere, next to a dot at zero "
    "for equal lines. Critics read the separation. The pull on the generator falls by orders of magnitude with the separation for the "
    "saturating loss, is large for the non-saturating one, and is 1 for the critic.",
    data=readings[["objective", "theta", "seed", "value", "slope", "reading", "pull"]],
    answers='wgan: slide "Wasserstein distance vs KL vs JSD"',
)

# %% [markdown]
# **Reading the figure.** Left: trained discriminators read $\log 2$ at every separation, and the only other value
# is the dot at 0, for equal lines. Middle: critics read $\theta$, to better than 1%. Right, on two logarithmic
# axes: with the lecture's loss the pull falls from 0.13 to 0.0002; the farther the line, the weaker the pull, which
# is the wrong way round. The critic pulls with strength 1 (plus the bias) from everywhere.
#
# And the surprise is the curve on top. The discriminator is the *same*; only the loss of the generator is another
# one, and its pull does not vanish at all. It is too strong if anything. Its direction was never the problem: the
# logit $\log D - \log(1 - D)$ still rises steeply towards the data. What vanishes is the factor in front of it.
#
# ### Without any network
#
# The same samples, and exact transport between them, an assignment problem (notebook 302). It is biased upwards, as
# points of two samples are not at the same heights, but not by much:

# %%
relative = []
for seed in seeds:
    height = np.random.default_rng(seed).random((2, samples))
    clouds = [np.stack([np.full(samples, x), y], axis=1) for x, y in zip((0.0, 0.5), height, strict=True)]
    relative.append(wasserstein(*clouds) / 0.5 - 1)
ledger.record({"adversarial-lines-w-samples": np.abs(relative)})

# %% [markdown]
# **A simpler method wins.** A thousand points and an exact solver are off by less than a thousandth; the
# critics, which have seen 76,800 points per line, by two thousandths at this separation, and they have learned
# nothing else. In the plane there is no reason to train a critic in order to *know* $W$. What a critic has instead
# is a gradient at every point, batch by batch, and no need to look at all pairs.
#
# ## Closing the gap
#
# The lecture sums up: KL and JSD work poorly as objectives on disjoint supports, the earth mover's distance is more
# appropriate. To test that, let the generator have $\theta$ as its only parameter, $G(u) = (\theta, u)$, start at
# $\theta = 1$, and train it with each of the losses for the same number of steps. Five updates of the discriminator
# or critic go before each of them, and 200 before the first, so that no one is caught unprepared. The generator
# takes plain steps of gradient descent, as we want to see the objective's gradient and not what an optimizer makes
# of it.

# %%
game = {"theta": 1.0, "rate": rate, "warm_up": warm_up, "hidden": hidden, "learning_rate": learning_rate}
game |= {"penalty": penalty, "schedule": {"steps": gap_steps, "critic_steps": critic_steps, "batch": batch}}
by_sgd = {name: {"objective": name, "method": "sgd"} for name in names}
by_adam = {name: {"objective": name, "method": "adam"} for name in names}
plain = compute.grid(close_gap, by_sgd, seeds, common=game, label="games")
plain = {name: np.array([result["theta"] for result in results]) for name, results in plain.items()}
adaptive = compute.grid(close_gap, by_adam, seeds[:1], common=game, label="games with Adam")
adaptive = {name: result["theta"] for name, (result,) in adaptive.items()}
left = {name: np.abs(plain[name][:, -1]) for name in ("wasserstein", "jensen_shannon")}
ledger.record({"adversarial-objective-on-disjoint-supports": left}, figure="closing")

# %%
figure, axes = figures.panels(2, height=3.2, width=4.6)
for name, label in names.items():
    axes[0].plot(plain[name].T, color=colors[name], alpha=0.7, label=[label, *[None] * (len(seeds) - 1)])
    axes[1].plot(adaptive[name], color=colors[name], label=label)
for ax, title in zip(axes, ("gradient descent", "Adam"), strict=True):
    ax.axhline(0, color="gray", linewidth=0.8)
    ax.set(title=title, xlabel="steps of the generator", ylabel=r"$\theta$ (length)")
axes[1].legend(fontsize="x-small", loc="upper right")
figures.save(
    figure,
    "closing",
    alt="The separation over 100 steps of the generator. With gradient descent the saturating loss stays at 1, the critic's falls in a "
    "straight line and swings about 0, the non-saturating one jumps past 0 and settles. With Adam all three move.",
    data={f"{name}, sgd, seed {seed}": way for name in names for seed, way in zip(seeds, plain[name])}
    | {f"{name}, adam, seed {seeds[0]}": way for name, way in adaptive.items()},
    answers='wgan: slide "Summary"',
)

# %%
pd.DataFrame(
    {
        "gradient descent": [np.abs(plain[name][:, -1]).mean() for name in names],
        "Adam": [abs(adaptive[name][-1]) for name in names],
    },
    index=pd.Index(names.values(), name="|theta| left"),
).round(3)

# %% [markdown]
# **Reading the figure.** Left, the lecture's loss moves the line by about a millionth at most in a hundred steps.
# The critic's loss moves it at a constant speed, 0.02 a step, so that it arrives after 50. There it does not stop:
# $W = |\theta|$ is as steep near its minimum as far away, and the critic takes a while to turn round. On average
# 0.09 is left, and 0.21 in the worst of three runs. The ordering is reproduced: $W$ is the better objective of the
# two.
#
# The non-saturating loss is better than both. It jumps by a third of the gap, or half of it, in its first step and
# overshoots wildly, and yet 0.02 is left at the end. Its objective is neither of the two, but the discriminator is
# that of JSD. So "JSD is $\log 2$ everywhere, hence a GAN cannot learn on disjoint supports" does not follow. The
# value is constant; the network that was trained to attain it still knows which way the data are.
#
# Right, one run each with Adam, which divides every gradient by its usual size. A gradient of a hundred-thousandth
# with the right sign is then as good as any: even the lecture's loss crosses the gap, in 80 steps, and is on its
# way out again at the end. For one parameter with one sign that is a cheap escape. A generator with a million of
# them needs gradients that stand out from their noise.
#
# ## Theorem 1: $W$ goes along
#
# For a *feedforward* generator $G_\theta$, a network of affine maps and activations, with parameters $\theta$ and a
# code $z$ with $E|z| < \infty$, the lecture states that $W(\pi, p_\theta)$ is continuous in $\theta$, and
# differentiable almost everywhere. The reason for the first half: leave the code where it is and move the parameters.
# Then each point $G_\theta(z)$ moves by a small way, and "each stays with its own code" is a plan from the old
# distribution to the new one, so $W(p_\theta, p_{\theta'}) \le E|G_\theta(z) - G_{\theta'}(z)|$. For $\theta$ in a
# bounded set the right side is at most $E(c + c |z|) \, |\theta - \theta'|$ with some $c$. That is where $E|z|$ comes
# in. A function with such a bound is *locally Lipschitz*, and by a theorem of Rademacher it has a derivative almost
# everywhere.
#
# We try it where $W$ can be computed to the last digit: on the line. The *quantile function* $F^{-1}(u)$ of a
# distribution is the place below which a share $u$ of the mass lies, and $W = \int_0^1 |F^{-1}(u) - G^{-1}(u)| \,
# du$. For points with masses that is a sum. The generator has 65 parameters:


# %%
def generator(parameters, z):
    """Return a network 2-16-1 at codes z, shape (N,)."""
    first, offsets, last, offset = np.split(parameters, [32, 48, 64])
    return np.maximum(z @ first.reshape(2, 16) + offsets, 0) @ last / 4 + offset[0]


def along(parameters, direction, z, data):
    """Return the function h -> W(data, generator at parameters + h direction)."""
    return lambda h: wasserstein_on_line(data, generator(parameters + h * direction, z))


# %% [markdown]
# For random parameters and unit directions: how much does $W$ change for a step of $10^{-7}$, and how much do the
# difference quotients to the left and to the right, over a step of $10^{-8}$, differ?

# %%
changes, kinks = [], []
for seed in seeds:
    source = np.random.default_rng(seed)
    z, data = source.standard_normal((sample_points, 2)), source.standard_normal(sample_points)
    ways = [along(p, d / np.linalg.norm(d), z, data) for p, d in source.standard_normal((draws, 2, 65))]
    changes.append(max(abs(w(1e-7) - w(0)) for w in ways))
    kinks.append(np.mean([abs(w(1e-8) + w(-1e-8) - 2 * w(0)) / 1e-8 > 1e-3 for w in ways]))
ledger.record(
    {"adversarial-w-continuous": changes, "adversarial-w-differentiable-almost-everywhere": kinks},
    figure="theorem_1",
)

# %% [markdown]
# "Almost everywhere" is no empty phrase. With five codes and five points of data instead of a thousand, one can see
# the places where the derivative jumps: where two points of the generator change their order, where one of them
# meets its partner, or where an activation switches on. And in the lecture's example there is one at $\theta = 0$,
# the place where everyone wants to go.

# %%
source = np.random.default_rng(seeds[0])
p, d = source.standard_normal((2, 65))
clouds = {n: (source.standard_normal((n, 2)), source.standard_normal(n)) for n in (5, sample_points)}
h = np.linspace(-1.5, 1.5, 601)
curves = {n: np.array(list(map(along(p, d / np.linalg.norm(d), *cloud), h))) for n, cloud in clouds.items()}
figure, axes = figures.panels(2, height=3.0, width=4.4)
for (n, curve), style in zip(curves.items(), ("-", "--"), strict=True):
    axes[0].plot(h, curve, style, label=f"{n} points and codes")
    axes[1].plot(h[1:] - 0.0025, np.diff(curve) / np.diff(h), style, label=f"{n} points and codes")
for ax, label in zip(axes, ("W (length)", "derivative of W (length per unit of h)"), strict=True):
    ax.set(xlabel="h, along a direction in the parameters", ylabel=label)
axes[0].legend(fontsize="small")
figures.save(
    figure,
    "theorem_1",
    alt="W along a direction in parameter space, and its derivative, for distributions of 5 points and of 1,000. Both curves of W are continuous; "
    "the derivative for 5 points jumps at some places, that for 1,000 points has many jumps that are too small to be seen.",
    data={"h": h, **{f"W, {n} points": curve for n, curve in curves.items()}},
    answers='wgan: slide "Theorem 1"',
)

# %% [markdown]
# **Reading the figure.** Left, both curves are continuous. Right, for five points the derivative is nearly constant
# and jumps about a dozen times along this direction; for 1,000 points there are more jumps and smaller ones, so
# that the dashed curve looks nearly smooth. None of the 600 random draws above has hit a kink.
#
# And the condition on $z$? Let the generator be the identity, the data $N(0, 1)$, and the code Cauchy, a distribution
# whose mean does not exist: its quantiles are $\tan(\pi (u - \frac12)) \approx 1 / (\pi (1 - u))$ near 1. If we cut
# the integral at the levels $\delta$ and $1 - \delta$, it grows as $\frac2\pi \log \frac1\delta$, without end.


# %%
def between(cut):
    """Return the integral from cut to 1 - cut: both distributions are symmetric, so it is twice that up to 1/2."""
    logit = np.linspace(np.log(cut) - np.log1p(-cut), 0, 10001)  # as many nodes near level 0 as elsewhere
    u = expit(logit)
    return 2 * trapezoid(np.abs(cauchy.ppf(u) - norm.ppf(u)) * u * (1 - u), logit)


cuts = 10.0 ** -np.arange(6, 13)
heavy = [between(cut) for cut in cuts]
ledger.record({"adversarial-w-needs-finite-mean": np.polyfit(np.log(1 / cuts), heavy, 1)[0]})

# %% [markdown]
# So with such a code $W = \infty$, however the generator may stretch or shift it, and a function that is nowhere
# finite is neither continuous nor differentiable. No network of the trade has such a code: they are normal or
# uniform. What the argument also needs are activations that grow no faster than a straight line. We take this to be
# the "(almost)" in the lecture's "(almost) any" network.
#
# ## Theorem 2: which convergence is the strongest?
#
# Let $\pi$ and $p_1, p_2, \dots$ be distributions on a *compact* space, such as a bounded closed piece of the plane.
# The lecture states: if $KL(\pi \| p_t) \to 0$ or $KL(p_t \| \pi) \to 0$, then $JSD(\pi \| p_t) \to 0$, and if that
# holds, then $W(\pi, p_t) \to 0$. Behind both arrows there is an inequality, by way of the *total variation* $TV =
# \frac12 \sum_i |\pi_i - p_i|$:
#
# $$JSD \le \log 2 \cdot TV \le \log 2 \sqrt{KL / 2}, \qquad
#   W \le \text{diameter} \cdot TV \le \text{diameter} \cdot \sqrt{2 \, JSD}.$$
#
# Three steps are behind them. *Cut*: both distributions have a part in common, and the rest of each has the mass
# $TV$. JSD of such a mixture is at most that of its parts, 0 for the common one and at most $\log 2$ for the rest.
# *Pinsker's inequality* is $TV \le \sqrt{KL / 2}$. For each distribution against the mean of both, from which it is
# $TV / 2$ away, it gives $TV^2 \le 2 \, JSD$. *Move*: what has to be moved is at most the rest, and no way is longer
# than the diameter. We test them on random pairs of histograms, very near and very far ones, and on a sequence: $p_t$
# is the uniform distribution on $[0, 1]$ with a share $1/t$ replaced by a distribution with density $2x$.

# %%
fades = [sequence("fading", t) for t in times]
by_forward = [max(q.jsd - LOG2 * np.sqrt(q.kl_forward / 2) for q in shared[s] + fades) for s in seeds]
by_reverse = [max(q.jsd - LOG2 * np.sqrt(q.kl_reverse / 2) for q in shared[s] + fades) for s in seeds]
by_jsd = [max(q.w - np.sqrt(2 * q.jsd) for q in shared[s] + apart[s] + fades) for s in seeds]  # the diameter is 1
ledger.record(
    {
        "adversarial-kl-forward-implies-jsd": by_forward,
        "adversarial-kl-reverse-implies-jsd": by_reverse,
        "adversarial-jsd-implies-w": by_jsd,
    },
    figure="sequences",
)

# %% [markdown]
# Neither arrow can be turned round. Three sequences that show it, and a fourth one for the word "compact":
#
# - **shifted**: $U[0, 1]$ against $U[1/t, 1 + 1/t]$. A sliver at either end is impossible for the other distribution:
#   both KL are infinite for every $t$, while JSD is $\frac1t \log 2$.
# - **waves**: $U[0, 1]$ against the density $1 + \sin(2 \pi t x)$. The waves get finer. Mass has to be moved by less
#   than a wavelength, and $W = 1 / (2 \pi t)$, while JSD compares heights, and does not see how fine the waves are.
# - **points**: a point mass at 0 against one at $1/t$. This is the example of the two lines once more.
# - **escaping**: a point mass at 0, of which a share $1/t$ is taken away, to the place $t$. $KL(\pi \| p_t) = -\log(1
#   - 1/t) \to 0$, but the smaller the share, the longer its way, and $W = 1$ for ever. On a compact space there is no
#   such way. The lecture says "compact" and does not say why; this is why.

# %%
rows = [
    {"sequence": name, "t": t, "KL(pi | p)": q.kl_forward, "KL(p | pi)": q.kl_reverse, "JSD": q.jsd, "W": q.w}
    for name in SEQUENCES
    for t in times
    if name != "waves" or t <= 1000
    for q in [sequence(name, t)]
]
converging = pd.DataFrame(rows)
converging[converging.t.isin((10, 1000))].set_index(["sequence", "t"]).map("{:.3g}".format)

# %%
both = [value for q in (sequence("shifted", t) for t in (2, 10, 100, 1000)) for value in (q.kl_forward, q.kl_reverse)]
several = [1, 2, 3, 5, 7, 10, 20, 30, 50, 70, 100, 200, 300, 500, 700, 1000]
near = next(q for q in (sequence("points", t) for t in range(2, 2000)) if q.w <= 1e-3)
gone = max(abs(sequence("escaping", t).w - 1) for t in [*range(2, 100), *times])
ledger.record(
    {
        "adversarial-jsd-not-kl-jsd-vanishes": sequence("shifted", 1000).jsd,
        "adversarial-jsd-not-kl-kl-infinite": np.isfinite(both).sum(),
        "adversarial-w-not-jsd-w-vanishes": sequence("waves", 1000).w,
        "adversarial-w-not-jsd-jsd-stays": min(sequence("waves", t).jsd for t in several),
        "adversarial-w-not-jsd-points": near.jsd,
        "adversarial-not-compact-kl-vanishes": sequence("escaping", 10000).kl_forward,
        "adversarial-not-compact-w-stays": gone,
    },
    figure="sequences",
)

# %%
figure, axes = figures.panels(5, height=3.2, width=2.7)
columns = dict(zip(converging.columns[2:], ("v", "^", "o", "s"), strict=True))
for ax, (name, rows) in zip(axes, converging.groupby("sequence", sort=False), strict=True):
    for k, (column, marker) in zip((3, 4, 0, 2), columns.items(), strict=True):
        wide = {"linewidth": 3.5, "markersize": 8} if k == 3 else {"markersize": 4}  # seen where another one covers it
        ax.loglog(rows.t, rows[column].clip(upper=1e3), marker + "-", color=figures.PALETTE[k], label=column, **wide)
        if np.isinf(rows[column]).all() and k == 4:
            ax.annotate("infinite", (100, 4e3), ha="center", fontsize="small")
    ax.set(title=name, xlabel="t", ylim=(1e-10, 1e5))
axes[0].set_ylabel("nats; length for W")
axes[0].legend(fontsize="x-small", loc="lower left")
figures.save(
    figure,
    "sequences",
    alt="Four distances against t for five sequences. Fading: all fall. Shifted: JSD and W fall, both KL are infinite. Waves: W falls, KL and "
    "JSD stay. Points: W falls, JSD stays, KL is infinite. Escaping: KL from data and JSD fall, W stays at 1.",
    data=converging.replace(np.inf, 1e300),
    answers='wgan: slide "Theorem 2"',
)

# %% [markdown]
# **Reading the figure.** Triangles are the two KL, drawn at 1,000 where they are infinite; circles JSD, squares
# $W$. (The waves end at $t = 1000$: finer ones need millions of cells and show the same.) A sequence refutes an
# arrow if something falls and something to the left of the arrow does not: shifted refutes "JSD implies KL", waves
# and points refute "$W$ implies JSD". In the last panel JSD falls and $W$ does not, which would contradict the
# theorem if the space were compact. (The first panel also shows how different the speeds are: when KL is down to
# $10^{-7}$, $W$ is at $10^{-4}$, as the inequalities go by square roots.)
#
# ## What we think
#
# Everything that the slides state here is true, with "compact" in its place. Three remarks on what is made of it.
#
# *Weak is good, and weak is bad.* $W$ is the best objective of the four because it is the *weakest* distance: most
# sequences converge in it, so most roads lead to the goal. The other side of that is in the panel of the waves. A
# distribution can be near in $W$ and have a texture that is wrong everywhere.
#
# *A value is no gradient.* The slides argue with values of divergences, and a generator is moved by gradients of a
# network. The constant $\log 2$ and the vanishing pull go together for one loss and not for the other, with the
# same discriminator.
#
# *A simpler method wins.* For two distributions in the plane, transport between samples needs no training and is more
# exact. For two lines not even that is needed: the means of the first coordinates differ by $\theta$, exactly. A
# distance has to be judged by harder problems; these are in the notebooks that follow.
#
# **Exercise.** Make the second line twice as long, $(\theta, 2U)$. What is $W$? Guess, then check with
# `by_program`. What do KL and JSD say? *Solution:* the cost is convex in the difference of heights, so heights are
# best matched in order, $U$ to $2U$, and $W = \int_0^1 \sqrt{\theta^2 + u^2} \, du$, which is $\frac12$ for $\theta
# = 0$ and about $|\theta|$ for large $\theta$. KL and JSD say what they said before, except for $\theta = 0$: there
# $KL(\pi \| p) = \log 2$ and $JSD = \frac34 \log \frac43$.
#
# **Exercise.** Add normal noise of width 0.2 to both lines in `read_distance`, wherever points are drawn. What
# becomes of the pull of the lecture's loss at $\theta = 1$, and what of that of the critic? Try `close_gap`, too.
# *Hint:* the best discriminator has the logit $(\theta^2 - 2 \theta x) / (2 s^2)$ with $s = 0.2$. Its slope is
# $-\theta / s^2 = -25$, and its mean $E_p D$ is 0.0095, so that the pull has the size 0.24, a thousand times what
# it was. The critic's does not change.
#
# **Exercise.** Find a sequence on $[0, 1]$ for which $KL(\pi \| p_t) \to 0$ while $KL(p_t \| \pi) = \infty$ for all
# $t$. One of our five is nearly that. What do JSD and $W$ do? *Hint:* where could **escaping** end, on $[0, 1]$?
#
# ## What differs from the source
#
# - The slides state the example and both theorems and measure nothing; all networks, samples and sequences are
#   ours.
# - The slides do not say that disjoint supports must be compact for a smooth perfect discriminator, nor why theorem
#   2 asks for a compact space.
# - A critic's value is divided by its largest slope before it is read. Infinite divergences are approached by a
#   blur.
# - Beside the lecture's loss there is the non-saturating one, which the slides leave out and which changes the
#   verdict.

# %%
Markdown(profiles.differences(run.notebook))
