"""One step of a learner as an entry: the loss and its gradients, regularization, clipping, the optimizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..differentiate import differentiable, gradients
from ..ir.dims import decide
from ..ir.graph import Builder, Graph, Guard, Node, Value
from ..ir.program import Entry, Port, Program, State
from ..ir.types import DType, TensorType
from ..ops import functional as fn
from ..ops.batch_statistics import NormalizeBatchTraining
from ..ops.normalize import NormalizeBatch
from ..ops.source import Cast, StopGradient
from ..ops.tensor import Tensor
from ..passes.context import Context
from ..passes.inline import inline
from .draws import numbered
from .labels import with_ranges
from .plan import Learner

RATE = "learning_rate"
"""The input of every step that says how far it goes."""
SEED, DRAWS = "random/seed", "random/step"
"""States: the seed of the run, and how many steps have drawn random numbers."""
CLIP_EPS = 1e-6
"""Added to the norm that gradients are clipped by, as in torch.nn.utils.clip_grad_norm_."""


def optimizer_state(learner: Learner, what: str, path: str = "") -> str:
    """The name of a state of an optimizer."""
    return "/".join(part for part in ("optimizer", learner.name, what, path) if part)


@dataclass(slots=True)
class Step:
    """What a step sets: the next value of each state, and the states that are no parameters."""

    learner: Learner
    build: Builder
    tensors: Mapping[str, Tensor]
    """Parameters, and the seed and counter of draws, by name: inputs of the graph."""
    rate: Tensor
    memory: dict[str, tuple[State, Tensor]] = field(default_factory=dict)
    updates: dict[str, Tensor] = field(default_factory=dict)

    def remembered(self, name: str, type: TensorType, initial: float = 0) -> Tensor:
        """A state of the optimizer as a tensor."""
        tensor = Tensor(self.build, Value(type))
        self.memory[name] = State(name, type, initial), tensor
        return tensor


def build_step(learner: Learner) -> tuple[Entry, dict[str, State], dict[str, Value]]:
    """The entry of a learner.

    Its ``params`` are still the parameters; also gives the states that it adds, in the order in which the graph takes
    them behind its parameters, and the next value of every state by name. Raises `OpError`.
    """
    program = prepared(learner)
    (entry,) = program.entries.values()
    graph = entry.graph
    build = Builder(nodes=list(graph.nodes))
    build.shapes.known.update((guard.left, guard.right) for guard in entry.guards)
    first = len(entry.inputs)
    tensors = {path: Tensor(build, value) for path, value in zip(entry.params, graph.inputs[first:], strict=True)}
    rate = Value(TensorType(DType.FLOAT32, ()))
    step = Step(learner, build, tensors, Tensor(build, rate))
    count = len(entry.outputs)
    outputs = list(graph.outputs[:count])
    step.updates |= {
        path: Tensor(build, value) for path, value in zip(learner.sets, graph.outputs[count:], strict=True)
    }
    if learner.optimizer is not None:
        loss = _penalized(step, Tensor(build, outputs[0]))
        outputs[0] = loss.value
        _learn(step, loss)
    if DRAWS in tensors:
        step.updates[DRAWS] = tensors[DRAWS] + 1
    memory = {name: state for name, (state, _) in step.memory.items()}
    inputs = (
        *graph.inputs[:first],
        rate,
        *graph.inputs[first:],
        *(tensor.value for _, tensor in step.memory.values()),
    )
    whole = build.graph(inputs, [*outputs, *(tensor.value for tensor in step.updates.values())])
    port = Port(RATE, rate.type, doc="how far this step goes")
    found = replace(with_guards(entry, build), name=learner.entry, graph=whole, inputs=(*entry.inputs, port))
    return with_ranges(found), memory, {name: tensor.value for name, tensor in step.updates.items()}


def with_guards(entry: Entry, build: Builder) -> Entry:
    """The entry, which also guards the sizes that its gradients need to be equal."""
    new = [Guard(left, right) for left, right in build.shapes.guards if decide(left, "==", right) is None]
    return replace(entry, guards=(*entry.guards, *new))


def prepared(learner: Learner) -> Program:
    """The learner's program as it is differentiated: draws numbered, frozen statistics in place."""
    program = inline(learner.program, Context())
    (entry,) = program.entries.values()
    values = dict(zip(entry.params, entry.graph.inputs[len(entry.inputs) :], strict=True))
    graph = _with_frozen_statistics(entry.graph, {values[path] for path in learner.frozen if path in values})
    if DRAWS in values:
        graph = numbered(graph, values[DRAWS])
    return differentiable(replace(program, entries={entry.name: replace(entry, graph=graph)}))


