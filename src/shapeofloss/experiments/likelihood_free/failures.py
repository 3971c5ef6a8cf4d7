"""What goes wrong with a GAN in practice: games on a line, saturated gradients on moons, and a GAN on digits.

Laws on the line are (m, sigma), or several of them for a mixture of equal parts, as in `variational`.
"""

import copy
import math
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.special import ndtri
from torch import Tensor, nn

from shapeofloss.adversarial.divergences import as_pair
from shapeofloss.adversarial.networks import perceptron
from shapeofloss.adversarial.quality import wasserstein
from shapeofloss.adversarial.training import GAN, NON_SATURATING, Objective, train, train_critic
from shapeofloss.adversarial.variational import line
from shapeofloss.arrays import Floats, as_count, as_floats, as_seeds
from shapeofloss.datasets.digits import load_digits
from shapeofloss.distributions.mixtures import choices, masses, normal, on_the_line, seeded_source
from shapeofloss.errors import UserError, unknown

OBJECTIVES: dict[str, Objective] = {"minimax": GAN, "non-saturating": NON_SATURATING}
CODES = 20001  # quantiles of the noise that stand for its law
REACH = 4.0  # of the bins on the line, whose outermost two have no outer edge


def _objective(name: str) -> Objective:
    if not isinstance(name, str) or name not in OBJECTIVES:
        raise unknown("objective", name, OBJECTIVES)
    return OBJECTIVES[name]


def _adam(rate: float) -> Any:
    return partial(torch.optim.Adam, lr=rate, betas=(0.5, 0.9), fused=True)


def _every(steps: int, records: int) -> int:
    """Return after how many steps to record, so that the last record comes after the last step."""
    if as_count(steps, "steps") % as_count(records, "records"):
        raise UserError(f"{steps} steps cannot be divided into {records} equal parts for the records.")
    return steps // records


def edges(bins: int) -> Floats:
    """Return the inner edges of bins on the line, equally wide from -4 to 4, shape (bins - 1,).

    Raises:
        UserError: If there are fewer than three bins.
    Example:
        >>> edges(4)
        array([-4.,  0.,  4.])
    """
    return np.linspace(-REACH, REACH, as_count(bins, "bins", at_least=3) - 1)


def mixture_masses(law: ArrayLike, bins: int) -> Floats:
    """Return the mass of a law in each bin, shape (bins,), exact.

    Example:
        >>> mixture_masses([0.0, 1.0], 4).round(3)
        array([0. , 0.5, 0.5, 0. ])
    """
    return masses([-np.inf, *edges(bins), np.inf], law)


def point_masses(x: ArrayLike, bins: int) -> Floats:
    """Return the share of points in each bin, shape (bins,).

    Raises:
        UserError: If there is no point, one is not finite, or there are fewer than three bins.
    """
    points = as_floats(x, "x", empty=False).ravel()
    return np.bincount(np.searchsorted(edges(bins), points), minlength=bins) / points.size


def optimal_value(pi: ArrayLike, p: ArrayLike) -> float:
    """Return V of two histograms at D* = pi / (pi + p), nats; bins that are empty in both count nothing.

    Raises:
        UserError: If one is no histogram, or the numbers of bins differ.
    Example:
        >>> optimal_value([1.0, 0.0], [0.0, 1.0]), round(optimal_value([0.5, 0.5], [0.5, 0.5]), 6)
        (0.0, -1.386294)
    """
    pi, p = as_pair(pi, p)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(pi > 0, pi * np.log(pi / (pi + p)), 0) + np.where(p > 0, p * np.log(p / (pi + p)), 0)
    return float(terms.sum())


