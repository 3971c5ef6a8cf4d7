# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Start here: what is the shape of a loss?
#
# [Script](001_start_here.py) · [executed print](001_start_here.ipynb) · [course map](../README.md)
#
# **Question.** Training means walking downhill on a loss. Why does the *shape* of that hill decide so much?
#
# **Sources.** All four of this course (listed below); nothing in this notebook is taken from one of them alone.
# **Time on a laptop.** Ten seconds.
#
# A loss turns a comparison into a number. Change the thing that you compare, and the number changes: over all possible
# changes it draws a landscape. Some landscapes lead you home from far away. Others are flat almost everywhere, and a
# gradient that is zero teaches nothing. The four sources of this course look at this one subject from four sides:
#
# | part | source | what has a shape |
# |---|---|---|
# | 1 Landscapes | Horoi et al., *Exploring the geometry and topology of neural network loss landscapes* | the training loss, seen from a minimum of a network |
# | 2 Sign loss | Dam, Agarwal, Gopalakrishnan, *Directional sign loss* | a loss that counts where two signals rise and fall differently |
# | 3 Transport | Feydy, *Computational optimal transport: recent speed-ups and applications* | the cheapest way to move one distribution onto another |
# | 4 Adversarial | Isachenko, *Deep generative models*, lecture 8 | divergences between distributions, and critics that estimate them |
# | 5 Together (to come) | the four of them | one question put to all |

# %% [markdown]
# ## How a notebook works
#
# Each notebook asks one question of one section of one source. The cell below holds its *parameters*: every number that
# differs between a quick look and a faithful run. Three **profiles** fill them in: `smoke` (seconds, to see that it
# runs), `laptop` (the default; every committed result comes from it) and `paper` (the
# source's own scale, as far as the data are at hand).

# %% tags=["parameters"]
seed = 0  # of the noise
grid_points = 800  # samples of each signal
shifts = 121  # positions of the moving bump
noise = 0.01  # standard deviation of the noise, in units of the bump's height

# %%
import numpy as np
from IPython.display import Markdown
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance

from shapeofloss import figures, ledger
from shapeofloss.engine import profiles, workspace

run = workspace.begin("001_start_here")
figures.use_house_style()

# %% [markdown]
# ## One bump, four losses
#
# Take a bump $p$ on the line, and the same bump moved by $\theta$, $p_\theta(x) = p(x - \theta)$ with
# $p(x) \propto e^{-x^2/2}$. Only $\theta$ is unknown, and the right answer is $\theta = 0$. How far is $p_\theta$ from
# $p$? Every part of the course has an answer of its own:
#
# - **mean squared error**, $\frac1n\sum_i (p(x_i) - p_\theta(x_i))^2$ over $n$ sample points $x_i$: the loss that part 2 starts from;
# - **sign mismatch**, the share of neighbours $x_i, x_{i+1}$ between which the two signals do not go the same way (up, down
#   or level): the count that the directional sign loss of part 2 makes differentiable;
# - **Wasserstein distance** $W_1$: see both bumps as heaps of sand of mass 1; $W_1$ is the least total of mass times distance
#   that turns one heap into the other (parts 3 and 4);
# - **Jensen-Shannon divergence** $\mathrm{JSD} = \frac12\mathrm{KL}(p\,\|\,m) + \frac12\mathrm{KL}(p_\theta\,\|\,m)$, with both bumps of
#   mass 1 again, their average $m = \frac12(p + p_\theta)$, and $\mathrm{KL}(a\,\|\,b) = \int a\log(a/b)$. In a GAN (part 4) a
#   network learns to tell data from imitations, and the best score that it can reach is $2\,\mathrm{JSD} - 2\log 2$.
#
# For the sign mismatch we draw a second curve, with a little noise on both signals; more of that below. And the curve
# of any of them over $\theta$ is a loss landscape, with one parameter in place of the tens of thousands of part 1.

