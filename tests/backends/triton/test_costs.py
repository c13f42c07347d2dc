"""What the Triton target says of layouts."""

from __future__ import annotations

from netwright.backends.triton import costs
from netwright.compiler.ir import Node, Value
from netwright.compiler.ops.contract import Conv
from netwright.compiler.ops.elementwise import Exp
from netwright.compiler.ops.samples import tensor_type


def conv(x: str, w: str, y: str, **fields: int) -> Node:
    x_type, w_type, y_type = map(tensor_type, (x, w, y))
    op = Conv(**fields).canonical(x_type, w_type)  # type: ignore[arg-type]
    return Node(op, (Value(x_type), Value(w_type)), (Value(y_type),))


def test_windows_over_many_channels_are_cheaper_with_the_channels_last() -> None:
    node = conv("float16[8, 64, 58, 58]", "float16[64, 64, 3, 3]", "float16[8, 64, 56, 56]")
    natural, last = costs.layout(node) or (0, 0)
    assert natural > 1.2 * last > 0


def test_a_plain_product_hardly_cares() -> None:
    node = conv("float32[8, 64, 56, 56]", "float32[64, 64, 1, 1]", "float32[8, 64, 56, 56]")
    natural, last = costs.layout(node) or (0, 0)
    assert last <= natural < 1.1 * last


def test_windows_and_depthwise_convolutions_read_runs_of_channels() -> None:
    depthwise = conv("float32[8, 64, 58, 58]", "float32[64, 1, 3, 3]", "float32[8, 64, 56, 56]", groups=64)
    natural, last = costs.layout(depthwise) or (0, 0)
    assert natural > last > 0


def test_a_conversion_is_dearer_than_what_a_small_convolution_gains() -> None:
    small = conv("float32[1, 64, 10, 10]", "float32[64, 64, 3, 3]", "float32[1, 64, 8, 8]")
    natural, last = costs.layout(small) or (0, 0)
    assert natural - last < 2 * costs.conversion(small.output.type)


def test_what_reads_its_operands_in_any_order_has_no_preference() -> None:
    type = tensor_type("float32[4]")
    assert costs.layout(Node(Exp(), (Value(type),), (Value(type),))) is None
