"""Per-channel scaling after a convolution or a product goes into its weights: batch normalisation costs nothing then.

``(conv(x, w) + c) * a + b`` is ``conv(x, w * a) + (c * a + b)`` for a, b and c that depend on parameters and on the
output channel only. The arithmetic on parameters is left in the entry; `hoist` moves it into the prepare graph.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import cast

from ..ir.dims import Shape
from ..ir.graph import Builder, Graph, Node, Value
from ..ir.program import Entry, Program
from ..ir.types import DType
from ..ops import functional as fn
from ..ops.contract import Conv, Dot
from ..ops.elementwise import Add, Div, Mul, Neg, Sub
from ..ops.normalize import NormalizeBatch
from ..ops.shape import Broadcast
from ..ops.tensor import Tensor, full
from .context import Context
from .frozen import frozen_values, parameter_values

_STEPS = (Add, Sub, Mul, Div, Neg, NormalizeBatch)


def fold_weights(program: Program, context: Context) -> Program:
    """The program with scaling and normalisation folded into weights, where the guards let it."""
    entries = {name: replace(entry, graph=_fold(entry, context)) for name, entry in program.entries.items()}
    return replace(program, entries=entries)


@dataclass(frozen=True, slots=True)
class _Channels:
    """The axes of a result that its weights own: ``own[k]`` of the result is ``weight[k]`` of the weights."""

    weight: Value
    position: int
    own: tuple[int, ...]
    axes: tuple[int, ...]

    @property
    def shape(self) -> Shape:
        return tuple(self.weight.type.shape[axis] for axis in self.axes)


def _channels(node: Node, position: int) -> _Channels:
    """The channels of operand ``position`` of a dot or conv, as its weights."""
    weight = node.inputs[position]
    if isinstance(node.op, Conv):
        return _Channels(weight, position, (1,), (0,))
    op = cast(Dot, node.op)
    lhs, rhs = op.free(node.inputs[0].type.rank, node.inputs[1].type.rank)
    batch = len(op.lhs_batch)
    first = batch if position == 0 else batch + len(lhs)
    own = lhs if position == 0 else rhs
    shared = op.lhs_batch if position == 0 else op.rhs_batch
    places = (*range(batch), *range(first, first + len(own)))
    return _Channels(weight, position, places, (*shared, *own))


def _fold(entry: Entry, context: Context) -> Graph:
    folder = _Folder(entry, context)
    for node in entry.graph.nodes:
        if isinstance(node.op, (Conv, Dot)):
            folder.follow(node)
    if not folder.chains:
        return entry.graph
    build = Builder()
    skipped = {id(node) for chain in folder.chains.values() for node in chain.nodes}
    for node in entry.graph.nodes:
        if id(node) in folder.chains:
            folder.emit(build, folder.chains[id(node)])
        elif id(node) not in skipped:
            build.append(node)
    return build.graph(entry.graph.inputs, entry.graph.outputs)


@dataclass(slots=True)
class _Chain:
    """A dot or conv and the steps after it that can be folded; the last of them gives the result."""

    nodes: list[Node]
    channels: _Channels


@dataclass(slots=True)
class _Folder:
    entry: Entry
    context: Context
    chains: dict[int, _Chain] = field(default_factory=dict)
    """By the id of the last node."""
    frozen: set[Value] = field(init=False)
    producers: dict[Value, Node] = field(init=False)
    users: dict[Value, list[Node]] = field(init=False)
    reads: Counter[Value] = field(init=False)

    def __post_init__(self) -> None:
        graph = self.entry.graph
        self.frozen = frozen_values(graph, parameter_values(self.entry))
        self.producers = graph.producers()
        self.users = graph.users()
        self.reads = Counter(graph.outputs)
        for node in graph.nodes:
            self.reads.update(node.inputs)

    # ---- finding

    def follow(self, node: Node) -> None:
        """Find the steps after a node, and keep the chain if it scales and no guard objects."""
        weights = [position for position, value in enumerate(node.inputs) if value in self.frozen]
        if len(weights) != 1:
            return
        channels = _channels(node, weights[0])
        chain = [node]
        scaled = 0
        while True:
            last = chain[-1].output
            steps = [user for user in self.users.get(last, ()) if self.is_step(user, last, channels)]
            if not steps:
                break
            if self.reads[last] != 1:
                if any(map(_scales, steps)):
                    reason = f"the result of {chain[-1].op.name} has {self.reads[last]} readers"
                    self.context.refused("fold_weights", f"{steps[0].op.name} after {node.op.name}", reason, node.loc)
                break
            chain.append(steps[0])
            scaled = len(chain) if _scales(steps[0]) else scaled
        if not scaled:
            return
        objection = self.objection(channels.weight)
        if objection:
            what = f"{chain[scaled - 1].op.name} after {node.op.name}"
            self.context.refused("fold_weights", what, objection, node.loc)
            return
        self.chains[id(chain[-1])] = _Chain(chain, channels)
        folded = ", ".join(step.op.name for step in chain[1:])
        self.context.rewritten("fold_weights", f"{folded} folded into the weights of {node.op.name}", node.loc)

    def objection(self, weight: Value) -> str | None:
        """Why these weights should stay as they are, or None."""
        if weight.type.dtype not in (DType.FLOAT32, DType.FLOAT64):
            return f"weights in {weight.type.dtype} would lose digits"
        todo = [weight]
        while todo:
            value = todo.pop()
            if value in self.producers and not self.producers[value].inputs:
                continue
            if self.reads[value] > 1 and value.type.rank > 1:
                return "the weights are read elsewhere too"
            if value in self.producers:
                todo += self.producers[value].inputs
        return None

    def is_step(self, node: Node, value: Value, channels: _Channels) -> bool:
        """Whether a node that reads ``value`` is affine in it, channel by channel."""
        if not isinstance(node.op, _STEPS) or node.output.type != value.type:
            return False
        if isinstance(node.op, NormalizeBatch):
            others = node.inputs[1:]
            return node.inputs[0] is value and channels.own == (1,) and all(o in self.frozen for o in others)
        if isinstance(node.op, Neg):
            return True
        left, right = node.inputs
        if left is right or (isinstance(node.op, Div) and right is value):
            return False
        return self.vector(right if left is value else left, channels) is not None

    def vector(self, value: Value, channels: _Channels) -> tuple[Value, tuple[int, ...]] | None:
        """What a per-channel operand repeats: a frozen value, and which of the channel axes each of its axes is.

        Axes of size 1 that repeat along other axes are marked -1. None if the operand is no such thing.
        """
        node = self.producers.get(value)
        if node is None or not isinstance(node.op, Broadcast) or node.inputs[0] not in self.frozen:
            # Without a broadcast an operand has the result's own shape: more than the channels.
            return None
        source = node.inputs[0]
        places: list[int] = []
        for size, axis in zip(source.type.shape, node.op.axes, strict=True):
            if axis in channels.own:
                places.append(channels.own.index(axis))
            elif size == 1:
                places.append(-1)
            else:
                return None
        return source, tuple(places)

    # ---- emitting

    def emit(self, build: Builder, chain: _Chain) -> None:
        """The dot or conv with scaled weights, and one addition."""
        node, channels = chain.nodes[0], chain.channels
        build.loc = chain.nodes[-1].loc
        scale: Tensor | None = None
        shift: Tensor | None = None
        before = node.output
        for step in chain.nodes[1:]:
            scale, shift = self.applied(build, step, before, channels, scale, shift)
            before = step.output
        assert scale is not None, "a chain scales"
        weight = Tensor(build, channels.weight)
        weight = weight * _spread(scale, channels.weight.type.shape, channels.axes)
        inputs = list(node.inputs)
        inputs[channels.position] = weight.value
        result = before
        if shift is None:
            build.emit(node.op, inputs, outputs=(result,), loc=node.loc)
        else:
            (product,) = build.emit(node.op, inputs, loc=node.loc)
            added = _spread(shift, result.type.shape, channels.own)
            build.emit(Add(), [product, added.value], outputs=(result,))
        build.loc = None

    def applied(
        self,
        build: Builder,
        step: Node,
        before: Value,
        channels: _Channels,
        scale: Tensor | None,
        shift: Tensor | None,
    ) -> tuple[Tensor | None, Tensor | None]:
        """Scale and shift after one more step; None is 1 and 0."""
        if isinstance(step.op, NormalizeBatch):
            _, weight, bias, mean, variance = (
                None if value is None else Tensor(build, value) for value in step.op.arguments(step.inputs)
            )
            assert mean is not None and variance is not None, "both are required operands"
            factor = 1 / fn.sqrt(variance + step.op.eps)
            factor = factor if weight is None else weight * factor
            offset = -(mean * factor) if bias is None else bias - mean * factor
            return _times(scale, factor), _plus(_times_or_none(shift, factor), offset)
        if isinstance(step.op, Neg):
            minus = self.filled(build, before, channels, -1.0)
            return _times(scale, minus), _times_or_none(shift, minus)
        other = self.operand(build, step, before, channels)
        match step.op:
            case Mul():
                return _times(scale, other), _times_or_none(shift, other)
            case Div():
                inverse = 1 / other
                return _times(scale, inverse), _times_or_none(shift, inverse)
            case Add():
                return scale, _plus(shift, other)
        if step.inputs[0] is before:
            return scale, _plus(shift, -other)
        minus = self.filled(build, before, channels, -1.0)
        return _times(scale, minus), _plus(_times_or_none(shift, minus), other)

    def operand(self, build: Builder, step: Node, before: Value, channels: _Channels) -> Tensor:
        """The other operand of a step, with one axis for each channel axis."""
        left, right = step.inputs
        found = self.vector(right if left is before else left, channels)
        assert found is not None, "the chain holds per-channel steps only"
        source, places = found
        kept = tuple(place for place in places if place >= 0)
        tensor = Tensor(build, source)
        if len(kept) != len(places):
            sizes = zip(source.type.shape, places, strict=True)
            tensor = tensor.reshape(*(size for size, place in sizes if place >= 0))
        return _spread(tensor, channels.shape, kept)

    def filled(self, build: Builder, before: Value, channels: _Channels, number: float) -> Tensor:
        return full(build, channels.shape, number, before.type.dtype)


def _scales(node: Node) -> bool:
    """Whether a step does more than add."""
    return not isinstance(node.op, (Add, Sub))


def _spread(tensor: Tensor, shape: Shape, axes: tuple[int, ...]) -> Tensor:
    """A tensor whose axes become ``axes`` of a larger shape."""
    if tensor.shape == shape:
        return tensor
    (value,) = tensor.build.emit(Broadcast(shape=shape, axes=axes), [tensor.value])
    return Tensor(tensor.build, value)


def _times(left: Tensor | None, right: Tensor) -> Tensor:
    return right if left is None else left * right


def _times_or_none(left: Tensor | None, right: Tensor) -> Tensor | None:
    return None if left is None else left * right


def _plus(left: Tensor | None, right: Tensor) -> Tensor:
    return right if left is None else left + right
