# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Any network: the landscape around your own minimum
#
# [Script](107_any_network.py) · [executed print](107_any_network.ipynb) · [course map](../README.md)
#
# **Question.** What does it take to look around the minimum of a network that nobody here has ever seen?
#
# **Source.** Horoi et al., *Exploring the geometry and topology of neural network loss landscapes*, section 3.1, whose
# procedure asks for nothing but a loss, a minimum and an optimizer. **Time on a laptop.** Half a minute.
#
# The source looks at wide residual networks, and so do the other notebooks of this part. But the procedure is general: jump
# in a filter-normalised direction, retrain, write down. So is the function behind it. Bring a `torch.nn.Module` that stands
# at its minimum, the batches that it was trained on, and its loss; get back the record that all pictures and numbers of
# this part are made of. To show that this is no figure of speech, we take two networks that have little in common with a
# residual network: a small transformer, with everything that makes such a function hard (weights that are used twice,
# dropout, batches that are dictionaries, another optimizer), and a recurrent one.

# %% tags=["parameters"]
seed = 7  # of initial weights, batches, dropout
train = 512  # training images
features = 24  # width of the networks
epochs = 60  # of the first training
batch = 64  # images per step
learning_rate = 0.005  # of AdamW, falling to zero along a cosine
jump_seeds = [0, 1, 2, 3]  # one random direction each
steps = [0.25, 0.5, 0.75, 1.0]  # how far to jump, in units of the direction
states = 20  # recorded per trajectory: the jump, then one per epoch of retraining
retrain_rate = 0.001  # learning rate of the retraining, constant
points = 25  # along each axis of the slice
neighbours = 40  # of each sample in PHATE's random walk

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown
from torch import nn
from torch.nn import functional

from shapeofloss import figures
from shapeofloss.datasets.digits import load_digits
from shapeofloss.engine import profiles, workspace
from shapeofloss.landscape.phate import phate_embedding
from shapeofloss.landscape.samplers import sample_around
from shapeofloss.landscape.trajectories import distance_from_optimum, return_ratio

run = workspace.begin("107_any_network")
figures.use_house_style()

# %% [markdown]
# ## A transformer that reads digits line by line
#
# A digit is a sequence of eight rows of eight pixels. Each row becomes a vector of features, to which a learned vector for
# its position is added; two layers of attention let the rows look at each other; the mean over the rows gives the scores.
# The two layers are *one* layer used twice: its weights are tied, so that the landscape has them once.


# %%
class Reader(nn.Module):
    """Reads the rows of an image with two passes through one layer of attention."""

    def __init__(self):
        super().__init__()
        self.rows = nn.Linear(8, features)
        self.position = nn.Parameter(0.1 * torch.randn(8, features))
        layer = nn.TransformerEncoderLayer(features, 4, 2 * features, dropout=0.1, batch_first=True)
        self.layers = nn.ModuleList([layer, layer])
        self.scores = nn.Linear(features, 10)

    def forward(self, images):
        """Return scores, shape (N, 10), of images of shape (N, 1, 8, 8)."""
        x = self.rows(images[:, 0]) + self.position
        for layer in self.layers:
            x = layer(x)
        return self.scores(x.mean(dim=1))


def loss(model, batch):
    """Return the mean cross-entropy and the accuracy on a batch, which is a dictionary."""
    scores = model(batch["image"])
    hits = scores.argmax(dim=1) == batch["digit"]
    return functional.cross_entropy(scores, batch["digit"]), hits.float().mean()


# %% [markdown]
# An ordinary training, such as you may have behind you: AdamW, dropout, a learning rate that falls to zero.

# %%
data = load_digits(train=train, seed=0)
batches = [
    {"image": images, "digit": labels}
    for images, labels in zip(data.train_images.split(batch), data.train_labels.split(batch))
]


