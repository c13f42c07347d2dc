"""Random programs for hypothesis: every kind of construct, values that stay small and smooth.

Float64 throughout, so that a pass that keeps the meaning keeps the digits. No op that jumps is fed with computed
floats: the last digits may differ after a pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from netwright.compiler.ir import (
    Builder,
    DType,
    Entry,
    Graph,
    Loc,
    OpError,
    Parameter,
    Port,
    Program,
    Shapes,
    Symbol,
    TensorType,
    Value,
    symbol,
)
from netwright.compiler.ir.dims import bounds, product
from netwright.compiler.ir.text import print_program
from netwright.compiler.ops import functional as fn
from netwright.compiler.ops.activation import Relu
from netwright.compiler.ops.activation_smooth import Gelu
from netwright.compiler.ops.contract import Conv, Dot
from netwright.compiler.ops.control import Call, Cond, Scan
from netwright.compiler.ops.elementwise import Add, Max, Min, Mul, Sub
from netwright.compiler.ops.gating import Softmax
from netwright.compiler.ops.normalize import NormalizeBatch, NormalizeLayer
from netwright.compiler.ops.shape import Pad, Reverse, Transpose
from netwright.compiler.ops.tensor import Tensor, apply, constant, elementwise, full

N = symbol("N", 2, 9)
F = DType.FLOAT64
Draw = Callable[[st.SearchStrategy[Any]], Any]


class Maker:
    """A program in the making: values to choose from, parameters as they are asked for."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.build = Builder()
        self.values: list[Tensor] = []
        self.parameters: dict[str, tuple[Parameter, Value]] = {}
        self.functions: dict[str, Graph] = {}

    def choose(self, fits: Callable[[Tensor], bool] = lambda tensor: True) -> Tensor | None:
        found = [tensor for tensor in self.values[-8:] + self.values[:2] if fits(tensor)]
        return self.draw(st.sampled_from(found)) if found else None

    def parameter(self, shape: tuple[int, ...], init: str = "he", trainable: bool = True) -> Tensor:
        """A new parameter, or one of that shape that is there already."""
        same = [value for _, value in self.parameters.values() if value.type.shape == shape]
        if same and self.draw(st.integers(0, 3)) == 0:
            return Tensor(self.build, self.draw(st.sampled_from(same)))
        path = f"p{len(self.parameters)}"
        value = Value(TensorType(F, shape))
        self.parameters[path] = (Parameter(path, value.type, init, trainable), value)
        return Tensor(self.build, value)

    def add(self) -> None:
        step = self.draw(st.sampled_from(STEPS))
        self.build.loc = Loc("random.yaml", len(self.values) + 1, 1, f"v{len(self.values)}")
        known = len(self.build.nodes)
        try:
            result = step(self)
        except OpError:
            return
        if self.build.shapes.guards:
            # It would run for some sizes only.
            self.build.shapes = Shapes()
            del self.build.nodes[known:]
            return
        for tensor in result if isinstance(result, list) else [result]:
            if tensor is not None and tensor.rank <= 4 and bounds(product(tensor.shape))[1] < 10_000:
                self.values.append(tensor)


def twice_negated(x: Tensor) -> Tensor:
    minus = -x
    return -minus


def unary(make: Maker) -> Tensor | None:
    x = make.choose()
    names = ["tanh", "sin", "sigmoid", "negative", "softmax", "relu", "gelu", "twice", "stop"]
    name = make.draw(st.sampled_from(names))
    if x is None:
        return None
    if name == "softmax":
        return apply(make.build, Softmax(), x) if x.rank else None
    if name in ("relu", "gelu"):
        return apply(make.build, Relu() if name == "relu" else Gelu(), x)
    if name == "twice":
        return twice_negated(x)
    if name == "stop":
        return fn.stop_gradient(x)
    return -x if name == "negative" else getattr(fn, name)(x)


def binary(make: Maker) -> Tensor | None:
    x, y = make.choose(), make.choose()
    op = make.draw(st.sampled_from([Add(), Sub(), Max(), Min(), Mul()]))
    if x is None or y is None:
        return None
    result = elementwise(make.build, op, x, y)
    return fn.tanh(result) if isinstance(op, Mul) else result


def with_number(make: Maker) -> Tensor | None:
    x = make.choose()
    number = make.draw(st.sampled_from([0.0, 1.0, -1.0, 0.5, 2.0]))
    kind = make.draw(st.sampled_from(["add", "mul", "sub", "rsub", "div", "zero"]))
    if x is None:
        return None
    forms = {"add": x + number, "mul": x * number, "sub": x - number, "rsub": number - x, "div": x / (number or 1.0)}
    return forms.get(kind, full(make.build, x.shape, number, F))


