"""`training` of a document to a plan: a program per learner, everything else settled. Its mistakes are told before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from ...compiler.ir import DType, Program, Value
from ...compiler.ops.source import Cast
from ...compiler.ops.tensor import Tensor
from ...compiler.training.optimizers import Optimizer, optimizer
from ...compiler.training.plan import PENALTIES, Learner, Regularizer, Schedule, Stop, TrainingPlan, entry_name
from ..diagnostics import Collector, error_at
from ..load import LoadedDocument
from ..model.formulas import Formula, StaticFormula
from ..weights.matching import PathPattern
from .context import ProgramBuilder
from .entries import ROOT, EntryBuilder
from .fields import read_value
from .initial import first_values
from .nodes import run_graph
from .program import Request, elaborate
from .scope import Scope
from .training import Nodes, open_training


def training_plan(loaded: LoadedDocument, request: Request) -> TrainingPlan:
    """The plan of a model that says how it learns. Raises SpecError with all mistakes of the document."""
    lowered = elaborate(loaded, request)
    section = loaded.document.training
    if section is None:
        message = "this model does not say how it learns: it has no `training`"
        raise error_at(loaded.source.whole(), message, "training: {inputs, loss, optimizer, rate}")
    reader = _Reader(loaded, request, lowered.compute, lowered.storage, frozenset(lowered.keep_float32))
    players: Mapping[str, Any] = section.players or {}
    learners = [reader.learner(name, player) for name, player in players.items()] or [reader.learner("", section)]
    settings = _Settings(reader.scope(learners[0].name))
    return TrainingPlan(
        tuple(learners),
        reader.evaluation(),
        settings.number(section.batch, None),
        settings.number(section.epochs, 1),
        settings.number(section.shuffle, True),
        settings.stop(section.stop),
        tuple(section.inputs or {}),
    )


@dataclass(slots=True)
class _Settings:
    """Static settings, in a scope that knows the args."""

    scope: Scope

    def number(self, formula: StaticFormula | None, default: Any) -> Any:
        """The value of a setting, or the default for one that is missing."""
        return default if formula is None else self.scope.static(formula, "a setting")

    def fields(self, model: Any, *left_out: str) -> dict[str, Any]:
        """The settings that a section gives, by name."""
        names = [name for name in type(model).model_fields if name not in ("kind", *left_out)]
        given = {name: getattr(model, name) for name in names}
        return {name: self.number(value, None) for name, value in given.items() if value is not None}

    def optimizer(self, declared: Any) -> Optimizer | None:
        if declared is None:
            return None
        try:
            return optimizer(str(declared.kind), **self.fields(declared))
        except ValidationError as error:
            first = error.errors()[0]
            message = f"`{'.'.join(map(str, first['loc']))}` of the optimizer: {first['msg'].lower()}"
            raise error_at(declared.span, message) from None

    def schedule(self, declared: Any) -> Schedule:
        if declared is None:
            return Schedule("constant", 0.0)
        if isinstance(declared, StaticFormula):
            return Schedule("constant", float(self.number(declared, 0.0)))
        fields = {name: float(value) for name, value in self.fields(declared).items()}
        return Schedule(str(declared.kind), **fields)  # type: ignore[arg-type]

    def regularizers(self, declared: Iterable[Any] | None, paths: Sequence[str]) -> tuple[Regularizer, ...]:
        found = []
        for one in declared or ():
            for kind in PENALTIES:
                strength = getattr(one, kind)
                if strength is not None:
                    matched = tuple(paths) if one.params is None else _matching(paths, [one.params])
                    found.append(Regularizer(kind, float(self.number(strength, 0.0)), matched))
        return tuple(found)

    def stop(self, declared: Any) -> Stop | None:
        if declared is None:
            return None
        patience, restore = self.number(declared.patience, 1), self.number(declared.restore_best, True)
        monitor = str(declared.monitor)
        lower = declared.better == "lower" or (declared.better is None and monitor == "loss")
        return Stop(monitor, "lower" if lower else "higher", patience, restore)


def _matching(paths: Iterable[str], patterns: Iterable[Any] | None) -> tuple[str, ...]:
    found = [PathPattern.parse(str(text)) for text in patterns or ()]
    return tuple(path for path in paths if any(pattern.match(path) is not None for pattern in found))


@dataclass(frozen=True, slots=True)
class _Reader:
    """Builds the graphs. The document holds no mistakes any more."""

    loaded: LoadedDocument
    request: Request
    compute: DType
    storage: DType
    keep: frozenset[str]

    @property
    def section(self) -> Any:
        return self.loaded.document.training

    def open(self, name: str, training: bool) -> tuple[ProgramBuilder, EntryBuilder, Scope]:
        """The main graph and the nodes of `training`, in the scope of an entry. Raises SpecError."""
        builder = ProgramBuilder(Collector(), self.compute, self.storage, self.keep, training, draws=True)
        request = self.request
        variant, given, dims = request.variant, request.given, request.dims
        entry, scope = open_training(builder, self.loaded, request.args, variant, given, name, dims)
        self.add(scope, self.section)
        builder.collector.raise_any()
        return builder, entry, scope

    def scope(self, learner: str) -> Scope:
        """A scope that knows the args and derived values."""
        return self.open(entry_name(learner), training=True)[2]

    def add(self, scope: Scope, section: Any) -> None:
        """Derived values and further nodes of the section or of a player."""
        for name, value in (section.let or {}).items():
            scope.statics[name] = read_value(scope, value)
        if section.graph:
            run_graph(scope, Nodes(section.graph))

    def learner(self, name: str, section: Any) -> Learner:
        """One player, or the only learner. Raises SpecError."""
        if section.loss is not None and section.rate is None:
            raise error_at(section.loss.span, "a loss needs a `rate`", "rate: 1.0e-3")
        builder, entry, scope = self.open(entry_name(name), training=True)
        if name:
            scope = replace(scope, module=section)
            self.add(scope, section)
        outputs = self.measured(scope, section.loss)
        sets = {key.under(ROOT).path: tensor for key, tensor in scope.body.updates.items()}
        stated = getattr(section, "rule", None) or {}
        rule = {_path_of(scope, str(at)): self.value(scope, to, str(at)) for at, to in stated.items()}
        trainable = {owned.under(ROOT, ()).key.path: owned.parameter.trainable for owned in scope.body.owned}
        frozen = _matching(trainable, self.section.freeze)
        moved = [path for path in trainable if path not in frozen]
        if section.updates is not None:
            moved = list(_matching(moved, section.updates))
        learned = tuple(path for path in moved if trainable[path]) if section.loss is not None else ()
        sets = {path: tensor for path, tensor in sets.items() if path in moved} | rule
        settings = _Settings(scope)
        return Learner(
            name,
            self.program(builder, entry, scope, outputs, sets),
            tuple(str(metric) for metric in self.section.metrics or {}),
            tuple(sets),
            learned,
            frozenset(frozen),
            settings.optimizer(section.optimizer if section.loss is not None else None),
            settings.schedule(getattr(section, "rate", None)),
            settings.regularizers(self.section.regularize, learned),
            settings.number(self.section.clip, None),
            settings.number(getattr(section, "steps", None), 1),
        )

    def evaluation(self) -> Program | None:
        """Loss and metrics while nothing is learned; None if there are none."""
        if self.section.loss is None and not self.section.metrics:
            return None
        builder, entry, scope = self.open("evaluate", training=False)
        outputs = self.measured(scope, self.section.loss)
        return self.program(builder, entry, scope, outputs, {})

    def measured(self, scope: Scope, loss: Formula | None) -> dict[str, Tensor]:
        """The loss, if there is one, and the metrics."""
        found = {} if loss is None else {"loss": self.value(scope, loss, "loss")}
        metrics = self.section.metrics or {}
        return found | {str(name): self.value(scope, formula, str(name)) for name, formula in metrics.items()}

    def value(self, scope: Scope, formula: Formula, label: str) -> Tensor:
        """The tensor of a formula that was checked."""
        scope.place(formula.span, label)
        value = scope.evaluate(formula)
        assert isinstance(value, Tensor), "the formulas of training are checked before"
        return value

    def program(
        self,
        builder: ProgramBuilder,
        entry: EntryBuilder,
        scope: Scope,
        outputs: Mapping[str, Tensor],
        sets: Mapping[str, Tensor],
    ) -> Program:
        """The program of one entry; behind its outputs the graph gives the values of ``sets``."""
        names, values = list(outputs), [tensor.value for tensor in outputs.values()]
        found = entry.finish(scope, names, values, [], [tensor.value for tensor in sets.values()])
        if found.states:
            message = f"the main graph reads the state `{found.states[0]}`, and training keeps none from batch to batch"
            raise error_at(self.section.span, message, "give it as an optional input, which training leaves out")
        parameters, _ = first_values(entry.context, builder)
        builder.collector.raise_any()
        return Program(
            str(self.loaded.document.name or self.loaded.path.stem), {found.name: found}, builder.functions, parameters
        )


def _path_of(scope: Scope, name: str) -> str:
    """The path of the parameter that a rule sets."""
    node, _, parameter = name.rpartition(".")
    value: Value = scope.names[node].parameters[parameter].value
    casts = {
        out: each.inputs[0] for each in scope.body.build.nodes if isinstance(each.op, Cast) for out in each.outputs
    }
    while value in casts:
        value = casts[value]
    return next(key.under(ROOT).path for key, known in scope.body.parameters.items() if known is value)
