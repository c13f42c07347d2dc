"""From a graph of ours to ONNX nodes: who is called what, which shape a value has when, and how sizes are computed."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ...compiler.ir import DType, Entry, Graph, Loc, Node, Shape, TensorType, Value
from .capabilities import Lowering
from .forms import Family, Form, fits, rows, stripped, union
from .model import Attribute, Model, Naming, OnnxNode, Subgraph, Typed, safe, walk
from .sizes import Sizes

ELEMENT_TYPES: Mapping[DType, int] = {
    DType.FLOAT32: 1,
    DType.UINT8: 2,
    DType.INT8: 3,
    DType.INT32: 6,
    DType.INT64: 7,
    DType.BOOL: 9,
    DType.FLOAT16: 10,
    DType.FLOAT64: 11,
    DType.UINT32: 12,
    DType.BFLOAT16: 16,
}
"""TensorProto.DataType by our dtypes."""


class Emitter:
    """Emits one entry. Lowerings call its methods; names are provisional until `finish`."""

    def __init__(self, opset: int, lowerings: Mapping[str, Lowering], keep_nan: bool = False) -> None:
        self.opset = opset
        self.keep_nan = keep_nan
        """Whether max pooling keeps NaN, which onnxruntime's MaxPool does not."""
        self.lowerings = lowerings
        self.nodes: list[OnnxNode] = []
        self.forms: dict[Value, Form] = {}
        self.users: dict[Value, list[Node]] = {}
        self.constants: dict[str, np.ndarray] = {}
        self.sizes = Sizes(self)
        self.memo: dict[Hashable, str] = {}
        """Names that several nodes of one graph share, by what they hold."""
        self.loc: Loc | None = None
        self._known: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._count = 0
        self._labels: dict[str, str] = {}
        self._hints: dict[str, str] = {}
        self._local: set[str] = set()

    # ---- nodes and constants

    def fresh(self) -> str:
        """A provisional name."""
        self._count += 1
        return f"%{self._count}"

    def op(self, op: str, *inputs: str, **attributes: Attribute) -> str:
        """Append an operator with one result; returns its name."""
        return self.ops(op, inputs, 1, **attributes)[0]

    def ops(self, op: str, inputs: Sequence[str], results: int, **attributes: Attribute) -> list[str]:
        """Append an operator; returns the names of its results."""
        names = [self.fresh() for _ in range(results)]
        while inputs and not inputs[-1]:
            inputs = inputs[:-1]
        self.nodes.append(OnnxNode(op, tuple(inputs), tuple(names), tuple(attributes.items()), self.loc))
        self._local.update(names)
        return names

    def constant(self, array: np.ndarray) -> str:
        """The name of a constant; equal ones are stored once."""
        array = np.ascontiguousarray(array).reshape(array.shape)
        key = (array.dtype.name, array.shape, array.tobytes())
        if key not in self._known:
            self._known[key] = self.fresh()
            self.constants[self._known[key]] = array
        return self._known[key]

    def number(self, value: float | int | bool, dtype: DType) -> str:
        """The name of a scalar constant."""
        return self.constant(np.asarray(value).astype(dtype.numpy))

    def ints(self, values: Sequence[int]) -> str:
        """The name of a list of int64."""
        return self.constant(np.asarray(values, np.int64).reshape(len(values)))

    def cast(self, name: str, dtype: DType) -> str:
        """The Cast operator, whose conversions of out-of-range floats are not ours; see `lower.source`."""
        return self.op("Cast", name, to=ELEMENT_TYPES[dtype])

    # ---- values

    def form(self, value: Value) -> Form:
        """How a value exists; one that was deferred is emitted now."""
        form = self.forms[value]
        if form.deferred is not None:
            node, loc = form.deferred, self.loc
            form.deferred = None
            self.loc = node.loc
            self.lowerings[node.op.name].emit(self, node)
            self.loc = loc
            form = self.forms[value]
        return form

    def full(self, value: Value) -> str:
        """The name of a value in its own shape."""
        return self.at(self.form(value), value.type.shape)

    def family(self, form: Form) -> Family:
        """All elements of a value; a thin one is expanded."""
        if form.family is None:
            assert form.thin is not None
            shape, source = form.thin
            name, sizes = self.reshaped(source, shape), self.sizes.vector(form.shape)
            if form.type.dtype is DType.BFLOAT16:
                # onnxruntime repeats every type but this one.
                name = self.cast(self.op("Expand", self.cast(name, DType.FLOAT32), sizes), DType.BFLOAT16)
            else:
                name = self.op("Expand", name, sizes)
            form.family = Family({form.shape: name})
        return form.family

    def at(self, form: Form, shape: Shape) -> str:
        """The name of a value's elements under another shape."""
        return self.reshaped(self.family(form), shape)

    def reshaped(self, family: Family, shape: Shape) -> str:
        """The name of a buffer under a shape; a Reshape if it was not asked for before."""
        if shape not in family.known:
            family.known[shape] = self.sizes.reshape(family, shape)
        return family.known[shape]

    def set(self, value: Value, name: str, shape: Shape | None = None) -> None:
        """A value is what a name holds, under its own or another shape."""
        self.forms[value] = Form(value.type, Family({value.type.shape if shape is None else shape: name}))
        self.label(name)

    def alias(self, value: Value, form: Form) -> None:
        """A value exists as another form does."""
        self.forms[value] = form

    def label(self, name: str) -> None:
        """A name holds the result of the node that is being emitted."""
        if name in self._local:
            self._labels.setdefault(name, self.loc.label if self.loc else "")

    def hint(self, name: str, text: str) -> None:
        """What a name that holds no value of ours is called."""
        self._hints[name] = text

    def last_axis(self, value: Value) -> tuple[str, Shape]:
        """The name of a value for work along its last axis, as a matrix if it exists as one only; and that shape."""
        form = self.form(value)
        shape = value.type.shape
        if form.family is not None and shape not in form.family.known and rows(shape) in form.family.known:
            shape = rows(shape)
        return self.at(form, shape), shape

    def common(self, values: Sequence[Value], type: TensorType) -> tuple[list[str], Form]:
        """Names for an elementwise operator on values of one shape, and the form of its result of that type.

        `elementwise` puts the result's name where the form holds "".
        """
        forms = [self.form(value) for value in values]
        whole = values[0].type.shape
        families = [form.family for form in forms if form.family is not None]
        thins = [form.thin for form in forms if form.family is None and form.thin is not None]
        if not families:
            shape = union([shape for shape, _ in thins])
            family = Family({shape: ""})
            form = Form(type, family) if shape == stripped(whole) else Form(type, None, (shape, family))
            return [self._thin(form) for form in forms], form
        shape = self._common_shape(whole, families, [shape for shape, _ in thins])
        names = [self.reshaped(form.family, shape) if form.family is not None else self._thin(form) for form in forms]
        return names, Form(type, Family({shape: ""}))

    def elementwise(self, node: Node, make: Callable[..., str]) -> None:
        """Set a node's result to what ``make`` gives for names of its operands, under whatever shapes cost least."""
        names, form = self.common(node.inputs, node.output.type)
        result = make(*names)
        family = form.family if form.family is not None else form.thin[1]  # type: ignore[index]
        (shape,) = family.known
        family.known[shape] = result
        self.alias(node.output, form)
        self.label(result)

    def _thin(self, form: Form) -> str:
        assert form.thin is not None
        shape, source = form.thin
        return self.reshaped(source, shape)

    @staticmethod
    def _common_shape(whole: Shape, families: list[Family], thins: list[Shape]) -> Shape:
        """The shape to work under: one that costs no Reshape, else the matrix a linear layer left, else its own."""
        candidates = [whole, *families[0].known] + ([rows(whole)] if len(whole) > 2 else [])
        for shape in candidates:
            if all(shape in family.known for family in families) and all(fits(thin, whole, shape) for thin in thins):
                return shape
        for shape in candidates[-1:]:
            if any(shape in family.known and whole not in family.known for family in families) and all(
                fits(thin, whole, shape) for thin in thins
            ):
                return shape
        return whole

    # ---- graphs

    def graph(self, graph: Graph) -> None:
        """Emit the nodes of a graph whose inputs have forms."""
        users, self.users = self.users, graph.users()
        for value in graph.outputs:
            self.users.setdefault(value, []).append(_OUTPUT)
        outer = self.loc
        for node in graph.nodes:
            self.loc = node.loc or outer
            lowering = self.lowerings[node.op.name]
            if lowering.deferrable is not None and lowering.deferrable(self, node):
                self.forms[node.output] = Form(node.output.type, deferred=node)
            else:
                lowering.emit(self, node)
        self.loc = outer
        for value in graph.outputs:
            self.form(value)
        self.users = users

    def sole_user(self, value: Value) -> Node | None:
        """The node that alone reads a value, if there is one."""
        users = self.users.get(value, [])
        return users[0] if len(users) == 1 and users[0] is not _OUTPUT else None

    def inline(self, region: Graph, arguments: Sequence[Form]) -> list[Form]:
        """Emit a region here; returns the forms of its outputs."""
        for value, form in zip(region.inputs, arguments, strict=True):
            self.forms[value] = form
        self.graph(region)
        return [self.form(value) for value in region.outputs]

    @contextmanager
    def body(self) -> Iterator[list[OnnxNode]]:
        """What is appended inside goes to the nodes of a subgraph."""
        nodes, local, memo = self.nodes, self._local, self.memo
        self.nodes, self._local, self.memo = [], set(), {}
        try:
            yield self.nodes
        finally:
            self.nodes, self._local, self.memo = nodes, local, memo

    def own(self, names: Sequence[str]) -> list[str]:
        """Names that may be outputs of the graph in the making: made in it, each once; others pass an Identity."""
        seen: set[str] = set()
        result = []
        for name in names:
            if name in seen or name not in self._local:
                name = self.op("Identity", name)
            seen.add(name)
            result.append(name)
        return result

    def typed(self, names: Sequence[str], values: Sequence[Value]) -> tuple[Typed, ...]:
        """Names with the types of values."""
        return tuple((name, value.type) for name, value in zip(names, values, strict=True))

    def entry(self, entry: Entry) -> Model:
        """Emit an entry and settle all names.

        Raises `BackendError` for a symbol that no input tells.
        """
        inputs = [self.fresh() for _ in entry.graph.inputs]
        first, last = len(entry.inputs), len(entry.inputs) + len(entry.params)
        typed = self.typed(inputs, entry.graph.inputs)
        self.sizes.ports = [*typed[:first], *typed[last:]]
        for name, value in zip(inputs, entry.graph.inputs, strict=True):
            self.forms[value] = Form.of(value.type, name)
        self.graph(entry.graph)
        self.loc = None
        outputs = self.own([self.full(value) for value in entry.graph.outputs])
        nodes = (*self.sizes.nodes, *self.nodes)
        read = {name for node in walk(nodes) for name in node.inputs}
        model = Model(
            entry.name,
            self.opset,
            nodes,
            (*typed[:first], *typed[last:]),
            self.typed(outputs, entry.graph.outputs),
            tuple((name, path, type) for (name, type), path in zip(typed[first:last], entry.params, strict=True)),
            {name: array for name, array in self.constants.items() if name in read},
        )
        self._settle(model, entry)
        return model

    def _settle(self, model: Model, entry: Entry) -> None:
        naming = Naming()
        ports = [port.name for port in entry.inputs] + [f"state.{name}" for name in entry.states]
        results = [*entry.outputs, *(f"state.{name}.next" for name in entry.updates)]
        for (name, _), wanted in zip((*model.inputs, *model.outputs), (*ports, *results), strict=True):
            naming.give(name, wanted)
        for name, path, _ in model.parameters:
            naming.give(name, path)
        for position, name in enumerate(model.constants):
            naming.give(name, f"constant_{position}")
        # Of several nodes with one label the last is what the label means.
        last = {self._labels[name]: name for node in walk(model.nodes) for name in node.outputs if name in self._labels}
        for label, name in last.items():
            if label and name not in naming.names:
                naming.give(name, safe(label))
        for node in walk(model.nodes):
            label = safe(node.loc.label) if node.loc else ""
            for name in node.outputs:
                if name not in naming.names:
                    wanted = self._hints.get(name) or (f"{label}.{node.op.lower()}" if label else node.op.lower())
                    naming.give(name, safe(wanted))
            for _, value in node.attributes:
                for name, _ in value.inputs if isinstance(value, Subgraph) else ():
                    naming.give(name, safe(self._hints.get(name, "value")))
        model.names = naming.names


_OUTPUT: Any = object()
"""Stands among the users of a value that is an output of its graph."""
