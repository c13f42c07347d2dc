"""What a backend is. A third-party package implements `Backend` and registers it under the entry-point group
``netwright.backends``; nothing else in the project needs to know it.

The way of a program through a backend: `passes` says what the pipeline must and must not do, `claims` which nodes the
emitter can take (the rest is decomposed or widened), `emit` writes the files of a bundle, `load` makes them run.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np

from ..compiler.fusion import Fusion
from ..compiler.ir import DType, Node, Program, TensorType

API_VERSION = 1

Content = bytes | Callable[[BinaryIO], None]
"""A file of a bundle: its bytes, or a function that writes them (for what should not be held in memory)."""


class BackendError(Exception):
    """A target cannot do what is asked: not installed, no device, an op or a dtype that it lacks. One clear message."""


Row = tuple[int, int, int]
"""First use, last use and bytes of a buffer."""

Report = Callable[[str, int, int], None]
"""Told what is being done that takes long, how many steps of it are over, and of how many."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to compile: ``device`` is a target's own name of a device, ``settings`` are its further knobs.

    ``report`` hears of progress, from any thread.
    """

    device: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    report: Report | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Emission:
    """What a backend gives for a program: files by name, and whether the packed weights go to weights.safetensors.

    ``metadata`` is put into the manifest as it is, under "backend" (JSON data, deterministic).
    """

    files: Mapping[str, Content]
    weights_file: bool = True
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Table:
    """Facts for a person: rows of texts under names of columns. Columns in ``numbers`` stand to the right."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class TensorFacts:
    """What is checked of a tensor that is no array. ``limits`` finds its least and its largest value."""

    dtype: DType
    shape: tuple[int, ...]
    limits: Callable[[], tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Launched:
    """One kernel that a call of an entry starts: its name, the ops that it computes, the label of its node, the block
    of the spec around that, and whether it runs in each round of a loop."""

    kernel: str
    what: str
    label: str
    block: str
    looped: bool


class Runtime(ABC):
    """A loaded bundle. Thread-safe. Inputs are checked by the caller, sizes bound, states passed in and out."""

    @abstractmethod
    def call(
        self, entry: str, inputs: Mapping[str, np.ndarray], states: Mapping[str, np.ndarray], sizes: Mapping[str, int]
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Run an entry.

        ``inputs`` by name, in the declared dtypes; ``states`` the current value of each state the entry reads or
        updates; ``sizes`` the value of each symbol. Returns the outputs and the new states, by name. A runtime may
        update states in place and return the same arrays. Where it takes tensors of its own (see `tensor`), inputs
        and states may be such, and outputs and new states, too.
        """

    def tensor(self, value: Any) -> TensorFacts | None:
        """The facts of a value that this runtime takes as it is beside arrays; None for everything else."""
        return None

    def array(self, value: Any) -> np.ndarray:
        """A copy of an array, or of a tensor of its own, as an array."""
        return np.array(value)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What `Backend.load` gets: a verified folder, its manifest, and its packed weights by name, read lazily.

    ``report`` hears of what takes long, then and in the first calls.
    """

    folder: Path
    manifest: Mapping[str, Any]
    weights: Mapping[str, np.ndarray]
    report: Report | None = None


class Backend(ABC):
    """One target."""

    api_version: ClassVar[int] = API_VERSION
    name: ClassVar[str]
    summary: ClassVar[str] = ""
    extra: ClassVar[str] = ""
    """The pip extra that installs what it needs; empty if the core does."""

    def unavailable(self) -> str | None:
        """None if what the target needs is installed here, else what is not, and how to install it."""
        return None

    def unready(self) -> str | None:
        """None if this machine can run the target on its default device, else why not."""
        return self.unavailable()

    def slow(self) -> str | None:
        """Why it is right but no measure of speed on the default device here, for a person who waits; None if it is."""
        return None

    requires: ClassVar[frozenset[str]] = frozenset()
    """Optional passes that the pipeline must run for this target (see `compiler.pipeline`)."""
    forbids: ClassVar[frozenset[str]] = frozenset()
    """Passes that the pipeline must leave out."""

    fusion: ClassVar[Fusion | None] = None
    """What may share a kernel; needs the pass `fuse` among ``requires``, and `claims` that takes the op `fused`."""

    def roll(self, options: Options) -> int | None:
        """From how many equal blocks in a row they become one loop, unless a person says; 0 for never.

        None for a target that gains nothing by a loop. Needs the pass `roll` among ``requires`` otherwise.
        """
        return None

    @abstractmethod
    def claims(self, node: Node) -> str | None:
        """None if the emitter takes the node as it is, else the reason why not.

        Called for composites too: a refused composite is decomposed. A refused primitive on 16-bit floats is computed
        in float32 between casts; any other refused primitive is an error that shows the reason.
        """

    whole_axes: ClassVar[bool] = False
    """Whether the pass `layout` should keep groups of channels together, in work element by element: where a loop over
    the few channels of a group is dear, and a kernel more is not."""

    def layout(self, node: Node) -> tuple[float, float] | None:
        """What a node costs in its natural form and in the other one, or None if that makes no difference.

        For `conv`, `window_sum`, `window_max` and `window_max_grad` the other form has the channels as the last axis
        (the node then is `conv_channels_last`, or a window over permuted axes); for `dot` the result has what is left
        of rhs before what is left of lhs. The node given is the natural one; all its sizes are whole numbers, symbols
        stand at a typical size. Any unit: only differences count, against `conversion`. Asked of targets that require
        the pass `layout` only.
        """
        return None

    def conversion(self, type: TensorType) -> float:
        """What it costs to bring the axes of a tensor into another order, in the unit of `layout`."""
        return 0.0

    def buffers(self, program: Program, sizes: Mapping[str, int]) -> Mapping[str, Sequence[Row]] | None:
        """The memory that a call of each entry of a legalized program takes for values and for what kernels need.

        Rows as `compiler.packing` packs them, by the name of the entry; outputs, states and weights lie elsewhere.
        None for a target that plans its memory by itself. Every symbol is in ``sizes``.
        """
        return None

    def launches(self, program: Program) -> Mapping[str, Sequence[Launched]] | None:
        """The kernels that each entry of a legalized program starts, in order; None for a target that has none of its
        own."""
        return None

    @abstractmethod
    def emit(self, program: Program, weights: Mapping[str, np.ndarray], options: Options) -> Emission:
        """The files of the bundle for a legalized program.

        ``weights`` maps each name in ``program.used_tensors()`` to its array, computed when asked for. Deterministic.
        """

    def describe(self, manifest: Mapping[str, Any]) -> Sequence[Table]:
        """What a person should know of a bundle that was just made, from its manifest; nothing by default."""
        return ()

    def export(
        self,
        program: Program,
        weights: Mapping[str, np.ndarray],
        entry: str,
        path: Path,
        options: Options,
        states: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        """Write one entry as a single file of the target's own format, aside first and then renamed.

        ``states`` are values that states have in the file where a caller gives none.

        Raises `BackendError`, as here for a target that has no such format.
        """
        raise BackendError(f"target {self.name} has no file format of its own; compile it to a bundle")

    @abstractmethod
    def load(self, bundle: Loaded) -> Runtime:
        """Make a bundle that this backend emitted run. Raises `BackendError`."""