# %%
x = np.linspace(-20, 20, grid_points)


def bump(theta):
    """Return the bump moved by theta, of height 1."""
    return np.exp(-0.5 * (x - theta) ** 2)


def sign_mismatch(p, q):
    """Return the share of neighbouring samples between which p and q do not go the same way."""
    return np.mean(np.sign(np.diff(p)) != np.sign(np.diff(q)))


# %%
random = np.random.default_rng(seed)
noisy = bump(0) + noise * random.standard_normal(grid_points)
theta = np.linspace(-10, 10, shifts)
curves = {
    "squared error": [np.mean((bump(0) - bump(t)) ** 2) for t in theta],
    "Jensen-Shannon": [jensenshannon(bump(0), bump(t)) ** 2 for t in theta],
    "Wasserstein": [wasserstein_distance(x, x, bump(0), bump(t)) for t in theta],
    "sign mismatch": [sign_mismatch(bump(0), bump(t)) for t in theta],
    "sign mismatch, noisy": [
        sign_mismatch(noisy, bump(t) + noise * random.standard_normal(grid_points)) for t in theta
    ],
}

# %% [markdown]
# The curves have different units, so each is divided by its largest value; only the shapes are compared.

# %%
figure, (left, right) = figures.panels(2, width=4.2, height=3.4)
for t, style in ((0, "-"), (2, "--"), (6, ":")):
    left.plot(x, bump(t), style, color=figures.SOURCE if t == 0 else figures.TARGET, label=rf"$\theta = {t}$")
left.set(xlabel="position $x$", ylabel="height", xlim=(-5, 10))
left.legend()
styles = {
    "squared error": {"color": figures.PALETTE[2]},
    "Jensen-Shannon": {"color": figures.PALETTE[3]},
    "Wasserstein": {"color": figures.PALETTE[4], "linewidth": 5, "alpha": 0.5},
    "sign mismatch": {"color": "black", "linestyle": "--"},
    "sign mismatch, noisy": {"color": figures.PALETTE[7], "linewidth": 1},
}
for name, curve in curves.items():
    right.plot(theta, np.asarray(curve) / np.max(curve), label=name, **styles[name])
right.set(xlabel=r"shift $\theta$", ylabel="loss / its largest value", ylim=(0, 1.45), yticks=[0, 0.5, 1])
right.legend(ncols=2, fontsize="small", loc="upper center")
figures.save(
    figure,
    "four_losses",
    alt="Left: a bump and two shifted copies. Right: five loss curves over the shift. Squared error and Jensen-Shannon "
    "form a narrow well with flat plains on both sides; Wasserstein and the exact sign mismatch are the same straight V; "
    "with noise on both bumps the sign mismatch is a jagged plain with a shallow dip at the right answer.",
    data={"theta": theta, **curves},
)

# %% [markdown]
# **Reading the figure.** Squared error and Jensen-Shannon divergence form a well that ends four to five standard
# deviations from the answer. Outside it they are as good as flat: two bumps that do not overlap are equally wrong at
# a distance of 6 and of 60, and no gradient tells you which way to go. The Wasserstein distance is a straight V: its
# slope points home from everywhere.
#
# **What surprised us.** The exact sign mismatch, which knows nothing of distances, draws the same straight V. The
# reason: the two bumps go different ways only between their peaks, and that stretch is as long as the shift. (With
# several peaks this fails; and the far tails are so tiny that it takes double precision.) It ignores *how much* a
# signal rises, so the faintest tail of the bump still votes. That is also its weakness: with one per cent of noise on
# both signals, noise casts nearly all the votes, and what is left of the V is a shallow dip on a jagged plain, hard
# to tell from its surroundings. Which of two losses is better shaped is not a property of the loss alone; it depends
# on the data. Keep this in mind whenever a source says that its loss is better.
#
# Two checks: the Wasserstein distance of a shift is the size of the shift, and the Jensen-Shannon divergence
# saturates at $\log 2$.

