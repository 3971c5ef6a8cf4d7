"""Generators of handwritten digits of 8 x 8 pixels, judged in the features of a classifier that is trained here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from shapeofloss.adversarial.history import Watch
from shapeofloss.adversarial.networks import perceptron
from shapeofloss.adversarial.quality import FAIR, frechet_distance, wasserstein
from shapeofloss.adversarial.toy_runs import method_named
from shapeofloss.adversarial.training import Schedule, adam, train
from shapeofloss.arrays import Floats, as_count, as_floats, as_interval
from shapeofloss.datasets.digits import Images, load_digits
from shapeofloss.distributions.mixtures import choices, normal, seeded_source
from shapeofloss.errors import UserError

PIXELS = 64
FEATURES = 32  # values of the classifier's last hidden layer


def classifier(images: Tensor, labels: Tensor, *, steps: int, seed: int) -> nn.Sequential:
    """Return a perceptron 64-64-32-10 that is trained to tell digits apart, by Adam with weight decay.

    Args:
        images: Shape (N, 64).
        labels: Classes, 0 to 9, shape (N,).
        steps: Steps of training, on 128 images each.
        seed: Seed of weights and batches.
    """
    source = seeded_source(seed)
    model = perceptron((images.shape[1], 64, FEATURES, 10), generator=source)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2, fused=True)
    for _ in range(steps):
        rows = torch.randint(len(images), (128,), generator=source)
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
    numbers = as_floats(labels, "The list of labels", shape=("N",), empty=False)
    if (numbers != numbers.round()).any() or numbers.min() < 0 or numbers.max() >= classes:
        raise UserError(
            f"Labels reach from {numbers.min():g} to {numbers.max():g}; "
            f"whole numbers from 0 to {classes - 1} are needed."
        )
    counts = np.bincount(numbers.astype(np.int64), minlength=classes)
    return int((counts >= FAIR * counts.sum() / classes).sum())


@dataclass(frozen=True, eq=False)
class Judge:
    """A classifier in whose features images are compared with test images.

    Attributes:
        classifier: Trained on training images.
        aim: Features of the test images, shape (N, 32).
    """

    classifier: nn.Sequential
    aim: Floats

    def distance(self, pixels: Tensor | Floats) -> float:
        """Return the Frechet distance of the features of images, shape (M, 64), from those of the test images."""
        return frechet_distance(features(self.classifier, torch.as_tensor(pixels, dtype=torch.float32)), self.aim)


def digit_run(
    *,
    method: str,
    strength: float = 0.0,
    latent: int,
    width: int,
    schedule: Mapping[str, Any],
    rate: float,
    checkpoints: int,
    train_images: int,
    classifier_steps: int,
    seed: int,
) -> dict[str, Any]:
    """Train a generator of digits, and measure its samples at checkpoints.

    Generator and critic are perceptrons with two hidden layers. The classifier whose features serve as a yardstick has
    been trained on the training images and their classes, which generator and critic never see.

    Args:
        method: One of `toy_runs.METHODS`.
        strength: c of WGAN, lambda of WGAN-GP.
        latent: Dimension of the normal noise.
        width: Values of each hidden layer.
        schedule: What a `Schedule` holds, without the seed.
        rate: Learning rate of Adam for both players.
        checkpoints: How often samples are measured: evenly spread, the last after the last step, and once before all.
        train_images: Number of training images, at most 1,000.
        classifier_steps: Steps of the classifier.
        seed: Seed of the split, of weights, batches and references.
    Returns:
        By name, for each checkpoint: "at", steps done; "value", the critic's own value between test images and samples;
        "frechet", the Frechet distance of their features; "wasserstein", the exact W_1 between their pixels; "classes"
        covered; "samples", shape (checkpoints + 1, 797, 64). For each step: "values", "norms", as in a `History`. For
        orientation: "accuracy" of the classifier on test images, and what `references` returns.
    Raises:
        UserError: If there is no such method, or a training leaves the finite numbers.
    """
    way, plan = method_named(method), Schedule(**schedule, seed=seed)
    data, prior = load_digits(train=train_images, seed=seed).rows(), normal(latent)
    unseen = data.test_images
    yardstick = classifier(data.train_images, data.train_labels, steps=classifier_steps, seed=seed)
    judge = Judge(yardstick, features(yardstick, unseen))
    start = seeded_source(seed)
    generator = perceptron((latent, width, width, PIXELS), generator=start)
    critic = perceptron((PIXELS, width, width, 1), generator=start)
    noise = prior(len(unseen), start)

    @torch.no_grad()
    def look(_: int) -> dict[str, Any]:
        made = generator(noise)
        return {
            "value": -way.objective.critic_loss(critic(unseen).flatten(), critic(made).flatten()),
            "frechet": judge.distance(made),
            "wasserstein": wasserstein(made.numpy(), unseen.numpy()),
            "classes": classes_covered(predictions(yardstick, made)),
            "samples": made.numpy(),
        }

    history = train(
        generator,
        critic,
        choices(data.train_images),
        way.objective,
        plan,
        optimizer=adam(rate),
        constraint=way.held(strength),
        prior=prior,
        watch=Watch(look, as_interval(plan.steps, checkpoints, "checkpoints")),
    )
    return {
        "at": history.at,
        **history.watched,
        "values": history.value,
        "norms": history.norm,
        "accuracy": float((predictions(yardstick, unseen) == data.test_labels.numpy()).mean()),
        **references(judge, data, seed),
    }


def references(judge: Judge, data: Images, seed: int) -> dict[str, float]:
    """Return how far from the test images are samples that took no adversarial training.

    Returns:
        Frechet distances: "floor" of as many training images, "gaussian" of a normal distribution fitted to the
        training pixels, "mixture" of ten fitted to them by EM, one for each class if all goes well, and "noise" of
        normal pixels, independent of each other, with the deviation of all the data. "wasserstein_floor", W_1 from the
        training images.
    """
    from sklearn.mixture import GaussianMixture

    generator = np.random.default_rng(seed)
    count = len(data.test_images)
    pixels = data.train_images.double().numpy()
    known = pixels[:count]
    gaussian = generator.multivariate_normal(pixels.mean(0), np.cov(pixels, rowvar=False), count, method="svd")
    mixture = GaussianMixture(10, reg_covar=0.05, random_state=seed).fit(pixels)
    return {
        "floor": judge.distance(known),
        "wasserstein_floor": wasserstein(known, data.test_images.numpy()),
        "gaussian": judge.distance(gaussian),
        "mixture": judge.distance(mixture.sample(count)[0]),
        "noise": judge.distance(generator.standard_normal((count, PIXELS))),
    }