def trained(model):
    """Train a network where it stands, and return it ready for use."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    model.train()
    for _ in range(epochs):
        for k in torch.randperm(len(batches)):
            optimizer.zero_grad()
            loss(model, batches[k])[0].backward()
            optimizer.step()
        schedule.step()
    return model.eval()


torch.manual_seed(seed)
reader = trained(Reader())
unseen = {"image": data.test_images, "digit": data.test_labels}
with torch.no_grad():
    print(f"{sum(p.numel() for p in reader.parameters()):,} parameters; test accuracy {loss(reader, unseen)[1]:.3f}")

# %% [markdown]
# ## One call
#
# Everything that was special about the network is in the two arguments that it is defined by, the model and the loss. The
# optimizer of the retraining is given as a function from parameters to an optimizer; any that treats each number on its own
# will do, as AdamW does, since all sixteen trajectories are updated as one tensor.

# %%
before = {name: tensor.clone() for name, tensor in reader.state_dict().items()}
around = {"loss": loss, "seeds": jump_seeds, "steps": steps, "epochs": states}
adam = {"optimizer": lambda parameters: torch.optim.AdamW(parameters, lr=retrain_rate, weight_decay=0.01)}
record = sample_around(reader, batches, **around, **adam)
print(f"{len(record.loss)} points; loss {record.optimum_loss:.4f} at the optimum, {record.loss.max():.2f} at most")

# %% [markdown]
# Afterwards the network is as it was: the same parameters, in the same mode.

# %%
assert all(torch.equal(tensor, before[name]) for name, tensor in reader.state_dict().items())
assert not reader.training and not any(layer.training for layer in reader.modules())

# %% [markdown]
# Sixteen copies of the network were trained at once: `torch.func.vmap` turns the model into one that takes a stack of
# parameters. It cannot do so for every model. Where it cannot, the copies take turns, with the same directions and the same
# batches in the same order. To see that this changes nothing but rounding we ask for the slow way, for two trajectories,
# with dropout switched off (attention draws its own in another order), and compare the first states:

# %%
for module in reader.modules():
    if hasattr(module, "dropout") and isinstance(module.dropout, float):
        module.dropout = 0.0
    elif isinstance(module, nn.Dropout):
        module.p = 0.0
few = {"loss": loss, "seeds": jump_seeds[:1], "steps": steps[:2], "epochs": 2, **adam}
fast, slow = (sample_around(reader, batches, together=way, **few) for way in ("vectorised", "plain"))
differences = pd.DataFrame({"epoch": fast.epoch, "step": fast.step, "difference": np.abs(fast.loss / slow.loss - 1)})
assert differences[differences.epoch == 0].difference.max() < 1e-4
differences.pivot(index="epoch", columns="step", values="difference").map("{:.0e}".format)

# %% [markdown]
# ## What its surroundings look like
#
# First what people usually look at, a slice: the loss on a plane through the minimum, along two random filter-normalised
# directions. Then the same minimum through jump and retrain. With PHATE's usual five neighbours, the graph behind the
# picture falls apart into the single trajectories, whose states are all nearer to each other than to any other; how the
# parts are arranged would then say nothing. So we take what `103_phate_beside_the_others` found to keep the relations between
# trajectories best: Euclidean distances, and forty neighbours.

# %%
plane = sample_around(reader, batches, loss=loss, sampling="plane", seeds=jump_seeds[:1], counts=[points, points])
_, diffusion = phate_embedding(record.cosine_distances(), seed=0)
print(f"cosine PHATE, five neighbours: {diffusion.components} connected parts")
euclidean = {"knn": neighbours, "decay": 10, "mds_distance": "euclidean"}
embedding, diffusion = phate_embedding(record.distances(), **euclidean, seed=0)
print(f"Euclidean PHATE, {neighbours} neighbours: {diffusion.components} connected parts")

# %%
figure, (left, middle, right) = figures.panels(3, width=3.7, height=3.6)
axis = plane.coefficients[:points, 1]
surface = np.log10(plane.loss).reshape(points, points).T
limits = {"vmin": np.log10(record.loss).min(), "vmax": np.log10(plane.loss).max()}
shown = left.contourf(axis, axis, surface, levels=np.linspace(*limits.values(), 25), cmap=figures.FIELD)
left.plot(0, 0, marker="*", color="black", markeredgecolor="white", markersize=13)
left.set(xlabel="step along direction 1", ylabel="step along direction 2", title="a slice", aspect="equal")
for path in embedding.reshape(-1, states, 2):
    middle.plot(*path.T, color="0.7", linewidth=0.8, zorder=1)
middle.scatter(*embedding.T, c=np.log10(record.loss), s=9, cmap=figures.FIELD, zorder=2, **limits)
middle.set(xlabel="PHATE 1", ylabel="PHATE 2", title="jump and retrain", xticks=[], yticks=[])
figure.colorbar(shown, ax=middle, label="log10 of the training loss", ticks=[-3, -2, -1, 0, 1])
away = distance_from_optimum(record)
hues = dict(zip(steps, plt.get_cmap("viridis")(np.linspace(0, 0.85, len(steps)))))
for row, c in zip(away, np.tile(steps, len(jump_seeds))):
    right.plot(row / row[0], color=hues[c], linewidth=1)
right.axhline(1, color="black", linewidth=0.8)
right.set(xlabel="epochs of retraining", ylabel="cosine distance to the optimum / at the jump", title="the way home?")
right.legend([plt.Line2D([], [], color=hue) for hue in hues.values()], [f"step {c}" for c in steps], fontsize="small")
figures.save(
    figure,
    "transformer",
    alt="Three views of a transformer's minimum: a slice of the loss as filled contours, the jump-and-retrain samples as PHATE "
    "draws them, four rays of short strokes, coloured by loss, and the cosine distance to the optimum along each "
    "trajectory, which falls slowly for nearly all of them.",
    data={"step": record.step, "seed": record.seed, "epoch": record.epoch, "loss": record.loss}
    | {f"phate_{k + 1}": embedding[:, k] for k in range(2)}
    | {"distance": away.ravel()},
)

# %% [markdown]
# **Reading the figure.** The slice is a smooth bowl, longer in one direction than in the other, that rises by three powers of ten
# and then flattens out: beyond half a step the network guesses. Nothing in it tells where training would go. On the right, it
# goes home, slowly: nearly all trajectories come nearer to the optimum by a few per cent, the small jumps more than the
# large ones, and but for some of the largest without travelling outward first. For the residual networks of the other
# notebooks, retrained at their own rates, the small jumps were those that went away. What retraining does thus depends on
# the network or on its optimizer; this notebook does not tell the two apart. In the middle each
# direction is a ray, with its steps one behind the other and the loss rising outward; the trajectories are short
# strokes, since their moves are small beside the jumps.
#
# ## A recurrent network
#
# `vmap` has no rule for PyTorch's LSTM. The call is the same; the copies take turns. (The same happens, by itself, for any
# operation without such a rule, for a model that looks at its own numbers to decide what to do, and wherever a first test step
# shows that the fast way would not give the right gradients.)


# %%
class Recurrent(nn.Module):
    """Reads the rows of an image one after another, from top to bottom."""

    def __init__(self):
        super().__init__()
        self.memory = nn.LSTM(8, features, batch_first=True)
        self.scores = nn.Linear(features, 10)

    def forward(self, images):
        """Return scores, shape (N, 10), of images of shape (N, 1, 8, 8)."""
        return self.scores(self.memory(images[:, 0])[0][:, -1])


torch.manual_seed(seed)
recurrent = trained(Recurrent())
other = sample_around(recurrent, batches, **around, **adam)
with torch.no_grad():
    print(
        f"{sum(p.numel() for p in recurrent.parameters()):,} parameters; test accuracy {loss(recurrent, unseen)[1]:.3f}"
    )

# %%
ratios = {"transformer": return_ratio(away), "recurrent": return_ratio(distance_from_optimum(other))}
ends = pd.DataFrame(ratios).groupby(np.tile(steps, len(jump_seeds))).median()
ends.rename_axis("median return ratio after a jump of step").round(2)

# %% [markdown]
# **Exercise.** Retrain the transformer with `torch.optim.SGD` in place of AdamW, at rates from 0.001 to 0.1, and compare the
# right panel. Which of the two, network or optimizer, decides whether small jumps come home?
#
# **Exercise.** Bring a network of your own. Does its graph fall apart, too? How many neighbours does it take to join it?
#
# ## What differs from the source
#
# The networks, which the source does not have, and with them the optimizer, AdamW instead of stochastic gradient descent. The
# procedure is its own. Nothing of this notebook is judged in the ledger.

# %%
Markdown(profiles.differences(run.notebook))
