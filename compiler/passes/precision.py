"""The precision policy: which float dtype each op computes in. Storage and computing are apart.

Ops of class LOW (dot, conv) compute in the policy's dtype and sum in float32. Ops of class KEEP (exp, reductions,
norms, softmax) and those that the policy names compute in float32, and hand float32 to each other. The others follow
their operands. Values that cross a graph's border (inputs, outputs, regions, calls) keep the dtype that they declare.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ..ir.graph import Builder, Graph, Node, Value
from ..ir.op import Precision
from ..ir.program import Entry, Program
from ..ir.types import DType
from ..ops.control import Call
from ..ops.source import Cast
from .context import Context, Policy
from .frozen import parameter_values


def precision(program: Program, context: Context) -> Program:
    """The program with casts where the policy asks for them; itself if neither it nor the policy has a 16-bit float."""
    policy = context.precision or Policy()
    graphs = [*program.functions.values(), *(entry.graph for entry in program.entries.values())]
    if policy.compute is None and policy.params is None and not any(_has_half(graph) for graph in graphs):
        return program
    entries = {name: _entry(entry, policy, context) for name, entry in program.entries.items()}
    functions = {name: _Caster(policy, context).graph(graph) for name, graph in program.functions.items()}
    return replace(program, entries=entries, functions=functions)


def _has_half(graph: Graph) -> bool:
    return any(value.type.dtype.is_half for node in graph.walk() for value in (*node.inputs, *node.outputs))


def _entry(entry: Entry, policy: Policy, context: Context) -> Entry:
    caster = _Caster(policy, context)
    if policy.params is not None:
        for value in parameter_values(entry):
            if value.type.dtype is DType.FLOAT32 and policy.params.is_half:
                caster.current[value] = caster.cast(value, policy.params)
    return replace(entry, graph=caster.graph(entry.graph))


@dataclass(slots=True)
class _Caster:
    """One graph in the making."""

    policy: Policy
    context: Context
    build: Builder = field(default_factory=Builder)
    current: dict[Value, Value] = field(default_factory=dict)
    """What stands for a value that was computed in another dtype than it declares."""
    casts: dict[tuple[Value, DType], Value] = field(default_factory=dict)

    def graph(self, graph: Graph) -> Graph:
        for node in graph.nodes:
            self.add(node)
        return self.build.graph(graph.inputs, [self.read(value, value.type.dtype) for value in graph.outputs])

    def add(self, node: Node) -> None:
        self.build.loc = node.loc
        if node.regions or isinstance(node.op, Call) or _names_a_dtype(node):
            regions = tuple(_Caster(self.policy, self.context).graph(region) for region in node.regions)
            inputs = tuple(self.read(value, value.type.dtype) for value in node.inputs)
            self.build.append(replace(node, inputs=inputs, regions=regions))
            return
        target = self.target(node)
        inputs = tuple(
            self.read(value, target if target and _narrowable(value.type.dtype) else value.type.dtype)
            for value in node.inputs
        )
        if all(new.type == old.type for new, old in zip(inputs, node.inputs, strict=True)):
            self.build.append(replace(node, inputs=inputs))
            return
        for value, result in zip(node.outputs, self.build.emit(node.op, inputs, node.regions), strict=True):
            self.current[value] = result
        self.context.rewritten("precision", f"{node.op.name} computed in {target}", node.loc)

    def target(self, node: Node) -> DType | None:
        """The float dtype to compute in; None leaves the declared one."""
        declared = {value.type.dtype for value in node.inputs if _narrowable(value.type.dtype)}
        if not declared:
            return None
        if node.op.precision_class is Precision.KEEP or node.op.name in self.policy.keep_float32:
            return DType.FLOAT32
        if self.policy.compute is None or any(dtype.is_half for dtype in declared):
            return None
        if node.op.precision_class is Precision.LOW:
            return self.policy.compute
        natural = {self.current.get(value, value).type.dtype for value in node.inputs}
        floats = {dtype for dtype in natural if _narrowable(dtype)}
        return floats.pop() if len(floats) == 1 else self.policy.compute

    def read(self, value: Value, dtype: DType) -> Value:
        """A value in a dtype."""
        found = self.current.get(value, value)
        if found.type.dtype is dtype:
            return found
        return self.cast(found, dtype)

    def cast(self, value: Value, dtype: DType) -> Value:
        if (value, dtype) not in self.casts:
            self.casts[value, dtype] = self.build.emit(Cast(dtype=dtype), (value,))[0]
        return self.casts[value, dtype]


def _narrowable(dtype: DType) -> bool:
    """Whether a policy may change a dtype: float64 is asked for on purpose."""
    return dtype.is_half or dtype is DType.FLOAT32


def _names_a_dtype(node: Node) -> bool:
    """Whether the dtype is what the op is about, or it has no operand to take one from."""
    return not node.inputs or any(isinstance(value, DType) and value.is_float for value in node.op.fields().values())
