"""How long a program takes on a device at least: for each kernel what it computes and moves at the device's best.

A kernel takes the longer of its work and its traffic with memory, and what it costs to start. Kernels run one after
another, nothing stays in a cache from one to the next, and what a fused kernel keeps inside is no traffic. So a program
that keeps less in caches is slower than this, and one that fuses more can be faster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from .devices import Device
from .ir.dims import substitute
from .ir.graph import Graph, Node, Value
from .ir.program import Program
from .ops.control import Call, Cond, Scan
from .ops.fused import Fused
from .storage import VIEWS, root_values

LIMITS = ("compute", "memory", "overhead")


@dataclass(slots=True)
class Work:
    """What kernels take together: ``compute`` and ``memory`` are the seconds of either alone, ``time`` those of both.

    ``limits`` splits ``time`` by what each kernel waits for; ``overhead`` is what starting kernels costs.
    """

    kernels: int = 0
    flops: int = 0
    bytes: int = 0
    compute: float = 0.0
    memory: float = 0.0
    time: float = 0.0
    limits: dict[str, float] = field(default_factory=lambda: dict.fromkeys(LIMITS, 0.0))

    def add(self, other: Work, times: int = 1) -> None:
        """Let this take what another takes, so many times."""
        self.kernels += other.kernels * times
        self.flops += other.flops * times
        self.bytes += other.bytes * times
        self.compute += other.compute * times
        self.memory += other.memory * times
        self.time += other.time * times
        for limit in LIMITS:
            self.limits[limit] += other.limits[limit] * times

    @property
    def bound(self) -> str:
        """What most of the time goes into, one of `LIMITS`."""
        return max(LIMITS, key=self.limits.__getitem__)

    @property
    def intensity(self) -> float:
        """Operations for each byte that is moved."""
        return self.flops / self.bytes if self.bytes else 0.0

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {**asdict(self), "bound": self.bound, "intensity": self.intensity}


@dataclass(frozen=True, slots=True)
class EntryRoofline:
    """One entry: all of it, and its parts by label (those without one by op)."""

    name: str
    total: Work
    parts: Mapping[str, Work]

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        parts = [{"label": label, **work.to_json()} for label, work in self.parts.items()]
        return {"name": self.name, **self.total.to_json(), "parts": parts}


@dataclass(frozen=True, slots=True)
class Roofline:
    """A program on a device. ``weights`` are the bytes of all parameters that entries read."""

    device: Device
    weights: int
    entries: tuple[EntryRoofline, ...]

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        device = {
            "name": self.device.name,
            "title": self.device.title,
            "bandwidth": self.device.bandwidth,
            "memory": self.device.memory,
            "overhead": self.device.overhead,
            "matrix": dict(self.device.matrix),
            "vector": dict(self.device.vector),
        }
        return {"device": device, "weight_bytes": self.weights, "entries": [each.to_json() for each in self.entries]}


def roofline(program: Program, device: Device, sizes: Mapping[str, int], depth: int = 1) -> Roofline:
    """The least time of a program that its target would run, kernel by kernel.

    Parts are by the first ``depth`` names of labels. A loop counts its steps, a while loop one round, a branch the
    dearer one. Every symbol must be in ``sizes``; `ValueError` otherwise.
    """
    types = program.tensor_types()
    meter = _Meter(program, device, sizes, depth)
    weights = sum(meter.number(types[name].nbytes) for name in program.used_tensors())
    entries = []
    for entry in program.entries.values():
        parts = meter.graph(entry.graph)
        total = Work()
        for part in parts.values():
            total.add(part)
        entries.append(EntryRoofline(entry.name, total, parts))
    return Roofline(device, weights, tuple(entries))


@dataclass(slots=True)
class _Meter:
    program: Program
    device: Device
    sizes: Mapping[str, int]
    depth: int
    functions: dict[str, dict[str, Work]] = field(default_factory=dict)

    _FREE: ClassVar[frozenset[str]] = frozenset(["constant", "iota", "dimension"])
    """What kernels make on the way."""

    def graph(self, graph: Graph) -> dict[str, Work]:
        """The work of a graph by label, in order."""
        found: dict[str, Work] = {}
        roots = root_values(graph)
        for node in graph.nodes:
            label = self.label(node)
            if isinstance(node.op, Call):
                for inner, work in self.function(node.op.function).items():
                    found.setdefault(self.joined(label, inner), Work()).add(work)
            elif not isinstance(node.op, VIEWS) and node.op.name not in self._FREE:
                found.setdefault(label, Work()).add(self.node(node, roots))
        return found

    def function(self, name: str) -> dict[str, Work]:
        if name not in self.functions:
            self.functions[name] = self.graph(self.program.functions[name])
        return self.functions[name]

    def node(self, node: Node, roots: Mapping[Value, Value]) -> Work:
        if node.regions and not isinstance(node.op, Fused):
            return self.loop(node)
        if all(value.type.rank == 0 and not value.type.dtype.is_float for value in node.outputs):
            return Work()
        inside = node.regions[0].nodes if isinstance(node.op, Fused) else (node,)
        matrix = vector = 0.0
        flops = 0
        for each in inside:
            all_of_it, products = self.seconds(each)
            flops += all_of_it
            matrix, vector = matrix + products[0], vector + products[1]
        moved = self.traffic(node, roots)
        # The units of products and of the rest work at the same time.
        compute, memory = max(matrix, vector), moved / self.device.bandwidth
        time = max(compute, memory)
        limits = {
            "compute": time if compute > memory else 0.0,
            "memory": time if compute <= memory else 0.0,
            "overhead": self.device.overhead,
        }
        return Work(1, flops, moved, compute, memory, time + self.device.overhead, limits)

    def loop(self, node: Node) -> Work:
        bodies = []
        for region in node.regions:
            body = Work()
            for work in self.graph(region).values():
                body.add(work)
            bodies.append(body)
        if isinstance(node.op, Cond):
            bodies = [max(bodies, key=lambda body: body.time)]
        total = Work()
        for body in bodies:
            total.add(body, self.number(node.op.length) if isinstance(node.op, Scan) else 1)
        return total

    def seconds(self, node: Node) -> tuple[int, tuple[float, float]]:
        """The operations of a node, and the seconds of its products and of the rest."""
        if isinstance(node.op, VIEWS) or not node.inputs:
            return 0, (0.0, 0.0)
        cost = node.op.cost([value.type for value in node.inputs], [value.type for value in node.outputs])
        flops, macs = self.number(cost.flops), self.number(cost.macs)
        dtype = node.inputs[0].type.dtype
        products = self.device.rate(dtype, True, getattr(node.op, "precision", "highest"))
        others = self.device.rate(dtype)
        matrix = 2 * macs / products if products else 0.0
        return flops, (matrix, max(0, flops - 2 * macs) / others if others else 0.0)

    def traffic(self, node: Node, roots: Mapping[Value, Value]) -> int:
        """The bytes that a kernel reads and writes; of what a view shows no more than there is."""
        read = self.reads(node.inputs, (node,), roots)
        if isinstance(node.op, Fused):
            (region,) = node.regions
            read = self.reads(region.inputs, region.nodes, root_values(region), region.outputs)
            limits = [self.number(roots.get(value, value).type.nbytes) for value in node.inputs]
            return sum(map(min, read, limits)) + sum(self.number(value.type.nbytes) for value in node.outputs)
        moved = node.op.traffic([value.type for value in node.inputs], [value.type for value in node.outputs])
        return sum(read) + self.number(moved.written)

    def reads(
        self,
        values: Sequence[Value],
        nodes: Sequence[Node],
        roots: Mapping[Value, Value],
        handed_on: Sequence[Value] = (),
    ) -> list[int]:
        """The bytes that nodes read of each value: of one that many read no more than all of it, once."""
        found = dict.fromkeys((roots.get(value, value) for value in values), 0)
        for node in nodes:
            if isinstance(node.op, VIEWS):
                continue
            moved = node.op.traffic([value.type for value in node.inputs], [value.type for value in node.outputs])
            for value, size in zip(node.inputs, moved.read, strict=True):
                root = roots.get(value, value)
                if root in found:
                    found[root] += min(self.number(size), self.number(value.type.nbytes))
        for value in handed_on:
            root = roots.get(value, value)
            if root in found:
                found[root] = self.number(root.type.nbytes)
        seen: set[Value] = set()
        sizes = []
        for value in values:
            root = roots.get(value, value)
            sizes.append(0 if root in seen else min(found[root], self.number(root.type.nbytes)))
            seen.add(root)
        return sizes

    def number(self, value: Any) -> int:
        known = substitute(value, self.sizes)
        if not isinstance(known, int):
            raise ValueError(f"{value} depends on a size that is not given")
        return known

    def label(self, node: Node) -> str:
        label = node.loc.label if node.loc else ""
        return self.cut(label) if label else f"({node.op.name})"

    def joined(self, outer: str, inner: str) -> str:
        if inner.startswith("("):
            return outer
        return self.cut(inner if outer.startswith("(") else f"{outer}.{inner}")

    def cut(self, label: str) -> str:
        return ".".join(label.split(".")[: self.depth])
