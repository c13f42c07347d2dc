"""How many kernels a program starts, of which ops, and for which of its blocks."""

from __future__ import annotations

import pytest

from netwright.backends.api import Launched
from netwright.backends.triton.launches import account, block_of
from netwright.cli.launches import blocks
from netwright.compiler.ir import Loc
from netwright.driver.build import Build, Weights, compile_program
from netwright.driver.model import load


def launches(model: str, **args) -> dict[str, list[Launched]]:
    compiled = compile_program(load(model, **args), Build("triton"), Weights())
    return {name: list(runs) for name, runs in compiled.backend.launches(compiled.program).items()}


@pytest.mark.parametrize(
    "label, block",
    [
        ("", ""),
        ("conv1", "conv1"),
        ("embedded.words", "embedded"),
        ("encoded.3.q", "encoded.3"),
        ("#4.2.#0.1.bn", "#4.2.#0.1"),
        ("encoded.3", "encoded.3"),
    ],
)
def test_the_block_of_a_place(label, block):
    assert block_of(Loc(label=label)) == block


def test_no_place():
    assert block_of(None) == ""


def test_a_layer_of_bert_is_ten_kernels_at_most():
    runs = launches("zoo:bert_base")["main"]
    layers = [parts for name, _, parts in blocks(runs) if name.startswith("encoded.")]
    assert len(layers) == 1, "all twelve are alike"
    assert len(layers[0]) <= 10 and "attention" in layers[0]
    assert len({each.kernel for each in runs}) < 20, "layers share their kernels"


def test_every_convolution_of_resnet_ends_in_its_kernel():
    """Batch norm is folded, what follows is done before the result is stored: no launch is elementwise alone."""
    runs = launches("zoo:resnet50")["main"]
    assert sum(each.what.startswith("conv") for each in runs) == 53
    allowed = ("conv", "dot", "window_max")
    others = [each.what for each in runs if not each.what.startswith(allowed)]
    assert len(others) <= 1 and all("reduce_sum" in what for what in others), "the mean over the picture"
    residual = [each for each in runs if each.what.startswith("conv") and each.what.endswith("add, add, max")]
    assert len(residual) >= 15


def test_loops_are_counted_apart():
    found = account(launches("zoo:lstm"))["main"]
    assert 0 < found["in_loops"] < found["launches"]
    assert found["kernels"] <= found["launches"]


def test_equal_neighbours_are_one_row():
    runs = [Launched("k", what, "", block, False) for block, what in (("a.0", "x"), ("a.0", "y"), ("a.1", "x"))]
    runs += [Launched("k", "x", "", "a.2", False), Launched("k", "x", "", "b", False)]
    assert blocks(runs) == [("a.0", 1, ["x", "y"]), ("a.1", 3, ["x"])]
