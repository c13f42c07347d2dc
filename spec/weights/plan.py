"""Which keys of a file make which parameter, under one layout; and what is left over or missing.

Every key and every parameter is accounted for. One kind of key needs no rule: the counter of batches that torch keeps
beside the running statistics of a batch norm, on which no result depends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ...compiler.ir import Parameter
from .layouts import Rule, RuleLayout
from .tensors import Entry

COUNTER = "num_batches_tracked"
BESIDE = "running_mean"


@dataclass(frozen=True, slots=True)
class Assembly:
    """One way to a parameter: the keys, joined along ``concat`` if there are several, each transposed before.

    To transpose is to swap the last two axes; a vector stays as it is.
    """

    keys: tuple[str, ...]
    transpose: bool = False
    concat: int | None = None


@dataclass(frozen=True, slots=True)
class Misshapen:
    """A parameter and the keys for it, which give another shape. ``given`` is None where they cannot be joined."""

    path: str
    wanted: tuple[int, ...]
    assembly: Assembly
    given: tuple[int, ...] | None


@dataclass(slots=True)
class Plan:
    """What a layout makes of a file. It fits if nothing is missing, surplus, incomplete or misshapen.

    ``rules`` has the rule that each key falls under, None where there is none; ``targets`` the path that it goes to.
    ``surplus`` maps a key to the path that it would go to; ``incomplete`` are parameters of which some of the keys to
    join are not there, by the patterns of the missing ones.
    """

    layout: str
    assemblies: dict[str, tuple[Assembly, ...]] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    surplus: dict[str, str] = field(default_factory=dict)
    incomplete: dict[str, list[str]] = field(default_factory=dict)
    misshapen: list[Misshapen] = field(default_factory=list)
    rules: dict[str, Rule | None] = field(default_factory=dict)
    targets: dict[str, str] = field(default_factory=dict)

    @property
    def problems(self) -> int:
        """How many things are wrong."""
        return len(self.missing) + len(self.surplus) + len(self.incomplete) + len(self.misshapen)

    @property
    def fits(self) -> bool:
        """Whether every key and every parameter is accounted for."""
        return self.problems == 0


def static_shape(parameter: Parameter) -> tuple[int, ...]:
    """The shape of a parameter, which has no size that is found at run time."""
    return tuple(int(size) for size in parameter.type.shape)  # type: ignore[arg-type]


def make_plan(layout: RuleLayout, entries: Mapping[str, Entry], parameters: Mapping[str, Parameter]) -> Plan:
    """The plan for a file with these entries."""
    plan = Plan(layout.name)
    found: dict[str, list[Assembly]] = {}
    joins: dict[tuple[int, str], dict[int, str]] = {}
    for key in entries:
        at, position, path = _place(layout, key)
        rule = plan.rules[key] = layout.rules[at] if at is not None else None
        if path is None or (path not in parameters and _is_counter(path, parameters)):
            plan.ignored.append(key)
            continue
        plan.targets[key] = path
        if path not in parameters:
            plan.surplus[key] = path
        elif rule is not None and len(rule.sources) > 1:
            slots = joins.setdefault((at, path), {})  # type: ignore[arg-type]
            if position in slots:
                plan.surplus[key] = path
            else:
                slots[position] = key
        else:
            found.setdefault(path, []).append(Assembly((key,), rule is not None and rule.transpose))
    for (at, path), slots in joins.items():
        rule = layout.rules[at]
        if len(slots) == len(rule.sources):
            keys = tuple(slots[position] for position in range(len(rule.sources)))
            found.setdefault(path, []).append(Assembly(keys, rule.transpose, rule.concat))
        else:
            plan.incomplete[path] = [s.text for k, s in enumerate(rule.sources) if k not in slots]
    _check(plan, found, entries, parameters)
    return plan


def nearest_plan(plans: Sequence[Plan]) -> Plan:
    """The plan with the fewest problems, the first of several."""
    return min(plans, key=lambda plan: plan.problems)


def _place(layout: RuleLayout, key: str) -> tuple[int | None, int, str | None]:
    """The rule that a key falls under, which of its sources matches, and the path; no path for a key to ignore."""
    for at, rule in enumerate(layout.rules):
        match = rule.match(key)
        if match is not None:
            return at, match[0], None if rule.ignore else _target(rule, key, match[1])
    return None, 0, key


def _target(rule: Rule, key: str, captures: tuple[str, ...]) -> str:
    return key if rule.to is None else rule.to.fill(captures)


def _is_counter(path: str, parameters: Mapping[str, Parameter]) -> bool:
    prefix = path.removesuffix(COUNTER)
    return prefix != path and prefix + BESIDE in parameters


def _check(
    plan: Plan,
    found: Mapping[str, list[Assembly]],
    entries: Mapping[str, Entry],
    parameters: Mapping[str, Parameter],
) -> None:
    for path, parameter in parameters.items():
        assemblies = found.get(path)
        if assemblies is None:
            if path not in plan.incomplete:
                plan.missing.append(path)
            continue
        wanted = static_shape(parameter)
        fitting: list[Assembly] = []
        for assembly in assemblies:
            given = assembled_shape(assembly, entries)
            if given == wanted:
                fitting.append(assembly)
            else:
                plan.misshapen.append(Misshapen(path, wanted, assembly, given))
        plan.assemblies[path] = tuple(fitting)


def assembled_shape(assembly: Assembly, entries: Mapping[str, Entry]) -> tuple[int, ...] | None:
    """The shape that the keys give together; None if they cannot be joined."""
    shapes = [entries[key].shape for key in assembly.keys]
    if assembly.transpose:
        shapes = [(*shape[:-2], *shape[-2:][::-1]) for shape in shapes]
    if len(shapes) == 1:
        return shapes[0]
    axis = assembly.concat or 0
    first = shapes[0]
    if len(first) <= axis or any(_without(shape, axis) != _without(first, axis) for shape in shapes):
        return None
    return (*first[:axis], sum(shape[axis] for shape in shapes), *first[axis + 1 :])


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], -1, *shape[axis + 1 :]) if len(shape) > axis else shape
