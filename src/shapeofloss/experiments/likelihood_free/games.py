"""What goes wrong with a GAN in practice: games on a line, where everything is known, and a GAN on digits.

A distribution on the line is (m, sigma), or several of them for a mixture of equal parts, as in `mixtures`.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.special import ndtri
from torch import Tensor, nn

from shapeofloss.adversarial.densities import critic_bound, densities
from shapeofloss.adversarial.divergences import GAN_DIVERGENCE, divergence
from shapeofloss.adversarial.history import Watch
from shapeofloss.adversarial.networks import perceptron
from shapeofloss.adversarial.objectives import MINIMAX
from shapeofloss.adversarial.quality import wasserstein
from shapeofloss.adversarial.training import Schedule, adam, train, train_critic
from shapeofloss.arrays import Floats, as_count, as_floats, as_interval
from shapeofloss.datasets.digits import load_digits
from shapeofloss.distributions.mixtures import choices, masses, normal, on_the_line, seeded_source

CODES = 20001  # quantiles of the noise that stand for its distribution
REACH = 4.0  # of the bins on the line, whose outermost two have no outer edge


def edges(bins: int) -> Floats:
    """Return the inner edges of bins on the line, equally wide from -4 to 4, shape (bins - 1,).

    Raises:
        UserError: If there are fewer than three bins.
    Example:
        >>> edges(4)
        array([-4.,  0.,  4.])
    """
    return np.linspace(-REACH, REACH, as_count(bins, "bins", at_least=3) - 1)


def mixture_masses(mixture: ArrayLike, bins: int) -> Floats:
    """Return the mass of a mixture in each bin, shape (bins,), exact.

    Example:
        >>> mixture_masses([0.0, 1.0], 4).round(3)
        array([0. , 0.5, 0.5, 0. ])
    """
    return masses([-np.inf, *edges(bins), np.inf], mixture)


def point_masses(x: ArrayLike, bins: int) -> Floats:
    """Return the share of points in each bin, shape (bins,).

    Raises:
        UserError: If there is no point, one is not finite, or there are fewer than three bins.
    """
    points = as_floats(x, "x", empty=False).ravel()
    return np.bincount(np.searchsorted(edges(bins), points), minlength=bins) / points.size


def discriminator_on_line(
    *, data: ArrayLike, model: ArrayLike, width: int, steps: int, batch: int, rate: float, records: int, seed: int
) -> dict[str, Any]:
    """Train a discriminator between two fixed distributions on the line, and take its value by quadrature.

    Args:
        data, model: pi and p.
        width: Values of each of two hidden layers, with SiLU between.
        steps, batch, rate: Steps, batch size and learning rate of Adam, along half a cosine.
        records: How often values are taken, evenly spread, and once before.
        seed: Seed of weights and batches.
    Returns:
        "at", steps done; "value", V(D) there in nats; "x", nodes; "answers", D at the nodes in the end.
    Raises:
        UserError: If steps cannot be divided evenly, or the training leaves the finite numbers.
    Source:
        WGAN lecture, slide "GAN optimality theorem".
    """
    both = densities(data, model, reach=8.0, count=2001)
    nodes = torch.as_tensor(both.x, dtype=torch.float32)[:, None]
    critic = perceptron((1, width, width, 1), generator=seeded_source(seed), activation=nn.SiLU)

    @torch.no_grad()
    def scores() -> Floats:
        return critic(nodes)[:, 0].double().numpy()

    watch = Watch(lambda _: {"value": critic_bound("gan", scores(), both)}, as_interval(steps, records, "records"))
    fixed = on_the_line(data), on_the_line(model)
    schedule = Schedule(steps, seed, batch, cosine=True)
    history = train_critic(critic, *fixed, MINIMAX, schedule, optimizer=adam(rate), watch=watch)
    return {"at": history.at, **history.watched, "x": both.x, "answers": 1 / (1 + np.exp(-scores()))}


def line_game(
    *,
    data: ArrayLike,
    width: int,
    steps: int,
    critic_steps: int,
    batch: int,
    rate: float,
    records: int,
    bins: int,
    seed: int,
) -> dict[str, Any]:
    """Train a minimax GAN on a distribution on the line, with everything that matters known at each checkpoint.

    Generator and discriminator are perceptrons with two hidden layers; noise is one normal number. Means over the data
    are taken by quadrature, and means over the generator's points over 20,001 quantiles of the noise, so that losses
    and values carry next to no noise of sampling.

    Args:
        data: pi.
        width: Values of each hidden layer.
        steps, critic_steps, batch: As for a `Schedule`.
        rate: Learning rate of Adam, constant, for both.
        records: How many checkpoints there are, evenly spread, beside one before the first step.
        bins: Number of bins of the histograms.
        seed: Seed of weights, noise and batches.
    Returns:
        For each checkpoint "at"; "value", V(D, G), nats; "generator_loss"; "masses", the generator's histogram, shape
        (records + 1, bins); "best", the value of the optimal discriminator between the two histograms, which is at
        most that between the distributions themselves.
    Raises:
        UserError: If steps cannot be divided evenly, or a training leaves the finite numbers.
    Source:
        WGAN lecture, slide after the GAN optimality theorem.
    """
    start = seeded_source(seed)
    generator = perceptron((1, width, width, 1), generator=start)
    critic = perceptron((1, width, width, 1), generator=start)
    both = densities(data, data, reach=8.0, count=2001)
    nodes = torch.as_tensor(both.x, dtype=torch.float32)[:, None]
    weights = np.exp(both.log_pi) * (both.x[1] - both.x[0])
    codes = torch.as_tensor(ndtri((np.arange(CODES) + 0.5) / CODES), dtype=torch.float32)[:, None]
    target = mixture_masses(data, bins)

    @torch.no_grad()
    def look(_: int) -> dict[str, Any]:
        x = generator(codes)
        fake, real = critic(x).double().numpy(), critic(nodes)[:, 0].double().numpy()
        loss = -np.logaddexp(0, fake).mean()  # log(1 - D)
        value = loss - (weights * np.logaddexp(0, -real)).sum()
        made = point_masses(x.numpy(), bins)
        return {
            "value": value,
            "generator_loss": loss,
            "masses": made,
            "best": divergence(GAN_DIVERGENCE, target, made),
        }

    history = train(
        generator,
        critic,
        on_the_line(data),
        MINIMAX,
        Schedule(steps, seed, batch, critic_steps),
        optimizer=adam(rate),
        prior=normal(1),
        watch=Watch(look, as_interval(steps, records, "records")),
    )
    return {"at": history.at, **history.watched}


def digit_game(
    *,
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
    """Train a minimax GAN of perceptrons on digits of 8 x 8 pixels, and let a classifier sort its samples.

    The classifier, a support vector machine, and the GAN learn from the same 1000 digits.

    Args:
        codes: Dimension of the noise.
        width: Values of each of two hidden layers.
        steps, critic_steps, batch: As for a `Schedule`.
        rate: Learning rate of Adam, constant, for both.
        records: How many checkpoints there are, evenly spread, beside one before the first step.
        samples: Number of images that are sorted.
        shown: Number of images that are returned.
        seed: Seed of digits, weights, noise and batches.
    Returns:
        For each checkpoint "at"; "shares" of the ten classes, shape (records + 1, 10); "wasserstein", exact, to
        equally many unseen digits, at most 797, pixels from 0 to 1. "floor", the same from the training digits;
        "accuracy" of the classifier on unseen digits; "images", shape (shown, 64), in the end.
    Raises:
        UserError: If steps cannot be divided evenly, or a training leaves the finite numbers.
    Source:
        WGAN lecture, slide after the GAN optimality theorem.
    """
    from sklearn.svm import SVC

    start, prior = seeded_source(seed), normal(codes)
    data = load_digits(train=1000, seed=seed).rows()
    low, high = data.train_images.min(), data.train_images.max()
    x, unseen = ((images - low) / (high - low) for images in (data.train_images, data.test_images))
    classifier = SVC().fit(x.numpy(), data.train_labels.numpy())
    generator = nn.Sequential(*perceptron((codes, width, width, 64), generator=start), nn.Sigmoid())
    critic = perceptron((64, width, width, 1), generator=start)
    noise, compared = prior(samples, start), min(samples, len(unseen))

    def distance(images: Tensor) -> float:
        return wasserstein(images[:compared].numpy(), unseen[:compared].numpy())

    @torch.no_grad()
    def look(_: int) -> dict[str, Any]:
        images = generator(noise)
        shares = np.bincount(classifier.predict(images.numpy()), minlength=10) / len(images)
        return {"shares": shares, "wasserstein": distance(images), "images": images[:shown]}

    history = train(
        generator,
        critic,
        choices(x),
        MINIMAX,
        Schedule(steps, seed, batch, critic_steps),
        optimizer=adam(rate),
        prior=prior,
        watch=Watch(look, as_interval(steps, records, "records")),
    )
    return {
        "at": history.at,
        **history.watched,
        "images": history.watched["images"][-1],
        "floor": distance(x),
        "accuracy": float(classifier.score(unseen.numpy(), data.test_labels.numpy())),
    }
