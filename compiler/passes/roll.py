"""Equal blocks in a row, each fed by the one before, become one loop over their stacked parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ..ir.graph import Builder, Graph, Loc, Node, Value, rewrite_inputs
from ..ir.program import Entry, Program
from ..ops.control import Call, Scan
from ..ops.shape import Concat, Reshape, Slice
from .context import Context
from .frozen import parameter_values
from .inline import inline_calls


def roll(program: Program, context: Context) -> Program:
    """The program whose entries run chains of at least ``context.roll`` equal calls as a scan; as it is for 0.

    A call belongs to a chain if it takes results of the call before, in the same places each time. Its other operands
    are the same for all, or parameters, which are stacked: `hoist` packs them. So nothing else may read those. What is
    read of the calls within is stacked too, if nothing before the end of the chain needs it. Functions that hold a
    chain are inlined.
    """
    if context.roll < 2:
        return program
    holders: set[str] = set()
    for name, graph in program.functions.items():
        inner = any(isinstance(node.op, Call) and node.op.function in holders for node in graph.nodes)
        if inner or any(len(chain.calls) >= context.roll for chain in _chains(graph)):
            holders.add(name)
    flat: dict[str, Graph] = {}
    for name, graph in program.functions.items():
        flat[name] = inline_calls(graph, flat, holders)
    entries = {
        name: replace(entry, graph=inline_calls(entry.graph, flat, holders)) for name, entry in program.entries.items()
    }
    plans = _agreed([plan for entry in entries.values() for plan in _plans(entry, context)], entries, context)
    for plan in plans:
        entry = entries[plan.entry]
        entries[plan.entry] = replace(entry, graph=plan.graph(entry.graph))
        what = f"{len(plan.chain.calls)} calls of {plan.chain.function}"
        context.rewritten("roll", what, plan.chain.calls[0].loc, "one loop over stacked parameters")
    return replace(program, entries=entries, functions=flat) if plans else program


@dataclass(frozen=True, slots=True)
class _Chain:
    """Calls in order. ``carries`` gives for each operand that comes from the call before the place of its result."""

    calls: tuple[Node, ...]
    carries: Mapping[int, int]

    @property
    def function(self) -> str:
        """The name of the function."""
        op = self.calls[0].op
        assert isinstance(op, Call)
        return op.function


def _chains(graph: Graph) -> Iterator[_Chain]:
    """The longest chains of calls of one function, in order of their ends."""
    open_chains: dict[str, _Chain] = {}
    for node in graph.nodes:
        if not isinstance(node.op, Call):
            continue
        before = open_chains.get(node.op.function)
        if before is not None:
            last = before.calls[-1]
            links = {
                place: last.outputs.index(value) for place, value in enumerate(node.inputs) if value in last.outputs
            }
            if links and last.op == node.op and (len(before.calls) == 1 or links == before.carries):
                open_chains[node.op.function] = _Chain((*before.calls, node), links)
                continue
            yield before
        open_chains[node.op.function] = _Chain((node,), {})
    yield from open_chains.values()


def _plans(entry: Entry, context: Context) -> Iterator[_Plan]:
    """How to roll the long chains of an entry, those that can be."""
    for chain in _chains(entry.graph):
        if len(chain.calls) < context.roll:
            continue
        plan = _Plan.of(entry, chain)
        if isinstance(plan, str):
            _refuse(chain, plan, context)
        else:
            yield plan


def _refuse(chain: _Chain, why: str, context: Context) -> None:
    context.refused("roll", f"{len(chain.calls)} calls of {chain.function}", why, chain.calls[0].loc)


def _agreed(plans: list[_Plan], entries: Mapping[str, Entry], context: Context) -> list[_Plan]:
    """The plans whose parameters nobody reads in another way: stacked and alone, they would be stored twice."""
    while True:
        stacks: dict[str, set[tuple[str, ...]]] = {}
        for plan in plans:
            for stack in plan.stacks:
                for name in stack:
                    stacks.setdefault(name, set()).add(stack)
        alone = {name for entry in entries.values() for name in _read_alone(entry, plans)}
        bad = {name for name, found in stacks.items() if len(found) > 1} | alone
        kept = [plan for plan in plans if not any(name in bad for stack in plan.stacks for name in stack)]
        if len(kept) == len(plans):
            return kept
        for plan in plans:
            if plan not in kept:
                first = next(name for stack in plan.stacks for name in stack if name in bad)
                _refuse(plan.chain, f"{first} is read in another way too", context)
        plans = kept


def _read_alone(entry: Entry, plans: Sequence[_Plan]) -> set[str]:
    """The parameters that an entry reads elsewhere than where a plan stacks them."""
    parameters = parameter_values(entry)
    stacked = {call: set(plan.stacked) for plan in plans for call in plan.chain.calls}
    found = {parameters[value] for value in entry.graph.outputs if value in parameters}
    for node in entry.graph.nodes:
        places = stacked.get(node, set())
        found |= {parameters[v] for at, v in enumerate(node.inputs) if v in parameters and at not in places}
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """A chain that can be rolled: which operands stay the same, which are stacked, which results are read within.

    ``stacks`` are the names of the parameters of each stacked operand.
    """

    entry: str
    chain: _Chain
    constants: tuple[int, ...]
    stacked: tuple[int, ...]
    rows: tuple[int, ...]
    stacks: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, entry: Entry, chain: _Chain) -> _Plan | str:
        """The plan, or why there is none."""
        calls, parameters = chain.calls, parameter_values(entry)
        constants, stacked = [], []
        for place in range(len(calls[0].inputs)):
            given = [call.inputs[place] for call in calls]
            if place in chain.carries:
                continue
            if all(value is given[0] for value in given):
                constants.append(place)
            elif all(value in parameters for value in given):
                stacked.append(place)
            else:
                return f"operand {place} differs from call to call and is no parameter"
        made = {value: (at, place) for at, call in enumerate(calls) for place, value in enumerate(call.outputs)}
        members = {call: at for at, call in enumerate(calls)}
        rows: set[int] = set()
        inside = False
        for node in entry.graph.nodes:
            inside = (inside or node is calls[0]) and node is not calls[-1]
            if node in members:
                linked = chain.carries if members[node] else {}
                read = [value for place, value in enumerate(node.inputs) if place not in linked]
            else:
                read = list(node.inputs)
            found = [made[value] for value in read if value in made]
            if found and (inside or node in members):
                return "a result is needed before the end of the chain"
            rows |= _row_places(found, chain)
        rows |= _row_places([made[value] for value in entry.graph.outputs if value in made], chain)
        stacks = tuple(tuple(parameters[call.inputs[place]] for call in calls) for place in stacked)
        return cls(entry.name, chain, tuple(constants), tuple(stacked), tuple(sorted(rows)), stacks)

    def graph(self, graph: Graph) -> Graph:
        """The graph with a scan in the place of the last call."""
        # Another chain may have been rolled before: its readers are other nodes now, with the results that they had.
        members = {call.outputs[0] for call in self.chain.calls}
        last = self.chain.calls[-1].outputs[0]
        now = {node.outputs[0]: node for node in graph.nodes if node.outputs and node.outputs[0] in members}
        chain = replace(self.chain, calls=tuple(now[call.outputs[0]] for call in self.chain.calls))
        build = Builder()
        replaced: dict[Value, Value] = {}
        for node in graph.nodes:
            if node.outputs and node.outputs[0] is last:
                replaced = replace(self, chain=chain).scan(build, graph)
            elif not (node.outputs and node.outputs[0] in members):
                build.append(rewrite_inputs(node, replaced))
        return build.graph(graph.inputs, [replaced.get(value, value) for value in graph.outputs])

    def scan(self, build: Builder, graph: Graph) -> dict[Value, Value]:
        """Append the loop; what stands for the results of the calls."""
        calls = self.chain.calls
        first, count = calls[0], len(calls)
        carried = tuple(self.chain.carries)
        loc = _place(first.loc)
        sequences: list[Value] = []
        for place in self.stacked:
            type = first.inputs[place].type
            each = Reshape(shape=(1, *type.shape))
            parts = [build.emit(each, [call.inputs[place]], loc=loc)[0] for call in calls]
            sequences += build.emit(Concat(axis=0), parts, loc=loc)
        order = (*self.constants, *carried, *self.stacked)
        inner = {place: Value(first.inputs[place].type) for place in order}
        body = Node(
            first.op,
            tuple(inner[place] for place in range(len(first.inputs))),
            tuple(Value(value.type) for value in first.outputs),
            (),
            loc,
        )
        results = (*(self.chain.carries[place] for place in carried), *self.rows)
        region = Graph(tuple(inner[place] for place in order), (body,), tuple(body.outputs[r] for r in results))
        op = Scan(constants=len(self.constants), carries=len(carried), length=count)
        given = [first.inputs[place] for place in (*self.constants, *carried)]
        found = build.emit(op, [*given, *sequences], (region,), loc=loc)
        replaced = {
            calls[-1].outputs[self.chain.carries[place]]: value for place, value in zip(carried, found, strict=False)
        }
        return replaced | self.unstacked(build, found[len(carried) :], graph, replaced, loc)

    def unstacked(
        self, build: Builder, stacks: Sequence[Value], graph: Graph, known: Mapping[Value, Value], loc: Loc | None
    ) -> dict[Value, Value]:
        """The rows that somebody reads."""
        members = set(self.chain.calls)
        read = {value for node in graph.nodes if node not in members for value in node.inputs}
        read |= set(graph.outputs)
        found: dict[Value, Value] = {}
        for place, stack in zip(self.rows, stacks, strict=True):
            for at, call in enumerate(self.chain.calls):
                value = call.outputs[place]
                if value not in read or value in known:
                    continue
                shape = value.type.shape
                start, stop = (at, *(0 for _ in shape)), (at + 1, *shape)
                (row,) = build.emit(Slice(start=start, stop=stop, stride=(1,) * len(start)), [stack], loc=loc)
                (found[value],) = build.emit(Reshape(shape=shape), [row], loc=loc)
        return found


def _row_places(found: Sequence[tuple[int, int]], chain: _Chain) -> set[int]:
    """The places of results that must be stacked for these reads: all but the last of what is carried."""
    last, carried = len(chain.calls) - 1, set(chain.carries.values())
    return {place for at, place in found if not (at == last and place in carried)}


def _place(loc: Loc | None) -> Loc | None:
    """The place of all calls: that of the first, without its number."""
    if loc is None:
        return None
    outer, _, number = loc.label.rpartition(".")
    return replace(loc, label=outer) if number.isdigit() else loc
