"""Convolution and batch normalisation of many small networks at once, on one thread of a CPU.

The loops are in `lanes.cpp`, which is compiled once for each compiler and processor; here they become operations that
PyTorch can differentiate. Small convolutions leave most of a processor idle: a library call for each costs more than
its arithmetic. With the networks side by side, eight of them share every instruction.
"""

import ctypes
import hashlib
import os
import subprocess
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from shapeofloss.engine import compiler
from shapeofloss.errors import UserError
from shapeofloss.files import lock, write_atomically

LANES = 8  # networks of a group, as in lanes.cpp
SOURCE = Path(__file__).with_name("lanes.cpp")
FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-std=c++17", "-shared", "-fPIC")


@cache
def library() -> ctypes.CDLL:
    """Return the compiled kernels, compiling them (two seconds) if this compiler and processor have not yet.

    They are kept in the user's cache folder, see `compiler.cache_folder`.

    Raises:
        UserError: If there is no compiler, or it does not accept the source.
    """
    tool = compiler.find()
    if tool is None:
        raise UserError("Training networks together needs a C++ compiler: install g++ or clang++, or set CXX to one.")
    # What the compiler takes this processor to be: a home folder may be shared by different machines.
    target = subprocess.run([tool, *FLAGS[:2], "-dM", "-E", "-x", "c++", os.devnull], capture_output=True).stdout
    name = hashlib.sha256(b"\0".join([SOURCE.read_bytes(), target, *map(str.encode, FLAGS)])).hexdigest()[:32]
    path = compiler.cache_folder() / f"lanes-{name}.so"
    with suppress(OSError):  # it is missing or damaged
        return ctypes.CDLL(str(path))
    with lock(path.with_suffix(".lock")):
        try:
            return ctypes.CDLL(str(path))  # another process has been first
        except OSError:
            write_atomically(path, _compiled(tool))
    return ctypes.CDLL(str(path))


def _compiled(tool: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder) / "lanes.so"
        result = subprocess.run([tool, *FLAGS, "-o", str(built), str(SOURCE)], capture_output=True, text=True)
        if result.returncode:
            raise UserError(f"{tool} does not compile the kernels: set CXX to another compiler. {result.stderr[:300]}")
        return built.read_bytes()


class _Taps(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in ("starts", "position", "tap")]


class _Sizes(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_long)
        for name in (
            *("groups", "chunks", "inputs", "outputs", "input_positions", "output_positions", "samples"),
            *("group_stride", "output_stride", "input_stride"),
        )
    ]


class Geometry:
    """Which input position each tap of a filter meets at each output position, in both directions.

    Args:
        height, width: Size of the input, in pixels.
        size: Side k of a filter of k x k, odd; zeros pad the input by (k - 1) / 2.
        stride: Stride of the filter.
    """

    def __init__(self, height: int, width: int, *, size: int, stride: int) -> None:
        self.height, self.width = -(-height // stride), -(-width // stride)
        self.input_positions, self.positions, self.taps = height * width, self.height * self.width, size * size
        met = []
        for tap in range(size * size):
            rows = np.arange(self.height) * stride + tap // size - size // 2
            columns = np.arange(self.width) * stride + tap % size - size // 2
            inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))
            output = np.flatnonzero(inside)
            met.append(np.stack([output, (rows[:, None] * width + columns)[inside], np.full(len(output), tap)]))
        output, position, tap = np.concatenate(met, axis=1)
        self._forward = self._grouped(output, position, tap, self.positions)
        self._backward = self._grouped(position, output, tap, self.input_positions)
        self.forward, self.backward = (
            _Taps(*(array.ctypes.data for array in arrays)) for arrays in (self._forward, self._backward)
        )

    @staticmethod
    def _grouped(at: Any, other: Any, tap: Any, positions: int) -> tuple[NDArray[np.int32], ...]:
        """Return the pairs (other, tap) in the order of the position that they are at, and where each one's start."""
        order = np.argsort(at, kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(at, minlength=positions))])
        return tuple(np.ascontiguousarray(array, dtype=np.int32) for array in (starts, other[order], tap[order]))


@cache
def geometry(height: int, width: int, size: int, stride: int) -> Geometry:
    """Return the geometry of a convolution, made once."""
    return Geometry(height, width, size=size, stride=stride)


