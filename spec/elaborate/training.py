"""`training` of a document, checked: its graphs, losses, metrics, rules, patterns and numbers. Nothing is compiled."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel

from ...compiler.ir import symbol as make_symbol
from ...compiler.ir.dims import decide
from ...compiler.ops.tensor import Tensor
from ..diagnostics import SpecError, error_at, suggest
from ..formula.ast import names as names_in
from ..load import LoadedDocument
from ..model.formulas import Formula, StaticFormula, StaticValue
from ..weights.matching import PathPattern
from .context import Context, ProgramBuilder
from .entries import ROOT, EntryBuilder
from .fields import read_value
from .instance import instantiate
from .nodes import run_graph, run_module
from .scope import Scope
from .symbols import dims_of
from .values import POISON, Poisoned, describe


@dataclass(frozen=True, slots=True)
class Nodes:
    """The further nodes of training, or of a player; what they name are the names of the main graph."""

    graph: Iterable[Any]
    inputs: None = None
    params: None = None
    constants: None = None
    outputs: None = None


def check_training(
    context: Context, args: Mapping[str, StaticValue], variant: str | None, given: frozenset[str]
) -> None:
    """Report every mistake of `training` to the program's collector. The program itself does not change."""
    loaded, program = context.loaded, context.program
    training = loaded.document.training
    if training is None:
        return
    for learning in (True, False):
        if not learning and program.collector:
            # What a second look would tell is told.
            break
        scratch = ProgramBuilder(
            program.collector,
            program.compute,
            program.storage,
            program.keep,
            training=learning,
            draws=True,
            unknown=program.unknown,
            checked=program.checked,
            models=program.models,
        )
        with _reported(scratch):
            name = "train_step" if learning else "evaluate"
            found = _Training(scratch, open_training(scratch, loaded, args, variant, given, name)[1])
            found.check(training) if learning else found.learning(found.scope, training)


def open_training(
    program: ProgramBuilder,
    loaded: LoadedDocument,
    args: Mapping[str, StaticValue],
    variant: str | None,
    given: frozenset[str],
    name: str,
    dims: Mapping[str, int] | None = None,
) -> tuple[EntryBuilder, Scope]:
    """The main graph and the inputs of training in an entry; its scope is where training begins. Raises SpecError."""
    training = loaded.document.training
    assert training is not None, "the document says how it learns"
    context = instantiate(program, loaded, ROOT, args, None, training.span, variant)
    entry = EntryBuilder(context, name, loaded.document, given, {}, dims or {})
    scope = entry.open()
    run_module(scope, loaded.document)
    for declaration in (training.inputs or {}).values():
        for symbol in (n.id for dim in dims_of(declaration.type) for n in names_in(dim.expr) if n.id[0].isupper()):
            scope.symbols.setdefault(symbol, make_symbol(symbol))
    entry.add_inputs(scope, training.inputs or {}, program.collector)
    return entry, replace(scope, module=training)


@contextmanager
def _reported(program: ProgramBuilder) -> Iterator[None]:
    """Mistakes inside go to the collector."""
    try:
        yield
    except SpecError as error:
        program.collector.add(error)
    except Poisoned:
        # What poisoned it was reported.
        pass


