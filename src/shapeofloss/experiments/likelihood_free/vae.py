"""A variational autoencoder on binarised digits with three priors, and everything that the lecture says about it.

An image x has 64 pixels, 0 or 1. The encoder gives it a normal distribution of codes z with independent coordinates,
the decoder gives a code 64 independent chances of a bright pixel.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shapeofloss.adversarial.networks import perceptron
from shapeofloss.adversarial.training import stop_if_not_finite
from shapeofloss.arrays import Floats, as_count, as_interval, as_number, as_tensor
from shapeofloss.datasets.digits import binary_digits
from shapeofloss.distributions.mixtures import as_source, seeded_source
from shapeofloss.errors import UserError, unknown
from shapeofloss.experiments.likelihood_free.flows import RealNVP, log_standard

PRIORS = ("standard", "flow", "aggregated")
PIXELS = 64
FLATTEST = -5.0  # the least log sigma of a code


@dataclass(frozen=True, eq=False)
class Codes:
    """Normal distributions with independent coordinates, one for each of n images.

    Attributes:
        m: Means, shape (n, d).
        log_sigma: Logarithms of the standard deviations, shape (n, d).

    Raises:
        UserError: If they are no two tensors of one such shape.
    """

    m: Tensor
    log_sigma: Tensor

    def __post_init__(self) -> None:
        shapes = tuple(as_tensor(self.m, "m").shape), tuple(as_tensor(self.log_sigma, "log_sigma").shape)
        if shapes[0] != shapes[1] or len(shapes[0]) != 2:
            raise UserError(f"The means have shape {shapes[0]} and log sigma {shapes[1]}; both need (n, d).")

    def __getitem__(self, rows: Tensor) -> "Codes":
        """Return the distributions of some images."""
        return Codes(self.m[rows], self.log_sigma[rows])

    def sample(self, generator: torch.Generator) -> Tensor:
        """Return one code of each image, shape (n, d)."""
        noise = torch.randn(self.m.shape, generator=generator, dtype=self.m.dtype, device=as_source(generator).device)
        return self.m + self.log_sigma.exp() * noise.to(self.m.device)

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log q(z_i | x_i) for one code of each image, shape (n,)."""
        return log_standard((z - self.m) * (-self.log_sigma).exp()) - self.log_sigma.sum(1)


def log_aggregated(z: Tensor, codes: Codes) -> Tensor:
    r"""Return the logarithm of the aggregated posterior at z, shape (N,): a sum over all n images for each code.

    .. math:: q_{agg}(z) = \frac1n \sum_{i=1}^n q(z | x_i)

    Args:
        z: Shape (N, d).
        codes: Codes of n images, at least one.
    Raises:
        UserError: If there is no image, or z has another number of coordinates.
    Source:
        WGAN lecture, slide on priors, "highly expensive".
    Example:
        >>> one = Codes(torch.zeros(3, 2), torch.zeros(3, 2))
        >>> [round(value, 6) for value in log_aggregated(torch.zeros(1, 2), one).tolist()]
        [-1.837877]
    """
    # |(z - m) / sigma|^2 is multiplied out, as products of matrices are quick; large terms cancel, hence the precision.
    if not isinstance(codes, Codes):
        raise UserError(f"The distributions of codes are {codes!r}; Codes are needed.")
    if as_tensor(z, "z").dim() != 2 or z.shape[1] != codes.m.shape[1] or not len(codes.m):
        raise UserError(
            f"Codes have shape {tuple(z.shape)} and their means {tuple(codes.m.shape)}; (N, d) and (n, d) are needed."
        )
    if z.device.type == "mps":  # has no double precision
        z, codes = z.cpu(), Codes(codes.m.cpu(), codes.log_sigma.cpu())
    z, m, log_sigma = z.double(), codes.m.double(), codes.log_sigma.double()
    weight = (-2 * log_sigma).exp()
    squares = z.square() @ weight.T - 2 * z @ (m * weight).T + (m.square() * weight).sum(1)
    logs = -squares / 2 - log_sigma.sum(1) - z.shape[1] / 2 * math.log(2 * math.pi)
    return torch.logsumexp(logs, dim=1) - math.log(len(m))


@dataclass(frozen=True)
class Architecture:
    """Sizes of a VAE and of its flow prior.

    Attributes:
        dimension: d, of the codes, at least 2.
        width: Hidden values of encoder and decoder.
        flow_layers, flow_width: Couplings of the flow, and their hidden values.
    """

    dimension: int
    width: int
    flow_layers: int
    flow_width: int


