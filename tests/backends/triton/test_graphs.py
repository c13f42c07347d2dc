"""CUDA graphs against a torch that only pretends: what is captured runs again when it is replayed, and not before."""

from __future__ import annotations

import threading
from contextlib import contextmanager

import pytest

from netwright.backends.triton.graphs import Graphs


class FakeTensor:
    """A number in a box; operations are queued while a graph is captured."""

    def __init__(self, torch: FakeTorch, value: float = 0.0) -> None:
        self.torch, self.value = torch, value

    def data_ptr(self) -> int:
        return id(self)

    def copy_(self, other: FakeTensor) -> None:
        self.torch.do(lambda: setattr(self, "value", other.value), "copy")

    def clone(self) -> FakeTensor:
        made = FakeTensor(self.torch)
        made.copy_(self)
        return made


class FakeGraph:
    def __init__(self, torch: FakeTorch) -> None:
        self.torch, self.work = torch, []

    def replay(self) -> None:
        self.torch.log.append("replay")
        for each in self.work:
            each()

    def reset(self) -> None:
        self.torch.log.append("reset")
        self.work = []


class FakeStream:
    def __init__(self, torch: FakeTorch, name: str) -> None:
        self.torch, self.name = torch, name

    def wait_stream(self, other: FakeStream) -> None:
        self.torch.log.append(f"{self.name} waits for {other.name}")

    def wait_event(self, event: FakeEvent) -> None:
        self.torch.log.append(f"{self.name} waits for an event of {event.stream.name}")


class FakeEvent:
    stream: FakeStream

    def record(self, stream: FakeStream) -> None:
        self.stream = stream

    def synchronize(self) -> None:
        return


