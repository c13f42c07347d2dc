"""Programs of any number of nodes, as passes meet them at first."""

from __future__ import annotations

from collections.abc import Callable

from netwright.compiler.ir import Builder, DType, Entry, Op, Parameter, Port, Program, TensorType, Value, symbol
from netwright.compiler.ir.dims import symbols
from netwright.compiler.ops import functional as fn
from netwright.compiler.ops.activation import Relu
from netwright.compiler.ops.contract import Conv
from netwright.compiler.ops.gating import Softmax
from netwright.compiler.ops.matmul import Matmul
from netwright.compiler.ops.normalize import NormalizeBatch, NormalizeLayer
from netwright.compiler.ops.tensor import Tensor, apply

BATCH = symbol("N")


class Net:
    """A program with one input under construction."""

    def __init__(self, *shape: int) -> None:
        self.build = Builder()
        self.x = Tensor(self.build, Value(TensorType(DType.FLOAT32, (BATCH, *shape))))
        self.parameters: dict[str, Value] = {}

    def parameter(self, *shape: int) -> Tensor:
        """A new one."""
        value = Value(TensorType(DType.FLOAT32, shape))
        self.parameters[f"p{len(self.parameters)}"] = value
        return Tensor(self.build, value)

    def add(self, op: Op, *operands: Tensor | None) -> Tensor:
        """A node with one result."""
        return apply(self.build, op, *operands)

    def program(self, name: str, y: Tensor) -> Program:
        """All of it."""
        graph = self.build.graph([self.x.value, *self.parameters.values()], [y.value])
        port = Port("x", self.x.value.type)
        entry = Entry("main", graph, (port,), tuple(self.parameters), (), ("y",), (), tuple(symbols(BATCH)))
        weights = {path: Parameter(path, value.type) for path, value in self.parameters.items()}
        return Program(name, {"main": entry}, parameters=weights)


def chain(nodes: int) -> Program:
    """Elementwise nodes in a row; each fourth reads an old value too."""
    net = Net(64)
    y = old = net.x
    for step in range(nodes):
        if step % 4 == 3:
            y, old = y + old, y
        else:
            y = (fn.tanh, fn.exp, fn.sin)[step % 4](y)
    return net.program("chain", y)


def wide(nodes: int) -> Program:
    """Branches side by side, of seven nodes with their numbers, which all read one value; a tree of sums joins them."""
    net = Net(64)
    ends = []
    for branch in range(nodes // 8):
        y = fn.tanh(net.x * fn.exp(net.x * float(branch)))
        ends.append(fn.reduce_max(y, 1, keep=True) if len(ends) % 2 else fn.sin(y))
    while len(ends) > 1:
        ends = [ends[at] + ends[at + 1] if at + 1 < len(ends) else ends[at] for at in range(0, len(ends), 2)]
    return net.program("wide", ends[0])


def residual(nodes: int) -> Program:
    """Blocks of seven nodes: twice convolution and batch normalization, a ReLU after each, and a sum."""
    net = Net(8, 6, 6)
    y = net.x
    conv = Conv(padding=((1, 1), (1, 1)))
    for _ in range(nodes // 7):
        z = y
        for last in (False, True):
            z = net.add(conv, z, net.parameter(8, 8, 3, 3))
            z = net.add(NormalizeBatch(), z, *(net.parameter(8) for _ in range(4)))
            z = net.add(Relu(), z + y if last else z)
        y = z
    return net.program("residual", y)


def attention(nodes: int) -> Program:
    """Blocks of nine nodes: products with weights, a softmax between products, a sum and a layer normalization."""
    net = Net(8, 16)
    y = net.x
    for _ in range(nodes // 9):
        q, k, v = (net.add(Matmul(), y, net.parameter(16, 16)) for _ in range(3))
        weights = net.add(Softmax(), net.add(Matmul(), q, fn.transpose(k, (0, 2, 1))))
        z = y + net.add(Matmul(), weights, v)
        y = net.add(NormalizeLayer(), z, net.parameter(16), net.parameter(16))
    return net.program("attention", y)


KINDS: dict[str, Callable[[int], Program]] = {
    "chain": chain,
    "wide": wide,
    "residual": residual,
    "attention": attention,
}
