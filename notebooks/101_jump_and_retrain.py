# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Jump and retrain: a landscape seen along the paths of training
#
# [Script](101_jump_and_retrain.py) · [executed print](101_jump_and_retrain.ipynb) · [course map](../README.md)
#
# **Question.** What does the loss look like around a minimum, if we look only where training would go?
#
# **Source.** Horoi et al., *Exploring the geometry and topology of neural network loss landscapes*, sections 3 to
# 3.2, 4.2 and 4.3, Fig. 2c. **Time on a laptop.** A minute and a half.
#
# Write all weights of a network as one long vector $\theta$. The training loss $f(\theta)$ is the mean over the
# training images of $-\log$ of the probability that the network gives to the right class. Over all possible $\theta$
# this is a landscape in tens of thousands of dimensions (millions in practice). Training walks down in it to a point
# of very low loss, $\theta_o$. We call it the minimum, as the source does, although training shifts its images and
# pulls its weights towards zero, so that $\theta_o$ minimises something close to $f$, not $f$ itself. What does the
# landscape look like around there?
#
# One answer is a slice: choose one or two directions, walk straight along them, and draw the loss. But the source expects
# most of that space to be of negligible importance to training, if training can reach it at all; and a straight line
# knows nothing of where training goes. Its proposal is to let the optimizer choose where to look:
#
# 1. **jump** away from the minimum in a random direction;
# 2. **retrain** from there;
# 3. write down the parameters and the loss after every epoch.

# %% tags=["parameters"]
seed = 101  # of the first network (start, order of images, shifts); the next ones count up
networks = 3  # how many initialisations
train = 256  # training images
depth = 16  # of the wide residual network
width = 2  # its widening factor
base = 4  # channels before widening
epochs = 150  # of the first training
batch = 32  # images per step
learning_rate = 0.1  # at the start; divided by ten at 50%, 75% and 92.5% of the epochs
weight_decay = 0.001  # added to the gradient, times the weights
augment = True  # shift the training images by up to one pixel
jump_seeds = [0, 1, 2, 3]  # one random direction each
steps = [0.25, 0.5, 0.75, 1.0]  # how far to jump, in units of the direction
states = 40  # recorded per trajectory: the jump, then one per epoch of retraining
retrain_rate = 0.05  # learning rate of the retraining, constant
other_rates = [0.005, 0.02]  # further ones, to see what depends on it
neighbours = 5  # of each point in PHATE's random walk

# %%
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown
from sklearn.neighbors import KNeighborsClassifier

from shapeofloss import figures, ledger
from shapeofloss.datasets.digits import load_digits, shifted
from shapeofloss.engine import compute, profiles, workspace
from shapeofloss.landscape.directions import filter_normalised_direction, jump
from shapeofloss.landscape.minima import sample_minimum, train_minima
from shapeofloss.landscape.networks import Architecture, number_of_parameters
from shapeofloss.landscape.parameters import flatten, load_parameters
from shapeofloss.landscape.phate import phate_embedding
from shapeofloss.landscape.randomness import generator_for
from shapeofloss.landscape.record import Record, Recorder
from shapeofloss.landscape.samplers import memory_estimate
from shapeofloss.landscape.training import evaluate, retrain

run = workspace.begin("101_jump_and_retrain")
figures.use_house_style()

# %% [markdown]
# ## The data and the network
#
# The source trains on CIFAR-10. We begin with real data of a size that a laptop likes: scikit-learn's handwritten
# digits, 8 by 8 pixels. A few hundred of them train and 797 others test. Each time that a digit is used for training
# it is shifted by up to one pixel in each direction.

# %%
data = load_digits(train=train, seed=0)
moved = shifted(data.train_images[:10], generator_for(0, "picture"))
figure, axes = plt.subplots(2, 10, figsize=(8, 1.8))
for column in range(10):
    for row, images in enumerate((data.train_images, moved)):
        axes[row, column].imshow(images[column, 0], cmap="Greys")
        axes[row, column].set(xticks=[], yticks=[])
        axes[row, column].spines[:].set_visible(True)
