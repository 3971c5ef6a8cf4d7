"""Generators of handwritten digits of 8 x 8 pixels, judged in the features of a classifier that is trained here."""

from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.spatial import KDTree
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from shapeofloss.adversarial.networks import perceptron
from shapeofloss.adversarial.penalty import Constraint, GradientPenalty
from shapeofloss.adversarial.quality import FAIR, frechet_distance, wasserstein
from shapeofloss.adversarial.toy_runs import adam
from shapeofloss.adversarial.training import NON_SATURATING, WASSERSTEIN, Objective, train
from shapeofloss.arrays import Floats, as_count, as_floats
from shapeofloss.datasets.digits import load_digits
from shapeofloss.distributions.clouds import as_cloud
from shapeofloss.distributions.mixtures import choices, normal, seeded_source
from shapeofloss.errors import UserError, unknown

PIXELS = 64
FEATURES = 32  # values of the classifier's last hidden layer
METHODS: dict[str, tuple[Objective, type[GradientPenalty] | None]] = {
    "non-saturating GAN": (NON_SATURATING, None),
    "WGAN-GP": (WASSERSTEIN, GradientPenalty),
}


def classifier(images: Tensor, labels: Tensor, *, steps: int, seed: int, batch: int = 128) -> nn.Sequential:
    """Return a perceptron 64-64-32-10 that is trained to tell digits apart, by Adam with weight decay.

    Args:
        images: Shape (N, 64).
        labels: Classes, 0 to 9, shape (N,).
        steps: Of training.
        seed: Of weights and batches.
        batch: Images of each step.
    """
    rng = seeded_source(seed)
    model = perceptron((images.shape[1], 64, FEATURES, 10), generator=rng)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2, fused=True)
    for _ in range(steps):
        rows = torch.randint(len(images), (batch,), generator=rng)
        optimizer.zero_grad()
        cross_entropy(model(images[rows]), labels[rows]).backward()
        optimizer.step()
    return model


def features(model: nn.Sequential, images: Tensor) -> Floats:
    """Return the values of a classifier's last hidden layer, after its activation, shape (N, 32)."""
    with torch.no_grad():
        return model[:-1](images).cpu().double().numpy()  # in this order: some devices have no double precision


def predictions(model: nn.Module, images: Tensor) -> np.ndarray:
    """Return the class with the highest score of each image, shape (N,)."""
    with torch.no_grad():
        return model(images).argmax(dim=1).cpu().numpy()


def classes_covered(labels: ArrayLike, *, classes: int = 10) -> int:
    """Count the classes that have at least a fifth of their fair share.

    Args:
        labels: Whole numbers from 0 to classes - 1.
        classes: Their number.
    Raises:
        UserError: If there is no label, or one is no such number.
    Example:
        >>> classes_covered([0, 0, 0, 1], classes=2), classes_covered([0] * 19 + [1], classes=2)
        (2, 1)
    """
    as_count(classes, "classes")
    found = as_floats(labels, "The list of labels", shape=("N",), empty=False)
    if (found != found.round()).any() or found.min() < 0 or found.max() >= classes:
        raise UserError(
            f"Labels reach from {found.min():g} to {found.max():g}; whole numbers from 0 to {classes - 1} are needed."
        )
    counts = np.bincount(found.astype(np.int64), minlength=classes)
    return int((counts >= FAIR * counts.sum() / classes).sum())


