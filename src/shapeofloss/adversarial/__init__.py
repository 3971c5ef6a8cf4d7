"""The WGAN lecture: adversarial training, Wasserstein distance and f-divergences (part 4)."""
