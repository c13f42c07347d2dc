"""How a model learns."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Discriminator, Tag

from ..diagnostics import Collector
from .base import Model, NameTable, PatternTable, fail
from .declarations import Inputs
from .formulas import Formula, StaticFormula, StaticValue
from .nodes import NodeField
from .scalars import Choice, Name, Pattern
from .unions import Kinds, Shapes, kind_word, shape


class Sgd(Model):
    """w -= rate * g, with momentum or Nesterov's."""

    what = "the optimizer sgd"

    kind: Annotated[Literal["sgd"], Choice()]
    momentum: StaticFormula | None = None
    nesterov: StaticFormula | None = None
    weight_decay: StaticFormula | None = None


class Adagrad(Model):
    """Steps shrink with the sum of squared gradients."""

    what = "the optimizer adagrad"

    kind: Annotated[Literal["adagrad"], Choice()]
    eps: StaticFormula | None = None
    weight_decay: StaticFormula | None = None


class Adadelta(Model):
    """Steps in the proportion of running averages of squared steps and gradients."""

    what = "the optimizer adadelta"

    kind: Annotated[Literal["adadelta"], Choice()]
    decay: StaticFormula | None = None
    eps: StaticFormula | None = None
    weight_decay: StaticFormula | None = None


class Rmsprop(Model):
    """Steps shrink with a running average of squared gradients."""

    what = "the optimizer rmsprop"

    kind: Annotated[Literal["rmsprop"], Choice()]
    decay: StaticFormula | None = None
    eps: StaticFormula | None = None
    momentum: StaticFormula | None = None
    weight_decay: StaticFormula | None = None


class Adam(Model):
    """Running averages of gradients and their squares, corrected for their start."""

    what = "the optimizer adam"

    kind: Annotated[Literal["adam"], Choice()]
    beta1: StaticFormula | None = None
    beta2: StaticFormula | None = None
    eps: StaticFormula | None = None
    weight_decay: StaticFormula | None = None


class Adamw(Model):
    """Adam with a decay of the weights apart from the gradient."""

    what = "the optimizer adamw"

    kind: Annotated[Literal["adamw"], Choice()]
    beta1: StaticFormula | None = None
    beta2: StaticFormula | None = None
    eps: StaticFormula | None = None
    weight_decay: StaticFormula | None = None


class Nadam(Model):
    """Adam with Nesterov's momentum, after torch's schedule."""

    what = "the optimizer nadam"

    kind: Annotated[Literal["nadam"], Choice()]
    beta1: StaticFormula | None = None
    beta2: StaticFormula | None = None
    eps: StaticFormula | None = None
    momentum_decay: StaticFormula | None = None
    weight_decay: StaticFormula | None = None


Optimizer: TypeAlias = Sgd | Adagrad | Adadelta | Rmsprop | Adam | Adamw | Nadam
OptimizerField: TypeAlias = Annotated[
    Annotated[Sgd, Tag("sgd")]
    | Annotated[Adagrad, Tag("adagrad")]
    | Annotated[Adadelta, Tag("adadelta")]
    | Annotated[Rmsprop, Tag("rmsprop")]
    | Annotated[Adam, Tag("adam")]
    | Annotated[Adamw, Tag("adamw")]
    | Annotated[Nadam, Tag("nadam")],
    Discriminator(kind_word),
    Kinds("an optimizer", "sgd", "adagrad", "adadelta", "rmsprop", "adam", "adamw", "nadam"),
]


class Cosine(Model):
    """From `start` to `end` along half a cosine over `epochs`, after `warmup` epochs of a linear rise."""

    what = "the schedule cosine"

    kind: Annotated[Literal["cosine"], Choice()]
    start: StaticFormula
    end: StaticFormula | None = None
    epochs: StaticFormula
    warmup: StaticFormula | None = None


class Linear(Model):
    """From `start` to `end` in a straight line over `epochs`, after `warmup` epochs of a linear rise."""

    what = "the schedule linear"

    kind: Annotated[Literal["linear"], Choice()]
    start: StaticFormula
    end: StaticFormula | None = None
    epochs: StaticFormula
    warmup: StaticFormula | None = None