axes[0, 0].set_ylabel("original")
axes[1, 0].set_ylabel("shifted")
figures.save(
    figure,
    "digits",
    alt="Ten handwritten digits of 8 by 8 pixels in grey, and below each the same digit shifted by at most one pixel.",
    data={"label": data.train_labels[:10].numpy()},
)

# %% [markdown]
# The network is a wide residual network, as in the source, with fewer channels. It contains *batch normalisation*:
# layers that subtract a mean and divide by a standard deviation, both taken over the images in hand. This hides a
# trap. If those statistics come from the last few batches, as in the source's released code, then two networks with
# the same $\theta$ can have different losses, and $f(\theta)$ is not quite a function of $\theta$. Whenever the loss
# at a point is evaluated here, the statistics are those of the *whole training set*: they follow from $\theta$, and
# so does the loss.

# %%
architecture = {"depth": depth, "width": width, "base": base}
model = Architecture(**architecture).network()
print(f"{number_of_parameters(model):,} parameters in {len(list(model.parameters()))} tensors")
for name, count in (("this network", number_of_parameters(model)), ("the source's largest, 1.1 million", 1_100_000)):
    print(f"memory for a sample around {name}: {memory_estimate(parameters=count, points=640) / 1e9:.1f} GB")

# %% [markdown]
# ## Find the minima
#
# We train three networks that differ only in their seed: random start, order of the images, shifts. They are small, and
# a processor that works on one of them at a time is mostly waiting; so `train_minima` trains them side by side, and
# what one of them does depends on none of the others. `compute.map` keeps the result, so a second run takes no time.

# %%
learned = {"architecture": architecture, "images": {"train": train}}
regular = {"weight_decay": weight_decay, "augment": augment}
seeds = [seed + n for n in range(networks)]
together = {"networks": [{"seed": s, **regular} for s in seeds]}
first = {**learned, **together, "epochs": epochs, "batch": batch, "learning_rate": learning_rate}
(trained,) = compute.map(train_minima, [first], label="training")
quality = ["train_loss", "train_accuracy", "test_loss", "test_accuracy"]
pd.DataFrame({name: trained[name] for name in quality}, index=seeds).round(4).rename_axis("seed")

# %%
flat = {name: getattr(data, name).flatten(1).numpy() for name in ("train_images", "test_images")}
nearest = KNeighborsClassifier(1).fit(flat["train_images"], data.train_labels.numpy())
print(
    f"test accuracy of the nearest training image: {nearest.score(flat['test_images'], data.test_labels.numpy()):.3f}"
)

# %% [markdown]
# The networks generalise, though hardly better than a look at the nearest training image: digits are easy, and a minimum
# found on them is a gentle specimen.

# %%
figure, (axes,) = figures.panels(1, width=6)
for s, history in zip(seeds, trained["history"]):
    axes.semilogy(np.arange(1, epochs + 1), history, label=f"seed {s}")
for fraction in (0.5, 0.75, 0.925):
    axes.axvline(fraction * epochs, color="0.8", linewidth=1, zorder=0)
axes.set(xlabel="epoch", ylabel="training loss (nats)")
axes.legend()
figures.save(
    figure,
    "training",
    alt="Training loss of three networks over the epochs, on a logarithmic scale: a noisy descent to about 0.08 while the "
    "learning rate is high, a drop to about 0.01 after the first of three grey lines, and noise around 0.006 afterwards.",
    answers="landscape: section 4.3",
    data={"epoch": np.arange(1, epochs + 1)} | {f"seed_{s}": h for s, h in zip(seeds, trained["history"])},
)

# %% [markdown]
# **Reading the figure.** Grey lines mark the drops of the learning rate. After the first one the loss falls by a
# factor of ten; the other two hardly show in the noise of shifts and minibatches. (The curve is the loss in training,
# on shifted images and with the statistics of each minibatch; the table above has the loss on the images as they are,
# which is lower still.) The source says that its networks reach a training loss of about 0. Do ours?

# %%
ledger.record({"landscape-minimum-loss": trained["train_loss"]}, figure="training")

