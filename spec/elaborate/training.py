"""`training` of a document, checked: its graph, losses, metrics, rules and patterns are elaborated, not compiled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ...compiler.ir.dims import decide
from ...compiler.ops.tensor import Tensor
from ..diagnostics import SpecError, error_at, suggest
from ..load import LoadedDocument
from ..model.formulas import Formula, StaticValue
from ..weights.matching import PathPattern
from .context import ProgramBuilder
from .entries import ROOT, EntryBuilder
from .fields import read_value
from .instance import instantiate
from .nodes import run_graph, run_module
from .scope import Scope
from .values import Poisoned, describe


@dataclass(frozen=True, slots=True)
class _Graph:
    """The further nodes of training, or of a player; what they name are the names of the main graph."""

    graph: Iterable[Any]
    inputs: None = None
    params: None = None
    constants: None = None
    outputs: None = None


def check_training(
    loaded: LoadedDocument,
    args: Mapping[str, StaticValue],
    variant: str | None,
    given: frozenset[str],
    program: ProgramBuilder,
) -> None:
    """Report every mistake of `training` to the program's collector. The program itself does not change."""
    training = loaded.document.training
    if training is None:
        return
    collector = program.collector
    scratch = ProgramBuilder(collector, program.compute, program.storage, training=True, unknown=program.unknown)
    try:
        context = instantiate(scratch, loaded, ROOT, args, None, training.span, variant)
        entry = EntryBuilder(context, "train_step", loaded.document, given, {})
        scope = entry.open()
        run_module(scope, loaded.document)
        entry.add_inputs(scope, training.inputs or {}, collector)
        _run(scope, training)
    except SpecError as error:
        collector.add(error)
        return
    except Poisoned:
        return
    for name, player in (training.players or {}).items():
        seen = replace(scope, names=dict(scope.names), statics=dict(scope.statics))
        try:
            _run(seen, player)
        except SpecError as error:
            collector.add(error)
        except Poisoned:
            continue
        _check_patterns(scratch, scope, player.updates, f"the player `{name}` updates")
    _check_patterns(scratch, scope, training.updates or (), "`updates`")
    _check_patterns(scratch, scope, training.freeze or (), "`freeze`")
    wanted = [one.params for one in training.regularize or () if one.params is not None]
    _check_patterns(scratch, scope, wanted, "`regularize`")


def _run(scope: Scope, training: Any) -> None:
    for name, value in (training.let or {}).items():
        scope.statics[name] = read_value(scope, value)
    if training.graph:
        run_graph(scope, _Graph(training.graph))
    if training.loss is not None:
        _check_scalar(scope, training.loss, "the loss")
    for name, formula in (getattr(training, "metrics", None) or {}).items():
        _check_scalar(scope, formula, f"the metric `{name}`")
    for name, formula in (getattr(training, "rule", None) or {}).items():
        _check_rule(scope, str(name), formula)


def _check_scalar(scope: Scope, formula: Formula, what: str) -> None:
    value = scope.evaluate(formula)
    if not isinstance(value, Tensor) or value.rank != 0 or not value.dtype.is_float:
        raise error_at(formula.span, f"{what} is one float, not {describe(value)}", "reduce_mean(...)")


def _check_rule(scope: Scope, name: str, formula: Formula) -> None:
    node, _, parameter = name.rpartition(".")
    known = scope.names.get(node)
    parameters = getattr(known, "parameters", {})
    if parameter not in parameters:
        choices = [f"{key}.{own}" for key, value in scope.names.items() for own in getattr(value, "parameters", {})]
        raise error_at(
            formula.span, f"`{name}` is no parameter of a node", suggest(name, choices) or ", ".join(choices)
        )
    value = scope.evaluate(formula)
    wanted = parameters[parameter].type
    # The batch size is a symbol here; a rule for single examples fits where it can be 1.
    fits = isinstance(value, Tensor) and value.dtype is wanted.dtype and value.rank == wanted.rank
    if not fits or any(decide(a, "==", b) is False for a, b in zip(value.shape, wanted.shape, strict=True)):
        raise error_at(formula.span, f"the next value of `{name}` is {wanted}, not {describe(value)}")


def _check_patterns(program: ProgramBuilder, scope: Scope, patterns: Iterable[Any], what: str) -> None:
    paths = {owned.under(ROOT, ()).key.path for owned in scope.body.owned}
    for text in patterns:
        pattern = PathPattern.parse(str(text))
        if not any(pattern.match(path) is not None for path in paths):
            program.collector.report(text.span, f"{what}: no parameter matches `{text}`", suggest(str(text), paths))
