"""Why a file does not fit: what is missing, surplus or misshapen, and what was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from ...compiler.ir import Parameter
from .errors import WeightsError, shape_text, shown
from .plan import Assembly, Plan, static_shape
from .tensors import Entry

MOST_SHOWN = 10
MOST_COMPARED = 1000
"""Names that a suggestion is looked for among: comparing is slow."""
MOST_PREFIXES = 20
"""Keys whose prefix is tried on all others."""

RULES_HINT = "  hint: rules under `weights:`, or the `path` of a node, bring keys and parameters together"


class MismatchError(WeightsError):
    """A whole file, of another model. ``entries`` are its tensors by key."""

    def __init__(self, message: str, entries: Mapping[str, Entry]) -> None:
        super().__init__(message)
        self.entries = entries


def explain_mismatch(
    file: str, plan: Plan, plans: Sequence[Plan], entries: Mapping[str, Entry], parameters: Mapping[str, Parameter]
) -> str:
    """The message for a file that no layout fits: the problems by the nearest one, ``plan``, at most ten lines each."""
    others = [other.layout for other in plans if other is not plan]
    tried = f"; tried too: {', '.join(others)}" if others else ""
    lines = [f"{file} does not fit the model ({len(entries)} keys, {len(parameters)} parameters)"]
    lines.append(f"by the nearest layout, `{plan.layout}`{tried}:")
    free = [key for key in plan.surplus if plan.surplus[key] == key or plan.surplus[key] not in parameters]
    lines += _section(
        "missing",
        "parameter",
        [_missing(p, parameters, free, entries) for p in plan.missing[:MOST_SHOWN]],
        len(plan.missing),
    )
    lines += _section(
        "surplus",
        "key",
        [_surplus(key, plan, parameters, entries) for key in list(plan.surplus)[:MOST_SHOWN]],
        len(plan.surplus),
    )
    lines += _section(
        "incomplete",
        "parameter",
        [
            f"{shown(path)}: no key matches {', '.join(map(shown, patterns))}"
            for path, patterns in list(plan.incomplete.items())[:MOST_SHOWN]
        ],
        len(plan.incomplete),
    )
    lines += _section(
        "misshapen",
        "parameter",
        [
            f"{shown(one.path)} is {shape_text(one.wanted)}, {_given(one.assembly, one.given)}"
            for one in plan.misshapen[:MOST_SHOWN]
        ],
        len(plan.misshapen),
    )
    strange = plan.surplus and len(plan.missing) * 2 >= len(parameters)
    hint = prefix_hint(plan) or (RULES_HINT if strange else None)
    return "\n".join([*lines, hint] if hint else lines)


def _section(title: str, what: str, lines: Iterable[str], count: int) -> list[str]:
    if count == 0:
        return []
    section = [f"  {title}: {count} {what}{'' if count == 1 else 's'}", *(f"    {line}" for line in lines)]
    return [*section, f"    ... and {count - MOST_SHOWN} more"] if count > MOST_SHOWN else section


def _missing(path: str, parameters: Mapping[str, Parameter], free: Sequence[str], entries: Mapping[str, Entry]) -> str:
    shape = static_shape(parameters[path])
    # A key of the same shape is the likelier one.
    alike = [key for key in free if entries[key].shape == shape]
    near = nearest(path, alike) or nearest(path, free)
    hint = f"; did you mean the key {shown(near)} {shape_text(entries[near].shape)}?" if near else ""
    return f"{shown(path)} {shape_text(shape)}{hint}"


def _surplus(key: str, plan: Plan, parameters: Mapping[str, Parameter], entries: Mapping[str, Entry]) -> str:
    path = plan.surplus[key]
    to = "" if path == key else f" goes to {shown(path)}, which "
    near = nearest(path, [name for name in plan.missing if static_shape(parameters[name]) == entries[key].shape])
    said = f"{to}is no parameter" if to else " is no parameter"
    hint = f"; did you mean {shown(near)}?" if near else ""
    return f"{shown(key)} {shape_text(entries[key].shape)}{said}{hint}"


def _given(assembly: Assembly, given: tuple[int, ...] | None) -> str:
    keys = " + ".join(map(shown, assembly.keys))
    if given is None:
        return f"the keys {keys} cannot be joined along axis {assembly.concat}"
    turned = ", transposed," if assembly.transpose else ""
    return f"the file gives {shape_text(given)} by {keys}{turned}".rstrip(",")


def nearest(name: str, names: Sequence[str]) -> str | None:
    """The name that is most like this one, or None if none is near."""
    if name in names:
        return None
    found = difflib.get_close_matches(name[:200], names[:MOST_COMPARED], n=1, cutoff=0.6)
    return found[0] if found else None


def prefix_hint(plan: Plan) -> str | None:
    """The rule that would repair a file whose keys bear a prefix too many, or lack one; None if that is not it."""
    missing, surplus = set(plan.missing), set(plan.surplus)
    if not missing or not surplus:
        return None
    shortest = min(missing, key=lambda path: (len(path), path))
    for key in islice((key for key in sorted(surplus) if key.endswith("." + shortest)), MOST_PREFIXES):
        prefix = key[: -len(shortest)]
        if _most(missing, [prefix + path in surplus for path in missing]):
            return f"  hint: keys bear the prefix {shown(prefix)}; the rule {{from: {prefix}**, to: $1}} takes it off"
    least = min(surplus, key=lambda key: (len(key), key))
    for path in islice((path for path in sorted(missing) if path.endswith("." + least)), MOST_PREFIXES):
        prefix = path[: -len(least)]
        if _most(surplus, [prefix + key in missing for key in surplus]):
            return f"  hint: keys lack the prefix {shown(prefix)}; the rule {{from: '**', to: {prefix}$1}} puts it on"
    return None


def _most(names: set[str], hits: Sequence[bool]) -> bool:
    return sum(hits) * 10 >= len(names) * 9
