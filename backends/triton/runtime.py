"""Makes a bundle run: weights on the device, arenas and states, one call after the other."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ...compiler.ir import DType
from ..api import BackendError, Loaded, Report, Runtime, TensorFacts
from . import toolchain, tuning
from .emit import MODULE
from .graphs import Graphs
from .kernel import Kernel
from .launcher import Compiled, Interpreted, Launcher
from .memory import Arenas, Tensors
from .module import EntryFacts, Module, read
from .sources import asks_device, kernel_sources
from .tuning_cache import Cache

DTYPES = tuple(dtype.value for dtype in DType)


class TritonRuntime(Runtime):
    """Runs the module of a bundle on one device. Thread-safe: calls take turns.

    Arrays come back as arrays; where a tensor of torch is given, tensors on the device come back.
    """

    def __init__(self, bundle: Loaded, device: str | None) -> None:
        """``device`` is a name as in `toolchain.device`. Raises `BackendError` if it cannot be had."""
        wanted = toolchain.device(device)
        triton = toolchain.triton(wanted.kind)
        torch = toolchain.torch()
        self.module = read(Path(bundle.folder) / MODULE)
        self.interpreted = wanted.kind == "interpreter"
        self.graphs: Graphs | None = None
        self.gpu: toolchain.Gpu | None = None
        self.refusals: tuple[type[BaseException], ...] = ()
        self.obstacles: dict[str, str | None] = {}
        if self.interpreted:
            self.tensors = Tensors(torch, "cpu")
            self.launcher: Launcher = Interpreted(self.module.kernels, self.module.functions, self.tensors)
        else:
            gpu = toolchain.gpu(wanted)
            self.tensors = Tensors(torch, gpu.torch_name)
            self.gpu = gpu
            self._need({"weights": sum(_bytes(dtype, shape) for _, dtype, shape in self.module.parameters)})
            refusal = triton.runtime.errors.OutOfResources
            self.refusals = (refusal, torch.OutOfMemoryError, torch.AcceleratorError)
            choose = _chooser(self.module, self.tensors, gpu, triton.__version__, refusal, bundle.report)
            self.launcher = Compiled(self.module.kernels, self.module.functions, self.tensors, choose)
            self.graphs = Graphs(torch, gpu.torch_name)
        self.weights = [self._weight(bundle, *facts) for facts in self.module.parameters]
        self.constants = [self._constant(*facts) for facts in self.module.constants]
        self.arenas = Arenas(self.tensors, lambda size: self._need({"activations": size}))
        self.lock = threading.RLock()

    def _need(self, memory: Mapping[str, int]) -> None:
        """Raise `BackendError` if a GPU has not so much memory."""
        if self.gpu is not None:
            toolchain.check_memory(self.gpu, memory)

    @contextmanager
    def _device(self) -> Iterator[None]:
        """Make the device the current one, as Triton wants it, and say in one line what it refuses."""
        if self.gpu is None:
            yield
            return
        try:
            with self.tensors.torch.cuda.device(self.gpu.torch_name):
                yield
        except self.refusals as error:
            said = toolchain.first_line(error)
            raise BackendError(f"{self.gpu.torch_name} ({self.gpu.product}) cannot run this: {said}") from error

    def _obstacle(self, entry: str, facts: EntryFacts) -> str | None:
        """Why an entry cannot be captured as a CUDA graph."""
        if entry not in self.obstacles:
            asks = asks_device(self.module.text, facts.call.__name__)
            self.obstacles[entry] = "its loops or branches ask the device for their conditions" if asks else None
        return self.obstacles[entry]

    def _weight(self, bundle: Loaded, name: str, dtype: str, shape: tuple[int, ...]) -> Any:
        if name not in bundle.weights:
            raise BackendError(f"{bundle.folder}: the weights lack {name!r}")
        array = np.asarray(bundle.weights[name])
        if array.dtype.name != dtype or array.shape != shape:
            found = f"{array.dtype}{list(array.shape)}"
            raise BackendError(f"{bundle.folder}: the weight {name!r} is {found}, not {dtype}{list(shape)}")
        return self.tensors.kernels(self.tensors.given(array))

    def _constant(self, dtype: str, shape: tuple[int, ...], data: bytes) -> Any:
        array = np.frombuffer(data, np.dtype("int8" if dtype == "bool" else _numpy(dtype))).reshape(shape)
        return self.tensors.given(array)

    def call(
        self, entry: str, inputs: Mapping[str, Any], states: Mapping[str, Any], sizes: Mapping[str, int]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        facts = self.module.entries[entry]
        missing = [symbol for symbol in facts.symbols if symbol not in sizes]
        if missing:
            raise BackendError(f"entry {entry!r} needs the size {missing[0]}")
        order = tuple(int(sizes[symbol]) for symbol in facts.symbols)
        as_arrays = not any(isinstance(value, self.tensors.torch.Tensor) for value in inputs.values())
        with self.lock, self._device():
            given = [self.tensors.given(inputs[name]) for name in facts.inputs]
            held = {name: self._state(states[name]) for name in facts.states}
            outputs = self._run(entry, facts, given, list(held.values()), order)
        made = dict(zip(facts.outputs, outputs, strict=True))
        if as_arrays:
            made = {name: self.tensors.array(tensor) for name, tensor in made.items()}
        return made, {name: self._kept(states[name], held[name]) for name in facts.updates}

    def tensor(self, value: Any) -> TensorFacts | None:
        if not isinstance(value, self.tensors.torch.Tensor):
            return None
        name = str(value.dtype).removeprefix("torch.")
        if name not in DTYPES:
            raise BackendError(f"a tensor of {name} is no input; dtypes are {', '.join(DTYPES)}")

        def limits() -> tuple[float, float]:
            least, most = self.tensors.torch.aminmax(value.detach())
            return least.item(), most.item()

        return TensorFacts(DType(name), tuple(value.shape), limits)

    def array(self, value: Any) -> np.ndarray:
        is_tensor = isinstance(value, self.tensors.torch.Tensor)
        return np.array(self.tensors.array(value) if is_tensor else value)

    def _state(self, value: Any) -> Any:
        """A state on the device; in the interpreter, in the very memory of the array."""
        return self.tensors.given(value)

    def _kept(self, given: Any, tensor: Any) -> Any:
        """A new state: on a GPU it stays there."""
        return self.tensors.array(tensor) if isinstance(given, np.ndarray) and self.interpreted else tensor

    def _run(
        self, entry: str, facts: EntryFacts, inputs: list[Any], states: list[Any], sizes: tuple[int, ...]
    ) -> list[Any]:
        buffers = self.arenas.get((entry, sizes), facts, sizes)

        def run(given: Sequence[Any]) -> list[Any]:
            outputs = [
                self.tensors.empty(shape, dtype)
                for shape, dtype in zip(facts.shapes(*sizes), facts.dtypes, strict=True)
            ]
            seen = [[self.tensors.kernels(each) for each in group] for group in (given, states, outputs)]
            x, r, y = seen
            facts.call(self.launcher, x, self.weights, self.constants, r, y, buffers, *sizes)
            return outputs

        if self.graphs is None:
            return run(inputs)
        key = (entry, sizes, tuple(state.data_ptr() for state in states))
        return self.graphs.call(key, inputs, run, lambda: self._obstacle(entry, facts))


def _numpy(dtype: str) -> str:
    return "uint16" if dtype == "bfloat16" else dtype


def _bytes(dtype: str, shape: tuple[int, ...]) -> int:
    return DType(dtype).bytes * math.prod(shape)


def _chooser(
    module: Module,
    tensors: Tensors,
    gpu: toolchain.Gpu,
    version: str,
    refusal: type[Exception],
    report: Report | None,
) -> Callable[[Kernel, Callable[[int], None], Mapping[str, int], Sequence[Any], bool], int]:
    """The tuner as the launcher asks it."""
    clock = tuning.CudaClock(tensors.torch, gpu)
    report = report or tuning.on_terminal()
    tuner = tuning.Tuner(clock, Cache(), (refusal,), report, measuring=tuning.enabled())
    texts = kernel_sources(module.text, module.kernels)

    def choose(
        kernel: Kernel, launch: Callable[[int], None], sizes: Mapping[str, int], arguments: Sequence[Any], wide: bool
    ) -> int:
        def save() -> Callable[[], None]:
            written = [each for each, facts in zip(arguments, kernel.arguments, strict=True) if facts.written]
            saved = [each.clone() for each in written]

            def restore() -> None:
                for each, before in zip(written, saved, strict=True):
                    each.copy_(before)
                clock.release()

            return restore

        asked = tuning.question(kernel, texts[kernel.name], sizes, {"wide": wide}, gpu, version)
        return tuner.choose(asked, launch, save, f"tuning {kernel.name}")

    return choose