def discriminator_on_line(
    *, data: ArrayLike, model: ArrayLike, width: int, steps: int, batch: int, rate: float, records: int, seed: int
) -> dict[str, Any]:
    """Train a discriminator between two fixed laws on the line, and take its value by quadrature as it learns.

    Args:
        data, model: pi and p.
        width: Values of each of two hidden layers, with SiLU between.
        steps, batch, rate: Of Adam, along half a cosine.
        records: How often, evenly spread, and once before.
        seed: Of everything.
    Returns:
        "at", steps done; "value", V(D) there in nats; "x", nodes; "answers", D at the nodes in the end.
    Raises:
        UserError: If steps cannot be divided evenly, or the training leaves the finite numbers.
    Source:
        WGAN lecture, slide "GAN optimality theorem".
    """
    laws = line(data, model, reach=8.0, count=2001)
    nodes = torch.as_tensor(laws.x, dtype=torch.float32)[:, None]
    critic = perceptron((1, width, width, 1), generator=seeded_source(seed), activation=nn.SiLU)

    @torch.no_grad()
    def scores() -> Floats:
        return critic(nodes)[:, 0].double().numpy()

    def watch(_: int) -> dict[str, Any]:
        return {"value": value_on_line(scores(), laws.x, laws.log_pi, laws.log_p)}

    history = train_critic(
        critic,
        on_the_line(data),
        on_the_line(model),
        GAN,
        steps=steps,
        optimizer=_adam(rate),
        batch=batch,
        cosine=True,
        seed=seed,
        record_every=_every(steps, records),
        watch=watch,
    )
    return {"at": history.at, **history.watched, "x": laws.x, "answers": 1 / (1 + np.exp(-scores()))}


def value_on_line(scores: Floats, x: Floats, log_pi: Floats, log_p: Floats) -> float:
    """Return the integral of pi log D + p log(1 - D), D = 1 / (1 + exp(-score)), on equidistant nodes, nats."""
    values = -np.exp(log_pi) * np.logaddexp(0, -scores) - np.exp(log_p) * np.logaddexp(0, scores)
    return float(values.sum() * (x[1] - x[0]))


def line_game(
    *,
    data: ArrayLike,
    objective: str,
    width: int,
    steps: int,
    critic_steps: int,
    batch: int,
    rate: float,
    records: int,
    bins: int,
    seed: int,
) -> dict[str, Any]:
    """Train a GAN on a law on the line, with everything that matters known at each checkpoint.

    Generator and discriminator are perceptrons with two hidden layers; noise is one normal number. Means over the data
    are taken by quadrature, and means over the generator's law over 20,001 quantiles of the noise, so that losses and
    values carry next to no noise of sampling.

    Args:
        data: pi.
        objective: `minimax` or `non-saturating`.
        width: Values of each hidden layer.
        steps, critic_steps, batch: As for `train`.
        rate: Of Adam, constant, for both.
        records: How often, evenly spread, and once before.
        bins: Of the histograms.
        seed: Of everything.
    Returns:
        For each checkpoint "at"; "value", V(D, G), nats; "generator_loss"; "masses", the generator's histogram, shape
        (records + 1, bins); "best", the value of the optimal discriminator between the two histograms, which is at
        most that between the laws themselves.
    Raises:
        UserError: If there is no such objective, steps cannot be divided evenly, or a training leaves the finite
            numbers.
    Source:
        WGAN lecture, slide after the GAN optimality theorem.
    """
    kind = _objective(objective)
    rng = seeded_source(seed)
    generator = perceptron((1, width, width, 1), generator=rng)
    critic = perceptron((1, width, width, 1), generator=rng)
    laws = line(data, data, reach=8.0, count=2001)
    nodes = torch.as_tensor(laws.x, dtype=torch.float32)[:, None]
    mass = np.exp(laws.log_pi) * (laws.x[1] - laws.x[0])
    codes = torch.as_tensor(ndtri((np.arange(CODES) + 0.5) / CODES), dtype=torch.float32)[:, None]
    target = mixture_masses(data, bins)

    @torch.no_grad()
    def watch(_: int) -> dict[str, Any]:
        x = generator(codes)
        fake, real = critic(x).double().numpy(), critic(nodes)[:, 0].double().numpy()
        own = point_masses(x.numpy(), bins)
        loss = np.logaddexp(0, -fake).mean() if kind is NON_SATURATING else -np.logaddexp(0, fake).mean()
        value = -(mass * np.logaddexp(0, -real)).sum() - np.logaddexp(0, fake).mean()
        return {"value": value, "generator_loss": loss, "masses": own, "best": optimal_value(target, own)}

    history = train(
        generator,
        critic,
        on_the_line(data),
        kind,
        steps=steps,
        optimizer=_adam(rate),
        critic_steps=critic_steps,
        batch=batch,
        prior=normal(1),
        seed=seed,
        record_every=_every(steps, records),
        watch=watch,
    )
    return {"at": history.at, **history.watched}


