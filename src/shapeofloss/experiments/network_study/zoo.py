"""The networks of the study, by their settings, and the task that samples around one of them."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from shapeofloss.engine.checkpoints import Checkpoint
from shapeofloss.errors import UserError, unknown
from shapeofloss.landscape.minima import sample_minimum

FACTORS = ("depth", "width", "batch", "weight_decay", "augment")
ONLY_DISTANCES = ("gram", "along", "coefficients")  # of a record: what nobody asks of a static sample


def factorial(
    *,
    depths: Sequence[int],
    widths: Sequence[int],
    batches: Sequence[int],
    weight_decays: Sequence[float],
    augmentations: Sequence[bool] = (False, True),
) -> list[dict[str, Any]]:
    """Return the settings of every combination, the last factor fastest.

    Source:
        Loss-landscape paper, section 4.1: 3 x 2 x 3 x 3 x 2 = 108 networks.
    Example:
        >>> zoo = factorial(depths=[10, 16, 22], widths=[1, 2], batches=[8, 32, 128], weight_decays=[0, 1e-3, 5e-3])
        >>> len(zoo), name_of(zoo[0])
        (108, 'WRN 10-1, batch 8, weight decay 0, plain')
    """
    levels = (depths, widths, batches, weight_decays, augmentations)
    return [dict(zip(FACTORS, values, strict=True)) for values in itertools.product(*levels)]


def name_of(network: Mapping[str, Any]) -> str:
    """Return what a network is called in a message or a table."""
    shown = "augmented" if network["augment"] else "plain"
    return (
        f"WRN {network['depth']}-{network['width']}, batch {network['batch']}, "
        f"weight decay {network['weight_decay']:g}, {shown}"
    )


def balanced_third(networks: Sequence[Mapping[str, Any]], *, factor: str = "batch") -> list[int]:
    """Return the places of a third of a full factorial in which every pair of the other factors' levels occurs.

    A Latin square: the level of `factor` is fixed by the sum of the levels of the others.

    Args:
        networks: A full factorial, with three levels of `factor`.
        factor: Which factor is thinned out.
    Raises:
        UserError: If there is no such factor, or it has another number of levels.
    """
    if not isinstance(factor, str) or factor not in FACTORS:
        raise unknown("factor", factor, FACTORS)
    levels = {name: list(dict.fromkeys(network[name] for network in networks)) for name in FACTORS}
    if len(levels[factor]) != 3:
        raise UserError(f"{factor} has {len(levels[factor])} levels: a third needs a factor with three.")
    others = [name for name in FACTORS if name != factor]
    return [
        place
        for place, network in enumerate(networks)
        if sum(levels[name].index(network[name]) for name in others) % 3 == levels[factor].index(network[factor])
    ]


def sample_network(*, name: str, checkpoint: Checkpoint | None = None, **arguments: Any) -> dict[str, Any]:
    """Sample the loss around a network as by `sample_minimum`; a loss that is not finite is a result, too.

    Args:
        name: Of the network.
        checkpoint: As for `sample_minimum`.
        arguments: Those of `sample_minimum`.
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
