"""A model: a document with args, and the program it becomes."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ..compiler.ir import Program
from ..compiler.training.plan import TrainingPlan
from ..spec.elaborate.learning import training_plan
from ..spec.elaborate.program import Lowered, Request, elaborate
from ..spec.elaborate.sharding import Spread
from ..spec.load import LoadedDocument, load_document
from ..spec.model.formulas import StaticValue
from ..spec.reader import read_source
from ..spec.source import Source
from .collector import paused


@dataclass(frozen=True)
class Model:
    """A spec with its args set.

    ``given`` are the optional inputs that will be given, ``dtype`` replaces `float`, ``dims`` fixes dimensions,
    ``spread`` is a mesh of devices beside or instead of the spec's own.
    """

    loaded: LoadedDocument
    args: Mapping[str, Any] = field(default_factory=dict)
    given: frozenset[str] = frozenset()
    dtype: str | None = None
    dims: Mapping[str, int] = field(default_factory=dict)
    spread: Spread = field(default_factory=Spread)

    @property
    def name(self) -> str:
        """Its name: the variant's, the document's or the file's."""
        return self.loaded.variant or str(self.loaded.document.name or self.loaded.path.stem)

    @cached_property
    def lowered(self) -> Lowered:
        """The program and what belongs to it. Raises SpecError with all mistakes of the spec."""
        with paused():
            return elaborate(self.loaded, self._request)

    @cached_property
    def training(self) -> TrainingPlan:
        """How it learns. Raises SpecError with all mistakes of the spec, or if it does not say."""
        with paused():
            return training_plan(self.loaded, self._request)

    @property
    def _request(self) -> Request:
        args = _static_args(self.args)
        return Request(args, given=self.given, dtype=self.dtype, dims=self.dims, spread=self.spread)

    @property
    def program(self) -> Program:
        """The program, as the spec says it, before any pass."""
        return self.lowered.program

    @property
    def variants(self) -> tuple[str, ...]:
        """The named sets of knobs that the document declares."""
        return tuple(self.loaded.document.variants or ())

    @property
    def optional_inputs(self) -> tuple[str, ...]:
        """The inputs of all entries that may be left out."""
        document = self.loaded.document
        modules: list[Any] = [document, *(document.entries or {}).values()]
        declared = [pair for module in modules for pair in (module.inputs or {}).items()]
        return tuple(dict.fromkeys(name for name, declaration in declared if declaration.optional))

    def variant(self, name: str) -> Model:
        """The same document with another set of knobs."""
        return replace(self, loaded=replace(self.loaded, variant=name))

    def giving(self, inputs: Iterable[str]) -> Model:
        """The same model with further optional inputs."""
        return replace(self, given=self.given | frozenset(inputs))

    def spreading(
        self, mesh: Mapping[str, int] | None = None, rules: Mapping[str, tuple[str | None, ...]] | None = None
    ) -> Model:
        """The same model on another mesh of devices: ``{"data": 2, "model": 4}``; an empty one means one device.

        ``rules`` say for parameters by path and values by label the mesh axis of each of their axes, before the
        rules of the spec: ``{"ids": ("data", None)}``.
        """
        return replace(self, spread=Spread(mesh, dict(rules or {})))

    def having(self, program: Program) -> Model:
        """The same model with another program in the place of its own."""
        other = replace(self)
        # A cached property of a frozen dataclass lives in its dictionary.
        other.__dict__["lowered"] = replace(self.lowered, program=program)
        return other


def load(
    model: str | Path,
    /,
    *,
    given: Iterable[str] = (),
    dtype: str | None = None,
    dims: Mapping[str, int] | None = None,
    **args: Any,
) -> Model:
    """Load a spec: a file, or ``zoo:NAME``. ``args`` set the knobs of the spec.

    ``given`` are optional inputs that will be given, ``dtype`` is what to compute in, ``dims`` fixes dimensions.

    Raises SpecError for what cannot be read: every mistake with file, line and column. Mistakes of meaning (names,
    shapes, args) are told in the same way when the model is first used; `lower` tells them at once.
    """
    if not isinstance(model, (str, Path)):
        raise TypeError(f"a model is a path or 'zoo:NAME', not {type(model).__name__}")
    return Model(load_document(model), dict(args), frozenset(given), dtype, dict(dims or {}))


def _static_args(args: Mapping[str, Any]) -> dict[str, StaticValue]:
    """Args from Python values or, from a command line, texts; each is read as YAML would read it."""
    return {name: _static_value(name, value) for name, value in args.items()}


def _static_value(name: str, value: Any) -> StaticValue:
    text = value if isinstance(value, str) else json.dumps(value)
    source = Source(f"--set {name}={text[:60]}", f"value: {text}\n")
    return StaticValue.of(read_source(source)["value"])


def nearest(word: str, choices: Iterable[str]) -> str:
    """`; did you mean X?` or nothing. Upper and lower case are the same here."""
    known = {choice.casefold(): choice for choice in choices}
    close = difflib.get_close_matches(word[:80].casefold(), known, 1)
    return f"; did you mean {known[close[0]]!r}?" if close else ""
