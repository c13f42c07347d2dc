"""The device model: names, rates, and the least time of programs worked out by hand."""

from __future__ import annotations

import json
import math

import pytest

from netwright.compiler.devices import ALIASES, DEVICES, Device, UnknownDevice, canonical
from netwright.compiler.ir import Builder, DType, TensorType, Value
from netwright.compiler.ops import OPS
from netwright.compiler.roofline import roofline

from .running import LOOP_AND_BRANCH, program

TOY = Device("toy", "a toy", "gpu", {"float32": 100.0, "tf32": 400.0}, {"float32": 10.0}, 1000.0, 1e6, 0.5)


def test_every_device_is_whole() -> None:
    for name, device in DEVICES.items():
        assert device.name == name == canonical(name) == canonical(device.name.upper())
        assert device.memory >= 16e9 and 0.8e12 <= device.bandwidth <= 8e12
        half, full = device.rate(DType.BFLOAT16, True), device.rate(DType.FLOAT32, True)
        assert half is not None and full is not None and half > full > 1e12
        # The balance of bfloat16 products: 150 to 600 operations for each byte.
        assert 100 < half / device.bandwidth < 600
    assert all(alias not in DEVICES and name in DEVICES for alias, name in ALIASES.items())


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("sm_90", "h100"),
        ("H200", "h200"),
        ("A100-40GB", "a100-40gb"),
        ("NVIDIA B200", "b200"),
        ("tpu:v5e", "v5e"),
        ("tpu:v5p:2x2x1", "v5p"),
        ("tpu_v6e", "v6e"),
        (" cpu ", "cpu"),
    ],
)
def test_names(name: str, found: str) -> None:
    assert canonical(name) == found


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("h20", "no device is called 'h20'; did you mean h200"),
        ("sm_91", "did you mean sm_90"),
        ("v5e:2xx", "no device"),
        ("v5e:", "no device"),
        ("", "they are a100-40gb, a100, h100"),
        ("\x1b[31m", "no device is called '\\\\x1b"),
        ("quantum", "they are a100-40gb"),
    ],
)
def test_unknown_names(name: str, message: str) -> None:
    with pytest.raises(UnknownDevice, match=message):
        canonical(name)


def test_rates_by_dtype_and_precision() -> None:
    h100, v5e = DEVICES["h100"], DEVICES["v5e"]
    assert h100.rate(DType.FLOAT32, True) == 67e12 and h100.rate(DType.FLOAT32, True, "tf32") == 494.7e12
    assert h100.rate(DType.FLOAT16, True) == 989.4e12 and h100.rate(DType.FLOAT64) == 34e12
    assert h100.rate(DType.BOOL) == h100.rate(DType.INT64) == 67e12 and h100.rate(DType.INT32, True) == 67e12
    assert v5e.rate(DType.FLOAT32, True) == pytest.approx(197e12 / 6)
    assert v5e.rate(DType.FLOAT32, True, "bf16") == 197e12 == v5e.rate(DType.BFLOAT16, True)
    assert DEVICES["v6e"].rate(DType.FLOAT32) is None


def test_a_kernel_takes_the_longer_of_work_and_traffic() -> None:
    text = """entry "main" [N] {
      input %0 "x": float32[N, 4]
      input %1 "w": float32[4, 8]
      %2 = dot(%0, %1) {lhs_contract: [1], rhs_contract: [0]} : float32[N, 8] @"":1:1 "a.b"
      %3 = exp(%2) : float32[N, 8] @"":1:1 "a.c"
      output "y" %3
    }"""
    (entry,) = roofline(program(text), TOY, {"N": 2}).entries
    (part,) = entry.parts.values()
    products, exps = 2 * 2 * 4 * 8, 2 * 8
    moved = 4 * (2 * 4 + 4 * 8 + 2 * 8), 4 * 2 * 2 * 8
    assert part.flops == products + exps and part.bytes == sum(moved) and part.kernels == 2
    assert part.compute == pytest.approx(products / 100 + exps / 10)
    assert part.time == pytest.approx(products / 100 + exps / 10 + 1.0)
    assert part.bound == "compute" and part.limits["memory"] == 0 and part.limits["overhead"] == 1.0
    deeper = roofline(program(text), TOY, {"N": 2}, depth=2).entries[0]
    assert list(deeper.parts) == ["a.b", "a.c"] and deeper.total == entry.total
    fast = Device("fast", "", "gpu", {"float32": 1e9}, {"float32": 1e9}, 1000.0, 1e6)
    total = roofline(program(text), fast, {"N": 2}).entries[0].total
    assert total.time == pytest.approx(sum(moved) / 1000) and total.bound == "memory"
    assert total.intensity == (products + exps) / sum(moved)
    with pytest.raises(ValueError, match="not given"):
        roofline(program(text), TOY, {})
    json.dumps(roofline(program(text), TOY, {"N": 2}).to_json(), allow_nan=False)


def moved(body: str, inputs: str = 'input %0 "x": float32[100, 8]') -> int:
    text = f'entry "main" {{\n{inputs}\n{body}\n}}'
    return roofline(program(text), TOY, {}).entries[0].total.bytes


