"""Losses of two parameters that can be looked at from all sides."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.differentiate import jacobian

from shapeofloss.arrays import Floats, as_count


@dataclass(frozen=True, eq=False)
class ToyLoss:
    """A smooth loss f of two parameters x and its derivatives, each for many points at once.

    Attributes:
        name: What kind of loss it is.
        reach: Radius around the origin beyond which f confines: its gradient points outward, x . grad f > 0, so all
            critical points lie within.
        value: From points, shape (n, 2), to f, shape (n,).
        gradient: From points to exact gradients, shape (n, 2).
    """

    name: str
    reach: float
    value: Callable[[Floats], Floats]
    gradient: Callable[[Floats], Floats]

    def hessian(self, points: Floats) -> Floats:
        """Return the matrices of second derivatives, shape (n, 2, 2), to nine digits or so, at points, shape (n, 2)."""

        def slopes(x: Floats) -> Floats:  # the two parameters come first here
            return self.gradient(x.reshape(2, -1).T).T.reshape(x.shape)

        return np.moveaxis(jacobian(slopes, np.transpose(points)).df, -1, 0)


def gaussian_hills(*, seed: int, hills: int = 12) -> ToyLoss:
    r"""Return a bowl with Gaussian wells and bumps at random places.

    .. math:: f(x) = \frac{|x|^2}{4} + \sum_k a_k \exp\Big(-\frac{|x-m_k|^2}{2 s^2}\Big), \qquad s = 0.45

    The centres m_k are uniform in the disc of radius 2, none nearer than 0.7 to another. Wells (a_k < 0) and bumps
    alternate, with sizes |a_k| uniform in [0.5, 1.5].

    Args:
        seed: Seed of centres and sizes.
        hills: Number of wells and bumps together, 1 to 16.
    Raises:
        UserError: If there are too few or too many hills, or the seed is none.
    """
    as_count(hills, "hills", at_most=16)  # there is no room for more
    as_count(seed, "seed", at_least=0)
    generator = np.random.default_rng(seed)
    centres = np.empty((0, 2))
    while len(centres) < hills:
        centre = generator.uniform(-2, 2, size=2)
        if np.hypot(*centre) <= 2 and (np.linalg.norm(centres - centre, axis=1) >= 0.7).all():
            centres = np.vstack([centres, centre])
    sizes = generator.uniform(0.5, 1.5, size=hills) * np.where(np.arange(hills) % 2, 1, -1)
    variance = 0.45**2

    def hill(points: Floats) -> Floats:
        squares = (points**2).sum(axis=1)[:, None] - 2 * points @ centres.T + (centres**2).sum(axis=1)
        return np.asarray(sizes * np.exp(-squares / (2 * variance)))  # (n, hills)

    def value(points: Floats) -> Floats:
        return np.asarray((points**2).sum(axis=1) / 4 + hill(points).sum(axis=1))

    def gradient(points: Floats) -> Floats:
        each = hill(points)
        return np.asarray(points / 2 - (each.sum(axis=1)[:, None] * points - each @ centres) / variance)

    return ToyLoss("Gaussian hills", 3.0, value, gradient)


def tilted_cosines() -> ToyLoss:
    r"""Return an egg box in a bowl, slightly tilted so that no two minima are alike.

    .. math:: f(x, y) = 1 - \cos(\pi x)\cos(\pi y) + 0.2\,x + 0.1\,y + 0.05\,(x^2 + y^2)^2
    """

    def value(points: Floats) -> Floats:
        box = np.cos(np.pi * points).prod(axis=1)
        return 1 - box + points @ [0.2, 0.1] + 0.05 * (points**2).sum(axis=1) ** 2

    def gradient(points: Floats) -> Floats:
        cosines, sines = np.cos(np.pi * points), np.sin(np.pi * points)
        box, bowl = np.pi * sines * cosines[:, ::-1], 0.2 * (points**2).sum(axis=1, keepdims=True) * points
        return box + np.array([0.2, 0.1]) + bowl

    return ToyLoss("tilted cosines", 2.8, value, gradient)


def himmelblau() -> ToyLoss:
    r"""Return Himmelblau's polynomial in a smaller unit, slightly tilted so that no two minima are equally deep.

    .. math:: f(x, y) = \frac{(u^2 + v - 11)^2 + (u + v^2 - 7)^2}{40} + 0.1\,x + 0.05\,y, \qquad (u, v) = (2x, 2y)
    """

    def value(points: Floats) -> Floats:
        u, v = 2 * points.T
        return ((u**2 + v - 11) ** 2 + (u + v**2 - 7) ** 2) / 40 + points @ [0.1, 0.05]

    def gradient(points: Floats) -> Floats:
        u, v = 2 * points.T
        first, second = u**2 + v - 11, u + v**2 - 7
        return np.stack([2 * u * first + second, first + 2 * v * second], axis=1) / 10 + np.array([0.1, 0.05])

    return ToyLoss("Himmelblau", 3.0, value, gradient)
