"""The study of many networks: train a full factorial of them, and sample the loss around each, in one call.

The call is the same in a notebook, in the runner and from a shell (`python -m shapeofloss study`), on this machine or
on a cluster. What is stored already is not computed again.
"""

import itertools
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapeofloss.arrays import Floats, as_count, as_seeds
from shapeofloss.engine import compute, profiles
from shapeofloss.engine.checkpoints import Checkpoint
from shapeofloss.errors import UserError, unknown
from shapeofloss.landscape.minima import ImageSet, sample_minimum, train_minima
from shapeofloss.landscape.networks import Architecture

SAMPLINGS = ("jump_and_retrain", "grid", "naive")
NOTEBOOK = "106_reading_generalisation"  # whose numbers the study has
FACTORS = ("depth", "width", "batch", "weight_decay", "augment")
QUALITY = ("train_loss", "test_loss", "train_accuracy", "test_accuracy")
ONLY_DISTANCES = ("gram", "along", "coefficients")  # of a record: what nobody asks of a static sample


@dataclass(frozen=True)
class Levels:
    """The levels of each factor; every combination is trained with and without augmentation.

    Attributes:
        depths, widths: As for `networks.WideResNet`.
        batches: Images of a minibatch.
        weight_decays: As for `minima.train_minima`.
    """

    depths: Sequence[int]
    widths: Sequence[int]
    batches: Sequence[int]
    weight_decays: Sequence[float]

    def networks(self) -> list[dict[str, Any]]:
        """Return the settings of every combination, the last factor fastest.

        Source:
            Loss-landscape paper, section 4.1: 3 x 2 x 3 x 3 x 2 = 108 networks.
        Example:
            >>> networks = Levels([10, 16, 22], [1, 2], [8, 32, 128], [0, 1e-3, 5e-3]).networks()
            >>> len(networks), name_of(networks[0])
            (108, 'WRN 10-1, batch 8, weight decay 0, plain')
        """
        levels = (self.depths, self.widths, self.batches, self.weight_decays, (False, True))
        return [dict(zip(FACTORS, values, strict=True)) for values in itertools.product(*levels)]


@dataclass(frozen=True)
class Training:
    """What all networks of a study have in common.

    Attributes:
        base: Channels before widening, as for `networks.WideResNet`.
        epochs, learning_rate: As for `minima.train_minima`.
        train, data, evaluated, device: As for `minima.ImageSet`.
        together: Networks that are trained in one task; of no influence on a result.
    """

    base: int
    train: int
    epochs: int
    learning_rate: float
    data: str = "digits"
    evaluated: int | None = None
    device: str = "cpu"
    together: int = 6

    def where(self, network: Mapping[str, Any]) -> dict[str, Any]:
        """Return architecture and images of a network, as tasks take them."""
        return {
            "architecture": asdict(Architecture(network["depth"], network["width"], self.base)),
            "images": asdict(ImageSet(self.train, data=self.data, evaluated=self.evaluated, device=self.device)),
        }

    def resources(self) -> dict[str, float] | None:
        """Return what a worker of a cluster has to offer."""
        return {"GPU": 1} if self.device != "cpu" else None


@dataclass(frozen=True)
class Sampling:
    """How the loss around a network is sampled.

    Attributes:
        retrain_rate, jump_seeds, steps, states: Learning rate, directions, lengths and recorded states of jump and
            retrain, which goes on with a network's own batch size, weight decay and augmentation.
        counts, directions: Points along each axis of the grid, and number of naive directions.
        held_out: Test images whose loss is recorded along the retraining.
    """

    retrain_rate: float
    jump_seeds: Sequence[int]
    steps: Sequence[float]
    states: int
    counts: Sequence[int] = (8, 8, 10)
    directions: int = 160
    held_out: int = 0

    def options(self, sampling: str, network: Mapping[str, Any]) -> dict[str, Any]:
        """Return what `minima.sample_minimum` takes for a sampling around a network."""
        if sampling == "grid":
            return {"counts": list(self.counts)}
        if sampling == "naive":
            return {"seeds": list(range(self.directions)), "steps": list(self.steps)}
        return {
            **{name: network[name] for name in ("batch", "weight_decay", "augment")},
            **{"seeds": list(self.jump_seeds), "steps": list(self.steps), "epochs": self.states},
            **{"learning_rate": self.retrain_rate, "held_out": self.held_out},
        }


