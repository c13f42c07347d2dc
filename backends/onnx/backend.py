"""The ONNX target: a checked model for each entry, weights inside or in one file beside them."""

from __future__ import annotations

import os
import tempfile
from collections import ChainMap
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np

from ...compiler.ir import Node, Program, TensorType
from ...compiler.passes.context import Context
from ...compiler.passes.dce import dce
from ...compiler.passes.legalize import LegalizeError, legalize
from ..api import Backend, BackendError, Content, Emission, Loaded, Options, Runtime
from . import external as outside_file
from .capabilities import OPSETS, refusal, wanted_opset
from .emit import Emitter
from .lower import LOWERINGS
from .runtime import OnnxRuntime
from .serialize import External, Serialized, serialize

WEIGHTS = "weights.bin"


@dataclass(frozen=True, slots=True)
class Settings:
    """What `Options.settings` may say.

    ``opset``: the version of ONNX to use, and no other. ``external``: weights in a file beside the models; by default
    if they exceed ``limit`` bytes, or if several entries share them. ``keep_nan``: max pooling keeps NaN, as
    the ops say; without it MaxPool of onnxruntime drops it, as in every other exporter's models. ``threads`` of a
    session; NETWRIGHT_THREADS goes before it, and without both onnxruntime takes one per core.
    """

    opset: int | None = None
    external: bool | None = None
    limit: int = outside_file.INSIDE_LIMIT
    keep_nan: bool = False
    threads: int | None = None

    @classmethod
    def of(cls, options: Options) -> Settings:
        """Raises `BackendError` for a setting that there is not, or a value that it cannot have."""
        given = dict(options.settings)
        names = [field.name for field in fields(cls)]
        unknown = sorted(set(given) - set(names))
        if unknown:
            raise BackendError(f"onnx has no setting {unknown[0]!r} (it has {', '.join(sorted(names))})")
        if options.device not in (None, "cpu"):
            raise BackendError(f"onnx has no device {options.device!r} (it has cpu)")
        made = cls(**given)
        if made.opset is not None and (type(made.opset) is not int or made.opset not in OPSETS):
            raise BackendError(f"onnx opset {made.opset!r} is none of {OPSETS[0]} to {OPSETS[-1]}")
        for name in ("external", "keep_nan"):
            value = getattr(made, name)
            if type(value) is not bool and (value is not None or name == "keep_nan"):
                raise BackendError(f"onnx setting {name} is true or false, not {value!r}")
        if type(made.limit) is not int or not 0 <= made.limit <= outside_file.INSIDE_LIMIT:
            limit = outside_file.INSIDE_LIMIT
            raise BackendError(f"onnx setting limit is a number of bytes up to {limit}, not {made.limit!r}")
        if made.threads is not None and (type(made.threads) is not int or made.threads < 1):
            raise BackendError(f"onnx setting threads is a number, 1 or more, not {made.threads!r}")
        return made


