"""Algorithm 2: it finds a sharpness that is known, and says when there is none."""

import math

import numpy as np
import pytest
import torch

from shapeofloss.errors import UserError
from shapeofloss.experiments.persistence_as_a_yardstick.learned_sharpness import find_sharpness, search
from shapeofloss.signloss import directional_sign_loss


def walks(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return lambda _: tuple(torch.randn(2, 16, 200, generator=generator).cumsum(dim=2))


def test_a_known_sharpness_is_found_again():
    def reference(x, y):
        return directional_sign_loss(x, y, sharpness=1.7)

    found = find_sharpness(walks(), reference, start=0.5, steps=400, learning_rate=0.1, tolerance=0.002)
    assert found.converged and found.reason == "converged"
    assert found.value == pytest.approx(1.7, rel=0.1)
    assert len(found.sharpness) == len(found.loss) == len(found.reference) == 400


def test_a_reference_out_of_reach_is_told_from_a_search_that_was_too_short():
    beyond = find_sharpness(walks(), torch.nn.functional.mse_loss, start=1.0, steps=60)
    assert not beyond.converged and beyond.reason.startswith("cannot converge: the reference loss is ")
    assert len(beyond.loss) == 60 and beyond.largest <= 2
    short = find_sharpness(walks(), lambda x, y: directional_sign_loss(x, y, sharpness=9.0), start=0.1, steps=55)
    assert not short.converged and short.reason == "not converged after 55 steps"


def test_the_largest_loss_is_the_exact_count_for_unlike_walks():
    found = find_sharpness(walks(), torch.nn.functional.mse_loss, start=1.0, steps=1)
    assert found.largest == pytest.approx(1.0, abs=0.05)  # half of the signs differ, unhalved


def test_the_sharpness_has_the_unit_of_the_data():
    plain = find_sharpness(walks(3), torch.nn.functional.mse_loss, start=1.0, learning_rate=0.3, steps=20)
    draw = walks(3)
    scaled = find_sharpness(
        lambda step: tuple(100 * half for half in draw(step)),
        lambda x, y: torch.nn.functional.mse_loss(x / 100, y / 100),
        start=0.01,
        learning_rate=0.003,
        steps=20,
    )
    assert np.allclose(100 * scaled.sharpness, plain.sharpness, rtol=1e-3)


def test_searches_repeat_to_the_bit_and_name_their_data():
    settings = {"seed": 1, "batch": 2, "start": 1.0, "steps": 5}
    for data, size in (("waves", 32), ("photographs", 16)):
        first, second = (search(data=data, size=size, **settings) for _ in range(2))
        assert np.array_equal(first["sharpness"], second["sharpness"]) and len(first["loss"]) == 5
    with pytest.raises(UserError, match="Did you mean 'waves'"):
        search(data="wave", size=32, **settings)


@pytest.mark.parametrize(
    "change",
    [
        *({"start": value} for value in (0, -1.0, math.inf, math.nan, "1")),
        *({"steps": value} for value in (0, 2.5, None)),
        *({name: value} for name in ("tolerance", "learning_rate") for value in (0, math.nan, "fast")),
    ],
)
def test_settings_that_are_no_positive_numbers_are_refused(change):
    (name,) = change
    with pytest.raises(UserError, match=f"{name} is .* is needed"):
        find_sharpness(walks(), torch.nn.functional.mse_loss, **{"start": 1.0, "steps": 5, **change})


def test_a_reference_or_batch_without_a_number_is_refused_at_the_start_and_later():
    def late(bad, step):  # ten batches come first, to see what can be reached
        calls = iter(range(99))
        return lambda good: bad if next(calls) == step else good

    rising = torch.arange(6.0).reshape(2, 3)
    good = (rising, -rising)
    for step in (0, 12):
        for bad, told in ((math.nan, "nan"), (math.inf, "inf"), ([0.5, 0.5], r"of shape \(2,\)")):
            spoil = late(torch.tensor(bad), step)
            with pytest.raises(UserError, match=f"The reference loss is {told}"):
                find_sharpness(walks(), lambda x, y, s=spoil: s(torch.tensor(0.5)), start=1.0, steps=9)
        for bad, told in (
            ((good[0], good[1] * math.nan), "not finite"),
            ((good[0], good[1].clone().requires_grad_()), "records gradients"),
            (good[0].numpy().tolist()[:1], "a pair of tensors is needed"),
            ((good[0].numpy(), good[1]), "a tensor is needed"),
        ):
            spoil = late(bad, step)
            with pytest.raises(UserError, match=told):
                find_sharpness(lambda _, s=spoil: s(good), lambda x, y: torch.tensor(0.01), start=1.0, steps=9)
    with pytest.raises(UserError, match="a tensor is needed"):
        find_sharpness(walks(), lambda x, y: 0.5, start=1.0, steps=5)
    with pytest.raises(UserError, match="batch is a tuple; a function is needed"):
        find_sharpness(good, torch.nn.functional.mse_loss, start=1.0, steps=5)
