"""Where the weights of a program come from: its own file, and those of sub-models."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ...compiler.ir import Parameter
from ..diagnostics import Collector, SpecError
from ..model.parts import ModelPart
from ..model.weights import FlatFile
from ..weights.errors import WeightsError
from ..weights.flat import flat_order
from ..weights.layouts import FlatLayout, parse_layouts
from .body import Body
from .context import Context, ProgramBuilder
from .entries import ROOT, EntryBuilder
from .instance import instantiate
from .scope import Scope


@dataclass(frozen=True, slots=True)
class WeightsSource:
    """A model whose parameters come from one file: its path prefix, its layouts, and the file if the spec names one.

    ``whole`` gives all parameters of a sub-model by its own paths: its file holds those too that the whole model does
    not need. None where there are no others.
    """

    prefix: str
    layouts: Mapping[str, Any]
    file: str | None
    whole: Callable[[], Mapping[str, Parameter]] | None = None


def check_weights(context: Context, collector: Collector) -> None:
    """Report rules of `weights` that are none, in the document and its sub-models."""
    for inner in (context, *(part.inner for part in context.parts.values() if part.inner is not None)):
        for name, layout in (inner.loaded.document.weights or {}).items():
            for one in layout if isinstance(layout, list) else [layout]:
                try:
                    parse_layouts({name: [one] if isinstance(layout, list) else one})
                except SpecError as error:
                    collector.add(error)
        if inner is not context:
            check_weights(inner, collector)


def weights_warnings(context: Context, parameters: Mapping[str, Parameter]) -> Iterator[str]:
    """Layouts of the document that name parameters which it does not have with these args."""
    for name, layout in (context.loaded.document.weights or {}).items():
        if isinstance(layout, FlatFile):
            (flat,) = parse_layouts({name: layout})
            assert isinstance(flat, FlatLayout)
            try:
                flat_order(flat, parameters)
            except WeightsError as error:
                yield f"{layout.span}: {error}"
            continue
        for rule in layout:
            if rule.to is not None and "$" not in rule.to and str(rule.to) not in parameters:
                yield f"{rule.to.span}: the layout {name} maps to `{rule.to}`, and no parameter has this path"


def weights_sources(context: Context) -> Iterator[WeightsSource]:
    """The document's own source, then those of its sub-models."""
    yield WeightsSource(context.root.path, context.loaded.document.weights or {}, None)
    for part in context.parts.values():
        if part.inner is None or not isinstance(part.declaration, ModelPart):
            continue
        own, *inner = weights_sources(part.inner)
        file = part.declaration.weights
        whole = partial(_whole_parameters, context, part.inner, part.declaration)
        yield own if file is None else replace(own, file=str(file), whole=whole)
        yield from inner


def _whole_parameters(context: Context, inner: Context, declaration: ModelPart) -> dict[str, Parameter]:
    """All parameters of a sub-model by its own paths, those of every entry, used here or not."""
    used = context.program
    scratch = ProgramBuilder(Collector(), used.compute, used.storage, models=used.models)
    home = Scope(context, Body(scratch.shapes), scratch.collector)
    variant = None if declaration.variant is None else str(declaration.variant)
    alone = instantiate(scratch, inner.loaded, ROOT, declaration.fields, home, declaration.span, variant)
    document = inner.loaded.document
    for name, module in {"main": document, **(document.entries or {})}.items():
        EntryBuilder(alone, name, module, frozenset(), {}).build()
    scratch.collector.raise_any()
    return scratch.parameters()