def reduction(make: Maker) -> Tensor | None:
    x = make.choose(lambda tensor: tensor.rank > 0)
    if x is None:
        return None
    axes = make.draw(st.sets(st.integers(0, x.rank - 1), min_size=1))
    keep = make.draw(st.booleans())
    kind = make.draw(st.sampled_from([fn.mean, fn.reduce_max, fn.reduce_min]))
    return kind(x, tuple(axes), keep)


def move(make: Maker) -> Tensor | None:
    x = make.choose(lambda tensor: tensor.rank > 0)
    if x is None:
        return None
    kind = make.draw(st.sampled_from(["transpose", "reverse", "flatten", "insert", "slice", "pad", "repeat", "concat"]))
    if kind == "transpose":
        return apply(make.build, Transpose(axes=tuple(make.draw(st.permutations(range(x.rank))))), x)
    if kind == "reverse":
        return apply(make.build, Reverse(axes=(make.draw(st.integers(0, x.rank - 1)),)), x)
    if kind == "flatten":
        return x.reshape(product(x.shape))
    if kind == "insert":
        at = make.draw(st.integers(0, x.rank))
        return x.reshape(*x.shape[:at], 1, *x.shape[at:])
    if kind == "slice":
        return x[make.draw(st.sampled_from([slice(None), slice(1, None), slice(None, 2), slice(None, None, -1)]))]
    if kind == "pad":
        amount = make.draw(st.integers(0, 1))
        fill = constant(make.build, make.draw(st.sampled_from([0.0, 0.25])), F)
        return apply(make.build, Pad(low=(amount,) * x.rank, high=(0,) * x.rank), x, fill)
    if kind == "repeat":
        return x.broadcast_to((make.draw(st.sampled_from([1, 3, N])), *x.shape))
    return fn.concat([x, x], make.draw(st.integers(0, x.rank - 1)))


def selection(make: Maker) -> Tensor | None:
    x = make.choose()
    mask = make.draw(st.sampled_from(["known", "negated", "counted"]))
    if x is None or (mask == "counted" and x.rank == 0):
        return None
    if mask == "known":
        condition = full(make.build, x.shape, make.draw(st.booleans()), DType.BOOL)
    else:
        count = fn.iota(make.build, x.shape[-1] if x.rank else 1)
        condition = (count < 2).broadcast_to(x.shape) if x.rank else (count < 2).reshape()
        condition = ~condition if mask == "negated" else condition
    return fn.where(condition, x, fn.sin(x))


def casts(make: Maker) -> Tensor | None:
    n = fn.dimension(make.build, make.draw(st.sampled_from([3, N])))
    return n.cast(DType.FLOAT32).cast(F) / 10


def linear(make: Maker) -> Tensor | None:
    x = make.choose(lambda tensor: tensor.rank > 0 and isinstance(tensor.shape[-1], int) and tensor.shape[-1] > 1)
    if x is None:
        return None
    width = int(x.shape[-1])
    w = make.parameter((3, width))
    y = apply(make.build, Dot(lhs_contract=(x.rank - 1,), rhs_contract=(1,)), x, w)
    for _ in range(make.draw(st.integers(0, 3))):
        v = make.parameter((3,), "ones")
        y = make.draw(st.sampled_from([y + v, y * v, v - y, y / (v * v + 1), -y, y * 0.5]))
    return fn.tanh(y) if make.draw(st.booleans()) else y


def convolution(make: Maker) -> Tensor | None:
    x = make.choose(lambda t: t.rank == 3 and isinstance(t.shape[1], int) and bounds(t.shape[2])[0] >= 2)
    if x is None:
        return None
    channels = int(x.shape[1])
    y = apply(make.build, Conv(padding=((1, 0),)), x, make.parameter((4, channels, 2)))
    if make.draw(st.booleans()):
        y = y + make.parameter((4,), "zeros").reshape(4, 1)
    if make.draw(st.booleans()):
        scale, shift = make.parameter((4,), "ones"), make.parameter((4,), "zeros")
        mean, variance = make.parameter((4,), "zeros", False), make.parameter((4,), "ones", False)
        y = apply(make.build, NormalizeBatch(), y, scale, shift, mean, variance * variance)
    return fn.tanh(y)