class FakeTorch:
    """The part of torch that graphs touch. ``failure`` is raised when a capture ends."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.capturing: FakeGraph | None = None
        self.failure: Exception | None = None
        self.main, self.Event = FakeStream(self, "main"), FakeEvent
        self.cuda = self

    def do(self, work, what: str) -> None:
        self.log.append(("captured " if self.capturing else "") + what)
        (self.capturing.work.append if self.capturing else lambda each: each())(work)

    def empty_like(self, other: FakeTensor) -> FakeTensor:
        return FakeTensor(self)

    def CUDAGraph(self) -> FakeGraph:
        return FakeGraph(self)

    def graph_pool_handle(self) -> str:
        self.log.append("pool")
        return "pool"

    def Stream(self, device: str) -> FakeStream:
        assert device == "cuda:0"
        return FakeStream(self, "side")

    def current_stream(self, device: str) -> FakeStream:
        assert device == "cuda:0"
        return self.main

    @contextmanager
    def graph(self, graph: FakeGraph, pool: str, stream: FakeStream):
        assert pool == "pool" and stream.name == "side"
        self.capturing = graph
        try:
            yield
        finally:
            self.capturing = None
        if self.failure is not None:
            raise self.failure


@pytest.fixture
def torch(monkeypatch) -> FakeTorch:
    monkeypatch.delenv("NETWRIGHT_CUDA_GRAPHS", raising=False)
    return FakeTorch()


def doubling(torch: FakeTorch, state: FakeTensor | None = None):
    """A program: its output is twice its input; a state counts the calls."""

    def run(inputs):
        made = FakeTensor(torch)
        torch.do(lambda: setattr(made, "value", inputs[0].value * 2), "double")
        if state is not None:
            torch.do(lambda: setattr(state, "value", state.value + 1), "count")
        return [made]

    return run


def test_run_then_captured_then_replayed(torch):
    graphs, run = Graphs(torch, "cuda:0"), doubling(torch)
    values = [graphs.call("n=1", [FakeTensor(torch, number)], run)[0] for number in (1.0, 2.0, 3.0)]
    assert [value.value for value in values] == [2.0, 4.0, 6.0], "each output is the caller's own"
    assert [each for each in torch.log if "double" in each or each == "replay"] == [
        "double", "captured double", "replay", "replay",
    ]  # fmt: skip
    assert graphs.captured == ("n=1",) and not graphs.reasons


def test_states_change_once_per_call(torch):
    """The call that captures runs nothing beside the replay."""
    state = FakeTensor(torch, 0.0)
    graphs, run = Graphs(torch, "cuda:0"), doubling(torch, state)
    for number in range(1, 6):
        graphs.call("decode", [FakeTensor(torch, 1.0)], run)
        assert state.value == number


def test_one_graph_for_each_dimensions_and_the_least_used_goes(torch):
    graphs, run = Graphs(torch, "cuda:0", most=2), doubling(torch)

    def twice(key):
        for _ in range(2):
            assert graphs.call(key, [FakeTensor(torch, 4.0)], run)[0].value == 8.0

    twice("a")
    twice("b")
    twice("a")
    twice("c")
    assert graphs.captured == ("a", "c") and torch.log.count("reset") == 1
    twice("b")
    assert graphs.captured == ("c", "b")
    assert torch.log.count("pool") == 1, "graphs share their memory"
    graphs.clear()
    assert not graphs.captured and torch.log.count("reset") == 4


def test_replays_on_different_streams_wait_for_each_other(torch):
    graphs, run = Graphs(torch, "cuda:0"), doubling(torch)
    for _ in range(2):
        graphs.call("a", [FakeTensor(torch)], run)
    torch.main = FakeStream(torch, "other")
    graphs.call("a", [FakeTensor(torch)], run)
    assert "other waits for an event of main" in torch.log


def test_an_input_that_lies_in_the_buffer_already_is_not_copied(torch):
    graphs, run = Graphs(torch, "cuda:0"), doubling(torch)
    for _ in range(2):
        graphs.call("a", [FakeTensor(torch, 1.0)], run)
    (held,) = graphs._graphs["a"].inputs
    torch.log.clear()
    held.value = 21.0
    assert graphs.call("a", [held], run)[0].value == 42.0
    assert torch.log.count("copy") == 1, "only the output"


def test_a_program_with_loops_of_the_host_is_never_captured(torch):
    graphs, run = Graphs(torch, "cuda:0"), doubling(torch)
    for number in (1.0, 2.0, 3.0):
        made = graphs.call(
            "a", [FakeTensor(torch, number)], run, obstacle=lambda: "while: the host reads the condition"
        )
        assert made[0].value == 2 * number
    assert graphs.reasons == {"a": "while: the host reads the condition"} and not graphs.captured
    assert "captured double" not in torch.log


def test_a_capture_that_fails_is_not_tried_again(torch):
    graphs, run = Graphs(torch, "cuda:0"), doubling(torch)
    torch.failure = RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore")
    for number in (1.0, 2.0, 3.0, 4.0):
        assert graphs.call("a", [FakeTensor(torch, number)], run)[0].value == 2 * number
    assert torch.log.count("captured double") == 1
    reason = "capture failed: CUDA error: operation not permitted when stream is capturing"
    assert graphs.reasons == {"a": reason}


def test_errors_of_the_program_are_the_callers(torch):
    def broken(inputs):
        raise ValueError("mine")

    graphs = Graphs(torch, "cuda:0")
    for _ in range(3):
        with pytest.raises(ValueError, match="mine"):
            graphs.call("a", [FakeTensor(torch)], broken)


def test_the_switch(torch, monkeypatch):
    monkeypatch.setenv("NETWRIGHT_CUDA_GRAPHS", "0")
    graphs, run = Graphs(torch, "cuda:0"), doubling(torch)
    for _ in range(3):
        graphs.call("a", [FakeTensor(torch, 1.0)], run)
    assert graphs.reasons == {"a": "NETWRIGHT_CUDA_GRAPHS=0"} and not graphs.captured


def test_what_is_remembered_is_bounded(torch):
    graphs, run = Graphs(torch, "cuda:0"), doubling(torch)
    for number in range(1000):
        graphs.call(number, [FakeTensor(torch)], run, obstacle=lambda: "loops")
    assert len(graphs.reasons) == 256 and 999 in graphs.reasons


def test_threads_take_turns(torch):
    graphs, run, wrong = Graphs(torch, "cuda:0"), doubling(torch), []

    def work(offset: int) -> None:
        for number in range(50):
            if graphs.call("a", [FakeTensor(torch, offset + number)], run)[0].value != 2 * (offset + number):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(1000 * place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
