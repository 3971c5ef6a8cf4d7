"""f-divergences of normal laws and their mixtures on the line: closed forms, quadrature, and critics that learn them.

A *law* is (m, sigma), or several of them for a mixture of equal parts, shape (K, 2).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn

from shapeofloss.adversarial.divergences import Divergence, row
from shapeofloss.adversarial.fgan import charge, objective, reward
from shapeofloss.adversarial.networks import perceptron
from shapeofloss.adversarial.training import train_critic
from shapeofloss.arrays import Floats, as_count, as_floats, as_number
from shapeofloss.distributions.gaussians import as_gaussian
from shapeofloss.distributions.mixtures import as_parts, choices, log_density, on_the_line, seeded_source
from shapeofloss.errors import UserError

LEFT = 1e-9  # the share of an integral that may be missing at an end


def _kl(m1: float, s1: float, m2: float, s2: float) -> float:
    wider = (s1 - s2) / s2  # with log1p, no digits are lost where the laws nearly agree
    return float(max(wider - np.log1p(wider), 0.0) + wider**2 / 2 + ((m1 - m2) / s2) ** 2 / 2)


def _pearson(m1: float, s1: float, m2: float, s2: float) -> float:
    lost = (s2 - s1) / s2 * (1 + s1 / s2)  # 1 - (s1 / s2)^2
    if lost <= -1:
        return np.inf
    with np.errstate(over="ignore"):
        return float(np.expm1(-np.log1p(-(lost**2)) / 2 + ((m1 - m2) / s2) ** 2 / (1 + lost)))


def _hellinger(m1: float, s1: float, m2: float, s2: float) -> float:
    width = np.hypot(s1, s2)
    return float(-2 * np.expm1(np.log1p(-(((s1 - s2) / width) ** 2)) / 2 - ((m1 - m2) / width) ** 2 / 4))


_CLOSED: dict[str, Callable[[float, float, float, float], float]] = {
    "kl": _kl,
    "reverse-kl": lambda m1, s1, m2, s2: _kl(m2, s2, m1, s1),
    "pearson": _pearson,
    "hellinger": _hellinger,
}


def closed_form(key: str, first: ArrayLike, second: ArrayLike) -> float:
    r"""Return D_f of two normal laws from its formula.

    .. math:: KL = \log\frac{s_2}{s_1} + \frac{s_1^2 + \delta^2}{2 s_2^2} - \frac12, \qquad
              \chi^2 = \frac{s_2^2}{s_1 \sqrt{2 s_2^2 - s_1^2}}\, e^{\delta^2 / (2 s_2^2 - s_1^2)} - 1, \qquad
              H^2 = 2 - 2 \sqrt{\frac{2 s_1 s_2}{s_1^2 + s_2^2}}\, e^{-\delta^2 / 4 (s_1^2 + s_2^2)}

    where delta is the difference of the means.

    Args:
        key: `kl`, `reverse-kl`, `pearson` or `hellinger`.
        first, second: (m, sigma) of pi and of p.
    Returns:
        A number, infinite for Pearson's row if the second law's tails are too light, 2 s_2^2 <= s_1^2.
    Raises:
        UserError: If a law is no Gaussian, or the row has no closed form.
    Example:
        >>> closed_form("kl", [0.0, 1.0], [1.0, 1.0])
        0.5
    """
    if row(key).key not in _CLOSED:
        raise UserError(
            f"The row {row(key).name} has no closed form for normal laws; take quadrature, or {', '.join(_CLOSED)}."
        )
    laws = tuple(as_gaussian(as_floats(law, "A law", finite=False)) for law in (first, second))
    if laws[0].shape != (2,) or laws[1].shape != (2,):
        raise UserError(
            f"The laws have shapes {laws[0].shape} and {laws[1].shape}; a formula needs (m, sigma) for each."
        )
    (m1, s1), (m2, s2) = laws
    return _CLOSED[key](m1, s1, m2, s2)


@dataclass(frozen=True, eq=False)
class Line:
    """Two laws on the nodes of the trapezoidal rule, which is exact to rounding for smooth integrands that die out.

    Attributes:
        x: Nodes, shape (Q,), equidistant.
        log_pi, log_p: Logarithms of the two densities, shape (Q,).
    """

    x: Floats
    log_pi: Floats
    log_p: Floats

    @property
    def ratio(self) -> Floats:
        """Return pi / p at the nodes."""
        return np.exp(self.log_pi - self.log_p)

    def integral(self, values: Floats) -> float:
        """Return the integral of values at the nodes.

        Raises:
            UserError: If it is not finite, has another shape, or has not died out at an end.
        """
        values = as_floats(values, "The integrand", shape=self.x.shape, finite=False)
        if not np.isfinite(values).all():
            raise UserError("The integrand is not finite at every node: the two laws are too far from each other.")
        ends = max(abs(values[0]), abs(values[-1])) * len(values)
        if ends > LEFT * np.abs(values).sum():
            raise UserError("The integral has not died out at the ends of the line: it may be infinite.")
        return float(values.sum() * (self.x[1] - self.x[0]))


def line(pi: ArrayLike, p: ArrayLike, *, reach: float = 12.0, count: int = 4001) -> Line:
    """Return two laws on nodes that go `reach` standard deviations beyond the outermost means.

    Raises:
        UserError: If a part of a law is no Gaussian, the reach is not above 0, or there are fewer than two nodes.
    Example:
        >>> own = line([0.0, 1.0], [1.0, 2.0])
        >>> round(own.integral(np.exp(own.log_p)), 12)
        1.0
    """
    as_number(reach, "reach", above=0), as_count(count, "count", at_least=2)
    parts = np.concatenate([as_parts(law) for law in (pi, p)])
    x = np.linspace((parts[:, 0] - reach * parts[:, 1]).min(), (parts[:, 0] + reach * parts[:, 1]).max(), count)
    return Line(x, log_density(x, pi), log_density(x, p))


def _refuse_other(laws: Line) -> None:
    if not isinstance(laws, Line):
        raise UserError(f"The laws are {laws!r}; a Line is needed, as line(pi, p) gives it.")


def quadrature(row: Divergence, laws: Line) -> float:
    r"""Return the integral of p f(pi / p).

    Args:
        row: Of the table.
        laws: pi and p on nodes.
    Returns:
        A number in nats (for Pearson and Hellinger, without unit), at least f(1).
    Raises:
        UserError: If the row is no record, or the integral may be infinite.
    Source:
        WGAN lecture, slide on f-divergence.
    Example:
        >>> from shapeofloss.adversarial.divergences import KL
        >>> round(quadrature(KL, line([0.0, 1.0], [1.0, 1.0])), 12)
        0.5
    """
    if not isinstance(row, Divergence):
        raise UserError(f"The row is {row!r}; a Divergence is needed, such as KL or row('kl').")
    _refuse_other(laws)
    with np.errstate(over="ignore", invalid="ignore"):
        found = laws.integral(np.exp(laws.log_p) * row.generator(laws.ratio))
    return max(found, float(row.generator(np.ones(1))[0]))  # rounding may lead below, the sum itself cannot


def critic_bound(key: str, raw: ArrayLike, laws: Line) -> float:
    r"""Return the variational bound of a critic that is known at the nodes, by quadrature.

    .. math:: \int \pi(x)\, g(v(x)) - p(x)\, f^*(g(v(x)))\; dx

    Args:
        key: Of the row.
        raw: The critic's raw outputs v at the nodes, shape (Q,).
        laws: pi and p on nodes.
    Returns:
        At most D_f(pi | p), and possibly far below 0 or minus infinity.
    Raises:
        UserError: If there is no such row, or the shape is another one.
    Source:
        WGAN lecture, slide on the variational f-divergence estimation.
    Example:
        >>> own = line([0.0, 1.0], [1.0, 1.0])
        >>> round(critic_bound("kl", np.log(own.ratio) + 1, own), 12)
        0.5
    """
    _refuse_other(laws)
    v = torch.from_numpy(as_floats(raw, "The critic"))
    if v.shape != laws.x.shape:
        raise UserError(f"The critic has shape {tuple(v.shape)}; the line needs one value at each of {len(laws.x)}.")
    with np.errstate(over="ignore"):
        values = np.exp(laws.log_pi) * reward(key, v).numpy() - np.exp(laws.log_p) * charge(key, v).numpy()
        return float(values.sum() * (laws.x[1] - laws.x[0]))


def fit_critic(
    *,
    divergence: str,
    first: list[float],
    second: list[float],
    width: int,
    batch: int,
    steps: int,
    learning_rate: float,
    record_every: int,
    examples: int,
    seed: int,
    points: int | None = None,
) -> dict[str, Any]:
    """Train a critic for one row between two normal laws on the line, from samples alone.

    Args:
        divergence: Key of the row.
        first, second: (m, sigma) of pi and of p.
        width: Values in each of the two hidden layers, with SiLU between.
        batch, steps: As for `training.train_critic`.
        learning_rate: Of Adam, betas (0.9, 0.99), along half a cosine; gradients are shortened to norm 1.
        record_every: Steps between two looks at the critic.
        examples: Samples of each law in an evaluation by Monte Carlo, of which there are 20, on new samples each.
        seed: Of the initial weights and the samples.
        points: How many samples of each law there are in all; None for new ones in each batch.
    Returns:
        `at`, steps done at each of R looks; `raw`, the critic's outputs at the nodes of `line(first, second)` then,
        shape (R, Q); `value`, the batch's bound at each step; `monte_carlo`, bounds of the last critic, shape (20,);
        `training`, its bound on the samples that it was trained on, NaN where each batch is new.
    Raises:
        UserError: If the loss is not finite, with the step and the setting.
    Source:
        WGAN lecture, the note that evaluating the bound needs samples only.
    """
    as_count(examples, "examples")
    if points is not None:
        as_count(points, "points")
    rng = seeded_source(seed)
    critic = perceptron((1, width, width, 1), generator=rng, activation=nn.SiLU)
    pi, p = on_the_line(first), on_the_line(second)
    drawn = None
    if points is not None:
        drawn = pi(points, rng), p(points, rng)
        pi, p = (choices(own.numpy()) for own in drawn)
    nodes = torch.as_tensor(line(first, second).x, dtype=torch.float32)[:, None]
    goal = objective(divergence)

    @torch.no_grad()
    def value_on(real: torch.Tensor, fake: torch.Tensor) -> float:
        return -float(goal.critic_loss(critic(real).double(), critic(fake).double()))

    @torch.no_grad()
    def watch(_: int) -> dict[str, Any]:
        return {"raw": critic(nodes)[:, 0].numpy()}

    history = train_critic(
        critic,
        pi,
        p,
        goal,
        steps=steps,
        optimizer=partial(torch.optim.Adam, lr=learning_rate, betas=(0.9, 0.99), fused=True),
        batch=batch,
        cosine=True,
        largest_step=1.0,
        seed=seed + 10_000,
        record_every=record_every,
        watch=watch,
    )
    fresh = torch.Generator().manual_seed(seed + 20_000)
    new = on_the_line(first), on_the_line(second)
    return {
        "at": history.at,
        "raw": history.watched["raw"],
        "value": history.value,
        "monte_carlo": np.array([value_on(new[0](examples, fresh), new[1](examples, fresh)) for _ in range(20)]),
        "training": np.array(np.nan if drawn is None else value_on(*drawn)),
    }