def normalised(make: Maker) -> Tensor | None:
    x = make.choose(lambda t: t.rank > 0 and isinstance(t.shape[-1], int) and int(t.shape[-1]) > 2)
    if x is None:
        return None
    return apply(make.build, NormalizeLayer(eps=0.1), x, make.parameter((int(x.shape[-1]),), "ones"), None)


def of_parameters(make: Maker) -> Tensor:
    a = make.parameter((3,))
    return make.draw(st.sampled_from([fn.tanh(a), a * a + 1, a.reshape(3, 1), fn.concat([a, a], 0), twice_negated(a)]))


def loop(make: Maker) -> list[Tensor] | None:
    x = make.choose(lambda t: t.rank == 2)
    if x is None:
        return None
    row = x.type.with_shape(x.shape[1:])
    bias = make.parameter((), "ones")
    inner = Builder()
    b, carry, each = Value(bias.type), Value(row), Value(row)
    bt, ct, et = Tensor(inner, b), Tensor(inner, carry), Tensor(inner, each)
    constants, operands = [b], [bias]
    term = et * bt + et * bt
    if isinstance(row.shape[0], int):
        weight = make.parameter((int(row.shape[0]), int(row.shape[0])))
        w = Value(weight.type)
        constants, operands = [b, w], [bias, weight]
        wt = fn.tanh(Tensor(inner, w)) if make.draw(st.booleans()) else Tensor(inner, w)
        term = term + apply(inner, Dot(lhs_contract=(0,), rhs_contract=(0,)), make.draw(st.sampled_from([et, ct])), wt)
    total = fn.tanh(ct * 0.5 + term)
    region = inner.graph((*constants, carry, each), (total.value, (total + 0).value, fn.sin(et).value))
    start = full(make.build, row.shape, 0.25, F)
    op = Scan(constants=len(constants), carries=1, length=x.shape[0], reverse=make.draw(st.booleans()))
    results: list[Tensor] = apply(make.build, op, [*operands, start, x], regions=(region,))
    return results[: make.draw(st.integers(1, 3))]


def branch(make: Maker) -> list[Tensor] | None:
    x = make.choose()
    if x is None:
        return None
    regions = []
    for change in (fn.sin, twice_negated):
        inner = Builder()
        value = Value(x.type)
        regions.append(inner.graph((value,), (change(Tensor(inner, value)).value,)))
    condition = constant(make.build, make.draw(st.booleans()), DType.BOOL)
    return apply(make.build, Cond(), condition, [x], regions=tuple(regions))


def call(make: Maker) -> list[Tensor] | None:
    x = make.choose()
    if x is None:
        return None
    name = f"f{len(make.functions)}"
    inner = Builder(loc=Loc("random.yaml", 1, 1, "inside"))
    value = Value(x.type)
    t = Tensor(inner, value)
    outputs = make.draw(st.sampled_from([[fn.tanh(t)], [t], [fn.sin(t), t], [apply(inner, Relu(), t) * 2]]))
    make.functions[name] = inner.graph((value,), [output.value for output in outputs])
    return apply(make.build, Call(function=name, types=tuple(output.type for output in outputs)), [x])


STEPS = (
    unary, unary, binary, binary, with_number, with_number, reduction, move, move, selection, casts,
    linear, linear, convolution, normalised, of_parameters, loop, branch, call,
)  # fmt: skip


@st.composite
def programs(draw: Draw, size: int = 14) -> str:
    """The text of a program of one entry over inputs ``float64[N, 4]`` and ``float64[N, 2, 5]``."""
    make = Maker(draw)
    inputs = (Value(TensorType(F, (N, 4))), Value(TensorType(F, (N, 2, 5))))
    make.values += [Tensor(make.build, value) for value in inputs]
    for _ in range(draw(st.integers(1, size))):
        make.add()
    outputs = [tensor.value for tensor in make.values[-draw(st.integers(1, 4)) :]]
    ports = tuple(Port(f"x{at}", value.type) for at, value in enumerate(inputs))
    graph = make.build.graph((*inputs, *(value for _, value in make.parameters.values())), outputs)
    names = tuple(f"y{at}" for at in range(len(outputs)))
    entry = Entry("main", graph, ports, tuple(make.parameters), (), names, symbols=(Symbol("N", 2, 9),))
    parameters = {path: parameter for path, (parameter, _) in make.parameters.items()}
    return print_program(Program("random", {"main": entry}, make.functions, parameters))
