# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Learning without a likelihood
#
# [Script](401_likelihood_free.py) · [executed print](401_likelihood_free.ipynb) · [course map](../README.md)
#
# **Question.** What does a model with a likelihood pay for it, and what does a model that only fools a classifier
# gain and lose?
#
# **Source.** Isachenko, *Deep Generative Models*, lecture 8 (2024), the recap at its beginning, from "ELBO
# revisiting" to "Objective". **Time on a laptop.** A minute and a half.
#
# There are two ways to learn to forge banknotes. One is to write down how banknotes come about, compute how likely
# each genuine note is under that story, and improve the story. The other is to show forgeries to a cashier, and
# improve whatever she notices. The first way gives a number for every note, its *likelihood*; here it is the
# variational autoencoder. The second one needs no number, only a cashier; here it is the generative adversarial
# network.
#
# We take the lecture's recap apart sentence by sentence. First the bound that a variational autoencoder climbs, its
# three parts, and what its prior does to them. Then the game with the cashier: what her best answer is, what the
# game is worth, why the forger must succeed if both play perfectly, and what remains of that when they do not.

# %% tags=["parameters"]
seeds = [201, 202, 203]  # of random distributions, flows, histograms and trainings
images = 12  # data points with codes on a line
mixtures = 100  # random priors for each seed
flow = {"layers": 4, "width": 32, "steps": 400, "batch": 256, "learning_rate": 0.005}  # of the flow in the plane
side = 401  # of the grid on which its density is summed
vae = {"train": 500, "dropout": 0.0, "steps": 600}  # of the VAEs that are judged
contrast = {"train": 1000, "dropout": 0.25, "steps": 600}  # of others, with the first seed
network = {"dimension": 8, "width": 128, "flow_layers": 4, "flow_width": 32}  # of all VAEs
fit = {"batch": 128, "learning_rate": 0.002, "draws": 8, "checkpoints": 20, "shown": 10}  # of all VAEs
importance = 1000  # codes of each image for its likelihood
sizes = [1000, 2000, 4000, 8000, 16000]  # n, for the time of the aggregated posterior
repeats = 7  # of each timed call; the median counts
pairs = 100  # random pairs of histograms for each seed
bins = 80  # of histograms on the line
ideal_steps = 20000  # of the generator that may be any histogram
judge = {"width": 32, "steps": 600, "batch": 512, "rate": 0.005, "records": 60}  # a discriminator on the line
game = {"width": 32, "steps": 1600, "critic_steps": 1, "batch": 128, "rate": 0.001, "records": 80}  # a GAN on the line
moons = {"width": 64, "steps": 600, "batch": 128, "rate": 0.003, "at": [1, 3, 10, 30, 100, 300, 600]}  # a discriminator
toy = {"width": 64, "batch": 128, "rate": 0.001, "generator_rate": 0.001, "checkpoints": 10, "samples": 1000}  # a GAN
digits = {"codes": 16, "width": 128, "batch": 64, "rate": 0.001, "records": 10, "samples": 1000, "shown": 20}  # a GAN
toy_steps = {"1": 1000, "5": 300}  # of the generator, by steps of the discriminator for each
digit_steps = {"1": 800, "5": 200}  # the same on digits

# %%
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown
from scipy.integrate import quad
from scipy.spatial.distance import cdist, jensenshannon
from scipy.special import softmax
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture

from shapeofloss import figures, ledger
from shapeofloss.adversarial.conjugates import supremum
from shapeofloss.adversarial.densities import critic_bound, densities
from shapeofloss.adversarial.divergences import GAN_DIVERGENCE, divergence, jsd, random_pair
from shapeofloss.adversarial.quality import mode_shares, sampling_floor
from shapeofloss.adversarial.toy_runs import toy_run
from shapeofloss.distributions.gaussians import kl_divergence
from shapeofloss.distributions.mixtures import eight_gaussians, log_density, on_the_line
from shapeofloss.engine import compute, profiles, workspace
from shapeofloss.engine.measure import exponent, seconds
from shapeofloss.experiments.likelihood_free.elbo import LinearGaussian, best_gaussian_prior, mean_elbo, parts
from shapeofloss.experiments.likelihood_free.flows import RealNVP, fit_flow, log_standard, two_moons
from shapeofloss.experiments.likelihood_free.games import (
    digit_game,
    discriminator_on_line,
    line_game,
    mixture_masses,
    point_masses,
)
from shapeofloss.experiments.likelihood_free.moons import saturation
from shapeofloss.experiments.likelihood_free.vae import PRIORS, Codes, fit_vae, log_aggregated

run = workspace.begin("401_likelihood_free")
figures.use_house_style()
LOG4 = np.log(4)

# %% [markdown]
# ## A bound and its three parts
#
# A *latent-variable model* makes an image $x$ in two steps. It draws a *code* $z$, a few numbers, from a *prior*
# $p(z)$, and then the image from $p(x \mid z)$, the *decoder*. How likely an image is,
# $p(x) = \int p(x \mid z)\,p(z)\,dz$, is an integral over all codes, which nobody can compute when the decoder is a
# network. So one adds an *encoder* $q(z \mid x)$, a guess of which codes the image may have come from, and settles
# for a number that is never above $\log p(x)$, the *evidence lower bound*,
#
# $$\mathcal L(x) = \mathbb E_{q(z|x)}\bigl[\log p(x \mid z) + \log p(z) - \log q(z \mid x)\bigr].$$
#
# The code distribution of image $x_i$ is mostly a normal distribution $N(m_i, \sigma_i^2)$ whose two numbers a
# network computes. The mixture $q_{agg}(z) = \frac1n \sum_i q(z \mid x_i)$, the codes of *all* $n$ images thrown
# together, is the *aggregated posterior*. The lecture states that the mean bound is
#
# $$\frac1n \sum_i \mathcal L(x_i) = \underbrace{\mathrm{RL}}_{\text{reconstruction}} -
#   \underbrace{\mathrm{MI}}_{\text{what a code tells}} -
#   \underbrace{KL(q_{agg} \,\|\, p(z))}_{\text{misfit of the prior}}.$$
#
# RL is the mean of $\log p(x_i \mid z)$ over images and their codes. MI is the *mutual information* between the
# number $i$ of an image and its code: the mean of $KL(q(z \mid x_i) \,\|\, q_{agg})$, from 0, if all code
# distributions are equal, to $\log n$, if no two overlap. All are in nats. To check this we need a case where every
# term can be computed without the others. Codes on a line will do: a dozen random numbers $x_i$, random code
# distributions, and a bent decoder, $x = 2 \tanh z$ plus normal noise of deviation 0.5. The prior is $N(0, 1)$ or a
# mixture of three normal distributions.


