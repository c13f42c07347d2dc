"""One function of the emitted module while it is written: its lines, and what stands for each value.

An elementwise line may lean on NumPy's broadcasting, so ``x + bias[:, None]`` is written for what the graph spells as
a broadcast to the full shape and an addition. A `Ref` therefore has two forms: ``full``, an array of the value's own
type, and ``loose``, something that broadcasts to it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...compiler.ir import AnyDim, DType, Graph, Node, Shape, Value
from ..api import BackendError
from ..source import origin
from .sizes import Sizes


@dataclass(frozen=True, slots=True)
class Ref:
    """What stands for a value. ``full`` is empty until an array of the whole shape is needed.

    ``loose`` broadcasts from ``shape`` to the value; for a literal it is a Python number, whose type is weak.
    """

    full: str
    loose: str
    shape: Shape
    literal: bool = False


@dataclass(slots=True)
class Module:
    """What the functions of a module share.

    ``lower`` writes the nodes of a graph into a scope; ``constants`` are the arrays too large to be written out.
    """

    lower: Callable[[Scope, Graph], None]
    functions: dict[str, Function] = field(default_factory=dict)
    helpers: dict[str, None] = field(default_factory=dict)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    _known: dict[tuple[str, tuple[int, ...], bytes], str] = field(default_factory=dict)

    def helper(self, name: str) -> str:
        """The name of a function of `helpers`, which is put into the module."""
        self.helpers[name] = None
        return name

    def constant(self, array: np.ndarray) -> str:
        """Python for an array kept beside the module; equal ones are kept once."""
        key = (array.dtype.name, array.shape, hashlib.sha256(array.tobytes()).digest())
        name = self._known.setdefault(key, f"c{len(self._known)}")
        self.constants.setdefault(name, array)
        return f"CONSTANTS[{name!r}]"


@dataclass(frozen=True, slots=True)
class Function:
    """An emitted function: its Python name, and the sizes it must be told since no operand's shape tells them."""

    name: str
    needs: tuple[AnyDim, ...]
    keywords: tuple[str, ...]


@dataclass(slots=True)
class Scope:
    """Where lines go. Values get the names v0, v1, ... in order."""

    module: Module
    sizes: Sizes = field(default_factory=Sizes)
    lines: list[str] = field(default_factory=list)
    refs: dict[Value, Ref] = field(default_factory=dict)
    indent: int = 1
    _count: int = 0
    _regions: int = 0
    _origin: str = ""

    # ---- lines

    def line(self, text: str) -> None:
        """Append one line."""
        self.lines.append("    " * self.indent + text)

    def begin(self, node: Node) -> None:
        """A comment that says where the next lines come from, if that is a new place."""
        place = origin(node.loc)
        if place and place != self._origin:
            self.line(f"# {place}")
        self._origin = place or self._origin

    def region_name(self, role: str) -> str:
        """A name for an inner function."""
        self._regions += 1
        return f"{role}_{self._regions - 1}"

    # ---- values

    def name(self, value: Value) -> str:
        """A new name that stands for a value from here on."""
        name = f"v{self._count}"
        self._count += 1
        self.bind(value, name)
        return name

    def bind(self, value: Value, text: str) -> None:
        """Let ``text``, an array of the value's type, stand for it."""
        self.refs[value] = Ref(text, text, value.type.shape)

    def assign(self, node: Node, text: str) -> None:
        """One line: the only result of ``node`` is ``text``."""
        self.line(f"{self.name(node.output)} = {text}  # {self.sizes.type(node.output.type)}")

    def assign_all(self, node: Node, text: str, listed: bool = False) -> None:
        """One line: ``text`` is a tuple of the results of ``node``; with ``listed``, an only result by itself."""
        if listed and len(node.outputs) == 1:
            self.assign(node, text)
            return
        types = ", ".join(self.sizes.type(value.type) for value in node.outputs)
        names = tuple_text([self.name(value) for value in node.outputs])[1:-1]
        self.line(f"{names} = {text}  # {types}")

    def ref(self, value: Value) -> Ref:
        """What stands for a value. Raises `BackendError` if nothing does."""
        if value not in self.refs:
            raise BackendError(f"the jax target met a value of type {value.type} that nothing defines")
        return self.refs[value]

    def use(self, value: Value) -> str:
        """Python for the whole array."""
        ref = self.ref(value)
        if ref.full:
            return ref.full
        dtype, shape = value.type.dtype, value.type.shape
        if ref.literal:
            text = f"{jnp_dtype(dtype)}({ref.loose})" if not shape else ""
            if text:
                return text
            text = f"jnp.full({self.sizes.shape(shape)}, {ref.loose}, {jnp_dtype(dtype)})"
        else:
            text = f"jnp.broadcast_to({ref.loose}, {self.sizes.shape(shape)})"
        name = f"v{self._count}"
        self._count += 1
        self.line(f"{name} = {text}  # {self.sizes.type(value.type)}")
        self.refs[value] = replace(ref, full=name)
        return name

    def use_all(self, values: Sequence[Value]) -> str:
        """The arrays, comma-separated."""
        return ", ".join(self.use(value) for value in values)

    def loose(self, values: Sequence[Value], shape: Shape) -> list[str]:
        """Python for operands of ``shape`` that together broadcast to it; at least one is an array of that dtype."""
        refs = [self.ref(value) for value in values]
        whole = [ref.full != "" and ref.loose == ref.full for ref in refs]
        for k in range(len(refs)):
            shapes = [shape if full else ref.shape for ref, full in zip(refs, whole, strict=True)]
            typed = any(full or not ref.literal for ref, full in zip(refs, whole, strict=True))
            if typed and _broadcast(shapes, len(shape)) == shape:
                break
            whole[k] = True
        return [self.use(value) if full else ref.loose for value, ref, full in zip(values, refs, whole, strict=True)]

    def strict(self, values: Sequence[Value]) -> str:
        """Comma-separated operands for a function that does not broadcast, but takes numbers beside arrays."""
        numbers = [self.ref(value).literal for value in values]
        if all(numbers):
            numbers[0] = False
        pairs = zip(values, numbers, strict=True)
        return ", ".join(self.ref(value).loose if plain else self.use(value) for value, plain in pairs)

    # ---- regions

    @contextmanager
    def function(self, name: str, parameters: str) -> Iterator[None]:
        """An inner function, whose lines are written inside. What is first written there is not known after it."""
        self.line(f"def {name}({parameters}):")
        outer, place = dict(self.refs), self._origin
        self.indent += 1
        try:
            yield
        finally:
            self.indent -= 1
            self.refs, self._origin = outer, place


def _broadcast(shapes: Sequence[Shape], rank: int) -> Shape | None:
    result: list[AnyDim] = [1] * rank
    for shape in shapes:
        for axis, size in enumerate(shape, rank - len(shape)):
            if size != 1:
                if result[axis] != 1 and result[axis] != size:
                    return None
                result[axis] = size
    return tuple(result)


Lowering = Callable[[Scope, Node, Any], None]
"""Writes the lines of a node. The op comes apart, typed as the lowering knows it."""


def jnp_dtype(dtype: DType) -> str:
    """The dtype as an emitted module names it."""
    return "jnp.bool_" if dtype is DType.BOOL else f"jnp.{dtype.value}"


def tuple_text(items: Sequence[str]) -> str:
    """Python for a tuple of texts."""
    return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"


def padding_text(padding: Sequence[tuple[int, int]]) -> str:
    """Python for the padding of a window: no padding has a name."""
    return str(tuple(padding)) if any(any(pair) for pair in padding) else '"VALID"'
