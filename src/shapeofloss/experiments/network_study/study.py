"""The study of many networks: train a full factorial of them, and sample the loss around each, in one call.

The call is the same in a notebook, in the runner and from a shell (`python -m shapeofloss study`), on this machine or
on a cluster. What is stored already is not computed again.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapeofloss.arrays import as_count, as_seeds
from shapeofloss.engine import compute, profiles
from shapeofloss.errors import UserError, unknown
from shapeofloss.experiments.network_study.zoo import factorial, name_of, sample_network
from shapeofloss.landscape.minima import train_minima

SAMPLINGS = ("jump_and_retrain", "grid", "naive")
NOTEBOOK = "106_reading_generalisation"  # whose numbers the study has


@dataclass(frozen=True, eq=False)
class Study:
    """Networks at their minima, with what was sampled around them.

    Attributes:
        networks: The settings of each network whose training and samplings came to an end.
        parameters: Of each at its minimum, shape (P,).
        optimum: By name (`train_loss`, `test_loss` in nats, `train_accuracy`, `test_accuracy` in [0, 1]) one value for
            each network, shape (n,).
        samples: By sampling, what `sample_network` gave for each network.
        failures: A sentence for each network that did not come to an end.
    """

    networks: list[dict[str, Any]]
    parameters: list[NDArray[np.float32]]
    optimum: dict[str, NDArray[np.float64]]
    samples: dict[str, list[dict[str, Any]]]
    failures: list[str]


def run(
    *,
    seed: int,
    depths: Sequence[int],
    widths: Sequence[int],
    batches: Sequence[int],
    weight_decays: Sequence[float],
    base: int,
    train: int,
    epochs: int,
    learning_rate: float,
    retrain_rate: float,
    jump_seeds: Sequence[int],
    steps: Sequence[float],
    states: int,
    counts: Sequence[int] = (8, 8, 10),
    directions: int = 160,
    held_out: int = 0,
    evaluated: int | None = None,
    together: int = 6,
    data: str = "digits",
    device: str = "cpu",
    samplings: Sequence[str] = SAMPLINGS,
    only: Sequence[int] | None = None,
    cluster: str | None = None,
) -> Study:
    """Train every combination of the settings, and sample the loss around each minimum.

    Args:
        seed: Of the initial weights, minibatches and augmentation of every network.
        depths, widths, batches, weight_decays: The levels; each combination is trained with and without augmentation.
        base, train, epochs, learning_rate, data, device: As for `minima.train_minima`.
        retrain_rate, jump_seeds, steps, states: Of jump and retrain, which goes on with a network's own batch size,
            weight decay and augmentation.
        counts, directions: Of the grid and of naive sampling.
        held_out: Test images whose loss is recorded along the retraining.
        evaluated: As for `minima.sample_minimum`.
        together: Networks that are trained in one task; of no influence on a result. One of the samplings around a
            network always is a task.
        samplings: Which ones.
        only: Places in the factorial of the networks to sample around; None for all. All are trained.
        cluster: As for `compute.map`.
    Returns:
        The study; networks that failed are left out, and named in `failures`.
    Raises:
        UserError: If a sampling or a place is unknown, or a number or seed is none; as for `compute.map`.
    Source:
        Loss-landscape paper, sections 4.1 and 4.2.
    """
    as_count(seed, "seed", at_least=0)
    as_seeds(jump_seeds, "jump_seeds")
    as_count(directions, "directions")
    as_count(together, "together")
    for sampling in samplings:
        if not isinstance(sampling, str) or sampling not in SAMPLINGS:
            raise unknown("sampling", sampling, SAMPLINGS)
    networks = factorial(depths=depths, widths=widths, batches=batches, weight_decays=weight_decays)
    for place in () if only is None else only:
        as_count(place, "An entry of only", at_least=0, at_most=len(networks) - 1)
    common = {"base": base, "train": train, "data_seed": 0, "data": data, "device": device}
    resources = {"GPU": 1} if device != "cpu" else None
    first = {**common, "epochs": epochs, "learning_rate": learning_rate, "keep_going": True}
    found = _trained(networks, seed, first, together, cluster, resources)
    failures = {
        place: f"{name_of(network)}: the loss is not finite in epoch {found['diverged'][place]} of the training."
        for place, network in enumerate(networks)
        if found["diverged"][place]
    }
    wanted = range(len(networks)) if only is None else only
    failures = {place: sentence for place, sentence in failures.items() if place in wanted}
    going = [place for place in wanted if place not in failures]
    options: dict[str, dict[str, Any]] = {
        "jump_and_retrain": {
            "seeds": list(jump_seeds),
            "steps": list(steps),
            "epochs": states,
            "learning_rate": retrain_rate,
            "held_out": held_out,
        },
        "grid": {"counts": list(counts)},
        "naive": {"seeds": list(range(directions)), "steps": list(steps)},
    }
    tasks = {
        (place, sampling): {
            **common,
            **{name: networks[place][name] for name in ("depth", "width")},
            **(retraining(networks[place]) if sampling == "jump_and_retrain" else {}),
            **options[sampling],
            "sampling": sampling,
            "evaluated": evaluated,
            "parameters": found["parameters"][place],
            "name": name_of(networks[place]),
        }
        for place in going
        for sampling in samplings
    }
    results = compute.map(sample_network, tasks.values(), cluster, label="samples of networks", resources=resources)
    by_task = dict(zip(tasks, results, strict=True))
    failures |= {place: result["failure"] for (place, _), result in by_task.items() if "failure" in result}
    done = [place for place in going if place not in failures]
    names = ("train_loss", "test_loss", "train_accuracy", "test_accuracy")
    return Study(
        networks=[networks[place] for place in done],
        parameters=[found["parameters"][place] for place in done],
        optimum={name: np.array([found[name][place] for place in done]) for name in names},
        samples={sampling: [by_task[place, sampling] for place in done] for sampling in samplings},
        failures=[failures[place] for place in sorted(failures)],
    )


def retraining(network: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a network is retrained: as it was trained."""
    return {name: network[name] for name in ("batch", "weight_decay", "augment")}


