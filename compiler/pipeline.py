"""The passes in order, each with the reason for its place. This list is the only one."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass

from .ir.program import Program
from .passes.context import Context
from .passes.dce import dce
from .passes.inline import inline
from .passes.legalize import legalize

Pass = Callable[[Program, Context], Program]


@dataclass(frozen=True, slots=True)
class Step:
    """A pass in its place. A target may forbid it if ``optional``, and must require it if it is off by ``default``."""

    run: Pass
    why: str
    optional: bool = True
    default: bool = True

    @property
    def name(self) -> str:
        return self.run.__name__


STEPS: tuple[Step, ...] = (
    Step(inline, "first, so that what follows sees across calls; targets that emit functions forbid it"),
    Step(legalize, "last of the rewrites that matter for meaning", optional=False),
    Step(dce, "what earlier passes left behind", optional=False),
)


class PipelineError(Exception):
    """A target requires or forbids a pass that there is not, or that cannot be left out."""


def run(program: Program, context: Context) -> Program:
    """The program as the target takes it. Raises `PipelineError`, and what passes raise."""
    for step in plan(context):
        program = step.run(program, context)
    return program


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
    return [
        step for step in STEPS if step.name not in context.forbids and (step.default or step.name in context.requires)
    ]
