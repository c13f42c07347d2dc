"""The gradient of `scan`: backpropagation through time.

The loop keeps, step by step, what its gradients read; a second loop walks the other way. What that one would sum up
over the steps, or multiply by a fixed matrix in each of them, is done behind it for all steps at once.

Source: Werbos (1990), Backpropagation Through Time: What It Does and How to Do It.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ..ir.graph import Builder, Graph, Node, Value
from ..ir.op import OpError
from ..ops.control import Scan
from ..ops.tensor import Tensor, apply, full
from ..splice import copied
from .products import Map, Product, find_map, find_product
from .sweep import Sweep


def pull_scan(sweep: Sweep, op: Scan) -> list[Tensor | None]:
    """The gradients of the operands: constants, first carries, sequences. Raises `OpError` for one with ``until``."""
    if op.until:
        raise OpError("a scan has no gradient if it may end early (`until`)")
    body = _differentiated(sweep, op)
    return _Loops(sweep, op, body).pull()


@dataclass(frozen=True, slots=True)
class _Body:
    """The region and its gradients. Keys are the numbers of constants, carries, sequences and stacked outputs.

    ``fixed`` are the values that are the same in each step, ``again`` the nodes that compute them.
    """

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    forward: list[Node]
    backward: list[Node]
    behind: dict[int, Value]
    """The gradient of each float carry behind the step: an input of the backward nodes."""
    given: dict[int, Value]
    """The gradient of the row of each stacked output, where there is one: likewise an input."""
    constants: dict[int, Value]
    before: dict[int, Value | None]
    """The gradient of each float carry before the step."""
    rows: dict[int, Value]
    fixed: frozenset[Value]
    again: list[Node]


def _differentiated(sweep: Sweep, op: Scan) -> _Body:
    region = copied(sweep.node.regions[0], lambda loc: loc)
    inner = Builder(sweep.build.shapes, list(region.nodes), sweep.build.loc)
    seeds: dict[Value, Tensor] = {}

    def seed(result: Value) -> Value:
        tensor = Tensor(inner, Value(result.type))
        seeds[result] = seeds[result] + tensor if result in seeds else tensor
        return tensor.value

    behind = {k: seed(value) for k, value in enumerate(region.outputs[: op.carries]) if value.type.dtype.is_float}
    stacked = dict(enumerate(region.outputs[op.carries :]))
    given = {k: seed(value) for k, value in stacked.items() if sweep.given[op.carries + k] is not None}
    kept = op.constants + op.carries
    operands = sweep.node.inputs
    constants = [k for k in range(op.constants) if operands[k] in sweep.varied]
    rows = [k for k in range(len(operands) - kept) if operands[kept + k] in sweep.varied]
    wrt = [
        *(region.inputs[k] for k in constants),
        *(region.inputs[op.constants + k] for k in behind),
        *(region.inputs[kept + k] for k in rows),
    ]
    # Sums of gradients that one value gets stand behind the region's own nodes already.
    count = len(region.nodes)
    found = iter([None if tensor is None else tensor.value for tensor in sweep.pullback(inner, seeds, wrt)])
    of_constants = {k: value for k in constants if (value := next(found)) is not None}
    before = {k: next(found) for k in behind}
    of_rows = {k: value for k in rows if (value := next(found)) is not None}
    forward, backward = inner.nodes[:count], inner.nodes[count:]
    fixed = set(region.inputs[: op.constants])
    again = []
    for node in forward:
        if fixed.issuperset(node.inputs):
            fixed.update(node.outputs)
            again.append(node)
    return _Body(
        region.inputs,
        region.outputs,
        forward,
        backward,
        behind,
        given,
        of_constants,
        before,
        of_rows,
        frozenset(fixed),
        again,
    )


@dataclass(frozen=True, slots=True)
class _Loops:
    """The loop forward, which keeps more than it did, and the loop back."""

    sweep: Sweep
    op: Scan
    body: _Body

    def pull(self) -> list[Tensor | None]:
        op, body, operands = self.op, self.body, self.sweep.node.inputs
        first = op.constants + op.carries
        producers = {value: node for node in body.backward for value in node.outputs}
        products: dict[int, Product] = {}
        maps: dict[int, Map] = {}
        for k, value in body.constants.items():
            if (product := find_product(value, producers, body.fixed)) is not None:
                products[k] = product
        for k, value in body.rows.items():
            if (map := find_map(value, producers, body.inputs[: op.constants], body.fixed)) is not None:
                maps[k] = map
        sums = {k: value for k, value in body.constants.items() if k not in products}
        rows = {k: value for k, value in body.rows.items() if k not in maps}
        factors = [value for product in products.values() for value in (product.lhs, product.rhs)]
        factors += [map.row for map in maps.values()]
        walked = self._walked()
        stacked = [value for value in dict.fromkeys([*rows.values(), *factors]) if value not in walked]
        ends = [*(value for value in body.before.values() if value is not None), *sums.values(), *stacked]
        backward = _live(body.backward, ends)
        kept, again = self._keep(backward, ends)
        # What the first loop stacks is no work of the second.
        stacked = [value for value in stacked if value not in kept]
        walked |= kept
        firsts, totals, stacks = self._back([*again, *backward], walked, sums, stacked)
        walked |= dict(zip(stacked, stacks, strict=True))
        found: list[Tensor | None] = [None] * len(operands)
        for k, tensor in zip(body.behind, firsts, strict=True):
            found[op.constants + k] = tensor
        for k, tensor in zip(sums, totals, strict=True):
            found[k] = tensor
        for k, product in products.items():
            found[k] = product.over_steps(walked)
        for k, value in rows.items():
            found[first + k] = walked[value]
        for k, map in maps.items():
            weight = Tensor(self.sweep.build, operands[body.inputs.index(map.weight)])
            found[first + k] = map.over_steps(walked, weight)
        return found

    def _walked(self) -> dict[Value, Tensor]:
        """The stack of each row that the loops are given: sequences, and gradients of stacked outputs."""
        op, body, sweep = self.op, self.body, self.sweep
        first = op.constants + op.carries
        rows = zip(body.inputs[first:], sweep.node.inputs[first:], strict=True)
        walked = {row: Tensor(sweep.build, stack) for row, stack in rows}
        for k, value in body.given.items():
            stack = sweep.given[op.carries + k]
            assert stack is not None
            walked[value] = stack
        return walked

    def _keep(self, backward: Sequence[Node], ends: Iterable[Value]) -> tuple[dict[Value, Tensor], list[Node]]:
        """Let the first loop stack what the second one reads of it.

        Gives the stacks, and the nodes that the second loop does again, as they depend on no step.
        """
        op, body, sweep = self.op, self.body, self.sweep
        node = sweep.node
        own = {value for each in body.forward for value in each.outputs}
        own |= set(body.inputs[op.constants : op.constants + op.carries])
        read = dict.fromkeys([*(value for each in backward for value in each.inputs), *ends])
        wanted = [value for value in read if value in own and value not in body.fixed]
        stacks = dict(zip(body.outputs[op.carries :], node.outputs[op.carries :], strict=True))
        new = [value for value in wanted if value not in stacks]
        stacks |= {value: Value(value.type.with_shape((op.length, *value.type.shape))) for value in new}
        region = copied(Graph(body.inputs, tuple(body.forward), (*body.outputs, *new)), lambda loc: loc)
        outputs = (*node.outputs, *(stacks[value] for value in new))
        sweep.build.nodes[sweep.position] = replace(node, outputs=outputs, regions=(region,))
        kept = {value: Tensor(sweep.build, stacks[value]) for value in wanted}
        return kept, _live(body.again, [value for value in read if value in body.fixed])

    def _back(
        self, nodes: Sequence[Node], walked: Mapping[Value, Tensor], sums: Mapping[int, Value], stacked: Sequence[Value]
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """The second loop: the gradients of the first carries, the sums over steps, and the stacks."""
        op, body, sweep = self.op, self.body, self.sweep
        inner = Builder(sweep.build.shapes, list(nodes), sweep.build.loc)
        totals = {k: Value(value.type) for k, value in sums.items()}
        results: list[Value] = []
        for k, value in body.behind.items():
            gradient = body.before[k]
            results.append(_zeros(inner, value).value if gradient is None else gradient)
        results += [(Tensor(inner, totals[k]) + Tensor(inner, value)).value for k, value in sums.items()]
        results += stacked
        read = {value for node in inner.nodes for value in node.inputs} | set(results)
        constants = [k for k in range(op.constants) if body.inputs[k] in read]
        rows = {value: stack for value, stack in walked.items() if value in read}
        inputs = [*(body.inputs[k] for k in constants), *body.behind.values(), *totals.values(), *rows]
        region = copied(Graph(tuple(inputs), tuple(inner.nodes), tuple(results)), lambda loc: loc)
        ends = [sweep.given[k] for k in body.behind]
        given = [
            _zeros(sweep.build, value) if end is None else end
            for end, value in zip(ends, body.behind.values(), strict=True)
        ]
        loop = Scan(
            constants=len(constants),
            carries=len(body.behind) + len(totals),
            length=op.length,
            reverse=not op.reverse,
        )
        operands = [
            *(Tensor(sweep.build, sweep.node.inputs[k]) for k in constants),
            *given,
            *(_zeros(sweep.build, value) for value in totals.values()),
            *rows.values(),
        ]
        found = apply(sweep.build, loop, operands, regions=(region,))
        first, second = len(body.behind), len(body.behind) + len(totals)
        return found[:first], found[first:second], found[second:]


def _zeros(build: Builder, value: Value) -> Tensor:
    return full(build, value.type.shape, 0, value.type.dtype)


def _live(nodes: Sequence[Node], ends: Iterable[Value]) -> list[Node]:
    """The nodes that the values at the end need."""
    needed = set(ends)
    kept = []
    for node in reversed(nodes):
        if not needed.isdisjoint(node.outputs):
            needed.update(node.inputs)
            kept.append(node)
    return kept[::-1]
