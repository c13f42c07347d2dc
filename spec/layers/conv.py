"""Convolutions over one to three axes, and their transposes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import Field

from ...compiler.ir import AnyDim, Builder, OpError
from ...compiler.ir.dims import decide
from ...compiler.ir.init import KaimingUniform
from ...compiler.ops.functional import along, conv, reverse, transpose
from ...compiler.ops.tensor import Tensor
from .base import Layer, ParameterSpec, only
from .fields import Count, Switch, check_float, check_rank, known
from .window import Padding, PerAxis, WholePerAxis, check_fits, explicit_padding, extent, per_axis, same_padding

FORMS = {1: "[N, C, L]", 2: "[N, C, H, W]", 3: "[N, C, D, H, W]"}

Kernel = Annotated[PerAxis, Field(description="size of the window: one number for all axes, or one for each")]
Stride = Annotated[PerAxis, Field(description="steps from window to window")]
Dilation = Annotated[PerAxis, Field(description="distance between the elements of a window")]
Filters = Annotated[Count, Field(description="channels of the result")]
Groups = Annotated[Count, Field(description="groups of channels that are convolved apart; `groups: C` is depthwise")]
Bias = Annotated[Switch, Field(description="whether a bias per channel of the result is added")]


class Convolution(Layer):
    """What all convolutions share. ``spatial`` is the number of axes that the kernel walks along."""

    owned = ("weight", "bias")
    spatial: ClassVar[int]

    filters: Filters
    kernel: Kernel
    stride: Stride = 1
    padding: Padding = 0
    dilation: Dilation = 1
    groups: Groups = 1
    bias: Bias = True

    def weight_shape(self, channels: int) -> tuple[int, ...]:
        """The shape of the weight for x of so many channels, without the kernel's axes."""
        raise NotImplementedError(f"{type(self).__name__} declares no weight")

    def parameters(self, *operands: Tensor | None) -> Sequence[ParameterSpec]:
        """weight and bias, uniform within ``1 / sqrt(fan in)`` as in torch."""
        x = only(operands)
        check_rank(self.name, "x", x.type, self.spatial + 2, FORMS[self.spatial])
        check_float(self.name, "x", x.type)
        channels = known(self.name, f"the channels of x ({x.type})", x.shape[1])
        for what, size in (("the channels of x", channels), ("filters", self.filters)):
            if size % self.groups or not size:
                raise OpError(f"{self.name}: {what} ({size}) cannot be split into {self.groups} groups")
        shape = (*self.weight_shape(channels), *self.per_axis("kernel", self.kernel))
        # torch takes the axes behind the first as fan in, for transposed weights too.
        first = KaimingUniform(fan_in=math.prod(shape[1:]))
        weight = ParameterSpec("weight", shape, first)
        return (weight, ParameterSpec("bias", (self.filters,), first)) if self.bias else (weight,)

    def per_axis(self, field: str, value: int | tuple[int, ...]) -> tuple[int, ...]:
        """A field as one number per spatial axis. Raises `OpError`."""
        return per_axis(self.name, field, value, self.spatial)

    def add_bias(self, result: Tensor, parameters: dict[str, Tensor]) -> Tensor:
        """The result with the bias along its channels."""
        if not self.bias:
            return result
        return result + along(parameters["bias"], result.rank, 1)


