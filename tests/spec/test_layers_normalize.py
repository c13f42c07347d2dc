"""Normalisations against torch.nn, with random values everywhere, in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from netwright.compiler.ir import symbol
from netwright.tests.spec.layers_built import Built, check

N, H = symbol("N"), symbol("H")


@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 5), (2, 3, 4, 5), (2, 3, 2, 3, 4)])
@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm(shape: tuple[int, ...], affine: bool) -> None:
    axes = max(1, len(shape) - 2)
    module = getattr(torch.nn, f"BatchNorm{axes}d")(3, eps=1e-3, affine=affine)
    built = check("batch_norm", module, shape, eps=1e-3, affine=affine)
    assert [node.op.name for node in built.build.nodes] == ["normalize_batch"]


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize(("affine", "bias"), [(True, True), (True, False), (False, True)])
def test_layer_norm(axes: int, affine: bool, bias: bool) -> None:
    shape = (2, 3, 4, 5)
    module = torch.nn.LayerNorm(shape[-axes:], eps=1e-2, elementwise_affine=affine, bias=bias)
    built = check("layer_norm", module, shape, eps=1e-2, axes=axes, affine=affine, bias=bias)
    assert [node.op.name for node in built.build.nodes] == ["normalize_layer"]


@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("affine", [True, False])
def test_rms_norm(axes: int, affine: bool) -> None:
    shape = (2, 4, 5)
    module = torch.nn.RMSNorm(shape[-axes:], eps=1e-2, elementwise_affine=affine)
    check("rms_norm", module, shape, eps=1e-2, axes=axes, affine=affine)


@pytest.mark.parametrize("shape", [(2, 6), (2, 6, 5), (2, 6, 3, 4)])
@pytest.mark.parametrize(("groups", "affine"), [(1, True), (3, True), (6, True), (2, False)])
def test_group_norm(shape: tuple[int, ...], groups: int, affine: bool) -> None:
    module = torch.nn.GroupNorm(groups, 6, eps=1e-2, affine=affine)
    check("group_norm", module, shape, groups=groups, eps=1e-2, affine=affine)


@pytest.mark.parametrize("shape", [(2, 6, 5), (2, 6, 3, 4), (2, 6, 2, 3, 4)])
@pytest.mark.parametrize("affine", [True, False])
def test_instance_norm(shape: tuple[int, ...], affine: bool) -> None:
    module = getattr(torch.nn, f"InstanceNorm{len(shape) - 2}d")(6, eps=1e-2, affine=affine)
    check("instance_norm", module, shape, eps=1e-2, affine=affine)


def test_norms_keep_symbolic_sizes() -> None:
    norms: list[tuple[str, dict[str, Any]]] = [("batch_norm", {}), ("group_norm", {"groups": 2}), ("instance_norm", {})]
    for name, fields in norms:
        built = Built(name, (N, 4, H, H), **fields)
        assert built.result.shape == (N, 4, H, H)
        assert not built.build.shapes.guards
    assert Built("layer_norm", (N, H, 4)).result.shape == (N, H, 4)