# %% [markdown]
# ## A direction that respects the network
#
# How far is a step of length 1? Take a convolution whose output goes straight into batch normalisation, and multiply
# its weights by 10: the normalisation undoes it, and the network computes the same function, but the old step is now
# ten times smaller in comparison. (In this network that is so for 7 of 17 layers with filters; the others add into a
# sum, or give the scores.) A direction should therefore be measured against the weights that it changes. *Filter
# normalisation*, which the source takes from Li et al., does so filter by filter. A filter $\theta_k$ is the set of
# weights that produces one channel, or one score; for each one, draw Gaussian noise $g_k$ and rescale it to the
# filter's own length:
#
# $$v_k = \frac{\lVert\theta_k\rVert}{\lVert g_k\rVert}\, g_k .$$
#
# Biases and the scales and shifts of batch normalisation stay where they are: $v$ is zero there. A jump of step size $c$,
# $\theta_o + c\,v$, then changes every filter by the fraction $c$ of its length. These are definitions, so the checks
# below are checks of our code.


# %%
def filter_lengths(tensors):
    """Return the length of every filter, and the number of non-zero entries outside filters."""
    inside = np.concatenate([t.flatten(1).norm(dim=1).numpy() for t in tensors if t.dim() > 1])
    return inside, sum(int(t.count_nonzero()) for t in tensors if t.dim() < 2)


errors, strays, jumps = [], [], []
for parameters in trained["parameters"]:
    load_parameters(model, parameters)
    optimum = flatten(model)
    at_optimum, _ = filter_lengths([p.detach() for p in model.parameters()])
    worst = [0.0, 0, 0.0]
    for s in jump_seeds:
        load_parameters(model, optimum)
        direction = filter_normalised_direction(model, generator_for(s, "direction"))
        lengths, stray = filter_lengths(direction)
        off = 0.0
        for c in steps:
            jump(model, optimum, direction, c)
            distance = (flatten(model) - optimum).double().norm().item()
            off = max(off, abs(distance / (c * np.linalg.norm(at_optimum.astype(float))) - 1))
        worst = [max(worst[0], np.abs(lengths / at_optimum - 1).max()), max(worst[1], stray), max(worst[2], off)]
    for values, value in zip((errors, strays, jumps), worst):
        values.append(float(value))

# %%
ledger.record(
    {
        "landscape-filter-norms": errors,
        "landscape-filter-zeros": strays,
        "landscape-jump-length": jumps,
    }
)

# %% [markdown]
# ## The loop
#
# Here is the whole procedure, for the first direction of the first network. `retrain` trains with a fresh optimizer
# (stochastic gradient descent with momentum 0.9, as in the first training) on a fixed 90% of the training images, and
# pauses where a point is to be recorded: at the jump itself (epoch 0), and after each epoch. All step sizes of one seed
# share the direction and the order of the images, so that they differ in nothing but the distance.

# %%
load_parameters(model, trained["parameters"][0])
optimum = flatten(model)
everything = data.train_images, data.train_labels
recorder = Recorder(optimum, *evaluate(model, *everything))
again = {"epochs": states, "batch": batch, "learning_rate": retrain_rate, **regular}

for s in jump_seeds[:1]:
    load_parameters(model, optimum)
    direction = filter_normalised_direction(model, generator_for(s, "direction"))
    for c in steps:
        jump(model, optimum, direction, c)
        for epoch in retrain(model, data, **again, seed=s):
            loss, accuracy = evaluate(model, *everything)
            recorder.add(flatten(model), loss, accuracy, seed=s, step=c, epoch=epoch)

by_hand = recorder.record()
print(f"{len(by_hand.loss)} points around a minimum of loss {by_hand.optimum_loss:.4f}")

# %% [markdown]
# The record keeps no parameter vectors, only their inner products: distances, angles and principal components follow from
# those, and 640 points take 3 MB whatever the size of the network.
#
# `sample_minimum` does all of this for all sixteen trajectories of a network at once, each epoch of all of them before
# the next one of any: the same directions, the same images in the same order, the same arithmetic. Only sums are taken
# in another order, so that the last digits differ. How long do the two agree?

