"""The passes in order, each with the reason for its place. This list is the only one."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass

from .ir.program import Program
from .ir.text import print_program
from .ir.verify import verify
from .passes.constant_folding import constant_folding
from .passes.context import Context
from .passes.cse import cse
from .passes.dce import dce
from .passes.fold_weights import fold_weights
from .passes.fuse import fuse
from .passes.hoist import hoist
from .passes.inline import inline
from .passes.layout import layout
from .passes.legalize import legalize
from .passes.loop_motion import loop_motion
from .passes.precision import precision
from .passes.roll import roll
from .passes.schedule import schedule
from .passes.shard import shard
from .passes.simplify import simplify

Pass = Callable[[Program, Context], Program]


@dataclass(frozen=True, slots=True)
class Step:
    """A pass in its place. A target may forbid it if ``optional``, and must require it if it is off by ``default``.

    A step ``after`` another pass runs only where that does, and gives another program.
    """

    run: Pass
    why: str
    optional: bool = True
    default: bool = True
    after: str = ""

    @property
    def name(self) -> str:
        return self.run.__name__


STEPS: tuple[Step, ...] = (
    Step(shard, "before anything moves: it finds values by the labels that the spec gives them", default=False),
    Step(roll, "while blocks are calls; after shard, which may tell equal blocks apart", default=False),
    Step(inline, "first, so that what follows sees across calls; a target that emits functions forbids it"),
    Step(precision, "while composites are whole: a softmax is one op to keep in float32, not five"),
    Step(simplify, "brings broadcasts into the form that the later patterns read"),
    Step(constant_folding, "after simplify, which finds dimensions that are known"),
    Step(cse, "before weights fold: what equals counts as one reader there"),
    Step(dce, "before weights fold: the dead are no readers", optional=False),
    Step(fold_weights, "before legalize, which would take batch normalisation apart"),
    Step(legalize, "after the patterns over composites; what follows sees what the target takes", optional=False),
    Step(loop_motion, "on primitives, whose rows are easy to stack; before hoist, as what leaves a loop may be packed"),
    Step(simplify, "what decompositions repeat"),
    Step(constant_folding, "what decompositions compute on numbers"),
    Step(cse, "what decompositions of neighbours share"),
    Step(hoist, "after fold_weights, whose arithmetic on parameters it moves; after cse, so that it moves it once"),
    Step(legalize, "again: a rewrite may give a primitive that the target lacks in that dtype", optional=False),
    Step(dce, "what all of them left behind: the dead are no readers in kernels", optional=False),
    Step(layout, "on primitives, which say how they read their axes; before fuse, which joins loops", default=False),
    Step(simplify, "what conversions cancel", after="layout"),
    Step(cse, "what conversions share", after="layout"),
    Step(loop_motion, "conversions of what a loop does not change", after="layout"),
    Step(dce, "the dead are no readers of weights", optional=False, after="layout"),
    Step(hoist, "conversions of weights", after="layout"),
    Step(legalize, "again, for what layout wrote", optional=False, after="layout"),
    Step(dce, "what of the prepare graph nothing reads any more", optional=False, after="layout"),
    Step(fuse, "on what the target runs, in the layout in which it runs", default=False),
    Step(schedule, "last: the order of the kernels that there are in the end", default=False),
)


class PipelineError(Exception):
    """A target requires or forbids a pass that there is not, or that cannot be left out."""


def run(program: Program, context: Context) -> Program:
    """The program as the target takes it.

    Under ``context.debug`` the program is verified before the first and after each pass; with ``context.dump_dir`` its
    text is written there after each, as ``03_cse.txt`` (``00_input.txt`` at first). Raises `PipelineError`,
    `VerifyError`, and what passes raise.
    """
    idle: set[str] = set()
    _check(program, context, 0, "input")
    for number, step in enumerate(plan(context), 1):
        if step.after in idle:
            continue
        before = program
        program = step.run(program, context)
        if program is before:
            idle.add(step.name)
        _check(program, context, number, step.name)
    return program


def _check(program: Program, context: Context, number: int, name: str) -> None:
    if context.dump_dir is not None:
        context.dump_dir.mkdir(parents=True, exist_ok=True)
        (context.dump_dir / f"{number:02}_{name}.txt").write_text(print_program(program), encoding="utf-8")
    if context.debug:
        verify(program, name)


def plan(context: Context) -> list[Step]:
    """The steps that run for a target. Raises `PipelineError`."""
    names = {step.name: step for step in STEPS}
    for name in sorted(context.requires | context.forbids):
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            hint = f"; did you mean {near[0]}?" if near else f" (they are {', '.join(names)})"
            raise PipelineError(f"{context.target} names the pass {name!r}, which there is not{hint}")
    both = sorted(context.requires & context.forbids)
    if both:
        raise PipelineError(f"{context.target} requires and forbids {', '.join(both)}")
    fixed = sorted(name for name in context.forbids if not names[name].optional)
    if fixed:
        raise PipelineError(f"{context.target} forbids {', '.join(fixed)}, which every target needs")
    runs = {name for name, step in names.items() if step.default or name in context.requires} - context.forbids
    return [step for step in STEPS if step.name in runs and (not step.after or step.after in runs)]
