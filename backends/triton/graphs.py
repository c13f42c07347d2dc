"""CUDA graphs of a program: one for each combination of dimensions, the least recently used go.

Inside a graph all addresses are fixed: inputs are copied into buffers of their own, outputs out of them, weights and
states stay where they are. A program is run as it is the first time that dimensions are seen (which compiles, tunes and
loads its kernels, none of which can be captured), captured the second time, and replayed from then on.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from .toolchain import first_line

SWITCH = "NETWRIGHT_CUDA_GRAPHS"
"""``0`` in the environment: every launch comes from the host."""

MOST_GRAPHS = 8
MOST_SEEN = 256
"""Combinations of which it is remembered that they were seen, or why they cannot be captured."""

Tensor = Any
Run = Callable[[Sequence[Tensor]], Sequence[Tensor]]
"""The program on its inputs, on the current stream: what it allocates, it allocates through torch."""


@dataclass(slots=True)
class _Captured:
    graph: Any
    inputs: list[Tensor]
    outputs: list[Tensor]
    run: Run
    """Kept for the memory that it holds: the graph knows addresses only."""


class Graphs:
    """The graphs of one program on one device. Thread-safe: replays take turns, on the host and on the device."""

    def __init__(self, torch: Any, device: str, most: int = MOST_GRAPHS) -> None:
        """``torch`` is the module; ``device`` its name of the GPU."""
        self._torch, self._device, self._most = torch, device, most
        self._graphs: OrderedDict[Hashable, _Captured] = OrderedDict()
        self._seen: OrderedDict[Hashable, str] = OrderedDict()
        self._pool: Any = None
        self._last: Any = None
        self._lock = threading.Lock()

    @property
    def reasons(self) -> dict[Hashable, str]:
        """Why combinations of dimensions are launched from the host."""
        return {key: reason for key, reason in self._seen.items() if reason}

    @property
    def captured(self) -> tuple[Hashable, ...]:
        """The combinations that have a graph, the one that was used last at the end."""
        return tuple(self._graphs)

    def call(
        self, key: Hashable, inputs: Sequence[Tensor], run: Run, obstacle: Callable[[], str | None] | None = None
    ) -> list[Tensor]:
        """The outputs of ``run(inputs)``, through a graph where there is one.

        ``key`` says all that the launches depend on beside the contents of the inputs: the entry, its dimensions, the
        addresses of states. ``obstacle`` is asked after the first run why this program cannot be captured (its loops
        ask the device). The outputs are the caller's own. Errors of ``run`` go on to the caller.
        """
        with self._lock:
            if key in self._graphs:
                self._graphs.move_to_end(key)
                return self._replay(self._graphs[key], inputs)
            if key not in self._seen:
                outputs = list(run(inputs))
                self._remember(key, _switched_off() or (obstacle and obstacle()) or "")
                return outputs
            if self._seen[key]:
                return list(run(inputs))
            captured = self._capture(key, inputs, run)
            if captured is None:
                return list(run(inputs))
            self._graphs[key] = captured
            while len(self._graphs) > self._most:
                self._drop(self._graphs.popitem(last=False)[1])
            return self._replay(captured, inputs)

    def clear(self) -> None:
        """Drop every graph with its memory."""
        with self._lock:
            while self._graphs:
                self._drop(self._graphs.popitem(last=False)[1])

    def _remember(self, key: Hashable, reason: str) -> None:
        self._seen[key] = reason
        while len(self._seen) > MOST_SEEN:
            self._seen.popitem(last=False)

    def _capture(self, key: Hashable, inputs: Sequence[Tensor], run: Run) -> _Captured | None:
        """The graph; None if the device refuses, with the reason remembered."""
        cuda = self._torch.cuda
        try:
            if self._pool is None:
                self._pool = cuda.graph_pool_handle()
            held = [self._torch.empty_like(each) for each in inputs]
            for own, given in zip(held, inputs, strict=True):
                own.copy_(given)
            # The program is not run again here: it may change states. Its first run has loaded all kernels.
            stream = cuda.Stream(self._device)
            stream.wait_stream(cuda.current_stream(self._device))
            self._wait(stream)
            graph = cuda.CUDAGraph()
            with cuda.graph(graph, pool=self._pool, stream=stream):
                outputs = list(run(held))
            cuda.current_stream(self._device).wait_stream(stream)
        except RuntimeError as error:
            self._seen[key] = f"capture failed: {first_line(error)}"
            return None
        return _Captured(graph, held, outputs, run)

    def _replay(self, captured: _Captured, inputs: Sequence[Tensor]) -> list[Tensor]:
        cuda = self._torch.cuda
        stream = cuda.current_stream(self._device)
        # Graphs share one pool of memory, so no two may run at once, whichever streams their callers use.
        self._wait(stream)
        for own, given in zip(captured.inputs, inputs, strict=True):
            if own.data_ptr() != given.data_ptr():
                own.copy_(given)
        captured.graph.replay()
        outputs = [each.clone() for each in captured.outputs]
        self._last = cuda.Event()
        self._last.record(stream)
        return outputs

    def _wait(self, stream: Any) -> None:
        if self._last is not None:
            stream.wait_event(self._last)

    def _drop(self, captured: _Captured) -> None:
        if self._last is not None:
            self._last.synchronize()
        captured.graph.reset()


def _switched_off() -> str:
    return f"{SWITCH}=0" if os.environ.get(SWITCH) == "0" else ""
