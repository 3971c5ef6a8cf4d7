"""Small networks of every kind and batches for them, all from a seed."""

import torch
from torch import nn
from torch.nn import functional

torch.set_num_threads(1)  # as in the workers; two threads on so small networks mostly wait for each other


def seeded(make, seed=0):
    """Call `make` with torch's global random numbers fixed, and leave them as they were."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make()


def classified(sizes=(8, 8, 5), *, shape=(3,), classes=2, seed=0):
    """Return batches of inputs and labels, one for each size."""
    generator = torch.Generator().manual_seed(seed)
    return [
        (torch.randn(size, *shape, generator=generator), torch.randint(0, classes, (size,), generator=generator))
        for size in sizes
    ]


def tokens(sizes=(4, 4, 3), *, seed=0):
    """Return batches of token sequences, as dicts."""
    generator = torch.Generator().manual_seed(seed)
    draw = [torch.randint(0, 7, (2, size, 5), generator=generator) for size in sizes]
    return [{"tokens": pair[0], "next": pair[1]} for pair in draw]


def next_token_loss(model, batch):
    """A loss of dicts, without accuracy."""
    return functional.cross_entropy(model(batch["tokens"]).flatten(0, 1), batch["next"].flatten())


def mlp(dropout=0.0):
    """A smooth network."""
    return seeded(lambda: nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, 2)))


def normalised():
    """A smooth network with batch normalisation, for images of 6 x 6 pixels and three classes."""
    layers = lambda: [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Tanh(), nn.Flatten(), nn.Linear(64, 3)]  # noqa: E731
    return seeded(lambda: nn.Sequential(*layers()))


class Tied(nn.Module):
    """A language model whose scores share their matrix with the embedding, with one layer used twice."""

    def __init__(self):
        super().__init__()
        self.embedding, self.middle, self.scores = nn.Embedding(7, 4), nn.Linear(4, 4), nn.Linear(4, 7, bias=False)
        self.scores.weight = self.embedding.weight

    def forward(self, sequences):
        features = self.embedding(sequences)
        for _ in range(2):
            features = torch.tanh(self.middle(features))
        return self.scores(features)


class Recurrent(nn.Module):
    """A classifier of sequences."""

    def __init__(self, kind):
        super().__init__()
        self.cells, self.scores = kind(3, 5, batch_first=True), nn.Linear(5, 2)

    def forward(self, sequences):
        return self.scores(self.cells(sequences)[0][:, -1])


class Attentive(nn.Module):
    """A classifier of sequences with an encoder that is used twice."""

    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.first, self.scores = nn.Linear(3, 8), nn.Linear(8, 2)

    def forward(self, sequences):
        return self.scores(self.encoder(self.encoder(self.first(sequences))).mean(dim=1))


class Remembering(nn.Module):
    """A network with a buffer that each training batch changes, in place or by a new tensor, and that scales scores."""

    def __init__(self, *, in_place, always=False):
        super().__init__()
        self.scores, self.in_place, self.always = nn.Linear(3, 2), in_place, always
        self.register_buffer("average", torch.zeros(()))

    def forward(self, inputs):
        scores = self.scores(inputs)
        if self.training or self.always:
            average = 0.9 * self.average + 0.1 * scores.detach().mean()
            if self.in_place:
                self.average.copy_(average)
            else:
                self.average = average
        return scores * (1 + self.average)