def _pointer(tensor: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr())


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, weights: Tensor, shape: Geometry) -> Tensor:
        features = features.contiguous()
        groups, positions, inputs, samples, _ = features.shape
        outputs = weights.shape[1]
        chunks = positions // shape.input_positions
        result = features.new_empty(groups, chunks * shape.positions, outputs, samples, LANES)
        strides = (weights.stride(0) // LANES, inputs * shape.taps, shape.taps)
        sizes = _Sizes(groups, chunks, inputs, outputs, shape.input_positions, shape.positions, samples, *strides)
        library().correlate(
            ctypes.byref(sizes), ctypes.byref(shape.forward), *map(_pointer, (features, weights, result))
        )
        ctx.save_for_backward(features, weights)
        ctx.shape, ctx.sizes = shape, sizes
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, Tensor, None]:
        features, weights = ctx.saved_tensors
        shape, sizes, slope = ctx.shape, ctx.sizes, slope.contiguous()
        weights_gradient = torch.zeros(weights.shape)
        filled = _Sizes.from_buffer_copy(sizes)
        filled.group_stride = weights_gradient.stride(0) // LANES
        library().weight_gradient(
            ctypes.byref(filled), ctypes.byref(shape.forward), *map(_pointer, (features, slope, weights_gradient))
        )
        if not ctx.needs_input_grad[0]:
            return None, weights_gradient, None
        # The gradient of the input is the correlation that runs the other way, with the channels' roles exchanged.
        features_gradient = torch.empty_like(features)
        back = _Sizes(
            *(sizes.groups, sizes.chunks, sizes.outputs, sizes.inputs, sizes.output_positions, sizes.input_positions),
            *(sizes.samples, sizes.group_stride, sizes.input_stride, sizes.output_stride),
        )
        library().correlate(
            ctypes.byref(back), ctypes.byref(shape.backward), *map(_pointer, (slope, weights, features_gradient))
        )
        return features_gradient, weights_gradient, None


class _Normalise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, scale: Tensor, shift: Tensor, epsilon: float) -> Tensor:
        features = features.contiguous()
        groups, positions, channels, samples, _ = features.shape
        mean, inverse = features.new_empty(2, groups, channels, LANES)
        result = torch.empty_like(features)
        sizes = [ctypes.c_long(n) for n in (groups, positions, channels, samples)]
        stride = ctypes.c_long(scale.stride(0) // LANES)
        library().normalise(
            *sizes,
            ctypes.c_float(epsilon),
            *map(_pointer, (features, scale, shift)),
            stride,
            *map(_pointer, (mean, inverse, result)),
        )
        ctx.save_for_backward(features, scale, mean, inverse, result)
        ctx.sizes, ctx.stride = sizes, stride
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        features, scale, mean, inverse, result = ctx.saved_tensors
        slope = slope.contiguous()
        gradient, along, total = torch.empty_like(features), torch.empty_like(mean), torch.empty_like(mean)
        library().normalise_gradient(
            *ctx.sizes,
            *map(_pointer, (features, scale)),
            ctx.stride,
            *map(_pointer, (mean, inverse, result, slope, gradient, along, total)),
        )
        return gradient, along, total, None


def convolve(features: Tensor, weights: Tensor, shape: Geometry) -> Tensor:
    """Convolve the features of each network with its own filters, without bias.

    Args:
        features: Shape (groups, chunks * positions, channels, samples, 8), float32, on the CPU: each chunk is a part of
            the batch.
        weights: Shape (groups, outputs, channels, taps, 8), each group contiguous.
        shape: The geometry of input and filters.
    Returns:
        Shape (groups, chunks * output positions, outputs, samples, 8).
    Raises:
        UserError: If the features have other channels than the filters, or another type.
    """
    if features.dtype != torch.float32 or features.shape[2] != weights.shape[2]:
        raise UserError(
            f"A convolution of {weights.shape[2]} channels in torch.float32 cannot take {features.shape[2]} channels "
            f"in {features.dtype}: give images that suit the network."
        )
    return _Convolve.apply(features, weights, shape)


def normalise_and_rectify(features: Tensor, scale: Tensor, shift: Tensor, *, epsilon: float) -> Tensor:
    """Normalise each channel of each network by the statistics of all positions and samples, then take positive parts.

    Args:
        features: Shape (groups, positions, channels, samples, 8), float32, on the CPU.
        scale, shift: Shape (groups, channels, 8), each group contiguous.
        epsilon: Added to the (biased) variance.
    Returns:
        The same shape as the features.
    """
    return _Normalise.apply(features, scale, shift, epsilon)
