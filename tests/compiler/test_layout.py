"""Layouts: random convolutional programs keep their values, and cost what the cut says."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from netwright.compiler import pipeline
from netwright.compiler.ir import (
    Builder,
    DType,
    Entry,
    Graph,
    Node,
    Parameter,
    Port,
    Program,
    TensorType,
    Value,
    symbol,
)
from netwright.compiler.ir.dims import symbols
from netwright.compiler.ir.text import parse_program, print_program
from netwright.compiler.ir.verify import verify
from netwright.compiler.layout.sizes import TypicalSizes
from netwright.compiler.ops import functional as fn
from netwright.compiler.ops.elementwise import Add
from netwright.compiler.ops.shape import Transpose
from netwright.compiler.ops.tensor import Tensor, elementwise
from netwright.compiler.passes.context import Context, LayoutCosts
from netwright.compiler.passes.cse import cse
from netwright.compiler.passes.dce import dce
from netwright.compiler.passes.hoist import hoist
from netwright.compiler.passes.layout import layout
from netwright.compiler.passes.simplify import simplify

from .random_programs import programs
from .running import assert_same, program

F = DType.FLOAT64
N = symbol("N", 1, 5)


class Net:
    """A convolutional program in the making."""

    def __init__(self) -> None:
        self.build = Builder()
        self.parameters: dict[str, Value] = {}
        self.image = Value(TensorType(F, (N, 4, 8, 8)))

    @property
    def start(self) -> Tensor:
        return Tensor(self.build, self.image)

    def parameter(self, *shape: int) -> Tensor:
        value = self.parameters[f"p{len(self.parameters)}"] = Value(TensorType(F, shape))
        return Tensor(self.build, value)

    def conv(self, x: Tensor, filters: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> Tensor:
        spatial = x.rank - 2
        weights = self.parameter(filters, int(x.shape[1]) // groups, *(kernel,) * spatial)  # type: ignore[arg-type]
        side = (kernel // 2, kernel // 2)
        return fn.conv(x, weights, stride=(stride,) * spatial, padding=(side,) * spatial, groups=groups)

    def program(self, *results: Tensor) -> Program:
        values = (self.image, *self.parameters.values())
        graph = self.build.graph(values, [result.value for result in results])
        used = sorted({each for size in self.image.type.shape for each in symbols(size)}, key=str)
        names = tuple(f"y{number}" for number in range(len(results)))
        port = Port("x", self.image.type)
        entry = Entry("main", graph, (port,), tuple(self.parameters), (), names, symbols=tuple(used))
        held = {path: Parameter(path, value.type, "he") for path, value in self.parameters.items()}
        return Program("net", {"main": entry}, parameters=held)


def random_net(seed: int) -> Program:
    """Convolutions, skips, concatenations, pools, norms, flattened ends."""
    draw, net = random.Random(seed), Net()
    images = [net.start]
    results: list[Tensor] = []
    for _ in range(draw.randrange(3, 14)):
        x = draw.choice(images[-4:])
        match draw.randrange(12):
            case 0 | 1 | 2:
                groups = draw.choice([1, 1, 2, int(x.shape[1])])  # type: ignore[arg-type]
                made = net.conv(x, 4, draw.choice([1, 3]), draw.choice([1, 1, 2]), groups)
            case 3:
                made = fn.tanh(x)
            case 4:
                same = [other for other in images if other.shape == x.shape]
                made = elementwise(net.build, Add(), x, draw.choice(same))
            case 5:
                same = [other for other in images if other.shape[2:] == x.shape[2:]]
                made = fn.concat([x, draw.choice(same)], 1)
                made = fn.slice_axis(made, 1, draw.randrange(3), made.shape[1] - 1)
                made = net.conv(made, 4, 1)
            case 6:
                made = fn.window_max(x, (1, 1, 2, 2), (1,) * 4, ((0, 0), (0, 0), (1, 0), (0, 1)), (1,) * 4)
            case 7:
                made = x + net.parameter(4, 1, 1)
            case 8:
                rows = x.reshape(x.shape[0], 2, 2 * x.shape[2] * x.shape[3])
                made = (rows - fn.mean(rows, (2,), keep=True)).reshape(*x.shape)
            case 9:
                scale = fn.sigmoid(fn.reduce_sum(x, (2, 3)))
                made = x * fn.expand_axes(scale, (2, 3))
            case 10:
                pixels = fn.transpose(x.reshape(x.shape[0], 4, x.shape[2] * x.shape[3]), (0, 2, 1))
                mixed = fn.dot(pixels, net.parameter(4, 4), ((2,), (1,)))
                made = fn.transpose(mixed, (0, 2, 1)).reshape(*x.shape)
            case _:
                flat = x.reshape(x.shape[0], 4 * x.shape[2] * x.shape[3])
                results.append(fn.dot(flat, net.parameter(int(flat.shape[1]), 3), ((1,), (0,))))  # type: ignore[arg-type]
                continue
        images.append(made)
    return net.program(images[-1], *results)


def costs(seed: int) -> LayoutCosts:
    """Costs by the number of weights, one conversion as dear as another."""
    draw = random.Random(seed)
    pairs = {number: (draw.choice([0, 1, 4, 9]), draw.choice([0, 1, 4, 9])) for number in range(1000)}

    def of_node(node: Node) -> tuple[float, float] | None:
        if node.op.name not in ("conv", "dot", "window_max"):
            return None
        first, second = pairs[int(node.inputs[-1].type.elements) % 1000]  # type: ignore[arg-type]
        return float(first), float(second)

    return LayoutCosts(of_node, lambda type: 2.0, whole_axes=seed % 2 == 1)


def after_layout(program: Program, priced: LayoutCosts) -> tuple[Program, Context]:
    context = Context(layout=priced)
    changed = layout(program, context)
    verify(changed, "layout")
    return changed, context


@pytest.mark.parametrize("seed", range(60))
def test_values_stay(seed: int) -> None:
    program = random_net(seed)
    verify(program)
    changed, context = after_layout(program, costs(seed))
    assert_same(program, changed)
    again, _ = after_layout(program, costs(seed))
    assert print_program(again) == print_program(changed)
    for run in (simplify, cse, hoist, dce):
        changed = run(changed, context)
    verify(changed)
    assert_same(program, changed)
    graph = changed.entries["main"].graph
    parameters = set(graph.inputs[1:])
    assert not [node for node in graph.nodes if node.op.name == "transpose" and node.inputs[0] in parameters]


def transposes(graph: Graph) -> list[Node]:
    """Conversions that are work at run time."""
    outside = set(graph.inputs[1:])
    return [node for node in graph.nodes if isinstance(node.op, Transpose) and node.inputs[0] not in outside]


def resnet(blocks: int) -> Program:
    net = Net()
    x = net.conv(net.start, 4)
    for _ in range(blocks):
        inner = net.conv(fn.maximum(net.conv(x, 4) + net.parameter(4, 1, 1), 0.0), 4) + net.parameter(4, 1, 1)
        x = fn.maximum(inner + x, 0.0)
    x = fn.window_max(x, (1, 1, 2, 2), (1, 1, 2, 2), ((0, 0),) * 4, (1,) * 4)
    return net.program(fn.dot(fn.mean(x, (2, 3)), net.parameter(4, 10), ((1,), (0,))), fn.tanh(x))


def flat(natural: float, other: float, move: float) -> LayoutCosts:
    return LayoutCosts(lambda node: (natural, other) if node.op.name == "conv" else None, lambda type: move)


def test_a_residual_network_converts_at_its_borders_only() -> None:
    program = resnet(5)
    changed, context = after_layout(program, flat(2, 1, 3))
    assert_same(program, changed)
    ops = [node.op.name for node in changed.entries["main"].graph.nodes]
    assert "conv" not in ops and ops.count("conv_channels_last") == 11
    assert len(transposes(changed.entries["main"].graph)) == 2
    assert "cost 22 before, 17 after" in context.log[0].why
    assert "11 of 11 conv" in context.log[0].what


def test_a_conversion_is_shared() -> None:
    """Three branches of one tensor that is also read as it is."""
    net = Net()
    x = fn.cumulative_sum(net.start.reshape(N, 8, 4, 8), 2).reshape(N, 4, 8, 8)
    branches = [net.conv(x, 4) for _ in range(3)]
    program = net.program(fn.concat(branches, 1), x)
    changed, _ = after_layout(program, flat(2, 0, 2))
    assert_same(program, changed)
    found = transposes(changed.entries["main"].graph)
    assert [node.op.axes for node in found] == [(0, 2, 3, 1), (0, 3, 1, 2)]  # type: ignore[attr-defined]


def test_one_and_three_spatial_axes() -> None:
    for sizes in ((10,), (3, 4, 5)):
        net = Net()
        net.image = Value(TensorType(F, (N, 4, *sizes)))
        program = net.program(net.conv(fn.tanh(net.conv(net.start, 6)), 2, 1))
        changed, _ = after_layout(program, flat(5, 1, 1))
        assert_same(program, changed)
        assert len(transposes(changed.entries["main"].graph)) == 2


def test_weights_that_two_entries_share_stay_shared() -> None:
    program = resnet(1)
    main = program.entries["main"]
    program = replace(program, entries={"main": main, "other": replace(main, name="other")})
    changed, context = after_layout(program, flat(5, 1, 1))
    for run in (simplify, cse, hoist, dce):
        changed = run(changed, context)
    assert changed.entries["main"].params == changed.entries["other"].params
    assert len(changed.packed) == len({id(value) for value in changed.prepare.outputs})
    assert_same(program, changed)


def test_without_costs_nothing_changes() -> None:
    program = resnet(1)
    assert layout(program, Context()) is program
    assert after_layout(program, flat(1, 1, 1))[0] is program


def test_what_follows_layout_runs_if_that_did_something(tmp_path: Path) -> None:
    for natural, again in ((1, 0), (9, 1)):
        folder = tmp_path / str(again)
        context = Context(layout=flat(natural, 1, 1), requires=frozenset({"layout"}), dump_dir=folder)
        pipeline.run(resnet(1), context)
        names = [path.stem.partition("_")[2] for path in sorted(folder.iterdir())]
        assert names.count("hoist") == 1 + again


def test_thousands_of_nodes() -> None:
    program = resnet(500)
    start = time.perf_counter()
    changed, _ = after_layout(program, flat(2, 1, 3))
    assert time.perf_counter() - start < 10
    assert len(transposes(changed.entries["main"].graph)) == 2


LOOP = """
parameter "w": float64[3, 3, 3, 3] init "he"
entry "main" {
  input %0 "x": float64[1, 3, 4, 4]
  input %1 "rows": float64[5, 2]
  param %2 "w": float64[3, 3, 3, 3]
  %3 = scan(%2, %0, %1) {constants: 1, carries: 1, length: 5} : float64[1, 3, 4, 4] {
    input %4: float64[3, 3, 3, 3]
    input %5: float64[1, 3, 4, 4]
    input %6: float64[2]
    %7 = conv(%5, %4) {padding: [[1, 1], [1, 1]]} : float64[1, 3, 4, 4]
    %8 = tanh(%7) : float64[1, 3, 4, 4]
    %9 = conv(%8, %4) {padding: [[1, 1], [1, 1]]} : float64[1, 3, 4, 4]
    output %9
  }
  output "y" %3
}
"""


def test_weights_of_a_loop_are_converted_when_the_bundle_is_made() -> None:
    before = program(LOOP)
    after = pipeline.run(before, Context(layout=flat(5, 1, 1), requires=frozenset({"layout"}), debug=True))
    assert_same(before, after)
    (loop,) = after.entries["main"].graph.nodes
    assert [node.op.name for node in loop.regions[0].nodes].count("transpose") == 2
    assert after.entries["main"].params == ("w.packed",)


def test_entries_agree_on_the_weights_that_they_share() -> None:
    """Alone the second entry would stay natural; weights that the first has converted are worth following."""
    text = """
    parameter "w": float64[3, 3, 1, 1] init "he"
    entry "big" {
      input %0 "x": float64[1, 3, 4, 4]
      param %1 "w": float64[3, 3, 1, 1]
      %2 = conv(%0, %1) : float64[1, 3, 4, 4]
      output "y" %2
    }
    entry "small" {
      input %0 "x": float64[1, 3, 2, 2]
      param %1 "w": float64[3, 3, 1, 1]
      %2 = conv(%0, %1) : float64[1, 3, 2, 2]
      output "y" %2
    }
    """
    before = program(text)

    def of_node(node: Node) -> tuple[float, float] | None:
        return (9.0, 0.0) if node.inputs[0].type.shape[2] == 4 else (1.5, 0.0)

    costs = LayoutCosts(of_node, lambda type: 1.0)
    changed, _ = after_layout(before, costs)
    assert_same(before, changed)
    assert "conv" not in {node.op.name for node in changed.entries["small"].graph.nodes}
    alone = replace(before, entries={"small": before.entries["small"]})
    assert after_layout(alone, costs)[0].entries["small"].graph is before.entries["small"].graph


def test_symbols_count_as_images_of_a_usual_size() -> None:
    h, batch, free = symbol("H", 8, 4096), symbol("N"), symbol("K", 1, 9)
    sizes = TypicalSizes.of([TensorType(F, (batch, 1, 16 * h + 60, 300)), TensorType(F, (h,))])
    assert sizes.of_type(TensorType(F, (batch, h, 2 * h, free))).shape == (1, 12, 24, 9)
    huge = TypicalSizes.of([TensorType(F, (1, symbol("W", 500, 600)))])
    assert huge.of_type(TensorType(F, (symbol("W", 500, 600),))).shape == (500,)


def primitives_only(node: Node) -> str | None:
    composite = node.op.is_composite() and node.op.name != "conv_channels_last"
    return "a composite" if composite else None


@settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(programs(24), st.booleans())
def test_programs_of_every_construct(text: str, whole_axes: bool) -> None:
    before = parse_program(text)
    costs = LayoutCosts(
        lambda node: (3.0, 1.0) if node.op.name in ("conv", "dot") else None, lambda type: 1.0, whole_axes
    )
    context = Context(claims=primitives_only, layout=costs, requires=frozenset({"layout"}), debug=True)
    assert_same(before, pipeline.run(before, context), 1e-9)
