"""Convolution and batch normalisation of many networks against PyTorch's own, in double precision."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import environment
from torch.nn import functional

from shapeofloss.errors import UserError
from shapeofloss.landscape.ensembles import kernels
from shapeofloss.landscape.ensembles.kernels import LANES, convolve, geometry, normalise_and_rectify

GROUPS, CHUNKS = 2, 2
GEOMETRIES = [
    (height, width, size, stride)
    for height, width in ((1, 1), (1, 4), (2, 3), (5, 2), (8, 7))
    for size in (1, 3)
    for stride in (1, 2)
]
# inputs, outputs, samples: multiples of the blocks of the loops (2, 4, 2), and what is left over
WIDTHS = [(3, 5, 3), (2, 4, 2), (1, 1, 1), (4, 9, 5)]


def drawn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def part_of_more(values):
    """Return the same values as a leaf whose groups lie further apart, as those of an ensemble's parameters do."""
    groups, *shape, lanes = values.shape
    entries = int(np.prod(shape))
    store = torch.full((groups, entries + 5, lanes), torch.nan)
    part = store[:, 3 : 3 + entries].unflatten(1, shape)
    return part.copy_(values).detach().requires_grad_()


def close(ours, exact):
    assert (ours.detach().double() - exact.detach()).norm() <= 1e-6 * exact.detach().norm()