def test_what_is_read_counts_not_what_is_there() -> None:
    rows = 'input %0 "x": float32[100, 8]\ninput %1 "i": int64[3]'
    gather = '%2 = gather(%0, %1) {axis: 0} : float32[3, 8]\noutput "y" %2'
    assert moved(gather, rows) == 3 * 8 + 2 * 3 * 8 * 4
    scatter = '%3 = scatter(%0, %1, %2) {{axis: 0, mode: "{}"}} : float32[100, 8]\noutput "y" %3'
    updates = rows + '\ninput %2 "u": float32[3, 8]'
    assert moved(scatter.format("set"), updates) == 3 * 8 + 2 * 96
    assert moved(scatter.format("add"), updates) == 3 * 8 + 3 * 96
    at = 'input %0 "x": float32[100, 8]\ninput %1 "at": int64[]\ninput %2 "u": float32[1, 8]'
    write = '%3 = dynamic_update_slice(%0, %2, %1, %1) : float32[100, 8]\noutput "y" %3'
    assert moved(write, at) == 8 + 2 * 32
    read = '%3 = dynamic_slice(%0, %1, %1) {sizes: [1, 8]} : float32[1, 8]\noutput "y" %3'
    assert moved(read, at) == 8 + 2 * 32


def test_views_are_free_and_show_no_more_than_there_is() -> None:
    assert moved('%1 = transpose(%0) {axes: [1, 0]} : float32[8, 100]\noutput "y" %1') == 0
    spread = """%1 = broadcast(%0) {shape: [50, 100, 8], axes: [1, 2]} : float32[50, 100, 8]
      %2 = exp(%1) : float32[50, 100, 8]
      output "y" %2"""
    assert moved(spread) == 3200 + 50 * 3200
    part = """%1 = slice(%0) {start: [0, 0], stop: [2, 8], stride: [1, 1]} : float32[2, 8]
      %2 = exp(%1) : float32[2, 8]
      output "y" %2"""
    assert moved(part) == 2 * 64
    assert moved('%1 = mul(%0, %0) : float32[100, 8]\noutput "y" %1') == 2 * 3200


def test_a_fused_kernel_moves_what_crosses_its_border() -> None:
    fused = """%1 = exp(%0) : float32[100, 8]
      %2 = add(%1, %0) : float32[100, 8]
      %3 = mul(%2, %1) : float32[100, 8]"""
    inside = """%1 = fused(%0) {kind: "pointwise"} : float32[100, 8] {
        input %2: float32[100, 8]
        %3 = exp(%2) : float32[100, 8]
        %4 = add(%3, %2) : float32[100, 8]
        %5 = mul(%4, %3) : float32[100, 8]
        output %5
      }
      output "y" %1"""
    assert moved(inside) == 2 * 3200
    assert moved(fused + '\noutput "y" %3') == (2 + 3 + 3) * 3200
    text = f'entry "main" {{\ninput %0 "x": float32[100, 8]\n{inside}\n}}'
    total = roofline(program(text), TOY, {}).entries[0].total
    assert total.flops == 3 * 800 and total.kernels == 1


def test_loops_take_their_steps_and_conditions_the_dearer_branch() -> None:
    total = roofline(program(LOOP_AND_BRANCH), TOY, {"T": 10}).entries[0].total
    assert total.flops == 10 * 8 + 8 and total.kernels == 11
    assert total.time == pytest.approx(11 * (0.8 + 0.5))


def test_functions_count_at_each_call() -> None:
    text = """function "f" {
      input %0: float32[8]
      %1 = exp(%0) : float32[8] @"":1:1 "inner"
      output %1
    }
    entry "main" {
      input %0 "x": float32[8]
      %1 = call(%0) {function: "f", types: [float32[8]]} : float32[8] @"":1:1 "one"
      %2 = call(%1) {function: "f", types: [float32[8]]} : float32[8] @"":1:1 "two"
      output "y" %2
    }"""
    entry = roofline(program(text), TOY, {}, depth=2).entries[0]
    assert list(entry.parts) == ["one.inner", "two.inner"] and entry.total.flops == 16


def test_a_spread_convolution_multiplies_no_zeros() -> None:
    """Agrees with the plain one that is its gradient: as many multiply-accumulates, in the other direction."""
    text = """entry "main" {{
      input %0 "x": float32[1, 3, 10, 10]
      input %1 "w": float32[{w}]
      %2 = {op}(%0, %1) {{{fields}}} : float32[{y}]
      output "y" %2
    }}"""
    spread = text.format(
        op="conv",
        w="5, 3, 2, 2",
        fields="stride: [1, 1], padding: [[1, 1], [1, 1]], input_dilation: [2, 2], window_dilation: [1, 1]",
        y="1, 5, 20, 20",
    )
    total = roofline(program(spread), TOY, {}).entries[0].total
    assert total.flops == 2 * (3 * 100) * (5 * 4)
    plain = text.format(op="conv", w="5, 3, 3, 3", fields="padding: [[1, 1], [1, 1]]", y="1, 5, 10, 10")
    assert roofline(program(plain), TOY, {}).entries[0].total.flops == 2 * 5 * 100 * 27


@pytest.mark.parametrize("name", OPS)
def test_every_op_says_what_it_does_and_moves(name: str) -> None:
    """Costs of samples are finite, not negative, and no op reads more of an operand than there is."""
    for sample in OPS[name].samples():
        if sample.regions:
            continue
        build = Builder()
        arrays = [each for each in sample.lined() if each is not None]
        flat = [item for each in arrays for item in (each if isinstance(each, list) else [each])]
        values = [Value(TensorType(DType.of(each), each.shape)) for each in flat]
        op, _ = sample.op.with_present(sample.lined())
        build.emit(op, values)
        (node,) = build.nodes[-1:]
        types, results = [value.type for value in node.inputs], [value.type for value in node.outputs]
        cost, traffic = node.op.cost(types, results), node.op.traffic(types, results)
        assert cost.flops >= 2 * cost.macs >= 0 and math.isfinite(cost.flops)
        assert len(traffic.read) == len(types) and traffic.written >= 0
        for read, type in zip(traffic.read, types, strict=True):
            assert read >= 0
            if not name.startswith(("gather", "scatter")):
                assert read <= type.nbytes