class OnnxBackend(Backend):
    """ONNX models that run in onnxruntime."""

    name = "onnx"
    summary = "ONNX models, run in onnxruntime on a CPU"
    requires: ClassVar[frozenset[str]] = frozenset()
    forbids: ClassVar[frozenset[str]] = frozenset()

    def claims(self, node: Node) -> str | None:
        return refusal(LOWERINGS, node)

    def emit(self, program: Program, weights: Mapping[str, np.ndarray], options: Options) -> Emission:
        settings = Settings.of(options)
        program = _for_opset(program, settings.opset)
        types = _weight_types(program)
        outside = settings.external
        if outside is None:
            outside = outside_file.total(types) > settings.limit or (len(program.entries) > 1 and bool(types))
        places = _places(types, WEIGHTS, outside)
        files: dict[str, Content] = {}
        opsets: dict[str, int] = {}
        for name in program.entries:
            model, opsets[name] = _model(program, name, settings, places)
            files[f"{name}.onnx"] = partial(_write_model, model, weights)
        if places:
            files[WEIGHTS] = partial(_write_weights, places, types, weights)
        metadata: dict[str, Any] = {"opset": opsets}
        if settings.threads is not None:
            metadata["threads"] = settings.threads
        return Emission(files, weights_file=False, metadata=metadata)

    def load(self, bundle: Loaded) -> Runtime:
        return OnnxRuntime(bundle)

    def export(
        self,
        program: Program,
        weights: Mapping[str, np.ndarray],
        entry: str,
        path: Path,
        options: Options,
        states: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        """Write one entry to ``path``, and its weights beside it (``path`` + `.data`) if they do not fit inside.

        A state is the input `state.NAME` and the output `state.NAME.next`; those of ``states`` have that value where
        a caller gives none. The files are written aside and renamed. Raises `BackendError`.
        """
        settings = Settings.of(options)
        if entry not in program.entries:
            raise BackendError(f"there is no entry {entry!r} (there are {', '.join(program.entries)})")
        program = _for_opset(program, settings.opset)
        stored = states or {}
        types = {name: program.tensor_types()[name] for name in program.entries[entry].params}
        types |= {name: program.state[name].type for name in program.entries[entry].states if name in stored}
        weights = ChainMap(dict(stored), weights)  # type: ignore[arg-type]
        outside = settings.external if settings.external is not None else outside_file.total(types) > settings.limit
        data = path.with_name(path.name + ".data")
        places = _places(types, data.name, outside)
        model, _ = _model(program, entry, settings, places, stored)
        with ExitStack() as stack:
            # All is written before anything is replaced, and a model never stands beside data of another one.
            written = [(path, stack.enter_context(_aside(path, partial(_write_model, model, weights))))]
            if places:
                written.insert(
                    0, (data, stack.enter_context(_aside(data, partial(_write_weights, places, types, weights))))
                )
                path.unlink(missing_ok=True)
            for final, aside in written:
                os.replace(aside, final)


def export_entry(
    program: Program, weights: Mapping[str, np.ndarray], entry: str, path: Path, opset: int | None = None
) -> None:
    """Write one entry of a legalized program as an ONNX file. See `OnnxBackend.export`."""
    settings = {} if opset is None else {"opset": opset}
    OnnxBackend().export(program, weights, entry, Path(path), Options(settings=settings))


def _for_opset(program: Program, opset: int | None) -> Program:
    """The program in nodes that an opset has. Raises `BackendError` for what it lacks."""
    if opset is None:
        return program
    context = Context(target=f"onnx opset {opset}", claims=lambda node: refusal(LOWERINGS, node, opset))
    try:
        return dce(legalize(program, context), context)
    except LegalizeError as error:
        raise BackendError(str(error)) from error


def _model(
    program: Program, name: str, settings: Settings, places: External, stored: Collection[str] = ()
) -> tuple[Serialized, int]:
    """One entry, and its opset: the one asked for, or the default, or a later one that a node needs."""
    entry = program.entries[name]
    opset = settings.opset if settings.opset is not None else wanted_opset(LOWERINGS, entry.graph.walk())
    model = Emitter(opset, LOWERINGS, settings.keep_nan).entry(entry)
    states = zip(model.inputs[len(entry.inputs) :], entry.states, strict=True)
    kept = [(name, state, type) for (name, type), state in states if state in stored]
    model = replace(model, parameters=(*model.parameters, *kept))
    return serialize(model, program.name, places), opset


def _places(types: Mapping[str, TensorType], location: str, outside: bool) -> External:
    """Where weights stand in their file, if they have one. Raises `BackendError` if they need one."""
    size = outside_file.total(types)
    if not outside and size > outside_file.INSIDE_LIMIT:
        raise BackendError(f"onnx: {size} bytes of weights do not fit inside a model; leave the setting external")
    return outside_file.layout(types, location) if outside else {}


def _weight_types(program: Program) -> dict[str, TensorType]:
    types = program.tensor_types()
    return {name: types[name] for name in program.used_tensors()}


def _write_model(model: Serialized, weights: Mapping[str, np.ndarray], file: BinaryIO) -> None:
    model.write(file, weights.__getitem__)


def _write_weights(
    places: External, types: Mapping[str, TensorType], weights: Mapping[str, np.ndarray], file: BinaryIO
) -> None:
    outside_file.write(file, places, types, weights.__getitem__)


@contextmanager
def _aside(path: Path, write: Callable[[BinaryIO], None]) -> Iterator[Path]:
    """A file beside ``path`` with what ``write`` writes, for the block to rename; gone after it otherwise.

    Raises `BackendError`, also for what the system refuses in the block.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        aside = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                write(file)
            aside.chmod(0o644)
            yield aside
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise BackendError(f"cannot write {path}: {error}") from error