# %%
def random_model(seed):
    """Return random code distributions, shape (images, 2), and their log p(x_i | z)."""
    generator = np.random.default_rng(seed)
    x = generator.normal(0, 1.2, (images, 1))
    codes = np.stack([generator.normal(0, 1.5, images), generator.uniform(0.3, 0.9, images)], axis=1)
    return codes, lambda z: -2 * (x - 2 * np.tanh(z)) ** 2 - np.log(0.5 * np.sqrt(2 * np.pi))


models = [random_model(seed) for seed in seeds]
priors = [[0, 1], [[-1.0, 0.8], [0.5, 1.2], [1.5, 0.6]]]
rows = [(mean_elbo(*model, prior), *parts(*model, prior)) for model in models for prior in priors]
names = [f"seed {seed}, {prior} prior" for seed in seeds for prior in ("normal", "mixture")]
split = pd.DataFrame(rows, names, ["mean ELBO", "RL", "MI", "KL"])
split["RL - MI - KL"] = split["RL"] - split["MI"] - split["KL"]
split.round(4)

# %% [markdown]
# The left side sums over each distribution's own nodes. On the right, RL is a Gauss-Hermite sum, MI a difference of
# entropies, and KL a sum along the whole line.

# %%
gap = (split["mean ELBO"] - split["RL - MI - KL"]).abs().to_numpy().reshape(len(seeds), -1)
ledger.record({"adversarial-elbo-split": gap.max(1)})

# %% [markdown]
# ## Which prior is best?
#
# Only the last part knows the prior. So for a fixed encoder and decoder the best prior is the one with $KL = 0$,
# the aggregated posterior itself. We let random mixtures compete: small disturbances of $q_{agg}$, and others that
# have nothing to do with it.


# %%
def rivals(codes, generator):
    """Return random mixtures: the code distributions disturbed, a little or a lot."""
    n = len(codes)
    for size in 10 ** generator.uniform(-4, 0.5, mixtures):
        yield codes + size * np.stack([generator.normal(size=n), generator.random(n)], axis=1)


gains = []
for seed, (codes, decoder) in zip(seeds, models):
    best = mean_elbo(codes, decoder, codes)
    gains.append([mean_elbo(codes, decoder, prior) - best for prior in rivals(codes, np.random.default_rng(seed))])
ledger.record({"adversarial-elbo-best-prior": np.max(gains, axis=1)})

# %% [markdown]
# And if the prior must be a single Gaussian? The lecture notes that $KL(q_{agg} \,\|\, p)$ is the *forward* KL with
# respect to the prior. A forward KL punishes a $p$ that is small where $q_{agg}$ is not, so its best Gaussian
# covers everything: it has the mean and the variance of $q_{agg}$, which are known. Our search for it sees values
# of the ELBO only.

# %%
fitted = np.array([best_gaussian_prior(*model) for model in models])
moments = np.array([[m.mean(), np.sqrt(np.mean(s**2) + m.var())] for m, s in (codes.T for codes, _ in models)])
ledger.record({"adversarial-elbo-prior-is-forward-kl": np.abs(fitted ** [1, 2] - moments ** [1, 2]).max(1)})

# %%
codes, z = models[0][0], np.linspace(-6, 6, 400)
curves = {"aggregated posterior": codes, "best Gaussian": fitted[0], "standard Gaussian": [0, 1]}
table = pd.DataFrame({"z": z} | {name: np.exp(log_density(z, mixture)) for name, mixture in curves.items()})
figure, ax = plt.subplots(figsize=(5.8, 3.2))
for m, sigma in codes:
    ax.plot(z, np.exp(log_density(z, [m, sigma])) / images, color="gray", linewidth=0.7)
for (name, _), style in zip(curves.items(), ["-", "--", ":"]):
    ax.plot(z, table[name], style, label=name)
ax.set(xlabel="code z", ylabel="density", ylim=(0, None))
ax.legend(fontsize="x-small")
figures.save(
    figure,
    "priors",
    alt="Twelve narrow grey bells add up to a blue curve with several peaks, the aggregated posterior. A dashed, wide bell covers all of it; "
    "a dotted bell, the standard Gaussian, is narrower and misses its outer parts.",
    data=table,
    answers='wgan: slide "ELBO revisiting"',
)

# %% [markdown]
# **Reading the figure.** Grey: the code distributions of twelve images, each divided by twelve. Blue: their sum, the
# aggregated posterior. The dotted standard Gaussian, which has seen no code, misses the outer ones. A Gaussian prior
# has to choose, and the forward KL chooses to cover: the dashed bell puts mass where there are hardly any codes,
# beyond $-4$ for example. Whoever samples codes from it gets some that the decoder has never seen.
#
# There is a second, *reverse* KL in the same bound:
# $\log p(x) - \mathcal L(x) = KL(q(z \mid x) \,\|\, p(z \mid x))$. To check it one needs a model whose likelihood
# is known. A linear one is: $x = W z + b + \text{noise}$ makes everything normal.


# %%
def linear_gap(seed):
    """Return |log p(x) - ELBO - KL(q | posterior)| for a random linear model and random codes."""
    generator = np.random.default_rng(seed)
    W, b, sigma = generator.normal(size=(5, 3)), generator.normal(size=5), generator.uniform(0.5, 1.5)
    x, m, root = generator.normal(size=5), generator.normal(size=3), generator.normal(size=(3, 3))
    L = np.linalg.cholesky(root @ root.T + 0.1 * np.eye(3))  # q(z | x) = N(m, L L^T)
    model = LinearGaussian(W, b, sigma)
    missing = multivariate_normal(*model.evidence()).logpdf(x) - model.elbo(x, m, L)
    return abs(missing - kl_divergence(m, L, *model.posterior(x)))


ledger.record({"adversarial-elbo-gap-is-reverse-kl": [max(linear_gap(100 * s + k) for k in range(20)) for s in seeds]})

# %% [markdown]
# ## A prior that can bend
#
# The lecture's way between a stiff Gaussian and the expensive mixture is a *flow*: an invertible map $f$ that takes
# codes $z$ to $z^* = f(z)$, which shall follow $N(0, I)$. Then
#
# $$\log p(z) = \log N(f(z); 0, I) + \log |\det J_f(z)|, \qquad z = f^{-1}(z^*) = g(z^*),$$
#
# with $J_f$ the matrix of derivatives of $f$. The determinant corrects for how $f$ stretches space. In general it
# costs $d^3$ operations for $d$ coordinates. *RealNVP* is built such that it costs next to nothing: in each layer
# one half $z_A$ of the coordinates stays, and tells, through any network at all, how the other half is stretched
# and shifted,
#
# $$z_B \leftarrow z_B\, e^{s(z_A)} + t(z_A).$$
#
# The matrix of such a layer is triangular, so its log-determinant is the sum of $s$; and to invert it, subtract and
# divide. The network itself is never inverted. Next layer, the halves change roles. We train such flows on two
# moons, and check the three statements that make them densities: the determinant, against automatic differentiation
# of the whole map; the total mass, by summing over a grid; and the inverse.