# %%
around = {"sampling": "jump_and_retrain", "seeds": jump_seeds, "steps": steps, **again}
tasks = [{**learned, **around, "parameters": p} for p in trained["parameters"]]
records = [Record.from_arrays(result) for result in compute.map(sample_minimum, tasks, label="samples")]
record = records[0]
same = record.seed == jump_seeds[0]
apart = pd.DataFrame(
    {
        "epoch": by_hand.epoch,
        "loss": np.abs(record.loss[same] / by_hand.loss - 1),
        "distance": np.abs(record.distance_to_optimum()[same] / by_hand.distance_to_optimum() - 1),
    }
)
apart = apart.groupby("epoch").max().rename_axis("largest relative difference after epoch")
assert apart.loss[0] < 1e-4 and apart.distance[0] < 1e-4
apart.loc[[e for e in (0, 1, 2, 3, 5, 10, states - 1) if e < states]].map("{:.1e}".format)

# %% [markdown]
# At the jump they agree to single precision. Then the difference grows with every step, until the losses have hardly a
# digit in common while the distances still agree well. Training is chaotic: it multiplies every disturbance, and a
# rounding error is one. A single trajectory is thus never reproducible on another machine, only what many of them have
# in common; and a test of code like this must compare single steps, not whole runs. (On one machine, our runs repeat to
# the last bit.)

# %%
size = [abs(len(r.loss) - 640) + int((r.distance_to_optimum() == 0).sum()) for r in records]
ledger.record({"landscape-sample-size": size})

# %% [markdown]
# ## The trajectories
#
# For each point of the first network: its loss, and its distance to the optimum, $\lVert\theta - \theta_o\rVert$, as a
# fraction of the length of $\theta_o$. (A whole step is 0.88 of that length and not 1, because the weights that are no
# filters do not move.)

# %%
points = pd.DataFrame({name: getattr(record, name) for name in ("seed", "step", "epoch", "loss", "accuracy")})
points["distance"] = record.distance_to_optimum() / record.norm
colors = plt.get_cmap("viridis")(np.linspace(0, 0.85, len(steps)))
figure, (left, right) = figures.panels(2, width=4.2, height=3.6)
for (_, c), path in points.groupby(["seed", "step"]):
    color = colors[steps.index(c)]
    left.semilogy(path.epoch, path.loss, color=color, linewidth=1)
    right.plot(path.epoch, path.distance, color=color, linewidth=1)
left.axhline(record.optimum_loss, color="black", linestyle="--", linewidth=1)
left.set(xlabel="epochs of retraining", ylabel="training loss (nats)")
right.set(xlabel="epochs of retraining", ylabel=r"distance to the optimum / $\Vert\theta_o\Vert$", ylim=(0, None))
lines = [plt.Line2D([], [], color=color) for color in colors] + [plt.Line2D([], [], color="black", linestyle="--")]
left.legend(lines, [f"step {c}" for c in steps] + ["optimum"], fontsize="small")
figures.save(
    figure,
    "trajectories",
    alt="Left: training loss over the epochs of retraining for sixteen trajectories, coloured by step size: large jumps "
    "start high and fall, the smallest start low, most dip, and rise, and all end on one noisy plateau well above the dashed line "
    "of the optimum. Right: distance to the optimum: the bundle of the smallest step climbs almost throughout; that of the "
    "largest climbs for four or five epochs and then sinks, mostly a little below its start; the four bundles stay apart.",
    data=points,
    answers="landscape: section 3.1; section 4.3",
)

# %%
ends = [
    pd.DataFrame(
        {"step": r.step, "epoch": r.epoch, "seed": r.seed, "loss": r.loss, "distance": r.distance_to_optimum()}
    )
    for r in records
]
start = [table[table.epoch == 0].set_index(["seed", "step"]) for table in ends]
end = [table[table.epoch == states - 1].set_index(["seed", "step"]) for table in ends]
at_jump = {str(c): [np.log10(table.xs(c, level="step").loss).mean() for table in start] for c in steps}
falls = pd.concat([(b.loss < a.loss).groupby("step").mean() for a, b in zip(start, end)], axis=1).mean(axis=1)
ratios = pd.concat([(b.distance / a.distance).rename(s) for a, b, s in zip(start, end, seeds)], axis=1)
by_step = ratios.groupby("step").median()
ledger.record(
    {
        "landscape-larger-steps-higher-loss": at_jump,
        "landscape-retraining-descends": [float((b.loss < a.loss).mean()) for a, b in zip(start, end)],
        "landscape-retraining-returns": [float(ratios[column].median()) for column in ratios],
    },
    figure="trajectories",
    notes={
        "landscape-retraining-descends": f"By step size: {', '.join(f'{c} {share:.0%}' for c, share in falls.items())}.",
        "landscape-retraining-returns": f"The median mixes opposites; by step size: {', '.join(f'{c} {r:.2f}' for c, r in by_step.mean(axis=1).items())}.",
    },
)