class Step(Model):
    """`start`, multiplied by `factor` after `every` epochs."""

    what = "the schedule step"

    kind: Annotated[Literal["step"], Choice()]
    start: StaticFormula
    every: StaticFormula
    factor: StaticFormula
    warmup: StaticFormula | None = None


class Exponential(Model):
    """`start`, multiplied by `factor` in each epoch, evenly over its steps."""

    what = "the schedule exponential"

    kind: Annotated[Literal["exponential"], Choice()]
    start: StaticFormula
    factor: StaticFormula
    warmup: StaticFormula | None = None


class Inverse(Model):
    """`start` over 1 + `factor` times the epochs that have passed."""

    what = "the schedule inverse"

    kind: Annotated[Literal["inverse"], Choice()]
    start: StaticFormula
    factor: StaticFormula
    warmup: StaticFormula | None = None


Schedule: TypeAlias = Cosine | Linear | Step | Exponential | Inverse
ScheduleField: TypeAlias = Annotated[
    Annotated[Cosine, Tag("cosine")]
    | Annotated[Linear, Tag("linear")]
    | Annotated[Step, Tag("step")]
    | Annotated[Exponential, Tag("exponential")]
    | Annotated[Inverse, Tag("inverse")],
    Discriminator(kind_word),
    Kinds("a schedule", "cosine", "linear", "step", "exponential", "inverse"),
]
RateField: TypeAlias = Annotated[
    Annotated[StaticFormula, Tag("scalar")] | Annotated[ScheduleField, Tag("mapping")],
    Discriminator(shape),
    Shapes("a number or a schedule", "scalar", "mapping"),
]


class Regularizer(Model):
    """One of `l1`, `l2`, `max_norm`, for the parameters that match `params` (all by default)."""

    what = "a regularizer"

    l1: StaticFormula | None = None
    l2: StaticFormula | None = None
    max_norm: StaticFormula | None = None
    params: Pattern | None = None

    @classmethod
    def prepare(cls, node: Any, collector: Collector) -> Any:
        prepared = super().prepare(node, collector)
        if sum(key in prepared for key in ("l1", "l2", "max_norm")) != 1:
            fail(node.span, "a regularizer has exactly one of l1, l2, max_norm")
        return prepared


class Stop(Model):
    """When to end before all epochs are done. A loss is better when it is lower, a metric when it is higher."""

    what = "`stop`"

    monitor: Name
    better: Annotated[Literal["lower", "higher"], Choice()] | None = None
    patience: StaticFormula | None = None
    restore_best: StaticFormula | None = None


class Player(Model):
    """One of several that learn in turn, each its own parameters."""

    what = "a player"

    let: NameTable[StaticValue] | None = None
    graph: list[NodeField] | None = None
    loss: Formula
    optimizer: OptimizerField
    rate: RateField
    updates: list[Pattern]
    steps: StaticFormula | None = None


class Training(Model):
    """Targets, loss, optimizer and schedule; or players; or a rule in place of a gradient."""

    what = "`training`"

    inputs: Inputs | None = None
    let: NameTable[StaticValue] | None = None
    graph: list[NodeField] | None = None
    loss: Formula | None = None
    optimizer: OptimizerField | None = None
    rate: RateField | None = None
    regularize: list[Regularizer] | None = None
    clip: StaticFormula | None = None
    updates: list[Pattern] | None = None
    freeze: list[Pattern] | None = None
    batch: StaticFormula | None = None
    epochs: StaticFormula | None = None
    shuffle: StaticFormula | None = None
    metrics: NameTable[Formula] | None = None
    stop: Stop | None = None
    players: NameTable[Player] | None = None
    rule: PatternTable[Formula] | None = None

    @classmethod
    def prepare(cls, node: Any, collector: Collector) -> Any:
        prepared = super().prepare(node, collector)
        ways = [key for key in ("loss", "players", "rule") if key in prepared]
        if not ways:
            fail(node.span, "`training` needs `loss`, `players` or `rule`")
        for key in ways[1:]:
            collector.report(prepared.key_spans[key], f"`training` has `{ways[0]}` and `{key}`", "it learns in one way")
        if "loss" in prepared and "optimizer" not in prepared:
            collector.report(prepared.key_spans["loss"], "a loss needs an `optimizer`")
        return prepared