# %%
training = {name: flow[name] for name in ("steps", "batch", "learning_rate")}
flows = []
for seed in seeds:
    generator = torch.Generator().manual_seed(seed)
    flows.append(RealNVP(2, layers=flow["layers"], width=flow["width"], generator=generator))
    losses = fit_flow(flows[-1], two_moons, **training, seed=seed)
    flows[-1].double()
bases = [torch.randn(1000, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) for seed in seeds]
with torch.no_grad():
    drawn = [f.inverse(base) for f, base in zip(flows, bases)]
round(float(np.mean(losses[-50:])), 3)  # nats per point


# %%
def log_det_by_differentiation(f, z):
    """Return log |det J_f| at each point from the full matrix of derivatives, which knows nothing of layers."""
    jacobian = torch.func.vmap(torch.func.jacrev(lambda point: f(point[None])[0][0]))(z)
    return torch.linalg.slogdet(jacobian)[1].detach()


ticks = torch.linspace(-6, 6, side, dtype=torch.float64)
with torch.no_grad():
    fields = [f.log_prob(torch.cartesian_prod(ticks, ticks)).exp().reshape(side, side) for f in flows]
    returned = [(f(z)[0] - base).abs().max().item() for f, z, base in zip(flows, drawn, bases)]
volumes = [(f(z)[1] - log_det_by_differentiation(f, z)).abs().max().item() for f, z in zip(flows, drawn)]
masses = [field.sum().item() * (12 / (side - 1)) ** 2 for field in fields]
ledger.record(
    {
        "adversarial-flow-prior-log-det": volumes,
        "adversarial-flow-prior-density": np.abs(np.subtract(masses, 1)),
        "adversarial-flow-prior-inverse": returned,
    },
    figure="flow",
)