def _with_frozen_statistics(graph: Graph, frozen: set[Value]) -> Graph:
    """Batch normalisation by frozen statistics as when nothing is learned."""
    if not frozen:
        return graph
    casts = {out: node.inputs[0] for node in graph.nodes if isinstance(node.op, Cast) for out in node.outputs}
    nodes: list[Node] = []
    for node in graph.nodes:
        if isinstance(node.op, NormalizeBatchTraining) and _origin(node.inputs[-1], casts) in frozen:
            y, mean, variance = node.outputs
            op = NormalizeBatch(eps=node.op.eps, present=node.op.present)
            nodes.append(replace(node, op=op, outputs=(y,)))
            build = Builder()
            for value, same in ((mean, node.inputs[-2]), (variance, node.inputs[-1])):
                build.emit(StopGradient(), [same], outputs=(value,), loc=node.loc)
            nodes += build.nodes
        else:
            nodes.append(node)
    return Graph(graph.inputs, tuple(nodes), graph.outputs)


def _origin(value: Value, casts: Mapping[Value, Value]) -> Value:
    """What a value is a cast of."""
    while value in casts:
        value = casts[value]
    return value


def _penalized(step: Step, loss: Tensor) -> Tensor:
    """The loss with what the regularizers add to it."""
    for regularizer in step.learner.regularizers:
        for path in regularizer.paths:
            w = step.tensors.get(path)
            if w is None or path not in step.learner.learned or regularizer.kind == "max_norm":
                continue
            w = w.cast(_wide(w))
            size = fn.reduce_sum(fn.absolute(w) if regularizer.kind == "l1" else w * w)
            loss = loss + size.cast(loss.dtype) * regularizer.strength
    return loss


def _learn(step: Step, loss: Tensor) -> None:
    """Move the learned parameters against their gradients."""
    learner, optimizer = step.learner, step.learner.optimizer
    assert optimizer is not None
    paths = [path for path in learner.learned if path in step.tensors]
    weights = [step.tensors[path] for path in paths]
    found = gradients(step.build, loss, weights)
    slopes = [w.like(0) if g is None else g for w, g in zip(weights, found, strict=True)]
    if learner.clip is not None:
        slopes = _clipped(slopes, learner.clip)
    count = step.remembered(optimizer_state(learner, "step"), TensorType(DType.INT64, ())) + 1
    step.updates[optimizer_state(learner, "step")] = count
    numbers = {
        name: step.remembered(optimizer_state(learner, name), TensorType(DType.FLOAT32, ()), 1)
        for name in optimizer.numbers
    }
    shared = optimizer.advance(count.cast(DType.FLOAT32), numbers)
    step.updates |= {optimizer_state(learner, name): shared[name] for name in optimizer.numbers}
    for path, weight, g in zip(paths, weights, slopes, strict=True):
        # The squares of 16-bit gradients are 0 or infinite in 16 bits, so a step is computed and remembered in float32.
        w = weight.cast(_wide(weight))
        slots = {name: step.remembered(optimizer_state(learner, name, path), w.type) for name in optimizer.slots}
        near = {name: number.cast(w.dtype) for name, number in shared.items()}
        moved, slots = optimizer.move(w, g.cast(w.dtype), slots, step.rate.cast(w.dtype), near)
        step.updates[path] = _bounded(learner, path, moved).cast(weight.dtype)
        step.updates |= {optimizer_state(learner, name, path): tensor for name, tensor in slots.items()}


def _clipped(slopes: Sequence[Tensor], most: float) -> list[Tensor]:
    """Gradients scaled down together where their common Euclidean norm is above ``most``."""
    wide = [g.cast(_wide(g)) for g in slopes]
    squares = [fn.reduce_sum(g * g).cast(DType.FLOAT32) for g in wide]
    norm = fn.sqrt(sum(squares[1:], squares[0]))
    scale = fn.minimum(most / (norm + CLIP_EPS), 1.0)
    return [g * scale.cast(g.dtype) for g in slopes]


def _wide(tensor: Tensor) -> DType:
    """float32, or what is wider."""
    return tensor.dtype if tensor.dtype.bytes > DType.FLOAT32.bytes else DType.FLOAT32


def _bounded(learner: Learner, path: str, w: Tensor) -> Tensor:
    """Weights whose norm for each unit is not above what regularizers allow."""
    for regularizer in learner.regularizers:
        if regularizer.kind != "max_norm" or path not in regularizer.paths:
            continue
        axes = tuple(range(1, w.rank)) if w.rank > 1 else None
        norm = fn.sqrt(fn.reduce_sum(w * w, axes, keep=True))
        w = w * fn.where(norm > regularizer.strength, regularizer.strength / norm, 1.0)
    return w