@dataclass(frozen=True, eq=False)
class Study:
    """Networks at their minima, with what was sampled around them.

    Attributes:
        training: What they have in common.
        networks: The settings of each network whose training and samplings came to an end.
        parameters: The parameters of each at its minimum, shape (P,).
        optimum: By name (`train_loss`, `test_loss` in nats, `train_accuracy`, `test_accuracy` in [0, 1]) one value for
            each network, shape (n,).
        samples: By sampling, what `sample_network` gave for each network.
        failures: A sentence for each network that did not come to an end.
    """

    training: Training
    networks: list[dict[str, Any]]
    parameters: list[NDArray[np.float32]]
    optimum: dict[str, Floats]
    samples: dict[str, list[dict[str, Any]]]
    failures: list[str]


def run(
    *,
    seed: int,
    levels: Levels,
    training: Training,
    sampling: Sampling,
    samplings: Sequence[str] = SAMPLINGS,
    only: Sequence[int] | None = None,
    cluster: str | None = None,
) -> Study:
    """Train every combination of the levels, and sample the loss around each minimum.

    Args:
        seed: Seed of the initial weights, minibatches and augmentation of every network.
        levels, training, sampling: The numbers of the study.
        samplings: Which ones; one of them around one network is a task.
        only: Places in the factorial of the networks to sample around; None for all. All are trained.
        cluster: As for `compute.map`.
    Returns:
        The study; networks that failed are left out, and named in `failures`.
    Raises:
        UserError: If a sampling or a place is unknown, or a number or seed is none; as for `compute.map`.
    Source:
        Loss-landscape paper, sections 4.1 and 4.2.
    """
    _check(seed, training, sampling, samplings)
    networks = levels.networks()
    wanted = range(len(networks)) if only is None else only
    for place in wanted:
        as_count(place, "An entry of only", at_least=0, at_most=len(networks) - 1)
    trained = _trained(networks, seed, training, cluster)
    failures = {
        place: f"{name_of(networks[place])}: the loss is not finite in epoch {epoch} of the training."
        for place in wanted
        if (epoch := trained[place]["diverged"])
    }
    tasks = {
        (place, name): {
            **training.where(networks[place]),
            **sampling.options(name, networks[place]),
            **{"sampling": name, "parameters": trained[place]["parameters"], "name": name_of(networks[place])},
        }
        for place in wanted
        for name in samplings
        if place not in failures
    }
    results = compute.map(
        sample_network, tasks.values(), cluster, label="samples of networks", resources=training.resources()
    )
    by_task = dict(zip(tasks, results, strict=True))
    failures |= {place: result["failure"] for (place, _), result in by_task.items() if "failure" in result}
    done = [place for place in wanted if place not in failures]
    return Study(
        training=training,
        networks=[networks[place] for place in done],
        parameters=[trained[place]["parameters"] for place in done],
        optimum={name: np.array([trained[place][name] for place in done]) for name in QUALITY},
        samples={name: [by_task[place, name] for place in done] for name in samplings},
        failures=[failures[place] for place in sorted(failures)],
    )


def _check(seed: int, training: Training, sampling: Sampling, samplings: Sequence[str]) -> None:
    """Refuse numbers before anything runs that would be of no use only after hours."""
    as_count(seed, "seed", at_least=0)
    as_seeds(sampling.jump_seeds, "jump_seeds")
    as_count(sampling.directions, "directions")
    as_count(training.together, "together")
    for name in samplings:
        if not isinstance(name, str) or name not in SAMPLINGS:
            raise unknown("sampling", name, SAMPLINGS)


def _trained(
    networks: list[dict[str, Any]], seed: int, training: Training, cluster: str | None
) -> list[dict[str, Any]]:
    """Train networks, some that differ in weight decay and augmentation only in one task; return a result for each."""
    alike = defaultdict(list)
    for place, network in enumerate(networks):
        alike[network["depth"], network["width"], network["batch"]].append(place)
    step = training.together
    groups = [places[start : start + step] for places in alike.values() for start in range(0, len(places), step)]
    tasks = [
        {
            **training.where(networks[group[0]]),
            **{"epochs": training.epochs, "learning_rate": training.learning_rate, "keep_going": True},
            "batch": networks[group[0]]["batch"],
            "networks": [
                {"seed": seed, **{name: networks[place][name] for name in ("weight_decay", "augment")}}
                for place in group
            ],
        }
        for group in groups
    ]
    parts = compute.map(train_minima, tasks, cluster, label="trainings", resources=training.resources())
    by_place = {
        place: {name: part[name][row] for name in ("parameters", "diverged", *QUALITY)}
        for part, group in zip(parts, groups, strict=True)
        for row, place in enumerate(group)
    }
    return [by_place[place] for place in range(len(networks))]