# %%
figure, axes = figures.panels(3, width=3.1, height=3.0)
middle = slice(side * 3 // 10, side * 7 // 10 + 1)  # from -2.4 to 2.4
data = two_moons(1000, torch.Generator().manual_seed(seeds[0])).numpy()
axes[0].plot(*data.T, ".", markersize=2, color=figures.SOURCE)
field = axes[1].imshow(fields[0][middle, middle].T, origin="lower", extent=(-2.4, 2.4, -2.4, 2.4))
figure.colorbar(field, ax=axes[1], label="density (1 / area)", shrink=0.8)
axes[2].plot(*drawn[0].T, ".", markersize=2, color=figures.TARGET)
for ax, title in zip(axes, ["data", "density of the flow", "samples of the flow"]):
    ax.set(title=title, aspect="equal", xlim=(-2.4, 2.4), ylim=(-2.4, 2.4), xticks=[-1, 0, 1], yticks=[-1, 0, 1])
    ax.set_xlabel("first coordinate")
axes[0].set_ylabel("second coordinate")
figures.save(
    figure,
    "flow",
    alt="Left, two interlocking half moons of blue points. Middle, the flow's density, bright along the back of "
    "each moon and blurred towards their ends. Right, orange samples of the flow, which lie about both moons.",
    data={"x": data[:, 0], "y": data[:, 1], "flow x": drawn[0][:, 0], "flow y": drawn[0][:, 1]},
    answers='wgan: slide "ELBO with flow-based VAE prior"',
)

# %% [markdown]
# **Reading the figure.** The flow finds both moons, brightest along their backs and blurred towards the ends that
# interlock. Some blur is unavoidable: a continuous invertible map cannot tear a disk into two pieces, so where the
# data are two pieces some density has to connect them. This is the price of a likelihood that comes from an
# invertible map. A GAN need not be invertible, but it is continuous too: look for threads between the modes further
# down.
#
# ## Three priors on digits
#
# Now the lecture's claims on priors, on scikit-learn's digits of 8 x 8 pixels, bright or dark. The codes have 8
# numbers, encoder and decoder one hidden layer of 128 values. All three models have the same two networks and the
# same 500 training images; the flow adds its own. Nothing holds back overfitting: no dropout, no early stopping.
# Test means are over 797 other digits, and MI and KL in them refer to the aggregated posterior of those 797.

# %%
common = {"network": network, "fit": fit, "importance": 0}
cases = {prior: {"prior": prior, **vae} for prior in PRIORS}
cases["standard"]["importance"] = importance
vaes = compute.grid(fit_vae, cases, seeds, common=common, label="VAEs")


def by_prior(number, names=PRIORS):
    """Return number(result) of each seed, by prior."""
    return {name: [float(number(result)) for result in vaes[name]] for name in names}


parts_of = ["elbo", "reconstruction", "information", "marginal"]
means = {name: [np.mean([result[part][0] for result in vaes[name]]) for part in parts_of] for name in PRIORS}
pd.DataFrame(means, parts_of).round(2)

# %% [markdown]
# Means over seeds, nats per test image. Does the split hold here? Each of the four rows comes from new codes, so it
# is not an identity, and differences can be judged by their standard errors.


# %%
def split_error(result):
    """Return |ELBO - (RL - MI - KL)| in combined standard errors."""
    (elbo, e), (known, r), (told, i), (missed, k) = (result[part] for part in parts_of)
    return abs(elbo - (known - told - missed)) / np.sqrt(e**2 + r**2 + i**2 + k**2)


two = ["standard", "flow"]
errors = by_prior(split_error, two)
ledger.record({"adversarial-elbo-split-trained-vae": np.max(list(errors.values()), axis=0)})

# %% [markdown]
# The lecture: a standard Gaussian over-regularises. Read as three statements, each on test digits. And the
# aggregated posterior overfits.

# %%
ledger.record(
    {
        "adversarial-standard-prior-mutual-information": by_prior(lambda result: result["information"][0], two),
        "adversarial-standard-prior-reconstruction": by_prior(lambda result: result["reconstruction"][0], two),
        "adversarial-flow-prior-better": by_prior(lambda result: result["test"], two),
        "adversarial-aggregated-prior-gap": by_prior(lambda result: result["train"] - result["test"]),
        "adversarial-aggregated-prior-test": by_prior(lambda result: result["test"]),
    },
    figure="three_priors",
)

# %%
figure, axes = figures.panels(3, width=3.2, height=3.2)
curves = []
for ax, name in zip(axes, PRIORS):
    for label, color in (("train", figures.SOURCE), ("test", figures.TARGET)):
        for result in vaes[name]:
            at, elbo = result["at"], result[f"{label}_elbo"]
            ax.plot(at, elbo, color=color, linewidth=1.1)
            curves.append(pd.DataFrame({"steps": at, "elbo": elbo, "images": label, "prior": name}))
    ax.set(title=name, xlabel="steps", ylim=(-40, -10))
axes[0].set_ylabel("mean ELBO (nats per image)")
axes[0].legend(axes[0].lines[:: len(seeds)], ["500 training digits", "797 test digits"], fontsize="x-small")
figures.save(
    figure,
    "three_priors",
    alt="Mean ELBO on training and test digits against training steps, three seeds each, for three priors. With standard and flow prior the "
    "two curves rise together with a narrow gap. With the aggregated prior the training curve is highest, and the test curve falls out of the "
    "picture between steps 240 and 360.",
    data=pd.concat(curves),
    answers='wgan: slide "ELBO revisiting"',
)

# %% [markdown]
# **Reading the figure.** Left and middle: test digits lag a little behind the training ones, and the flow is ahead
# on both. Right: the aggregated prior looks best on the training digits, and between steps 240 and 360 the test
# curves drop out of the picture, to hundreds or thousands of nats below zero. What happens is simple. The prior is
# a sum of bumps at the codes of the training images. The encoder makes the bumps narrower and moves them apart, as
# the prior follows at no cost; each training image pays at most $\log 500 = 6.2$ nats for saying which one it is. A
# test image's code lands between the bumps, where the prior has nothing.
#
# Is overfitting a fate? We repeat it once with twice the images and a quarter of the hidden values switched off in
# training (*dropout*), which keeps code distributions wide:

# %%
cases = {prior: {"prior": prior, **contrast} for prior in PRIORS}
wider = compute.grid(fit_vae, cases, seeds[:1], common=common, label="VAEs with dropout")
extra = pd.DataFrame({prior: results[0] for prior, results in wider.items()}).T[["train", "test"]]
extra["gap"] = extra["train"] - extra["test"]
extra.astype(float).round(2)

# %% [markdown]
# The order changes: the aggregated posterior now is the *best* prior on unseen digits, by more than half a nat,
# with this one seed, although its gap is still the widest. So the lecture's "overfitting" is what happens to an
# encoder that is free to narrow its bumps, not a property of the prior alone.

# %%
rows = [(vaes["standard"][0]["images"], "test digits")]
rows += [(vaes[name][0][kind], f"{name}\n{kind}") for name in PRIORS for kind in ("rebuilt", "drawn")]
figure, axes = plt.subplots(len(rows), 1, figsize=(6.4, 5.6))
for ax, (pictures, label) in zip(axes, rows):
    ax.imshow(np.hstack(list(pictures.reshape(-1, 8, 8))), cmap="gray_r", vmin=0, vmax=1)
    ax.set(xticks=[], yticks=[], frame_on=False)
    ax.set_ylabel(label, rotation=0, ha="right", va="center", fontsize="x-small")
figures.save(
    figure,
    "digits",
    alt="Rows of ten digits of 8 by 8 pixels: test digits, and for each of the three priors their reconstructions and new images from codes of the prior. "
    "Reconstructions resemble the digits for all priors; drawn images are blurred, and some of the standard prior's are no digits.",
    data={"row": [label.replace("\n", " ") for _, label in rows], "ink": [float(p.mean()) for p, _ in rows]},
    answers='wgan: slide "Likelihood-free learning"',
)

# %% [markdown]
# **Reading the figure.** "Rebuilt" decodes the mean code of a test digit, "drawn" a code from the prior. Each pixel
# is a chance of being bright. Drawn with the aggregated prior means: from the code distribution of a random training
# image, so those digits look good *because* they are near copies. This is one case of the lecture's next sentence,
# that likelihood and quality are two things: the model with the lowest test ELBO by far does not draw the worst
# digits.
#
# ### What it costs
#
# One evaluation of the aggregated prior needs the code distributions of all $n$ images: the number of operations is
# proportional to $n$. Time is not quite, as the table of $128 \times n$ numbers in double precision outgrows the
# processor's caches, so the exponent may come out above 1. One batch of 128 codes, on one thread:

# %%
generator = torch.Generator().manual_seed(seeds[0])
batch = torch.randn(128, 8, generator=generator)


def crowd(count):
    """Return random code distributions of many images."""
    m, noise = torch.randn(2, count, 8, generator=generator)
    return Codes(m, -1 + 0.1 * noise)


growth, ratios = [], []
for _ in seeds:
    times = [seconds(partial(log_aggregated, batch, crowd(count)), repeats=repeats) for count in sizes]
    growth.append(exponent(sizes, times))
    dear = seconds(partial(log_aggregated, batch, crowd(vae["train"])), repeats=repeats)
    ratios.append(dear / seconds(partial(log_standard, batch), repeats=10 * repeats))
ledger.record({"adversarial-aggregated-prior-cost-exponent": growth, "adversarial-aggregated-prior-cost-ratio": ratios})

# %% [markdown]
# ### Out of reach
#
# The bound is not the likelihood. With $K$ codes from the encoder, $\frac1K \sum_k p(x, z_k) / q(z_k \mid x)$ is an
# unbiased estimate of $p(x)$, and its logarithm, which is too low in the mean, gets closer as $K$ grows; $K = 1$ is
# the ELBO. How far is one draw from a thousand, in nats for each image?

# %%
rise = [result["many_draws"] - result["one_draw"] for result in vaes["standard"]]
ledger.record({"adversarial-likelihood-intractable": rise})

# %% [markdown]
# A thousand codes for each image raise the bound by about one nat. How much is still missing, this run does not
# tell; a plot of the rise against $K$ would, and in a code of eight dimensions it may well have levelled off
# already. So what we see here is the distance of the encoder from the true posterior. That a likelihood is out of
# reach needs a harder model than ours. So much for models with a likelihood.
#
# ## Only fool the cashier
#
# The other way. There are real points from $\pi$ and generated ones from $p$, and a classifier $D(x) \in [0, 1]$,
# the *discriminator*, that says how probable it is that $x$ is real. The lecture's assumption: if no classifier can
# tell the two apart, if the best one says $\tfrac12$ everywhere, then $p = \pi$. The classifier is trained by the
# log-likelihood of its own answers,
#
# $$V(D) = \mathbb E_\pi \log D(x) + \mathbb E_p \log(1 - D(x)).$$
#
# On a histogram, $V$ is a sum over bins $k$ of $\pi_k \log D_k + p_k \log(1 - D_k)$, and each bin has its own
# $D_k$. Set the derivative to zero: $D^*_k = \pi_k / (\pi_k + p_k)$. We do not, but look for each maximum by
# zooming in on values, and compare.


# %%
def best_answers(pi, p):
    """Return the D in (0, 1) of each bin that maximises V, and the maximal V, from values of V alone."""
    places, values = supremum(
        lambda D: pi[:, None] * np.log(D) + p[:, None] * np.log1p(-D), 1e-9, 1 - 1e-9, count=len(pi)
    )
    return places, values.sum()


histograms = {}
for seed in seeds:
    generator = np.random.default_rng(seed)
    histograms[seed] = [random_pair(10, generator, apart=0.05) for _ in range(pairs)]


def over_pairs(statistic, number):
    """Return for each seed a statistic of number(pi, p) over its pairs."""
    return [statistic([number(*pair) for pair in histograms[seed]]) for seed in seeds]


off = over_pairs(max, lambda pi, p: np.abs(best_answers(pi, p)[0] - pi / (pi + p)).max())
same = over_pairs(max, lambda pi, p: np.abs(best_answers(pi, pi)[0] - 0.5).max())
least = over_pairs(min, lambda pi, p: np.abs(best_answers(pi, p)[0] - 0.5).max())
ledger.record(
    {
        "adversarial-optimal-discriminator": off,
        "adversarial-indistinguishable-if-equal": same,
        "adversarial-equal-if-indistinguishable": least,
    }
)

# %% [markdown]
# That last number could not have been below 0.025. If $r$ is the largest $|\pi_k - p_k| / (\pi_k + p_k)$, then the
# *total variation* $\tfrac12 \sum_k |\pi_k - p_k|$ is at most $r$, and $|D^* - \tfrac12|$ is $r / 2$ somewhere. All
# pairs have a total variation of at least 0.05. So "indistinguishable" and "equal" are the same, and the assumption
# is a theorem, for a discriminator that may be any function.
#
# ## What the game is worth
#
# Put $D^*$ back into $V$, and each logarithm becomes one of a ratio to the mean of both distributions:
#
# $$V(D^*) = \mathbb E_\pi \log \frac{\pi}{\pi + p} + \mathbb E_p \log \frac{p}{\pi + p}
#   = 2\,\mathrm{JSD}(\pi \| p) - \log 4,$$
#
# where JSD is the *Jensen-Shannon divergence*, the mean KL of the two to their middle: 0 if they are equal, $\log 2$
# if they have nothing in common. (Notebook 406 has $V(D^*)$ as one of six divergences, the row "GAN", from which the
# code takes it.) For histograms, SciPy has its own JSD. For mixtures of normal distributions we have
# an adaptive integral for JSD and equidistant nodes for $V$.


# %%
def jsd_of_mixtures(pi, p):
    """Return JSD of two mixtures of normal distributions by adaptive quadrature, nats."""

    def integrand(x):
        logs = log_density(x, pi), log_density(x, p)
        return sum(np.exp(log) * (log - np.logaddexp(*logs) + np.log(2)) for log in logs) / 2

    return quad(integrand, -18, 18, limit=500, epsabs=1e-12, epsrel=1e-12)[0]


def mixture_gap(generator):
    """Return |V(D*) - (2 JSD - log 4)| for two random mixtures of three normal distributions."""
    pi, p = (np.stack([generator.normal(0, 2, 3), generator.uniform(0.4, 1.2, 3)], axis=1) for _ in range(2))
    both = densities(pi, p)
    best = critic_bound("gan", both.log_pi - both.log_p, both)  # the score of D* is the log ratio
    return abs(best - 2 * jsd_of_mixtures(pi, p) + LOG4)


optimal_value = partial(divergence, GAN_DIVERGENCE)
on_bins = over_pairs(max, lambda pi, p: abs(optimal_value(pi, p) - 2 * jensenshannon(pi, p) ** 2 + LOG4))
on_line = [max(mixture_gap(generator) for _ in range(3)) for generator in map(np.random.default_rng, seeds)]
at_home = over_pairs(max, lambda pi, p: abs(best_answers(pi, pi)[1] + LOG4))
above = over_pairs(min, lambda pi, p: best_answers(pi, p)[1] + LOG4)
ledger.record(
    {
        "adversarial-optimal-value": np.maximum(on_bins, on_line),
        "adversarial-value-at-equality": at_home,
        "adversarial-equality-is-only-optimum": above,
    }
)

# %% [markdown]
# Now a network, which sees samples only. Data: three normal distributions of deviation 0.4 at $-2$, 0 and 2. Model:
# one of deviation 1.5 at 0. We take the trained network's $V$ by quadrature, so that no luck with samples can raise
# it above the optimum.

# %%
three, one = [[-2, 0.4], [0, 0.4], [2, 0.4]], [0, 1.5]
trained = [discriminator_on_line(data=three, model=one, **judge, seed=seed) for seed in seeds]
best = 2 * jsd_of_mixtures(three, one) - LOG4
short = [best - result["value"] for result in trained]
ledger.record(
    {
        "adversarial-optimal-value-trained": [gap[-1] for gap in short],
        "adversarial-trained-value-below": [max(0.0, -gap.min()) for gap in short],
    },
    figure="discriminator",
)

# %%
x = trained[0]["x"]
curves = pd.DataFrame({"x": x, "pi": np.exp(log_density(x, three)), "p": np.exp(log_density(x, one))})
curves["optimal D"], curves["trained D"] = curves["pi"] / (curves["pi"] + curves["p"]), trained[0]["answers"]
curves = curves[curves.x.abs() <= 5]
figure, axes = figures.panels(2, width=4.6, height=3.2)
axes[0].fill_between(curves.x, curves["pi"], color=figures.SOURCE, alpha=0.3, label="data")
axes[0].fill_between(curves.x, curves["p"], color=figures.TARGET, alpha=0.3, label="model")
axes[0].plot(curves.x, curves["optimal D"], color="black", linewidth=1, label="optimal D")
axes[0].plot(curves.x, curves["trained D"], "--", color=figures.PALETTE[2], label="trained D")
axes[0].set(xlabel="x", ylabel="density, or D", ylim=(0, 1.05))
axes[0].legend(fontsize="x-small", loc="upper left")
for result, gap, seed in zip(trained, short, seeds):
    axes[1].semilogy(result["at"], gap, linewidth=1.1, label=f"seed {seed}")
axes[1].set(xlabel="steps", ylabel="2 JSD - log 4 - V(D) (nats)")
axes[1].legend(fontsize="x-small")
figures.save(
    figure,
    "discriminator",
    alt="Left, shaded densities of data, three peaks, and of the model, one wide bell; the optimal discriminator goes up at the peaks and down "
    "between them, and the trained one lies on it where there is mass. Right, on a logarithmic axis, the gap of three trained discriminators to "
    "the optimal value falls from 0.4 to 0.9 nats to about 0.002.",
    data=curves,
    answers='wgan: slide "GAN optimality theorem"',
)

# %% [markdown]
# **Reading the figure.** Left: where the distributions have mass, the network finds $\pi / (\pi + p)$, without having
# been told of any density. A classifier is a way to measure ratios of densities by samples. On the outer flanks,
# where there are few points, it is a little off, which costs little. Right: it approaches the optimum from below,
# always.
#
# ## If the forger could be anything
#
# The generator wants the opposite: to lower $V(D^*) = 2\,\mathrm{JSD} - \log 4$, whose least value is $-\log 4$, at
# $p = \pi$ and nowhere else. The lecture says that a generator that could be *any* function, against a discriminator
# that is optimal at *every* step, is *guaranteed* to converge. Let us build that ideal. The generator is a histogram
# $p = \mathrm{softmax}(a)$ with one free number $a_k$ per bin, and the data are the three normal distributions above,
# in the same bins. $D^*$ is recomputed before every step and held fixed in it, so that the gradient of $V$ with
# respect to $p_k$ is $\log(1 - D^*_k)$.


# %%
def ideal_game(target, seed, steps, rate=80.0):  # gradients are products with masses of bins, hence the large rate
    """Return the final histogram and V(D*) before each step of gradient descent on logits."""
    a, values = np.random.default_rng(seed).normal(size=len(target)), []
    for _ in range(steps):
        p = softmax(a)
        values.append(optimal_value(target, p))
        pull = np.log(p / (target + p))  # log(1 - D*)
        a = a - rate * p * (pull - p @ pull)
    return softmax(a), np.array(values)


target = mixture_masses(three, bins)
ideal = [ideal_game(target, seed, ideal_steps) for seed in seeds]
ledger.record({"adversarial-guaranteed-convergence": [jsd(target, p) for p, _ in ideal]})
assert max(np.diff(values).max() for _, values in ideal) < 1e-12  # small steps: V(D*) never rises

# %% [markdown]
# ## When neither is perfect
#
# Now what people do. Generator and discriminator are networks, and they take turns, one step of Adam each. Noise is
# one normal number, data are the same three distributions. As everything is on a line, we know at any time what the
# discriminator is worth and what the best one would be.

# %%
settings = {"data": three, **game, "bins": bins}
games = compute.map(line_game, [{**settings, "seed": seed} for seed in seeds], label="games on the line")
ends = {
    "function_space": [jsd(target, p) for p, _ in ideal],
    "parameter_space": [jsd(target, result["masses"][-1]) for result in games],
}


def restlessness(losses):
    """Return the standard deviation in the last quarter of a run, over that in the second quarter."""
    second, last = np.split(losses[1:], 4)[1::2]
    return last.std() / second.std()


ledger.record(
    {
        "adversarial-discriminator-not-optimal": [
            float(np.mean(result["value"][1:] < result["best"][1:] - 0.01)) for result in games
        ],
        "adversarial-parameter-space-loses-guarantee": ends,
        "adversarial-discriminator-loss-oscillates": [restlessness(-result["value"]) for result in games],
        "adversarial-generator-loss-oscillates": [restlessness(result["generator_loss"]) for result in games],
    },
    figure="game",
)

# %%
figure, axes = figures.panels(2, width=4.6, height=3.3)
first, at = games[0], games[0]["at"]
axes[0].plot(at[1:], first["best"][1:], color="black", linewidth=1.1, label="best discriminator")
axes[0].plot(at[1:], first["value"][1:], color=figures.PALETTE[2], linewidth=1.1, label="trained discriminator")
axes[0].axhline(-LOG4, color="gray", linestyle=":", linewidth=1, label="-log 4")
axes[0].set(xlabel="steps of the generator", ylabel="V (nats)")
axes[0].legend(fontsize="x-small")
width, centres = 8 / (bins - 2), np.linspace(-4, 4, bins - 1)[:-1] + 4 / (bins - 2)
axes[1].fill_between(centres, target[1:-1] / width, step="mid", color=figures.SOURCE, alpha=0.3, label="data")
for when, style in ((len(at) // 2, ":"), (-1, "-")):
    heights = first["masses"][when][1:-1] / width
    axes[1].step(centres, heights, style, where="mid", color=figures.TARGET, label=f"GAN after {at[when]} steps")
axes[1].set(xlabel="x", ylabel="density", ylim=(0, 1.2))
axes[1].legend(fontsize="x-small", loc="upper left", bbox_to_anchor=(1, 1))
figures.save(
    figure,
    "game",
    alt="Left, values over the steps of the generator: the trained discriminator stays close to minus log 4, while the best possible one wanders "
    "well above it without settling. Right, the data's three peaks, shaded, and histograms of the GAN halfway and at the end, "
    "which have thin spikes at other places, and differ from the data and from each other.",
    data={"steps": at, "best": first["best"], "trained": first["value"], "generator loss": first["generator_loss"]},
    answers='wgan: slide "GAN optimality theorem"',
)

# %% [markdown]
# **Reading the figure.** The green curve sits at $-\log 4$, the value of a *won* game. A practitioner who sees her
# discriminator's loss there might conclude that data and samples cannot be told apart. The black curve says that
# they can, easily: it is the discriminator that has not kept up, and in every single checkpoint it is more than
# 0.01 nats short. The two chase each other, and when the generator has moved mass to where the discriminator said,
# the discriminator changes its mind. So the losses do not settle: their fluctuations in the last quarter are 1.9
# times as large as in the second for the discriminator, in the mean over seeds, and 1.3 times for the generator.
# Right: the samples stand in spikes, the highest of which leave the picture, and between steps 800 and 1,600 the
# spikes have moved, not grown into peaks.
#
# ## A perfect cashier teaches nothing
#
# The opposite fault. Let data and samples be two half moons that do not touch. The generator has six parameters, an
# affine map, and stays where it is while a discriminator is trained, and we ask what the generator *could* learn:
# the norm of the gradient of its loss.

# %%
apart = [saturation(**moons, seed=seed) for seed in seeds]
early = moons["at"].index(10)
ledger.record(
    {
        "adversarial-perfect-discriminator": [result["accuracy"] for result in apart],
        "adversarial-saturated-gradient": [result["minimax"][-1] / result["minimax"][early] for result in apart],
    },
    figure="saturation",
)

# %%
figure, axes = figures.panels(2, width=4.6, height=3.3)
first = apart[0]
field = axes[0].imshow(
    first["probability"].T, origin="lower", extent=(-1.5, 2.5, -1, 1.5), cmap="cividis", vmin=0, vmax=1
)
figure.colorbar(field, ax=axes[0], label="D(x)", shrink=0.8)
axes[0].plot(*first["data"].T, ".", markersize=2, color=figures.SOURCE)
axes[0].plot(*first["samples"].T, ".", markersize=2, color=figures.TARGET)
axes[0].set(xlabel="first coordinate", ylabel="second coordinate")
for name, color in (("minimax", figures.PALETTE[3]), ("non_saturating", figures.PALETTE[2])):
    for k, each in enumerate(apart):
        label = name.replace("_", "-") if k == 0 else None
        axes[1].loglog(each["at"], each[name], "o-", color=color, markersize=3, linewidth=1, label=label)
axes[1].set(xlabel="steps of the discriminator", ylabel="gradient norm of the generator's loss")
axes[1].legend(fontsize="x-small")
figures.save(
    figure,
    "saturation",
    alt="Left, two interlocking half moons, blue data where the discriminator's field is bright and orange samples where it is dark, with a sharp edge "
    "between. Right, gradient norms against steps of the discriminator, both axes logarithmic: the minimax loss's falls by many powers of ten after step 30, "
    "the non-saturating loss's rises.",
    data=pd.DataFrame(
        [
            {"seed": s, "steps": n, "minimax": a, "non-saturating": b}
            for s, each in zip(seeds, apart)
            for n, a, b in zip(each["at"], each["minimax"], each["non_saturating"])
        ]
    ),
    answers='wgan: slide "Informal theoretical results"',
)

# %% [markdown]
# **Reading the figure.** The better the discriminator, the less the generator learns from the slide's loss
# $\log(1 - D(G(z)))$: where $D$ is almost 0, so is the derivative of that logarithm. From step 30 on the gradient
# falls, and at the end it is a forty-millionth or less of what it was after ten steps. The usual way out is to
# *maximise* $\log D(G(z))$ instead (*non-saturating*), whose gradient grows in the same place. It is no longer the
# same game; and a gradient that grows without bound as the classifier gets surer has its own trouble. The next
# notebooks replace the classifier.
#
# ## Does a GAN forget?
#
# *Mode collapse* is the third complaint: the generator finds a few things that please the discriminator and drops
# the rest. First on eight Gaussians in a ring. A mode counts as *covered* if at least a fifth of its fair share of
# the samples, 2.5%, lies within 4 standard deviations of it, which we fixed beforehand for all notebooks of this
# part. The ledger's rule for this claim says 1%, so we have both. And since a count forgives a lot, there is the
# exact earth mover's distance $W_1$ between 1,000 samples and 1,000 data points, to be compared with that between
# two sets of data.
#
# "Plain GAN" is the slide's minimax loss with Adam, networks without any normalisation, and one step of the
# discriminator for each of the generator, as the GAN paper has it. We run it with five steps as well, which is
# closer to the theorem's "optimal at every step".

# %%
ring = eight_gaussians()
rates = toy["rate"], toy["generator_rate"]
common = {"distribution": "8 Gaussians", "method": "minimax GAN", "rates": list(rates)}
common |= {name: toy[name] for name in ("width", "checkpoints", "samples")}
cases = {k: {"schedule": {"steps": n, "critic_steps": int(k), "batch": toy["batch"]}} for k, n in toy_steps.items()}
rings = compute.grid(toy_run, cases, seeds, common=common, label="GANs on a ring")
floor = sampling_floor(ring, toy["samples"], pairs=5, seed=seeds[0])  # W1 between two sets of data, five times


def covered(points):
    """Return how many modes have 1% of the points within four standard deviations."""
    return int((mode_shares(points, ring) >= 0.01).sum())


def nearest(points):
    """Return how many modes are the nearest one to 1% of the points."""
    return int((np.bincount(cdist(points, ring.modes).argmin(1)) >= 0.01 * len(points)).sum())


# %%
def steps_of(k):
    """Return how many steps the discriminator takes, in words."""
    return f"D takes {k} step" + ("" if k == "1" else "s")


counts = {k: [covered(gan["samples"][-1]) for gan in runs] for k, runs in rings.items()}
ledger.record({"adversarial-mode-collapse-toy": counts["1"]}, figure="modes")
pd.DataFrame(
    {
        steps_of(k): {
            "modes with 1%": counts[k],
            "modes covered": [int(gan["modes"][-1]) for gan in runs],
            "modes nearest to 1%": [nearest(gan["samples"][-1]) for gan in runs],
            "W1 at the end": [round(float(gan["wasserstein"][-1]), 2) for gan in runs],
            "W1 of data to data": floor.round(3).tolist(),
            "V at the end": [round(float(gan["value"][-1]), 2) for gan in runs],
        }
        for k, runs in rings.items()
    }
)

# %%
figure, axes = figures.panels(3, width=3.1, height=3.1)
for ax, (k, runs) in zip(axes, rings.items()):
    ax.plot(*runs[0]["samples"][-1].T, ".", markersize=2, color=figures.TARGET, zorder=2)
    ax.plot(*ring.modes.T, "o", markersize=9, markerfacecolor="none", color=figures.SOURCE)
    ax.set(title=steps_of(k), aspect="equal", xlim=(-3.2, 3.2), ylim=(-3.2, 3.2), xticks=[-2, 0, 2], yticks=[-2, 0, 2])
    ax.set(xlabel="first coordinate", ylabel="second coordinate")
rows = []
for (k, runs), style in zip(rings.items(), ["-", "--"]):
    for gan in runs:
        share, w = gan["at"] / gan["at"][-1], gan["wasserstein"]
        axes[2].plot(share[1:], w[1:], style, color=figures.PALETTE[3 + int(k) % 3], linewidth=1)
        rows.append(pd.DataFrame({"share of the run": share, "W1": w, "modes": gan["modes"], "steps of D": k}))
axes[2].axhline(floor.mean(), color="gray", linestyle=":", linewidth=1)
axes[2].set(xlabel="share of the run", ylabel="W1 to the data (length)", ylim=(0, None))
axes[2].legend(
    [axes[2].lines[k] for k in (0, len(seeds), -1)],
    ["D takes 1 step", "D takes 5 steps", "data to data"],
    fontsize="x-small",
)
figures.save(
    figure,
    "modes",
    alt="Left, samples of the GAN with one step of the discriminator, about all of eight small circles, with threads of samples between them. Middle, with five "
    "steps: a cloud of samples away from the circles. Right, W1 over the run: with one step it falls to 0.2 to 0.5, far above that of data to data; "
    "with five it is higher in the end, and in two of three runs above 1.",
    data=pd.concat(rows),
    answers='wgan: slide "GAN optimality theorem"',
)

# %% [markdown]
# **Reading the figure.** With one step (left) four or five modes of eight hold 1% of the samples, and one or two
# are covered by our stricter count. The claim is "in trend". What does that mean for the other modes? The third row
# counts a mode if it is the *nearest* one to at least 1% of the samples, at whatever distance. In two of three runs
# all eight are: no mode was dropped, but samples are not close enough for a mode of deviation 0.014, and many are
# on threads between modes. That is a lack of precision, for which a longer training with a falling rate is the
# remedy. Notebook 406 takes it: with one step of the discriminator and falling rates the same loss covers all eight.
# (Notebooks 404 and 405 give the discriminator five steps, and lose nearly all modes.) In the third run two
# neighbouring modes have no sample nearby, and $W_1$ is twice that of the others: this is what "collapse" means.
# With five steps (middle) not one mode is left in any run, and in the one shown part of the samples has left the
# picture. Here $V$ is almost 0, so the discriminator is nearly perfect, the minimax gradient has vanished as on the
# moons, and what is left of it takes the samples somewhere else.
#
# The same on digits, in shades of grey. The ten classes take the place of modes; an independent classifier, a
# support vector machine that is right on 98% of unseen digits, sorts 1,000 samples.

# %%
cases = {k: {"critic_steps": int(k), "steps": n} for k, n in digit_steps.items()}
forgers = compute.grid(digit_game, cases, seeds, common=digits, label="GANs on digits")
half, three_tenths = (digits["records"] + 1) // 2, round(0.3 * digits["records"])


def summary(result):
    """Return what became of one GAN on digits."""
    shares = result["shares"]
    classes = (shares >= 0.01).sum(1)
    return {
        "classes at the end": int(classes[-1]),
        "fewest on the way": int(classes[1:].min()),
        "share that changed class in the second half": round(float(abs(shares[-1] - shares[half]).sum() / 2), 3),
        "classes after three tenths": int(classes[three_tenths]),
        "accuracy of the classifier": round(result["accuracy"], 3),
        "W1 at the end, over data to data": round(float(result["wasserstein"][-1] / result["floor"]), 2),
    }


outcomes = {k: pd.DataFrame(map(summary, results)) for k, results in forgers.items()}
ledger.record({"adversarial-mode-collapse-digits": outcomes["1"]["classes at the end"].tolist()}, figure="classes")
pd.DataFrame({steps_of(k): outcome.to_dict("list") for k, outcome in outcomes.items()})

# %%
figure, axes = plt.subplots(2, 2, figsize=(8.4, 4.6), width_ratios=[1, 1.1])
rows = []
for (left, right), (k, (first, *_)) in zip(axes, forgers.items()):
    at, mosaic = first["at"], first["images"].reshape(2, 10, 8, 8).transpose(0, 2, 1, 3).reshape(16, 80)
    left.imshow(mosaic, cmap="gray_r", vmin=0, vmax=1)
    left.set(xticks=[], yticks=[], title=f"{steps_of(k)}: samples at the end")
    right.imshow(first["shares"].T, aspect="auto", vmin=0, vmax=0.6, extent=(-0.5, len(at) - 0.5, 9.5, -0.5))
    right.set(yticks=range(0, 10, 3), ylabel="class", xticks=range(0, len(at), 5), xticklabels=at[::5])
    rows.append(pd.DataFrame(first["shares"]).assign(steps=at, k=k))
axes[0, 1].set_title("share of each class over the run")
axes[1, 1].set_xlabel("steps of the generator")
figure.colorbar(axes[0, 1].images[0], ax=axes[:, 1], label="share", extend="max")
figures.save(
    figure,
    "classes",
    alt="Left, twenty samples each of a GAN with one and with five steps of the discriminator: digits, if rough, in the first case, and grey noise in the "
    "second. Right, shares of the ten classes over the run: with one step the bright classes change at every checkpoint until all are present; with five "
    "steps the same few classes stay bright.",
    data=pd.concat(rows),
    answers='wgan: slide "GAN optimality theorem"',
)

# %% [markdown]
# **Reading the figure.** With one step (top) the generator has favourites at every early checkpoint, and they
# change: at some time two to five classes are all that it makes. But each time the discriminator learns to refuse
# them, and in the end nine or ten classes are there. The claim is not reproduced at the end of these runs; at three
# tenths of them, with five classes in each, it would have been. Here collapse is a phase. Five steps (bottom) would
# have "reproduced" it, with three to five classes, and for the wrong reason: the discriminator has run away, and
# the generator stands still, with less than 0.3% of its samples changing class in the second half of the run. What
# it makes is noise, which the classifier has to call something. So a count of classes needs a look at the samples,
# and a distance does not replace it: noise has a $W_1$ of 1.9 to 2.2 times that of training to test digits, and the
# digits above it, of which more can be read, still have 1.7 to 1.9, as pixelwise distances forgive grey more than a
# stroke in the wrong place.
#
# ## What surprised us
#
# - The prior that the lecture warns of was the best one on unseen digits, once the encoder had dropout and twice
#   the images; without them it was the worst, by hundreds or thousands of nats.
# - A discriminator at $-\log 4$, the value of a finished game, was 100% of the time short of the optimum. Its loss
#   says how good it is, not how good the generator is.
# - What is filed under "mode collapse" was four different things: lack of precision, vanished gradients, a passing
#   phase, and, in one of our six minimax runs with one step each in two dimensions or more, two modes that really
#   were gone.
# - The guaranteed convergence is slow. JSD is still above half a millionth after twenty thousand perfect steps, as
#   bins with little mass move little.
#
# ## Where a simpler method wins
#
# On the line nobody needs a game. Two old methods get the same distribution from 2,000 samples: counting them in
# bins, and a mixture of three normal distributions fitted by maximum likelihood (the *EM algorithm*). The GAN has
# seen a hundred times as many. JSD to the data's histogram, in nats:

# %%
ends = {"counting": [], "mixture by EM": [], "GAN": ends["parameter_space"]}
for seed in seeds:
    x = on_the_line(three)(2000, torch.Generator().manual_seed(seed)).numpy()
    mixture = GaussianMixture(3, random_state=seed).fit(x)
    drawn = mixture.sample(200_000)[0]
    ends["counting"].append(jsd(target, point_masses(x, bins)))
    ends["mixture by EM"].append(jsd(target, point_masses(drawn, bins)))
pd.DataFrame(ends, seeds).T.round(4)

# %% [markdown]
# Counting is 30 to 50 times closer than the game, and the mixture, which knows the right family, 200 times or more.
# On 8 x 8 digits, the autoencoder with a flow prior makes, to our eyes, samples at least as readable as the GAN's,
# and a bound tells what it is worth. What the game has going for it does not show at this size: it needs no family
# of densities, no encoder, and no number for any image, and on photographs it has the name of making sharp pictures
# where likelihoods make blurred ones.
#
# **Exercise.** Give `random_model` code distributions that all are equal. Which part of the ELBO is zero? Then move
# them far apart. What does MI come to, and why can no encoder of a dozen images get above it? *Hint:* how many nats
# does it take to name one of twelve?
#
# **Exercise.** In `ideal_game`, replace the gradient by that of the non-saturating loss, $-\log D^*$. Does it still
# converge to the data? Which divergence does it lower near the end? *Hint:* take a rate of 10, as this gradient is
# steep where the data have next to nothing; at 80 it gets stuck. With $D^*$ held fixed, the gradient of
# $-\mathbb E_p \log D^*$ is that of $KL(p \| \pi) - 2\,\mathrm{JSD}$. For $p = \pi + \delta$ both are multiples of
# $\sum_k \delta_k^2 / \pi_k$, to leading order: which ones?
#
# **Exercise.** Give the aggregated prior a test set that contains a copy of each training image. What is its ELBO
# on them, and what does this say about judging models by likelihood? *Hint:* nothing in the ELBO knows which images
# the prior is made of.
#
# ## What differs from the source

# %%
Markdown(profiles.differences(run.notebook))
