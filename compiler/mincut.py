"""One of two labels for each of many things, at the least cost, where those that belong together should agree.

Exact: a minimum cut. Most of it is settled before, by what cannot matter (see `_Reducer`); what remains is cut one
connected part at a time.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

_STEPS = 2**40
"""Costs are rounded to so many steps of the largest, as flows are exact in whole numbers only."""


@dataclass(frozen=True, slots=True)
class Shared:
    """``cost`` is paid once if one or more of the ``readers`` have another label than the ``source``."""

    source: int
    readers: tuple[int, ...]
    cost: float


def cheapest_labels(costs: Sequence[tuple[float, float]], shared: Sequence[Shared]) -> list[bool]:
    """A label for each thing, so that the sum of all costs is the least.

    ``costs[i]`` is what thing i costs with the label False and with True; an infinite cost forbids a label. Costs are
    not negative. Deterministic.
    """
    unit = _unit(costs, shared)
    reducer = _Reducer(len(costs), [_gain(*pair, unit) for pair in costs])
    for one in shared:
        reducer.add(one.source, one.readers, round(one.cost / unit))
    reducer.reduce()
    for part in reducer.parts():
        for thing in _cut(part, reducer):
            reducer.join(thing, reducer.true)
    return [reducer.find(thing) == reducer.find(reducer.true) for thing in range(len(costs))]


def total_cost(costs: Sequence[tuple[float, float]], shared: Sequence[Shared], labels: Sequence[bool]) -> float:
    """What labels cost."""
    own = sum(pair[label] for pair, label in zip(costs, labels, strict=True))
    return own + sum(one.cost for one in shared if any(labels[reader] != labels[one.source] for reader in one.readers))


def _unit(costs: Sequence[tuple[float, float]], shared: Sequence[Shared]) -> float:
    finite = [cost for pair in costs for cost in pair if math.isfinite(cost)] + [one.cost for one in shared]
    return max(finite, default=0) / _STEPS or 1.0


def _gain(false: float, true: float, unit: float) -> float:
    """What False saves against True, in whole units."""
    if math.isinf(false) and math.isinf(true):
        raise ValueError("a thing has no label left")
    return true - false if math.isinf(true - false) else round((true - false) / unit)


@dataclass(slots=True)
class _Group:
    source: int
    readers: set[int]
    cost: int


@dataclass(slots=True)
class _Reducer:
    """Joins things that have one label in some cheapest answer. Two extra things stand for the labels themselves.

    A thing takes the label that it gains by more than all that it shares could cost. It follows a neighbour if what
    they share costs at least all the rest that the thing has to say.
    """

    count: int
    gains: list[float]
    """What the label False saves each thing against True."""
    groups: list[_Group] = field(default_factory=list)
    leaders: list[int] = field(init=False)
    touching: list[set[int]] = field(init=False)

    def __post_init__(self) -> None:
        self.leaders = list(range(self.count + 2))
        self.touching = [set() for _ in range(self.count + 2)]
        self.gains += [0, 0]

    @property
    def false(self) -> int:
        return self.count

    @property
    def true(self) -> int:
        return self.count + 1

    def find(self, thing: int) -> int:
        """The one that stands for all that are joined with a thing."""
        leaders = self.leaders
        while leaders[thing] != thing:
            leaders[thing] = leaders[leaders[thing]]
            thing = leaders[thing]
        return thing

    def add(self, source: int, readers: Sequence[int], cost: int) -> None:
        if cost > 0:
            number = len(self.groups)
            self.groups.append(_Group(source, set(readers), cost))
            for thing in (source, *readers):
                self.touching[thing].add(number)

    def join(self, thing: int, other: int) -> None:
        """Both have one label from now on."""
        thing, other = self.find(thing), self.find(other)
        if thing == other:
            return
        fixed = (self.find(self.false), self.find(self.true))
        if thing in fixed or (other not in fixed and len(self.touching[thing]) > len(self.touching[other])):
            thing, other = other, thing
        self.leaders[thing] = other
        self.gains[other] += self.gains[thing]
        self.touching[other] |= self.touching[thing]

    def reduce(self) -> None:
        """Join until nothing more can be said by looking at one thing at a time."""
        todo, waiting = deque(range(self.count)), [True] * self.count
        for thing, gain in enumerate(self.gains[: self.count]):
            if math.isinf(gain):
                self.join(thing, self.false if gain > 0 else self.true)
        while todo:
            thing = todo.popleft()
            waiting[thing] = False
            if self.find(thing) != thing or thing in (self.find(self.false), self.find(self.true)):
                continue
            around = self.members(thing)
            if not self.settle(thing):
                continue
            for near in sorted(around | {self.find(thing)}):
                near = self.find(near)
                if near < self.count and not waiting[near]:
                    waiting[near] = True
                    todo.append(near)

    def members(self, thing: int) -> set[int]:
        """All that share something with a thing; what is settled is forgotten."""
        found: set[int] = set()
        for number in list(self.touching[thing]):
            group = self.groups[number]
            group.source = self.find(group.source)
            group.readers = {reader for reader in map(self.find, group.readers) if reader != group.source}
            all_ = {group.source, *group.readers}
            if len(all_) == 1 or (self.find(self.false) in all_ and self.find(self.true) in all_):
                self.touching[thing].discard(number)
            else:
                found |= all_
        return found - {thing}

    def settle(self, thing: int) -> bool:
        """Join a thing with a label or a neighbour, if there is a reason."""
        gain, pairs, total = self.gains[thing], dict[int, int](), 0
        for number in sorted(self.touching[thing]):
            group = self.groups[number]
            total += group.cost
            if len(group.readers) == 1:
                (reader,) = group.readers
                other = reader if group.source == thing else group.source
                pairs[other] = pairs.get(other, 0) + group.cost
        if gain >= total:
            self.join(thing, self.false)
            return True
        if -gain > total:
            self.join(thing, self.true)
            return True
        for other, cost in sorted(pairs.items()):
            if cost >= abs(gain) + total - cost:
                self.join(thing, other)
                return True
        return False

    def parts(self) -> list[list[int]]:
        """What is open, in connected parts."""
        fixed = {self.find(self.false), self.find(self.true)}
        seen: set[int] = set(fixed)
        found: list[list[int]] = []
        for start in range(self.count):
            if self.find(start) != start or start in seen:
                continue
            seen.add(start)
            part, todo = [], [start]
            while todo:
                thing = todo.pop()
                part.append(thing)
                fresh = sorted(self.members(thing) - seen)
                seen.update(fresh)
                todo += fresh
            found.append(sorted(part))
        return found


def _cut(part: Sequence[int], reducer: _Reducer) -> list[int]:
    """The things of one part that get the label True."""
    import networkx

    network: Any = networkx.DiGraph()
    false, true = reducer.find(reducer.false), reducer.find(reducer.true)

    def edge(tail: object, head: object, capacity: float) -> None:
        if tail in (true, head) or head == false:
            return
        if math.isinf(capacity):
            network.add_edge(tail, head)
            return
        known = network.get_edge_data(tail, head, {"capacity": 0})
        if "capacity" in known:
            network.add_edge(tail, head, capacity=known["capacity"] + capacity)

    network.add_nodes_from((false, true))
    for thing in part:
        gain = reducer.gains[thing]
        edge(thing, true, max(-gain, 0))
        edge(false, thing, max(gain, 0))
    for number in sorted({number for thing in part for number in reducer.touching[thing]}):
        group = reducer.groups[number]
        if len(group.readers) == 1:
            (reader,) = group.readers
            edge(group.source, reader, group.cost)
            edge(reader, group.source, group.cost)
            continue
        to_true, to_false = ("to true", number), ("to false", number)
        edge(group.source, to_true, group.cost)
        edge(to_false, group.source, group.cost)
        for reader in sorted(group.readers):
            edge(to_true, reader, math.inf)
            edge(reader, to_false, math.inf)
    flow = networkx.algorithms.flow.preflow_push
    _, (_, side) = networkx.minimum_cut(network, false, true, flow_func=flow)
    return [thing for thing in part if thing in side]