@dataclass(frozen=True)
class Fit:
    """How a VAE is trained and judged.

    Attributes:
        batch, learning_rate: Batch size and learning rate of Adam, along half a cosine.
        draws: Codes of each image for every mean, at least 2.
        checkpoints: How often both ELBOs are taken in training, evenly spread.
        shown: How many images are returned.

    Raises:
        UserError: If a number is out of range.
    """

    batch: int
    learning_rate: float
    draws: int
    checkpoints: int
    shown: int

    def __post_init__(self) -> None:
        as_count(self.batch, "batch"), as_number(self.learning_rate, "learning_rate", above=0)
        as_count(self.draws, "draws", at_least=2), as_count(self.shown, "shown", at_least=0)


class VAE(nn.Module):
    """Encoder 64-width-2d, decoder d-width-64, with dropout on the hidden values, and a prior.

    Args:
        sizes: Sizes of the networks.
        prior: One of `PRIORS`.
        dropout: Share of hidden values that are set to 0 in training, from 0 to below 1.
        generator: Source of the initial weights.
    Raises:
        UserError: If there is no such prior, or a number is out of range.
    """

    def __init__(self, sizes: Architecture, *, prior: str, dropout: float, generator: torch.Generator) -> None:
        super().__init__()
        if prior not in PRIORS:
            raise unknown("prior", prior, PRIORS)
        as_number(dropout, "dropout", at_least=0, below=1)
        self.prior, d, width = prior, sizes.dimension, sizes.width

        def layer() -> nn.Module:
            return nn.Sequential(nn.ReLU(), nn.Dropout(dropout))

        self.encoder = perceptron((PIXELS, width, 2 * d), generator=generator, activation=layer)
        self.decoder = perceptron((d, width, PIXELS), generator=generator, activation=layer)
        # Made for every prior, so that all draw the same random numbers; other priors give it no gradient.
        self.flow = RealNVP(d, layers=sizes.flow_layers, width=sizes.flow_width, generator=generator)

    def encode(self, x: Tensor) -> Codes:
        """Return the distributions of codes of images, shape (n, 64)."""
        m, log_sigma = self.encoder(x).chunk(2, dim=1)
        return Codes(m, log_sigma.clamp(min=FLATTEST))

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """Return log p(x_i | z_i), shape (n,)."""
        logits = self.decoder(z)
        return -nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)

    def log_prior(self, z: Tensor, known: Codes) -> Tensor:
        """Return log p(z), shape (n,), where the aggregated prior is that of the known codes."""
        if self.prior == "aggregated":
            return log_aggregated(z, known).float()
        return self.flow.log_prob(z) if self.prior == "flow" else log_standard(z)

    def elbo(self, x: Tensor, z: Tensor, codes: Codes, known: Codes) -> Tensor:
        """Return the ELBO of images, whose codes are z, from one code each, nats, shape (n,)."""
        return self.log_likelihood(x, z) + self.log_prior(z, known) - codes.log_prob(z)

    def draw(self, count: int, known: Codes, generator: torch.Generator) -> Tensor:
        """Return codes of the prior, shape (count, d)."""
        base = torch.randn(count, known.m.shape[1], generator=generator)
        if self.prior == "aggregated":
            return known[torch.randint(len(known.m), (count,), generator=generator)].sample(generator)
        return self.flow.inverse(base) if self.prior == "flow" else base