# %%
by_step.round(3).rename_axis(columns="network")

# %% [markdown]
# **Reading the figure.** The further the jump, the higher it lands: the smallest step raises the loss from 0.001 to
# around 0.005, a whole step to between 2.1 and 4.8 (guessing evenly would give $\log 10 \approx 2.3$). Within ten
# epochs all sixteen trajectories are on one plateau, mostly between 0.01 and 0.1. It lies *above* the optimum, and
# above the smallest jumps: after a few epochs of descent, if any, these go up (11 of 12 over the three networks), and
# so the claim that retraining descends is *in trend* only. We think that the plateau is the noise floor of the
# optimizer: the minimum was reached with a learning rate that had been cut three times, while retraining runs at a
# constant one, too coarse to settle so low. The next section tests this.
#
# **What surprised us.** Most of them do not come back. The largest jumps first travel outward for four or five epochs,
# and most end a few per cent nearer than they began; the smallest end at 1.6 to 1.9 times their distance. The four bundles stay
# apart to the end: losses of the same order, in sixteen different places.
#
# **What the source says.** Its pictures show a good minimum to which trajectories return at once, a bad one where
# they move outward first, and a memorising one where small steps go outward and large ones return, with some movement
# sideways but none outward first. Our networks are trained like its good ones. By distance in the full space their
# small steps go outward, as in the last two, and their largest go out and come back, as in the bad one. But pictures
# and distances are not the same measure, and whether this marks anything can only be told by comparing good and bad
# networks side by side, which is for a later notebook.
#
# ## What sends them home, or away?
#
# "Retrain for $N$ epochs with the original optimizer", says the source, and leaves the learning rate open; its
# released README has 0.001. Our rate was fixed beforehand, by matching the product of rate and number of steps that
# the README implies for batches of 128 (16 against 14), and the verdicts above stand. But two things deserve a
# control. The rate, because noise grows with it. And *weight decay*: retraining inherits it, and it pulls every
# weight towards zero. For a long jump this alone shortens the distance to $\theta_o$, whatever the landscape is like;
# a short one it can lengthen, since it pulls away from $\theta_o$, too. Here is the first network once more, beyond
# the judged protocol, at lower rates and without decay.

# %%
variants = [(rate, decay) for decay in dict.fromkeys((weight_decay, 0.0)) for rate in (*other_rates, retrain_rate)]
tasks = [{**tasks[0], "learning_rate": rate, "weight_decay": decay} for rate, decay in variants]
rows = []
for (rate, decay), result in zip(variants, compute.map(sample_minimum, tasks, label="variants")):
    r = Record.from_arrays(result)
    away, at_first, at_last = r.distance_to_optimum(), r.epoch == 0, r.epoch == states - 1
    for c in steps:
        of = r.step == c
        ratio = np.median(away[of & at_last] / away[of & at_first])
        rows.append({"decay": decay, "rate": rate, "step": c, "ratio": ratio, "loss": np.median(r.loss[of & at_last])})
table = pd.DataFrame(rows)
table.pivot(index="step", columns=["decay", "rate"], values="ratio").round(3)

# %% [markdown]
# And what would the pull do alone, on a landscape that is flat? After $n$ minibatches at rate $\eta$, with decay
# $\lambda$ and momentum 0.9, every weight has shrunk by the fraction $a = 1 - e^{-10\,\eta\lambda n}$. A jump of
# relative length $d$ at a right angle to $\theta_o$ then ends at $\sqrt{(1-a)^2 + (a/d)^2}$ times its distance.

