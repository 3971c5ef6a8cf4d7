"""Reading properties of a network from the losses around its minimum: features, labels, and classifiers."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapeofloss.arrays import Floats, as_count, as_floats
from shapeofloss.errors import UserError

Labels = NDArray[np.int64]
FOLDS = 10  # section 4.2
KINDS = ("loss", "accuracy")


def features_of(samples: Sequence[Mapping[str, Any]]) -> Floats:
    """Return the losses of all points around each network, followed by their accuracies.

    Args:
        samples: For each of n networks `loss` and `accuracy` of its p points, shape (p,).
    Returns:
        Shape (n, 2 p).
    Raises:
        UserError: If there is no network, or one has other numbers of losses and accuracies.
    Source:
        Loss-landscape paper, section 4.2.
    """
    if not len(samples):
        raise UserError("There is no network to take features of.")
    points = len(samples[0]["loss"])
    rows = [
        [as_floats(sample[name], f"The {name} of network {n}", shape=(points,), finite=False) for name in KINDS]
        for n, sample in enumerate(samples)
    ]
    return np.array([np.concatenate(row) for row in rows])


def exchanged(features: Floats, seed: int) -> Floats:
    """Exchange the features between networks: each keeps its label, and gets the features of another, at random."""
    as_count(seed, "seed", at_least=0)
    return features[np.random.default_rng(seed).permutation(len(features))]


def scrambled(features: Floats, seed: int) -> Floats:
    """Put the points of each network into a random order of its own; each keeps its loss and accuracy together.

    Args:
        features: As of `features_of`, shape (n, 2 p).
        seed: Seed of the orders.
    Raises:
        UserError: If the features are no such table, or the seed is none.
    """
    features = as_floats(features, "features", shape=("n", "2 p"), finite=False, empty=False)
    if features.shape[1] % 2:
        raise UserError(f"features has shape {features.shape}; half of the columns are losses, half accuracies.")
    as_count(seed, "seed", at_least=0)
    generator = np.random.default_rng(seed)
    points = features.reshape(len(features), 2, -1)
    return np.stack([row[:, generator.permutation(points.shape[2])] for row in points]).reshape(features.shape)


def quantile_classes(values: Floats, *, classes: int = 5) -> Labels:
    """Cut values into classes of almost equal size, class 0 with the smallest.

    Args:
        values: Shape (n,); of equal ones, the earlier is the smaller.
        classes: At least 2.
    Returns:
        Shape (n,); the sizes of two classes differ by one at most.
    Raises:
        UserError: If a value is not finite, or there are fewer than two classes.
    Source:
        Loss-landscape paper, section 4.2, where values are test losses.
    Example:
        >>> quantile_classes(np.array([0.3, 0.1, 0.2, 0.4]), classes=2).tolist()
        [1, 0, 0, 1]
    """
    classes = as_count(classes, "classes", at_least=2)
    values = as_floats(values, "values", shape=("n",))
    ranks = np.argsort(np.argsort(values, kind="stable"))
    return np.asarray(ranks * classes // len(values), np.int64)


def classifiers(seed: int) -> dict[str, Any]:
    """Return eleven classifiers with scikit-learn's settings, none of them tuned.

    Where a method asks for comparable features, each one is brought to mean 0 and variance 1 first, over the networks
    that it learns from.

    Args:
        seed: Seed of the classifiers that draw random numbers.
    Source:
        Loss-landscape paper, section 4.2, which names none of its eleven.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression, RidgeClassifier
    from sklearn.naive_bayes import GaussianNB
    from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC
    from sklearn.tree import DecisionTreeClassifier

    scaled = {
        "nearest neighbours": KNeighborsClassifier(),
        "nearest centroid": NearestCentroid(),
        "logistic regression": LogisticRegression(max_iter=1000),
        "ridge": RidgeClassifier(),
        "linear discriminant": LinearDiscriminantAnalysis(),
        "support vectors, linear": SVC(kernel="linear"),
        "support vectors, Gaussian": SVC(),
    }
    plain = {
        "naive Bayes": GaussianNB(),
        "decision tree": DecisionTreeClassifier(random_state=seed),
        "random forest": RandomForestClassifier(random_state=seed),
        "extra trees": ExtraTreesClassifier(random_state=seed),
    }
    return {name: make_pipeline(StandardScaler(), each) for name, each in scaled.items()} | plain


def read_labels(*, features: Floats, labels: Labels, seed: int) -> dict[str, Any]:
    """Predict each network's label from its features, by eleven classifiers that have not seen the network.

    Args:
        features: Shape (n, p).
        labels: Classes, shape (n,), each at least twice.
        seed: Seed of the folds and of the classifiers.
    Returns:
        What the store keeps: `correct`, shape (classifiers, n), whether each prediction was right in the fold that left
        the network out; the folds hold the classes in nearly their overall shares.
    Raises:
        UserError: If the features are not finite, there is not one label for each row, there is a single class, or a
            class has one member only.
    Source:
        Loss-landscape paper, section 4.2: eleven classifiers, 10-fold cross-validation.
    """
    if not np.isfinite(as_floats(features, "features", finite=False)).all():
        raise UserError("Some features are not finite: leave out the networks whose losses are not.")
    if np.ndim(features) != 2 or np.shape(labels) != np.shape(features)[:1]:
        raise UserError(
            f"features has shape {np.shape(features)} and labels {np.shape(labels)}: one label for each row."
        )
    members = np.unique(labels, return_counts=True)[1]
    if len(members) < 2:
        raise UserError(f"The labels are of {len(members)} classes: two are needed at least, to be told apart.")
    smallest = int(members.min())
    if smallest < 2:
        raise UserError("A class has a single network: each class needs two at least, to learn from one of them.")
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    folds = StratifiedKFold(min(FOLDS, smallest), shuffle=True, random_state=seed)  # fewer for toy sizes only
    correct = []
    for model in classifiers(seed).values():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of those that do not converge, or find features alike: nothing is tuned
            correct.append(cross_val_predict(model, features, labels, cv=folds) == labels)
    return {"correct": np.array(correct)}