@torch.random.fork_rng(devices=[])
def fit_vae(
    *,
    prior: str,
    train: int,
    dropout: float,
    steps: int,
    importance: int,
    network: Mapping[str, Any],
    fit: Mapping[str, Any],
    seed: int,
) -> dict[str, Any]:
    """Train a VAE with one of three priors, and take its ELBO apart on test digits.

    The aggregated prior is that of all training images, with the encoder as it is at each step. The flow prior is
    trained together with encoder and decoder.

    Args:
        prior: One of `PRIORS`.
        train: Number of training images.
        dropout: As for `VAE`.
        steps: Steps of Adam.
        importance: Codes of each image for the estimate of its likelihood; 0 for none.
        network: The fields of an `Architecture`.
        fit: The fields of a `Fit`.
        seed: Seed of digits, weights, batches, codes and dropout.
    Returns:
        "at", steps done at checkpoints; "train_elbo" and "test_elbo" there, nats per image, with one code each; and
        what `judged` says in the end.
    Raises:
        UserError: If there is no such prior, a number is out of range, steps cannot be divided evenly, or the loss is
            not finite, with the step and the setting.
    Source:
        WGAN lecture, slides on priors of the VAE.
    """
    settings, generator = Fit(**fit), seeded_source(seed)
    every = as_interval(steps, settings.checkpoints, "checkpoints")
    as_count(importance, "importance", at_least=0)
    torch.default_generator.manual_seed(seed)  # dropout takes its random numbers from here
    x, unseen = binary_digits(train=train, seed=seed)
    model = VAE(Architecture(**network), prior=prior, dropout=dropout, generator=generator)

    @torch.no_grad()
    def elbos() -> list[float]:
        model.eval()
        known = model.encode(x)
        means = []
        for images in (x, unseen):
            codes = model.encode(images)
            means.append(model.elbo(images, codes.sample(generator), codes, known).mean().item())
        model.train()
        return means

    at, curve = [0], [elbos()]
    for step in trained(model, x, settings, steps, generator):
        if step % every == 0:
            at.append(step)
            curve.append(elbos())
    train_elbo, test_elbo = np.array(curve).T
    end = judged(model.eval(), x, unseen, settings, importance, generator)
    return {"at": np.array(at), "train_elbo": train_elbo, "test_elbo": test_elbo, **end}


def trained(model: VAE, x: Tensor, fit: Fit, steps: int, generator: torch.Generator) -> Iterator[int]:
    """Train a VAE on images; give the number of steps done after each.

    Raises:
        UserError: If the loss is not finite, with the step and the setting.
    """
    optimizer = torch.optim.Adam(model.parameters(), lr=fit.learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    setting = f"a VAE with {model.prior} prior and learning rate {fit.learning_rate:g}"
    for step in range(1, steps + 1):
        rows = torch.randint(len(x), (fit.batch,), generator=generator)
        aggregated = model.prior == "aggregated"
        known = model.encode(x if aggregated else x[rows])
        codes = known[rows] if aggregated else known
        loss = -model.elbo(x[rows], codes.sample(generator), codes, known).mean()
        stop_if_not_finite("loss", loss.item(), step, setting)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        yield step


@torch.no_grad()
def judged(
    model: VAE, x: Tensor, unseen: Tensor, fit: Fit, importance: int, generator: torch.Generator
) -> dict[str, Any]:
    """Take the ELBO of a trained VAE apart.

    Args:
        model: In evaluation.
        x, unseen: Training and test images, shape (n, 64).
        fit, importance: As for `fit_vae`.
        generator: Source of codes.
    Returns:
        "train", "test": mean ELBOs. For the test images and their own aggregated posterior: "elbo", "reconstruction",
        "information", "marginal", each (mean, standard error) from codes of its own. "one_draw" and "many_draws": mean
        log-likelihood estimates. "images", "rebuilt" and "drawn": shape (shown, 64): test images, their
        reconstructions (chances), and images from codes of the prior.
    """
    known, codes = model.encode(x), model.encode(unseen)

    def mean_and_error(values: Callable[[Tensor], Tensor]) -> Floats:
        """Return mean and standard error over new codes of every image; the images stay."""
        drawn = torch.stack([values(codes.sample(generator)).double() for _ in range(fit.draws)])
        error = (drawn.var(0) / fit.draws).sum().sqrt() / drawn.shape[1]
        return np.array([drawn.mean().item(), error.item()])

    def value(z: Tensor) -> Tensor:
        return model.elbo(unseen, z, codes, known)

    parts = {
        "elbo": mean_and_error(value),
        "reconstruction": mean_and_error(lambda z: model.log_likelihood(unseen, z)),
        "information": mean_and_error(lambda z: codes.log_prob(z) - log_aggregated(z, codes)),
        "marginal": mean_and_error(lambda z: log_aggregated(z, codes) - model.log_prior(z, known)),
    }
    logs = torch.stack([value(codes.sample(generator)) for _ in range(importance)] or [torch.zeros(1)])
    seen = torch.stack([model.elbo(x, known.sample(generator), known, known) for _ in range(fit.draws)])
    shown = {"rebuilt": codes.m[: fit.shown], "drawn": model.draw(fit.shown, known, generator)}
    return {
        "train": seen.mean().item(),
        "test": parts["elbo"][0].item(),
        **parts,
        "one_draw": logs[0].mean().item(),
        "many_draws": (logs.logsumexp(0) - math.log(len(logs))).mean().item(),
        "images": unseen[: fit.shown].numpy(),
        **{name: model.decoder(z).sigmoid().numpy() for name, z in shown.items()},
    }
