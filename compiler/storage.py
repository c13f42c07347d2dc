"""What memory the values of a graph need, in whatever order its nodes run.

A model that targets share: views need none, a result may take over the memory of an operand that it reads element by
element and that dies there, inputs are the caller's. What kernels need besides is not in it: targets are measured
against its peak. (One that makes the parts of a concatenation where they are wanted can stay below it.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field

from .fusion.space import ancestors, anchor_of
from .ir.dims import AnyDim
from .ir.graph import Graph, Node, Value
from .ir.op import Access
from .ir.types import TensorType
from .nominal import nominal_size
from .ops.attention import Attention
from .ops.control import Scan, While
from .ops.fused import Fused
from .ops.index import DynamicUpdateSlice, Scatter, ScatterElements
from .ops.shape import Broadcast, Reshape, Reverse, Slice, Transpose
from .ops.source import StopGradient

VIEWS = (Reshape, Transpose, Broadcast, Slice, Reverse, StopGradient)
"""Ops whose result is another look at the memory of their operand."""
_PLAIN = (Reshape, StopGradient)
"""Those that leave all elements in their order."""
_UPDATES = (DynamicUpdateSlice, Scatter, ScatterElements)

Measure = Callable[[AnyDim], int]
"""What a dimension counts for."""


def root_values(graph: Graph) -> dict[Value, Value]:
    """For each result of a view the value whose memory it shows."""
    roots: dict[Value, Value] = {}
    for node in graph.nodes:
        if isinstance(node.op, VIEWS):
            roots[node.output] = roots.get(node.inputs[0], node.inputs[0])
    return roots


def overwritable(node: Node, place: int) -> tuple[int, ...]:
    """The operands whose memory the result ``place`` may take over while they are read.

    Of attention the queries: a result is written where its own query was read. Of a loop what is carried.
    """
    if isinstance(node.op, _UPDATES):
        return (0,)
    if isinstance(node.op, Attention):
        return (0,) if node.inputs[0].type == node.output.type else ()
    if isinstance(node.op, (Scan, While)):
        carry = node.op.constants + place
        return (carry,) if isinstance(node.op, While) or place < node.op.carries else ()
    if node.regions and not isinstance(node.op, Fused):
        return ()
    result = node.outputs[place].type
    alike = tuple(at for at, value in enumerate(node.inputs) if value.type == result)
    if isinstance(node.op, Fused):
        return _read_late(node.regions[0], alike) if alike else ()
    return tuple(at for at in alike if at < len(node.op.access) and node.op.access[at] is Access.SAME)


def _read_late(region: Graph, places: Sequence[int]) -> tuple[int, ...]:
    """The inputs that a kernel reads where it writes: not those that its anchor, or what stands before it, reads."""
    anchor = anchor_of(region)
    if anchor is None:
        return tuple(places)
    early = {*anchor.inputs, *(value for node in ancestors(region.nodes, anchor.inputs) for value in node.inputs)}
    return tuple(at for at in places if region.inputs[at] not in early)


def _taken_over(node: Node, place: int, roots: Mapping[Value, Value], turned: Set[Value]) -> list[Value]:
    """The values whose memory a result may take over: nothing else that the node reads shows the same memory."""
    places = overwritable(node, place)
    barred = {roots.get(value, value) for at, value in enumerate(node.inputs) if at not in places or value in turned}
    found = (roots.get(node.inputs[at], node.inputs[at]) for at in places)
    return [value for value in found if value not in barred]


@dataclass(slots=True)
class Moment:
    """What is left to do for each memory, what each costs, and the bytes that live, between two nodes of an order."""

    left: list[int]
    cost: list[int]
    live: int = 0

    def copy(self) -> Moment:
        """The same moment, to go on from in another way."""
        return Moment(self.left.copy(), self.cost.copy(), self.live)


@dataclass(slots=True)
class Storage:
    """The memory of a graph's values. Memories and nodes that work are numbered; views are neither.

    ``size`` of each memory, 0 for what is given; ``owned`` says whether it may be written; ``kept`` whether it lives to
    the end. ``made`` and ``read`` are the memories of each node, ``over`` those that each of ``made`` may take over;
    ``readers`` the nodes of each memory; ``extra`` what a node needs while it runs.
    """

    nodes: list[Node] = field(default_factory=list)
    size: list[int] = field(default_factory=list)
    owned: list[bool] = field(default_factory=list)
    kept: list[bool] = field(default_factory=list)
    maker: list[int] = field(default_factory=list)
    readers: list[list[int]] = field(default_factory=list)
    made: list[tuple[int, ...]] = field(default_factory=list)
    read: list[tuple[int, ...]] = field(default_factory=list)
    over: list[tuple[tuple[int, ...], ...]] = field(default_factory=list)
    extra: list[int] = field(default_factory=list)

    def start(self) -> Moment:
        """Before anything ran."""
        return Moment([len(readers) for readers in self.readers], [0] * len(self.size))

    def run(self, order: Iterable[int] | None = None, since: Moment | None = None) -> list[int]:
        """The bytes that live while each node runs, in this order (by default that of the graph).

        ``since`` says what ran before, and is brought up to date.
        """
        now = since or self.start()
        return [self.step(now, node) for node in (range(len(self.nodes)) if order is None else order)]

    def peak(self, order: Iterable[int] | None = None, since: Moment | None = None) -> int:
        """The most of `run`."""
        return max(self.run(order, since), default=0)

    def step(self, now: Moment, node: int) -> int:
        """Run one node; the bytes that live while it does."""
        left, cost = now.left, now.cost
        taken: tuple[int, ...] = ()
        for made, over in zip(self.made[node], self.over[node], strict=True):
            cost[made] = self.size[made]
            for old in over:
                if left[old] == 1 and self.owned[old] and not self.kept[old] and old not in taken:
                    # A given memory is the caller's, and costs nothing to whoever writes into it.
                    cost[made] = 0 if self.maker[old] < 0 else max(cost[made], cost[old])
                    now.live -= cost[old]
                    cost[old] = 0
                    taken = (*taken, old)
                    break
            now.live += cost[made]
        most = now.live + self.extra[node]
        for old in self.read[node]:
            left[old] -= 1
            if left[old] == 0 and not self.kept[old]:
                now.live -= cost[old]
        for made in self.made[node]:
            if not left[made] and not self.kept[made]:
                now.live -= cost[made]
        return most


def storage(
    graph: Graph,
    measure: Measure = nominal_size,
    owned: Iterable[Value] = (),
    fixed: Iterable[Value] = (),
    outputs: bool = True,
) -> Storage:
    """The memory of a graph's values.

    ``owned`` are the inputs that may be written (states), ``fixed`` those that are the same at each call (weights):
    what depends on nothing else is made before, and costs nothing. ``outputs`` says whether results count.
    """
    roots = root_values(graph)
    model = Storage()
    numbers: dict[Value, int] = {}
    sizes: dict[TensorType, int] = {}
    known, mine = set(fixed), set(owned)
    turned: set[Value] = set()

    def memory(value: Value, maker: int, size: int, may_write: bool) -> int:
        numbers[value] = len(model.size)
        model.size.append(size)
        model.owned.append(may_write)
        model.kept.append(False)
        model.maker.append(maker)
        model.readers.append([])
        return numbers[value]

    for value in graph.inputs:
        memory(value, -1, 0, value in mine)
    for node in graph.nodes:
        if isinstance(node.op, VIEWS):
            if node.inputs[0] in known:
                known.add(node.output)
            if node.inputs[0] in turned or not isinstance(node.op, _PLAIN):
                turned.add(node.output)
            continue
        before = node.op.pure and not node.regions and all(value in known for value in node.inputs)
        known.update(node.outputs if before else ())
        number = len(model.nodes)
        model.nodes.append(node)
        read = tuple(dict.fromkeys(numbers[roots.get(value, value)] for value in node.inputs))
        for old in read:
            model.readers[old].append(number)
        model.read.append(read)
        made, over = [], []
        for place, value in enumerate(node.outputs):
            if value.type not in sizes:
                sizes[value.type] = measure(value.type.nbytes)
            over.append(() if before else tuple(numbers[each] for each in _taken_over(node, place, roots, turned)))
            made.append(memory(value, number, 0 if before else sizes[value.type], not before))
        model.made.append(tuple(made))
        model.over.append(tuple(over))
        inner = () if isinstance(node.op, Fused) else node.regions
        # What a body gives is a result of the loop, and counts there.
        bodies = (storage(each, measure, each.inputs, outputs=False).peak() for each in inner)
        model.extra.append(max(bodies, default=0))
    results = [numbers[roots.get(value, value)] for value in graph.outputs]
    for number in results:
        model.kept[number] = True
    if not outputs:
        _leave_out(model, results)
    return model


def _leave_out(model: Storage, results: Iterable[int]) -> None:
    """Let results cost nothing, nor what they take over: that is made where the result is wanted."""
    over = {
        made: olds
        for each, all_olds in zip(model.made, model.over, strict=True)
        for made, olds in zip(each, all_olds, strict=True)
    }
    todo = list(results)
    while todo:
        number = todo.pop()
        model.size[number] = 0
        maker = model.maker[number]
        for old in over.get(number, ()):
            if model.owned[old] and not model.kept[old] and model.maker[old] >= 0 and model.readers[old][-1] == maker:
                todo.append(old)
                break
