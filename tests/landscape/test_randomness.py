import pytest
import torch

from shapeofloss.errors import UserError
from shapeofloss.landscape.randomness import generator_for


def test_generators_differ_by_seed_and_by_purpose():
    draws = [torch.rand(4, generator=generator_for(seed, purpose)) for seed in (0, 1) for purpose in ("a", "b")]
    assert len({tuple(draw.tolist()) for draw in draws}) == 4


def test_a_generator_depends_on_seed_and_purpose_alone():
    first = torch.rand(4, generator=generator_for(3, "direction"))
    torch.manual_seed(1)
    assert torch.equal(first, torch.rand(4, generator=generator_for(3, "direction")))


def test_a_negative_seed_is_refused():
    with pytest.raises(UserError, match="A seed is -1; a whole number from 0"):
        generator_for(-1, "direction")
