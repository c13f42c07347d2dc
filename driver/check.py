"""Everything that is wrong with a spec, in each form that it can take."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..compiler.passes.context import Context
from ..compiler.passes.dce import dce
from ..compiler.passes.inline import inline
from ..spec.diagnostics import Diagnostic, SpecError
from ..spec.elaborate.program import check_library
from .model import Model

PLAIN = ""
"""The name of a document without a variant."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A mistake, and the variants that have it (`PLAIN` is the document as it stands)."""

    diagnostic: Diagnostic
    variants: tuple[str, ...]

    def text(self, checked: Iterable[str]) -> str:
        """The mistake for a person; says in which variants it is if the others do not have it."""
        rendered = self.diagnostic.render()
        if set(self.variants) >= set(checked) or PLAIN in self.variants:
            return rendered
        return f"{rendered}\n      with the variant {', '.join(self.variants)}"

    def as_data(self) -> dict[str, Any]:
        """As JSON data. Line 0 stands for the file as a whole."""
        span = self.diagnostic.span
        return {
            "file": span.source.name,
            "line": span.start_line,
            "column": span.start_column,
            "end_line": span.end_line,
            "end_column": span.end_column,
            "message": self.diagnostic.message,
            "hint": self.diagnostic.hint,
            "chain": [{"block": label, "at": str(place)} for label, place in self.diagnostic.chain],
            "variants": [name for name in self.variants if name != PLAIN],
        }


@dataclass(frozen=True, slots=True)
class Report:
    """What a check found. ``parameters`` by variant; ``blocks`` is how many a library has, None for a model."""

    name: str
    problems: tuple[Problem, ...]
    warnings: tuple[str, ...]
    parameters: Mapping[str, int]
    checked: tuple[str, ...]
    blocks: int | None = None

    def text(self) -> str:
        """The mistakes for a person, each with its place, then how many there are."""
        shown = [problem.text(self.checked) for problem in self.problems]
        count = len(self.problems)
        return "\n".join([*shown, f"{self.name}: {count} mistake{'' if count == 1 else 's'}"])

    def sentence(self) -> str:
        """What a spec without mistakes holds."""
        if self.blocks is not None:
            return f"a library of {self.blocks} block{'' if self.blocks == 1 else 's'}, checked where they are called"
        plain = self.parameters.get(PLAIN)
        others = [(name, count) for name, count in self.parameters.items() if name != PLAIN and count != plain]
        listed = ", ".join(f"{name} {count:,}" for name, count in others)
        if plain is None:
            return f"no mistakes; parameters: {listed}"
        return f"no mistakes; {plain:,} parameters" + (f" ({listed})" if listed else "")

    def as_data(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "name": self.name,
            "valid": not self.problems,
            "errors": [problem.as_data() for problem in self.problems],
            "warnings": list(self.warnings),
            "parameters": self.parameters.get(PLAIN),
            "variants": {name: count for name, count in self.parameters.items() if name != PLAIN},
        }


def check(name: str, load: Callable[[], Model]) -> Report:
    """Check a document as it stands, with each of its variants, and with all optional inputs given.

    ``name`` is how a person calls it; ``load`` opens it and may raise SpecError. A mistake that several forms share is
    reported once. The form without a variant is left out if only variants give all required args. Of a library, names
    and references are checked.
    """
    try:
        model = load()
        if model.loaded.document.is_library:
            check_library(model.loaded)
    except SpecError as error:
        return Report(name, tuple(Problem(one, (PLAIN,)) for one in error.diagnostics), (), {}, (PLAIN,))
    if model.loaded.document.is_library:
        return Report(name, (), (), {}, (PLAIN,), blocks=len(model.loaded.document.blocks or {}))
    return _Check(name).forms(model)


class _Check:
    def __init__(self, name: str) -> None:
        self.name = name
        self.found: dict[str, tuple[Diagnostic, list[str]]] = {}
        self.warnings: dict[str, None] = {}
        self.parameters: dict[str, int] = {}
        self.checked: list[str] = []

    def forms(self, model: Model) -> Report:
        """Elaborate every form."""
        if model.loaded.variant is not None or not _only_by_variants(model):
            self.form(model, PLAIN)
            if set(model.optional_inputs) - model.given:
                self.form(model.giving(model.optional_inputs), PLAIN)
        for variant in model.variants:
            if variant != model.loaded.variant:
                self.form(model.variant(variant), variant)
        problems = [Problem(diagnostic, tuple(variants)) for diagnostic, variants in self.found.values()]
        problems.sort(key=lambda problem: problem.diagnostic.span.order)
        return Report(self.name, tuple(problems), tuple(self.warnings), self.parameters, tuple(self.checked))

    def form(self, model: Model, variant: str) -> None:
        """One form; its count of parameters is that of the first with its name."""
        if variant not in self.checked:
            self.checked.append(variant)
        try:
            counted = parameter_count(model)
        except SpecError as error:
            for diagnostic in error.diagnostics:
                variants = self.found.setdefault(diagnostic.render(), (diagnostic, []))[1]
                if variant not in variants:
                    variants.append(variant)
            return
        self.warnings.update(dict.fromkeys(warnings_of(model)))
        self.parameters.setdefault(variant, counted)


def warnings_of(model: Model) -> tuple[str, ...]:
    """What the author of a spec should know, though nothing is wrong: parameters that no output depends on."""
    program = inline(model.program, Context())
    used = set(dce(program, Context()).used_tensors())
    idle = [f"no output depends on the parameter `{path}`" for path in program.parameters if path not in used]
    said = model.lowered.warnings
    return (*said, *(one for one in idle if not any(one.split("`")[1] in other for other in said)))


def parameter_count(model: Model) -> int:
    """The elements of all trainable parameters."""
    parameters = model.program.parameters.values()
    return sum(size for p in parameters if p.trainable and isinstance(size := p.type.elements, int))


def _only_by_variants(model: Model) -> bool:
    document = model.loaded.document
    missing = {name for name, arg in (document.args or {}).items() if arg.required} - set(model.args)
    return bool(missing) and any(missing <= set(given) for given in (document.variants or {}).values())
