"""The program of a model as text, at any point of its way through the passes."""

from __future__ import annotations

from ..backends.api import BackendError
from ..compiler import pipeline
from ..compiler.ir.text import print_program
from ..compiler.passes.inline import InlineError
from ..compiler.passes.legalize import LegalizeError
from .build import Build, compilation
from .model import Model, nearest

ALL = "all"
"""Stands for the last pass."""


def program_text(model: Model, target: str, after: str | None = None) -> str:
    """The text of the program: as the spec says it, or after the last run of a pass for a target.

    Raises SpecError, and BackendError for an unknown target or a pass that does not run for it.
    """
    _, context = compilation(model, Build(target))
    if after is None:
        return print_program(model.program)
    steps = pipeline.plan(context)
    names = [step.name for step in steps]
    if after != ALL and after not in names:
        choices = list(dict.fromkeys(names))
        listed = ", ".join(choices)
        raise BackendError(f"no pass for {target} is called {after!r}{nearest(after, choices)} ({listed}, or {ALL})")
    last = len(names) - (0 if after == ALL else names[::-1].index(after))
    program = model.program
    try:
        for step in steps[:last]:
            program = step.run(program, context)
    except (LegalizeError, InlineError) as error:
        raise BackendError(str(error)) from error
    return print_program(program)