def half_circle(count: int, rng: torch.Generator) -> Tensor:
    """Return points of the upper half of the unit circle, without noise, shape (count, 2); a sampler."""
    angle = math.pi * torch.rand(count, generator=rng)
    return torch.stack([angle.cos(), angle.sin()], dim=1)


class Moon(nn.Module):
    """A generator with six parameters: an affine map of the half circle, at first the lower moon that interlocks."""

    def __init__(self) -> None:
        super().__init__()
        self.affine = nn.Linear(2, 2)
        with torch.no_grad():
            self.affine.weight.copy_(-torch.eye(2))
            self.affine.bias.copy_(torch.tensor([1.0, 0.5]))

    def forward(self, angle: Tensor) -> Tensor:
        """Return points, shape (N, 2), from angles in [0, pi], shape (N, 1)."""
        return self.affine(torch.cat([angle.cos(), angle.sin()], dim=1))


def saturation(*, width: int, steps: int, batch: int, rate: float, at: list[int], seed: int) -> dict[str, Any]:
    """Train a discriminator between two moons that do not touch, and watch what the generator could learn from it.

    Args:
        width: Values of each of two hidden layers.
        steps, batch, rate: Of Adam.
        at: After how many steps gradients are taken, rising, from 1 to `steps`.
        seed: Of everything.
    Returns:
        For each of them, in double precision: "minimax" and "non_saturating", norms of the gradient of the generator's
        loss with respect to its six parameters; "value" of the discriminator, nats. "accuracy" on 10,000 new points of
        each moon in the end; "data", "samples", 500 points of each; "probability", D at "grid", 60 x 60 points.
    Raises:
        UserError: If a step is out of range, or the training leaves the finite numbers.
    Source:
        WGAN lecture, slide "Informal theoretical results".
    """
    at = as_seeds(at, "at")
    if min(at) < 1 or max(at) > as_count(steps, "steps"):
        raise UserError(f"Gradients are wanted after {at} steps, of which there are {steps}.")
    rng = seeded_source(seed)
    critic, moon = perceptron((2, width, width, 1), generator=rng), Moon()

    def angles(count: int, rng: torch.Generator) -> Tensor:
        return math.pi * torch.rand(count, 1, generator=rng)

    def samples(count: int, rng: torch.Generator) -> Tensor:
        with torch.no_grad():
            return moon(angles(count, rng))

    even = math.pi * (torch.arange(1000).double()[:, None] + 0.5) / 1000
    real = torch.cat([even.cos(), even.sin()], dim=1)
    found: dict[str, list[float]] = {"minimax": [], "non_saturating": [], "value": []}

    def watch(done: int) -> dict[str, Any]:
        if done in at:
            precise, own = copy.deepcopy(critic).double(), copy.deepcopy(moon).double()
            fake = precise(own(even)).flatten()
            for name, kind in (("minimax", GAN), ("non_saturating", NON_SATURATING)):
                gradients = torch.autograd.grad(kind.generator_loss(fake), list(own.parameters()), retain_graph=True)
                found[name].append(math.hypot(*(value for g in gradients for value in g.flatten().tolist())))
            found["value"].append(-GAN.critic_loss(precise(real).flatten(), fake).item())
        return {}

    train_critic(
        critic,
        half_circle,
        samples,
        GAN,
        steps=steps,
        optimizer=_adam(rate),
        batch=batch,
        seed=seed,
        record_every=1,
        watch=watch,
    )
    ticks = torch.linspace(-1.5, 2.5, 60), torch.linspace(-1.0, 1.5, 60)
    grid = torch.cartesian_prod(*ticks)
    with torch.no_grad():
        correct = [(critic(half_circle(10_000, rng)) > 0).double(), (critic(samples(10_000, rng)) < 0).double()]
        probability = critic(grid).sigmoid().numpy()[:, 0]
    return {
        "at": np.array(at),
        **{name: np.array(values) for name, values in found.items()},
        "accuracy": torch.cat(correct).mean().item(),
        "data": half_circle(500, rng).numpy(),
        "samples": samples(500, rng).numpy(),
        "grid": grid.numpy(),
        "probability": probability,
    }