def digit_run(
    *,
    method: str,
    strength: float = 0.0,
    latent: int,
    width: int,
    steps: int,
    critic_steps: int,
    batch: int,
    rate: float,
    cosine: bool,
    checkpoints: int,
    train_images: int,
    classifier_steps: int,
    seed: int,
) -> dict[str, Any]:
    """Train a generator of digits, and measure its samples at checkpoints.

    Generator and critic are perceptrons with two hidden layers. The classifier whose features serve as a yardstick has
    been trained on the training images and their classes, which generator and critic never see.

    Args:
        method: One of `METHODS`.
        strength: lambda of WGAN-GP.
        latent: Dimension of the normal noise.
        width: Values of each hidden layer.
        steps, critic_steps, batch, cosine: As for `training.train`.
        rate: Learning rate of Adam for both players.
        checkpoints: How often samples are measured: evenly spread, the last after the last step, and once before all.
        train_images: Number of training images, at most 1,000.
        classifier_steps: Of the classifier.
        seed: Of everything.
    Returns:
        By name, for each checkpoint: "at", steps done; "value", the critic's own value between test images and samples;
        "frechet", the Frechet distance of their features; "wasserstein", the exact W_1 between their pixels; "classes"
        covered; "samples", shape (checkpoints + 1, 797, 64). For each step: "values", "norms", as in a `History`. For
        orientation: "accuracy" of the classifier on test images, and the same Frechet distance from "floor", as many
        training images (and "wasserstein_floor", W_1 from those); "gaussian", a normal law fitted to the training
        pixels; "mixture", ten normal laws fitted to them by EM; "noise", normal pixels, independent of each other, with
        the deviation of all the data.
    Raises:
        UserError: If there is no such method, or a training leaves the finite numbers.
    """
    if not isinstance(method, str) or method not in METHODS:
        raise unknown("method", method, METHODS)
    if as_count(steps, "steps") % as_count(checkpoints, "checkpoints"):
        raise UserError(f"{steps} steps cannot be divided into {checkpoints} equal parts for the checkpoints.")
    objective, kind = METHODS[method]
    constraint: Constraint | None = kind(strength) if kind else None
    data = load_digits(train=train_images, seed=seed).rows()
    images, labels, unseen, classes = data.train_images, data.train_labels, data.test_images, data.test_labels
    judge = classifier(images, labels, steps=classifier_steps, seed=seed)
    aim = features(judge, unseen)
    start = seeded_source(seed)
    generator = perceptron((latent, width, width, PIXELS), generator=start)
    critic = perceptron((PIXELS, width, width, 1), generator=start)
    prior = normal(latent)
    noise = prior(len(unseen), start)

    def watch(_done: int) -> dict[str, Any]:
        with torch.no_grad():
            made = generator(noise)
            value = -objective.critic_loss(critic(unseen).flatten(), critic(made).flatten()).item()
        covered = classes_covered(predictions(judge, made))
        return {
            "value": value,
            "frechet": frechet_distance(features(judge, made), aim),
            "wasserstein": wasserstein(made.numpy(), unseen.numpy()),
            "classes": covered,
            "samples": made.numpy(),
        }

    history = train(
        generator,
        critic,
        choices(images.numpy()),
        objective,
        steps=steps,
        optimizer=adam(rate),
        critic_steps=critic_steps,
        constraint=constraint,
        batch=batch,
        prior=prior,
        cosine=cosine,
        seed=seed,
        record_every=steps // checkpoints,
        watch=watch,
    )
    distance = partial(_distance, judge, aim)
    rng = np.random.default_rng(seed)
    count = min(len(unseen), len(images))
    pixels = images.double().numpy()
    fitted = rng.multivariate_normal(pixels.mean(0), np.cov(pixels, rowvar=False), len(unseen), method="svd")
    return {
        "at": history.at,
        **history.watched,
        "values": history.value,
        "norms": history.norm,
        "accuracy": float((predictions(judge, unseen) == classes.numpy()).mean()),
        "floor": distance(pixels[:count]),
        "wasserstein_floor": wasserstein(pixels[:count], unseen.numpy()),
        "gaussian": distance(fitted),
        "mixture": distance(_mixture(pixels, len(unseen), seed)),
        "noise": distance(rng.standard_normal((len(unseen), PIXELS))),
    }


def _distance(judge: nn.Sequential, aim: Floats, pixels: Floats) -> float:
    return frechet_distance(features(judge, torch.from_numpy(pixels).float()), aim)


def _mixture(pixels: Floats, count: int, seed: int) -> Floats:
    """Return points of a mixture of ten normal laws, one for each class if all goes well, fitted to images by EM."""
    from sklearn.mixture import GaussianMixture

    fitted = GaussianMixture(10, reg_covar=0.05, random_state=seed).fit(pixels)
    points: Floats = fitted.sample(count)[0]
    return points


def intrinsic_dimension(x: ArrayLike, *, neighbours: int = 10) -> float:
    r"""Estimate on how many-dimensional a set points lie, from how the distances to their neighbours grow.

    If about each point the number of points within r grows as r^m, then the mean of log(r_k / r_j) over the neighbours
    j < k is 1/m on average. These means are averaged over the points, so that 1/m has no bias:

    .. math:: \hat m^{-1} = \frac1N \sum_i \frac{1}{k - 1} \sum_{j<k} \log \frac{r_k(x_i)}{r_j(x_i)}

    Args:
        x: Shape (N, D), N above k, without equal points.
        neighbours: k, at least 2.
    Returns:
        The estimate of m. It comes out too low in many dimensions, where no sample is dense.
    Raises:
        UserError: If there are too few points, two are equal, or all neighbours are equally far.
    Source:
        Levina and Bickel, Maximum likelihood estimation of intrinsic dimension, 2004; averaged as MacKay and Ghahramani
        proposed. The lecture states that images lie near low-dimensional sets, and measures nothing.
    Example:
        >>> points = np.random.default_rng(0).random((500, 1)) * np.ones(5)
        >>> round(intrinsic_dimension(points), 1)
        1.0
    """
    cloud = as_cloud(x, "x")
    if as_count(neighbours, "neighbours", at_least=2) >= len(cloud):
        raise UserError(
            f"{len(cloud)} points are too few for {neighbours} neighbours of each: take more points than neighbours."
        )
    distances = KDTree(cloud).query(cloud, neighbours + 1)[0][:, 1:]
    if not distances.all():
        raise UserError("Two points are equal: leave out repetitions, whose distance 0 has no logarithm.")
    growth = np.log(distances[:, -1:] / distances[:, :-1]).mean()
    if not growth > 0:
        raise UserError("All neighbours are equally far, so that their distances do not grow: take more neighbours.")
    return float(1 / growth)
