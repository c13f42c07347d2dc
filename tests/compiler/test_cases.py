"""Passes as text: what stands before, what stands after, what was reported.

``cases/NAME.txt`` holds the cases of the pass NAME:

    == title
    #! refuse softmax relu          (what the target does not claim; `composites` are all of them, `halves` all 16-bit
                                     floats but casts, `last_windows` windows along axis 1)
    #! policy compute=bfloat16      (also params=..., keep=op,op)
    #! costs conv=5 dot=0:2 move=1  (of an op in its natural and its other form, of a conversion; what is left out is 0;
                                     `whole=1`: the target wants whole axes)
    #! fuse conv dot nodes=3        (the anchors of kernels; a dot takes a prologue; also operands=...)
    sections of a program
    --
    sections of the program after the pass (or `unchanged`), then its report as comments

``NETWRIGHT_UPDATE_CASES=1`` writes what comes out in place of what was expected; review the difference.
Every case is also verified before and after, and evaluated: a pass must not change what is computed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from netwright.compiler.fusion import Fusion
from netwright.compiler.ir import DType, Node
from netwright.compiler.ir.text import print_program
from netwright.compiler.ir.verify import verify
from netwright.compiler.passes.constant_folding import constant_folding
from netwright.compiler.passes.context import Context, LayoutCosts, Policy
from netwright.compiler.passes.cse import cse
from netwright.compiler.passes.dce import dce
from netwright.compiler.passes.fold_weights import fold_weights
from netwright.compiler.passes.fuse import fuse
from netwright.compiler.passes.hoist import hoist
from netwright.compiler.passes.inline import inline
from netwright.compiler.passes.layout import layout
from netwright.compiler.passes.legalize import legalize
from netwright.compiler.passes.loop_motion import loop_motion
from netwright.compiler.passes.precision import precision
from netwright.compiler.passes.schedule import schedule
from netwright.compiler.passes.simplify import simplify

from .running import assert_same, program

FOLDER = Path(__file__).parent / "cases"
PASSES = {
    item.__name__: item
    for item in (
        constant_folding,
        cse,
        dce,
        fold_weights,
        fuse,
        hoist,
        inline,
        layout,
        legalize,
        loop_motion,
        precision,
        schedule,
        simplify,
    )
}


@dataclass(frozen=True)
class Case:
    name: str
    title: str
    directives: tuple[str, ...]
    before: str
    after: str


def read(path: Path) -> list[Case]:
    cases = []
    for block in path.read_text(encoding="utf-8").split("== ")[1:]:
        title, _, body = block.partition("\n")
        before, _, after = body.partition("\n--\n")
        directives = tuple(line[3:] for line in before.splitlines() if line.startswith("#! "))
        cases.append(Case(path.stem, title, directives, before, after.strip("\n")))
    return cases


CASES = [case for path in sorted(FOLDER.glob("*.txt")) for case in read(path)]


def layout_costs(given: dict[str, str]) -> LayoutCosts:
    """Flat costs by op, whatever the sizes."""
    move, whole = float(given.pop("move", "0")), "whole" in given
    pairs = {name: (*map(float, text.split(":")), 0.0) for name, text in given.items()}
    return LayoutCosts(
        lambda node: pairs[node.op.name][:2] if node.op.name in pairs else None, lambda type: move, whole
    )


def context(case: Case) -> Context:
    refused: set[str] = set()
    policy = None
    fusion = None
    costs = None
    for line in case.directives:
        word, *items = line.split()
        if word == "refuse":
            refused |= set(items)
        elif word == "costs":
            costs = layout_costs(dict(item.split("=") for item in items))
        elif word == "fuse":
            numbers = dict(item.split("=") for item in items if "=" in item)
            limits = {key: int(number) for key, number in numbers.items()}
            anchors = frozenset(item for item in items if "=" not in item)
            fusion = Fusion(anchors=anchors, prologues=anchors & {"dot"}, **limits)
        else:
            options = dict(item.split("=") for item in items)
            dtypes = {key: DType(options[key]) for key in ("compute", "params") if key in options}
            policy = Policy(**dtypes, keep_float32=tuple(filter(None, options.get("keep", "").split(","))))

    def claims(node: Node) -> str | None:
        halves = any(value.type.dtype.is_half for value in (*node.inputs, *node.outputs))
        if "halves" in refused and halves and node.op.name != "cast":
            return "no 16-bit floats"
        if "last_windows" in refused and getattr(node.op, "kernel", (1, 1))[1] != 1:
            return "the window lies along axis 1"
        composite = "composites" in refused and node.op.is_composite()
        return "not here" if composite or node.op.name in refused else None

    return Context(target="case", claims=claims, precision=policy, layout=costs, fusion=fusion)


def outcome(case: Case) -> str:
    before = program(case.before)
    verify(before)
    told = context(case)
    after = PASSES[case.name](before, told)
    verify(after, case.name)
    assert_same(before, after)
    text = print_program(after)
    assert print_program(program(text.partition("\n")[2])) == text
    sections = "unchanged" if text == print_program(before) else text.partition("\n")[2].strip("\n")
    lines = [f"# {event.kind}: {event.what}" + (f": {event.why}" if event.why else "") for event in told.log]
    return "\n".join([sections, *lines])


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}: {case.title}")
def test_case(case: Case) -> None:
    got = outcome(case)
    if os.environ.get("NETWRIGHT_UPDATE_CASES"):
        path = FOLDER / f"{case.name}.txt"
        text = path.read_text(encoding="utf-8")
        begin = text.index(f"== {case.title}\n")
        end = text.find("\n== ", begin)
        rest = "" if end < 0 else text[end:]
        path.write_text(f"{text[:begin]}== {case.title}\n{case.before}\n--\n{got}\n{rest}", encoding="utf-8")
        return
    assert got == case.after


def test_titles_differ() -> None:
    names = [(case.name, case.title) for case in CASES]
    assert len(set(names)) == len(names)