class ForwardConvolution(Convolution):
    """Sliding dot products."""

    source = "torch.nn.Conv1d, Conv2d, Conv3d"

    def weight_shape(self, channels: int) -> tuple[int, ...]:
        return (self.filters, channels // self.groups)

    def lower(self, build: Builder, *operands: Tensor | None, **parameters: Tensor) -> Tensor:
        x = only(operands)
        self.check(build, operands, parameters)
        kernel = self.per_axis("kernel", self.kernel)
        stride = self.per_axis("stride", self.stride)
        dilation = self.per_axis("dilation", self.dilation)
        sizes = x.shape[2:]
        pads = explicit_padding(self.name, self.padding, self.spatial)
        if pads is None:
            pads = same_padding(self.name, sizes, kernel, stride, dilation)
        check_fits(self.name, sizes, kernel, dilation, pads)
        result = conv(
            x,
            parameters["weight"],
            stride=stride,
            padding=pads,
            input_dilation=(1,) * self.spatial,
            window_dilation=dilation,
            groups=self.groups,
        )
        return self.add_bias(result, parameters)


class TransposedConvolution(Convolution):
    """The gradient of a convolution with respect to its input, as a layer.

    A size becomes ``(size - 1) * stride - low - high + dilation * (kernel - 1) + 1 + output_padding``; with
    ``padding: same`` it becomes ``size * stride``.
    """

    source = "torch.nn.ConvTranspose1d, ConvTranspose2d, ConvTranspose3d"

    output_padding: Annotated[
        WholePerAxis, Field(description="added to the size of the result at the high end; below stride or dilation")
    ] = 0

    def weight_shape(self, channels: int) -> tuple[int, ...]:
        return (channels, self.filters // self.groups)

    def lower(self, build: Builder, *operands: Tensor | None, **parameters: Tensor) -> Tensor:
        x = only(operands)
        self.check(build, operands, parameters)
        stride = self.per_axis("stride", self.stride)
        dilation = self.per_axis("dilation", self.dilation)
        result = conv(
            x,
            self.turned(parameters["weight"]),
            stride=(1,) * self.spatial,
            padding=self.inner_padding(x.shape[2:], stride, dilation),
            input_dilation=stride,
            window_dilation=dilation,
            groups=self.groups,
        )
        return self.add_bias(result, parameters)

    def inner_padding(
        self, sizes: tuple[AnyDim, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
    ) -> tuple[tuple[int, int], ...]:
        """The padding of the equivalent convolution over x with ``stride - 1`` zeros between its elements."""
        kernel = self.per_axis("kernel", self.kernel)
        extra = self.per_axis("output_padding", self.output_padding)
        pads = explicit_padding(self.name, self.padding, self.spatial)
        if pads is None and any(extra):
            raise OpError(f"{self.name}: `padding: same` fixes the size of the result, output_padding {extra} does too")
        inner: list[tuple[int, int]] = []
        for axis, (size, k, s, d, more) in enumerate(zip(sizes, kernel, stride, dilation, extra, strict=True)):
            if more and more >= max(s, d):
                raise OpError(
                    f"{self.name}: output_padding {more} must be smaller than the stride {s} or the dilation {d}"
                )
            span = extent(k, d)
            if pads is None:
                total = max(span - s, 0)
                low, high = total // 2, total - total // 2 - max(s - span, 0)
            else:
                low, high = pads[axis]
            result = (size - 1) * s + span - low - high + more
            if decide(result, "<=", 0):
                raise OpError(f"{self.name}: padding ({low}, {high}) leaves nothing of spatial axis {axis}: {result}")
            inner.append((span - 1 - low, span - 1 - high + more))
        return tuple(inner)

    def turned(self, weight: Tensor) -> Tensor:
        """The weight ``(C, F/groups, *kernel)`` as that of the convolution, ``(F, C/groups, *kernel)``, reversed."""
        groups, (channels, filters, *kernel) = self.groups, weight.shape
        window = tuple(range(2, 2 + self.spatial))
        if groups == 1:
            swapped = transpose(weight, (1, 0, *window))
        else:
            apart = weight.reshape(groups, channels // groups, filters, *kernel)
            swapped = transpose(apart, (0, 2, 1, *(axis + 1 for axis in window)))
            swapped = swapped.reshape(groups * filters, channels // groups, *kernel)
        return reverse(swapped, window)


class Conv1d(ForwardConvolution):
    """Convolution over ``[N, C, L]``; weight ``(filters, C / groups, k)``, bias ``(filters,)``."""

    name = "conv1d"
    spatial = 1


class Conv2d(ForwardConvolution):
    """Convolution over ``[N, C, H, W]``; weight ``(filters, C / groups, kh, kw)``, bias ``(filters,)``."""

    name = "conv2d"
    spatial = 2


class Conv3d(ForwardConvolution):
    """Convolution over ``[N, C, D, H, W]``; weight ``(filters, C / groups, kd, kh, kw)``, bias ``(filters,)``."""

    name = "conv3d"
    spatial = 3


class ConvTranspose1d(TransposedConvolution):
    """Transposed convolution over ``[N, C, L]``; weight ``(C, filters / groups, k)``, bias ``(filters,)``."""

    name = "conv_transpose1d"
    spatial = 1


class ConvTranspose2d(TransposedConvolution):
    """Transposed convolution over ``[N, C, H, W]``; weight ``(C, filters / groups, kh, kw)``, bias ``(filters,)``."""

    name = "conv_transpose2d"
    spatial = 2


class ConvTranspose3d(TransposedConvolution):
    """Transposed convolution over ``[N, C, D, H, W]``; weight ``(C, filters / groups, kd, kh, kw)``."""

    name = "conv_transpose3d"
    spatial = 3


LAYERS: tuple[type[Layer], ...] = (Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)