# %%
batches = (states - 1) * -(-round(0.9 * train) // batch)
shrunk = {rate: 1 - np.exp(-10 * rate * weight_decay * batches) for rate in (*other_rates, retrain_rate)}
relative = points[points.epoch == 0].groupby("step").distance.mean()
pd.DataFrame({rate: np.sqrt((1 - a) ** 2 + (a / relative) ** 2) for rate, a in shrunk.items()}).round(3)

# %%
figure, (left, right) = figures.panels(2, width=4.2, height=3.4)
for (decay, c), part in table.groupby(["decay", "step"]):
    style = {"color": colors[steps.index(c)], "marker": "o", "linestyle": "-" if decay else ":"}
    left.semilogx(part["rate"], part["ratio"], label=f"step {c}" if decay == weight_decay else None, **style)
    right.loglog(part["rate"], part["loss"], **style)
left.axhline(1, color="black", linewidth=0.8)
right.axhline(record.optimum_loss, color="black", linewidth=1, linestyle="--")
rates = sorted({rate for rate, _ in variants})
for ax, label in ((left, "distance at the end / at the jump"), (right, "training loss at the end (nats)")):
    ax.set(xlabel="learning rate of the retraining", ylabel=label, xticks=rates, xticklabels=rates)
    ax.minorticks_off()
right.set(yticks=[0.003, 0.01, 0.03], yticklabels=[0.003, 0.01, 0.03])
left.plot([], [], "k:", label="without decay")
left.legend(fontsize="small")
figures.save(
    figure,
    "variants",
    alt="Left: distance at the end over distance at the jump, by learning rate and step size, with weight decay (solid) and "
    "without (dotted): within three per cent of one at the lowest rate; at the others above one without decay, and with decay "
    "at or below one for the two large steps and above one for the smallest; up to 2.1 at the highest rate. Right: "
    "final training loss: at the lowest rate it grows with the step, at the highest rate "
    "the order of the steps is gone; the dashed line of the optimum lies below all.",
    data=table,
)

# %% [markdown]
# **Reading the figure.** At the lowest rate the steps keep their order to the end: who jumped less far ends lower,
# and below its jump. At the highest rate that order is gone, and the small jumps have drifted outward: the noise
# grows with the rate.
#
# The homecoming is another matter. At rates of 0.02 and 0.05 it is weight decay's doing: without decay *no* step size
# ends nearer than it began, and at 0.02 the pull alone, as the second table has it, comes within a per cent of the
# return of the two largest steps. (At 0.05 it would bring a whole step to 0.87; noise takes three quarters of that
# back.) At 0.005 all steps end one to three per cent nearer with decay; without it the three larger ones end about
# one per cent nearer, and the smallest half a per cent further away. (These runs are also shorter in rate times
# steps: 2 and 6 against 16.) So in this network the gradient repairs the loss where it is, and brings the weights
# back by about one per cent at most in this time. The control is not perfect: $\theta_o$ was found with decay, and
# without it the gradient of the loss alone points away from zero. But what a picture shows as a return to the minimum
# may be a pull towards zero, and the source does not separate the two.
#
# ## How many dimensions do the samples fill?
#
# The source expects the region that training can reach to have far fewer intrinsic dimensions than there are
# parameters. One (linear) measure is the number of principal components that carry 90% of the variance of the
# samples. A warning comes with it: $n$ samples span at most $n - 1$ dimensions, whatever the landscape is like. With
# 640 samples and 44,000 parameters a comparison with the parameters could not fail; the fair comparison is with $n -
# 1$.
#
# It needs a control, too. Suppose that retraining were no more than a random walk, from the same jumps, with moves
# from epoch to epoch of the same lengths. In so many dimensions the moves of a random walk are practically orthogonal
# to each other and to the jumps, so its inner products, as seen from $\theta_o$, can be written down: for two points
# of one walk, the squared length of the jump plus those of the moves that both have behind them; for points of two
# walks, the inner product of their jumps.

# %%


def random_walk(r):
    """Return the record of random walks from the jumps of r, with moves of the same lengths."""
    start = r.epoch == 0
    gram = np.kron(r.gram[np.ix_(start, start)], np.ones((states, states)))
    for k in np.flatnonzero(start):
        walk = slice(k, k + states)
        block = r.gram[walk, walk]
        lengths2 = np.diag(block)[1:] + np.diag(block)[:-1] - 2 * np.diag(block, 1)
        shared = np.concatenate([[0], np.cumsum(lengths2)])
        gram[walk, walk] += np.minimum.outer(shared, shared)
    return replace(r, gram=gram)


components = [r.explained_dimension(0.9) for r in records]
walks = [random_walk(r).explained_dimension(0.9) for r in records]
bound = min(len(record.loss) - 1, number_of_parameters(model))
print(f"components for 90%: {components}; of random walks: {walks}; at most {bound}")

# %%
figure, (axes,) = figures.panels(1, width=6)
curves = {}
for kind, style, these in (("retraining", "-", records), ("random walk", ":", [random_walk(r) for r in records])):
    for color, s, r in zip(figures.PALETTE, seeds, these):
        variances = r.variances()
        curves[f"{kind} {s}"] = np.cumsum(variances) / variances.sum()
        axes.semilogx(np.arange(1, len(variances) + 1), curves[f"{kind} {s}"], style, color=color)
axes.axhline(0.9, color="black", linestyle="--", linewidth=1)
axes.set(xlabel="principal components", ylabel="share of the variance", ylim=(0, 1.02))
handles = [plt.Line2D([], [], color=color) for color in figures.PALETTE[:networks]]
handles += [plt.Line2D([], [], color="black", linestyle=style) for style in ("-", ":")]
axes.legend(handles, [f"network {s}" for s in seeds] + ["retraining", "random walk"])
figures.save(
    figure,
    "dimensions",
    alt="Share of the variance that the first principal components carry, over their number on a logarithmic axis, for three "
    "networks (solid) and for random walks from the same jumps (dotted). All rise steeply over the first three or four components; the "
    "random walks reach ninety per cent at eight or nine, the samples at twelve or thirteen.",
    data={"components": np.arange(1, len(record.loss) + 1)} | curves,
    answers="landscape: section 3",
)

# %%
ledger.record(
    {"landscape-intrinsic-dimension": [count / bound for count in components]},
    figure="dimensions",
    notes={
        "landscape-intrinsic-dimension": f"Control: random walks from the same jumps need {min(walks)} to {max(walks)} components, the samples "
        f"{min(components)} to {max(components)}. The low dimension is no evidence on the landscape."
    },
)

# %% [markdown]
# **Reading the figure.** Sixteen jumps along four directions span four dimensions, and four components carry four
# fifths of the variance: that part is our own doing, not the landscape's. The samples need twelve or thirteen
# components for 90%, of at most 639, and the rule says *reproduced*. The control takes the meaning out of it: random
# walks, which know nothing of a landscape, need even fewer. Walks that are short compared with their jumps look
# low-dimensional by this measure, even if they fill as many dimensions as they have moves; and the small excess of
# the samples is no finding on the landscape either.
#
# ## A first picture of the samples
#
# PHATE turns the 640 points into a picture. In short (a later notebook builds it step by step): from the distances
# between points it makes another random walk, over the points, that steps only among near neighbours (here five); it
# lets the walker take $t$ steps, with $t$ found by a rule; and it places two points close together if walkers who
# start there end up in the same places. The source's variation compares by the *cosine*: two parameter vectors
# $\theta_i$ and $\theta_j$ by one minus the cosine of the angle between them, and the walkers' end places in the same
# way.
#
# From where is the angle seen? The text does not say, so the natural reading is from the origin, $\theta = 0$. (The
# released code lets PHATE subtract the mean of the samples first, which amounts to angles as seen from that mean.) We
# draw both.

# %%
pictures = {}
for centre in ("origin", "mean"):
    embedding, diffusion = phate_embedding(record.cosine_distances(centre=centre), knn=neighbours, seed=0)
    pictures[centre] = embedding
    print(f"angles seen from the {centre}: t = {diffusion.t}, {diffusion.components} connected parts")

# %%
figure, axes = plt.subplots(2, 2, figsize=(8.6, 7.4))
for row, (centre, xy) in zip(axes, pictures.items()):
    shown = row[0].scatter(*xy.T, c=np.log10(record.loss), s=9, cmap=figures.FIELD)
    figure.colorbar(shown, ax=row[0], label="log10 of the training loss")
    row[0].set_title(f"angles seen from the {centre}: loss")
    for s in jump_seeds:
        for c in steps:
            path = xy[(record.seed == s) & (record.step == c)]
            row[1].plot(*path.T, color=figures.PALETTE[s], linewidth=1, alpha=0.8)
            row[1].scatter(*path[0], color=figures.PALETTE[s], marker="D", s=30 + 70 * c, edgecolor="black", zorder=3)
    row[1].set_title("trajectories from their jumps (diamonds)")
for ax in axes.flat:
    ax.set(xlabel="PHATE 1", ylabel="PHATE 2", xticks=[], yticks=[])
figure.legend(
    [plt.Line2D([], [], color=figures.PALETTE[s]) for s in jump_seeds],
    [f"direction {s}" for s in jump_seeds],
    loc="outside lower center",
    ncols=len(jump_seeds),
)
figures.save(
    figure,
    "phate",
    alt="Two-dimensional PHATE pictures of the samples, above with angles seen from the origin and below from the mean. Left: "
    "points coloured by the logarithm of their loss. Right: the same points as sixteen trajectories in four colours. In "
    "both, each colour forms a petal: trajectories leave a common bright tip of high loss, where the large diamonds lie, "
    "and run separately towards the empty middle; in the upper picture the smallest jump of two colours is a short line of "
    "its own near the middle, in the lower one that of three.",
    data=points.assign(**{f"{c}_{k + 1}": xy[:, k] for c, xy in pictures.items() for k in range(2)}),
    answers="landscape: Fig. 2c",
)

# %% [markdown]
# **Reading the figure.** Each direction is a petal. Its tip holds the jumps of the three larger step sizes, and for
# some directions of all four: as angles go they are close together, and the longest have the highest loss of all
# (bright). From there the trajectories of one direction separate and run inward, smoothly and hardly crossing; the
# loss falls in the first few states and then stays on a plateau of noise. PHATE keeps whole trajectories in one
# piece; this much of Fig. 2c is easy to recognise.
#
# **What to be careful about.** The random walk finds parts that are not connected at all: with five neighbours each,
# a walker never leaves its part. In the upper picture there are six: one for each direction, but that two of the four trajectories
# from a smallest jump are parts of their own. Between two such parts PHATE knows no distance; what the scaling uses
# instead depends on how many points each part has, so that large parts are drawn at the rim and small ones in the middle.
# The flower, its empty centre, and the course of the petals towards it are therefore *not* something that the landscape
# drew. The optimum is not in the picture either: it is no sample, and nothing marks the middle as its place.
#
# Even inside such a part the page may mislead. The short lines look as if the smallest jumps moved a little way straight
# off. For the two that are parts of their own (directions 2 and 3) what is drawn is a hairpin: the line runs out and
# comes back over itself, so that its end lies almost on top of its beginning. In truth the end is the point of the path
# that is farthest from its beginning:

# %%
xy = pictures["origin"]
for s in jump_seeds:
    path = np.flatnonzero((record.seed == s) & (record.step == min(steps)))
    page = np.linalg.norm(xy[path] - xy[path[0]], axis=1)
    true = record.distances()[path[0], path] / record.norm
    print(
        f"direction {s}: on the page, the end is {page[-1] / page.max():.2f} of the line's extent away from the beginning; "
        f"in truth {true[-1] / true.max():.2f} ({true[-1]:.2f} of the optimum's length)"
    )

# %% [markdown]
# With angles seen from the mean the picture is alike but not the same: seven parts, and another choice of the smallest
# jumps that join their petals. A choice of one line, which the text does not mention, moves trajectories from one part
# to another.
#
# **Exercise.** Run the notebook with `-p weight_decay=0.0001`, then with `-p augment=False`, and compare the tables
# of return ratios. Which of the two matters more, and does the test loss say so, too?
#
# **Exercise.** In the loop, replace the direction by plain Gaussian noise of the same total length (and skip the
# comparison with the stored result). Compare the loss at the jumps with the figure above. Then find out which tensors
# are to blame, by jumping in one of them at a time.
#
# ## What differs from the source
#
# Beyond the numbers below: the digits take the place of CIFAR-10; losses are taken on the images as they are, with
# the batch statistics of the whole training set (the released code: shifted and flipped images, running averages);
# PHATE's final scaling is deterministic. As in the released code, and not in the text: state 0 is the jump, 90% of
# the training images retrain, the learning rate is constant.

# %%
Markdown(profiles.differences(run.notebook))