def sample_network(*, name: str, checkpoint: Checkpoint | None = None, **arguments: Any) -> dict[str, Any]:
    """Sample the loss around a network as by `sample_minimum`; a loss that is not finite is a result, too.

    Args:
        name: What the network is called in a message.
        checkpoint: As for `sample_minimum`.
        arguments: Arguments of `sample_minimum`.
    Returns:
        What the store keeps: the arrays of the record, without inner products for other samplings than jump and
        retrain; or `failure`, a sentence.
    """
    try:
        result = sample_minimum(checkpoint=checkpoint, probes=(), **arguments)
    except UserError as error:
        return {"failure": f"{name}: {error}"}
    if arguments["sampling"] == "jump_and_retrain":
        return result
    return {key: value for key, value in result.items() if key not in ONLY_DISTANCES}


def around(
    study: Study,
    task: Callable[..., dict[str, Any]],
    *,
    places: Sequence[int] | None = None,
    cluster: str | None = None,
    **settings: Any,
) -> dict[str, Floats]:
    """Measure something at every minimum of a study, such as `curvature.curvature`.

    Args:
        study: The networks.
        task: Function of a network's `parameters`, `architecture` and `images`, and of the settings.
        places: Places in the study of the networks that are wanted; all if None.
        cluster: As for `compute.map`.
        settings: Those arguments of the task that all share.
    Returns:
        By name what the task gave for each network, shape (n, ...).
    Raises:
        UserError: If there is no network, or none at a place; as for `compute.map`.
    """
    wanted = range(len(study.networks)) if places is None else places
    if not len(wanted):
        raise UserError("There is no network to measure anything of: no training came to an end, or no place is given.")
    for place in wanted:
        as_count(place, "An entry of places", at_least=0, at_most=len(study.networks) - 1)
    tasks = [
        {**settings, **study.training.where(study.networks[place]), "parameters": study.parameters[place]}
        for place in wanted
    ]
    parts = compute.map(task, tasks, cluster, label=f"networks: {task.__name__}".replace("_", " "))
    return {name: np.array([part[name] for part in parts]) for name in parts[0]}


def name_of(network: Mapping[str, Any]) -> str:
    """Return what a network is called in a message or a table."""
    shown = "augmented" if network["augment"] else "plain"
    return (
        f"WRN {network['depth']}-{network['width']}, batch {network['batch']}, "
        f"weight decay {network['weight_decay']:g}, {shown}"
    )


def balanced_third(networks: Sequence[Mapping[str, Any]]) -> list[int]:
    """Return the places of a third of a full factorial in which every pair of the other factors' levels occurs.

    A Latin square: the level of the batch is fixed by the sum of the levels of the other factors.

    Args:
        networks: A full factorial, with three sizes of batches.
    Raises:
        UserError: If the batch has another number of sizes.
    """
    levels = {name: list(dict.fromkeys(network[name] for network in networks)) for name in FACTORS}
    if len(levels["batch"]) != 3:
        raise UserError(f"batch has {len(levels['batch'])} levels: a third needs a factor with three.")
    ranks = [{name: levels[name].index(network[name]) for name in FACTORS} for network in networks]
    return [place for place, rank in enumerate(ranks) if (sum(rank.values()) - 2 * rank["batch"]) % 3 == 0]


def summary(study: Study) -> str:
    """Return how many networks came to an end, how good they are, and a line on each of the others."""
    loss, accuracy = study.optimum["test_loss"], study.optimum["test_accuracy"]
    lines = [f"{len(study.networks)} networks are trained and sampled, {len(study.failures)} are not."]
    if len(loss):
        lines.append(
            f"Test loss {loss.min():.3f} to {loss.max():.3f} nats, test accuracy {100 * accuracy.min():.1f} to "
            f"{100 * accuracy.max():.1f}%."
        )
    return "\n".join([*lines, *study.failures])


def numbers(profile: str) -> dict[str, Any]:
    """Return the arguments of `run` at a profile."""
    values = profiles.load()[NOTEBOOK].at(profile)
    parts = {"levels": Levels, "training": Training, "sampling": Sampling}
    given = {
        part: kind(**{each.name: values[each.name] for each in fields(kind) if each.name in values})
        for part, kind in parts.items()
    }
    return {"seed": values["seed"], **given}
