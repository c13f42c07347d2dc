"""What an executable takes of a chip, and the time below which no chip runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ....compiler.ir import DType, Entry, Graph, Node, Program
from ....compiler.ops.contract import Conv, Dot
from ....compiler.ops.control import Call, Cond, Scan, While
from ....compiler.summary import summarize
from ...api import Table
from .chips import CHIPS
from .topology import Topology

PASSES = {"highest": 6, "tf32": 3, "bf16": 1}
"""Products of bfloat16 numbers that one of float32 is made of, by precision (XLA: bf16_6x, bf16_3x)."""


_MEMORY = (("arguments", "argument"), ("temporaries", "temporary"), ("output", "output"), ("code", "code"))


@dataclass(frozen=True, slots=True)
class Work:
    """What an entry computes by our own count, over all devices.

    ``passes`` are the products of bfloat16 that its ``macs`` are made of. With ``loops``, the compiler's count holds
    the body of each loop once.
    """

    flops: int
    macs: int
    passes: int
    loops: bool


def entry_work(program: Program, entry: Entry) -> Work:
    """The work of one entry of a program whose sizes are known."""
    summary = next(one for one in summarize(program).entries if one.name == entry.name)
    macs, passes = _Passes(program).graph(entry.graph)
    graphs = [entry.graph, *program.functions.values()]
    loops = any(isinstance(node.op, (Scan, While)) for graph in graphs for node in graph.walk())
    return Work(summary.flops, macs, passes, loops)


@dataclass(slots=True)
class _Passes:
    program: Program
    functions: dict[str, tuple[int, int]] = field(default_factory=dict)

    def graph(self, graph: Graph) -> tuple[int, int]:
        """Multiply-accumulates, and the products of bfloat16 in them."""
        macs = passes = 0
        for node in graph.nodes:
            one, each = self.node(node)
            macs, passes = macs + one, passes + each
        return macs, passes

    def node(self, node: Node) -> tuple[int, int]:
        op = node.op
        if isinstance(op, Call):
            if op.function not in self.functions:
                self.functions[op.function] = self.graph(self.program.functions[op.function])
            return self.functions[op.function]
        if node.regions:
            inner = [self.graph(region) for region in node.regions]
            if isinstance(op, Cond):
                return max(inner)
            times = int(op.length) if isinstance(op, Scan) else 1
            return times * sum(one for one, _ in inner), times * sum(each for _, each in inner)
        macs = int(op.cost([v.type for v in node.inputs], [v.type for v in node.outputs]).macs)  # type: ignore[arg-type]
        if not macs:
            return 0, 0
        half = all(value.type.dtype.is_half for value in node.inputs[:2])
        precision = op.precision if isinstance(op, (Dot, Conv)) else "highest"
        return macs, macs * (1 if half or node.inputs[0].type.dtype is DType.INT8 else PASSES[precision])


@dataclass(frozen=True, slots=True)
class Numbers:
    """A topology as libtpu shows it. ``used`` of its ``devices`` compute; a chip of the early kinds is two devices."""

    topology: Topology
    name: str
    devices: int
    chips: int
    used: int

    def to_json(self) -> dict[str, Any]:
        """What the manifest says of the topology."""
        chip = CHIPS.get(self.topology.kind)
        share = self.devices // self.chips
        data: dict[str, Any] = {
            "topology": self.topology.name,
            "chip": self.name,
            "chips": self.chips,
            "devices": self.devices,
            "devices_used": self.used,
        }
        if chip is not None:
            # One device's part of a chip.
            data["hbm_bytes"] = chip.memory_bytes // share
            data["peak_flops"] = chip.flops / share
            data["bandwidth"] = chip.bandwidth / share
        return data

    def of_entry(self, answer: Mapping[str, Any], work: Work) -> dict[str, Any]:
        """The numbers of one entry, per device. Memory is the compiler's plan; the time is our roofline."""
        taken = {key: int(answer[f"{key}_bytes"]) for key in ("argument", "output", "temporary", "alias", "code")}
        total = sum(taken.values()) - 2 * taken["alias"]
        flops, moved = int(answer["flops"]), int(answer["bytes_accessed"])
        if work.loops or not flops:
            flops = max(flops, work.flops // self.used)
        # Whatever a loop does, it reads what it is given and writes what it gives at least once.
        moved = max(moved, taken["argument"] + taken["output"] - taken["alias"])
        data: dict[str, Any] = {
            "memory": {**{f"{key}_bytes": size for key, size in taken.items()}, "total_bytes": total},
            "flops": flops,
            "bytes_accessed": moved,
            "loops": work.loops,
        }
        chip = CHIPS.get(self.topology.kind)
        if chip is not None:
            share = self.devices // self.chips
            passes = 1 + 2 * (work.passes - work.macs) / max(1, work.flops)
            compute, memory = flops * passes * share / chip.flops, moved * share / chip.bandwidth
            data["roofline_seconds"] = max(compute, memory)
            data["bound"] = "compute" if compute >= memory else "memory"
        return data


def describe(data: Mapping[str, Any]) -> list[Table]:
    """The table of a manifest's numbers: a column for each entry."""
    room = data.get("hbm_bytes")
    entries: Mapping[str, Any] = data["entries"]

    def row(what: str, text: Callable[[Mapping[str, Any]], str]) -> tuple[str, ...]:
        return (what, *map(text, entries.values()))

    def memory(key: str) -> Callable[[Mapping[str, Any]], str]:
        return lambda entry: _size(entry["memory"][f"{key}_bytes"])

    def filled(entry: Mapping[str, Any]) -> str:
        total = entry["memory"]["total_bytes"]
        return _size(total) + (f" ({total / room:.0%})" if room else "")

    def time(entry: Mapping[str, Any]) -> str:
        return _time(entry["roofline_seconds"]) if "roofline_seconds" in entry else "?"

    rows = [row(f"{what} in HBM", memory(key)) for what, key in _MEMORY]
    rows += [
        row("HBM in all", filled),
        row("FLOPs", lambda entry: _scaled(entry["flops"], 1000, ("", " k", " M", " G", " T", " P"))),
        row("bytes accessed", lambda entry: _size(entry["bytes_accessed"])),
        row("roofline time", time),
        row("bound by", lambda entry: str(entry.get("bound", "?"))),
    ]
    return [Table(("", *entries), tuple(rows), tuple(entries), _note(data, room))]


def _note(data: Mapping[str, Any], room: int | None) -> str:
    several = data["devices"] // data["chips"]
    each = "chip" if several == 1 else f"core ({several} on a chip)"
    said = f"per {each} of {data['devices_used']} used on {data['topology']} ({data['chips']} of {data['chip']}"
    said += f", {_size(room)} of HBM each)" if room else ")"
    if data["devices_used"] == 1 and data["devices"] > 1:
        said += "; --mesh spreads it over all of them"
    if any(entry["loops"] for entry in data["entries"].values()):
        said += "; loops: FLOPs are our count, bytes hold a body once"
    return f"{said}. Links between chips are not in the roofline."


def _size(number: int) -> str:
    return _scaled(number, 1024, (" B", " KiB", " MiB", " GiB", " TiB"))


def _scaled(number: float, base: int, units: Sequence[str]) -> str:
    for unit in units[:-1]:
        if number < base:
            return f"{number:.0f}{unit}" if unit == units[0] else f"{number:.3g}{unit}"
        number /= base
    return f"{number:.3g}{units[-1]}"


def _time(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"
