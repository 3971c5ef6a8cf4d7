"""What the public door lets in: NumPy and PyTorch themselves say what the values are."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from shapeofloss.arrays import as_count, as_floats, as_function, as_number, as_seeds, as_tensor
from shapeofloss.errors import UserError, unknown

VALUES = np.arange(6.0).reshape(2, 3)


def test_a_user_error_is_a_value_error():
    with pytest.raises(ValueError, match="There is no"):
        raise unknown("view", 3, ["line"])


@pytest.mark.parametrize(
    "given",
    [
        VALUES.tolist(),
        VALUES.astype(np.float32),
        pd.DataFrame(VALUES),
        torch.tensor(VALUES, dtype=torch.bfloat16),
        torch.tensor(VALUES, dtype=torch.int16),
        np.ma.masked_array(VALUES, mask=False),
        VALUES[::-1][::-1],
        np.asfortranarray(VALUES),
    ],
)
def test_numbers_of_any_kind_become_contiguous_double_precision(given):
    found = as_floats(given, "x", shape=("N", 3))
    assert found.dtype == np.float64 and found.flags.c_contiguous
    np.testing.assert_array_equal(found, VALUES)


def test_a_reversed_view_can_be_handed_to_pytorch():
    torch.from_numpy(as_floats(VALUES[::-1, ::-1], "x"))
    assert as_floats(3.0, "x").shape == ()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (VALUES + 1j, "complex"),
        (torch.tensor([1j]), "complex"),
        (torch.ones(2, requires_grad=True), r"call \.detach\(\) on it first"),
        (np.ma.masked_greater(VALUES, 3), "masked"),
        ([[1.0], [2.0, 3.0]], "no array of numbers"),
        (["a"], "no array of numbers"),
        (object(), "no array of numbers"),
        ([math.nan, 1.0], "1 value that is not finite"),
        ([math.inf, math.nan], "2 values that are not finite"),
    ],
)
def test_what_would_be_cast_or_cut_is_refused(given, sentence):
    with pytest.raises(UserError, match=sentence):
        as_floats(given, "x")


def test_a_shape_is_asked_for_in_words_and_numbers():
    with pytest.raises(UserError, match=r"D has shape \(2, 3\); \(n, 2\) is needed"):
        as_floats(VALUES, "D", shape=("n", 2))
    with pytest.raises(UserError, match=r"\(n,\) is needed"):
        as_floats(VALUES, "D", shape=("n",))
    with pytest.raises(UserError, match="empty"):
        as_floats([], "D", empty=False)


@pytest.mark.parametrize("given", [math.nan, "2", None, 0.0, -1, 1 + 1j, [1, 2], math.inf, torch.ones(2)])
def test_a_number_outside_of_its_bounds_is_refused(given):
    with pytest.raises(UserError, match=r"eps is .* finite number above 0 is needed"):
        as_number(given, "eps", above=0)


def test_bounds_are_open_or_closed_as_named():
    assert as_number(math.inf, "order", at_least=1, finite=False) == math.inf
    assert as_number(torch.tensor(2.0), "order", at_least=2, at_most=2) == 2.0
    with pytest.raises(UserError, match="below 1"):
        as_number(1, "scaling", above=0, below=1)
    with pytest.raises(UserError, match="a number from 1 is needed"):
        as_number(math.nan, "order", at_least=1, finite=False)


@pytest.mark.parametrize("given", [0, -1, 2.0, "3", None, True, [1], math.nan])
def test_a_count_is_a_whole_number(given):
    with pytest.raises(UserError, match=r"steps is .* a whole number from 1"):
        as_count(given, "steps")


def test_integers_of_numpy_and_pytorch_are_counts():
    assert [as_count(n, "n") for n in (np.uint8(3), torch.tensor(3), 3)] == [3, 3, 3]


@pytest.mark.parametrize("given", [3, [], [1, 1], [1.5], ["1"], "12", None, [-1], [True]])
def test_seeds_are_a_list_of_different_whole_numbers(given):
    with pytest.raises(UserError, match="seeds"):
        as_seeds(given)
    assert as_seeds(range(2)) == as_seeds(np.arange(2)) == [0, 1]


def test_tensors_and_functions_pass_as_they_are_and_nothing_else():
    tensor = torch.ones(2, requires_grad=True)
    assert as_tensor(tensor, "x") is tensor and as_function(len, "loss") is len
    with pytest.raises(UserError, match=r"x is a ndarray; a tensor is needed: torch.as_tensor\(x\)"):
        as_tensor(VALUES, "x")
    with pytest.raises(UserError, match="optimizer is a float; a function is needed, for example SGD"):
        as_function(0.1, "optimizer", example="SGD")