def _trained(
    networks: list[dict[str, Any]],
    seed: int,
    first: Mapping[str, Any],
    together: int,
    cluster: str | None,
    resources: Mapping[str, float] | None,
) -> dict[str, list[Any]]:
    """Train networks, some that differ in weight decay and augmentation only in one task; return lists by network."""

    def alike(place: int) -> tuple[int, int, int]:
        return networks[place]["depth"], networks[place]["width"], networks[place]["batch"]

    groups = []
    for _, members in groupby(sorted(range(len(networks)), key=alike), key=alike):
        places = list(members)
        groups += [places[start : start + together] for start in range(0, len(places), together)]
    tasks = [
        {
            **first,
            **{name: networks[group[0]][name] for name in ("depth", "width", "batch")},
            "networks": [
                {"seed": seed, **{name: networks[place][name] for name in ("weight_decay", "augment")}}
                for place in group
            ],
        }
        for group in groups
    ]
    parts = compute.map(train_minima, tasks, cluster, label="trainings", resources=resources)
    where = {place: (part, row) for part, group in enumerate(groups) for row, place in enumerate(group)}
    return {
        name: [parts[part][name][row] for part, row in (where[place] for place in range(len(networks)))]
        for name in ("parameters", "diverged", "train_loss", "test_loss", "train_accuracy", "test_accuracy")
    }


def around(
    study: Study,
    task: Callable[..., dict[str, Any]],
    *,
    places: Sequence[int] | None = None,
    cluster: str | None = None,
    **settings: Any,
) -> dict[str, NDArray[np.float64]]:
    """Measure something at every minimum of a study, such as `curvature.curvature`.

    Args:
        study: The networks.
        task: Function of a network's `parameters`, `depth` and `width`, and of the settings.
        places: Of the networks in the study that are wanted; all if None.
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
        {**settings, "parameters": study.parameters[place]}
        | {name: study.networks[place][name] for name in ("depth", "width")}
        for place in wanted
    ]
    parts = compute.map(task, tasks, cluster, label=f"networks: {task.__name__}".replace("_", " "))
    return {name: np.array([part[name] for part in parts]) for name in parts[0]}


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
    return {name: values[name] for name in inspect.signature(run).parameters if name in values}