@pytest.mark.parametrize("widths", WIDTHS, ids=str)
@pytest.mark.parametrize("where", GEOMETRIES, ids=str)
def test_a_convolution_and_its_gradients_are_those_of_torch_in_double_precision(where, widths):
    height, width, size, stride = where
    inputs, outputs, samples = widths
    features = drawn(GROUPS, CHUNKS * height * width, inputs, samples, LANES).requires_grad_()
    weights = part_of_more(drawn(GROUPS, outputs, inputs, size**2, LANES, seed=1))
    result = convolve(features, weights, geometry(height, width, size, stride))
    slope = drawn(*result.shape, seed=2)
    gradients = torch.autograd.grad(result, (features, weights), slope)

    exact_features, exact_weights = (tensor.detach().double().requires_grad_() for tensor in (features, weights))
    # (group, chunk, position, channel, sample, lane) -> (group, lane, chunk * sample, channel, height, width)
    images = exact_features.unflatten(1, (CHUNKS, height, width)).permute(0, 6, 1, 5, 4, 2, 3).flatten(2, 3)
    filters = exact_weights.unflatten(3, (size, size)).movedim(-1, 1)
    expected = torch.stack(
        [
            torch.stack(
                [
                    functional.conv2d(images[group, lane], filters[group, lane], stride=stride, padding=size // 2)
                    for lane in range(LANES)
                ]
            )
            for group in range(GROUPS)
        ]
    )
    expected = expected.unflatten(2, (CHUNKS, samples)).permute(0, 2, 5, 6, 4, 3, 1).flatten(1, 3)
    assert result.shape == expected.shape
    close(result, expected)
    for ours, exact in zip(
        gradients, torch.autograd.grad(expected, (exact_features, exact_weights), slope.double()), strict=True
    ):
        close(ours, exact)


def turned(tensor):
    """Return the same numbers in another layout."""
    return tensor.transpose(1, 2).contiguous().transpose(1, 2)


def test_features_and_slopes_may_have_any_layout_and_images_need_no_gradient():
    features, weights = drawn(1, 6, 2, 3, LANES), drawn(1, 4, 2, 9, LANES, seed=1).requires_grad_()
    scale, shift = torch.ones(1, 2, LANES).requires_grad_(), torch.zeros(1, 2, LANES)
    for parameter, function in (
        (weights, lambda x: convolve(x, weights, geometry(2, 3, 3, 1))),
        (scale, lambda x: normalise_and_rectify(x, scale, shift, epsilon=1e-5)),
    ):
        result, other = function(features), function(turned(features))
        assert torch.equal(result, other)
        for slope in (drawn(*result.shape, seed=2), torch.ones(()).expand(result.shape)):
            whole, laid = (
                torch.autograd.grad(values, parameter, layout, retain_graph=True)[0]
                for values, layout in (
                    (result, slope.clone(memory_format=torch.contiguous_format)),
                    (other, turned(slope)),
                )
            )
            (expanded,) = torch.autograd.grad(other, parameter, slope, retain_graph=True)
            assert torch.equal(whole, laid) and torch.equal(whole, expanded)


def test_an_affine_map_is_a_convolution_of_one_position_by_one_tap():
    features, matrix = drawn(GROUPS, CHUNKS, 6, 5, LANES), drawn(GROUPS, 3, 6, LANES, seed=1)
    ours = convolve(features, matrix.unsqueeze(3), geometry(1, 1, 1, 1))
    close(ours, torch.einsum("gcisl,goil->gcosl", features.double(), matrix.double()))


@pytest.mark.parametrize("shape", [(1, 1, 2), (6, 3, 4), (35, 5, 3)], ids=str)
def test_normalisation_with_relu_and_its_gradients_are_those_of_torch_in_double_precision(shape):
    positions, channels, samples = shape
    features = (3 + 2 * drawn(GROUPS, positions, channels, samples, LANES)).requires_grad_()
    scale, shift = (part_of_more(drawn(GROUPS, channels, LANES, seed=seed)) for seed in (1, 2))
    result = normalise_and_rectify(features, scale, shift, epsilon=1e-2)
    slope = drawn(*result.shape, seed=3)
    gradients = torch.autograd.grad(result, (features, scale, shift), slope)

    exact = [tensor.detach().double().requires_grad_() for tensor in (features, scale, shift)]
    expected = torch.empty(result.shape, dtype=torch.float64)
    for group in range(GROUPS):
        for lane in range(LANES):
            x, a, b = exact[0][group, ..., lane], exact[1][group, :, lane], exact[2][group, :, lane]
            expected[group, ..., lane] = functional.relu(
                functional.batch_norm(x, None, None, a, b, training=True, eps=1e-2)
            )
    close(result, expected)
    for ours, reference in zip(gradients, torch.autograd.grad(expected, exact, slope.double()), strict=True):
        assert (ours.double() - reference).norm() <= 2e-6 * reference.norm() + 1e-6


def test_a_channel_far_from_zero_keeps_its_precision():
    features = 1000 + drawn(1, 64, 1, 8, LANES)
    one, zero = torch.ones(1, 1, LANES), torch.zeros(1, 1, LANES)
    ours = normalise_and_rectify(features, one, zero, epsilon=0.0).double()
    exact = features.double() - features.double().mean(dim=(1, 3), keepdim=True)
    expected = (exact / exact.square().mean(dim=(1, 3), keepdim=True).sqrt()).clamp(min=0)
    assert (ours - expected).abs().max() < 5e-4  # single precision resolves 6e-5 at 1000, and 0.06 at its square


def test_lanes_do_not_mix_and_what_is_no_number_stays_so():
    features, weights = drawn(1, 4, 2, 3, LANES), drawn(1, 3, 2, 9, LANES, seed=1)
    spoiled = features.clone()
    spoiled[0, 1, 0, 2, 5] = torch.nan
    others = [lane for lane in range(LANES) if lane != 5]
    for function in (
        lambda x: convolve(x, weights, geometry(2, 2, 3, 1)),
        lambda x: normalise_and_rectify(x, torch.ones(1, 2, LANES), torch.zeros(1, 2, LANES), epsilon=1e-5),
    ):
        good, ill = function(features), function(spoiled)
        assert torch.equal(good[..., others], ill[..., others]) and ill[..., 5].isnan().any()


@pytest.mark.parametrize("stride", [1, 2])
def test_a_geometry_lists_every_tap_that_meets_a_pixel_once(stride):
    shape = kernels.Geometry(5, 4, size=3, stride=stride)
    padded = np.pad(np.arange(20).reshape(5, 4), 1, constant_values=-1)
    starts, position, tap = shape._forward
    assert (shape.height, shape.width, shape.positions) == (-(-5 // stride), -(-4 // stride), len(starts) - 1)
    for output in range(shape.positions):
        row, column = divmod(output, shape.width)
        window = padded[row * stride : row * stride + 3, column * stride : column * stride + 3].ravel()
        own = slice(starts[output], starts[output + 1])
        expected = [(number, pixel) for number, pixel in enumerate(window) if pixel >= 0]
        assert sorted(zip(tap[own], position[own], strict=True)) == expected


def test_features_that_do_not_suit_the_filters_are_refused():
    weights, shape = drawn(1, 4, 2, 9, LANES), geometry(2, 2, 3, 1)
    with pytest.raises(UserError, match=r"2 channels in torch.float32 cannot take 3 channels in torch.float32"):
        convolve(drawn(1, 4, 3, 1, LANES), weights, shape)
    with pytest.raises(UserError, match=r"cannot take 2 channels in torch.float64: give images that suit"):
        convolve(drawn(1, 4, 2, 1, LANES).double(), weights, shape)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and how often something was compiled into it; its results are those compiled before."""
    kernels.library()
    compiled = []
    original = kernels._compiled

    def counted(tool):
        if not compiled:
            compiled.append(original(tool))
        else:
            compiled.append(compiled[0])
        return compiled[-1]

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(kernels, "_compiled", counted)
    return tmp_path / "shapeofloss", compiled


def test_the_kernels_are_compiled_once_and_again_if_their_file_is_damaged_or_their_source_has_changed(
    cache, monkeypatch, tmp_path
):
    folder, compiled = cache
    load = kernels.library.__wrapped__  # without the memory of this process
    load(), load()
    (path,) = folder.glob("*.so")
    assert len(compiled) == 1 and path.read_bytes() == compiled[0]
    for number, damaged in enumerate((b"", b"nonsense")):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / str(number)))  # this process keeps what it has loaded
        there = tmp_path / str(number) / "shapeofloss" / path.name
        there.parent.mkdir(parents=True)
        there.write_bytes(damaged)
        assert load().normalise and there.read_bytes() == compiled[0]
    assert len(compiled) == 3
    changed = tmp_path / "lanes.cpp"
    changed.write_text(kernels.SOURCE.read_text(encoding="utf-8") + "// more\n", encoding="utf-8")
    monkeypatch.setattr(kernels, "SOURCE", changed)
    load()
    assert len(compiled) == 4 and len(list(there.parent.glob("*.so"))) == 2


def test_a_fresh_process_takes_the_kernels_from_the_cache(cache, tmp_path):
    _, compiled = cache
    kernels.library.__wrapped__()
    code = "from shapeofloss.landscape.ensembles import kernels as k; k._compiled = None; k.library().normalise"
    variables = environment(tmp_path) | {"XDG_CACHE_HOME": str(tmp_path)}
    assert subprocess.run([sys.executable, "-c", code], env=variables).returncode == 0
    assert len(compiled) == 1


def test_a_compiler_that_is_missing_or_does_not_work_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CXX", "/nonexistent")
    with pytest.raises(UserError, match=r"needs a C\+\+ compiler: install g\+\+ or clang\+\+, or set CXX"):
        kernels.library.__wrapped__()
    monkeypatch.setenv("CXX", "false")
    with pytest.raises(UserError, match="false does not compile the kernels: set CXX to another compiler"):
        kernels.library.__wrapped__()
    assert not list((tmp_path / "shapeofloss").glob("*.so"))