def digit_game(
    *,
    objective: str,
    codes: int,
    width: int,
    steps: int,
    critic_steps: int,
    batch: int,
    rate: float,
    records: int,
    samples: int,
    shown: int,
    seed: int,
) -> dict[str, Any]:
    """Train a GAN of perceptrons on digits of 8 x 8 pixels, and let an independent classifier sort its samples.

    The classifier, a support vector machine, and the GAN learn from the same 1000 digits.

    Args:
        objective: `minimax` or `non-saturating`.
        codes: Dimension of the noise.
        width: Values of each of two hidden layers.
        steps, critic_steps, batch: As for `train`.
        rate: Of Adam, constant, for both.
        records: How often, evenly spread, and once before.
        samples: Images that are sorted.
        shown: Images that are returned.
        seed: Of everything.
    Returns:
        For each checkpoint "at"; "shares" of the ten classes, shape (records + 1, 10); "wasserstein", exact, to
        equally many unseen digits, at most 797, pixels from 0 to 1. "floor", the same from the training digits;
        "accuracy" of the classifier on unseen digits; "data_shares", how it sorts those; "images", shape (shown, 64),
        in the end.
    Raises:
        UserError: If there is no such objective, steps cannot be divided evenly, or a training leaves the finite
            numbers.
    Source:
        WGAN lecture, slide after the GAN optimality theorem.
    """
    from sklearn.svm import SVC

    kind = _objective(objective)
    rng = seeded_source(seed)
    data = load_digits(train=1000, seed=seed).rows()
    x, unseen = data.train_images, data.test_images
    low, high = x.min(), x.max()
    x, unseen = (x - low) / (high - low), (unseen - low) / (high - low)
    classifier = SVC().fit(x.numpy(), data.train_labels.numpy())
    generator = nn.Sequential(*perceptron((codes, width, width, 64), generator=rng), nn.Sigmoid())
    critic = perceptron((64, width, width, 1), generator=rng)
    noise, compared = normal(codes)(samples, rng), min(samples, len(unseen))

    def shares(images: Tensor) -> Floats:
        return np.bincount(classifier.predict(images.numpy()), minlength=10) / len(images)

    def distance(images: Tensor) -> float:
        return wasserstein(images[:compared].numpy(), unseen[:compared].numpy())

    def watch(_: int) -> dict[str, Any]:
        with torch.no_grad():
            images = generator(noise)
        return {"shares": shares(images), "wasserstein": distance(images)}

    history = train(
        generator,
        critic,
        choices(x.numpy()),
        kind,
        steps=steps,
        optimizer=_adam(rate),
        critic_steps=critic_steps,
        batch=batch,
        prior=normal(codes),
        seed=seed,
        record_every=_every(steps, records),
        watch=watch,
    )
    with torch.no_grad():
        images = generator(noise[:shown]).numpy()
    return {
        "at": history.at,
        **history.watched,
        "accuracy": float(classifier.score(unseen.numpy(), data.test_labels.numpy())),
        "data_shares": shares(unseen),
        "floor": distance(x),
        "images": images,
    }
