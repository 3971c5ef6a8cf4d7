"""The record of a sampled landscape: inner products, losses and labels of points around a minimum.

The parameter vectors themselves are large: 640 points of a million parameters take 2.6 gigabytes, and there are 108
networks. Distances, angles and principal components need their inner products only, which take a few megabytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from shapeofloss.arrays import Floats, as_floats, as_number, as_tensor
from shapeofloss.errors import UserError, unknown
from shapeofloss.landscape.products import centred, directions, euclidean_distances

Centre = Literal["origin", "mean", "optimum"]
COLUMNS = 8192  # of parameters that are converted to double precision at a time


@dataclass(frozen=True, eq=False)
class Record:
    r"""Points theta_i = theta_o + d_i around an optimum theta_o, known by inner products of their displacements d_i.

    .. math:: \langle\theta_i,\theta_j\rangle
        = |\theta_o|^2 + \langle d_i,\theta_o\rangle + \langle d_j,\theta_o\rangle + \langle d_i,d_j\rangle

    Displacements are kept apart from theta_o because they may be much shorter: their own inner products then have no
    rounding error from its length. Parameters have no unit. The optimum is among the points of
    lines and planes with odd counts only.

    Attributes:
        gram: Inner products of displacements, shape (n, n), symmetric, float64.
        along: Inner products of displacements with theta_o, shape (n,), float64.
        norm: Length of theta_o.
        loss: Training loss, shape (n,), in nats.
        accuracy: Training accuracy, shape (n,), in [0, 1].
        seed: Seed of each point's direction and retraining, shape (n,), int64.
        step: Step size of each point's jump, shape (n,), in multiples of the filter-normalised direction.
        epoch: Epochs of retraining since the jump, shape (n,), int64.
        coefficients: For samples along fixed directions v_k, d_i = sum_k c_ik v_k: shape (n, k); else (n, 0).
        optimum_loss: Training loss of theta_o, in nats.
        optimum_accuracy: Training accuracy of theta_o, in [0, 1].
        held_out_loss: Loss of examples that were held out, shape (n,), in nats; shape (0,) if there were none.

    Points off a trajectory (grid, naive, slices) have epoch 0; on a grid or slice the step is the length of the
    coefficients, negative on the far side of a line. Where a loss gives no accuracy, accuracies are not a number.
    """

    gram: Floats
    along: Floats
    norm: float
    loss: Floats
    accuracy: Floats
    seed: NDArray[np.int64]
    step: Floats
    epoch: NDArray[np.int64]
    coefficients: Floats
    optimum_loss: float
    optimum_accuracy: float
    held_out_loss: Floats = field(default_factory=lambda: np.empty(0))

    def inner_products(self, centre: Centre = "origin") -> Floats:
        """Return the inner products of the points as seen from a centre, shape (n, n).

        Args:
            centre: "origin" of parameter space, "mean" of the points, or "optimum".
        Raises:
            UserError: If the centre is none of these.
        """
        match centre if isinstance(centre, str) else None:
            case "origin":
                return self.gram + (self.along[:, None] + self.along) + self.norm**2
            case "mean":
                return centred(self.gram)
            case "optimum":
                return self.gram
        raise unknown("centre", centre, ("origin", "mean", "optimum"))

    def distances(self) -> Floats:
        """Return the Euclidean distances between points, shape (n, n), symmetric with a zero diagonal."""
        return euclidean_distances(self.gram)

    def distance_to_optimum(self) -> Floats:
        """Return the Euclidean distance of each point to the optimum, shape (n,)."""
        return np.sqrt(np.diag(self.gram))

    def cosine_distances(self, centre: Centre = "origin") -> Floats:
        """Return one minus the cosine of the angle between points, shape (n, n), symmetric with a zero diagonal.

        Args:
            centre: Where the angle is measured, as for `inner_products`.
        Returns:
            Values in [0, 2].
        Raises:
            UserError: If a point lies on the centre, where it has no direction.
        Source:
            Loss-landscape paper, section 3.2, which names no centre. The released code measures angles at the mean,
            since PHATE subtracts it when it reduces the vectors to 100 dimensions first.
        """
        return np.clip(1 - directions(self.inner_products(centre), centre), 0, 2)

    def cosine_distance_to_optimum(self) -> Floats:
        """Return one minus the cosine of the angle, at the origin, between each point and the optimum, shape (n,).

        Raises:
            UserError: If the optimum or a point lies at the origin, where it has no direction.
        """
        lengths = np.sqrt(np.maximum(np.diag(self.inner_products("origin")), 0))
        if not self.norm > 0 or not lengths.all():
            raise UserError("The optimum or a point lies at the origin, so it has no angle to others.")
        return np.clip(1 - (self.norm**2 + self.along) / (self.norm * lengths), 0, 2)

    def explained_dimension(self, share: float = 0.9) -> int:
        """Return how many principal components carry a share of the variance of the points.

        Args:
            share: Above 0, at most 1.
        Raises:
            UserError: If the share is out of range, or the points do not differ.
        """
        share = as_number(share, "share", above=0, at_most=1)
        carried = np.cumsum(self.variances())
        return int(np.searchsorted(carried / carried[-1], share)) + 1

    def participation_ratio(self) -> float:
        r"""Return the effective number of principal components, 1 if there is one, n if n have equal variances.

        .. math:: \Big(\sum_i\lambda_i\Big)^2 \Big/ \sum_i\lambda_i^2

        Raises:
            UserError: If the points do not differ.
        """
        variances = self.variances()
        return float(variances.sum() ** 2 / (variances**2).sum())

    def variances(self) -> Floats:
        """Return the variances lambda_i of the principal components, times n, largest first, shape (n,).

        Raises:
            UserError: If the points do not differ.
        """
        variances = np.maximum(np.linalg.eigvalsh(centred(self.gram))[::-1], 0)
        if not variances.any():
            raise UserError("The points do not differ, so they span no dimension: record at least two different ones.")
        return variances

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the record as a flat mapping for the store."""
        return {name: np.asarray(value) for name, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> Self:
        """Return the record from a mapping that holds what `to_arrays` gave, and perhaps more.

        Raises:
            UserError: If an entry is missing, or their shapes do not belong together.
        """
        names = [each.name for each in fields(cls)]
        missing = [name for name in names if name not in arrays]
        if missing:
            raise UserError(f"These arrays are no record, since they lack {', '.join(missing)}.")
        values: dict[str, Any] = {name: np.asarray(arrays[name]) for name in names}
        count = len(np.atleast_1d(values["gram"]))
        as_floats(values["gram"], "gram", shape=(count, count))
        for name in ("along", "loss", "accuracy", "seed", "step", "epoch"):
            as_floats(values[name], name, shape=(count,), finite=name != "accuracy")
        as_floats(values["coefficients"], "coefficients", shape=(count, "k"))
        held_out = count if values["held_out_loss"].size else 0
        as_floats(values["held_out_loss"], "held_out_loss", shape=(held_out,), finite=False)
        return cls(**{name: value if value.ndim else value.item() for name, value in values.items()})


class Recorder:
    """Collects points around an optimum and reduces them to a `Record`.

    Each point keeps its displacement in single precision until then: points x parameters x 4 bytes of memory.

    Args:
        optimum: Parameters theta_o, shape (P,).
        loss: Training loss of theta_o, in nats.
        accuracy: Training accuracy of theta_o, in [0, 1].
    Raises:
        UserError: If the optimum is no vector.
    """

    def __init__(self, optimum: Tensor, loss: float, accuracy: float) -> None:
        if as_tensor(optimum, "optimum").dim() != 1:
            raise UserError(f"optimum has shape {tuple(optimum.shape)}; one vector of all parameters is needed.")
        self._optimum = optimum.cpu().clone()
        self._loss = loss
        self._accuracy = accuracy
        self._displacements: list[NDArray[np.float32]] = []
        self._labels: list[tuple[float, float, int, float, int]] = []
        self._held_out: list[float] = []

    def add(
        self,
        point: Tensor,
        loss: float,
        accuracy: float,
        *,
        seed: int,
        step: float,
        epoch: int,
        held_out: float | None = None,
    ) -> None:
        """Add a point theta, shape (P,); other arguments as the attributes of `Record`, the last for all or none.

        Raises:
            UserError: If the point has another shape than the optimum.
        """
        if as_tensor(point, "point").shape != self._optimum.shape:
            raise UserError(f"The point has shape {tuple(point.shape)}, the optimum {tuple(self._optimum.shape)}.")
        self._displacements.append((point.cpu() - self._optimum).float().numpy())
        self._labels.append((loss, accuracy, seed, step, epoch))
        if held_out is not None:
            self._held_out.append(held_out)

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the points so far, for `restore`."""
        return {
            "displacements": np.stack(self._displacements),
            "labels": np.array(self._labels, np.float64),
            "held_out": np.array(self._held_out, np.float64),
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take up the points of an earlier recorder around the same optimum."""
        self._displacements = list(state["displacements"])
        self._labels = [
            (loss, hits, int(seed), step, int(epoch)) for loss, hits, seed, step, epoch in state["labels"].tolist()
        ]
        self._held_out = state["held_out"].tolist()

    def record(self) -> Record:
        """Return the record of the points so far: each trajectory whole, in the order in which they came first.

        Raises:
            UserError: If there is none, or only some have a held-out loss.
        """
        if not self._labels:
            raise UserError("There is no point to record yet: add one first.")
        if len(self._held_out) not in (0, len(self._labels)):
            raise UserError(
                f"{len(self._held_out)} of {len(self._labels)} points have a held-out loss: give all or none."
            )
        order = self._order()
        optimum = self._optimum.double().numpy()
        gram = self._products([self._displacements[n] for n in order])
        along = self.products_with(optimum)[:, 0]
        loss, accuracy, seed, step, epoch = zip(*(self._labels[n] for n in order), strict=True)
        return Record(
            gram=gram,
            along=along,
            norm=float(np.linalg.norm(optimum)),
            loss=np.array(loss, np.float64),
            accuracy=np.array(accuracy, np.float64),
            seed=np.array(seed, np.int64),
            step=np.array(step, np.float64),
            epoch=np.array(epoch, np.int64),
            coefficients=np.empty((len(order), 0)),
            optimum_loss=self._loss,
            optimum_accuracy=self._accuracy,
            held_out_loss=np.array([self._held_out[n] for n in order] if self._held_out else [], np.float64),
        )

    def products_with(self, vectors: NDArray[Any]) -> Floats:
        """Return inner products of the displacements, in the record's order, with vectors of shape (q, P) or (P,).

        Returns:
            Shape (n, q), float64.
        Raises:
            UserError: If the vectors have another shape.
        """
        others = np.atleast_2d(as_floats(vectors, "vectors", finite=False))
        if others.ndim != 2 or others.shape[1] != len(self._optimum):
            raise UserError(f"The vectors have shape {np.shape(vectors)}; (q, {len(self._optimum)}) is needed.")
        return np.array([others @ self._displacements[n].astype(np.float64) for n in self._order()])

    def _order(self) -> list[int]:
        first: dict[tuple[int, float], int] = {}
        for n, (_, _, seed, step, _) in enumerate(self._labels):
            first.setdefault((seed, step), n)
        return sorted(range(len(self._labels)), key=lambda n: first[self._labels[n][2:4]])

    @staticmethod
    def _products(displacements: list[NDArray[np.float32]]) -> Floats:
        """Return the displacements' inner products with each other, a block of columns at a time."""
        gram = np.zeros((len(displacements),) * 2)
        for start in range(0, len(displacements[0]), COLUMNS):
            block = np.array([row[start : start + COLUMNS] for row in displacements], np.float64)
            gram += block @ block.T
        return gram