@dataclass(slots=True)
class _Training:
    """The section in the scope of the main graph and the training inputs."""

    program: ProgramBuilder
    scope: Scope

    def check(self, training: Any) -> None:
        """Everything, each mistake by itself."""
        self.learning(self.scope, training)
        self.numbers(training)
        for name, player in (training.players or {}).items():
            seen = replace(self.scope, names=dict(self.scope.names), statics=dict(self.scope.statics), module=player)
            self.learning(seen, player)
            self.numbers(player)
            self.patterns(player.updates, f"the player `{name}` updates")
        self.patterns(training.updates or (), "`updates`")
        self.patterns(training.freeze or (), "`freeze`")
        self.patterns([one.params for one in training.regularize or () if one.params is not None], "`regularize`")
        for owned in self.scope.body.owned:
            self.program.own(owned.under(ROOT, ("train_step",)))
        if training.stop is not None:
            choices = [*(["loss"] if training.loss is not None else []), *(training.metrics or {})]
            if training.stop.monitor not in choices:
                monitor = training.stop.monitor
                listed = f"it is one of {', '.join(choices)}" if choices else "give `metrics`"
                hint = suggest(monitor, choices) or listed
                self.program.collector.report(monitor.span, f"nothing measures `{monitor}`", hint)

    def learning(self, scope: Scope, section: Any) -> None:
        """Derived values, further nodes, and what is learned by."""
        for name, value in (section.let or {}).items():
            with _reported(self.program):
                scope.statics[name] = read_value(scope, value)
            scope.names.update({} if name in scope.statics else {name: POISON})
        if section.graph:
            with _reported(self.program):
                run_graph(scope, Nodes(section.graph))
        if section.loss is not None:
            with _reported(self.program):
                _check_scalar(scope, section.loss, "the loss")
        for name, formula in (getattr(section, "metrics", None) or {}).items():
            with _reported(self.program):
                _check_scalar(scope, formula, f"the metric `{name}`")
        for name, formula in (getattr(section, "rule", None) or {}).items():
            with _reported(self.program):
                _check_rule(scope, str(name), formula)

    def numbers(self, section: BaseModel) -> None:
        """The settings of a section: optimizer, rate, sizes of batches, and whatever else is a number."""
        for key in type(section).model_fields:
            value = getattr(section, key)
            if isinstance(value, StaticFormula):
                with _reported(self.program):
                    self.number(key, value)
            elif isinstance(value, BaseModel) and key in ("optimizer", "rate", "stop"):
                self.numbers(value)
            elif key == "regularize":
                for one in value or ():
                    self.numbers(one)

    def number(self, key: str, formula: StaticFormula) -> None:
        """One setting. Raises SpecError."""
        value = self.scope.static(formula, f"`{key}`")
        test, wanted = SETTINGS.get(key, (_is_amount, "a number of 0 or more"))
        if not test(value):
            raise error_at(formula.span, f"`{key}` is {wanted}, not {describe(value)}")

    def patterns(self, patterns: Iterable[Any], what: str) -> None:
        """Patterns match parameters of the training graph."""
        paths = {owned.under(ROOT, ()).key.path for owned in self.scope.body.owned}
        for text in patterns:
            pattern = PathPattern.parse(str(text))
            if not any(pattern.match(path) is not None for path in paths):
                hint = suggest(str(text), paths)
                self.program.collector.report(text.span, f"{what}: no parameter matches `{text}`", hint)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_amount(value: Any) -> bool:
    return _is_number(value) and 0 <= value < float("inf")


def _is_share(value: Any) -> bool:
    return _is_number(value) and 0 <= value < 1


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


Test = tuple[Callable[[Any], bool], str]
SHARE: Test = (_is_share, "a number from 0 to below 1")
COUNT: Test = (_is_count, "a whole number of 1 or more")
SWITCH: Test = (lambda value: isinstance(value, bool), "true or false")
SETTINGS: dict[str, Test] = {
    **dict.fromkeys(("momentum", "beta1", "beta2", "decay"), SHARE),
    **dict.fromkeys(("batch", "epochs", "every", "patience", "steps"), COUNT),
    **dict.fromkeys(("nesterov", "shuffle", "restore_best"), SWITCH),
    "rate": (lambda value: _is_number(value) and 0 < value < float("inf"), "a number above 0"),
}
"""What the settings of training hold; those that are missing are numbers of 0 or more."""


def _check_scalar(scope: Scope, formula: Formula, what: str) -> None:
    value = scope.evaluate(formula)
    if not isinstance(value, Tensor) or value.rank != 0 or not value.dtype.is_float:
        raise error_at(formula.span, f"{what} is one float, not {describe(value)}", "reduce_mean(...)")


def _check_rule(scope: Scope, name: str, formula: Formula) -> None:
    node, _, parameter = name.rpartition(".")
    known = scope.names.get(node)
    if known is POISON:
        raise Poisoned
    parameters = getattr(known, "parameters", {})
    if parameter not in parameters:
        choices = [f"{key}.{own}" for key, value in scope.names.items() for own in getattr(value, "parameters", {})]
        hint = suggest(name, choices) or ", ".join(choices[:20]) or None
        raise error_at(formula.span, f"`{name}` is no parameter of a node", hint)
    value = scope.evaluate(formula)
    wanted = parameters[parameter].type
    # The batch size is a symbol here; a rule for single examples fits where it can be 1.
    fits = isinstance(value, Tensor) and value.dtype is wanted.dtype and value.rank == wanted.rank
    if not fits or any(decide(a, "==", b) is False for a, b in zip(value.shape, wanted.shape, strict=True)):
        raise error_at(formula.span, f"the next value of `{name}` is {wanted}, not {describe(value)}")
