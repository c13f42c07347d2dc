"""Normalisation with parameters of its own: batch, layer, RMS, group, instance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from ...compiler.ir import Builder, OpError
from ...compiler.ir.init import Ones, Zeros
from ...compiler.ops.batch_statistics import NormalizeBatchTraining
from ...compiler.ops.normalize import NormalizeBatch, NormalizeGroup, NormalizeLayer, NormalizeRms
from ...compiler.ops.tensor import Tensor, apply
from .base import Layer, ParameterSpec, only
from .fields import Count, Switch, check_float, known

Eps = Annotated[
    float, Field(ge=0, allow_inf_nan=False, description="added to the variance (or mean square) before the root")
]
Affine = Annotated[Switch, Field(description="whether the result is scaled by weight and shifted by bias")]
Axes = Annotated[Count, Field(description="over how many of the last axes the statistics are taken")]


def scale_and_shift(shape: tuple[int, ...], shift: bool = True) -> tuple[ParameterSpec, ...]:
    """weight, 1 at first, and bias, 0 at first."""
    weight = ParameterSpec("weight", shape, Ones())
    return (weight, ParameterSpec("bias", shape, Zeros())) if shift else (weight,)


def channels_of(layer: str, x: Tensor) -> int:
    """The size of axis 1. Raises `OpError` for x that is not ``[N, C, ...]`` of floats."""
    check_float(layer, "x", x.type)
    if x.rank < 2:
        raise OpError(f"{layer}: x must be [N, C, ...], it is {x.type}")
    return known(layer, f"the channels of x ({x.type})", x.shape[1])


class BatchNorm(Layer):
    """``(x - mean) / sqrt(variance + eps) * weight + bias`` per channel (axis 1), by the running statistics.

    While the model learns, by those of the batch, towards which the running ones move.
    """

    name = "batch_norm"
    operands = ("x",)
    owned = ("weight", "bias", "running_mean", "running_var")
    source = "Ioffe and Szegedy (2015), Batch Normalization; torch.nn.BatchNorm1d, BatchNorm2d, BatchNorm3d"

    eps: Eps = 1e-5
    momentum: Annotated[
        float, Field(ge=0, le=1, description="share of a batch in the next running statistics, when training")
    ] = 0.1
    affine: Affine = True

    def parameters(self, *operands: Tensor | None) -> Sequence[ParameterSpec]:
        """weight and bias (with ``affine``), running_mean and running_var, which are not trained; all ``(C,)``."""
        channels = (channels_of(self.name, only(operands)),)
        return (
            *(scale_and_shift(channels) if self.affine else ()),
            ParameterSpec("running_mean", channels, Zeros(), trainable=False),
            ParameterSpec("running_var", channels, Ones(), trainable=False),
        )

    def lower(self, build: Builder, *operands: Tensor | None, **parameters: Tensor) -> Tensor:
        self.check(build, operands, parameters)
        weight, bias = parameters.get("weight"), parameters.get("bias")
        mean, variance = parameters["running_mean"], parameters["running_var"]
        result: Tensor = apply(build, NormalizeBatch(eps=self.eps), only(operands), weight, bias, mean, variance)
        return result

    def train(self, build: Builder, *operands: Tensor | None, **parameters: Tensor) -> tuple[Any, Mapping[str, Tensor]]:
        """By the statistics of the batch, which move the running ones."""
        self.check(build, operands, parameters)
        weight, bias = parameters.get("weight"), parameters.get("bias")
        mean, variance = parameters["running_mean"], parameters["running_var"]
        op = NormalizeBatchTraining(eps=self.eps, momentum=self.momentum)
        y, mean, variance = apply(build, op, only(operands), weight, bias, mean, variance)
        return y, {"running_mean": mean, "running_var": variance}


class LayerNorm(Layer):
    """``(x - mean) / sqrt(variance + eps) * weight + bias`` with the statistics of the last axes of each element."""

    name = "layer_norm"
    operands = ("x",)
    owned = ("weight", "bias")
    source = "Ba, Kiros, Hinton (2016), Layer Normalization; torch.nn.LayerNorm"

    eps: Eps = 1e-5
    axes: Axes = 1
    bias: Annotated[Switch, Field(description="whether there is a bias; only with `affine`")] = True
    affine: Affine = True

    def parameters(self, *operands: Tensor | None) -> Sequence[ParameterSpec]:
        """weight and bias of the shape of the last axes; none without ``affine``."""
        shape = last_axes(self.name, only(operands), self.axes)
        return scale_and_shift(shape, self.bias) if self.affine else ()

    def lower(self, build: Builder, *operands: Tensor | None, **parameters: Tensor) -> Tensor:
        self.check(build, operands, parameters)
        op = NormalizeLayer(eps=self.eps, axis=-self.axes)
        result: Tensor = apply(build, op, only(operands), parameters.get("weight"), parameters.get("bias"))
        return result


class RmsNorm(Layer):
    """``x / sqrt(mean(x^2) + eps) * weight`` with the mean over the last axes."""

    name = "rms_norm"
    operands = ("x",)
    owned = ("weight",)
    source = "Zhang and Sennrich (2019), Root Mean Square Layer Normalization; torch.nn.RMSNorm"

    eps: Eps = 1e-6
    axes: Axes = 1
    affine: Annotated[Switch, Field(description="whether the result is scaled by weight")] = True

    def parameters(self, *operands: Tensor | None) -> Sequence[ParameterSpec]:
        """weight of the shape of the last axes; none without ``affine``."""
        shape = last_axes(self.name, only(operands), self.axes)
        return scale_and_shift(shape, shift=False) if self.affine else ()

    def lower(self, build: Builder, *operands: Tensor | None, **parameters: Tensor) -> Tensor:
        self.check(build, operands, parameters)
        op = NormalizeRms(eps=self.eps, axis=-self.axes)
        result: Tensor = apply(build, op, only(operands), parameters.get("weight"))
        return result


def last_axes(layer: str, x: Tensor, axes: int) -> tuple[int, ...]:
    """The sizes of the last axes. Raises `OpError`."""
    check_float(layer, "x", x.type)
    if x.rank < axes:
        raise OpError(f"{layer}: axes must be at most the {x.rank} of x ({x.type}), it is {axes}")
    return tuple(known(layer, f"axis {k} of x ({x.type})", x.shape[k]) for k in range(x.rank - axes, x.rank))


class _PerExample(Layer):
    """Base: statistics of each example and group of channels."""

    operands = ("x",)
    owned = ("weight", "bias")

    eps: Eps = 1e-5
    affine: Affine = True

    def groups_of(self, channels: int) -> int:
        """How many groups the channels form."""
        raise NotImplementedError(f"{type(self).__name__} declares no groups")

    def parameters(self, *operands: Tensor | None) -> Sequence[ParameterSpec]:
        """weight and bias ``(C,)``; none without ``affine``."""
        channels = channels_of(self.name, only(operands))
        groups = self.groups_of(channels)
        if channels % groups:
            raise OpError(f"{self.name}: the channels of x ({channels}) cannot be split into {groups} groups")
        return scale_and_shift((channels,)) if self.affine else ()

    def lower(self, build: Builder, *operands: Tensor | None, **parameters: Tensor) -> Tensor:
        x = only(operands)
        self.check(build, operands, parameters)
        op = NormalizeGroup(eps=self.eps, groups=self.groups_of(channels_of(self.name, x)))
        result: Tensor = apply(build, op, x, parameters.get("weight"), parameters.get("bias"))
        return result


class GroupNorm(_PerExample):
    """``(x - mean) / sqrt(variance + eps) * weight + bias``, by the statistics of an example and group of channels."""

    name = "group_norm"
    source = "Wu and He (2018), Group Normalization; torch.nn.GroupNorm"

    groups: Annotated[Count, Field(description="groups of channels with statistics of their own")]

    def groups_of(self, channels: int) -> int:
        return self.groups


class InstanceNorm(_PerExample):
    """``(x - mean) / sqrt(variance + eps) * weight + bias``, by the statistics of an example and channel."""

    name = "instance_norm"
    source = "Ulyanov, Vedaldi, Lempitsky (2016), Instance Normalization; torch.nn.InstanceNorm2d"

    affine: Affine = False

    def groups_of(self, channels: int) -> int:
        return channels


LAYERS: tuple[type[Layer], ...] = (BatchNorm, LayerNorm, RmsNorm, GroupNorm, InstanceNorm)