# %%
apart = np.abs(np.array(curves["Wasserstein"]) - np.abs(theta)).max()
saturation = np.max(curves["Jensen-Shannon"]) - np.log(2)
assert apart < 1e-6 and -1e-5 < saturation <= 1e-9
print(f"largest |W - |theta|| = {apart:.1e};  largest JSD - log 2 = {saturation:.1e}")

# %% [markdown]
# ## How wide is the well?
#
# Call a shift *taught* if the curve there is at least a tenth as steep as at its steepest: a step of gradient descent
# then still moves noticeably. The share of taught shifts in $[-10, 10]$ puts a number on what the picture shows.

# %%
taught = {}
for name, curve in curves.items():
    slope = np.abs(np.gradient(np.asarray(curve, float), theta))
    taught[name] = float(np.mean(slope > 0.1 * slope.max()))
    print(f"{name:<22} {taught[name]:.0%} of the shifts")

# %% [markdown]
# (The V misses only $\theta = 0$ itself, where its slope changes sign.) The noisy curve scores high for the wrong
# reason: its slopes on the plain are noise, and they point anywhere. A number that is computed without looking at the
# picture can mislead as much as a picture without a number.
#
# **Exercise.** Replace the bump by *two* bumps of different heights at positions $-3$ and $3$, and move only the
# right one. Which of the four losses still has a single minimum? Which one does *not* depend on the height of the
# bump that stays, and why do the others?
#
# ## How a claim is judged: the fidelity ledger
#
# The sources claim things: theorems, numbers, orderings, pictures. Each claim is a row of `data/claims/`, with a
# **rule** that was fixed before anything was measured. A notebook hands over its measurements, one value per seed,
# and the rule alone passes the verdict. Here is one at work on made-up values; it asks for a mean of at least 0.9,
# and calls a mean of at least 0.7 a trend:

# %%
rule = ledger.Rule.parse({"statistic": "mean", "seeds": 3, "accept": ">= 0.9", "trend": ">= 0.7"})
for values in ([0.95, 0.97, 0.99], [0.7, 0.8, 0.9], [0.1, 0.9, 0.3]):
    print(values, "->", rule.judge(values))

# %% [markdown]
# In the ledger `accept` becomes *holds* (a theorem), *corrected* (an erratum of the source) or *reproduced*; `trend`
# becomes *in trend* and `reject` *not reproduced*. A theorem that does not hold stops its notebook: the mistake is then
# ours. A finding that does not reproduce is a result like any other, and stays in the table.
#
# ## Notation
#
# | symbol | meaning | parts |
# |---|---|---|
# | $\theta$, $\theta_o$ | parameters of a model; those of a minimum | 1, 2, 4 |
# | $f(\theta)$ | the training loss as a function of the parameters | 1 |
# | $x, y$ | data and its reconstruction; or points of source and target | 2; 3 |
# | $s$ | sharpness of the smooth sign | 2 |
# | $C_{ij}$, $\varepsilon$ | cost of moving point $i$ to point $j$; blur of a transport plan | 3 |
# | $\pi$, $p_\theta$ | distribution of the data; of a model | 4 |
# | $W_p$, $\mathrm{JSD}$ | Wasserstein distance for costs $\lvert x-y\rvert^p$, Jensen-Shannon divergence | 3, 4 |
# | $D_f$ | $f$-divergence, the family $\int p_\theta\, f(\pi/p_\theta)$ that contains KL and JSD | 4 |
#
# ## How to run
#
# `make figures` runs every notebook and regenerates every figure; `make figures PROFILE=smoke` is the first look.
# `make lab` opens this script as a notebook, where you may change anything: your figures and ledger rows then go to
# `runs/interactive/`, and nothing committed changes.
#
# ## What differs between the profiles here

# %%
Markdown(profiles.differences(run.notebook))
