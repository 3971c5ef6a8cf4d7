"""A variational autoencoder on binarised digits with three priors, and everything that the lecture says about it.

An image x has 64 pixels, 0 or 1. The encoder gives it a normal law of codes z with independent coordinates, the decoder
gives a code 64 independent chances of a bright pixel.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shapeofloss.adversarial.networks import perceptron
from shapeofloss.adversarial.training import stop_if_not_finite
from shapeofloss.arrays import as_count, as_number, as_tensor
from shapeofloss.datasets.digits import binary_digits
from shapeofloss.distributions.mixtures import as_source, seeded_source
from shapeofloss.errors import UserError, unknown
from shapeofloss.experiments.likelihood_free.flows import RealNVP, log_standard

PRIORS = ("standard", "flow", "aggregated")
PIXELS = 64
FLATTEST = -5.0  # the least log sigma of a code


@dataclass(frozen=True, eq=False)
class Codes:
    """Normal laws with independent coordinates, one for each of n images.

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
        """Return the laws of some images."""
        return Codes(self.m[rows], self.log_sigma[rows])

    def sample(self, rng: torch.Generator) -> Tensor:
        """Return one code of each image, shape (n, d)."""
        noise = torch.randn(self.m.shape, generator=rng, dtype=self.m.dtype, device=as_source(rng).device)
        return self.m + self.log_sigma.exp() * noise.to(self.m.device)

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log q(z_i | x_i) for one code of each image, shape (n,)."""
        return log_standard((z - self.m) * (-self.log_sigma).exp()) - self.log_sigma.sum(1)


def log_aggregated(z: Tensor, codes: Codes) -> Tensor:
    r"""Return the logarithm of the aggregated posterior at z, shape (N,): a sum over all n images for each code.

    .. math:: q_{agg}(z) = \frac1n \sum_{i=1}^n q(z | x_i)

    Args:
        z: Shape (N, d).
        codes: Of n images, at least one.
    Raises:
        UserError: If there is none, or z has another number of coordinates.
    Source:
        WGAN lecture, slide on priors, "highly expensive".
    Example:
        >>> one = Codes(torch.zeros(3, 2), torch.zeros(3, 2))
        >>> [round(value, 6) for value in log_aggregated(torch.zeros(1, 2), one).tolist()]
        [-1.837877]
    """
    # |(z - m) / sigma|^2 is multiplied out, as products of matrices are quick; large terms cancel, hence the precision.
    if not isinstance(codes, Codes):
        raise UserError(f"The laws of codes are {codes!r}; Codes are needed.")
    if as_tensor(z, "z").dim() != 2 or z.shape[1] != codes.m.shape[1] or not len(codes.m):
        raise UserError(
            f"Codes have shape {tuple(z.shape)} and their laws {tuple(codes.m.shape)}; (N, d) and (n, d) are needed."
        )
    if z.device.type == "mps":  # has no double precision
        z, codes = z.cpu(), Codes(codes.m.cpu(), codes.log_sigma.cpu())
    z, m, log_sigma = z.double(), codes.m.double(), codes.log_sigma.double()
    weight = (-2 * log_sigma).exp()
    squares = z.square() @ weight.T - 2 * z @ (m * weight).T + (m.square() * weight).sum(1)
    logs = -squares / 2 - log_sigma.sum(1) - z.shape[1] / 2 * math.log(2 * math.pi)
    return torch.logsumexp(logs, dim=1) - math.log(len(m))


class VAE(nn.Module):
    """Encoder 64-width-2d, decoder d-width-64, with dropout on the hidden values.

    Args:
        dimension: d, of the codes.
        width: Hidden values of encoder and decoder.
        dropout: Share of hidden values that are set to 0 in training, from 0 to below 1.
        rng: Of the initial weights.
    Raises:
        UserError: If a number is out of range.
    """

    def __init__(self, dimension: int, *, width: int, dropout: float, rng: torch.Generator) -> None:
        super().__init__()
        as_count(dimension, "dimension"), as_count(width, "width"), as_number(dropout, "dropout", at_least=0, below=1)

        def layer() -> nn.Module:
            return nn.Sequential(nn.ReLU(), nn.Dropout(dropout))

        self.encoder = perceptron((PIXELS, width, 2 * dimension), generator=rng, activation=layer)
        self.decoder = perceptron((dimension, width, PIXELS), generator=rng, activation=layer)

    def encode(self, x: Tensor) -> Codes:
        """Return the code laws of images, shape (n, 64)."""
        m, log_sigma = self.encoder(x).chunk(2, dim=1)
        return Codes(m, log_sigma.clamp(min=FLATTEST))

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """Return log p(x_i | z_i), shape (n,)."""
        logits = self.decoder(z)
        return -nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)


@torch.random.fork_rng(devices=[])
def fit_vae(
    *,
    prior: str,
    train: int,
    dimension: int,
    width: int,
    dropout: float,
    flow_layers: int,
    flow_width: int,
    steps: int,
    batch: int,
    learning_rate: float,
    draws: int,
    importance: int,
    checkpoints: int,
    shown: int,
    seed: int,
) -> dict[str, Any]:
    """Train a VAE with one of three priors, and take its ELBO apart on test digits.

    The aggregated prior is that of all training images, with the encoder as it is at each step. The flow prior is
    trained together with encoder and decoder.

    Args:
        prior: One of `PRIORS`.
        train: Number of training images.
        dimension, width, dropout: As for `VAE`.
        flow_layers, flow_width: Of the flow prior.
        steps, batch, learning_rate: Of Adam, along half a cosine.
        draws: Codes of each image for every mean, at least 2.
        importance: Codes of each image for the estimate of its likelihood; 0 for none.
        checkpoints: How often both ELBOs are taken in training, evenly spread.
        shown: How many images are returned.
        seed: Of everything.
    Returns:
        "at", steps done at checkpoints; "train_elbo" and "test_elbo" there, nats per image, with one code each;
        "train", "test": the final mean ELBOs. For the test images and their own aggregated posterior: "elbo",
        "reconstruction", "information", "marginal", each (mean, standard error) from codes of its own. "one_draw" and
        "many_draws": mean log-likelihood estimates. "images", "rebuilt" and "drawn": shape (shown, 64): test images,
        their reconstructions (chances), and images from codes of the prior.
    Raises:
        UserError: If there is no such prior, a number is out of range, steps cannot be divided evenly, or the loss is
            not finite, with the step and the setting.
    Source:
        WGAN lecture, slides on priors of the VAE.
    """
    if prior not in PRIORS:
        raise unknown("prior", prior, PRIORS)
    as_count(draws, "draws", at_least=2)
    as_count(steps, "steps"), as_count(batch, "batch"), as_number(learning_rate, "learning_rate", above=0)
    as_count(importance, "importance", at_least=0), as_count(shown, "shown", at_least=0)
    if steps % as_count(checkpoints, "checkpoints"):
        raise UserError(f"{steps} steps cannot be divided into {checkpoints} equal parts for the checkpoints.")
    rng = seeded_source(seed)
    torch.default_generator.manual_seed(seed)  # dropout takes its random numbers from here
    x, unseen = binary_digits(train=train, seed=seed)
    model = VAE(dimension, width=width, dropout=dropout, rng=rng)
    flow = RealNVP(dimension, layers=flow_layers, width=flow_width, rng=rng)
    learnt = [*model.parameters(), *(flow.parameters() if prior == "flow" else ())]
    optimizer = torch.optim.Adam(learnt, lr=learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)

    def log_prior(z: Tensor, known: Codes) -> Tensor:
        if prior == "aggregated":
            return log_aggregated(z, known).float()
        return flow.log_prob(z) if prior == "flow" else log_standard(z)

    def elbos(images: Tensor, codes: Codes, known: Codes) -> Tensor:
        z = codes.sample(rng)
        return model.log_likelihood(images, z) + log_prior(z, known) - codes.log_prob(z)

    def means() -> list[float]:
        model.eval()
        with torch.no_grad():
            known = model.encode(x)
            own = [elbos(images, model.encode(images), known).mean().item() for images in (x, unseen)]
        model.train()
        return own

    at, found = [0], [means()]
    for step in range(steps):
        rows = torch.randint(len(x), (batch,), generator=rng)
        known = model.encode(x if prior == "aggregated" else x[rows])
        codes = known[rows] if prior == "aggregated" else known
        loss = -elbos(x[rows], codes, known).mean()
        stop_if_not_finite(
            "loss", loss.item(), step + 1, f"a VAE with {prior} prior and learning rate {learning_rate:g}"
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if (step + 1) % (steps // checkpoints) == 0:
            at.append(step + 1)
            found.append(means())
    model.eval()
    with torch.no_grad():
        known, own = model.encode(x), model.encode(unseen)

        def mean_and_error(values: Any) -> np.ndarray:
            """Return mean and standard error over new codes of every image; the images stay."""
            drawn = torch.stack([values(own.sample(rng)).double() for _ in range(draws)])
            error = (drawn.var(0) / draws).sum().sqrt() / drawn.shape[1]
            return np.array([drawn.mean().item(), error.item()])

        def value(z: Tensor) -> Tensor:
            return model.log_likelihood(unseen, z) + log_prior(z, known) - own.log_prob(z)

        result = {
            "elbo": mean_and_error(value),
            "reconstruction": mean_and_error(lambda z: model.log_likelihood(unseen, z)),
            "information": mean_and_error(lambda z: own.log_prob(z) - log_aggregated(z, own)),
            "marginal": mean_and_error(lambda z: log_aggregated(z, own) - log_prior(z, known)),
        }
        logs = torch.stack([value(own.sample(rng)) for _ in range(importance)]) if importance else torch.zeros(1, 1)
        seen = torch.stack([elbos(x, known, known) for _ in range(draws)])
        base = torch.randn(shown, dimension, generator=rng)
        chosen = known[torch.randint(len(x), (shown,), generator=rng)].sample(rng)
        z = {"standard": base, "flow": flow.inverse(base), "aggregated": chosen}[prior]
        images = [unseen[:shown], model.decoder(own.m[:shown]).sigmoid(), model.decoder(z).sigmoid()]
    train_elbo, test_elbo = np.array(found).T
    return {
        "at": np.array(at),
        "train_elbo": train_elbo,
        "test_elbo": test_elbo,
        "train": seen.mean().item(),
        "test": result["elbo"][0].item(),
        **result,
        "one_draw": logs[0].mean().item(),
        "many_draws": (logs.logsumexp(0) - math.log(len(logs))).mean().item(),
        **dict(zip(("images", "rebuilt", "drawn"), (own.numpy() for own in images), strict=True)),
    }
