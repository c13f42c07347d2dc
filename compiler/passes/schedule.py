"""The order of nodes: another one, where that lets less memory live at once.

Several orders are tried, and the given one stays unless the peak is lower: all of the operands of a node that needs
most memory first (Sethi and Ullman, 1970), whatever frees most next, and the same from the end backwards; then the same
again among the nodes around the peak. Symbols have their nominal sizes. Each takes n log n.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from heapq import heapify, heappop, heappush

from ..ir.graph import Graph, Node, Value
from ..ir.program import Entry, Program
from ..ops.fused import Fused
from ..storage import VIEWS, Storage, storage
from .context import Context

_REACHES = (24, 96, 384, 1536)
"""How many nodes around the peak are ordered anew, the fewest first."""
_ROUNDS = 8
"""How often the peak is looked for again."""

Order = list[int]


def schedule(program: Program, context: Context) -> Program:
    """The program with the nodes of each graph in an order of no higher, and where one is found lower, peak memory."""
    functions = {name: _graph(graph, context) for name, graph in program.functions.items()}
    entries = {name: _entry(entry, context) for name, entry in program.entries.items()}
    return replace(program, functions=functions, entries=entries)


def _entry(entry: Entry, context: Context) -> Entry:
    first = len(entry.inputs)
    last = first + len(entry.params)
    inputs = entry.graph.inputs
    graph = _graph(entry.graph, context, inputs[last:], inputs[first:last], f"entry {entry.name}")
    return entry if graph is entry.graph else replace(entry, graph=graph)


def _graph(
    graph: Graph, context: Context, owned: Iterable[Value] = (), fixed: Iterable[Value] = (), what: str = ""
) -> Graph:
    graph = _inside(graph, context)
    model = storage(graph, owned=owned, fixed=fixed)
    order, was, now = improved(model)
    if now == was:
        return graph
    if what:
        context.rewritten("schedule", f"{what} in another order", why=f"it needs {now / was:.0%} of the memory")
    return replace(graph, nodes=tuple(_with_views(graph, [model.nodes[node] for node in order])))


def _inside(graph: Graph, context: Context) -> Graph:
    """The graph with the bodies of its loops and branches in order. A kernel has none."""
    if not any(node.regions and not isinstance(node.op, Fused) for node in graph.nodes):
        return graph
    nodes = []
    for node in graph.nodes:
        if node.regions and not isinstance(node.op, Fused):
            regions = tuple(_graph(region, context, region.inputs) for region in node.regions)
            node = (
                node
                if all(a is b for a, b in zip(regions, node.regions, strict=True))
                else replace(node, regions=regions)
            )
        nodes.append(node)
    return replace(graph, nodes=tuple(nodes))


def _with_views(graph: Graph, ordered: Sequence[Node]) -> Iterable[Node]:
    """The nodes in order, each view just before the first that looks at it."""
    views = {node.output: node for node in graph.nodes if isinstance(node.op, VIEWS)}

    def needed(values: Iterable[Value]) -> Iterable[Node]:
        for value in values:
            chain = []
            while value in views:
                node = views.pop(value)
                chain.append(node)
                value = node.inputs[0]
            yield from reversed(chain)

    for node in ordered:
        yield from needed(node.inputs)
        yield node
    yield from needed([*graph.outputs, *views])


def improved(model: Storage) -> tuple[Order, int, int]:
    """An order of the nodes of a graph, the peak of the given one, and the peak of this one."""
    order: Order = list(range(len(model.nodes)))
    lives = model.run(order)
    was = now = max(lives, default=0)
    if len(order) < 3 or now <= _least(model):
        return order, was, now
    ways = _Ways(model)
    for found in ways.orders(order):
        peak = model.peak(found)
        if peak < now:
            order, now = found, peak
    for _ in range(_ROUNDS):
        better = _around_peak(model, ways, order, now)
        if better is None:
            break
        order, now = better
    return order, was, now


def _least(model: Storage) -> int:
    """What no order goes below: a node with its operands and results, but for what it may write over."""
    found = 0
    for node, (read, made, over) in enumerate(zip(model.read, model.made, model.over, strict=True)):
        results = sum(model.size[each] for each, olds in zip(made, over, strict=True) if not olds)
        found = max(found, sum(model.size[old] for old in read) + results + model.extra[node])
    return found


def _around_peak(model: Storage, ways: _Ways, order: Order, peak: int) -> tuple[Order, int] | None:
    """A better order of the nodes that run when most memory lives, or None."""
    middle = model.run(order).index(peak)
    for reach in _REACHES:
        low, high = max(0, middle - reach // 2), min(len(order), middle + reach // 2)
        before = model.start()
        model.run(order[:low], before)
        for found in ways.orders(order[low:high]):
            if model.peak(found, before.copy()) < peak:
                whole = [*order[:low], *found, *order[high:]]
                now = model.peak(whole)
                if now < peak:
                    return whole, now
        if low == 0 and high == len(order):
            break
    return None


@dataclass(slots=True)
class _Ways:
    """The orders that are tried."""

    model: Storage
    before: list[tuple[int, ...]] = field(init=False)
    after: list[list[int]] = field(init=False)

    def __post_init__(self) -> None:
        model = self.model
        self.before, self.after = [], [[] for _ in model.nodes]
        last = -1
        for number, node in enumerate(model.nodes):
            makers = [model.maker[old] for old in model.read[number] if model.maker[old] >= 0]
            if not node.op.pure:
                # What is seen from outside stays in order.
                makers += [last] if last >= 0 else []
                last = number
            self.before.append(tuple(dict.fromkeys(makers)))
            for maker in self.before[-1]:
                self.after[maker].append(number)

    def orders(self, nodes: Sequence[int]) -> Iterable[Order]:
        """Other orders of these nodes, which stand next to each other in some order of the graph."""
        inside = set(nodes)
        yield self.deepest_first(nodes, inside)
        yield self.greedy(nodes, inside)
        yield self.greedy_backwards(nodes, inside)

    def deepest_first(self, nodes: Sequence[int], inside: set[int]) -> Order:
        """Operands before their reader; of those, the one first whose making needs the most beyond its result."""
        size = self.model.size
        results = {node: sum(size[made] for made in self.model.made[node]) for node in nodes}
        fresh = {
            node: sum(
                size[made] for made, over in zip(self.model.made[node], self.model.over[node], strict=True) if not over
            )
            for node in nodes
        }
        need: dict[int, int] = {}
        operands: dict[int, list[int]] = {}
        for node in nodes:
            given = [before for before in self.before[node] if before in inside]
            given.sort(key=lambda before: results[before] - need[before])
            held = most = 0
            for before in given:
                most = max(most, held + need[before])
                held += results[before]
            need[node] = max(most, held + fresh[node], results[node])
            operands[node] = given
        order: Order = []
        seen: set[int] = set()
        ends = [node for node in nodes if inside.isdisjoint(self.after[node])]
        ends.sort(key=lambda end: results[end] - need[end])
        for end in ends:
            stack = [(end, iter(operands[end]))]
            seen.add(end)
            while stack:
                node, rest = stack[-1]
                for before in rest:
                    if before not in seen:
                        seen.add(before)
                        stack.append((before, iter(operands[before])))
                        break
                else:
                    order.append(node)
                    stack.pop()
        return order

    def greedy(self, nodes: Sequence[int], inside: set[int]) -> Order:
        """Next of all that can run what adds least to what lives."""
        model = self.model
        waits = {node: sum(before in inside for before in self.before[node]) for node in nodes}
        read = {old for node in nodes for old in model.read[node]}
        left = {old: sum(reader in inside for reader in model.readers[old]) for old in read}
        rest = {old: sum(r for r in model.readers[old] if r in inside) for old in left}
        outside = {old for old in read if model.kept[old] or not inside.issuperset(model.readers[old])}
        gain = {node: sum(model.size[made] for made in model.made[node]) for node in nodes}
        for old, readers in left.items():
            if readers == 1 and old not in outside:
                gain[rest[old]] -= model.size[old]
        place = {node: at for at, node in enumerate(nodes)}
        ready = [(gain[node], place[node], node) for node in nodes if not waits[node]]
        order: Order = []
        for node in _each_once(ready, set()):
            order.append(node)
            for old in model.read[node]:
                left[old] -= 1
                rest[old] -= node
                if left[old] == 1 and old not in outside:
                    # Its last reader frees it from now on.
                    last = rest[old]
                    gain[last] -= model.size[old]
                    if not waits[last]:
                        heappush(ready, (gain[last], place[last], last))
            for after in self.after[node]:
                if after in inside:
                    waits[after] -= 1
                    if not waits[after]:
                        heappush(ready, (gain[after], place[after], after))
        return order

    def greedy_backwards(self, nodes: Sequence[int], inside: set[int]) -> Order:
        """From the end: last of all that nobody waits for what leaves least alive before it."""
        model = self.model
        waits = {node: sum(after in inside for after in self.after[node]) for node in nodes}
        read = {old for node in nodes for old in model.read[node]}
        needed = {old for old in read if not inside.issuperset(model.readers[old])}
        gain = {node: -sum(model.size[made] for made in model.made[node]) for node in nodes}
        for node in nodes:
            gain[node] += sum(model.size[old] for old in model.read[node] if old not in needed)
        place = {node: at for at, node in enumerate(nodes)}
        ready = [(gain[node], -place[node], node) for node in nodes if not waits[node]]
        order: Order = []
        done: set[int] = set()
        for node in _each_once(ready, done):
            order.append(node)
            for old in model.read[node]:
                if old not in needed:
                    # It lives from now on, whoever else reads it.
                    needed.add(old)
                    for reader in model.readers[old]:
                        if reader in inside and reader not in done:
                            gain[reader] -= model.size[old]
                            if not waits[reader]:
                                heappush(ready, (gain[reader], -place[reader], reader))
            for before in self.before[node]:
                if before in inside:
                    waits[before] -= 1
                    if not waits[before]:
                        heappush(ready, (gain[before], -place[before], before))
        order.reverse()
        return order


def _each_once(ready: list[tuple[int, int, int]], done: set[int]) -> Iterator[int]:
    """The nodes of a heap, least first, to which better entries of the same nodes are added meanwhile. ``done`` are
    those that were given."""
    heapify(ready)
    while ready:
        node = heappop(ready)[-1]
        if node not in done:
            done.add(node)
            yield node
